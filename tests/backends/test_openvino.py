"""OpenVINO: what is kept on disk, and that nothing is told to anyone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino
import pytest
import torch
from torch import nn

from streamer.backends.openvino import OpenVinoBackend, _OpenVinoRunner, cache_folder
from streamer.models.architectures import GreyInput

_GREY = np.random.default_rng(1).integers(0, 256, (1, 32, 32), np.uint8)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STREAMER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def result(bias: float = 1.0, key: str = "one") -> float:
    """Load a network that gives `bias` for every input, run it, return what it gives."""
    network = nn.Conv2d(3, 1, 1)
    nn.init.zeros_(network.weight)
    nn.init.constant_(network.bias, bias)  # type: ignore[arg-type]
    output = OpenVinoBackend(1).load(lambda: GreyInput(network, 0.0, 1.0).eval(), (32, 32), key)(_GREY)
    return float(output.mean())


def test_a_network_has_run_once_before_threads_share_it(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO's binding deadlocks where two threads make its first call at the same time."""
    shapes = []
    call = _OpenVinoRunner.__call__

    def note(runner: _OpenVinoRunner, grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        shapes.append(grey.shape)
        return call(runner, grey)

    monkeypatch.setattr(_OpenVinoRunner, "__call__", note)
    OpenVinoBackend(1).load(lambda: GreyInput(nn.Conv2d(3, 1, 1), 0.0, 1.0).eval(), (64, 32), "warm")
    assert shapes == [(1, 32, 64)]


def test_images_of_another_shape_are_refused(cache: Path) -> None:
    network = GreyInput(nn.Conv2d(3, 1, 1), 0.0, 1.0).eval()
    runner = OpenVinoBackend(1).load(lambda: network, (32, 32), "shape", views=2)
    with pytest.raises(ValueError, match=r"of shape \(2, 32, 32\), not \(1, 32, 32\)"):
        runner(_GREY)


def test_an_answer_stays_when_the_next_comes(cache: Path) -> None:
    runner = OpenVinoBackend(1).load(lambda: GreyInput(nn.Conv2d(3, 1, 1), 0.0, 1.0).eval(), (32, 32), "stays")
    first = runner(_GREY)
    kept = first.copy()
    assert not np.array_equal(runner(255 - _GREY), first)
    np.testing.assert_array_equal(first, kept)


def names(cache: Path) -> list[str]:
    return sorted(path.suffix for path in cache.iterdir())


def test_a_network_is_kept_and_found_again(cache: Path) -> None:
    assert result(1.0) == 1.0
    assert names(cache) == [".bin", ".sha256", ".xml"]
    assert result(2.0) == 1.0  # not converted: the key says that it is the same network
    assert result(2.0, key="another") == 2.0


def test_a_network_from_the_cache_gives_the_same_bits(cache: Path) -> None:
    torch.manual_seed(0)
    graph = GreyInput(nn.Conv2d(3, 8, 3), 0.3, 0.2).eval()
    runs = [OpenVinoBackend(1).load(lambda: graph, (32, 32), "bits")(_GREY) for _ in range(2)]
    np.testing.assert_array_equal(runs[0], runs[1])


@pytest.mark.parametrize("suffix", [".xml", ".bin", ".sha256"])
@pytest.mark.parametrize("damage", ["empty", "absent", "flipped", "garbage"])
def test_a_damaged_cache_is_made_again(cache: Path, suffix: str, damage: str) -> None:
    assert result(1.0) == 1.0
    (path,) = cache.glob(f"*{suffix}")
    content = path.read_bytes()
    if damage == "absent":
        path.unlink()
    else:
        spoilt = {"empty": b"", "flipped": bytes([content[0] ^ 64]) + content[1:], "garbage": b"\xff" * len(content)}
        path.write_bytes(spoilt[damage])
    assert result(2.0) == 2.0
    assert result(3.0) == 2.0  # whole again


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STREAMER_CACHE", str(tmp_path / "file" / "cache"))
    assert result(1.0) == 1.0
    assert result(2.0) == 2.0
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_fills_up_leaves_nothing_behind(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("No space left on device")

    monkeypatch.setattr(openvino, "save_model", full)
    assert result(1.0) == 1.0
    assert names(cache) == []


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMER_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")
    monkeypatch.delenv("STREAMER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/streamer")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "streamer"


_CONVERT = """
import importlib
import sys
importlib.import_module(sys.argv[1])
import numpy as np
from torch import nn
from streamer.backends.openvino import OpenVinoBackend
from streamer.models.architectures import GreyInput, build_detector
build_detector("yolov5n")
from streamer.quantisation.network import quantised
backend, graph = OpenVinoBackend(1), GreyInput(nn.Conv2d(3, 1, 1), 0.0, 1.0).eval()
backend.load(lambda: graph, (32, 32), "key")
model, inputs = backend.converted(lambda: graph, (32, 32), "key"), np.zeros((2, 1, 32, 32), np.uint8)
quantised(model, inputs, fp32_layers=(), fast_bias_correction=True)
print(sorted(name for name in sys.modules if "telemetry" in name and sys.modules[name] is not None))
"""


@pytest.mark.parametrize(
    "first", ["streamer.backends.openvino", "streamer.quantisation.command", "streamer.pipeline.thyroid"]
)
def test_no_telemetry_and_no_folders_in_the_home(first: str, tmp_path: Path) -> None:
    """The real telemetry module is never imported, neither maker's folder appears."""
    home = tmp_path / "home"
    home.mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("YOLO_", "XDG_", "STREAMER_")) and name != "HOME"
    }
    done = subprocess.run(
        [sys.executable, "-c", _CONVERT, first],
        env={**environment, "HOME": str(home), "STREAMER_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    imported = done.stdout.strip().splitlines()[-1]
    assert "openvino_telemetry" not in imported
    assert sorted(path.name for path in home.rglob("*") if path.name in ("intel", "Ultralytics")) == []
