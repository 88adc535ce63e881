"""Where each reader stands: which case is next, what may be shown with it, and when the next scenario opens."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from streamer.errors import InputError
from streamer.studies.room.store import AlreadyClosed, AnswerStore, utc_now
from streamer.studies.room.study_file import Case, CaseImage, ReadingStudy, ScenarioEntry

Phase = Literal["reading", "waiting", "finished"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a reader stands.

    Attributes:
        phase: reading, waiting for the washout to end, or finished.
        scenario: the scenario to read or to wait for; None when finished.
        closed: cases closed in it.
        case: the case at hand; None unless reading.
        opens: when the scenario opens, UTC; None unless waiting.
    """

    phase: Phase
    scenario: ScenarioEntry | None
    closed: int
    case: Case | None
    opens: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderProgress:
    """How far a reader is in a scenario; says nothing of what was answered."""

    reader: str
    group: str
    scenario: str
    closed: int
    cases: int
    last: datetime | None
    opens: datetime | None


class Reading:
    """The rules of the reading, over a study and its answers.

    Args:
        study: the study.
        store: its answers.
        secret: key of the names under which images are sent.
        now: clock, UTC.
    """

    def __init__(
        self, study: ReadingStudy, store: AnswerStore, secret: bytes, now: Callable[[], datetime] = utc_now
    ) -> None:
        self.study, self.store, self.now = study, store, now
        self._secret = secret

    def place(self, reader: str) -> Place:
        """Where a reader stands now."""
        ended: datetime | None = None
        for number, scenario in enumerate(self.study.file.scenarios):
            closed = self.store.closed(reader, scenario.name)
            if len(closed) == len(self.study.cases):
                ended = max(closed.values())
                continue
            opens = None if ended is None else ended + timedelta(days=self.study.file.washout_days)
            if opens is not None and self.now() < opens:
                return Place(phase="waiting", scenario=scenario, closed=0, case=None, opens=opens)
            order = self.study.order(reader, number)
            case = next(case for case in (self.study.cases[at] for at in order) if case.patient not in closed)
            return Place(phase="reading", scenario=scenario, closed=len(closed), case=case, opens=None)
        return Place(phase="finished", scenario=None, closed=0, case=None, opens=None)

    def following(self, reader: str, place: Place) -> Case | None:
        """The case after the one at hand, if there is one in this scenario."""
        if place.case is None or place.scenario is None:
            return None
        number = self.study.file.scenarios.index(place.scenario)
        order = [self.study.cases[at] for at in self.study.order(reader, number)]
        after = order.index(place.case) + 1
        return order[after] if after < len(order) else None

    def token(self, reader: str, scenario: str, image: str, part: str = "plain") -> str:
        """The name under which a reader is sent an image: tells nothing, and means nothing to another reader."""
        key = "\0".join((reader, scenario, image, part))
        return hmac.new(self._secret, key.encode(), hashlib.sha256).hexdigest()[:32]

    def find(self, reader: str, token: str) -> tuple[Place, CaseImage, bool]:
        """The image behind a token: of the reader's case at hand only.

        Returns:
            Where the reader stands, the image, and whether its overlay is meant.

        Raises:
            InputError: there is none of this reader, or its case is not the one at hand.
        """
        place = self.place(reader)
        if place.case is not None and place.scenario is not None:
            for image in place.case.images:
                for part in ("plain", "overlay") if place.scenario.overlay else ("plain",):
                    if _same(self.token(reader, place.scenario.name, image.name, part), token):
                        return place, image, part == "overlay"
        raise InputError("this image is not part of your case at hand")

    def answer(self, reader: str, window: str, token: str, rating: str) -> None:
        """Store an answer to an image of the case at hand.

        Raises:
            InputError: no such image, or the rating is not on the scale.
            Elsewhere, AlreadyClosed, NotShown: see `AnswerStore.answer`.
        """
        place, image, _ = self.find(reader, token)
        assert place.scenario is not None
        assert place.case is not None
        if rating not in self.study.scale.labels:
            raise InputError(f"the answer is one of {', '.join(self.study.scale.labels)}")
        self.store.answer(reader, window, place.scenario.name, place.case.patient, image.name, rating, self.now())

    def close_case(self, reader: str, window: str, token: str) -> None:
        """Close the case at hand, named by any of its images.

        Raises:
            InputError: it is not the case at hand, or an image has no answer.
            Elsewhere, AlreadyClosed: see `AnswerStore.close_case`.
        """
        try:
            place, _, _ = self.find(reader, token)
        except InputError as error:
            raise AlreadyClosed from error
        assert place.scenario is not None
        assert place.case is not None
        given = self.store.ratings(reader, place.scenario.name, place.case.patient)
        missing = [image for image in place.case.images if image.name not in given]
        if missing:
            raise InputError(f"{len(missing)} of {len(place.case.images)} images have no answer yet")
        self.store.close_case(reader, window, place.scenario.name, place.case.patient, self.now())

    def progress(self) -> list[ReaderProgress]:
        """How far everybody is."""
        found = []
        for entry in self.study.file.readers:
            ended: datetime | None = None
            for number, scenario in enumerate(self.study.file.scenarios):
                closed = self.store.closed(entry.name, scenario.name)
                opens = None
                if number and ended is not None and not closed:
                    opens = ended + timedelta(days=self.study.file.washout_days)
                last = max(closed.values(), default=None)
                ended = last if len(closed) == len(self.study.cases) else None
                found.append(
                    ReaderProgress(
                        reader=entry.name,
                        group=entry.group,
                        scenario=scenario.name,
                        closed=len(closed),
                        cases=len(self.study.cases),
                        last=last,
                        opens=opens,
                    )
                )
        return found


def _same(expected: str, given: str) -> bool:
    """Whether a token is the right one, compared in constant time; `given` may hold any characters."""
    return hmac.compare_digest(expected.encode(), given.encode(errors="replace"))
