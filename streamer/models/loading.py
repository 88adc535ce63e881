"""Single networks out of a weights folder, made ready on a backend: for work that does not need all three."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from streamer.backends import Backend, Runner
from streamer.models.detector import Detector
from streamer.models.int8 import Int8Network
from streamer.models.networks import GreyInput
from streamer.models.segmenter import Segmenter
from streamer.models.weights import Manifest, ModelEntry, Role, checked_weights, load_network, read_manifest
from streamer.settings import DetectionSettings


def load_runner(folder: Path, role: Role, manifest: Manifest, backend: Backend) -> Runner:
    """The network of a role, ready to run on grey bytes of its input size.

    Raises:
        WeightsError: the role or its file is missing, damaged or does not fit, or int8 is asked for and cannot be had.
    """
    checked_weights(folder, role, manifest)  # the network is built only where the backend does not have it already
    entry = manifest.models[role]
    quantised = None if entry.int8 is None else Int8Network(folder, role, entry, entry.int8)
    build = partial(network_graph, folder, role, manifest)
    return backend.load(build, entry.preprocessing.size_wh, network_key(entry), quantised)


def network_graph(folder: Path, role: Role, manifest: Manifest) -> GreyInput:
    """The network of a role, taking grey bytes.

    Raises:
        WeightsError: the role or its file is missing, damaged or does not fit.
    """
    network = load_network(folder, role, manifest)
    preprocessing = manifest.models[role].preprocessing
    return GreyInput(network, preprocessing.mean, preprocessing.std).eval()


def network_key(entry: ModelEntry) -> str:
    """Changes whenever a network's weights or their preprocessing change."""
    return f"{entry.architecture} {entry.sha256} {entry.preprocessing.model_dump_json()}"


def load_detector(folder: Path, backend: Backend, settings: DetectionSettings) -> Detector:
    """The detector of a weights folder, which need not hold the other networks.

    Raises:
        WeightsError: it is missing or damaged.
    """
    manifest = read_manifest(folder)
    runner = load_runner(folder, "detector", manifest, backend)
    return Detector(runner, manifest.models["detector"], settings)


def load_segmenter(folder: Path, backend: Backend) -> Segmenter:
    """The segmenter of a weights folder, which need not hold the other networks.

    Raises:
        WeightsError: it is missing or damaged.
    """
    manifest = read_manifest(folder)
    return Segmenter(load_runner(folder, "segmenter", manifest, backend), manifest.models["segmenter"])
