"""The reading room in real browsers: two readers from start to export, and everything that must not be possible."""

from __future__ import annotations

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamer.errors import DataError
from streamer.studies.room.export import export_ratings, study_progress
from streamer.studies.room.store import AnswerStore
from streamer.studies.room.study_file import load_study
from tests.studies.conftest import CODES, Room
from tests.studies.reader_page import begin, log_in, rate, read_case, shown

OpenPage = Callable[..., Any]
SCENARIOS = ("without", "freestyle")


def tokens(room: Room, reader: str, scenario: int) -> list[str]:
    """Names of the images in the reader's order, for the test alone: the page sees tokens."""
    return [room.study.cases[number].patient for number in room.study.order(reader, scenario)]


def test_two_readers_from_start_to_export(room: Room, open_page: OpenPage, tmp_path: Path) -> None:
    pages = {name: open_page() for name in ("ann", "ben")}
    for name, page in pages.items():
        log_in(page, name)
        begin(page)
    for _ in range(3):  # in turns
        for name, page in pages.items():
            read_case(page, *(("4", "4c") if name == "ann" else ("2", "4a")))
    for page in pages.values():
        page.wait_for_selector("#waiting:visible")
    room.clock.days(13.9)
    pages["ann"].reload()
    pages["ann"].wait_for_selector("#waiting:visible")  # the washout is not over
    room.clock.days(0.2)
    for name, page in pages.items():
        page.reload()
        begin(page)
        seen = set()
        for _ in range(3):
            seen.add(page.inner_text("#box strong"))
            read_case(page, *(("5", "5") if name == "ann" else ("1", "3")))
        page.wait_for_selector("#finished:visible")
        assert seen <= {"malignant", "benign"}
    count = export_ratings(room.study, tmp_path / "ratings.csv")
    with (tmp_path / "ratings.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert count == len(rows) == 2 * 2 * 4
    expected = {
        ("ann", "without"): "4c",
        ("ben", "without"): "4a",
        ("ann", "freestyle"): "5",
        ("ben", "freestyle"): "3",
    }
    assert all(row["rating"] == expected[row["reader"], row["scenario"]] for row in rows)
    assert {row["case"]: (row["patient"], row["truth"]) for row in rows} == {
        "a1": ("pa", "malignant"), "a2": ("pa", "malignant"), "b1": ("pb", "benign"), "c1": ("pc", "benign"),
    }  # fmt: skip
    assert {row["group"] for row in rows if row["reader"] == "ann"} == {"senior"}
    assert all(float(row["seconds"]) > 0 for row in rows)
    # Each reader and scenario in an order of its own, as the answers' times show.
    for reader in ("ann", "ben"):
        for number, scenario in enumerate(SCENARIOS):
            order = [row["patient"] for row in rows if (row["reader"], row["scenario"]) == (reader, scenario)]
            assert list(dict.fromkeys(order)) == tokens(room, reader, number)
    assert len({tuple(tokens(room, reader, number)) for reader in ("ann", "ben") for number in range(2)}) > 1


def test_back_and_forth_within_a_case_only(room: Room, open_page: OpenPage) -> None:
    page = open_page()
    log_in(page, "ann")
    begin(page)
    while page.locator("#images button").count() < 2:
        read_case(page)
    first = shown(page)
    rate(page, "1", "3")
    page.keyboard.press("Enter")  # the second image has no answer yet
    assert shown(page) == first
    assert page.is_disabled("#next")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("first => document.querySelector('#stage').dataset.token !== first", arg=first)
    rate(page, "2", "4a")
    page.keyboard.press("ArrowLeft")
    assert shown(page) == first
    page.wait_for_selector('#answers [data-rating="3"][aria-pressed=true]')  # still there
    rate(page, "5", "5")  # and may be changed
    headers = {"X-Window": page.evaluate("here")}
    page.keyboard.press("Enter")
    page.wait_for_function("first => document.querySelector('#stage').dataset.token !== first", arg=first)
    again = page.request.post(f"{room.url}api/answer", data={"image": first, "rating": "3"}, headers=headers)
    assert again.status == 400  # the case is closed: its answers stand
    assert page.request.get(f"{room.url}media/{first}").status == 400  # and it is not shown again
    stored = {answer.image: (answer.rating, answer.changes, answer.closed) for answer in answers(room)}
    assert stored["a1"] == ("5", 1, True)
    assert stored["a2"] == ("4a", 0, True)


def answers(room: Room) -> list[Any]:
    store = AnswerStore(room.study.database, room.study.digest)
    try:
        return store.answers()
    finally:
        store.close()


def test_nothing_that_is_sent_tells_case_truth_or_other_readers(room: Room, open_page: OpenPage) -> None:
    page = open_page()
    bodies: list[str] = []

    def keep(response: Any) -> None:
        if "/api/" in response.url:
            bodies.append(response.url + response.text() + str(response.headers))

    page.on("response", keep)
    log_in(page, "ann")
    begin(page)
    assert page.locator("#box").is_hidden()  # without AI: no box
    page.keyboard.press("o")
    token = shown(page)
    assert page.get_attribute("#stage", "data-token") == token  # and no overlay
    read_case(page)
    picture = page.request.get(f"{room.url}media/{page.get_attribute('#stage', 'data-token')}")
    text = " ".join(bodies) + str(picture.headers) + picture.body().decode("latin-1")
    for secret in ("SECRET", "malignant", "benign", '"pa"', "pa-", '"a1"', "a1-", 'ben"', "overlay.png", "freestyle"):
        assert secret not in text
    assert picture.headers["cache-control"] == "no-store"


def test_a_reader_cannot_have_anothers_cases_nor_anybody_without_a_login(room: Room, open_page: OpenPage) -> None:
    ann, ben, stranger = open_page(), open_page(), open_page()
    for page, name in ((ann, "ann"), (ben, "ben")):
        log_in(page, name)
        begin(page)
    token = shown(ann)
    assert ben.request.get(f"{room.url}media/{token}").status == 400
    window = {"X-Window": ben.evaluate("here")}
    answer = ben.request.post(f"{room.url}api/answer", data={"image": token, "rating": "5"}, headers=window)
    assert answer.status == 400
    assert "not part of your case" in answer.json()["error"]
    window = {"X-Window": ann.evaluate("here")}  # another's window does not help
    own = shown(ben)
    refused = ben.request.post(f"{room.url}api/answer", data={"image": own, "rating": "5"}, headers=window)
    assert refused.status == 409
    for path in ("api/progress", "api/state", "api/enter", "media/" + token):
        method = stranger.request.post if path == "api/enter" else stranger.request.get
        assert method(room.url + path, headers={"X-Window": "x"}).status == 401
    assert ann.request.get(f"{room.url}api/progress").status == 401  # readers do not see each other's progress
    wrong = stranger.request.post(f"{room.url}api/login", data={"name": "ann", "code": CODES["ben"]})
    assert wrong.status == 403
    out_of_range = ann.request.post(f"{room.url}api/answer", data={"image": token, "rating": "6"}, headers=window)
    assert out_of_range.status == 400
    assert out_of_range.json()["error"] == "the answer is one of 3, 4a, 4b, 4c, 5"
    assert answers(room) == []


def test_an_answer_to_an_image_that_was_never_sent_is_refused(room: Room) -> None:
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    def ask(path: str, body: dict[str, str] | None = None, window: str = "") -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            room.url + path, data=data, headers={"Content-Type": "application/json", "X-Window": window}
        )
        try:
            with opener.open(request) as response:
                content = response.read()
                return response.status, json.loads(content) if path.startswith("api") else content
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    ask("api/login", {"name": "ann", "code": CODES["ann"]})
    state = ask("api/enter", {})[1]
    token, window = state["images"][0]["token"], state["window"]
    status, refused = ask("api/answer", {"image": token, "rating": "5"}, window)
    assert status == 409
    assert refused == {"error": "this image was not shown to you yet: look at it first"}
    assert answers(room) == []
    assert ask("api/close", {"image": token}, window)[0] == 400  # and the case stays open
    assert ask(f"media/{token}")[0] == 200
    assert ask("api/answer", {"image": token, "rating": "5"}, window) == (200, {"stored": "5"})
    assert [answer.rating for answer in answers(room)] == ["5"]


