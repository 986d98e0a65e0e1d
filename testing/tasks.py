"""The laws of tasks: batched, reproducible by seed, resumable from a state, and valid in every API."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_of_sb3

from ..envs import SENSES, TASKS, Arena, Body, EnvBatch, SwimmerEnv, Task
from ..envs.env_batch import Step
from ..laws import Laws, named

_ENVS, _STEPS = 3, 12
_SEEDS = [5, 6, 7]


def check_task(
    task: str | type[Task],
    body: str | Path | Body = "swimmer4",
    arena: str | Arena | Mapping[str, Any] | None = None,
    **task_options: Any,
) -> None:
    """Check a task: observations, rewards and ends of episodes, states, and gymnasium's and SB3's own checkers.

    Args:
        task: a registered name, or a class as in an entry point of nervecord.tasks.
        body, arena: the body and its surroundings.
        task_options: arguments of the task.

    Raises:
        ContractBroken: a law does not hold; the message names it.
        UnknownName: there is no such task, body or arena.
    """
    with named(TASKS, task, "task") as name:
        laws, kind = Laws(f"task {name}"), TASKS[name]
        unknown = [sense for sense in kind.senses if sense not in SENSES]
        laws.hold("it names senses that there are", not unknown, f"there is no {', '.join(unknown)}",
                  f"known: {', '.join(SENSES)}")  # fmt: skip
        steps = kind.default_steps
        laws.hold("an episode has a length", isinstance(steps, int) and steps > 0, f"default_steps is {steps!r}",
                  "give control steps")  # fmt: skip
        given = {"body": body, "arena": arena, "n_threads": 1, **task_options}

        def make(n_envs: int = _ENVS) -> EnvBatch:
            with laws.asking("it can be built", "see Task, or give check_task the body, arena and options it needs"):
                return EnvBatch(name, n_envs, episode_steps=_STEPS, **given)

        with laws.asking("an episode can be stepped", "see Task"):
            _episodes(laws, make)
            _states(laws, make)
        _checkers(laws, name, body, arena, task_options)


def _episodes(laws: Laws, make: Callable[..., EnvBatch]) -> None:
    """Step the same episodes three times: twice as a batch, and one of them alone."""
    many, again, alone = make(), make(), make(1)
    everyone = np.arange(_ENVS)
    try:
        many.seed(_SEEDS)
        again.seed(_SEEDS)
        alone.seed(_SEEDS[1:2])
        seen = many.reset(everyone)
        _observation(laws, many, seen)
        laws.alike("a seed repeats an episode", again.reset(everyone), seen, "draw from rngs alone", what="the first")
        laws.alike("environments do not hear each other", alone.reset(everyone[:1])[0], seen[1],
                   "draw for each environment from its own generator", what="an environment alone")  # fmt: skip
        rng = np.random.default_rng(0)
        for _ in range(_STEPS):
            actions = rng.uniform(-1, 1, (_ENVS, many.body.n_joints))
            before = actions.copy()
            try:
                step = many.step(actions)
            except Exception:
                _reward_and_end(laws, many)
                raise
            laws.alike("a step leaves its arguments as they are", actions, before, "copy actions in before_step")
            _step(laws, many, step)
            _pay(laws, many, step)
            laws.alike("a seed repeats an episode", tuple(again.step(actions)), tuple(step), "draw from rngs alone")
            laws.alike("environments do not hear each other", tuple(_first(alone.step(actions[1:2]), 0)),
                       tuple(_first(step, 1)), "compute row by row", what="an environment alone")  # fmt: skip
        law = "the time limit truncates what has not ended"
        laws.hold(law, (step.truncated == ~step.terminated).all(), f"truncated is {step.truncated.tolist()} at the end "
                  f"and terminated {step.terminated.tolist()}", "leave the time limit to EnvBatch")  # fmt: skip
        _partly(laws, many)
    finally:
        for each in (many, again, alone):
            each.close()


def _observation(laws: Laws, envs: EnvBatch, seen: np.ndarray) -> None:
    inside = all(envs.observation_space.contains(row) for row in seen)
    laws.hold("observations are in their space", inside, f"of {seen.dtype}, {seen.min():.3g} to {seen.max():.3g}",
              "mind what the task's senses read")  # fmt: skip


def _step(laws: Laws, envs: EnvBatch, step: Step) -> None:
    _observation(laws, envs, step.observation)
    reward = _reward_and_end(laws, envs)
    laws.hold("rewards are finite", np.isfinite(reward).all(), f"they are {reward}", "mind divisions by 0")
    laws.alike("asking for the reward changes nothing", envs.task.reward(), reward, "let before_step remember")
    for name, value in step.metrics.items():
        found = f"{name} is of shape {np.shape(value)}"
        laws.hold("metrics are one value for each environment", np.shape(value) == (_ENVS,), found, "return [envs]")
        laws.hold("metrics are finite", np.isfinite(value).all(), f"{name} is {value}", "mind divisions by 0")
    success = envs.task.success
    laws.hold("a success is one of its metrics", not success or success in step.metrics, f"there is no {success}",
              f"name one of {', '.join(step.metrics)}")  # fmt: skip
    target = np.shape(envs.task.target_pos)
    is_place, found = target in ((_ENVS, 0), (_ENVS, 2)), f"target_pos is of shape {target}"
    laws.hold("a target is a place in the plane", is_place, found, "return [envs, 2], or [envs, 0] for none")


def _reward_and_end(laws: Laws, envs: EnvBatch) -> np.ndarray:
    """Check the task's own return values: the batch would convert them to floats and flags, or break on them."""
    reward = envs.task.reward()
    for what, value, kind, name in (("reward", reward, "f", "floats"),
                                    ("terminated", envs.task.terminated(), "b", "bools")):  # fmt: skip
        is_right = isinstance(value, np.ndarray) and value.shape == (_ENVS,) and value.dtype.kind == kind
        found = f"it is a {type(value).__name__} of {getattr(value, 'dtype', 'no dtype')} and shape {np.shape(value)}"
        laws.hold(f"{what} is one value for each environment", is_right, found, f"return an array of {name}, [envs]")
    return reward


