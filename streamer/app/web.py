"""The app's own routes, beside Gradio's page: what goes with every frame, and every picture as the JPEG that it is.

Each frame, in each view, has an address of its own, which names the session and the unguessable token of its analysis;
where there is a login, the routes ask for it. No answer may be kept by a browser or a proxy: the page has what came in
its own memory, which goes with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse

from streamer.app.api import UNINTELLIGIBLE, Answers
from streamer.app.frame_store import Feed, View
from streamer.app.job import Job
from streamer.app.jobs import GoneError
from streamer.app.presence import Presence, ProgramsPresent
from streamer.app.visitors import NotLoggedInError, UserOf
from streamer.errors import StreamerError

_ANALYSIS = "/analyses/{session}/{token}"
_MAX_BODY = 20 * 2**20
"""Bytes of a request: more than a camera's frame takes."""
_NOT_KEPT = {"Cache-Control": "no-store"}
_WAIT_S = 0.5
_LOOK_S = 0.02

Position = Annotated[int, Path(ge=0, le=2**40)]
Number = Annotated[int, Query(ge=0, le=2**40)]
Track = Annotated[int, Path(ge=-(2**40), le=2**40)]
Share = Annotated[float, Query(ge=0, le=1, allow_inf_nan=False)]


def new_web() -> FastAPI:
    """A web app without routes, which answers a faulty request with one line."""
    web = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    _add_rules(web)
    return web


def add_routes(web: FastAPI, answers: Answers, user_of: UserOf) -> None:
    """Add the app's own routes, before Gradio's page is mounted beside them.

    Args:
        web: made by `new_web`.
        answers: what is known of the analyses.
        user_of: tells who sent a request, or raises NotLoggedInError.
    """
    _add_pictures(web, answers, user_of)
    _add_files(web, answers, user_of)
    presence = Presence(answers.lose)
    web.add_middleware(ProgramsPresent, presence=presence)

    @web.get(f"{_ANALYSIS}/status")
    async def status(request: Request, session: str, token: str, seen: Number = 0, version: Number = 0) -> Response:
        job = await _looked_at(request, session, token)
        return JSONResponse(await run_in_threadpool(answers.status, job, seen, version), headers=_NOT_KEPT)

    @web.post(f"{_ANALYSIS}/film")
    async def film(
        request: Request, session: str, token: str, time_s: Annotated[float, Query(allow_inf_nan=False)]
    ) -> Response:
        job = await _looked_at(request, session, token)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _MAX_BODY:
                return _complaint(413, "the page sent more than a frame of a camera takes")
        await run_in_threadpool(answers.film, job, bytes(body), time_s)
        return Response(status_code=204, headers=_NOT_KEPT)

    @web.get("/analyses/{session}/presence")
    async def here(request: Request, session: str) -> Response:
        """Events for as long as the page is there: what the session has is kept for it."""
        answers.admit(session, await user_of(request))
        unbuffered = _NOT_KEPT | {"X-Accel-Buffering": "no"}
        return StreamingResponse(presence.beats(session), media_type="text/event-stream", headers=unbuffered)

    @web.post("/analyses/{session}/leave")
    async def leave(request: Request, session: str) -> Response:
        await run_in_threadpool(answers.leave, session, await user_of(request))
        return Response(status_code=204, headers=_NOT_KEPT)

    async def _looked_at(request: Request, session: str, token: str) -> Job:
        user = await user_of(request)
        return await run_in_threadpool(answers.look, session, token, user)


