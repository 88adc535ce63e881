"""The data of a training or an evaluation: a folder in the public layout or a manifest, in the splits asked for."""

from __future__ import annotations

from pathlib import Path

from streamer.data.csv_manifest import read_csv_manifest
from streamer.data.public_sources import load_public
from streamer.data.samples import Dataset
from streamer.data.splits import leave_out
from streamer.errors import DataError


def load_dataset(data: Path, *, tn3k_val_fold: int = 0, split_seed: int = 0, left_out: str | None = None) -> Dataset:
    """All samples below `data`.

    Args:
        data: folder in the public layout, or CSV manifest.
        tn3k_val_fold: fold of TN3K, 0 to 4, that is held out in the public layout.
        split_seed: seed for the sources of a manifest that name no split.
        left_out: centre that becomes the test split (see `leave_out`).

    Raises:
        DataError: nothing is there, or what is there is inconsistent.
    """
    if data.is_file():
        dataset = read_csv_manifest(data, split_seed=split_seed)
    elif data.is_dir():
        samples = load_public(data, tn3k_val_fold=tn3k_val_fold)
        dataset = Dataset(samples, {sample.source: "as published" for sample in samples})
    else:
        raise DataError(f"no training data at {data}: give a folder in the public layout or a CSV manifest")
    return leave_out(dataset, left_out) if left_out else dataset
