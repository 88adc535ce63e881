"""The `quantise` command: int8 versions of a weights folder's networks, noted in its manifest."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections import Counter
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from streamer._files import atomic_paths
from streamer.backends.openvino import OpenVinoBackend, save
from streamer.backends.select import available_cores
from streamer.data.pseudo_boxes import load_proposer
from streamer.errors import OutputError
from streamer.models.classifier import views_of
from streamer.models.int8 import probe_image, summary
from streamer.models.loading import JOINT_ROLES, joint_graph, joint_key, network_graph, network_key
from streamer.models.registry import TASKS, task
from streamer.models.weights import JOINT, int8_files
from streamer.models.weights_manifest import Int8Version, Manifest, ModelEntry, Role, read_manifest, write_entry
from streamer.quantisation.calibration import calibration
from streamer.quantisation.network import correlation, quantised
from streamer.settings import ClassificationSettings
from streamer.types import Grey

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
    manifest = read_manifest(weights)
    groups: list[tuple[Role, ...]] = [(role,) for role in manifest.models]
    if manifest.one_encoder:
        groups = [group for group in groups if group[0] not in JOINT_ROLES] + [JOINT_ROLES]
    for roles in groups:
        name = " and ".join(roles)
        _LOG.info("%s: reading calibration images", name)
        made = _quantise(_Network(weights, manifest, roles), data, images)
        sources = ", ".join(f"{count} {source}" for source, count in made.calibration.items())
        _LOG.info("%s: %s, calibrated on %s; correlation with fp32 %.4f", name, made.file, sources, made.correlation)
    _sweep(weights)
    _LOG.info("measure what it costs: `streamer evaluate ... --update-manifest`")


@dataclass(frozen=True, slots=True)
class _Network:
    """What is quantised as one: a role's network, or segmenter and classifier joined."""

    weights: Path
    manifest: Manifest
    roles: tuple[Role, ...]

    @property
    def entries(self) -> list[ModelEntry]:
        return [self.manifest.models[role] for role in self.roles]

    @property
    def joined(self) -> bool:
        return len(self.roles) > 1

    @property
    def views(self) -> int:
        """Images of which the network makes one output: joined ones also look at a nodule's mirror image."""
        return ClassificationSettings(mirrored=True).views if self.joined else 1

    @property
    def files(self) -> tuple[Path, Path]:
        return int8_files(self.weights, JOINT if self.joined else self.roles[0])

    def model(self, backend: OpenVinoBackend) -> Any:
        """It as an OpenVINO model in float32, not compiled."""
        (role, *_), (entry, *_) = self.roles, self.entries
        if self.joined:
            build, key = partial(joint_graph, self.weights, self.manifest, self.views), joint_key(self.manifest)
        else:
            build, key = partial(network_graph, self.weights, role, self.manifest), network_key(entry)
        return backend.converted(build, entry.preprocessing.size_wh, key, views=self.views)

    def inputs(self, images: Grey) -> Grey:
        """What it is called with: images, shape (n, views, height, width), out of (n, height, width)."""
        return views_of(images, self.views)


def _quantise(network: _Network, data: Path, count: int) -> Int8Version:
    backend = OpenVinoBackend(available_cores(), precision="fp32")
    proposer = load_proposer(network.weights)
    parts = [
        calibration(role, entry, data, count, proposer)
        for role, entry in zip(network.roles, network.entries, strict=True)
    ]
    inputs = network.inputs(np.concatenate([part.images for part in parts]))
    original = backend.ready(network.model(backend))
    kept = tuple(pattern for role in network.roles for pattern in task(role).fp32_layers)
    fast = all(task(role).fast_bias_correction for role in network.roles)
    model = quantised(network.model(backend), inputs, fp32_layers=kept, fast_bias_correction=fast)
    xml, _ = network.files
    xml_sha256, bin_sha256 = _write(model, xml)
    compared = inputs[:: max(1, len(inputs) // _COMPARED)]
    made = Int8Version(
        file=xml.relative_to(network.weights).as_posix(),
        xml_sha256=xml_sha256,
        bin_sha256=bin_sha256,
        weights_sha256="",
        preprocessing=network.entries[0].preprocessing,
        calibration=sum((Counter(part.counts) for part in parts), Counter()),
        fp32_layers=kept,
        versions={name: version(name) for name in ("openvino", "nncf")},
        correlation=round(correlation(original, backend.open(xml, views=network.views), compared), 5),
        probe=summary(backend.open(xml)(probe_image(network.entries[0].preprocessing.size_wh))),
    )
    checksums = {role: entry.sha256 for role, entry in zip(network.roles, network.entries, strict=True)}
    for role, entry in zip(network.roles, network.entries, strict=True):
        others = {other: checksum for other, checksum in checksums.items() if other != role}
        own = made.model_copy(update={"weights_sha256": entry.sha256, "joined_with": others})
        write_entry(network.weights, role, entry.model_copy(update={"int8": own}))
    return made


def _write(model: Any, xml: Path) -> tuple[str, str]:
    """Save a model; gives the checksums of its `.xml` and `.bin`. A run that starts meanwhile falls back to fp32."""
    try:
        xml.parent.mkdir(parents=True, exist_ok=True)
        with atomic_paths(xml.with_suffix(".bin"), xml) as (binary, description):
            save(model, description)
            checksums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (description, binary)]
    except (OSError, RuntimeError) as error:
        raise OutputError(f"cannot write {xml}: {' '.join(str(error).split())}") from error
    return checksums[0], checksums[1]


def _sweep(weights: Path) -> None:
    """Remove files of networks that were quantised alone before, or joined."""
    named = {entry.int8.file for entry in read_manifest(weights).models.values() if entry.int8 is not None}
    for xml, binary in (int8_files(weights, name) for name in (*TASKS, JOINT)):
        if xml.relative_to(weights).as_posix() not in named:
            for path in (xml, binary):
                with contextlib.suppress(OSError):  # the manifest no longer names it
                    path.unlink()
