"""The examples in docstrings do what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import streamer

_PACKAGE = Path(streamer.__path__[0])
_WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in _PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", _WITH_EXAMPLES)
def test_examples_of(name: str) -> None:
    """Those that need a file or the networks say `doctest: +SKIP`: these are only seen to be Python."""
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"streamer": streamer}, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
    examples = [one for found in doctest.DocTestFinder().find(module) for one in found.examples]
    assert examples
    for one in examples:
        compile(one.source, name, "exec")
