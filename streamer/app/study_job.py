"""Analyses the clips of one patient, with the results of `streamer run`, and keeps the reader's notes with them."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from streamer._files import atomic_path
from streamer.app.frame_store import Feed
from streamer.app.job import Job
from streamer.app.jobs import GoneError
from streamer.app.summary import Summary
from streamer.errors import ClipGoneError, InputError
from streamer.monitoring.progress import MeteredProgress
from streamer.outputs.folder import output_errors
from streamer.outputs.reader_notes import write_reader_notes
from streamer.outputs.schema import C_TIRADS, LONGEST_NOTE, CTirads, ReaderEntry
from streamer.pipeline.thyroid import Engine
from streamer.run import Progress, run_study
from streamer.sources import Source
from streamer.summaries import ClipSummary
from streamer.types import FrameResult

ARCHIVE = "study.zip"
RESULTS = "results"


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
        self._notes: dict[int, ReaderEntry] = {}
        self._writing = threading.Lock()
        self._published = False
        self._listed: list[dict[str, Any]] = []
        self._reporting = False

    def add(self, video: Path) -> None:
        """Add a clip or still, which stays where it is."""
        self._videos += (video,)

    def add_stills(self, name: str, stills: Sequence[Path]) -> None:
        """Add stills that are the frames of one clip: linked into a folder of the study, as they lie in one each.

        Raises:
            InputError: there are none, or two have one name.
            OutputError: the folder cannot be made.
        """
        if not stills:
            raise InputError(f"{name} holds no stills")
        if len({still.name for still in stills}) < len(stills):
            raise InputError(f"two stills of {name} have one name: their order is that of their names")
        folder = self.folder / f"stills-{len(self._videos)}" / (Path(name).name or "stills")
        with output_errors(folder):
            folder.mkdir(parents=True)
            for still in stills:
                (folder / still.name).hardlink_to(still)
        self._videos += (folder,)

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
        """As of any job, with the clips so far, whether only the report is missing, and the files when it is not."""
        files = self._listed if self.state in ("done", "stopped") else []
        return super().status() | {"clips": list(self._clips), "files": files, "reporting": self._reporting}

    def file(self, name: str) -> Path:
        """One of the files that `status` lists, or the archive that was asked for last.

        Raises:
            GoneError: there is none of that name.
        """
        results = self._result_files() if self._published else []
        for path in [*results, self.folder / ARCHIVE]:
            if path.name == name and path.is_file():
                return path
        raise GoneError("there is no such file; analyse the clip again")

    def archive(self) -> Path:
        """All files of the finished study in one ZIP, the reader's notes as they are now.

        Raises:
            InputError: the study is not finished, or came to nothing.
            OutputError: the archive cannot be written.
        """
        if not self._published:
            raise InputError("there are no results yet")
        path = self.folder / ARCHIVE
        with (
            self._writing,
            atomic_path(path) as partial,
            zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        ):
            for file in self._result_files():
                packed = zipfile.ZIP_STORED if file.suffix in (".mp4", ".png") else None
                archive.write(file, file.name, packed)
        return path

    def note(self, track: int, c_tirads: str, text: str) -> None:
        """Keep what the reader says of a nodule: it becomes part of the report, of a finished one at once.

        Args:
            track: number of the nodule.
            c_tirads: category; "" for none.
            text: free text.

        Raises:
            InputError: there is no such nodule or category, or the text is too long.
            OutputError: the report cannot be written.
        """
        category: CTirads | None = next((known for known in C_TIRADS if known == c_tirads), None)
        if c_tirads and category is None:
            raise InputError(f"C-TIRADS is one of {', '.join(C_TIRADS)}")
        if len(text) > LONGEST_NOTE:
            raise InputError(f"a note has at most {LONGEST_NOTE} characters")
        nodules = self.summary.shown["nodules"] if self.summary else []
        if track not in [nodule["track"] for nodule in nodules]:
            raise InputError(f"there is no nodule {track}")
        with self._writing:
            self._notes.pop(track, None)
            if category or text.strip():
                self._notes[track] = ReaderEntry(c_tirads=category, note=text.encode("utf-8", "replace").decode())
            if self._published:
                write_reader_notes(self.results, self._notes)
                self._list_files()

    def _analyse(self, engine: Engine) -> None:
        if self.feed is None or self.summary is None:
            raise RuntimeError("a job is executed, not analysed")
        progress = _Watch(self.feed, self.summary, self._clips, self._count_frame, self._end_clip)
        try:
            run_study(
                self._videos,
                self.results,
                analyser=engine,
                aggregator=self.summary.aggregator,
                patient=self._patient,
                progress=progress if self.metrics is None else MeteredProgress(self.metrics, progress),
                should_stop=self._should_stop,
            )
        except ClipGoneError as error:
            self._clips[-1]["warnings"].append(str(error))
        self._should_stop()  # discarded meanwhile
        with self._writing:
            self._published = True
            if self._notes:
                write_reader_notes(self.results, self._notes)
            self._list_files()

    def _end_clip(self) -> None:
        self._reporting = self._stopped.is_set() or len(self._clips) == len(self._videos)

    def _result_files(self) -> list[Path]:
        return sorted(path for path in self.results.glob("*") if not path.name.startswith("."))

    def _list_files(self) -> None:
        files = self._result_files()
        self._listed = [{"name": file.name, "bytes": file.stat().st_size} for file in files]


class _Watch(Progress):
    """Passes what `run_study` tells on to the viewer."""

    def __init__(
        self,
        feed: Feed,
        summary: Summary,
        clips: list[dict[str, Any]],
        count_frame: Callable[[], None],
        end_clip: Callable[[], None],
    ) -> None:
        self._feed, self._summary, self._clips = feed, summary, clips
        self._count_frame, self._end_clip = count_frame, end_clip
        self._begins_s = 0.0

    def start_clip(self, source: Source) -> None:
        self._summary.start_clip(source.info.name)
        expected = source.expected_frames
        self._clips.append(
            {
                "name": source.info.name,
                "fps": round(source.info.fps, 2),
                "begins_s": self._begins_s,
                "expected_s": expected / source.info.fps if expected else None,
                "warnings": [],
            }
        )

    def frame(self, result: FrameResult) -> None:
        # The feed first: a nodule that the summary shows has its portrait then.
        self._feed.add(result, clip=len(self._clips) - 1, at_s=self._begins_s + result.frame.time_s)
        self._summary.add(result)
        self._count_frame()

    def end_clip(self, summary: ClipSummary) -> None:
        self._summary.end_clip()
        self._clips[-1] |= {"expected_s": summary.duration_s, "warnings": list(summary.warnings)}
        self._begins_s += summary.duration_s
        self._end_clip()
