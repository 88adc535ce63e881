"""Near-duplicate images across splits: the same picture saved again, cropped a little differently, or with calipers.

Images that only look alike are no duplicates: views from one scanner share layout, skin line and brightness. So
thumbnails are compared without their low frequencies, first at 32 px, where one matrix product compares all with all,
then the few candidates at 96 px and at all shifts up to 8 px, where the same picture still shows the same texture (a
crop may take off 2 % of the sides; turned or mirrored copies are not found).

Measured on the public sets, over all pairs of different patients: the least alike true duplicate (two TN3K stills of
neighbouring numbers) correlates with 0.64 at 96 px; the most alike other pair with 0.49 (DDTI), 0.37 (cine sweeps of
one neck) and 0.26 (two sets).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from streamer.backends.select import available_cores
from streamer.data.grey import read_grey
from streamer.data.pixels import read_clip
from streamer.data.samples import Sample
from streamer.errors import DataError
from streamer.types import Grey

_MIN_COARSE = 0.6
_MIN_FINE = 0.6
_COARSE_PX, _FINE_PX, _SHIFT_PX = 32, 96, 8
_BLUR_PX = 2.0
"""Standard deviation of the Gaussian that is taken off, at both sizes."""
_TRIES = 20
"""Candidates an image that are compared at 96 px, the likeliest first."""
_EVERY = 8
"""Of a clip, every eighth of the frames listed is compared: a copied clip agrees in all of them."""
_ROWS = 512


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """A held-out image, and the one it nearly equals among those that were to be seen before."""

    held: Sample
    seen: Sample

    def __str__(self) -> str:
        return (
            f"{self.held.place} ({self.held.source}, {self.held.split}) is nearly the same image as "
            f"{self.seen.place} ({self.seen.source}, {self.seen.split})"
        )


def find_near_duplicates(*ranks: Sequence[Sample]) -> list[NearDuplicate]:
    """The images of each rank that nearly equal one of an earlier rank, each with its likeliest duplicate.

    Args:
        ranks: for example training, validation and test images.

    Raises:
        DataError: an image or clip cannot be read.
    """
    samples: list[Sample] = []
    starts = []
    for rank in ranks:
        starts.append(len(samples))
        samples += _thinned(rank)
    thumbnails = _thumbnails(samples)
    vectors = _unit_vectors(thumbnails)
    duplicates = []
    for start, end in pairwise([*starts[1:], len(samples)]):
        for first in range(start, end, _ROWS):
            likeness = vectors[first : min(first + _ROWS, end)] @ vectors[:start].T
            duplicates += [
                NearDuplicate(samples[held], samples[seen]) for held, seen in _confirmed(likeness, first, thumbnails)
            ]
    return duplicates


def merge_groups_sharing_images(samples: Sequence[Sample]) -> tuple[list[Sample], list[NearDuplicate]]:
    """Samples in which groups that share nearly the same image are one, called after the first of them.

    One picture under two case numbers is one patient twice: resampled as two, it would make intervals too narrow.

    Returns:
        The samples, and the pairs that joined groups.

    Raises:
        DataError: an image or clip cannot be read.
    """
    compared = list(_thinned(samples))
    thumbnails = _thumbnails(compared)
    vectors = _unit_vectors(thumbnails)
    groups = np.array([sample.group for sample in compared])
    name = {sample.group: sample.group for sample in samples}
    duplicates = []
    for first in range(0, len(compared), _ROWS):
        rows = slice(first, min(first + _ROWS, len(compared)))
        likeness = vectors[rows] @ vectors[: rows.stop].T
        likeness[groups[rows, None] == groups[None, : rows.stop]] = -1
        likeness[np.arange(rows.start, rows.stop)[:, None] <= np.arange(rows.stop)[None]] = -1  # each pair once
        for later, earlier in _confirmed(likeness, first, thumbnails):
            duplicates.append(NearDuplicate(compared[later], compared[earlier]))
            old, new = name[compared[later].group], name[compared[earlier].group]
            name = {group: new if called == old else called for group, called in name.items()}
    return [replace(sample, group=name[sample.group]) for sample in samples], duplicates


def without_near_duplicates(samples: Iterable[Sample], duplicates: Iterable[NearDuplicate]) -> list[Sample]:
    """Leave out the held-out images that have a duplicate; of a clip, every frame that is held out with it."""
    gone = {(duplicate.held.image, duplicate.held.split) for duplicate in duplicates}
    return [sample for sample in samples if (sample.image, sample.split) not in gone]


def raise_on_near_duplicates(duplicates: Sequence[NearDuplicate], remedy: str) -> None:
    """Refuse data with near-duplicates across splits.

    Raises:
        DataError: there are some; names the first pair, its splits, and the remedy.
    """
    if duplicates:
        more = f" ({len(duplicates) - 1} more such pairs)" if len(duplicates) > 1 else ""
        raise DataError(f"{duplicates[0]}{more}: {remedy}")


def _thinned(samples: Iterable[Sample]) -> Iterator[Sample]:
    position: Counter[Path] = Counter()
    for sample in samples:
        if sample.frame is None or position[sample.image] % _EVERY == 0:
            yield sample
        position[sample.image] += 1


def _thumbnails(samples: Sequence[Sample]) -> list[Grey]:
    groups = [list(group) for _, group in groupby(samples, key=lambda sample: sample.image)]
    with ThreadPoolExecutor(available_cores(), thread_name_prefix="thumbnails") as pool:
        return [thumbnail for part in pool.map(_read, groups) for thumbnail in part]


def _read(samples: Sequence[Sample]) -> list[Grey]:
    """Thumbnails of one still, or of frames of one clip, shape (96, 96)."""
    image = samples[0].image
    if samples[0].frame is None:
        return [_shrunk(read_grey(image, how=cv2.IMREAD_REDUCED_GRAYSCALE_2), _FINE_PX)] * len(samples)
    clip = read_clip(image)
    wanted = [sample.frame or 0 for sample in samples]
    if max(wanted) >= len(clip):
        raise DataError(f"{image} has {len(clip)} frames; the data name frame {max(wanted)}")
    return [_shrunk(clip[number], _FINE_PX) for number in wanted]


def _shrunk(grey: Grey, side: int) -> Grey:
    return np.asarray(cv2.resize(grey, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _detail(thumbnail: Grey) -> npt.NDArray[np.float32]:
    pixels = thumbnail.astype(np.float32)
    return pixels - np.asarray(cv2.GaussianBlur(pixels, (0, 0), _BLUR_PX), np.float32)


def _unit_vectors(thumbnails: Sequence[Grey]) -> npt.NDArray[np.float32]:
    """The detail of each thumbnail at 32 px, shape (n, 1024), mean 0 and length 1; an even image is all zero."""
    vectors = np.empty((len(thumbnails), _COARSE_PX**2), np.float32)
    for number, thumbnail in enumerate(thumbnails):
        vectors[number] = _detail(_shrunk(thumbnail, _COARSE_PX)).ravel()
    vectors -= vectors.mean(axis=1, keepdims=True)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return vectors


def _confirmed(likeness: npt.NDArray[np.float32], first: int, thumbnails: Sequence[Grey]) -> Iterator[tuple[int, int]]:
    """Of a block of rows (held out, numbered from `first`) against columns (seen): the pairs that are duplicates."""
    for row in np.flatnonzero((likeness >= _MIN_COARSE).any(axis=1)).tolist():
        tried = np.argsort(-likeness[row], kind="stable")[:_TRIES]
        for column in tried[likeness[row, tried] >= _MIN_COARSE].tolist():
            if _fine_likeness(thumbnails[first + row], thumbnails[column]) >= _MIN_FINE:
                yield first + row, column
                break


def _fine_likeness(one: Grey, other: Grey) -> float:
    inner = _detail(other)[_SHIFT_PX:-_SHIFT_PX, _SHIFT_PX:-_SHIFT_PX]
    return float(cv2.matchTemplate(_detail(one), inner, cv2.TM_CCOEFF_NORMED).max())
