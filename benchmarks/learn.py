"""Speed of learning: steps per second of whole generations, and seconds of training until a return is reached.

An arm's clock runs while it learns and stops while the agent, without noise, is evaluated on episodes that no arm
trains on. Compiling physics and circuits and importing libraries happens before the clock starts; that time is
reported in a column of its own.
The comparison is SB3's PPO as its users run it: on dm_control's swimmer of 6 links through shimmy, with our reward
computed from its physics, and on our gymnasium environment, 8 of either in SB3's DummyVecEnv.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from ..agents import Agent
from ..agents.algorithms.members import Members
from ..agents.algorithms.registry import algorithm_named
from ..envs import EnvBatch, make_body
from ..progress import progress_bar
from ..training.rollouts.evaluation import evaluate_agent
from ..training.runs.config import RunConfig
from ..training.runs.resolution import resolve
from .rows import rate_row
from .speed import absent_peers

TARGETS = (870.0, 950.0)
_BODY, _EPISODES, _PEER_ENVS = "swimmer6", 16, 8
_SECONDS = 1.0  # of whole generations, at least, in a measurement
_PEERS = {"dm_control": "shimmy"}
# Control steps per second of mj_step on the machine for which the target rates were set.
_REFERENCE = 15_000
_RATES = (
    ("ES, NCAP in torch", "ncap", False, {32: 120_000, 256: 450_000, 1024: 800_000}),
    ("ES, NCAP+ in torch", "ncap_plus", False, {32: 60_000}),
    ("ES, MLP in torch", "mlp", False, {256: 250_000}),
    ("ES, GRU in torch", "gru", False, {256: 110_000}),
    ("ES, NCAP compiled", "ncap", True, {32: 1_200_000, 256: 2_500_000}),
    ("ES, MLP compiled", "mlp", True, {256: 700_000}),
)


def learning_rates(repeats: int = 3) -> list[dict[str, Any]]:
    """Measure whole generations on lanes, in turns with mj_step; return medians, and targets for this machine.

    Returns:
        Rows with name, steps_per_second, low, high and asked: the target, set where mj_step does 15,000 control steps
        per second and scaled by its speed here.
    """
    torch.set_num_threads(1)
    cases = {
        f"{title}, {n}": (partial(_generation_rate, circuit, n, fused), asked)
        for title, circuit, fused, sizes in _RATES
        for n, asked in sizes.items()
    }
    found: dict[str, list[float]] = {name: [] for name in ("mj_step, one core", *cases)}
    for _ in range(repeats):
        found["mj_step, one core"].append(_mj_step_rate())
        for name, (measure, _) in cases.items():
            found[name].append(measure())
    scale = statistics.median(found["mj_step, one core"]) / _REFERENCE
    asks = {name: round(asked * scale) for name, (_, asked) in cases.items()}
    return [rate_row(name, rates, **({"asked": asks[name]} if name in asks else {})) for name, rates in found.items()]


def learning_times(
    seeds: int = 5, limit: float = 600.0, targets: tuple[float, ...] = TARGETS, only: str = "", progress: bool = False
) -> list[dict[str, Any]]:
    """Train every arm with every seed until it reaches the largest target, or `limit` seconds; return medians.

    Args:
        seeds: seeds of each arm, from 0.
        limit: seconds of learning after which a seed ends; the table has the returns that it reached by then.
        targets: returns of the agent, a mean over episodes.
        only: part of the name of the arms to run; empty runs all.
        progress: show a progress bar.

    Returns:
        Rows with name, seconds and steps to each target (None where fewer than half of the seeds reach it), the number
        of seeds that reach it, the best return of each seed, and the seconds before the clock starts.
    """
    torch.set_num_threads(1)
    arms = {name: arm for name, arm in _arms().items() if only in name}
    absent = absent_peers(arms, _PEERS)
    rows: list[dict[str, Any]] = []
    with progress_bar(total=(len(arms) - len(absent)) * seeds, desc="learn", disable=not progress) as bar:
        for name, arm in arms.items():
            if name in absent:
                rows.append({"name": name, "absent": absent[name]})
                continue
            courses = []
            for seed in range(seeds):
                courses.append(_course(arm, seed, limit, targets))
                bar.update()
            rows.append(_row(name, courses, targets))
    return rows


def as_text(rates: list[dict[str, Any]], times: list[dict[str, Any]]) -> str:
    """Return both tables for people."""
    lines = [f"{'':34}{'steps/s':>12}{'asked here':>12}   lowest to highest"]
    for row in rates:
        asked = f"{row['asked']:,}" if "asked" in row else ""
        lines.append(f"{row['name']:34}{row['steps_per_second']:>12,}{asked:>12}   {row['low']:,} to {row['high']:,}")
    lines += ["", f"{'seconds (steps) to a return of':34}" + "".join(f"{target:>24.0f}" for target in TARGETS)]
    for row in times:
        if "absent" in row:
            lines.append(f"{row['name']:34}not measured: {row['absent']}")
            continue
        cells = []
        for target in row["targets"]:
            reached = f"{target['reached']} of {row['seeds']}"
            if target["seconds"] is None:
                cells.append(f"{reached} reach it")
            else:
                cells.append(f"{target['seconds']:,.2f} ({target['steps']:,}) {reached}")
        best = f"best {min(row['best']):.0f} to {max(row['best']):.0f}, {row['before']:.1f} s before"
        lines.append(f"{row['name']:34}" + "".join(f"{cell:>24}" for cell in cells) + f"   {best}")
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class _Course:
    """One seed of an arm: seconds, steps and return at each evaluation; seconds before the first step."""

    points: list[tuple[float, int, float]]
    before: float

    def to(self, target: float) -> tuple[float, int] | None:
        """Return seconds and steps at the first evaluation that reaches a return."""
        return next(((seconds, steps) for seconds, steps, found in self.points if found >= target), None)


# From a seed to the agent to evaluate, and an iterator over the environment steps after each update. An update changes
# the agent in place or replaces it.
Arm = Callable[[int], tuple[Any, Iterator[int]]]


def _course(arm: Arm, seed: int, limit: float, targets: tuple[float, ...]) -> _Course:
    began = time.perf_counter()
    envs = EnvBatch("swim", _EPISODES, body=_BODY, physics="lanes")
    agent, updates = arm(seed)
    evaluate_agent(agent, envs)
    before = time.perf_counter() - began
    points, spent = [(0.0, 0, _mean_return(agent, envs))], 0.0
    while spent < limit and points[-1][2] < max(targets):
        began = time.perf_counter()
        steps = next(updates)
        spent += time.perf_counter() - began
        points.append((spent, steps, _mean_return(agent, envs)))
    envs.close()
    return _Course(points, before)


def _mean_return(agent: Any, envs: EnvBatch) -> float:
    return float(evaluate_agent(agent, envs).returns.mean())


def _row(name: str, courses: list[_Course], targets: tuple[float, ...]) -> dict[str, Any]:
    found = []
    for target in targets:
        reached = sorted(place for course in courses if (place := course.to(target)) is not None)
        # Seeds that never reach the target count as slowest, so the median is a seed that reaches it, or None.
        middle = len(courses) // 2
        seconds, steps = reached[middle] if len(reached) > middle else (None, None)
        found.append({"return": target, "seconds": seconds, "steps": steps, "reached": len(reached)})
    best = [round(max(found for _, _, found in course.points), 1) for course in courses]
    before = statistics.median(course.before for course in courses)
    return {"name": name, "seeds": len(courses), "targets": found, "best": best, "before": round(before, 2)}


def _arms() -> dict[str, Arm]:
    return {
        "NCAP, ES": partial(_ours, "ncap", "es", {}, {}),
        # The tuned start was found by a search (docs/results/ncap-plus.md); the paper's synapses were not.
        "NCAP+, tuned start": partial(_ours, "ncap_plus", "cmaes", {}, {}),
        "NCAP+, paper's start, CMA-ES": partial(_ours, "ncap_plus", "cmaes", {"init": "paper"}, {}),
        "MLP, ES": partial(_ours, "mlp", "es", {}, {}),
        "MLP, PPO": partial(_ours, "mlp", "ppo", {}, {}),
        "MLP, SB3's PPO, dm_control": partial(_sb3, _dm_control),
        "MLP, SB3's PPO, our gymnasium": partial(_sb3, _gymnasium),
    }


def _ours(
    circuit: str, algorithm: str, circuit_options: dict[str, Any], options: dict[str, Any], seed: int
) -> tuple[Agent, Iterator[int]]:
    """Return an agent and the updates that train it, with the product's defaults unless options say otherwise."""
    config = RunConfig(
        circuit, algorithm, body=_BODY, seed=seed, physics="lanes", circuit_options=circuit_options,
        algorithm_options=options,
    )  # fmt: skip
    resolved = resolve(config)
    envs, agent = resolved.make_envs(resolved.options["n_envs"]), Agent(resolved.agent)
    learner = algorithm_named(algorithm).start(agent, envs, resolved.options, seed)

    def updates() -> Iterator[int]:
        while True:
            learner.advance()
            yield learner.steps

    return agent, updates()


