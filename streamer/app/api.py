"""What the page asks of the server through Gradio (a question is a list of values), and what `web` answers with.

Nonsense gets one line as an answer.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import gradio as gr
from anyio.to_thread import run_sync

from streamer.app.audit import AppAudit
from streamer.app.camera import CameraJob
from streamer.app.demo_clip import DemoClip
from streamer.app.frame_store import View, sent_jpeg
from streamer.app.job import Job
from streamer.app.jobs import Jobs
from streamer.app.study_job import StudyJob
from streamer.app.uploads import uploaded_file
from streamer.app.visitors import UserOf, nobody
from streamer.errors import InputError, StreamerError
from streamer.monitoring.audit import AuditLog
from streamer.outputs.heatmap import draw_frame_heatmap
from streamer.outputs.schema import C_TIRADS, RESEARCH_USE_ONLY
from streamer.version import __version__

Answer = dict[str, Any]

UNINTELLIGIBLE = "the page asked for something that the server does not understand; reload it"
_MAX_CLIPS = 50
_LONGEST_PATIENT = 200
_MAX_ROWS_BYTES = 2000  # with a picture: nginx refuses headers of more than 4,096


class Answers:
    """Answers the page of one app.

    Args:
        jobs: where analyses run.
        uploads: Gradio's upload folder.
        demo: the clip behind "Try the demo clip".
        audit: who did what; nobody notes it if None.
        user_of: tells who sent a request.
    """

    def __init__(
        self, jobs: Jobs, uploads: Path, demo: DemoClip, audit: AuditLog | None = None, user_of: UserOf = nobody
    ) -> None:
        self._audit = None if audit is None else AppAudit(audit)
        self._user_of = user_of
        self._jobs, self._uploads, self._demo = jobs, uploads.resolve(), demo

    def functions(self) -> list[Callable[..., Any]]:
        """The functions that the page may call."""
        named = (
            self.welcome, self.claim, self.start, self.demo, self.stop, self.note, self.archive, self.camera,
            self.record, self.recorded,
        )  # fmt: skip
        return [self.answering(function) for function in named]

    def answering(self, function: Callable[..., Answer]) -> Callable[..., Any]:
        """A function as the page may call it: its user is let in, and what is to be noted is noted first."""
        return _answering(function, self._audit, self._user_of, self._jobs)

    def find(self, session: str, token: str) -> Job:
        """The session's analysis of that name; GoneError where it has none."""
        return self._jobs.find(token, session)

    def look(self, session: str, token: str, user: str) -> Job:
        """The same; that it is looked at is noted.

        Raises:
            GoneError: the session has none of that name, or is another user's.
            OutputError: it cannot be noted, and so not be looked at.
        """
        return self._admitted("look", session, token, user)

    def export(self, session: str, token: str, user: str) -> Job:
        """The same; that a file of it is taken away is noted."""
        return self._admitted("export", session, token, user)

    def start_for_program(self, session: str, user: str, clip: str, patient: str) -> Answer:
        """The same as `start` for one clip, for a program in place of the page."""
        self._jobs.admit(session, user, new=True)
        self._note("claim", session, user, [clip])
        self._note("start", session, user, [[clip], patient])
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

    def leave(self, session: str, user: str) -> None:
        """Free all that the session has: its page is being closed."""
        self._jobs.admit(session, user)
        self._jobs.end_session(session)

    def admit(self, session: str, user: str) -> None:
        """Let a user's page say that it is there.

        Raises:
            GoneError: the session is another user's.
        """
        self._jobs.admit(session, user)

    def lose(self, session: str) -> None:
        """Free all that the session has: its page or program is gone without a word, and did not come back."""
        self._jobs.end_session(session)

    def claim(self, session: str, upload: str) -> Answer:
        """Say that an upload is this session's, so that it ends with it."""
        self._jobs.claim(session, [self.uploaded(upload)])
        return {}

    def start(self, session: str, uploads: list[str | dict[str, Any]], patient: str) -> Answer:
        """Analyse uploaded clips; a mapping of "name" and "stills", a list of uploads, is a folder of stills.

        Raises:
            InputError: the patient's identifier is no text, there are no clips or too many, or an upload is gone.
        """
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

    def status(self, job: Job, seen: int, version: int) -> Answer:
        """All that is new of an analysis: rows from `seen` on, and the panels if they are not at `version`."""
        feed, summary = job.feed, job.summary
        answer: Answer = job.status() | {"place": self._jobs.place(job), "rows": feed.rows(seen) if feed else []}
        if summary is not None and summary.shown["version"] != version:
            answer["panels"] = summary.shown
        return answer

    def frame(self, job: Job, position: int, view: View) -> tuple[bytes, dict[str, str]] | None:
        """A frame's JPEG and what the page is told beside it: position, age, and rows from the one asked for.

        Returns:
            None where the frame is not there.
        """
        feed = job.feed
        picture = None if feed is None else feed.picture(position, view)
        if feed is None or picture is None:
            return None
        told = {"X-Streamer-Position": str(picture.position)}
        if picture.age_s is not None:
            told["X-Streamer-Age-Ms"] = f"{1000 * picture.age_s:.1f}"
        rows = json.dumps(feed.rows(position, picture.position + 1), separators=(",", ":"))
        if len(rows) <= _MAX_ROWS_BYTES:
            told["X-Streamer-Rows"] = rows
        return picture.jpeg, told

    def portrait(self, job: Job, track: int) -> bytes | None:
        """JPEG of a nodule where its malignancy was highest; None where there is none."""
        return job.feed.portrait(track) if job.feed else None

    def heat(self, job: Job, position: int, track: int) -> bytes:
        """JPEG of a frame with the heat map of one nodule in it.

        Raises:
            InputError: the nodule is not in that frame, or the analysis is of a camera.
        """
        feed = _a_study(job).feed
        result = feed.result(position) if feed else None
        found = [nodule for nodule in result.nodules if nodule.track_id == track] if result else []
        if result is None or not found:
            raise InputError(f"nodule {track} is not in this frame; its key frame shows it")
        return sent_jpeg(draw_frame_heatmap(result.frame.image, found, self._jobs.engine.heat_maps))

    def stop(self, session: str, token: str) -> Answer:
        """End the analysis early."""
        self._jobs.stop(self._jobs.find(token, session))
        return {}

    def note(self, session: str, token: str, track: int, c_tirads: str, text: str) -> Answer:
        """Keep what the reader says of a nodule."""
        self._study(session, token).note(int(track), str(c_tirads), str(text))
        return {}

    def archive(self, session: str, token: str) -> Answer:
        """Put all files into one ZIP; answers with its name."""
        return {"name": self._study(session, token).archive().name}

    def file(self, job: Job, name: str) -> Path:
        """A result file of an analysis; GoneError where it has none of that name."""
        return _a_study(job).file(name)

    def camera(self, session: str) -> Answer:
        """Begin to analyse frames that the page will send."""
        return self._submit(CameraJob(session, self._jobs.root))

    def film(self, job: Job, jpeg: bytes, time_s: float) -> None:
        """Take a frame of the camera.

        Raises:
            InputError: it is no picture, or the analysis is not of a camera.
            OutputError: a recording came to its end.
        """
        _of_a_camera(job).put(jpeg, time_s)

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
        return uploaded_file(self._uploads, upload)

    def _admitted(self, question: str, session: str, token: str, user: str) -> Job:
        self._jobs.admit(session, user)
        job = self.find(session, token)
        self._note(question, session, user, [token])
        return job

    def _study(self, session: str, token: str) -> StudyJob:
        return _a_study(self._jobs.find(token, session))

    def _live(self, session: str, token: str) -> CameraJob:
        return _of_a_camera(self._jobs.find(token, session))

    def _note(self, question: str, session: str, user: str, data: Sequence[Any]) -> None:
        if self._audit is not None:
            self._audit.note(question, session, user, data)


def _a_study(job: Job) -> StudyJob:
    if not isinstance(job, StudyJob):
        raise InputError("a live picture has no report and no heat maps; record it")
    return job


def _of_a_camera(job: Job) -> CameraJob:
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
    function: Callable[..., Answer], audit: AppAudit | None = None, user_of: UserOf = nobody, jobs: Jobs | None = None
) -> Callable[[Any, gr.Request], Awaitable[Answer]]:
    """`function` as Gradio calls it: with the list that the page sent and the request, which names the session."""

    def noted(session: str, user: str, data: Any) -> Answer:
        if jobs is not None:
            jobs.admit(session, user, new=True)
        if audit is not None:  # first: what cannot be noted is not done
            audit.note(function.__name__, session, user, data)
        return function(session, *data)

    async def answer(data: Any, request: gr.Request) -> Answer:
        try:
            body = await request.json()
            user = await user_of(cast(Any, request))  # Gradio hands its own kind over, or FastAPI's
            return await run_sync(lambda: noted(str(body["session_hash"]), user, data))
        except StreamerError as error:
            return {"error": " ".join(str(error).split())}
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            return {"error": UNINTELLIGIBLE}

    answer.__name__ = function.__name__  # what the page calls it by
    return answer
