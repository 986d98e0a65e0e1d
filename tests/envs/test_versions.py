"""An id gives what it gave when it was registered: docs/versions.md's promise, beside stored trajectories."""

import numpy as np
import pytest
from nervecord.envs import Swim
from reference.trajectories import ENV_IDS, differing, main, read_kept, trajectories

KEPT = read_kept()
# Gymnasium says it of every version 0 beside which there is a version 1.
pytestmark = pytest.mark.filterwarnings("ignore:.*is out of date")


def test_every_registered_id_has_its_trajectories_and_none_is_gone():
    assert set(KEPT) == set(ENV_IDS)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_an_id_gives_what_it_gave(env_id):
    pytest.importorskip("numba")
    assert differing(trajectories(env_id), KEPT[env_id]) == []


def test_the_stored_episode_among_posts_touches_them():
    touch = KEPT["nervecord/Lattice-v0"]["short episode"][:, 5:11]
    assert touch.max() > 0.1


def test_another_reward_reset_or_order_of_the_observation_breaks_the_promise(monkeypatch):
    kept = KEPT["nervecord/Swim-v0"]
    for column in (-2, 0):  # the reward, and a joint's angle
        changed = kept["episode 0"].copy()
        changed[:, column] *= 1.001
        assert differing({**kept, "episode 0": changed}, kept)
    assert differing({**kept, "episode 0": kept["episode 0"][:-1]}, kept)  # ends sooner
    assert differing({name: values for name, values in kept.items() if name != "episode 1"}, kept)
    ask = Swim.reward
    monkeypatch.setattr(Swim, "reward", lambda self: 0.99 * ask(self))
    assert differing(trajectories("nervecord/Swim-v0"), kept)


def test_the_file_is_not_written_over_for_an_id_that_gives_other_numbers(tmp_path, monkeypatch):
    path = tmp_path / "trajectories.npz"
    monkeypatch.setattr("reference.trajectories.ENV_IDS", ("nervecord/Parity-v0",))
    assert main(path) == ""
    before = path.read_bytes()
    changed = {**trajectories("nervecord/Parity-v0"), "episode 0": np.ones((3, 4), np.float32)}
    monkeypatch.setattr("reference.trajectories.trajectories", lambda _: changed)
    assert "register a new id" in main(path)
    assert path.read_bytes() == before
