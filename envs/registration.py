"""Gymnasium ids: `nervecord/Swim-v0` and `nervecord/Navigate-v0`."""

from __future__ import annotations

import gymnasium

IDS = {"nervecord/Swim-v0": "swim", "nervecord/Navigate-v0": "navigate"}


def register_environments() -> None:
    """Register every task with gymnasium; calling it again changes nothing.

    Entry points are strings, so that registering imports neither MuJoCo nor the environments, and
    episodes end by themselves after `episode_steps`, so that no TimeLimit is wrapped around.
    """
    for env_id, task in IDS.items():
        if env_id not in gymnasium.registry:
            gymnasium.register(
                id=env_id,
                entry_point="nervecord.envs.vector_env:SwimmerEnv",
                vector_entry_point="nervecord.envs.vector_env:SwimmerVectorEnv",
                kwargs={"task": task},
            )
