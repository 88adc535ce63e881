"""Pictures that are no B-mode view of the neck, to teach a gate with: simulated, and such as come with packages.

Nothing is downloaded, and none of it is a patient's. What a gate is judged by must be other pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from streamer.types import Grey

_PACKAGED = (
    ("sklearn.datasets.images", "china.jpg"),
    ("sklearn.datasets.images", "flower.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
    ("matplotlib", "mpl-data/sample_data/logo2.png"),
    ("ultralytics", "assets/bus.jpg"),
    ("ultralytics", "assets/zidane.jpg"),
    ("gradio", "media_assets/images/cheetah.jpg"),
    ("gradio", "media_assets/images/lion.jpg"),
    ("gradio", "media_assets/images/tower.jpg"),
    ("gradio", "media_assets/images/groot.jpeg"),
)
"""Photographs and drawings in packages that streamer needs; one that is not there is left out."""

LIFTED_PROBES = "lifted probes"
"""The kind of picture that a probe in the air gives."""
LUNGS = "lungs"
"""The kind of picture that a probe on the chest gives."""

_SHARES = {LUNGS: 3, "scintigrams": 3}
"""Kinds drawn more often than others: those that a clinic's archive holds beside views of the neck."""

_SIZES_WH = ((640, 480), (900, 600), (686, 528), (512, 512), (480, 640))


@dataclass(frozen=True, slots=True)
class NegativePicture:
    """A grey picture, shape (height, width), and what kind of thing it shows."""

    kind: str
    grey: Grey


def negative_pictures(count: int, seed: int) -> Iterator[NegativePicture]:
    """Pictures of other things: parts of photographs, scintigrams, lungs, screens, noise, discs.

    Args:
        count: how many; half of them photographs, where any are installed.
        seed: of all that is random in them.
    """
    rng = np.random.default_rng(seed)
    photographs = _photographs()
    kinds = {
        "scintigrams": _scintigram,
        "screens": _screen,
        "pages": _page,
        "noise": _noise,
        "textures": _texture,
        "discs": _discs,
        "leaves": _leaves,
        "stripes": _stripes,
        LIFTED_PROBES: _lifted_probe,
        LUNGS: _lung,
    }
    names = [name for name in kinds for _ in range(_SHARES.get(name, 1))]
    for number in range(count):
        size_wh = _SIZES_WH[int(rng.integers(len(_SIZES_WH)))]
        if photographs and number % 2 == 0:
            yield NegativePicture("photographs", _part(photographs[int(rng.integers(len(photographs)))], size_wh, rng))
        else:
            name = names[int(rng.integers(len(names)))]
            yield NegativePicture(name, kinds[name](size_wh, rng))


def _photographs() -> list[Grey]:
    found = []
    for package, name in _PACKAGED:
        found_package = find_spec(package.partition(".")[0])  # where it is, without running any of it
        if found_package is None or found_package.origin is None:
            continue
        path = Path(found_package.origin).parent.joinpath(*package.split(".")[1:], name)
        pixels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
        if pixels is not None:
            found.append(np.asarray(pixels, np.uint8))
    return found


def _part(picture: Grey, size_wh: tuple[int, int], rng: np.random.Generator) -> Grey:
    """A random part of a picture, at a random gain, mirrored or not."""
    height, width = picture.shape
    share = float(rng.uniform(0.3, 1.0))
    across, down = max(32, int(share * width)), max(32, int(share * height))
    left, top = int(rng.integers(0, max(1, width - across))), int(rng.integers(0, max(1, height - down)))
    cut = picture[top : top + down, left : left + across]
    part = np.asarray(cv2.resize(cut, size_wh, interpolation=cv2.INTER_AREA), np.float32)
    part = part[:, ::-1] if rng.random() < 0.5 else part
    gain, gamma = rng.uniform(0.5, 1.2), rng.uniform(0.7, 1.5)
    return np.asarray(np.clip(255 * gain * (part / 255.0) ** gamma, 0, 255), np.uint8)


