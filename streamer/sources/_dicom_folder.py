"""Finds the ultrasound objects in a folder or behind a DICOMDIR, in the order of study, series and instance."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import dcmread

from streamer.dicom.attributes import integer, sequence, text, value
from streamer.dicom.classes import made_by_streamer, refusal
from streamer.errors import InputError

_TAGS = [
    "SOPClassUID",
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "SeriesInstanceUID",
    "SeriesNumber",
    "InstanceNumber",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomClip:
    """One object of a folder.

    Attributes:
        path: its file.
        patient: what tells one patient from another; never for a message or a log.
        study: UID of its study; "" where the file states none.
        order: sorts it within the folder.
    """

    path: Path
    patient: tuple[str, ...]
    study: str
    order: tuple[object, ...]


def files_of_dicomdir(path: Path) -> list[Path]:
    """The files that a DICOMDIR refers to (PS3.10, section 8), as far as they are there and lie beside it.

    Raises:
        InputError: it cannot be read, or refers to nothing that is there.
    """
    records: Sequence[Dataset] = []
    try:
        with warnings.catch_warnings(action="ignore"):
            records = sequence(dcmread(path, force=True), "DirectoryRecordSequence")
    except Exception as error:  # a damaged one makes pydicom raise nearly anything
        raise InputError(f"{path.name} is a damaged DICOMDIR; give the folder it lies in") from error
    found = []
    for record in records:
        parts = text(record, "ReferencedFileID").split("\\") if value(record, "ReferencedFileID") else []
        if parts and all(part not in ("", ".", "..") and "/" not in part for part in parts):
            file = path.parent.joinpath(*parts)
            if file.is_file():
                found.append(file)
    if not found:
        raise InputError(f"{path.name} refers to no file that is there; give the folder that holds them")
    return found


def is_dicomdir(path: Path) -> bool:
    """Whether a DICOM file is a DICOMDIR."""
    try:
        with warnings.catch_warnings(action="ignore"):
            head = dcmread(path, stop_before_pixels=True, force=True, specific_tags=["DirectoryRecordSequence"])
    except Exception:  # `DicomFile` says what is wrong with it
        return False
    return "DirectoryRecordSequence" in head


def ultrasound_clips(files: Sequence[Path], name: str) -> list[DicomClip]:
    """The ultrasound pictures among DICOM files, in order; what streamer made itself is left out.

    Args:
        files: DICOM files.
        name: of the folder, for messages.

    Raises:
        InputError: there is none.
    """
    clips = sorted((clip for path in files if (clip := _clip(path)) is not None), key=lambda clip: clip.order)
    if not clips:
        raise InputError(f"{name} holds {len(files)} DICOM files, none of them an ultrasound picture")
    return clips


def patients(clips: Sequence[DicomClip]) -> int:
    """How many patients the clips belong to."""
    return len({clip.patient for clip in clips})


def studies(clips: Sequence[DicomClip]) -> list[list[DicomClip]]:
    """The clips of each study of each patient, in order."""
    groups: dict[tuple[object, ...], list[DicomClip]] = {}
    for clip in clips:
        groups.setdefault((clip.patient, clip.study), []).append(clip)
    return list(groups.values())


def _clip(path: Path) -> DicomClip | None:
    with warnings.catch_warnings(action="ignore"):  # pydicom remarks on values when they are asked for, too
        try:
            data = dcmread(path, stop_before_pixels=True, force=True, specific_tags=_TAGS)
        except Exception:  # damaged within its header: it is no clip of anybody
            return None
        return _described(path, data)


def _described(path: Path, data: Dataset) -> DicomClip | None:
    if refusal(data) is not None or made_by_streamer(data) or not len(data):
        return None
    study, series = text(data, "StudyInstanceUID"), text(data, "SeriesInstanceUID")
    return DicomClip(
        path=path,
        patient=patient_of(data),
        study=study,
        order=(
            text(data, "StudyDate"),
            text(data, "StudyTime"),
            study,
            integer(data, "SeriesNumber") or 0,
            series,
            integer(data, "InstanceNumber") or 0,
            path.as_posix(),
        ),
    )


def patient_of(data: Dataset) -> tuple[str, ...]:
    """What tells one patient from another: identifier and issuer; name and date of birth where there is none."""
    identifier = text(data, "PatientID")
    if identifier:
        return identifier, text(data, "IssuerOfPatientID")
    return "", text(data, "PatientName"), text(data, "PatientBirthDate")
