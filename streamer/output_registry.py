"""The outputs of a run by the name that `settings.outputs` gives them: one `OutputSpec` each, in one table.

A new output is one module (its sink) and one entry: describe it by an `OutputSpec` and hand that to `register_output`.
The settings, the command line and the output folder ask here.

This module imports no sink: it is named by a dotted path and imported when it is chosen.

Example:
    >>> OUTPUTS["csv"].files
    'nodules\\\\.csv'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """All that is known of one output.

    Attributes:
        name: what `settings.outputs` calls it.
        sink: a `streamer.Sink` class, or a function that gives a sink; called with the `SinkContext`. A dotted path
            "package.module:name", or the object itself.
        files: regular expression of the names of its files. A later run into the same folder replaces these.
        standard: whether it is written where the settings name no outputs.
        sums_up: whether it shows what other outputs have written, and is called after them.
        named: whether the report names each of its files; then a later run replaces no other.
        check: called with each clip's `ClipInfo` before the analysis, to raise InputError where the output cannot be
            made of it; a dotted path, the object itself, or None.

    Raises:
        ValueError: the name is empty, or `files` is no regular expression.
    """

    name: str
    sink: str | Callable[..., Any]
    files: str
    standard: bool = False
    sums_up: bool = False
    named: bool = False
    check: str | Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("an output needs a name")
        try:
            re.compile(self.files)
        except re.error as error:
            raise ValueError(f"the output {self.name}: {self.files!r} is no regular expression: {error}") from error

    def writes(self, file: str) -> bool:
        """Whether a file of that name is one of its."""
        return re.fullmatch(self.files, file) is not None


_OUTPUTS: dict[str, OutputSpec] = {}

OUTPUTS: Mapping[str, OutputSpec] = MappingProxyType(_OUTPUTS)
"""The registered outputs by name, in the order in which their sinks are called; those that sum up come after all
others. A live, read-only view."""


def register_output(spec: OutputSpec) -> OutputSpec:
    """Make an output known to the settings, the commands and the output folder.

    Raises:
        ValueError: another output has its name.
    """
    if _OUTPUTS.get(spec.name, spec) != spec:
        raise ValueError(f"there is an output {spec.name} already")
    _OUTPUTS[spec.name] = spec
    return spec


def is_output_file(name: str) -> bool:
    """Whether a file of that name is one that some output writes.

    Example:
        >>> is_output_file("overlay-2.mp4"), is_output_file("notes.txt")
        (True, False)
    """
    return any(spec.writes(name) for spec in OUTPUTS.values())


for _spec in (
    OutputSpec(
        name="overlay",
        sink="streamer.outputs.video:OverlaySink",
        files=r"overlay(-\d+)?\.mp4",
        standard=True,
        named=True,
    ),
    OutputSpec(name="frames", sink="streamer.outputs.jsonl:FramesSink", files=r"frames\.jsonl", standard=True),
    OutputSpec(name="csv", sink="streamer.outputs.csv_rows:CsvSink", files=r"nodules\.csv"),
    OutputSpec(
        name="key_frames",
        sink="streamer.outputs.key_frames:KeyFrameSink",
        files=r"nodule-\d{3,}\.png",
        standard=True,
        named=True,
    ),
    OutputSpec(
        name="dicom",
        sink="streamer.outputs.sinks:dicom_sink",
        files=r"dicom-(report|reader|overlay|seg|key|selection|state)-\d+\.dcm",
        check="streamer.outputs.sinks:check_dicom",
    ),
    OutputSpec(
        name="report_html",
        sink="streamer.outputs.report_sinks:HtmlSink",
        files=r"report\.html",
        standard=True,
        sums_up=True,
    ),
    OutputSpec(
        name="report_json",
        sink="streamer.outputs.report_sinks:JsonSink",
        files=r"report\.json",
        standard=True,
        sums_up=True,
    ),
):
    register_output(_spec)
