"""DICOM results beside the source: structured report, segmentations, key images, presentation states, overlay clip."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from streamer._pixels import png_bytes
from streamer.dicom.identity import RunIdentity, evidence, save, set_frames
from streamer.errors import InputError
from streamer.outputs._dicom_clip import OverlayClip
from streamer.outputs._dicom_images import accept_retired_classes
from streamer.outputs._dicom_key_images import write_key_image, write_selection
from streamer.outputs._dicom_nodules import ClipOutlines, NoduleResult
from streamer.outputs._dicom_presentation import write_presentation
from streamer.outputs._dicom_report import structured_report, with_reader_notes
from streamer.outputs._dicom_segmentation import write_segmentation
from streamer.outputs.base import BaseSink, SinkContext
from streamer.outputs.folder import PARTIAL, dicom_name, output_errors
from streamer.outputs.overlay import OverlayRenderer
from streamer.outputs.schema import ReaderEntry
from streamer.summaries import ClipSummary, StudyReport, Track
from streamer.types import ClipInfo, Frame, FrameResult, Image, Nodule

_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)
_NO_IMAGE: Image = np.zeros((0, 0, 3), np.uint8)


@dataclass(slots=True)
class _KeyFrame:
    """A nodule's view at its maximum so far; its pixels become PNG once the nodule is out of view."""

    frame: Frame
    nodule: Nodule
    png: bytes = b""

    def pack(self) -> None:
        if not self.png:
            self.png = png_bytes(self.frame.image, _PNG)
            self.frame = replace(self.frame, image=_NO_IMAGE)

    def result(self, patient_malignancy: float | None) -> FrameResult:
        """The view as that of a nodule that counts, which it may not yet have done in that frame."""
        frame = self.frame
        if self.png:
            bgr = cv2.imdecode(np.frombuffer(self.png, np.uint8), cv2.IMREAD_COLOR)
            assert bgr is not None  # as packed
            frame = replace(frame, image=np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8))
        counted = replace(self.nodule, qualifies=True)
        return FrameResult(frame=frame, nodules=(counted,), patient_malignancy=patient_malignancy)


@dataclass(slots=True)
class _Clip:
    name: str
    position: int
    outlines: ClipOutlines
    video: OverlayClip | None
    whole: bool = False
    rejections: Mapping[str, int] = field(default_factory=dict)


