"""Long live runs: memory stays flat, threads end, and every frame is either analysed or counted as dropped.

STREAMER_SOAK_S says how long, in seconds: 60 unless set, 1800 for the half hour.
"""

from __future__ import annotations

import faulthandler
import gc
import os
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from streamer._timing import LiveClock
from streamer.pipeline.analyse import analyse
from streamer.pipeline.multistream import analyse_streams
from streamer.pipeline.thyroid import Engine
from streamer.sources import open_live
from tests.live_fakes import until
from tests.sources.media import write_clip

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("STREAMER_SOAK_S", "60"))
WARM_UP = 1 / 3
"""Share of the time in which memory may still grow: caches fill, allocators settle."""
MAX_MB_PER_MINUTE = 1.0


@pytest.fixture(autouse=True)
def no_time_limit() -> None:
    """The suite's own limit for a test that hangs is shorter than the half hour."""
    faulthandler.cancel_dump_traceback_later()


def resident_mb() -> float:
    """Memory of this process."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("memory is read from /proc")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Memory:
    """Samples of this process's memory over time."""

    def __init__(self) -> None:
        self._began_s = self._last_s = time.monotonic()
        self._samples: list[tuple[float, float]] = []

    def sample(self) -> None:
        """Note the memory in use, twice a second at most."""
        now_s = time.monotonic()
        if now_s - self._last_s > 0.5:
            self._last_s = now_s
            self._samples.append((now_s - self._began_s, resident_mb()))

    def slope_mb_a_minute(self) -> float:
        """Of the line through the samples after the warm-up."""
        settled = np.array([sample for sample in self._samples if sample[0] > WARM_UP * SECONDS])
        return float(np.polyfit(settled[:, 0], settled[:, 1], 1)[0] * 60)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("soak") / "clip.mp4", codec="libx264", frames=90, rate=30)


def test_one_live_source(engine: Engine, clip: Path) -> None:
    before, memory, clock = threading.active_count(), Memory(), LiveClock()
    indices = []
    with open_live(clip, loop=True) as source:
        end = threading.Timer(SECONDS, source.close)
        end.start()
        for result in analyse(source, analyser=engine):
            clock.add(result)
            indices.append(result.frame.index)
            memory.sample()
        end.join()
    gc.collect()
    figures = clock.summary()
    assert figures is not None
    print(f"\n{len(indices)} frames in {SECONDS:g} s, {figures}, {memory.slope_mb_a_minute():.2f} MB a minute")  # noqa: T201
    assert all(one < other for one, other in pairwise(indices))
    assert figures.dropped_frames == indices[-1] + 1 - len(indices)
    assert memory.slope_mb_a_minute() < MAX_MB_PER_MINUTE
    assert until(lambda: threading.active_count() == before)


def test_several_live_sources(engine: Engine, clip: Path) -> None:
    before, memory = threading.active_count(), Memory()
    arrived = [0, 0, 0]
    sources = [open_live(clip, loop=True) for _ in arrived]

    def take(stream: int, result: object) -> None:
        arrived[stream] = result.frame.index + 1  # type: ignore[attr-defined]

    with analyse_streams(sources, engine, on_result=take) as serving:
        while time.monotonic() - memory._began_s < SECONDS:
            time.sleep(0.1)
            memory.sample()
    gc.collect()
    print(f"\n{serving.figures()}, {memory.slope_mb_a_minute():.2f} MB a minute")  # noqa: T201
    for frames, figures in zip(arrived, serving.figures(), strict=True):
        assert figures.frames > 0
        assert figures.frames + figures.dropped_frames >= frames
    assert memory.slope_mb_a_minute() < MAX_MB_PER_MINUTE
    assert until(lambda: threading.active_count() == before)
