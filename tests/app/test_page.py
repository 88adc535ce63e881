"""The page in a real browser: what is shown is what was analysed."""

from __future__ import annotations

import json
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from streamer.app import camera
from streamer.app.frame_store import Feed, Picture, View
from streamer.app.jobs import Jobs
from streamer.outputs.overlay import track_colour
from tests.app.conftest import CAMERA_FRAMES, App, NewPage, write_numbered
from tests.app.held_engine import BOX, KEY_FRAME, READ_NUMBER
from tests.app.pages import ENDED, analyse, frame_shown, wait_for_position, wait_until


def test_every_picture_is_the_frame_that_it_claims_to_be(new_page: NewPage, clip: Path) -> None:
    page = new_page()
    page.evaluate(f"""() => {{
      const canvas = document.querySelector('[data-id=frame]'), read = {READ_NUMBER};
      window.seen = {{}};
      const look = () => {{
        if (canvas.dataset.position) window.seen[canvas.dataset.position] = read(canvas);
        requestAnimationFrame(look);
      }};
      look();
    }}""")
    analyse(page, clip)
    wait_for_position(page, 59)
    seen = {int(position): number for position, number in page.evaluate("window.seen").items()}
    assert len(seen) > 5  # it moved
    assert all(position == number for position, number in seen.items())
    page.wait_for_selector(ENDED)
    assert page.inner_text("[data-id=patient-value]") == "80 %"
    assert page.inner_text("[data-id=patient-decision]") == "malignant"
    assert "60 frames" in page.inner_text(".card")


def test_clicks_and_keys_go_to_the_right_frame_while_the_analysis_runs(app: App, new_page: NewPage, clip: Path) -> None:
    app.engine.hold(40)
    page = new_page()
    analyse(page, clip)
    wait_for_position(page, 39)  # waits at the live edge
    line = page.locator("[data-id=timeline]")
    size = line.bounding_box()
    x = 46 + (10.5 / 60) * (size["width"] - 60)  # the middle of frame 10 between the chart's margins
    line.click(position={"x": x, "y": size["height"] / 2})
    wait_for_position(page, 10)
    assert frame_shown(page) == 10
    for key, expected in [("ArrowRight", 11), ("ArrowLeft", 10), ("End", 39), ("Home", 0)]:
        page.keyboard.press(key)
        wait_for_position(page, expected)
        assert frame_shown(page) == expected
    page.keyboard.press("Space")  # plays on to the edge
    wait_for_position(page, 39)
    page.click(".card .portrait")
    wait_for_position(page, KEY_FRAME)
    assert line.get_attribute("aria-valuenow") == str(KEY_FRAME)


def test_a_frame_has_the_number_that_it_has_in_its_clip(new_page: NewPage, tmp_path: Path) -> None:
    page = new_page()
    clips = [write_numbered(tmp_path / f"{name}.mp4", frames, rate=30) for name, frames in (("a", 20), ("b", 3))]
    analyse(page, *clips)
    page.wait_for_selector(ENDED)
    page.keyboard.press("End")
    for place in ("2 of b", "1 of b", "0 of b", "19 of a"):  # the second begins at 2/3 s, which is no decimal
        page.wait_for_selector(f'[data-id=frame][aria-label="Frame {place}.mp4"]')
        assert page.inner_text("[data-id=line]").startswith(f"frame {place.split()[0]} ")
        page.keyboard.press("ArrowLeft")


@pytest.mark.parametrize("width", [320, 640])
def test_nothing_lies_beside_a_narrow_screen(new_page: NewPage, width: int) -> None:
    page = new_page()
    page.set_viewport_size({"width": width, "height": 844})
    for view in ("streamer", "scintigraphy"):
        page.click(f".views [data-view={view}]:visible")
        beside = page.evaluate(f"""() => [...document.querySelectorAll('#{view} :is(.notice, input, button, canvas)')]
          .filter(one => one.getClientRects().length && !one.closest('.choose'))
          .filter(one => one.getBoundingClientRect().left < 0 || one.getBoundingClientRect().right > innerWidth)
          .map(one => one.outerHTML)""")
        assert beside == []
        assert page.is_visible(f"#{view} .notice")


