"""A worker that does what the clip's bytes say: no networks, no decoder."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

from streamer.archive.clips import ClipResult, ClipTask, Failure
from streamer.archive.keys import content_digest
from streamer.archive.worker import WorkerSettings


class FakeWorker:
    """`good 5`: five frames and a nodule; `bad`: damaged; `hang`; `die`; `die once PATH`; `gone`: cannot be fetched."""

    def __init__(self, given: WorkerSettings) -> None:
        self.frames = 0
        self._given = given
        self.analysed: list[str] = []

    def fetch(self, task: ClipTask) -> str | Failure:
        if "gone" in Path(task.files[0]).read_text():
            return Failure(kind="fetch", reason="the file cannot be had: gone")
        return content_digest([Path(file) for file in task.files])

    def analyse(self, task: ClipTask, key: str, picture_below: str) -> ClipResult | Failure:
        self.analysed.append(task.uri)
        words = Path(task.files[0]).read_text().split()
        if words[0] == "hang":
            time.sleep(3600)
        if words[0] == "die" and not (len(words) > 1 and Path(words[1]).exists()):
            if len(words) > 1:
                Path(words[1]).touch()
            os._exit(1)
        if words[0] == "bad":
            return Failure(kind="input", reason=f"{Path(task.uri).name} is damaged")
        count = int(words[1]) if words[0] == "good" else 1
        self.frames += count
        nodule = {"track": 1, "qualifies": True, "decides": True, "malignant": True, "malignancy_max": 0.7}
        return ClipResult(
            clip={
                "frames": count, "duration_s": count / 30, "complete": True, "nodules": 1, "decision": "malignant",
                "malignancy": 0.7, "threshold": 0.5, "device": "fake", "precision": "fp32", "analysis_s": 0.1,
                "finished": datetime(2026, 1, 1, 12, 30, tzinfo=UTC), "has_frames": self._given.frames, "folder": None,
            },
            nodules=[{**nodule, "key": key}],
            frames=[{"key": key, "frame": at} for at in range(count)] if self._given.frames else None,
            picture=b"jpeg" if key < picture_below else None,
        )  # fmt: skip

    def release(self) -> None:
        """Nothing is held."""

    def frames_done(self) -> int:
        return self.frames
