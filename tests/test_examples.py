"""Every script in `examples/` runs, on a clip that the test writes."""

import ast
import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streamer.data import public_sources
from streamer.models import registry
from streamer.phantom import simulate, write_clip
from tests.archive.conftest import Archive

_EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
_RUNS: dict[str, Callable[[ModuleType, str, Path], Any]] = {
    "own_detector": lambda script, clip, folder: script.main(clip, str(folder / "results")),
    "own_sink": lambda script, clip, folder: script.main(clip, str(folder / "results")),
    "own_source": lambda script, clip, folder: script.main(str(_npz(folder))),
    "arrays": lambda script, clip, folder: script.main(),
    "supervision_zone": lambda script, clip, folder: script.main(clip),
    "choose_outputs": lambda script, clip, folder: script.main(clip, str(folder / "results")),
    "several_streams": lambda script, clip, folder: script.main(clip, clip),
    "own_data_set": lambda script, clip, folder: script.main(str(_clinic(folder))),
    "own_network": lambda script, clip, folder: script.main(str(_stills(folder)), str(folder / "run")),
    "read_archive": lambda script, clip, folder: script.main(str(_archive(folder))),
}
_SAID = {
    "own_detector": "benign",
    "own_sink": "suspicious from 0.",
    "own_source": "6 frames; the nodule is 2.5 mm long",
    "arrays": "9 1 2.",
    "supervision_zone": "1 [1]",
    "choose_outputs": "12 rows; malignant",
    "several_streams": "{0: 0.4, 1: 0.4}",
    "own_data_set": "4 images of 2 patients",
    "read_archive": "0.70  a.mp4\nwithout result: {'input': 1}",
    "own_network": "learned from 9 images of 9 patients, 0 with a nodule; accuracy over 3 images",
}


def _clinic(folder: Path) -> Path:
    """A data set of two patients with two stills each; images are not read."""
    (folder / "clinic").mkdir()
    rows = "".join(f"{patient}-{number}.png,{patient},benign\n" for patient in "ab" for number in range(2))
    (folder / "clinic" / "labels.csv").write_text("image,patient,label\n" + rows)
    return folder


def _npz(folder: Path) -> Path:
    """A cine loop as arrays."""
    path = folder / "clip.npz"
    np.savez(path, frames=np.full((6, 48, 64), 60, np.uint8), fps=20.0, spacing_mm=(0.1, 0.1))
    return path


def _stills(folder: Path) -> Path:
    """A manifest of noise from three scanners, nine stills to learn from and three to validate on."""
    rng, rows = np.random.default_rng(0), ["image,source,patient,split,vendor"]
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (64, 64), np.uint8)).save(folder / f"{number}.png")
        rows.append(f"{number}.png,stills,p{number},{'train' if number < 9 else 'val'},{'ABC'[number % 3]}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.csv"


def _archive(folder: Path) -> Path:
    """The tables of an archive of a clip and a damaged one."""
    archive = Archive(folder)
    archive.add("a.mp4", "good 3")
    archive.add("b.mp4", "bad")
    archive.run()
    return archive.output


@pytest.fixture(autouse=True)
def _registers() -> Iterator[None]:
    """What an example registers is gone after it."""
    yield
    registry._TASKS.pop("scanner", None)
    public_sources._SOURCES.pop("clinic", None)


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


@pytest.mark.parametrize("name", sorted(_RUNS))
def test_an_example_says_how_it_is_run(name: str) -> None:
    """As many arguments as `main` takes, one for a parameter; all that a newcomer has is the file."""
    tree = ast.parse((_EXAMPLES / f"{name}.py").read_text(encoding="utf-8"))
    told = (ast.get_docstring(tree) or "").splitlines()[-1].split()
    (main,) = (one.args for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == "main")
    assert told[:2] == ["python", f"examples/{name}.py"]
    assert len(told) - 2 == len(main.args) or (main.vararg is not None and len(told) > 2)


def test_every_example_is_run() -> None:
    assert {path.stem for path in _EXAMPLES.glob("*.py")} == _RUNS.keys() == _SAID.keys()