def test_going_back_costs_nothing(new_page: NewPage, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A frame that came once is in the page's memory, also after it has let go of its pixels."""
    page = new_page()
    analyse(page, clip)
    page.wait_for_selector(ENDED)
    wait_for_position(page, 59)
    sent: list[int] = []
    picture = Feed.picture

    def noted(feed: Feed, position: int, view: View) -> Picture | None:
        sent.append(position)
        return picture(feed, position, view)

    monkeypatch.setattr(Feed, "picture", noted)
    page.keyboard.press("Home")
    wait_for_position(page, 0)
    assert frame_shown(page) == 0
    assert sent == []
    page.uncheck("[data-id=boxes]")  # another picture
    assert wait_until(lambda: sent == [0])
    page.keyboard.press("ArrowRight")  # the keys are the viewer's also where the focus is on a box to be ticked
    wait_for_position(page, 1)


def test_heat_map_of_the_frame_in_view(app: App, new_page: NewPage, clip: Path) -> None:
    app.engine.hold(40)
    page = new_page()
    analyse(page, clip)
    wait_for_position(page, 39)
    page.keyboard.press("ArrowLeft")
    wait_for_position(page, 38)
    button = page.locator(".card .ask button")
    button.click()
    page.wait_for_selector('[data-id=heat][data-position="38"]:visible')
    assert button.get_attribute("aria-pressed") == "true"
    number = f"""async picture => {{
      await picture.decode();
      const canvas = document.createElement('canvas');
      [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
      canvas.getContext('2d').drawImage(picture, 0, 0);
      return ({READ_NUMBER})(canvas);
    }}"""
    assert page.eval_on_selector("[data-id=heat]", number) == 38
    page.keyboard.press("ArrowLeft")  # another frame: the map goes
    page.wait_for_selector("[data-id=heat]", state="hidden")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    page.wait_for_selector('[data-id=heat][data-position="37"]:visible')
    button.click()
    page.wait_for_selector("[data-id=heat]", state="hidden")


def test_overlay_can_be_switched_off(app: App, new_page: NewPage, clip: Path) -> None:
    app.engine.hold(10)
    page = new_page()
    analyse(page, clip)
    wait_for_position(page, 9)
    page.keyboard.press("Home")
    for _ in range(5):  # to where the nodule counts and has its outline
        page.keyboard.press("ArrowRight")
    wait_for_position(page, 5)
    edge = f"canvas => [...canvas.getContext('2d').getImageData({int(BOX[0])}, 175, 1, 1).data].slice(0, 3)"

    def colour() -> Any:
        return page.eval_on_selector("[data-id=frame]", edge)

    expected = track_colour(1)
    assert all(abs(one - other) < 60 for one, other in zip(colour(), expected, strict=True))
    page.check("[data-id=original]")
    assert wait_until(lambda: max(colour()) - min(colour()) < 8)  # grey again
    assert frame_shown(page) == 5


def test_stop_leaves_a_partial_report(app: App, new_page: NewPage, clip: Path) -> None:
    app.engine.hold(30)
    page = new_page()
    analyse(page, clip)
    wait_for_position(page, 29)
    page.click("[data-id=stop]")
    app.engine.release()
    page.wait_for_selector(ENDED)
    assert "partial" in page.inner_text("[data-id=results-line]")
    assert not at_work()
    report = json.loads(page.request.get(app.url + page.get_attribute("a[download='report.json']", "href")).text())
    assert report["complete"] is False
    assert 30 <= report["videos"][0]["frames"] < 60


def test_downloads_are_complete_and_hold_the_readers_note(
    app: App, new_page: NewPage, clip: Path, tmp_path: Path
) -> None:
    page = new_page()
    page.fill("[data-id=patient]", "P-7")
    analyse(page, clip)
    page.wait_for_selector(ENDED)
    page.select_option(".card select", "4b")
    page.fill(".card textarea", "Taller than wide.")
    page.wait_for_selector('.card[data-saved="Taller than wide."]')
    with page.expect_download() as download:
        page.click("text=All as ZIP")
    download.value.save_as(tmp_path / "study.zip")
    with zipfile.ZipFile(tmp_path / "study.zip") as archive:
        assert archive.testzip() is None
        assert {"overlay.mp4", "frames.jsonl", "report.json", "report.html", "nodule-001.png"} == set(
            archive.namelist()
        )
        report = json.loads(archive.read("report.json"))
        assert report["nodules"][0]["reader"] == {"c_tirads": "4b", "note": "Taller than wide."}
        assert "Taller than wide." in archive.read("report.html").decode()
        lines = archive.read("frames.jsonl").splitlines()
    assert (report["patient"], report["nodules"][0]["key_frame"], len(lines)) == ("P-7", KEY_FRAME, 60)
    seconds = page.eval_on_selector(
        ".videos video",
        "video => new Promise(done => { video.onloadedmetadata = () => done(video.duration); video.load(); })",
    )
    assert seconds == pytest.approx(60 / 25, abs=0.05)


def test_notes_that_were_not_downloaded_are_not_lost_unasked(app: App, new_page: NewPage, clip: Path) -> None:
    page = new_page()
    asked: list[tuple[str, str]] = []

    def refuse(dialog: Any) -> None:
        asked.append((dialog.type, dialog.message))
        dialog.dismiss()

    page.on("dialog", refuse)
    analyse(page, clip)
    write_note(page, "Hypoechoic.")
    page.click("[data-id=analyse]")
    assert [kind for kind, _ in asked] == ["confirm"]
    assert "have not been downloaded" in asked[0][1]
    assert page.input_value(".card textarea") == "Hypoechoic."
    with page.expect_download():
        page.click("text=All as ZIP")
    page.wait_for_function("!document.querySelector('.results button').disabled")
    page.click("[data-id=analyse]")
    page.wait_for_selector(".card textarea", state="detached")
    assert len(asked) == 1
    write_note(page, "Isoechoic.")
    page.close(run_before_unload=True)
    page.wait_for_timeout(500)
    assert [kind for kind, _ in asked] == ["confirm", "beforeunload"]


def write_note(page: Any, text: str) -> None:
    """Wait for the end of the analysis and write a note on its nodule."""
    page.wait_for_selector(ENDED)
    page.fill(".card textarea", text)
    page.wait_for_selector(f'.card[data-saved="{text}"]')


def at_work() -> list[str]:
    """Threads of analyses that are under way."""
    ours = ("analyse", "decode", "streamer-output")
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(ours)]


