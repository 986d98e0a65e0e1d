"""Pages of results: tables are made anew, prose stays."""

import re
import shutil
from pathlib import Path

import pytest
from nervecord.benchmarks.results.tables import fill_page
from nervecord.errors import InvalidOption
from study_commands import start

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def test_a_table_is_made_anew_where_the_page_has_a_place_for_it(tmp_path):
    page = tmp_path / "page.md"
    text = "# A\n\n<!-- made: one -->\n\n| old |\n\n<!-- end -->\n\nProse.\n\n<!-- made: two -->\n<!-- end -->\n"
    page.write_text(text, encoding="utf-8")
    fill_page(page, {"one": "| new |\n"})
    assert page.read_text(encoding="utf-8") == text.replace("old", "new")
    with pytest.raises(InvalidOption, match="no place for three"):
        fill_page(page, {"one": "| newer |", "three": ""})
    assert "| new |" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_place_for_a_table_has_a_command_that_fills_it(page):
    text = page.read_text(encoding="utf-8")
    places = re.findall("<!-- made: ", text)
    assert len(places) == text.count("<!-- end -->")
    assert not places or f"--page {page.relative_to(ROOT).as_posix()}" in " ".join(text.split())


# Studies whose tables are all made from what is stored, and nothing else; their pages.
STORED = {
    "atlas_swimming": "results/atlas", "bricks": "results/structure", "context": "results/structure",
    "connectome_gains": "results/connectome", "continual": "results/continual",
    "critical_periods": "results/critical-periods",
    "hyperparameters": "guides/hyperparameters", "memory": "results/learning", "ncap_plus": "results/ncap-plus",
    "relay": "results/world", "rewiring": "results/structure", "spikes": "results/spikes",
    "wiring": "results/structure",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("study", STORED)
def test_a_page_has_what_its_command_makes_from_the_results_that_are_stored(study, tmp_path, monkeypatch, capsys):
    page = ROOT / "docs" / f"{STORED[study]}.md"
    shutil.copy(page, tmp_path)
    shutil.copytree(page.with_suffix(""), tmp_path / page.stem)
    start(monkeypatch, study, "--page", str(tmp_path / page.name))
    assert "| --- |" in capsys.readouterr().out
    assert (tmp_path / page.name).read_text(encoding="utf-8") == page.read_text(encoding="utf-8")
