"""The page of figures and its plot; the table in a terminal."""

from __future__ import annotations

from pathlib import Path

import cv2

from streamer.benchmark.agreement import Agreement
from streamer.benchmark.page import write_page
from streamer.benchmark.render import as_text, notes
from tests.benchmark.results import MACHINE, example


def test_figures_and_plot(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    write_page(example(), page)
    first = page.read_text()
    assert "| streamer, int8 | 40.0 | 30.0 to 50.0 |" in first
    assert "| naive, int8 | 6.0 | 5.0 to 10.0 | 0.30 | 5.0 x |" in first
    assert "a processor, 2 cores" in first
    picture = cv2.imread(str(tmp_path / "performance.png"))
    assert picture is not None
    assert picture.std() > 10
    write_page(example().model_copy(update={"frames_per_second": 77.0}), page)
    assert "| 77.0 |" in page.read_text()


def test_the_table_says_what_a_reader_must_know() -> None:
    result = example()
    off = Agreement(frames=10, share=0.3, same_boxes=False)
    naive = result.baselines["naive"].model_copy(update={"agreement": off})
    result = result.model_copy(
        update={"baselines": {"naive": naive}, "machine": MACHINE.model_copy(update={"busy": True}), "complete": False}
    )
    text = as_text(result)
    assert "NOT the same as streamer's" in text
    assert "in 30% of 10 frames" in text
    assert "busy before the start" in text
    assert "stopped before the end" in text
    assert "1.85 times that" in text


def test_networks_of_another_size_are_compared_by_speed_only() -> None:
    result = example()
    result = result.model_copy(update={"baselines": {"naive-paper": result.baselines["naive"]}})
    assert any(line.startswith("naive-paper works at 512 px") and "1.0 candidates" in line for line in notes(result))