@pytest.mark.parametrize("leave", ["close", "reload"])
def test_leaving_the_page_frees_everything(app: App, new_page: NewPage, clip: Path, leave: str) -> None:
    app.engine.hold(30)
    page = new_page()
    analyse(page, clip)
    wait_for_position(page, 29)
    uploads = [path.parent for path in app.root.glob("*/neck.mp4")]
    assert len(app.job_folders()) == len(uploads) == 1
    assert at_work()
    app.engine.release()
    getattr(page, leave)()
    assert wait_until(lambda: app.job_folders() == [] and not uploads[0].exists() and not at_work())


def test_page_says_goodbye_before_the_connection_is_missed(
    app: App, new_page: NewPage, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[str] = []
    monkeypatch.setattr(Jobs, "end_session", lambda _, session: left.append(session))
    page = new_page()
    with page.expect_request(lambda sent: "/component_server" in sent.url) as request:
        page.set_input_files("[data-id=choose]", clip)
    session = request.value.post_data_json["session_hash"]
    page.evaluate("window.dispatchEvent(new PageTransitionEvent('pagehide'))")
    assert wait_until(lambda: session in left)


def test_sessions_do_not_meet_and_a_third_waits(app: App, new_page: NewPage, clip: Path) -> None:
    app.engine.hold(10)
    pages = [new_page() for _ in range(3)]
    for page in pages:
        analyse(page, clip)
    for page in pages[:2]:
        wait_for_position(page, 9)
    pages[2].wait_for_selector("text=place 1 in the queue")
    tokens = {folder.name for folder in app.job_folders()}
    assert len(tokens) == 3
    for token in tokens:
        for question in ("status", "frames/0", "nodules/1", "nodules/1/heat/0"):
            answer = pages[0].request.get(f"{app.url}analyses/stranger/{token}/{question}")
            assert (answer.status, set(answer.json())) == (404, {"error"})
    pages[0].click("[data-id=stop]")
    app.engine.release()
    pages[0].wait_for_selector(ENDED)
    for page in pages[1:]:
        page.wait_for_selector(ENDED)
        assert "60 frames" in page.inner_text("[data-id=results-line]")


def test_crash_of_the_analysis_is_told_and_leaves_nothing(app: App, new_page: NewPage, clip: Path) -> None:
    app.engine.fails_at = 20
    page = new_page()
    analyse(page, clip)
    page.wait_for_selector("[data-id=banner][data-kind=error]:visible")
    assert "failed" in page.inner_text("[data-id=banner]")
    assert wait_until(lambda: app.job_folders() == [] and not at_work(), seconds=1)
    assert page.is_disabled("[data-id=play]")
    assert page.inner_text("[data-id=patient-value]") == "\N{EN DASH}"
    assert page.is_hidden("[data-id=patient-decision]")  # not "no nodule"
    app.engine.fails_at = 1 << 30
    page.click("[data-id=analyse]:enabled")  # the worker is free again
    page.wait_for_selector(ENDED)


def test_camera_is_shown_live_and_its_recording_analysed(app: App, new_page: NewPage) -> None:
    page = new_page()
    page.click("#tab-camera")
    page.click("[data-id=camera-start]")
    page.wait_for_function("document.querySelector('[data-id=frame]').dataset.position > 3")
    page.click("[data-id=camera-record]")
    page.wait_for_selector("[data-id=camera-record][aria-pressed=true]")
    numbers: list[int] = []

    def has_moved() -> bool:
        numbers.append(frame_shown(page))
        return len(set(numbers)) > 5

    assert wait_until(has_moved)
    assert set(numbers) <= set(range(CAMERA_FRAMES))
    assert "dropped" in page.inner_text("[data-id=line]")
    page.click("[data-id=camera-stop]")
    page.wait_for_selector(ENDED)
    report = json.loads(page.request.get(app.url + page.get_attribute("a[download='report.json']", "href")).text())
    assert report["videos"][0]["name"] == "camera-1.mp4"
    assert report["videos"][0]["frames"] > 5
    assert report["complete"] is True


def test_a_camera_that_is_lost_leaves_its_recording(
    app: App, new_page: NewPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera, "_LOST_S", 1.0)
    page = new_page()
    record(page)
    page.evaluate("document.querySelector('[data-id=camera-video]').srcObject.getTracks().forEach(one => one.stop())")
    page.wait_for_selector(ENDED)
    report = json.loads(page.request.get(app.url + page.get_attribute("a[download='report.json']", "href")).text())
    assert report["videos"][0]["name"] == "camera-1.mp4"


def test_a_recording_is_not_lost_unasked(new_page: NewPage) -> None:
    page = new_page()
    record(page)
    asked: list[str] = []

    def refuse(dialog: Any) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refuse)
    page.click("#tab-clips")
    page.click("[data-id=demo]")
    assert wait_until(lambda: len(asked) == 1)
    assert "recorded has not been analysed" in asked[0]
    assert page.get_attribute("[data-id=camera-record]", "aria-pressed") == "true"


def record(page: Any) -> None:
    """Start the camera and a recording, and wait until some of it is there."""
    page.click("#tab-camera")
    page.click("[data-id=camera-start]")
    page.wait_for_function("document.querySelector('[data-id=frame]').dataset.position > 3")
    page.click("[data-id=camera-record]")
    page.wait_for_selector("[data-id=camera-record][aria-pressed=true]")
    first = frame_shown(page)
    assert wait_until(lambda: frame_shown(page) != first)
