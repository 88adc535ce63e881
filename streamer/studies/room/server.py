"""The reading room's web server: pages and routes of its own, one session per reader."""

from __future__ import annotations

import secrets
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import Cookie, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, Field

from streamer.app.private_folder import private_folder
from streamer.app.serving import served
from streamer.errors import StreamerError
from streamer.outputs.schema import RESEARCH_USE_ONLY
from streamer.studies.room.codes import Logins, codes_of_file, load_codes
from streamer.studies.room.media import Media, check_media
from streamer.studies.room.reading import Place, Reading
from streamer.studies.room.store import AlreadyClosed, AnswerStore, Elsewhere, NotShown, utc_now
from streamer.studies.room.study_file import ADMINISTRATOR, CaseImage, ReadingStudy, ScenarioEntry, load_study

_STATIC = Path(__file__).parent / "static"
_COOKIE = "streamer_study"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'"
)

Session = Annotated[str | None, Cookie(alias=_COOKIE)]
Window = Annotated[str, Header(alias="X-Window", max_length=100)]


class LoginRequest(BaseModel):
    """Name and access code."""

    name: Annotated[str, Field(max_length=100)]
    code: Annotated[str, Field(max_length=200)]


class AnswerRequest(BaseModel):
    """A rating of an image."""

    image: Annotated[str, Field(max_length=64)]
    rating: Annotated[str, Field(max_length=10)]


class CloseRequest(BaseModel):
    """The case of an image is to be closed."""

    image: Annotated[str, Field(max_length=64)]


class NotLoggedIn(Exception):  # noqa: N818
    """No session, or one of another kind of user."""


class Sessions:
    """Who is logged in, by the value of a cookie; forgotten when the server ends."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._lock = threading.Lock()

    def begin(self, name: str) -> str:
        """A new session; an older one of the same name ends."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._names = {known: other for known, other in self._names.items() if other != name}
            self._names[token] = name
        return token

    def end(self, token: str | None) -> None:
        """Forget a session."""
        with self._lock:
            self._names.pop(token or "", None)

    def reader(self, token: str | None) -> str:
        """The reader of a session.

        Raises:
            NotLoggedIn: there is none, or it is the administrator's.
        """
        name = self.name(token)
        if name == ADMINISTRATOR:
            raise NotLoggedIn
        return name

    def name(self, token: str | None) -> str:
        """Whose session it is.

        Raises:
            NotLoggedIn: nobody's.
        """
        with self._lock:
            name = self._names.get(token or "")
        if name is None:
            raise NotLoggedIn
        return name


def build_app(reading: Reading, logins: Logins, media: Media) -> FastAPI:
    """The web application of a study.

    Args:
        reading: study, answers and rules.
        logins: who may enter.
        media: copies of the images.
    """
    app = FastAPI(title="streamer reading room", docs_url=None, redoc_url=None, openapi_url=None)
    sessions = Sessions()
    _add_rules(app)
    _add_pages(app, sessions, logins)
    _add_reading(app, reading, sessions, media)

    @app.get("/api/progress")
    def progress(session: Session = None) -> dict[str, Any]:
        if sessions.name(session) != ADMINISTRATOR:
            raise NotLoggedIn
        return {
            "title": reading.study.file.title,
            "rows": [
                {
                    "reader": entry.reader, "group": entry.group, "scenario": entry.scenario, "closed": entry.closed,
                    "cases": entry.cases, "last": _iso(entry.last), "opens": _iso(entry.opens),
                }
                for entry in reading.progress()
            ],
        }  # fmt: skip

    return app


