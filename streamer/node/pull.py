"""Fetches the ultrasound of a list of studies from a PACS: by QIDO-RS and WADO-RS, or by C-FIND and C-MOVE."""

from __future__ import annotations

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from streamer._files import write_whole
from streamer.dicom.attributes import integer, text
from streamer.dicom.classes import SECONDARY_CAPTURE, ULTRASOUND
from streamer.dicom.identity import own_series
from streamer.dicom.library import require_node
from streamer.errors import InputError, OutputError
from streamer.node import web as dicomweb
from streamer.node.calls import NoCallError, call
from streamer.node.peers import Peer
from streamer.node.receive import Receiver, ReceiverSettings
from streamer.node.records import Received

_LOG = logging.getLogger(__name__)
_PENDING = (0xFF00, 0xFF01)
_MODALITIES = ("US", "OT", "SC", "")
"""Of series that may hold ultrasound, see `streamer.dicom.classes`."""

_LIST, _LIST_HEADING = "studies.csv", "folder,study_uid"

_STUDY_UID, _SERIES_UID, _SOP_UID, _CLASS_UID, _MODALITY = "0020000D", "0020000E", "00080018", "00080016", "00080060"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """What became of a study: its folder, files that are new, and files that were there before."""

    study_uid: str
    folder: Path
    new: int
    before: int


class Archive(Protocol):
    """A PACS, however it is asked."""

    def studies(self, query: Mapping[str, str]) -> list[str]:
        """UIDs of the studies that match."""
        ...

    def fetch(self, study_uid: str, folder: Path) -> tuple[int, int]:
        """Bring the ultrasound of a study into a folder; how many files are new, and how many were there."""
        ...


def pull(archive: Archive, studies: Sequence[str], output: Path) -> Iterator[Pulled]:
    """Fetch studies, each into a folder of its own below `output`.

    What is there already is not fetched again: no file of a `WebArchive`, no series of a `DimseArchive` that is whole.

    `output/studies.csv` says which folder holds which study, those of earlier calls included. No name of a folder or a
    file tells of the patient.

    Args:
        archive: where from.
        studies: UIDs.
        output: made where missing.

    Raises:
        InputError: the PACS cannot be reached; or, once all others are fetched, it has nothing of a study. What was
            fetched stays.
        OutputError: a file cannot be written.
    """
    listed = _listed(output / _LIST)
    missing: list[str] = []
    for study_uid in studies:
        folder = output / _hidden(study_uid)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new, before = archive.fetch(study_uid, folder)
        except OSError as error:
            raise OutputError(f"cannot write into {folder}: {error.strerror}; choose another --output") from error
        finally:
            with suppress(OSError):  # not empty, as it should be
                folder.rmdir()
        if new + before == 0:
            missing.append(study_uid)
            continue
        listed = list(dict.fromkeys([*listed, f"{folder.name},{study_uid}"]))
        try:
            write_whole(output / _LIST, "\n".join([_LIST_HEADING, *listed, ""]).encode())
        except OSError as error:
            raise OutputError(f"cannot write {output / _LIST}: {error.strerror}; choose another --output") from error
        yield Pulled(study_uid=study_uid, folder=folder, new=new, before=before)
    if missing:
        several = f" ({len(missing)} of {len(studies)})" if len(studies) > 1 else ""
        raise InputError(f"the PACS has no ultrasound of study {', '.join(missing)}{several}")


def _listed(path: Path) -> list[str]:
    """The lines of an earlier call."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError):
        lines = [""]
    if lines[:1] != [_LIST_HEADING]:
        raise OutputError(f"{path} is no list of an earlier pull; choose another --output")
    return lines[1:]


def read_studies(path: Path) -> list[str]:
    """Study UIDs from a file, one in a line; empty lines and those that begin with # do not count.

    Raises:
        InputError: it cannot be read, or a line is no UID.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the list of studies {path}") from error
    uids = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    for number, uid in enumerate(uids, start=1):
        if not UID(uid).is_valid:
            raise InputError(f"{path}: entry {number} is no study UID")
    return uids


