"""A simulated neck: thyroid, salivary glands, soft tissue, each with its share of the administered activity.

Coordinates are millimetres in the camera's plane: x to the image's right (the patient's left), y downwards, (0, 0) at
the isthmus. Activities are shares of what was administered, at about 20 minutes after the injection.

Where the numbers come from:

- Size of a normal lobe, 40 to 60 mm long and 13 to 18 mm wide and deep: textbooks of thyroid ultrasound.
- Uptake of a normal gland, 0.4 to 1.7 % at 20 minutes with a parallel-hole camera: Ramos et al., Sao Paulo Med J
  2002;120:45-48 (47 normal individuals).
- In Graves' disease several times that, in the subacute phase below the normal range, and the class's appearance:
  Front Endocrinol 2023;14:1224191, "Classification criteria", and its Figure 1.
- Soft tissue: pertechnetate is an extracellular tracer, about 30 litres in an adult at 20 minutes (assumed); 0.12 per
  cm is the broad-beam attenuation of 140 keV photons in soft tissue.
- Salivary, oral and oesophageal activity: set by eye so that the nine real views in docs/scintigraphy.md are matched.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from streamer.scintigraphy.classes import Diagnosis

Map = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Variant = Literal["diffuse", "regional", "cold", "cold-crossing", "hot", "even"]

ATTENUATION_PER_MM = 0.012
DISTRIBUTION_ML = 30_000.0
_THYROID_DEPTH_MM = 20.0
_NORMAL_UPTAKE = (0.004, 0.017)
_NECK_THICKNESS_MM = 120.0
_TORSO_THICKNESS_MM = 160.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ellipsoid:
    """An ellipsoid seen from the front: centre and half axes in mm, tilt in degrees (clockwise on the image)."""

    x_mm: float
    y_mm: float
    half_width_mm: float
    half_height_mm: float
    half_depth_mm: float
    tilt_degrees: float = 0.0

    @property
    def volume_ml(self) -> float:
        """Volume in millilitres."""
        return 4 / 3 * float(np.pi) * self.half_width_mm * self.half_height_mm * self.half_depth_mm / 1000

    def thickness_mm(self, x_mm: Map, y_mm: Map) -> Map:
        """Length of a ray from the front through it, shape of the grids."""
        turn = np.deg2rad(self.tilt_degrees)
        across, down = x_mm - self.x_mm, y_mm - self.y_mm
        one = (across * np.cos(turn) + down * np.sin(turn)) / self.half_width_mm
        other = (down * np.cos(turn) - across * np.sin(turn)) / self.half_height_mm
        depth = np.sqrt(np.maximum(1 - one * one - other * other, 0)) * (2 * self.half_depth_mm)
        return np.asarray(depth, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodule:
    """A nodule and its concentration relative to the tissue around it (below 1 cold, above 1 hot)."""

    shape: Ellipsoid
    relative: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A simulated patient.

    Attributes:
        label: the class.
        variant: how the class shows.
        uptake: share of the administered activity in the gland.
        right, left: lobes by the patient's side; the right one is on the image's left.
        bridge: isthmus, and the pyramidal lobe where there is one.
        nodules: of a tumour.
        affected: regions with reduced uptake in regional thyroiditis, with their relative concentration.
        texture: relative standard deviation of the concentration within the gland.
        salivary: relative activity of the salivary glands and the mouth.
        oesophagus: relative activity in the oesophagus; 0 for none.
        marker: whether a hot marker lies on the suprasternal notch.
        neck_half_width_mm: half the width of the neck.
        seed: of the texture.
    """

    label: Diagnosis
    variant: Variant
    uptake: float
    right: Ellipsoid
    left: Ellipsoid
    bridge: tuple[Ellipsoid, ...]
    nodules: tuple[Nodule, ...] = ()
    affected: tuple[Nodule, ...] = ()
    texture: float = 0.06
    salivary: float = 1.0
    oesophagus: float = 0.0
    marker: bool = False
    neck_half_width_mm: float = 55.0
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """What the camera would count in each pixel of the plane with perfect resolution, per mm2 and unit of activity.

    Attributes:
        thyroid, background: activity per mm2, attenuated, shape (height, width).
        right, left: outlines of the lobes, with half of the isthmus each.
        lesion: where the disease shows: nodule, affected region, the whole gland if it is diffuse; empty if normal.
    """

    thyroid: Map
    background: Map
    right: Mask
    left: Mask
    lesion: Mask


