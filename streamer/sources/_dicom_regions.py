"""What part of a DICOM picture is B-mode tissue, and how large its pixels are (PS3.3, C.8.5.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from streamer.dicom.attributes import integer, number, numbers, sequence
from streamer.types import PLAUSIBLE_SPACING_MM, ScanView

PixelBox = tuple[int, int, int, int]
"""Left, top, right, bottom in whole pixels, half-open."""

_TWO_DIMENSIONAL, _TISSUE, _COLOUR_FLOW, _CENTIMETRES = 1, 1, 2, 3
_MM_PER_CM = 10.0
_MIN_SIDE_PX = 32
_PICTURE_KINDS = (1, 2, 3, 4)  # tissue, colour flow, pulsed and continuous Doppler spectra (PS3.3, C.8.5.5.1.2)
_NEARLY_ALL = 0.98
_MIN_LEFT = 0.5  # of a view; a box that covers more of it is no box in it
_SAME_SCALE = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanGeometry:
    """Views of a clip, from left to right and top to bottom, and what a reader should know about them.

    Without views the whole frame is analysed.
    """

    views: tuple[ScanView, ...] = ()
    spacing_mm: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def region(self) -> PixelBox | None:
        """The box around all views; None without views."""
        if not self.views:
            return None
        left, top, right, bottom = zip(*(view.box_xyxy for view in self.views), strict=True)
        return min(left), min(top), max(right), max(bottom)


@dataclass(frozen=True, slots=True)
class _Region:
    box: PixelBox
    spatial: int
    kind: int
    spacing_mm: tuple[float, float] | None

    @property
    def tissue(self) -> bool:
        return self.spatial == _TWO_DIMENSIONAL and self.kind == _TISSUE


def scan_geometry(data: Dataset, width: int, height: int) -> ScanGeometry:
    """Read the ultrasound regions of a picture of this size, in pixels; else its pixel spacing.

    The scale is that of the tissue regions where it is stated in cm, x and y apart; views of different scale share
    none. Regions that reach outside the picture were made for another size of it: they give neither place nor scale.
    """
    items = sequence(data, "SequenceOfUltrasoundRegions")
    regions = [region for item in items if (region := _region(item)) is not None]
    if any(not _within(region.box, width, height) for region in regions if region.kind):
        return ScanGeometry(warnings=("the ultrasound regions do not fit the picture, which is not measured",))
    regions = [_clipped(region, width, height) for region in regions]
    tissue = _distinct([region for region in regions if region.tissue])
    if not tissue:
        return _without_tissue(data, regions)
    others = [region.box for region in regions if not region.tissue and region.kind]
    views, warnings = [], []
    for region in sorted(tissue, key=lambda region: (region.box[0], region.box[1])):
        hidden = tuple(box for other in others if (box := _overlap(other, region.box)) is not None)
        if sum(map(_area, hidden)) > _MIN_LEFT * _area(region.box):
            warnings.append("another mode, such as colour flow, covers the B-mode region; it is analysed with it")
            hidden = ()
        spacing = region.spacing_mm if region.spacing_mm is not None else _pixel_spacing(data)
        views.append(ScanView(box_xyxy=region.box, hidden=hidden, spacing_mm=spacing))
    spacing_mm = _common([view.spacing_mm for view in views])
    if spacing_mm is None and any(view.spacing_mm for view in views):
        warnings.append("the views differ in scale; each nodule is measured by that of its own view")
    return ScanGeometry(views=tuple(views), spacing_mm=spacing_mm, warnings=tuple(dict.fromkeys(warnings)))


def picture_boxes(data: Dataset, width: int, height: int) -> tuple[PixelBox, ...]:
    """Boxes of all regions that show what the probe sees: tissue, colour flow and spectra, but no bars and no traces.

    None where they do not fit the picture, and where one of them is nearly all of it, so that it tells nothing of where
    text lies.
    """
    regions = [one for item in sequence(data, "SequenceOfUltrasoundRegions") if (one := _region(item)) is not None]
    pictures = [one for one in regions if one.kind in _PICTURE_KINDS]
    if any(not _within(one.box, width, height) for one in pictures):
        return ()
    boxes = tuple(dict.fromkeys(_clipped(one, width, height).box for one in pictures))
    return () if any(_area(box) > _NEARLY_ALL * width * height for box in boxes) else boxes


def _without_tissue(data: Dataset, regions: Sequence[_Region]) -> ScanGeometry:
    """Views of colour flow, where there are no others: the text around them stays out; they state no scale."""
    spacing_mm = _pixel_spacing(data)
    flow = _distinct([one for one in regions if (one.spatial, one.kind) == (_TWO_DIMENSIONAL, _COLOUR_FLOW)])
    views = tuple(ScanView(box_xyxy=one.box, spacing_mm=spacing_mm) for one in sorted(flow, key=lambda one: one.box))
    analysed = "colour flow is analysed" if views else "the whole picture is analysed"
    warnings = (f"the file marks no B-mode region; {analysed}",) if regions else ()
    return ScanGeometry(views=views, spacing_mm=spacing_mm, warnings=warnings)


def _region(item: Dataset) -> _Region | None:
    corners = [integer(item, f"RegionLocation{corner}") for corner in ("MinX0", "MinY0", "MaxX1", "MaxY1")]
    left, top, right, bottom = corners
    if left is None or top is None or right is None or bottom is None or right <= left or bottom <= top:
        return None
    units = [integer(item, f"PhysicalUnits{axis}Direction") for axis in "XY"]
    deltas = [abs(number(item, f"PhysicalDelta{axis}") or 0.0) * _MM_PER_CM for axis in "XY"]
    measured = units == [_CENTIMETRES] * 2 and all(map(_is_plausible, deltas))
    return _Region(
        (left, top, right + 1, bottom + 1),  # X1 and Y1 are the last pixel within
        integer(item, "RegionSpatialFormat") or 0,
        integer(item, "RegionDataType") or 0,
        (deltas[0], deltas[1]) if measured else None,
    )


def _within(box: PixelBox, width: int, height: int) -> bool:
    """One pixel of excess is the common mistake of writing the size where the last pixel belongs."""
    return box[0] >= 0 and box[1] >= 0 and box[2] <= width + 1 and box[3] <= height + 1


def _clipped(region: _Region, width: int, height: int) -> _Region:
    left, top, right, bottom = region.box
    box = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    return _Region(box, region.spatial, region.kind, region.spacing_mm)


def _distinct(regions: Sequence[_Region]) -> list[_Region]:
    """Without what is too small to hold a nodule, and what lies mostly in a larger one (repeated, or an inset)."""
    kept: list[_Region] = []
    for region in sorted(regions, key=lambda region: -_area(region.box)):
        left, top, right, bottom = region.box
        shared = [_overlap(region.box, one.box) for one in kept]
        inside = any(box is not None and 2 * _area(box) > _area(region.box) for box in shared)
        if min(right - left, bottom - top) >= _MIN_SIDE_PX and not inside:
            kept.append(region)
    return kept


def _overlap(first: PixelBox, second: PixelBox) -> PixelBox | None:
    box = (
        max(first[0], second[0]),
        max(first[1], second[1]),
        min(first[2], second[2]),
        min(first[3], second[3]),
    )
    return box if box[0] < box[2] and box[1] < box[3] else None


def _area(box: PixelBox) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _pixel_spacing(data: Dataset) -> tuple[float, float] | None:
    """Pixel Spacing is the distance of rows, then of columns (PS3.3, 10.7.1.3)."""
    spacing = numbers(data, "PixelSpacing")
    if len(spacing) != 2 or not all(map(_is_plausible, spacing)):
        return None
    return spacing[1], spacing[0]


def _is_plausible(side_mm: float) -> bool:
    return PLAUSIBLE_SPACING_MM[0] <= side_mm <= PLAUSIBLE_SPACING_MM[1]


def _common(spacings: Sequence[tuple[float, float] | None]) -> tuple[float, float] | None:
    first = spacings[0]
    if first is None:
        return None
    same = all(
        one is not None and all(abs(a - b) <= _SAME_SCALE * b for a, b in zip(one, first, strict=True))
        for one in spacings
    )
    return first if same else None
