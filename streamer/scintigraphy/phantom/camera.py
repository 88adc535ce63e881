"""A gamma camera: point-spread function, sensitivity, scatter, Poisson counts; and the hospitals that use one.

Where the numbers come from:

- 100,000 counts a view, for which a high-resolution collimator generally needs 10 minutes: procedure guideline of the
  German Society of Nuclear Medicine, version 3 (Nuklearmedizin 2007;46:203-205, doi:10.1160/nukmed-0284). `south`
  follows it.
- Imaging 15 to 30 minutes after the injection: Society of Nuclear Medicine, Procedure Guideline for Thyroid
  Scintigraphy, version 2.0 (1999). 74 to 370 MBq, 100,000 to 200,000 counts and a pinhole of 5 mm or less: its version
  3.0 (2006). 74 to 111 MBq: EANM practice guideline and SNMMI procedure standard (Eur J Nucl Med Mol Imaging
  2019;46:2514-2525, doi:10.1007/s00259-019-04472-8). These four are quoted from summaries; the texts were not at hand.
- More counts than that, in `north` and `west`, and their limit of 5 minutes: assumed, within the activities above.
- Parallel holes: the collimator's blur grows linearly with distance and adds in squares to the crystal's; LEHR cameras
  have about 7.5 mm FWHM at 10 cm, 3.8 mm intrinsic, and about 90 counts a second and MBq (typical data sheets).
- Pinhole: blur d(f + h)/f, sensitivity d^2 cos^3(theta)/(16 h^2), with diameter d, focal length f and distance h:
  Cherry, Sorenson and Phelps, Physics in Nuclear Medicine, 4th edition, chapter 14.
- Scatter within the energy window, a quarter of the primary counts over a broad kernel: assumed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from streamer.scintigraphy.phantom.anatomy import Map, Mask, Subject, project

Counts = npt.NDArray[np.uint16]
Interpolation = Literal["nearest", "linear", "cubic"]

_FWHM_IN_SIGMAS = 2.3548
_INTRINSIC_MM = 3.8
_SCATTER_SHARE = 0.25
_SCATTER_SIGMA_MM = 28.0
_LEHR_MM = (2.1, 0.044)
"""Collimator blur at its face, and what a millimetre of distance adds: 6.5 mm at 10 cm, so 7.5 mm with the crystal."""
_LEHR_CPS_PER_MBQ = 90.0
_FINEST_MM = 1.2
"""The activity is drawn on pixels no larger than this, and summed to the camera's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """How a camera sees.

    Attributes:
        model: as a DICOM header names it.
        matrix: pixels a side.
        field_mm: side of the field of view in the plane of the gland.
        collimator: parallel holes (LEHR) or a pinhole.
        distance_mm: between the collimator (the pinhole) and the gland, least and greatest.
        pinhole_mm: diameter.
        focal_mm: from the pinhole to the crystal.
    """

    model: str
    matrix: int
    field_mm: float
    collimator: Literal["parallel", "pinhole"]
    distance_mm: tuple[float, float]
    pinhole_mm: float = 4.0
    focal_mm: float = 200.0

    @property
    def pixel_mm(self) -> float:
        """Side of a pixel in the plane of the gland."""
        return self.field_mm / self.matrix

    def fwhm_mm(self, distance_mm: float) -> float:
        """Full width at half maximum of a point at a distance.

        Example:
            >>> round(HOSPITALS["north"].camera.fwhm_mm(100), 1)
            7.5
        """
        if self.collimator == "parallel":
            return float(np.hypot(_INTRINSIC_MM, _LEHR_MM[0] + _LEHR_MM[1] * distance_mm))
        blur = self.pinhole_mm * (self.focal_mm + distance_mm) / self.focal_mm
        return float(np.hypot(_INTRINSIC_MM * distance_mm / self.focal_mm, blur))

    def sensitivity(self, distance_mm: float, x_mm: Map, y_mm: Map) -> Map:
        """Counts a second and MBq at each place of the plane, shape of the grids."""
        if self.collimator == "parallel":
            return np.full(x_mm.shape, _LEHR_CPS_PER_MBQ, np.float32)
        cosine = distance_mm / np.sqrt(distance_mm**2 + x_mm**2 + y_mm**2)
        on_axis = 0.89e6 * self.pinhole_mm**2 / (16 * distance_mm**2)  # 0.89: photons of 140 keV a decay of 99mTc
        return np.asarray(on_axis * cosine**3, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """How a hospital's pictures look.

    Attributes:
        side_px: side of the picture.
        interpolation: how the matrix is enlarged.
        colour_map: "grey", "inverse-grey", or a DICOM palette.
        window: range of the share of the highest counts that is white.
        quality: of the JPEG.
    """

    side_px: int
    interpolation: Interpolation
    colour_map: str
    window: tuple[float, float]
    quality: int = 92


@dataclass(frozen=True, slots=True, kw_only=True)
class Hospital:
    """A centre: its camera, its protocol and the look of its exports.

    Attributes:
        name: folder and centre.
        camera: what it acquires with.
        activity_mbq: administered, least and greatest.
        counts: where the acquisition stops.
        limit_s: or after this time.
        export: how its pictures look.
    """

    name: str
    camera: Camera
    activity_mbq: tuple[float, float]
    counts: tuple[float, float]
    limit_s: float
    export: Export


HOSPITALS: dict[str, Hospital] = {
    hospital.name: hospital
    for hospital in (
        Hospital(
            name="north",
            camera=Camera(model="PARALLEL-128", matrix=128, field_mm=256, collimator="parallel", distance_mm=(60, 110)),
            activity_mbq=(150, 220),
            counts=(150_000, 250_000),
            limit_s=300,
            export=Export(side_px=256, interpolation="linear", colour_map="grey", window=(0.85, 1.0)),
        ),
        Hospital(
            name="south",
            camera=Camera(model="PINHOLE-256", matrix=256, field_mm=190, collimator="pinhole", distance_mm=(80, 110)),
            activity_mbq=(74, 111),
            counts=(80_000, 120_000),
            limit_s=600,
            export=Export(side_px=384, interpolation="cubic", colour_map="HOT_IRON", window=(0.6, 0.9), quality=85),
        ),
        Hospital(
            name="west",
            camera=Camera(model="PARALLEL-256", matrix=256, field_mm=300, collimator="parallel", distance_mm=(50, 90)),
            activity_mbq=(111, 185),
            counts=(200_000, 350_000),
            limit_s=300,
            export=Export(side_px=256, interpolation="nearest", colour_map="inverse-grey", window=(0.7, 1.0)),
        ),
    )
}
"""Simulated centres; their names stand for nothing real."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """A simulated planar image with its truth.

    Attributes:
        counts: shape (matrix, matrix).
        pixel_mm: side of a pixel.
        seconds: acquisition time.
        right, left, lesion: true regions, shape of the counts; see `Projection`.
        right_counts, left_counts: expected counts of each lobe's own activity, wherever they fall.
    """

    counts: Counts
    pixel_mm: float
    seconds: float
    right: Mask
    left: Mask
    lesion: Mask
    right_counts: float
    left_counts: float


def acquire(subject: Subject, hospital: Hospital, rng: np.random.Generator) -> Acquisition:
    """Take a planar anterior image of a subject.

    Example:
        >>> from streamer.scintigraphy.phantom.anatomy import draw_subject
        >>> rng = np.random.default_rng(0)
        >>> acquire(draw_subject("normal", rng), HOSPITALS["north"], rng).counts.shape
        (128, 128)
    """
    camera = hospital.camera
    finer = int(np.ceil(camera.pixel_mm / _FINEST_MM))
    side, fine_mm = camera.matrix * finer, camera.pixel_mm / finer
    steps = (np.arange(side, dtype=np.float32) + 0.5) * np.float32(fine_mm) - np.float32(camera.field_mm / 2)
    centre_x, centre_y = rng.normal(0, 6), rng.normal(-0.17 * (camera.field_mm - 150), 10)
    x_mm, y_mm = np.meshgrid(steps + np.float32(centre_x), steps + np.float32(centre_y))
    distance = float(rng.uniform(*camera.distance_mm))
    truth = project(subject, x_mm, y_mm, fine_mm)
    sensitivity = camera.sensitivity(distance, x_mm - np.float32(centre_x), y_mm - np.float32(centre_y))
    # Activity per mm2 times counts a second and MBq: seen rate a pixel for 1 MBq administered.
    thyroid, background = (part * sensitivity * np.float32(fine_mm**2) for part in (truth.thyroid, truth.background))
    sigma = camera.fwhm_mm(distance) / _FWHM_IN_SIGMAS
    seen = _blurred(thyroid, sigma, fine_mm) + _blurred(background, sigma * 1.3, fine_mm)  # tissue lies deeper
    seen += np.float32(_SCATTER_SHARE) * _blurred(thyroid + background, _SCATTER_SIGMA_MM, fine_mm)
    rate = np.maximum(_summed(seen, finer), 0) * np.float32(rng.uniform(*hospital.activity_mbq))
    seconds = min(float(rng.uniform(*hospital.counts)) / float(rate.sum()), hospital.limit_s)
    counts = np.minimum(rng.poisson(rate * seconds), np.iinfo(np.uint16).max).astype(np.uint16)
    to_counts = seconds * float(rate.sum()) / float(seen.sum())
    return Acquisition(
        counts=counts,
        pixel_mm=camera.pixel_mm,
        seconds=seconds,
        right=_majority(truth.right, finer),
        left=_majority(truth.left, finer),
        lesion=_majority(truth.lesion, finer),
        right_counts=float(thyroid[truth.right].sum()) * to_counts,
        left_counts=float(thyroid[truth.left].sum()) * to_counts,
    )


def _blurred(image: Map, sigma_mm: float, pixel_mm: float) -> Map:
    sigma = sigma_mm / pixel_mm
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


def _summed(image: Map, factor: int) -> Map:
    side = len(image) // factor
    return np.asarray(image.reshape(side, factor, side, factor).sum(axis=(1, 3)), np.float32)


def _majority(mask: Mask, factor: int) -> Mask:
    return np.asarray(_summed(mask.astype(np.float32), factor) * 2 > factor**2, np.bool_)
