"""The libraries of the extra `archive`, or one line that says how to install them."""

from __future__ import annotations

from importlib.util import find_spec

from streamer.errors import SettingsError

INSTALL = "pip install 'streamer[archive]'"


def require(*modules: str) -> None:
    """See that libraries are there.

    Raises:
        SettingsError: one is missing; the message names it and the command that installs it.
    """
    missing = next((module for module in modules if find_spec(module) is None), None)
    if missing is not None:
        raise SettingsError(f"an archive needs {missing}: {INSTALL}")