def _sb3(make: Callable[[], VecEnv], seed: int) -> tuple[Any, Iterator[int]]:
    model = PPO("MlpPolicy", make(), seed=seed, device="cpu", policy_kwargs={"net_arch": [64, 64]})
    n_steps = model.n_steps * model.n_envs

    def updates() -> Iterator[int]:
        while True:
            model.learn(n_steps, reset_num_timesteps=False)
            yield model.num_timesteps

    return model, updates()


def _gymnasium() -> VecEnv:
    return make_vec_env("nervecord/Swim-v0", _PEER_ENVS)


def _dm_control() -> VecEnv:
    import shimmy

    gymnasium.register_envs(shimmy)
    return DummyVecEnv([lambda: _Forward(gymnasium.make("dm_control/swimmer-swimmer6-v0"))] * _PEER_ENVS)


class _Forward(gymnasium.Wrapper[Any, Any, Any, Any]):
    """dm_control's swimmer as our task has it: paid for the head's forward speed, told of joints and velocities."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        space: Any = env.observation_space
        sizes = [space[name].shape[0] for name in ("joints", "body_velocities")]
        self.observation_space = spaces.Box(-np.inf, np.inf, (sum(sizes),), np.float64)

    def reset(self, **options: Any) -> Any:
        """Start an episode."""
        observation, info = self.env.reset(**options)
        return self._flat(observation), info

    def step(self, action: Float[np.ndarray, " joints"]) -> Any:
        """Apply an action in units of the motor's range."""
        observation, _, terminated, truncated, info = self.env.step(action)
        # The head's speed along its own y axis, which points to the tail; 0.1 m/s earns 1.
        reward = float(np.clip(-observation["body_velocities"][1] / 0.1, 0.0, 1.0))
        return self._flat(observation), reward, terminated, truncated, info

    def _flat(self, observation: Any) -> Float[np.ndarray, " obs"]:
        return np.concatenate([observation["joints"], observation["body_velocities"]])


