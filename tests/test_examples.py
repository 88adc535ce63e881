"""Every script in `examples/` runs, on a clip that the test writes."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from streamer.phantom import simulate, write_clip

_EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
_RUNS: dict[str, Callable[[ModuleType, str, Path], Any]] = {
    "own_detector": lambda script, clip, folder: script.main(clip, str(folder / "results")),
    "own_sink": lambda script, clip, folder: script.main(clip, str(folder / "results")),
    "arrays": lambda script, clip, folder: script.main(),
    "supervision_zone": lambda script, clip, folder: script.main(clip),
    "choose_outputs": lambda script, clip, folder: script.main(clip, str(folder / "results")),
    "several_streams": lambda script, clip, folder: script.main(clip, clip),
}
_SAID = {
    "own_detector": "benign",
    "own_sink": "suspicious from 0.",
    "arrays": "9 1 2.",
    "supervision_zone": "1 [1]",
    "choose_outputs": "12 rows; malignant",
    "several_streams": "{0: 0.4, 1: 0.4}",
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("examples") / "clip.mp4"
    write_clip(path, simulate(seed=0, frames=12))
    return str(path)


@pytest.mark.parametrize("name", sorted(_RUNS))
def test_example(name: str, clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location(name, _EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    _RUNS[name](script, clip, tmp_path)
    assert _SAID[name] in capsys.readouterr().out
