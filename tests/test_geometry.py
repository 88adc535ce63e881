"""Letterbox, crop windows, outlines and calipers: sizes, places and orientation survive the way there and back."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.geometry import NO_OUTLINE, CropWindow, Letterbox, calipers, outline_of, size_mm

SIZES_WH = st.tuples(st.integers(1, 4000), st.integers(1, 4000))
CANVASES_WH = st.tuples(st.integers(32, 640), st.integers(32, 640))


def ellipse(
    size_wh: tuple[int, int], centre: tuple[int, int], axes: tuple[int, int], degrees: float = 0
) -> npt.NDArray[np.uint8]:
    mask = np.zeros((size_wh[1], size_wh[0]), np.uint8)
    return np.asarray(cv2.ellipse(mask, centre, axes, degrees, 0, 360, 255, cv2.FILLED), np.uint8)


def contour_of(mask: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return np.asarray(contours[0][:, 0, :], np.int32)


@given(SIZES_WH, CANVASES_WH, st.data())
def test_letterbox_boxes_come_back(source_wh: tuple[int, int], canvas_wh: tuple[int, int], data: st.DataObject) -> None:
    corners = st.floats(0, 1, width=32)
    x0, x1 = sorted((data.draw(corners), data.draw(corners)))
    y0, y1 = sorted((data.draw(corners), data.draw(corners)))
    box = np.array([[x0 * source_wh[0], y0 * source_wh[1], x1 * source_wh[0], y1 * source_wh[1]]], np.float32)
    letterbox = Letterbox(source_wh, canvas_wh)
    on_canvas = box * np.tile(letterbox.scale_xy, 2) + np.tile(letterbox.offset_xy, 2)
    # A pixel of the canvas may be many of the source, so float32 is right to 1e-6 of the canvas.
    tolerance = 1e-3 + 1e-6 * max(canvas_wh) / min(letterbox.scale_xy)
    np.testing.assert_allclose(letterbox.boxes_to_source(on_canvas.astype(np.float32)), box, atol=tolerance)


@given(SIZES_WH, CANVASES_WH)
def test_letterbox_keeps_shape_and_stays_inside(source_wh: tuple[int, int], canvas_wh: tuple[int, int]) -> None:
    letterbox = Letterbox(source_wh, canvas_wh)
    size = np.array(source_wh) * letterbox.scale_xy
    upper_left = np.array(letterbox.offset_xy)
    assert (upper_left >= 0).all()
    assert (upper_left + size <= np.array(canvas_wh) + 1e-6).all()
    # The scaled size is whole pixels: each side is at most half a pixel off (or the least, 1).
    scale = min(canvas_wh[0] / source_wh[0], canvas_wh[1] / source_wh[1])
    assert np.abs(size - np.maximum(1, np.array(source_wh) * scale)).max() <= 0.5 + 1e-6
    # Centred: what is left over is shared equally.
    right_lower = np.array(canvas_wh) - upper_left - size
    assert np.abs(right_lower - upper_left).max() <= 1 + 1e-6


@pytest.mark.parametrize("source_wh", [(900, 600), (600, 900), (31, 17), (1, 1), (2000, 3)])
def test_letterbox_draws_where_it_says(source_wh: tuple[int, int]) -> None:
    image = np.full((source_wh[1], source_wh[0]), 200, np.uint8)
    letterbox = Letterbox(source_wh, (384, 288))
    canvas = letterbox.apply(image)
    assert canvas.shape == (288, 384)
    rows, columns = np.nonzero(canvas)
    drawn = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
    np.testing.assert_allclose(letterbox.boxes_to_source(drawn), [[0, 0, *source_wh]], atol=1e-3)
    assert set(np.unique(canvas)) <= {0, 200}


def _stripes(period: tuple[int, ...], repeats: int) -> npt.NDArray[np.uint8]:
    """A square picture of vertical stripes."""
    row = np.tile(np.array(period, np.uint8), repeats)
    return np.tile(row, (len(row), 1))


def test_a_smaller_picture_holds_the_mean_of_what_each_pixel_covers() -> None:
    stripes = _stripes((200, 0, 0, 0), 16)  # a sample between the middle pixels alone would see nothing
    assert (Letterbox((64, 64), (16, 16)).apply(stripes) == 50).all()
    assert (CropWindow(0, 0, 64, 64).crop(stripes, 16) == 50).all()


def test_a_larger_picture_is_interpolated() -> None:
    stripes = _stripes((0, 200), 8)  # areas would give the two values alone
    for picture in (Letterbox((16, 16), (64, 64)).apply(stripes), CropWindow(0, 0, 16, 16).crop(stripes, 64)):
        assert set(np.unique(picture)) == {0, 25, 75, 125, 175, 200}


def test_letterbox_does_not_turn_or_mirror() -> None:
    image = np.zeros((300, 100, 3), np.uint8)
    image[:60, :20] = (255, 0, 0)  # upper left, red, tall
    canvas = Letterbox((100, 300), (256, 128)).apply(image)
    assert canvas.shape == (128, 256, 3)
    rows, columns = np.nonzero(canvas[..., 0] > 127)
    assert rows.max() - rows.min() > 2 * (columns.max() - columns.min())
    assert rows.min() == 0
    assert columns.max() < 128
    assert not canvas[..., 1:].any()


def test_letterbox_clips_boxes_of_the_border() -> None:
    letterbox = Letterbox((100, 300), (256, 128))
    boxes = letterbox.boxes_to_source(np.array([[0, 0, 20, 128], [0, -5, 256, 140]], np.float32))
    assert boxes[0, 0] == boxes[0, 2] == 0  # wholly left of the picture
    assert boxes[1].tolist() == [0, 0, 100, 300]
    assert letterbox.boxes_to_source(np.zeros((0, 4), np.float32)).shape == (0, 4)


@given(
    st.tuples(st.floats(-50, 900), st.floats(-50, 600)),
    st.tuples(st.floats(0.5, 400), st.floats(0.5, 400)),
    st.floats(0, 1),
)
def test_window_holds_box_and_margin(corner: tuple[float, float], size: tuple[float, float], margin: float) -> None:
    box = (corner[0], corner[1], corner[0] + size[0], corner[1] + size[1])
    window = CropWindow.around(box, margin)
    assert window.right - window.left == window.bottom - window.top == window.side >= 2
    room = margin * max(size) - 1.5  # whole pixels: the side and the place are both rounded
    assert window.left <= box[0] - room
    assert window.top <= box[1] - room
    assert window.right >= box[2] + room
    assert window.bottom >= box[3] + room


@given(st.integers(-40, 100), st.integers(-40, 80), st.integers(2, 60))
def test_crop_at_its_own_size_copies_pixels(left: int, top: int, side: int) -> None:
    image = np.random.default_rng(0).integers(1, 255, (64, 96), np.uint8)
    padded = np.zeros((64 + 240, 96 + 240), np.uint8)
    padded[120:184, 120:216] = image
    window = CropWindow(left, top, left + side, top + side)
    expected = padded[120 + top : 120 + top + side, 120 + left : 120 + left + side]
    np.testing.assert_array_equal(window.crop(image, side), expected)


def test_crop_keeps_a_tall_thing_tall() -> None:
    image = np.zeros((600, 900), np.uint8)
    image[200:400, 440:480] = 255
    crop = CropWindow.around((440, 200, 480, 400), 0.25).crop(image, 128)
    rows, columns = np.nonzero(crop > 127)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert height / width == pytest.approx(5, rel=0.1)
    assert height == pytest.approx(128 / 1.5, abs=2)


def test_crop_of_colour_keeps_channels() -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[..., 0] = 200
    crop = CropWindow(-10, -10, 30, 30).crop(image, 20)
    assert crop.shape == (20, 20, 3)
    assert crop[15, 15].tolist() == [200, 0, 0]
    assert crop[2, 2].tolist() == [0, 0, 0]


@given(
    st.integers(20, 180), st.integers(20, 130), st.integers(6, 60), st.integers(6, 60), st.sampled_from([64, 128, 192])
)
def test_outline_comes_back_to_its_place(x: int, y: int, half_width: int, half_height: int, size: int) -> None:
    """Crop the truth, outline the crop: the same region, up to what the scaling loses, wherever the frame ends."""
    mask = ellipse((200, 150), (x, y), (half_width, half_height))
    box = cv2.boundingRect(mask)
    window = CropWindow.around((box[0], box[1], box[0] + box[2], box[1] + box[3]), 0.25)
    probability = np.asarray(window.crop(mask, size) / 255, np.float32)
    outline = outline_of(probability, 0.5, window, (200, 150))
    drawn = np.zeros_like(mask)
    cv2.drawContours(drawn, [outline.contour_xy], -1, 255, cv2.FILLED)
    overlap = np.count_nonzero(drawn & mask) / np.count_nonzero(drawn | mask)
    assert overlap > 0.85
    assert outline.area_px == np.count_nonzero(drawn)
    assert outline.contour_xy.min() >= 0
    assert outline.contour_xy[:, 0].max() < 200
    assert outline.contour_xy[:, 1].max() < 150


def test_outline_takes_the_largest_region() -> None:
    probability = np.zeros((64, 64), np.float32)
    probability[5:9, 5:9] = 1
    probability[30:50, 20:60] = 0.7
    outline = outline_of(probability, 0.5, CropWindow(100, 200, 164, 264), (900, 600))
    assert outline.contour_xy.min(axis=0).tolist() == [120, 230]
    assert outline.contour_xy.max(axis=0).tolist() == [159, 249]
    assert outline.area_px == 800


def test_outline_is_cut_at_the_threshold() -> None:
    probability = np.full((32, 32), 0.4, np.float32)
    window = CropWindow(0, 0, 32, 32)
    assert outline_of(probability, 0.5, window, (32, 32)) is NO_OUTLINE
    assert outline_of(probability, 0.4, window, (32, 32)).area_px == 1024


@pytest.mark.parametrize("corner", [(-200, 10), (500, 10), (10, -200), (10, 500)])
def test_outline_of_a_window_outside_the_frame_is_empty(corner: tuple[int, int]) -> None:
    window = CropWindow(*corner, corner[0] + 64, corner[1] + 64)
    assert outline_of(np.ones((32, 32), np.float32), 0.5, window, (100, 100)) is NO_OUTLINE


def test_outline_stops_at_the_frame() -> None:
    outline = outline_of(np.ones((32, 32), np.float32), 0.5, CropWindow(-16, -16, 16, 16), (10, 12))
    assert outline.area_px == 120
    assert outline.contour_xy.min(axis=0).tolist() == [0, 0]
    assert outline.contour_xy.max(axis=0).tolist() == [9, 11]


@pytest.mark.parametrize("degrees", [0, 30, 45, 90, 135])
def test_calipers_of_an_ellipse(degrees: float) -> None:
    contour = contour_of(ellipse((400, 400), (200, 200), (120, 50), degrees))
    long_axis, short_axis = calipers(contour)
    assert long_axis == pytest.approx(241, abs=2)
    assert short_axis == pytest.approx(101, abs=3)


def test_calipers_of_small_things() -> None:
    assert calipers(np.zeros((0, 2), np.int32)) == (0, 0)
    assert calipers(np.array([[7, 9]], np.int32)) == (1, 1)
    assert calipers(np.array([[3, 4], [12, 4]], np.int32)) == (10, 1)
    assert calipers(np.array([[4, 3], [4, 12]], np.int32)) == (10, 1)


@given(st.lists(st.tuples(st.integers(-500, 500), st.integers(-500, 500)), min_size=1, max_size=30))
def test_calipers_are_ordered_and_turn_with_the_contour(points: list[tuple[int, int]]) -> None:
    contour = np.array(points, np.int32)
    long_axis, short_axis = calipers(contour)
    assert long_axis >= short_axis - 1e-9 >= 1 - 1e-9
    assert calipers(contour + 37) == pytest.approx((long_axis, short_axis))
    # A quarter turn; where two diameters are equally long another may be taken, so only the longest is compared.
    assert calipers(np.stack([-contour[:, 1], contour[:, 0]], axis=1))[0] == pytest.approx(long_axis)


def test_axes_are_sought_in_millimetres_where_pixels_are_not_square() -> None:
    flat_in_pixels = np.array([(50, 40), (70, 50), (50, 60), (30, 50)], np.int32)
    size = size_mm(flat_in_pixels, 600, (0.1, 0.3))
    assert size is not None
    assert size.long_axis_mm == pytest.approx(20 * 0.3 + 0.3)  # it stands upright in tissue
    assert size.short_axis_mm == pytest.approx(40 * 0.1 + 0.1)
    assert size.area_mm2 == pytest.approx(18)


def test_a_pixel_has_the_size_of_a_pixel_and_nothing_has_none() -> None:
    size = size_mm(np.array([(3, 4)], np.int32), 1, (0.2, 0.1))
    assert size is not None
    assert (size.long_axis_mm, size.short_axis_mm) == (0.1, 0.1)
    assert size_mm(np.zeros((0, 2), np.int32), 0, (0.2, 0.1)) is None


def stripes(size_wh: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """Columns of 0 and 200 in turn."""
    columns = 200 * (np.arange(size_wh[0]) % 2)
    return np.broadcast_to(columns.astype(np.uint8), (size_wh[1], size_wh[0])).copy()


def test_what_shrinks_is_averaged_so_that_speckle_does_not_alias() -> None:
    """Eight columns of four stripes become one: their mean; linear interpolation would look at two of them."""
    canvas = Letterbox((256, 256), (32, 32)).apply(stripes((256, 256)))
    crop = CropWindow(0, 0, 256, 256).crop(stripes((256, 256)), 32)
    for shrunk in (canvas, crop):
        assert shrunk.dtype == np.uint8
        assert (shrunk == 100).all()


def test_what_grows_is_interpolated() -> None:
    pair = np.array([[0, 200], [0, 200]], np.uint8)
    canvas = Letterbox((2, 2), (32, 32)).apply(pair)
    crop = CropWindow(0, 0, 2, 2).crop(pair, 32)
    for grown in (canvas, crop):
        assert set(np.unique(grown)) > {0, 200}
        assert (np.diff(grown[16].astype(int)) >= 0).all()


def test_boxes_and_contours_keep_their_types() -> None:
    boxes = Letterbox((100, 300), (256, 128)).boxes_to_source(np.array([[110, 10, 120, 30]], np.float32))
    outline = outline_of(np.ones((8, 8), np.float32), 0.5, CropWindow(10, 20, 18, 28), (100, 100))
    assert boxes.dtype == np.dtype(np.float32)
    assert outline.contour_xy.dtype == np.dtype(np.int32)


def test_an_outline_has_the_calipers_of_its_contour_and_the_area_of_its_region_alone() -> None:
    probability = np.zeros((60, 60), np.float32)
    probability[10:40, 10:30] = 1
    probability[50:55, 50:55] = 1  # a smaller region beside it
    outline = outline_of(probability, 0.5, CropWindow(100, 200, 160, 260), (640, 480))
    assert (outline.long_axis_px, outline.short_axis_px) == calipers(outline.contour_xy)
    assert outline.long_axis_px > outline.short_axis_px > 19
    assert outline.area_px == 600
    assert outline.contour_xy.min(axis=0).tolist() == [110, 210]
