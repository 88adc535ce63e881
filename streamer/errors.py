"""Every error that streamer raises on purpose: one tree, rooted at `StreamerError`.

Library errors (PyAV, OpenCV, PyTorch, pydantic) are wrapped at the boundary where they arise. The message is one
line that says what was wrong and what to do; the command line prints it and exits with code 2.
"""

from __future__ import annotations

_HEAD, _TAIL = 600, 300
"""Characters kept of a longer message: what was wrong stands at its beginning, what to do at its end."""


def cause(error: Exception) -> str:
    """What an error says of its cause, without the number and the path that an `OSError` puts around it.

    Example:
        >>> cause(FileNotFoundError(2, "No such file or directory", "nope.csv"))
        'No such file or directory'
    """
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)


class StreamerError(Exception):
    """Root of all errors raised on purpose.

    What stands in a user's file or path may be part of the message: it is made one printable line of at most 905
    characters, whatever that was.

    Example:
        >>> str(StreamerError("there is no file a\\nb.mp4"))
        'there is no file a b.mp4'
    """

    def __init__(self, message: str = "") -> None:
        """Take the message."""
        super().__init__(_one_line(message))


class InputError(StreamerError):
    """The clip, still or folder cannot be read: missing, empty, not a video, no frame, audio only, too large."""


class ClipGoneError(InputError):
    """A clip could not be opened again when its turn came; the results of those before it are written."""


class NoFrameError(InputError):
    """A run ended before its first frame, so that there is nothing to report."""


class SettingsError(StreamerError):
    """A setting or configuration file is invalid; the message names the setting, the bound and the value."""


class WeightsError(StreamerError):
    """Model weights or their manifest are missing, damaged (checksum) or do not fit the architecture."""


class DeviceError(StreamerError):
    """The requested device cannot be used, for example CUDA where there is none."""


class OutputError(StreamerError):
    """Results cannot be written: no permission, disk full, not a folder."""


class DataError(StreamerError):
    """Training or evaluation data are missing or inconsistent."""


def _one_line(message: str) -> str:
    line = " ".join(message.split())
    line = "".join(letter if letter.isprintable() else "?" for letter in line)
    return line if len(line) <= _HEAD + _TAIL else f"{line[:_HEAD]} ... {line[-_TAIL:]}"
