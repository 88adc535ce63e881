"""Reads a planar image from a JPEG or PNG export, or from a DICOM file of nuclear medicine."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from streamer.errors import DataError
from streamer.scintigraphy.colour_maps import grey_levels
from streamer.scintigraphy.image import SIMULATED_MARK, PlanarImage, checked_pixels

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
SUFFIXES = (*PICTURE_SUFFIXES, *DICOM_SUFFIXES)
"""What a folder is searched for; a file that is named may have any suffix or none."""

_PREAMBLE = 128
_PNG_BIT_DEPTH = 24
"""Where a PNG says how many bits a channel has (PNG specification, IHDR); Pillow reads 16-bit RGB as 8-bit RGB."""


def read_image(path: Path, *, colour_map: str | None = None, frame: int | None = None) -> PlanarImage:
    """Read the planar image to be classified.

    Args:
        path: JPEG, PNG or DICOM file.
        colour_map: of a coloured export, where it is known; None to find out.
        frame: of a DICOM file, the frame; None for the anterior view in the window of 99mTc, or the first there is.

    Raises:
        DataError: it cannot be read, is not a planar image of nuclear medicine, or holds no usable counts.

    Example:
        >>> read_image(Path("no-such.jpg"))
        Traceback (most recent call last):
        ...
        streamer.errors.DataError: cannot read the image no-such.jpg: No such file or directory
    """
    content = _content(path)
    if _is_dicom(content):
        from streamer.scintigraphy.nuclear_dicom import chosen_view, read_views

        return chosen_view(read_views(content, str(path)), str(path), frame)
    if frame:
        raise DataError(f"{path}: a picture has no frame {frame}; leave the frame out")
    return _read_picture(content, str(path), colour_map)


def is_image(path: Path) -> bool:
    """Whether what lies in a folder is taken for an image: by its ending, and not if it is hidden, as macOS's `._*`."""
    return path.suffix.lower() in SUFFIXES and not is_hidden(path) and path.is_file()


def is_hidden(path: Path) -> bool:
    """Whether a file or folder is hidden, as on Unix."""
    return path.name.startswith(".")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the image {path}: {error.strerror}") from error


def _is_dicom(content: bytes) -> bool:
    return content[_PREAMBLE : _PREAMBLE + 4] == b"DICM"


def _read_picture(content: bytes, place: str, colour_map: str | None) -> PlanarImage:
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(content), formats=["JPEG", "PNG"]) as picture:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            mode, comment = picture.mode, picture.info.get("comment") or picture.info.get("Comment") or ""
            if mode.startswith(("I", "F")) or (picture.format == "PNG" and content[_PNG_BIT_DEPTH] > 8):
                raise DataError(
                    f"{place}: a picture of 16 bits a pixel, which may be counts or not: export 8 bits, or DICOM NM"
                )
            rgb = np.asarray(picture.convert("RGB"), np.uint8)
    # ImportError: once ultralytics is imported, its `Image.open` looks for a HEIF library where the picture is none.
    except (ImportError, OSError, SyntaxError, ValueError, Image.DecompressionBombWarning) as error:
        raise DataError(f"cannot read the image {place}: it is neither JPEG, PNG nor DICOM, or damaged") from error
    if isinstance(comment, bytes):
        comment = comment.decode("ascii", "replace")
    levels, name = grey_levels(rgb, place, colour_map)
    return PlanarImage(
        pixels=checked_pixels(levels, place),
        kind="grey levels",
        simulated=str(comment).startswith(SIMULATED_MARK),
        colour_map=name,
    )
