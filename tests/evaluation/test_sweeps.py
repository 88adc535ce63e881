"""The evaluation of unlabelled sweeps: judged by other groups' fit, stored with the classifier by the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer.errors import DataError
from streamer.evaluation.manifest_update import PIPELINE_PREFIX, update_manifest
from streamer.evaluation.sweeps import CALLED, SweepTrack, _spreads_of_the_others, evaluate_sweeps, fit_spread
from streamer.models.weights_manifest import read_manifest
from tests.random_weights import write_random_weights


def tracks(count: int, seed: int = 0, deviation: float = 0.5) -> list[SweepTrack]:
    rng = np.random.default_rng(seed)
    return [
        SweepTrack(
            group=str(number // 2), log_odds=rng.normal(-0.6, 0.8) + rng.normal(0, deviation, rng.integers(5, 40))
        )
        for number in range(count)
    ]


def test_shares_agree_at_every_operating_point_for_groups_that_were_not_fitted() -> None:
    found = evaluate_sweeps(tracks(60), 0.34, "clips")
    (table,) = found.tables
    _, by_a_frame, by_maximum, at_own_point = np.array(table.rows, np.float64).T
    assert np.abs(at_own_point - by_a_frame).mean() < np.abs(by_maximum - by_a_frame).mean() / 3
    values = {result.name.removeprefix(CALLED): result.figure.value for result in found.results}
    assert values["by their maximum at the operating point of stills"] > values["by one of their frames"] + 0.1


def test_no_nodule_is_judged_by_its_own_group() -> None:
    calm = tracks(24, deviation=0.01)
    wild = SweepTrack(group="wild", log_odds=np.array([-3.0] * 19 + [3.0]))
    *others, of_wild = _spreads_of_the_others([*calm, wild])
    assert of_wild == fit_spread([track.log_odds for track in calm])
    assert of_wild.deviation < min(spread.deviation for spread in others)


def test_too_few_nodules_are_refused() -> None:
    with pytest.raises(DataError, match="at least 10 tracks"):
        evaluate_sweeps(tracks(6), 0.34, "clips")


def test_the_command_stores_the_sweeps_point_with_the_classifier(tmp_path: Path) -> None:
    write_random_weights(tmp_path)
    found = evaluate_sweeps(tracks(20), 0.34, "clips")
    (card,) = update_manifest(tmp_path, found)
    entry = read_manifest(tmp_path).models["classifier"]
    assert entry.sweep == found.sweep
    assert entry.sweep is not None
    assert entry.sweep.source.startswith("20 tracks of ")
    named = [figure.name for figure in entry.figures if figure.name.startswith(PIPELINE_PREFIX + CALLED)]
    assert len(named) == 4
    assert "by their maximum at the operating point of their number of frames" in card.read_text(encoding="utf-8")