def test_what_is_no_text_is_refused_in_one_line(room: Room, open_page: OpenPage) -> None:
    page = open_page()
    malformed = page.request.post(
        f"{room.url}api/login", data='{"name": "\\ud800", "code": "x"}', headers={"Content-Type": "application/json"}
    )
    assert malformed.status in (403, 422)
    assert set(malformed.json()) == {"error"}
    log_in(page, "ann")
    begin(page)
    assert page.request.get(f"{room.url}media/%C3%A9").status == 400  # and no error of the server


def test_a_second_window_takes_over_and_the_first_cannot_answer(room: Room, open_page: OpenPage) -> None:
    first = open_page()
    log_in(first, "ann")
    begin(first)
    shown(first)
    second = open_page(first.context)
    begin(second)
    shown(second)
    first.keyboard.press("3")
    first.wait_for_selector("#elsewhere:visible")
    assert answers(room) == []
    rate(second, "4", "4c")
    first.click("#take")  # and back
    first.wait_for_selector('#answers [data-rating="4c"]')
    shown(first)
    second.keyboard.press("1")
    second.wait_for_selector("#elsewhere:visible")
    assert [answer.rating for answer in answers(room)] == ["4c"]
    other_browser = open_page()
    log_in(other_browser, "ann")  # a login elsewhere ends this session
    begin(other_browser)
    first.keyboard.press("2")
    first.wait_for_selector("#login:visible")


