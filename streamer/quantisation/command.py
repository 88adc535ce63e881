"""The `quantise` command: int8 versions of a weights folder's networks, noted in its manifest."""

from __future__ import annotations

import hashlib
import tempfile
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console

from streamer.backends.choice import available_cores
from streamer.backends.openvino_cpu import OpenVinoBackend, save
from streamer.data.proposals import load_proposer
from streamer.errors import OutputError
from streamer.models.int8 import probe_image, summary
from streamer.models.loading import network_graph, network_key
from streamer.models.weights import Int8Version, Role, int8_files, read_manifest, write_entry
from streamer.quantisation.calibration import calibration
from streamer.quantisation.network import FP32_LAYERS, correlation, quantised

_COMPARED = 50
"""Calibration images on which int8 is compared with float32."""


def quantise(data: Path, weights: Path, *, images: int) -> None:
    """Make an int8 version of every network in a weights folder, in place of an earlier one.

    Args:
        data: training data: folder in the public layout, or CSV manifest.
        weights: weights folder; it needs a detector where the data do not box every nodule.
        images: calibration images a network at most.

    Raises:
        StreamerError: nncf is not installed.
        DataError: data are missing, inconsistent or not those that a network was trained on.
        WeightsError: weights are missing or damaged.
        OutputError: the weights folder cannot be written.
    """
    console = Console()
    for role in read_manifest(weights).models:
        console.print(f"{role}: reading calibration images")
        made = _quantise(role, data, weights, images)
        sources = ", ".join(f"{count} {source}" for source, count in made.calibration.items())
        console.print(f"{role}: {made.file}, calibrated on {sources}; correlation with fp32 {made.correlation:.4f}")
    console.print("measure what it costs: `streamer evaluate ... --update-manifest`", markup=False)


def _quantise(role: Role, data: Path, weights: Path, count: int) -> Int8Version:
    backend = OpenVinoBackend(available_cores(), precision="fp32")
    manifest = read_manifest(weights)
    entry = manifest.models[role]
    build, size_wh, key = (
        partial(network_graph, weights, role, manifest),
        entry.preprocessing.size_wh,
        network_key(entry),
    )
    chosen = calibration(role, entry, data, count, load_proposer(weights))
    original = backend.ready(backend.converted(build, size_wh, key))
    model = quantised(backend.converted(build, size_wh, key), chosen.images, role)
    xml, _ = int8_files(weights, role)
    xml_sha256, bin_sha256 = _write(model, xml)
    runner = backend.open(xml)
    made = Int8Version(
        file=xml.relative_to(weights).as_posix(),
        xml_sha256=xml_sha256,
        bin_sha256=bin_sha256,
        weights_sha256=entry.sha256,
        preprocessing=entry.preprocessing,
        calibration=chosen.counts,
        fp32_layers=FP32_LAYERS[role],
        versions={name: version(name) for name in ("openvino", "nncf")},
        correlation=round(correlation(original, runner, chosen.images[:: max(1, len(chosen.images) // _COMPARED)]), 5),
        probe=summary(runner(probe_image(size_wh))),
    )
    write_entry(weights, role, entry.model_copy(update={"int8": made}))
    return made


def _write(model: Any, xml: Path) -> tuple[str, str]:
    """Save a model; gives the checksums of its `.xml` and `.bin`. A run that starts meanwhile falls back to fp32."""
    try:
        xml.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=xml.parent) as folder:
            partial = Path(folder) / xml.name
            save(model, partial)
            checksums = [
                hashlib.sha256(path.read_bytes()).hexdigest() for path in (partial, partial.with_suffix(".bin"))
            ]
            partial.with_suffix(".bin").replace(xml.with_suffix(".bin"))
            partial.replace(xml)
    except (OSError, RuntimeError) as error:
        raise OutputError(f"cannot write {xml}: {' '.join(str(error).split())}") from error
    return checksums[0], checksums[1]