class WebArchive:
    """A DICOMweb server.

    Args:
        url: base address, such as `https://pacs/dicom-web`.

    Raises:
        InputError: it is no address.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        dicomweb.client(url).close()

    def studies(self, query: Mapping[str, str]) -> list[str]:
        """UIDs of the studies that match."""
        with closing(dicomweb.client(self._url)) as web:
            return [dicomweb.value_of(item, _STUDY_UID) for item in dicomweb.find(web, "/studies", query)]

    def fetch(self, study_uid: str, folder: Path) -> tuple[int, int]:
        """Bring the ultrasound of a study into a folder."""
        new, before = 0, 0
        with closing(dicomweb.client(self._url)) as web:
            for series_uid, sop_uid in self._instances(web, study_uid):
                target = folder / _file_name(sop_uid)
                if target.is_file():
                    before += 1
                    continue
                with _whole(target) as partial:
                    path = f"/studies/{study_uid}/series/{series_uid}/instances/{sop_uid}"
                    dicomweb.fetch(web, path, partial)
                new += 1
        return new, before

    def _instances(self, web: httpx.Client, study_uid: str) -> Iterator[tuple[str, str]]:
        own = own_series(study_uid)
        for series in dicomweb.find(web, f"/studies/{study_uid}/series", {}):
            series_uid = dicomweb.value_of(series, _SERIES_UID)
            if dicomweb.value_of(series, _MODALITY) not in _MODALITIES or series_uid in own:
                continue
            for item in dicomweb.find(web, f"/studies/{study_uid}/series/{series_uid}/instances", {}):
                if _may_be_ultrasound(dicomweb.value_of(item, _CLASS_UID)):
                    yield series_uid, dicomweb.value_of(item, _SOP_UID)


class DimseArchive:
    """A PACS that is asked by C-FIND, and told by C-MOVE to send to this node, whose title and port it must know.

    It sends whole series: one of which all is there already is not asked for, of any other what is there comes again.
    So does each series where the PACS does not answer C-FIND at the level of images.

    Args:
        peer: the PACS; its port is known.
        receiver: where it sends to.
    """

    def __init__(self, peer: Peer, receiver: ReceiverSettings) -> None:
        require_node("a DICOM node")
        self._peer, self._receiver = peer, receiver

    def studies(self, query: Mapping[str, str]) -> list[str]:
        """UIDs of the studies that match."""
        wanted = _identifier("STUDY", StudyInstanceUID="", **query)
        with self._called() as association:
            return [text(item, "StudyInstanceUID") for item in self._found(association, wanted)]

    def fetch(self, study_uid: str, folder: Path) -> tuple[int, int]:
        """Bring the ultrasound of a study into a folder; a series that is all there is not moved again.

        Returns:
            Files that are new in the folder, and files that were there before.

        Raises:
            InputError: the PACS does not answer, or says that it sent objects of which none arrived.
        """
        arrived, sent, there = {"new": 0, "before": 0}, 0, 0

        def store(received: Received) -> bool:
            target = folder / _file_name(received.sop_uid)
            if received.study_uid != study_uid:  # not asked for; acknowledged, since it is not lost: the PACS has it
                return False
            arrived["before" if target.is_file() else "new"] += 1
            received.path.replace(target)
            return True

        incoming = folder / ".incoming"
        incoming.mkdir(mode=0o700, exist_ok=True)
        receiver = Receiver(self._receiver, incoming, store)
        try:
            with self._called() as association:
                for series_uid in self._series(association, study_uid):
                    files = self._files(association, study_uid, series_uid)
                    if files is not None and all((folder / name).is_file() for name in files):
                        there += len(files)
                    else:
                        sent += self._move(association, study_uid, series_uid)
        finally:
            receiver.close()
            for left in incoming.iterdir():
                left.unlink()
            incoming.rmdir()
        if sent and not sum(arrived.values()):
            here = f"{self._receiver.host}, port {self._receiver.port}"
            raise InputError(
                f"{self._peer} says that it sent {sent} objects, but none arrived: enter {self._receiver.aet} there "
                f"with the address {here}"
            )
        return arrived["new"], arrived["before"] + there

    @contextmanager
    def _called(self) -> Iterator[Association]:
        node = AE(self._receiver.aet)
        node.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
        node.add_requested_context(StudyRootQueryRetrieveInformationModelMove)
        node.dimse_timeout = None  # a large study takes its time; the PACS reports on it in between
        try:
            association = call(node, self._peer)
        except NoCallError as error:
            raise InputError(f"{error}; see --pacs") from error
        try:
            yield association
        except ValueError as error:  # pynetdicom's, where a context was not accepted
            raise InputError(f"{self._peer} does not answer C-FIND or C-MOVE") from error
        finally:
            if association.is_established:
                association.release()

    def _series(self, association: Association, study_uid: str) -> list[str]:
        own = own_series(study_uid)
        wanted = _identifier("SERIES", StudyInstanceUID=study_uid, SeriesInstanceUID="", Modality="")
        return [
            text(item, "SeriesInstanceUID")
            for item in self._found(association, wanted)
            if text(item, "Modality") in _MODALITIES and text(item, "SeriesInstanceUID") not in own
        ]

    def _files(self, association: Association, study_uid: str, series_uid: str) -> list[str] | None:
        """Names of the files that a series of the PACS has here, once it was fetched; None where it does not tell."""
        wanted = _identifier(
            "IMAGE", StudyInstanceUID=study_uid, SeriesInstanceUID=series_uid, SOPInstanceUID="", SOPClassUID=""
        )
        try:
            found = self._found(association, wanted)
        except InputError:
            if not association.is_established:
                raise
            return None
        uids = [text(item, "SOPInstanceUID") for item in found if _may_be_ultrasound(text(item, "SOPClassUID"))]
        return [_file_name(uid) for uid in uids] if found and all(uids) else None

    def _found(self, association: Association, wanted: Dataset) -> list[Dataset]:
        found: list[Dataset] = []
        for status, item in association.send_c_find(wanted, StudyRootQueryRetrieveInformationModelFind):
            code = integer(status, "Status")
            if code in _PENDING and item is not None:
                found.append(item)
            elif code != 0:
                raise InputError(f"{self._peer} {_said(code)} to C-FIND")
        return found

    def _move(self, association: Association, study_uid: str, series_uid: str) -> int:
        """Have a series sent here; how many objects were sent, as the PACS says."""
        sent = 0
        wanted = _identifier("SERIES", StudyInstanceUID=study_uid, SeriesInstanceUID=series_uid)
        answers = association.send_c_move(wanted, self._receiver.aet, StudyRootQueryRetrieveInformationModelMove)
        for status, _ in answers:
            code = integer(status, "Status")
            sent = integer(status, "NumberOfCompletedSuboperations") or sent
            if code in _PENDING:
                continue
            if code == 0xA801:
                raise InputError(
                    f"{self._peer} does not know where to send: enter {self._receiver.aet} and its port there"
                )
            if code != 0:
                raise InputError(f"{self._peer} {_said(code)} to C-MOVE; not all was sent")
        return sent


def _said(code: int | None) -> str:
    return "broke off" if code is None else f"answers with status {code:04X}"


def _identifier(level: str, **attributes: str) -> Dataset:
    made = Dataset()
    with warnings.catch_warnings(action="ignore"):
        made.QueryRetrieveLevel = level
        for keyword, value in attributes.items():
            setattr(made, keyword, value)
    return made


def _may_be_ultrasound(class_uid: str) -> bool:
    """Whether an object of this class is fetched; "" where the PACS does not say its class."""
    return not class_uid or class_uid in ULTRASOUND | SECONDARY_CAPTURE


def _file_name(sop_uid: str) -> str:
    return f"{_hidden(sop_uid)}.dcm"


def _hidden(uid: str) -> str:
    """A name for a folder or a file that tells nothing and is the same each time."""
    return hashlib.sha256(uid.encode()).hexdigest()[:16]


@contextmanager
def _whole(target: Path) -> Iterator[Path]:
    partial = target.with_suffix(".partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
