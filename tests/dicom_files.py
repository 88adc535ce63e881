"""DICOM objects that the tests make for themselves, and where the packages keep real ones."""

from __future__ import annotations

import importlib.util
import zlib
from collections.abc import Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom._uid_dict import UID_dictionary
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)

from streamer.types import Image

PREFIX = "1.2.840.10008.1.2."
STAND_IN = "1.2.840.10008.1.2.4.201"


def real_file(name: str) -> Path:
    """A file of the packages pydicom, pydicom-data or deid-data; skips where they are not installed."""
    for package in ("pydicom", "data_store", "deid_data"):
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or []) if spec is not None else []:
            found = next(iter(sorted(Path(root).rglob(name))), None)
            if found is not None:
                return found
    pytest.skip(f"{name} is not there: pip install pydicom-data deid-data")


def cine_dataset(frames: int = 4, *, rows: int = 48, columns: int = 64, samples: int = 3) -> Dataset:
    """A valid ultrasound object without pixel data; 25 frames per second."""
    data = Dataset()
    data.SOPClassUID = UltrasoundMultiFrameImageStorage if frames > 1 else UltrasoundImageStorage
    data.SOPInstanceUID, data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid(), generate_uid()
    data.Modality, data.PatientName, data.PatientID = "US", "SECRET^NAME", "SECRET-ID"
    data.PatientBirthDate, data.PatientSex = "19700101", "F"
    data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "20260101", "101500", "1", "SECRET-ACC"
    data.ReferringPhysicianName, data.Manufacturer = "", "Test"
    data.SeriesNumber, data.InstanceNumber = 1, 1
    data.ImageType = ["ORIGINAL", "PRIMARY"]
    data.Rows, data.Columns, data.SamplesPerPixel = rows, columns, samples
    data.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    if samples == 3:
        data.PlanarConfiguration = 0
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    if frames > 1:
        data.NumberOfFrames, data.FrameTime, data.FrameIncrementPointer = frames, 40, 0x00181063
    return data


def add_region(
    data: Dataset,
    box: tuple[int, int, int, int],
    *,
    kind: int = 1,
    spatial: int = 1,
    delta_cm: float = 0.01,
    units: int = 3,
) -> None:
    """Add an ultrasound region; `box` is X0, Y0, X1, Y1 as in the standard, with X1 and Y1 within."""
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = spatial, kind, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = box[0], box[1]
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = box[2], box[3]
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = units
    region.PhysicalDeltaX = region.PhysicalDeltaY = delta_cm
    data.SequenceOfUltrasoundRegions = [*data.get("SequenceOfUltrasoundRegions", []), region]


def write_dicom(
    path: Path,
    data: Dataset,
    payload: bytes | Sequence[bytes],
    *,
    syntax: str = ExplicitVRLittleEndian,
    table: bool = True,
) -> Path:
    """Write an object; frames given one by one are encapsulated."""
    data = data.copy()
    encapsulated = not isinstance(payload, bytes)
    data.PixelData = payload if isinstance(payload, bytes) else encapsulate(list(payload), has_bot=table)
    data["PixelData"].VR = "OB" if encapsulated or data.BitsAllocated == 8 else "OW"
    data["PixelData"].is_undefined_length = encapsulated
    data.file_meta = FileMetaDataset()
    known = syntax in UID_dictionary
    data.file_meta.TransferSyntaxUID = UID(syntax if known else STAND_IN)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.save_as(path, enforce_file_format=True, little_endian=None, implicit_vr=None)
    if not known:  # pydicom writes no syntax that it does not know, such as JPEG XL
        path.write_bytes(path.read_bytes().replace(STAND_IN.encode(), syntax.encode().ljust(len(STAND_IN), b"\0")))
    return path


def frame_images(frames: int = 4, *, rows: int = 48, columns: int = 64) -> list[Image]:
    """Smooth coloured pictures, each different, that lossy coding keeps within a few grey levels."""
    y, x = np.mgrid[0:rows, 0:columns]
    return [
        np.stack([x * 3, y * 4, 120 + 8 * index + 0 * x], axis=2).clip(0, 255).astype(np.uint8)
        for index in range(frames)
    ]


def jpeg(image: Image) -> bytes:
    """A JPEG frame, 4:2:0."""
    return bytes(imagecodecs.jpeg8_encode(image, level=95))


def deflate(raw: bytes) -> bytes:
    """A raw deflate stream, as annex A.5 of PS3.5 wants it."""
    engine = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return engine.compress(raw) + engine.flush()