def _add_rules(app: FastAPI) -> None:
    """What holds for every answer: errors as one line, and headers that keep everything on this server."""

    @app.exception_handler(NotLoggedIn)
    def _login(_: Request, __: Exception) -> Response:
        return JSONResponse({"error": "log in first"}, status_code=401)

    @app.exception_handler(Elsewhere)
    def _elsewhere(_: Request, __: Exception) -> Response:
        line = "the study is open in another window, which alone may answer"
        return JSONResponse({"error": line, "elsewhere": True}, status_code=409)

    @app.exception_handler(AlreadyClosed)
    def _closed(_: Request, __: Exception) -> Response:
        return JSONResponse({"error": "this case is closed: its answers stand", "closed": True}, status_code=409)

    @app.exception_handler(NotShown)
    def _not_shown(_: Request, __: Exception) -> Response:
        return JSONResponse({"error": "this image was not shown to you yet: look at it first"}, status_code=409)

    @app.exception_handler(RequestValidationError)
    def _malformed(_: Request, __: Exception) -> Response:
        # FastAPI's own answer holds what was sent, which need not be text that can be sent back.
        return JSONResponse({"error": "this request is not of the form that the page sends"}, status_code=422)

    @app.exception_handler(StreamerError)
    def _refused(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status_code=400)

    @app.middleware("http")
    async def _headers(request: Request, call_next: Callable[[Request], Any]) -> Response:
        response: Response = await call_next(request)
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


def _add_pages(app: FastAPI, sessions: Sessions, logins: Logins) -> None:
    @app.get("/")
    def page() -> Response:
        return FileResponse(_STATIC / "room.html", media_type="text/html")

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        kinds = {"room.js": "text/javascript", "room.css": "text/css"}
        if name not in kinds:
            return JSONResponse({"error": "there is no such file"}, status_code=404)
        return FileResponse(_STATIC / name, media_type=kinds[name])

    @app.post("/api/login")
    def login(request: LoginRequest) -> Response:
        if not logins.is_right(request.name, request.code):
            line = "name and code do not fit; after ten wrong tries a name rests for a minute"
            return JSONResponse({"error": line}, status_code=403)
        response = JSONResponse({"administrator": request.name == ADMINISTRATOR})
        response.set_cookie(_COOKIE, sessions.begin(request.name), httponly=True, samesite="strict")
        return response

    @app.post("/api/logout")
    def logout(session: Session = None) -> Response:
        sessions.end(session)
        response = JSONResponse({})
        response.delete_cookie(_COOKIE)
        return response


def _add_reading(app: FastAPI, reading: Reading, sessions: Sessions, media: Media) -> None:
    @app.get("/api/welcome")
    def welcome(session: Session = None) -> dict[str, Any]:
        name = sessions.name(session)
        open_elsewhere = name != ADMINISTRATOR and reading.store.window_of(name) is not None
        return {"name": name, "administrator": name == ADMINISTRATOR, "entered_before": open_elsewhere}

    @app.post("/api/enter")
    def enter(session: Session = None) -> dict[str, Any]:
        reader, window = sessions.reader(session), secrets.token_urlsafe(16)
        reading.store.enter(reader, window, utc_now())
        return {"window": window} | _state(reading, media, reader)

    @app.get("/api/state")
    def state(window: Window, session: Session = None) -> dict[str, Any]:
        reader = sessions.reader(session)
        if reading.store.window_of(reader) != window:
            raise Elsewhere
        return _state(reading, media, reader)

    @app.post("/api/answer")
    def answer(request: AnswerRequest, window: Window, session: Session = None) -> dict[str, Any]:
        reader = sessions.reader(session)
        reading.answer(reader, window, request.image, request.rating)
        return {"stored": request.rating}

    @app.post("/api/close")
    def close(request: CloseRequest, window: Window, session: Session = None) -> dict[str, Any]:
        reader = sessions.reader(session)
        reading.close_case(reader, window, request.image)
        return _state(reading, media, reader)

    @app.get("/media/{token}")
    def medium(token: str, session: Session = None) -> Response:
        reader = sessions.reader(session)
        place, image, overlay = reading.find(reader, token)
        assert place.scenario is not None
        file = image.overlay if overlay and image.overlay is not None else image.file
        copy = media.of(file)
        reading.store.note_shown(reader, place.scenario.name, image.name, reading.now())
        return FileResponse(copy.path, media_type=copy.media_type)