def draw_subject(label: Diagnosis, rng: np.random.Generator) -> Subject:
    """Draw a patient of a class: anatomy with its variation, uptake and lesions.

    Example:
        >>> draw_subject("graves", np.random.default_rng(0)).uptake > 0.02
        True
    """
    normal = _normal_subject(rng)
    if label == "normal":
        return normal
    if label == "graves":
        return _graves(normal, rng)
    return _subacute(normal, rng) if label == "subacute" else _tumour(normal, rng)


def _normal_subject(rng: np.random.Generator) -> Subject:
    length, width, depth = rng.uniform(40, 58), rng.uniform(13, 18), rng.uniform(12, 18)
    apart = width / 2 + rng.uniform(4, 8)
    lean = rng.uniform(4, 18)

    def lobe(side: int) -> Ellipsoid:
        ratio = rng.normal(1.0, 0.07)
        return Ellipsoid(
            x_mm=side * apart + rng.normal(0, 1),
            y_mm=-0.12 * length + rng.normal(0, 2),
            half_width_mm=width / 2 * ratio,
            half_height_mm=length / 2 * ratio,
            half_depth_mm=depth / 2 * ratio,
            tilt_degrees=side * (lean + rng.normal(0, 3)),
        )

    isthmus = Ellipsoid(
        x_mm=0, y_mm=length * 0.16, half_width_mm=apart, half_height_mm=rng.uniform(5, 9), half_depth_mm=2.5
    )
    return Subject(
        label="normal",
        variant="even",
        uptake=_log_uniform(rng, *_NORMAL_UPTAKE),
        right=lobe(-1),
        left=lobe(1),
        bridge=(isthmus,),
        texture=float(rng.uniform(0.03, 0.09)),
        salivary=_log_uniform(rng, 0.4, 1.8),
        oesophagus=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.12 else 0.0,
        marker=bool(rng.random() < 0.1),
        neck_half_width_mm=float(rng.uniform(48, 66)),
        seed=int(rng.integers(2**31)),
    )


def _graves(subject: Subject, rng: np.random.Generator) -> Subject:
    scale = float(rng.uniform(1.2, 3.5)) ** (1 / 3)
    bridge = [_scaled(part, scale) for part in subject.bridge]
    bridge = [replace(part, half_depth_mm=part.half_depth_mm * 1.6) for part in bridge]
    if rng.random() < 0.35:  # the pyramidal lobe, which Graves' disease makes visible
        side, length = float(rng.choice([-1, 1])), float(rng.uniform(15, 30))
        bridge.append(
            Ellipsoid(
                x_mm=4 * side,
                y_mm=bridge[0].y_mm - length * 0.8,
                half_width_mm=3.5,
                half_height_mm=length,
                half_depth_mm=3.0,
                tilt_degrees=8 * side,
            )
        )
    return replace(
        subject,
        label="graves",
        variant="diffuse",
        uptake=_log_uniform(rng, 0.025, 0.25),
        right=_scaled(subject.right, scale),
        left=_scaled(subject.left, scale),
        bridge=tuple(bridge),
        texture=float(rng.uniform(0.02, 0.07)),
    )


def _subacute(subject: Subject, rng: np.random.Generator) -> Subject:
    if rng.random() < 0.7:
        return replace(
            subject,
            label="subacute",
            variant="diffuse",
            uptake=_log_uniform(rng, 0.0002, 0.0025),
            texture=float(rng.uniform(0.1, 0.3)),
        )
    lobe = subject.right if rng.random() < 0.5 else subject.left
    inflamed = replace(
        lobe,
        y_mm=lobe.y_mm + float(rng.uniform(-0.3, 0.3)) * lobe.half_height_mm,
        half_width_mm=lobe.half_width_mm * 1.3,
        half_height_mm=lobe.half_height_mm * float(rng.uniform(0.7, 1.3)),
    )
    return replace(
        subject,
        label="subacute",
        variant="regional",
        uptake=_log_uniform(rng, 0.001, 0.005),
        affected=(Nodule(shape=inflamed, relative=float(rng.uniform(0.03, 0.25))),),
        texture=float(rng.uniform(0.1, 0.25)),
    )


