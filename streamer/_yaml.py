"""Reads YAML that a user wrote, within bounds: a file of a few bytes must not fill the memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from streamer.errors import SettingsError

MAX_BYTES = 64 * 1024
"""Largest file read; the largest configuration that comes with streamer has 1.5 kB."""
MAX_DEPTH = 20
"""Mappings and lists within one another; no setting is deeper than 4."""
MAX_VALUES = 10_000
"""Values, those behind an alias counted wherever it stands: what the file says when it is written out."""
_LONGEST_COMPLAINT = 300


def read_yaml(path: str | Path, what: str = "configuration file") -> dict[str, Any]:
    """Read a YAML file that must hold a mapping.

    Args:
        path: the file, at most 64 KiB, 20 levels deep and of 10,000 values.
        what: what a message calls it.

    Raises:
        SettingsError: the file is missing, unreadable, beyond these bounds or not a mapping.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise SettingsError(f"a {what} is named by its path, not by a {type(path).__name__}")
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise SettingsError(f"{path} is no {what}: it has more than {MAX_BYTES // 1024} KiB")
        data = _loaded(content.decode())
    except OSError as error:
        raise SettingsError(f"cannot read the {what} {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not in UTF-8; save it as UTF-8") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that does not exist
        raise SettingsError(f"{path} is not valid YAML: {shortened(str(error))}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise SettingsError(f"{path} must hold a mapping of settings, not a {type(data).__name__}")
    return data


def shortened(text: str, longest: int = _LONGEST_COMPLAINT) -> str:
    """A text as one line of bounded length.

    Example:
        >>> shortened("a very  long\\nvalue", 11)
        'a very long...'
    """
    line = " ".join(text[: 2 * longest].split())
    return line if len(line) <= longest and len(text) <= 2 * longest else line[:longest] + "..."


def _loaded(text: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _measure(node, {})
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, where YAML's own would take the last without a word, and a deep nest."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """A node with all that is in it: one call within another for each level."""
        if self._depth > MAX_DEPTH:
            raise _too_deep()
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping of keys that all differ."""
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value} stands twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _measure(node: yaml.Node, known: dict[int, tuple[int, int] | None]) -> tuple[int, int]:
    """Values and levels of a node, aliases written out.

    Raises:
        YAMLError: beyond the bounds, or it holds itself.
    """
    if id(node) in known:
        measured = known[id(node)]
        if measured is None:
            raise yaml.YAMLError("an alias stands within what it stands for")
        return measured
    known[id(node)] = None
    values, levels = 1, 0
    for child in _children(node):
        more, below = _measure(child, known)
        values, levels = values + more, max(levels, below + 1)
    if values > MAX_VALUES:
        raise yaml.YAMLError(f"more than {MAX_VALUES} values, aliases written out")
    if levels > MAX_DEPTH:
        raise _too_deep()
    known[id(node)] = values, levels
    return values, levels


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [one for pair in node.value for one in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _too_deep() -> yaml.YAMLError:
    return yaml.YAMLError(f"more than {MAX_DEPTH} mappings or lists within one another")
