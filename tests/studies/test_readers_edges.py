"""Reader studies at their edges: many scenarios, readers without variance, names in any script, folders left clean."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure as Plot

from streamer._files import atomic_path
from streamer.errors import DataError, OutputError
from streamer.evaluation import fonts
from streamer.evaluation.fonts import fonts_for, labels_of, legend_of
from streamer.metrics.estimate import Figure, Resampling, without_empty_interval
from streamer.metrics.holm import holm
from streamer.studies.csv_file import csv_text
from streamer.studies.generalise.report import relabelled
from streamer.studies.mrmc import analyse
from streamer.studies.page import results_folder
from streamer.studies.ratings import Predictions, ReaderRatings, read_ratings
from streamer.studies.readers import study_readers
from streamer.studies.readers_command import run_readers
from streamer.studies.readers_page import sentences
from streamer.studies.readers_tables import mrmc_tables
from streamer.studies.scale import scale_named
from streamer.studies.simulate import ReaderModel, made_up_cases, simulate

FEW = Resampling(resamples=20)
RANDOM = {kind: f"{kind}: words" for kind in ("both", "cases", "readers")}
TRUTH = [True] * 6 + [False] * 6
PERFECT = [5] * 6 + [1] * 6
CONSTANT = [3] * 12
ORDINARY = [4, 3, 5, 2, 5, 4, 1, 3, 2, 4, 1, 2]


def ratings_file(folder: Path, given: Mapping[tuple[str, str], Sequence[int]]) -> Path:
    rows = [
        (reader, scenario, f"c{case}", "malignant" if TRUTH[case] else "benign", value)
        for (reader, scenario), values in given.items()
        for case, value in enumerate(values)
    ]
    path = folder / "ratings.csv"
    path.write_text(csv_text(("reader", "scenario", "case", "truth", "rating"), rows), encoding="utf-8")
    return path


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def three_scenarios() -> ReaderRatings:
    names = ("without", "freestyle", "Again")
    ratings = simulate(
        ReaderModel(areas=(0.7, 0.8, 0.9)), made_up_cases(30, 30), scenarios=names, readers="abc", seed=2
    )
    cases = tuple(f"c{number}" for number in range(60))
    return ReaderRatings(ratings=ratings, cases=cases, patients=cases, scale=scale_named("1-5"), groups={})


def test_pairs_of_scenarios_are_adjusted_and_the_overall_test_is_shown_beside_a_computed_scenario() -> None:
    data = three_scenarios()
    predictions = Predictions(
        scores={case: float(case[1:]) for case in data.cases},
        calls={case: bool(truth) for case, truth in zip(data.cases, data.ratings.truth, strict=True)},
    )
    level = study_readers(data, predictions, resampling=FEW).levels[0]
    own = analyse(data.ratings)
    for analysis in level.analyses:
        p = [gap.p_value for gap in analysis.differences]
        assert len(p) == 6  # three pairs of the readers' own scenarios, three with the rule-based one
        assert [gap.p_holm for gap in analysis.differences] == holm(p)
    p = sorted(gap.p_value for gap in level.analyses[0].differences)
    assert min(gap.p_holm for gap in level.analyses[0].differences) == pytest.approx(6 * p[0])
    assert [gap.p_holm for gap in level.against_ai] == holm([gap.p_value for gap in level.against_ai])
    shown = mrmc_tables(level, RANDOM)[0]
    assert shown.headings[-2:] == ("P, unadjusted", "P, Holm over pairs")
    overall = [dict(zip(shown.columns, record, strict=True)) for record in shown.records if record[3] == "overall test"]
    assert [row["inference"] for row in overall] == ["both", "cases", "readers"]
    assert own.test is not None
    assert (overall[0]["statistic"], overall[0]["p"]) == (own.test.statistic, own.test.p_value)
    assert (overall[0]["df1"], overall[0]["df"]) == (2.0, own.test.df2)
    said = sentences(level.analyses[0])
    assert said[0].startswith("overall test of without, freestyle, Again: F ")
    assert all("unadjusted" in line and "after Holm" in line for line in said[1:])


def test_two_scenarios_need_neither_an_overall_test_nor_an_adjustment(tmp_path: Path) -> None:
    shifted = [*ORDINARY[1:], ORDINARY[0]]
    path = ratings_file(
        tmp_path, {(r, s): ORDINARY if r + s == "aone" else shifted for r in "ab" for s in ("one", "two")}
    )
    level = study_readers(read_ratings(path), resampling=FEW).levels[0]
    assert not any(record[3] == "overall test" for record in mrmc_tables(level, RANDOM)[0].records)
    (line,) = sentences(level.analyses[0])
    assert "Holm" not in line


def test_a_reader_without_variance_has_no_interval_and_is_marked(tmp_path: Path) -> None:
    given = {
        ("perfect", "without"): PERFECT, ("perfect", "with"): PERFECT,
        ("constant", "without"): CONSTANT, ("constant", "with"): CONSTANT,
        ("inverse", "without"): PERFECT[::-1], ("inverse", "with"): PERFECT,
        ("ordinary", "without"): ORDINARY, ("ordinary", "with"): PERFECT,
    }  # fmt: skip
    study = run_readers(ratings_file(tmp_path, given), tmp_path / "out", scale="1-5", resamples=20)
    level = study.levels[0]
    areas = {(area.reader, area.scenario): area.delong for area in level.areas}
    for reader, value in (("perfect", 1.0), ("constant", 0.5), ("inverse", 0.0)):
        assert areas[reader, "without"].value == value
        assert isnan(areas[reader, "without"].low)
        assert isnan(areas[reader, "without"].high)
    assert areas["ordinary", "without"].low < areas["ordinary", "without"].value
    tests = {entry.reader: entry for entry in level.tests}
    assert isnan(tests["perfect"].test.p_value)  # the same ratings twice
    assert isnan(tests["inverse"].test.p_value)  # 0 against 1, without variance
    assert isnan(tests["inverse"].p_holm)
    assert tests["ordinary"].p_holm == tests["ordinary"].test.p_value < 1  # the others count as no test
    written = {(row["reader"], row["scenario"]): row for row in table(tmp_path / "out" / "auc.csv")}
    assert written["perfect", "without"]["interval"] == "not estimable"
    assert (written["perfect", "without"]["low"], written["perfect", "without"]["high"]) == ("", "")
    assert written["ordinary", "without"]["interval"] == "DeLong"
    kappas = {(row["scenario"], row["first"], row["second"]): row for row in table(tmp_path / "out" / "kappa.csv")}
    assert kappas["with", "perfect", "ordinary"]["linear_interval"] == "not estimable"
    assert float(kappas["with", "perfect", "ordinary"]["linear"]) == 1
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "1.000 (interval not estimable)" in page
    assert "hollow" in page


def test_readers_who_are_all_perfect_allow_no_test_over_all_of_them(tmp_path: Path) -> None:
    given = {(reader, scenario): PERFECT for reader in "ab" for scenario in ("without", "with", "again")}
    level = study_readers(read_ratings(ratings_file(tmp_path, given), scale="1-5"), resampling=FEW).levels[0]
    for analysis in level.analyses:
        for gap in analysis.differences:
            assert gap.value == 0
            assert all(map(isnan, (gap.standard_error, gap.low, gap.high, gap.p_value, gap.p_holm)))
        assert all(isnan(mean.low) and isnan(mean.high) for mean in analysis.means)
    assert all("no variance" in line for line in sentences(level.analyses[0]))
    shown = mrmc_tables(level, RANDOM)
    assert not any("nan" in cell for part in shown for row in part.rows for cell in row)
    assert isnan(level.concordances[0].concordance.w.low)  # W is 1 in every resample


def test_an_interval_that_has_a_width_stays() -> None:
    figure = Figure(value=0.9, low=0.8999, high=0.9001, count=9, clusters=9, method="")
    assert without_empty_interval(figure) == figure


def test_a_group_called_all_is_not_taken_for_all_readers(tmp_path: Path) -> None:
    rows = [
        (reader, "all" if reader != "c" else "", "one", f"c{case}", int(TRUTH[case]), value)
        for shift, reader in enumerate("abc")
        for case, value in enumerate(np.roll(ORDINARY, shift).tolist())
    ]
    path = tmp_path / "ratings.csv"
    path.write_text(csv_text(("reader", "group", "scenario", "case", "truth", "rating"), rows))
    level = study_readers(read_ratings(path), resampling=FEW).levels[0]
    assert [(entry.group, entry.concordance.readers) for entry in level.concordances] == [("all", 3), ("all", 2)]


def test_names_that_no_font_has_become_numbers_with_a_legend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fonts, "findSystemFonts", list)
    fonts._files.cache_clear()
    given = {
        (reader, "without"): np.roll(ORDINARY, shift).tolist()
        for shift, reader in enumerate(("Иван", "王医生", "_x$y$"))
    }
    run_readers(ratings_file(tmp_path, given), tmp_path / "out", scale="1-5", resamples=10)  # warnings are errors
    fonts._files.cache_clear()
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "reader no. 2: 王医生" in page
    assert "reader no. 1" not in page
    assert labels_of("reader", ["Иван", "b" * 50]) == {"Иван": "Иван", "b" * 50: "b" * 39 + "…"}


def test_a_centre_that_no_font_has_is_a_number_in_the_heat_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "findSystemFonts", list)
    fonts._files.cache_clear()
    labels = labels_of("centre", ["North", "协和", "_x"])
    fonts._files.cache_clear()
    assert labels == {"North": "North", "协和": "centre no. 2", "_x": " _x"}
    assert legend_of(labels) == "centre no. 2: 协和"
    named = [relabelled(network, labels) for network in ("only 协和", "without 协和", "only North", "mixed")]
    assert named == ["only centre no. 2", "without centre no. 2", "only North", "mixed"]


def test_an_installed_font_draws_what_the_usual_one_cannot() -> None:
    labels = labels_of("reader", ["王医生"])
    if labels["王医生"] != "王医生":
        pytest.skip("no font with Chinese characters is installed")
    with fonts_for(["王医生"]):
        plot = Plot()
        plot.text(0.1, 0.5, "王医生 Иван")
    plot.canvas.draw()  # a missing glyph warns, and warnings are errors
    assert legend_of(labels) == ""


def test_an_error_leaves_no_folder_that_it_made(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with pytest.raises(DataError), results_folder(tmp_path / "kept" / "a" / "b"):
        raise DataError("late")
    assert list((tmp_path / "kept").iterdir()) == []
    with pytest.raises(DataError), results_folder(tmp_path / "kept"):
        raise DataError("late")
    assert (tmp_path / "kept").is_dir()
    with pytest.raises(OutputError), results_folder(tmp_path / "c"), atomic_path(tmp_path / "c" / "half") as partial:
        partial.with_name("no folder").joinpath("x").write_bytes(b"")
    assert not (tmp_path / "c").exists()
    path = ratings_file(tmp_path, {(r, "one"): ORDINARY for r in "ab"})
    with pytest.raises(DataError, match="no scenario 'x'"):
        run_readers(path, tmp_path / "out" / "deep", baseline="x")
    assert not (tmp_path / "out").exists()


def test_names_that_a_spreadsheet_would_run_come_out_marked_and_go_in_again(tmp_path: Path) -> None:
    given = {(reader, "-with"): np.roll(ORDINARY, shift).tolist() for shift, reader in enumerate(("=1+1", "@b"))}
    path = ratings_file(tmp_path, given)
    data = read_ratings(path)
    assert data.ratings.readers == ("=1+1", "@b")
    run_readers(path, tmp_path / "out", resamples=10)
    for written in (tmp_path / "out").glob("*.csv"):
        for cell in (cell for row in table(written) for cell in row.values()):
            assert not cell.startswith(("=", "@", "+")), (written, cell)
            assert not cell.startswith("-") or float(cell) < 0
    assert {row["reader"] for row in table(tmp_path / "out" / "auc.csv")} == {"'=1+1", "'@b"}
