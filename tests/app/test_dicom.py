"""A DICOM cine through the app: its API and its page's questions answer without a word from the header."""

import json
from pathlib import Path
from typing import Any

import pytest

from streamer.app.jobs import Jobs
from streamer.app.study_job import StudyJob
from tests.app.conftest import App, NewPage
from tests.app.held_engine import HeldEngine
from tests.app.pages import ENDED, analyse
from tests.dicom_planted import holds_name, planted_cine


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cine with a name in every place."""
    return planted_cine(tmp_path_factory.mktemp("planted") / "cine.dcm", frames=8)


def test_the_api_reads_a_cine_and_answers_without_its_header(app: App, planted: Path) -> None:
    gradio_client = pytest.importorskip("gradio_client")
    app.engine.release()
    client = gradio_client.Client(app.url, verbose=False, analytics_enabled=False)
    told = client.predict(gradio_client.handle_file(str(planted)), "P-1", api_name="/analyse")
    (video,) = told["videos"]
    assert (video["frames"], video["pixel_spacing_mm"]) == (8, [0.2, 0.2])
    assert not holds_name(json.dumps(told))


def test_the_page_shows_a_cine_and_nothing_of_its_header(app: App, new_page: NewPage, planted: Path) -> None:
    app.engine.release()
    page = new_page()
    analyse(page, planted)
    page.wait_for_selector(ENDED)
    shown = page.title() + page.content()
    assert "cine.dcm" in shown
    assert not holds_name(shown)
    report = page.request.get(app.url + page.get_attribute("a[download='report.html']", "href")).text()
    assert "cine.dcm" in report
    assert not holds_name(report)


def test_a_study_in_the_app_has_results_without_header_text(jobs: Jobs, engine: HeldEngine, planted: Path) -> None:
    engine.release()
    job = StudyJob("session", jobs.root, [planted], "P-1")
    jobs.submit(job)
    assert job.finished.wait(60)
    assert job.feed is not None
    assert job.summary is not None
    shown: list[Any] = [job.status(), job.feed.rows(0), job.summary.shown]
    assert job.state == "done"
    assert not holds_name(repr(shown))
    files = [path for path in job.results.iterdir() if path.is_file()]
    assert files
    assert not [path.name for path in files if holds_name(path.read_bytes()) or holds_name(path.name)]


def test_a_dicom_file_of_another_kind_is_refused_in_one_line_without_its_header(
    jobs: Jobs, engine: HeldEngine, planted: Path, tmp_path: Path
) -> None:
    engine.release()
    (tmp_path / "cut.dcm").write_bytes(planted.read_bytes()[:4000])
    job = StudyJob("session", jobs.root, [tmp_path / "cut.dcm"])
    jobs.submit(job)
    assert job.finished.wait(60)
    assert job.error
    assert not holds_name(job.error)
