"""The engine: three networks on one backend, from frames to findings. It keeps no state between frames."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from streamer._pixels import to_grey
from streamer._resources import weights_dir
from streamer.backends import choose_backend
from streamer.backends.process import stay_in_process
from streamer.models.classifier import prevalence_shift
from streamer.models.colour import is_coloured
from streamer.models.crop_analyser import Roi, RoiPrediction, load_crop_analyser
from streamer.models.detector import Detection, Detector
from streamer.models.gate import COLOURED, load_gate
from streamer.models.grad_cam import classifier_heat_maps
from streamer.models.loading import load_runner
from streamer.models.log_odds import expit, logit
from streamer.models.sweep_point import SweepOperatingPoint
from streamer.models.weights_manifest import Manifest, read_manifest
from streamer.pipeline.analyser import AnalyserInfo, FrameCandidates, FrameFindings
from streamer.settings import DetectionSettings, Settings, checked_settings
from streamer.summaries import ModelVersion
from streamer.types import Candidate, Finding, Frame, Grey


class Engine:
    """Detector, segmenter and classifier, loaded once and shared by all clips and threads.

    Attributes:
        runners: the networks by role; one that does the work of two under both names.
    """

    def __init__(self, settings: Settings | None = None, *, expected_frames: int | None = None) -> None:
        """Load weights and make them ready on the chosen backend.

        Args:
            settings: how; the defaults if None.
            expected_frames: how many frames there are to analyse, where that is known: for few, networks are loaded in
                less time and memory, and run a little slower. Results are the same.

        Raises:
            SettingsError: `settings` is something else.
            WeightsError: weights are missing or damaged.
            DeviceError: the device cannot be used, or networks were loaded before this process was forked.
        """
        stay_in_process()
        settings = checked_settings(settings)
        folder = settings.weights or weights_dir()
        self.manifest = read_manifest(folder)
        self.settings = _with_confidence(settings, self.manifest)
        self.backend = choose_backend(self.settings.runtime, expected_frames)
        detector = load_runner(folder, "detector", self.manifest, self.backend)
        self._detector = Detector(detector, self.manifest.models["detector"], _for_candidates(self.settings))
        self._crop_analyser = load_crop_analyser(folder, self.manifest, self.backend, self.settings.classification)
        self._gate = load_gate(folder, self.manifest) if self.settings.detection.gate else None
        self._warnings: tuple[str, ...] = ()
        if self._gate is not None and self._detector.with_features([_BLANK])[1] is None:
            self._gate, self._warnings = None, (_NO_FEATURES,)
        self.runners = {"detector": detector, **self._crop_analyser.runners}
        self.heat_maps = classifier_heat_maps(folder, self.manifest, self.settings.classification)

    @property
    def threshold(self) -> float:
        """Probability from which a nodule in a still is called malignant: the setting, else the weights' own.

        The weights' own moves with the prevalence that the settings name, as the probability does.
        """
        own, entry = self.settings.study.threshold, self.manifest.models["classifier"]
        if own is not None:
            return own
        shift = prevalence_shift(entry, self.settings.classification)
        return expit(logit(entry.operating_point) + shift) if shift else entry.operating_point

    @property
    def operating_point(self) -> SweepOperatingPoint:
        """The same for a nodule in a sweep, by the number of its frames."""
        entry = self.manifest.models["classifier"]
        if entry.sweep is None or not self.settings.study.threshold_rises:
            return SweepOperatingPoint(self.threshold)
        return entry.sweep.operating_point(self.threshold, prevalence_shift(entry, self.settings.classification))

    @property
    def versions(self) -> tuple[ModelVersion, ...]:
        """The weights in use."""
        return tuple(
            ModelVersion(role=role, name=entry.architecture, sha256=entry.sha256)
            for role, entry in self.manifest.models.items()
        )

    @property
    def info(self) -> AnalyserInfo:
        """What a report says of it."""
        return AnalyserInfo(
            threshold=self.threshold,
            models=self.versions,
            device=self.backend.device,
            precision=self.backend.precision,
            warnings=(*self.backend.warnings, *self._warnings),
            point=self.operating_point,
        )

    @property
    def workers(self) -> int:
        """Threads that may call it at once."""
        return self.backend.workers

    @property
    def batch_size(self) -> int:
        """Frames a micro-batch: the setting, else what suits the backend."""
        return self.settings.runtime.batch_frames or self.backend.batch_frames

    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        """Detect nodules and characterise all of them; the pipeline takes the two steps apart.

        Weak candidates are among the findings: in a clip their track decides, in a still `settings.detection`.

        Args:
            frames: at least one frame, any sizes.

        Returns:
            One entry a frame, in order; the same whatever the batch.

        Raises:
            DeviceError: this process was forked from the one that loaded the networks.
        """
        return self.characterise(self.detect(frames))

    def detect(self, frames: Sequence[Frame]) -> list[FrameCandidates]:
        """Detect nodules in a micro-batch: the network sees all frames in one call. May be called from several threads.

        Args:
            frames: at least one frame, any sizes.

        Returns:
            One entry a frame, in order, weak candidates included; the same whatever the batch.

        Raises:
            DeviceError: this process was forked from the one that loaded the networks.
        """
        stay_in_process()
        clock = _StageTimer()
        detections, rejected = self._detect(frames, [to_grey(frame.image) for frame in frames])
        clock("detect")
        timing = clock.shares_ms(len(frames))
        return [
            FrameCandidates(frame, tuple(_candidate(one) for one in found), timing, why)
            for frame, found, why in zip(frames, detections, rejected, strict=True)
        ]

    def characterise(self, frames: Sequence[FrameCandidates]) -> list[FrameFindings]:
        """Outline and classify candidates of a micro-batch: each network sees all of them in one call. Thread-safe.

        Args:
            frames: at least one, each with the candidates that are wanted.

        Returns:
            One entry a frame, in order, with a finding for each candidate, in order; the same whatever the batch.

        Raises:
            DeviceError: this process was forked from the one that loaded the networks.
        """
        stay_in_process()
        clock = _StageTimer()
        # Made grey once more: 0.1 ms at 686x528, and nothing to hold while a frame waits for its tracks.
        rois = [
            Roi(grey, one.box_xyxy)
            for found in frames
            if found.candidates
            for grey in (to_grey(found.frame.image),)
            for one in found.candidates
        ]
        predictions = iter(self._crop_analyser(rois, clock))
        timing = clock.shares_ms(len(frames))
        return [
            FrameFindings(
                found.frame,
                tuple(_finding(one, next(predictions)) for one in found.candidates),
                {**found.timing_ms, **timing},
                found.rejected,
            )
            for found in frames
        ]

    def _detect(self, frames: Sequence[Frame], greys: Sequence[Grey]) -> tuple[list[list[Detection]], list[str]]:
        """Detections of each frame, none where it does not pass the gate, and why it does not; empty where it does."""
        detections, features = self._detector.with_features(greys)
        if self._gate is None or features is None:
            return detections, [""] * len(greys)
        rejected = [
            why or (COLOURED if is_coloured(frame.image) else "")
            for why, frame in zip(self._gate.rejections(features), frames, strict=True)
        ]
        return [[] if why else found for found, why in zip(detections, rejected, strict=True)], rejected


_BLANK = np.zeros((32, 32), np.uint8)
_NO_FEATURES = (
    "the gate cannot read this detector's features, so pictures that are no B-mode view of the neck are not rejected: "
    "publish the detector anew"
)


class _StageTimer:
    """Notes how long each stage took."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._last_s = time.perf_counter()

    def __call__(self, stage: str) -> None:
        now_s = time.perf_counter()
        self._seconds[stage], self._last_s = now_s - self._last_s, now_s

    def shares_ms(self, frames: int) -> dict[str, float]:
        """Milliseconds of each stage, shared equally by so many frames."""
        return {stage: seconds * 1000 / frames for stage, seconds in self._seconds.items()}