def _tumour(subject: Subject, rng: np.random.Generator) -> Subject:
    lobe = subject.right if rng.random() < 0.5 else subject.left
    hot = rng.random() < 0.3
    radius = float(rng.uniform(6, 14) if hot else rng.uniform(6, 17))
    place = {
        "x_mm": lobe.x_mm + float(rng.uniform(-0.5, 0.5)) * lobe.half_width_mm,
        "y_mm": lobe.y_mm + float(rng.uniform(-0.55, 0.65)) * lobe.half_height_mm,
    }
    stretch = float(rng.uniform(0.8, 1.25))
    shape = Ellipsoid(
        **place, half_width_mm=radius, half_height_mm=radius * stretch, half_depth_mm=radius, tilt_degrees=0
    )
    if hot:
        return replace(
            subject,
            label="tumour",
            variant="hot",
            uptake=_log_uniform(rng, 0.006, 0.03),
            nodules=(Nodule(shape=shape, relative=_log_uniform(rng, 5, 40)),),
        )
    nodules = [Nodule(shape=shape, relative=float(rng.uniform(0.0, 0.2)))]
    crossing = rng.random() < 0.15
    if crossing:  # an invasive tumour that reaches the other lobe
        other = replace(shape, x_mm=-shape.x_mm * 0.5, half_width_mm=radius * 0.8)
        nodules.append(Nodule(shape=other, relative=nodules[0].relative))
    return replace(
        subject,
        label="tumour",
        variant="cold-crossing" if crossing else "cold",
        uptake=_log_uniform(rng, *_NORMAL_UPTAKE),
        nodules=tuple(nodules),
    )


def project(subject: Subject, x_mm: Map, y_mm: Map, pixel_mm: float) -> Projection:
    """Project a subject on the camera's plane.

    Args:
        subject: whom.
        x_mm, y_mm: coordinates of the pixels' centres, shape (height, width).
        pixel_mm: side of a pixel.
    """
    rng = np.random.default_rng(subject.seed)
    lobes = [subject.right, subject.left, *subject.bridge]
    thickness = np.maximum.reduce([part.thickness_mm(x_mm, y_mm) for part in lobes])
    concentration = _texture(thickness.shape, subject.texture, pixel_mm, rng)
    outline = thickness > 0
    lesion = np.zeros_like(outline)
    activity = thickness * concentration
    for region in subject.affected:
        inside = region.shape.thickness_mm(x_mm, y_mm) > 0
        activity[inside] *= region.relative
        lesion |= inside & outline
    for nodule in subject.nodules:
        ray = nodule.shape.thickness_mm(x_mm, y_mm)
        # A nodule displaces the tissue in front and behind; a hot one stands out of the gland.
        activity = np.maximum(activity - np.minimum(ray, thickness), 0) + nodule.relative * ray
        lesion |= ray > 0
        outline |= ray > 0
    if subject.variant == "diffuse":
        lesion = outline.copy()
    attenuation = float(np.exp(-ATTENUATION_PER_MM * _THYROID_DEPTH_MM))
    total = float(activity.sum()) * pixel_mm**2
    thyroid = activity * np.float32(subject.uptake * attenuation / total)
    return Projection(
        thyroid=np.asarray(thyroid, np.float32),
        background=_background(subject, x_mm, y_mm),
        right=outline & (x_mm < 0),
        left=outline & (x_mm >= 0),
        lesion=lesion,
    )


@dataclass(frozen=True, slots=True)
class _Spot:
    """An ellipsoid of activity: its shape, its share of the activity, and whether it has a mirror image."""

    shape: Ellipsoid
    share: float
    paired: bool = field(default=False)


