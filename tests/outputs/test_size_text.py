"""Millimetres where the spacing is known, pixels elsewhere, nothing without an outline."""

from dataclasses import replace

from streamer.outputs.report_json import nodule_line
from streamer.outputs.size_text import area_text, axes_text
from streamer.types import SizeMm
from tests.outputs.study_example import nodule

SIZE = SizeMm(long_axis_mm=12.34, short_axis_mm=8.06, area_mm2=78.2)


def test_pixels_where_the_spacing_is_unknown() -> None:
    for one in (nodule(), nodule_line(nodule())):
        assert (axes_text(one), area_text(one)) == ("24 \N{MULTIPLICATION SIGN} 16 px", "200 px²")


def test_millimetres_where_it_is_known() -> None:
    known = replace(nodule(), size_mm=SIZE)
    for one in (known, nodule_line(known)):
        assert (axes_text(one), area_text(one)) == ("12.3 \N{MULTIPLICATION SIGN} 8.1 mm", "78 mm²")


def test_nothing_without_an_outline() -> None:
    bare = replace(nodule(), finding=replace(nodule().finding, area_px=0.0))
    assert (axes_text(bare), area_text(bare)) == ("", "")
