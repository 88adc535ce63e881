"""Every module of the package can be imported, and none is out of reach."""

import importlib
import pkgutil
from pathlib import Path

import pytest

import streamer

_PACKAGE = Path(streamer.__path__[0])
_MODULES = sorted(module.name for module in pkgutil.walk_packages([str(_PACKAGE)], prefix="streamer."))


@pytest.mark.parametrize("name", _MODULES)
def test_module_imports(name: str) -> None:
    """A broken import, a cycle, or a dependency that pyproject.toml does not name fails here."""
    assert importlib.import_module(name).__doc__


def test_every_file_is_a_module_of_the_package() -> None:
    """A folder without `__init__.py` would be left out of the walk above without a word."""
    files = (path.relative_to(_PACKAGE.parent).with_suffix("") for path in _PACKAGE.rglob("*.py"))
    names = {".".join(path.parts).removesuffix(".__init__") for path in files}
    assert names == {"streamer", *_MODULES}
