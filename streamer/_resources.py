"""Where the weights and configuration files that come with streamer lie.

In a checkout (and an editable install of one) they are the folders `weights/` and `configs/` beside the package; a
wheel carries them inside it, under `_assets/`.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def weights_dir() -> Path:
    """Folder of the weights that come with streamer; it need not exist, loading says what is missing."""
    return _asset_dir("weights")


def configs_dir() -> Path:
    """Folder of the configuration files that come with streamer; it need not exist, reading says what is missing."""
    return _asset_dir("configs")


def _asset_dir(name: str) -> Path:
    installed = _PACKAGE / "_assets" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name
