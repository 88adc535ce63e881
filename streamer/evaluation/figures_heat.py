"""From heat maps to figures: does the classifier look at the nodule?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamer.evaluation.measure_heat import MAX_IMAGES, HeatedNodule
from streamer.evaluation.result import Result
from streamer.evaluation.subsets import subsets
from streamer.metrics.estimate import mean_figure
from streamer.models.weights_manifest import HEAT_ABOVE_CHANCE

_MEASURES: dict[str, Callable[[HeatedNodule], float]] = {
    "heat map's mass inside the nodule": lambda nodule: nodule.inside,
    "share of the crop that is nodule (that mass by chance)": lambda nodule: nodule.area,
    HEAT_ABOVE_CHANCE: lambda nodule: nodule.inside - nodule.area,
    "heat map's maximum inside the nodule (pointing game)": lambda nodule: nodule.hit,
}
HEAT_NOTE = (
    f"Heat map: the map of what raises the malignancy, on at most {MAX_IMAGES} held-out images with masks a source, "
    "in the crop around the detector's box where it found the nodule, else around the true box. A classifier that "
    "looks anywhere has the chance level."
)


def heat_results(nodules: Sequence[HeatedNodule]) -> list[Result]:
    """Means over the nodules of each source."""
    return [
        Result(
            name=name,
            figure=mean_figure(
                [measure(nodules[row]) for row in part.rows],
                [nodules[row].view.group for row in part.rows],
                part.resampling,
            ),
            data=part.name,
            split=part.split,
            count_of="nodules",
            clusters_of=f"{part.cluster}s",
        )
        for part in subsets([nodule.view for nodule in nodules], parts=False)
        if len({nodules[row].view.source for row in part.rows}) == 1
        for name, measure in _MEASURES.items()
    ]
