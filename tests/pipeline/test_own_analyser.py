"""What a program hands in of its own: arrays, a detector, an analyser; what does not fit is refused in one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from streamer.errors import InputError
from streamer.pipeline.aggregation import PatientAggregator
from streamer.pipeline.analyse import analyse, analyse_image
from streamer.pipeline.analyser import DetectorAnalyser, FrameAnalyser, FrameFindings
from streamer.testing import FakeAnalyser, fake_finding
from streamer.types import ClipInfo, Frame, Image
from tests.fakes import FakeEngine, grey_image

BOX = (8.0, 8.0, 24.0, 24.0)


def detector(*boxes: Sequence[float], confidence: float = 0.9) -> DetectorAnalyser:
    return DetectorAnalyser(lambda _: [(*box, confidence, 0.7) for box in boxes])


def clip(frames: int = 6) -> list[Image]:
    return [grey_image() for _ in range(frames)]


class Wrong(FakeEngine):
    """An engine whose answer is changed on the way."""

    def __init__(self, change: Callable[[list[Any]], Any]) -> None:
        super().__init__()
        self._change = change

    def analyse(self, frames: Sequence[Frame]) -> Any:
        return self._change(list(super().analyse(frames)))


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found[:-1],
        lambda found: [*found, found[0]],
        lambda found: [None] * len(found),
        lambda found: [FrameFindings(Frame(image=grey_image(), index=0, time_s=0, video="x"), (), {})] * len(found),
    ],
    ids=["too few", "too many", "none", "of another frame"],
)
def test_an_answer_that_is_not_one_per_frame_ends_the_analysis(change: Callable[[list[Any]], Any]) -> None:
    with pytest.raises(TypeError, match="one FrameFindings per frame"):
        list(analyse(clip(), analyser=Wrong(change)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"box_xyxy": (float("nan"), 8.0, 24.0, 24.0)}, "box_xyxy must be finite"),
        ({"box_xyxy": (24.0, 8.0, 8.0, 24.0)}, "left and top first"),
        ({"box_xyxy": (8.0, 24.0, 24.0, 8.0)}, "left and top first"),
        ({"confidence": float("nan")}, "confidence must be in 0 to 1"),
        ({"malignancy": 70.0}, "malignancy must be in 0 to 1"),
        ({"contour_xy": np.zeros((3, 2))}, "contour_xy must be int32"),
        ({"contour_xy": np.zeros(3, np.int32)}, "contour_xy must be int32 of shape"),
        ({"area_px": -1.0}, "axes and area must be finite"),
    ],
)
def test_a_finding_that_is_none_is_named_instead_of_dropped(changes: dict[str, Any], message: str) -> None:
    """A confidence of nan would pass for "no nodule", a malignancy of 70 would break the files that are written."""
    analyser = FakeAnalyser(lambda _: (replace(fake_finding(), **changes),))
    with pytest.raises(ValueError, match=f"FakeAnalyser: .*{message}"):
        list(analyse(clip(), analyser=analyser))


@pytest.mark.parametrize("missing", ["settings", "batch_size", "workers", "info", "heat_maps"])
def test_an_analyser_needs_all_its_members(missing: str) -> None:
    class Own:
        def __getattr__(self, name: str) -> Any:
            if name == missing:
                raise AttributeError(name)
            return getattr(detector(), name)

        def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
            raise NotImplementedError

    own: Any = Own()
    with pytest.raises(InputError, match=f"it has no {missing}"):
        analyse(clip(), analyser=own)


@pytest.mark.parametrize("member", ["workers", "batch_size"])
def test_an_analyser_without_workers_or_batches(member: str) -> None:
    analyser: FrameAnalyser = detector(BOX)
    setattr(analyser, member, 0)
    with pytest.raises(InputError, match="at least 1"):
        analyse(clip(), analyser=analyser)


def test_boxes_are_clipped_to_the_image() -> None:
    (result,) = analyse([grey_image()], analyser=detector((-5, 30, 1000, 50)))
    assert [nodule.box_xyxy for nodule in result.nodules] == [(0, 30, 64, 48)]


@pytest.mark.parametrize("box", [(24, 8, 8, 24), (8, 8, 8, 24), (70, 8, 90, 24), (8, -9, 24, 0)])
def test_a_box_without_area_in_the_image(box: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="x0 < x1 and y0 < y1"):
        list(analyse([grey_image()], analyser=detector(box)))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "detect must return rows .* got a NoneType"),
        (5, "got a int"),
        ([5], "a detection is .* got a int"),
        (np.array((*BOX, 0.9, 0.7)), "a detection is .* got a float64"),
        ([("a",) * 6], "a detection is .* got a tuple"),
        ([(*BOX, float("nan"), 0.7)], "six finite numbers"),
        ([(*BOX, 0.9)], "six finite numbers"),
    ],
)
def test_an_answer_that_is_no_rows_is_one_line(answer: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(analyse(clip(), analyser=DetectorAnalyser(lambda _: answer)))


def test_a_detector_is_a_function() -> None:
    wrong: Any = "yolo.pt"
    with pytest.raises(InputError, match="detect must be a function from an image to rows, not a str"):
        DetectorAnalyser(wrong)


def test_a_threshold_is_a_probability() -> None:
    with pytest.raises(ValueError, match="threshold must be in 0 to 1"):
        DetectorAnalyser(lambda _: [], threshold=7)


def test_findings_of_an_own_detector_are_shown_whatever_their_confidence() -> None:
    results = list(analyse(clip(), analyser=detector(BOX, confidence=0.02)))
    assert results[-1].patient_malignancy == 0.7


def test_a_generator_may_use_one_buffer_for_all() -> None:
    def pictures() -> Iterator[Image]:
        buffer = grey_image()
        for level in range(0, 80, 10):
            buffer[:] = level
            yield buffer

    shown = [int(result.frame.image[0, 0, 0]) for result in analyse(pictures(), analyser=detector())]
    assert shown == list(range(0, 80, 10))


def test_one_picture_is_no_clip() -> None:
    with pytest.raises(InputError, match="use analyse_image"):
        analyse(grey_image())
    with pytest.raises(InputError, match="use analyse_image"):
        analyse(np.zeros((48, 64), np.uint8))
    assert len(list(analyse(np.zeros((2, 48, 64), np.uint8), analyser=detector()))) == 2


@pytest.mark.parametrize("wrong", [3, b"clip.mp4", None, {0: grey_image()}, set()])
def test_what_is_no_source_is_refused_at_the_call(wrong: Any) -> None:
    with pytest.raises(InputError, match="cannot analyse a"):
        analyse(wrong)


def test_what_is_no_aggregator_is_refused_at_the_call() -> None:
    wrong: Any = 3
    with pytest.raises(InputError, match="aggregator must be"):
        analyse(clip(), aggregator=wrong)


def test_arrays_have_a_name_and_a_rate() -> None:
    last = list(analyse(clip(), analyser=detector(), name="sweep", fps=10))[-1]
    assert (last.frame.video, last.frame.time_s) == ("sweep", 0.5)
    wrong: Any
    for wrong in (0, float("inf"), float("nan"), "30"):
        with pytest.raises(InputError, match="fps must be a finite number above 0"):
            list(analyse(clip(), analyser=detector(), fps=wrong))
    wrong = 5
    with pytest.raises(InputError, match="name must be a text"):
        list(analyse(clip(), analyser=detector(), name=wrong))


def test_two_clips_of_a_patient_need_two_names() -> None:
    """Else the length of the second would decide what counts in the first."""
    analyser = detector(BOX)
    patient = PatientAggregator(analyser.settings)
    list(analyse(clip(), analyser=analyser, aggregator=patient))
    with pytest.raises(InputError, match="a clip called array already"):
        list(analyse(clip(20), analyser=analyser, aggregator=patient))
    list(analyse(clip(20), analyser=analyser, aggregator=patient, name="second"))
    assert [track.video for track in patient.tracks()] == ["array", "second"]


@pytest.mark.parametrize("spacing", [0.1, (0.1,), ("a", 1), (None, 1), (0, 1), (80, 80), (1e300, 1)])
def test_a_spacing_is_two_plausible_numbers(spacing: Any) -> None:
    with pytest.raises(ValueError, match="pixel_spacing_mm must be two numbers"):
        analyse_image(grey_image(), analyser=detector(BOX), pixel_spacing_mm=spacing)


def test_a_picture_of_known_scale_is_measured() -> None:
    result = analyse_image(grey_image(), analyser=FakeEngine(), pixel_spacing_mm=(0.2, 0.1))
    (nodule,) = result.nodules
    assert nodule.size_mm is not None
    assert nodule.size_mm.area_mm2 == pytest.approx(nodule.finding.area_px * 0.02)


@pytest.mark.parametrize("spacing", [[0.2, 0.1], np.array([0.2, 0.1], np.float32), (np.float64(0.2), 0.1)])
def test_a_spacing_may_be_a_list_or_an_array(spacing: Any) -> None:
    (nodule,) = analyse_image(grey_image(), analyser=FakeAnalyser(), pixel_spacing_mm=spacing).nodules
    assert nodule.size_mm is not None
    assert nodule.size_mm.area_mm2 == pytest.approx(nodule.finding.area_px * 0.02)
    info = ClipInfo(name="a", width=4, height=4, fps=25.0, pixel_spacing_mm=spacing)
    assert list(info.pixel_spacing_mm or ()) == pytest.approx([0.2, 0.1])
    assert [type(side) for side in info.pixel_spacing_mm or ()] == [float, float]


def test_a_name_is_one_line_of_text() -> None:
    (result,) = analyse([grey_image()], analyser=detector(), name="left\nlobe")
    assert result.frame.video == "left?lobe"
    with pytest.raises(InputError, match="name must not be empty"):
        list(analyse([grey_image()], analyser=detector(), name=""))
