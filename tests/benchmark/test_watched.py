"""An engine that is watched is told of each frame once, in one step or two."""

from __future__ import annotations

from typing import cast

import pytest

from streamer.benchmark.watched import watched
from streamer.pipeline.analyse import analyse
from streamer.pipeline.analyser import FrameAnalyser
from streamer.pipeline.thyroid import Engine
from tests.fakes import FakeEngine, FakeSource
from tests.pipeline.test_two_steps import TwoSteps


@pytest.mark.parametrize("engine", [FakeEngine(), TwoSteps()])
def test_each_frame_is_told_once_with_all_its_candidates(engine: FrameAnalyser) -> None:
    told: list[tuple[int, int]] = []
    seen = watched(
        cast(Engine, engine), lambda batch: told.extend((one.frame.index, len(one.candidates)) for one in batch)
    )
    assert len(list(analyse(FakeSource(12).as_source(), analyser=seen))) == 12
    assert sorted(told) == [(index, 1) for index in range(12)]
