"""Reads images with a trained network: probabilities, heat map, counts by region; report as HTML, JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib import colormaps

from streamer._files import write_whole
from streamer._pixels import data_url, jpeg_bytes
from streamer._templates import html_templates
from streamer.backends.select import available_cores
from streamer.errors import DataError, OutputError
from streamer.scintigraphy.architectures import TITLES as NETWORKS
from streamer.scintigraphy.classes import CLASSES, TITLES
from streamer.scintigraphy.honesty import check_answer
from streamer.scintigraphy.image import PlanarImage, normalised, picture_digest
from streamer.scintigraphy.read import SUFFIXES, is_image, read_image
from streamer.scintigraphy.regions import Region, RegionCounts, count_regions
from streamer.version import __version__

if TYPE_CHECKING:
    from streamer.scintigraphy.predictor import Predictor

Rgb = npt.NDArray[np.uint8]

NOTICE = "Research use only. Not a medical device; no diagnosis."
LEARNED = "this picture was learned from: the answer is no test of the network"
REPORT_JSON, REPORT_HTML, PREDICTIONS_CSV = "report.json", "report.html", "predictions.csv"
SCHEMA = "scintigraphy-1"

_SHOWN_PX = 320
_HEAT_OPACITY = 0.45
_JPEG_QUALITY = 90
_COLOURS = {"right": (230, 90, 60), "left": (60, 190, 90), "background": (80, 140, 240)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReport:
    """What is said of one image.

    Attributes:
        name: of the file.
        image: as it was read.
        probabilities: by class, shape (4,); None without a network.
        answer: number of the most probable class; None without a network.
        marks: what stands beside the answer.
        heat: Grad-CAM of the answer over the normalised picture, shape (side, side); None without a network.
        regions: counts by region.
    """

    name: str
    image: PlanarImage
    probabilities: npt.NDArray[np.float64] | None
    answer: int | None
    marks: tuple[str, ...]
    heat: npt.NDArray[np.float32] | None
    regions: RegionCounts


def find_images(paths: Iterable[Path]) -> list[Path]:
    """Files as named, and of folders every JPEG, PNG and DICOM file in them, at any depth.

    Raises:
        DataError: a path is not there, or nothing is found.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(file for file in path.rglob("*") if is_image(file))
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"there is no image {path}")
    if not found:
        raise DataError(f"no image found; known endings are {', '.join(SUFFIXES)}")
    return found


def read_one(
    path: Path,
    predictor: Predictor | None,
    *,
    allowed: bool,
    name: str = "",
    frame: int | None = None,
    colour_map: str | None = None,
) -> ImageReport:
    """Read one image and say what the network makes of it; the rule of `honesty` holds.

    Args:
        path: the image.
        predictor: the network; None for counts by region alone.
        allowed: whether simulated-taught weights may answer, marked, for a picture not known to be simulated.
        name: shown in the report; the file's name where empty.
        frame, colour_map: see `read_image`.

    Raises:
        DataError: the image cannot be read.
        WeightsError: the weights may not answer for it.
    """
    image = read_image(path, frame=frame, colour_map=colour_map)
    shown = name or path.name
    regions = count_regions(image)
    if predictor is None:
        return ImageReport(
            name=shown, image=image, probabilities=None, answer=None, marks=(), heat=None, regions=regions
        )
    mark = check_answer(predictor.entry.taught_by, image.simulated, allowed=allowed, place=shown)
    grey = normalised(image.pixels, predictor.entry.size_px)
    probabilities, heat = predictor.explained(grey)
    learned = LEARNED if picture_digest(grey) in set(predictor.entry.training.pictures) else None
    return ImageReport(
        name=shown,
        image=image,
        probabilities=probabilities,
        answer=int(probabilities.argmax()),
        marks=tuple(one for one in (mark, learned) if one),
        heat=heat,
        regions=regions,
    )


def predict(
    paths: Sequence[Path],
    predictor: Predictor,
    folder: Path,
    *,
    allowed: bool = False,
    frame: int | None = None,
    colour_map: str | None = None,
    on_progress: Callable[[int, ImageReport], None] | None = None,
) -> list[ImageReport]:
    """Read images and write `report.html`, `report.json` and `predictions.csv` to a folder, all or none.

    Raises:
        DataError, WeightsError: see `read_one`.
        OutputError: the folder cannot be written.
    """

    def read(path: Path) -> ImageReport:
        return read_one(path, predictor, allowed=allowed, frame=frame, colour_map=colour_map)

    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror}; choose another --output") from error
    try:
        reports = _read_all(paths, read, predictor.workers, on_progress)
    except BaseException:
        if made:
            folder.rmdir()
        raise
    write_whole(folder / PREDICTIONS_CSV, as_csv(reports).encode())
    write_whole(folder / REPORT_HTML, as_html(reports, predictor).encode())
    write_whole(folder / REPORT_JSON, (json.dumps(as_json(reports, predictor), indent=2) + "\n").encode())
    return reports


def _read_all(
    paths: Sequence[Path],
    read: Callable[[Path], ImageReport],
    workers: int,
    on_progress: Callable[[int, ImageReport], None] | None,
) -> list[ImageReport]:
    """Reports in the order of the paths, several made at the same time."""
    reports = []
    with ThreadPoolExecutor(workers, thread_name_prefix="scintigraphy") as pool:
        try:
            for number, report in enumerate(pool.map(read, paths), start=1):
                reports.append(report)
                if on_progress is not None:
                    on_progress(number, report)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # after an error, or Control-C
    return reports


