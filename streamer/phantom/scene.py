"""What is simulated: nodules, the neck around them and the scanner's settings, fixed or drawn at random.

Lengths are mm of tissue: x from the probe's centre towards the carotid side, z from the skin downwards. Echogenicity is
the mean echo level in dB relative to normal thyroid (0 dB). Levels and sizes were chosen to look like clinical images
unless a source is named.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class NoduleSpec:
    """A nodule: an ellipsoid that the sweep's plane crosses.

    Attributes:
        name: unique in its scene; the key of its mask.
        centre_xz_mm: centre of its largest cross-section.
        radii_xz_mm: half width and half height of its largest cross-section.
        position: when the plane is at its centre, as a fraction of the sweep, 0 to 1.
        half_span: fraction of the sweep from its edge to its centre, above 0.
        echogenicity_db: mean echo level relative to thyroid.
        irregularity: relative amplitude of the margin's lobes; 0 is an ellipse.
        margin_mm: width over which the margin fades into the gland.
        halo_db: level of a dark rim relative to the nodule; 0 for none.
        cystic_fraction: share of its area made of tiny cysts. Spongiform means more than half (ACR TI-RADS, Tessler
            et al., J Am Coll Radiol 2017;14:587-595).
        calcifications: punctate echogenic foci in its volume.
        posterior_db: enhancement (positive) or shadow (negative) of the tissue behind it.
    """

    name: str
    centre_xz_mm: tuple[float, float]
    radii_xz_mm: tuple[float, float]
    position: float
    half_span: float
    echogenicity_db: float
    irregularity: float = 0.02
    margin_mm: float = 0.2
    halo_db: float = 0.0
    cystic_fraction: float = 0.0
    calcifications: int = 0
    posterior_db: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Neck:
    """The anatomy around the nodules: one lobe, seen in a transverse plane.

    Attributes:
        gland_scale: size of the lobe relative to the default one (about 20 x 15 mm).
        muscle_db: echo level of the strap muscles.
        fat_mm: thickness of the subcutaneous fat.
        mirrored: the trachea lies on the right of the picture instead of the left.
    """

    gland_scale: float = 1.0
    muscle_db: float = -12.0
    fat_mm: float = 2.6
    mirrored: bool = False

    @property
    def lobe_centre_xz_mm(self) -> tuple[float, float]:
        """Centre of the lobe; a larger one reaches deeper."""
        return 1.5, self.gland_top_mm + self.lobe_radii_xz_mm[1]

    @property
    def lobe_radii_xz_mm(self) -> tuple[float, float]:
        """Half width and half height of the lobe."""
        return 10.0 * self.gland_scale, 7.6 * self.gland_scale

    @property
    def gland_top_mm(self) -> float:
        """Depth of the gland's front."""
        return self.fat_mm + 5.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """The probe and the picture settings.

    Attributes:
        width_mm: length of the probe's face.
        depth_mm: depth of the picture.
        spread: how much wider the picture is at its bottom than at the probe, relative; 0 is a rectangle (linear
            scan), above 0 a trapezoid with a curved bottom (virtual convex scan).
        gain_db: brightens (positive) or darkens the picture.
        dynamic_range_db: echo levels spread over black to white.
        attenuation_db_per_cm: what the time-gain compensation left uncorrected.
        smoothing: share of speckle reduction after compression, 0 to 1.
        axial_mm, lateral_mm: standard deviation of the point-spread function along and across the beam.
    """

    width_mm: float = 40.0
    depth_mm: float = 33.0
    spread: float = 0.0
    gain_db: float = 0.0
    dynamic_range_db: float = 60.0
    attenuation_db_per_cm: float = 3.0
    smoothing: float = 0.75
    axial_mm: float = 0.075
    lateral_mm: float = 0.16


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything that `simulate` needs besides the seed, the number of frames and the picture's size."""

    nodules: tuple[NoduleSpec, ...]
    neck: Neck
    scanner: Scanner


BENIGN = NoduleSpec(
    name="benign",
    centre_xz_mm=(5.2, 15.0),
    radii_xz_mm=(4.6, 3.2),
    position=0.30,
    half_span=0.24,
    echogenicity_db=1.0,
    halo_db=-13.0,
    cystic_fraction=0.55,
    posterior_db=2.0,
)
"""Isoechoic and spongiform, with a smooth margin and a thin halo, wider than tall."""

