"""Damage and recovery: which sensors are lost when, and that each number is that of the commands done by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from nervecord import RunConfig, evaluate, train
from nervecord.envs.deficits import Deficit
from nervecord.errors import CircuitMismatch, InvalidOption, OutputExists
from nervecord.training.rollouts.interventions import Intervention
from nervecord.training.runs.run import Run
from nervecord.training.runs.trial_files import TrialFiles
from nervecord.training.studies import damage
from nervecord.training.studies.damages import damage_table, damage_trials, patterns, sensory_neurons

CONFIG = RunConfig("along", "es", steps=1600, episode_steps=50, algorithm_options={"n_envs": 8})


def test_joints_are_every_second_one_or_as_many_neighbours():
    assert patterns(5) == {"alternating": (1, 3), "sequential": (1, 2)}
    assert patterns(11) == {"alternating": (1, 3, 5, 7, 9), "sequential": (1, 2, 3, 4, 5)}


def test_a_joint_is_sensed_by_the_neurons_of_its_own():
    assert sensory_neurons(["joint_pos_1", "body_velocities_1"], 1) == ["joint_pos_1"]
    assert sensory_neurons(["q_d_1", "q_v_1", "B_d_1"], 1) == ["q_d_1", "q_v_1"]
    assert sensory_neurons(["q_0", "q_1"], 1) == ["q_1"]
    with pytest.raises(CircuitMismatch, match="no neuron that senses joint 1; choose one that senses joint_pos"):
        sensory_neurons(["target_1"], 1)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    out = tmp_path_factory.mktemp("damage") / "study"
    return out, damage(CONFIG, out, joints=(1, 3), seeds=2, episodes=2, workers=1, progress=False)


def test_each_number_is_that_of_the_commands_done_by_hand(damaged, tmp_path):
    _, table = damaged
    row = table.iloc[0]
    assert (row["pattern"], row["neurons"], row["seeds"]) == ("joints 1, 3", "q_1 q_3", 2)
    silent = (Intervention("q_1"), Intervention("q_3"))
    numb = (Deficit("joint_pos", 0, None, (1, 3)),)
    found = {column: [] for column in ("intact", "at test", "at birth", "at birth, twice as long", "retrained")}
    for seed in (0, 1):
        own = dataclasses.replace(CONFIG, seed=seed)
        first = train(own, tmp_path / f"first-{seed}", progress=False)
        found["intact"].append(evaluate(first, 2).returns.mean())
        found["at test"].append(evaluate(first, 2, interventions=silent).returns.mean())
        # A training goes on to twice its length as one that was asked for twice the length at once.
        for column, steps in (("at birth", 1600), ("at birth, twice as long", 3200)):
            born = train(
                dataclasses.replace(own, deficits=numb, steps=steps), tmp_path / f"born-{seed}", progress=False
            )
            found[column].append(evaluate(born, 2, interventions=silent).returns.mean())
        again = dataclasses.replace(own, deficits=numb, start=str(first.path))
        retrained = train(again, tmp_path / f"again-{seed}", progress=False)
        found["retrained"].append(evaluate(retrained, 2, interventions=silent).returns.mean())
    for column, returns in found.items():
        assert row[column] == pytest.approx(np.mean(returns)), column
    assert len({round(row[column], 6) for column in found}) == 5


def test_it_goes_on_where_it_stopped_and_writes_its_table(damaged):
    out, table = damaged
    times = {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("config.json")}
    assert len(times) == 2 * 4
    again = damage(CONFIG, out, joints=(1, 3), seeds=2, episodes=2, workers=1, progress=False)
    pd.testing.assert_frame_equal(again, table)
    assert times == {path: path.stat().st_mtime_ns for path in (out / "runs").rglob("config.json")}
    assert "| joints 1, 3 | q_1 q_3 | 2 |" in (out / "damage.md").read_text(encoding="utf-8")
    assert Run(out / "runs" / "damage" / "retrained" / "joints-1-3" / "0").config.start is not None


def test_a_row_says_how_many_seeds_every_number_of_it_has(damaged):
    out, table = damaged
    scores = TrialFiles(out).table("damage")
    intact = next(iter(damage_trials(CONFIG, 1, out / "runs", (1, 3))[0].values()))
    pd.testing.assert_frame_equal(damage_table(scores, intact), table)
    lost = (scores["agent"] == "at birth") & (scores["seed"] == 1)
    assert damage_table(scores[~lost], intact)["seeds"].tolist() == [1]


def test_both_patterns_are_compared_unless_joints_are_given(tmp_path):
    new, further = damage_trials(RunConfig("ncap"), 1, tmp_path)
    assert sorted(new) == [
        "damage/birth/alternating/0", "damage/birth/sequential/0", "damage/intact/0", "damage/twice/alternating/0",
        "damage/twice/sequential/0",
    ]  # fmt: skip
    assert sorted(further) == ["damage/retrained/alternating/0", "damage/retrained/sequential/0"]
    lost = new["damage/intact/0"].interventions["sequential"]
    assert [each.neuron for each in lost] == ["q_d_1", "q_v_1", "q_d_2", "q_v_2"]


def test_what_cannot_be_damaged_is_one_line_and_leaves_nothing(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InvalidOption, match="joints names joint 5 of 5; give numbers from 0 to 4"):
        damage(CONFIG, out, joints=(5,))
    with pytest.raises(InvalidOption, match="damage sets deficits and start itself; leave them out"):
        damage(dataclasses.replace(CONFIG, deficits=(Deficit("joint_pos", 0),)), out)
    assert not out.exists()
    out.mkdir()
    (out / "damage.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExists, match=r"damage\.csv exists and this study did not write it"):
        damage(CONFIG, out)
