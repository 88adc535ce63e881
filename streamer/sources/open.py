"""Picks the source for a path or address by what is there, not by its name."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import get_args

from streamer.dicom.library import require_dicom
from streamer.dicom.magic import is_dicom
from streamer.errors import InputError
from streamer.sources._deinterlace import Deinterlacing
from streamer.sources._hwaccel import Decoder
from streamer.sources._recording import Recording
from streamer.sources._still_magic import HEAD_BYTES, is_still
from streamer.sources._url import URL, Capture, device_address, url_address
from streamer.sources.base import Source, display_name, given_name, is_rate
from streamer.sources.clips import expand_clips
from streamer.sources.file import VideoFile
from streamer.sources.images import FOLDER_FPS, Stills
from streamer.sources.replay import PacedRecording
from streamer.sources.stream import Listener, LiveStream
from streamer.types import checked_spacing


def open_source(
    path: str | Path,
    *,
    name: str | None = None,
    folder_fps: float = FOLDER_FPS,
    decoder: Decoder = "cpu",
    deinterlace: Deinterlacing = "auto",
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> Source:
    """Open a video file, a DICOM file, a still, a file of several pictures, or a folder of stills.

    Args:
        path: local path; its extension does not matter.
        name: display name in place of the file or folder name.
        folder_fps: frame rate of stills that carry no times, of a folder or a TIFF, in frames per second, above 0.
        decoder: what decodes a video.
        deinterlace: which pictures of a video are deinterlaced.
        pixel_spacing_mm: size of a pixel in millimetres, x and y, in place of what the file says.

    Raises:
        InputError: missing, empty, unreadable, a URL, not a recording, too large, or nothing can be decoded; or the
            name is empty, or `folder_fps`, `decoder` or `deinterlace` none of theirs.
        DeviceError: `decoder` cannot be had.
        ValueError: the spacing is not two numbers from 0.001 to 5.

    Example:
        >>> with open_source("sweep.mp4") as source:  # doctest: +SKIP
        ...     print(source.info.fps, sum(1 for _ in source.frames()))
    """
    _check_options(decoder, deinterlace)
    if not is_rate(folder_fps):
        raise InputError(f"folder_fps must be a number of frames a second above 0, not {folder_fps!r}")
    spacing_mm = None if pixel_spacing_mm is None else checked_spacing(pixel_spacing_mm)
    source = _open(path, None if name is None else given_name(name), folder_fps, decoder, deinterlace)
    if spacing_mm is not None:
        source.pixel_spacing_mm = spacing_mm
    return source


def _check_options(decoder: object, deinterlace: object) -> None:
    for name, value, known in (("decoder", decoder, Decoder), ("deinterlace", deinterlace, Deinterlacing)):
        if value not in get_args(known):
            raise InputError(f"{name} must be {' or '.join(get_args(known))}, not {value!r}")


def _open(
    path: str | Path, name: str | None, folder_fps: float, decoder: Decoder, deinterlace: Deinterlacing
) -> Recording:
    location = _as_path(path)
    shown = display_name(location)
    label = shown if name is None else name
    try:
        if not location.exists():
            if URL.match(str(path)):
                raise InputError("a URL is not read: give the path of a file on this machine, or live --source")
            raise InputError(f"there is no file or folder {shown}")
        location = _only_clip(location, shown)
        if location.is_dir():
            return Stills.of_folder(location, name=label, fps=folder_fps)
        if not location.is_file():
            raise InputError(f"{shown} is not a regular file")
        with location.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a null character in the name
        raise InputError(f"{shown} is not a valid path") from error
    if not head:
        raise InputError(f"{shown} is empty (0 bytes)")
    if is_dicom(head):
        return _open_dicom(location, label)
    if is_still(head):
        return Stills([location], name=label, stack_fps=folder_fps)
    return VideoFile(location, name=label, decoder=decoder, deinterlace=deinterlace)


def _only_clip(location: Path, shown: str) -> Path:
    """The one clip in a folder of DICOM files; any other path as it is."""
    clips = expand_clips([location])
    if len(clips) > 1:
        raise InputError(f"{shown} holds {len(clips)} clips, which only a run takes at once; give one")
    return clips[0]


def _open_dicom(path: Path, name: str) -> Recording:
    """Imported here: the libraries are an extra, and need not be there for anything else."""
    require_dicom(f"{name} is a DICOM file, which")
    from streamer.sources.dicom import DicomFile

    try:
        return DicomFile(path, name=name)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or type(error).__name__}") from error


def open_live(
    uri: str | Path,
    *,
    loop: bool = False,
    on_event: Listener = lambda _: None,
    decoder: Decoder = "cpu",
    deinterlace: Deinterlacing = "auto",
    capture: Capture | None = None,
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> Source:
    """Open a live source: of its frames the newest is analysed next (see `Source.live`).

    Args:
        uri: URL of a stream (rtsp, rtsps, http, https, udp, tcp), capture device (/dev/video0), or a recording, which
            is then played at its own pace. User and password in a URL are kept out of all names and messages.
        loop: repeat a recording until the source is closed.
        on_event: told in one line when the connection to a stream or device is lost, and when it is back.
        decoder: what decodes.
        deinterlace: which pictures are deinterlaced.
        capture: picture size, rate and format of a device; its own choice if None.
        pixel_spacing_mm: size of a pixel in millimetres, x and y, in place of what the source says.

    Raises:
        InputError: it cannot be opened, or not as asked; a stream that is lost later is waited for.
        DeviceError: `decoder` cannot be had.
        ValueError: the spacing is not two numbers from 0.001 to 5.
    """
    _check_options(decoder, deinterlace)
    if capture is not None and not isinstance(capture, Capture):
        raise InputError(f"capture must be a Capture, not a {type(capture).__name__}")
    if not callable(on_event):
        raise InputError(f"on_event must be a function, not a {type(on_event).__name__}")
    spacing_mm = None if pixel_spacing_mm is None else checked_spacing(pixel_spacing_mm)
    source = _open_live(uri, loop, on_event, decoder, deinterlace, capture)
    if spacing_mm is not None:
        source.pixel_spacing_mm = spacing_mm
    return source


def _open_live(
    uri: str | Path,
    loop: bool,
    on_event: Listener,
    decoder: Decoder,
    deinterlace: Deinterlacing,
    capture: Capture | None,
) -> LiveStream | PacedRecording:
    path = _as_path(uri)
    is_device = not URL.match(str(uri)) and _is_device(path)
    if capture is not None and not is_device:
        raise InputError("picture size, rate and format can be chosen for a capture device only")
    if not is_device and not URL.match(str(uri)):
        return PacedRecording(partial(open_source, path, decoder=decoder, deinterlace=deinterlace), loop=loop)
    if loop:
        raise InputError(f"only a recording can be repeated, not a {'device' if is_device else 'URL'}")
    address = device_address(str(path), display_name(path), capture) if is_device else url_address(str(uri))
    return LiveStream(address, on_event=on_event, decoder=decoder, deinterlace=deinterlace)


def _as_path(path: str | Path) -> Path:
    """The path that a caller gave.

    Raises:
        InputError: it is empty, which would be the current folder, or no path at all.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"a path or address is needed, not a {type(path).__name__}")
    if not str(path):
        raise InputError("the path is empty")
    return Path(path)


def _is_device(path: Path) -> bool:
    """Whether it is, or would be, a device; the names by which udev links to one count too."""
    try:
        return Path(os.path.realpath(path)).parent == Path("/dev")
    except ValueError:  # no valid path at all, as `open_source` will tell
        return False
