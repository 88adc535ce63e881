"""What every source offers, and the limits they share."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from streamer.errors import InputError
from streamer.types import ClipInfo, Frame, Plane

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MAX_FRAME_PIXELS = 64 * 1024 * 1024
"""Largest frame accepted, in pixels (8192x8192). 8K is half of it; a file that claims more may be a bomb."""


class Source(Protocol):
    """A recording or a live picture that gives its frames once, in order. Use it as a context manager, or close it.

    `complete`, `warnings` and `duration_s` are final once `frames` is exhausted. One thread at a time may use a source,
    except that any thread may close a live one: its frames then end.
    """

    @property
    def info(self) -> ClipInfo:
        """What is known of it before its frames are read."""
        ...

    @property
    def live(self) -> bool:
        """True where frames come whether or not somebody is ready for them, and only the newest is of interest.

        All that is different for a live source follows from this: see `pipeline.scheduler`.
        """
        ...

    @property
    def expected_frames(self) -> int | None:
        """Number of frames the container announces, for progress only; may be a guess; None if unknown."""
        ...

    @property
    def complete(self) -> bool:
        """True once every frame has been delivered whole; False before that, and where the recording is damaged.

        A live source has delivered all once it was closed, or ended, with its connection never lost.
        """
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know, one line each."""
        ...

    @property
    def duration_s(self) -> float:
        """End of the last delivered frame, in seconds from the first frame."""
        ...

    def frames(self) -> Iterator[Frame]:
        """Every frame exactly once, in display order; times increase strictly from 0.

        A live source gives each as it arrives, with `arrived_s`, and must be read at once.

        Raises:
            RuntimeError: called a second time.
        """
        ...

    def close(self) -> None:
        """Release the file or device; may be called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def checked_source(source: Source) -> Source:
    """The source, if it is one and open.

    Raises:
        InputError: it lacks a member of `Source`, or says nothing usable of itself.
    """
    kind = type(source).__name__
    members = ("info", "live", "expected_frames", "complete", "warnings", "duration_s", "frames", "close")
    missing = [name for name in members if not hasattr(source, name)]
    if missing:
        raise InputError(f"{kind} is no Source: it has no {' and no '.join(missing)}")
    if not isinstance(source.info, ClipInfo):
        raise InputError(f"{kind}.info must be a ClipInfo, not a {type(source.info).__name__}")
    if not is_rate(source.info.fps):
        raise InputError(f"{kind}.info.fps must be a finite number above 0, not {source.info.fps}")
    return source


def is_rate(value: object) -> bool:
    """Whether it is a number of frames per second: finite and above 0."""
    return isinstance(value, (int, float, Fraction, np.number)) and bool(0 < value < math.inf)


def checked_frames(source: Source) -> Iterator[Frame]:
    """The frames of a source, as long as they are what `Source.frames` promises.

    Raises:
        InputError: one is not; after all frames before it.
    """
    name, last_index, last_s = source.info.name, -1, -math.inf
    for frame in source.frames():
        problem = _problem(frame, name, last_index, last_s)
        if problem:
            which = "the first frame" if last_index < 0 else f"the frame after {last_index}"
            raise InputError(f"{name}, {which}: {problem}")
        last_index, last_s = frame.index, frame.time_s
        yield frame


def _problem(frame: object, name: str, last_index: int, last_s: float) -> str:
    """What is wrong with a frame, in a line; empty if nothing is."""
    if not isinstance(frame, Frame):
        return f"must be a Frame, not a {type(frame).__name__}"
    image: object = frame.image
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        kind = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        return f"image must be a uint8 array of shape (height, width, 3), not {kind}"
    if frame.video != name:
        return f"video must be the source's info.name, not {frame.video!r}"
    if frame.index <= last_index:
        return f"index must increase, not be {frame.index}"
    if not last_s < frame.time_s < math.inf:
        return f"time_s must be finite and increase, not be {frame.time_s}"
    return ""


class Described:
    """Base of a source that keeps what is known of it as attributes, and hands it on as a `ClipInfo`.

    Attributes:
        name: display name.
        width, height: size of the first upright frame in pixels.
        fps: nominal frame rate in frames per second.
        pixel_aspect: width of an upright frame's pixel over its height.
        pixel_spacing_mm: size of a pixel in millimetres, x and y; None where the scale is unknown.
        scan_region_xyxy: the part of the frame that shows tissue; None for all of it.
        attributes: what the source says besides.
        header: of a DICOM file; None for other sources.
        plane: plane of the sweep; None where it is not known.
    """

    name: str
    width: int
    height: int
    fps: float
    pixel_aspect: Fraction = Fraction(1)
    pixel_spacing_mm: tuple[float, float] | None = None
    scan_region_xyxy: tuple[int, int, int, int] | None = None
    attributes: Mapping[str, str] = MappingProxyType({})
    header: Dataset | None = None
    plane: Plane | None = None

    def describe(self, info: ClipInfo) -> None:
        """Take over what is known of another source."""
        for name in ClipInfo.__dataclass_fields__:
            setattr(self, name, getattr(info, name))

    @property
    def info(self) -> ClipInfo:
        """What is known of it by now."""
        return ClipInfo(
            name=self.name,
            width=self.width,
            height=self.height,
            fps=self.fps,
            pixel_aspect=self.pixel_aspect,
            pixel_spacing_mm=self.pixel_spacing_mm,
            scan_region_xyxy=self.scan_region_xyxy,
            attributes=self.attributes,
            header=self.header,
            plane=self.plane,
        )


def result_name(path: Path) -> str:
    """What results of a clip may be called: its file's name without the suffix, or its folder's, dots and all."""
    named = path if path.name not in ("", "..") else Path(os.path.realpath(path))
    folder = os.path.isdir(path)  # noqa: PTH112  # False for what is no valid path, where `Path.is_dir` may raise
    name = named.name if folder else named.stem
    return name if name.strip(". ") else "clip"  # "...mp4" is no name of a folder


def display_name(path: Path) -> str:
    """The last part of a path, fit for one line of text: control and undecodable characters become "?"."""
    return _printable(path.name or path.resolve().name or str(path))


def given_name(name: str) -> str:
    """A clip's name as a program gave it, fit for one line of text as in `display_name`.

    Raises:
        InputError: it is empty, or no text.

    Example:
        >>> given_name("left\\nlobe")
        'left?lobe'
    """
    if not isinstance(name, str):
        raise InputError(f"name must be a text, not a {type(name).__name__}")
    if not name:
        raise InputError("name must not be empty")
    return _printable(name)


def _printable(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name)
