"""Patient level: tracks become nodules, nodules a patient. All clips of one patient share one aggregator."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count
from statistics import median
from types import MappingProxyType
from typing import Protocol, TypeVar

from streamer.errors import InputError
from streamer.geometry import size_mm
from streamer.models.sweep_point import SweepOperatingPoint
from streamer.settings import Settings, checked_settings
from streamer.summaries import Track
from streamer.types import Decision, Frame, Nodule, SizeMm, TrackedFinding

_DECIMALS = 4
"""Probabilities are kept as published: the median needs at most 10,001 counters, however long the clip."""


class PatientAggregator:
    """Sums up what is seen of one patient.

    The patient's probability is the maximum over all nodules (Radiology 2023;307(5):e221157), here only over those
    whose track lasted `study.min_track_frames` frames: a transient false positive must not decide.

    Attributes:
        settings: how tracks are joined and summed up.
        numbers: the next numbers of nodules, which are unique among the patient's; each is taken once.
    """

    def __init__(self, settings: Settings) -> None:
        """Start with nothing seen.

        Raises:
            SettingsError: `settings` are none.
        """
        settings = self.settings = checked_settings(settings)
        self._min_track_frames = settings.study.min_track_frames
        self.numbers = count(1)
        self._required: dict[str, int] = {}
        self._frames: dict[str, int] = {}
        self._unrelated: set[str] = set()
        self._too_slow: set[str] = set()
        self._rejections: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._rejected: set[str] = set()
        self._nodules: dict[int, _Nodule] = {}
        self._patient: float | None = None

    def start_clip(self, name: str, expected_frames: int | None) -> None:
        """Announce a clip; in one shorter than the minimum, a nodule must be seen in every frame.

        Raises:
            InputError: the patient has a clip of that name: the length of one would decide what counts in the other.
        """
        if name in self._required:
            raise InputError(f"this patient has a clip called {name} already: give each clip a name of its own")
        self._require(name, expected_frames)

    @property
    def running_maximum(self) -> float | None:
        """Maximum over the qualifying nodules so far, 0 to 1; None while there is none."""
        return self._patient

    def add(
        self,
        frame: Frame,
        found: Sequence[TrackedFinding],
        spacing_mm: tuple[float, float] | None = None,
        *,
        ahead: Mapping[int, int] = MappingProxyType({}),
        rejected: str = "",
    ) -> tuple[Nodule, ...]:
        """Take one frame's tracked findings, in frame order within each clip.

        Args:
            frame: the frame; it is not kept.
            found: what was found in it, by track number.
            spacing_mm: size of a pixel, x and y; None where the scale is unknown.
            ahead: in how many of the following frames each track is known to be found, too, by number.
            rejected: why nothing was looked for in the frame; empty where something was.

        Returns:
            The nodules, with what is known of them by this frame: one that will last long enough qualifies at once.

        Raises:
            KeyError: the clip has not been announced.
        """
        if self._required[frame.video] <= frame.index and self._required[frame.video] < self._min_track_frames:
            self._require(frame.video, frame.index + 1)  # it is longer than it was announced to be
            self._patient = self.patient_malignancy()
        if rejected:
            self._rejections[frame.video][rejected] += 1
        return tuple(self._add(frame, one, spacing_mm, ahead.get(one.track_id, 0)) for one in found)

    def _add(self, frame: Frame, one: TrackedFinding, spacing_mm: tuple[float, float] | None, ahead: int) -> Nodule:
        # As it is published, so that every output rounds the same number.
        finding = replace(one.finding, malignancy=round(one.finding.malignancy, _DECIMALS))
        spacing_mm = spacing_mm or frame.spacing_at(finding.box_xyxy)  # views may differ in scale
        nodule = Nodule(
            track_id=one.track_id,
            track_confidence=one.track_confidence,
            qualifies=False,
            finding=finding,
            size_mm=None if spacing_mm is None else size_mm(finding.contour_xy, finding.area_px, spacing_mm),
        )
        seen = self._nodules.setdefault(one.track_id, _Nodule(frame, nodule))
        seen.add(frame, nodule, ahead)
        if not self._qualifies(seen):
            return nodule
        self._patient = max(self._patient or 0.0, seen.key_nodule.malignancy)
        return replace(nodule, qualifies=True)

    def end_clip(self, name: str, frames: int, *, cuts: int = 0, whole: bool = True, too_slow: bool = False) -> None:
        """Close a clip that turned out to have this many frames: an announced number may be a guess.

        Args:
            name: the clip.
            frames: how many there were.
            cuts: how often the picture was another from one to the next.
            whole: whether that was all of it. What breaks off, or is live, is not short for having been seen briefly.
            too_slow: whether its frames came too far apart for any nodule to be followed.
        """
        if whole or self._required[name] < self._min_track_frames:
            self._require(name, frames)
        if cuts > frames / 2:
            self._unrelated.add(name)
        if too_slow:
            self._too_slow.add(name)
        if self._rejections[name].total() > frames / 2:
            self._rejected.add(name)
        self._patient = self.patient_malignancy()

    def is_unrelated(self, name: str) -> bool:
        """Whether most pictures of a clip do not follow one another; then nothing in it is seen for long."""
        return name in self._unrelated

    def rejections(self, name: str) -> dict[str, int]:
        """Frames of a clip in which nothing was looked for, by why, the most frequent reason first."""
        return dict(self._rejections[name].most_common())

    def is_rejected(self, name: str) -> bool:
        """Whether those are most of a clip that has ended; then nothing in it counts."""
        return name in self._rejected

    def is_too_slow(self, name: str) -> bool:
        """Whether the frames of a live source came too far apart; then nothing in it is followed."""
        return name in self._too_slow

    def decision(self, point: SweepOperatingPoint) -> Decision:
        """The patient's class: whether a nodule that decides reaches the operating point of its number of frames."""
        return decide(self.tracks(point))

    def tracks(self, point: SweepOperatingPoint | None = None) -> tuple[Track, ...]:
        """Every nodule seen so far, by track number, held against an operating point if one is given."""
        return tuple(
            Track(
                track_id=track,
                video=seen.video,
                first_frame=seen.first_frame,
                last_frame=seen.last_frame,
                supporting_frames=seen.malignancies.total(),
                malignancy_max=seen.key_nodule.malignancy,
                malignancy_median=median(seen.malignancies.elements()),
                key_frame=seen.key_frame,
                key_time_s=seen.key_time_s,
                key_nodule=replace(seen.key_nodule, qualifies=self._qualifies(seen)),
                qualifies=self._qualifies(seen),
                largest_mm=seen.largest_mm,
                decides=self._decides(seen),
                threshold=None if point is None else point.over(seen.malignancies.total()),
            )
            for track, seen in sorted(self._nodules.items())
        )

    def patient_malignancy(self) -> float | None:
        """Maximum over the nodules that qualify, 0 to 1; None if none does."""
        counted = (seen.key_nodule.malignancy for seen in self._nodules.values() if self._qualifies(seen))
        return max(counted, default=None)

    def _require(self, name: str, frames: int | None) -> None:
        self._required[name] = min(self._min_track_frames, frames) if frames else self._min_track_frames
        if frames:
            self._frames[name] = frames

    def _decides(self, seen: _Nodule) -> bool:
        frames, study = seen.malignancies.total(), self.settings.study
        whole = frames >= study.min_clip_share * self._frames.get(seen.video, math.inf)
        return self._qualifies(seen) and (whole or frames * seen.confidence >= study.min_support)

    def _qualifies(self, seen: _Nodule) -> bool:
        return seen.video not in self._rejected and seen.known_frames >= self._required[seen.video]


