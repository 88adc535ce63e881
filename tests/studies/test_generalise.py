"""The generalisation study: who learns what, what is compared with what, and going on after a stop."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from streamer.data.csv_manifest import read_csv_manifest
from streamer.data.samples import Centre, Sample
from streamer.errors import DataError
from streamer.metrics.classification import delong_test
from streamer.metrics.estimate import Resampling
from streamer.settings import Settings
from streamer.studies.generalise import command as command_module
from streamer.studies.generalise import study as study_module
from streamer.studies.generalise.centres import MIXED, load_centres, plan_networks
from streamer.studies.generalise.command import run_generalise
from streamer.studies.generalise.figures import cell, subgroups, with_holm
from streamer.studies.generalise.measure import Row, measure
from streamer.studies.generalise.study import ALL, GeneralisationOptions, generalise, write_samples
from streamer.training.config import TrainingConfig
from tests.data.manifest_file import write_manifest
from tests.training import tiny

FEW = Resampling(resamples=200)
HOSPITALS = {"North": 16, "South": 24, "East": 20, "Tiny": 3}


def write_hospitals(folder: Path, *, tests: bool = True) -> Path:
    """One picture per patient, of four hospitals of different sizes."""
    samples = []
    seed = 0
    for hospital, count in HOSPITALS.items():
        for number in range(count):
            split = ("train", "train", "val", "test" if tests else "val")[number // 2 % 4]
            made = tiny.picture(seed)
            assert made.mask is not None
            image, mask = folder / f"{seed}.png", folder / f"{seed}-mask.png"
            cv2.imwrite(str(image), made.grey)
            cv2.imwrite(str(mask), made.mask)
            fields = {name: getattr(made.sample, name) for name in Sample.__dataclass_fields__}
            own = {"image": image, "mask": mask, "split": split, "hospital": hospital, "patient": f"p{seed}"}
            traits = {"age": 30.0 + 2 * number, "sex": "F" if number % 4 else "M"}
            samples.append(Sample(**{**fields, **own, **traits}))
            seed += 1
    manifest = folder / "data.csv"
    write_manifest(samples, manifest)
    return manifest


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hospitals(tmp_path_factory.mktemp("hospitals"))


def options(**changes: Any) -> GeneralisationOptions:
    return GeneralisationOptions(
        **{"by": "hospital", "role": "classifier", "min_patients": 4, "resamples": 50, **changes}
    )


def test_small_centres_are_left_out_or_taken_together_and_said_so(manifest: Path) -> None:
    centres, notes = load_centres(manifest, "hospital", "classifier", min_patients=4)
    assert [centre.name for centre in centres] == ["North", "South", "East"]
    assert notes == ["Left out for fewer than 4 training patients: Tiny."]
    centres, notes = load_centres(manifest, "hospital", "segmenter", min_patients=9)
    assert [centre.name for centre in centres] == ["South", "East", "other"]
    assert "North, Tiny, of fewer than 9 training patients" in notes[0]


@pytest.mark.parametrize("by", ["vendor", "region"])
def test_a_centre_may_be_a_vendor_or_a_region(tmp_path: Path, by: Centre) -> None:
    data = write_hospitals(tmp_path)
    header, rows = data.read_text(encoding="utf-8").split("\n", 1)
    swap: dict[str, str] = {"hospital": by, by: "hospital"}
    swapped = ",".join(swap.get(name, name) for name in header.split(","))
    data.write_text(f"{swapped}\n{rows}", encoding="utf-8")
    centres, _ = load_centres(data, by, "classifier", min_patients=4)
    assert [centre.name for centre in centres] == ["North", "South", "East"]
    assert {getattr(sample, by) for sample in centres[1].train} == {"South"}


def test_without_test_patients_the_validation_patients_test(tmp_path: Path) -> None:
    data = write_hospitals(tmp_path, tests=False)
    given = {s.patient for s in read_csv_manifest(data).samples if s.split == "val" and s.hospital == "South"}
    centres, notes = load_centres(data, "hospital", "segmenter", only=("South", "East"))
    assert "their validation patients test" in notes[0]
    south = centres[0]
    assert {sample.patient for sample in south.test} == given
    assert south.val
    assert not {s.patient for s in south.val} & {s.patient for s in (*south.train, *south.test)}


def test_networks_of_the_matrix(manifest: Path) -> None:
    centres, _ = load_centres(manifest, "hospital", "classifier", min_patients=4)
    plans = {plan.name: plan for plan in plan_networks(centres, equal_patients=False)}
    assert list(plans) == [
        "only North", "only South", "only East", MIXED, "without North", "without South", "without East",
    ]  # fmt: skip
    assert {sample.hospital for sample in plans["only South"].samples} == {"South"}
    assert {sample.hospital for sample in plans["without South"].samples} == {"North", "East"}
    assert plans[MIXED].patients == sum(centre.patients("train") for centre in centres)
    assert all(sample.split != "test" for plan in plans.values() for sample in plan.samples)
    equal = plan_networks(centres, equal_patients=True)
    assert {plan.patients for plan in equal} == {min(centre.patients("train") for centre in centres)}
    mixed = next(plan for plan in equal if plan.name == MIXED)
    learned = [sample for sample in mixed.samples if sample.split == "train"]
    assert {sample.hospital for sample in learned} == {"North", "South", "East"}
    assert {sample.label for sample in learned} == {"benign", "malignant"}


def test_centres_that_make_no_study_are_refused(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no hospital 'West' .* known: East, North, South, Tiny"):
        load_centres(manifest, "hospital", "classifier", only=("West",))
    with pytest.raises(DataError, match="has 0 region"):
        load_centres(manifest, "region", "classifier")
    with pytest.raises(DataError, match=r"'Tiny' has .*: leave it out with --centres"):
        load_centres(manifest, "hospital", "classifier", min_patients=1)
    lines = manifest.read_text().splitlines()
    moved = tmp_path / "data.csv"
    names = lines[0].split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:]]
    for row in rows:
        row["image"], row["mask"] = (str(manifest.parent / row[name]) for name in ("image", "mask"))
    next(row for row in rows if row["hospital"] == "South")["patient"] = rows[0]["patient"]
    with moved.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(DataError, match=r"patient 'p0' .* at two of hospital: 'North' and 'South'|is in the splits"):
        load_centres(moved, "hospital", "classifier")


def test_a_training_manifest_reads_back_as_it_was(manifest: Path, tmp_path: Path) -> None:
    samples = read_csv_manifest(manifest).samples
    write_samples(samples, tmp_path / "own.csv")
    again = read_csv_manifest(tmp_path / "own.csv").samples
    assert [(s.image.resolve(), s.patient, s.split, s.boxes_xyxy, s.age, s.sex, s.label) for s in again] == [
        (s.image.resolve(), s.patient, s.split, s.boxes_xyxy, s.age, s.sex, s.label) for s in samples
    ]


def classified(skill: float, seed: int, *, images: int = 1, patients: int = 60) -> list[Row]:
    rng = np.random.default_rng(seed)
    return [
        {"patient": f"p{n}", "size": 0.05, "value": skill * (n % 2) + rng.normal(), "label": bool(n % 2)}
        for n in range(patients) for _ in range(images)
    ]  # fmt: skip


def test_one_image_per_patient_is_delongs_test() -> None:
    good, poor = classified(2.0, 1), classified(0.3, 2)
    entry = cell("classifier", "only North", "South", poor, good, FEW)
    labels = [row["label"] for row in good]
    test = delong_test(labels, [row["value"] for row in poor], [row["value"] for row in good])
    assert entry.figure.method == "DeLong"
    assert entry.p_value == pytest.approx(test.p_value)
    assert entry.difference is not None
    assert entry.difference.value == pytest.approx(test.difference.value)


@pytest.mark.parametrize("role", ["classifier", "segmenter", "detector"])
def test_several_images_per_patient_are_resampled_together(role: str) -> None:
    good, poor = classified(2.0, 1, images=3), classified(0.0, 2, images=3)
    if role == "detector":
        for rows, shift in ((good, 1.0), (poor, 8.0)):
            for number, row in enumerate(rows):
                moved = shift * (number % 3) if number // 3 % 4 else 0.0  # patients differ
                row |= {
                    "truth": [[0, 0, 10, 10]],
                    "ignored": [],
                    "boxes": [[moved, 0, 10 + moved, 10]],
                    "scores": [0.9],
                }
    entry = cell(role, "only North", "South", poor, good, FEW)
    assert entry.difference is not None
    assert entry.figure.clusters == 60
    assert entry.difference.value < 0
    assert entry.difference.high < 0
    assert entry.p_value == pytest.approx(2 / (FEW.resamples + 1))  # the least that so many resamples can give
    same = cell(role, "only North", "South", good, good, FEW)
    assert same.difference is not None
    assert (same.difference.value, np.isnan(same.difference.low), np.isnan(same.p_value)) == (0, True, True)
    own = cell(role, MIXED, "South", good, None, FEW)
    assert own.difference is None
    adjusted = with_holm([entry, same, own, entry])
    assert adjusted[0].p_holm == pytest.approx(2 * entry.p_value)  # without variance there is no test to count


@pytest.mark.parametrize("images", [1, 2])
def test_a_network_that_is_always_right_has_no_interval_and_no_test_against_one_that_is_always_wrong(
    images: int,
) -> None:
    right, wrong = (
        [row | {"value": sign * row["label"]} for row in classified(1, 1, images=images)] for sign in (1, -1)
    )
    entry = cell("classifier", "only North", "South", right, wrong, FEW)
    assert entry.figure.value == 1
    assert entry.difference is not None
    assert entry.difference.value == 1
    bounds = entry.figure.low, entry.figure.high, entry.difference.low, entry.difference.high
    assert np.isnan([*bounds, entry.p_value]).all()


def test_interaction_is_found_where_there_is_one() -> None:
    parts = [("young", classified(2.5, 1)), ("old", classified(0.2, 2))]
    assert all(entry.p_interaction < 0.001 for entry in subgroups("classifier", "age", parts, FEW))
    alike = [("young", classified(1.5, 1)), ("old", classified(1.5, 2))]
    assert all(entry.p_interaction > 0.05 for entry in subgroups("classifier", "age", alike, FEW))
    one_class = [("young", classified(1.5, 1)), ("old", [row for row in classified(1.5, 2) if row["label"]])]
    found = subgroups("classifier", "age", one_class, FEW)
    assert found[1].figure is None
    rows = one_class[1][1]
    assert (found[1].count, found[1].patients) == (len(rows), len({row["patient"] for row in rows}))
    assert np.isnan(found[0].p_interaction)


@pytest.mark.parametrize("role", ["detector", "segmenter", "classifier"])
def test_the_default_recipe_builds_on_no_network_that_has_seen_another_centre(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, role: str
) -> None:
    seen: list[TrainingConfig] = []

    def only_look(
        _data: Path, _output: Path, _options: GeneralisationOptions, config: TrainingConfig, **_: Any
    ) -> None:
        seen.append(config.model_copy(update=study_module.NOT_BUILT_ON))
        raise KeyboardInterrupt

    monkeypatch.setattr(command_module, "generalise", only_look)
    with pytest.raises(KeyboardInterrupt):
        run_generalise(
            manifest, tmp_path / "out", options(role=role), config=None, epochs=1, size_px=None,
            settings=Settings(), weights=None, device="cpu", threads=1,
        )  # fmt: skip
    recipe = TrainingConfig.model_validate(seen[0].model_dump())  # what is trained is valid as a whole
    assert recipe.role == role
    builds_on = ("start_from_weights", "encoder_from_segmenter", "encoder_from_classifier", "outlines_from_segmenter")
    assert not any(getattr(recipe, name) for name in builds_on)
    assert (recipe.self_training, recipe.frozen_blocks, recipe.phantom, recipe.init) == (None, 0, 0, None)


def test_tensors_to_start_from_lie_beside_the_data_of_the_study(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every network has a manifest in a folder of its own, from where a relative path would lead nowhere."""
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(tiny.config("detector", init="start.safetensors").model_dump(mode="json")))
    seen: list[TrainingConfig] = []
    monkeypatch.setattr(command_module, "generalise", lambda *given, **_: seen.append(given[3]))
    with pytest.raises(AttributeError):  # nothing was made to write about
        run_generalise(
            manifest, tmp_path / "out", options(role="detector"), config=config, epochs=None, size_px=None,
            settings=Settings(), weights=None, device="cpu", threads=1,
        )  # fmt: skip
    assert seen[0].init == manifest.resolve().parent / "start.safetensors"


