"""Which images a figure is about: all, each source, each scanner layout, each size of nodule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from streamer.data.pixels import Picture
from streamer.data.public_sources import PUBLIC_SOURCES, unit_of
from streamer.evaluation.result import Result
from streamer.geometry import Box
from streamer.metrics.estimate import Figure, Resampling

SIZE_BOUNDS = (0.03, 0.10)
"""Area of a nodule's box as a share of the frame: small below the first, large from the second. Of the public nodules
(cine and DDTI, held out) about a third is small, a third large."""

_SIZES = (
    f"small nodules (box below {SIZE_BOUNDS[0]:.0%} of the frame)",
    f"medium nodules (box {SIZE_BOUNDS[0]:.0%} to {SIZE_BOUNDS[1]:.0%} of the frame)",
    f"large nodules (box {SIZE_BOUNDS[1]:.0%} of the frame or more)",
)
BLOCKED_SOURCES = tuple(source.name for source in PUBLIC_SOURCES.values() if source.unit == "block")
"""Sources without patient numbers: neighbouring numbers stand in for patients, so they have no patient level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTraits:
    """What tells which subsets an image, or a nodule in it, belongs to.

    Attributes:
        source: data set, hospital or scanner.
        group: the smallest unit that may be split or resampled.
        split: name of the split in the results.
        layout: size of the clip's frame, for example "900x600 px"; empty for a still.
        share: box area of the (largest) nodule over the area of the frame, 0 to 1; None without a nodule.
    """

    source: str
    group: str
    split: str
    layout: str
    share: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    """A named part of the views.

    Attributes:
        name: as shown in tables.
        split: splits of its views.
        rows: indices of its views, shape (n,).
        kind: all views or a whole source, one layout of a source, or one size of nodule in a source.
        cluster: what a unit that is resampled together is called.
    """

    name: str
    split: str
    rows: npt.NDArray[np.int64]
    kind: Literal["whole", "layout", "size"]
    cluster: str

    @property
    def whole(self) -> bool:
        """Whether it holds all views, or a whole source."""
        return self.kind == "whole"

    @property
    def resampling(self) -> Resampling:
        """Bootstrap over the subset's clusters."""
        return Resampling(unit=self.cluster)


def traits_of(picture: Picture, boxes: Sequence[Box], split: str) -> ImageTraits:
    """The view of a picture, or of one nodule of it if `boxes` holds only that."""
    height, width = picture.grey.shape
    areas = [(x1 - x0) * (y1 - y0) / (width * height) for x0, y0, x1, y1 in boxes]
    return ImageTraits(
        source=picture.sample.source,
        group=picture.sample.group,
        split=split,
        layout="" if picture.sample.frame is None else f"{width}x{height} px",
        share=max(areas, default=None),
    )


def subsets(views: Sequence[ImageTraits], *, parts: bool = True) -> list[Subset]:
    """All views (if there are several sources), then each source followed, if `parts`, by its layouts and sizes."""
    sources = list(dict.fromkeys(view.source for view in views))
    found = []
    if len(sources) > 1:
        found.append(_subset(" + ".join(sources), views, np.arange(len(views))))
    for source in sources:
        rows = np.array([row for row, view in enumerate(views) if view.source == source], np.int64)
        found.append(_subset(source, views, rows))
        if parts:
            found += _parts(source, views, rows)
    return found


def _parts(source: str, views: Sequence[ImageTraits], rows: npt.NDArray[np.int64]) -> list[Subset]:
    layouts = np.array([views[row].layout for row in rows])
    sizes = np.array([_size(views[row].share) for row in rows])
    layout_names = sorted(set(layouts) - {""})
    size_names = [size for size in _SIZES if size in sizes]
    found = []
    if len(layout_names) > 1:
        found += [_subset(f"{source}, {name}", views, rows[layouts == name], "layout") for name in layout_names]
    if len(size_names) > 1:
        found += [_subset(f"{source}, {name}", views, rows[sizes == name], "size") for name in size_names]
    return found


def _size(share: float | None) -> str:
    return "" if share is None else _SIZES[int(np.searchsorted(SIZE_BOUNDS, share, side="right"))]


def _subset(
    name: str,
    views: Sequence[ImageTraits],
    rows: npt.NDArray[np.int64],
    kind: Literal["whole", "layout", "size"] = "whole",
) -> Subset:
    chosen = [views[row] for row in rows]
    clusters = {unit_of(view.source) for view in chosen}
    return Subset(
        name=name,
        split=" / ".join(dict.fromkeys(view.split for view in chosen)),
        rows=rows,
        kind=kind,
        cluster=clusters.pop() if len(clusters) == 1 else "group",
    )


def results_of(part: Subset, figures: Mapping[str, Figure], count_of: str) -> list[Result]:
    """Figures of a subset, by name, as results.

    Args:
        part: the subset.
        figures: figures by name, resampled over the subset's clusters.
        count_of: plural of what each figure counts.
    """
    return [
        Result(
            name=name,
            figure=figure,
            data=part.name,
            split=part.split,
            count_of=count_of,
            clusters_of=f"{part.cluster}s",
        )
        for name, figure in figures.items()
    ]
