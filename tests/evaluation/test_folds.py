"""Out-of-fold figures, by hand and from run folders to the published classifier."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.data import pseudo_boxes
from streamer.errors import DataError
from streamer.evaluation import evaluation_run
from streamer.evaluation.classifier import ClassifiedImage
from streamer.evaluation.command import boxed_by, evaluate, evaluate_folds, evaluate_matrix
from streamer.evaluation.out_of_fold import Fold, evaluate_out_of_fold, recipe_differences
from streamer.evaluation.result import Evaluation
from streamer.evaluation.subsets import ImageTraits
from streamer.metrics.classification import youden_threshold
from streamer.models.detector import Detector
from streamer.models.weights_manifest import SourceAmount, read_manifest, write_entry
from streamer.settings import Settings

SETTINGS = Settings().with_runtime(device="cpu", backend="openvino", threads=1)


def fold(name: str, malignant: list[float], benign: list[float]) -> Fold:
    """A fold with these log-odds, each image a patient of its own."""
    odds = [(True, value) for value in malignant] + [(False, value) for value in benign]
    return Fold(
        name,
        tuple(
            ClassifiedImage(
                traits=ImageTraits(source="here", group=f"{name}-{number}", split="val", layout="", share=0.1),
                malignant=label,
                log_odds=value,
                boxed_by="truth",
            )
            for number, (label, value) in enumerate(odds)
        ),
    )


FOLDS = (
    fold("a", [3.0, 2.0, -0.5], [-2.0, 1.0, -1.0]),
    fold("b", [1.0, 0.2, -1.0], [-3.0, 0.5, -2.0]),
    fold("c", [5.0, 0.8], [-0.2, -4.0, 1.2]),
)


def value(evaluation: Evaluation, name: str, split: str) -> float:
    (found,) = [one for one in evaluation.results if (one.name, one.split) == (name, split)]
    return found.figure.value


def test_the_point_of_a_fold_comes_from_the_others() -> None:
    evaluation = evaluate_out_of_fold(FOLDS)
    called = []
    for one in FOLDS:
        others = [image for other in FOLDS if other is not one for image in other.seen]
        cut = youden_threshold([image.malignant for image in others], [image.log_odds for image in others])
        called += [image.log_odds >= cut for image in one.seen if image.malignant]
    split = "out of fold, 3 folds"
    assert value(evaluation, "sensitivity, image level", split) == pytest.approx(np.mean(called))
    assert value(evaluation, "sensitivity, patient level", split) == pytest.approx(np.mean(called))
    assert value(evaluation, "AUC, image level", "val (a)") == pytest.approx(8 / 9)


def test_the_chosen_point_comes_from_all() -> None:
    chosen = evaluate_out_of_fold(FOLDS).chosen
    assert chosen is not None
    assert chosen.scaling is not None
    everything = [image for one in FOLDS for image in one.seen]
    cut = youden_threshold([image.malignant for image in everything], [image.log_odds for image in everything])
    shown = 1 / (1 + np.exp(-cut / chosen.scaling.temperature - chosen.scaling.offset))
    assert chosen.operating_point == pytest.approx(shown, abs=2e-4)
    assert "from 3-fold out-of-fold predictions of the same recipe on here, 17 images" in chosen.source


def test_one_fold_is_no_cross_validation() -> None:
    with pytest.raises(DataError, match="at least two runs"):
        evaluate_out_of_fold(FOLDS[:1])


def test_recipes_may_differ_in_seed_and_fold_only() -> None:
    first = {"epochs": 3, "seed": 0, "tn3k_val_fold": 0}
    assert recipe_differences([first, {"epochs": 3, "seed": 1, "tn3k_val_fold": 1, "newer": 5}]) == []
    assert recipe_differences([first, {"epochs": 4, "seed": 0}]) == ["epochs"]
    old, new, other = ({"sources": {"tn3k": part}} for part in ({"stride": 1}, {"stride": 1, "b": 2}, {"stride": 2}))
    assert recipe_differences([old, new]) == []
    assert recipe_differences([old, new, other]) == ["sources"]


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TN3K in the public layout: three folds of four stills."""
    data = tmp_path_factory.mktemp("public")
    (data / "tn3k" / "images").mkdir(parents=True)
    generator = np.random.default_rng(0)
    with (data / "tn3k" / "labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "label", "fold", "block"])
        for number in range(12):
            pixels = generator.integers(0, 255, (12, 16), np.uint8)
            cv2.imwrite(str(data / "tn3k" / "images" / f"{number}.png"), cv2.resize(pixels, (128, 96)))
            writer.writerow([f"{number}.png", "malignant" if number % 2 else "benign", number // 4, number // 2])
    return data


def run_folder(parent: Path, weights: Path, val_fold: int, *, sources: tuple[str, ...] = ("tn3k",)) -> Path:
    """A run folder with a random classifier that held out this fold."""
    folder = parent / f"fold{val_fold}"
    folder.mkdir()
    shutil.copy(weights / "classifier.safetensors", folder)
    entry = read_manifest(weights).models["classifier"]
    training = entry.training.model_copy(
        update={
            "config": {"sources": {source: {} for source in sources}, "tn3k_val_fold": val_fold, "epochs": 2},
            "data": dict.fromkeys(sources, SourceAmount(images=8 + val_fold, groups=4 + val_fold)),
        }
    )
    write_entry(folder, "classifier", entry.model_copy(update={"training": training}))
    return folder


@pytest.fixture
def published(weights_folder: Path, tmp_path: Path) -> Path:
    """A weights folder whose classifier is of the same recipe."""
    folder = tmp_path / "weights"
    shutil.copytree(weights_folder, folder)
    entry = read_manifest(folder).models["classifier"]
    training = entry.training.model_copy(update={"config": {"sources": {"tn3k": {}}, "tn3k_val_fold": 0, "epochs": 2}})
    write_entry(folder, "classifier", entry.model_copy(update={"training": training}))
    return folder


def test_two_folds_from_run_folders_to_the_published_classifier(
    stills: Path, published: Path, weights_folder: Path, tmp_path: Path
) -> None:
    runs = [run_folder(tmp_path, weights_folder, number) for number in (0, 2)]
    output = tmp_path / "folds"
    evaluation = evaluate_folds("classifier", runs, stills, output, weights=published, settings=SETTINGS, update=True)
    assert "8 of 12 labelled images of tn3k were predicted, 2 runs." in evaluation.notes
    assert json.loads((output / "metrics.json").read_text())["subject"] == "classifier, out of fold"
    entry = read_manifest(published).models["classifier"]
    assert evaluation.chosen is not None
    assert (entry.temperature, entry.offset) == evaluation.chosen.scaling
    assert entry.operating_point == evaluation.chosen.operating_point
    assert "2-fold out-of-fold predictions of the same recipe on tn3k, 8 images" in entry.operating_point_source
    assert "out of fold: AUC, image level" in (published / "classifier.md").read_text()
    again = evaluate("classifier", stills, tmp_path / "one", weights=published, settings=SETTINGS, update=True)
    assert again.chosen is None  # what was chosen out of fold stays
    names = [figure.name for figure in read_manifest(published).models["classifier"].figures]
    assert "AUC, image level" in names
    assert "out of fold: AUC, image level" in names


def test_boxes_come_from_the_detector_that_is_named_and_the_page_says_what_it_had_learned(
    stills: Path, published: Path, weights_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [run_folder(tmp_path, weights_folder, number) for number in (0, 1)]
    boxes = tmp_path / "boxes"
    shutil.copytree(weights_folder, boxes)
    asked: list[Path] = []

    def noted(folder: Path) -> Detector:
        asked.append(folder)
        return pseudo_boxes.load_proposer(folder)

    monkeypatch.setattr(evaluation_run, "load_proposer", noted)

    def sentences(learned: str) -> list[str]:
        entry = read_manifest(boxes).models["detector"]
        training = entry.training.model_copy(update={"config": {"sources": {learned: {}}}})
        write_entry(boxes, "detector", entry.model_copy(update={"training": training}))
        folder = tmp_path / f"folds-{learned}"
        found = evaluate_folds(
            "classifier", runs, stills, folder, weights=published, boxes_from=boxes, settings=SETTINGS
        )
        return [note for note in found.notes if "Boxes" in note]

    assert [note.rpartition("that has ")[2] for note in sentences("tn3k")] == ["learned from images of it."]
    assert [note.rpartition("that has ")[2] for note in sentences("cine")] == ["not learned from it."]
    assert set(asked) == {boxes}
    # A run with a detector of its own is boxed by that, whatever is named: nothing is said of the other.
    shutil.copy(weights_folder / "detector.safetensors", runs[0])
    write_entry(runs[0], "detector", read_manifest(weights_folder).models["detector"])
    assert sentences("phantom") == []


def test_nothing_is_said_of_boxes_that_no_detector_drew(weights_folder: Path) -> None:
    assert boxed_by(weights_folder, FOLDS) == []
    missed = replace(FOLDS[0].seen[0], boxed_by="whole view")  # asked, in vain
    (sentence,) = boxed_by(weights_folder, [Fold("a", (missed, *FOLDS[0].seen[1:]))])
    assert sentence.startswith("Boxes of here come from a detector")


def test_an_image_that_two_runs_held_out_is_refused(
    stills: Path, published: Path, weights_folder: Path, tmp_path: Path
) -> None:
    runs = [run_folder(tmp_path, weights_folder, 1)]
    runs.append(tmp_path / "copy")
    shutil.copytree(runs[0], runs[1])
    with pytest.raises(DataError, match=r"fold1 and .*copy both held out 4\.png: give each fold once"):
        evaluate_folds("classifier", runs, stills, tmp_path / "folds", weights=published, settings=SETTINGS)


def test_a_run_given_twice_is_refused(stills: Path, published: Path, weights_folder: Path, tmp_path: Path) -> None:
    runs = [run_folder(tmp_path, weights_folder, 0)] * 2
    with pytest.raises(DataError, match="a run is given twice"):
        evaluate_folds("classifier", runs, stills, tmp_path / "folds", weights=published, settings=SETTINGS)
    assert not (tmp_path / "folds").exists()  # made in vain


def test_another_recipe_is_not_stored(stills: Path, published: Path, weights_folder: Path, tmp_path: Path) -> None:
    runs = [run_folder(tmp_path, weights_folder, number) for number in (0, 1)]
    entry = read_manifest(published).models["classifier"]
    config = {**entry.training.config, "epochs": 9}
    training = entry.training.model_copy(update={"config": config})
    write_entry(published, "classifier", entry.model_copy(update={"training": training}))
    with pytest.raises(DataError, match="not of one recipe: they differ in epochs"):
        evaluate_folds(
            "classifier", runs, stills, tmp_path / "folds", weights=published, settings=SETTINGS, update=True
        )


def test_a_matrix_of_runs_marks_what_is_external(
    stills: Path, published: Path, weights_folder: Path, tmp_path: Path
) -> None:
    runs = [
        run_folder(tmp_path, weights_folder, 0),
        run_folder(tmp_path, weights_folder, 1, sources=("elsewhere",)),
    ]
    output = tmp_path / "matrix"
    evaluate_matrix("classifier", runs, stills, output, weights=published, settings=SETTINGS)
    cells = json.loads((output / "metrics.json").read_text())["matrix"]
    assert [(cell["weights"], cell["external"], cell["count"]) for cell in cells] == [
        ("fold0", False, 4),
        ("fold1", True, 12),
    ]
    table = (output / "matrix.md").read_text()
    assert "| elsewhere: 9 images of 5 patients (fold1) |" in table
    assert table.count(", external |") == 1
    assert "9 images of 5 patients" in (output / "report.html").read_text()
    with (output / "matrix.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 2
    with pytest.raises(DataError, match="not by pipeline"):
        evaluate_matrix("pipeline", runs, stills, output, weights=published, settings=SETTINGS)
