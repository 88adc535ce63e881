"""The model card of a run: what the network is, what taught it, and what it must not be used for."""

from __future__ import annotations

from pathlib import Path

from streamer._files import write_whole
from streamer.models.registry import SCINTIGRAPHY
from streamer.scintigraphy.architectures import TITLES as NETWORKS
from streamer.scintigraphy.honesty import FLAG, MARK
from streamer.scintigraphy.weights import ScintigraphyEntry

CARD = "scintigraphy.md"

_WARNING = (
    f"> **{MARK[0].upper()}{MARK[1:]}.** This network answers for simulated images only; `{FLAG}` lets it answer for "
    "others, and every answer is marked.\n\n"
)


def render_card(entry: ScintigraphyEntry) -> str:
    """The card, Markdown, with nothing in it that the manifest does not say."""
    training = entry.training
    start = training.started_from[:16] if training.started_from else "random numbers"
    simulated = "simulated" in entry.taught_by
    rows = {
        "Purpose": SCINTIGRAPHY.purpose,
        "Taught by": " and ".join(entry.taught_by) or "not stated",
        "Input": f"{entry.size_px} x {entry.size_px} px, grey, its 99.8th percentile white; "
        f"(value / 255 - {entry.mean}) / {entry.std}",
        "Splits": training.rule,
        "Training images": training.data.get("train", "not stated"),
        "Validation images": training.data.get("val", "not stated"),
        "Fold held out": f"{training.fold + 1} of 5",
        "Started from": start,
        "Trained": f"{training.epochs} epochs, {training.hours:g} h, {training.hardware}",
        "Versions": ", ".join(f"{name} {number}" for name, number in training.versions.items()),
        "SHA-256": entry.sha256,
        "Licence": entry.licence,
    }
    table = "".join(f"| {name} | {value} |\n" for name, value in rows.items())
    return (
        f"# {NETWORKS[entry.architecture]}, thyroid scintigraphy\n\n"
        "**Research use only. Not a medical device; no decision about a patient may rest on it.**\n\n"
        f"{_WARNING if simulated else ''}"
        f"| | |\n|---|---|\n{table}\n"
        "The epoch was chosen on the validation images. Figures come from `streamer scintigraphy evaluate`: a "
        "page with 95 % intervals; images of another hospital had no part in the training. One label an image; "
        "probabilities are not calibrated; it knows no other disease than these.\n"
    )


def write_card(folder: Path, entry: ScintigraphyEntry) -> None:
    """Write the card beside the weights.

    Raises:
        OutputError: it cannot be written.
    """
    write_whole(folder / CARD, render_card(entry).encode())
