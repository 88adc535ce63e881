"""Samples as the CSV manifest that a user would write."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from streamer.data.csv_manifest import COLUMNS
from streamer.data.samples import Sample


def write_manifest(samples: Iterable[Sample], path: Path) -> None:
    """Write samples as CSV; paths relative to the manifest's folder where they lie below it."""
    folder = path.resolve().parent
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for sample in samples:
            row = {name: getattr(sample, name) for name in COLUMNS} | {"patient": sample.group}
            for name in ("image", "mask", "gland_mask"):
                row[name] = _relative(row[name], folder)
            for name in ("boxes_xyxy", "unmarked_xyxy", "ignore_xyxy"):
                row[name] = "; ".join(" ".join(f"{v:.10g}" for v in box) for box in getattr(sample, name))
            row["has_nodule"] = {None: "", True: "yes", False: "no"}[sample.has_nodule]
            row["age"] = None if sample.age is None else f"{sample.age:g}"
            writer.writerow({name: "" if value is None else value for name, value in row.items()})


def _relative(path: Path | None, folder: Path) -> str | None:
    if path is None:
        return None
    resolved = path.resolve()
    return str(resolved.relative_to(folder) if resolved.is_relative_to(folder) else resolved)
