"""Fetching a list of studies: one that is missing keeps no other back, and the list of what is there only grows."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from streamer.errors import InputError, OutputError
from streamer.node.pull import pull


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
