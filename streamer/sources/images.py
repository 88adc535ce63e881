"""Stills, stacks and animations, and folders of numbered stills."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from fractions import Fraction
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Self

from streamer.errors import InputError
from streamer.sources._container import is_plausible_fps
from streamer.sources._convert import few_bits
from streamer.sources._recording import Recording
from streamer.sources._still_folder import stills_in
from streamer.sources.base import display_name
from streamer.types import Frame

if TYPE_CHECKING:
    from streamer.sources._pictures import Picture

STILL_FPS = 1.0
"""Nominal rate of a single still: it is shown for one second."""

FOLDER_FPS = 30.0
"""Rate assumed for a folder of stills, which carries no times (the usual rate of an ultrasound export)."""


class Stills(Recording):
    """A `Source` of one still, of the pictures in one file, or of many files that play as a clip.

    Each picture is shown for as long as its file says, and one frame at `fps` where the file says nothing. A still that
    cannot be read is left out with a warning, and its time stays empty.
    """

    def __init__(self, paths: Sequence[Path], *, name: str, fps: float = STILL_FPS, stack_fps: float = FOLDER_FPS):
        """Read the first of `paths`, which are shown in the order given.

        Args:
            paths: the files.
            name: display name.
            fps: nominal rate, in frames per second.
            stack_fps: nominal rate of a single file of several pictures that carry no times.

        Raises:
            InputError: not one of them can be read.
        """
        super().__init__(name)
        self.fps, self._stack_fps = fps, stack_fps
        self.expected_frames = len(paths)
        self._paths = paths
        if not self._begin(self._generate()):
            reason = self._warnings[-1] if len(paths) == 1 else f"{name}: none of its {len(paths)} stills can be read"
            raise InputError(reason)

    @classmethod
    def of_folder(cls, folder: Path, *, name: str, fps: float = FOLDER_FPS) -> Self:
        """The stills in a folder, found by content, ordered by the numbers in their names; other files are ignored.

        Raises:
            InputError: the folder cannot be listed, holds no still, or none can be read.
        """
        try:
            paths, remarks = stills_in(folder)
        except OSError as error:
            raise InputError(f"{name} cannot be read: {error.strerror}") from error
        if not paths:
            left_out = f" ({'; '.join(remarks)})" if remarks else ""
            raise InputError(f"the folder {name} holds no stills (jpg, png, tif, bmp, webp, heic, avif){left_out}")
        source = cls(paths, name=name, fps=fps)
        source._warnings[:0] = remarks
        source._warnings.append(f"stills carry no times; {fps:g} frames a second assumed")
        return source

    def _generate(self) -> Generator[Frame]:
        from streamer.sources._pictures import read_pictures  # late: most runs read a video, and need no Pillow

        index, damaged, pointed_out = 0, 0, False
        at_s = Fraction(0)
        start = perf_counter()
        for path in self._paths:
            file_s = at_s
            try:
                for picture in read_pictures(path, self._warnings.append):
                    if not index:
                        self._set_rate(picture)
                    if picture.dark and not pointed_out:
                        pointed_out = True
                        self._warnings.append(f"{display_name(path)} {few_bits(16)}")
                    self._note_size(picture.image, index)
                    # Times of the file are rounded to milliseconds, sums of them would drift.
                    time_s = at_s if picture.start_s is None else max(at_s, file_s + picture.start_s)
                    at_s = time_s + (picture.duration_s or self._step_s)
                    self.duration_s = float(at_s)
                    yield Frame(
                        image=picture.image,
                        index=index,
                        time_s=float(time_s),
                        video=self.name,
                        decode_ms=(perf_counter() - start) * 1e3,
                    )
                    index += 1
                    start = perf_counter()
            except InputError as error:
                self._warnings.append(str(error))
                damaged += 1
                at_s = max(at_s, file_s + self._step_s)
        self.complete = not damaged

    @property
    def _step_s(self) -> Fraction:
        return 1 / Fraction(self.fps)

    def _set_rate(self, first: Picture) -> None:
        """Take the rate of a single file of several pictures from the first of them."""
        if len(self._paths) > 1 or first.count == 1:
            return
        self.expected_frames = first.count
        rate = 0.0 if first.duration_s is None else float(1 / first.duration_s)
        self.fps = rate if is_plausible_fps(rate) else self._stack_fps
        if first.duration_s is None:
            self._warnings.append(f"its pictures carry no times; {self.fps:g} frames a second assumed")
