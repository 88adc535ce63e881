"""Stand-ins for sources and for the engine, where networks and files are not the point."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from types import SimpleNamespace
from typing import cast

import numpy as np
import torch
from torch import nn

from streamer.models.explained import explainer
from streamer.models.grad_cam import HeatMaps
from streamer.models.weights_manifest import Preprocessing
from streamer.pipeline.analyser import AnalyserInfo, FrameFindings
from streamer.pipeline.thyroid import Engine
from streamer.settings import ClassificationSettings, Settings
from streamer.sources import Source
from streamer.sources.base import Described
from streamer.summaries import ModelVersion
from streamer.testing import fake_finding
from streamer.types import Finding, Frame, Image

finding = fake_finding


def grey_image(level: int = 60, *, width: int = 64, height: int = 48) -> Image:
    """An even grey picture, shape (height, width, 3)."""
    return np.full((height, width, 3), level, np.uint8)


def frame(index: int, *, image: Image | None = None, video: str = "clip.mp4") -> Frame:
    """A frame of a clip at 25 frames a second."""
    return Frame(image=grey_image() if image is None else image, index=index, time_s=index / 25, video=video)


class FakeSource(Described):
    """A source of `count` even pictures. Counts what was read; can fail after a number of frames."""

    width, height, fps, live, pixel_aspect = 64, 48, 25.0, False, Fraction(1)

    def __init__(self, count: int, *, name: str = "clip.mp4", fails_after: int | None = None) -> None:
        self.name, self.expected_frames = name, count
        self.complete = False
        self.warnings: tuple[str, ...] = ()
        self.duration_s = 0.0
        self.read = 0
        self._fails_after = fails_after

    def frames(self) -> Iterator[Frame]:
        """The frames; raises OSError after `fails_after` of them."""
        for index in range(self.expected_frames):
            if index == self._fails_after:
                raise OSError("the disk is gone")
            self.read += 1
            self.duration_s = (index + 1) / self.fps
            yield frame(index, video=self.name)
        self.complete = True

    def close(self) -> None:
        """Nothing is open."""

    def as_source(self) -> Source:
        """Itself, as the protocol."""
        return cast(Source, self)


class QuadrantEvidence(nn.Module):
    """What calls bright tissue in the upper left quarter of its crop malignant, and sees nothing else, looks at."""

    def __init__(self, *, malignant_sign: float = 1.0) -> None:
        super().__init__()
        self.cells = nn.Sequential(nn.AvgPool2d(8), nn.Conv2d(3, 1, 1, bias=False))
        nn.init.constant_(self.cells.get_parameter("1.weight"), 1 / 3)
        self._sign = malignant_sign

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Each cell's share, shape (n, 1, height, width), of images of shape (n, 3, size, size)."""
        cells: torch.Tensor = self.cells(image)
        quarter = torch.zeros_like(cells)
        quarter[..., : cells.shape[-2] // 2, : cells.shape[-1] // 2] = 1
        return self._sign * (cells * quarter).relu()


def quadrant_heat_maps(*, malignant_sign: float = 1.0, mirrored: bool = False) -> HeatMaps:
    """Heat maps of that; it sees boxes with half their side around them, so twice the side in all."""
    preprocessing = Preprocessing(view="crop", size_wh=(64, 64), mean=0.0, std=1.0, margin=0.5)
    return HeatMaps(
        lambda: explainer(QuadrantEvidence(malignant_sign=malignant_sign), preprocessing),
        preprocessing,
        ClassificationSettings(mirrored=mirrored),
    )


class FakeEngine:
    """Finds in frame `n` what `findings(n)` says, on several threads, in varying time."""

    threshold = 0.5
    versions = (ModelVersion(role="detector", name="fake", sha256="0" * 64),)

    def __init__(
        self,
        findings: Callable[[int], Sequence[Finding]] = lambda _: (finding(),),
        *,
        settings: Settings | None = None,
        workers: int = 3,
        batch_frames: int = 1,
        delay_s: float = 0.002,
    ) -> None:
        self.settings = settings or Settings()
        self.heat_maps = quadrant_heat_maps()
        self.backend = SimpleNamespace(workers=workers, device="fake", precision="fp32", warnings=())
        self.batch_size, self.workers = batch_frames, workers
        self.batches: list[list[int]] = []
        self._findings, self._delay_s, self._lock = findings, delay_s, threading.Lock()

    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        """Like the engine's."""
        with self._lock:
            self.batches.append([item.index for item in frames])
        time.sleep(self._delay_s * (3 - frames[0].index % 3))  # later frames overtake earlier ones
        return [FrameFindings(item, tuple(self._findings(item.index)), {"detect": 1.0}) for item in frames]

    @property
    def info(self) -> AnalyserInfo:
        """Like the engine's."""
        return AnalyserInfo(
            threshold=self.threshold, models=self.versions, device="fake", warnings=self.backend.warnings
        )

    def as_engine(self) -> Engine:
        """Itself, as the type that the pipeline wants."""
        return cast(Engine, self)
