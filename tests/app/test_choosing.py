"""What is to be analysed, as it is chosen on the page: clips, folders, and files that are neither."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2

from tests.app.conftest import App, NewPage
from tests.app.held_engine import numbered
from tests.app.pages import ENDED, analyse, frame_shown, wait_until


def test_a_folder_of_stills_is_one_clip(app: App, new_page: NewPage, tmp_path: Path) -> None:
    folder = tmp_path / "Schnitt \N{LATIN SMALL LETTER U WITH DIAERESIS}ber links"
    folder.mkdir()
    for number in range(12):
        cv2.imwrite(str(folder / f"{number}.png"), cv2.cvtColor(numbered(number), cv2.COLOR_RGB2BGR))
    (folder / ".DS_Store").write_bytes(b"x")
    page = new_page()
    page.set_input_files("[data-id=choose-folder]", folder)
    page.click("[data-id=analyse]:enabled")
    page.wait_for_selector(ENDED)
    page.press("[data-id=frame]", "End")
    assert wait_until(lambda: frame_shown(page) == 11)  # 10 comes after 9, not after 1
    report = json.loads(page.request.get(app.url + page.get_attribute("a[download='report.json']", "href")).text())
    assert [(video["name"], video["frames"]) for video in report["videos"]] == [(folder.name, 12)]


def test_a_folder_of_clips_is_several(app: App, new_page: NewPage, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    for name in ("left.mp4", "right.mp4"):
        shutil.copy(clip, folder / name)
    page = new_page()
    page.set_input_files("[data-id=choose-folder]", folder)
    page.wait_for_selector("[data-id=analyse]:enabled")
    assert sorted(page.locator("[data-id=chosen] li span").all_inner_texts()) == ["left.mp4", "right.mp4"]


def test_file_that_is_no_clip_gets_one_line(app: App, new_page: NewPage, tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("not a clip")
    page = new_page()
    analyse(page, path)
    page.wait_for_selector("[data-id=banner][data-kind=error]:visible")
    assert "notes.mp4" in page.inner_text("[data-id=banner]")
    assert wait_until(lambda: app.job_folders() == [])
