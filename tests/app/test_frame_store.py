"""What the viewer is given of each frame."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.app.frame_store import Feed, Picture, View
from streamer.outputs.overlay import OverlayRenderer
from streamer.settings import OverlaySettings
from streamer.types import Frame, FrameResult, Image, Nodule, NoduleHeat
from tests.app.held_engine import nodule, numbered


def result(index: int) -> FrameResult:
    """Frame `index` with its nodule."""
    found = nodule(index)[0]
    frame = Frame(image=numbered(index), index=index, time_s=index / 25, video="neck.mp4")
    shown = Nodule(track_id=1, track_confidence=0.9, qualifies=True, finding=found)
    return FrameResult(frame=frame, nodules=(shown,), patient_malignancy=None)


@pytest.fixture
def feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Feed]:
    """Keeps three frames of the second clip of a study, only the last of them in memory."""
    monkeypatch.setattr("streamer.app.frame_store._RECENT_BYTES", 0)
    with closing(Feed(tmp_path, keep_frames=True)) as feed:
        for index in range(3):
            feed.add(result(index), clip=1, at_s=10 + index)
        yield feed


def decoded(picture: Picture | None) -> Image:
    """Pixels of a picture that must be there."""
    assert picture is not None
    return np.asarray(cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


@pytest.mark.parametrize("position", [1, 2])
def test_spooled_and_newest_frame_are_drawn_alike(feed: Feed, position: int) -> None:
    expected = OverlayRenderer(OverlaySettings(boxes=False)).draw(result(position))
    shown = decoded(feed.picture(position, View(boxes=False)))
    assert np.abs(shown.astype(int) - expected).mean() < 2  # two lossy codings


def test_a_spooled_nodule_is_what_it_was(feed: Feed) -> None:
    early = result(3)
    feed.add(replace(early, nodules=(replace(early.nodules[0], qualifies=False),)), clip=1, at_s=13)
    feed.add(result(4), clip=1, at_s=14)
    kept = [feed.result(position) for position in (2, 3)]
    assert [one.nodules[0].qualifies for one in kept if one is not None] == [True, False]


def test_a_spooled_nodules_heat_is_what_it_was(feed: Feed) -> None:
    heat = NoduleHeat(cells=np.linspace(-2, 7, 64, dtype=np.float32).reshape(8, 8), window_xyxy=(-5, 0, 35, 40))
    plain = result(3)
    hot = replace(plain.nodules[0], finding=replace(plain.nodules[0].finding, heat=heat))
    feed.add(replace(plain, nodules=(hot,)), clip=1, at_s=13)
    feed.add(result(4), clip=1, at_s=14)
    kept = [feed.result(position) for position in (2, 3)]
    before, after = (one.nodules[0].finding.heat for one in kept if one is not None)
    assert before is None
    assert after is not None
    assert after.window_xyxy == heat.window_xyxy
    np.testing.assert_allclose(after.cells, heat.cells, atol=1e-5)
    drawn, without = (decoded(feed.picture(3, View(heatmap=wanted))) for wanted in (True, False))
    assert np.abs(drawn.astype(int) - without).mean() > 0.3


def test_recent_frames_are_at_hand_and_know_their_age(tmp_path: Path) -> None:
    with closing(Feed(tmp_path, keep_frames=True)) as feed:
        for index in range(3):
            feed.add(result(index), clip=0, at_s=index)
        picture = feed.picture(1, View())
        assert picture is not None
        assert picture.age_s is not None
        assert 0 <= picture.age_s < 10
        kept = feed.result(1)
        assert kept is not None
        assert np.array_equal(kept.frame.image, numbered(1))  # not through a JPEG


def test_spooled_frame_has_no_age(feed: Feed) -> None:
    spooled, newest = feed.picture(0, View()), feed.picture(2, View())
    assert spooled is not None
    assert newest is not None
    assert (spooled.age_s, newest.age_s is None) == (None, False)


def test_half_opacity_lies_between(feed: Feed) -> None:
    plain, half, full = (decoded(feed.picture(0, View(opacity=share))).astype(int) for share in (0, 0.5, 1))
    assert np.abs(plain - numbered(0)).mean() < 2
    assert np.abs(half - (plain + full) / 2).mean() < 2
    assert np.abs(full - plain).mean() > 1


def test_rows_go_on_where_the_viewer_is(feed: Feed) -> None:
    (row,) = feed.rows(2)
    assert row[:4] == [1, 2, 0.08, 12.0]
    assert row[4] == [[1, pytest.approx(nodule(2)[0].malignancy, abs=1e-4)]]


def test_camera_keeps_only_the_newest(tmp_path: Path) -> None:
    with closing(Feed(tmp_path, keep_frames=False)) as feed:
        for index in range(3):
            feed.add(result(index), clip=0, at_s=index)
        picture = feed.picture(0, View())
        assert picture is not None
        assert picture.position == 2
        assert feed.picture(3, View()) is None
