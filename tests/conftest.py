"""Shared fixtures: the real data, where present."""

import os
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real ultrasound data: $STREAMER_DATA, or ../shared/data beside the project; skips where absent."""
    folder = Path(os.environ.get("STREAMER_DATA", _ROOT.parent / "shared" / "data"))
    if not (folder / "cine" / "frames.csv").is_file():
        pytest.skip(f"no real data at {folder} (set STREAMER_DATA)")
    return folder
