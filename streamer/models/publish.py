"""Publishing: trained networks into a weights folder, and OpenVINO files of all that is in one.

With those files the analysis needs no torch. They are float32 with weights in half precision, as the safetensors files
are, so that they compute what torch does, and are compared with it before the manifest names them.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from streamer._files import atomic_paths, write_whole
from streamer.backends import Runner
from streamer.backends.openvino import OpenVinoBackend, save, save_halved
from streamer.backends.select import available_cores
from streamer.backends.torch_cpu import TorchCpuBackend
from streamer.errors import OutputError, WeightsError
from streamer.models.architectures import GreyInput
from streamer.models.loading import JOINT_ROLES, joint_graph, joint_key, network_graph, network_key
from streamer.models.networks import load_network
from streamer.models.openvino_files import NetworkFiles, probe_image, summary
from streamer.models.weights import JOINT, FilePrecision, openvino_files, remove_unnamed_files
from streamer.models.weights_manifest import (
    Fp32Version,
    Int8Version,
    Manifest,
    ModelEntry,
    Role,
    read_manifest,
    write_entry,
)
from streamer.settings import ClassificationSettings

_LOG = logging.getLogger(__name__)

_MAX_DIFFERENCE = 0.001
"""Largest difference from torch that files may have, as a share of the largest number in the channel of the output.

