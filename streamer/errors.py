"""Every error that streamer raises on purpose: one tree, rooted at `StreamerError`.

Library errors (PyAV, OpenCV, PyTorch, pydantic) are wrapped at the boundary where they arise. The message is one
line that says what was wrong and what to do; the command line prints it and exits with code 2.
"""


class StreamerError(Exception):
    """Root of all errors raised on purpose."""


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
