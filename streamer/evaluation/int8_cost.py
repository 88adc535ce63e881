"""What int8 costs: the main figures of a network in int8 minus the same in float32, on the same images."""

from __future__ import annotations

from pathlib import Path

from streamer.data.samples import Split
from streamer.evaluation.evaluation_run import EvaluationRun
from streamer.evaluation.tasks import compare
from streamer.models.weights_manifest import Role, read_manifest, write_entry
from streamer.settings import Settings


def note_int8_cost(role: Role, data: Path, weights: Path, split: Split) -> dict[str, float]:
    """Measure a network in both precisions and store the differences with its int8 version, if it has one.

    Args:
        role: which network.
        data: folder in the public layout, or CSV manifest.
        weights: weights folder.
        split: split of the sources that it was trained on; other sources count whole.

    Returns:
        Differences by measure and source; empty without an int8 version.

    Raises:
        DataError: data are missing or inconsistent.
        WeightsError: the network, or the int8 version of one that is needed, is missing, damaged or stale.
        DeviceError: OpenVINO has no int8 arithmetic for this processor.
        OutputError: the manifest cannot be written.
    """
    entry = read_manifest(weights).models[role]
    if entry.int8 is None:
        return {}
    precisions = [Settings().with_runtime(device="cpu", backend="openvino", precision=p) for p in ("int8", "fp32")]
    matrix = compare(role, [EvaluationRun(data, weights, split, settings) for settings in precisions]).matrix
    assert matrix is not None  # a comparison has one
    ours, theirs = matrix.rows
    cost = {}
    for cell in ours.cells:
        other = theirs.cell(cell.name, cell.data)
        if other is not None:
            cost[f"{cell.name}, {cell.data}"] = round(cell.figure.value - other.figure.value, 5)
    write_entry(weights, role, entry.model_copy(update={"int8": entry.int8.model_copy(update={"cost": cost})}))
    return cost
