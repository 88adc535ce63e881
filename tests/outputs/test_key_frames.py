"""Pictures show the frame that set the maximum, and frames are held for running tracks only."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.geometry import Points, caliper_lines, size_mm
from streamer.outputs import key_frames as key_pictures
from streamer.outputs import nodule_figure
from streamer.outputs.base import SinkContext
from streamer.outputs.folder import OutputFolder
from streamer.outputs.key_frames import KeyFrameSink
from streamer.outputs.nodule_figure import nodule_image
from streamer.settings import Settings
from streamer.types import Frame, Image, Nodule, SizeMm
from tests.outputs.study_example import example_clip, frame_result, nodule, study_report, track


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Track and frame of each picture that is drawn."""
    drawn: list[tuple[int, int]] = []

    def record(frame: Frame, found: Nodule) -> Image:
        drawn.append((found.track_id, frame.index))
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr(key_pictures, "nodule_image", record)
    return drawn


def pictures_in(folder: Path) -> KeyFrameSink:
    sink = KeyFrameSink(SinkContext(folder=OutputFolder(folder), settings=Settings()))
    sink.start_clip(example_clip())
    return sink


def test_first_frame_of_the_maximum_is_shown(tmp_path: Path, shown: list[tuple[int, int]]) -> None:
    pictures = pictures_in(tmp_path)
    for index, malignancy in enumerate([0.2, 0.8, 0.8, 0.3]):
        pictures.write(frame_result(index, nodule(malignancy=malignancy)))
    pictures.end_clip(None)
    assert shown == [(1, 1)]


def test_gone_track_is_written_and_its_frame_let_go(tmp_path: Path, shown: list[tuple[int, int]]) -> None:
    pictures = pictures_in(tmp_path)
    results = [frame_result(index, nodule()) for index in range(3)]
    images = [weakref.ref(result.frame.image) for result in results]
    for result in results:
        pictures.write(result)
    del result, results
    pictures.write(replace(frame_result(3), ended_tracks=(1,)))
    gc.collect()
    assert shown == [(1, 0)]
    assert not any(image() is not None for image in images)


@pytest.mark.parametrize("qualifies", [True, False])
def test_a_track_that_ended_gets_a_picture_if_it_qualified(
    tmp_path: Path, shown: list[tuple[int, int]], qualifies: bool
) -> None:
    pictures = pictures_in(tmp_path)
    pictures.write(frame_result(0, replace(nodule(), qualifies=qualifies)))
    pictures.write(replace(frame_result(1), ended_tracks=(1,)))
    pictures.end_clip(None)
    assert len(shown) == qualifies


def test_only_pictures_of_nodules_that_qualify_are_committed(tmp_path: Path) -> None:
    context = SinkContext(folder=OutputFolder(tmp_path), settings=Settings())
    pictures = KeyFrameSink(context)
    pictures.start_clip(example_clip())
    pictures.write(frame_result(0, nodule(1), replace(nodule(2), qualifies=False)))
    pictures.end_clip(None)
    pictures.close(study_report(track(1), track(2, qualifies=False)))
    assert (context.pictures, context.committed) == ({1: "nodule-001.png"}, ["nodule-001.png"])


def test_png_is_written_unfinished(tmp_path: Path) -> None:
    pictures = pictures_in(tmp_path)
    pictures.write(frame_result(0, nodule(12)))
    pictures.end_clip(None)
    data = np.frombuffer((tmp_path / "nodule-012.png.partial").read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape[0] > 600


@pytest.mark.parametrize(("width", "height"), [(1, 1), (96, 64), (2000, 50), (50, 2000)])
def test_picture_of_any_frame_is_of_bounded_size(width: int, height: int) -> None:
    result = frame_result(0, nodule(), clip=example_clip(width=width, height=height))
    image = nodule_image(result.frame, result.nodules[0])
    assert image.shape[0] == 716
    assert 900 < image.shape[1] <= 1816


def test_calipers_of_an_ellipse() -> None:
    angles = np.linspace(0, 2 * np.pi, 200, endpoint=False)
    turn = np.deg2rad(30)
    long_axis, short_axis = 60 * np.cos(angles), 25 * np.sin(angles)
    contour = np.stack(
        [
            200 + long_axis * np.cos(turn) - short_axis * np.sin(turn),
            150 + long_axis * np.sin(turn) + short_axis * np.cos(turn),
        ],
        axis=1,
    )
    first, second = caliper_lines(np.rint(contour).astype(np.int32))
    assert np.hypot(*(first[1] - first[0])) == pytest.approx(120, abs=2)
    assert np.hypot(*(second[1] - second[0])) == pytest.approx(50, abs=2)
    assert (first[1] - first[0]) @ (second[1] - second[0]) == pytest.approx(0, abs=1e-6)
    assert second.mean(axis=0) == pytest.approx((200, 150), abs=4)


@pytest.mark.parametrize("spacing_mm", [(0.1, 0.3), (0.3, 0.1), (0.1, 0.1)])
def test_drawn_calipers_are_those_that_were_measured(spacing_mm: tuple[float, float]) -> None:
    """Of pixels three times as high as wide, a nodule that looks wide is taller than wide."""
    contour = np.array([(20, 30), (40, 20), (78, 25), (80, 40), (60, 48), (25, 45)], np.int32)
    size = size_mm(contour, 1000.0, spacing_mm)
    assert size is not None
    for ends, told_mm in zip(
        caliper_lines(contour, size.spacing_mm), (size.long_axis_mm, size.short_axis_mm), strict=True
    ):
        across_mm, down_mm = (ends[1] - ends[0]) * spacing_mm
        assert told_mm == pytest.approx(np.hypot(across_mm, down_mm), abs=1.01 * max(spacing_mm))
    long_axis, short_axis = ((ends[1] - ends[0]) * spacing_mm for ends in caliper_lines(contour, size.spacing_mm))
    assert long_axis @ short_axis == pytest.approx(0, abs=1e-9)


def test_the_picture_has_the_calipers_in_tissue(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, float] | None] = []

    def record(contour_xy: NDArray[np.int32], spacing_mm: tuple[float, float] | None) -> tuple[Points, Points]:
        drawn.append(spacing_mm)
        return caliper_lines(contour_xy, spacing_mm)

    monkeypatch.setattr(nodule_figure, "caliper_lines", record)
    for measured in (None, SizeMm(long_axis_mm=9.0, short_axis_mm=8.0, area_mm2=50.0, spacing_mm=(0.1, 0.3))):
        result = frame_result(0, replace(nodule(), size_mm=measured))
        nodule_image(result.frame, result.nodules[0])
    assert drawn == [None, None, (0.1, 0.3), (0.1, 0.3)]


def test_calipers_of_a_single_point() -> None:
    first, second = caliper_lines(np.array([(5, 7)], np.int32))
    np.testing.assert_array_equal(first, [(5, 7), (5, 7)])
    np.testing.assert_array_equal(second, first)
