"""The pictures in a picture file, in order and with their times, through Pillow."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path

import numpy as np
from PIL import ImageOps
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.MpoImagePlugin import MpoImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile
from pillow_heif import HeifImageFile

from streamer.errors import InputError
from streamer.sources._container import check_frame_size
from streamer.sources._convert import DARK, over_black
from streamer.sources._still_magic import HEAD_BYTES, StillKind, still_kind
from streamer.sources.base import display_name
from streamer.types import Image

logging.getLogger("PIL").setLevel(logging.CRITICAL)  # it logs what it raises, too: an error of ours is one line

_PHOTOMETRIC, _MIN_IS_WHITE = 262, 0  # TIFF 6.0, section 8
_NEW_SUBFILE, _REDUCED_OR_MASK = 254, 0b101
_OLD_SUBFILE, _REDUCED = 255, 2
_MPF_ENTRIES = 0xB002

_Opener = Callable[..., ImageFile]
_OPENERS: Mapping[StillKind, _Opener] = {
    "jpeg": jpeg_factory,
    "png": PngImageFile,
    "tiff": TiffImageFile,
    "bmp": BmpImageFile,
    "webp": WebPImageFile,
    "avif": AvifImageFile,
    "heif": HeifImageFile,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture that was read.

    Attributes:
        image: upright RGB, shape (height, width, 3).
        count: how many its file shows.
        dark: whether its values have 16 bits and do not reach a quarter of their range.
        start_s: when it is shown, in seconds from the first picture of its file; None where the file does not say.
        duration_s: how long it is shown, in seconds; None where the file does not say.
    """

    image: Image
    count: int = 1
    dark: bool = False
    start_s: Fraction | None = None
    duration_s: Fraction | None = None


def read_pictures(path: Path, remark: Callable[[str], None]) -> Iterator[Picture]:
    """Read what a file shows: one picture, the pages of a TIFF, the frames of an animation, the pictures of a burst.

    EXIF orientation is applied, transparency falls on black, 16-bit values keep their upper 8 bits. Thumbnails, masks
    and auxiliary pictures are no pictures of their own.

    Args:
        path: the file.
        remark: told in one line of pictures that are left out on purpose.

    Raises:
        InputError: damaged, cut short, too large, or of a kind that has no 8-bit meaning (floating point); after the
            first picture, what came before it is sound.
    """
    shown, position = display_name(path), 0
    try:
        with path.open("rb") as file:
            kind = still_kind(file.read(HEAD_BYTES))
            if kind is None:
                raise InputError(f"{shown} is not a still that can be read")
            file.seek(0)
            with warnings.catch_warnings(action="ignore"), _OPENERS[kind](file) as opened:  # remarks on odd tags
                positions = _positions(opened, shown, remark)
                for number in positions:
                    with warnings.catch_warnings(action="ignore"):
                        opened.seek(number)
                        picture = _read(opened, shown, len(positions))
                    yield picture
                    position += 1
    except InputError as error:
        raise InputError(f"from picture {position + 1} on: {error}" if position else str(error)) from error
    except OSError as error:
        reason = error.strerror or "the still is damaged or cut short"
        raise _from(position, f"{shown} cannot be read: {reason}", shown) from error
    except Exception as error:  # a damaged still makes Pillow raise nearly anything
        raise _from(position, f"{shown} is a damaged still or of an unknown kind", shown) from error


def _from(position: int, reason: str, shown: str) -> InputError:
    if not position:
        return InputError(reason)
    return InputError(f"{shown} is damaged: from picture {position + 1} on it cannot be read")


def _positions(opened: ImageFile, shown: str, remark: Callable[[str], None]) -> list[int]:
    """Which of a file's pictures are to be seen, in order."""
    if isinstance(opened, TiffImageFile):
        return _pages(opened)
    number_of, first = getattr(opened, "n_frames", 1), opened.tell()
    if number_of == 1:
        return [first]
    if isinstance(opened, PngImageFile) and opened.default_image:  # APNG: shown by those who know no animation
        return [*range(1, number_of)]
    if isinstance(opened, HeifImageFile) and len({_size(opened, number) for number in range(number_of)}) > 1:
        remark(f"{shown} holds {number_of} pictures of several sizes; only the primary one is read")
        return [first]
    if isinstance(opened, MpoImageFile):
        entries = (opened.mpinfo or {}).get(_MPF_ENTRIES, [])
        kinds = {entry["Attribute"]["MPType"] for entry in entries}  # CIPA DC-007, 5.2.3
        if any("Multi-Frame" in kind for kind in kinds):
            remark(f"{shown} holds {number_of} pictures; only the primary one is read")
        return [first]
    return [*range(number_of)]


def _pages(opened: TiffImageFile) -> list[int]:
    """Pages that are no smaller copy of another and no mask (TIFF 6.0, section 8); the last may turn out damaged."""
    pages = []
    for number in count():
        try:
            opened.seek(number)
        except EOFError:
            break
        except Exception:  # cut short: reading it will say so
            pages.append(number)
            break
        tags = opened.tag_v2
        if not tags.get(_NEW_SUBFILE, 0) & _REDUCED_OR_MASK and tags.get(_OLD_SUBFILE) != _REDUCED:
            pages.append(number)
    return pages or [0]


def _size(opened: ImageFile, number: int) -> tuple[int, int]:
    opened.seek(number)
    return opened.size


def _read(opened: ImageFile, shown: str, pictures: int) -> Picture:
    check_frame_size(*opened.size, shown)
    has_16_bits = any(";16" in str(tile.args) for tile in opened.tile)
    image, dark = _rgb(opened, shown)
    start_ms, duration_ms = (opened.info.get(key) if pictures > 1 else None for key in ("timestamp", "duration"))
    return Picture(
        image=image,
        count=pictures,
        dark=dark if dark is not None else has_16_bits and bool(image.max() <= DARK),
        start_s=None if start_ms is None else Fraction(start_ms) / 1000,
        duration_s=Fraction(duration_ms) / 1000 if duration_ms and duration_ms > 0 else None,
    )


def _rgb(opened: ImageFile, shown: str) -> tuple[Image, bool | None]:
    """Upright RGB, and whether it is dark for want of bits; None where that is to be seen from the image.

    Raises:
        InputError: floating-point pixels.
    """
    upright = ImageOps.exif_transpose(opened)
    if upright.mode == "F":
        raise InputError(f"{shown} has floating-point pixels, which are not read; convert it to 8 or 16 bits")
    if upright.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it at 255
        values = np.clip(np.asarray(upright), 0, 0xFFFF)
        if isinstance(opened, TiffImageFile) and opened.tag_v2.get(_PHOTOMETRIC) == _MIN_IS_WHITE:
            values = 0xFFFF - values  # which Pillow does for 8 bits only
        grey = (values >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2), bool(grey.max() <= DARK)
    if upright.has_transparency_data:
        return over_black(np.asarray(upright.convert("RGBA"))), None
    return np.asarray(upright.convert("RGB")), None
