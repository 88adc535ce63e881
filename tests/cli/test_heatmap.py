"""`streamer heatmap`: a picture of the right frame, and one line for what is wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import streamer.cli.heatmap
from streamer.cli.main import main
from streamer.types import Finding
from tests.fakes import FakeEngine, finding
from tests.sources.media import numbered_image

Command = Callable[..., int]


def one_in_frame_two(index: int) -> tuple[Finding, ...]:
    return (finding((16, 12, 40, 36), malignancy=0.625),) if index == 2 else ()


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run `streamer heatmap --video sweep ARGUMENTS` in this process; gives the exit code."""
    (tmp_path / "sweep").mkdir()
    for number in range(4):
        Image.fromarray(numbered_image(number)).save(tmp_path / "sweep" / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(streamer.cli.heatmap, "Engine", lambda _: FakeEngine(one_in_frame_two).as_engine())

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["streamer", "heatmap", "--video", "sweep", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0)

    return run


def test_picture_of_the_frame(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--frame", "2") == 0
    output = capsys.readouterr().out
    assert "nodule in x 16 to 40, y 12 to 36: malignancy 0.62" in output
    assert "sweep-frame-2-heatmap.png" in output
    picture = cv2.imread(str(tmp_path / "sweep-frame-2-heatmap.png"), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    expected = numbered_image(2)
    assert picture.shape == expected.shape
    changed = (picture != expected).any(axis=-1)
    assert changed[4:24, 4:28].any()  # the upper left quarter of the window
    untouched = np.ones_like(changed)
    untouched[:50, :54] = False
    assert not (changed & untouched)[:-20].any()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--frame", "9"], "sweep has no frame 9: it ends with frame 3"),
        (["--frame", "1"], "no nodule was found in frame 1 of sweep"),
        (["--frame", "2", "--output", "map.jpg"], "a name that ends in .png, not map.jpg"),
        (["--frame", "2", "--output", "sweep/0.png/map.png"], "cannot write"),
    ],
)
def test_one_line_errors(
    command: Command, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert command(*arguments) == 2
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert len(captured.err.strip().splitlines()) == 1
    assert captured.out == ""


def test_input_is_not_overwritten(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    still = tmp_path / "sweep" / "0.png"
    before = still.read_bytes()
    assert command("--video", str(still), "--frame", "0", "--output", str(still)) == 2
    assert "would be replaced" in capsys.readouterr().err
    assert still.read_bytes() == before


def test_a_heat_map_does_not_lie_among_the_stills_it_is_made_of(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stills = sorted((tmp_path / "sweep").iterdir())
    before = stills[1].read_bytes()
    assert command("--video", str(tmp_path / "sweep"), "--frame", "0", "--output", str(stills[1])) == 2
    assert "would lie among the stills it is made from" in capsys.readouterr().err
    assert stills[1].read_bytes() == before