def _candidate(detection: Detection) -> Candidate:
    return Candidate(box_xyxy=detection.box_xyxy, confidence=detection.score)


def _finding(candidate: Candidate, prediction: RoiPrediction) -> Finding:
    outline = prediction.outline
    return Finding(
        box_xyxy=candidate.box_xyxy,
        confidence=candidate.confidence,
        malignancy=prediction.malignancy,
        contour_xy=outline.contour_xy,
        long_axis_px=outline.long_axis_px,
        short_axis_px=outline.short_axis_px,
        area_px=outline.area_px,
        heat=prediction.heat,
    )


_TRACK_CONFIDENCE = 0.46
"""Least mean confidence of a track over five of its frames, see `TrackingSettings`."""


def _with_confidence(settings: Settings, manifest: Manifest) -> Settings:
    """The settings with what the weights or other settings say filled in where they name none: so reports show it."""
    if "detector" not in manifest.models:
        return settings
    detection, tracking = settings.detection, settings.tracking
    if tracking.confidence is None:
        own = _TRACK_CONFIDENCE if detection.confidence is None else detection.confidence
        tracking = tracking.model_copy(update={"confidence": own})
    if detection.confidence is None:
        detection = detection.model_copy(update={"confidence": manifest.models["detector"].operating_point})
    return settings.model_copy(update={"detection": detection, "tracking": tracking})


def candidate_detection(settings: Settings, manifest: Manifest) -> DetectionSettings:
    """How detections are kept that a track may yet confirm: what the detector's boxes are filtered by."""
    return _for_candidates(_with_confidence(settings, manifest))


def _for_candidates(settings: Settings) -> DetectionSettings:
    wanted = (settings.detection.confidence, settings.tracking.confidence, settings.tracking.candidate_confidence)
    least = min(confidence for confidence in wanted if confidence is not None)
    return settings.detection.model_copy(update={"confidence": least})