SUSPICIOUS = NoduleSpec(
    name="suspicious",
    centre_xz_mm=(-1.2, 14.8),
    radii_xz_mm=(2.9, 4.0),
    position=0.68,
    half_span=0.24,
    echogenicity_db=-15.0,
    irregularity=0.11,
    margin_mm=0.45,
    calcifications=26,
    posterior_db=-2.5,
)
"""Darker than the strap muscles (very hypoechoic), taller than wide, lobulated margin, punctate echogenic foci: the
suspicious features of ACR TI-RADS (Tessler et al. 2017)."""


def random_scene(seed: int) -> Scene:
    """A varied scene: 0 to 3 nodules of any look, lobe size, settings and shape of the picture; the same for a seed."""
    rng = np.random.default_rng([seed, 1])
    neck = Neck(
        gland_scale=float(rng.uniform(0.75, 1.3)),
        muscle_db=float(rng.uniform(-14, -8)),
        fat_mm=float(rng.uniform(1.6, 5.0)),
        mirrored=bool(rng.random() < 0.5),
    )
    scanner = Scanner(
        width_mm=float(rng.uniform(34, 44)),
        depth_mm=float(max(rng.uniform(28, 42), neck.lobe_centre_xz_mm[1] + neck.lobe_radii_xz_mm[1] + 4)),
        spread=0.0 if rng.random() < 0.5 else float(rng.uniform(0.15, 0.6)),
        gain_db=float(rng.uniform(-6, 5)),
        dynamic_range_db=float(rng.uniform(52, 72)),
        attenuation_db_per_cm=float(rng.uniform(0.5, 4)),
        smoothing=float(rng.uniform(0.4, 1.0)),
        axial_mm=float(rng.uniform(0.06, 0.11)),
        lateral_mm=float(rng.uniform(0.12, 0.24)),
    )
    count = int(rng.choice(4, p=(0.15, 0.4, 0.3, 0.15)))
    nodules: list[NoduleSpec] = []
    for _ in range(40):
        if len(nodules) == count:
            break
        candidate = _random_nodule(rng, f"nodule-{len(nodules) + 1}", neck)
        if all(_apart(candidate, other) for other in nodules):
            nodules.append(candidate)
    return Scene(nodules=tuple(nodules), neck=neck, scanner=scanner)


def _random_nodule(rng: np.random.Generator, name: str, neck: Neck) -> NoduleSpec:
    """A nodule inside the lobe; hypoechoic ones are more often irregular, tall and calcified, as in patients."""
    (centre_x, centre_z), (radius_x, radius_z) = neck.lobe_centre_xz_mm, neck.lobe_radii_xz_mm
    angle, off_centre = rng.uniform(0, 2 * np.pi), np.sqrt(rng.uniform(0, 0.45))
    hypoechoic = rng.random() < 0.55
    radius = float(np.exp(rng.uniform(np.log(1.3), np.log(0.8 * radius_z))))
    ratio = float(np.exp(rng.normal(0.05 if hypoechoic else -0.3, 0.2)))
    # A large nodule stays near the lobe's middle, so that it does not stick out of the gland.
    room = max(0.15, 1 - radius / radius_z)
    return NoduleSpec(
        name=name,
        centre_xz_mm=(
            float(centre_x + radius_x * room * off_centre * np.cos(angle)),
            float(centre_z + radius_z * room * off_centre * np.sin(angle)),
        ),
        radii_xz_mm=(radius / np.sqrt(ratio), radius * np.sqrt(ratio)),
        position=float(rng.uniform(0.1, 0.9)),
        half_span=float(rng.uniform(0.12, 0.5)),
        echogenicity_db=float(rng.uniform(-17, -6) if hypoechoic else rng.uniform(-5, 3)),
        irregularity=float(rng.uniform(0.03, 0.14) if hypoechoic else rng.uniform(0, 0.05)),
        margin_mm=float(rng.uniform(0.2, 0.8)),
        # Without a halo or cysts an isoechoic nodule would be invisible, and its mask no truth to learn from.
        halo_db=float(rng.choice((0.0, rng.uniform(-12, -5)))) if hypoechoic else float(rng.uniform(-16, -9)),
        cystic_fraction=float(rng.choice((0.0, rng.uniform(0.1, 0.65)), p=(0.8, 0.2) if hypoechoic else (0.5, 0.5))),
        calcifications=int(rng.integers(5, 40)) if rng.random() < (0.4 if hypoechoic else 0.1) else 0,
        posterior_db=float(rng.uniform(-4, 3)),
    )


def _apart(first: NoduleSpec, second: NoduleSpec) -> bool:
    """Whether two nodules cannot overlap at their largest cross-sections."""
    gap = np.subtract(first.centre_xz_mm, second.centre_xz_mm)
    reach = np.add(first.radii_xz_mm, second.radii_xz_mm) * 1.15
    return bool(np.hypot(*(gap / reach)) > 1)
