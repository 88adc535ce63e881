"""The reference pages say what the code says."""

import pytest

from tests.doc_pages import DOCS, PAGES


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: python -m tests.doc_pages"
