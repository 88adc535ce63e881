"""De-identifies files and folders: DICOM ultrasound and videos in, a folder with neutral names and a report out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path

from pydicom.dataset import Dataset

from streamer._files import write_whole
from streamer.deidentification.header import HeaderChanges, deidentified, header_changes, keep_window
from streamer.deidentification.pixels import Mask, box_mask, masked, sector_mask
from streamer.deidentification.pseudonyms import Pseudonyms
from streamer.deidentification.text_search import TextFound, can_search, find_text
from streamer.deidentification.write import CineWriter
from streamer.dicom.attributes import text
from streamer.dicom.library import require_dicom
from streamer.dicom.magic import dicom_files, is_dicom_file
from streamer.dicom.syntaxes import JPEG_DCT, VIDEO
from streamer.errors import InputError, OutputError, StreamerError
from streamer.outputs.folder import output_errors
from streamer.outputs.video import OverlayVideo
from streamer.settings import OverlaySettings
from streamer.sources import Source, open_source
from streamer.sources._container import is_video
from streamer.sources._dicom_folder import files_of_dicomdir, is_dicomdir
from streamer.sources._dicom_layout import PixelLayout
from streamer.sources._dicom_regions import PixelBox, picture_boxes
from streamer.sources._still_folder import natural_order
from streamer.sources.base import display_name
from streamer.sources.dicom import DicomFile
from streamer.types import Frame

REPORT = "deidentification.json"
_SECTOR_FRAMES = 60
_TEXT_EVERY_S, _TEXT_FRAMES = 1.0, 20
_VIDEO_CRF = 10  # visually lossless


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """What was changed in a file; nothing of the original is in it.

    Attributes:
        file: name of the file that was written.
        frames: written.
        masked: share of the picture that is black now, 0 to 1.
        kept_boxes: that stayed, half-open in pixels; empty where the sector was found by its motion.
        header: what became of the attributes; None for a video, of which all metadata and sound go.
        text: letters that were found in what is left.
        text_searched: frames that were searched for letters; None where Tesseract is missing.
        warnings: of the source, one line each.
    """

    file: str
    frames: int
    masked: float
    kept_boxes: tuple[PixelBox, ...] = ()
    header: HeaderChanges | None = None
    text: tuple[TextFound, ...] = ()
    text_searched: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How files are de-identified.

    Attributes:
        boxes: that stay in every picture, in place of its ultrasound regions or its sector.
        shift_dates: keep dates, shifted; else they go.
        search_text: look for letters in what is left.
    """

    boxes: tuple[PixelBox, ...] = ()
    shift_dates: bool = False
    search_text: bool = True