class Rehearsal:
    """Stands in for training and testing: a network says more of centres that it has learned from."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trained: list[str] = []
        self.fails_at = -1
        monkeypatch.setattr(study_module, "train", self.train)
        monkeypatch.setattr(study_module, "measure", self.measure)

    def train(self, config: Any, data: Path, folder: Path, **_: Any) -> None:
        if len(self.trained) == self.fails_at:
            raise KeyboardInterrupt
        self.trained.append(folder.name)
        assert config.phantom == 0
        assert not config.encoder_from_segmenter
        (folder / "history.csv").write_text("epoch,seconds\n0,60\n1,120\n")

    def measure(self, folder: Path, role: str, samples: list[Sample], *_: Any) -> list[list[Row]]:
        learned = {s.hospital for s in read_csv_manifest(folder / "data.csv").samples}
        rng = np.random.default_rng(len(folder.name))
        return [
            [
                {
                    "patient": s.patient,
                    "size": 0.01 + 0.02 * (n % 6),
                    "value": float((3 if s.hospital in learned else 0) * (s.label == "malignant") + rng.normal()),
                    "label": s.label == "malignant",
                }
            ]
            for n, s in enumerate(samples)
        ]


def test_a_study_goes_on_after_a_stop_and_writes_its_page(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rehearsal = Rehearsal(monkeypatch)
    rehearsal.fails_at = 3
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(tiny.config("classifier", phantom=20).model_dump(mode="json")))

    def run(**changes: Any) -> Any:
        return run_generalise(
            manifest, tmp_path / "out", options(**changes), config=config, epochs=None, size_px=None,
            settings=Settings(), weights=None, device="cpu", threads=1,
        )  # fmt: skip

    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(rehearsal.trained) == 3
    rehearsal.fails_at = -1
    with caplog.at_level(logging.INFO, "streamer"):
        outcome = run()
    assert len(rehearsal.trained) == 7  # the four that were left
    assert "network 5 of 7, without North" in caplog.text
    assert "min remain" in caplog.text
    run()
    assert len(rehearsal.trained) == 7  # nothing is trained again
    with pytest.raises(DataError, match="another data"):
        run(equal_patients=True)
    with (tmp_path / "out" / "matrix.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 7 * 4
    assert {row["centre"] for row in rows} == {"North", "South", "East", ALL}
    assert all(row["p"] == "" for row in rows if row["network"] == MIXED)
    for centre in ("North", "South", "East"):  # the external test of each centre
        external = outcome.cell(f"without {centre}", centre).figure.value
        assert external <= outcome.cell(MIXED, centre).figure.value
    page = (tmp_path / "out" / "report.html").read_text()
    assert "without South" in page
    assert "centre no." not in page
    assert "under 45 years" in page
    assert {"heat-map.svg", "subgroups.csv", "networks.csv", "tables.md"} <= {
        path.name for path in (tmp_path / "out").iterdir()
    }


@pytest.mark.slow
def test_networks_are_really_trained_and_tested(manifest: Path, tmp_path: Path) -> None:
    recipe = tiny.config("segmenter", epochs=1, size_wh=[32, 32], batch=4)
    outcome = generalise(
        manifest,
        tmp_path,
        options(role="segmenter", only=("North", "South")),
        recipe,
        settings=Settings(),
        weights=tmp_path,
        device=torch.device("cpu"),
    )
    assert [entry.plan.name for entry in outcome.networks] == ["only North", "only South", MIXED]
    assert all(0 <= entry.figure.value <= 1 for entry in outcome.cells)
    run = next((tmp_path / "networks").glob("mixed-*"))
    test = [sample for centre in outcome.centres for sample in centre.test]
    again = measure(run, "segmenter", test, Settings(), tmp_path)
    kept = json.loads((run / "predictions.json").read_text())
    assert [row["value"] for rows in again for row in rows] == pytest.approx(
        [row["value"] for rows in kept for row in rows]
    )
