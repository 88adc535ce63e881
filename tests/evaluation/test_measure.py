"""From pictures through networks to scores, with networks that make no mistakes of their own."""

from collections.abc import Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from streamer.data.samples import Sample, Tirads
from streamer.evaluation.classifier import (
    ClassifiedImage,
    calibration_part,
    choose,
    classify,
    evaluate_probabilities,
    reading_figures,
)
from streamer.evaluation.detector import SECOND_LOOK, DetectedImage, choose_confidence, detect, evaluate_detections
from streamer.evaluation.pipeline import FOUND, evaluate_tracks, track
from streamer.evaluation.result import Evaluation, Result
from streamer.evaluation.segmenter import NoduleScores, evaluate_outlines, segment
from streamer.evaluation.subsets import ImageTraits
from streamer.metrics.calibration import Scaling
from streamer.metrics.classification import patient_maximum
from streamer.models.classifier import Classifier
from streamer.phantom import PhantomFrame, write_clip
from streamer.settings import ClassificationSettings
from streamer.types import Finding
from tests.evaluation.pictures import DARK, bright_detector, bright_segmenter, picture
from tests.fakes import FakeEngine, finding
from tests.random_weights import entry

BOX = (20.0, 10.0, 52.0, 42.0)


def figure(evaluation: Evaluation, name: str, data: str) -> Result:
    (found,) = [result for result in evaluation.results if (result.name, result.data) == (name, data)]
    return found


def outlined(*, level: int = 220) -> NoduleScores:
    (scores,) = segment(picture((BOX,), level=level), bright_segmenter(), bright_detector(), "val")
    return scores


def test_detector_figures_by_source() -> None:
    pictures = [
        picture((BOX,), group="a"),
        picture((BOX,), group="b", level=DARK),  # missed
        picture((), group="c"),
        picture((BOX,), group="d", source="there"),
    ]
    evaluation = evaluate_detections([detect(one, bright_detector(), "val") for one in pictures], 0.3)
    assert figure(evaluation, "AP50", "here").figure.value == 0.5
    assert figure(evaluation, "AP50", "there").figure.value == 1.0
    assert figure(evaluation, "sensitivity at the operating point", "here + there").figure.value == pytest.approx(2 / 3)
    free = figure(evaluation, "false positives an image without a nodule, at the operating point", "here")
    assert (free.figure.value, free.figure.count) == (0.0, 1)
    assert set(evaluation.plots) == {"precision-recall", "froc"}


def test_figures_by_the_marks_alone_and_with_the_second_look() -> None:
    plain = picture((BOX,), group="a")
    unmarked = replace(picture((BOX,), group="b"), boxes_xyxy=(), unmarked_xyxy=(BOX,))
    unsure = replace(picture((BOX,), group="c"), boxes_xyxy=(), ignore_xyxy=(BOX,))
    evaluation = evaluate_detections([detect(one, bright_detector(), "val") for one in (plain, unmarked, unsure)], 0.3)
    assert figure(evaluation, "precision at the operating point", "here").figure.value == pytest.approx(1 / 3)
    again = figure(evaluation, "precision at the operating point" + SECOND_LOOK, "here")
    assert again.figure.value == 1.0
    assert not [one for one in evaluation.results if one.name.startswith("false pos") and SECOND_LOOK in one.name]
    once = evaluate_detections([detect(plain, bright_detector(), "val")], 0.3)
    assert not [one for one in once.results if SECOND_LOOK in one.name]  # nobody looked twice


def test_the_detectors_operating_point_is_chosen_on_what_it_was_trained_on() -> None:
    def seen(source: str, score: float, *, level: int = 220) -> DetectedImage:
        return detect(picture((BOX,), level=level, source=source), bright_detector(score), "val")

    views = [seen("here", 0.81239), seen("here", 0.3), seen("there", 0.7), seen("external", 0.2)]
    views.append(detect(picture((), source="healthy"), bright_detector(), "val"))
    chosen = choose_confidence(views, {"here", "there", "healthy"})
    assert chosen is not None
    assert chosen.operating_point == pytest.approx(0.3, abs=1e-4)
    assert chosen.source == "best F1 on val of here and there, each weighing the same (in-sample)"
    alone = choose_confidence(views[:1], {"here"})
    assert alone is not None
    assert alone.operating_point == 0.8123  # down, so that this very box stays
    assert choose_confidence(views, {"elsewhere"}) is None
    assert choose_confidence([seen("here", 0.9, level=DARK)], {"here"}) is None


