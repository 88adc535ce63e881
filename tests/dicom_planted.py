"""A cine with a name in every place where one can stand."""

import io
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from pydicom._dicom_dict import DicomDictionary
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from streamer.types import Image
from tests.dicom_files import PREFIX, add_region, cine_dataset, jpeg, write_dicom

NAME = "ZWIEBELTURM"
"""In no dictionary, in no standard, and what OCR would read."""

REGION = (8, 60, 247, 179)
SIZE = {"rows": 192, "columns": 256}
_SPELLINGS = tuple(
    spelling
    for name in (NAME, NAME.lower(), NAME[::-1])
    for spelling in (name.encode(), name.encode("utf-16-le"), name.encode("utf-16-be"))
)
_TEXT = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
_NEEDED = {
    "PhotometricInterpretation", "Modality", "SpecificCharacterSet", "ImageType", "CodeMeaning",
    "LossyImageCompression", "LossyImageCompressionMethod", "Manufacturer", "ManufacturerModelName",
}  # fmt: skip
"""Decide how a file is read; a name in them is a name in a file that is not read at all."""


def planted_cine(path: Path, *, frames: int = 3) -> Path:
    """Write it: every text attribute of the standard, nested and private ones, preamble, JPEG comments, and pixels."""
    data = cine_dataset(frames, **SIZE)
    data.PhotometricInterpretation = "YBR_FULL_422"
    _plant_attributes(data, level=0)
    data.ManufacturerModelName = NAME
    add_region(data, REGION, delta_cm=0.02)
    _plant_attributes(data.SequenceOfUltrasoundRegions[0], level=1)
    for group in range(0x0009, 0x0050, 2):
        block = data.private_block(group, NAME, create=True)
        block.add_new(1, "LO", NAME)
        block.add_new(2, "UN", NAME.encode())
        block.add_new(3, "OB", NAME.encode() + b"\0")
    data.add_new(0x60003000, "OW", NAME.encode() + b"\0")  # an overlay's bits
    data.add_new(0xFFFCFFFC, "OB", NAME.encode() + b"\0")  # trailing padding
    payload = [_with_comment(jpeg(picture(index))) for index in range(frames)]
    write_dicom(path, data, payload, syntax=PREFIX + "4.50")
    whole = bytearray(path.read_bytes())
    whole[: len(NAME)] = NAME.encode()
    path.write_bytes(whole)
    return path


def picture(index: int) -> Image:
    """Speckle in the region, which moves, and the name beside it."""
    image: Image = np.zeros((SIZE["rows"], SIZE["columns"], 3), np.uint8)
    left, top, right, bottom = REGION
    speckle = np.random.default_rng(index).integers(40, 160, (bottom + 1 - top, right + 1 - left, 1))
    image[top : bottom + 1, left : right + 1] = speckle
    cv2.putText(image, NAME, (10, 40), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (255, 255, 255), 2)
    return image


def holds_name(content: bytes | str) -> bool:
    """Whether the name stands in it, in any of its spellings."""
    raw = content.encode() if isinstance(content, str) else content
    return any(spelling in raw for spelling in _SPELLINGS)


def files_with_name(folder: Path) -> list[str]:
    """Files below a folder that hold the name, or are called by it."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(path.name for path in files if holds_name(path.read_bytes()) or holds_name(str(path)))


def _plant_attributes(data: Dataset, *, level: int) -> None:
    for tag, keyword, vr in _plantable():
        if tag in data and keyword.endswith("UID"):
            continue
        data.add(DataElement(tag, vr, NAME if vr != "PN" else f"{NAME}^{NAME}"))
    if level == 0:
        for tag, entry in DicomDictionary.items():
            if entry[0] == "SQ" and Tag(tag) not in data and tag >> 16 not in (0x0000, 0x0002, 0x0004):
                item = Dataset()
                item.PatientName, item.PatientComments, item.CodeMeaning = f"{NAME}^A", NAME, NAME
                data.add(DataElement(tag, "SQ", Sequence([item])))


def _plantable() -> Iterable[tuple[int, str, str]]:
    for tag, entry in DicomDictionary.items():
        vr, keyword = entry[0], entry[4]
        if vr in _TEXT and keyword and keyword not in _NEEDED and tag >> 16 not in (0x0000, 0x0002, 0x0004):
            yield tag, keyword, vr


def _with_comment(coded: bytes) -> bytes:
    """A JPEG with the name as its comment, after the start of the image."""
    comment = NAME.encode()
    buffer = io.BytesIO()
    buffer.write(coded[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + coded[2:])
    return buffer.getvalue()
