"""The study of docs/results/spikes.md: what it measures can be, what is measured is kept, and its rules judge it."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from nervecord.benchmarks.results.spikes import bits, liquids, recall, speed, swimming, turning
from nervecord.benchmarks.results.spikes.__main__ import PARTS, tables
from nervecord.benchmarks.results.spikes.kept import at_least, at_most, best_rate, measure, seeds_of
from nervecord.benchmarks.results.tables import fill_page, standing
from nervecord.circuits import CA3, make_circuit
from nervecord.envs.tasks.recall_turn import CELLS
from nervecord.files import write_json
from nervecord.intervals import Interval

PAGE = Path(__file__).parents[2] / "docs" / "results" / "spikes.md"
ARMS = {**swimming.SWIMMERS, **swimming.READOUTS, **bits.CIRCUITS, **speed.TIMED}
ARMS |= {f"{name}, turning": arm for name, arm in {**turning.CUE, **turning.RECALL, **recall.CIRCUITS}.items()}


def test_what_is_measured_is_kept_and_not_measured_again(tmp_path):
    wanted = {"roots/of-4/0": (math.sqrt, (4.0,)), "roots/of-less/0": (math.sqrt, (-1.0,))}
    with pytest.raises(ValueError, match="math domain"):
        measure(tmp_path, wanted, 1, "roots")
    assert seeds_of(tmp_path, "roots", "of 4") == {0: 2.0}
    assert seeds_of(tmp_path, "roots", "of less") == {}
    write_json(tmp_path / "measured/roots/of-less/0.json", 7.0)
    measure(tmp_path, wanted, 1, "roots")
    assert seeds_of(tmp_path, "roots", "of less") == {0: 7.0}


def test_rules_judge_by_whole_intervals():
    below, across, above = (Interval(mean, mean - 1, mean + 1, 5) for mean in (-3.0, 0.0, 3.0))
    assert [at_most(each, 0.5) for each in (below, across, above)] == ["holds", "undecided", "fails"]
    assert [at_least(each, 0.5) for each in (below, across, above)] == ["fails", "undecided", "holds"]
    assert [standing(each) for each in (below, across, above)] == ["behind", "no difference", "ahead"]
    assert at_most(Interval(-3.0, np.nan, np.nan, 1), 0.5) == "undecided", "one seed decides nothing"
    assert best_rate({0.1: {}, 0.2: {0: 1.0, 1: 0.0}, 0.3: {0: 0.4}}) == (0.2, {0: 1.0, 1: 0.0})


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_can_be_built(arm):
    circuit, options = ARMS[arm]
    assert make_circuit(circuit, {"x": 23}, 5, options, torch.Generator().manual_seed(0)).n_motors == 5


def hand_set() -> CA3:
    """CA3 that stores each pattern under one of its cells and its side, and hears the sides under which a cell is."""
    circuit = CA3({"pattern": CELLS, "cue": 1, "go": 1}, 1, **recall.CIRCUITS["ca3"][1], content=CELLS)
    with torch.no_grad():
        for weight in circuit.parameters():
            weight.zero_()
        circuit.weight_content[:, :CELLS] = 2 * torch.eye(CELLS)
        circuit.bias_content[:] = -1
        for cell in range(CELLS):
            for side, cue in ((1, 1 + cell), (-1, 1 + CELLS + cell)):
                # The first of a pattern's cells has the largest drive. Cue 0 is that of steps that show nothing.
                circuit.weight_cue[cue, cell], circuit.weight_cue[cue, CELLS] = 1 - 0.01 * cell, 0.25 * side
                circuit.readout.weight[0, CELLS + cue] = side
        circuit.weight_store[0, -1] = -1
    return circuit


@pytest.mark.parametrize("cues", recall.CUES)
@torch.inference_mode()
def test_a_hand_set_ca3_recalls_every_pair(cues):
    logit, right = recall.answered(hand_set(), cues, 400, np.random.default_rng(0))
    assert torch.equal(torch.sign(logit), 2 * right - 1)
    assert 0.4 < right.mean() < 0.6


def test_n_grows_by_one_where_answers_are_right(monkeypatch):
    monkeypatch.setattr(bits, "_GROWING", 150)
    solved = bits.lengths_solved("ctrnn", {}, "delayed-match", 0)
    updates = list(solved.values())
    assert list(solved) == [f"{n}" for n in range(2, 2 + len(solved))]
    assert 0 < len(solved) <= 6
    assert updates == sorted(set(updates))
    assert not np.mod(updates, 25).any()


def test_every_body_of_six_links_is_recorded_and_whole_episodes_are_held_out():
    pytest.importorskip("numba")
    senses, bodies, is_tested = liquids.recorded(0)
    assert senses.shape == (704, 60, 23)
    assert np.bincount(bodies).tolist() == [64] * 11
    assert np.bincount(bodies[is_tested]).tolist() == [16] * 11
    assert not np.array_equal(senses, liquids.recorded(1)[0])
    assert np.array_equal(senses, liquids.recorded(0)[0])


@pytest.mark.slow
def test_liquids_hear_the_same_and_differ(monkeypatch):
    monkeypatch.setattr(liquids, "WEIGHTS", (2.0, 2.8))
    monkeypatch.setattr(liquids, "GAINS", liquids.GAINS[:2])
    monkeypatch.setattr(liquids, "_STARTS", (60,))
    monkeypatch.setattr(liquids, "_PERIODS", liquids._PERIODS[::2])
    found = liquids.shares_told(0)
    assert len(found) == 6 + len(liquids.GAINS)
    assert all(0.25 < share < 1 for name, share in found.items() if name.startswith(("organised", "no liquid")))
    assert found["fixed weights of 2"] != found["fixed weights of 2.8"]


def planted(name: str, seed: int):
    """A result for each kind of measurement, in which every rule holds."""
    part, arm = name.split("/")[0], name.split("/")[1]
    if part in ("swim", "readouts"):
        return 900.0 + seed + 50 * arm.startswith(("spiking", "nalsm"))
    if part in ("cueturn", "recallturn-0.001", "recallturn-0.003"):
        found = (0.95 if arm.startswith(("spiking", "ca3")) else 0.5) + 0.002 * seed
        return {"correct": found, "success": found}
    if part == "match":
        return 100 + seed if arm.endswith("delays") else 300
    if part.startswith("growth"):
        return {"2": 25, "3": 50} if arm.endswith("delays") else {"2": 25 * (seed + 1)}
    if part.startswith("recall"):
        return (0.99 if arm == "ca3" else 0.6) + 0.001 * seed
    if part == "conversion":
        whole = {"return": 900.0 + seed, "error": 0.1, "spread": 1.0, "rate": 60.0, "operations": 8000.0}
        return {f"{k}": whole for k in (0, *swimming.SUBSTEPS)}
    if part == "robustness":
        kept = {what: 0.9 for what, _ in swimming._disturbances(0)}
        return {"rates": kept, "spikes": {what: share + 0.01 * (1 + seed) for what, share in kept.items()}}
    if part == "liquids":
        names = [liquids.ORGANISED, liquids._ON_BODIES, liquids._NO_ASTROCYTE, liquids._NONE]
        names += [liquids._FIXED.format(size) for size in liquids.WEIGHTS]
        names += [liquids._LIF.format(gain) for gain in liquids.GAINS]
        return {each: 0.8 + 0.001 * number for number, each in enumerate(reversed(names))}
    return dict.fromkeys(speed.TIMED, 1e-4)


def test_the_page_has_a_place_for_every_table_and_verdicts_follow_the_rules(tmp_path):
    for wanted in PARTS.values():
        for name in wanted(tmp_path, 5):
            write_json(tmp_path / "measured" / f"{name}.json", planted(name, int(name.split("/")[-1])))
    made = tables(tmp_path)
    page = tmp_path / "spikes.md"
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    fill_page(page, made)
    assert "Not yet run" not in page.read_text(encoding="utf-8")
    assert "| spiking, k = 4 | 5 | 952.0 [" in made["swim"]
    assert "The ctrnn is ahead of spikes by -50 [-50, -50] (n = 5); at most 5: holds." in made["swim"]
    assert "The largest loss at k >= 2 is 0 [0, 0] (n = 5): holds." in made["conversion"]
    assert made["robustness"].count("spikes keep more") == 7
    assert made["match"].count("of the updates: holds.") == 2
    assert "With delays ctrnn gets longer by 1 [1, 1] (n = 5): ahead." in made["growth-parity"]
    assert re.search(r"\| spiking, k = 4 \| 5 \| 0\.95 \[.*\] \| holds \|", made["cueturn"])
    assert re.search(r"\| mlp \| 5 \| 0\.50 \[.*\] \| fails \|", made["cueturn"])
    assert "`ca3` less lstm is 0.45 [0.45, 0.45] (n = 5): ahead." in made["recallturn"]
    assert "With 6 pairs, `ca3` less lstm is 0.39 [0.39, 0.39] (n = 5): ahead." in made["recall"]
    assert re.search(r"\| 4 \| lstm \| 0\.003 \| 5 \| 0\.602 \[.*\] \| fails \|", made["recall"])
    assert "less the best weight (fixed weights of 1.2) is" in made["liquids"]
    assert made["liquids"].count("at most 0.02 below: holds.") == 2
