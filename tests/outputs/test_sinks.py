"""Outputs are chosen by the settings; a sink of one's own gets every call; the CSV has a row per nodule and frame."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from streamer import output_registry
from streamer.errors import OutputError, SettingsError
from streamer.output_registry import OUTPUTS, OutputSpec, register_output
from streamer.outputs.base import BaseSink, SinkContext
from streamer.outputs.csv_rows import COLUMNS
from streamer.outputs.schema import read_frames, read_report
from streamer.outputs.study_writer import StudyWriter
from streamer.settings import OutputName, Settings, standard_outputs, validated
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
    settings = Settings(outputs=outputs)
    with StudyWriter(folder, settings, sinks=sinks) as writer:
        writer.start_clip(example_clip())
        for index in range(6):
            writer.write(frame_result(index, nodule(), nodule(2)))
        writer.end_clip(study_report(frames=6).videos[0])
        writer.write_report(replace(study_report(track(), frames=6), settings=settings.model_dump(mode="json")))
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("output", list(FILES))
def test_each_output_alone(tmp_path: Path, output: OutputName) -> None:
    assert written(tmp_path, output) == {FILES[output]}


def test_all_outputs(tmp_path: Path) -> None:
    assert written(tmp_path, *FILES) == set(FILES.values())
    assert set(OUTPUTS) - set(FILES) == {"dicom"}
    assert set(OUTPUTS) - {"csv", "dicom"} == set(standard_outputs())
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


class _Count(BaseSink):
    """Writes a file per clip, and one at the end that says what is finished by then."""

    def __init__(self, context: SinkContext) -> None:
        self._context, self._clips = context, 0

    def end_clip(self, summary: ClipSummary | None) -> None:
        self._clips += 1
        self._write(f"count-{self._clips}.txt", "none" if summary is None else str(summary.frames))

    def close(self, report: StudyReport | None) -> None:
        self._write("count.txt", " ".join(self._context.committed))

    def _write(self, name: str, text: str) -> None:
        self._context.folder.partial(name).write_text(text)
        self._context.commit(name)


@pytest.fixture
def count_output() -> Iterator[str]:
    """An output that only this test knows."""
    spec = OutputSpec(name="count", sink=_Count, files=r"count(-\d+)?\.txt")
    register_output(spec)
    yield spec.name
    del output_registry._OUTPUTS[spec.name]


def test_an_output_is_a_module_and_an_entry(tmp_path: Path, count_output: str) -> None:
    files = {"count.txt", "count-1.txt", "report.json"}
    assert written(tmp_path, "report_json", count_output) == files
    assert (tmp_path / "count.txt").read_text() == "count-1.txt"  # the report comes after it, and lists it
    (tmp_path / "count.txt").write_text("of the first run")
    assert written(tmp_path, "report_json", count_output) == files
    assert (tmp_path / "count.txt").read_text() == "count-1.txt"
    assert written(tmp_path, "report_json") == {"report.json"}  # what the run before has left goes


def test_a_file_of_the_users_with_such_a_name_is_not_touched(tmp_path: Path, count_output: str) -> None:
    (tmp_path / "count-7.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"holds count-7\.txt, which no report"):
        written(tmp_path, "report_json", count_output)
    assert (tmp_path / "count-7.txt").read_text() == "mine"


def test_a_file_that_no_entry_names_is_refused_in_the_first_run(tmp_path: Path, count_output: str) -> None:
    class Stray(BaseSink):
        def __init__(self, context: SinkContext) -> None:
            context.commit("stray.txt")

    del output_registry._OUTPUTS[count_output]
    register_output(OutputSpec(name=count_output, sink=Stray, files=r"count\.txt"))
    with pytest.raises(ValueError, match=r"no entry of streamer\.output_registry names the file stray\.txt"):
        written(tmp_path, "report_json", count_output)


def test_names_of_outputs_are_those_of_the_registry(count_output: str) -> None:
    assert validated(Settings, {"outputs": [count_output]}, "x").outputs == ("count",)
    with pytest.raises(SettingsError, match=r"'report_json' or 'count' \(got 'counts'\)"):
        validated(Settings, {"outputs": ["counts"]}, "x")
    with pytest.raises(ValueError, match="there is an output count already"):
        register_output(OutputSpec(name="count", sink=_Count, files="other"))
    with pytest.raises(ValueError, match="no regular expression"):
        OutputSpec(name="wrong", sink=_Count, files="(")
