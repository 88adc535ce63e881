"""Fetching a list of studies: one that is missing keeps no other back, and the list of what is there only grows."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom.dataset import Dataset

from streamer.errors import InputError, OutputError
from streamer.node.peers import Peer
from streamer.node.pull import DimseArchive, _file_name, pull
from streamer.node.receive import ReceiverSettings


class _Shelf:
    """An archive that has some studies of one file each."""

    def __init__(self, *has: str) -> None:
        self._has = has

    def studies(self, query: Mapping[str, str]) -> list[str]:
        return list(self._has)

    def fetch(self, study_uid: str, folder: Path) -> tuple[int, int]:
        if study_uid not in self._has:
            return 0, 0
        there = (folder / "1.dcm").is_file()
        (folder / "1.dcm").write_bytes(b"pixels")
        return int(not there), int(there)


def test_a_missing_study_keeps_no_other_from_being_fetched(tmp_path: Path) -> None:
    fetched = pull(_Shelf("1.1", "1.3"), ["1.1", "1.2", "1.3", "1.4"], tmp_path / "in")
    assert next(fetched).study_uid == "1.1"
    assert next(fetched).study_uid == "1.3"
    with pytest.raises(InputError, match=r"no ultrasound of study 1\.2, 1\.4 \(2 of 4\)"):
        next(fetched)
    assert len([path for path in (tmp_path / "in").iterdir() if path.is_dir()]) == 2


def test_the_list_keeps_what_an_earlier_call_has_fetched(tmp_path: Path) -> None:
    first, again, second = (next(iter(pull(_Shelf(uid), [uid], tmp_path / "in"))) for uid in ("1.1", "1.1", "1.2"))
    assert (first.new, again.new, again.before, second.new) == (1, 0, 1, 1)
    assert (tmp_path / "in" / "studies.csv").read_text().splitlines() == [
        "folder,study_uid",
        f"{first.folder.name},1.1",
        f"{second.folder.name},1.2",
    ]


def test_a_list_of_the_user_s_own_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "studies.csv").write_text("1.1\n")
    with pytest.raises(OutputError, match=r"studies\.csv is no list of an earlier pull"):
        next(iter(pull(_Shelf("1.1"), ["1.1"], tmp_path)))
    assert (tmp_path / "studies.csv").read_text() == "1.1\n"


_US, _ECG = "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.5.1.4.1.1.9.1.1"


class _Moves(DimseArchive):
    """A PACS of one study: its series, each with the UIDs and classes of its objects, or a refusal to list them."""

    def __init__(self, tmp_path: Path, series: Mapping[str, Mapping[str, str] | None]) -> None:
        super().__init__(Peer(aet="PACS", host="127.0.0.1", port=104), ReceiverSettings(aet="ME", port=0, allowed=()))
        self.folder, self._has = tmp_path / "study", series
        self.folder.mkdir()
        self.moved: list[str] = []

    def add(self, *sop_uids: str) -> None:
        """Objects that an earlier call has fetched."""
        for uid in sop_uids:
            (self.folder / _file_name(uid)).touch()

    @contextmanager
    def _called(self) -> Iterator[Any]:
        yield SimpleNamespace(is_established=True)

    def _found(self, association: Any, wanted: Dataset) -> list[Dataset]:
        if wanted.QueryRetrieveLevel == "SERIES":
            return [_item(SeriesInstanceUID=uid, Modality="US") for uid in self._has]
        objects = self._has[wanted.SeriesInstanceUID]
        if objects is None:
            raise InputError("PACS answers with status A900 to C-FIND")
        return [_item(SOPInstanceUID=uid, SOPClassUID=kind) for uid, kind in objects.items()]

    def _move(self, association: Any, study_uid: str, series_uid: str) -> int:
        self.moved.append(series_uid)
        return 0


def _item(**values: str) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def test_a_pacs_is_not_asked_to_send_a_series_that_is_there(tmp_path: Path) -> None:
    archive = _Moves(tmp_path, {"1.1": {"1.1.1": _US, "1.1.2": "", "1.1.3": _ECG}, "1.2": {"1.2.1": _US}})
    archive.add("1.1.1", "1.1.2", "1.2.1")
    assert archive.fetch("1", archive.folder) == (0, 3)
    assert archive.moved == []


@pytest.mark.parametrize(
    "series",
    [{"1.1.1": _US, "1.1.2": _US}, {"1.1.1": _US, "": _US}, {}, None],
    ids=["one missing", "one without UID", "nothing listed", "not answered"],
)
def test_a_series_is_sent_where_something_is_missing_or_the_pacs_does_not_tell(
    tmp_path: Path, series: Mapping[str, str] | None
) -> None:
    archive = _Moves(tmp_path, {"1.1": series, "1.2": {"1.2.1": _US}})
    archive.add("1.1.1", "1.2.1")
    archive.fetch("1", archive.folder)
    assert archive.moved == ["1.1"]
