"""From tracked frames to the figures of the whole pipeline."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from streamer.evaluation.figures_detector import SECOND_LOOK, operating_results
from streamer.evaluation.measure_pipeline import TrackedView
from streamer.evaluation.plots import draw_bars
from streamer.evaluation.result import Evaluation, Result
from streamer.evaluation.subsets import Subset, subsets
from streamer.metrics.detection import nodules_found
from streamer.metrics.estimate import Figure, mean_figure
from streamer.metrics.matching import taken_truths

FOUND = "nodules found in at least half of their frames under one track number"
_DICE = "Dice end to end (nodule missed: 0)"
_HD95 = "HD95 (px) end to end (nodules found)"
OUTLINE_MEASURES = (_DICE, _HD95)
_NOTES = (
    "The clips went through the same code as `streamer run`: detection at the operating point, segmentation, tracking.",
    "A nodule is found in a frame if a tracked box overlaps its true box by an IoU of 0.5 or more.",
    "Outlines count in the whole frame; a nodule missed in a frame has Dice 0 there.",
)


@dataclass(slots=True)
class _Life:
    """A nodule over its clip: frames it is in view, and frames each track number found it."""

    group: str
    frames: int = 0
    tracks: Counter[int] = field(default_factory=Counter)

    @property
    def longest_share(self) -> float:
        """Share of its frames found under its most faithful track number."""
        return max(self.tracks.values(), default=0) / self.frames


def evaluate_tracks(frames: Sequence[TrackedView], confidence: float) -> Evaluation:
    """All figures and the plot of the pipeline.

    Args:
        frames: analysed frames of all clips, at least one with a nodule.
        confidence: operating point of the detector.
    """
    parts = subsets([frame.view for frame in frames])
    results = [result for part in parts for result in _results(part, [frames[row] for row in part.rows])]
    lives = _lives(frames)
    return Evaluation(
        subject="pipeline",
        results=tuple(results),
        plots={
            "frames-found": draw_bars(
                [(Path(name).name, life.longest_share) for name, life in lives.items()],
                x="share of the nodule's frames found under one track number",
                mark=0.5,
            )
        },
        settings={"operating confidence": f"{confidence:.3g}"},
        notes=_NOTES,
    )


def _results(part: Subset, frames: Sequence[TrackedView]) -> list[Result]:
    images = [frame.boxes for frame in frames]
    results = operating_results(part, images, 0.0)  # the pipeline reports nothing below its operating point
    if part.whole and any(frame.second_look is not None for frame in frames):
        best_known = [frame.boxes if frame.second_look is None else frame.second_look for frame in frames]
        again = operating_results(part, best_known, 0.0)
        results += [replace(result, name=result.name + SECOND_LOOK) for result in again]
    lives = list(_lives(frames).values())
    groups, resampling = [life.group for life in lives], part.resampling
    overlaps = [(overlap, frame.view.group) for frame in frames for overlap in frame.overlaps]
    of_frame = [group for _, group in overlaps]
    of_nodules: dict[str, Figure] = {}
    if part.kind != "size":  # a nodule changes its size over a clip: subsets by size cut lives short
        of_nodules = {
            FOUND: nodules_found(images),
            "share of a nodule's frames found under one track number": mean_figure(
                [life.longest_share for life in lives], groups, resampling
            ),
            "frames a nodule is in view": mean_figure([life.frames for life in lives], groups, resampling),
            "frames a nodule is found in": mean_figure([life.tracks.total() for life in lives], groups, resampling),
            "track numbers a nodule gets": mean_figure([len(life.tracks) for life in lives], groups, resampling),
        }
    of_frames = {
        _DICE: mean_figure([overlap.dice for overlap, _ in overlaps], of_frame, resampling),
        _HD95: mean_figure([overlap.hd95_px for overlap, _ in overlaps], of_frame, resampling),
    }
    for figures, count_of in ((of_nodules, "nodules"), (of_frames, "frames with a nodule")):
        results += [
            Result(
                name=name,
                figure=figure,
                data=part.name,
                split=part.split,
                count_of=count_of,
                clusters_of="nodules" if name == FOUND else f"{part.cluster}s",
            )
            for name, figure in figures.items()
        ]
    return results


def _lives(frames: Sequence[TrackedView]) -> dict[str, _Life]:
    lives: dict[str, _Life] = {}
    found: defaultdict[str, list[int]] = defaultdict(list)
    for frame in frames:
        boxes = frame.boxes
        for name in boxes.nodules:
            lives.setdefault(name, _Life(boxes.group)).frames += 1
        for number, truth in zip(boxes.tracks, taken_truths(boxes), strict=True):
            if truth >= 0:
                found[boxes.nodules[truth]].append(number)
    for name, numbers in found.items():
        lives[name].tracks.update(numbers)
    return lives
