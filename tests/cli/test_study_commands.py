"""`streamer study ...`: every command from its files to its answer, and one line for what a user can mend."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from streamer.studies.room.store import AnswerStore
from streamer.studies.room.study_file import load_study, read_cases
from tests.cli.command_line import Cli, clip_in
from tests.fakes import FakeEngine
from tests.studies.conftest import write_study
from tests.studies.van_dyke import van_dyke_path

PREDICTIONS = "case,patient,truth,score,call\n" + "".join(
    f"c{number},p{number},{truth},{score},{truth}\n"
    for number, (truth, score) in enumerate([("malignant", 0.9), ("benign", 0.2)] * 6)
)
RATINGS = "reader,scenario,case,truth,rating\n" + "".join(
    f"{reader},{scenario},c{number},{'malignant' if number % 2 else 'benign'},{1 + (turn * number + shift) % 5}\n"
    for shift, reader in enumerate("ab") for turn, scenario in enumerate(("without", "freestyle"), 1)
    for number in range(8)
)  # fmt: skip


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_readers_are_simulated_analysed_and_planned_from(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("study", "simulate", "--cases", "12,12", "--readers", 3, "--seniors", 1, "--output", "r.csv") == 0
    ratings = rows(tmp_path / "r.csv")
    assert len(ratings) == 2 * 3 * 24
    assert {row["scenario"] for row in ratings} == {"without", "freestyle"}
    assert cli("study", "readers", "r.csv", "--output", "out", "--resamples", 10) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "without - freestyle: " in said
    assert "readers and cases random" in said
    assert {row["reader"] for row in rows(tmp_path / "out" / "auc.csv")} == {"reader-1", "reader-2", "reader-3"}
    assert cli("study", "plan", "--pilot", "r.csv", "--difference", 0.1, "--readers", "4-5", "--fixed-readers") == 0
    assert "these readers alone" in capsys.readouterr().out


def test_readers_are_simulated_on_the_networks_own_cases(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ai.csv").write_text(PREDICTIONS)
    assert cli("study", "simulate", "--ai", "ai.csv", "--output", "r.csv", "--readers", 2, "--studies", 3) == 0
    assert "3 simulated studies: power 0." in " ".join(capsys.readouterr().out.split())
    assert {row["case"] for row in rows(tmp_path / "r.csv")} == {f"c{number}" for number in range(12)}
    assert cli("study", "readers", "r.csv", "--ai", "ai.csv", "--output", "out", "--resamples", 10) == 0
    assert "without - rule-based: " in " ".join(capsys.readouterr().out.split())


def test_a_study_is_planned_without_a_pilot(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assumed = ("--auc", 0.85, "--correlations", "0.45,0.4,0.3", "--reader-sd", 0.03)
    assert cli("study", "plan", "--difference", 0.06, *assumed, "--readers", "6") == 0
    line = capsys.readouterr().out.splitlines()[1].split()
    assert line[0] == "6"
    assert int(line[1]) > 50
    assert float(line[3]) >= 0.8


def test_progress_and_export_of_a_reading_study(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = load_study(write_study(tmp_path))
    assert cli("study", "status", "study.yaml") == 2
    assert "nobody has read yet" in " ".join(capsys.readouterr().err.split())
    AnswerStore(study.database, study.digest).close()
    assert cli("study", "status", "study.yaml") == 0
    assert capsys.readouterr().out.count("0 of 3") == 4
    assert cli("study", "export", "study.yaml") == 2
    assert "--partial" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "ratings.csv").exists()


def test_cases_are_predicted_once_and_their_table_opens_a_reading_room(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = FakeEngine()
    monkeypatch.setattr("streamer.pipeline.thyroid.Engine", lambda _settings: engine.as_engine())
    clip_in(tmp_path, frames=4)
    table = "case,patient,file,truth\na/1,pa,clip.mp4,malignant\na_1,pb,clip.mp4,benign\n"
    (tmp_path / "cases.csv").write_text(table)
    assert cli("study", "predict", "cases.csv") == 0
    first = rows(tmp_path / "predicted" / "predictions.csv")
    assert [(row["case"], row["truth"]) for row in first] == [("a/1", "malignant"), ("a_1", "benign")]
    assert all(0 <= float(row["score"]) <= 1 and row["call"] in ("benign", "malignant") for row in first)
    cases = read_cases(tmp_path / "predicted" / "cases.csv")
    overlays = {image.overlay for case in cases for image in case.images}
    assert len(overlays) == 2  # names that differ in a forbidden character only
    assert all(overlay is not None and overlay.stat().st_size > 0 for overlay in overlays)
    monkeypatch.setattr("streamer.studies.predict.run_study", lambda *_, **__: pytest.fail("analysed again"))
    assert cli("study", "predict", "cases.csv") == 0
    assert rows(tmp_path / "predicted" / "predictions.csv") == first
    capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("readers none.csv", "cannot read"),
        ("readers empty.csv", "no rows"),
        ("readers notes.txt", "lacks the column"),
        ("readers picture.csv", "cannot read"),
        ("readers ratings.csv --scale much", "--scale"),
        ("readers ratings.csv --scale 1-3", "row 5: the rating '4' is not one of 1, 2, 3"),
        ("readers ratings.csv --first dreams", "'dreams'"),
        ("readers ratings.csv --ai other.csv", "lack case 'c0'"),
        ("readers ratings.csv --threshold 0.5", "--ai"),
        ("readers ratings.csv --output notes.txt", "notes.txt"),
        ("plan --difference 0.05", "give --pilot"),
        ("plan --difference 0.05 --pilot ratings.csv --auc 0.8", "planning without --pilot"),
        ("plan --difference 0 --pilot ratings.csv", "difference of 0"),
        ("plan --difference nan --pilot ratings.csv", "between -1 and 1"),
        ("plan --difference 0.05 --auc 0.8 --correlations 0.4,0.3,0.3 --reader-sd nan", "--reader-sd"),
        ("plan --difference 0.05 --pilot ratings.csv --malignant-share nan", "Invalid value for '--malignant-share'"),
        ("readers ratings.csv --ai ratings-ai.csv --threshold nan", "finite"),
        ("simulate --reader-variance nan", "Invalid value for '--reader-variance'"),
        ("plan --difference 0.05 --pilot ratings.csv --readers many", "'many'"),
        ("plan --difference 0.05 --pilot ratings.csv --readers 9-4", "'9-4'"),
        ("plan --difference 0.05 --pilot ratings.csv --power 1", "between 0 and 1"),
        ("plan --difference 0.05 --auc 0.8 --correlations 0.4 --reader-sd 0.03", "3 numbers"),
        ("plan --difference 0.2 --auc 0.85 --correlations 0.4,0.3,0.3 --reader-sd 0.03", "make 1.05 in the second"),
        ("plan --difference 0.05 --auc 0.5 --correlations 0.4,0.3,0.3 --reader-sd 0.03", "between 0.5 and 1"),
        ("plan --difference 0.05 --auc 0.8 --correlations=-0.4,0.3,0.3 --reader-sd 0.03", "from 0 to below 1"),
        ("plan --difference 0.05 --pilot ratings.csv --readers 0", "'0'"),
        ("plan --difference 0.05 --pilot sure.csv", "do not vary with the cases"),
        ("readers double.csv", "has the column 'rating' twice: keep one"),
        ("readers wide.csv", "row 2: 6 values for 5 columns"),
        ("simulate --ai double.csv", "lacks the column 'score'"),
        ("simulate --seniors 7", "--seniors"),
        ("predict double.csv", "lacks the column 'file'"),
        ("simulate --auc 0.8", "2 numbers"),
        ("simulate --auc 0.8,1", "between 0 and 1"),
        ("simulate --cases 1,60", "two cases of each class"),
        ("simulate --cases 10.5,60", "whole numbers"),
        ("simulate --case-variances 1,1,1,1", "add up to 1"),
        ("simulate --ai ratings.csv", "score"),
        ("predict none.csv", "cannot read"),
        ("predict ratings.csv", "lacks the column"),
        ("predict gone.csv", "row 2: there is no file 'gone.mp4'"),
        ("predict twice.csv", "row 3: case 'a' stands in row 2 already"),
        ("status none.yaml", "none.yaml"),
        ("status notes.txt", "notes.txt"),
        ("export none.yaml", "none.yaml"),
        ("generalise --data none --by source --task segmenter", "no training data at none"),
        ("generalise --data notes.txt --by source --task segmenter", "notes.txt"),
        ("generalise --data notes.txt --by source --task segmenter --config other.csv", "other.csv"),
    ],
)  # fmt: skip
def test_what_a_user_can_mend_is_one_line(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: str, complaint: str
) -> None:
    (tmp_path / "ratings.csv").write_text(RATINGS)
    (tmp_path / "empty.csv").write_text(RATINGS.splitlines()[0])
    (tmp_path / "other.csv").write_text("case,score\nx,0.5\n")
    (tmp_path / "ratings-ai.csv").write_text("case,score\n" + "".join(f"c{n},0.{n}\n" for n in range(8)))
    (tmp_path / "notes.txt").write_text("left lobe\n")
    (tmp_path / "gone.csv").write_text("case,file,truth\na,gone.mp4,benign\n")
    (tmp_path / "twice.csv").write_text("case,file,truth\n" + "a,notes.txt,benign\n" * 2)
    (tmp_path / "double.csv").write_text(RATINGS.replace("rating", "rating,Rating ", 1))
    (tmp_path / "wide.csv").write_text(RATINGS.replace("c0,", "c,0,", 1))
    sure = [f"{r},{s},c{n},{n % 2},{1 + 4 * (n % 2)}\n" for r in "ab" for s in ("one", "two") for n in range(8)]
    (tmp_path / "sure.csv").write_text(RATINGS.splitlines()[0] + "\n" + "".join(sure))
    (tmp_path / "picture.csv").write_bytes(bytes(range(256)))
    before = sorted(tmp_path.iterdir())
    assert cli("study", *arguments.split()) == 2
    said = capsys.readouterr().err
    assert complaint in " ".join(said.split()), said
    assert "Traceback" not in said
    made = [path for path in tmp_path.rglob("*") if path not in before and path.is_file()]
    assert made == []  # nothing half-written


def test_the_published_study_goes_through_the_command(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("study", "readers", van_dyke_path(), "--output", "out", "--resamples", 10) == 0
    assert "1 - 2: mean AUC differs by -0.044 (-0.088 to +0.000), P = 0.0512" in " ".join(
        capsys.readouterr().out.split()
    )
    assert (tmp_path / "out" / "report.html").is_file()


def test_headings_are_read_in_any_case(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ai.csv").write_text(
        PREDICTIONS.replace("case,patient,truth,score", "Image,Patient,LABEL,Probability", 1)
    )
    assert cli("study", "simulate", "--ai", "ai.csv", "--output", "r.csv", "--readers", 2, "--seniors", 0) == 0
    assert {row["patient"] for row in rows(tmp_path / "r.csv")} == {f"p{number}" for number in range(12)}
    capsys.readouterr()


@pytest.mark.parametrize("command", [("study", "status", "study.yaml"), ("app", "--study", "study.yaml")])
def test_an_image_that_cannot_be_shown_is_named_before_anything_is_made(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    write_study(tmp_path)
    (tmp_path / "b1-SECRET-malignant.png").write_text("no picture")
    (tmp_path / "c1-overlay.mp4").write_bytes(b"")
    before = sorted(tmp_path.iterdir())
    assert cli(*command) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "cases.csv, row 4: the file 'b1-SECRET-malignant.png' cannot be read as a still or clip" in said
    assert "(1 more cannot either): replace it" in said
    assert sorted(tmp_path.iterdir()) == before


def test_ratings_that_are_not_there_leave_no_folder(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("study", "readers", "nope.csv") == 2
    assert capsys.readouterr().err.strip() == "error: cannot read nope.csv: No such file or directory"
    assert not (tmp_path / "evaluation").exists()
