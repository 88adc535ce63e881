"""Detection figures, checked against supervision's COCO evaluation and by hand."""

from dataclasses import replace
from math import isnan

import numpy as np
import numpy.typing as npt
import pytest
import supervision as sv
from hypothesis import given, settings
from hypothesis import strategies as st
from supervision.metrics import MeanAveragePrecision

from streamer.errors import DataError
from streamer.metrics.detection import (
    COCO_IOUS,
    average_precision,
    average_precision_50_95,
    best_confidence,
    best_f1,
    detection_curve,
    detection_point,
    false_positives_on_empty,
    sensitivity_at,
)
from streamer.metrics.estimate import Resampling
from streamer.metrics.matching import IGNORED, UNMATCHED, ImageBoxes, Matches, match, taken_truths

Rows = list[tuple[int, int, int, int, float]]

FEW = Resampling(resamples=50)
BOX = [10.0, 10.0, 50.0, 40.0]
FAR = [200.0, 200.0, 240.0, 240.0]


def image(
    truths: list[list[float]],
    boxes: list[list[float]],
    scores: list[float],
    *,
    group: str = "a",
) -> ImageBoxes:
    return ImageBoxes(
        group=group,
        truth_xyxy=np.array(truths, np.float64).reshape(-1, 4),
        boxes_xyxy=np.array(boxes, np.float64).reshape(-1, 4),
        scores=np.array(scores, np.float64),
    )


def random_images(seed: int, count: int) -> list[ImageBoxes]:
    """Images with 0 to 3 nodules; detections are shaken nodules and strays, with distinct scores."""
    generator = np.random.default_rng(seed)
    images = []
    for index in range(count):
        corner = generator.uniform(0, 300, (generator.integers(0, 4), 2))
        truths = np.hstack([corner, corner + generator.uniform(20, 120, corner.shape)])
        shaken = truths[generator.random(len(truths)) < 0.8]
        shaken = shaken + generator.normal(0, 6, shaken.shape)
        stray = generator.uniform(0, 300, (generator.integers(0, 3), 2))
        boxes = np.vstack([shaken, np.hstack([stray, stray + 60])])
        scores = generator.random(len(boxes)) + np.where(np.arange(len(boxes)) < len(shaken), 0.3, 0)
        images.append(ImageBoxes(group=str(index % 7), truth_xyxy=truths, boxes_xyxy=boxes, scores=scores / 1.3))
    return images


def coco_area(matches: Matches) -> float:
    """AP as COCO samples it: interpolated precision at recalls 0, 0.01, ..., 1."""
    curve = detection_curve(matches)
    envelope = np.append(np.maximum.accumulate(curve.precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(curve.sensitivity, np.linspace(0, 1, 101))].mean())


@pytest.mark.parametrize("seed", [0, 1])
def test_average_precision_agrees_with_supervision(seed: int) -> None:
    images = random_images(seed, 60)
    metric = MeanAveragePrecision()
    for one in images:
        found = sv.Detections(xyxy=one.boxes_xyxy, confidence=one.scores, class_id=np.zeros(len(one.scores), np.int64))
        truth = sv.Detections(xyxy=one.truth_xyxy, class_id=np.zeros(len(one.truth_xyxy), np.int64))
        metric.update(found, truth)
    reference = metric.compute()
    assert coco_area(match(images)) == pytest.approx(reference.map50, abs=1e-6)
    sampled = np.mean([coco_area(match(images, iou=iou)) for iou in COCO_IOUS])
    assert sampled == pytest.approx(reference.map50_95, abs=1e-6)
    assert average_precision(match(images), FEW).value == pytest.approx(reference.map50, abs=0.01)
    assert average_precision_50_95(images, FEW).value == pytest.approx(reference.map50_95, abs=0.01)


def test_average_precision_by_hand() -> None:
    # Right, wrong, right; one of three nodules missed: (1/3)(1) + (1/3)(2/3).
    images = [image([BOX], [BOX, FAR], [0.9, 0.8]), image([BOX, FAR], [BOX], [0.7], group="b")]
    figure = average_precision(match(images), FEW)
    assert figure.value == pytest.approx(1 / 3 + 2 / 9)
    assert (figure.count, figure.clusters) == (2, 2)


def test_resample_equals_figure_of_the_repeated_images() -> None:
    images = random_images(3, 20)
    times = np.random.default_rng(0).integers(0, 3, 20)
    resampled = detection_curve(match(images), times)
    repeated = detection_curve(match([one for one, n in zip(images, times, strict=True) for _ in range(n)]))
    at = np.searchsorted(-resampled.confidence, -repeated.confidence)
    np.testing.assert_allclose(resampled.precision[at], repeated.precision)
    np.testing.assert_allclose(resampled.sensitivity[at], repeated.sensitivity)
    np.testing.assert_allclose(resampled.false_positives[at], repeated.false_positives)


boxes = st.lists(
    st.tuples(*[st.integers(0, 40)] * 2, *[st.integers(1, 30)] * 2, st.sampled_from([0.2, 0.4, 0.6, 0.8])), max_size=4
)


