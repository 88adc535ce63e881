"""Requests to the app as a hostile page could send them, made out of a fuzzer's bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np

from streamer.errors import StreamerError

_UPLOAD = "clip.mp4"
_STUDY, _CAMERA, _NEW = "study", "camera", "new"
_LEFT_OUT = ("demo", "recorded")
"""Work for seconds."""
_DEPTH = 3


def page_requests(folder: Path) -> Callable[[bytes], object]:
    """One request after the other to one app, which has a finished study and a running camera."""
    import atheris
    import orjson

    with atheris.instrument_imports(include=["streamer"]):
        from streamer.app.api import Answers
        from streamer.app.camera import CameraJob
        from streamer.app.jobs import Jobs
        from streamer.app.study_job import StudyJob
    from tests.app.held_engine import HeldEngine
    from tests.sources.media import write_clip

    jobs = Jobs(HeldEngine().as_engine(), folder)
    answers = Answers(jobs, folder, cast(Any, None))  # the demo clip takes long to make
    functions: list[Any] = [one for one in answers.functions() if one.__name__ not in _LEFT_OUT]
    clip = write_clip(folder / _UPLOAD, codec="libx264", frames=4)
    upload = folder.resolve() / ("0" * 64) / _UPLOAD
    study, camera = StudyJob(_STUDY, jobs.root, [clip], "P"), CameraJob(_CAMERA, jobs.root)
    study.token, camera.token = _STUDY, _CAMERA
    jobs.submit(study)
    study.finished.wait(60)
    jobs.submit(camera)
    loop = asyncio.new_event_loop()
    jpeg = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
    known = [_STUDY, _CAMERA, str(upload), "4A", "AAAA", 0, 1, True]

    def given(data: bytes) -> object:
        provider = atheris.FuzzedDataProvider(data)
        number = provider.ConsumeIntInRange(0, len(functions))
        if number == len(functions):
            _film(answers, camera, jpeg, provider)
            return None
        function = functions[number]
        if function.__name__ == "stop":  # for ever
            return None
        session = {"start": _NEW, "camera": _NEW, "claim": _NEW}.get(function.__name__) or (
            _CAMERA if function.__name__ == "record" else _STUDY
        )
        values = _value(provider, known, _DEPTH)
        if isinstance(values, list) and session != _NEW and provider.ConsumeBool():
            values = [session, *values]
        if session == _NEW and not upload.exists():
            upload.parent.mkdir(exist_ok=True)
            upload.write_bytes(clip.read_bytes())

        async def body() -> dict[str, str]:
            return {"session_hash": session}

        answer = loop.run_until_complete(function(values, SimpleNamespace(json=body)))
        if session == _NEW:
            jobs.end_session(_NEW)
        return orjson.dumps(answer)  # as Gradio does

    return given


def _film(answers: Any, camera: Any, jpeg: bytes, provider: Any) -> None:
    """A camera's frame, whole or in part, with other bytes behind it."""
    kept = jpeg[: provider.ConsumeIntInRange(0, len(jpeg))]
    time_s = provider.ConsumeFloat()
    with suppress(StreamerError):
        answers.film(camera, kept + provider.ConsumeBytes(200), time_s)


def _value(provider: Any, known: list[Any], depth: int) -> Any:
    """Anything that JSON can say; often what the app knows."""
    kind = provider.ConsumeIntInRange(0, 9 if depth else 6)
    simple: dict[int, Callable[[], Any]] = {
        0: lambda: None,
        1: provider.ConsumeBool,
        2: lambda: provider.ConsumeInt(8),
        3: provider.ConsumeFloat,
        4: lambda: provider.ConsumeUnicode(12),
        5: lambda: known[provider.ConsumeIntInRange(0, len(known) - 1)],
        6: lambda: provider.ConsumeIntInRange(-2, 5),
    }
    if kind in simple:
        return simple[kind]()
    if kind == 7:
        return {"name": _value(provider, known, depth - 1), "stills": _value(provider, known, depth - 1)}
    return [_value(provider, known, depth - 1) for _ in range(provider.ConsumeIntInRange(0, 6))]
