"""The probability under another prevalence than that of the training."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from streamer.errors import SettingsError
from streamer.models.classifier import Calibration
from streamer.models.weights_manifest import HEAT_ABOVE_CHANCE, ModelEntry, ReportedFigure
from streamer.settings import ClassificationSettings
from tests.random_weights import entry

LOGITS = [np.array([[0.0, 1.5], [0.0, -0.5], [0.0, 0.0]], np.float32)]


def classifier(**changes: object) -> ModelEntry:
    return entry("classifier", "0" * 64).model_copy(update={"temperature": 1.2, "offset": -0.4, **changes})


def probabilities(model: ModelEntry, prevalence: float | None) -> list[float]:
    return Calibration(model, ClassificationSettings(prevalence=prevalence))(LOGITS)


def test_it_is_bayes_rule_and_nothing_without_a_setting() -> None:
    model = classifier(prevalence=0.32)
    plain = probabilities(model, None)
    assert plain == pytest.approx([float(expit(value / 1.2 - 0.4)) for value in (1.5, -0.5, 0.0)])
    assert probabilities(model, 0.32) == pytest.approx(plain)
    rarer = probabilities(model, 0.05)
    odds = (0.05 / 0.95) / (0.32 / 0.68)
    assert [p / (1 - p) for p in rarer] == pytest.approx([odds * p / (1 - p) for p in plain])


def test_weights_that_do_not_say_at_which_prevalence_they_were_calibrated_refuse_it() -> None:
    assert probabilities(classifier(), None)
    with pytest.raises(SettingsError, match="at which share of malignant nodules"):
        probabilities(classifier(), 0.1)


@pytest.mark.parametrize("prevalence", [0.0, 1.0])
def test_a_certain_prevalence_is_none(prevalence: float) -> None:
    with pytest.raises(ValueError, match="prevalence"):
        ClassificationSettings(prevalence=prevalence)


def test_a_shift_moves_the_operating_point_with_the_probability() -> None:
    """The same nodules are called: both move by the same log-odds."""
    model = classifier(prevalence=0.32)
    before, after = (np.array(probabilities(model, prevalence)) for prevalence in (None, 0.6))
    shift = logit(after) - logit(before)
    np.testing.assert_allclose(shift, shift[0], atol=1e-5)


@pytest.mark.parametrize(("lows", "explains"), [((), True), ((0.1, 0.02), True), ((0.1, -0.01), False)])
def test_a_map_that_does_not_beat_chance_is_no_explanation(lows: tuple[float, ...], explains: bool) -> None:
    figures = tuple(
        ReportedFigure(
            name=HEAT_ABOVE_CHANCE,
            value=low + 0.1,
            low=low,
            high=low + 0.2,
            data=f"s{number}",
            split="val",
            count=9,
            clusters=9,
            method="m",
        )
        for number, low in enumerate(lows)
    )
    assert classifier(figures=figures).explains is explains