def _image(truths: Rows, found: Rows, group: int) -> ImageBoxes:
    def xyxy(rows: Rows) -> npt.NDArray[np.float64]:
        return np.array([[x, y, x + w, y + h] for x, y, w, h, _ in rows], np.float64).reshape(-1, 4)

    scores = np.array([row[4] for row in found], np.float64)
    return ImageBoxes(group=str(group % 2), truth_xyxy=xyxy(truths), boxes_xyxy=xyxy(found), scores=scores)


@given(st.lists(st.tuples(boxes, boxes), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_figures_lie_within_0_and_1_and_do_not_depend_on_order(pairs: list[tuple[Rows, Rows]]) -> None:
    images = [_image(truths, found, index) for index, (truths, found) in enumerate(pairs)]
    few = Resampling(resamples=5)
    matches, turned = match(images), match(images[::-1])
    if not matches.truths.any():
        assert isnan(average_precision(matches, few).value)
        return
    for figure in (average_precision, best_f1, lambda m, r: sensitivity_at(m, 0.5, r)):
        value = figure(matches, few).value
        assert 0 <= value <= 1
        assert figure(turned, few).value == pytest.approx(value)


@given(st.lists(boxes, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_perfect_detector_reaches_1(truths: list[Rows]) -> None:
    images = [_image(rows, rows, index) for index, rows in enumerate(truths)]
    if not any(truths):
        return
    matches = match(images)
    point = detection_point(matches, 0.1, FEW)
    figures = [average_precision(matches, FEW), best_f1(matches, FEW), sensitivity_at(matches, 0.0, FEW)]
    for figure in [*figures, point.precision, point.sensitivity, point.f1]:
        assert figure.value == pytest.approx(1.0)
        assert isnan(figure.low) or (figure.low, figure.high) == pytest.approx((1.0, 1.0))


def test_one_match_a_nodule_and_the_greatest_overlap_first() -> None:
    wide = [10.0, 10.0, 54.0, 40.0]
    twice = image([BOX], [wide, BOX], [0.9, 0.8])
    assert taken_truths(twice).tolist() == [0, UNMATCHED]
    near = [14.0, 10.0, 54.0, 40.0]
    assert taken_truths(image([BOX, near], [near, BOX], [0.5, 0.9])).tolist() == [1, 0]


def test_what_lies_half_inside_a_region_to_ignore_is_neither_right_nor_wrong() -> None:
    region = np.array([[0.0, 0.0, 100.0, 100.0]])
    half, less, nodule = [50.0, 0.0, 150.0, 50.0], [51.0, 0.0, 151.0, 50.0], [10.0, 10.0, 60.0, 60.0]
    seen = image([nodule], [half, less, nodule], [0.9, 0.8, 0.7])
    seen = replace(seen, ignored_xyxy=region)
    assert taken_truths(seen).tolist() == [IGNORED, UNMATCHED, 0]  # a mark in the region counts
    matches = match([seen, replace(image([], [half], [0.6]), ignored_xyxy=region), image([], [half], [0.5])])
    assert matches.scores.tolist() == [0.8, 0.7, 0.5]
    assert matches.correct.tolist() == [False, True, False]
    assert matches.image.tolist() == [0, 0, 2]
    assert matches.empty.tolist() == [False, False, True]
    assert false_positives_on_empty(matches, 0.1, FEW).value == 1.0


def test_overlap_of_exactly_the_threshold_matches() -> None:
    # 70 of 100 pixels: 0.7 is not exact in binary.
    pair = image([[0, 0, 10, 10]], [[0, 0, 10, 7]], [0.5])
    assert taken_truths(pair, 0.7).tolist() == taken_truths(pair, np.float64(0.7)).tolist() == [0]
    assert taken_truths(pair, 0.71).tolist() == [UNMATCHED]


def test_point_best_confidence_and_froc_by_hand() -> None:
    images = [
        image([BOX], [BOX, FAR], [0.9, 0.3]),
        image([BOX], [FAR, BOX], [0.6, 0.5], group="b"),
        image([], [FAR], [0.4], group="c"),
        image([], [], [], group="d"),
    ]
    matches = match(images)
    point = detection_point(matches, 0.5, FEW)
    assert (point.precision.value, point.sensitivity.value) == pytest.approx((2 / 3, 1.0))
    assert point.f1.value == best_f1(matches, FEW).value == pytest.approx(0.8)
    assert best_confidence(matches) == 0.5
    sure = match([image([BOX], [BOX, FAR], [0.95, 0.5], group="e")])  # F1 1 from 0.95 down, 2/3 from 0.5 down
    assert best_confidence(matches, sure) == 0.9  # mean F1 (2/3 + 1) / 2; at 0.5 it is (0.8 + 2/3) / 2
    assert sensitivity_at(matches, 0.2, FEW).value == 0.5
    assert sensitivity_at(matches, 0.25, FEW).value == 1.0
    empty = false_positives_on_empty(matches, 0.4, FEW)
    assert (empty.value, empty.count, empty.clusters) == (0.5, 2, 2)
    assert false_positives_on_empty(matches, 0.41, FEW).value == 0.0


def test_of_confidences_alike_in_f1_the_highest_is_chosen() -> None:
    matches = match([image([BOX, FAR], [BOX, [80, 80, 99, 99], [120, 120, 150, 150], FAR], [0.9, 0.8, 0.7, 0.6])])
    assert detection_curve(matches).f1 == pytest.approx([2 / 3, 1 / 2, 2 / 5, 2 / 3])
    assert best_confidence(matches) == 0.9


def test_nothing_detected_and_nothing_to_detect() -> None:
    blind = match([image([BOX], [], []), image([BOX], [], [], group="b")])
    for figure in (average_precision(blind, FEW), best_f1(blind, FEW), sensitivity_at(blind, 1.0, FEW)):
        assert (figure.value, figure.low, figure.high) == (0.0, 0.0, 0.0)
    assert isnan(detection_point(blind, 0.5, FEW).precision.value)
    assert isnan(false_positives_on_empty(blind, 0.5, FEW).value)
    with pytest.raises(DataError, match="at least one detection"):
        best_confidence(blind)
    nothing = match([image([], [], []), image([], [], [], group="b")])
    assert isnan(best_f1(nothing, FEW).value)
    assert isnan(sensitivity_at(nothing, 1.0, FEW).value)
    healthy = match([image([], [BOX], [0.9]), image([], [], [], group="b")])
    assert isnan(average_precision(healthy, FEW).value)
    assert isnan(sensitivity_at(healthy, 1.0, FEW).value)
    assert false_positives_on_empty(healthy, 0.5, FEW).value == 0.5


def test_wrong_input_is_named() -> None:
    with pytest.raises(DataError, match="no image"):
        match([])
    with pytest.raises(DataError, match="least overlap"):
        match([image([], [], [])], iou=0.0)
    with pytest.raises(DataError, match="shape"):
        ImageBoxes(group="a", truth_xyxy=np.zeros(0), boxes_xyxy=np.zeros((0, 4)), scores=np.zeros(0))
    with pytest.raises(DataError, match="inside out"):
        image([[5, 5, 1, 1]], [], [])
    with pytest.raises(DataError, match="one finite number a detection"):
        image([], [BOX], [])
    with pytest.raises(DataError, match="every true box"):
        replace(image([BOX], [], []), nodules=("a", "b"))
    with pytest.raises(DataError, match="every detection"):
        replace(image([], [BOX], [0.5]), tracks=(1, 2))


def test_a_detection_beside_a_region_to_ignore_is_a_false_positive() -> None:
    tall = np.array([[0.0, 0.0, 10.0, 100.0]])
    beside, empty = [20.0, 20.0, 40.0, 40.0], [5.0, 5.0, 5.0, 5.0]
    touching, tiny = [10.0, 20.0, 11.0, 21.0], [5.0, 5.0, 5.5, 5.5]
    seen = replace(image([], [beside, empty, touching, tiny], [0.9, 0.8, 0.7, 0.6]), ignored_xyxy=tall)
    assert taken_truths(seen).tolist() == [UNMATCHED, UNMATCHED, UNMATCHED, IGNORED]


def test_the_overlap_of_a_match_is_at_most_whole() -> None:
    seen = [image([BOX], [BOX, FAR], [0.9, 0.8])]
    assert match(seen, iou=1.0).correct.tolist() == [True, False]
    with pytest.raises(DataError, match=r"at most at 1 \(got 1.5\)$"):
        match(seen, iou=1.5)
    with pytest.raises(DataError, match=r"^there is no image to evaluate detections on$"):
        match([])


def test_of_many_equal_scores_the_first_detection_takes_the_nodule() -> None:
    box = [0.0, 0.0, 10.0, 10.0]
    assert taken_truths(image([box], [box] * 40, [0.5] * 40)).tolist() == [0] + [UNMATCHED] * 39


def test_every_figure_is_resampled_as_asked() -> None:
    """By centre: in one every nodule is found, in the other none, and an empty image of each shows something wrong."""
    images = [
        *[image([BOX], [BOX], [0.9], group="good") for _ in range(3)],
        *[image([BOX], [FAR], [0.8], group="bad") for _ in range(3)],
        image([], [FAR], [0.7], group="good"),
        image([], [FAR, BOX], [0.7, 0.7], group="bad"),
    ]
    asked = Resampling(resamples=60, unit="centre")
    matches = match(images)
    point = detection_point(matches, 0.75, asked)
    figures = {
        "average precision": average_precision(matches, asked),
        "average precision over overlaps": average_precision_50_95(images, asked),
        "best F1": best_f1(matches, asked),
        "sensitivity at a rate": sensitivity_at(matches, 1.0, asked),
        "sensitivity": point.sensitivity,
        "precision": point.precision,
    }
    for name, figure in figures.items():
        assert figure.method == "bootstrap by centre, 60 resamples, percentile", name
        assert figure.low == 0 < figure.value < 1 == figure.high, name
    empty = false_positives_on_empty(matches, 0.5, asked)
    assert (empty.method, empty.low, empty.value, empty.high) == (figures["best F1"].method, 1, 1.5, 2)
    assert point.confidence == 0.75
