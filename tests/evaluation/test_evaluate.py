"""`streamer evaluate` from data to files, with random weights."""

import csv
import json
import logging
import shutil
from dataclasses import replace
from math import nan
from pathlib import Path

import cv2
import pytest

from streamer.data.dataset import load_dataset
from streamer.data.samples import Sample
from streamer.errors import DataError, OutputError
from streamer.evaluation.card import card_path, render_card
from streamer.evaluation.command import evaluate
from streamer.evaluation.held_out import HeldOut, in_order
from streamer.evaluation.manifest_update import update_manifest
from streamer.evaluation.pipeline import OUTLINE_MEASURES
from streamer.evaluation.result import Chosen, Evaluation, Result
from streamer.metrics.estimate import Figure
from streamer.models.weights_manifest import ModelEntry, Role, read_manifest, write_entry
from streamer.phantom import simulate, write_clip
from streamer.settings import Settings
from tests.data.manifest_file import write_manifest

SETTINGS = Settings().with_runtime(device="cpu", backend="openvino", threads=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames of a phantom clip and six stills of it, as a manifest."""
    folder = tmp_path_factory.mktemp("data")
    frames = list(simulate(seed=3, frames=10, width=160, height=120))
    write_clip(folder / "clip.mp4", frames)
    samples = []
    for index, frame in enumerate(frames):
        boxes = tuple(tuple(map(float, frame.box_xyxy(name))) for name in sorted(frame.masks))[:1]
        mask = folder / f"mask-{index}.png" if boxes else None
        if mask is not None:
            cv2.imwrite(str(mask), 255 * frame.masks[sorted(frame.masks)[0]].astype("uint8"))
        sample = Sample(
            image=folder / "clip.mp4",
            frame=index,
            mask=mask,
            boxes_xyxy=boxes,  # type: ignore[arg-type]
            has_nodule=bool(boxes),
            source="sweeps",
            group=f"sweep-{index // 5}",
            split="val" if index < 5 else "train",
        )
        samples.append(sample)
    others = simulate(seed=5, frames=2, width=160, height=120)  # seen in training: nothing like what is measured
    for index, frame in enumerate([*frames[:4], *others]):
        cv2.imwrite(str(folder / f"{index}.png"), frame.image)
        samples.append(
            Sample(
                image=folder / f"{index}.png",
                source="stills" if index < 4 else "old",
                group=f"still-{index}",
                split="val" if index < 4 else "train",
                label="malignant" if index % 2 else "benign",
            )
        )
    write_manifest(samples, folder / "data.csv")
    return folder / "data.csv"


def trained_on(entry: ModelEntry, *sources: str) -> ModelEntry:
    config = {"sources": {source: {} for source in sources}, "seed": 7}
    return entry.model_copy(update={"training": entry.training.model_copy(update={"config": config})})


@pytest.fixture
def weights(weights_folder: Path, tmp_path: Path) -> Path:
    """Random weights that claim to have seen "stills" and "old"; their detector finds nothing at its confidence."""
    folder = tmp_path / "weights"
    shutil.copytree(weights_folder, folder)
    for role, entry in read_manifest(folder).models.items():
        write_entry(folder, role, trained_on(entry, "stills", "old"))
    return folder


def held_out(data: Path, weights: Path, role: Role = "classifier") -> HeldOut:
    return HeldOut(data, [read_manifest(weights).models[role]], "val")


def test_a_source_never_seen_counts_whole(data: Path, weights: Path) -> None:
    held = held_out(data, weights)
    counts = {source: sum(s.source == source for s in held.samples) for source in ("sweeps", "stills", "old")}
    assert counts == {"sweeps": 10, "stills": 4, "old": 0}
    assert (held.split_of("sweeps"), held.split_of("stills")) == ("all, external", "val")


def test_what_nearly_equals_an_image_seen_in_training_does_not_count(
    data: Path, weights: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="streamer")
    cv2.imwrite(str(tmp_path / "copy.jpg"), cv2.imread(str(data.parent / "2.png")))  # type: ignore[arg-type]
    (frame,) = simulate(seed=9, frames=1, width=160, height=120)
    cv2.imwrite(str(tmp_path / "new.png"), frame.image)
    copy = Sample(image=tmp_path / "copy.jpg", source="old", group="copied", split="train")
    new = Sample(image=tmp_path / "new.png", source="stills", group="new", split="val")
    write_manifest([*load_dataset(data).samples, copy, new], tmp_path / "data.csv")
    chosen = held_out(tmp_path / "data.csv", weights).select(lambda sample: sample.source == "stills", "still")
    patients = [sample.group for sample in chosen]
    assert "still-2" not in patients  # nor its neighbours in the sweep that differ little
    assert "new" in patients
    assert "images nearly equal one seen in training and are left out; " in caplog.text


def test_splits_are_those_of_the_training(data: Path, weights: Path, tmp_path: Path) -> None:
    samples = [replace(sample, hospital="A") for sample in load_dataset(data).samples if sample.source == "stills"]
    samples[0] = replace(samples[0], split="train")
    samples[3] = replace(samples[3], hospital="B")
    write_manifest(samples, tmp_path / "data.csv")
    entry = read_manifest(weights).models["classifier"]
    config = {**entry.training.config, "leave_out": "hospital=B"}
    trained = entry.model_copy(update={"training": entry.training.model_copy(update={"config": config})})
    held = HeldOut(tmp_path / "data.csv", [trained], "test")
    assert [sample.group for sample in held.samples] == ["still-3"]
    elsewhere = [replace(sample, hospital="C", split="val") for sample in samples]
    write_manifest(elsewhere, tmp_path / "elsewhere.csv")  # data need not hold the centre that was left out
    assert len(HeldOut(tmp_path / "elsewhere.csv", [trained], "val").samples) == len(elsewhere)
    with pytest.raises(DataError, match="different leave_out: evaluate them one at a time"):
        HeldOut(tmp_path / "data.csv", [trained, entry], "test")


def test_nothing_to_evaluate_on_is_an_error(data: Path, weights: Path) -> None:
    with pytest.raises(DataError, match="no scintigram in the split 'val'"):
        held_out(data, weights).select(lambda sample: False, "scintigram")


def test_results_come_in_order() -> None:
    assert list(in_order(lambda number: number * 2, range(50), 3)) == list(range(0, 100, 2))


@pytest.mark.parametrize("subject", ["detector", "segmenter", "classifier", "pipeline"])
def test_every_subject_writes_all_its_files(subject: str, data: Path, weights: Path, tmp_path: Path) -> None:
    output = tmp_path / "results"
    if subject == "pipeline":  # there the detector finds boxes everywhere
        entry = read_manifest(weights).models["detector"]
        write_entry(weights, "detector", entry.model_copy(update={"operating_point": 1e-7}))
    evaluation = evaluate(subject, data, output, weights=weights, settings=SETTINGS)
    metrics = json.loads((output / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert len(metrics["figures"]) == len(evaluation.results) > 0
    assert {"name", "value", "low", "high", "count", "clusters", "method", "data", "split"} <= set(
        metrics["figures"][0]
    )
    with (output / "figures.csv").open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == len(evaluation.results)
    page = (output / "report.html").read_text()
    assert "Research use only" in page
    assert "http" not in page.replace("http-equiv", "")
    for name in evaluation.plots:
        assert (output / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (output / f"{name}.svg").read_bytes()
    assert not [path for path in output.iterdir() if "partial" in path.name]


def test_the_classifiers_update_stores_what_was_chosen_and_reports_at_it(
    data: Path, weights: Path, tmp_path: Path
) -> None:
    evaluation = evaluate("classifier", data, tmp_path / "first", weights=weights, settings=SETTINGS, update=True)
    entry = read_manifest(weights).models["classifier"]
    assert evaluation.chosen is not None
    assert (entry.temperature, entry.offset) == evaluation.chosen.scaling
    assert entry.operating_point == evaluation.chosen.operating_point
    assert "in-sample" in entry.operating_point_source
    assert {figure.split for figure in entry.figures if figure.data == "stills"} == {"val"}
    assert {figure.split for figure in entry.figures if figure.data == "sweeps"} == {"all, external"}  # heat maps
    again = evaluate("classifier", data, tmp_path / "second", weights=weights, settings=SETTINGS)
    assert (again.chosen, again.results) == (None, evaluation.results)


def measured(subject: str, **values: float) -> Evaluation:
    """An evaluation with these figures."""
    results = tuple(
        Result(
            name=name,
            figure=Figure(value=value, low=value - 0.1, high=value + 0.1, count=9, clusters=3, method="by hand"),
            data="here",
            split="val",
            count_of="images",
            clusters_of="patients",
        )
        for name, value in values.items()
    )
    return Evaluation(subject=subject, results=results, plots={}, settings={}, notes=())


def stored(weights: Path, role: Role) -> dict[str, float]:
    return {figure.name: figure.value for figure in read_manifest(weights).models[role].figures}


def test_figures_of_network_and_pipeline_stand_side_by_side(weights: Path) -> None:
    outline = OUTLINE_MEASURES[0]
    update_manifest(weights, measured("pipeline", F1=0.1, found=0.2, **{outline: 0.3}))
    update_manifest(weights, measured("detector", AP50=0.4, gone=0.5))
    update_manifest(weights, measured("detector", AP50=0.6, undefined=nan))
    cards = update_manifest(weights, measured("pipeline", F1=0.7, **{outline: 0.8}))
    assert stored(weights, "detector") == {"AP50": 0.6, "pipeline: F1": 0.7}
    assert stored(weights, "segmenter") == {f"pipeline: {outline}": 0.8}
    assert [card.name for card in cards] == ["detector.md", "segmenter.md"]


def test_a_card_holds_the_manifests_figures_and_the_notes(data: Path, weights: Path, tmp_path: Path) -> None:
    (weights / "notes").mkdir()
    (weights / "notes" / "detector.md").write_text("## Known failures\n\nMisses what is behind a | shadow.\n")
    evaluate("detector", data, tmp_path / "results", weights=weights, settings=SETTINGS, update=True)
    entry = read_manifest(weights).models["detector"]
    card = card_path(weights, "detector").read_text()
    assert card == render_card("detector", entry, (weights / "notes" / "detector.md").read_text())
    assert "Misses what is behind a | shadow." in card
    for figure in entry.figures:
        assert f"| {figure.name} | {figure.value:.3f} (" in card
    assert "- seed: `7`" in card


@pytest.mark.parametrize("keep", [False, True])
def test_the_operating_point_moves_unless_it_is_to_be_kept(
    data: Path, weights: Path, tmp_path: Path, keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = Chosen(operating_point=0.1234, source="test")
    monkeypatch.setattr("streamer.evaluation.tasks.choose_confidence", lambda *_: chosen)
    entry = read_manifest(weights).models["detector"]
    write_entry(weights, "detector", entry.model_copy(update={"operating_point": 0.9871, "figures": ()}))
    evaluate(
        "detector", data, tmp_path / "o", weights=weights, settings=SETTINGS, update=True, keep_operating_point=keep
    )
    updated = read_manifest(weights).models["detector"]
    assert updated.operating_point == (0.9871 if keep else 0.1234)
    assert updated.figures


def test_an_output_that_cannot_be_made_is_found_out_first(data: Path, weights: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another --output"):
        evaluate("detector", data, tmp_path / "file" / "results", weights=weights, settings=SETTINGS)
