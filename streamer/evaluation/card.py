"""Model cards: generated from the manifest, so that the figures in them cannot drift from those measured.

What cannot be generated (known failures, described) comes from `notes/<role>.md` beside the weights, word for word.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from streamer._files import write_whole
from streamer._templates import text_templates
from streamer.data.public_sources import PUBLIC_SOURCES, unit_of
from streamer.errors import OutputError, WeightsError
from streamer.evaluation.tables import interval_text
from streamer.models.registry import task
from streamer.models.weights_manifest import GateEntry, ModelEntry, ReportedFigure, Role, read_manifest

_SIMULATED = "simulated frames made by streamer itself"
_OWN_DATA = "terms as its owner states"


def card_path(folder: Path, role: Role) -> Path:
    """Where the card of a network lies in its weights folder."""
    return folder / f"{role}.md"


def render_card(role: Role, entry: ModelEntry, notes: str, gate: GateEntry | None = None) -> str:
    """The card of a network, Markdown.

    Args:
        role: which network.
        entry: its entry in the manifest.
        notes: known failures and the like, Markdown, taken over word for word; may be empty.
        gate: the gate that judges by this network's features, if there is one.
    """
    return (
        text_templates("streamer.evaluation")
        .get_template("card.md.j2")
        .render(
            task=task(role),
            entry=entry,
            sources=[(name, amount.text(unit_of(name)), _terms(name)) for name, amount in entry.training.data.items()],
            groups=_grouped(entry.figures),
            gate=gate,
            interval_text=interval_text,
            notes=notes.strip(),
        )
    )


def _terms(source: str) -> str:
    if source == "phantom":
        return _SIMULATED
    return PUBLIC_SOURCES[source].terms if source in PUBLIC_SOURCES else _OWN_DATA


def write_card(folder: Path, role: Role) -> Path:
    """Write a network's card beside its weights, with the notes of `notes/<role>.md` if there are any.

    Raises:
        WeightsError: the manifest is missing or damaged, or has no such network.
        OutputError: the card cannot be written or the notes cannot be read.
    """
    manifest = read_manifest(folder)
    entry = manifest.models.get(role)
    if entry is None:
        raise WeightsError(f"{folder} has no {role}")
    gate = manifest.gate if role == "detector" else None
    path, notes = card_path(folder, role), folder / "notes" / f"{role}.md"
    try:
        text = notes.read_text(encoding="utf-8") if notes.is_file() else ""
    except OSError as error:
        raise OutputError(f"cannot read {notes}: {error.strerror}") from error
    write_whole(path, render_card(role, entry, text, gate).encode())
    return path


def _grouped(figures: Iterable[ReportedFigure]) -> dict[tuple[str, str], list[ReportedFigure]]:
    groups: dict[tuple[str, str], list[ReportedFigure]] = {}
    for figure in figures:
        groups.setdefault((figure.data, figure.split), []).append(figure)
    return groups
