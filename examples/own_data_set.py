"""A data set of your own, known to training, evaluation and the model cards like the public ones.

python examples/own_data_set.py DATA
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from streamer.data.dataset import load_dataset
from streamer.data.public_sources import PublicSource, register_source
from streamer.data.samples import Sample
from streamer.data.splits import held_out


def clinic(data: Path, _fold: int) -> Iterator[Sample]:
    """A row per still in `clinic/labels.csv`: image, patient, label."""
    table = data / "clinic" / "labels.csv"
    if not table.is_file():
        return
    with table.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            patient = f"clinic-{row['patient']}"
            yield Sample(
                image=data / "clinic" / row["image"],
                source="clinic",
                group=patient,  # never in two splits
                patient=patient,
                split="val" if held_out(patient, 0.2) else "train",
                has_nodule=True,
                label="malignant" if row["label"] == "malignant" else "benign",
            )


CLINIC = PublicSource(
    name="clinic",
    load=clinic,
    terms="our own stills, pathology-proven; not redistributed",
    organ="thyroid",
    unit="patient",
    label="pathology",
)


def main(data: str) -> None:
    register_source(CLINIC)
    samples = [sample for sample in load_dataset(Path(data)).samples if sample.source == "clinic"]
    groups = {sample.group for sample in samples}
    print(f"{len(samples)} images of {len(groups)} {CLINIC.unit}s")


if __name__ == "__main__":
    main(*sys.argv[1:])
