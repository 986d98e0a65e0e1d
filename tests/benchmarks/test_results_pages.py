"""Pages of results: tables are made anew, prose stays."""

import re
from pathlib import Path

import pytest
from nervecord.benchmarks.results.tables import fill_page
from nervecord.errors import InvalidOption

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def test_a_table_is_made_anew_where_the_page_has_a_place_for_it(tmp_path):
    page = tmp_path / "page.md"
    text = "# A\n\n<!-- made: one -->\n\n| old |\n\n<!-- end -->\n\nProse.\n\n<!-- made: two -->\n<!-- end -->\n"
    page.write_text(text)
    fill_page(page, {"one": "| new |\n"})
    assert page.read_text() == text.replace("old", "new")
    with pytest.raises(InvalidOption, match="no place for three"):
        fill_page(page, {"one": "| newer |", "three": ""})
    assert "| new |" in page.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_place_for_a_table_has_a_command_that_fills_it(page):
    text = page.read_text()
    places = re.findall("<!-- made: ", text)
    assert len(places) == text.count("<!-- end -->")
    assert not places or f"--page {page.relative_to(ROOT).as_posix()}" in " ".join(text.split())
