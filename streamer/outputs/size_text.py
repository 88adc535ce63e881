"""How a nodule's size is worded: in millimetres where the pixel spacing is known, else in pixels; everywhere alike."""

from __future__ import annotations

from streamer.outputs.schema import NoduleLine
from streamer.types import Nodule

_TIMES, _SQUARED = "\N{MULTIPLICATION SIGN}", "\N{SUPERSCRIPT TWO}"


def axes_text(nodule: Nodule | NoduleLine, *, times: str = _TIMES) -> str:
    """Long and short axis, for example "12.3 x 8.1 mm" or "120 x 80 px"; "" without an outline."""
    if not nodule.area_px:
        return ""
    axes_mm, _ = _millimetres(nodule)
    if axes_mm is not None:
        return f"{axes_mm[0]:.1f} {times} {axes_mm[1]:.1f} mm"
    return f"{nodule.long_axis_px:.0f} {times} {nodule.short_axis_px:.0f} px"


def area_text(nodule: Nodule | NoduleLine) -> str:
    """Area of the outline, for example "78 mm²" or "7540 px²"; "" without an outline."""
    if not nodule.area_px:
        return ""
    _, area_mm2 = _millimetres(nodule)
    return f"{nodule.area_px:.0f} px{_SQUARED}" if area_mm2 is None else f"{area_mm2:.0f} mm{_SQUARED}"


def _millimetres(nodule: Nodule | NoduleLine) -> tuple[tuple[float, float] | None, float | None]:
    """Axes and area, None where they are unknown."""
    size = nodule.size_mm if isinstance(nodule, Nodule) else nodule
    if size is None or size.long_axis_mm is None or size.short_axis_mm is None:
        return None, None
    return (size.long_axis_mm, size.short_axis_mm), size.area_mm2
