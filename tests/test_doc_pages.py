"""The reference pages say what the code says."""

import pytest

from tests.doc_pages import DOCS, PAGES


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: python -m tests.doc_pages"


def test_every_field_of_every_file_has_a_meaning() -> None:
    rows = [line for line in PAGES["output-format.md"]().splitlines() if line.startswith("| `")]
    assert len(rows) > 60
    assert not [row for row in rows if row.split("|")[3].strip() == ""]
