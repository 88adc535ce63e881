"""Single networks out of a weights folder, made ready on a backend: for work that does not need all three."""

from __future__ import annotations

import hashlib
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

from streamer.backends import Backend, Runner
from streamer.models import architectures, explained, region_head, shared_encoder
from streamer.models.architectures import GreyInput
from streamer.models.detector import Detector
from streamer.models.int8 import Int8Network, JointInt8
from streamer.models.segmenter import Segmenter
from streamer.models.shared_encoder import JointNetwork
from streamer.models.weights import checked_weights, load_network
from streamer.models.weights_manifest import Manifest, ModelEntry, Role, read_manifest
from streamer.settings import DetectionSettings

_LIBRARIES = ("segmentation-models-pytorch", "torch", "torchvision", "ultralytics")
JOINT_ROLES: tuple[Role, ...] = ("segmenter", "classifier")
"""What runs as one network where `Manifest.one_encoder` holds."""


def load_runner(folder: Path, role: Role, manifest: Manifest, backend: Backend) -> Runner:
    """The network of a role, ready to run on grey bytes of its input size.

    Raises:
        WeightsError: the role or its file is missing, damaged or does not fit, or int8 is asked for and cannot be had.
    """
    checked_weights(folder, role, manifest)  # the network is built only where the backend does not have it already
    entry = manifest.models[role]
    quantised = None if entry.int8 is None else Int8Network(folder, role, manifest)
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
    """Changes whenever a network's weights, their preprocessing or the code that makes it change."""
    return f"{entry.architecture} {entry.sha256} {entry.preprocessing.model_dump_json()} {_code()}"


def load_joint(folder: Path, manifest: Manifest, backend: Backend, *, views: int) -> Runner:
    """Both networks of a weights folder as one, ready to run on `views` grey images of each nodule.

    Args:
        folder: weights folder.
        manifest: its manifest; `Manifest.one_encoder` holds.
        backend: what runs it.
        views: images of each nodule.

    Raises:
        WeightsError: a file is missing, damaged or does not fit, or int8 is asked for and cannot be had.
    """
    entry = manifest.models["segmenter"]
    for role in JOINT_ROLES:
        checked_weights(folder, role, manifest)
    joined = entry.int8 is not None and entry.int8.joined_with
    quantised = JointInt8(folder, "segmenter", manifest, views) if joined else None
    build = partial(joint_graph, folder, manifest, views)
    return backend.load(build, entry.preprocessing.size_wh, joint_key(manifest), quantised, views=views)


def joint_graph(folder: Path, manifest: Manifest, views: int) -> GreyInput:
    """Both networks as one, taking grey bytes.

    Raises:
        WeightsError: a file is missing, damaged or does not fit.
    """
    segmenter, classifier = (load_network(folder, role, manifest) for role in JOINT_ROLES)
    preprocessing = manifest.models["segmenter"].preprocessing
    return GreyInput(JointNetwork(segmenter, classifier, views), preprocessing.mean, preprocessing.std).eval()


def joint_key(manifest: Manifest) -> str:
    """Changes whenever one of the two networks, their preprocessing or the code that makes them changes."""
    entries = [manifest.models[role] for role in JOINT_ROLES]
    return f"joint {' '.join(entry.sha256 for entry in entries)} {entries[0].preprocessing.model_dump_json()} {_code()}"


@cache
def _code() -> str:
    """What turns weights into a network: our modules, and the libraries that have the architectures."""
    ours = b"".join(
        Path(module.__file__).read_bytes()
        for module in (architectures, explained, region_head, shared_encoder)
        if module.__file__
    )
    libraries = (f"{name} {version(name)}" for name in _LIBRARIES)
    return f"{hashlib.sha256(ours).hexdigest()} {' '.join(libraries)}"


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
