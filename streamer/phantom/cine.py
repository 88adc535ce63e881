"""The sweep: frames of a simulated cine with the exact mask of every nodule in view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamer.phantom.anatomy import Anatomy, Map, TissueGrid
from streamer.phantom.nodule import SimulatedNodule
from streamer.phantom.scene import BENIGN, SUSPICIOUS, Neck, NoduleSpec, Scanner
from streamer.phantom.speckle import Field, ScattererVolume, blur, envelope, power_after_blur
from streamer.phantom.view import ProbeGeometry
from streamer.types import Image

_STEP_MM = 0.1
_PADDING_MM = 4.0
# Slices of scatterers that a sweep passes. At 90 frames neighbouring frames then correlate by 0.996 and frames five
# apart by 0.96; real sweeps measured 0.986 to 0.998 and 0.89 to 0.98.
_SLICES_PER_SWEEP = 24.0
# Share of a reflection that scatters with random phase: borders of tissue are rough, so they glitter.
_ROUGHNESS = 0.7
# Weakest echo above the electronic noise, relative to gland.
_NOISE_FLOOR_DB = -26.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomFrame:
    """A simulated frame and its ground truth.

    Attributes:
        image: RGB grey, uint8, shape (height, width, 3).
        masks: name of each nodule in view -> its cross-section, bool, shape (height, width), never empty.
    """

    image: Image
    masks: Mapping[str, npt.NDArray[np.bool_]]

    def box_xyxy(self, name: str) -> tuple[int, int, int, int]:
        """Bounding box of a nodule in view: left, top, right, bottom in pixels, half-open.

        Raises:
            KeyError: the nodule is not in view.
        """
        rows, columns = np.nonzero(self.masks[name])
        return int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1


def simulate(
    *,
    seed: int = 0,
    frames: int = 90,
    width: int = 640,
    height: int = 480,
    nodules: tuple[NoduleSpec, ...] = (BENIGN, SUSPICIOUS),
    neck: Neck | None = None,
    scanner: Scanner | None = None,
) -> Iterator[PhantomFrame]:
    """Simulate a sweep over a lobe, frame by frame; the same arguments give the same frames.

    Args:
        seed: 0 or more; decides speckle, tissue texture, motion and each nodule's fine shape.
        frames: length of the sweep; nodules come and go at fractions of it.
        width, height: size of the picture in pixels.
        nodules: what to find, with unique names; empty for a nodule-free clip.
        neck: anatomy; the default one if None.
        scanner: probe and picture settings; the default ones if None.

    Raises:
        ValueError: an argument is out of its range or two nodules share a name.
    """
    if seed < 0 or frames < 1 or min(width, height) < 64:
        given = f"{seed=}, {frames=}, {width=}, {height=}"
        raise ValueError(f"expected seed >= 0, frames >= 1, width and height >= 64; got {given}")
    if len({spec.name for spec in nodules}) < len(nodules):
        raise ValueError("nodules must have unique names")
    sweep = _Sweep(seed, ProbeGeometry(scanner or Scanner(), width, height), nodules, neck or Neck())
    return (sweep.frame(index / max(1, frames - 1)) for index in range(frames))


class _Sweep:
    """Everything that stays the same over a sweep."""

    def __init__(self, seed: int, view: ProbeGeometry, nodules: tuple[NoduleSpec, ...], neck: Neck) -> None:
        self._view = view
        sign = np.float32(-1 if neck.mirrored else 1)
        self._beams = _Motion(sign * view.beam_x, view.beam_z, seed)
        self._pixels = _Motion(sign * view.pixel_x, view.pixel_z, seed)
        half_width = float(np.abs(view.beam_x).max()) + _PADDING_MM
        self._half_width = half_width
        self._grid = TissueGrid.covering(half_width, float(view.beam_z.max()) + _PADDING_MM, _STEP_MM)
        self._anatomy = Anatomy(neck, self._grid, view.slant_per_mm, seed)
        self._scatterers = ScattererVolume(seed, (self._grid.x.shape[0], self._grid.x.shape[1]))
        self._nodules = [
            SimulatedNodule(spec, self._grid, view.slant_per_mm, seed * 100 + number)
            for number, spec in enumerate(nodules)
        ]
        power = [
            power_after_blur(sigma, spacing_mm / _STEP_MM)
            for sigma, spacing_mm in zip(view.psf_sigma_samples, view.spacing_mm, strict=True)
        ]
        self._gain = np.asarray(10 ** (view.attenuation_db() / 20) / np.sqrt(np.prod(power)), np.float32)

    def frame(self, moment: float) -> PhantomFrame:
        """The frame at `moment`, 0 to 1 of the sweep."""
        echo = self._echo(moment)
        grey = self._view.compress(envelope(echo) * self._gain)
        image = cv2.cvtColor(self._view.show(grey), cv2.COLOR_GRAY2RGB)
        return PhantomFrame(image=np.asarray(image, np.uint8), masks=self._masks(moment))

    def _echo(self, moment: float) -> Field:
        """The complex echo at the beam samples, shape (samples, beams, 2)."""
        level_db, mirror = self._anatomy.level_db.copy(), self._anatomy.mirror.copy()
        for nodule in self._nodules:
            nodule.paint(level_db, mirror, moment)
        np.maximum(level_db, _NOISE_FLOOR_DB, out=level_db)
        amplitude = np.exp(level_db * np.float32(np.log(10) / 20))
        amplitude += _ROUGHNESS * mirror
        field = self._scatterers.plane(moment * _SLICES_PER_SWEEP) * amplitude[..., None]
        field[..., 0] += (1 - _ROUGHNESS) * mirror
        x, z = self._beams.tissue_at(moment)
        moved = cv2.remap(
            field, (x + self._half_width) / _STEP_MM, z / _STEP_MM, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
        )
        return blur(np.asarray(moved, np.float32), *self._view.psf_sigma_samples)

    def _masks(self, moment: float) -> dict[str, npt.NDArray[np.bool_]]:
        seen = [nodule for nodule in self._nodules if abs(nodule.offset(moment)) < 1]
        if not seen:
            return {}
        x, z = self._pixels.tissue_at(moment)
        masks = {nodule.spec.name: nodule.contains(x, z, moment) & self._view.inside for nodule in seen}
        return {name: mask for name, mask in masks.items() if mask.any()}


class _Motion:
    """Which point of tissue is seen at a place of the scan: slow drift of probe and tissue, and shapes that change."""

    def __init__(self, x: Map, z: Map, seed: int) -> None:
        self._x, self._z = x, z
        rng = np.random.default_rng([seed, 5])
        self._phase = rng.uniform(0, 2 * np.pi, 6)
        self._drift_mm = rng.uniform(0.5, 1.4)
        # The skin stays at the probe; deeper tissue follows.
        self._depth = np.clip(z / 8, 0, 1).astype(np.float32)
        first = np.sin(x / 5.5 + self._phase[0]) * np.cos(z / 6.5 + self._phase[1])
        second = np.sin(z / 5 + self._phase[2]) * np.cos(x / 6 + self._phase[3])
        self._bend_x, self._bend_z = (self._depth * first).astype(np.float32), (self._depth * second).astype(np.float32)

    def tissue_at(self, moment: float) -> tuple[Map, Map]:
        """Tissue coordinates x, z (mm) of the places given at the start."""
        along = np.float32(2 * moment - 1)
        drift_x = np.float32(self._drift_mm * np.sin(2 * np.pi * 0.7 * moment + self._phase[4]))
        drift_z = np.float32(0.35 * np.sin(2 * np.pi * 1.6 * moment + self._phase[5]))
        stretch = np.float32(0.05) * along
        x = self._x + self._depth * (drift_x + stretch * self._x) + along * self._bend_x
        z = self._z + self._depth * drift_z + np.float32(0.7) * along * self._bend_z
        return x, z
