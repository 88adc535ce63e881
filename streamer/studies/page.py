"""A study's folder: one self-contained page, its tables as CSV, its figures as SVG and PNG."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure as Plot

from streamer._files import write_whole
from streamer._pixels import data_url
from streamer._templates import html_templates
from streamer.errors import OutputError
from streamer.studies.tables import Table, as_csv
from streamer.version import __version__

_PNG_DPI = 150
_SVG_SALT = "streamer"  # else matplotlib names parts of an SVG at random


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page.

    Attributes:
        title: heading.
        figures: caption and drawing by file name without suffix.
        tables: in the order shown.
        text: sentences above them.
    """

    title: str
    figures: Mapping[str, tuple[str, Plot]] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    text: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A study's page.

    Attributes:
        title: of the page.
        lead: what was studied, in a line.
        notes: what a reader of the figures must know, a sentence each.
        sections: the rest.
    """

    title: str
    lead: str
    notes: tuple[str, ...]
    sections: tuple[Section, ...]


@contextmanager
def results_folder(folder: Path) -> Iterator[None]:
    """Make the folder and try it out before long work begins; folders that an error leaves empty go away again.

    Raises:
        OutputError: it cannot be made or written to.
    """
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            trial = folder / ".trial"
            trial.write_bytes(b"")
            trial.unlink()
        except OSError as error:
            line = f"cannot write to the folder {folder}: {error.strerror}; choose another --output"
            raise OutputError(line) from error
        yield
    except BaseException:
        for one in made:
            with suppress(OSError):  # not empty, or never made
                one.rmdir()
        raise


def write_page(page: Page, folder: Path) -> Path:
    """Write `report.html`, a CSV for each name of a table, and every figure; each file whole or not at all.

    Returns:
        The page.

    Raises:
        OutputError: a file cannot be written.
    """
    drawings: dict[str, str] = {}
    tables: dict[str, list[Table]] = {}
    for section in page.sections:
        for name, (_, plot) in section.figures.items():
            svg = _saved(plot, "svg")
            write_whole(folder / f"{name}.svg", svg)
            write_whole(folder / f"{name}.png", _saved(plot, "png"))
            drawings[name] = data_url("image/svg+xml", svg)
        for table in section.tables:
            if table.columns:
                tables.setdefault(table.name, []).append(table)
    for name, same in tables.items():
        write_whole(folder / f"{name}.csv", as_csv(same).encode())
    text = (
        html_templates("streamer.studies")
        .get_template("study.html.j2")
        .render(page=page, drawings=drawings, version=__version__)
    )
    write_whole(folder / "report.html", text.encode())
    return folder / "report.html"


def markdown(tables: Sequence[Table]) -> str:
    """Tables as Markdown, for a document."""
    return "\n".join(
        f"### {table.title}\n\n"
        + "| " + " | ".join(table.headings) + " |\n|" + "---|" * len(table.headings) + "\n"
        + "".join("| " + " | ".join(row) + " |\n" for row in table.rows)
        + (f"\n{table.note}\n" if table.note else "")
        for table in tables
    )  # fmt: skip


def _saved(plot: Plot, kind: str) -> bytes:
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": _SVG_SALT}):
        if kind == "svg":
            plot.savefig(buffer, format="svg", metadata={"Date": None})
        else:
            plot.savefig(buffer, format="png", dpi=_PNG_DPI)
    return buffer.getvalue()
