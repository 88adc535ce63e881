"""An archive of clips whose bytes are words, run by a fake worker in this process."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from streamer.archive.command import ArchiveOptions, analyse_archive
from streamer.archive.keys import analysis_id
from streamer.archive.run import Counts
from streamer.archive.store import Store
from streamer.archive.target import Target
from streamer.archive.worker import WorkerSettings
from streamer.settings import Settings
from tests.archive.fake_worker import FakeWorker


class Archive:
    """The folder of clips, the output, and what the workers were asked to analyse."""

    def __init__(self, folder: Path) -> None:
        self.clips, self.output = folder / "in", folder / "out"
        self.clips.mkdir()
        self.workers: list[FakeWorker] = []
        self.options = ArchiveOptions(
            inputs=[str(self.clips)], output=str(self.output), settings=Settings(), limits=None
        )

    def add(self, name: str, words: str) -> Path:
        """Write a clip."""
        path = self.clips / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(words)
        return path

    def make_worker(self, given: WorkerSettings) -> FakeWorker:
        """A worker that is remembered."""
        self.workers.append(FakeWorker(given))
        return self.workers[-1]

    def run(self, *, should_stop: Callable[[], bool] = lambda: False, **changes: Any) -> Counts:
        """Run it, perhaps with other options."""
        self.workers.clear()
        return analyse_archive(replace(self.options, **changes), make_worker=self.make_worker, should_stop=should_stop)

    @property
    def analysed(self) -> list[str]:
        """Names of the clips that the last run analysed."""
        return [Path(uri).name for worker in self.workers for uri in worker.analysed]

    def rows(self, table: str, **changes: Any) -> list[dict[str, Any]]:
        """The rows of a table, as any reader finds them."""
        store = Store(Target(self.output), analysis_id(replace(self.options, **changes).settings))
        return [row for part in store.parts(table) for row in store.read(table, part).to_pylist()]

    def clip(self, name: str) -> dict[str, Any]:
        """The one row of a clip."""
        (row,) = (row for row in self.rows("clips") if Path(row["uri"]).name == name)
        return row


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)
