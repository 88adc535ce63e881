"""From each nodule's overlap to the segmenter's figures and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.figure import Figure as Plot

from streamer.evaluation.measure_segmenter import NoduleScores
from streamer.evaluation.plots import draw_boxes, draw_points
from streamer.evaluation.result import Evaluation, Result
from streamer.evaluation.subsets import Subset, subsets
from streamer.metrics.estimate import mean_figure

_MEASURES: dict[str, Callable[[NoduleScores], float]] = {
    "Dice in the crop of the true box": lambda scores: scores.true_crop.dice,
    "HD95 (px) in the crop of the true box": lambda scores: scores.true_crop.hd95_px,
    "Dice in the crop of the detector's box": lambda scores: scores.detector_crop.dice,
    "HD95 (px) in the crop of the detector's box": lambda scores: scores.detector_crop.hd95_px,
    "Dice end to end (nodule missed: 0)": lambda scores: scores.end_to_end.dice,
    "HD95 (px) end to end (nodules found)": lambda scores: scores.end_to_end.hd95_px,
    "nodules found by the detector": lambda scores: float(scores.found),
}
_NOTES = (
    "Means over true nodules, frame by frame, of the outline as it is reported: the largest region, holes filled.",
    "In the crop of the detector's box only nodules found count (IoU 0.5 or more), and no truth outside the crop.",
    "HD95 is in pixels of the source image; nodules without any outline have none and are left out of it (Dice counts "
    "them as 0).",
)


def evaluate_outlines(nodules: Sequence[NoduleScores], *, confidence: float, cut: float) -> Evaluation:
    """All figures and plots of a segmenter.

    Args:
        nodules: scores of each true nodule of each image, at least one.
        confidence: operating point of the detector that draws the boxes.
        cut: operating point of the segmenter.
    """
    parts = subsets([nodule.view for nodule in nodules])
    return Evaluation(
        subject="segmenter",
        results=tuple(result for part in parts for result in _results(part, [nodules[row] for row in part.rows])),
        plots={"dice-by-box": _by_box(parts, nodules), "dice-by-size": _by_size(nodules)},
        settings={"detector's confidence": f"{confidence:.3g}", "cut on the probability map": f"{cut:.3g}"},
        notes=_NOTES,
    )


def _results(part: Subset, nodules: Sequence[NoduleScores]) -> list[Result]:
    groups = [nodule.view.group for nodule in nodules]
    return [
        Result(
            name=name,
            figure=mean_figure([measure(nodule) for nodule in nodules], groups, part.resampling),
            data=part.name,
            split=part.split,
            count_of="nodules",
            clusters_of=f"{part.cluster}s",
        )
        for name, measure in _MEASURES.items()
    ]


def _by_box(parts: Sequence[Subset], nodules: Sequence[NoduleScores]) -> Plot:
    wanted = [name for name in _MEASURES if name.startswith("Dice")]
    groups = {
        f"{part.name}\n{name.removeprefix('Dice ')}": [_MEASURES[name](nodules[row]) for row in part.rows]
        for part in parts
        if part.whole
        for name in wanted
    }
    return draw_boxes(groups, x="Dice")


def _by_size(nodules: Sequence[NoduleScores]) -> Plot:
    points: dict[str, list[tuple[float, float]]] = {}
    for nodule in nodules:
        share = nodule.view.share
        assert share is not None, "a nodule has a size"
        points.setdefault(nodule.view.source, []).append((100 * share, nodule.end_to_end.dice))
    return draw_points(points, x="box of the nodule, % of the frame", y="Dice end to end")
