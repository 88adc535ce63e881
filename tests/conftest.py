"""Shared fixtures: the real data where present, weights of random numbers, and engines on them."""

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

import streamer.cli.run
from streamer.cli.main import main
from streamer.pipeline.thyroid import Engine
from streamer.settings import Settings
from tests.cli.command_line import Cli
from tests.random_weights import random_settings, write_random_weights

_ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real ultrasound data: $STREAMER_DATA, or ../shared/data beside the project; skips where absent."""
    folder = Path(os.environ.get("STREAMER_DATA", _ROOT.parent / "shared" / "data"))
    if not (folder / "cine" / "frames.csv").is_file():
        pytest.skip(f"no real data at {folder} (set STREAMER_DATA)")
    return folder


@pytest.fixture(scope="session")
def launch_chromium() -> Iterator[Callable[[Sequence[str]], Any]]:
    """Starts a headless Chromium with the given flags; all end with the session.

    One for all rooms: Playwright's synchronous interface can be entered once per thread.
    """
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("no chromium: install it (Debian: apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright, ExitStack() as stack:

        def launch(flags: Sequence[str]) -> Any:
            browser = playwright.chromium.launch(executable_path=executable, args=[*flags])
            stack.callback(browser.close)
            return browser

        yield launch


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Converted networks are kept here, not in the user's cache; processes that tests start use it too."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STREAMER_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def logging_as_it_was() -> None:
    """What a test or a library did to logging must not hide the lines that another test waits for."""
    own, root = logging.getLogger("streamer"), logging.root
    root.setLevel(logging.WARNING)
    own.setLevel(logging.WARNING)  # its own, whatever a library does to the root's meanwhile
    own.propagate = True
    for name, logger in root.manager.loggerDict.items():
        if name.split(".")[0] == "streamer" and isinstance(logger, logging.Logger):
            logger.disabled = False  # as `logging.config` leaves those that it does not name
    logging.disable(logging.NOTSET)  # last: it also forgets what was disabled when it was asked


@pytest.fixture(scope="session")
def weights_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of all three networks, drawn at random: loadable, small inputs. Read-only for tests."""
    return write_random_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="session")
def random_engine_settings(weights_folder: Path) -> Settings:
    """Settings under which the random detector finds two boxes in every frame."""
    return random_settings(weights_folder)


@pytest.fixture(scope="session")
def engine(random_engine_settings: Settings) -> Engine:
    """The random networks on OpenVINO, one thread."""
    return Engine(random_engine_settings.with_runtime(device="cpu", backend="openvino", threads=1))


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Run `streamer ARGUMENTS` in this process, in an empty folder; gives the exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["streamer", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0)

    return run


@pytest.fixture
def config(weights_folder: Path, random_engine_settings: Settings, tmp_path: Path) -> Path:
    """A configuration file with the random weights."""
    data = random_engine_settings.model_dump(mode="json")
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**data, "weights": str(weights_folder)}))
    return path


@pytest.fixture
def ready(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that are loaded already."""
    monkeypatch.setattr(streamer.cli.run, "Engine", lambda *_, **__: engine)
