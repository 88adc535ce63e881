"""The classifier: log-odds of held-out images, then AUC, operating point and calibration by image and patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import floor

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from streamer.data.pixels import Picture
from streamer.data.pseudo_boxes import propose_boxes
from streamer.data.samples import TIRADS, Sample, Tirads
from streamer.errors import DataError
from streamer.evaluation.plots import Line, draw_calibration, draw_lines
from streamer.evaluation.result import Chosen, Evaluation, Result
from streamer.evaluation.subsets import BLOCKED_SOURCES, ImageTraits, Subset, subsets, traits_of
from streamer.geometry import CropWindow
from streamer.metrics.calibration import (
    IDENTITY,
    Scaling,
    apply_scaling,
    calibration_error,
    fit_scaling,
    reliability_curve,
)
from streamer.metrics.classification import (
    PatientScores,
    auc,
    auc_by_group,
    classification_point,
    has_both,
    patient_maximum,
    roc,
    youden_threshold,
)
from streamer.metrics.estimate import Figure
from streamer.models.classifier import Classifier
from streamer.models.detector import Detector
from streamer.models.sweep_point import prior_shift

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
_DECIMALS = 4
_SCALE = 10.0**_DECIMALS
_NOTES = (
    "Labels are those of each source; those of DDTI are a TI-RADS reading, not pathology. There 4a and above count as "
    "malignant; in series with pathology 3 to 8 % of the nodules read as 4a were cancer (Radiology 2011;260:892-899, "
    "doi:10.1038/s41598-017-11863-0).",
    "Intervals by DeLong and Wilson take images as independent; where several images share a cluster, the clustered "
    "interval is the honest one.",
    "The probability of an image is the greatest over its nodules, that of a patient the greatest over the images.",
    "ECE is the expected calibration error of the probability shown, ten bins of equal width.",
    "Where calibration and operating point were chosen on the images of a figure, that figure is optimistic.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifiedImage:
    """One labelled image.

    Attributes:
        traits: what kind of image it is.
        malignant: its label.
        tirads: category that a reader gave it; None if unknown.
        log_odds: malignant minus benign logit before any calibration; the greatest over its nodules.
        boxed_by: "truth", "detector" or "whole view": where the crop came from.
    """

    traits: ImageTraits
    malignant: bool
    log_odds: float
    boxed_by: str
    tirads: Tirads | None = None


def is_labelled(sample: Sample) -> bool:
    """Whether the sample is known to be benign or malignant."""
    return sample.label in ("benign", "malignant")


def classify(picture: Picture, classifier: Classifier, proposer: Detector | None, split: str) -> ClassifiedImage:
    """Classify a labelled picture: each true box, else the detector's best box, else the whole view.

    Args:
        picture: labelled benign or malignant.
        classifier: under evaluation, not calibrated.
        proposer: finds the nodule where the picture has no box; None where every picture has one.
        split: name of the split in the results.
    """
    boxed_by = "truth" if picture.boxes_xyxy else "whole view"
    if not picture.boxes_xyxy and proposer is not None:
        picture = propose_boxes([picture], proposer)[0]
        boxed_by = "detector" if picture.boxes_xyxy else boxed_by
    boxes = picture.boxes_xyxy or (picture.nodule_box,)
    margin, size = classifier.preprocessing.margin, classifier.preprocessing.size_wh[0]
    crops = np.stack([CropWindow.around(box, margin).crop(picture.grey, size) for box in boxes])
    return ClassifiedImage(
        traits=traits_of(picture, boxes, split),
        malignant=picture.sample.label == "malignant",
        log_odds=float(logit(max(classifier(crops)))),
        boxed_by=boxed_by,
        tirads=picture.sample.tirads,
    )


def reading_figures(images: Sequence[ClassifiedImage], patients: PatientScores) -> dict[str, Figure]:
    """AUC of the patients of each category from 4 on against those read as 1 to 3, with DeLong's interval, by name.

    Labels do not matter here: what is compared is classifier and reader.

    Args:
        images: images; a patient's category is the most suspicious of them.
        patients: greatest score of each of their patients.

    Returns:
        A figure a category; none where no reading is known, or on one of the two sides of fewer than two patients.
    """
    order = {category: number for number, category in enumerate(TIRADS)}
    highest: dict[str, int] = {}
    for image in images:
        if image.tirads is not None:
            highest[image.traits.group] = max(highest.get(image.traits.group, 0), order[image.tirads])
    read = np.array([highest.get(str(patient), -1) for patient in patients.patients], np.int64)
    benign = (read >= 0) & (read < order["4"])
    figures = {}
    for category in TIRADS[order["4"] :]:
        here = read == order[category]
        chosen = benign | here
        if has_both(here[chosen]):
            figures[f"AUC of TI-RADS {category} against 1 to 3"] = auc(here[chosen], patients.scores[chosen])
    return figures


def choose(seen: Sequence[ClassifiedImage], prevalence: float | None = None) -> Chosen:
    """Calibration and Youden operating point from held-out images.

    Args:
        seen: labelled images of one source that the classifier was not fitted to.
        prevalence: share of malignant images in the whole source, to which both are shifted; None for that of `seen`.
            A held-out part may be another mix than the rest.

    Raises:
        DataError: one of the classes is missing.
    """
    labels, log_odds = arrays(seen)
    scaling = rounded_scaling(fit_scaling(labels, log_odds))
    threshold = youden_threshold(labels, apply_scaling(log_odds, scaling))
    part = subsets([image.traits for image in seen], parts=False)[0]
    own = float(labels.mean())
    shift = 0.0 if prevalence is None else prior_shift(own, prevalence)
    mix = "" if prevalence is None else f", both shifted from {own:.0%} to {prevalence:.0%} malignant, the source's mix"
    return Chosen(
        scaling=rounded_scaling(Scaling(scaling.temperature, scaling.offset + shift)),
        operating_point=rounded_point(float(expit(logit(threshold) + shift))),
        source=f"greatest Youden index on {part.name}, {part.split}, {len(seen)} images, after calibration on "
        f"the same images (in-sample){mix}",
        prevalence=round(own if prevalence is None else prevalence, 4),
    )


def rounded_point(threshold: float) -> float:
    """An operating point as it is stored: rounded down, so that the case that set it stays on its side."""
    return floor(threshold * _SCALE) / _SCALE


def rounded_scaling(scaling: Scaling) -> Scaling:
    """A calibration as it is stored."""
    return Scaling(round(scaling.temperature, _DECIMALS), round(scaling.offset, _DECIMALS))


def calibration_part(seen: Sequence[ClassifiedImage], trained_on: Collection[str]) -> list[ClassifiedImage]:
    """The images to choose calibration and operating point on: the largest source that the training drew on.

    Its held-out part resembles the training data and mixes no kinds of label; external sources stay untouched.

    Raises:
        DataError: no such source is there.
    """
    counts = Counter(image.traits.source for image in seen if image.traits.source in trained_on)
    if not counts:
        raise DataError("no held-out image of a source that the classifier was trained on: nothing to calibrate with")
    source = counts.most_common(1)[0][0]
    return [image for image in seen if image.traits.source == source]


def evaluate_probabilities(
    seen: Sequence[ClassifiedImage], *, scaling: Scaling, threshold: float, chosen: Chosen | None
) -> Evaluation:
    """All figures and plots of a classifier.

    Args:
        seen: labelled images, at least one.
        scaling: turns log-odds into probabilities.
        threshold: operating point on the probability after that.
        chosen: what was chosen on the way, to be handed on.
    """
    parts = subsets([image.traits for image in seen], parts=False)
    parts = [part for part in parts if len({seen[row].traits.source for row in part.rows}) == 1]
    results: list[Result] = []
    curves: list[Line] = []
    for part in parts:
        images = [seen[row] for row in part.rows]
        labels, log_odds = arrays(images)
        shown = apply_scaling(log_odds, scaling)
        groups = np.array([image.traits.group for image in images])
        figures = ranking_figures(labels, shown, groups, part) | point_figures(labels, shown, threshold)
        results += named(part, "image level", "images", figures)
        results += named(part, "image level", "images", _calibration(labels, log_odds, groups, part, scaling))
        curves += _curve(f"{part.name}, images", labels, shown)
        if images[0].traits.source not in BLOCKED_SOURCES:
            whole = patient_maximum(groups, labels, shown)
            figures = ranking_figures(whole.labels, whole.scores, whole.patients, part)
            figures |= point_figures(whole.labels, whole.scores, threshold)
            figures |= reading_figures(images, whole)
            results += named(part, "patient level", f"{part.cluster}s", figures)
            curves += _curve(f"{part.name}, {part.cluster}s", whole.labels, whole.scores)
    boxes = Counter(image.boxed_by for image in seen)
    return Evaluation(
        subject="classifier",
        results=tuple(results),
        plots={
            "roc": draw_lines(curves, x="1 - specificity", y="sensitivity", diagonal=True),
            "calibration": draw_calibration(
                {
                    f"{part.name}, {when} calibration": reliability_curve(labels, apply_scaling(odds, value))
                    for part in parts
                    for labels, odds in [arrays([seen[row] for row in part.rows])]
                    for when, value in (("before", IDENTITY), ("after", scaling))
                }
            ),
        },
        settings={
            "temperature": f"{scaling.temperature:.4g}",
            "offset": f"{scaling.offset:.4g}",
            "operating point": f"{threshold:.4g}",
        },
        notes=(*_NOTES, "Crops: " + ", ".join(f"{count} by {name}" for name, count in sorted(boxes.items())) + "."),
        chosen=chosen,
    )


def arrays(images: Sequence[ClassifiedImage]) -> tuple[Labels, Floats]:
    """Labels and log-odds of images, shapes (n,)."""
    labels = np.array([image.malignant for image in images], np.bool_)
    return labels, np.array([image.log_odds for image in images], np.float64)


def ranking_figures(labels: Labels, shown: Floats, groups: npt.NDArray[np.str_], part: Subset) -> dict[str, Figure]:
    """Figures that need no operating point, by name; none without both classes."""
    figures: dict[str, Figure] = {}
    if has_both(labels):
        figures["AUC"] = auc(labels, shown)
        if len(np.unique(groups)) < len(groups):
            figures["AUC, clustered"] = auc_by_group(labels, shown, groups, part.resampling)
    return figures


def point_figures(labels: Labels, shown: Floats, threshold: float) -> dict[str, Figure]:
    """Figures at an operating point, by name."""
    point = classification_point(labels, shown, threshold)
    return {
        "sensitivity": point.sensitivity,
        "specificity": point.specificity,
        "PPV": point.ppv,
        "NPV": point.npv,
    }


def _calibration(
    labels: Labels, log_odds: Floats, groups: npt.NDArray[np.str_], part: Subset, scaling: Scaling
) -> dict[str, Figure]:
    return {
        f"ECE {when} calibration": calibration_error(labels, apply_scaling(log_odds, value), groups, part.resampling)
        for when, value in (("before", IDENTITY), ("after", scaling))
    }


def named(part: Subset, level: str, count_of: str, figures: dict[str, Figure]) -> list[Result]:
    """Figures of a subset as results."""
    return [
        Result(
            name=f"{name}, {level}",
            figure=figure,
            data=part.name,
            split=part.split,
            count_of=count_of,
            clusters_of=count_of if figure.clusters == figure.count else f"{part.cluster}s",
        )
        for name, figure in figures.items()
    ]


def _curve(name: str, labels: Labels, shown: Floats) -> list[Line]:
    if not has_both(labels):
        return []
    curve = roc(labels, shown)
    return [Line(name, curve.false_positive_rate, curve.sensitivity)]
