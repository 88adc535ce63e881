"""DICOM ultrasound: one frame in memory at a time, with its times, its scale and the region of the scan."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from time import perf_counter

from pydicom.dataset import Dataset

from streamer.dicom.attributes import integer
from streamer.dicom.classes import refusal
from streamer.dicom.header import DicomHeader, read_header, syntax_name
from streamer.dicom.syntaxes import NATIVE, RLE, VIDEO
from streamer.errors import InputError
from streamer.sources._container import LIBRARY_ERRORS, check_frame_size
from streamer.sources._dicom_codecs import CodecError, Decoder, Samples, decode_frame, decoder_for
from streamer.sources._dicom_colour import ColourConverter
from streamer.sources._dicom_fragments import Fragments, Span, group_frames, read_fragments, read_spans, split_frames
from streamer.sources._dicom_layout import PixelLayout, layout_of
from streamer.sources._dicom_plane import plane_of
from streamer.sources._dicom_regions import ScanGeometry, scan_geometry
from streamer.sources._dicom_times import FrameTimes, frame_times
from streamer.sources._dicom_video import DicomVideo
from streamer.sources._recording import Recording
from streamer.sources._timestamps import Clock
from streamer.sources.base import MAX_FRAME_PIXELS
from streamer.types import Frame, Image

_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_BY_REFERENCE = {"1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.204"}  # JPIP


class DicomFile(Recording):
    """A `Source` that reads one DICOM object. The first frame is decoded at once: a useless file is refused early.

    A frame's `index` is its number in the object less one, so that references to it hold where others are damaged.

    Attributes:
        header: all of the object but its pixels. Its text must not reach a message or a log.
        geometry: B-mode views and the size of their pixels.
        times: when each frame is shown; None for a video, which states them itself.
        layout: how the samples of a frame are stored.
    """

    def __init__(self, path: Path, *, name: str) -> None:
        """Open `path`.

        Raises:
            InputError: no ultrasound picture, encrypted, without pixel data, of an unknown transfer syntax, too large,
                or not one frame can be decoded.
            OSError: it cannot be read.
        """
        super().__init__(name)
        self._opened: DicomHeader = read_header(path, name)
        self.header: Dataset = self._opened.data
        self.times: FrameTimes | None = None
        self._video: DicomVideo | None = None
        self._spans: list[tuple[Span, ...]] = []
        try:
            self._check()
            self.layout: PixelLayout = self._checked_layout()
            self.geometry: ScanGeometry = scan_geometry(self.header, self.layout.columns, self.layout.rows)
            self.pixel_spacing_mm, self.scan_region_xyxy = self.geometry.spacing_mm, self.geometry.region
            self.plane = plane_of(self.header)
            self._warnings.extend(self.geometry.warnings)
            if not self._begin(self._generate_video() if self._opened.syntax in VIDEO else self._generate()):
                raise InputError(f"{name} has no frame that can be decoded; export it again, or uncompressed")
        except BaseException:
            self.close()
            raise
        if self.geometry.spacing_mm is not None:
            across, down = self.geometry.spacing_mm
            self.pixel_aspect = Fraction(across / down).limit_denominator(1000)

    def close(self) -> None:
        """Release the file; an iterator over the frames ends. May be called twice."""
        super().close()
        if self._video is not None:
            self._video.close()
        self._opened.file.close()

    def stored(self, index: int) -> Samples | None:
        """Samples of a delivered frame in the depth they are stored with, of grey or RGB of 9 to 16 bits.

        Shape (height, width) or (height, width, 3); None where 8 bits hold them, and for a video.
        """
        decode = decoder_for(self._opened.syntax)
        if decode is None or not self.layout.deep:
            return None
        samples, _ = decode_frame(decode, self._bytes(self._spans[index]), self.layout, MAX_FRAME_PIXELS)
        samples = samples[..., 0] if samples.ndim == 3 and samples.shape[2] == 1 else samples
        return self.layout.stored_bits(samples)

    def _check(self) -> None:
        syntax = self._opened.syntax
        reason = refusal(self.header)
        if reason is not None:
            raise InputError(f"{self.name} {reason}")
        if syntax in _BY_REFERENCE:
            raise InputError(f"{self.name} only refers to pixel data on a server; export it with its pixels")
        if self._opened.pixel_start is None:
            kind = (
                "are encrypted" if "EncryptedAttributesSequence" in self.header else "are missing (the file may be cut)"
            )
            raise InputError(f"{self.name} holds no pixel data: they {kind}; export it again")
        if syntax not in VIDEO and decoder_for(syntax) is None:
            raise InputError(
                f"{self.name} is coded in {syntax_name(syntax)}, which is not read; export it uncompressed"
            )

    def _checked_layout(self) -> PixelLayout:
        layout = layout_of(
            self.header,
            self.name,
            big_endian=self._opened.syntax == _BIG_ENDIAN,
            word_swapped=self._opened.word_swapped,
        )
        check_frame_size(layout.columns, layout.rows, self.name)
        whole = layout.rows * layout.columns * 3 * (layout.allocated // 8) * self._announced
        if layout.subsampled and layout.samples == 3 and (self._opened.pixel_bytes or 0) >= whole:
            return replace(layout, photometric="YBR_FULL")  # files exist that call it halved and do not halve it
        return layout

    @property
    def _announced(self) -> int:
        """Number of frames as the header states it; 1 where it states none, as for a single frame."""
        return max(integer(self.header, "NumberOfFrames") or 1, 1)

    def _generate(self) -> Generator[Frame]:
        decode = decoder_for(self._opened.syntax)
        assert decode is not None  # as checked
        colours = ColourConverter(self.header, self.layout, self.name)
        frames, whole = self._frames()
        self._spans = frames
        announced = self._announced
        self.expected_frames = len(frames)
        self._note_count(len(frames), announced, whole=whole)
        self.times = frame_times(self.header, max(len(frames), announced))
        self.fps = self.times.fps
        if self.times.warning:
            self._warnings.append(self.times.warning)
        damaged, start = 0, perf_counter()
        for index, spans in enumerate(frames):
            try:
                image = self._decoded(decode, spans, colours)
            except CodecError:
                damaged += 1
                continue
            self._note_size(image, index)
            time_s = self.times.start_s(index)
            self.duration_s = self.times.start_s(index + 1)
            decode_ms = (perf_counter() - start) * 1e3
            yield self._frame(image, index, time_s, decode_ms)
            start = perf_counter()
        if damaged:
            self._warnings.append(f"{damaged} of {len(frames)} frames are damaged and left out")
        self.complete = whole and not damaged and len(frames) == announced

    def _frame(self, image: Image, index: int, time_s: float, decode_ms: float) -> Frame:
        """The regions belong to the size that the header states; a frame of another size is analysed whole."""
        fits = image.shape[:2] == (self.layout.rows, self.layout.columns)
        return Frame(
            image=image,
            index=index,
            time_s=time_s,
            video=self.name,
            decode_ms=decode_ms,
            views=self.geometry.views if fits else (),
        )

    def _decoded(self, decode: Decoder, spans: tuple[Span, ...], colours: ColourConverter) -> Image:
        try:
            data = self._bytes(spans)
        except OSError as error:
            raise CodecError("unreadable") from error
        samples, colour = decode_frame(decode, data, self.layout, MAX_FRAME_PIXELS)
        return colours.rgb(samples, colour)

    def _bytes(self, spans: tuple[Span, ...]) -> bytes:
        return self._swapped(spans[0]) if self.layout.word_swapped else read_spans(self._opened.file, spans)

    def _swapped(self, span: Span) -> bytes:
        """Bytes of a native frame that lies in big-endian words, which need not begin where the frame does."""
        lead = (span.offset - (self._opened.pixel_start or 0)) % 2
        words = bytearray(read_spans(self._opened.file, [Span(span.offset - lead, lead + span.length + 1)]))
        even = len(words) // 2 * 2
        words[0:even:2], words[1:even:2] = words[1:even:2], words[0:even:2]
        return bytes(words[lead : lead + span.length])

    def _frames(self) -> tuple[list[tuple[Span, ...]], bool]:
        """Where each frame lies, and whether the pixel data are all there."""
        header = self._opened
        if header.syntax in NATIVE and header.pixel_bytes is not None:
            return self._native_frames(header.pixel_start or 0, header.pixel_bytes)
        fragments = self._fragments()
        if not fragments.spans:
            raise InputError(f"{self.name} holds no pixel data that can be found (cut or damaged); export it again")
        groups = group_frames(fragments, expected=self._announced, one_each=header.syntax == RLE)
        if len(groups) < self._announced and header.syntax != RLE:
            groups = split_frames(header.file, groups)
        return groups, fragments.whole

    def _fragments(self) -> Fragments:
        """The items of encapsulated pixel data; some writers state a length of them, or leave the items out."""
        header = self._opened
        start = header.pixel_start or 0
        if header.pixel_bytes is None:
            return read_fragments(header.file, start, header.end)
        end = min(header.end, start + header.pixel_bytes)
        found, whole = read_fragments(header.file, start, end), start + header.pixel_bytes <= header.end
        if found.spans:
            return replace(found, whole=whole)
        return Fragments(spans=(Span(start, end - start),), starts=(True,), table=(), whole=whole)

    def _native_frames(self, start: int, length: int) -> tuple[list[tuple[Span, ...]], bool]:
        size = self.layout.native_bytes
        there = min(length, self._opened.end - start)
        count = there // size
        return [(Span(start + index * size, size),) for index in range(count)], there == length

    def _note_count(self, found: int, announced: int, *, whole: bool) -> None:
        if not whole:
            self._warnings.append(f"the file is cut: {found} of {announced} frames are there")
        elif found != announced:
            self._warnings.append(f"the header states {announced} frames, the file holds {found}")

    def _generate_video(self) -> Generator[Frame]:
        """Times are the container's; an elementary stream takes those of the header."""
        header = self._opened
        fragments = self._fragments()
        try:
            video = self._video = DicomVideo(header.file, fragments.spans, self.name)
        except LIBRARY_ERRORS as error:
            raise InputError(f"{self.name} holds a video that cannot be read; export it as mp4") from error
        announced = self._announced
        stated = frame_times(self.header, announced)
        self.fps, self.expected_frames = stated.fps, announced
        clock, index, start = Clock(fps=self.fps), 0, perf_counter()
        for image, time, duration in video.pictures():
            self._note_size(image, index)
            own = time if video.has_times else Fraction(stated.start_s(index)).limit_denominator(1_000_000)
            time_s = clock.stamp(own, duration)
            self.duration_s = clock.end_s
            decode_ms = (perf_counter() - start) * 1e3
            yield self._frame(image, index, time_s, decode_ms)
            index += 1
            start = perf_counter()
        if clock.repaired:
            self._warnings.append(f"{clock.repaired} timestamps missing or out of order")
        if video.damaged:
            self._warnings.append(f"{video.damaged} packets are damaged; frames may be missing or show errors")
        self._note_count(index, announced, whole=fragments.whole)
        self.complete = fragments.whole and not video.damaged and index == announced
