"""A peer that is missing is a line in the table of speeds, not the end of it."""

import re

import nervecord.benchmarks.ppo as ppo
import nervecord.benchmarks.speed as speed
from nervecord.extras import absence


def test_a_module_that_is_not_there_is_named_with_the_install_command():
    assert absence("bench", "numpy") == ""
    assert re.fullmatch(
        r'no_such_peer is not installed: pip install .*\[bench\]"', absence("bench", "numpy", "no_such_peer.inside")
    )


def test_a_missing_peer_is_a_line_and_the_rest_is_measured(monkeypatch):
    monkeypatch.setattr(speed, "_STEPS", 20)
    monkeypatch.setattr(speed, "_PEERS", speed._PEERS | {"EnvPool": "no_such_peer", "dm_control": "no_such_peer"})
    rows = speed.speed(repeats=1)
    absent = {row["name"] for row in rows if "absent" in row}
    assert {"dm_control", "EnvPool SwimmerSwimmer6-v1, 64"} <= absent
    assert all(row["steps_per_second"] > 0 for row in rows if "steps_per_second" in row)
    assert "dm_control" in speed.as_text(rows)
    assert not any("dm_control" in row["name"] for row in rows if "ratio" in row)


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
