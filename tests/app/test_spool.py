"""Records on disk."""

from pathlib import Path

import pytest

from streamer.app.spool import Spool
from streamer.errors import OutputError


def test_records_come_back_by_number(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "rows")
    for record in (b"one", b"", b"three"):
        spool.append(record)
    assert len(spool) == 3
    assert spool.read(0, 3) == [b"one", b"", b"three"]
    assert spool.read(2, 99) == [b"three"]
    assert spool.read(3, 4) == spool.read(-1, 1) == []
    spool.close()


def test_closed_spool_has_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "rows")
    spool.append(b"one")
    spool.close()
    assert spool.read(0, 1) == []


def test_place_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="rows"):
        Spool(tmp_path / "nowhere" / "rows")