def _scintigram(size_wh: tuple[int, int], rng: np.random.Generator) -> Grey:
    """Counts of a faint body and head, salivary glands and, mostly, two lobes of uptake: Poisson, soft, no speckle."""
    width, height = size_wh
    y, x = np.mgrid[:height, :width].astype(np.float32)
    middle_x, middle_y = width * rng.uniform(0.4, 0.6), height * rng.uniform(0.45, 0.75)

    def blob(centre_x: float, centre_y: float, across: float, down: float) -> npt.NDArray[np.float32]:
        distance = ((x - centre_x) / (width * across)) ** 2 + ((y - centre_y) / (height * down)) ** 2
        return np.asarray(np.exp(-distance), np.float32)

    head = ((x - middle_x) / (width * rng.uniform(0.16, 0.26))) ** 4
    head += ((y - middle_y + height * 0.35) / (height * rng.uniform(0.25, 0.4))) ** 4
    shoulders = 1 / (1 + np.exp(-(y - middle_y - 0.1 * np.abs(x - middle_x)) / (0.03 * height)))
    field = np.asarray(
        rng.uniform(0, 0.3) + rng.uniform(0.2, 3) * np.exp(-head) + rng.uniform(0, 2) * shoulders, np.float32
    )
    for side in (-1, 1):
        if rng.random() < 0.8:
            lobe = blob(
                middle_x + side * width * rng.uniform(0.03, 0.12),
                middle_y,
                rng.uniform(0.02, 0.09),
                rng.uniform(0.05, 0.2),
            )
            field += rng.uniform(8, 60) * lobe
        for _ in range(2):
            gland_y = middle_y - height * rng.uniform(0.15, 0.35)
            field += rng.uniform(0, 10) * blob(middle_x + side * width * rng.uniform(0, 0.18), gland_y, 0.03, 0.04)
    coarse = int(rng.integers(2, 6))
    counts = rng.poisson(cv2.resize(field * rng.uniform(0.5, 3), (width // coarse, height // coarse)))
    blurred = cv2.GaussianBlur(np.asarray(counts, np.float32), (0, 0), float(rng.uniform(0.3, 1.5)))
    smooth = np.asarray(255 * (blurred / max(1e-6, float(blurred.max()))) ** rng.uniform(0.7, 1.2), np.float32)
    grey = np.asarray(cv2.resize(smooth, size_wh, interpolation=cv2.INTER_LINEAR), np.float32)
    return np.asarray(255 - grey if rng.random() < 0.3 else grey, np.uint8)


def _screen(size_wh: tuple[int, int], rng: np.random.Generator) -> Grey:
    """Windows, lines of text, a table, curves."""
    width, height = size_wh
    ground = int(rng.integers(0, 256))
    picture = np.full((height, width), ground, np.uint8)
    for _ in range(int(rng.integers(2, 12))):
        x0, y0 = int(rng.integers(0, width)), int(rng.integers(0, height))
        corner = x0 + int(rng.integers(20, width)), y0 + int(rng.integers(20, height))
        cv2.rectangle(picture, (x0, y0), corner, int(rng.integers(0, 256)), int(rng.choice([-1, 1, 2])))
    for _ in range(int(rng.integers(10, 60))):
        letters = "".join(chr(int(code)) for code in rng.integers(33, 123, int(rng.integers(3, 30))))
        place = int(rng.integers(0, width)), int(rng.integers(0, height))
        size = float(rng.uniform(0.3, 1.6))
        cv2.putText(picture, letters, place, cv2.FONT_HERSHEY_SIMPLEX, size, int(rng.integers(0, 256)), 1)
    for _ in range(int(rng.integers(0, 4))):
        steps = np.cumsum(rng.normal(0, height / 40, width // 8))
        curve = np.stack([np.arange(len(steps)) * 8, height / 2 + steps], 1).astype(np.int32)
        cv2.polylines(picture, [curve], False, int(rng.integers(0, 256)), 2)
    return picture


def _noise(size_wh: tuple[int, int], rng: np.random.Generator) -> Grey:
    """Noise of some grain, with or without a gradient: a screen without a signal."""
    width, height = size_wh
    grain = float(rng.uniform(0.1, 12))
    raw = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), grain)
    noise = np.asarray(raw, np.float32) / max(1e-6, float(raw.std()))
    level, contrast = rng.uniform(0, 160), rng.uniform(2, 70)
    slope = rng.uniform(-120, 120) * np.linspace(0, 1, height, dtype=np.float32)[:, None]
    return np.asarray(np.clip(level + slope + contrast * noise, 0, 255), np.uint8)


def _discs(size_wh: tuple[int, int], rng: np.random.Generator) -> Grey:
    """Smooth discs, rings and boxes on an even or shaded ground: coins, cups, cells, lamps."""
    width, height = size_wh
    ground = np.linspace(rng.uniform(0, 200), rng.uniform(0, 200), width, dtype=np.float32)[None].repeat(height, 0)
    picture = np.asarray(np.clip(ground, 0, 255), np.uint8)
    for _ in range(int(rng.integers(1, 14))):
        centre = int(rng.integers(0, width)), int(rng.integers(0, height))
        axes = int(rng.integers(8, width // 4)), int(rng.integers(8, height // 4))
        filled = int(rng.choice([-1, -1, 3, 8]))
        cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, int(rng.integers(0, 256)), filled)
    blurred = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.5, 6)))
    return np.asarray(np.clip(blurred + rng.normal(0, rng.uniform(0, 12), blurred.shape), 0, 255), np.uint8)


def _levels(picture: npt.NDArray[np.float32], rng: np.random.Generator) -> Grey:
    """Numbers of any range as grey values, at a random level and contrast."""
    spread = (picture - picture.mean()) / max(1e-6, float(picture.std()))
    return np.asarray(np.clip(rng.uniform(30, 190) + rng.uniform(15, 75) * spread, 0, 255), np.uint8)


def _texture(size_wh: tuple[int, int], rng: np.random.Generator) -> Grey:
    """Noise whose power falls with frequency, as that of natural pictures does (Field, J Opt Soc Am A 1987;4:2379)."""
    width, height = size_wh
    fx, fy = np.fft.rfftfreq(width)[None], np.fft.fftfreq(height)[:, None]
    stretch = rng.uniform(0.4, 2.5)
    frequency = np.sqrt((fx * stretch) ** 2 + (fy / stretch) ** 2) + 1 / max(width, height)
    phases = np.exp(2j * np.pi * rng.random(frequency.shape))
    field = np.fft.irfft2(phases * frequency ** -rng.uniform(0.4, 2.2), s=(height, width))
    return _levels(np.asarray(field, np.float32), rng)


def _leaves(size_wh: tuple[int, int], rng: np.random.Generator) -> Grey:
    """Shapes of all sizes that hide one another, shaded and grained (dead leaves: Lee and Mumford, IJCV 2001;41:35)."""
    width, height = size_wh
    picture = np.full((height, width), int(rng.integers(0, 256)), np.uint8)
    for size in np.sort(width * rng.uniform(0.005, 0.5, int(rng.integers(60, 700))) ** rng.uniform(1, 2))[::-1]:
        centre = int(rng.integers(0, width)), int(rng.integers(0, height))
        if rng.random() < 0.5:
            axes = max(2, int(size)), max(2, int(size * rng.uniform(0.3, 1)))
            cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, int(rng.integers(0, 256)), -1)
        else:
            corners = np.array(centre) + rng.uniform(-size, size, (int(rng.integers(3, 6)), 2))
            cv2.fillPoly(picture, [corners.astype(np.int32)], int(rng.integers(0, 256)))
    shading = cv2.GaussianBlur(rng.normal(0, 1, (height, width)).astype(np.float32), (0, 0), width / 12)
    shaded = picture * np.exp(rng.uniform(0, 0.5) * shading / max(1e-6, float(shading.std())))
    soft = cv2.GaussianBlur(np.asarray(shaded, np.float32), (0, 0), float(rng.uniform(0.3, 3)))
    return np.asarray(np.clip(soft + rng.normal(0, rng.uniform(0, 8), soft.shape), 0, 255), np.uint8)


