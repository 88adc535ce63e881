"""Tracking figures, worked by hand."""

from math import sqrt

import numpy as np
import pytest

from streamer.errors import DataError
from streamer.metrics.estimate import Resampling
from streamer.metrics.matching import ImageBoxes
from streamer.metrics.tracking import nodule_tracks, nodules_found, tracking_figures

FEW = Resampling(resamples=50)
BOX = (10.0, 10.0, 50.0, 40.0)
FAR = (200.0, 200.0, 240.0, 240.0)
STRAY = (300.0, 10.0, 330.0, 30.0)
Box = tuple[float, float, float, float]


def frame(
    nodules: dict[str, Box], tracks: dict[int, Box], *, group: str = "a", ignored: tuple[Box, ...] = ()
) -> ImageBoxes:
    return ImageBoxes(
        group=group,
        truth_xyxy=np.array(list(nodules.values()), np.float64).reshape(-1, 4),
        boxes_xyxy=np.array(list(tracks.values()), np.float64).reshape(-1, 4),
        scores=np.linspace(0.9, 0.5, len(tracks)),
        ignored_xyxy=np.array(ignored, np.float64).reshape(-1, 4),
        nodules=tuple(nodules),
        tracks=tuple(tracks),
    )


def test_nodule_is_found_only_under_one_number() -> None:
    found, missed = frame({"kept": BOX}, {1: BOX, 9: FAR}), frame({"kept": BOX}, {1: FAR})
    kept = [found, found, missed, missed]
    switched = [frame({"switched": BOX}, {track: BOX, 9: FAR}) for track in (1, 2, 3, 3, 4)]
    figure = nodules_found([*kept, *switched, frame({}, {})])
    assert (figure.value, figure.count, figure.method) == (0.5, 2, "Wilson")
    assert nodules_found([*kept, *switched], share=0.4).value == 1.0
    tracks = nodule_tracks([*kept, *switched])
    assert [nodule.frames for nodule in tracks.values()] == [4, 5]
    assert tracks["switched"].tracks == {1: 1, 2: 1, 3: 2, 4: 1}


def test_metrics_of_the_field_on_one_identity_switch() -> None:
    """Two nodules in three frames, one of which changes its number after the first: nothing missed, nothing wrong."""
    clip = [frame({"first": BOX, "second": FAR}, {1: BOX, track: FAR}) for track in (2, 3, 3)]
    figures = tracking_figures([clip], FEW)
    assert figures["MOTA"].value == pytest.approx(5 / 6)
    assert figures["IDF1"].value == pytest.approx(5 / 6)
    association = (3 * 1 + 1 * (1 / 3) + 2 * (2 / 3)) / 6
    assert figures["HOTA"].value == pytest.approx(sqrt(1 * association))
    assert figures["identity switches per clip"].value == 1
    assert figures["fragmentations per clip"].value == 0


def test_intervals_draw_groups_of_clips() -> None:
    good = [frame({"one": BOX}, {1: BOX})] * 4
    blind = [frame({"two": BOX}, {}, group="b")] * 4
    figures = tracking_figures([good, blind, good], FEW)
    assert figures["MOTA"].value == pytest.approx(8 / 12)
    assert (figures["MOTA"].low, figures["MOTA"].high) == (0, 1)
    assert (figures["MOTA"].count, figures["MOTA"].clusters) == (3, 2)
    assert tracking_figures([[frame({}, {1: BOX})]], FEW) == {}


def test_nodules_without_a_mark_and_regions_to_ignore_count_neither_way() -> None:
    marked = {1: BOX, 2: FAR, 3: STRAY}
    assert tracking_figures([[frame({"one": BOX}, marked)]], FEW)["MOTA"].value == -1
    neutral = frame({"one": BOX, "": FAR}, marked, ignored=(STRAY,))
    assert tracking_figures([[neutral]], FEW)["MOTA"].value == 1
    assert list(nodule_tracks([neutral])) == ["one"]


def test_nameless_boxes_are_refused() -> None:
    image = ImageBoxes(
        group="a", truth_xyxy=np.array([BOX]), boxes_xyxy=np.array([BOX]), scores=np.ones(1), nodules=("n",)
    )
    for measure in (nodules_found, lambda images: tracking_figures([images])):
        with pytest.raises(DataError, match="lacks a nodule's name or a track number"):
            measure([image])
