"""A peer that is missing is a line in the table of speeds, not the end of it."""

import re

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
