"""Content-addressed keys: what a result depends on, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from streamer._resources import weights_dir
from streamer.models.weights_manifest import Manifest, read_manifest
from streamer.settings import Settings

_FORMAT = 1
"""Raised when the same weights and settings come to give other results or rows."""
_ANALYSIS_DIGITS = 12
_KEY_DIGITS = 32  # 128 bits
_CHUNK_BYTES = 2**20
_DECIDING = ("architecture", "sha256", "preprocessing", "operating_point", "calibration", "sweep")
"""What of a manifest's entry decides results; figures and history do not."""


def analysis_id(settings: Settings, *, pixel_spacing_mm: tuple[float, float] | None = None) -> str:
    """Names an analysis: a digest of weights and of the settings that can change a result.

    Threads, batches, outputs and the overlay's looks do not count. Precision and backend count as they are set: "auto"
    may choose differently on another machine, which the rows then say.

    Raises:
        WeightsError: the weights folder has no manifest, or a damaged one.
    """
    manifest = read_manifest(settings.weights or weights_dir())
    runtime = settings.runtime
    content = {
        "format": _FORMAT,
        "weights": _weights(manifest),
        "settings": settings.model_dump(mode="json", include={"detection", "classification", "tracking", "study"}),
        "runtime": {"backend": runtime.backend, "precision": runtime.precision, "decoder": runtime.decoder},
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


def _weights(manifest: Manifest) -> dict[str, Any]:
    entries = {}
    for role, entry in manifest.models.items():
        known = entry.model_dump(mode="json")
        int8 = known.get("int8") or {}
        entries[role] = {name: known.get(name) for name in _DECIDING}
        entries[role]["int8"] = [int8.get("xml_sha256"), int8.get("bin_sha256")]
    return entries


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
