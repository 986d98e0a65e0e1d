"""Environments of one body and one task, stepped in one native call: what every API stands on."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from jaxtyping import Float, Int

from ..drawing.poses import MOTION, SHAPE, Poses
from ..errors import InvalidAction, InvalidTask
from .bodies.swimmers import Body, make_body
from .physics.simulation import Simulation
from .tasks.registry import make_task

Ids = Int[np.ndarray, " some"]


class World:
    """Bodies, their task and their random generators: what the environments' faces share.

    Actions are in units of the motor's range. Rewards have no unit. `ids` are numbers of environments, from 0.

    Args:
        task: its name; see `TASKS`.
        n_envs: number of environments.
        body: a name or a `Body`.
        n_threads: native threads; 0 chooses.
        randomize: ranges from which each environment draws its body at reset; see `Simulation`.
        task_options: arguments of the task.
    """

    def __init__(
        self,
        task: str,
        n_envs: int,
        body: str | Body = "swimmer6",
        n_threads: int = 0,
        randomize: Mapping[str, tuple[float, float]] | None = None,
        **task_options: Any,
    ) -> None:
        if n_envs < 1:
            raise InvalidTask(f"num_envs is {n_envs}; give 1 or more")
        self.n_envs, self.body = n_envs, make_body(body)
        self.simulation = Simulation(self.body, n_envs, n_threads, randomize)
        self.task = make_task(task, self.simulation, **task_options)
        self.layout = self.task.layout
        self.observation_space = self.layout.space
        self.action_space = spaces.Box(-1.0, 1.0, (self.simulation.n_joints,), np.float32)
        self.rngs: list[np.random.Generator | None] = [None] * n_envs

    def seed(self, seeds: Sequence[int | None]) -> None:
        """Give environment i the generator of seeds[i]; None keeps the one it has."""
        for index, seed in enumerate(seeds):
            if seed is not None or self.rngs[index] is None:
                self.rngs[index] = seeding.np_random(seed)[0]

    def reset(self, ids: Ids) -> None:
        """Start new episodes in some environments."""
        if None in self.rngs:
            self.seed([None] * self.n_envs)
        self.task.reset(ids, [self.rngs[index] for index in ids])

    def step(self, actions: Float[np.ndarray, "envs joints"], ids: Ids | None = None) -> Float[np.ndarray, " envs"]:
        """Apply actions (clipped to [-1, 1] by the motors) for one control step; return the rewards."""
        self.simulation.ctrl[:] = self._checked(actions)
        self.task.before_step()
        self.simulation.step(ids)
        return self.task.after_step(ids)

    def _checked(self, actions: Any) -> np.ndarray:
        actions = np.asarray(actions)
        expected = (self.n_envs, self.simulation.n_joints)
        if actions.shape != expected:
            raise InvalidAction(
                f"actions have shape {actions.shape}; {self.body.name} needs {expected} (environments, joints)"
            )
        # One reduction instead of isfinite().all(): a NaN or an infinity survives the sum of squares.
        if not np.isfinite(np.vdot(actions, actions)):
            bad = np.argwhere(~np.isfinite(actions))
            if len(bad):
                raise InvalidAction(f"action of environment {bad[0][0]}, joint {bad[0][1]} is not finite")
        return actions

    def get_state(self) -> dict[str, Any]:
        """Return everything that the future depends on; `set_state` continues from it bit for bit."""
        return {
            "physics": self.simulation.get_state(),
            "task": self.task.get_state(),
            "rngs": [rng and rng.bit_generator.state for rng in self.rngs],
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        self.simulation.set_state(state["physics"])
        self.task.set_state(state["task"])
        self.rngs = [None if held is None else _restored(held) for held in state["rngs"]]

    def facts(self) -> dict[str, Any]:
        """Return what recordings and drawings say of the body and the task; lengths in m, limits in rad, mass in kg."""
        body, simulation = self.body, self.simulation
        share = 1 - body.taper * np.arange(body.n_links) / max(body.n_links - 1, 1)
        return {
            "name": body.name,
            "link_length": [body.link_length] * body.n_links,
            "link_width": (0.02 * body.link_length / 0.1 * share).tolist(),
            "joint_limit": simulation.joint_limit.tolist(),
            "mass": float(simulation.model.body_mass.sum()),
            "task": type(self.task).__name__,
        }

    def poses(self) -> Poses:
        """Return what a drawing of the first environment needs, as its state is now.

        Places of links must be bound before the last reset or step; `SwimmerEnv` with a render mode does so.
        """
        simulation, facts, target = self.simulation, self.facts(), self.task.target_pos
        arrays = (simulation.link_pos, simulation.link_angle, simulation.joint_pos, simulation.com)
        motion = {name: np.array(array[:1], float) for name, array in zip(MOTION, arrays, strict=True)}
        shape = {name: np.array(facts[name]) for name in SHAPE}
        seen = np.array(target[:1], float) if target.shape[-1] else None
        return Poses(name=self.body.name, dt=self.body.control_dt, target_pos=seen, **motion, **shape)


def _restored(state: Mapping[str, Any]) -> np.random.Generator:
    bits = getattr(np.random, state["bit_generator"])()
    bits.state = copy.deepcopy(dict(state))
    return np.random.Generator(bits)