def _generation_rate(circuit: str, n: int, fused: bool) -> float:
    """Return steps a second of a generation of whole episodes, asking, telling and resets included."""
    config = RunConfig(circuit, "es", body=_BODY, physics="lanes", algorithm_options={"n_envs": n})
    resolved = resolve(config)
    envs, agent = resolved.make_envs(n), Agent(resolved.agent)
    members = Members(agent, envs, fused=fused)
    learner: Any = algorithm_named("es").start(agent, envs, resolved.options, 0)
    learner.evaluate = lambda rounds: map(members.evaluate, rounds)
    learner.advance()  # traces and compiles
    before, began = learner.steps, time.perf_counter()
    while time.perf_counter() - began < _SECONDS:
        learner.advance()
    rate = (learner.steps - before) / (time.perf_counter() - began)
    envs.close()
    return rate


def _mj_step_rate() -> float:
    body = make_body(_BODY)
    model = body.compile()
    data, n_substeps = mujoco.MjData(model), round(body.control_dt / model.opt.timestep)
    commands = np.random.default_rng(0).uniform(-1, 1, (2000, model.nu))
    began = time.perf_counter()
    for command in commands:
        data.ctrl[:] = command
        mujoco.mj_step(model, data, n_substeps)
    return len(commands) / (time.perf_counter() - began)
