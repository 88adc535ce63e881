"""The folder that an archive writes into."""

from pathlib import Path

import pytest

from streamer.archive.target import Target
from streamer.errors import OutputError


def test_a_file_in_the_way_of_a_folder_is_told_with_what_to_do(tmp_path: Path) -> None:
    target = Target(str(tmp_path))
    (tmp_path / "clips").write_text("mine")
    with pytest.raises(OutputError, match=r"cannot write .*clips/part\.parquet: .*; move the file .* --output"):
        target.write("clips/part.parquet", b"rows")
    assert (tmp_path / "clips").read_text() == "mine"
