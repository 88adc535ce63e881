"""DICOM files of nuclear medicine: counts by frame, energy window and detector; and the phantom's own.

The attributes are those of the NM Image module (PS3.3, C.8.4). Frames of a static file stand for themselves; those of a
dynamic one are summed over time within each energy window and detector. Reconstructed slices are no planar images.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from streamer.dicom.library import require_dicom
from streamer.errors import DataError
from streamer.scintigraphy.colour_maps import grey_levels
from streamer.scintigraphy.image import SIMULATED_MARK, PlanarImage, checked_pixels

_PLANAR = ("STATIC", "WHOLE BODY", "DYNAMIC")
_TECHNETIUM_KEV = 140.5
_NM_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.20"
_EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
_UID_ROOT = "2.25."


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomView:
    """One view of a file.

    Attributes:
        image: its counts.
        study: kind of acquisition, such as STATIC or WHOLE BODY.
        anterior: whether the camera stood in front; None if the file does not say.
        technetium: whether the energy window holds 140.5 keV; None if the file does not say.
    """

    image: PlanarImage
    study: str
    anterior: bool | None
    technetium: bool | None


def read_views(content: bytes, place: str) -> list[DicomView]:
    """All planar views of a DICOM file.

    Args:
        content: the file.
        place: its name for an error.

    Raises:
        DataError: it is no planar nuclear medicine, damaged, or compressed in a way that needs another package.
    """
    require_dicom("a DICOM image")
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    compressed = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of slips in headers; what is needed is checked below
            dataset = dcmread(io.BytesIO(content))
            modality = str(dataset.get("Modality", ""))
            if modality != "NM":
                named = f"of modality {_plain(modality)}" if modality else "that names no modality (damaged?)"
                raise DataError(f"{place}: a DICOM file {named}, not of nuclear medicine (NM)")
            compressed = _is_compressed(dataset)
            pixels = _pixels(dataset)
    except DataError as error:
        raise DataError(str(error) if str(error).startswith(place) else f"{place}: {error}") from error
    except (InvalidDicomError, AttributeError, EOFError, KeyError, NotImplementedError, OSError) as error:
        raise DataError(f"{place}: the DICOM file is damaged or holds no image") from error
    except (RuntimeError, TypeError, ValueError) as error:
        remedy = "if it is whole: pip install pylibjpeg[all]" if compressed else "the file is damaged or cut short"
        raise DataError(f"{place}: the DICOM image cannot be decoded; {remedy}") from error
    if pixels.shape[-1] == 3 and pixels.ndim == 4:
        return [_captured(dataset, frame, number, place) for number, frame in enumerate(pixels)]
    return _planar_views(dataset, pixels, place)


def chosen_view(views: Sequence[DicomView], place: str, frame: int | None) -> PlanarImage:
    """The view to be classified: the frame asked for, else the anterior one in the window of 99mTc, else the first.

    Raises:
        DataError: there is no such frame, or it is a whole-body scan.
    """
    if frame is not None:
        found = [view for view in views if view.image.frame == frame]
        if not found:
            frames = ", ".join(str(view.image.frame) for view in views)
            raise DataError(f"{place}: no view begins at frame {frame}; there are {frames}")
        best = found[0]
    else:
        best = min(views, key=lambda view: (_rank(view.technetium), _rank(view.anterior), view.image.frame))
    if best.study == "WHOLE BODY":
        raise DataError(f"{place}: a whole-body scan; a static view of the neck is needed")
    return best.image


def _is_compressed(dataset: Any) -> bool:
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    return syntax is not None and bool(syntax.is_compressed)


def _rank(known: bool | None) -> int:
    return {True: 0, None: 1, False: 2}[known]


def _pixels(dataset: Any) -> npt.NDArray[np.float32]:
    """Shape (frames, height, width), or (frames, height, width, 3) of a colour capture."""
    values = np.asarray(dataset.pixel_array)
    colours = int(dataset.get("SamplesPerPixel", 1)) == 3
    if values.ndim == (3 if colours else 2):
        values = values[None]
    values = values.astype(np.float32)
    if colours:
        return values
    slope = float(dataset.get("RescaleSlope", 1) or 1)
    return values * np.float32(slope) + np.float32(dataset.get("RescaleIntercept", 0) or 0)


def _planar_views(dataset: Any, pixels: npt.NDArray[np.float32], place: str) -> list[DicomView]:
    kinds = [str(part).upper() for part in dataset.get("ImageType", [])]
    study = kinds[2] if len(kinds) > 2 else "STATIC"
    if study not in _PLANAR:
        raise DataError(f"{place}: not a planar image: its Image Type is none of {', '.join(_PLANAR)}")
    windows = _vector(dataset, "EnergyWindowVector", len(pixels))
    detectors = _vector(dataset, "DetectorVector", len(pixels))
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, key in enumerate(zip(windows, detectors, strict=True)):
        groups.setdefault(key if study == "DYNAMIC" else (*key, number), []).append(number)
    spacing = dataset.get("PixelSpacing")
    pixel_mm = (float(spacing[0]), float(spacing[1])) if spacing and len(spacing) == 2 else None
    views = []
    for (window, detector, *_), frames in groups.items():
        image = PlanarImage(
            pixels=checked_pixels(pixels[frames].sum(axis=0), place),
            kind="counts",
            pixel_mm=pixel_mm if pixel_mm and min(pixel_mm) > 0 else None,
            simulated=_is_simulated(dataset),
            frame=frames[0],
            energy_window=str(window),
            detector=str(detector),
        )
        if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
            image = replace(image, pixels=image.pixels.max() - image.pixels)
        views.append(
            DicomView(
                image=image,
                study=study,
                anterior=_anterior(dataset, detector),
                technetium=_technetium(dataset, window),
            )
        )
    return views


def _captured(dataset: Any, frame: npt.NDArray[np.float32], number: int, place: str) -> DicomView:
    """A picture of a screen that was stored as DICOM: colours, not counts."""
    levels, name = grey_levels(frame.astype(np.uint8), place)
    image = PlanarImage(
        pixels=checked_pixels(levels, place),
        kind="grey levels",
        simulated=_is_simulated(dataset),
        frame=number,
        colour_map=name,
    )
    return DicomView(image=image, study="STATIC", anterior=None, technetium=None)


def _is_simulated(dataset: Any) -> bool:
    return str(dataset.get("ImageComments", "")).startswith(SIMULATED_MARK)


def _vector(dataset: Any, name: str, frames: int) -> list[int]:
    values = dataset.get(name)
    if values is None:
        return [1] * frames
    numbers = [
        int(value) for value in (values if isinstance(values, Sequence) or hasattr(values, "__iter__") else [values])
    ]
    return numbers if len(numbers) == frames else [1] * frames


def _item(dataset: Any, name: str, number: int) -> Any:
    items = dataset.get(name) or []
    return items[number - 1] if 0 < number <= len(items) else None


def _anterior(dataset: Any, detector: int) -> bool | None:
    item = _item(dataset, "DetectorInformationSequence", detector)
    codes = [] if item is None else item.get("ViewCodeSequence") or []
    for code in codes:
        meaning = str(code.get("CodeMeaning", "")).casefold()
        if "anterior" in meaning or "posterior" in meaning:
            return "posterior" not in meaning
    return None


def _technetium(dataset: Any, window: int) -> bool | None:
    item = _item(dataset, "EnergyWindowInformationSequence", window)
    ranges = [] if item is None else item.get("EnergyWindowRangeSequence") or []
    limits = [(part.get("EnergyWindowLowerLimit"), part.get("EnergyWindowUpperLimit")) for part in ranges]
    known = [(float(low), float(high)) for low, high in limits if low is not None and high is not None]
    if not known:
        return None
    return any(low <= _TECHNETIUM_KEV <= high for low, high in known)


def _plain(text: str) -> str:
    return text if text.isalnum() and len(text) <= 16 else "unknown"


def nuclear_dicom(
    counts: npt.NDArray[np.uint16], *, pixel_mm: float, patient: str, model: str, seconds: float
) -> bytes:
    """A simulated static NM file, marked as simulated.

    Args:
        counts: shape (height, width).
        pixel_mm: side of a pixel.
        patient: identifier of the simulated patient.
        model: of the simulated camera.
        seconds: acquisition time.
    """
    require_dicom("writing DICOM")
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(_NM_IMAGE_STORAGE)
    meta.MediaStorageSOPInstanceUID = generate_uid(prefix=_UID_ROOT, entropy_srcs=[patient, model])
    meta.TransferSyntaxUID = UID(_EXPLICIT_LITTLE_ENDIAN)
    window_range = Dataset()
    window_range.EnergyWindowLowerLimit, window_range.EnergyWindowUpperLimit = "126.0", "154.0"
    window = Dataset()
    window.EnergyWindowName, window.EnergyWindowRangeSequence = "Tc99m", [window_range]
    view = Dataset()
    view.CodeValue, view.CodingSchemeDesignator, view.CodeMeaning = "R-10206", "SRT", "Anterior"  # CID 26
    detector = Dataset()
    detector.CollimatorType = "PINH" if "PINHOLE" in model else "PARA"
    detector.ViewCodeSequence = [view]
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = generate_uid(prefix=_UID_ROOT, entropy_srcs=[patient, "study"])
    dataset.SeriesInstanceUID = generate_uid(prefix=_UID_ROOT, entropy_srcs=[patient, "series"])
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]
    dataset.Modality, dataset.Manufacturer, dataset.ManufacturerModelName = "NM", "streamer phantom", model
    dataset.PatientName, dataset.PatientID = "Phantom^Simulated", patient
    dataset.PatientBirthDate = dataset.PatientSex = ""
    dataset.StudyDate = dataset.StudyTime = dataset.StudyID = dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.ImageComments = SIMULATED_MARK
    dataset.Rows, dataset.Columns = counts.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.PixelSpacing = [f"{pixel_mm:.6g}", f"{pixel_mm:.6g}"]
    dataset.NumberOfFrames = 1
    dataset.FrameIncrementPointer = [0x00540010, 0x00540020]
    dataset.EnergyWindowVector, dataset.DetectorVector = [1], [1]
    dataset.NumberOfEnergyWindows, dataset.NumberOfDetectors = 1, 1
    dataset.EnergyWindowInformationSequence, dataset.DetectorInformationSequence = [window], [detector]
    dataset.ActualFrameDuration = round(seconds * 1000)
    dataset.CountsAccumulated = int(counts.sum())
    dataset.PixelData = counts.astype("<u2").tobytes()
    buffer = io.BytesIO()
    cast("Any", dataset).save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
