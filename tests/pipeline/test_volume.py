"""The ellipsoid over two orthogonal sweeps, and when there is none."""

import math
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from streamer.pipeline.volume import ellipsoid_volume_ml, with_volumes
from streamer.sources._dicom_plane import plane_of
from streamer.types import Plane, SizeMm
from tests.outputs.study_example import track

_ACROSS = SizeMm(long_axis_mm=20.0, short_axis_mm=10.0, area_mm2=150.0)
_ALONG = SizeMm(long_axis_mm=30.0, short_axis_mm=11.0, area_mm2=250.0)
_PLANES: dict[str, Plane | None] = {"a": "transverse", "b": "longitudinal", "c": None}


def test_three_diameters_make_an_ellipsoid() -> None:
    assert ellipsoid_volume_ml(_ACROSS, _ALONG) == pytest.approx(math.pi / 6 * 6.0)


def test_the_one_nodule_of_either_plane_gets_the_volume() -> None:
    one = replace(track(), track_id=1, video="a", largest_mm=_ACROSS)
    two = replace(one, track_id=2, video="b", largest_mm=_ALONG)
    other = replace(one, track_id=3, video="c")
    volumes = [each.volume_ml for each in with_volumes([one, two, other], _PLANES)]
    assert volumes == [pytest.approx(math.pi), pytest.approx(math.pi), None]


def test_two_nodules_in_a_plane_or_one_unmeasured_give_none() -> None:
    one = replace(track(), track_id=1, video="a", largest_mm=_ACROSS)
    two = replace(one, track_id=2, video="b", largest_mm=_ALONG)
    for tracks in ([one, two, replace(two, track_id=3)], [one, replace(two, largest_mm=None)], [one]):
        assert all(each.volume_ml is None for each in with_volumes(tracks, _PLANES))


@pytest.mark.parametrize(
    ("meaning", "name", "plane"),
    [
        ("Transverse", "", "transverse"),
        ("", "SAGITTAL right", "longitudinal"),
        ("Transverse", "longitudinal", None),
        ("", "right lobe", None),
    ],
)
def test_the_header_names_the_plane(meaning: str, name: str, plane: Plane | None) -> None:
    data, code = Dataset(), Dataset()
    code.CodeMeaning, data.ViewName = meaning, name
    data.ViewCodeSequence = [code]
    assert plane_of(data) == plane
