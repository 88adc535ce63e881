"""Header text never leaves a DICOM file but into another one: no log, page, file name, report or error has it."""

import logging
from pathlib import Path

import pytest

from streamer.errors import StreamerError
from streamer.run import run_study
from streamer.settings import Settings
from streamer.sources import open_source
from streamer.sources.clips import expand_clips, expand_studies
from tests.dicom_planted import holds_name, planted_cine
from tests.disc_analyser import DiscAnalyser

_ALL = Settings(
    outputs=("overlay", "frames", "csv", "key_frames", "dicom", "report_html", "report_json"),
)


class _Everything(DiscAnalyser):
    settings = _ALL


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cine with a name in every place."""
    return planted_cine(tmp_path_factory.mktemp("planted") / "in.dcm", frames=8)


def test_a_run_writes_header_text_into_dicom_only(
    planted: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "streamer")
    report = run_study([planted], tmp_path / "out", analyser=_Everything())
    written = {path.name: holds_name(path.read_bytes()) for path in (tmp_path / "out").iterdir()}
    assert {name for name, holds in written.items() if holds and not name.endswith(".dcm")} == set()
    assert written["dicom-report-1.dcm"]  # patient and study are copied: the test would see it
    assert not any(holds_name(name) for name in written)
    said = capfd.readouterr()
    assert not holds_name(caplog.text + said.out + said.err + repr(report))


def test_nothing_that_a_source_says_of_itself_holds_header_text(planted: Path) -> None:
    with open_source(planted) as source:
        frames = list(source.frames())
        assert not holds_name(repr(source.info) + repr(source.warnings) + repr(frames[0].video))


@pytest.mark.parametrize("cut", [0.02, 0.1, 0.5, 0.9, 0.97])
@pytest.mark.parametrize("fault", ["cut", "zeros", "noise"])
def test_no_error_about_a_damaged_file_quotes_it(
    planted: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: float, fault: str
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "streamer")
    whole = planted.read_bytes()
    at = int(cut * len(whole))
    rest = {"cut": b"", "zeros": bytes(2000) + whole[at + 2000 :], "noise": b"\xff\x13\x00" * 600 + whole[at + 1800 :]}
    (tmp_path / "in.dcm").write_bytes(whole[:at] + rest[fault])
    said = []
    ways = lambda: _read(tmp_path / "in.dcm"), lambda: expand_clips([tmp_path]), lambda: expand_studies(tmp_path)
    for read in ways:
        try:
            said.append(repr(read()))
        except StreamerError as error:
            said.append(str(error))
    assert not holds_name(" ".join(said) + caplog.text)


def _read(path: Path) -> str:
    with open_source(path) as source:
        frames = sum(1 for _ in source.frames())
        return f"{frames} {source.warnings} {source.info!r}"