def test_freestyle_shows_the_call_in_a_white_box_upper_right_and_the_overlay_on_a_key(
    room: Room, open_page: OpenPage
) -> None:
    page = open_page()
    log_in(page, "ben")
    begin(page)
    for _ in range(3):
        read_case(page)
    room.clock.days(15)
    page.reload()
    begin(page)
    while page.locator("#images button").count() < 2:
        read_case(page)
    plain = shown(page)
    box = page.locator("#box")
    assert box.inner_text().split("\n") == ["AI classification", "malignant"]
    assert box.evaluate("element => getComputedStyle(element).backgroundColor") == "rgb(255, 255, 255)"
    place, stage = box.bounding_box(), page.locator("#stage").bounding_box()
    assert place["x"] > stage["x"] + stage["width"] / 2
    assert place["y"] < stage["y"] + stage["height"] / 4
    picture = page.locator("#stage img:visible").bounding_box()
    assert picture["x"] + picture["width"] <= place["x"]  # the box covers nothing of the picture, nor of its overlay
    page.keyboard.press("o")
    page.wait_for_function("plain => document.querySelector('#stage').dataset.token !== plain", arg=plain)
    assert shown(page) != plain
    assert page.locator("#stage img:visible").bounding_box() == picture
    page.keyboard.press("o")
    assert shown(page) == plain
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.querySelector('#box strong').innerText === 'benign'")


def test_a_clip_plays_pauses_and_steps(room: Room, open_page: OpenPage) -> None:
    page = open_page()
    log_in(page, "ann")
    begin(page)
    while page.locator("#clip").is_hidden():
        shown(page)
        if page.locator("#clip").is_visible():
            break
        read_case(page)
    page.wait_for_function("() => document.querySelector('#clip').currentTime > 0.2")
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('#clip').paused")
    page.evaluate("document.querySelector('#clip').currentTime = 1.05")
    page.keyboard.press(",")
    page.wait_for_function("() => Math.abs(document.querySelector('#clip').currentTime - 0.95) < 0.01")
    page.keyboard.press(".")
    page.wait_for_function("() => Math.abs(document.querySelector('#clip').currentTime - 1.05) < 0.01")


def test_the_administrator_sees_progress_and_no_answers(room: Room, open_page: OpenPage) -> None:
    reader, admin = open_page(), open_page()
    log_in(reader, "ann")
    begin(reader)
    read_case(reader, "4", "4c")
    log_in(admin, "admin")
    admin.wait_for_selector("#progress:visible")
    text = admin.inner_text("#rows")
    assert "1 of 3" in text
    assert "4c" not in text
    assert admin.request.post(f"{room.url}api/enter", data={}).status == 401
    rows = {(row.reader, row.scenario): row for row in study_progress(room.study)}
    assert rows["ann", "without"].closed == 1
    assert rows["ben", "without"].closed == 0
    with pytest.raises(DataError, match="ann has closed 1 of 3 cases in 'without'"):
        export_ratings(room.study, room.study.path.with_name("early.csv"))


def start_process(path: Path, port: int) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "streamer", "app", "--study", str(path), "--port", str(port)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"})
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("reading room: http"), line
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/").close()
            break
        except OSError:
            time.sleep(0.1)
    return process


def test_a_kill_in_the_middle_loses_no_answer(study_path: Path, chromium: Any) -> None:
    study = load_study(study_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = start_process(study_path, port)
    try:
        with study.codes.open() as stream:
            codes = {row["name"]: row["code"] for row in csv.DictReader(stream)}
        assert oct(study.codes.stat().st_mode & 0o777) == "0o600"
        context = chromium.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.fill("#name", "ann")
        page.fill("#code", codes["ann"])
        page.keyboard.press("Enter")
        begin(page)
        read_case(page, "2", "4a")
        shown(page)
        place = page.inner_text("#place")
        rate(page, "5", "5")
        process.send_signal(signal.SIGKILL)
        process.wait()
        page.keyboard.press("1")
        page.wait_for_selector("#message:visible")
        assert "cannot be reached" in page.inner_text("#message")
        process.stdout.close()  # type: ignore[union-attr]
        process = start_process(study_path, port)
        page.reload()
        page.fill("#name", "ann")
        page.fill("#code", codes["ann"])
        page.keyboard.press("Enter")
        begin(page)
        assert page.inner_text("#place").split(",")[0] == place.split(",")[0]  # the case at which it stopped
        store = AnswerStore(study.database, study.digest)
        kept = [(answer.rating, answer.closed) for answer in store.answers()]
        store.close()
        assert kept[-1] == ("5", False)
        assert {rating for rating, _ in kept[:-1]} == {"4a"}
        context.close()
    finally:
        process.terminate()
        process.wait(timeout=15)
        if process.stdout is not None:
            process.stdout.close()
