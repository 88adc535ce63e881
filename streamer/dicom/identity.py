"""Whose results these are: patient and study from the source, series and instances of our own."""

from __future__ import annotations

import re
import tempfile
import uuid
import warnings
import zlib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomIO
from pydicom.filewriter import dcmwrite, write_dataset, write_file_meta_info
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from streamer.dicom.attributes import integer, text
from streamer.dicom.classes import MULTI_FRAME, PRODUCT, ULTRASOUND
from streamer.errors import InputError
from streamer.version import __version__

RESEARCH_ONLY = "Research use only, not for diagnosis"
UTF_8 = "ISO_IR 192"
IMPLEMENTATION_UID = UID("2.25.302850932184310437186741096203402361087")  # of this program, drawn once
_NAMESPACE = uuid.UUID(int=302850932184310437186741096203402361087)

PICTURE_KINDS = (KEY_IMAGES, OVERLAY) = ("key-images", "overlay")
"""Kinds of results that are pictures themselves."""

_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_PATIENT_OPTIONAL = ("IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight")
_STUDY = ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID")
_STUDY_OPTIONAL = ("StudyDescription",)
_VALID = {
    "PatientBirthDate": re.compile(r"\d{8}"),
    "StudyDate": re.compile(r"\d{8}"),
    "StudyTime": re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?"),
    "PatientSex": re.compile(r"[MFO]"),
    "PatientAge": re.compile(r"\d{3}[DWMY]"),
    "PatientSize": re.compile(r"\d+(\.\d+)?"),
    "PatientWeight": re.compile(r"\d+(\.\d+)?"),
}
_LONGEST = {"PatientID": 64, "StudyID": 16, "AccessionNumber": 16, "StudyDescription": 64, "IssuerOfPatientID": 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunIdentity:
    """One run, from which the UIDs of its results derive.

    Series are derived from the study and the kind of object, instances from the run besides: a repeated run adds new
    instances to the same series, and a repeated call within a run makes the same again.

    Attributes:
        run: any text that is different for every run; a random one if not given.
        created: when.
        algorithm: name, version and the weights that ran.
    """

    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: datetime = field(default_factory=lambda: datetime.now().astimezone())
    algorithm: Sequence[str] = ()

    def series_uid(self, study_uid: str, kind: str) -> str:
        """UID of the series of results of one kind in a study."""
        return derived_uid("series", study_uid, kind)

    def instance_uid(self, study_uid: str, kind: str, name: str) -> str:
        """UID of one result of this run."""
        return derived_uid("instance", self.run, study_uid, kind, name)

    def tracking_uid(self, study_uid: str, track: int) -> str:
        """UID of a nodule of this run."""
        return derived_uid("track", self.run, study_uid, str(track))


def derived_uid(*parts: str) -> str:
    """A UID under 2.25 (PS3.5, B.2) that is the same for the same parts."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}"


def own_series(study_uid: str) -> frozenset[str]:
    """UIDs of the series with pictures that this program adds to a study; they are results, nothing to be analysed."""
    return frozenset(derived_uid("series", study_uid, kind) for kind in PICTURE_KINDS)


def evidence(data: Dataset, name: str, *, rows: int, columns: int, frames: int) -> Dataset:
    """What results state about, and refer to in, their source: patient, study, series and the picture's size.

    Everything is a copy in UTF-8; a required value that is missing or malformed is left empty, an optional one out.

    Args:
        data: header of the source.
        name: of the clip, for messages.
        rows, columns, frames: of the source as it was read.

    Raises:
        InputError: the source does not say to which study, series and instance it belongs.
    """
    made = Dataset()
    made.SpecificCharacterSet = UTF_8
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        uid = text(data, keyword)
        if not UID(uid).is_valid or not uid:
            raise InputError(f"{name} does not state {keyword}; results cannot be filed beside it: run without --dicom")
        setattr(made, keyword, uid)
    for keyword in (*_PATIENT, *_STUDY):
        setattr(made, keyword, _sound(data, keyword))
    for keyword in (*_PATIENT_OPTIONAL, *_STUDY_OPTIONAL):
        if found := _sound(data, keyword):
            setattr(made, keyword, found)
    # highdicom looks for the geometry of a CT where the modality says so, whatever the class
    made.Modality = "US" if made.SOPClassUID in ULTRASOUND else text(data, "Modality") or "US"
    made.ImageType = ["ORIGINAL", "PRIMARY"]
    made.Rows, made.Columns = rows, columns
    set_frames(made, frames)
    made.PhotometricInterpretation = text(data, "PhotometricInterpretation") or "RGB"
    grey = made.PhotometricInterpretation.startswith("MONOCHROME")
    made.SamplesPerPixel = 1 if grey else 3  # a palette makes colour as well
    made.LossyImageCompression = "01" if text(data, "LossyImageCompression") == "01" else "00"
    made.InstanceNumber = max(integer(data, "InstanceNumber") or 1, 1)
    return made


def set_frames(source: Dataset, frames: int) -> None:
    """State how many frames a source has; 1 where its class has one only, so that none can be referred to."""
    source.NumberOfFrames = frames if source.SOPClassUID in MULTI_FRAME else 1


def unnamed(source: Dataset) -> Dataset:
    """A copy of `source` that names nobody: highdicom quotes a name that looks odd to it in a warning."""
    made = deepcopy(source)
    for keyword in (*_PATIENT, *_STUDY):
        setattr(made, keyword, "")
    for keyword in (*_PATIENT_OPTIONAL, *_STUDY_OPTIONAL):
        if keyword in made:
            delattr(made, keyword)
    return made


def _sound(data: Dataset, keyword: str) -> str:
    found = text(data, keyword).split("\\")[0]
    if keyword.endswith(("Date", "Time")) or keyword in _VALID:
        return found if _VALID[keyword].fullmatch(found) else ""
    return found[: _LONGEST.get(keyword, 320)]


def stamp(made: Dataset, source: Dataset, run: RunIdentity, *, kind: str, name: str, number: int, label: str) -> None:
    """Put patient, study, series and equipment into a result.

    Args:
        made: the result; its SOP class and modality are set already.
        source: as from `evidence`.
        run: of which it is a result.
        kind: of results, one series each.
        name: of the result within its kind.
        number: of the series.
        label: description of the series.
    """
    made.SpecificCharacterSet = UTF_8
    for keyword in (*_PATIENT, *_STUDY, "StudyInstanceUID"):
        setattr(made, keyword, source[keyword].value)
    for keyword in (*_PATIENT_OPTIONAL, *_STUDY_OPTIONAL):
        if keyword in source:
            setattr(made, keyword, source[keyword].value)
    made.SeriesInstanceUID = run.series_uid(source.StudyInstanceUID, kind)
    made.SOPInstanceUID = run.instance_uid(source.StudyInstanceUID, kind, name)
    made.SeriesNumber, made.SeriesDescription = number, label
    if "InstanceNumber" not in made:
        made.InstanceNumber = 1
    made.Manufacturer = made.ManufacturerModelName = PRODUCT
    made.SoftwareVersions, made.DeviceSerialNumber = __version__, __version__
    made.InstanceCreationDate = made.ContentDate = run.created.strftime("%Y%m%d")
    made.InstanceCreationTime = made.ContentTime = run.created.strftime("%H%M%S")


def save(made: Dataset, path: Path, syntax: UID = ExplicitVRLittleEndian) -> None:
    """Write a result, whole; deflated in passing where `syntax` says so.

    Raises:
        OSError: it cannot be written.
    """
    made.file_meta = file_meta(made, syntax)
    with warnings.catch_warnings(action="ignore"):  # remarks that may quote the header
        if syntax != DeflatedExplicitVRLittleEndian:
            dcmwrite(path, made, enforce_file_format=True, little_endian=True, implicit_vr=False)
            return
        with tempfile.TemporaryFile() as plain, path.open("wb") as file:
            write_dataset(_explicit(plain), made)
            file.write(b"\0" * 128 + b"DICM")
            write_file_meta_info(DicomIO(file), made.file_meta)
            _deflate(plain, file)


def _explicit(file: BinaryIO) -> DicomIO:
    wrapped = DicomIO(file)
    wrapped.is_implicit_VR, wrapped.is_little_endian = False, True
    return wrapped


def _deflate(plain: BinaryIO, file: BinaryIO) -> None:
    """Compress in pieces (PS3.5, A.5); an odd length is made even."""
    engine, written = zlib.compressobj(wbits=-zlib.MAX_WBITS), 0
    plain.seek(0)
    while chunk := plain.read(2**20):
        written += file.write(engine.compress(chunk))
    written += file.write(engine.flush())
    file.write(b"\0" * (written % 2))


def file_meta(made: Dataset, syntax: UID) -> FileMetaDataset:
    """The meta information of a result."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = made.SOPClassUID, made.SOPInstanceUID
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = f"{PRODUCT} {__version__}"[:16]
    return meta
