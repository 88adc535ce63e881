"""What tests of the page do and look at again and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.app.held_engine import READ_NUMBER

ENDED = "[data-id=results]:not([hidden])"


def analyse(page: Any, *clips: Path) -> None:
    """Choose clips and press the button."""
    page.set_input_files("[data-id=choose]", list(clips))
    page.click("[data-id=analyse]:enabled")


def frame_shown(page: Any) -> int:
    """The number that the picture on the screen carries."""
    return int(page.eval_on_selector("[data-id=frame]", READ_NUMBER))


def wait_for_position(page: Any, position: int) -> None:
    page.wait_for_selector(f'[data-id=frame][data-position="{position}"]')


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()
