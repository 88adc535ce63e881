from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamer.errors import DataError
from streamer.scintigraphy import evaluation as evaluation_module
from streamer.scintigraphy import run as run_module
from streamer.scintigraphy import tables as tables_module
from streamer.scintigraphy.answers import Said, SetName, of_network
from streamer.scintigraphy.evaluation import Study, evaluate
from streamer.scintigraphy.figures import roc_panels
from streamer.scintigraphy.predictor import Predictor
from streamer.scintigraphy.readings import read_readings, simulate_reader, write_readings
from streamer.scintigraphy.run import evaluate_study, run_demo
from streamer.scintigraphy.samples import ScintigraphySample, read_samples
from streamer.scintigraphy.tables import folds_table
from streamer.scintigraphy.training import Trainer
from streamer.scintigraphy.weights import read_entry
from tests.cli.command_line import Cli
from tests.scintigraphy.conftest import RECIPE

FIGURES = (
    "Figure 4A.", "Figure 4B.", "Figure 5.", "Figure 6 and Supplementary Figure S1.", "Supplementary Figure S2.",
    "Supplementary Figure S3.",
)  # fmt: skip


@pytest.fixture(scope="module")
def samples(study_folder: Path) -> list[ScintigraphySample]:
    return [sample for sample in read_samples(study_folder, internal="north").samples if sample.split != "train"]


