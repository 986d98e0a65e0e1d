"""A batch of environments with the same observation layout, which all environment APIs are built on."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from jaxtyping import Bool, Float, Int, Shaped

from ..drawing.poses import Poses
from ..errors import InvalidAction, InvalidTask, NotReady
from ..options import COUNT, FLAG, Instance, Number, OfType, checked, wrong_value
from .arenas import Arena
from .arenas.fields import LiveField
from .bodies import Body
from .choice import PHYSICS, choose_physics
from .drawn import poses_of, shape_of, source_numbers, surroundings_of
from .faces import face_of, shown
from .physics.lane_physics import LanePhysics
from .randomization import Range, checked_ranges, placed
from .resolution import make_layout, make_setting
from .senses import SENSES
from .starts import find_room
from .tasks.registry import make_task
from .tasks.task import Task
from .vector_rules import as_numbers, seeds_for

Ids = Int[np.ndarray, " some"]
_log = logging.getLogger(__name__)


class Step(NamedTuple):
    """What a step of every environment came to.

    Attributes:
        observation: in the units of the layout.
        reward: without a unit; 0 where the physics diverged.
        terminated: ended for good, by the task or because the physics diverged; nothing more can be earned.
        truncated: ended by the time limit alone; more could have been earned.
        metrics: the task's measures, and `diverged`.
    """

    observation: Float[np.ndarray, "envs obs"]
    reward: Float[np.ndarray, " envs"]
    terminated: Bool[np.ndarray, " envs"]
    truncated: Bool[np.ndarray, " envs"]
    metrics: dict[str, Shaped[np.ndarray, " envs"]]


class EnvBatch:
    """A batch of environments: bodies in an arena with a task, each with its own random generator.

    Actions are in units of the motor's range. `ids` are indices of environments.

    Args:
        task: name of the task; see `TASKS`.
        n_envs: number of environments.
        body: a name or a `Body`; or several with the same number of links, assigned to the environments in turn.
        arena: the surroundings: a name, an `Arena`, or None for open space in the body's own medium.
        physics: the simulator: "mujoco", the reference; "lanes", which solves the same equations many times as fast
            for planar chains without contacts, compiled by numba on first use; or "auto", which takes lanes where
            possible, and otherwise mujoco with one line that says why. On lanes, observations and rewards are float32.
        n_threads: number of native threads; 0 chooses automatically.
        randomize: domain randomisation: ranges from which each environment draws its body at reset, as (low, high) or
            (low, high, "log") for a log-uniform draw. `link_mass`, `link_length`, `gear`, `density` and `drag` are
            factors, `viscosity` is in Pa s, and `drag_ratio` is that of a `Drag`.
        senses: names of the observed senses, in order; None takes the task's.
        observe_time: add the seconds since the reset to the observation.
        episode_steps: control steps after which an episode is truncated; None takes the task's number.
        noise: number of standard normal values in each observation, as the sense `noise`. They are drawn from the
            environment's own generator, so that the same seed gives the same values everywhere.
        task_options: arguments of the task.

    Raises:
        UnknownName: there is no such task, body, arena, sense or randomised parameter.
        InvalidTask, InvalidBody, InvalidArena: an argument is invalid, or arguments do not fit together.
        MissingDependency: `physics` is "lanes" and numba cannot compile them.
    """

    @checked(
        InvalidTask,
        task=Instance(str, "the name of a task, such as swim"),
        arena=Instance((str, Arena, Mapping, NoneType), "the name of an arena, such as open, or an Arena"),
        physics=Instance(str, "auto, lanes or mujoco"),
        n_threads=Number(0, is_whole=True),
        randomize=Instance((Mapping, NoneType), "ranges by name, such as {'link_mass': (0.8, 1.2)}"),
        senses=OfType(Sequence[str] | None),
        observe_time=FLAG,
        episode_steps=Number(1, is_whole=True, also=(None,), none="leave it out"),
        noise=Number(0, is_whole=True),
    )
    def __init__(
        self,
        task: str,
        n_envs: int,
        body: str | Path | Body | Sequence[str | Path | Body] = "swimmer6",
        arena: str | Arena | Mapping[str, Any] | None = None,
        physics: str = "mujoco",
        n_threads: int = 0,
        randomize: Mapping[str, Range] | None = None,
        senses: Sequence[str] | None = None,
        observe_time: bool = False,
        episode_steps: int | None = None,
        noise: int = 0,
        **task_options: Any,
    ) -> None:
        if wrong := wrong_value({"num_envs": n_envs}, {"num_envs": COUNT}):
            raise InvalidTask(wrong)
        setting = make_setting(task, body, arena, episode_steps, noise)
        self.layout = make_layout(setting, senses, observe_time)
        self.n_envs, self.bodies, self.arena = n_envs, setting.bodies, setting.arena
        self.body, self.episode_steps, self.dt = setting.body, setting.episode_steps, setting.body.control_dt
        self.body_index = np.arange(n_envs) % len(self.bodies)
        self.randomize = checked_ranges(randomize or {})
        self.physics_name, why = choose_physics(physics, setting)
        if why:
            _log.warning("%s", why)
        self.physics = PHYSICS[self.physics_name](self.bodies, n_envs, self.arena, n_threads)
        self._stands, self._penetration = self.arena.stands(self.body), np.zeros(n_envs)
        self.elapsed, self.noise = np.zeros(n_envs, int), np.zeros((n_envs, noise))
        self.fields = {name: LiveField(field, n_envs) for name, field in setting.arena.fields.items()}
        self.task = make_task(task, self, task_options)
        self._senses = [SENSES[sense.name] for sense in self.layout.senses]
        space, dtype = self.layout.space, self.physics.dtype
        self.observation_space = spaces.Box(space.low.astype(dtype), space.high.astype(dtype), dtype=dtype)
        self.action_space = spaces.Box(-1.0, 1.0, (self.body.n_joints,), np.float32)
        self._low, self._high = self.observation_space.low, self.observation_space.high
        self._last_observation = np.zeros((n_envs, self.layout.size), dtype)
        # An integration that has run away shows in velocities first.
        has_velocities = "body_velocities" in self.layout
        self._velocities = self.layout["body_velocities"] if has_velocities else slice(0, 0)
        self._nowhere = np.zeros(n_envs, bool)
        self._runaway = self._nowhere
        self.rngs: list[np.random.Generator | None] = [None] * n_envs
        self.seeds: list[int | None] = [None] * n_envs
        self._has_begun = self._is_closed = False
        self._face = face_of(self, self.layout, self.observation_space, self._last_observation)
        self._constant = [sense.name for sense in self.layout.senses if SENSES[sense.name].is_constant]

    def __setstate__(self, state: dict[str, Any]) -> None:
        # The physics is built anew, and has to be told where to write.
        self.__dict__.update(state)
        self._face = face_of(self, self.layout, self.observation_space, self._last_observation)

    def seed(self, seeds: Sequence[int | None]) -> None:
        """Seed environment i with seeds[i]; None keeps its generator.

        Raises:
            InvalidTask: a seed is not a whole number of 0 or more, or there is not one for each environment.
        """
        for index, seed in enumerate(seeds_for(seeds, self.n_envs)):
            if seed is not None or self.rngs[index] is None:
                self.rngs[index], self.seeds[index] = seeding.np_random(seed)

    def reset(self, ids: Ids) -> Float[np.ndarray, "envs obs"]:
        """Start new episodes in some environments; return the observations of all environments.

        Raises:
            NotReady: the environments are closed.
        """
        self._check_open()
        if None in self.rngs:
            self.seed([None] * self.n_envs)
        self.elapsed[ids] = 0
        self.task.reset(ids, [self.rngs[index] for index in ids])
        for field in self.fields.values():
            field.reset(ids, self.rngs)
        self._draw_noise(ids)
        self._has_begun = True
        self._write_constant()
        return self._observe()

    def step(self, actions: Float[np.ndarray, "envs joints"], ids: Ids | None = None) -> Step:
        """Apply actions (clipped to [-1, 1]) for one control step, in all environments or only in `ids`.

        An environment whose physics diverges is terminated with a reward of 0 and its last finite observation.

        Raises:
            InvalidAction: the actions have the wrong shape or are not finite.
            NotReady: the environments are closed, or were never reset.
        """
        if not self._has_begun:
            self._check_open()
            raise NotReady("the environments were never reset; call reset before the first step")
        self.physics.act(self.task.before_step(self._checked(actions)))
        if ids is None:
            self.elapsed += 1
        else:
            self.elapsed[ids] += 1
        self.physics.step(ids)
        if self._stands is not None:
            self._penetration = np.maximum(self._penetration, self.physics.penetration())
        stepped = np.arange(self.n_envs) if ids is None else ids
        for field in self.fields.values():
            field.advance(stepped, self.physics.read("nose_pos"), self.elapsed * self.dt, self.dt, self.rngs)
        self._draw_noise(stepped)
        if self._face:
            return Step(*shown(self._face))
        reward = self.task.reward().astype(self.physics.dtype, copy=False)
        terminated, metrics = self.task.terminated(), self.task.metrics()
        observation, diverged = self._observe(), self._diverged()
        if np.count_nonzero(diverged):
            terminated, reward = terminated | diverged, np.where(diverged, 0.0, reward)
        truncated = (self.elapsed >= self.episode_steps) & ~terminated
        return Step(observation, reward, terminated, truncated, self._with_facts(metrics, diverged))

    @property
    def steerable(self) -> LanePhysics | None:
        """The physics, if a controller can run whole episodes inside it; None if a step needs more than physics."""
        takes_actions = type(self.task).before_step is Task.before_step
        is_whole = self._face is not None and takes_actions and not self.noise.shape[1] and len(self.bodies) == 1
        return self.physics if is_whole and isinstance(self.physics, LanePhysics) else None

    def observation(self) -> Float[np.ndarray, "envs obs"]:
        """Return the observations: angles in rad, lengths in m, velocities in m/s and rad/s, time in s."""
        return self._observe()

    def metrics(self) -> dict[str, Shaped[np.ndarray, " envs"]]:
        """Return the task's current metrics, and `diverged`; see `Task.metric_units` for units."""
        return self._with_facts(self.task.metrics(), self._diverged())

    def _diverged(self) -> Bool[np.ndarray, " envs"]:
        return self.physics.diverged | self._runaway

    def _with_facts(self, metrics: dict[str, np.ndarray], diverged: np.ndarray) -> dict[str, np.ndarray]:
        """Add to a task's measures what the batch knows.

        They are divergence, how deep links were in posts at the deepest, m, and which of several bodies moved.
        """
        if np.count_nonzero(diverged):
            metrics = {name: np.where(diverged & ~np.isfinite(value), 0.0, value) for name, value in metrics.items()}
        facts = {"diverged": diverged}
        if self._stands is not None:
            facts["penetration"] = self._penetration.copy()
        if len(self.bodies) > 1:
            facts["body"] = self.body_index.copy()
        return {**metrics, **facts}

    def _write_constant(self) -> None:
        """Write senses that are constant within an episode where the compiled physics leaves them as they are."""
        for name in self._constant if self._face else ():
            part = self.layout[name]
            self._last_observation[:, part] = SENSES[name].read(self).clip(self._low[part], self._high[part])

    def _observe(self) -> Float[np.ndarray, "envs obs"]:
        """Read every sense, within its bounds, and note which bodies move faster than any body does.

        What has diverged shows its last observation until its reset, while others are reset and read.
        """
        if self._face:
            return self._last_observation.copy()
        raw = np.concatenate([sense.read(self) for sense in self._senses], axis=1, dtype=self.physics.dtype)
        observation = np.minimum(np.maximum(raw, self._low), self._high)
        outside = observation != raw
        # Counting takes a fifth of the time of any() where there are few.
        self._runaway = outside[:, self._velocities].any(axis=1) if np.count_nonzero(outside) else self._nowhere
        if np.count_nonzero(diverged := self._diverged()):
            observation[diverged] = self._last_observation[diverged]
        self._last_observation = observation
        return observation.copy()

    def draw_bodies(self, ids: Ids, rngs: Sequence[np.random.Generator]) -> None:
        """Draw the randomised parameters of some bodies; called by the task when it resets them."""
        if self.randomize:
            # As `uniform` draws, bit for bit, in a tenth of its time.
            draws = np.array([rng.random(len(self.randomize)) for rng in rngs]).T
            pairs = zip(self.randomize.items(), draws, strict=True)
            self.physics.set(ids, {name: placed(bounds, shares) for (name, bounds), shares in pairs})

    def put(
        self,
        ids: Ids,
        rngs: Sequence[np.random.Generator],
        heading: Float[np.ndarray, " some"],
        joint_pos: Float[np.ndarray, "some joints"],
    ) -> None:
        """Place bodies at rest at the origin (among posts, where there is room) with heading and joint angles in rad.

        Raises:
            InvalidArena: the posts leave no room for a body.
        """
        if self._stands is None:
            self.physics.reset(ids, heading, joint_pos)
            return
        stretches = self.physics.parameter("link_length")[ids]
        found = [
            find_room(self.bodies[self.body_index[index]], self._stands, *start)
            for index, *start in zip(ids, rngs, heading, joint_pos, stretches, strict=True)
        ]
        headings, bends, lattices = (np.array(column) for column in zip(*found, strict=True))
        self.physics.reset(ids, headings, bends)
        if self._stands.n_cell:
            self.physics.place(ids, lattices)
        self._penetration[ids] = 0.0

    def _draw_noise(self, ids: Iterable[int]) -> None:
        """Draw the noise of some environments' next observation, from the generator of each."""
        if self.noise.shape[1]:
            for index in ids:
                self.noise[index] = self.rngs[index].standard_normal(self.noise.shape[1])  # type: ignore[union-attr]

    def _checked(self, actions: Any) -> np.ndarray:
        actions = as_numbers(actions)
        expected = (self.n_envs, self.body.n_joints)
        if actions.shape != expected:
            raise InvalidAction(
                f"actions have shape {actions.shape}; {self.body.name} needs {expected} (environments, joints)"
            )
        # One reduction instead of isfinite().all(): a NaN or an infinity survives the sum of squares.
        if not math.isfinite(np.vdot(actions, actions)):
            bad = np.argwhere(~np.isfinite(actions))
            if len(bad):
                raise InvalidAction(f"action of environment {bad[0][0]}, joint {bad[0][1]} is not finite")
        return actions

    def get_state(self) -> dict[str, Any]:
        """Return the full simulation state; `set_state` continues from it bit for bit."""
        return {
            "physics": self.physics.get_state(),
            "task": {**self.task.get_state(), "elapsed": self.elapsed.copy()},
            **({"fields": {name: field.get_state() for name, field in self.fields.items()}} if self.fields else {}),
            **({"noise": self.noise.copy()} if self.noise.size else {}),
            **({} if self._stands is None else {"penetration": self._penetration.copy()}),
            "rngs": [rng and rng.bit_generator.state for rng in self.rngs],
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned, or that a run of format 2 contains."""
        self._check_open()
        self._has_begun = True
        self.elapsed[:] = state["task"]["elapsed"]
        self.physics.set_state(state["physics"])
        self.task.set_state(state["task"])
        for name, field in self.fields.items():
            field.set_state(state["fields"][name])
        self.noise[:] = state.get("noise", self.noise)
        self._penetration = np.array(state.get("penetration", self._penetration))
        self.rngs = [None if held is None else _restored(held) for held in state["rngs"]]
        self._write_constant()
        self._observe()

    def facts(self) -> dict[str, Any]:
        """Return the metadata of body and task for recordings and drawings; lengths in m, limits in rad, mass in kg."""
        model, _ = self.physics.mujoco(0)
        return {
            **shape_of(self.body),
            "mass": float(sum(model.body(name).mass[0] for name in self.body.parts.links)),
            "task": type(self.task).__name__,
            "joints": list(self.body.parts.joints),
            "links": list(self.body.parts.links),
            "observations": list(self.layout.columns),
            **surroundings_of(self, self.body),
        }

    @property
    def sources(self) -> Float[np.ndarray, "envs source_numbers"]:
        """The position (x, y, in m) and amplitude of each source of the fields."""
        return source_numbers(self.fields, self.n_envs)

    def poses(self, index: int = 0) -> Poses:
        """Return the data for drawing an environment in its current state.

        Raises:
            NotReady: the environments are closed.
        """
        self._check_open()
        return poses_of(self, index)

    def close(self) -> None:
        """Free the native threads; afterwards environments cannot be reset or stepped."""
        self._has_begun, self._is_closed = False, True
        self.physics.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise NotReady("the environments are closed; make new ones")


def _restored(state: Mapping[str, Any]) -> np.random.Generator:
    bits = getattr(np.random, state["bit_generator"])()
    bits.state = copy.deepcopy(dict(state))
    return np.random.Generator(bits)