def as_json(reports: Sequence[ImageReport], predictor: Predictor | None) -> dict[str, Any]:
    """The reports as plain data."""
    return {
        "schema": SCHEMA,
        "streamer": __version__,
        "notice": NOTICE,
        "weights": None
        if predictor is None
        else {
            "architecture": predictor.entry.architecture,
            "sha256": predictor.entry.sha256,
            "taught_by": list(predictor.entry.taught_by),
        },
        "images": [_image_json(report) for report in reports],
    }


def as_csv(reports: Sequence[ImageReport]) -> str:
    """A line an image."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["image", "answer", *(f"p_{name}" for name in CLASSES), "uptake_ratio", "mark"])
    for report in reports:
        shown = ["", *[""] * len(CLASSES)]
        if report.probabilities is not None and report.answer is not None:
            shown = [CLASSES[report.answer], *(f"{value:.6f}" for value in report.probabilities)]
        ratio = report.regions.uptake_ratio
        writer.writerow([report.name, *shown, "" if ratio is None else f"{ratio:.3f}", "; ".join(report.marks)])
    return stream.getvalue()


def as_html(reports: Sequence[ImageReport], predictor: Predictor | None) -> str:
    """One self-contained page."""
    with ThreadPoolExecutor(available_cores(), thread_name_prefix="pictures") as pool:
        pictures, heats = pool.map(lambda one: picture_url(with_regions(one)), reports), pool.map(_heat_url, reports)
        shown = [
            {"report": report, "picture": picture, "heat": heat, "heat_caption": heat_caption(report)}
            for report, picture, heat in zip(reports, pictures, heats, strict=True)
        ]
    return (
        html_templates("streamer.scintigraphy")
        .get_template("predictions.html.j2")
        .render(
            shown=shown,
            classes=[TITLES[name] for name in CLASSES],
            entry=None if predictor is None else predictor.entry,
            network="" if predictor is None else NETWORKS[predictor.entry.architecture],
            notice=NOTICE,
            version=__version__,
        )
    )


def with_regions(report: ImageReport) -> Rgb:
    """The picture with the outlines of its regions, RGB."""
    picture, scale = _picture(report.image.pixels)
    regions = report.regions
    masks = {"right": regions.right_mask, "left": regions.left_mask, "background": regions.background_mask}
    for name, mask in masks.items():
        enlarged = cv2.resize(mask.astype(np.uint8), picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(enlarged, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, outlines, -1, _COLOURS[name], max(1, round(scale)))
    return picture


def with_heat(report: ImageReport) -> Rgb | None:
    """The picture with the heat map over it, RGB; None without a network."""
    if report.heat is None:
        return None
    picture, _ = _picture(report.image.pixels)
    height, width = picture.shape[:2]
    longer = max(height, width)
    square = cv2.resize(report.heat, (longer, longer), interpolation=cv2.INTER_LINEAR)
    top, left = (longer - height) // 2, (longer - width) // 2
    heat = square[top : top + height, left : left + width]
    colours = np.asarray(colormaps["jet"](heat)[..., :3] * 255, np.float32)
    mixed = picture.astype(np.float32) * (1 - _HEAT_OPACITY) + colours * _HEAT_OPACITY
    return np.asarray(mixed.round(), np.uint8)


def heat_caption(report: ImageReport) -> str:
    """What stands below the heat map; empty without a network."""
    if report.heat is None or report.answer is None:
        return ""
    title = TITLES[CLASSES[report.answer]]
    if not report.heat.any():
        return f"The heat map is empty: no place spoke for {title} more than against it."
    return f"What spoke for {title} (Grad-CAM; coarse, it does not say where a lesion lies)."


def picture_url(picture: Rgb) -> str:
    """A picture as a JPEG inside a page: noisy counts as PNG would take four times as much."""
    return data_url("image/jpeg", jpeg_bytes(picture, _JPEG_QUALITY))


def _heat_url(report: ImageReport) -> str:
    picture = with_heat(report)
    return "" if picture is None else picture_url(picture)


def _picture(pixels: npt.NDArray[np.float32]) -> tuple[Rgb, float]:
    """The image as it is shown, and how much it was enlarged."""
    white = float(np.percentile(pixels, 99.8)) or float(pixels.max())
    levels = np.clip(pixels * (255 / white), 0, 255).astype(np.uint8)
    scale = _SHOWN_PX / max(levels.shape)
    size = (max(1, round(levels.shape[1] * scale)), max(1, round(levels.shape[0] * scale)))
    return np.asarray(cv2.cvtColor(cv2.resize(levels, size), cv2.COLOR_GRAY2RGB), np.uint8), scale


def _image_json(report: ImageReport) -> dict[str, Any]:
    regions, image = report.regions, report.image
    return {
        "image": report.name,
        "pixels": image.kind,
        "pixel_mm": None if image.pixel_mm is None else list(image.pixel_mm),
        "colour_map": image.colour_map,
        "simulated": image.simulated,
        "answer": None if report.answer is None else CLASSES[report.answer],
        "probabilities": None
        if report.probabilities is None
        else {name: round(float(value), 6) for name, value in zip(CLASSES, report.probabilities, strict=True)},
        "marks": list(report.marks),
        "regions": {
            "unit": regions.unit,
            "right": _region_json(regions.right),
            "left": _region_json(regions.left),
            "background": _region_json(regions.background),
            "uptake_ratio": _rounded(regions.uptake_ratio),
            "right_share": _rounded(regions.right_share),
        },
    }


def _region_json(region: Region | None) -> dict[str, float | int | None] | None:
    if region is None:
        return None
    return {
        "total": round(region.total, 1),
        "mean": round(region.mean, 3),
        "pixels": region.pixels,
        "area_cm2": _rounded(region.area_cm2),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
