"""Library code never prints: the terminal listens to its messages and its progress."""

from __future__ import annotations

import logging

import pytest

from streamer._progress import progress_bar, reporting, track
from streamer.cli.console import reported_to_terminal


class Recorder:
    """Notes every bar and what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int, int, str | None]] = []
        self.closed = 0

    def bar(self, description: str, total: int) -> _Bar:
        return _Bar(self, description, total)


class _Bar:
    def __init__(self, recorder: Recorder, description: str, total: int) -> None:
        self._recorder, self._description, self._total = recorder, description, total

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self._recorder.closed += 1

    def update(self, completed: int, description: str | None = None) -> None:
        self._recorder.told.append((self._description, self._total, completed, description))


def test_an_item_counts_when_it_has_been_dealt_with() -> None:
    recorder = Recorder()
    with reporting(recorder):
        items = track("ab", 2, "spelling")
        assert next(items) == "a"
        assert recorder.told == []
        assert list(items) == ["b"]
    assert recorder.told == [("spelling", 2, 1, None), ("spelling", 2, 2, None)]
    assert recorder.closed == 1


def test_nobody_listens_outside_the_context(capsys: pytest.CaptureFixture[str]) -> None:
    recorder = Recorder()
    with reporting(recorder):
        pass
    with progress_bar("work", 3) as bar:
        bar.update(1, "still at it")
    assert list(track([1], 1, "work")) == [1]
    assert recorder.told == []
    assert capsys.readouterr() == ("", "")


def test_messages_and_bars_in_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("streamer.training.dataset")
    log.info("not yet")
    with reported_to_terminal():
        log.info("%d images of [tiny]", 3)
        log.warning("no val images")
        assert list(track([1, 2], 2, "detecting")) == [1, 2]
    log.info("no longer")
    out, err = capsys.readouterr()
    assert out == "3 images of [tiny]\n"
    assert "warning: no val images" in err
    assert "detecting" in err
    assert "2/2" in err
