"""Single networks out of a weights folder, made ready on a backend: for work that does not need all three."""

from __future__ import annotations

import hashlib
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from streamer.backends import Backend, OpenVinoFiles, Runner
from streamer.models.detector import Detector
from streamer.models.openvino_files import JointFiles, NetworkFiles
from streamer.models.segmenter import Segmenter
from streamer.models.weights import FilePrecision, checked_weights
from streamer.models.weights_manifest import Manifest, ModelEntry, Role, read_manifest
from streamer.settings import DetectionSettings

if TYPE_CHECKING:
    from streamer.models.architectures import GreyInput

_MODULES = ("architectures", "explained", "pooled_features", "region_head", "shared_encoder")
"""Modules of this package that turn weights into a network."""
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
    int8, fp32 = (_network_files(folder, role, manifest, precision) for precision in get_args(FilePrecision))
    build = partial(network_graph, folder, role, manifest)
    return backend.load(build, entry.preprocessing.size_wh, network_key(entry, manifest), int8, fp32)


def _network_files(folder: Path, role: Role, manifest: Manifest, precision: FilePrecision) -> OpenVinoFiles | None:
    there = getattr(manifest.models[role], precision) is not None
    return NetworkFiles(folder, role, manifest, precision) if there else None


def network_graph(folder: Path, role: Role, manifest: Manifest) -> GreyInput:
    """The network of a role, taking grey bytes.

    Raises:
        WeightsError: the role or its file is missing, damaged or does not fit.
    """
    from streamer.models.architectures import GreyInput
    from streamer.models.networks import load_network
    from streamer.models.pooled_features import DetectorWithFeatures

    network = load_network(folder, role, manifest)
    if role == "detector" and manifest.gate is not None:
        network = DetectorWithFeatures(network)
    preprocessing = manifest.models[role].preprocessing
    return GreyInput(network, preprocessing.mean, preprocessing.std).eval()


def network_key(entry: ModelEntry, manifest: Manifest) -> str:
    """Changes whenever a network's weights, their preprocessing, its outputs or the code that makes it change."""
    features = manifest.gate is not None and entry == manifest.models.get("detector")
    outputs = " with features" if features else ""
    return f"{entry.architecture} {entry.sha256} {entry.preprocessing.model_dump_json()} {_code()}{outputs}"


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
    int8, fp32 = (joint_files(folder, manifest, precision, views) for precision in get_args(FilePrecision))
    build = partial(joint_graph, folder, manifest, views)
    return backend.load(build, entry.preprocessing.size_wh, joint_key(manifest), int8, fp32, views=views)


def joint_files(folder: Path, manifest: Manifest, precision: FilePrecision, views: int) -> OpenVinoFiles | None:
    """The OpenVINO files of both networks as one; None where they have none."""
    version = getattr(manifest.models["segmenter"], precision)
    there = version is not None and version.joined_with
    return JointFiles(folder, "segmenter", manifest, precision, views) if there else None


def joint_graph(folder: Path, manifest: Manifest, views: int) -> GreyInput:
    """Both networks as one, taking grey bytes.

    Raises:
        WeightsError: a file is missing, damaged or does not fit.
    """
    from streamer.models.architectures import GreyInput
    from streamer.models.networks import load_network
    from streamer.models.shared_encoder import JointNetwork

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
    folder = Path(__file__).parent
    ours = b"".join((folder / f"{module}.py").read_bytes() for module in _MODULES)
    return f"{hashlib.sha256(ours).hexdigest()} {' '.join(map(_version, _LIBRARIES))}"


def _version(library: str) -> str:
    try:
        return f"{library} {version(library)}"
    except PackageNotFoundError:
        return f"no {library}"


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
