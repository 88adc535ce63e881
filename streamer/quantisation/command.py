"""The `quantise` command: int8 versions of a weights folder's networks, noted in its manifest."""

from __future__ import annotations

import logging
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np

from streamer.backends.openvino import OpenVinoBackend
from streamer.backends.select import available_cores
from streamer.data.pseudo_boxes import load_proposer
from streamer.models.classifier import views_of
from streamer.models.publish import ExportedNetwork, export, exported_networks
from streamer.models.registry import task
from streamer.models.weights import remove_unnamed_files
from streamer.models.weights_manifest import Int8Version
from streamer.quantisation.calibration import calibration
from streamer.quantisation.network import correlation, quantised

_LOG = logging.getLogger(__name__)

_COMPARED = 50
"""Calibration images on which int8 is compared with float32."""


def quantise(data: Path, weights: Path, *, images: int) -> None:
    """Make an int8 version of every network in a weights folder, in place of an earlier one; joined where they can be.

    Args:
        data: training data: folder in the public layout, or CSV manifest.
        weights: weights folder; with a detector, which boxes nodules where the data do not.
        images: calibration images of each role at most.

    Raises:
        StreamerError: nncf is not installed.
        DataError: data are missing, inconsistent or not those that a network was trained on.
        WeightsError: weights are missing or damaged.
        OutputError: the weights folder cannot be written.
    """
    for network in exported_networks(weights):
        name = " and ".join(network.roles)
        _LOG.info("%s: reading calibration images", name)
        made = _quantise(network, data, images)
        network.note(made)
        sources = ", ".join(f"{count} {source}" for source, count in made.calibration.items())
        _LOG.info("%s: %s, calibrated on %s; correlation with fp32 %.4f", name, made.file, sources, made.correlation)
    remove_unnamed_files(weights)
    export(weights)
    _LOG.info("measure what it costs: `streamer evaluate ... --update-manifest`")


def _quantise(network: ExportedNetwork, data: Path, count: int) -> Int8Version:
    backend = OpenVinoBackend(available_cores(), precision="fp32")
    proposer = load_proposer(network.weights)
    parts = [
        calibration(role, entry, data, count, proposer)
        for role, entry in zip(network.roles, network.entries, strict=True)
    ]
    inputs = views_of(np.concatenate([part.images for part in parts]), network.views)
    original = backend.ready(network.model(backend))
    kept = tuple(pattern for role in network.roles for pattern in task(role).fp32_layers)
    fast = all(task(role).fast_bias_correction for role in network.roles)
    model = quantised(network.model(backend), inputs, fp32_layers=kept, fast_bias_correction=fast)
    fields = network.write(model, "int8")
    xml, _ = network.files("int8")
    compared = inputs[:: max(1, len(inputs) // _COMPARED)]
    return Int8Version(
        **fields,
        weights_sha256="",
        calibration=sum((Counter(part.counts) for part in parts), Counter()),
        fp32_layers=kept,
        versions={name: version(name) for name in ("openvino", "nncf")},
        correlation=round(correlation(original, backend.open(xml, views=network.views), compared), 5),
        probe=network.probe(backend.open(xml)),
    )
