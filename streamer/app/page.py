"""The page: one HTML component that fetches what it shows, and the same analysis as an API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from streamer.app.api import Answers
from streamer.app.jobs import Jobs
from streamer.app.scintigraphy import ScintigraphyAnswers
from streamer.app.study_job import RESULTS
from streamer.errors import InputError, StreamerError
from streamer.outputs.folder import REPORT_JSON
from streamer.outputs.schema import read_report

_HERE = Path(__file__).parent
_SCRIPTS = (
    "requests.js",
    "pictures.js",
    "frames.js",
    "pace.js",
    "timeline.js",
    "heat.js",
    "panels.js",
    "camera.js",
    "input.js",
    "presence.js",
    "room.js",
)
_ORPHANS_S = (3600, 86400)
"""How often Gradio looks for uploads whose page was gone before it could claim them, and how old they are then."""
_POLL_S = 0.5


def build_page(jobs: Jobs, answers: Answers, scintigraphy: ScintigraphyAnswers) -> gr.Blocks:
    """The page of one app, not yet mounted."""
    page = gr.Blocks(title="streamer", analytics_enabled=False, delete_cache=_ORPHANS_S, fill_width=True)
    with page:
        gr.HTML(
            html_template=_read("room.html"),
            js_on_load="\n".join(_read(script) for script in _SCRIPTS),
            apply_default_css=False,
            server_functions=answers.functions(),
            elem_id="streamer",
        )
        gr.HTML(
            html_template=_read("scintigraphy.html"),
            js_on_load=_read("scintigraphy.js"),
            apply_default_css=False,
            server_functions=scintigraphy.functions(),
            elem_id="scintigraphy",
        )
        _add_api(jobs, answers)
    return page


def look() -> dict[str, Any]:
    """Arguments of `mount_gradio_app` for the page's looks: dark, and with the fonts of the machine it is shown on."""
    fonts = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"]
    return {
        "theme": gr.themes.Base(font=fonts, font_mono=["ui-monospace", "Consolas", "monospace"]),
        "css": _read("room.css") + _read("scintigraphy.css"),
        "head": '<meta name="color-scheme" content="dark">',
        "js": "() => document.body.classList.add('dark')",
    }


def _add_api(jobs: Jobs, answers: Answers) -> None:
    """`analyse(clip) -> report` for gradio_client."""

    def analyse(clip: str | None, patient: str | None, request: gr.Request) -> Iterator[dict[str, Any]]:
        """Analyse a clip; returns the content of report.json."""
        if clip is None:
            raise gr.Error("give a clip", print_exception=False)
        session = request.session_hash or ""
        try:
            who = request.username or ""
            given = "" if patient is None else patient
            job = jobs.find(answers.start_for_program(session, who, clip, given)["token"], session)
        except StreamerError as error:
            raise gr.Error(str(error), print_exception=False) from error
        while not job.finished.wait(_POLL_S):
            yield {}  # in which Gradio may end this
        try:
            if job.error:
                raise gr.Error(job.error, print_exception=False)
            yield read_report(job.folder / RESULTS / REPORT_JSON).model_dump(mode="json")
        except InputError as error:
            raise gr.Error("the analysis was ended", print_exception=False) from error
        finally:
            jobs.end_session(session, last=job)  # a later call of the same client may have taken its place

    with gr.Row(visible=False):
        clip = gr.File(type="filepath", label="clip")
        patient = gr.Textbox("", label="patient")
        report = gr.JSON(label="report")
        gr.Button().click(
            analyse, [clip, patient], report, api_name="analyse", concurrency_limit=None, show_progress="hidden"
        )


def _read(name: str) -> str:
    return (_HERE / "static" / name).read_text(encoding="utf-8")
