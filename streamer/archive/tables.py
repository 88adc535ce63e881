"""The tables: their columns, and how a report becomes rows. Pixel coordinates and rounding are those of report.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from streamer.archive.library import require
from streamer.outputs.report_json import nodule_line
from streamer.summaries import ClipSummary, StudyReport, Track
from streamer.types import FrameResult

if TYPE_CHECKING:
    import pyarrow as pa

CLIPS, NODULES, FRAMES, PATIENTS, STUDIES = "clips", "nodules", "frames", "patients", "studies"

_BOX = {"x0_px": "f4", "y0_px": "f4", "x1_px": "f4", "y1_px": "f4"}
_SIZES = {
    "long_axis_px": "f4", "short_axis_px": "f4", "area_px": "f4",
    "long_axis_mm": "f4", "short_axis_mm": "f4", "area_mm2": "f4",
}  # fmt: skip
_COLUMNS: dict[str, dict[str, str]] = {
    CLIPS: {
        "uri": "text", "key": "text", "status": "text", "failure": "text", "reason": "text",
        "patient": "text", "study": "text",
        "files": "i4", "size_bytes": "i8", "fingerprint": "text",
        "width": "i4", "height": "i4", "fps": "f8", "frames": "i8", "duration_s": "f8",
        "pixel_spacing_x_mm": "f8", "pixel_spacing_y_mm": "f8", "complete": "bool", "warnings": "texts",
        "nodules": "i4", "brief_tracks": "i4", "malignancy": "f8", "threshold": "f8", "decision": "text",
        "device": "text", "precision": "text", "streamer_version": "text",
        "has_frames": "bool", "folder": "text",
        "attempts": "i4", "analysis_s": "f8", "seconds": "f8", "finished": "time",
    },
    NODULES: {
        "key": "text", "track": "i4", "first_frame": "i8", "last_frame": "i8", "supporting_frames": "i8",
        "malignancy_max": "f8", "malignancy_median": "f8", "threshold": "f8",
        "qualifies": "bool", "decides": "bool", "malignant": "bool", "key_frame": "i8", "key_time_s": "f8",
        "confidence": "f4", "track_confidence": "f4", **_BOX, **_SIZES,
    },
    FRAMES: {"key": "text", "frame": "i8", "time_s": "f8", "malignancy": "f8", "nodules": "nodules"},
    PATIENTS: {
        "patient": "text", "decision": "text", "malignancy": "f8", "threshold": "f8", "nodules": "i4",
        "decisive_key": "text", "decisive_track": "i4",
        "studies": "i4", "clips": "i4", "failed_clips": "i4", "frames": "i8", "complete": "bool",
    },
}  # fmt: skip
_COLUMNS[STUDIES] = {"study": "text", **{k: v for k, v in _COLUMNS[PATIENTS].items() if k != "studies"}}
_IN_FRAME = {
    "track": "i4", "malignancy": "f4", "confidence": "f4", "track_confidence": "f4", "qualifies": "bool",
    **_BOX, **_SIZES,
}  # fmt: skip


def schema(table: str) -> pa.Schema:
    """The columns of a table."""
    require("pyarrow")
    import pyarrow as pa

    kinds = {
        "text": pa.string(), "texts": pa.list_(pa.string()), "bool": pa.bool_(), "time": pa.timestamp("ms", tz="UTC"),
        "i4": pa.int32(), "i8": pa.int64(), "f4": pa.float32(), "f8": pa.float64(),
    }  # fmt: skip
    kinds["nodules"] = pa.list_(pa.struct([(name, kinds[kind]) for name, kind in _IN_FRAME.items()]))
    return pa.schema([(name, kinds[kind]) for name, kind in _COLUMNS[table].items()])


def as_table(table: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as a table; a column that a row does not name is null there."""
    import pyarrow as pa

    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema(table))


def clip_columns(report: StudyReport) -> dict[str, Any]:
    """What the report of one clip says of it."""
    (video,) = report.videos
    counted = [track for track in report.tracks if track.qualifies]
    spacing = video.pixel_spacing_mm or (None, None)
    return {
        "width": video.width,
        "height": video.height,
        "fps": round(video.fps, 4),
        "frames": video.frames,
        "duration_s": round(video.duration_s, 6),
        "pixel_spacing_x_mm": spacing[0],
        "pixel_spacing_y_mm": spacing[1],
        "complete": report.complete,
        "warnings": _warnings(video, report),
        "nodules": len(counted),
        "brief_tracks": len(report.tracks) - len(counted),
        "malignancy": _probability(report.patient_malignancy),
        "threshold": _probability(report.threshold),
        "decision": report.decision,
        "device": report.device,
        "precision": report.precision,
    }


def nodule_row(key: str, track: Track) -> dict[str, Any]:
    """A track as a row."""
    line = nodule_line(track.key_nodule)
    return {
        "key": key,
        "track": track.track_id,
        "first_frame": track.first_frame,
        "last_frame": track.last_frame,
        "supporting_frames": track.supporting_frames,
        "malignancy_max": _probability(track.malignancy_max),
        "malignancy_median": _probability(track.malignancy_median),
        "threshold": _probability(track.threshold),
        "qualifies": track.qualifies,
        "decides": track.decides,
        "malignant": track.malignant,
        "key_frame": track.key_frame,
        "key_time_s": round(track.key_time_s, 6),
        **_measured(line.model_dump()),
    }


def frame_row(key: str, result: FrameResult) -> dict[str, Any]:
    """A frame as a row, with its nodules as a list."""
    lines = [nodule_line(nodule).model_dump() for nodule in result.nodules]
    return {
        "key": key,
        "frame": result.frame.index,
        "time_s": round(result.frame.time_s, 6),
        "malignancy": _probability(result.patient_malignancy),
        "nodules": [
            {
                **_measured(line),
                "track": line["track"],
                "malignancy": line["malignancy"],
                "qualifies": line["qualifies"],
            }
            for line in lines
        ],
    }


def _measured(line: Mapping[str, Any]) -> dict[str, Any]:
    box: Sequence[float] = line["box_xyxy"]
    return {
        "confidence": line["confidence"],
        "track_confidence": line["track_confidence"],
        **dict(zip(_BOX, box, strict=True)),
        **{name: line[name] for name in _SIZES},
    }


def _warnings(video: ClipSummary, report: StudyReport) -> list[str]:
    return [text.encode("utf-8", "replace").decode() for text in (*video.warnings, *report.warnings)]


def _probability(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)
