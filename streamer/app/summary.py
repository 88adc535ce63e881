"""Nodules and patient so far, as the panels show them: counted by the study, worded as on the overlay."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from streamer.outputs.overlay import clock, percent, track_colour
from streamer.outputs.size_text import axes_text
from streamer.pipeline.aggregation import PatientAggregator, decimals_apart, decisive
from streamer.pipeline.thyroid import Engine
from streamer.summaries import Track
from streamer.types import FrameResult

_EVERY_S = 0.3  # often enough for a number that is read, and rarely enough to cost nothing


class Summary:
    """Follows the frames of a study. One thread adds; `shown` may be read by any.

    Attributes:
        aggregator: counts what is shown; whoever runs the analysis hands it over.
        shown: {"version", "patient", "nodules", "brief"} as plain data, replaced as a whole whenever it is renewed.
    """

    def __init__(self, engine: Engine) -> None:
        """Start with nothing seen, under the settings and threshold of `engine`."""
        self.aggregator = PatientAggregator(engine.settings)
        self._point = engine.info.operating_point
        self._first_positions: dict[str, int] = {}
        self._positions = 0
        self._renewed_s = 0.0
        self._version = 0
        self._patient: float | None = None
        self.shown: dict[str, Any] = {}
        self._renew()

    def start_clip(self, name: str) -> None:
        """A clip begins."""
        self._first_positions[name] = self._positions

    def add(self, result: FrameResult) -> None:
        """Take a frame that the study has counted."""
        self._positions += 1
        self._patient = result.patient_malignancy
        if time.monotonic() - self._renewed_s > _EVERY_S:
            self._renew()

    def end_clip(self) -> None:
        """A clip ends."""
        self._patient = self.aggregator.patient_malignancy()
        self._renew()

    def _renew(self) -> None:
        tracks = self.aggregator.tracks(self._point)
        counted = [track for track in tracks if track.qualifies]
        top = decisive(tracks)
        threshold = self._point.over(top.supporting_frames if top else 1)
        decimals = 0 if top is None else decimals_apart(top.malignancy_max, threshold, least=2) - 2
        self._version += 1
        self._renewed_s = time.monotonic()
        self.shown = {
            "version": self._version,
            "patient": {
                "malignancy": self._patient,
                "text": "\N{EN DASH}" if self._patient is None else percent(self._patient, decimals),
                "decision": self.aggregator.decision(self._point),
                "threshold": threshold,  # drawn as the line that the text names
                "threshold_text": percent(threshold, decimals),
                "nodules": len(counted),
                "suspicious": sum(self._suspicious(track) for track in counted),
                "frames": top.supporting_frames if top else 0,
                "top": top.track_id if top else None,
                "top_text": percent(top.malignancy_max, decimals) if top else "",
                "rejected": self._rejections(),
            },
            "nodules": [self._nodule(track) for track in counted],
            "brief": len(tracks) - len(counted),
        }

    def _rejections(self) -> str:
        """In how many frames nothing was looked for, and why; empty where there are none."""
        seen = sum((Counter(self.aggregator.rejections(name)) for name in self._first_positions), Counter[str]())
        return ", ".join(f"{count} frame{'' if count == 1 else 's'}: {why}" for why, count in seen.most_common())

    def _suspicious(self, track: Track) -> bool:
        return track.decides and track.malignant

    def _nodule(self, track: Track) -> dict[str, Any]:
        key = track.key_nodule
        return {
            "track": track.track_id,
            "colour": "#{:02x}{:02x}{:02x}".format(*track_colour(track.track_id)),
            "clip": track.video,
            "max": track.malignancy_max,
            "max_text": percent(track.malignancy_max),
            "median_text": percent(track.malignancy_median),
            "suspicious": self._suspicious(track),
            "threshold_text": percent(self._point.over(track.supporting_frames)),
            "frames": track.supporting_frames,
            "key": self._first_positions[track.video] + track.key_frame,
            "key_text": f"frame {track.key_frame}, {clock(track.key_time_s)}",
            "size_text": axes_text(key) or "no outline",
        }
