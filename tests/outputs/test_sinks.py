"""Outputs are chosen by the settings; a sink of one's own gets every call; the CSV has a row per nodule and frame."""

import csv
from pathlib import Path

import pytest

from streamer.outputs.base import BaseSink
from streamer.outputs.csv_rows import COLUMNS
from streamer.outputs.registry import SINKS
from streamer.outputs.schema import read_frames, read_report
from streamer.outputs.study_writer import StudyWriter
from streamer.settings import STANDARD_OUTPUTS, OutputName, Settings
from streamer.summaries import ClipSummary, StudyReport
from streamer.types import ClipInfo, FrameResult
from tests.outputs.study_example import example_clip, frame_result, nodule, study_report, track

FILES: dict[OutputName, str] = {
    "overlay": "overlay.mp4",
    "frames": "frames.jsonl",
    "csv": "nodules.csv",
    "key_frames": "nodule-001.png",
    "report_html": "report.html",
    "report_json": "report.json",
}


def written(folder: Path, *outputs: OutputName, sinks: tuple[BaseSink, ...] = ()) -> set[str]:
    with StudyWriter(folder, Settings(outputs=outputs), sinks=sinks) as writer:
        writer.start_clip(example_clip())
        for index in range(6):
            writer.write(frame_result(index, nodule(), nodule(2)))
        writer.end_clip(study_report(frames=6).videos[0])
        writer.write_report(study_report(track(), frames=6))
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("output", list(FILES))
def test_each_output_alone(tmp_path: Path, output: OutputName) -> None:
    assert written(tmp_path, output) == {FILES[output]}


def test_all_outputs(tmp_path: Path) -> None:
    assert written(tmp_path, *FILES) == set(FILES.values())
    assert set(SINKS) - set(FILES) == {"dicom"}
    assert set(SINKS) - {"csv", "dicom"} == set(STANDARD_OUTPUTS)
    assert read_report(tmp_path / "report.json").videos[0].overlay == "overlay.mp4"


def test_the_report_names_no_file_that_was_not_asked_for(tmp_path: Path) -> None:
    written(tmp_path, "report_json")
    report = read_report(tmp_path / "report.json")
    assert (report.videos[0].overlay, report.nodules[0].image) == (None, None)


def test_csv_rows_are_the_lines_of_frames_jsonl(tmp_path: Path) -> None:
    written(tmp_path, "csv", "frames")
    with (tmp_path / "nodules.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    lines = [(line, one) for line in read_frames(tmp_path / "frames.jsonl") for one in line.nodules]
    assert len(rows) == len(lines) == 12
    for row, (line, one) in zip(rows, lines, strict=True):
        assert (int(row["frame"]), float(row["time_s"]), int(row["track"])) == (line.frame, line.time_s, one.track)
        assert [float(row[name]) for name in ("x0_px", "y0_px", "x1_px", "y1_px")] == list(one.box_xyxy)
        assert (float(row["malignancy"]), row["qualifies"], row["area_mm2"]) == (one.malignancy, "1", "")


def test_a_sink_of_ones_own_gets_every_call_in_order(tmp_path: Path) -> None:
    class Log(BaseSink):
        def __init__(self) -> None:
            self.told: list[str] = []

        def start_clip(self, info: ClipInfo) -> None:
            self.told.append(f"start {info.name}")

        def write(self, result: FrameResult) -> None:
            self.told.append(str(result.frame.index))

        def end_clip(self, summary: ClipSummary | None) -> None:
            self.told.append("end" if summary is None else f"end after {summary.frames}")

        def close(self, report: StudyReport | None) -> None:
            self.told.append("nothing" if report is None else report.decision)

    log = Log()
    written(tmp_path, "report_json", sinks=(log,))
    assert log.told == ["start sweep.mp4", *"012345", "end after 6", "malignant"]