@dataclass(slots=True)
class Outcome:
    """What became of all files: reports, and those that were refused, with the reason."""

    written: list[FileReport] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def deidentify(
    source: Path,
    output: Path,
    *,
    names: Pseudonyms,
    options: Options | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """De-identify a file, or all DICOM files and videos of a folder, into a new folder.

    A file that cannot be made safe is not written; the others are. Files are named by their number, in the order of the
    originals' names.

    Args:
        source: DICOM file, DICOMDIR, video, or folder of them.
        output: made; must not exist, or be empty.
        names: gives new identities.
        options: how; the defaults if None.
        progress: told of each file that was dealt with, in one line without its header's text.

    Raises:
        InputError: there is nothing to de-identify.
        OutputError: the folder is not empty, lies in that of the originals, or cannot be written.
    """
    require_dicom("de-identification", "dicomanonymizer")
    options = options or Options()
    files = _files(source)
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise OutputError(f"{output} lies in {display_name(source)}, beside the originals; choose a folder elsewhere")
    outcome = Outcome()
    with _new_folder(output):
        for number, path in enumerate(files, start=1):
            try:
                report = _one(path, output, f"{number:04d}", names, options)
            except InputError as error:
                outcome.refused.append(str(error))
                progress(f"refused: {error}")
                continue
            outcome.written.append(report)
            names.note_file(path.absolute(), report.file)
            names.save()
            progress(f"{display_name(path)} -> {report.file}")
        if outcome.written:
            write_whole(output / REPORT, _json(outcome, options))
    return outcome


def _files(source: Path) -> list[Path]:
    if not source.exists():
        raise InputError(f"{display_name(source)} does not exist")
    try:
        if source.is_dir():
            dicom = [path for path in dicom_files(source) if path.name.upper() != "DICOMDIR"]
            others = sorted((path for path in source.rglob("*") if path.is_file()), key=natural_order)
            found = dicom + [path for path in others if path not in set(dicom) and is_video(path)]
        elif is_dicom_file(source):
            found = files_of_dicomdir(source) if is_dicomdir(source) else [source]
        else:
            found = [source] if source.is_file() and is_video(source) else []
    except OSError as error:
        raise InputError(f"{display_name(source)} cannot be read: {error.strerror}") from error
    if not found:
        what = "holds" if source.is_dir() else "is"
        raise InputError(f"{display_name(source)} {what} no DICOM file and no video")
    return found


@contextmanager
def _new_folder(output: Path) -> Iterator[None]:
    """The folder of the results, which goes away if nothing comes into it."""
    with output_errors(output):
        made = not output.exists()
        output.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(output.iterdir()):
            raise OutputError(f"{output} is not empty; choose a new folder")
    try:
        yield
    finally:
        if made:
            with suppress(OSError):
                output.rmdir()


def _one(path: Path, output: Path, stem: str, names: Pseudonyms, options: Options) -> FileReport:
    dicom = is_dicom_file(path)
    target = output / f"{stem}{'.dcm' if dicom else '.mp4'}"
    partial = target.with_name(target.name + ".partial")
    try:
        with output_errors(target):
            report = (_dicom if dicom else _video)(path, partial, target.name, names, options)
            partial.replace(target)
            return report
    except StreamerError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError) as error:  # of a header nobody foresaw; its text stays out
        raise InputError(f"{display_name(path)} cannot be de-identified ({type(error).__name__})") from None
    finally:
        partial.unlink(missing_ok=True)


def _dicom(path: Path, partial: Path, name: str, names: Pseudonyms, options: Options) -> FileReport:
    with open_source(path) as source:
        assert isinstance(source, DicomFile)  # as it is DICOM
        header = source.header
        boxes = _boxes(source, header, options)
        mask = box_mask(boxes, source.info.height, source.info.width)
        made = deidentified(header, names, shift_dates=options.shift_dates)
        searched = _TextSearch(options)
        deep = source.layout if source.layout.deep and source.times is not None else None
        if deep is not None:
            keep_window(header, made)
        with closing(_cine_writer(header, deep)) as writer:
            for frame in source.frames():
                if frame.image.shape[:2] != mask.shape:  # where its regions lie is not known
                    continue
                image = masked(frame.image, mask)
                samples = source.stored(frame.index)
                writer.add(image if samples is None else masked(samples, mask, source.layout.black), frame.time_s)
                searched.look(frame, image)
            if not writer.frames:
                raise InputError(f"{source.info.name} has no frame that can be de-identified")
            writer.finish(made, partial)
        return _report(source, name, writer.frames, mask, boxes, searched, header_changes(header, made))


def _cine_writer(header: Dataset, deep: PixelLayout | None) -> CineWriter:
    syntax = text(header.file_meta, "TransferSyntaxUID") if hasattr(header, "file_meta") else ""
    lossy = syntax in VIDEO | JPEG_DCT or text(header, "LossyImageCompression") == "01"
    grey = text(header, "PhotometricInterpretation").upper().startswith("MONOCHROME")
    return CineWriter(grey=grey, syntax=syntax, lossy=lossy, deep=deep)


