"""The report shows a heat map beside each counted nodule, and does without where there is none."""

from __future__ import annotations

import re
from pathlib import Path

from streamer.models.grad_cam import HeatMaps, classifier_heat_maps
from streamer.models.weights_manifest import read_manifest
from streamer.outputs import StudyWriter
from streamer.settings import ClassificationSettings, Settings
from tests.fakes import quadrant_heat_maps
from tests.outputs.study_example import example_clip, frame_result, nodule, study_report, track


def page_of_a_study(folder: Path, heat_maps: HeatMaps | None) -> str:
    """Report of a study with a nodule that counts and one that does not."""
    with StudyWriter(folder, Settings(), heat_maps=heat_maps) as writer:
        writer.start_clip(example_clip())
        for index in range(12):
            brief = [nodule(2, left=60)] if index == 3 else []
            writer.write(frame_result(index, nodule(1), *brief))
        writer.write_report(study_report(track(1), track(2, qualifies=False)))
    return re.sub(r"\s+", " ", (folder / "report.html").read_text())


def test_counted_nodule_has_a_heat_map(tmp_path: Path) -> None:
    page = page_of_a_study(tmp_path, quadrant_heat_maps())
    assert page.count('alt="Heat map of nodule 1 ') == 1
    assert "Heat map of nodule 2" not in page
    assert "they say where, not how much" in page
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "frames.jsonl", "nodule-001.png", "overlay.mp4", "report.html", "report.json",
    ]  # fmt: skip


def test_report_without_heat_maps(tmp_path: Path) -> None:
    page = page_of_a_study(tmp_path, None)
    assert "Heat map" not in page
    assert "heat map" not in page


def test_a_nodule_that_next_to_nothing_speaks_against_has_a_sentence_instead_of_a_map(tmp_path: Path) -> None:
    page = page_of_a_study(tmp_path, quadrant_heat_maps(malignant_sign=-1))
    assert "Heat map of nodule 1" not in page
    assert page.count("Next to nothing in this frame raised malignancy, so there is no heat map.") == 1
    assert "There are no heat maps" not in page


def test_maps_that_are_no_better_than_chance_are_not_shown_as_an_explanation(tmp_path: Path) -> None:
    heat_maps = quadrant_heat_maps()
    heat_maps.explains = False
    page = page_of_a_study(tmp_path, heat_maps)
    assert "Heat map of nodule 1" not in page
    assert "There are no heat maps: those of these weights lie inside the nodule no more than by chance" in page


def test_lost_classifier_does_not_cost_the_report(tmp_path: Path, weights_folder: Path) -> None:
    lost = classifier_heat_maps(tmp_path / "gone", read_manifest(weights_folder), ClassificationSettings())
    page = page_of_a_study(tmp_path / "out", lost)
    assert "There are no heat maps: cannot read the classifier" in page
    assert "Nodule 1" in page