The published networks differ by at most 2e-6.
"""


@dataclass(frozen=True, slots=True)
class ExportedNetwork:
    """What lies in one pair of OpenVINO files: a role's network, or segmenter and classifier joined."""

    weights: Path
    manifest: Manifest
    roles: tuple[Role, ...]

    @property
    def entries(self) -> list[ModelEntry]:
        """Its roles' entries in the manifest."""
        return [self.manifest.models[role] for role in self.roles]

    @property
    def joined(self) -> bool:
        """Whether it does the work of two."""
        return len(self.roles) > 1

    @property
    def views(self) -> int:
        """Images of which the network makes one output: joined ones also look at a nodule's mirror image."""
        return ClassificationSettings(mirrored=True).views if self.joined else 1

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of its input in pixels."""
        return self.entries[0].preprocessing.size_wh

    def files(self, precision: FilePrecision) -> tuple[Path, Path]:
        """Where its files lie: `.xml` and `.bin`."""
        return openvino_files(self.weights, precision, JOINT if self.joined else self.roles[0])

    @property
    def exported(self) -> bool:
        """Whether it has float32 files, whole and made from these weights."""
        if any(entry.fp32 is None or entry.fp32.file != self._named("fp32") for entry in self.entries):
            return False
        try:
            for role in self.roles:
                NetworkFiles(self.weights, role, self.manifest, "fp32").check_files()
        except WeightsError:
            return False
        return True

    def graph(self) -> GreyInput:
        """It in torch, taking grey bytes.

        Raises:
            WeightsError: weights are missing or damaged.
        """
        if self.joined:
            return joint_graph(self.weights, self.manifest, self.views)
        return network_graph(self.weights, self.roles[0], self.manifest)

    def model(self, backend: OpenVinoBackend) -> Any:
        """It as an OpenVINO model in float32, not compiled.

        Raises:
            WeightsError: weights are missing or damaged.
        """
        key = joint_key(self.manifest) if self.joined else network_key(self.entries[0], self.manifest)
        return backend.converted(self.graph, self.size_wh, key, views=self.views)

    def probe(self, runner: Runner) -> tuple[tuple[float, ...], ...]:
        """What `runner`, which runs it on one view, gives for the probe image."""
        return summary(runner(probe_image(self.size_wh)))

    def write(self, model: Any, precision: FilePrecision) -> dict[str, Any]:
        """Save a model of it; the fields of an `OpenVinoVersion` that its files and the weights decide.

        A run that starts meanwhile uses what it had.

        Raises:
            OutputError: the files cannot be written.
        """
        xml, binary = self.files(precision)
        write = save if precision == "int8" else save_halved
        try:
            xml.parent.mkdir(parents=True, exist_ok=True)
            with atomic_paths(binary, xml) as (partial_binary, partial_xml):
                write(model, partial_xml)
                xml_sha256, bin_sha256 = (
                    hashlib.sha256(path.read_bytes()).hexdigest() for path in (partial_xml, partial_binary)
                )
        except (OSError, RuntimeError) as error:
            raise OutputError(f"cannot write {xml}: {' '.join(str(error).split())}") from error
        return {
            "file": self._named(precision),
            "xml_sha256": xml_sha256,
            "bin_sha256": bin_sha256,
            "preprocessing": self.entries[0].preprocessing,
        }

    def _named(self, precision: FilePrecision) -> str:
        return self.files(precision)[0].relative_to(self.weights).as_posix()

    def note(self, made: Int8Version | Fp32Version) -> None:
        """Name a version of it in the manifest, at each of its roles.

        Raises:
            OutputError: the manifest cannot be written.
        """
        field = "int8" if isinstance(made, Int8Version) else "fp32"
        checksums = {role: entry.sha256 for role, entry in zip(self.roles, self.entries, strict=True)}
        for role, checksum in checksums.items():
            others = {other: theirs for other, theirs in checksums.items() if other != role}
            own = made.model_copy(update={"weights_sha256": checksum, "joined_with": others})
            entry = read_manifest(self.weights).models[role]
            write_entry(self.weights, role, entry.model_copy(update={field: own}))


def exported_networks(weights: Path) -> list[ExportedNetwork]:
    """What a weights folder's networks are exported as: segmenter and classifier joined where they can be.

    Raises:
        WeightsError: the folder has no manifest, or a damaged one.
    """
    manifest = read_manifest(weights).model_copy(update={"gate": None})  # what a gate needs is added when they load
    groups: list[tuple[Role, ...]] = [(role,) for role in manifest.models]
    if manifest.one_encoder:
        groups = [group for group in groups if group[0] not in JOINT_ROLES] + [JOINT_ROLES]
    return [ExportedNetwork(weights, manifest, roles) for roles in groups]


def export(weights: Path, *, anew: bool = False) -> None:
    """Make OpenVINO files of every network in a weights folder, float32, and name them in its manifest.

    Args:
        weights: weights folder.
        anew: also of those that have such files, made from these weights.

    Raises:
        WeightsError: weights are missing or damaged, or OpenVINO computes something else than torch.
        OutputError: the weights folder cannot be written.
    """
    for network in exported_networks(weights):
        if anew or not network.exported:
            made = _export(network)
            network.note(made)
            name = " and ".join(network.roles)
            _LOG.info("%s: %s, largest difference from torch %.1e", name, made.file, made.difference)
    remove_unnamed_files(weights)


def _export(network: ExportedNetwork) -> Fp32Version:
    backend = OpenVinoBackend(available_cores(), "fp32")
    fields = network.write(network.model(backend), "fp32")
    xml, _ = network.files("fp32")
    image = np.concatenate([probe_image(network.size_wh)[..., ::step] for step in (1, -1)[: network.views]])
    torch_runner = TorchCpuBackend().load(network.graph, network.size_wh, "", views=network.views)
    difference = largest_difference(backend.open(xml, views=network.views)(image), torch_runner(image))
    if not difference <= _MAX_DIFFERENCE:
        raise WeightsError(
            f"OpenVINO computes something else than torch for the {network.roles[0]}: outputs differ by "
            f"{difference:.1%} of the largest; nothing was noted in the manifest"
        )
    return Fp32Version(
        **fields,
        weights_sha256="",
        versions={"openvino": version("openvino"), "torch": version("torch")},
        probe=network.probe(backend.open(xml)),
        difference=float(f"{difference:.2g}"),
    )


def largest_difference(found: npt.NDArray[np.float32], expected: npt.NDArray[np.float32]) -> float:
    """Largest difference of two outputs, shape (1, channels, ...), as a share of the largest number of its channel."""
    found, expected = (output[0].reshape(output.shape[1], -1) for output in (found, expected))
    return float((np.abs(found - expected).max(1) / np.abs(expected).max(1)).max())


def publish(run: Path, weights: Path) -> list[Role]:
    """Take the networks of a training run's folder over into a weights folder, beside those already there.

    Their OpenVINO files there are dropped, and those that they shared: `export` and `streamer quantise` make new ones.
    A segmenter on the encoder of the classifier that is replaced stays joined with one that has the same encoder.

    Raises:
        WeightsError: the run has no manifest or a file is missing or damaged.
        OutputError: the weights folder cannot be written.
    """
    manifest = read_manifest(run)
    for role, entry in manifest.models.items():
        network = load_network(run, role, manifest)  # checksum and shapes
        same_encoder = role == "classifier" and _shares_encoder(network, weights)
        try:
            weights.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the weights folder {weights}: {error.strerror}") from error
        file = f"{role}.safetensors"  # whatever the run calls it: another name could be another network's
        write_whole(weights / file, (run / entry.file).read_bytes())
        write_entry(weights, role, entry.model_copy(update={"file": file, "int8": None, "fp32": None}))
        _drop_shared_with(role, weights)
        if same_encoder:
            segmenter = read_manifest(weights).models["segmenter"]
            write_entry(weights, "segmenter", segmenter.model_copy(update={"encoder_from": entry.sha256}))
    remove_unnamed_files(weights)
    return list(manifest.models)


def _shares_encoder(classifier: nn.Module, weights: Path) -> bool:
    """Whether a classifier has, bit for bit, the encoder of a folder's segmenter, which is the present classifier's."""
    try:
        manifest = read_manifest(weights)
        if not manifest.one_encoder:
            return False
        segmenter = load_network(weights, "segmenter", manifest).get_submodule("encoder").state_dict()
    except WeightsError:  # an empty folder, or a segmenter that is of no use any more
        return False
    own = classifier.state_dict()
    return all(
        name in own and torch.equal(tensor, own[name])
        for name, tensor in segmenter.items()
        if tensor.is_floating_point()
    )


def _drop_shared_with(role: Role, weights: Path) -> None:
    """Forget the OpenVINO versions in which other networks were joined with one that is replaced."""
    for other, entry in read_manifest(weights).models.items():
        stale = {
            name: None
            for name, version in (("int8", entry.int8), ("fp32", entry.fp32))
            if version is not None and role in version.joined_with
        }
        if stale:
            write_entry(weights, other, entry.model_copy(update=stale))
