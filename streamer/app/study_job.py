"""Analyses the clips of one patient, with the results of `streamer run`, and keeps the reader's notes with them."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamer.app.feed import Feed
from streamer.app.job import Job
from streamer.app.summary import Summary
from streamer.engine import Engine
from streamer.errors import InputError
from streamer.outputs.folder import output_errors
from streamer.records import FrameResult, VideoSummary
from streamer.run import Progress, run_study
from streamer.sources import Source

C_TIRADS = ("3", "4a", "4b", "4c", "5")
"""Categories a reader may give a nodule (C-TIRADS 2020), less those that no nodule or a biopsy decides."""
READER = "reader.json"
ARCHIVE = "study.zip"
RESULTS = "results"
_LONGEST_NOTE = 4000


@dataclass(frozen=True, slots=True)
class Note:
    """What a reader says of a nodule: a C-TIRADS category ("" for none) and free text."""

    c_tirads: str
    text: str


class StudyJob(Job):
    """The clips of one patient.

    Args:
        session: session that asks for it.
        root: where the job's folder is made.
        videos: clips, stills or folders of stills.
        patient: identifier for the report.
    """

    def __init__(self, session: str, root: Path, videos: Sequence[Path], patient: str = "") -> None:
        super().__init__(session, root)
        self.results = self.folder / RESULTS
        self._videos, self._patient = tuple(videos), patient
        self._clips: list[dict[str, Any]] = []
        self._notes: dict[int, Note] = {}
        self._writing = threading.Lock()
        self._published = False

    def take(self, videos: Sequence[Path]) -> None:
        """Add clips that were made for this study: they move into its folder and go when it goes.

        Raises:
            OutputError: one cannot be moved.
        """
        moved = tuple(self.folder / video.name for video in videos)
        for video, target in zip(videos, moved, strict=True):
            with output_errors(target):
                video.rename(target)
        self._videos += moved

    def status(self) -> dict[str, Any]:
        """As of any job, with the clips so far, and the files once they are there."""
        files = self._files() if self.state in ("done", "stopped") else []
        return super().status() | {"clips": list(self._clips), "files": files}

    def archive(self) -> Path:
        """All files of the finished study in one ZIP, the reader's notes as they are now.

        Raises:
            InputError: the study is not finished, or came to nothing.
            OutputError: the archive cannot be written.
        """
        if not self._published:
            raise InputError("there are no results yet")
        path = self.folder / ARCHIVE
        part = path.with_name(f".{ARCHIVE}.part")
        with self._writing, output_errors(path):
            with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
                for file in self._result_files():
                    packed = zipfile.ZIP_STORED if file.suffix in (".mp4", ".png") else None
                    archive.write(file, file.name, packed)
            part.replace(path)
        return path

    def note(self, track: int, note: Note) -> None:
        """Keep what the reader says of a nodule; it goes into `reader.json` beside the report.

        Raises:
            InputError: there is no such category, or the text is too long.
        """
        if note.c_tirads not in ("", *C_TIRADS):
            raise InputError(f"C-TIRADS is one of {', '.join(C_TIRADS)}")
        if len(note.text) > _LONGEST_NOTE:
            raise InputError(f"a note has at most {_LONGEST_NOTE} characters")
        nodules = self.summary.shown["nodules"] if self.summary else []
        if track not in [nodule["track"] for nodule in nodules]:
            raise InputError(f"there is no nodule {track}")
        with self._writing:
            self._notes[track] = note
            if self._published:
                self._write_notes()

    def _analyse(self, engine: Engine) -> None:
        if self.feed is None or self.summary is None:
            raise RuntimeError("a job is executed, not analysed")
        progress = _Watch(self.feed, self.summary, self._clips, self._count_frame)
        run_study(
            self._videos,
            self.results,
            engine=engine,
            patient=self._patient,
            progress=progress,
            should_stop=self._should_stop,
        )
        self._should_stop()  # discarded meanwhile
        with self._writing:
            self._published = True
            self._write_notes()

    def _write_notes(self) -> None:
        """The notes beside the report; no file without a note."""
        path = self.results / READER
        notes = [
            {"track": track, "c_tirads": note.c_tirads or None, "note": note.text}
            for track, note in sorted(self._notes.items())
            if note.c_tirads or note.text
        ]
        with output_errors(path):
            if notes:
                _replace(path, json.dumps({"nodules": notes}, indent=2) + "\n")
            else:
                path.unlink(missing_ok=True)

    def _result_files(self) -> list[Path]:
        return sorted(path for path in self.results.glob("*") if not path.name.startswith("."))

    def _files(self) -> list[dict[str, Any]]:
        if not self._published:
            return []
        files = self._result_files()
        return [{"name": file.name, "path": str(file), "bytes": file.stat().st_size} for file in files]


class _Watch(Progress):
    """Passes what `run_study` tells on to the viewer."""

    def __init__(self, feed: Feed, summary: Summary, clips: list[dict[str, Any]], count_frame: Any) -> None:
        self._feed, self._summary, self._clips, self._count_frame = feed, summary, clips, count_frame
        self._begins_s = 0.0

    def start_video(self, source: Source) -> None:
        self._summary.start_video(source.name, source.expected_frames)
        expected = source.expected_frames
        self._clips.append(
            {
                "name": source.name,
                "fps": round(source.fps, 2),
                "begins_s": self._begins_s,
                "expected_s": expected / source.fps if expected else None,
                "warnings": [],
            }
        )

    def frame(self, result: FrameResult) -> None:
        self._summary.add(result)
        self._feed.add(result, clip=len(self._clips) - 1, at_s=self._begins_s + result.frame.time_s)
        self._count_frame()

    def end_video(self, summary: VideoSummary) -> None:
        self._summary.end_video(summary.name, summary.frames)
        self._clips[-1] |= {"expected_s": summary.duration_s, "warnings": list(summary.warnings)}
        self._begins_s += summary.duration_s


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
