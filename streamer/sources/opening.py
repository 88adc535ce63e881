"""Picks the source for a path by what is there, not by its name."""

from __future__ import annotations

import re
from pathlib import Path

from streamer.errors import InputError
from streamer.sources.base import Source, display_name
from streamer.sources.file import VideoFile
from streamer.sources.stills import FOLDER_FPS, STILL_FPS, Stills, is_still

_HEAD_BYTES = 132
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def open_source(path: str | Path, *, name: str | None = None, folder_fps: float = FOLDER_FPS) -> Source:
    """Open a video file, a still, or a folder of stills.

    Args:
        path: local path; its extension does not matter.
        name: display name in place of the file or folder name.
        folder_fps: frame rate of a folder of stills, in frames per second, above 0.

    Raises:
        InputError: missing, empty, unreadable, a URL, DICOM, not a recording, too large, or nothing can be decoded.
    """
    location = Path(path)
    shown = display_name(location)
    label = shown if name is None else name
    try:
        if not location.exists():
            if _URL.match(str(path)):
                raise InputError("a URL is not read: give the path of a file on this machine")
            raise InputError(f"there is no file or folder {shown}")
        if location.is_dir():
            return Stills.of_folder(location, name=label, fps=folder_fps)
        if not location.is_file():
            raise InputError(f"{shown} is not a regular file")
        with location.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a null character in the name
        raise InputError(f"{shown} is not a valid path") from error
    if not head:
        raise InputError(f"{shown} is empty (0 bytes)")
    if head[128:] == b"DICM":  # DICOM PS3.10, section 7.1
        raise InputError(f"{shown} is a DICOM file, which is not supported yet; export it as mp4 or avi")
    if is_still(head):
        return Stills([location], name=label, fps=STILL_FPS)
    return VideoFile(location, name=label)