def _stripes(size_wh: tuple[int, int], rng: np.random.Generator) -> Grey:
    """Gratings, chequers, ramps: test pictures of a monitor, bricks, fences."""
    width, height = size_wh
    y, x = np.mgrid[:height, :width].astype(np.float32)
    field = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        angle, period = rng.uniform(0, np.pi), float(rng.uniform(6, width))
        wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + rng.uniform(0, 6.3))
        field += np.sign(wave) if rng.random() < 0.5 else wave
    return _levels(field + rng.uniform(0, 0.3) * rng.normal(0, 1, field.shape).astype(np.float32), rng)


def _page(size_wh: tuple[int, int], rng: np.random.Generator) -> Grey:
    """Lines of text on paper under uneven light, dark on bright or the other way round."""
    width, height = size_wh
    picture = np.full((height, width), int(rng.integers(180, 256)), np.uint8)
    size = float(rng.uniform(0.3, 1.4))
    for y in range(int(30 * size), height, int(34 * size)):
        letters = "".join(chr(int(code)) for code in rng.integers(90, 123, int(width / (12 * size))))
        place = int(rng.integers(0, width // 8)), y
        cv2.putText(picture, letters.replace("`", " "), place, cv2.FONT_HERSHEY_COMPLEX, size, 30, 1, cv2.LINE_AA)
    light = np.linspace(rng.uniform(0.4, 1), rng.uniform(0.4, 1), width, dtype=np.float32)
    soft = cv2.GaussianBlur(np.asarray(picture * light, np.float32), (0, 0), float(rng.uniform(0.3, 2)))
    lit = np.asarray(np.clip(soft + rng.normal(0, rng.uniform(0, 6), soft.shape), 0, 255), np.uint8)
    return np.asarray(255 - lit if rng.random() < 0.3 else lit, np.uint8)


def _lifted_probe(size_wh: tuple[int, int], rng: np.random.Generator) -> Grey:
    """A probe in air: the ringing of its face, repeated and fading, and noise below, in a window or a sector."""
    width, height = size_wh
    depth = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    period, decay = rng.uniform(0.01, 0.08), rng.uniform(0.02, 0.2)
    ringing = (0.5 + 0.5 * np.cos(2 * np.pi * depth / period)) ** rng.uniform(0.5, 4) * np.exp(-depth / decay)
    uneven = 1 + rng.uniform(0, 0.3) * rng.normal(0, 1, (1, width)).astype(np.float32)
    gain = rng.uniform(0, 35) * depth ** rng.uniform(0.5, 3)  # noise rises with the gain at depth
    speckle = cv2.GaussianBlur(rng.rayleigh(1, (height, width)).astype(np.float32), (0, 0), float(rng.uniform(0.5, 3)))
    picture = rng.uniform(120, 260) * ringing * cv2.GaussianBlur(uneven, (0, 0), 15) + gain * speckle
    left, top = int(width * rng.uniform(0, 0.25)), int(height * rng.uniform(0, 0.15))
    window = np.zeros((height, width), np.float32)
    window[top:, left : width - left] = 1
    return np.asarray(np.clip(picture * window, 0, 255), np.uint8)


def _lung(size_wh: tuple[int, int], rng: np.random.Generator) -> Grey:
    """A chest wall over an aerated lung: layers, a bright pleural line, its repeats (A-lines), rays (B-lines), ribs.

    What these signs are: Lichtenstein, Ann Intensive Care 2014;4:1. Drawn along the beams, then put into a window or a
    sector.
    """
    beams, depths = 256, 384
    v, u = np.mgrid[:depths, :beams].astype(np.float32)
    v, u = v / depths, u / beams
    pleura = (
        rng.uniform(0.12, 0.4)
        + rng.uniform(-0.12, 0.12) * (u[:1] - 0.5)
        + rng.uniform(-0.25, 0.25) * (u[:1] - 0.5) ** 2
    )
    grain = np.asarray(rng.rayleigh(1, (depths, beams)), np.float32)
    speckle = cv2.GaussianBlur(grain, (0, 0), sigmaX=float(rng.uniform(0.8, 4)), sigmaY=float(rng.uniform(0.6, 1.5)))
    wall = _soft(rng.normal(0, 1, (depths, beams)), rng.uniform(15, 60), rng.uniform(1, 4))
    picture = np.where(v < pleura, rng.uniform(30, 110) * (1 + 0.6 * wall), 0.0)
    below = np.clip(v - pleura, 0, 1)
    haze = rng.uniform(10, 110) * np.exp(-below / rng.uniform(0.1, 1.2))
    rays = np.clip(_soft(rng.normal(0, 1, (1, beams)), rng.uniform(3, 12), 0.01) - rng.uniform(0, 1.2), 0, 3)
    haze = haze * (0.6 + rng.uniform(0, 1.2) * rays)
    thickness = rng.uniform(0.004, 0.015)
    for number in range(1, int(rng.integers(2, 5))):
        strength = rng.uniform(120, 255) if number == 1 else rng.uniform(0, 90) / number
        breaks = np.clip(0.7 + 0.5 * _soft(rng.normal(0, 1, (1, beams)), rng.uniform(4, 20), 0.01), 0.05, 1.5)
        haze = haze + strength * breaks * np.exp(-(((v - number * pleura) / (thickness * number)) ** 2))
    picture = np.where(v < pleura - thickness, picture, haze)
    for _ in range(int(rng.integers(0, 3))):  # ribs
        shadow = 1 / (1 + np.exp(-(np.abs(u - rng.uniform(0, 1)) - rng.uniform(0.04, 0.2)) / 0.02))
        picture = np.where(v > pleura - rng.uniform(0, 0.1), picture * (rng.uniform(0, 0.3) + 0.7 * shadow), picture)
    lit = (
        255
        * (np.clip(picture * (0.35 + 0.5 * speckle), 0, 255) / 255) ** rng.uniform(0.35, 0.9)
        * rng.uniform(0.5, 1.1)
    )
    placed = _in_sector(np.asarray(lit, np.float32), size_wh, rng) if rng.random() < 0.6 else cv2.resize(lit, size_wh)
    return np.asarray(np.clip(placed, 0, 255), np.uint8)


def _soft(noise: npt.NDArray[np.float64], across: float, down: float) -> npt.NDArray[np.float32]:
    """Noise blurred by so many samples, of standard deviation 1."""
    blurred = cv2.GaussianBlur(
        np.asarray(noise, np.float32), (0, 0), sigmaX=float(across), sigmaY=max(0.3, float(down))
    )
    return np.asarray((blurred - blurred.mean()) / max(1e-6, float(blurred.std())), np.float32)


def _in_sector(
    beams: npt.NDArray[np.float32], size_wh: tuple[int, int], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Samples along beams, shape (depths, beams), as a curved or phased array shows them."""
    width, height = size_wh
    y, x = np.mgrid[:height, :width].astype(np.float32)
    half_angle, radius = rng.uniform(0.35, 0.8), height * rng.uniform(0.02, 0.5)
    x, y = x - width / 2, y + radius * np.cos(half_angle) - height * rng.uniform(-0.05, 0.05)
    angle, distance = np.arctan2(x, y), np.hypot(x, y) - radius
    across = (angle / (2 * half_angle) + 0.5) * (beams.shape[1] - 1)
    down = distance / (height * rng.uniform(0.8, 1.1)) * (beams.shape[0] - 1)
    return np.asarray(
        cv2.remap(beams, across.astype(np.float32), down.astype(np.float32), cv2.INTER_LINEAR), np.float32
    )
