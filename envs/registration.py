"""Register gymnasium ids, such as `nervecord/Swim-v0`, for the tasks of this package and of plug-ins.

Version 0 runs on MuJoCo, version 1 on lanes where they support the body; see docs/versions.md.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata

import gymnasium

IDS = {
    "nervecord/Swim-v0": "swim", "nervecord/Navigate-v0": "navigate", "nervecord/CueTurn-v0": "cueturn",
    "nervecord/Chemotaxis-v0": "chemotaxis", "nervecord/Forage-v0": "forage", "nervecord/TwoMedia-v0": "twomedia",
    "nervecord/Lattice-v0": "lattice", "nervecord/Escape-v0": "escape",
    "nervecord/Track-v0": "track", "nervecord/RecallTurn-v0": "recallturn",
}  # fmt: skip
# Lanes know no contacts, so nothing of a lattice would ever run on them.
LANES_IDS = {f"{name.removesuffix('0')}1": task for name, task in IDS.items() if task != "lattice"}
_GROUP = "nervecord.tasks"
BIT_IDS = {"nervecord/Parity-v0": "parity", "nervecord/DelayedMatch-v0": "delayed-match"}


def register_environments() -> None:
    """Register every task with gymnasium; calling it again has no effect.

    A task `sprint` of another package becomes `nervecord/Sprint-v0`. Entry points are strings, so registering imports
    neither MuJoCo nor the environments. Environments truncate episodes themselves after `episode_steps`, without
    gymnasium's TimeLimit wrapper.
    """
    others = {env_id(point.name): point.name for point in metadata.entry_points(group=_GROUP)} if _is_extended() else {}
    for ids, single, vector in (
        ({**others, **IDS}, "gymnasium_env:SwimmerEnv", "gymnasium_env:SwimmerVectorEnv"),
        (LANES_IDS, "gymnasium_env:single_on_lanes", "gymnasium_env:vector_on_lanes"),
        (BIT_IDS, "tasks.bits:BitsEnv", "tasks.bits:BitsVectorEnv"),
    ):
        for name, task in ids.items():
            if name not in gymnasium.registry:
                gymnasium.register(
                    id=name,
                    entry_point=f"nervecord.envs.{single}",
                    vector_entry_point=f"nervecord.envs.{vector}",
                    kwargs={"task": task},
                )


def env_id(task: str) -> str:
    """Return the gymnasium id of another package's task: its name in camel case."""
    return f"nervecord/{''.join(part.capitalize() for part in task.replace('_', '-').split('-'))}-v0"


def _is_extended() -> bool:
    """Return whether an installed package adds a task, in a quarter of the time that reading all entry points takes."""
    heading = f"[{_GROUP}]".encode()
    for folder in sys.path:
        try:
            packages = [entry.path for entry in os.scandir(folder or ".") if entry.name.endswith("-info")]
        except OSError:
            continue
        for package in packages:
            try:
                with open(os.path.join(package, "entry_points.txt"), "rb") as file:
                    if heading in file.read():
                        return True
            except OSError:
                continue
    return False
