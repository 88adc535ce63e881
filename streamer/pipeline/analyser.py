"""The seam between the pipeline and what looks at a frame: anything with these few members can be streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from time import perf_counter
from typing import Protocol, TypeGuard, TypeVar

import numpy as np

from streamer.errors import InputError
from streamer.models.grad_cam import HeatMaps
from streamer.models.sweep_point import SweepOperatingPoint
from streamer.settings import Settings, checked_settings
from streamer.summaries import ModelVersion
from streamer.types import Candidate, Finding, Frame, Image


@dataclass(frozen=True, slots=True)
class FrameCandidates:
    """A frame, what may be a nodule in it, and the time each stage took (a micro-batch's time shared equally).

    `rejected` says why nothing was looked for in the frame, such as "not a B-mode view of the neck"; empty otherwise.
    """

    frame: Frame
    candidates: tuple[Candidate, ...]
    timing_ms: dict[str, float]
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class FrameFindings:
    """A frame, what was found in it, and the time each stage took (a micro-batch's time shared equally).

    `rejected` says why nothing was looked for in the frame, such as "not a B-mode view of the neck"; empty otherwise.
    """

    frame: Frame
    findings: tuple[Finding, ...]
    timing_ms: dict[str, float]
    rejected: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyserInfo:
    """What a report says of the analyser.

    Attributes:
        threshold: malignancy probability from which a nodule is called malignant in a still, 0 to 1.
        models: the weights in use.
        device: as the user would name it, for example "CPU, 2 threads, OpenVINO".
        precision: arithmetic, for example "fp32".
        warnings: what a user should know about how it runs, one line each.
        point: the threshold by the number of frames that a maximum was taken over; None for the same over any.
    """

    threshold: float
    models: tuple[ModelVersion, ...] = ()
    device: str = "CPU"
    precision: str = "fp32"
    warnings: tuple[str, ...] = ()
    point: SweepOperatingPoint | None = None

    @property
    def operating_point(self) -> SweepOperatingPoint:
        """The threshold by the number of frames."""
        return self.point or SweepOperatingPoint(self.threshold)


class FrameAnalyser(Protocol):
    """Finds nodules in frames. Keeps no state between frames; `analyse` may be called from several threads.

    `DetectorAnalyser` makes one of a function. One that works in two steps is a `TwoStepAnalyser`, as the `Engine` is.
    """

    @property
    def settings(self) -> Settings:
        """How tracks are joined and summed up, and what is written."""
        ...

    @property
    def batch_size(self) -> int:
        """Frames per call that suit it best."""
        ...

    @property
    def workers(self) -> int:
        """Threads that may call it at once."""
        ...

    @property
    def info(self) -> AnalyserInfo:
        """What a report says of it."""
        ...

    @property
    def heat_maps(self) -> HeatMaps | None:
        """What makes heat maps for the report; None where there are none."""
        ...

    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        """Findings for each frame, in order; the same whatever the batch."""
        ...


class TwoStepAnalyser(FrameAnalyser, Protocol):
    """Detects first, and characterises only what is shown: candidates that no track confirms cost nothing more.

    Any analyser that has both steps is one: the pipeline calls them, from several threads, in place of `analyse`; but
    a subclass that has changed `analyse` and neither step is asked for that.
    """

    def detect(self, frames: Sequence[Frame]) -> list[FrameCandidates]:
        """Candidates of each frame, in order; the same whatever the batch."""
        ...

    def characterise(self, frames: Sequence[FrameCandidates]) -> list[FrameFindings]:
        """A finding for each candidate, in order; the same whatever the batch, and whatever other candidates there are.

        The times of `detect` stay among `timing_ms`.
        """
        ...


class DetectorAnalyser:
    """A `FrameAnalyser` made of a function: your own detector in ten lines.

    Args:
        detect: from an RGB image, shape (height, width, 3), to rows (x0, y0, x1, y1, confidence, malignancy): box in
            pixels, half-open, and two numbers from 0 to 1. Boxes are clipped to the image. In a clip of several views
            it gets each view by itself.
        settings: how tracks are joined and summed up, and what is written. Its findings have passed a threshold of the
            detector's own: whatever their confidence, they are shown once their track has `tracking.confirming_frames`
            frames, unless `tracking.confidence` is set.
        threshold: malignancy from which a nodule is called malignant, 0 to 1.
        name: what the report calls it.
        workers: threads that may call `detect` at once; 1 unless it is thread-safe.

    Raises:
        InputError: `detect` is no function.
        SettingsError: `settings` are none.
        ValueError: `threshold` is not in 0 to 1; during the analysis, a row is not six finite numbers, a probability is
            not in 0 to 1, or a box has no area within the image.

    Example:
        >>> analyser = DetectorAnalyser(lambda image: [(8, 8, 24, 24, 0.9, 0.3)], threshold=0.5)
        >>> for result in streamer.analyse("clip.mp4", analyser=analyser):  # doctest: +SKIP
        ...     print(len(result.nodules))
    """

    batch_size = 1
    heat_maps: HeatMaps | None = None

    def __init__(
        self,
        detect: Callable[[Image], Iterable[Sequence[float]]],
        *,
        settings: Settings | None = None,
        threshold: float = 0.5,
        name: str = "own detector",
        workers: int = 1,
    ) -> None:
        if not callable(detect):
            raise InputError(f"detect must be a function from an image to rows, not a {type(detect).__name__}")
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold must be in 0 to 1, not {threshold}")
        self._detect = detect
        self.settings = checked_settings(settings)
        self.workers = workers
        self.info = AnalyserInfo(threshold=threshold, device=name)

    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        """Call the function for each frame.

        Raises:
            ValueError: a row is not six finite numbers, a probability is not in 0 to 1, or a box has no area within
                the image.
        """
        return [self._one(frame) for frame in frames]

    def _one(self, frame: Frame) -> FrameFindings:
        began_s = perf_counter()
        height, width = frame.image.shape[:2]
        rows: object = self._detect(frame.image)
        if not isinstance(rows, Iterable):
            raise ValueError(f"detect must return rows {_ROW}, none for no nodule; got a {type(rows).__name__}")
        findings = tuple(_finding(row, (width, height)) for row in rows)
        return FrameFindings(frame, findings, {"detect": (perf_counter() - began_s) * 1000})


_ROW = "(x0, y0, x1, y1, confidence, malignancy)"


def _finding(row: object, size_wh: tuple[int, int]) -> Finding:
    try:
        values = [float(value) for value in row] if isinstance(row, Iterable) else []
    except (TypeError, ValueError):
        values = []
    if len(values) != 6 or not np.isfinite(values).all() or not all(0 <= value <= 1 for value in values[4:]):
        got = values or f"a {type(row).__name__}"
        raise ValueError(f"a detection is {_ROW}, six finite numbers, the last two in 0 to 1; got {got}")
    x0, x1 = np.clip((values[0], values[2]), 0, size_wh[0]).tolist()
    y0, y1 = np.clip((values[1], values[3]), 0, size_wh[1]).tolist()
    if not (x0 < x1 and y0 < y1):
        raise ValueError(f"a box is (x0, y0, x1, y1) with x0 < x1 and y0 < y1 within {size_wh}; got {values[:4]}")
    confidence, malignancy = values[4:]
    return Finding(
        box_xyxy=(x0, y0, x1, y1),
        confidence=confidence,
        malignancy=malignancy,
        contour_xy=np.zeros((0, 2), np.int32),
        long_axis_px=0.0,
        short_axis_px=0.0,
        area_px=0.0,
    )


def checked_analyser(analyser: FrameAnalyser) -> FrameAnalyser:
    """The analyser, if it is one.

    Raises:
        InputError: it is something else, such as the name of one, or it lacks a member of `FrameAnalyser`.
    """
    if isinstance(analyser, type) or not callable(getattr(analyser, "analyse", None)):
        kind = analyser.__name__ if isinstance(analyser, type) else f"a {type(analyser).__name__}"
        raise InputError(f"analyser must be loaded networks (streamer.Engine()) or a FrameAnalyser, not {kind}")
    members = ("settings", "batch_size", "workers", "info", "heat_maps")
    missing = [name for name in members if not hasattr(analyser, name)]
    if missing:
        raise InputError(f"{type(analyser).__name__} is no FrameAnalyser: it has no {' and no '.join(missing)}")
    settings: object = analyser.settings
    if not isinstance(settings, Settings):
        kind = type(settings).__name__
        raise InputError(f"{type(analyser).__name__}.settings must be streamer.Settings, not a {kind}")
    if analyser.batch_size < 1 or analyser.workers < 1:
        raise InputError(f"{type(analyser).__name__} must have a batch_size and workers of at least 1")
    return analyser


def checked_candidates(analyser: FrameAnalyser, frames: Sequence[Frame]) -> list[FrameCandidates]:
    """What the analyser detects in `frames`; one without two steps gives findings, which need no second one.

    Raises:
        WrongAnswerError: the answer is not one per frame, in their order, each with its frame.
        ValueError: a candidate has a box or a probability that is none, or an outline of another shape or type.
    """
    name = type(analyser).__name__
    if _works_in_two_steps(analyser):
        detected = _checked_answers(analyser.detect(frames), FrameCandidates, frames, f"{name}.detect")
    else:
        found = _checked_answers(analyser.analyse(frames), FrameFindings, frames, f"{name}.analyse")
        detected = [FrameCandidates(one.frame, one.findings, one.timing_ms, one.rejected) for one in found]
    for one in detected:
        for candidate in one.candidates:
            _check_candidate(candidate, one.frame, name)
            if isinstance(candidate, Finding):
                _check_finding(candidate, name)
    return detected


def checked_findings(analyser: FrameAnalyser, frames: Sequence[FrameCandidates]) -> list[FrameFindings]:
    """A finding for each candidate; the analyser is asked only where there is one that is no finding yet.

    Raises:
        WrongAnswerError: the answer is not one per frame, in their order, each with its frame, or not one finding per
            candidate.
        ValueError: a finding has a box or a probability that is none, or an outline of another shape or type.
    """
    asked = [one for one in frames if findings_of(one) is None]
    answers: list[FrameFindings] = []
    if asked:
        assert _works_in_two_steps(analyser), "an analyser without two steps gives findings"
        name = type(analyser).__name__
        call = f"{name}.characterise"
        answers = _checked_answers(analyser.characterise(asked), FrameFindings, [one.frame for one in asked], call)
        for one, answer in zip(asked, answers, strict=True):
            if len(answer.findings) != len(one.candidates):
                got = f"{len(answer.findings)} for {len(one.candidates)}"
                raise WrongAnswerError(f"{call} must return one finding per candidate, in order; got {got}")
            for candidate, finding in zip(one.candidates, answer.findings, strict=True):
                if (finding.box_xyxy, finding.confidence) != (candidate.box_xyxy, candidate.confidence):
                    raise WrongAnswerError(f"{call} must leave each candidate its box and confidence")
                _check_finding(finding, name)
    answered = iter(answers)
    return [findings_of(one) or next(answered) for one in frames]


def findings_of(frame: FrameCandidates) -> FrameFindings | None:
    """The same as findings, where each candidate is one already; None where one is to be characterised."""
    findings = tuple(one for one in frame.candidates if isinstance(one, Finding))
    if len(findings) < len(frame.candidates):
        return None
    return FrameFindings(frame.frame, findings, frame.timing_ms, frame.rejected)


def _works_in_two_steps(analyser: FrameAnalyser) -> TypeGuard[TwoStepAnalyser]:
    """Whether it has both steps, and neither it nor a subclass has put an `analyse` of its own in their place."""
    steps = ("detect", "characterise")
    if not all(callable(getattr(analyser, step, None)) for step in steps):
        return False
    homes = [getattr(analyser, "__dict__", {}), *(vars(one) for one in type(analyser).__mro__)]
    own, *homes_of_steps = (
        next((place for place, names in enumerate(homes) if name in names), len(homes)) for name in ("analyse", *steps)
    )
    return own >= min(homes_of_steps)


_ROUNDING_PX = 1.0
"""So far a box may reach over the picture's edge."""


class WrongAnswerError(TypeError):
    """An analyser's answer is not of the kind that it must be: a fault in its code, whatever the frame."""


_Answer = TypeVar("_Answer", FrameCandidates, FrameFindings)


def _checked_answers(answers: object, kind: type[_Answer], frames: Sequence[Frame], call: str) -> list[_Answer]:
    given = list(answers) if isinstance(answers, Iterable) else []
    listed = [one for one in given if isinstance(one, kind)]
    fits = len(listed) == len(given) == len(frames)
    if not fits or any(one.frame is not frame for one, frame in zip(listed, frames, strict=True)):
        raise WrongAnswerError(f"{call} must return one {kind.__name__} per frame, in order, each with its frame")
    return listed


def _check_candidate(candidate: Candidate, frame: Frame, name: str) -> None:
    if not isinstance(candidate, Candidate):
        raise WrongAnswerError(
            f"{name}: what is found must be a Candidate or Finding, not a {type(candidate).__name__}"
        )
    x0, y0, x1, y1 = candidate.box_xyxy
    if not (-inf < x0 <= x1 < inf and -inf < y0 <= y1 < inf):
        raise ValueError(f"{name}: box_xyxy must be finite, left and top first; got {candidate.box_xyxy}")
    height, width = frame.image.shape[:2]
    if min(x0, y0) < -_ROUNDING_PX or x1 > width + _ROUNDING_PX or y1 > height + _ROUNDING_PX:
        got = tuple(round(value, 1) for value in candidate.box_xyxy)
        raise ValueError(f"{name}: box_xyxy must lie in the picture of {width}x{height}; got {got}")
    if not 0 <= candidate.confidence <= 1:
        raise ValueError(f"{name}: confidence must be in 0 to 1; got {candidate.confidence}")


def _check_finding(finding: Finding, name: str) -> None:
    if not 0 <= finding.malignancy <= 1:
        raise ValueError(f"{name}: malignancy must be in 0 to 1; got {finding.malignancy}")
    outline = finding.contour_xy
    if outline.dtype != np.int32 or outline.ndim != 2 or outline.shape[1] != 2:
        raise ValueError(f"{name}: contour_xy must be int32 of shape (n, 2), not {outline.dtype} {outline.shape}")
    if not all(0 <= length < inf for length in (finding.long_axis_px, finding.short_axis_px, finding.area_px)):
        raise ValueError(f"{name}: axes and area must be finite and at least 0")