def _add_pictures(web: FastAPI, answers: Answers, user_of: UserOf) -> None:
    @web.get(f"{_ANALYSIS}/frames/{{position}}")
    async def frame(
        request: Request, session: str, token: str, position: Position,
        boxes: bool = True, contours: bool = True, labels: bool = True, heatmap: bool = False, opacity: Share = 1.0,
    ) -> Response:  # fmt: skip
        """A frame as JPEG; one that is about to be analysed is waited for. 204 where it is not there."""
        user = await user_of(request)
        view = View(boxes, contours, labels, opacity, heatmap)
        job = answers.find(session, token)
        await _arrival(job, position)

        def drawn() -> Response:
            found = answers.frame(answers.look(session, token, user), position, view)
            if found is None:
                return Response(status_code=204, headers=_NOT_KEPT)
            return Response(found[0], media_type="image/jpeg", headers=found[1] | _NOT_KEPT)

        return await run_in_threadpool(drawn)

    @web.get(f"{_ANALYSIS}/nodules/{{track}}")
    async def portrait(request: Request, session: str, token: str, track: Track) -> Response:
        """A nodule where its malignancy was highest so far, as JPEG; 204 where there is none."""
        user = await user_of(request)
        jpeg = await run_in_threadpool(lambda: answers.portrait(answers.look(session, token, user), track))
        return Response(status_code=204, headers=_NOT_KEPT) if jpeg is None else _jpeg(jpeg)

    @web.get(f"{_ANALYSIS}/nodules/{{track}}/heat/{{position}}")
    async def heat(request: Request, session: str, token: str, track: Track, position: Position) -> Response:
        """A frame with the heat map of one nodule in it, as JPEG."""
        user = await user_of(request)
        return _jpeg(await run_in_threadpool(lambda: answers.heat(answers.look(session, token, user), position, track)))


def _add_files(web: FastAPI, answers: Answers, user_of: UserOf) -> None:
    @web.get(f"{_ANALYSIS}/files/{{name}}")
    async def result(request: Request, session: str, token: str, name: str, watched: bool = False) -> Response:
        """A result file to be kept; or a video to be watched in the page, whose player asks for it in parts."""
        user, watched = await user_of(request), watched and name.endswith(".mp4")
        job = await run_in_threadpool(answers.look if watched else answers.export, session, token, user)
        path = await run_in_threadpool(answers.file, job, name)
        disposition = "inline" if watched else "attachment"
        return FileResponse(path, filename=name, headers=_NOT_KEPT, content_disposition_type=disposition)

    @web.api_route("/gradio_api/file={path:path}", methods=["GET", "HEAD"])
    @web.api_route("/gradio_api/file/{path:path}", methods=["GET", "HEAD"])
    async def closed(path: str) -> Response:
        """Gradio would hand every file of the app to whoever knows where it lies, also to another user."""
        del path
        return _complaint(404, "there is no such file")


def _jpeg(content: bytes) -> Response:
    return Response(content, media_type="image/jpeg", headers=_NOT_KEPT)


async def _arrival(job: Job, position: int) -> None:
    """Wait a while for a frame that is about to come, so that it is sent as soon as it is there."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _WAIT_S
    while job.feed is None and job.state in ("waiting", "running") and loop.time() < until_s:
        await asyncio.sleep(_LOOK_S)
    feed = job.feed
    if feed is not None and not job.keeps_frames:
        position = feed.claim(position)  # of several requests under way each gets another frame
    if feed is not None and job.state == "running" and feed.awaits(position):
        await _growth(feed, lambda: job.state == "running" and feed.awaits(position), until_s)


async def _growth(feed: Feed, awaited: Callable[[], bool], until_s: float) -> None:
    """Wait until a feed has grown to what is awaited, or the time is over."""
    loop, grown = asyncio.get_running_loop(), asyncio.Event()

    def tell() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(grown.set)

    with feed.watched(tell):
        while awaited() and loop.time() < until_s:
            grown.clear()
            if not awaited():  # it came between the question and the clearing
                return
            try:
                await asyncio.wait_for(grown.wait(), until_s - loop.time())
            except TimeoutError:
                return


def _add_rules(web: FastAPI) -> None:
    """What holds for every answer: a fault of the request is one line."""

    @web.exception_handler(NotLoggedInError)
    async def _login(_: Request, __: Exception) -> Response:
        return _complaint(401, "log in first")

    @web.exception_handler(GoneError)
    async def _gone(_: Request, error: Exception) -> Response:
        return _complaint(404, str(error))

    @web.exception_handler(StreamerError)
    async def _refused(_: Request, error: Exception) -> Response:
        return _complaint(400, " ".join(str(error).split()))

    @web.exception_handler(RequestValidationError)
    async def _malformed(_: Request, __: Exception) -> Response:
        # FastAPI's own answer holds what was sent, which need not be text that can be sent back.
        return _complaint(422, UNINTELLIGIBLE)


def _complaint(code: int, line: str) -> Response:
    content: dict[str, Any] = {"error": line}
    return JSONResponse(content, status_code=code, headers=_NOT_KEPT)
