"""A peer that is missing is a line in the table of speeds, not the end of it."""

import re

import nervecord.benchmarks.composed as composed
import nervecord.benchmarks.lanes as lanes
import nervecord.benchmarks.learn as learn
import nervecord.benchmarks.ppo as ppo
import nervecord.benchmarks.speed as speed
import pytest
from nervecord.extras import absence

# They measure for real, if briefly.
pytestmark = pytest.mark.slow


def test_a_module_that_is_not_there_is_named_with_the_install_command():
    assert absence("bench", "numpy") == ""
    assert re.fullmatch(
        r'no_such_peer is not installed: pip install .*\[bench\]"', absence("bench", "numpy", "no_such_peer.inside")
    )


def test_a_missing_peer_is_a_line_and_the_rest_is_measured(monkeypatch):
    monkeypatch.setattr(speed, "_STEPS", 20)
    monkeypatch.setattr(speed, "_PEERS", dict.fromkeys(speed._PEERS, "no_such_peer"))
    rows = speed.speed(repeats=1)
    absent = {row["name"] for row in rows if "absent" in row}
    assert {"dm_control", "EnvPool SwimmerSwimmer6-v1, 64", "gymnasium Swimmer-v5, 3 links"} <= absent
    assert all(row["steps_per_second"] > 0 for row in rows if "steps_per_second" in row)
    assert "dm_control" in speed.as_text(rows)
    assert not any("dm_control" in row["name"] for row in rows if "ratio" in row)


def test_lanes_are_measured_beside_mj_step_and_what_is_asked(monkeypatch):
    monkeypatch.setattr(lanes, "_SECONDS", 0.01)
    monkeypatch.setattr(lanes, "_ENVS", (8,))
    monkeypatch.setattr(lanes, "steps_speed", lambda _: [])
    rows = lanes.lanes_speed(1, links=(3, 6, 100), n_envs=(8,))
    speeds = [row for row in rows if "links" in row]
    assert [(row["links"], row["name"]) for row in speeds] == [
        (links, name) for links in (3, 6, 100) for name in ("mj_step", "lanes, 8")
    ]
    assert all(row["steps_per_second"] > 0 for row in speeds)
    assert any(row.get("asked") == 1.7 for row in rows)
    assert "ns/link/step" in lanes.as_text(rows)
    labels = [text.get_text() for text in lanes.figure(rows).axes[0].texts]
    assert labels == ["mj_step", "lanes, 8 environments"]


def test_whole_generations_are_measured_beside_what_is_asked_at_this_speed(monkeypatch):
    monkeypatch.setattr(learn, "_SECONDS", 0.01)
    monkeypatch.setattr(learn, "_RATES", (("ES, NCAP in torch", "ncap", False, {4: 15_000}),
                                          ("ES, NCAP compiled", "ncap", True, {4: 30_000})))  # fmt: skip
    limit, torch, compiled = learn.learning_rates(1)
    assert abs(torch["asked"] - limit["steps_per_second"]) <= 1
    assert abs(compiled["asked"] - 2 * torch["asked"]) <= 1
    assert compiled["steps_per_second"] > 2 * torch["steps_per_second"]


def test_a_composed_circuit_is_measured_beside_its_parts_in_the_same_turns(monkeypatch):
    monkeypatch.setattr(composed, "_TURNS", 2)
    monkeypatch.setattr(composed, "_STEPS", 5)
    rows = composed.composed_speed(1)
    assert [row["name"] for row in rows] == [f"navigator of parts, batch {batch}" for batch in (1, 32, 256)]
    for row in rows:
        assert row["composed"] > row["parts"] > 0
        assert row["low"] <= row["over"] <= row["high"]
        assert row["ratio"] == pytest.approx(row["composed"] / row["parts"], abs=0.01)
    assert "asked for 30" in composed.as_text(rows)


def test_learning_is_timed_to_a_return_and_ends_at_its_limit():
    rows = learn.learning_times(seeds=1, limit=0.2, targets=(700.0, 5000.0), only="NCAP, ES")
    (row,) = rows
    first, never = row["targets"]
    # The circuit swims before it has learned anything.
    assert (first["seconds"], first["steps"], first["reached"]) == (0.0, 0, 1)
    assert (never["seconds"], never["reached"]) == (None, 0)
    assert 700 < row["best"][0] < 1000
    assert "NCAP, ES" in learn.as_text([], rows)


def test_the_median_of_seeds_counts_those_that_never_arrive():
    courses = [learn._Course([(0.0, 0, 1.0), (at, 10, 9.0)], 0.5) for at in (3.0, 1.0, 2.0)]
    courses += [learn._Course([(0.0, 0, 1.0)], 0.5)] * 2
    (found,) = learn._row("arm", courses, (9.0,))["targets"]
    assert found == {"return": 9.0, "seconds": 3.0, "steps": 10, "reached": 3}
    (found,) = learn._row("arm", courses[2:], (9.0,))["targets"]
    assert found["seconds"] is None


def test_our_ppo_is_measured_on_both_kinds_of_physics_beside_what_was_asked_of_it(monkeypatch):
    for name, value in {"_ENVS": 2, "_STEPS": 8, "_BATCH": 16, "_EPOCHS": 1, "_ROLLOUTS": 1}.items():
        monkeypatch.setattr(ppo, name, value)
    rows = {row["name"]: row for row in ppo.ppo_speed(repeats=1)}
    for circuit in ("NCAP", "MLP", "LSTM"):
        for physics in ("lanes", "MuJoCo"):
            assert rows[f"our PPO, {circuit}, {physics}"]["steps_per_second"] > 0
    assert rows["CircuitPPO, MLP, lanes"]["steps_per_second"] > 0
    for ours, theirs, asked in ppo._ASKED:
        if "absent" not in rows[theirs]:
            assert rows[f"{ours} / {theirs}"]["asked"] == asked
            assert rows[f"{ours} / {theirs}"]["value"] > 0
    text = ppo.as_text(list(rows.values()))
    assert all(name in text for name in rows)
