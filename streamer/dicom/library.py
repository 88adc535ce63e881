"""Imports pydicom as this package needs it: late, quiet about header text, or refused in one line."""

from __future__ import annotations

import logging
from importlib import import_module
from importlib.util import find_spec

from streamer.errors import InputError

INSTALL = "pip install 'streamer[dicom]'"
_MODULES = ("pydicom", "imagecodecs", "highdicom")
_NODE_MODULES = ("pynetdicom", "httpx", "python_multipart")


def require_node(what: str) -> None:
    """`require_dicom`, and the libraries that talk to other nodes.

    pynetdicom logs what it sends and receives, identifiers of patients included.

    Raises:
        InputError: one is missing; the message names it and the command that installs it.
    """
    require_dicom(what, *_NODE_MODULES)
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    for module in ("httpx", "httpcore"):  # their INFO holds addresses, which hold UIDs
        logging.getLogger(module).setLevel(logging.WARNING)


def require_dicom(what: str, *more: str) -> None:
    """See that the libraries of the extra `dicom` are there, and keep header text out of their warnings and logs.

    pydicom validates values when it reads them and quotes the malformed ones, which may be a patient's name.

    Args:
        what: needs them; the subject of the message.
        more: modules besides.

    Raises:
        InputError: one is missing; the message names it and the command that installs it.
    """
    missing = next((module for module in (*_MODULES, *more) if find_spec(module) is None), None)
    if missing is not None:
        raise InputError(f"{what} needs {missing}: {INSTALL}")
    config = import_module("pydicom.config")
    config.settings.reading_validation_mode = config.IGNORE
    for module in ("pydicom", "highdicom"):
        logging.getLogger(module).setLevel(logging.CRITICAL)
