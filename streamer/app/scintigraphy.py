"""What the tab "Scintigraphy" asks of the server: planar images read, one answer an image, nothing kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from streamer.app.api import Answer, Answers
from streamer.app.jobs import Jobs
from streamer.errors import DataError, WeightsError
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

_MAX_NAME = 200


class ScintigraphyAnswers:
    """Answers the tab of one app.

    Args:
        jobs: owns the uploads of a session.
        answers: of the other tab, which know the uploads, the users and the audit log.
        predictor: the network; None where none was named, and then there are counts by region alone.
    """

    def __init__(self, jobs: Jobs, answers: Answers, predictor: Predictor | None) -> None:
        self._jobs, self._answers, self._predictor = jobs, answers, predictor

    def functions(self) -> list[Callable[..., Any]]:
        """The functions that the tab may call."""
        return [self._answers.answering(function) for function in (self.network, self.read)]

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
        """Read one image; `allowed` asks for marked answers of simulated-taught weights.

        Raises:
            InputError: the upload is gone.
            DataError: it is not a planar image of nuclear medicine that can be read.
        """
        path = self._answers.uploaded(str(upload))
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
