"""The dm_env face: dm_env's own conformance tests, and the gymnasium face's numbers."""

import gymnasium
import numpy as np
import pytest
from absl.testing import absltest
from dm_env import test_utils
from nervecord.envs.dm_env import DmSwimmer


class TestConformance(test_utils.EnvironmentTestMixin, absltest.TestCase):
    def make_object_under_test(self):
        return DmSwimmer("swim", seed=0, body="swimmer4", episode_steps=20)

    def make_action_sequence(self):
        spec = self.environment.action_spec()
        rng = np.random.default_rng(0)
        for _ in range(50):
            yield rng.uniform(spec.minimum, spec.maximum).astype(spec.dtype)


@pytest.mark.parametrize("task", ["swim", "navigate"])
def test_dm_env_and_gymnasium_agree_bit_for_bit_across_episodes(task):
    ours = DmSwimmer(task, seed=3, body="swimmer4", episode_steps=15)
    names = {"swim": "Swim", "navigate": "Navigate"}
    peer = gymnasium.make(f"nervecord:nervecord/{names[task]}-v0", body="swimmer4", episode_steps=15)
    rng = np.random.default_rng(1)
    for episode in range(3):
        timestep = ours.reset()
        expected, _ = peer.reset(seed=3 if episode == 0 else None)
        assert np.array_equal(timestep.observation, expected)
        for _ in range(15):
            action = rng.uniform(-1, 1, 3).astype(np.float32)
            timestep = ours.step(action)
            expected, reward, _, truncated, _ = peer.step(action)
            assert np.array_equal(timestep.observation, expected)
            assert timestep.reward == reward
            assert timestep.last() == truncated
        assert timestep.last()
        assert timestep.discount == 1
