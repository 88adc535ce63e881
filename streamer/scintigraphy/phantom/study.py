"""Writes a simulated study: a folder a centre and class, as JPEG and as DICOM NM, with the truth beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from streamer._files import atomic_path
from streamer._progress import track
from streamer.errors import DataError, OutputError
from streamer.scintigraphy.classes import CLASSES, Diagnosis
from streamer.scintigraphy.colour_maps import Rgb, colour_table
from streamer.scintigraphy.image import SIMULATED_MARK
from streamer.scintigraphy.nuclear_dicom import nuclear_dicom
from streamer.scintigraphy.phantom.anatomy import draw_subject
from streamer.scintigraphy.phantom.camera import HOSPITALS, Acquisition, Export, Hospital, acquire

Format = Literal["jpeg", "dicom"]

TRUTH = "truth.csv"
"""Of each image: class, variant, uptake, true counts by lobe, and the files of its masks."""
MASKS = "truth"
"""Folder of the masks, a PNG an image, in the export's pixels: 64 right lobe, 128 left lobe, plus 32 in the lesion."""
RIGHT, LEFT, LESION = 64, 128, 32

_INTERPOLATIONS = {"nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}
_CHUNK = 16
_COLUMNS = (
    "image", "patient", "centre", "label", "variant", "uptake_percent", "seconds", "counts", "right_counts",
    "left_counts", "mask",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomStudy:
    """What to simulate.

    Attributes:
        images: a class and centre, by the centre's name.
        seed: another seed, other patients.
        formats: "jpeg", "dicom" or both; with both, DICOM files lie in a folder of their own.
    """

    images: Mapping[str, int]
    seed: int = 0
    formats: tuple[Format, ...] = ("jpeg",)


@dataclass(frozen=True, slots=True)
class _Order:
    hospital: str
    label: Diagnosis
    number: int


def write_study(study: PhantomStudy, folder: Path, *, workers: int = 1) -> int:
    """Simulate a study into a folder: `CENTRE/CLASS/ID.jpg`, `truth.csv` and masks.

    The images depend on the seed, centre, class and number alone, not on the workers. The folder appears once all of it
    is there.

    Args:
        study: what to simulate.
        folder: where; made where missing, refused where it holds something else.
        workers: processes.

    Returns:
        The number of images.

    Raises:
        DataError: there is no such centre.
        OutputError: the folder cannot be written or is not empty.
    """
    unknown = [name for name in study.images if name not in HOSPITALS]
    if unknown:
        raise DataError(f"there is no simulated centre {unknown[0]!r}; there are {', '.join(HOSPITALS)}")
    orders = [
        _Order(name, label, number)
        for name, count in study.images.items()
        for label in CLASSES
        for number in range(count)
    ]
    _refuse_full(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder) as unfinished:
            _make_folders(unfinished, study)
            work = partial(_write_one, folder=str(unfinished), seed=study.seed, formats=study.formats)
            rows = list(track(_each(work, orders, workers), len(orders), "simulating"))
            _write_truth(unfinished / TRUTH, rows)
    except OSError as error:
        raise OutputError(f"cannot write the study to {folder}: {error.strerror}") from error
    return len(rows)


def export_picture(acquisition: Acquisition, export: Export, window: float) -> Rgb:
    """The picture that a workstation would save, shape (side, side, 3).

    Args:
        acquisition: the counts.
        export: size, interpolation and colours.
        window: share of the highest counts that is shown at the top of the colours.
    """
    top = max(window * float(acquisition.counts.max()), 1.0)
    levels = np.clip(acquisition.counts.astype(np.float32) * (255 / top), 0, 255)
    side = (export.side_px, export.side_px)
    enlarged = cv2.resize(levels, side, interpolation=_INTERPOLATIONS[export.interpolation])
    return np.asarray(colour_table(export.colour_map)[np.clip(enlarged, 0, 255).astype(np.uint8)], np.uint8)


def _refuse_full(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise OutputError(f"{folder} is not an empty folder: choose another one for the simulated study")


def _make_folders(folder: Path, study: PhantomStudy) -> None:
    (folder / MASKS).mkdir(parents=True)
    for name in study.images:
        for kind in study.formats:
            for label in CLASSES:
                _class_folder(folder, study.formats, kind, name, label).mkdir(parents=True)


def _each(work: Callable[[_Order], dict[str, str]], orders: Sequence[_Order], workers: int) -> Iterator[dict[str, str]]:
    if workers <= 1:
        yield from map(work, orders)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(work, orders, chunksize=_CHUNK)


def _class_folder(root: Path, formats: Sequence[Format], kind: Format, centre: str, label: Diagnosis) -> Path:
    return (root if len(formats) == 1 else root / kind) / centre / label


def _write_one(order: _Order, *, folder: str, seed: int, formats: tuple[Format, ...]) -> dict[str, str]:
    cv2.setNumThreads(1)  # the processes share the cores
    hospital = HOSPITALS[order.hospital]
    rng = np.random.default_rng([seed, list(HOSPITALS).index(order.hospital), CLASSES.index(order.label), order.number])
    subject = draw_subject(order.label, rng)
    acquisition = acquire(subject, hospital, rng)
    window = float(rng.uniform(*hospital.export.window))
    patient = f"{order.hospital}-{order.label}-{order.number:04d}"
    root = Path(folder)
    files = [_write_image(root, formats, kind, order, patient, acquisition, window) for kind in formats]
    side = len(acquisition.counts) if formats == ("dicom",) else hospital.export.side_px
    mask = Path(MASKS) / f"{patient}.png"
    _write_masks(root / mask, acquisition, side)
    return {
        "image": files[0].relative_to(root).as_posix(),
        "patient": patient,
        "centre": order.hospital,
        "label": order.label,
        "variant": subject.variant,
        "uptake_percent": f"{100 * subject.uptake:.4g}",
        "seconds": f"{acquisition.seconds:.1f}",
        "counts": str(int(acquisition.counts.sum())),
        "right_counts": f"{acquisition.right_counts:.0f}",
        "left_counts": f"{acquisition.left_counts:.0f}",
        "mask": mask.as_posix(),
    }


def _write_image(
    root: Path,
    formats: tuple[Format, ...],
    kind: Format,
    order: _Order,
    patient: str,
    acquisition: Acquisition,
    window: float,
) -> Path:
    hospital: Hospital = HOSPITALS[order.hospital]
    target = _class_folder(root, formats, kind, order.hospital, order.label)
    if kind == "dicom":
        path = target / f"{patient}.dcm"
        path.write_bytes(
            nuclear_dicom(
                acquisition.counts,
                pixel_mm=acquisition.pixel_mm,
                patient=patient,
                model=hospital.camera.model,
                seconds=acquisition.seconds,
            )
        )
        return path
    path = target / f"{patient}.jpg"
    picture = Image.fromarray(export_picture(acquisition, hospital.export, window))
    if hospital.export.colour_map in ("grey", "inverse-grey"):
        picture = picture.convert("L")
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=hospital.export.quality, comment=SIMULATED_MARK)
    path.write_bytes(buffer.getvalue())
    return path


def _write_masks(path: Path, acquisition: Acquisition, side: int) -> None:
    code = RIGHT * acquisition.right + LEFT * acquisition.left + LESION * acquisition.lesion
    enlarged = cv2.resize(code.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
    content = cv2.imencode(".png", enlarged)[1]
    path.write_bytes(content.tobytes())


def _write_truth(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, _COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