def _pay(laws: Laws, envs: EnvBatch, step: Step) -> None:
    if (pay := envs.task.pay()) is not None:
        numbers = envs.physics.read(pay.quantity).reshape(_ENVS, -1)[:, pay.index]
        laws.alike("pay is what reward returns", np.clip(numbers / pay.unit, pay.least, pay.most), step.reward,
                   "return None where a reward is more", 1e-9)  # fmt: skip


def _partly(laws: Laws, envs: EnvBatch) -> None:
    before = envs.observation()
    after = envs.reset(np.array([1]))
    laws.alike("a reset leaves the others alone", after[[0, 2]], before[[0, 2]], "change the rows of ids alone")
    laws.hold("a reset starts another episode", not np.array_equal(after[1], before[1]), "the observation is as it was",
              "call super().reset(ids, rngs)")  # fmt: skip
    # Values saved in one episode must not reappear in the next.
    envs.reset(np.arange(_ENVS))


def _states(laws: Laws, make: Callable[..., EnvBatch]) -> None:
    """Continue from a state in other environments, in the middle of an episode and across its end."""
    first, other = make(), make()
    try:
        first.seed(_SEEDS)
        first.reset(np.arange(_ENVS))
        rng = np.random.default_rng(1)
        for _ in range(_STEPS // 2):
            first.step(rng.uniform(-1, 1, (_ENVS, first.body.n_joints)))
        other.seed([1, 2, 3])
        other.reset(np.arange(_ENVS))
        other.step(np.ones((_ENVS, first.body.n_joints)))
        held = first.get_state()
        state = pickle.loads(pickle.dumps(held))
        other.set_state(state)
        for _ in range(_STEPS - _STEPS // 2):
            actions = rng.uniform(-1, 1, (_ENVS, first.body.n_joints))
            expected = first.step(actions)
            laws.alike("set_state goes on bit for bit", tuple(other.step(actions)), tuple(expected),
                       "return everything that the future depends on from get_state, and take it back")  # fmt: skip
        some = np.array([0, 2])
        laws.alike("set_state goes on bit for bit", other.reset(some), first.reset(some),
                   "return everything that the future depends on from get_state", what="the next episode")  # fmt: skip
        laws.alike("a state is a copy", held["task"], state["task"], "copy arrays in get_state")
    finally:
        first.close()
        other.close()


def _checkers(laws: Laws, name: str, body: Any, arena: Any, options: Mapping[str, Any]) -> None:
    env = SwimmerEnv(name, body=body, arena=arena, episode_steps=_STEPS, **options)
    try:
        for whose, check in (("gymnasium", lambda: check_env(env, skip_render_check=True)),
                             ("Stable-Baselines3", lambda: check_env_of_sb3(env))):  # fmt: skip
            with laws.asking(f"{whose}'s check_env passes", "see what it says"), warnings.catch_warnings():
                warnings.simplefilter("error")
                check()
    finally:
        env.close()


def _first(step: Step, index: int) -> Step:
    """Return one environment's part of a step."""
    metrics = {name: value[index] for name, value in step.metrics.items()}
    observation, reward, terminated, truncated = (np.asarray(value[index]) for value in step[:4])
    return Step(observation, reward, terminated, truncated, metrics)
