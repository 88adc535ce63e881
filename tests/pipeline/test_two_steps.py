"""An analyser in two steps: what is detected is tracked, and only what is shown is characterised."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NoReturn

import numpy as np
import pytest

from streamer.pipeline.aggregation import PatientAggregator
from streamer.pipeline.analyse import analyse
from streamer.pipeline.analyser import (
    AnalyserInfo,
    FrameCandidates,
    FrameFindings,
    checked_candidates,
    checked_findings,
    findings_of,
)
from streamer.pipeline.thyroid import Engine
from streamer.pipeline.views import characterise_in_views, detect_in_views
from streamer.settings import Settings
from streamer.testing import fake_finding
from streamer.types import Candidate, Finding, Frame, ScanView
from tests.fakes import FakeSource, frame, grey_image
from tests.live_fakes import until

HERE, THERE = (8.0, 8.0, 24.0, 24.0), (40.0, 10.0, 56.0, 26.0)


def candidate(box: tuple[float, float, float, float] = HERE, confidence: float = 0.8) -> Candidate:
    return Candidate(box_xyxy=box, confidence=confidence)


class TwoSteps:
    """Detects what `detected(n)` says; characterises a box by its left edge, and notes what it was asked for."""

    settings = Settings.model_validate({"tracking": {"confidence": 0.46}})
    batch_size, workers, info, heat_maps = 1, 3, AnalyserInfo(threshold=0.5), None

    def __init__(self, detected: Callable[[int], Sequence[Candidate]] = lambda _: (candidate(),)) -> None:
        self._detected = detected
        self.asked: list[tuple[int, tuple[float, float, float, float]]] = []
        self.shapes: list[tuple[int, ...]] = []

    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        raise AssertionError("one that has both steps is not asked for both at once")

    def detect(self, frames: Sequence[Frame]) -> list[FrameCandidates]:
        return [FrameCandidates(one, tuple(self._detected(one.index)), {"detect": 1.0}) for one in frames]

    def characterise(self, frames: Sequence[FrameCandidates]) -> list[FrameFindings]:
        self.asked += [(one.frame.index, place.box_xyxy) for one in frames for place in one.candidates]
        self.shapes += [one.frame.image.shape for one in frames]
        return [
            FrameFindings(
                one.frame, tuple(self._finding(place) for place in one.candidates), {**one.timing_ms, "outline": 2.0}
            )
            for one in frames
        ]

    def _finding(self, place: Candidate) -> Finding:
        found = fake_finding(place.box_xyxy, confidence=place.confidence, malignancy=place.box_xyxy[0] / 100)
        left, top, right, bottom = (int(value) for value in place.box_xyxy)
        return replace(found, contour_xy=np.array([[left, top], [right, top], [right, bottom]], np.int32))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_what_no_track_confirms_is_not_characterised(batch_size: int) -> None:
    def detected(index: int) -> list[Candidate]:
        weak = [candidate(THERE, 0.1)]  # in every frame, and never enough
        return weak + ([candidate(HERE, 0.6)] if 20 <= index < 30 else [])

    analyser = TwoSteps(detected)
    analyser.batch_size = batch_size
    results = list(analyse(FakeSource(60).as_source(), analyser=analyser))
    assert [result.frame.index for result in results] == list(range(60))
    assert sorted(analyser.asked) == [(index, HERE) for index in range(20, 30)]
    assert [len(result.nodules) for result in results] == [0] * 20 + [1] * 10 + [0] * 30
    (nodule,) = results[20].nodules
    assert (nodule.track_id, nodule.malignancy, nodule.confidence) == (1, 0.08, 0.6)
    assert set(results[20].timing_ms) == {"decode", "detect", "outline", "track"}
    assert set(results[0].timing_ms) == {"decode", "detect", "track"}  # a stage that a frame did not need


def test_a_live_source_is_characterised_from_the_frame_on_that_confirms_a_track() -> None:
    source = FakeSource(1)
    source.live = True
    analyser = TwoSteps()
    assert [result.nodules for result in analyse(source.as_source(), analyser=analyser)] == [()]
    assert analyser.asked == []


def test_findings_go_with_their_tracks_whatever_the_order_of_the_candidates() -> None:
    def detected(index: int) -> list[Candidate]:
        pair = [candidate(HERE), candidate(THERE)]
        return pair[::-1] if index % 2 else pair

    results = list(analyse(FakeSource(12).as_source(), analyser=TwoSteps(detected)))
    seen = {
        (nodule.track_id, nodule.box_xyxy, nodule.malignancy, int(nodule.contour_xy[0][0]))
        for result in results
        for nodule in result.nodules
    }
    assert seen == {(1, HERE, 0.08, 8), (2, THERE, 0.4, 40)}


def test_an_error_of_the_second_step_comes_after_the_frames_before_it() -> None:
    class Failing(TwoSteps):
        def characterise(self, frames: Sequence[FrameCandidates]) -> list[FrameFindings]:
            if frames[0].frame.index == 7:
                raise ZeroDivisionError("at fault")
            return super().characterise(frames)

    results = analyse(FakeSource(30).as_source(), analyser=Failing())
    assert [next(results).frame.index for _ in range(7)] == list(range(7))
    with pytest.raises(ZeroDivisionError, match="at fault"):
        next(results)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found[:-1], "characterise must return one FrameFindings per frame"),
        (lambda found: [replace(found[0], findings=())], "one finding per candidate, in order; got 0 for 1"),
        (
            lambda found: [replace(found[0], findings=(replace(found[0].findings[0], malignancy=7.0),))],
            "malignancy must be in 0 to 1",
        ),
        (
            lambda found: [replace(found[0], findings=(replace(found[0].findings[0], confidence=0.7),))],
            "must leave each candidate its box and confidence",
        ),
        (
            lambda found: [replace(found[0], findings=(replace(found[0].findings[0], box_xyxy=THERE),))],
            "must leave each candidate its box and confidence",
        ),
        (lambda _: None, "characterise must return one FrameFindings per frame"),
    ],
)
def test_an_answer_that_is_none_is_named(change: Callable[[list[FrameFindings]], Any], message: str) -> None:
    class Wrong(TwoSteps):
        def characterise(self, frames: Sequence[FrameCandidates]) -> list[FrameFindings]:
            changed: list[FrameFindings] = change(super().characterise(frames))
            return changed

    with pytest.raises((TypeError, ValueError), match=f"Wrong.*{message}"):
        checked_findings(Wrong(), [FrameCandidates(frame(0), (candidate(),), {})])


def test_candidates_are_checked_as_findings_are() -> None:
    for wrong in (candidate((24.0, 8.0, 8.0, 24.0)), candidate(confidence=float("nan"))):
        analyser = TwoSteps(lambda _, wrong=wrong: (wrong,))  # type: ignore[misc]
        with pytest.raises(ValueError, match="TwoSteps: "):
            checked_candidates(analyser, [frame(0)])

    for box, refused in (((-0.9, 0.0, 64.9, 48.9), False), ((-1.5, 0, 9, 9), True), ((9, 9, 65.5, 20), True)):
        analyser = TwoSteps(lambda _, box=box: (candidate(box),))  # type: ignore[misc]
        with pytest.raises(ValueError, match="must lie in the picture of 64x48") if refused else nullcontext():
            checked_candidates(analyser, [frame(0)])

    class Short(TwoSteps):
        def detect(self, frames: Sequence[Frame]) -> list[FrameCandidates]:
            return []

    with pytest.raises(TypeError, match=r"Short\.detect must return one FrameCandidates per frame"):
        checked_candidates(Short(), [frame(0)])
    tuples: Any = TwoSteps(lambda _: [HERE])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="TwoSteps: what is found must be a Candidate or Finding, not a tuple"):
        checked_candidates(tuples, [frame(0)])


def test_only_frames_that_need_it_go_to_the_second_step() -> None:
    analyser, finding = TwoSteps(), fake_finding(THERE)
    frames = [
        FrameCandidates(frame(0), (), {"detect": 3.0}, "not a B-mode view of the neck"),
        FrameCandidates(frame(1), (candidate(),), {"detect": 3.0}),
        FrameCandidates(frame(2), (finding,), {"detect": 3.0}),
    ]
    empty, asked, given = checked_findings(analyser, frames)
    assert (empty.findings, empty.rejected, empty.timing_ms) == ((), "not a B-mode view of the neck", {"detect": 3.0})
    assert [one.box_xyxy for one in asked.findings] == [HERE]
    assert given.findings == (finding,)
    assert [index for index, _ in analyser.asked] == [1]
    assert findings_of(FrameCandidates(frame(0), (finding, candidate()), {})) is None


def test_each_candidate_is_seen_in_its_view_alone() -> None:
    views = (
        ScanView(box_xyxy=(0, 0, 100, 80), hidden=((0, 60, 100, 80),)),
        ScanView(box_xyxy=(100, 20, 200, 100)),
    )
    image = grey_image(width=200, height=100)
    here = replace(frame(0, image=image), views=views)
    beside = frame(1, image=image)
    analyser = TwoSteps(lambda _: (candidate(HERE, 0.5), candidate(THERE, 0.7)))
    detected = detect_in_views(analyser, [here, beside])
    assert [one.box_xyxy for one in detected[0].candidates] == [
        HERE,
        THERE,
        (108.0, 28.0, 124.0, 44.0),
        (140.0, 30.0, 156.0, 46.0),
    ]
    assert [one.confidence for one in detected[0].candidates] == [0.5, 0.7] * 2
    assert detected[0].timing_ms == {"detect": 2.0}
    kept = replace(detected[0], candidates=tuple(detected[0].candidates[position] for position in (3, 0)))
    found, other = characterise_in_views(analyser, [kept, detected[1]])
    assert analyser.asked == [(0, THERE), (0, HERE), (1, HERE), (1, THERE)]
    assert analyser.shapes == [(80, 100, 3), (80, 100, 3), (100, 200, 3)]
    assert [one.box_xyxy for one in found.findings] == [(140.0, 30.0, 156.0, 46.0), HERE]
    assert [one.contour_xy[0].tolist() for one in found.findings] == [[140, 30], [8, 8]]
    assert [one.confidence for one in found.findings] == [0.7, 0.5]
    assert found.frame is here
    assert found.timing_ms == {"detect": 2.0, "outline": 4.0}
    assert [one.box_xyxy for one in other.findings] == [HERE, THERE]
    nothing = characterise_in_views(analyser, [replace(kept, candidates=())])
    assert nothing == [FrameFindings(here, (), {"detect": 2.0})]


def test_the_engines_two_steps_are_its_analysis(engine: Engine) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 90, 120, 1), np.uint8).repeat(3, axis=3)
    frames = [frame(index, image=picture) for index, picture in enumerate(pictures)]
    detected = engine.detect(frames)
    assert all(one.candidates and not isinstance(one.candidates[0], Finding) for one in detected)
    wanted = [replace(one, candidates=one.candidates[index:]) for index, one in enumerate(detected)]
    wanted[1] = replace(wanted[1], candidates=())
    whole, found = engine.analyse(frames), engine.characterise(wanted)
    assert [len(one.findings) for one in found] == [len(one.candidates) for one in wanted]
    for index, (all_of_them, some) in enumerate(zip(whole, found, strict=True)):
        expected = all_of_them.findings[index:] if index != 1 else ()
        for one, other in zip(some.findings, expected, strict=True):
            assert (one.box_xyxy, one.confidence, one.malignancy) == (
                other.box_xyxy,
                other.confidence,
                other.malignancy,
            )
            assert one.contour_xy.tolist() == other.contour_xy.tolist()
    assert set(found[0].timing_ms) == {"detect", "segment", "classify"}


def test_of_views_that_overlap_each_candidate_is_seen_where_it_was_detected() -> None:
    views = (ScanView(box_xyxy=(0, 0, 100, 80)), ScanView(box_xyxy=(30, 0, 130, 90)))
    here = replace(frame(0, image=grey_image(width=200, height=100)), views=views)
    analyser = TwoSteps()
    (detected,) = detect_in_views(analyser, [here])
    assert [one.box_xyxy for one in detected.candidates] == [HERE, (38.0, 8.0, 54.0, 24.0)]
    (found,) = characterise_in_views(analyser, [detected])
    assert analyser.shapes == [(80, 100, 3), (90, 100, 3)]
    assert analyser.asked == [(0, HERE), (0, HERE)]
    assert [one.box_xyxy[0] for one in found.findings] == [8.0, 38.0]


@pytest.mark.parametrize("step", ["detect", "characterise"])
def test_a_worker_that_is_told_to_exit_leaves_nobody_waiting(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*_: object) -> NoReturn:
        raise SystemExit(3)

    analyser = TwoSteps()
    monkeypatch.setattr(analyser, step, leave)
    with pytest.raises(SystemExit):
        list(analyse(FakeSource(30).as_source(), analyser=analyser))


def test_nodules_that_never_left_take_no_number_of_the_patients() -> None:
    """However far the threads were ahead when a clip was closed, the next clip's numbers are the same."""
    analyser = TwoSteps(lambda index: [candidate(HERE)] if index == 0 else [candidate(HERE), candidate(THERE)])
    patient = PatientAggregator(analyser.settings)
    first = analyse(FakeSource(60, name="a").as_source(), analyser=analyser, aggregator=patient)
    assert [one.track_id for one in next(first).nodules] == [1]
    assert until(lambda: any(box == THERE for _, box in analyser.asked))
    first.close()
    second = list(analyse(FakeSource(12, name="b").as_source(), analyser=analyser, aggregator=patient))
    assert {one.track_id for result in second for one in result.nodules} == {2, 3}


def test_a_subclass_that_changes_the_analysis_as_a_whole_is_asked_for_that() -> None:
    class Changed(TwoSteps):
        def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
            return [FrameFindings(one, (fake_finding(THERE),), {}) for one in frames]

    class Detecting(Changed):
        def detect(self, frames: Sequence[Frame]) -> list[FrameCandidates]:
            return super().detect(frames)

    class Wrapped:
        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

    class WrappedWhole(Wrapped):
        def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
            return [FrameFindings(one, (fake_finding(THERE),), {}) for one in frames]

    patched = TwoSteps()
    patched.analyse = Changed().analyse  # type: ignore[method-assign]
    analysers: list[Any] = [Changed(), patched, WrappedWhole(TwoSteps()), Detecting(), Wrapped(TwoSteps()), TwoSteps()]
    seen = [checked_candidates(one, [frame(0)])[0].candidates[0] for one in analysers]
    assert [isinstance(one, Finding) for one in seen] == [True] * 3 + [False] * 3
