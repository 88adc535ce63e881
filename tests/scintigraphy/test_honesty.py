"""The rule: simulated-taught weights never answer for a patient's picture unmarked, whatever the way to the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamer.errors import WeightsError
from streamer.scintigraphy.honesty import MARK, SIMULATED_NOTE, check_answer, teachers
from streamer.scintigraphy.predict import as_html, heat_caption, predict, read_one
from streamer.scintigraphy.predictor import Predictor
from streamer.scintigraphy.run import evaluate_study
from tests.cli.command_line import Cli


@pytest.fixture(scope="module")
def predictor(run_folder: Path) -> Predictor:
    return Predictor(run_folder, threads=1)


@pytest.fixture
def patient_picture(study_folder: Path, tmp_path: Path) -> Path:
    """A picture that does not say that it is simulated, as a patient's never does."""
    with Image.open(next((study_folder / "south" / "graves").iterdir())) as picture:
        Image.fromarray(np.asarray(picture)).save(tmp_path / "patient.jpg", quality=95)
    return tmp_path / "patient.jpg"


@pytest.mark.parametrize("taught_by", [("simulated",), ("simulated", "patients"), ()])
def test_simulated_taught_weights_refuse_or_mark(taught_by: tuple[str, ...]) -> None:
    with pytest.raises(WeightsError, match="meaningless for a patient"):
        check_answer(taught_by, False, allowed=False, place="a.jpg")
    assert check_answer(taught_by, False, allowed=True, place="a.jpg") == MARK
    assert check_answer(taught_by, True, allowed=False, place="a.jpg") is None


def test_weights_taught_by_patients_alone_answer() -> None:
    assert check_answer(("patients",), False, allowed=False, place="a.jpg") is None


def test_one_simulated_image_is_enough() -> None:
    assert teachers([False, False, True]) == ("simulated", "patients")
    assert teachers([False]) == ("patients",)


def test_what_a_phantom_taught_says_so(predictor: Predictor) -> None:
    assert predictor.entry.taught_by == ("simulated",)


def test_reading_refuses_without_the_flag(predictor: Predictor, patient_picture: Path) -> None:
    with pytest.raises(WeightsError, match="--meaningless-for-patients"):
        read_one(patient_picture, predictor, allowed=False)


def test_nothing_is_written_of_a_refused_answer(predictor: Predictor, patient_picture: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError):
        predict([patient_picture], predictor, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_heat_map_promises_no_more_than_it_holds(predictor: Predictor, study_folder: Path) -> None:
    picture = next((study_folder / "south" / "tumour").iterdir())
    report = replace(read_one(picture, predictor, allowed=False), heat=np.eye(64, dtype=np.float32))
    assert "it does not say where a lesion lies" in as_html([report], predictor)
    empty = replace(report, heat=np.zeros((64, 64), np.float32))
    assert "The heat map is empty" in as_html([empty], predictor)
    assert heat_caption(replace(report, heat=None)) == ""


def test_every_output_carries_the_mark(predictor: Predictor, patient_picture: Path, tmp_path: Path) -> None:
    predict([patient_picture], predictor, tmp_path / "out", allowed=True)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["images"][0]["marks"] == [MARK]
    assert MARK in (tmp_path / "out" / "report.html").read_text()
    assert MARK in (tmp_path / "out" / "predictions.csv").read_text()


def test_the_command_refuses_and_marks_on_screen(
    cli: Cli, run_folder: Path, patient_picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("scintigraphy", "predict", patient_picture, "--weights", run_folder, "--threads", "1")
    assert cli(*arguments) == 2
    assert "not a simulated image" in capsys.readouterr().err
    assert cli(*arguments, "--meaningless-for-patients") == 0
    assert f"[{MARK}]" in capsys.readouterr().out


def unmarked(folder: Path, study_folder: Path) -> Path:
    """The study as pictures that do not say what they are."""
    for file in sorted(study_folder.glob("*/*/*.jpg")):
        path = folder / file.relative_to(study_folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(file) as picture:
            Image.fromarray(np.asarray(picture)).save(path, quality=95)
    return folder


def test_an_evaluation_on_patients_refuses(run_folder: Path, study_folder: Path, tmp_path: Path) -> None:
    data = unmarked(tmp_path / "patients", study_folder)
    with pytest.raises(WeightsError, match="meaningless for a patient"):
        evaluate_study([run_folder], data, tmp_path / "evaluation")
    assert not (tmp_path / "evaluation").exists()


def test_an_evaluation_of_simulated_images_says_so_everywhere(
    run_folder: Path, study_folder: Path, tmp_path: Path
) -> None:
    page = evaluate_study([run_folder], study_folder, tmp_path / "evaluation").read_text()
    assert page.count("<h2>Table") + page.count("<figcaption>") <= page.count(SIMULATED_NOTE)
    figures = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    assert figures["mark"] == SIMULATED_NOTE
    lines = (tmp_path / "evaluation" / "predictions.csv").read_text().splitlines()
    assert all(SIMULATED_NOTE in line for line in lines[1:])


def test_no_module_but_the_rules_own_decides(
    monkeypatch: pytest.MonkeyPatch, predictor: Predictor, patient_picture: Path
) -> None:
    """Whoever answers asks the rule: with the rule replaced, the answer changes."""
    asked: list[bool] = []

    def rule(_: object, simulated: bool, **__: object) -> str | None:
        asked.append(simulated)
        return "marked by the test"

    target: Callable[..., str | None] = rule
    monkeypatch.setattr("streamer.scintigraphy.predict.check_answer", target)
    assert "marked by the test" in read_one(patient_picture, predictor, allowed=False).marks
    assert asked == [False]
