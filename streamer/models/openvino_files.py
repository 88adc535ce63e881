"""A network as OpenVINO files: whether they are whole and its own, and whether they compute what they should.

Integers are multiplied differently from one kind of processor to the next (some overflow), so each machine runs the
network once on a synthetic probe image and compares the output with the one noted in the manifest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamer.backends import Runner
from streamer.backends._openvino_graph import append_pooled_features
from streamer.errors import WeightsError
from streamer.models.frame_features import ROWS, anchors
from streamer.models.joint_output import MASK, class_logits
from streamer.models.weights import FilePrecision
from streamer.models.weights_manifest import Manifest, OpenVinoVersion, Role

_RUNS = 16
"""Numbers a channel in a summary at most."""

_TOLERANCES: dict[FilePrecision, float] = {"int8": 0.1, "fp32": 0.001}
"""Largest difference of two summaries, as a share of the channel's largest number.

The published int8 networks differ by 0 between AVX512-VNNI and AMX, and by up to 0.02 without either. In float32
processors differ by the order of sums only.
"""
_REMEDIES: dict[FilePrecision, str] = {"int8": "streamer quantise", "fp32": "streamer publish"}
"""What makes the files."""


@dataclass(frozen=True, slots=True)
class NetworkFiles:
    """The OpenVINO files of a role's network in a weights folder, as backends take them; there must be such.

    Where the segmenter is joined with the classifier in one file, each is a part of what that gives.
    """

    folder: Path
    role: Role
    manifest: Manifest
    precision: FilePrecision

    @property
    def path(self) -> Path:
        """OpenVINO's `.xml` file."""
        return self.folder / self._version.file

    @property
    def digest(self) -> str:
        """Both files' checksums, as the manifest has them, and whether the graph is changed when it is read."""
        features = " with features" if self._with_features else ""
        return f"{self._version.xml_sha256} {self._version.bin_sha256}{features}"

    def check_files(self) -> None:
        """Check that the files are whole and were made from the weights in use.

        Raises:
            WeightsError: they are damaged, missing or stale.
        """
        version, models = self._version, self.manifest.models
        made_from = {self.role: version.weights_sha256, **version.joined_with}
        in_use = {role: models[role].sha256 for role in made_from if role in models}
        if made_from != in_use or version.preprocessing != models[self.role].preprocessing:
            raise WeightsError(f"the {self._name} was made from other weights: repeat `{_REMEDIES[self.precision]}`")
        for path, expected in ((self.path, version.xml_sha256), (self.path.with_suffix(".bin"), version.bin_sha256)):
            try:
                found = hashlib.sha256(path.read_bytes()).hexdigest()
            except OSError as error:
                raise WeightsError(f"cannot read the {self._name}, {path}: {error.strerror}") from error
            if found != expected:
                raise WeightsError(f"{path} is damaged: its sha256 differs from the manifest's; restore or remake it")

    def check_output(self, runner: Runner) -> None:
        """Check that `runner`, which runs this version, computes what it gave where it was made.

        Raises:
            WeightsError: it does not.
        """
        try:
            found = self._summary(runner)
        except RuntimeError as error:
            raise WeightsError(f"the {self._name} does not run: {str(error).strip()}") from error
        if not agree(found, self._version.probe, _TOLERANCES[self.precision]):
            raise WeightsError(f"the {self._name} computes something else on this processor")

    def prepare(self, model: Any) -> None:
        """Let a detector give its features of the whole frame, too, where there is a gate that judges by them."""
        if self._with_features:
            append_pooled_features(model, ROWS)

    def part_of(self, runner: Runner) -> Runner:
        """The role's own output, out of that of the file."""
        if not self._version.joined_with:
            return runner
        return _mask_of(runner) if self.role == "segmenter" else _logits_of(runner)

    @property
    def _name(self) -> str:
        return f"{self.precision} version of the {self.role}"

    @property
    def _version(self) -> OpenVinoVersion:
        entry = self.manifest.models[self.role]
        version = entry.int8 if self.precision == "int8" else entry.fp32
        assert version is not None  # whoever makes a NetworkFiles has looked
        return version

    def _summary(self, runner: Runner) -> tuple[tuple[float, ...], ...]:
        size_wh = self._version.preprocessing.size_wh
        output = runner(probe_image(size_wh))
        return summary(output[:, :, : anchors(size_wh)] if self._with_features else output)

    @property
    def _with_features(self) -> bool:
        return self.role == "detector" and self.manifest.gate is not None


@dataclass(frozen=True, slots=True)
class JointFiles(NetworkFiles):
    """Segmenter and classifier as one network that looks at `views` images of each nodule."""

    views: int

    def part_of(self, runner: Runner) -> Runner:
        """All of it."""
        return runner

    def _summary(self, runner: Runner) -> tuple[tuple[float, ...], ...]:
        # The logits of the further views, of the same image here, are those of the first.
        image = np.repeat(probe_image(self._version.preprocessing.size_wh), self.views, axis=0)
        return summary(runner(image)[:, : len(self._version.probe)])


def _mask_of(joint: Runner) -> Runner:
    return lambda grey: joint(grey)[:, MASK] if len(grey) else np.zeros(0, np.float32)


def _logits_of(joint: Runner) -> Runner:
    return lambda grey: class_logits(joint(grey))[:, 0] if len(grey) else np.zeros(0, np.float32)


def probe_image(size_wh: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A synthetic picture, shape (1, height, width): grains on grey, darker in an ellipse; integer arithmetic only."""
    width, height = size_wh
    y, x = np.mgrid[:height, :width].astype(np.int64)
    grain = (x // 2 * 73856093) ^ (y // 2 * 19349663)
    grain = (grain * 83492791) & 0xFFFFFFFF
    grain = (grain ^ (grain >> 15)) % 128
    inside = ((2 * x - width) * 3 * height) ** 2 + ((2 * y - height) * 3 * width) ** 2 < (width * height) ** 2
    return np.asarray(np.where(inside, 20 + grain // 4, 60 + grain)[None], np.uint8)


def summary(output: npt.NDArray[np.float32]) -> tuple[tuple[float, ...], ...]:
    """The output for one image in a few numbers: the means over equal runs of each channel.

    Args:
        output: shape (1, channels, ...), or (1, n) for one channel of n numbers.
    """
    channels = output[0].reshape(1 if output.ndim == 2 else output.shape[1], -1).astype(np.float64)
    runs = min(_RUNS, channels.shape[1])
    return tuple(tuple(round(float(part.mean()), 6) for part in np.array_split(channel, runs)) for channel in channels)


def agree(found: tuple[tuple[float, ...], ...], expected: tuple[tuple[float, ...], ...], tolerance: float) -> bool:
    """Whether two summaries are of the same output, up to a share of the largest number of each channel."""
    if [len(channel) for channel in found] != [len(channel) for channel in expected]:
        return False
    return all(
        np.abs(np.subtract(ours, theirs)).max() <= tolerance * np.abs(theirs).max()  # NaN agrees with nothing
        for ours, theirs in zip(found, expected, strict=True)
    )