def test_above_its_scores_a_detector_finds_nothing() -> None:
    evaluation = evaluate_detections([detect(picture((BOX,)), bright_detector(0.2), "val")], 0.3)
    assert figure(evaluation, "AP50", "here").figure.value == 1.0
    assert figure(evaluation, "sensitivity at the operating point", "here").figure.value == 0.0


def test_a_nodule_found_is_outlined_in_both_crops() -> None:
    scores = outlined()
    assert scores.found
    for overlap in (scores.true_crop, scores.detector_crop, scores.end_to_end):
        assert overlap.dice > 0.97
        assert overlap.hd95_px <= 1


def test_a_nodule_missed_counts_as_dice_zero_end_to_end_only() -> None:
    scores = outlined(level=DARK)
    assert not scores.found
    assert isnan(scores.detector_crop.dice)
    assert scores.end_to_end.dice == 0
    assert isnan(scores.end_to_end.hd95_px)


def test_each_nodule_is_held_against_its_own_part_of_the_mask() -> None:
    small = (60.0, 10.0, 90.0, 40.0)
    scores = segment(picture((BOX, small), level=DARK), bright_segmenter(), bright_detector(), "val")
    assert [one.traits.share for one in scores] == pytest.approx([32 * 32 / 6144, 30 * 30 / 6144])


def test_segmenter_figures_average_found_and_missed() -> None:
    evaluation = evaluate_outlines([outlined(), outlined(level=DARK)], confidence=0.3, cut=0.5)
    whole = figure(evaluation, "Dice end to end (nodule missed: 0)", "here").figure
    crops = figure(evaluation, "Dice in the crop of the detector's box", "here").figure
    assert (whole.count, crops.count) == (2, 1)
    assert whole.value == pytest.approx(crops.value / 2, abs=0.01)


