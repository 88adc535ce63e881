"""From the beams to the picture: where each beam sample and each pixel lies in tissue, compression, and the frame."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from streamer.phantom.anatomy import Map
from streamer.phantom.scene import Scanner

# Samples of the simulated echo: about 0.08 mm along a beam, enough for a point-spread function of sigma 0.06 mm up.
_SAMPLES_PER_MM = 12
_BEAMS = 288
# Normal thyroid, at no gain, lies this far above black, relative to the dynamic range.
_GLAND_GREY = 0.53
_INK = 170


class ProbeGeometry:
    """The geometry of one probe and one picture.

    Attributes:
        beam_x, beam_z: position (mm) of the beam samples, shape (samples, beams).
        pixel_x, pixel_z: position (mm) of the pixel centres, shape (height, width).
        inside: which pixels show the scan, bool, shape (height, width).
        slant_per_mm: relative widening of the scan a mm of depth.
    """

    def __init__(self, scanner: Scanner, width: int, height: int) -> None:
        """Lay the scan out in a picture of width x height pixels, with a black border."""
        self._scanner = scanner
        depth, half = scanner.depth_mm, scanner.width_mm / 2
        self.slant_per_mm = scanner.spread / depth
        samples = round(depth * _SAMPLES_PER_MM)
        # Beams diverge from a virtual apex behind the probe's face; u is where a beam leaves the face.
        u = np.linspace(-half, half, _BEAMS, dtype=np.float32)[None, :]
        along = np.linspace(0, depth, samples, dtype=np.float32)[:, None]
        length = np.sqrt(1 + (u * self.slant_per_mm) ** 2)
        self.beam_z = np.asarray(along / length, np.float32)
        self.beam_x = np.asarray(u * (1 + self.slant_per_mm * self.beam_z), np.float32)

        bottom_mm = scanner.width_mm * (1 + scanner.spread)
        self.px_per_mm = min(0.90 * width / bottom_mm, 0.88 * height / depth)
        self.top_px = round(0.04 * height)
        columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self.pixel_x = np.asarray((columns + 0.5 - width / 2) / self.px_per_mm, np.float32)
        self.pixel_z = np.asarray((rows + 0.5 - self.top_px) / self.px_per_mm, np.float32)
        face = self.pixel_x / (1 + self.slant_per_mm * np.maximum(self.pixel_z, 0))
        way = self.pixel_z * np.sqrt(1 + (face * self.slant_per_mm) ** 2)
        self.inside = np.asarray((np.abs(face) <= half) & (way >= 0) & (way <= depth), np.bool_)
        self._map_beam = np.asarray((face + half) / (2 * half) * (_BEAMS - 1), np.float32)
        self._map_sample = np.asarray(way / depth * (samples - 1), np.float32)
        self._border = self._draw_border(width, height)

    @property
    def psf_sigma_samples(self) -> tuple[float, float]:
        """Point-spread function (axial, lateral) in samples and beams, at the probe's face."""
        axial_mm, lateral_mm = self.spacing_mm
        return self._scanner.axial_mm / axial_mm, self._scanner.lateral_mm / lateral_mm

    @property
    def spacing_mm(self) -> tuple[float, float]:
        """Distance between samples along a beam and between beams at the probe's face."""
        return 1 / _SAMPLES_PER_MM, self._scanner.width_mm / (_BEAMS - 1)

    def attenuation_db(self) -> Map:
        """Loss left at each beam sample, dB, shape (samples, beams); none at the gland's usual depth of 15 mm."""
        depth_cm = (self.beam_z - 15) / 10
        focus = np.where(depth_cm > 0, depth_cm, 0.3 * depth_cm)
        return np.asarray(-self._scanner.attenuation_db_per_cm * focus, np.float32)

    def compress(self, envelope: Map) -> Map:
        """Log compression to grey levels (not clipped) and speckle reduction; gland speckle has power 1."""
        scanner = self._scanner
        level_db = np.asarray(20 * np.log10(np.maximum(envelope, 1e-6)), np.float32)
        if scanner.smoothing:
            smooth = cv2.GaussianBlur(level_db, (0, 0), sigmaX=1.5, sigmaY=1.1)
            level_db += scanner.smoothing * (smooth - level_db)
        grey = (level_db + scanner.gain_db) / scanner.dynamic_range_db + _GLAND_GREY
        return np.asarray(255 * grey, np.float32)

    def show(self, grey: Map) -> npt.NDArray[np.uint8]:
        """Scan-convert beam samples to the picture, uint8, shape (height, width), with border and depth ticks."""
        clipped = np.clip(grey, 0, 255).astype(np.float32)
        where = self._map_beam, self._map_sample
        picture = cv2.remap(clipped, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(np.where(self.inside, np.rint(picture), self._border), np.uint8)

    def _draw_border(self, width: int, height: int) -> npt.NDArray[np.uint8]:
        """Black with depth ticks every 5 mm (longer every 10 mm), a grey bar and the probe's marker; no text."""
        border = np.zeros((height, width), np.uint8)
        for tick in range(0, int(self._scanner.depth_mm) + 1, 5):
            row = self.top_px + round(tick * self.px_per_mm)
            cv2.line(border, (width - 3 - (7 if tick % 10 == 0 else 3), row), (width - 4, row), _INK, 1)
        bar = np.linspace(255, 0, height // 5).astype(np.uint8)[:, None]
        top = height // 2
        border[top : top + len(bar), 4 : 4 + max(4, width // 60)] = bar
        middle, size = width // 2, max(2, height // 120)
        points = np.array([(middle - size, 3), (middle + size, 3), (middle, 3 + 2 * size)], np.int32)
        cv2.fillPoly(border, [points], 230)
        return border
