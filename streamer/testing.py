"""Stand-ins for each seam, to test code that uses streamer without networks, files or cameras.

analyser = FakeAnalyser()
sink = RecordingSink()
results = list(streamer.analyse(fake_clip(frames=10), analyser=analyser))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from streamer.outputs.base import BaseSink
from streamer.pipeline.analyser import AnalyserInfo, FrameFindings
from streamer.settings import Settings
from streamer.sources.arrays import ArrayFrames
from streamer.summaries import ClipSummary, StudyReport
from streamer.types import ClipInfo, Finding, Frame, FrameResult


def fake_clip(
    *,
    frames: int = 10,
    width: int = 64,
    height: int = 48,
    fps: float = 25.0,
    name: str = "clip",
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> ArrayFrames:
    """A `Source` of even grey frames.

    Example:
        >>> sum(1 for _ in fake_clip(frames=3).frames())
        3
    """
    picture = np.full((height, width), 60, np.uint8)
    return ArrayFrames([picture] * frames, name=name, fps=fps, pixel_spacing_mm=pixel_spacing_mm)


def fake_finding(
    box_xyxy: tuple[float, float, float, float] = (10, 10, 30, 26), *, confidence: float = 0.9, malignancy: float = 0.5
) -> Finding:
    """A finding whose outline is its box, in pixels.

    Example:
        >>> fake_finding().area_px
        320.0
    """
    x0, y0, x1, y1 = (round(value) for value in box_xyxy)
    return Finding(
        box_xyxy=box_xyxy,
        confidence=confidence,
        malignancy=malignancy,
        contour_xy=np.array([(x0, y0), (x1 - 1, y0), (x1 - 1, y1 - 1), (x0, y1 - 1)], np.int32),
        long_axis_px=float(max(x1 - x0, y1 - y0)),
        short_axis_px=float(min(x1 - x0, y1 - y0)),
        area_px=float((x1 - x0) * (y1 - y0)),
    )


class FakeAnalyser:
    """A `FrameAnalyser` that finds in frame `n` what `findings(n)` says.

    Args:
        findings: from a frame's index to what is found in it.
        settings: of the run.
        threshold: malignancy from which a nodule is called malignant, 0 to 1.

    Example:
        >>> import streamer
        >>> [len(result.nodules) for result in streamer.analyse(fake_clip(frames=2), analyser=FakeAnalyser())]
        [1, 1]
    """

    batch_size = 1
    workers = 2
    heat_maps = None

    def __init__(
        self,
        findings: Callable[[int], Sequence[Finding]] = lambda _: (fake_finding(),),
        *,
        settings: Settings | None = None,
        threshold: float = 0.5,
    ) -> None:
        self._findings = findings
        self.settings = settings or Settings()
        self.info = AnalyserInfo(threshold=threshold, device="fake")

    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        """What `findings` says of each."""
        return [FrameFindings(frame, tuple(self._findings(frame.index)), {"detect": 1.0}) for frame in frames]


class RecordingSink(BaseSink):
    """A `Sink` that keeps what it is given.

    Attributes:
        clips: what each clip began with.
        results: every frame's result.
        summaries: what each clip ended with.
        report: the study's report; None until it is there.
    """

    def __init__(self) -> None:
        self.clips: list[ClipInfo] = []
        self.results: list[FrameResult] = []
        self.summaries: list[ClipSummary | None] = []
        self.report: StudyReport | None = None

    def start_clip(self, info: ClipInfo) -> None:
        """Keep it."""
        self.clips.append(info)

    def write(self, result: FrameResult) -> None:
        """Keep it."""
        self.results.append(result)

    def end_clip(self, summary: ClipSummary | None) -> None:
        """Keep it."""
        self.summaries.append(summary)

    def close(self, report: StudyReport | None) -> None:
        """Keep it."""
        self.report = report
