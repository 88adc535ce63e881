"""The DICOM commands: what they say of a queue, and one line for what is wrong."""

from pathlib import Path

import pytest

from streamer.node.queue import Queue
from streamer.node.records import Received
from tests.cli.command_line import Cli


def test_status_says_what_waits_and_what_failed(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queue = Queue(tmp_path / "node", quiet_s=0)
    for number in (1, 2):
        path = queue.incoming / "arriving"
        path.write_bytes(b"pixels")
        queue.receive(Received(path=path, sop_uid=f"1.{number}", class_uid="1.2.3", study_uid=f"2.{number}"))
    job = queue.claim()
    assert job is not None
    queue.fail(job, "one.dcm holds no pixel data")
    assert cli("dicom", "status", "--folder", tmp_path / "node") == 0
    said = capsys.readouterr().out
    assert "analyses: 1 failed, 1 waiting" in said
    assert "job 1, failed, tried anew when it is sent again: one.dcm holds no pixel data" in said
    queue.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serve", "--host", "0.0.0.0"], "--from AET@HOST"),
        (["serve", "--from", "PACS"], "AET@HOST or AET@HOST:PORT"),
        (["serve", "--to", "PACS@192.0.2.7"], "AET@HOST:PORT"),
        (["serve", "--tls-key", "key.pem"], "--tls-certificate and --tls-key"),
        (["serve", "--aet", "A" * 17], "1 to 16 plain characters"),
        (["pull", "--output", "in"], "--web URL, or --pacs"),
        (["pull", "--output", "in", "--web", "pacs"], "no address of a DICOMweb server"),
        (["pull", "--output", "in", "--web", "http://192.0.2.7/dicom-web"], "--study UID, --studies FILE or --query"),
        (["pull", "--output", "in", "--web", "http://192.0.2.7/x", "--query", "Foo=1"], "DICOM keyword"),
        (["pull", "--output", "in", "--web", "http://192.0.2.7/x", "--study", "x"], "no study UID"),
        (
            ["pull", "--output", "in", "--web", "http://192.0.2.7/x", "--studies", "/dev/null"],
            "/dev/null names no study",
        ),
        (["status", "--folder", "nowhere"], "holds no queue"),
    ],
)
def test_what_is_wrong_gets_one_line(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli("dicom", *arguments) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
