"""A small made-up study: grey frames with one bright nodule that drifts, and the records that go with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from streamer.settings import Settings
from streamer.summaries import ClipSummary, ModelVersion, StageTiming, StudyReport, Track
from streamer.types import ClipInfo, Decision, Finding, Frame, FrameResult, Nodule


def example_clip(**changes: Any) -> ClipInfo:
    """What a writer knows of a clip before its frames come."""
    return replace(ClipInfo(name="sweep.mp4", width=96, height=64, fps=25.0), **changes)


def nodule(track: int = 1, malignancy: float = 0.5, left: int = 20, top: int = 16) -> Nodule:
    contour = np.array([(left, top + 8), (left + 12, top), (left + 23, top + 8), (left + 12, top + 15)], dtype=np.int32)
    finding = Finding(
        box_xyxy=(left, top, left + 24.04, top + 16),
        confidence=0.91234567,
        malignancy=malignancy,
        contour_xy=contour,
        long_axis_px=24.0,
        short_axis_px=16.0,
        area_px=200.0,
    )
    return Nodule(track_id=track, track_confidence=0.87654321, qualifies=True, finding=finding)


def frame_result(
    index: int,
    *nodules: Nodule,
    clip: ClipInfo | None = None,
    time_s: float | None = None,
    patient_malignancy: float | None = None,
) -> FrameResult:
    clip = clip or example_clip()
    image = np.full((clip.height, clip.width, 3), 60, np.uint8)
    image[:, : clip.width // 2] += np.uint8(index % 100)
    time = index / clip.fps if time_s is None else time_s
    frame = Frame(image=image, index=index, time_s=time, video=clip.name)
    return FrameResult(frame=frame, nodules=nodules, patient_malignancy=patient_malignancy)


def track(number: int = 1, *, video: str = "sweep.mp4", qualifies: bool = True, malignancy: float = 0.75) -> Track:
    return Track(
        track_id=number,
        video=video,
        first_frame=2,
        last_frame=11,
        supporting_frames=10,
        malignancy_max=malignancy,
        malignancy_median=malignancy / 2,
        key_frame=4,
        key_time_s=0.16,
        key_nodule=nodule(number, malignancy),
        qualifies=qualifies,
    )


def study_report(
    *tracks: Track,
    patient: str = "P-7",
    clips: tuple[ClipInfo, ...] = (example_clip(),),
    frames: int = 12,
    complete: bool = True,
) -> StudyReport:
    maximum = max((entry.malignancy_max for entry in tracks if entry.qualifies), default=None)
    decision: Decision = "no nodule" if maximum is None else "malignant" if maximum >= 0.65 else "benign"
    return StudyReport(
        patient=patient,
        videos=tuple(
            ClipSummary(
                name=clip.name,
                width=clip.width,
                height=clip.height,
                frames=frames,
                fps=clip.fps,
                duration_s=frames / clip.fps,
                complete=complete,
            )
            for clip in clips
        ),
        tracks=tracks,
        patient_malignancy=maximum,
        threshold=0.65,
        decision=decision,
        models=(ModelVersion(role="detector", name="yolov5n", sha256="a" * 64),),
        settings=Settings().model_dump(mode="json"),
        device="cpu",
        precision="fp32",
        timing={"detect": StageTiming(p50=8.12345, p95=9, p99=10, max=11)},
        frames_per_second=31.4159,
        complete=complete,
    )
