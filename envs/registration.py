"""Gymnasium ids: `nervecord/Swim-v0` and the others."""

from __future__ import annotations

import gymnasium

IDS = {"nervecord/Swim-v0": "swim", "nervecord/Navigate-v0": "navigate", "nervecord/CueTurn-v0": "cueturn"}
BIT_IDS = {"nervecord/Parity-v0": "parity", "nervecord/DelayedMatch-v0": "delayed-match"}


def register_environments() -> None:
    """Register every task with gymnasium; calling it again changes nothing.

    Entry points are strings, so that registering imports neither MuJoCo nor the environments, and
    episodes end by themselves after `episode_steps`, so that no TimeLimit is wrapped around.
    """
    for ids, single, vector in (
        (IDS, "gymnasium_env:SwimmerEnv", "gymnasium_env:SwimmerVectorEnv"),
        (BIT_IDS, "tasks.bits:BitsEnv", "tasks.bits:BitsVectorEnv"),
    ):
        for env_id, task in ids.items():
            if env_id not in gymnasium.registry:
                gymnasium.register(
                    id=env_id,
                    entry_point=f"nervecord.envs.{single}",
                    vector_entry_point=f"nervecord.envs.{vector}",
                    kwargs={"task": task},
                )
