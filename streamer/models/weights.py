"""A weights folder's files: safetensors in half precision, and OpenVINO's beside them; checked before use."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import Literal, get_args

from streamer.errors import WeightsError
from streamer.models.registry import TASKS, task
from streamer.models.weights_manifest import MANIFEST, Manifest, Role, read_manifest

JOINT = "joint"
"""Name of segmenter and classifier where they run as one network."""

FilePrecision = Literal["int8", "fp32"]
"""Arithmetic of a network in OpenVINO's files; the weights of "fp32" ones take half precision on disk."""


def checked_content(path: Path, sha256: str, *, what: str, remedy: str) -> bytes:
    """The content of a file of a weights folder.

    Args:
        path: the file.
        sha256: checksum in the manifest, hexadecimal.
        what: what a message calls the file, such as "the gate".
        remedy: what to do where it is damaged, such as "restore it".

    Raises:
        WeightsError: it cannot be read, or its checksum is another.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read {what} {path}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise WeightsError(f"{path} is damaged: its sha256 differs from the manifest's; {remedy}")
    return content


def checked_weights(folder: Path, role: Role, manifest: Manifest) -> bytes:
    """The content of a role's weights file.

    Raises:
        WeightsError: the role or file is missing, the checksum differs, or the architecture is not one for the role.
    """
    entry = manifest.models.get(role)
    if entry is None:
        raise WeightsError(f"{folder / MANIFEST} has no {role}")
    content = checked_content(
        folder / entry.file, entry.sha256, what=f"the {role}'s weights", remedy="restore or retrain it"
    )
    if entry.architecture not in task(role).architectures:
        raise WeightsError(f"{folder / MANIFEST}: {entry.architecture!r} is not an architecture for the {role}")
    return content


def openvino_files(folder: Path, precision: FilePrecision, name: str) -> tuple[Path, Path]:
    """Where a network's OpenVINO files lie in a weights folder: `.xml` and `.bin`."""
    return folder / precision / f"{name}.xml", folder / precision / f"{name}.bin"


def remove_unnamed_files(folder: Path) -> None:
    """Remove OpenVINO files that the manifest does not name any more: of networks that were alone before, or joined."""
    versions = [version for entry in read_manifest(folder).models.values() for version in (entry.int8, entry.fp32)]
    named = {version.file for version in versions if version is not None}
    for precision in get_args(FilePrecision):
        for xml, binary in (openvino_files(folder, precision, name) for name in (*TASKS, JOINT)):
            if xml.relative_to(folder).as_posix() not in named:
                for path in (xml, binary):
                    with contextlib.suppress(OSError):
                        path.unlink()
