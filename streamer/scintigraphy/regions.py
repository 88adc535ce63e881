"""Counts by region: the lobes found in the image, the neck beside them, and the uptake ratio.

The gland is the lowest warm region near the middle: salivary glands and mouth lie above it. It is outlined at a share
of its own contrast over the neck. Where nothing stands out (subacute thyroiditis) no gland is drawn and no count given.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from streamer.scintigraphy.image import PlanarImage

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]

_WORKING_PX = 128
_SMOOTHING_PX = 1.2
_OUTLINE = 0.4
"""Share of the contrast between gland and neck at which the outline runs; 40 to 50 % of the maximum is usual for
regions in nuclear medicine."""
_MIN_RATIO = 1.35
"""Peak of the gland over the neck below which it is not told from the neck; of the nine real views, the three of
thyroiditis have 1.4 to 1.6 within their outlines, all others 3.5 and more."""
_AREA_SHARE = (0.002, 0.2)
_MIDDLE = 0.3
"""A gland's centre lies within this share of the width from the middle."""
_HIGHEST = 0.42
"""A gland's centre lies at least this share of the height below the top: what lies higher is mouth and salivary glands
(in the nine real views they end at 0.40 and the gland's centre lies at 0.50 to 0.75)."""
_DIP = 0.9
"""Two lobes show as two humps of the profile across, with a dip below this share of the lower hump."""
_GAP_PX, _RIM_PX = 3, 6
_MM_TO_CM2 = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A region's content.

    Attributes:
        total: sum of counts (or of grey levels, which are relative).
        mean: of a pixel.
        pixels: number.
        area_cm2: None where the file gives no size of a pixel.
    """

    total: float
    mean: float
    pixels: int
    area_cm2: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionCounts:
    """Counts by region.

    Attributes:
        right, left: the patient's lobes, the background not taken off; None where no gland stands out.
        background: neck around the gland.
        uptake_ratio: mean of the gland over mean of the background.
        right_share: of the lobes' counts above background; None where no gland stands out.
        unit: "counts" or "grey levels".
        right_mask, left_mask, background_mask: shape of the image.
    """

    right: Region | None
    left: Region | None
    background: Region
    uptake_ratio: float | None
    right_share: float | None
    unit: str
    right_mask: Mask
    left_mask: Mask
    background_mask: Mask


def count_regions(image: PlanarImage) -> RegionCounts:
    """Outline the gland of an anterior view, part it into lobes and count.

    The patient's right side is on the image's left.
    """
    height, width = image.pixels.shape
    scale = _WORKING_PX / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.asarray(cv2.resize(image.pixels, size, interpolation=cv2.INTER_AREA), np.float32)
    gland = _gland(np.asarray(cv2.GaussianBlur(small, (0, 0), _SMOOTHING_PX), np.float32))
    right, left = _lobes(gland, small)
    background = _around(gland, small)
    full = [_enlarged(mask, (width, height)) for mask in (right, left, background)]
    return _counted(image, *full)


def _counted(image: PlanarImage, right: Mask, left: Mask, background: Mask) -> RegionCounts:
    area = None if image.pixel_mm is None else image.pixel_mm[0] * image.pixel_mm[1] * _MM_TO_CM2

    def region(mask: Mask) -> Region:
        count, total = int(mask.sum()), float(image.pixels[mask].sum())
        return Region(
            total=total, mean=total / max(count, 1), pixels=count, area_cm2=None if area is None else count * area
        )

    around, one, other = region(background), region(right), region(left)
    found = one.pixels + other.pixels > 0
    ratio = share = None
    if found:
        mean = (one.total + other.total) / (one.pixels + other.pixels)
        ratio = mean / around.mean if around.mean > 0 else None
        above = [max(part.total - around.mean * part.pixels, 0.0) for part in (one, other)]
        share = above[0] / sum(above) if sum(above) > 0 else None
    return RegionCounts(
        right=one if found else None,
        left=other if found else None,
        background=around,
        uptake_ratio=ratio,
        right_share=share,
        unit=image.kind,
        right_mask=right,
        left_mask=left,
        background_mask=background,
    )


def _gland(smooth: Floats) -> Mask:
    """The gland, empty where none stands out."""
    height, width = smooth.shape
    nothing = np.zeros(smooth.shape, np.bool_)
    peaks = (smooth == ndimage.maximum_filter(smooth, 9)) & (smooth > 0)
    rows, columns = np.nonzero(peaks)
    central = np.abs(columns - (width - 1) / 2) <= _MIDDLE * width
    inner = (rows > 0.15 * height) & (rows < 0.95 * height) & central
    candidates = []
    for row, column in zip(rows[inner].tolist(), columns[inner].tolist(), strict=True):
        neck = _neck_level(smooth, row, column)
        top = float(smooth[row, column])
        if neck > 0 and top / neck >= _MIN_RATIO:
            candidates.append((top / neck, row, column, neck))
    if not candidates:
        return nothing
    strongest = max(ratio for ratio, *_ in candidates)
    # The gland is the lowest place that stands out at least half as much as the strongest one.
    standing = [one for one in candidates if one[0] - 1 >= 0.3 * (strongest - 1)]
    _, row, column, neck = max(standing, key=lambda one: one[1])
    gland = _grown(smooth, row, column, neck)
    for _, other_row, other_column, other_neck in standing:  # the other lobe, at about the same height
        if not gland[other_row, other_column] and abs(other_row - row) <= 0.16 * height:
            gland |= _grown(smooth, other_row, other_column, other_neck)
    return gland if _plausible(gland) else nothing


def _plausible(gland: Mask) -> bool:
    low, high = (share * gland.size for share in _AREA_SHARE)
    rows, columns = np.nonzero(gland)
    if not low <= len(rows) <= high:
        return False
    height, width = gland.shape
    cut_off = rows.max() >= height - 1 or np.ptp(columns) > 0.5 * width or np.ptp(rows) > 0.42 * height
    return bool(rows.mean() >= _HIGHEST * height and not cut_off)


def _neck_level(smooth: Floats, row: int, column: int) -> float:
    """The neck's level at a height: the median of a band below the place and beside it."""
    height, width = smooth.shape
    reach = round(0.28 * width)
    band = smooth[max(0, row - 4) : row + 5, max(0, column - reach) : column + reach + 1]
    below = smooth[min(height - 1, row + round(0.1 * height)) : row + round(0.25 * height), :]
    below = below[:, max(0, column - reach // 2) : column + reach // 2 + 1]
    values = np.concatenate([band.ravel(), below.ravel()])
    return float(np.median(values))


def _grown(smooth: Floats, row: int, column: int, neck: float) -> Mask:
    """What hangs together with a peak above a share of its contrast, within reach of a gland."""
    height, width = smooth.shape
    level = neck + _OUTLINE * (float(smooth[row, column]) - neck)
    near = np.zeros(smooth.shape, np.bool_)
    reach = round(0.3 * height)
    near[
        max(0, row - reach) : row + reach + 1, max(0, column - round(0.4 * width)) : column + round(0.4 * width) + 1
    ] = 1
    labels, _ = ndimage.label(smooth > level)
    grown = np.asarray(labels == labels[row, column], np.bool_)
    return grown if not (grown & ~near).any() else np.zeros_like(grown)  # runs into the neck or the mouth


def _lobes(gland: Mask, image: Floats) -> tuple[Mask, Mask]:
    """Part the gland at the emptiest column near the middle of its width."""
    if not gland.any():
        return gland, gland
    columns = np.flatnonzero(gland.any(axis=0))
    first, last = int(columns[0]), int(columns[-1])
    profile = ndimage.gaussian_filter1d((image * gland).sum(axis=0), 1.0)
    inner = np.arange(round(first + 0.25 * (last - first)), round(first + 0.75 * (last - first)) + 1)
    cut = int(inner[np.argmin(profile[inner])])
    humps = min(profile[first : cut + 1].max(), profile[cut : last + 1].max())
    if profile[cut] > _DIP * humps:  # one hump: one lobe alone, or both run together
        middle = _midline(image)
        cut = round(middle) if first + 2 < middle < last - 2 else (last + 1 if last <= middle else first)
    right = gland.copy()
    right[:, cut:] = False
    return right, gland & ~right


def _midline(image: Floats) -> float:
    """Column of the body's middle: the mean over what is warm, clipped so that no hot spot pulls it."""
    clipped = np.minimum(image, np.percentile(image, 75))
    return float((clipped.sum(axis=0) * np.arange(image.shape[1])).sum() / max(float(clipped.sum()), 1e-6))


def _around(gland: Mask, image: Floats) -> Mask:
    """A rim of neck at a distance from the gland, without the warmest quarter (vessels, salivary glands)."""
    if gland.any():
        grown = ndimage.binary_dilation(gland, iterations=_GAP_PX)
        rim = ndimage.binary_dilation(grown, iterations=_RIM_PX) & ~grown
    else:
        rim = np.zeros_like(gland)
        height, width = gland.shape
        rim[round(0.55 * height) : round(0.8 * height), round(0.4 * width) : round(0.6 * width)] = True
    return np.asarray(rim & (image <= np.percentile(image[rim], 75)), np.bool_)


def _enlarged(mask: Mask, size_wh: tuple[int, int]) -> Mask:
    return np.asarray(cv2.resize(mask.astype(np.uint8), size_wh, interpolation=cv2.INTER_NEAREST) > 0, np.bool_)
