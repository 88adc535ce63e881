"""What int8 costs: differences of the same figures in two precisions, stored with the int8 version."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from streamer.evaluation import int8_cost as module
from streamer.evaluation.int8_cost import note_int8_cost
from streamer.evaluation.result import Evaluation, Matrix, MatrixRow, Result
from streamer.metrics.estimate import Figure
from streamer.models.weights_manifest import Int8Version, Role, read_manifest, write_entry
from streamer.settings import RuntimeSettings, Settings


def row(**values: float) -> MatrixRow:
    cells = tuple(
        Result(
            name="AP50",
            figure=Figure(value=value, low=0, high=1, count=9, clusters=3, method="by hand"),
            data=source,
            split="val",
            count_of="images",
            clusters_of="patients",
        )
        for source, value in values.items()
    )
    return MatrixRow(
        weights="w", trained_on=(), left_out="", images=1, groups=1, unit="patient", cells=cells, external=frozenset()
    )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[RuntimeSettings]:
    """The settings of each measurement; int8 finds less in the sweeps, and has a figure that float32 lacks."""
    asked_for: list[RuntimeSettings] = []

    def bench(_: Path, __: Path, ___: str, settings: Settings) -> RuntimeSettings:
        asked_for.append(settings.runtime)
        return settings.runtime

    def compare(role: Role, benches: Sequence[RuntimeSettings]) -> Evaluation:
        values = {"int8": row(sweeps=0.7, stills=0.5, more=0.1), "fp32": row(sweeps=0.72, stills=0.5)}
        rows = tuple(values[bench.precision] for bench in benches)
        return Evaluation(subject=role, results=(), plots={}, settings={}, notes=(), matrix=Matrix(rows=rows))

    monkeypatch.setattr(module, "EvaluationRun", bench)
    monkeypatch.setattr(module, "compare", compare)
    return asked_for


def test_differences_are_stored(weights_folder: Path, tmp_path: Path, asked: list[RuntimeSettings]) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(weights_folder, folder)
    assert note_int8_cost("detector", tmp_path, folder, "val") == {}
    entry = read_manifest(folder).models["detector"]
    version = Int8Version(
        file="int8/detector.xml",
        xml_sha256="",
        bin_sha256="",
        weights_sha256=entry.sha256,
        preprocessing=entry.preprocessing,
        calibration={},
        fp32_layers=(),
        versions={},
        correlation=1.0,
        probe=(),
    )
    write_entry(folder, "detector", entry.model_copy(update={"int8": version}))
    cost = note_int8_cost("detector", tmp_path, folder, "val")
    assert cost == {"AP50, sweeps": -0.02, "AP50, stills": 0}
    stored = read_manifest(folder).models["detector"].int8
    assert stored == version.model_copy(update={"cost": cost})
    assert [(runtime.backend, runtime.precision) for runtime in asked] == [("openvino", "int8"), ("openvino", "fp32")]
