"""Weights and configuration files are found in a checkout and in an installed wheel."""

import importlib.util
import shutil
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from hatchling.builders.wheel import WheelBuilder

from streamer import _resources as assets

_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the project, with stand-ins for the weights and configuration files, unpacked."""
    project = tmp_path_factory.mktemp("project")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(_ROOT / name, project)
    shutil.copytree(_ROOT / "streamer", project / "streamer", ignore=shutil.ignore_patterns("__pycache__"))
    for folder, name in (("weights", "manifest.json"), ("configs", "run.yaml")):
        (project / folder).mkdir()
        (project / folder / name).write_text("{}")
    wheel = next(iter(WheelBuilder(str(project)).build(directory=str(project / "dist"), versions=["standard"])))
    target = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def _load_assets(site_packages: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("installed_assets", site_packages / "streamer" / "_resources.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_checkout_uses_its_own_folders() -> None:
    assert assets.weights_dir() == _ROOT / "weights"
    assert assets.configs_dir() == _ROOT / "configs"


def test_wheel_carries_weights_and_configs(installed: Path) -> None:
    module = _load_assets(installed)
    assert (module.weights_dir() / "manifest.json").is_file()
    assert (module.configs_dir() / "run.yaml").is_file()


def test_wheel_carries_every_file_of_the_package(installed: Path) -> None:
    """Schemas, templates and the typing marker are data, not modules: nothing imports them, so look for them."""
    expected = {path.relative_to(_ROOT) for path in (_ROOT / "streamer").rglob("*") if path.is_file()}
    expected = {path for path in expected if "__pycache__" not in path.parts}
    missing = {path for path in expected if not (installed / path).is_file()}
    assert Path("streamer/py.typed") in expected
    assert not missing
