"""`streamer benchmark app`: in the browser with an engine of known speed, and what it says without one."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import streamer.benchmark.app as benchmark
import streamer.cli.benchmark_run as terminal
from streamer.benchmark.browser import Viewing, find_chromium, open_browser
from streamer.errors import SettingsError
from streamer.settings import Settings
from tests.app.held_engine import HeldEngine


@pytest.mark.slow
def test_shown_frames_are_measured(browser: Any, clip: Path) -> None:
    result = benchmark.measure(HeldEngine().as_engine(), browser, clip, seconds=3)
    assert result["frames"] == 75  # the clip has 60: it was repeated
    assert 15 < result["distinct_frames_shown"] <= 75
    assert 0 < result["frames_shown_per_second"] < 60
    assert result["first_overlay_ms"] > 0
    assert 0 < result["latency_ms"]["p50"] <= result["latency_ms"]["p95"]
    assert result["latency_ms"]["p50"] <= result["answer_to_screen_ms"]["p50"]
    assert result["server_cpu_percent"] > 0
    assert result["machine"]["cores"] > 0
    assert json.loads(json.dumps(result)) == result


def test_nothing_shown_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = Viewing(clicked_s=0, shown=(), cpu_share=0.1, clock_error_s=0.001, browser="1")
    monkeypatch.setattr(terminal, "open_browser", nullcontext)
    monkeypatch.setattr(terminal, "warm_engine", lambda _: HeldEngine().as_engine())
    monkeypatch.setattr(benchmark, "running", lambda *_, **__: nullcontext("http://nowhere"))
    monkeypatch.setattr(benchmark, "view", lambda *_, **__: nothing)
    path = tmp_path / "figures.json"
    code = terminal.run_app_benchmark(Settings(), video=clip, seconds=1, json_file=path)
    assert code == terminal.NOTHING_MEASURED
    assert json.loads(path.read_text())["distinct_frames_shown"] == 0
    assert "0 of 25" in capsys.readouterr().out


def test_missing_playwright_is_told_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(SettingsError, match="pip install playwright"), open_browser():
        pass


def test_missing_chromium_is_told_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingsError, match="apt-get install chromium"):
        find_chromium(tmp_path / "chrome")
    (tmp_path / "chrome").write_text("")
    assert find_chromium(tmp_path / "chrome") == tmp_path / "chrome"
