"""Which part of the picture is tissue, and how large its pixels are."""

import pytest
from pydicom.dataset import Dataset

from streamer.sources._dicom_regions import scan_geometry
from tests.dicom_files import add_region, cine_dataset

_SIZE = (640, 480)


def _data() -> Dataset:
    return cine_dataset(rows=480, columns=640)


def test_the_tissue_region_gives_place_and_scale_x_and_y_apart() -> None:
    data = _data()
    add_region(data, (0, 0, 639, 479), kind=0, spatial=0, units=0, delta_cm=1)
    add_region(data, (84, 48, 483, 415), delta_cm=0.02)
    data.SequenceOfUltrasoundRegions[1].PhysicalDeltaY = 0.03
    geometry = scan_geometry(data, *_SIZE)
    assert [view.box_xyxy for view in geometry.views] == [(84, 48, 484, 416)]
    assert geometry.spacing_mm == pytest.approx((0.2, 0.3))
    assert not geometry.warnings


def test_two_regions_side_by_side_are_two_views_from_left_to_right() -> None:
    data = _data()
    add_region(data, (336, 24, 639, 415))
    add_region(data, (32, 24, 335, 415))
    add_region(data, (32, 40, 63, 103), kind=13, spatial=0, units=0)
    geometry = scan_geometry(data, *_SIZE)
    assert [view.box_xyxy for view in geometry.views] == [(32, 24, 336, 416), (336, 24, 640, 416)]
    assert geometry.views[0].hidden == ((32, 40, 64, 104),)
    assert not geometry.views[1].hidden
    assert geometry.spacing_mm == pytest.approx((0.1, 0.1))


def test_views_of_different_scale_share_none() -> None:
    data = _data()
    add_region(data, (32, 24, 335, 415), delta_cm=0.01)
    add_region(data, (336, 24, 639, 415), delta_cm=0.02)
    geometry = scan_geometry(data, *_SIZE)
    assert geometry.spacing_mm is None
    assert [view.spacing_mm for view in geometry.views] == [pytest.approx((0.1, 0.1)), pytest.approx((0.2, 0.2))]
    assert geometry.warnings == ("the views differ in scale; each nodule is measured by that of its own view",)


def test_a_colour_flow_box_and_an_ecg_strip_are_hidden_one_over_the_whole_view_is_not() -> None:
    data = _data()
    add_region(data, (0, 0, 639, 479))
    add_region(data, (200, 100, 299, 199), kind=2)
    add_region(data, (0, 440, 639, 479), kind=10, spatial=4)
    assert scan_geometry(data, *_SIZE).views[0].hidden == ((200, 100, 300, 200), (0, 440, 640, 480))
    add_region(data, (0, 0, 639, 479), kind=2)
    geometry = scan_geometry(data, *_SIZE)
    assert geometry.views[0].hidden == ()
    assert "colour flow" in geometry.warnings[0]


def test_the_size_in_place_of_the_last_pixel_is_forgiven_more_is_not() -> None:
    data = _data()
    add_region(data, (120, 60, 640, 480))
    assert scan_geometry(data, *_SIZE).views[0].box_xyxy == (120, 60, 640, 480)
    geometry = scan_geometry(data, 640, 350)
    assert not geometry.views
    assert geometry.spacing_mm is None
    assert "do not fit" in geometry.warnings[0]


@pytest.mark.parametrize(("units", "delta_cm"), [(0, 0.01), (3, 0.0), (3, 5.0), (4, 0.01)])
def test_a_region_without_sound_scale_is_a_view_in_pixels(units: int, delta_cm: float) -> None:
    data = _data()
    add_region(data, (84, 48, 483, 415), units=units, delta_cm=delta_cm)
    geometry = scan_geometry(data, *_SIZE)
    assert geometry.views
    assert geometry.spacing_mm is None


def test_pixel_spacing_stands_in_with_rows_first() -> None:
    data = _data()
    data.PixelSpacing = [0.3, 0.2]
    assert scan_geometry(data, *_SIZE).spacing_mm == (0.2, 0.3)
    data.PixelSpacing = [0.0, 0.2]
    assert scan_geometry(data, *_SIZE).spacing_mm is None


def test_a_region_of_colour_flow_alone_keeps_the_text_out_and_has_no_scale() -> None:
    data = _data()
    add_region(data, (149, 70, 600, 400), kind=2)
    geometry = scan_geometry(data, *_SIZE)
    assert [view.box_xyxy for view in geometry.views] == [(149, 70, 601, 401)]
    assert geometry.spacing_mm is None
    assert "no B-mode region" in geometry.warnings[0]