@pytest.fixture(scope="module")
def readings(samples: list[ScintigraphySample], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("readings") / "readings.csv"
    write_readings(path, {"junior": simulate_reader(samples, internal=0.7, external=0.7, seed=1)})
    return path


@pytest.fixture(scope="module")
def evaluated(run_folder: Path, study_folder: Path, readings: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("evaluation") / "out"
    evaluate_study([run_folder], study_folder, output, folds=[run_folder, run_folder], readings=readings)
    return output


def test_the_page_has_every_table_and_figure_of_the_paper(evaluated: Path) -> None:
    page = (evaluated / "report.html").read_text()
    for number in range(1, 6):
        assert f"<h2>Table {number}." in page
    for name in FIGURES:
        assert f"<figcaption>{name}" in page
    assert re.search(r"0\.\d{3} <small>\(0\.\d{3} to 1?0?\.\d{3}\)</small>", page)  # ten columns fit side by side
    for heading in ("McNemar P", "Chi-squared", "DeLong P", "Holm", "Kappa", "share of its mass"):
        assert heading in page


def test_the_cross_validated_network_names_table_3_and_is_one(
    run_folder: Path, study_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = Study(data=read_samples(study_folder, internal="north"))
    said = study.fold(Predictor(run_folder, threads=1))
    assert said.name == "ShuffleNetV2"
    names = iter(("AlexNet", "ShuffleNetV2"))
    monkeypatch.setattr(Study, "fold", lambda *_: replace(said, name=next(names)))
    with pytest.raises(DataError, match="folds are of different networks"):
        evaluate(study, [run_folder], folds=[run_folder, run_folder])
    for name in ("networks_table", "readers_table"):  # other tests read them; they take seconds
        monkeypatch.setattr(tables_module, name, lambda *_: folds_table("", [said, said]))
    sets: dict[SetName, Said] = {"internal validation": said}
    found = evaluation_module._tables(
        study, {name: [said] for name in sets}, sets, {"internal validation": []}, [replace(said, name="AlexNet")] * 2
    )
    assert "Table 3. AlexNet: cross-validation in 2 folds" in [table.title for table in found]


def test_every_table_and_figure_says_that_the_images_are_simulated(evaluated: Path) -> None:
    page = (evaluated / "report.html").read_text()
    headed = [part.split("</h2>")[0] for part in page.split("<section>")[1:] if "<thead>" in part]
    captions = [part.split("</figcaption>")[0] for part in page.split("<figcaption>")[1:]]
    assert len(headed) >= 7
    assert len(captions) >= 6
    assert all("simulated images: no statement about patients" in text for text in (*headed, *captions))
    assert (evaluated / "figures.md").read_text().startswith("**simulated images")
    for drawing in evaluated.glob("*.svg"):
        assert "simulated images" in drawing.read_text(), drawing.name  # a figure is copied without its page


def test_the_figures_file_has_every_measure_of_every_class(evaluated: Path) -> None:
    rows = list(csv.DictReader((evaluated / "figures.csv").read_text().splitlines()))
    named = {(row["name"], row["data"]) for row in rows}
    for measure in ("accuracy", "sensitivity", "specificity", "ppv", "npv", "f1", "auc", "kappa"):
        for label in ("graves", "normal", "subacute", "tumour"):
            for who in ("ShuffleNetV2", "junior"):
                for data in ("internal validation", "external validation"):
                    assert (f"{who}: {measure}, {label}", data) in named
    assert ("ShuffleNetV2: kappa", "external validation") in named


def test_what_the_tables_say_is_what_was_answered(evaluated: Path) -> None:
    rows = [
        row
        for row in csv.DictReader((evaluated / "predictions.csv").read_text().splitlines())
        if row["set"] == "external validation"
    ]
    right = np.mean([row["truth"] == row["answer"] for row in rows])
    figures = json.loads((evaluated / "metrics.json").read_text())["figures"]
    found = next(
        row for row in figures if row["name"] == "ShuffleNetV2: accuracy" and row["data"] == "external validation"
    )
    assert found["value"] == pytest.approx(right, abs=1e-4)
    assert found["count"] == len(rows) == 24


def test_readers_alone_compare_the_written_answers(evaluated: Path, readings: Path, cli: Cli, tmp_path: Path) -> None:
    learned = "junior,north-of-none,graves\n"  # readings of all patients, those trained on too
    readings = Path(shutil.copy(readings, tmp_path / "all.csv"))
    readings.write_text(readings.read_text() + learned)
    assert cli("scintigraphy", "readers", evaluated / "predictions.csv", "--readings", readings) == 0
    page = (tmp_path / "evaluation" / "scintigraphy-readers" / "report.html").read_text()
    assert "Table 4. model and readers" in page
    assert "Left out: 1 readings of patients without a written answer." in page
    assert "simulated images" in page


def test_simulated_readers_are_as_good_as_stated(samples: list[ScintigraphySample]) -> None:
    many = [samples[number % len(samples)] for number in range(4)]
    right = [
        simulate_reader(many, internal=0.75, external=0.75, seed=seed)[sample.patient] == sample.label
        for seed in range(400)
        for sample in many
    ]
    assert np.mean(right) == pytest.approx(0.75, abs=0.04)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a,nobody,graves", "fits no image of the data"),
        ("a,north-graves-0001,goitre", "is no class"),
        (",north-graves-0001,graves", "reader is empty"),
    ],
)
def test_wrong_readings_are_one_line(study_folder: Path, tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "r.csv").write_text(f"reader,patient,reading\n{line}\n")
    with pytest.raises(DataError, match=message):
        read_readings(tmp_path / "r.csv", read_samples(study_folder).samples)


def test_readings_of_other_patients_alone_are_refused(study_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("reader,patient,reading\na,nobody,graves\n")
    with pytest.raises(DataError, match="no reading is of a patient among the predictions"):
        read_readings(tmp_path / "r.csv", read_samples(study_folder).samples, others=True)


def test_a_patient_read_twice_is_refused(study_folder: Path, tmp_path: Path) -> None:
    line = "a,north-graves-0001,graves\n"
    (tmp_path / "r.csv").write_text(f"reader,patient,reading\n{line}{line}")
    with pytest.raises(DataError, match="has read this patient already"):
        read_readings(tmp_path / "r.csv", read_samples(study_folder).samples)


def test_mean_and_deviation_over_folds(run_folder: Path, study_folder: Path) -> None:
    from streamer.metrics.multiclass import answers
    from streamer.scintigraphy.answers import said_by

    folds = []
    for right in (6, 8):
        truth = [number % 4 for number in range(8)]
        said = [one if number < right else (one + 1) % 4 for number, one in enumerate(truth)]
        folds.append(said_by("x", answers(truth, np.eye(4)[said], [str(number) for number in range(8)]), []))
    rows = folds_table("x", folds).rows
    assert rows[-1][:3] == ("Mean ± SD", "16", "0.875 ± 0.177")  # of 0.75 and 1: 0.25 / sqrt(2)
    never = np.eye(4)[[0, 0, 1, 2] * 2]  # nobody is called a tumour, so its PPV is not defined
    folds.append(said_by("x", answers([0, 1, 2, 3] * 2, never, [str(number) for number in range(8)]), []))
    table = folds_table("x", folds)
    place = table.columns.index("PPV")
    assert [row[place] for row in table.rows] == ["0.792", "1.000", "-", "-"]


def test_predict_writes_page_json_and_csv(run_folder: Path, study_folder: Path, cli: Cli, tmp_path: Path) -> None:
    images = study_folder / "south" / "tumour"
    assert cli("scintigraphy", "predict", images, "--weights", run_folder, "--output", tmp_path / "out") == 0
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [one["image"] for one in found["images"]] == sorted(picture.name for picture in images.iterdir())
    one = found["images"][0]
    assert sum(one["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert one["answer"] == max(one["probabilities"], key=one["probabilities"].get)
    assert one["regions"]["unit"] == "grey levels"
    assert one["marks"] == []
    assert found["weights"]["taught_by"] == ["simulated"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<section>") == 7
    assert page.count("data:image/jpeg") == 12  # picture and heat map of each
    assert len(page) < 6 * 150_000  # hundreds of images on a page can still be opened


def test_an_answer_for_a_picture_that_was_learned_from_says_so(
    run_folder: Path, study_folder: Path, cli: Cli, tmp_path: Path
) -> None:
    learned = read_samples(study_folder, internal="north").part("train")[0]
    assert cli("scintigraphy", "predict", learned.image, "--weights", run_folder, "--output", tmp_path / "out") == 0
    marks = json.loads((tmp_path / "out" / "report.json").read_text())["images"][0]["marks"]
    assert marks == ["this picture was learned from: the answer is no test of the network"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", "nothing.jpg", "--weights", "nowhere"),
        ("train", "--data", "nowhere"),
        ("train", "--data", "nowhere", "--config", "nowhere.yaml"),
        ("evaluate", "nowhere", "--data", "nowhere"),
        ("evaluate", "nowhere", "--data", "nowhere", "--folds", "nowhere"),
        ("readers", "nowhere.csv", "--readings", "nowhere.csv"),
        ("cross-validate", "--data", "nowhere"),
    ],
)
def test_what_is_not_there_is_one_line_and_exit_code_2(
    cli: Cli, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli("scintigraphy", *arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


def test_the_phantom_command_writes_a_study(cli: Cli, tmp_path: Path) -> None:
    arguments = ("--images", 4, "--external", 4, "--centres", 3, "--workers", 1, "--format", "dicom")
    assert cli("scintigraphy", "phantom", "--output", tmp_path / "study", *arguments) == 0
    assert len(list((tmp_path / "study").glob("*/*/*.dcm"))) == 12
    assert cli("scintigraphy", "phantom", "--output", tmp_path / "study", *arguments) == 2


@pytest.mark.slow
def test_a_hospitals_own_folder_in_the_papers_form_goes_through_the_commands(
    study_folder: Path, cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JPEG a patient, folders named as the paper names its classes, two centres; nothing says that it is simulated."""
    names = {"graves": "Graves' disease", "normal": "Normal", "subacute": "SAT", "tumour": "Thyroid tumor"}
    for picture in study_folder.glob("*/*/*.jpg"):
        folder = tmp_path / "own" / picture.parent.parent.name / names[picture.parent.name]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.asarray(Image.open(picture).convert("RGB"))  # alone: Pillow would keep the comment
        Image.fromarray(pixels).save(folder / picture.name, quality=95)
    recipe = {**RECIPE.model_dump(mode="json"), "epochs": 1}
    (tmp_path / "recipe.yaml").write_text(json.dumps(recipe))
    common = ("--data", "own", "--internal", "north")
    assert cli("scintigraphy", "train", *common, "--config", "recipe.yaml", "--output", "run", "--threads", 1) == 0
    assert "epoch 0" in capsys.readouterr().out  # progress is shown
    assert read_entry(tmp_path / "run").taught_by == ("patients",)
    readings = "reader,patient,reading\n" + "".join(
        f"junior,{picture.stem},{picture.parent.name}\n" for picture in sorted((tmp_path / "own").glob("south/*/*"))
    )
    (tmp_path / "readings.csv").write_text(readings)
    assert cli("scintigraphy", "evaluate", "run", *common, "--readings", "readings.csv", "--output", "out") == 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert all(f"<h2>Table {number}." in page for number in (1, 2, 4, 5))
    assert "simulated" not in page
    assert "McNemar P" in page
    images = tmp_path / "own" / "south" / "SAT"
    assert cli("scintigraphy", "predict", images, "--weights", "run", "--output", "answers") == 0
    answers = json.loads((tmp_path / "answers" / "report.json").read_text())["images"]
    assert [one["marks"] for one in answers] == [[]] * 6


def test_cross_validation_trains_five_and_resumes(
    study_folder: Path, cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("architecture: shufflenet-v2\nsize_px: 64\nepochs: 1\nbatch: 16\nstart: scratch\n")
    arguments = ("scintigraphy", "cross-validate", "--data", study_folder, "--internal", "north", "--config", recipe,
                 "--output", tmp_path / "folds", "--threads", 1)  # fmt: skip
    assert cli(*arguments) == 0
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "folds").glob("fold-*/scintigraphy.safetensors")}
    assert len(written) == 5
    assert cli(*arguments) == 2  # nothing of an earlier run is written over
    shutil.rmtree(tmp_path / "folds" / "fold-3")
    capsys.readouterr()
    assert cli(*arguments, "--resume") == 0
    said = capsys.readouterr().out
    assert "fold 3 of 5: trained already\nfold 4 of 5\n" in said
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / "folds").glob("fold-*/scintigraphy.safetensors")}
    assert {path.parent.name for path in again if written[path] != again[path]} == {"fold-3"}


def whole_demo(folder: Path) -> None:
    """See that the page of a demo has every table and figure of the paper, and says on each that it is simulated."""
    page = (folder / "evaluation" / "report.html").read_text()
    assert all(f"<h2>Table {number}." in page for number in range(1, 6))
    for name in FIGURES:
        assert f"<figcaption>{name}" in page
    headed = [part.split("</h2>")[0] for part in page.split("<section>")[1:] if "<thead>" in part]
    captions = [part.split("</figcaption>")[0] for part in page.split("<figcaption>")[1:]]
    assert all("simulated images: no statement about patients" in text for text in (*headed, *captions))
    assert "simulated junior" in page
    assert "simulated senior" in page


@pytest.mark.slow
def test_the_demo_goes_from_nothing_to_its_page_and_does_nothing_twice(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_module, "_DEMO_IMAGES", {"north": 8, "south": 3})
    monkeypatch.setattr(run_module, "_DEMO_RECIPE", {**run_module._DEMO_RECIPE, "epochs": 1})
    trainer = run_module._demo_trainer
    monkeypatch.setattr(run_module, "_demo_trainer", lambda data, _: trainer(data, "shufflenet-v2"))  # the smallest
    assert cli("scintigraphy", "demo", "--output", "demo", "--threads", 1) == 0
    said = capsys.readouterr().out
    assert "step 2 of 10: train ResNet-34 (modified)" in said
    assert "step 10 of 10" in said
    whole_demo(tmp_path / "demo")
    shutil.rmtree(tmp_path / "demo" / "evaluation")  # as a stop before the last step leaves it
    monkeypatch.setattr(Trainer, "train", lambda *_, **__: pytest.fail("trained again"))
    assert cli("scintigraphy", "demo", "--output", "demo", "--threads", 1) == 0
    whole_demo(tmp_path / "demo")


@pytest.mark.slow
def test_the_demo_has_learned_something(tmp_path: Path) -> None:
    page = run_demo(tmp_path / "demo").read_text()
    whole_demo(tmp_path / "demo")
    assert all(network in page for network in ("ResNet-34", "AlexNet", "ShuffleNetV2", "MobileNetV3"))
    figures = json.loads((tmp_path / "demo" / "evaluation" / "metrics.json").read_text())
    best = figures["settings"]["best network"]
    accuracy = {row["data"]: row["value"] for row in figures["figures"] if row["name"] == f"{best}: accuracy"}
    assert accuracy["internal validation"] > 0.5
    assert accuracy["external validation"] > 0.35


def test_a_class_that_a_set_lacks_has_a_panel_without_a_curve_and_without_a_warning(
    samples: list[ScintigraphySample],
) -> None:
    normal = [sample for sample in samples if sample.label == "normal"]
    plot = roc_panels({"external validation": (of_network("n", normal, np.full((len(normal), 4), 0.25)), [])}, "")
    assert [axes.get_legend() for axes in plot.axes] == [None] * 4