def _boxes(source: Source, header: Dataset, options: Options) -> tuple[PixelBox, ...]:
    width, height = source.info.width, source.info.height
    if options.boxes:
        return _fitting(options.boxes, width, height, source.info.name)
    boxes = picture_boxes(header, width, height)
    if not boxes:
        raise InputError(
            f"{source.info.name} does not say where in its {width}x{height} picture the scan is, so text beside it "
            "cannot be removed: give the scan's place with --box X0,Y0,X1,Y1"
        )
    return boxes


def _fitting(boxes: Sequence[PixelBox], width: int, height: int, name: str) -> tuple[PixelBox, ...]:
    for left, top, right, bottom in boxes:
        if left >= right or top >= bottom:
            raise InputError(f"the box {left},{top},{right},{bottom} is empty: write it X0,Y0,X1,Y1, the smaller first")
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise InputError(f"the box {left},{top},{right},{bottom} lies outside of {name}, which is {width}x{height}")
    return tuple(boxes)


def _video(path: Path, partial: Path, name: str, names: Pseudonyms, options: Options) -> FileReport:  # noqa: ARG001
    with open_source(path) as source:
        info = source.info
        boxes = _fitting(options.boxes, info.width, info.height, info.name) if options.boxes else ()
    mask = box_mask(boxes, info.height, info.width) if boxes else _sector(path)
    searched, frames = _TextSearch(options), 0
    with open_source(path) as source:
        video = OverlayVideo(
            partial,
            size_wh=(info.width, info.height),
            fps=info.fps,
            settings=OverlaySettings(crf=_VIDEO_CRF),
            pixel_aspect=info.pixel_aspect,
        )
        try:
            for frame in source.frames():
                if frame.image.shape[:2] != mask.shape:
                    continue
                image = masked(frame.image, mask)
                video.add(image, frame.time_s)
                searched.look(frame, image)
                frames += 1
            video.close(source.duration_s)
        finally:
            video.abort()
        return _report(source, name, frames, mask, boxes, searched, None)


def _sector(path: Path) -> Mask:
    with open_source(path) as source:
        step = max(1, (source.expected_frames or _SECTOR_FRAMES) // _SECTOR_FRAMES)
        size = source.info.height, source.info.width
        images = (frame.image for frame in islice(source.frames(), 0, None, step))
        mask = sector_mask(image for image in images if image.shape[:2] == size)
        name = source.info.name
    if mask is None:
        raise InputError(f"the scan is not found in {name}, as too little moves: give its place with --box X0,Y0,X1,Y1")
    return mask


class _TextSearch:
    """Looks at a frame each second, 20 at most."""

    def __init__(self, options: Options) -> None:
        self._on = options.search_text and can_search()
        self._next_s = 0.0
        self.frames = 0
        self.found: list[TextFound] = []

    @property
    def searched(self) -> int | None:
        return self.frames if self._on else None

    def look(self, frame: Frame, image: object) -> None:
        if not self._on or self.frames >= _TEXT_FRAMES or frame.time_s < self._next_s:
            return
        self._next_s = frame.time_s + _TEXT_EVERY_S
        self.frames += 1
        self.found.extend(find_text(image, frame.index))  # type: ignore[arg-type]


def _report(
    source: Source,
    name: str,
    frames: int,
    mask: Mask,
    boxes: tuple[PixelBox, ...],
    searched: _TextSearch,
    changes: HeaderChanges | None,
) -> FileReport:
    return FileReport(
        file=name,
        frames=frames,
        masked=round(1 - float(mask.mean()), 4),
        kept_boxes=boxes,
        header=changes,
        text=tuple(searched.found),
        text_searched=searched.searched,
        warnings=tuple(source.warnings),
    )


def _json(outcome: Outcome, options: Options) -> bytes:
    content = {
        "profile": "PS3.15 annex E, Basic Application Level Confidentiality Profile, table of edition 2024b",
        "dates": "shifted" if options.shift_dates else "removed",
        "note": "text inside the kept part of a picture cannot be guaranteed away: look at each file",
        "files": [asdict(report) for report in outcome.written],
        "refused": len(outcome.refused),
    }
    return (json.dumps(content, indent=1) + "\n").encode()
