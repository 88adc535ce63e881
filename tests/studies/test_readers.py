"""A reader study from its files to its page."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamer.errors import DataError
from streamer.metrics.classification import auc, patient_maximum
from streamer.metrics.estimate import Resampling
from streamer.metrics.holm import holm
from streamer.studies.ratings import Predictions, ReaderRatings, read_predictions, read_ratings
from streamer.studies.readers import AI, study_readers
from streamer.studies.readers_command import cases_of, run_readers, write_simulation
from streamer.studies.scenarios import rule_based
from streamer.studies.simulate import Cases, ReaderModel, estimate_power, latent_scores, made_up_cases, simulate
from tests.studies.van_dyke import van_dyke_path

FEW = Resampling(resamples=30)


def write_predictions(path: Path) -> Path:
    """Predictions of 60 patients with one to three images each."""
    rng = np.random.default_rng(5)
    lines = ["case,patient,truth,score,call"]
    for patient in range(60):
        malignant = patient % 5 < 3
        for image in range(1 + patient % 3):
            score = 1 / (1 + np.exp(-(2 * malignant - 1 + rng.normal())))
            call = "malignant" if score > 0.5 else "benign"
            lines.append(f"p{patient}-{image},p{patient},{'malignant' if malignant else 'benign'},{score:.4f},{call}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated")
    cases = cases_of(write_predictions(folder / "ai.csv"))
    model = ReaderModel(areas=(0.8, 0.85))
    write_simulation(
        folder / "ratings.csv", model, cases, scenarios=("without", "freestyle"), readers=4, seniors=2, seed=1
    )
    return folder


def test_rule_based_moves_by_one_and_stops_at_the_ends() -> None:
    first = np.array([1.0, 1, 3, 3, 5, 5, np.nan])
    calls = np.array([False, True, False, True, False, True, True])
    assert rule_based(first, calls, 1, 5).tolist()[:6] == [1, 2, 2, 4, 4, 5]
    assert np.isnan(rule_based(first, calls, 1, 5)[6])


def test_three_scenarios_on_two_levels(simulated: Path, tmp_path: Path) -> None:
    study = run_readers(simulated / "ratings.csv", tmp_path, ai=simulated / "ai.csv", resamples=50)
    images, patients = study.levels
    assert images.data.ratings.treatments == ("without", "freestyle", "rule-based")
    assert (images.level, patients.level) == ("image", "patient")
    assert len(patients.data.cases) == 60
    cases = cases_of(simulated / "ai.csv")
    assert cases.ai is not None
    grouped = patient_maximum(cases.patients, cases.truth, cases.ai)
    by_level = {
        images.level: auc(cases.truth, cases.ai).value,
        patients.level: auc(grouped.labels, grouped.scores).value,
    }
    for level in study.levels:
        assert level.areas[0].reader == AI
        assert level.areas[0].delong.value == pytest.approx(by_level[level.level])
    # Rule-based at patient level is the greatest of the images' moved categories, not the moved greatest.
    calls = np.array(
        [row["call"] == "malignant" for row in csv.DictReader((simulated / "ai.csv").read_text().splitlines())]
    )
    moved = rule_based(images.data.ratings.scores[0], calls, 1, 5)
    assert images.data.ratings.scores[2].tolist() == moved.tolist()
    first_patient = np.array([patient == "p2" for patient in images.data.patients])
    place = patients.data.cases.index("p2")
    assert patients.data.ratings.scores[2, :, place].tolist() == moved[:, first_patient].max(axis=1).tolist()
    # 4 readers: 3 pairs of scenarios, the first reading first, and 3 comparisons with the AI.
    assert list(dict.fromkeys((test.first, test.second) for test in patients.tests)) == [
        ("without", "freestyle"),
        ("without", "rule-based"),
        ("freestyle", "rule-based"),
        ("without", AI),
        ("freestyle", AI),
        ("rule-based", AI),
    ]
    assert len(patients.tests) == 4 * 6
    assert all(test.p_holm >= test.test.p_value for test in patients.tests)
    assert len(patients.against_ai) == 3
    assert {entry.group for entry in patients.concordances} == {"all", "senior", "junior"}
    assert len(patients.kappas) == 3 * 6
    assert len(patients.points) == 3 * 4 * 4
    assert images.analyses[0].method == "clustered DeLong"
    page = (tmp_path / "report.html").read_text()
    assert "without - freestyle" in page
    assert "://" not in page
    written = {path.name for path in tmp_path.iterdir()}
    assert {
        "auc.csv",
        "tests.csv",
        "categories.csv",
        "concordance.csv",
        "kappa.csv",
        "mrmc.csv",
        "roc-3.png",
    } <= written
    with (tmp_path / "auc.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * (1 + 3 * 4)
    written_ai = {row["level"]: float(row["auc"]) for row in rows if row["reader"] == AI}
    assert written_ai == pytest.approx(by_level)


def test_the_computed_scenario_changes_nothing_between_the_readers_own(simulated: Path) -> None:
    ratings = read_ratings(simulated / "ratings.csv")
    alone = study_readers(ratings, resampling=FEW)
    beside = study_readers(ratings, read_predictions(simulated / "ai.csv"), resampling=FEW)
    for level, with_ai in zip(alone.levels, beside.levels, strict=True):
        for own, more in zip(level.analyses, with_ai.analyses, strict=True):
            assert replace(more.differences[0], p_holm=0) == replace(own.differences[0], p_holm=0)
            assert own.differences[0].p_holm == own.differences[0].p_value
            assert [gap.p_holm for gap in more.differences] == holm([gap.p_value for gap in more.differences])
            assert more.means[:2] == own.means
            assert (more.test, more.components) == (own.test, own.components)
            assert [gap.name for gap in more.differences] == [
                "without - freestyle",
                "without - rule-based",
                "freestyle - rule-based",
            ]
            assert more.means[2].name == "rule-based"


def test_sensitivity_rises_and_specificity_falls_towards_lower_categories(simulated: Path) -> None:
    level = study_readers(read_ratings(simulated / "ratings.csv"), resampling=FEW).levels[1]
    points = [point for point in level.points if (point.reader, point.scenario) == ("reader-1", "without")]
    assert [point.category for point in points] == ["4a", "4b", "4c", "5"]
    assert sorted((point.sensitivity.value for point in points), reverse=True) == [
        point.sensitivity.value for point in points
    ]
    scores, truth = level.data.ratings.scores[0, 0], level.data.ratings.truth
    assert points[1].specificity.value == pytest.approx((scores[~truth] < 3).mean())


def test_the_published_file_goes_through(tmp_path: Path) -> None:
    study = run_readers(van_dyke_path(), tmp_path, resamples=20)
    assert len(study.levels) == 1
    with (tmp_path / "mrmc.csv").open() as stream:
        rows = {(row["inference"], row["name"]): row for row in csv.DictReader(stream)}
    assert float(rows["both", "1 - 2"]["p"]) == pytest.approx(0.05123303, abs=5e-9)


def test_threshold_is_chosen_and_said_to_be_optimistic(simulated: Path, tmp_path: Path) -> None:
    lines = (simulated / "ai.csv").read_text().splitlines()
    path = tmp_path / "ai.csv"
    path.write_text("\n".join(line.rsplit(",", 1)[0] for line in lines))
    run_readers(simulated / "ratings.csv", tmp_path / "out", ai=path, resamples=10)
    assert "optimistic" in (tmp_path / "out" / "report.html").read_text()


def test_a_rule_needs_categories(tmp_path: Path) -> None:
    truth = np.arange(20) < 10
    cases = Cases(names=tuple(map(str, range(20))), patients=tuple(map(str, range(20))), truth=truth)
    ratings = simulate(ReaderModel(areas=(0.8,)), cases, scenarios=("without",), readers="ab", seed=0)
    lines = ["reader,scenario,case,truth,rating"]
    for reader, row in zip("ab", ratings.scores[0], strict=True):
        lines += [f"{reader},without,{case},{int(truth[case])},{10 * row[case]}" for case in range(20)]
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(lines))
    data: ReaderRatings = read_ratings(path, scale="0-100")
    predictions = Predictions(scores={str(case): float(case) for case in range(20)}, calls={})
    with pytest.raises(DataError, match="no categories to move"):
        study_readers(data, predictions, resampling=FEW)
    assert study_readers(data, resampling=FEW).levels[0].points == ()


def test_simulated_readers_have_the_skill_and_correlation_that_was_asked_for() -> None:
    cases = Cases(
        names=tuple(map(str, range(4000))),
        patients=tuple(map(str, range(4000))),
        truth=np.arange(4000) % 2 == 0,
        ai=np.random.default_rng(0).normal(size=4000),
    )
    model = ReaderModel(areas=(0.75, 0.9), reader=0.0, interaction=0.0, ai_correlation=0.8)
    latent = latent_scores(model, cases, 3, np.random.default_rng(3))
    for scenario, expected in enumerate((0.75, 0.9)):
        area = np.mean([auc(cases.truth, scores).value for scores in latent[scenario]])
        assert area == pytest.approx(expected, abs=0.015)
    benign = latent[0][:, ~cases.truth]
    assert np.corrcoef(benign)[0, 1] == pytest.approx(model.case + model.scenario_case, abs=0.05)
    assert cases.ai is not None
    with_ai = np.corrcoef(benign[0], cases.ai[~cases.truth])[0, 1]
    assert with_ai == pytest.approx(0.8 * np.sqrt(model.case), abs=0.05)
    with pytest.raises(DataError, match="add up to 1"):
        ReaderModel(areas=(0.8,), case=0.9)
    with pytest.raises(DataError, match="lies between 0 and 1"):
        ReaderModel(areas=(1.0,))


@pytest.mark.slow
@pytest.mark.parametrize("areas", [(0.8, 0.8), (0.75, 0.85)])
def test_intervals_cover_the_true_difference_in_1000_small_studies(areas: tuple[float, float]) -> None:
    """Readers and cases random; 5 readers, 50 malignant and 50 benign cases."""
    outcome = estimate_power(ReaderModel(areas=areas), made_up_cases(50, 50), readers=5, studies=1000, seed=1)
    assert 0.93 <= outcome.coverage.value <= 0.97
    assert outcome.mean_difference == pytest.approx(areas[1] - areas[0], abs=0.005)
    if areas[0] == areas[1]:
        assert outcome.power.value == pytest.approx(1 - outcome.coverage.value)
