"""What a reader does in the reading room's page."""

from __future__ import annotations

from typing import Any

from tests.studies.conftest import CODES


def log_in(page: Any, name: str) -> None:
    page.wait_for_selector("#login:visible")
    page.fill("#name", name)
    page.fill("#code", CODES[name])
    page.keyboard.press("Enter")


def begin(page: Any) -> None:
    page.wait_for_selector("#ready:visible")
    page.keyboard.press("Enter")
    page.wait_for_selector("#reading:visible")


def shown(page: Any) -> str:
    """Wait until the image at hand is decoded; its token."""
    page.wait_for_function(
        """() => { const token = document.querySelector('#stage').dataset.token;
        return [...document.querySelectorAll('#stage img, #stage video')].some(medium => !medium.hidden &&
          medium.getAttribute('src') === 'media/' + token &&
          (medium.naturalWidth === 160 || medium.videoWidth === 160)); }"""
    )
    return str(page.get_attribute("#stage", "data-token"))


def rate(page: Any, key: str, label: str) -> None:
    page.wait_for_selector("#loading", state="hidden")  # the room takes no answer to what is not in view yet
    page.keyboard.press(key)
    page.wait_for_selector(f'#answers [data-rating="{label}"][aria-pressed=true]')


def read_case(page: Any, key: str = "3", label: str = "4b") -> int:
    """Answer every image of the case at hand and close it; the number of its images."""
    count = max(1, int(page.locator("#images button").count()))
    for number in range(count):
        if number:
            page.keyboard.press("ArrowRight")
        shown(page)
        rate(page, key, label)
    place = page.inner_text("#place")
    page.keyboard.press("Enter")
    page.wait_for_function("place => document.querySelector('#place').innerText !== place || "
                           "document.querySelector('#reading').hidden", arg=place)  # fmt: skip
    return count
