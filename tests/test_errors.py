"""Every message is one printable line of bounded length, whatever a user's file says."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from streamer.data.csv_manifest import read_csv_manifest
from streamer.errors import InputError, StreamerError
from streamer.models.weights_manifest import read_manifest
from streamer.outputs.schema import read_report


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a\nb\t c", "a b c"),
        ("a\x1b[31mb\0c\ud800", "a?[31mb?c?"),
        ("Hals: 12 \N{MICRO SIGN}m", "Hals: 12 \N{MICRO SIGN}m"),
        ("a" * 900, "a" * 900),
        ("a" * 601 + "b" * 100_000, "a" * 600 + " ... " + "b" * 300),
    ],
)
def test_one_line(given: str, said: str) -> None:
    assert str(StreamerError(given)) == said


def test_an_error_travels_between_processes() -> None:
    error = pickle.loads(pickle.dumps(InputError("a\nb")))  # our own
    assert (type(error), str(error)) == (InputError, "a b")


def _read(path: Path) -> None:
    if path.name == "manifest.json":
        read_manifest(path.parent)
    elif path.name == "r.json":
        read_report(path)
    else:
        read_csv_manifest(path)


def _refused(path: Path) -> str:
    with pytest.raises(StreamerError) as refusal:
        _read(path)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", b'{"version": 2, "models": {"a\\nb": {}}}'),
        ("a.csv", b'image,source,patient,mask\na,s,p,"m\nn.png"\n'),
        ("b.csv", b"image,source,patient,label\na,s,p," + b"9" * 5000),
        ("r.json", b'{"schema_version": "' + b"9" * 5000 + b'"}'),
    ],
)
def test_what_a_file_says_does_not_break_the_line(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    message = _refused(tmp_path / name)
    assert message.isprintable()
    assert len(message) <= 905
