"""Suffixes of the files that are read. What is read is told by content; names serve where nothing can be opened yet."""

from __future__ import annotations

STILLS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".heic", ".heif", ".avif",
})  # fmt: skip
"""Of the kinds in `streamer.sources._still_magic`; a TIFF, WebP or AVIF may hold several pictures."""

VIDEOS = frozenset({
    ".mp4", ".m4v", ".mov", ".3gp", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".m1v", ".m2v", ".mpv", ".vob", ".ts",
    ".mts", ".m2ts", ".m2t", ".wmv", ".asf", ".flv", ".mxf", ".h264", ".264", ".h265", ".265", ".hevc", ".gif",
})  # fmt: skip
"""Of the formats in `streamer.sources._container`."""

DICOM = frozenset({".dcm", ".dicom", ".dic", ".ima"})
