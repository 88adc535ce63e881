"""Records as `frames.jsonl` and `report.json` hold them: numbers rounded, text as UTF-8 can hold it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime

import numpy as np

from streamer.outputs.schema import (
    RESEARCH_USE_ONLY,
    SCHEMA_VERSION,
    FrameLine,
    LiveEntry,
    NoduleEntry,
    NoduleLine,
    Report,
    StageEntry,
    TimingEntry,
    UsedModel,
    VideoEntry,
)
from streamer.pipeline.aggregation import decisive
from streamer.summaries import ClipSummary, StudyReport, Track
from streamer.types import FrameResult, Nodule
from streamer.version import __version__


def frame_line(result: FrameResult) -> FrameLine:
    """The line of `frames.jsonl` for one frame."""
    return FrameLine(
        video=_text(result.frame.video),
        frame=result.frame.index,
        time_s=_time(result.frame.time_s),
        nodules=[nodule_line(nodule) for nodule in result.nodules],
        patient_malignancy=_maximum(result.patient_malignancy),
        rejected=result.rejected or None,
    )


def nodule_line(nodule: Nodule) -> NoduleLine:
    """A nodule in one frame, numbers rounded to what is meaningful."""
    left, top, right, bottom = map(_length, nodule.box_xyxy)
    size = nodule.size_mm
    return NoduleLine(
        track=nodule.track_id,
        box_xyxy=(left, top, right, bottom),
        confidence=_probability(nodule.confidence),
        track_confidence=_probability(nodule.track_confidence),
        malignancy=_probability(nodule.malignancy),
        contour_xy=np.asarray(nodule.contour_xy).tolist(),
        long_axis_px=_length(nodule.long_axis_px),
        short_axis_px=_length(nodule.short_axis_px),
        area_px=_length(nodule.area_px),
        long_axis_mm=None if size is None else _millimetres(size.long_axis_mm),
        short_axis_mm=None if size is None else _millimetres(size.short_axis_mm),
        area_mm2=None if size is None else _millimetres(size.area_mm2),
        qualifies=nodule.qualifies,
    )


def report(
    study: StudyReport,
    *,
    created: datetime,
    overlays: Mapping[str, str],
    images: Mapping[int, str],
    warnings: Mapping[str, tuple[str, ...]],
) -> Report:
    """The content of `report.json`.

    Args:
        study: what was found in the patient's clips.
        created: time of writing, with time zone.
        overlays, images: file names of overlay videos by clip name, of key pictures by track number.
        warnings: what the writing itself has to say, by clip name; it follows the clip's own warnings.
    """
    return Report(
        schema_version=SCHEMA_VERSION,
        streamer_version=__version__,
        created=created,
        research_use_only=RESEARCH_USE_ONLY,
        patient=_text(study.patient),
        complete=study.complete,
        decision=study.decision,
        decisive_nodule=None if (nodule := decisive(study.tracks)) is None else nodule.track_id,
        patient_malignancy=_maximum(study.patient_malignancy),
        threshold=_probability(study.threshold),
        videos=[_video_entry(video, overlays.get(video.name), warnings.get(video.name, ())) for video in study.videos],
        nodules=[_nodule_entry(track, images.get(track.track_id)) for track in study.tracks],
        models=[UsedModel(**asdict(model)) for model in study.models],
        device=study.device,
        precision=study.precision,
        warnings=list(study.warnings),
        timing=TimingEntry(
            frames_per_second=round(study.frames_per_second, 2),
            stages_ms={name: StageEntry(**asdict(stage)) for name, stage in study.timing.items()},
        ),
        settings=json.loads(json.dumps(dict(study.settings), default=str)),
    )


def _text(text: str) -> str:
    """`text` as UTF-8 can hold it: a file name may carry bytes that are no text."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _video_entry(video: ClipSummary, overlay: str | None, warnings: tuple[str, ...]) -> VideoEntry:
    return VideoEntry(
        name=_text(video.name),
        width=video.width,
        height=video.height,
        pixel_spacing_mm=video.pixel_spacing_mm,
        frames=video.frames,
        fps=round(video.fps, 4),
        duration_s=_time(video.duration_s),
        overlay=overlay,
        complete=video.complete,
        warnings=[_text(warning) for warning in (*video.warnings, *warnings)],
        rejections=dict(video.rejections),
        live=None if video.live is None else LiveEntry.model_validate(asdict(video.live)),
    )


def _nodule_entry(track: Track, image: str | None) -> NoduleEntry:
    return NoduleEntry(
        track=track.track_id,
        video=_text(track.video),
        first_frame=track.first_frame,
        last_frame=track.last_frame,
        supporting_frames=track.supporting_frames,
        malignancy_max=_probability(track.malignancy_max),
        malignancy_median=_probability(track.malignancy_median),
        key_frame=track.key_frame,
        key_time_s=_time(track.key_time_s),
        key_nodule=nodule_line(track.key_nodule),
        qualifies=track.qualifies,
        decides=track.decides,
        threshold=_maximum(track.threshold),
        image=image,
        volume_ml=None if track.volume_ml is None else round(track.volume_ml, 3),
    )


def _length(value: float) -> float:
    return round(float(value), 1)  # finer than a contour is known


def _millimetres(value: float) -> float:
    return round(float(value), 2)  # finer than an ultrasound machine measures


def _maximum(value: float | None) -> float | None:
    return None if value is None else _probability(value)


def _probability(value: float) -> float:
    return round(float(value), 4)


def _time(value: float) -> float:
    return round(float(value), 6)  # finer than a container's clock
