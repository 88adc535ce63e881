"""frames.jsonl and report.json: rounding, schema files, readers."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest
from pydantic import ValidationError

from streamer.errors import InputError
from streamer.outputs import report_json as entries
from streamer.outputs import schema
from streamer.summaries import StudyReport
from tests.outputs.study_example import frame_result, nodule, study_report, track

SCHEMAS = Path(schema.__file__).parent / "schemas"


def report_of(study: StudyReport) -> schema.Report:
    return entries.report(study, created=datetime.now(UTC), overlays={}, images={}, warnings={})


@pytest.mark.parametrize("name", ["frames-2.json", "report-2.json"])
def test_schema_files_are_up_to_date(name: str) -> None:
    kept = json.loads((SCHEMAS / name).read_text(encoding="utf-8"))
    assert kept == schema.json_schemas()[name], (
        'run: python -c "import json; from streamer.outputs.schema import json_schemas as s; '
        f"print(json.dumps(s()['{name}'], indent=2))\" > streamer/outputs/schemas/{name}"
    )
    jsonschema.Draft202012Validator.check_schema(kept)


def test_frame_line_is_as_prescribed() -> None:
    line = entries.frame_line(frame_result(3, nodule(malignancy=0.123456), time_s=0.12345678, patient_malignancy=None))
    data = json.loads(line.model_dump_json())
    jsonschema.validate(data, schema.json_schemas()["frames-2.json"])
    assert data == {
        "video": "sweep.mp4",
        "frame": 3,
        "time_s": 0.123457,
        "nodules": [
            {
                "track": 1,
                "box_xyxy": [20.0, 16.0, 44.0, 32.0],
                "confidence": 0.9123,
                "track_confidence": 0.8765,
                "malignancy": 0.1235,
                "contour_xy": [[20, 24], [32, 16], [43, 24], [32, 31]],
                "long_axis_px": 24.0,
                "short_axis_px": 16.0,
                "area_px": 200.0,
                "long_axis_mm": None,
                "short_axis_mm": None,
                "area_mm2": None,
                "qualifies": True,
            }
        ],
        "patient_malignancy": None,
        "rejected": None,
    }
    rejected = entries.frame_line(replace(frame_result(3), rejected="probe in the air"))
    assert json.loads(rejected.model_dump_json())["rejected"] == "probe in the air"


def test_report_validates_against_its_schema() -> None:
    study = study_report(track(1), track(2, qualifies=False, malignancy=0.9))
    data = json.loads(report_of(study).model_dump_json())
    jsonschema.validate(data, schema.json_schemas()["report-2.json"])
    assert data["schema_version"] == "2.1"
    assert data["patient_malignancy"] == 0.75
    assert [entry["qualifies"] for entry in data["nodules"]] == [True, False]
    assert data["timing"]["stages_ms"]["detect"]["p50"] == 8.123
    assert data["settings"]["detection"]["nms_iou"] == 0.5


def test_no_probability_without_a_nodule() -> None:
    with pytest.raises(ValidationError, match="no nodule"):
        report_of(replace(study_report(), patient_malignancy=0.1))


def test_undecodable_file_name_is_written_as_text() -> None:
    line = entries.frame_line(frame_result(0))
    odd = replace(frame_result(0).frame, video="clip-\udcff.mp4")
    assert entries.frame_line(replace(frame_result(0), frame=odd)).model_dump_json() != line.model_dump_json()


def test_round_trip(tmp_path: Path) -> None:
    report = report_of(study_report(track()))
    path = tmp_path / "report.json"
    path.write_text(report.model_dump_json(), encoding="utf-8")
    assert schema.read_report(path) == report

    lines = [entries.frame_line(frame_result(index, nodule())) for index in range(3)]
    path = tmp_path / "frames.jsonl"
    path.write_text("".join(line.model_dump_json() + "\n" for line in lines), encoding="utf-8")
    assert list(schema.read_frames(path)) == lines


def test_a_later_minor_version_is_read(tmp_path: Path) -> None:
    data = json.loads(report_of(study_report()).model_dump_json()) | {"schema_version": "2.7", "new_field": 1}
    path = tmp_path / "report.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    assert schema.read_report(path).schema_version == "2.7"


@pytest.mark.parametrize("content", ["", "{", '{"schema_version": "3.0"}', "[]"])
def test_unreadable_report_is_one_clear_line(tmp_path: Path, content: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"report\.json") as caught:
        schema.read_report(path)
    assert "\n" not in str(caught.value)


def test_a_line_of_version_1_is_read(tmp_path: Path) -> None:
    data = json.loads(entries.frame_line(frame_result(0, nodule())).model_dump_json())
    old = data["nodules"][0]
    old["score"], old["counts"] = old.pop("track_confidence"), old.pop("qualifies")
    del old["confidence"], old["long_axis_mm"], old["short_axis_mm"], old["area_mm2"]
    path = tmp_path / "frames.jsonl"
    path.write_text(json.dumps(data) + "\n", encoding="utf-8")
    (line,) = schema.read_frames(path)
    assert (line.nodules[0].track_confidence, line.nodules[0].qualifies, line.nodules[0].confidence) == (
        0.8765,
        True,
        None,
    )


def test_bad_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl"
    path.write_text(entries.frame_line(frame_result(0)).model_dump_json() + "\n{}\n", encoding="utf-8")
    with pytest.raises(InputError, match="line 2"):
        list(schema.read_frames(path))


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        schema.read_report(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot read"):
        list(schema.read_frames(tmp_path / "none.jsonl"))