def _background(subject: Subject, x_mm: Map, y_mm: Map) -> Map:
    """Soft tissue, salivary glands, mouth, oesophagus and marker, attenuated; activity per mm2."""
    rng = np.random.default_rng([subject.seed, 1])
    neck = subject.neck_half_width_mm
    thickness = _silhouette_mm(neck, x_mm, y_mm)
    seen_ml = (1 - np.exp(-ATTENUATION_PER_MM * thickness)) / ATTENUATION_PER_MM / 1000  # per mm2
    background = np.asarray(seen_ml / DISTRIBUTION_ML, np.float32)
    jitter = float(rng.normal(0, 5))
    spots = [
        _Spot(_spot(neck * 1.05, -95 + jitter, 9, 24, 12, 8), 0.0030, paired=True),  # parotid glands
        _Spot(_spot(neck * 0.52, -62 + jitter, 8, 13, 8, 12), 0.0017, paired=True),  # submandibular glands
        _Spot(_spot(float(rng.normal(0, 3)), -88 + jitter, 26, 7, 10, 0), 0.0036),  # mouth
        _Spot(_spot(0, -125 + jitter, 10, 16, 10, 0), 0.0012),  # nose
    ]
    for spot in spots:
        share = spot.share * subject.salivary * float(rng.lognormal(0, 0.35))
        sides = (1, -1) if spot.paired else (1,)
        for side in sides:
            uneven = float(rng.lognormal(0, 0.2)) if spot.paired else 1.0
            mirrored = replace(spot.shape, x_mm=side * spot.shape.x_mm, tilt_degrees=side * spot.shape.tilt_degrees)
            background += _density(mirrored, share * uneven, x_mm, y_mm)
    if subject.oesophagus:
        swallowed = _spot(float(rng.uniform(4, 9)), 10, 3, 55, 3, 0)
        background += _density(swallowed, 0.0008 * subject.oesophagus, x_mm, y_mm)
    if subject.marker:
        background += _density(_spot(0, 62, 2.5, 2.5, 2.5, 0), 0.00012, x_mm, y_mm)
    return background


def _silhouette_mm(neck: float, x_mm: Map, y_mm: Map) -> Map:
    """Thickness of head, neck and shoulders along a ray, an ellipse across."""
    down = np.clip((y_mm + 45) / 25, -1, 1)
    head = neck * 1.32 * np.sqrt(np.clip(1 - ((y_mm + 105) / 125) ** 2, 0.05, 1))
    shoulders = neck + np.maximum(y_mm - 25, 0) ** 1.25 * 1.7 + 3
    half = np.where(down < 0, head + (neck - head) * (1 + down), neck + (shoulders - neck) * down)
    depth = _NECK_THICKNESS_MM + (_TORSO_THICKNESS_MM - _NECK_THICKNESS_MM) * np.clip((y_mm - 20) / 60, 0, 1)
    depth = np.where(down < 0, _TORSO_THICKNESS_MM, depth)
    inside = np.clip(1 - (x_mm / np.maximum(half, 1)) ** 2, 0, None)
    return np.asarray(depth * np.sqrt(inside), np.float32)


def _spot(x: float, y: float, width: float, height: float, depth: float, tilt: float) -> Ellipsoid:
    return Ellipsoid(x_mm=x, y_mm=y, half_width_mm=width, half_height_mm=height, half_depth_mm=depth, tilt_degrees=tilt)


def _density(shape: Ellipsoid, share: float, x_mm: Map, y_mm: Map) -> Map:
    """The share of the activity that the ellipsoid holds, per mm2."""
    return shape.thickness_mm(x_mm, y_mm) * np.float32(share / (shape.volume_ml * 1000))


def _texture(shape: tuple[int, ...], deviation: float, pixel_mm: float, rng: np.random.Generator) -> Map:
    """Relative concentration, mean 1, that varies over about a centimetre."""
    noise = rng.standard_normal(shape, np.float32)
    smooth = np.asarray(cv2.GaussianBlur(noise, (0, 0), 5 / pixel_mm), np.float32)
    smooth /= max(float(smooth.std()), 1e-6)
    return np.asarray(np.clip(1 + deviation * smooth, 0.1, None), np.float32)


def _scaled(part: Ellipsoid, scale: float) -> Ellipsoid:
    return replace(
        part,
        x_mm=part.x_mm * scale,
        y_mm=part.y_mm * scale,
        half_width_mm=part.half_width_mm * scale,
        half_height_mm=part.half_height_mm * scale,
        half_depth_mm=part.half_depth_mm * scale,
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
