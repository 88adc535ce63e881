"""Content-addressed keys: what a result depends on, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from streamer._resources import weights_dir
from streamer.models.weights_manifest import read_manifest
from streamer.settings import Settings

_FORMAT = 2
"""Raised when the same weights and settings come to give other results or rows."""
_ANALYSIS_DIGITS = 12
_KEY_DIGITS = 32  # 128 bits
_CHUNK_BYTES = 2**20

# What is known not to change a result, as pydantic's `exclude` takes it. All else counts, so that a new field does.
_NOT_OF_SETTINGS: dict[str, Any] = {
    "outputs": True,
    "overlay": True,
    "runtime": {"threads", "batch_frames"},
    "weights": True,  # where they lie; the manifest says which they are
}
_NOT_OF_FILES = {"file", "versions"}
"""Of a network as OpenVINO reads it: the checksums stand for it."""
_NOT_OF_NETWORK: dict[str, Any] = {
    "file": True,
    "operating_point_source": True,
    "training": True,
    "figures": True,  # whether a heat map is shown hangs on one, and no row does
    "licence": True,
    "sweep": {"source"},
    "int8": _NOT_OF_FILES | {"calibration", "fp32_layers", "correlation", "cost"},
    "fp32": _NOT_OF_FILES | {"difference"},
}
_NOT_OF_GATE = {"file", "source", "figures"}


def analysis_id(settings: Settings, *, pixel_spacing_mm: tuple[float, float] | None = None) -> str:
    """Names an analysis: a digest of the weights' manifest and of the settings, all but what cannot change a result.

    Threads, batches, outputs and the overlay's looks do not count, nor do figures, history and names of files in the
    manifest. Device, precision and backend count as they are set: "auto" may choose differently on another machine,
    which the rows then say.

    Raises:
        WeightsError: the weights folder has no manifest, or a damaged one.
    """
    manifest = read_manifest(settings.weights or weights_dir())
    content = {
        "format": _FORMAT,
        "weights": {
            **manifest.model_dump(mode="json", exclude={"version": True, "models": True, "gate": _NOT_OF_GATE}),
            "models": {
                role: entry.model_dump(mode="json", exclude=_NOT_OF_NETWORK) for role, entry in manifest.models.items()
            },
        },
        "settings": settings.model_dump(mode="json", exclude=_NOT_OF_SETTINGS),
        "pixel_spacing_mm": pixel_spacing_mm,
    }
    return _digest(content)[:_ANALYSIS_DIGITS]


def clip_key(analysis: str, content: str) -> str:
    """The key of a clip's result: the same bytes under the same analysis.

    Args:
        analysis: as of `analysis_id`.
        content: digest of the clip's files.
    """
    return hashlib.sha256(f"{analysis}:{content}".encode()).hexdigest()[:_KEY_DIGITS]


def content_digest(files: Iterable[Path]) -> str:
    """SHA-256 of a clip's bytes; of several files that of their digests, in order.

    Raises:
        OSError: a file cannot be read.
    """
    digests = [_file_digest(path) for path in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
