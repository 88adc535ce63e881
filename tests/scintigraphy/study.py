"""A small simulated study on disk, shared by the tests of scintigraphy."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset

from streamer.scintigraphy.nuclear_dicom import nuclear_dicom


def dicom_file(path: Path, counts: Any = None, **changes: Any) -> Path:
    """A simulated static NM file with some attributes changed; None takes one away."""
    values = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) % 97 if counts is None else counts
    content = nuclear_dicom(values, pixel_mm=2.0, patient="p", model="PARALLEL", seconds=60.0)
    dataset = dcmread(io.BytesIO(content))
    for name, value in changes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def frames(path: Path, values: np.ndarray, **changes: Any) -> Path:
    """A multi-frame NM file, frames of shape (n, height, width)."""
    dicom_file(path, values[0])
    dataset = dcmread(path)
    dataset.NumberOfFrames = len(values)
    dataset.PixelData = values.astype("<u2").tobytes()
    for name, value in changes.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def energy_window(low: float, high: float) -> Dataset:
    limits, window = Dataset(), Dataset()
    limits.EnergyWindowLowerLimit, limits.EnergyWindowUpperLimit = str(low), str(high)
    window.EnergyWindowRangeSequence = [limits]
    return window


def detector(view: str) -> Dataset:
    code, item = Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99TEST", view
    item.ViewCodeSequence = [code]
    return item
