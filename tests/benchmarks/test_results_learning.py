"""Circuits under PPO: the page is made from what is stored beside it."""

import numpy as np
from nervecord.benchmarks.results import learning
from nervecord.benchmarks.results.stored import store
from nervecord.files import write_json


def planted(name: str, seed: int) -> dict:
    metrics = {"correct": 0.5 + 0.1 * seed, "success": 0.25 * seed} if name == "cueturn" else {}
    return {"steps": [10, 20], "returns": [0.0, 1.0], "score": 0.25 * seed, "metrics": metrics}


def test_the_page_is_made_from_what_is_stored_beside_it(tmp_path):
    for name, study in learning.STUDIES.items():
        for circuit in study.circuits:
            for seed in (1, 2):
                write_json(tmp_path / "runs" / name / f"{circuit}-{seed}" / "result.json", planted(name, seed))
    page = tmp_path / "page.md"
    page.write_text(
        "".join(f"<!-- made: {name} -->\n<!-- end -->\n" for name in ("scores", "cueturn")), encoding="utf-8"
    )
    store(tmp_path / "runs", tmp_path / "page" / "circuits.tar.xz", learning.KEPT)
    learning.main(learning.Arguments(page=page))
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in page.read_text(encoding="utf-8").splitlines()
        if "|" in line
    ]
    assert ["Swim, swimmer6", "ctm", "0.4 [0.2, 0.5]", "", "0.2, 0.5"] in rows
    assert ["CueTurn, swimmer6", "mlp", "0.38 [0.25, 0.50]", "0.9", "0.25, 0.50"] in rows
    assert ["gru", "65.0 [60.0, 70.0]", "37.5 [25.0, 50.0]"] in rows
    assert {path.stem for path in (tmp_path / "page").glob("*.svg")} == set(learning.STUDIES)


def test_a_task_of_gymnasium_shows_positions_alone_and_is_scored_without_what_normalises_its_rewards(
    tmp_path, monkeypatch
):
    quick = learning.Study("CartPole-v1 without velocities", ("lstm",), 1024, 475.0)
    monkeypatch.setitem(learning.STUDIES, "cartpole", quick)
    learning.run_study(tmp_path, "cartpole", "lstm", 0)
    (found,) = learning.finished(tmp_path).to_dict("records")
    assert found["steps"] == [1024]
    assert len(found["returns"]) == 1
    # A pole falls after 8 steps at the earliest, and normalised rewards would add up to less.
    assert found["score"] >= 8
    assert np.isfinite(found["returns"]).all()
