import numpy as np
import pytest

from streamer.sources._convert import oriented, over_black

_ONE = 1 << 16
_IMAGE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def _matrix(a: int, b: int, c: int, d: int) -> list[int]:
    """Display matrix of x = a p + c q, y = b p + d q."""
    return [a * _ONE, b * _ONE, 0, c * _ONE, d * _ONE, 0, 0, 0, 1 << 30]


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (_matrix(1, 0, 0, 1), _IMAGE),
        (_matrix(-1, 0, 0, -1), np.rot90(_IMAGE, 2)),
        (_matrix(-1, 0, 0, 1), _IMAGE[:, ::-1]),
        (_matrix(1, 0, 0, -1), _IMAGE[::-1]),
        (_matrix(0, 1, -1, 0), np.rot90(_IMAGE, -1)),  # clockwise: what was on top comes to the right
        (_matrix(0, -1, 1, 0), np.rot90(_IMAGE, 1)),
        (_matrix(0, 1, 1, 0), _IMAGE.swapaxes(0, 1)),
        (_matrix(0, -1, -1, 0), np.rot90(_IMAGE.swapaxes(0, 1), 2)),
    ],
)
def test_all_eight_orientations(matrix: list[int], expected: np.ndarray) -> None:
    np.testing.assert_array_equal(oriented(_IMAGE, matrix), expected)


def test_transparency_falls_on_black() -> None:
    rgba = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 128]]], np.uint8)
    np.testing.assert_array_equal(over_black(rgba), [[[200, 100, 50], [0, 0, 0], [100, 50, 25]]])


def test_unused_alpha_is_ignored() -> None:
    rgba = np.array([[[200, 100, 50, 0], [1, 2, 3, 0]]], np.uint8)
    np.testing.assert_array_equal(over_black(rgba), [[[200, 100, 50], [1, 2, 3]]])