class Judged(Protocol):
    """A nodule, as far as it decides: a `Track`, or a row of an archive."""

    @property
    def qualifies(self) -> bool:
        """Whether it counts for the patient."""
        ...

    @property
    def decides(self) -> bool:
        """Whether it may be called malignant or benign."""
        ...

    @property
    def malignant(self) -> bool:
        """Whether it reaches the operating point for its number of frames."""
        ...

    @property
    def malignancy_max(self) -> float:
        """Greatest probability over its frames, 0 to 1."""
        ...


AnyJudged = TypeVar("AnyJudged", bound=Judged)


def decide(nodules: Iterable[Judged]) -> Decision:
    """The patient's class by all nodules of all clips.

    A nodule that reaches its operating point but was seen too briefly to decide leaves the patient undecided: it is no
    ground to call him malignant, nor benign.

    Example:
        >>> decide([])
        'no nodule'
    """
    counted = [nodule for nodule in nodules if nodule.qualifies]
    if not counted:
        return "no nodule"
    reaching = [nodule for nodule in counted if nodule.malignant]
    if not reaching:
        return "benign"
    return "malignant" if any(nodule.decides for nodule in reaching) else "undecided"


def decisive(nodules: Iterable[AnyJudged]) -> AnyJudged | None:
    """The nodule that speaks for the decision: the greatest maximum of those called malignant, else of those that
    reach their operating point, else of all that count.

    Its maximum and its threshold belong together. The patient's maximum may be another nodule's, whose threshold is
    higher because it was seen in more frames, or which was seen too briefly to decide.

    Returns:
        None where no nodule qualifies.
    """
    counted = [nodule for nodule in nodules if nodule.qualifies]
    reaching = [nodule for nodule in counted if nodule.malignant]
    called = [nodule for nodule in reaching if nodule.decides]
    return max(called or reaching or counted, key=lambda nodule: nodule.malignancy_max, default=None)


def decimals_apart(malignancy: float, threshold: float, *, least: int) -> int:
    """How many decimals show a probability on its side of the threshold: from `least` to as many as are published."""
    published = round(malignancy, _DECIMALS) != round(threshold, _DECIMALS)
    apart = (count for count in range(least, _DECIMALS) if round(malignancy, count) != round(threshold, count))
    return next(apart, _DECIMALS if published else least)


class _Nodule:
    """A nodule as far as it has been seen; no pixels are kept."""

    __slots__ = (
        "confidence",
        "first_frame",
        "key_frame",
        "key_nodule",
        "key_time_s",
        "known_frames",
        "largest_mm",
        "last_frame",
        "malignancies",
        "video",
    )

    def __init__(self, frame: Frame, nodule: Nodule) -> None:
        self.video, self.first_frame, self.last_frame = frame.video, frame.index, frame.index
        self.key_frame, self.key_time_s, self.key_nodule = frame.index, frame.time_s, nodule
        self.malignancies: Counter[float] = Counter()
        self.largest_mm: SizeMm | None = None
        self.confidence = nodule.track_confidence
        self.known_frames = 0

    def add(self, frame: Frame, nodule: Nodule, ahead: int) -> None:
        self.last_frame, self.confidence = frame.index, nodule.track_confidence
        self.malignancies[nodule.malignancy] += 1
        self.known_frames = max(self.known_frames, self.malignancies.total() + ahead)
        size = nodule.size_mm
        if size is not None and (self.largest_mm is None or size.area_mm2 > self.largest_mm.area_mm2):
            self.largest_mm = size
        if nodule.malignancy > self.key_nodule.malignancy:
            self.key_frame, self.key_time_s, self.key_nodule = frame.index, frame.time_s, nodule
