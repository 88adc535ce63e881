"""The published weights on real clips: nodules are found, and nothing falls over on what is no thyroid."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from streamer._resources import weights_dir
from streamer.outputs.schema import read_frames, read_report
from streamer.pipeline.analyse import analyse
from streamer.pipeline.thyroid import Engine
from streamer.run import run_study
from streamer.settings import Settings

Box = tuple[float, float, float, float]
Truth = dict[str, dict[int, Box | None]]

_HIT_IOU = 0.3
"""Overlap from which a box counts as on the nodule: outlines by hand differ, boxes of small nodules more so."""


@pytest.fixture(scope="module")
def published() -> Engine:
    if not (weights_dir() / "manifest.json").is_file():
        pytest.skip(f"no weights at {weights_dir()}: train them, or take those of a release")
    return Engine(Settings())


@pytest.fixture(scope="module")
def truth(data_dir: Path) -> Truth:
    """Validation sweeps: the nodule's box by clip and frame, None where there is none."""
    boxes: Truth = defaultdict(dict)
    with (data_dir / "cine" / "frames.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["split"] == "val":
                box = (float(row["x0"]), float(row["y0"]), float(row["x1"]), float(row["y1"])) if row["x0"] else None
                boxes[row["clip"]][int(row["frame"])] = box
    return boxes


def overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def hits(engine: Engine, clip: Path, boxes: dict[int, Box | None]) -> Iterator[bool]:
    """For each frame with a nodule: was it found?"""
    for result in analyse(clip, analyser=engine):
        box = boxes[result.frame.index]
        if box is not None:
            yield any(overlap(nodule.box_xyxy, box) >= _HIT_IOU for nodule in result.nodules)


def share_found(engine: Engine, data_dir: Path, truth: Truth, clips: list[str]) -> float:
    found = [hit for clip in clips for hit in hits(engine, data_dir / "cine" / f"{clip}.mp4", truth[clip])]
    assert found
    return float(np.mean(found))


def test_a_nodule_is_found_in_most_frames_that_have_one(published: Engine, data_dir: Path, truth: Truth) -> None:
    """On three of the validation sweeps, the first, middle and last by name."""
    clips = sorted(truth)
    some = [clips[0], clips[len(clips) // 2], clips[-1]]
    assert share_found(published, data_dir, truth, some) > 0.5


@pytest.mark.slow
def test_a_nodule_is_found_on_all_validation_sweeps(published: Engine, data_dir: Path, truth: Truth) -> None:
    assert share_found(published, data_dir, truth, sorted(truth)) > 0.5


def run_to_the_end(engine: Engine, clip: Path, output: Path) -> None:
    study = run_study([clip], output, analyser=engine)
    assert study.complete, clip.name
    report = read_report(output / "report.json")
    lines = [line.frame for line in read_frames(output / "frames.jsonl")]
    assert lines == list(range(report.videos[0].frames)), clip.name
    assert (report.decision == "no nodule") == (report.patient_malignancy is None)


def test_a_lung_clip_runs_to_the_end(published: Engine, data_dir: Path, tmp_path: Path) -> None:
    """Another organ from another machine: the shortest of them."""
    with (data_dir / "lung" / "clips.csv").open(encoding="utf-8") as stream:
        shortest = min(csv.DictReader(stream), key=lambda row: int(row["frames"]))
    run_to_the_end(published, data_dir / "lung" / shortest["clip"], tmp_path)


@pytest.mark.slow
def test_all_real_clips_run_to_the_end(published: Engine, data_dir: Path, tmp_path: Path) -> None:
    clips = [
        *(data_dir / "cine").glob("*.mp4"),
        *(path for path in (data_dir / "lung").iterdir() if path.suffix != ".csv"),
    ]
    assert len(clips) >= 65
    for clip in sorted(clips):
        run_to_the_end(published, clip, tmp_path / clip.name)
