"""What the tab "Scintigraphy" asks of the server: planar images read, one answer an image, nothing kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from anyio.to_thread import run_sync

from streamer.app.jobs import Jobs
from streamer.errors import DataError, StreamerError, WeightsError
from streamer.scintigraphy.architectures import TITLES as NETWORKS
from streamer.scintigraphy.classes import CLASSES, TITLES
from streamer.scintigraphy.honesty import FLAG, MARK
from streamer.scintigraphy.predict import (
    NOTICE,
    as_html,
    as_json,
    heat_caption,
    picture_url,
    read_one,
    with_heat,
    with_regions,
)

if TYPE_CHECKING:
    from streamer.scintigraphy.predictor import Predictor

Answer = dict[str, Any]

_MAX_NAME = 200


class ScintigraphyAnswers:
    """Answers the tab of one app.

    Args:
        jobs: owns the uploads of a session.
        uploaded: gives the file behind an upload that the page names, or raises InputError.
        predictor: the network; None where none was named, and then there are counts by region alone.
    """

    def __init__(self, jobs: Jobs, uploaded: Callable[[str], Path], predictor: Predictor | None) -> None:
        self._jobs, self._uploaded, self._predictor = jobs, uploaded, predictor

    def functions(self) -> list[Callable[..., Any]]:
        """The functions that the tab may call."""
        return [_answering(function) for function in (self.network, self.read)]

    def network(self, session: str) -> Answer:
        """What the tab shows before an image is read."""
        entry = None if self._predictor is None else self._predictor.entry
        return {
            "session": session,
            "notice": NOTICE,
            "network": "" if entry is None else f"{NETWORKS[entry.architecture]}, {entry.size_px} px",
            "taught_by": [] if entry is None else list(entry.taught_by),
            "simulated": entry is not None and "simulated" in entry.taught_by,
            "mark": MARK,
        }

    def read(self, session: str, upload: str, name: str, allowed: bool) -> Answer:
        """Read one image; `allowed` asks for marked answers of simulated-taught weights."""
        path = self._uploaded(str(upload))
        self._jobs.claim(session, [path])
        shown, refused = str(name)[:_MAX_NAME] or "image", ""
        try:
            report = read_one(path, self._predictor, allowed=bool(allowed), name=shown)
        except WeightsError as error:  # no answer, but the counts by region need no network
            refused = str(error).replace(FLAG, "the box above")
            report = read_one(path, None, allowed=False, name=shown)
        except DataError as error:  # where the upload lies on the server tells the reader nothing
            raise DataError(str(error).replace(str(path), shown)) from error
        heat = with_heat(report)
        probabilities = report.probabilities
        return {
            "name": report.name,
            "picture": picture_url(with_regions(report)),
            "heat": "" if heat is None else picture_url(heat),
            "heatCaption": heat_caption(report),
            "probabilities": []
            if probabilities is None
            else [[TITLES[label], float(value)] for label, value in zip(CLASSES, probabilities, strict=True)],
            "answer": "" if report.answer is None else TITLES[CLASSES[report.answer]],
            "marks": list(report.marks),
            "refused": refused,
            "simulated": report.image.simulated,
            "json": as_json([report], None if refused else self._predictor),
            "html": as_html([report], None if refused else self._predictor),
        }


def _answering(function: Callable[..., Answer]) -> Callable[[Any, gr.Request], Awaitable[Answer]]:
    """`function` as Gradio calls it: with the list that the page sent and the request, which names the session."""

    async def answer(data: Any, request: gr.Request) -> Answer:
        try:
            body = await request.json()
            return await run_sync(lambda: function(str(body["session_hash"]), *data))
        except StreamerError as error:
            return {"error": " ".join(str(error).split())}
        except (TypeError, ValueError, KeyError, AttributeError):
            return {"error": "the page asked for something that the server does not understand; reload it"}

    answer.__name__ = function.__name__  # what the page calls it by
    return answer
