"""Whole pictures from interlaced video, through FFmpeg's `bwdif`."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

import av
from av.filter import Graph

Deinterlacing = Literal["auto", "on", "off"]
"""Which pictures are deinterlaced: those that the stream calls interlaced, all, or none."""

DEINTERLACED = "interlaced video was deinterlaced (bwdif): fine lines may be softened"
LEFT_INTERLACED = "the video is interlaced and was not deinterlaced: what moves has combed edges"


class Deinterlacer:
    """Gives each picture of one stream whole, with its own time; holds one back until the next is there.

    `bwdif` (FFmpeg, libavfilter/vf_bwdif.c, after Weston's three-field filter) fills the lines of one field from the
    field before and after. One picture comes out for each that goes in, so that frames keep their numbers.

    Attributes:
        warning: what a reader should know of what was done so far; None where nothing is.
    """

    def __init__(self, which: Deinterlacing) -> None:
        self.warning: str | None = None
        self._which = which
        self._graph: Graph | None = None
        self._shape: tuple[int, int, str] | None = None
        self._time_base = Fraction(1, 1000)

    def push(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """What can be shown once this picture has come.

        Raises:
            av.FFmpegError: the picture cannot be filtered.
        """
        if self._which == "off":
            if picture.interlaced_frame:
                self.warning = LEFT_INTERLACED
            yield picture
            return
        if self._graph is None and self._which == "auto" and not picture.interlaced_frame:
            yield picture
            return
        shape = picture.width, picture.height, picture.format.name
        if self._graph is None or shape != self._shape:
            yield from self.flush()
            self._begin(picture)
            self._shape = shape
        self.warning = DEINTERLACED
        assert self._graph is not None
        self._graph.vpush(picture)
        yield from self._ready()

    def flush(self) -> Iterator[av.VideoFrame]:
        """What was held back, at the end of the stream."""
        if self._graph is None:
            return
        graph = self._graph
        graph.vpush(None)
        yield from self._ready()
        self._graph = None

    def reset(self) -> None:
        """Forget what was held back: what comes next does not follow it."""
        self._graph = None

    def _begin(self, picture: av.VideoFrame) -> None:
        self._time_base = picture.time_base or self._time_base
        graph = Graph()
        source = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=self._time_base
        )
        which = "interlaced" if self._which == "auto" else "all"
        weave = graph.add("bwdif", f"mode=send_frame:parity=auto:deint={which}")
        sink = graph.add("buffersink")
        source.link_to(weave)
        weave.link_to(sink)
        graph.configure()
        self._graph = graph

    def _ready(self) -> Iterator[av.VideoFrame]:
        assert self._graph is not None
        while True:
            try:
                picture = self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(picture, av.VideoFrame)
            if picture.pts is not None and picture.time_base:  # the filter counts in fields
                picture.pts = round(picture.pts * picture.time_base / self._time_base)
                picture.duration = round(picture.duration * picture.time_base / self._time_base)
                picture.time_base = self._time_base
            yield picture