class DicomSink(BaseSink):
    """Writes a study's results as DICOM objects of the study they were made from.

    Outlines are kept for the whole study, pixels only for the nodules in view, and packed key frames of the others.
    """

    def __init__(self, context: SinkContext, run: RunIdentity | None = None) -> None:
        accept_retired_classes()
        self._context = context
        self._run = run or RunIdentity()
        self._renderer = OverlayRenderer(context.settings.overlay)
        self._clips: list[_Clip] = []
        self._key_frames: dict[int, _KeyFrame] = {}

    def start_clip(self, info: ClipInfo) -> None:
        """Begin the next clip.

        Raises:
            InputError: it is no DICOM, or does not say to which study it belongs.
        """
        source = source_of(info)
        self._clips.append(
            _Clip(
                name=info.name,
                position=len(self._clips) + 1,
                outlines=ClipOutlines(source=source, spacing_mm=info.pixel_spacing_mm),
                video=OverlayClip(fps=info.fps, crf=self._context.settings.overlay.crf),
            )
        )

    def write(self, result: FrameResult) -> None:
        """Draw and encode a frame, keep its outlines, look for key frames.

        Raises:
            OutputError: it cannot be encoded.
        """
        clip = self._clips[-1]
        if clip.video is not None:
            with output_errors(self._context.folder.partial(dicom_name("overlay", clip.position))):
                clip.video.add(self._renderer.draw(result), result.frame.time_s)
        in_view = set()
        for nodule in result.nodules:
            in_view.add(nodule.track_id)
            clip.outlines.add(nodule.track_id, result.frame.index, nodule.contour_xy)
            best = self._key_frames.get(nodule.track_id)
            if best is None or nodule.malignancy > best.nodule.malignancy:
                self._key_frames[nodule.track_id] = _KeyFrame(result.frame, nodule)
        for track, key_frame in self._key_frames.items():
            if track not in in_view:
                key_frame.pack()
        set_frames(clip.outlines.source, result.frame.index + 1)

    def end_clip(self, summary: ClipSummary | None) -> None:
        """Finish the overlay clip.

        Raises:
            OutputError: it cannot be written.
        """
        clip = self._clips[-1]
        clip.whole = summary is not None and summary.complete
        clip.rejections = {} if summary is None else summary.rejections
        if clip.video is not None and clip.video.frames > 1:
            with self._file("overlay", clip.position) as path:
                clip.video.finish(path, clip.outlines.source, self._run, clip.position)
        self.abort()

    def abort(self) -> None:
        """Let go of the clip that is being encoded."""
        if not self._clips:
            return
        video, self._clips[-1].video = self._clips[-1].video, None
        if video is not None:
            with suppress(Exception):
                video.close()

    def close(self, report: StudyReport | None) -> None:
        """Write all that describes the study as a whole.

        Raises:
            OutputError: a file cannot be written.
        """
        self.abort()
        if report is None or not self._clips:
            return
        by_study: dict[str, list[_Clip]] = {}
        for clip in self._clips:
            by_study.setdefault(str(clip.outlines.source.StudyInstanceUID), []).append(clip)
        run = RunIdentity(run=self._run.run, created=self._run.created, algorithm=_algorithm(report))
        for number, clips in enumerate(by_study.values(), start=1):
            self._write_study(report, run, clips, number)

    def _write_study(self, report: StudyReport, run: RunIdentity, clips: Sequence[_Clip], number: int) -> None:
        by_name = {clip.name: clip for clip in clips}
        nodules = [
            _nodule(track, by_name[track.video].outlines)
            for track in report.tracks
            if track.qualifies and track.video in by_name
        ]
        highest = max((nodule.probability for nodule in nodules), default=None)
        sources = [clip.outlines.source for clip in clips]
        whole = report.complete and all(clip.whole for clip in clips)
        rejections = sum((Counter(clip.rejections) for clip in clips), Counter[str]())
        with self._file("report", number) as path:
            made = structured_report(
                sources, nodules, patient_probability=highest, run=run, complete=whole, rejections=rejections
            )
            save(made, path)
        images = []
        for nodule in nodules:
            with self._file("key", nodule.track) as path:
                image = self._renderer.draw(self._key_frames[nodule.track].result(report.patient_malignancy))
                images.append(write_key_image(path, nodule, image, run, nodule.track))
            if nodule.clip.outlines.get(nodule.track):
                with self._file("seg", nodule.track) as path:
                    write_segmentation(path, nodule, run, nodule.track)
        if images:
            with self._file("selection", number) as path:
                write_selection(path, images, run)
        for clip in clips:
            shown = [nodule for nodule in nodules if clip.outlines.outlines.get(nodule.track)]
            if shown:
                with self._file("state", clip.position) as path:
                    write_presentation(path, clip.outlines, shown, run, clip.position)

    @contextmanager
    def _file(self, kind: str, number: int) -> Iterator[Path]:
        """Where a result is written; it gets its name once it is whole."""
        path = self._context.folder.partial(dicom_name(kind, number))
        with output_errors(path):
            yield path
        self._context.commit(dicom_name(kind, number))


def source_of(info: ClipInfo) -> Dataset:
    """What the results of a clip state about it; its number of frames is set once they are known.

    Raises:
        InputError: the clip is no DICOM file, or does not say to which study it belongs.
    """
    if info.header is None:
        raise InputError(
            f"{info.name} is no DICOM file, beside which alone DICOM results are filed: "
            "leave out --dicom, or dicom among the outputs"
        )
    return evidence(info.header, info.name, rows=info.height, columns=info.width, frames=1)


def _nodule(track: Track, clip: ClipOutlines) -> NoduleResult:
    seen = track.key_nodule
    size = seen.size_mm
    return NoduleResult(
        track=track.track_id,
        clip=clip,
        key_frame=track.key_frame,
        box_xyxy=seen.box_xyxy,
        contour_xy=seen.contour_xy,
        measured=size is not None,
        long_axis=seen.long_axis_px if size is None else size.long_axis_mm,
        short_axis=seen.short_axis_px if size is None else size.short_axis_mm,
        area=seen.area_px if size is None else size.area_mm2,
        probability=track.malignancy_max,
        frames=track.supporting_frames,
        volume_ml=track.volume_ml,
    )


def _algorithm(report: StudyReport) -> tuple[str, ...]:
    """What identifies the networks: role, architecture and checksum of the weights, and how they were run."""
    models = (f"{model.role}: {model.name}, sha256 {model.sha256}" for model in report.models)
    return (*models, f"precision: {report.precision}", f"operating point: {report.threshold:.4f}")


def write_reader_reports(directory: Path, notes: Mapping[int, ReaderEntry]) -> None:
    """Write what a reader says as a new version of each DICOM report in a finished folder: dicom-reader-1.dcm, ...

    Args:
        directory: the output folder.
        notes: by track number.

    Raises:
        OutputError: one cannot be read or written.
    """
    said = {track: (note.c_tirads or "", note.note) for track, note in notes.items()}
    for path in sorted(directory.glob(dicom_name("report", "*"))):
        target = path.with_name(path.name.replace("-report-", "-reader-"))
        partial = target.with_name(target.name + PARTIAL)
        with output_errors(partial):
            save(with_reader_notes(dcmread(path), said, RunIdentity()), partial)
            partial.replace(target)
