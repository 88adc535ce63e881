"""A nodule's cross-section at a moment of the sweep: its exact outline and what it looks like inside."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from streamer.phantom.anatomy import Map, TissueGrid
from streamer.phantom.scene import NoduleSpec
from streamer.phantom.speckle import smooth_noise

# Punctate foci are shown while the plane is this close to them, as a fraction of the nodule's half length.
_FOCUS_REACH = 0.16
_FOCUS_SIGMA_MM = 0.13
# Amplitude of a focus against gland speckle: chosen to look like clinical images.
_FOCUS_AMPLITUDE = 16.0
_CYST_DB = -15.0
_HALO_MM = 0.8
_LOBES = np.arange(2, 9)


class SimulatedNodule:
    """An ellipsoid with a lumpy surface, cut by the plane of the sweep."""

    def __init__(self, spec: NoduleSpec, grid: TissueGrid, slant_per_mm: float, seed: int) -> None:
        """Draw the lobes of its margin, its cysts and its calcifications."""
        self.spec = spec
        self._grid, self._slant = grid, slant_per_mm
        rng = np.random.default_rng([seed, 4])
        self._lobe_phase = rng.uniform(0, 2 * np.pi, _LOBES.size)
        self._lobe_turn = rng.uniform(-1.5, 1.5, _LOBES.size)
        self._lobe_size = rng.uniform(0.4, 1, _LOBES.size) / np.sqrt(_LOBES - 1)
        foci = rng.uniform(-0.85, 0.85, (spec.calcifications, 3))
        self._foci = foci[np.linalg.norm(foci, axis=1) < 0.9]
        self._focus_strength = rng.uniform(0.5, 1, len(self._foci))
        sigma = 0.3 / grid.step_mm
        self._cells = [smooth_noise(rng, grid.x.shape, sigma, sigma) for _ in range(2)] if spec.cystic_fraction else []
        # The noise is normal: below its quantile lies the wanted share of the area.
        self._cyst_cut = float(ndtri(spec.cystic_fraction)) if self._cells else 0.0

    def offset(self, moment: float) -> float:
        """Plane to nodule centre at `moment` (0 to 1 of the sweep), in half lengths: between -1 and 1 it is cut."""
        return (moment - self.spec.position) / self.spec.half_span

    def contains(self, x: Map, z: Map, moment: float) -> npt.NDArray[np.bool_]:
        """Which points (mm, any common shape) lie in the cross-section."""
        if abs(self.offset(moment)) >= 1:
            return np.zeros(x.shape, bool)
        return self._distance(x, z, moment) < 0

    def paint(self, level_db: Map, mirror: Map, moment: float) -> None:
        """Paint the cross-section into maps of echo level (dB) and specular amplitude on the grid, in place."""
        offset = self.offset(moment)
        if abs(offset) >= 1:
            return
        window = self._window()
        x, z = self._grid.x[window], self._grid.z[window]
        distance = self._distance(x, z, moment)
        self._posterior(level_db, offset)
        inside = np.clip(0.5 - distance / self.spec.margin_mm, 0, 1)
        level = np.full(x.shape, self.spec.echogenicity_db, np.float32)
        if self._cells:
            turn = 1.5 * offset
            cells = np.cos(turn) * self._cells[0][window] + np.sin(turn) * self._cells[1][window]
            wall = _HALO_MM if self.spec.halo_db else 0.2
            level += np.where((cells < self._cyst_cut) & (distance < -wall), _CYST_DB, 0.0)
        if self.spec.halo_db:
            level += self.spec.halo_db * np.exp(-(((distance + _HALO_MM / 2) / (_HALO_MM / 2)) ** 2))
        level_db[window] += inside * (level - level_db[window])
        mirror[window] *= 1 - inside
        self._calcify(mirror[window], x, z, offset)

    def _window(self) -> tuple[slice, slice]:
        """The part of the grid that the nodule can reach."""
        reach_x, reach_z = (radius * 1.6 + 1 for radius in self.spec.radii_xz_mm)
        centre_x, centre_z = self.spec.centre_xz_mm
        columns = np.searchsorted(self._grid.x[0], (centre_x - reach_x, centre_x + reach_x))
        rows = np.searchsorted(self._grid.z[:, 0], (centre_z - reach_z, centre_z + reach_z))
        return slice(*rows.tolist()), slice(*columns.tolist())

    def _distance(self, x: Map, z: Map, moment: float) -> Map:
        """About the distance (mm) to the cut's border, negative inside; radii fall off as sqrt(1 - offset^2)."""
        offset = self.offset(moment)
        radius_x, radius_z = self.spec.radii_xz_mm
        u, v = (x - self.spec.centre_xz_mm[0]) / radius_x, (z - self.spec.centre_xz_mm[1]) / radius_z
        radius = np.hypot(u, v)
        bumps = np.ones_like(radius)
        if self.spec.irregularity:
            direction = np.arctan2(v, u)
            for lobe, phase, turn, size in zip(_LOBES, self._lobe_phase, self._lobe_turn, self._lobe_size, strict=True):
                bumps += self.spec.irregularity * size * np.cos(lobe * direction + phase + turn * offset)
        scale = np.sqrt(1 - offset**2)
        return np.asarray((radius - scale * bumps) * np.sqrt(radius_x * radius_z), np.float32)

    def _calcify(self, mirror: Map, x: Map, z: Map, offset: float) -> None:
        for (along_x, along_z, along_sweep), strength in zip(self._foci, self._focus_strength, strict=True):
            near = np.exp(-0.5 * ((along_sweep - offset) / (0.5 * _FOCUS_REACH)) ** 2)
            if near < 0.05:
                continue
            centre_x = self.spec.centre_xz_mm[0] + along_x * self.spec.radii_xz_mm[0]
            centre_z = self.spec.centre_xz_mm[1] + along_z * self.spec.radii_xz_mm[1]
            spot = np.exp(-0.5 * ((x - centre_x) ** 2 + (z - centre_z) ** 2) / _FOCUS_SIGMA_MM**2)
            mirror += (_FOCUS_AMPLITUDE * strength * near * spot).astype(np.float32)

    def _posterior(self, level_db: Map, offset: float) -> None:
        """Brighter or darker tissue behind the nodule, along the beams."""
        if not self.spec.posterior_db:
            return
        centre_x, centre_z = self.spec.centre_xz_mm
        scale = np.sqrt(1 - offset**2)
        first = int(np.searchsorted(self._grid.z[:, 0], centre_z))
        x, z = self._grid.x[first:], self._grid.z[first:]
        off_axis = np.abs(x * (1 + self._slant * centre_z) / (1 + self._slant * z) - centre_x)
        half_width = max(scale * self.spec.radii_xz_mm[0] * 0.85, 0.1)
        across = np.clip(1.3 - off_axis / half_width, 0, 1)
        along = np.exp(-(z - centre_z) / 14)
        level_db[first:] += self.spec.posterior_db * scale * across * along
