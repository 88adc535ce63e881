"""What is recorded of a camera: a clip whose file is made with its first frame."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from streamer.errors import OutputError
from streamer.outputs.video import OverlayVideo
from streamer.settings import OverlaySettings
from streamer.types import Image


class CameraClip:
    """A recording under way. Without a frame there is no file.

    Args:
        path: file to write, mp4.
        began_s: when it began, on the clock of its frames.
        fps: nominal frame rate.
    """

    def __init__(self, path: Path, began_s: float, fps: float) -> None:
        self.path = path
        self._began_s, self._fps = began_s, fps
        self._video: OverlayVideo | None = None

    def add(self, image: Image, time_s: float) -> None:
        """Append a frame, shape (height, width, 3); the first sets the size.

        Raises:
            OutputError: it cannot be written.
        """
        if self._video is None:
            height, width = image.shape[:2]
            self._video = OverlayVideo(self.path, size_wh=(width, height), fps=self._fps, settings=OverlaySettings())
        self._video.add(image, max(0.0, time_s - self._began_s))

    def close(self) -> bool:
        """Finish the file; False if there is none.

        Raises:
            OutputError: it cannot be written.
        """
        if self._video is None:
            return False
        self._video.close()
        return True

    def abort(self) -> None:
        """Let go of a file that cannot be written to, and delete it."""
        if self._video is not None:
            self._video.abort()
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


class CameraClips:
    """A camera's recordings, one after the other; the caller sees that one thread at a time uses them.

    Attributes:
        finished: files that hold a clip.
        lost: what became of the last one that could not be written, in one line; "" if none was.
    """

    def __init__(self, folder: Path, fps: float) -> None:
        """Record into `folder`."""
        self.finished: list[Path] = []
        self.lost = ""
        self._folder, self._fps = folder, fps
        self._begun = 0
        self._current: CameraClip | None = None

    @property
    def recording(self) -> bool:
        """Whether one is under way."""
        return self._current is not None

    def begin(self, time_s: float) -> None:
        """Begin one, in place of the one under way, which is ended."""
        self.end()
        self._begun += 1
        self._current = CameraClip(self._folder / f"camera-{self._begun}.mp4", time_s, self._fps)

    def add(self, image: Image, time_s: float) -> None:
        """Append a frame to the one under way, if there is one; where that fails, it alone is lost."""
        if self._current is not None:
            try:
                self._current.add(image, time_s)
            except OutputError as error:
                self._lose(error)

    def end(self) -> None:
        """End the one under way, if there is one; where that fails, it alone is lost."""
        if self._current is not None:
            try:
                if self._current.close():
                    self.finished.append(self._current.path)
            except OutputError as error:
                self._lose(error)
            self._current = None

    def _lose(self, error: OutputError) -> None:
        if self._current is not None:
            self._current.abort()
            self._current = None
        self.lost = f"the recording is lost: {error}"
