"""Pictures of samples, read and normalised in parallel, and near duplicates across splits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamer.backends.select import available_cores
from streamer.errors import DataError
from streamer.scintigraphy.image import Grey, normalised
from streamer.scintigraphy.read import read_image
from streamer.scintigraphy.samples import ScintigraphySample

_SIDE_PX, _BLUR_PX, _RIM_PX = 96, 1.5, 8
_MIN_ALIKE = 0.5
"""Correlation of two pictures' fine detail, the noise of their counts, from which they are the same picture. Measured:
0.26 at most between two of 220 phantoms and 0.15 between two of the nine real views; 0.72 and more for a picture that
was resized and saved as JPEG of quality 40 to 85."""
_ROWS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """Pictures of some samples.

    Attributes:
        samples: whose.
        grey: shape (n, side, side).
        simulated: whether each says that a phantom made it, shape (n,).
    """

    samples: tuple[ScintigraphySample, ...]
    grey: npt.NDArray[np.uint8]
    simulated: npt.NDArray[np.bool_]

    def of(self, samples: Iterable[ScintigraphySample]) -> Pictures:
        """The pictures of some of the samples, by file and frame, in their order and with their splits."""
        place = {(one.image, one.frame): number for number, one in enumerate(self.samples)}
        chosen = tuple(samples)
        rows = [place[one.image, one.frame] for one in chosen]
        return Pictures(samples=chosen, grey=self.grey[rows], simulated=self.simulated[rows])

    def joined(self, other: Pictures) -> Pictures:
        """These pictures and others of the same side."""
        return Pictures(
            samples=(*self.samples, *other.samples),
            grey=np.concatenate([self.grey, other.grey]),
            simulated=np.concatenate([self.simulated, other.simulated]),
        )


def read_pictures(samples: Sequence[ScintigraphySample], side: int) -> Pictures:
    """Read and normalise pictures, shape (n, side, side).

    Raises:
        DataError: one cannot be read (the first such is named).
    """

    def read(sample: ScintigraphySample) -> tuple[Grey, bool]:
        image = read_image(sample.image, colour_map=sample.colour_map, frame=sample.frame)
        return normalised(image.pixels, side), image.simulated

    with ThreadPoolExecutor(available_cores(), thread_name_prefix="pictures") as pool:
        found = list(pool.map(read, samples))
    grey = np.stack([picture for picture, _ in found]) if found else np.zeros((0, side, side), np.uint8)
    return Pictures(
        samples=tuple(samples), grey=grey, simulated=np.array([simulated for _, simulated in found], np.bool_)
    )


def refuse_near_duplicates(pictures: Pictures) -> None:
    """Refuse data in which a picture held out is one that is learned from, saved again.

    Raises:
        DataError: names the first pair and how many there are.
    """
    learned = [number for number, sample in enumerate(pictures.samples) if sample.split == "train"]
    held = [number for number, sample in enumerate(pictures.samples) if sample.split != "train"]
    pairs = near_duplicates(pictures.grey[held], pictures.grey[learned])
    if pairs:
        one, other = pictures.samples[held[pairs[0][0]]], pictures.samples[learned[pairs[0][1]]]
        more = f" ({len(pairs) - 1} more such pairs)" if len(pairs) > 1 else ""
        raise DataError(
            f"{one.image} ({one.split}) is nearly the same picture as {other.image} (train){more}: leave one out, or "
            "give both the same patient"
        )


def near_duplicates(held: npt.NDArray[np.uint8], learned: npt.NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Pairs of a held and a learned picture that are nearly the same, by their numbers; shapes (n, side, side)."""
    if not len(held) or not len(learned):
        return []
    ours, theirs = _detail(held), _detail(learned)
    pairs = []
    for first in range(0, len(ours), _ROWS):
        likeness = ours[first : first + _ROWS] @ theirs.T
        best = likeness.argmax(axis=1)
        pairs += [(first + row, int(column)) for row, column in enumerate(best) if likeness[row, column] >= _MIN_ALIKE]
    return pairs


def _detail(pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The fine detail of each picture, evened out over it, mean 0 and length 1, shape (n, pixels)."""
    inner = slice(_RIM_PX, -_RIM_PX)
    rows = []
    for picture in pictures:
        small = cv2.resize(picture, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
        fine = small - np.asarray(cv2.GaussianBlur(small, (0, 0), _BLUR_PX), np.float32)
        local = (
            np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), 2 * _BLUR_PX)) + 1.0
        )  # a bright gland must not count alone
        rows.append((fine / local)[inner, inner].ravel())
    vectors = np.stack(rows)
    vectors -= vectors.mean(axis=1, keepdims=True)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return vectors
