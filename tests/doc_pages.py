"""Makes `docs/api.md` from the docstrings and `docs/output-format.md` from the schema: `python -m tests.doc_pages`."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import BaseModel

import streamer
from streamer.outputs import report_json, schema
from streamer.outputs.base import SinkContext
from streamer.outputs.csv_rows import COLUMNS, CsvSink
from streamer.outputs.folder import NODULES_CSV, OutputFolder
from streamer.settings import Settings
from streamer.types import FrameResult, SizeMm
from tests.outputs.study_example import frame_result, nodule, study_report, track

DOCS = Path(__file__).resolve().parent.parent / "docs"
_GROUPS = {
    "Analyse": ("analyse", "analyse_image", "analyse_streams", "run_study", "run_live", "Engine", "Progress"),
    "Several streams": ("Serving", "StreamEvent", "StreamFigures"),
    "Sources": ("open_source", "open_live", "Capture", "Source", "ClipInfo", "ScanView"),
    "Results": (
        "FrameResult",
        "Frame",
        "Nodule",
        "Finding",
        "NoduleHeat",
        "SizeMm",
        "Track",
        "ClipSummary",
        "LiveFigures",
        "StageTiming",
        "StudyReport",
        "ModelVersion",
    ),
    "Read what was written": (
        "read_report",
        "read_frames",
        "Report",
        "VideoEntry",
        "NoduleEntry",
        "FrameLine",
        "NoduleLine",
    ),
    "Seams": (
        "FrameAnalyser",
        "FrameFindings",
        "TwoStepAnalyser",
        "FrameCandidates",
        "Candidate",
        "AnalyserInfo",
        "SweepOperatingPoint",
        "DetectorAnalyser",
        "Sink",
        "BaseSink",
        "PatientAggregator",
    ),
    "Settings": (
        "Settings",
        "load_settings",
        *(name for name in streamer.__all__ if name.endswith("Settings") and name != "Settings"),
    ),
    "Errors": tuple(name for name in streamer.__all__ if name.endswith("Error")),
}


def api_page() -> str:
    """`docs/api.md`: every public name with its signature and docstring."""
    parts = [
        "# API\n\nMade from the docstrings by `python -m tests.doc_pages`. Everything here can be imported from "
        "`streamer`; `streamer.testing` has fakes for each seam. Research use only.\n"
    ]
    listed = [name for names in _GROUPS.values() for name in names]
    assert sorted([*listed, "__version__"]) == sorted(streamer.__all__), "each public name stands in one group"
    for title, names in _GROUPS.items():
        parts.append(f"\n## {title}\n")
        parts += [_entry(name) for name in names]
    return "".join(parts)


def _entry(name: str) -> str:
    thing = getattr(streamer, name)
    kind = "class" if inspect.isclass(thing) else "def"
    lines = [f"\n### {name}\n", f"\n```python\n{kind} {name}{_signature(thing)}\n```\n", f"\n{_block(thing)}\n"]
    if thing is Settings:
        lines += _settings()
    if inspect.isclass(thing) and not issubclass(thing, (Exception, BaseModel)):
        members = [
            (attribute, value)
            for attribute, value in vars(thing).items()
            if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, property))
        ]
        for attribute, value in members:
            first = (inspect.getdoc(value) or "").split("\n")[0]
            lines.append(f"- `{attribute}{'' if isinstance(value, property) else '()'}`: {first}\n")
    return "".join(lines)


def _settings() -> list[str]:
    """A row per setting: its name in a configuration file, and its default."""
    rows = ["| setting | default |\n|---|---|\n"]
    for name, section in Settings().model_dump(mode="json").items():
        values = section if isinstance(section, dict) else {"": section}
        rows += [f"| `{name}{'.' * bool(key)}{key}` | `{json.dumps(value)}` |\n" for key, value in values.items()]
    return ["\n", *rows]


def _signature(thing: Any) -> str:
    if inspect.isclass(thing) and (issubclass(thing, (Exception, BaseModel)) or getattr(thing, "_is_protocol", False)):
        return ""
    signature = inspect.signature(thing)
    parts: list[str] = []
    for name, one in signature.parameters.items():
        if one.kind is one.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        if not name.startswith("_"):
            parts.append(f"{name}: {_annotation(one.annotation)}{_default(one.default)}")
    returned = "" if inspect.isclass(thing) else f" -> {_annotation(signature.return_annotation)}"
    inside = "".join(f"\n    {part}," for part in parts) + "\n" if len(parts) > 1 else "".join(parts)
    return f"({inside}){returned}"


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _default(default: Any) -> str:
    if default is inspect.Parameter.empty:
        return ""
    made = callable(default) or repr(default) == "<factory>"
    return " = ..." if made else f" = {default!r}"


def _block(thing: Any) -> str:
    return f"```text\n{inspect.getdoc(thing)}\n```"


def format_page() -> str:
    """`docs/output-format.md`: every field of each file, with an example."""
    line = report_json.frame_line(_result_example())
    parts = [
        "# Output format\n\nMade from the schema by `python -m tests.doc_pages`; JSON Schemas: "
        "[streamer/outputs/schemas](../streamer/outputs/schemas).\n\n"
        f"Version {schema.SCHEMA_VERSION}. A minor version only adds fields and decisions: "
        "readers ignore fields that they do not know. "
        "Lengths are source pixels unless a name says otherwise, times seconds from the "
        "clip's first frame. Files of version 1.4 are still read.\n\n"
        "| file | output | what |\n|---|---|---|\n"
        "| `overlay.mp4`; of several clips `overlay-1.mp4`, `overlay-2.mp4` .. | `overlay` | "
        "the clip with boxes, outlines and the running maximum |\n"
        "| `frames.jsonl` | `frames` | a line per frame |\n"
        "| `nodules.csv` | `csv` | a row per nodule and frame |\n"
        "| `nodule-001.png` .. | `key_frames` | a picture of each qualifying nodule |\n"
        "| `report.html` | `report_html` | the page |\n"
        "| `report.json` | `report_json` | the study; written last: where it is, all other files are |\n",
        "\n## frames.jsonl\n\n" + _example(line),
        _table("A line", schema.FrameLine),
        _table("A nodule in it", schema.NoduleLine),
        "\n## nodules.csv\n\nThe same numbers, empty where one is unknown: "
        + ", ".join(f"`{c}`" for c in COLUMNS)
        + "; `qualifies` is 0 or 1.\n\n```text\n"
        + _csv_example()
        + "```\n",
        "\n## report.json\n\n" + _example(_report_example()),
    ]
    for title, model in (
        ("The report", schema.Report),
        ("A clip", schema.VideoEntry),
        ("A nodule", schema.NoduleEntry),
        ("A reader's note", schema.ReaderEntry),
        ("A live source", schema.LiveEntry),
        ("A network", schema.UsedModel),
        ("Times", schema.TimingEntry),
        ("A stage's times", schema.StageEntry),
    ):
        parts.append(_table(title, model))
    return "".join(parts)


def _result_example() -> FrameResult:
    """A nodule in a clip whose pixels are 0.1 mm wide and high."""
    measured = replace(nodule(), size_mm=SizeMm(long_axis_mm=2.4, short_axis_mm=1.6, area_mm2=2.0))
    return frame_result(3, measured, patient_malignancy=0.5)


def _report_example() -> schema.Report:
    """A report as of a run; `settings` is shortened, and the time and the version are fixed."""
    written = report_json.report(
        study_report(track()),
        created=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        overlays={"sweep.mp4": "overlay.mp4"},
        images={1: "nodule-001.png"},
        warnings={},
    )
    return written.model_copy(update={"streamer_version": "0.1.0", "settings": {"outputs": ["frames", "report_json"]}})


def _csv_example() -> str:
    """The head of `nodules.csv` and a row."""
    with TemporaryDirectory() as folder:
        files = OutputFolder(Path(folder))
        sink = CsvSink(SinkContext(folder=files, settings=Settings()))
        sink.write(_result_example())
        sink.end_clip(None)
        sink.close(None)
        text = files.partial(NODULES_CSV).read_text(encoding="utf-8")
        files.release()
    return text.replace("\r\n", "\n")


def _example(model: BaseModel) -> str:
    """A block of JSON; a list of numbers or texts, or of pairs, is one line."""
    text = json.dumps(json.loads(model.model_dump_json()), indent=2)
    for _ in range(2):
        text = re.sub(r"\[\s+([^\[\]{}]+|(?:\[[^\[\]{}]+\],?\s*)+?)\s*\]", _one_line, text)
    return f"```json\n{text}\n```\n"


def _one_line(found: re.Match[str]) -> str:
    return "[" + " ".join(found[1].split()) + "]"


def _table(title: str, model: type[BaseModel]) -> str:
    properties = model.model_json_schema(mode="serialization")["properties"]
    rows = [f"| `{name}` | {_type(field)} | {field.get('description', '')} |" for name, field in properties.items()]
    return f"\n### {title}\n\n| field | type | meaning |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _type(field: dict[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(one) for one in field["anyOf"])
    if "$ref" in field:
        return str(field["$ref"]).rsplit("/", 1)[-1]
    if "enum" in field:
        return ", ".join(map(repr, field["enum"]))
    if field.get("type") == "array" and "$ref" in field.get("items", {}):
        return f"array of {_type(field['items'])}"
    return str(field.get("type", "any"))


PAGES = {"api.md": api_page, "output-format.md": format_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")
