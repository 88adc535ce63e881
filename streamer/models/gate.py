"""A gate in front of the answers: does a frame look like the B-mode views of the neck that the detector knows?

It detects what is out of distribution by the detector's own pooled features, which are computed anyway, in three ways:
how much more a frame is like some kind of known view than like some kind of other thing (linear discriminant analysis
of many kinds), a linear score against ultrasound of other organs, and a distance from the known views alone
(Mahalanobis; Lee et al., NeurIPS 2018), which rejects what is like none of them. A frame passes if none of the three
falls short of its threshold. `streamer fit-gate` fits them. A frame costs a few products of small matrices.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from streamer._files import write_whole
from streamer.errors import WeightsError
from streamer.models.weights import checked_content
from streamer.models.weights_manifest import Manifest

REJECTED = "not a B-mode view of the neck"
"""What overlay, page and report say of a frame that the gate rejects."""
LIFTED = "probe in the air"
"""The same of one that looks like nothing but the ringing of the probe's face."""
COLOURED = "colour Doppler"
"""The same of a view of the neck with colour in it."""

GATE_FILE = "gate.safetensors"
LIMIT = 8.0
"""Standard deviations at which a feature is cut off: one that goes wild alone must not decide."""
_ARRAYS = (
    "mean",
    "scale",
    "known_weight",
    "known_bias",
    "other_weight",
    "other_bias",
    "score_weight",
    "score_bias",
    "axes",
    "gain",
)
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Scores and a distance, each with its threshold.

    Attributes:
        mean: of each feature in known views, shape (features,).
        scale: standard deviation of each feature in known views, above 0, shape (features,).
        known_weight: of each scaled feature in how much a frame is like each kind of known view, shape
            (kinds, features).
        known_bias: of the same, shape (kinds,).
        other_weight: of each scaled feature in how much it is like each kind of other thing, shape (others, features).
        other_bias: of the same, shape (others,).
        score_weight: of each scaled feature in two more scores, shape (2, features): of a known view against other
            organs, and of a probe in the air against anything else.
        score_bias: of those scores, shape (2,).
        axes: directions in which known views vary most, orthonormal, shape (axes, features).
        gain: by which the square along each axis counts more than off all axes, in the distance, shape (axes,);
            negative, as known views vary more along them.
        min_scores: of the first two scores, from which on a frame passes.
        max_distance: distance up to which it does.
    """

    mean: Floats
    scale: Floats
    known_weight: Floats
    known_bias: Floats
    other_weight: Floats
    other_bias: Floats
    score_weight: Floats
    score_bias: Floats
    axes: Floats
    gain: Floats
    min_scores: tuple[float, float]
    max_distance: float

    def scores(self, features: Floats) -> Floats:
        """The scores of each frame, shape (n, 3); the higher the first two, the more it looks like a known view.

        They are the log-odds of some kind of known view against some kind of other thing, a score against other organs,
        and one of a probe in the air.

        Args:
            features: shape (n, features); columns behind those of the gate are left out.
        """
        seen = self._scaled(features)
        known = np.logaddexp.reduce(seen @ self.known_weight.T + self.known_bias, axis=1)
        other = np.logaddexp.reduce(seen @ self.other_weight.T + self.other_bias, axis=1)
        return np.column_stack([known - other, seen @ self.score_weight.T + self.score_bias])

    def distances(self, features: Floats) -> Floats:
        """How far each frame is from known views, in standard deviations of a feature, shape (n,)."""
        seen = self._scaled(features)
        squares = (seen**2).sum(1) + ((seen @ self.axes.T) ** 2) @ self.gain
        return np.asarray(np.sqrt(np.maximum(squares, 0) / seen.shape[1]))

    def passes(self, features: Floats) -> npt.NDArray[np.bool_]:
        """Whether each frame looks like a B-mode view of the neck, shape (n,)."""
        return self._passing(features, self.scores(features))

    def rejections(self, features: Floats) -> list[str]:
        """Why each frame does not pass; empty where it does."""
        scores = self.scores(features)
        return [
            "" if passed else LIFTED if air else REJECTED
            for passed, air in zip(self._passing(features, scores), scores[:, 2] > 0, strict=True)
        ]

    def _passing(self, features: Floats, scores: Floats) -> npt.NDArray[np.bool_]:
        known = (scores[:, :2] >= self.min_scores).all(axis=1)
        return np.asarray(known & (self.distances(features) <= self.max_distance))

    def _scaled(self, features: Floats) -> Floats:
        return scaled(features[:, : len(self.mean)], self.mean, self.scale)


def scaled(features: Floats, mean: Floats, scale: Floats) -> Floats:
    """Features as the score sees them, shape (n, features): in standard deviations, cut off at `LIMIT`."""
    return np.asarray(np.clip((features - mean) / scale, -LIMIT, LIMIT), np.float32)


def save_gate(gate: Gate, folder: Path) -> str:
    """Write the gate's parameters into a weights folder; return the file's sha256.

    Raises:
        OutputError: it cannot be written.
    """
    content = save({name: np.ascontiguousarray(getattr(gate, name), np.float32) for name in _ARRAYS})
    write_whole(folder / GATE_FILE, content)
    return hashlib.sha256(content).hexdigest()


def load_gate(folder: Path, manifest: Manifest) -> Gate | None:
    """The gate of a weights folder; None where it has none.

    Raises:
        WeightsError: its file is missing or damaged, or it was fitted to another detector.
    """
    entry = manifest.gate
    if entry is None:
        return None
    if entry.detector_sha256 != manifest.models["detector"].sha256:
        raise WeightsError(f"the gate of {folder} was fitted to another detector: repeat `streamer fit-gate`")
    path = folder / entry.file
    content = checked_content(path, entry.sha256, what="the gate", remedy="restore it or fit it again")
    try:
        tensors = load(content)
        arrays = {name: tensors[name] for name in _ARRAYS}
        return Gate(**arrays, min_scores=entry.min_scores, max_distance=entry.max_distance)
    except (SafetensorError, KeyError) as error:
        raise WeightsError(
            f"{path} is no gate of this version: repeat `streamer fit-gate`, or set detection.gate to false"
        ) from error
