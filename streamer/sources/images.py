"""Stills, and folders of numbered stills, through Pillow."""

from __future__ import annotations

import re
import warnings
from collections.abc import Generator, Sequence
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, Self

import numpy as np
from PIL import ImageOps
from PIL.BmpImagePlugin import BmpImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from streamer.errors import InputError
from streamer.sources._container import check_frame_size
from streamer.sources._convert import over_black
from streamer.sources._recording import Recording
from streamer.sources.base import display_name
from streamer.types import Frame, Image

STILL_FPS = 1.0
"""Nominal rate of a single still: it is shown for one second."""

FOLDER_FPS = 30.0
"""Rate assumed for a folder of stills, which carries no times (the usual rate of an ultrasound export)."""

HEAD_BYTES = 16
_PHOTOMETRIC, _MIN_IS_WHITE = 262, 0  # TIFF 6.0, section 8
_READERS: tuple[tuple[re.Pattern[bytes], type[ImageFile]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), JpegImageFile),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PngImageFile),
    (re.compile(rb"II\*\x00|MM\x00\*"), TiffImageFile),
    (re.compile(rb"BM.{4}\x00{4}", re.DOTALL), BmpImageFile),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImageFile),
)


def is_still(head: bytes) -> bool:
    """True if a file that begins with `head` (at least `HEAD_BYTES` of it) is a still of a known kind."""
    return _reader(head) is not None


def holds_stills(folder: Path) -> bool:
    """Whether a folder holds a still, by content; False where it cannot be listed."""
    try:
        return any(path.is_file() and _is_still_file(path) for path in folder.iterdir())
    except OSError:
        return False


class Stills(Recording):
    """A `Source` of one still, or of many that play as a clip.

    Frame times are position / fps. A still that cannot be read is left out with a warning, and its time stays empty.
    """

    def __init__(self, paths: Sequence[Path], *, name: str, fps: float) -> None:
        """Read the first of `paths`, which are shown in the order given.

        Raises:
            InputError: not one of them can be read.
        """
        super().__init__(name)
        self.fps = fps
        self.expected_frames = len(paths)
        self._paths = paths
        if not self._begin(self._generate()):
            reason = self._warnings[0] if len(paths) == 1 else f"{name}: none of its {len(paths)} stills can be read"
            raise InputError(reason)

    @classmethod
    def of_folder(cls, folder: Path, *, name: str, fps: float = FOLDER_FPS) -> Self:
        """The stills in a folder, found by content, ordered by the numbers in their names; other files are ignored.

        Raises:
            InputError: the folder cannot be listed, holds no still, or none can be read.
        """
        try:
            files = [path for path in folder.iterdir() if path.is_file()]
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror}") from error
        paths = sorted((path for path in files if _is_still_file(path)), key=natural_order)
        if not paths:
            raise InputError(f"the folder {name} holds no stills (jpg, png, tif, bmp, webp)")
        source = cls(paths, name=name, fps=fps)
        source._warnings.append(f"stills carry no times; {fps:g} frames a second assumed")
        return source

    def _generate(self) -> Generator[Frame]:
        index, pointed_out = 0, False
        start = perf_counter()
        for position, path in enumerate(self._paths):
            try:
                image, pictures, dark = read_still(path)
            except InputError as error:
                self._warnings.append(str(error))
                continue
            if pictures > 1:
                self._warnings.append(f"{display_name(path)} holds {pictures} pictures; only the first is read")
            if dark and not pointed_out:
                pointed_out = True
                self._warnings.append(
                    f"{display_name(path)} uses few of its 16 bits, and is nearly black; export it with 8 bits"
                )
            self._note_size(image, index)
            self.duration_s = (position + 1) / self.fps
            decode_ms = (perf_counter() - start) * 1e3
            yield Frame(image=image, index=index, time_s=position / self.fps, video=self.name, decode_ms=decode_ms)
            index += 1
            start = perf_counter()
        self.complete = index == len(self._paths)


class Still(NamedTuple):
    """A still that was read.

    Attributes:
        image: upright RGB, shape (height, width, 3).
        pictures: how many its file holds.
        dark: whether its values have 16 bits and do not reach a sixteenth of their range.
    """

    image: Image
    pictures: int
    dark: bool


def read_still(path: Path) -> Still:
    """Read a still.

    EXIF orientation is applied, transparency falls on black, 16-bit values keep their upper 8 bits.

    Raises:
        InputError: damaged, cut short, too large, or of a kind that has no 8-bit meaning (floating point).
    """
    shown = display_name(path)
    try:
        with path.open("rb") as file:
            reader = _reader(file.read(HEAD_BYTES))
            if reader is None:
                raise InputError(f"{shown} is not a still that can be read")
            file.seek(0)
            with warnings.catch_warnings(action="ignore"), reader(file) as picture:  # remarks on odd tags
                check_frame_size(*picture.size, shown)
                image, dark = _rgb(picture, shown)
                return Still(image, getattr(picture, "n_frames", 1), dark)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror or 'the still is damaged or cut short'}") from error
    except Exception as error:  # a damaged still makes Pillow raise nearly anything
        raise InputError(f"{shown} is a damaged still or of an unknown kind") from error


def _rgb(picture: ImageFile, shown: str) -> tuple[Image, bool]:
    """Upright RGB of an opened still, and whether it is dark for want of bits.

    Raises:
        InputError: floating-point pixels.
    """
    upright = ImageOps.exif_transpose(picture)
    if upright.mode == "F":
        raise InputError(f"{shown} has floating-point pixels, which are not read; convert it to 8 or 16 bits")
    if upright.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it at 255
        values = np.clip(np.asarray(upright), 0, 0xFFFF)
        if isinstance(picture, TiffImageFile) and picture.tag_v2.get(_PHOTOMETRIC) == _MIN_IS_WHITE:
            values = 0xFFFF - values  # which Pillow does for 8 bits only
        grey = (values >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2), bool(values.max() < 0x1000)
    if upright.has_transparency_data:
        return over_black(np.asarray(upright.convert("RGBA"))), False
    return np.asarray(upright.convert("RGB")), False


def _reader(head: bytes) -> type[ImageFile] | None:
    return next((reader for pattern, reader in _READERS if pattern.match(head)), None)


def _is_still_file(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return is_still(file.read(HEAD_BYTES))
    except OSError:
        return False


def natural_order(path: Path) -> tuple[list[str | int], str]:
    """Sorts frame2 before frame10: text and numbers alternate, so that like is compared with like."""
    parts = re.split(r"(\d+)", path.name)
    return [int(part) if part.isdecimal() else part.casefold() for part in parts], path.name