def _state(reading: Reading, media: Media, reader: str) -> dict[str, Any]:
    """All that a page may know: nothing of names, patients, truth or other readers."""
    place, study = reading.place(reader), reading.study
    scenarios = [scenario.name for scenario in study.file.scenarios]
    found: dict[str, Any] = {
        "title": study.file.title,
        "reader": reader,
        "notice": RESEARCH_USE_ONLY,
        "phase": place.phase,
        "labels": list(study.scale.labels),
        "c_tirads": study.scale.name == "c-tirads",
        "closed": place.closed,
        "cases": len(study.cases),
        "scenario": None if place.scenario is None else scenarios.index(place.scenario.name) + 1,
        "scenarios": len(scenarios),
        "opens": _iso(place.opens),
        "images": [],
    }
    if place.case is not None and place.scenario is not None:
        given = reading.store.ratings(reader, place.scenario.name, place.case.patient)
        found["ai"] = place.scenario.ai
        found["images"] = [
            _image_state(reading, media, reader, place.scenario, image, given.get(image.name))
            for image in place.case.images
        ]
        media.make_ahead(_coming(reading, reader, place))
    return found


def _coming(reading: Reading, reader: str, place: Place) -> list[Path]:
    """Files of the case after the one at hand."""
    following = reading.following(reader, place)
    if following is None or place.scenario is None:
        return []
    overlays = [image.overlay for image in following.images if place.scenario.overlay and image.overlay is not None]
    return [*(image.file for image in following.images), *overlays]


def _image_state(
    reading: Reading, media: Media, reader: str, scenario: ScenarioEntry, image: CaseImage, rating: str | None
) -> dict[str, Any]:
    token = reading.token(reader, scenario.name, image.name)
    overlay = reading.token(reader, scenario.name, image.name, "overlay") if scenario.overlay else None
    copy = media.of(image.file)
    call = None
    if scenario.ai and image.call is not None:
        call = "malignant" if image.call else "benign"
    return {
        "token": token,
        "kind": copy.kind,
        "overlay": overlay,
        "overlay_kind": media.of(image.overlay).kind if overlay and image.overlay else None,
        "fps": copy.fps,
        "call": call,
        "rating": rating,
    }


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat(timespec="seconds")


@contextmanager
def running(
    study: ReadingStudy,
    *,
    host: str,
    port: int,
    codes: dict[str, str],
    now: Callable[[], datetime] = utc_now,
) -> Iterator[str]:
    """The reading room, ready to be used, as long as the context lasts.

    Args:
        study: what is read.
        host: address to listen on.
        port: port to listen on; 0 for any that is free.
        codes: access codes by name.
        now: clock, UTC.

    Yields:
        URL of the page.

    Raises:
        SettingsError: the address cannot be listened on.
        DataError: the answers belong to another study.
        OutputError: answers cannot be written.
    """
    with ExitStack() as stack:
        store = AnswerStore(study.database, study.digest)
        stack.callback(store.close)
        root = stack.enter_context(private_folder())
        reading = Reading(study, store, secrets.token_bytes(32), now)
        media = Media(root)
        stack.callback(media.close)
        app = build_app(reading, Logins(codes), media)
        yield stack.enter_context(served(app, host, port))


def serve_study(path: Path, *, host: str, port: int, auth_file: Path | None, announce: Callable[[str], None]) -> None:
    """Run the reading room of a study file until Ctrl-C or termination.

    Args:
        path: the study file.
        host, port: where to listen.
        auth_file: names and passwords, a line "name:password" each; default: codes made for this study.
        announce: told the page's URL, and where the codes are.

    Raises:
        SettingsError, DataError, OutputError: the study or one of its images cannot be read, or its answers cannot be
            written.
    """
    study = load_study(path)
    check_media(study)  # before anything of the study is made
    codes = load_codes(study) if auth_file is None else codes_of_file(auth_file, study)
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        with running(study, host=host, port=port, codes=codes) as url:
            announce(f"reading room: {url} (Ctrl-C ends)")
            if auth_file is None:
                announce(f"access codes of readers and administrator: {study.codes}")
            announce(f"answers: {study.database}")
            ended.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
