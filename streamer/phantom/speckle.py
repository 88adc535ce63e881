"""Fully developed speckle: a random field of scatterers seen through the beam's point-spread function.

Many scatterers a resolution cell with random phase add up to a circular complex Gaussian echo, whose envelope is
Rayleigh distributed with a mean over standard deviation of sqrt(pi / (4 - pi)) = 1.91 (C. B. Burckhardt, IEEE Trans.
Sonics Ultrason. 1978;25:1-6; R. F. Wagner et al., IEEE Trans. Sonics Ultrason. 1983;30:156-163).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]
"""Complex echo as two real channels, shape (rows, columns, 2)."""

# A slight blur of the scatterers, in samples of their grid, so that they can be moved by parts of a sample.
_GRID_SIGMA = 0.8
# Reach of the beam across the scan plane, in slices, and how many slices on either side still count.
_ELEVATION_SIGMA = 0.8
_ELEVATION_REACH = 2


class ScattererVolume:
    """Scatterers in slices across the scan plane; a moving plane sees their sum weighted by the beam's thickness.

    Neighbouring planes share slices, so the speckle of neighbouring frames is correlated and slowly changes.
    """

    def __init__(self, seed: int, shape: tuple[int, int]) -> None:
        """Prepare a volume of slices of `shape` (rows, columns); slices are drawn when first needed."""
        self._seed = seed
        self._shape = shape
        self._slices: dict[int, Field] = {}

    def plane(self, elevation: float) -> Field:
        """The field at `elevation` (in slices): complex Gaussian, unit mean power, shape (rows, columns, 2)."""
        nearest = round(elevation)
        wanted = range(nearest - _ELEVATION_REACH, nearest + _ELEVATION_REACH + 1)
        self._slices = {k: self._slices[k] if k in self._slices else self._draw(k) for k in wanted}
        weights = {k: float(np.exp(-0.5 * ((k - elevation) / _ELEVATION_SIGMA) ** 2)) for k in wanted}
        norm = float(np.sqrt(sum(weight**2 for weight in weights.values())))
        total = np.zeros((*self._shape, 2), np.float32)
        for k, weight in weights.items():
            cv2.scaleAdd(self._slices[k], weight / norm, total, dst=total)
        return total

    def _draw(self, k: int) -> Field:
        # Seeds must not be negative, slices may be.
        rng = np.random.default_rng([self._seed, 2, 2 * abs(k) + (k < 0)])
        white = rng.standard_normal((*self._shape, 2), np.float32)
        return blur(white, _GRID_SIGMA, _GRID_SIGMA) / np.float32(np.sqrt(2))


def blur(field: Field, sigma_axial: float, sigma_lateral: float) -> Field:
    """Convolve with a separable Gaussian of unit energy (sigmas in samples), so that white noise keeps its power."""
    axial, lateral = _unit_energy_gaussian(sigma_axial), _unit_energy_gaussian(sigma_lateral)
    return np.asarray(cv2.sepFilter2D(field, cv2.CV_32F, lateral, axial, borderType=cv2.BORDER_REFLECT), np.float32)


def power_after_blur(sigma: float, spacing: float) -> float:
    """Power gain of `blur` along one axis on the already smooth field of a `ScattererVolume`.

    Args:
        sigma: of the blur, in samples.
        spacing: distance between samples, in samples of the scatterers' grid.
    """
    lags = np.arange(-30, 31)
    # Autocorrelations of two Gaussians: of the blur's kernel and of the field.
    kernel = np.exp(-((lags / (2 * sigma)) ** 2))
    field = np.exp(-((lags * spacing / (2 * _GRID_SIGMA)) ** 2))
    return float((kernel * field).sum())


def envelope(field: Field) -> npt.NDArray[np.float32]:
    """Magnitude of the echo, shape (rows, columns)."""
    return np.asarray(cv2.magnitude(field[..., 0], field[..., 1]), np.float32)


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], sigma_rows: float, sigma_columns: float
) -> npt.NDArray[np.float32]:
    """Gaussian noise smoothed over some samples: mean 0, standard deviation 1, shape `shape`."""
    white = rng.standard_normal(shape, np.float32)
    smooth = cv2.GaussianBlur(white, (0, 0), sigmaX=sigma_columns, sigmaY=sigma_rows, borderType=cv2.BORDER_REFLECT)
    return np.asarray((smooth - smooth.mean()) / smooth.std(), np.float32)


def _unit_energy_gaussian(sigma: float) -> npt.NDArray[np.float32]:
    reach = max(1, int(np.ceil(3 * sigma)))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.asarray(kernel / np.sqrt((kernel**2).sum()), np.float32)
