"""The tab "Scintigraphy" in a real browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from streamer.scintigraphy.honesty import MARK
from streamer.scintigraphy.phantom import PhantomStudy, write_study
from tests.app.conftest import NewPage


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DICOM file that says that it is simulated."""
    folder = tmp_path_factory.mktemp("phantom") / "study"
    write_study(PhantomStudy(images={"north": 1}, formats=("dicom",)), folder)
    return folder / "north" / "graves" / "north-graves-0000.dcm"


def opened(new_page: NewPage) -> Any:
    page = new_page()
    page.click("#streamer .views button[data-view=scintigraphy]")
    page.wait_for_selector("[data-id=scint-network]:not(:empty)")
    return page


def test_an_image_is_read_and_its_report_can_be_saved(new_page: NewPage, phantom: Path, tmp_path: Path) -> None:
    page = opened(new_page)
    assert not page.is_visible("#streamer")
    page.set_input_files("[data-id=scint-choose]", str(phantom))
    page.wait_for_selector(".scint-image meter", state="attached")
    assert page.inner_text("[data-id=scint-line]") == "1 of 1 image read"
    shown = [
        float(text) for text in page.locator(".scint-image table").first.locator("td:nth-child(2)").all_inner_texts()
    ]
    assert len(shown) == 4
    assert sum(shown) == pytest.approx(1, abs=0.003)
    assert page.locator(".scint-image img").count() == 2
    assert all(page.locator(".scint-image img").nth(number).get_attribute("alt") for number in range(2))
    assert "Counts by region" in page.inner_text(".scint-image")
    assert page.locator(".mark").count() == 0
    with page.expect_download() as download:
        page.click("text=Report (JSON)")
    download.value.save_as(tmp_path / "report.json")
    report = json.loads((tmp_path / "report.json").read_text())["images"][0]
    assert report["simulated"] is True
    assert [round(value, 3) for value in report["probabilities"].values()] == pytest.approx(shown, abs=1e-3)


def test_a_patients_picture_gets_no_answer_unless_asked_for_and_then_a_marked_one(
    new_page: NewPage, tmp_path: Path
) -> None:
    Image.fromarray(np.random.default_rng(0).poisson(20, (96, 96)).astype(np.uint8)).save(tmp_path / "patient.png")
    page = opened(new_page)
    page.set_input_files("[data-id=scint-choose]", str(tmp_path / "patient.png"))
    page.wait_for_selector(".scint-image .error")
    assert "meaningless for a patient" in page.inner_text(".scint-image")
    assert page.locator(".scint-image meter").count() == 0
    page.check("[data-id=scint-allowed]")
    page.set_input_files("[data-id=scint-choose]", str(tmp_path / "patient.png"))
    page.wait_for_selector(".scint-image meter", state="attached")
    assert page.inner_text(".scint-image .mark") == MARK


def test_a_file_that_is_no_image_is_one_line(new_page: NewPage, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    page = opened(new_page)
    page.set_input_files("[data-id=scint-choose]", str(tmp_path / "notes.txt"))
    page.wait_for_selector(".scint-image .error")
    said = page.inner_text(".scint-image .error")
    assert said == "cannot read the image notes.txt: it is neither JPEG, PNG nor DICOM, or damaged"
    assert page.inner_text("[data-id=scint-line]") == "0 of 1 image read"


def test_the_tabs_work_from_the_keyboard(new_page: NewPage) -> None:
    page = new_page()
    page.focus("#streamer .views button[data-view=scintigraphy]")
    page.keyboard.press("Enter")
    assert page.is_visible("#scintigraphy")
    assert page.evaluate("document.activeElement.dataset.view") == "scintigraphy"
    page.focus("#scintigraphy .views button[data-view=streamer]")
    page.keyboard.press("Space")
    assert page.is_visible("#streamer")
    assert not page.is_visible("#scintigraphy")