def brightness_classifier() -> Classifier:
    """Log-odds: the crop's mean grey value over 100."""

    def run(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        mean = grey.reshape(len(grey), -1).mean(1) / 100
        return np.stack([np.zeros_like(mean), mean], axis=1).astype(np.float32)

    return Classifier(run, entry("classifier", "0"), ClassificationSettings())


def test_an_image_is_as_suspicious_as_its_worst_nodule() -> None:
    one = classify(picture((BOX,), label="malignant"), brightness_classifier(), None, "val")
    two = classify(picture(((70, 50, 80, 60), BOX), label="malignant"), brightness_classifier(), None, "val")
    assert one.log_odds == pytest.approx(two.log_odds, abs=0.05)
    assert one.malignant
    assert one.boxed_by == "truth"


def test_without_a_box_the_detector_points_or_the_whole_view_is_taken() -> None:
    unboxed = picture((), label="benign")
    assert classify(unboxed, brightness_classifier(), None, "val").boxed_by == "whole view"
    assert classify(unboxed, brightness_classifier(), bright_detector(), "val").boxed_by == "whole view"


def classified(source: str, labels: list[bool], log_odds: list[float], patients: str) -> list[ClassifiedImage]:
    return [
        ClassifiedImage(
            traits=ImageTraits(source=source, group=group, split="val", layout="", share=0.1),
            malignant=label,
            log_odds=odds,
            boxed_by="truth",
        )
        for label, odds, group in zip(labels, log_odds, patients, strict=True)
    ]


def test_classifier_figures_at_image_and_patient_level() -> None:
    seen = classified("here", [True, True, False, False], [2.0, -3.0, -1.0, -2.0], "aabc")
    seen += classified("tn3k", [True, True, False, False], [2.0, 1.0, -1.0, -2.0], "aabc")
    evaluation = evaluate_probabilities(seen, scaling=Scaling(2.0, 0.0), threshold=0.5, chosen=None)
    assert figure(evaluation, "AUC, image level", "here").figure.value == 0.5
    assert figure(evaluation, "AUC, clustered, image level", "here").figure.clusters == 3
    assert figure(evaluation, "sensitivity, image level", "here").figure.value == 0.5
    assert figure(evaluation, "sensitivity, patient level", "here").figure.value == 1.0
    before = figure(evaluation, "ECE before calibration, image level", "tn3k").figure.value
    after = figure(evaluation, "ECE after calibration, image level", "tn3k").figure.value
    assert 0 < before < after
    # Blocks of numbers are no patients.
    assert not [result for result in evaluation.results if result.data == "tn3k" and "patient" in result.name]


def test_patients_of_each_tirads_category_whatever_their_labels() -> None:
    seen = classified("here", [False, True, True, True, True, False, True], [0, 1, 0.5, -2, 3, 2, 4], "abcddee")
    read: tuple[Tirads, ...] = ("2", "3", "4a", "4a", "5", "4a", "4a")
    seen = [replace(one, tirads=category) for one, category in zip(seen, read, strict=True)]
    evaluation = evaluate_probabilities(seen, scaling=Scaling(1.0, 0.0), threshold=0.5, chosen=None)
    category = figure(evaluation, "AUC of TI-RADS 4a against 1 to 3, patient level", "here").figure
    assert (category.value, category.count) == (0.75, 4)  # c beats one of two, e both; d is a 5, whatever it was once
    assert not [result for result in evaluation.results if "TI-RADS 5" in result.name]  # one patient is too few
    unread = classified("here", [False, False, True, True], [0, 1, 2, 3], "abcd")
    assert not reading_figures(unread, patient_maximum(["a", "b", "c", "d"], [0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4]))


def test_temperature_and_operating_point_come_from_the_source_trained_on() -> None:
    seen = classified("here", [True, True, True, False, False, False], [3, 2, -2.5, 1, -2, -3], "abcdef")
    seen += classified("elsewhere", [True] * 9, [0.0] * 9, "abcdefghi")
    part = calibration_part(seen, {"here"})
    chosen = choose(part)
    assert len(part) == 6
    assert chosen.scaling is not None
    assert 1 < chosen.scaling.temperature < 10
    shown = 1 / (1 + np.exp(-2 / chosen.scaling.temperature - chosen.scaling.offset))
    assert chosen.operating_point <= shown < chosen.operating_point + 2e-4
    assert "here, val, 6 images" in chosen.source
    assert "in-sample" in chosen.source


def clip_samples(folder: Path, frames: int) -> list[Sample]:
    """A still clip in which a nodule fills `BOX` in all but the last frame."""
    write_clip(folder / "clip.mp4", [PhantomFrame(image=np.full((64, 96, 3), 60, np.uint8), masks={})] * frames)
    cv2.imwrite(str(folder / "mask.png"), np.asarray(picture((BOX,)).mask))
    return [
        Sample(
            image=folder / "clip.mp4",
            frame=index,
            mask=folder / "mask.png" if index < frames - 1 else None,
            boxes_xyxy=(BOX,) if index < frames - 1 else (),
            has_nodule=index < frames - 1,
            source="here",
            group="a",
            split="val",
        )
        for index in range(frames)
    ]


def test_pipeline_figures_of_a_nodule_seen_in_part_of_its_frames(tmp_path: Path) -> None:
    def findings(index: int) -> Sequence[Finding]:
        return () if index == 0 else (finding(BOX),)

    frames = track(clip_samples(tmp_path, 7), FakeEngine(findings).as_engine(), "val")
    evaluation = evaluate_tracks(frames, 0.3)

    def value(name: str) -> float:
        return figure(evaluation, name, "here").figure.value

    assert value(FOUND) == 1.0
    # One frame missed and one false positive in six frames with a nodule and one without.
    assert value("MOTA") == pytest.approx(4 / 6)
    assert value("IDF1") == pytest.approx(5 / 6)
    assert value("identity switches per clip") == 0
    assert value("frames a nodule is in view") == 6
    assert value("frames a nodule is found in") == 5
    assert value("track numbers a nodule gets") == 1
    assert value("Dice end to end (nodule missed: 0)") == pytest.approx(5 / 6)
    assert value("HD95 (px) end to end (nodules found)") == 0
    assert value("false positives an image without a nodule, at the operating point") == 1
