"""Heat maps are drawn where they are and nowhere else, whatever the frame's size."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.outputs.colour_map import COLOURS, tinted
from streamer.outputs.heatmap import draw_frame_heatmap
from tests.fakes import finding, grey_image, quadrant_heat_maps


def test_only_hot_pixels_are_coloured() -> None:
    image = grey_image(60)
    heat = np.zeros((48, 64), np.float32)
    heat[10:20, 30:40] = 0.7
    picture = tinted(image, heat)
    changed = (picture != image).any(axis=-1)
    np.testing.assert_array_equal(changed, heat > 0)
    red, green, blue = picture[15, 35]
    assert red > green > blue  # orange
    assert (image == 60).all()  # the frame itself stays as it is


def test_brightness_of_the_colours_rises() -> None:
    luma = COLOURS @ np.array([0.2126, 0.7152, 0.0722])
    assert (np.diff(luma) > -1).all()
    assert luma[-1] > 200 > 5 > luma[0]


def test_picture_of_no_evidence_is_the_frame_with_outline() -> None:
    image = grey_image(60, width=400, height=300)
    picture = draw_frame_heatmap(image, [finding((100, 100, 160, 150))], quadrant_heat_maps(malignant_sign=-1))
    inside = picture[105:145, 105:155]
    assert (inside == 60).all()
    assert (picture[100, 105:155] > 200).all()


def test_legend_of_no_evidence_says_so_instead_of_explaining_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr("streamer.outputs.heatmap.Pen.write", lambda *given: written.append(given[2]))
    image = grey_image(60, width=640, height=480)
    coloured = []
    for sign in (-1, 1):
        picture = draw_frame_heatmap(image, [finding((100, 100, 160, 150))], quadrant_heat_maps(malignant_sign=sign))
        coloured.append(bool(np.ptp(picture[-40:], axis=-1).any()))  # the colour bar
    assert coloured == [False, True]
    nothing, map_there = written
    assert nothing.startswith("Next to nothing raised malignancy here: no map")
    assert map_there.startswith("What raised malignancy")


def test_maps_of_several_nodules_are_all_there() -> None:
    image = grey_image(60, width=400, height=300)
    found = [finding((60, 60, 100, 100)), finding((260, 160, 300, 200))]
    picture = draw_frame_heatmap(image, found, quadrant_heat_maps())
    for x, y in ((50, 50), (250, 150)):
        assert picture[y, x, 0] > picture[y, x, 2] + 40
    assert (picture[50, 200] == 60).all()


def test_legend_gives_way_to_the_map() -> None:
    image = grey_image(60, width=640, height=480)
    above = draw_frame_heatmap(image, [finding((300, 20, 360, 80))], quadrant_heat_maps())
    below = draw_frame_heatmap(image, [finding((300, 470, 320, 480))], quadrant_heat_maps())
    assert (above[-2:, :3] == 0).all()
    assert (above[:2, :3] == 60).all()
    assert (below[:2, :3] == 0).all()


@pytest.mark.parametrize("size_wh", [(1, 1), (3, 200), (242, 242), (2000, 40)])
def test_any_size(size_wh: tuple[int, int]) -> None:
    image = grey_image(width=size_wh[0], height=size_wh[1])
    picture = draw_frame_heatmap(image, [finding((0, 0, size_wh[0], size_wh[1]))], quadrant_heat_maps())
    assert picture.shape == image.shape
