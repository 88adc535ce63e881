"""What the page asks of the server: each question is one list of values, and nonsense gets one line as an answer."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gradio as gr
from anyio.to_thread import run_sync

from streamer.app.audit import AppAudit
from streamer.app.camera import CameraJob
from streamer.app.demo_clip import DemoClip
from streamer.app.frame_store import View, sent_jpeg
from streamer.app.job import Job
from streamer.app.jobs import Jobs
from streamer.app.study_job import StudyJob
from streamer.errors import InputError, StreamerError
from streamer.monitoring.audit import AuditLog
from streamer.outputs.heatmap import draw_frame_heatmap
from streamer.outputs.schema import C_TIRADS, RESEARCH_USE_ONLY
from streamer.version import __version__

Answer = dict[str, Any]
_UPLOAD_FOLDER = re.compile(r"[0-9a-f]{64}")  # Gradio names it after the content's sha256
_MAX_CLIPS = 50
_MAX_PICTURES = 4
_LONGEST_PATIENT = 200
_WAIT_S = 0.2  # for a frame that is about to come: asking again at once would take time from the analysis


class Answers:
    """Answers the page of one app.

    Args:
        jobs: where analyses run.
        uploads: Gradio's upload folder.
        demo: the clip behind "Try the demo clip".
        audit: who did what; nobody notes it if None.
    """

    def __init__(self, jobs: Jobs, uploads: Path, demo: DemoClip, audit: AuditLog | None = None) -> None:
        self._audit = None if audit is None else AppAudit(audit)
        self._jobs, self._uploads, self._demo = jobs, uploads.resolve(), demo

    def functions(self) -> list[Callable[..., Any]]:
        """The functions that the page may call."""
        named = (
            self.welcome, self.leave, self.claim, self.start, self.demo, self.pull, self.portrait, self.heat, self.stop,
            self.note, self.archive, self.camera, self.frame, self.record, self.recorded,
        )  # fmt: skip
        return [_answering(function, self._audit) for function in named]

    def start_for_program(self, session: str, user: str, clip: str, patient: str) -> Answer:
        """The same as `start` for one clip, for a program in place of the page."""
        if self._audit is not None:
            self._audit.note("start", session, user, [[clip], patient])
        return self.start(session, [clip], patient)

    def welcome(self, session: str) -> Answer:
        """What the page shows before anything is analysed, and the name by which it takes its leave."""
        engine = self._jobs.engine
        return {
            "session": session,
            "version": __version__,
            "device": f"{engine.backend.device}, {engine.backend.precision}",
            "c_tirads": C_TIRADS,
            "notice": RESEARCH_USE_ONLY,
        }

    def leave(self, session: str) -> Answer:
        """Free all that the session has: its page is being closed."""
        self._jobs.end_session(session)
        return {}

    def claim(self, session: str, upload: str) -> Answer:
        """Say that an upload is this session's, so that it ends with it."""
        self._jobs.claim(session, [self.uploaded(upload)])
        return {}

    def start(self, session: str, uploads: list[str | dict[str, Any]], patient: str) -> Answer:
        """Analyse uploaded clips; a mapping of "name" and "stills", a list of uploads, is a folder of stills."""
        if not isinstance(patient, str):
            raise InputError("the patient's identifier must be a text")
        if not uploads or len(uploads) > _MAX_CLIPS:
            raise InputError(f"give one to {_MAX_CLIPS} clips")
        clips: list[Path | tuple[str, list[Path]]] = [
            self.uploaded(upload)
            if isinstance(upload, str)
            else (str(upload["name"]), [self.uploaded(still) for still in upload["stills"]])
            for upload in uploads
        ]
        with _prepared(StudyJob(session, self._jobs.root, [], patient[:_LONGEST_PATIENT])) as job:
            for clip in clips:
                if isinstance(clip, Path):
                    self._jobs.claim(session, [clip])
                    job.add(clip)
                else:
                    self._jobs.claim(session, clip[1])
                    job.add_stills(*clip)
        return self._submit(job)

    def demo(self, session: str) -> Answer:
        """Analyse the demo clip."""
        return self._submit(StudyJob(session, self._jobs.root, [self._demo.path()], "phantom"))

    def pull(self, session: str, token: str, seen: int, wanted: list[int], view: list[float], version: int) -> Answer:
        """All that is new: rows from `seen` on, the wanted pictures, and the panels if they are not at `version`."""
        job = self._jobs.find(token, session)
        boxes, contours, labels, opacity, *more = view
        if not math.isfinite(float(opacity)):
            raise ValueError("the opacity is no number")
        heatmap = bool(more and more[0])
        drawn = View(bool(boxes), bool(contours), bool(labels), min(max(float(opacity), 0.0), 1.0), heatmap)
        if job.feed is not None and wanted and job.state == "running":
            job.feed.wait_for(int(wanted[0]), _WAIT_S)
        answer: Answer = job.status() | {"place": self._jobs.place(job), "pictures": [], "rows": []}
        feed, summary = job.feed, job.summary
        if feed is not None:
            pictures = (feed.picture(int(position), drawn) for position in wanted[:_MAX_PICTURES])
            answer["pictures"] = [
                [picture.position, _base64(picture.jpeg), None if picture.age_s is None else 1000 * picture.age_s]
                for picture in pictures
                if picture
            ]
            answer["rows"] = feed.rows(int(seen))
        if summary is not None and summary.shown["version"] != version:
            answer["panels"] = summary.shown
        return answer

    def portrait(self, session: str, token: str, track: int) -> Answer:
        """A nodule where its malignancy was highest."""
        feed = self._jobs.find(token, session).feed
        picture = feed.portrait(int(track)) if feed else None
        return {"jpeg": _base64(picture)} if picture else {}

    def heat(self, session: str, token: str, position: int, track: int) -> Answer:
        """A frame with the heat map of one nodule in it."""
        feed = self._study(session, token).feed
        result = feed.result(int(position)) if feed else None
        found = [nodule for nodule in result.nodules if nodule.track_id == track] if result else []
        if result is None or not found:
            raise InputError(f"nodule {int(track)} is not in this frame; its key frame shows it")
        picture = draw_frame_heatmap(result.frame.image, found, self._jobs.engine.heat_maps)
        return {"jpeg": _base64(sent_jpeg(picture))}

    def stop(self, session: str, token: str) -> Answer:
        """End the analysis early."""
        self._jobs.stop(self._jobs.find(token, session))
        return {}

    def note(self, session: str, token: str, track: int, c_tirads: str, text: str) -> Answer:
        """Keep what the reader says of a nodule."""
        self._study(session, token).note(int(track), str(c_tirads), str(text))
        return {}

    def archive(self, session: str, token: str) -> Answer:
        """All files as one ZIP."""
        return {"path": str(self._study(session, token).archive())}

    def camera(self, session: str) -> Answer:
        """Begin to analyse frames that the page will send."""
        return self._submit(CameraJob(session, self._jobs.root))

    def frame(self, session: str, token: str, jpeg: str, time_s: float) -> Answer:
        """Take a frame of the camera."""
        self._live(session, token).put(base64.b64decode(jpeg, validate=True), float(time_s))
        return {}

    def record(self, session: str, token: str, on: bool, time_s: float) -> Answer:
        """Begin or end a recording."""
        self._live(session, token).record(bool(on), float(time_s))
        return {}

    def recorded(self, session: str, token: str) -> Answer:
        """End the camera and analyse what was recorded, if anything was."""
        live = self._live(session, token)
        self._jobs.stop(live)
        live.finished.wait()
        recordings = live.recordings()
        if not recordings:
            return {}
        with _prepared(StudyJob(session, self._jobs.root, [])) as study:
            study.take(recordings)
        return self._submit(study)

    def _submit(self, job: Job) -> Answer:
        self._jobs.submit(job)
        return {"token": job.token}

    def uploaded(self, upload: str) -> Path:
        """The file behind an upload that the page names; InputError where there is none."""
        path = Path(upload)
        folder = path.parent
        if folder.parent != self._uploads or not _UPLOAD_FOLDER.fullmatch(folder.name) or not path.is_file():
            raise InputError("the uploaded file is gone; choose it again")
        return path

    def _study(self, session: str, token: str) -> StudyJob:
        job = self._jobs.find(token, session)
        if not isinstance(job, StudyJob):
            raise InputError("a live picture has no report and no heat maps; record it")
        return job

    def _live(self, session: str, token: str) -> CameraJob:
        job = self._jobs.find(token, session)
        if not isinstance(job, CameraJob):
            raise InputError("this analysis is not of a camera")
        return job


@contextmanager
def _prepared(job: StudyJob) -> Iterator[StudyJob]:
    """A job that goes away with all it holds if it cannot be made ready: nobody would ever end it."""
    try:
        yield job
    except BaseException:
        job.discard()
        raise


def _answering(
    function: Callable[..., Answer], audit: AppAudit | None = None
) -> Callable[[Any, gr.Request], Awaitable[Answer]]:
    """`function` as Gradio calls it: with the list that the page sent and the request, which names the session."""

    def noted(session: str, user: str, data: Any) -> Answer:
        if audit is not None:  # first: what cannot be noted is not done
            audit.note(function.__name__, session, user, data)
        return function(session, *data)

    async def answer(data: Any, request: gr.Request) -> Answer:
        try:
            body = await request.json()
            user = getattr(request, "username", None) or ""
            return await run_sync(lambda: noted(str(body["session_hash"]), str(user), data))
        except StreamerError as error:
            return {"error": " ".join(str(error).split())}
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError, binascii.Error):
            return {"error": "the page asked for something that the server does not understand; reload it"}

    answer.__name__ = function.__name__  # what the page calls it by
    return answer


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
