"""The neck around the nodules: maps of mean echo level and of mirror-like reflections, in tissue coordinates.

Levels and shapes were chosen to look like clinical transverse views of a lobe: gland between trachea and carotid
artery, strap muscles and fat in front, longus colli muscle and oesophagus behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamer.phantom.scene import Neck
from streamer.phantom.speckle import smooth_noise

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TissueGrid:
    """Sample positions in tissue: x, z in mm, both of shape (rows, columns), `step_mm` apart."""

    x: Map
    z: Map
    step_mm: float

    @classmethod
    def covering(cls, half_width_mm: float, depth_mm: float, step_mm: float) -> TissueGrid:
        """A grid over -half_width to half_width and 0 to depth."""
        x = np.arange(-half_width_mm, half_width_mm, step_mm).astype(np.float32)
        z = np.arange(0, depth_mm, step_mm).astype(np.float32)
        grid_x, grid_z = np.meshgrid(x, z)
        return cls(grid_x, grid_z, step_mm)


class Anatomy:
    """Echo level `level_db` (dB relative to thyroid) and specular reflections `mirror` (amplitude; gland speckle is 1).

    Later structures are painted over earlier ones, from the background forward.
    """

    def __init__(self, neck: Neck, grid: TissueGrid, slant_per_mm: float, seed: int) -> None:
        """Paint the neck on `grid`; beams spread by `slant_per_mm` (relative widening a mm of depth)."""
        self._neck, self._grid, self._slant = neck, grid, slant_per_mm
        self._rng = np.random.default_rng([seed, 3])
        self.level_db: Map = np.zeros_like(grid.x)
        self.mirror: Map = np.zeros_like(grid.x)
        self._background()
        self._muscles_behind()
        self._front()
        self._gland()
        self._vessels()
        self._trachea()
        # Uneven contact of the probe darkens some columns a little.
        self.level_db += self._noise(30, 2.5)

    def _noise(self, sigma_z_mm: float, sigma_x_mm: float) -> Map:
        step = self._grid.step_mm
        return smooth_noise(self._rng, self._grid.x.shape, sigma_z_mm / step, sigma_x_mm / step)

    def _wave(self, amplitude_mm: float) -> Map:
        """A smooth curve over x: how far a layer's border lies off its mean depth, shape (1, columns)."""
        x = self._grid.x[:1]
        phases = self._rng.uniform(0, 2 * np.pi, 3)
        periods_mm = (46, 25, 13)
        total = sum(np.sin(2 * np.pi * x / p + q) * p / 46 for p, q in zip(periods_mm, phases, strict=True))
        return np.asarray(amplitude_mm * total, np.float32)

    def _ellipse(self, centre: tuple[float, float], radii: tuple[float, float], tilt: float = 0.0) -> Map:
        """About the distance (mm) to an ellipse, negative inside."""
        dx, dz = self._grid.x - centre[0], self._grid.z - centre[1]
        u = (dx * np.cos(tilt) + dz * np.sin(tilt)) / radii[0]
        v = (dz * np.cos(tilt) - dx * np.sin(tilt)) / radii[1]
        return np.asarray((np.hypot(u, v) - 1) * np.sqrt(radii[0] * radii[1]), np.float32)

    def _paint(self, distance: Map, level: Map | float, soft_mm: float = 0.25) -> None:
        """Set the level where `distance` is negative and hide reflections from what lay there before."""
        inside = np.clip(0.5 - distance / soft_mm, 0, 1)
        self.level_db += inside * (level - self.level_db)
        self.mirror *= 1 - inside

    def _line(self, distance: Map, strength: float, width_mm: float = 0.14, weight: Map | float = 1.0) -> None:
        """A reflecting border where `distance` is 0, brightest where it lies across the beam."""
        slope_z, slope_x = np.gradient(distance, self._grid.step_mm)
        facing = (slope_z**2 / (slope_z**2 + slope_x**2 + 1e-6)) ** 2
        patchy = np.exp(0.55 * self._noise(0.5, 2.2) + 0.2 * self._noise(0.2, 0.5))
        self.mirror += weight * strength * (0.1 + facing) * patchy * np.exp(-0.5 * (distance / width_mm) ** 2)

    def _behind(self, centre: tuple[float, float], half_width_mm: float, soft_mm: float) -> Map:
        """Weight 0 to 1 of tissue that lies, along the beams, behind an object."""
        widening = (1 + self._slant * self._grid.z) / (1 + self._slant * centre[1])
        off_axis = np.abs(self._grid.x / widening - centre[0])
        across = np.clip(0.5 - (off_axis - half_width_mm) / soft_mm, 0, 1)
        return np.asarray(across * np.clip((self._grid.z - centre[1]) / 0.8, 0, 1), np.float32)

    def _background(self) -> None:
        """Connective tissue, with strands and patches."""
        self.level_db = -11 + 4 * self._noise(0.5, 1.6) + 4 * self._noise(2, 3)
        strands = np.exp(-((self._noise(0.45, 2.2) / 0.14) ** 2))
        self.mirror = np.asarray(3 * strands * np.clip(self._noise(1.5, 2), 0, 2), np.float32)

    def _muscles_behind(self) -> None:
        centre_x, centre_z = self._neck.lobe_centre_xz_mm
        bottom = centre_z + self._neck.lobe_radii_xz_mm[1]
        stripes = 2.5 * self._noise(0.16, 1.8)
        bone = self._grid.z - (bottom + 7.5 + self._wave(0.8) - 0.05 * self._grid.x)
        self._paint(-bone, -22 + stripes, 2.5)
        self._line(bone, 3.5, 0.4, np.clip(self._noise(9, 3), 0.1, 1.5))
        longus = self._ellipse((centre_x + 2.5, bottom + 4.0), (8.5, 3.0), 0.08)
        self._paint(longus + 0.5 * self._noise(1, 1.5), -13 + 1.5 * stripes, 0.8)
        self._line(longus, 1.5, 0.25)
        gullet = self._ellipse((centre_x - 7.0, bottom + 2.6), (3.2, 2.3))
        self._paint(gullet, -12.0, 0.5)
        self._paint(gullet + 1.1, -3 + 4 * self._noise(0.3, 0.8), 0.4)
        self._line(gullet, 2.0)

    def _front(self) -> None:
        """Skin, fat with septa, the muscles in front of the gland and the fascias between them."""
        z, fat = self._grid.z, self._neck.fat_mm
        stripes = 2.0 * self._noise(0.14, 2.2)
        fascia = np.asarray(z - (fat + 1.4 + self._wave(0.35)), np.float32)
        gland_top = z - (self._neck.gland_top_mm - 0.2 + self._wave(0.3) + 0.0035 * (self._grid.x - 2) ** 2)
        self._paint(gland_top, self._neck.muscle_db + stripes)
        between = z - (fat + 3.0 + self._wave(0.4) + 0.05 * self._grid.x)
        self._line(between, 2.2)
        fibres = np.exp(-((self._noise(0.2, 2.0) / 0.1) ** 2)) * np.clip(self._noise(0.8, 2), 0, 2)
        self.mirror += np.where((fascia > 0.3) & (gland_top < -0.3), 1.6 * fibres, 0)
        sterno = self._ellipse((15.5, fat + 4.6), (10.5, 3.0), 0.12)
        self._paint(sterno, self._neck.muscle_db + 0.5 + stripes)
        self.mirror += np.where(sterno < -0.4, 1.6 * fibres, 0)
        self._line(sterno, 3.5)
        self._paint(fascia, -6 + 2 * self._noise(0.3, 2))
        septa = np.exp(-((self._noise(0.28, 3.5) / 0.1) ** 2)) * np.clip(0.4 + self._noise(0.8, 3), 0, 2)
        self.mirror += np.where(fascia < -0.2, 3.0 * septa, 0)
        self._line(fascia, 5.0, 0.2)
        self._line(np.asarray(fascia + 0.5, np.float32), 3.0, 0.15)
        skin = z - 1.1
        self._paint(skin, 2.0)
        self._line(z - 0.25, 3.5, 0.15)
        self._line(skin, 2.0, 0.15)

    def _gland(self) -> None:
        """The lobe and the isthmus over the trachea, homogeneous and bright, with a thin capsule."""
        lobe_centre, lobe_radii = self._neck.lobe_centre_xz_mm, self._neck.lobe_radii_xz_mm
        dx, dz = (self._grid.x - lobe_centre[0]) / lobe_radii[0], (self._grid.z - lobe_centre[1]) / lobe_radii[1]
        # A superellipse: the lobe is fuller than an ellipse.
        lobe = ((np.abs(dx) ** 2.6 + np.abs(dz) ** 2.6) ** (1 / 2.6) - 1) * np.sqrt(lobe_radii[0] * lobe_radii[1])
        top = self._neck.gland_top_mm
        isthmus = np.maximum(np.abs(self._grid.z - top - 2.2 - self._wave(0.2)) - 1.9, self._grid.x - lobe_centre[0])
        # Smooth union, so that the isthmus grows out of the lobe.
        blend = 1.2
        gland = -blend * np.logaddexp(-lobe / blend, -isthmus / blend) + 0.25 * self._noise(1.5, 1.5)
        gland = np.asarray(gland, np.float32)
        self._paint(gland, 0.7 * self._noise(0.8, 1.2))
        self._line(gland, 2.4)

    def _vessels(self) -> None:
        """Carotid artery and jugular vein: echo-free, with bright walls and brighter tissue behind them."""
        centre_x, centre_z = self._neck.lobe_centre_xz_mm
        artery_x = centre_x + self._neck.lobe_radii_xz_mm[0] + 3.4
        artery = self._ellipse((artery_x, centre_z + 1.5), (3.1, 2.9))
        vein = self._ellipse((artery_x + 4.3, self._neck.fat_mm + 9.0), (4.0, 1.7), 0.35)
        for distance, centre, half_width, gain in (
            (vein, (artery_x + 4.3, self._neck.fat_mm + 10.5), 2.8, 3.0),
            (artery, (artery_x, centre_z + 4.2), 2.2, 7.0),
        ):
            self.level_db += gain * self._behind(centre, half_width, 1.2) * np.exp(-(self._grid.z - centre[1]) / 9)
            wall = np.abs(distance - 0.45) - 0.45
            self._paint(wall, 2.0)
            self._paint(distance, -38.0, 0.3)
            self._line(np.asarray(distance - 0.1, np.float32), 3.0)

    def _trachea(self) -> None:
        """A bright arc of air behind a dark cartilage ring; behind it shadow and fading repeats of the arc."""
        inner_edge = self._neck.lobe_centre_xz_mm[0] - self._neck.lobe_radii_xz_mm[0]
        centre = (inner_edge - 6.0, self._neck.gland_top_mm + 12.2)
        radius = 8.0
        ring = self._ellipse(centre, (radius, radius))
        shadow = self._air_shadow(centre, radius)
        # Only the near half returns echoes.
        near = np.clip((centre[1] - 2 - self._grid.z) / 3, 0, 1).astype(np.float32)
        self._paint(ring, -13.0, 0.5)
        self._line(ring, 2.4, weight=near)
        air = ring + 1.4
        self._paint(air, -21 + 3 * self._noise(0.5, 2.0), 0.8)
        dark = -18 - 0.5 * np.clip(self._grid.z - centre[1] + radius, 0, 16) + 2.5 * self._noise(2, 1.2)
        self.level_db += shadow * (dark - self.level_db)
        self.mirror *= 1 - shadow
        self._line(air, 7.0, 0.22, near)
        for order in (1, 2, 3):
            repeat = self._ellipse((centre[0], centre[1] + 2.6 * order), (radius - 1.5, radius - 1.5))
            self._line(repeat, 0.9 * 0.45**order, 0.5, near)

    def _air_shadow(self, centre: tuple[float, float], radius: float) -> Map:
        """Weight 0 to 1 of what the air in the trachea hides: all behind its near wall, less sharply with depth."""
        widening = (1 + self._slant * self._grid.z) / (1 + self._slant * centre[1])
        off_axis = np.abs(self._grid.x / widening - centre[0])
        wall = centre[1] - np.sqrt(np.maximum(radius**2 - off_axis**2, 0))
        behind = np.clip((self._grid.z - wall - 2.2) / 2.5, 0, 1)
        soft = 1.2 + 0.12 * np.maximum(self._grid.z - centre[1], 0)
        edge = radius - 0.4 + 0.5 * self._noise(3, 0.8)
        return np.asarray(behind * np.clip(0.5 - (off_axis - edge) / soft, 0, 1), np.float32)
