"""Curricula of bits: seeds are compared where they have got to."""

import pandas as pd
from nervecord.benchmarks.results import memory
from nervecord.benchmarks.results.stored import store
from nervecord.training.learning.curricula import CurriculumConfig, curriculum


def course(last: int, solved: float) -> pd.DataFrame:
    """Return a course whose slowest tau grows by 1 in 10,000 updates, and its mean by 0.1."""
    steps = [100, *range(10_000, last + 1, 10_000)]
    rows = [(solved * step / 10_000, 1.5 + step / 100_000, 2.0 + step / 10_000) for step in steps]
    return pd.DataFrame(rows, index=steps, columns=["curriculum/largest_solved", "circuit/tau_mean", "circuit/tau_max"])


def test_a_row_has_the_seeds_that_got_as_far():
    found = {"multi-head": [], "single-head": [course(30_000, 3), course(30_000, 5), course(10_000, 4)]}
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in memory.table(found).splitlines()[2:]]
    assert [row[:3] for row in rows] == [["single-head", "10,000", "3"], ["single-head", "30,000", "2"]]
    assert [row[4] for row in rows] == ["3, 5, 4", "9, 15"]
    assert rows[1][3].startswith("12.0 [")
    # Since the first evaluation, which is after 100 updates.
    assert [row[5:] for row in rows] == [
        ["1.60 [1.60, 1.60]", "0.10 [0.10, 0.10]", "3.00 [3.00, 3.00]", "0.99 [0.99, 0.99]"],
        ["1.80 [1.80, 1.80]", "0.30 [0.30, 0.30]", "5.00 [5.00, 5.00]", "2.99 [2.99, 2.99]"],
    ]


def test_the_page_is_made_from_what_is_stored_beside_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(memory, "UPDATES", {"multi-head": (2,), "single-head": (2, 4)})
    monkeypatch.setattr(memory, "_UNITS", 4)
    for name, config in memory.configs(2).items():
        quick = {**vars(config), "evaluate_every": 2, "batch_size": 4, "evaluation_sequences": 8}
        curriculum(CurriculumConfig(**quick), tmp_path / "runs" / name, progress=False)
    page = tmp_path / "page.md"
    page.write_text("<!-- made: memory -->\n<!-- end -->\n", encoding="utf-8")
    store(tmp_path / "runs", tmp_path / "page" / "curricula.tar.xz", memory.KEPT)
    memory.main(memory.Arguments(page=page))
    assert page.read_text(encoding="utf-8").count("| single-head |") == 2
    assert {path.name for path in (tmp_path / "page").glob("*.svg")} == {"parity-solved.svg", "parity-tau.svg"}
    assert capsys.readouterr().out.count("| multi-head |") == 1
