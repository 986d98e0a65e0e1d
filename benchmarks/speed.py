"""Speed against the limit that MuJoCo sets and against other libraries, all in one run, because machines are noisy.

The limit is a bare loop of `mj_step(model, data, 15)` on one core, times the cores. All cases get the same
kind of random actions from random starts.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from mujoco.batch import Batch

from ..agents import ES, CircuitPolicy
from ..circuits import NCAP
from ..envs import SwimmerEnv, SwimmerVectorEnv, make_body
from ..envs.sb3_env import SwimmerVecEnv
from ..extras import absence
from .rows import rate_row

_BODY, _JOINTS, _SUBSTEPS, _THREADS = "swimmer6", 5, 15, 2
_GYMNASIUM = "gymnasium-swimmer"  # 3 links, and 4 physics steps of 10 ms a step, by RK4
_STEPS = 40_000  # environment steps per measurement
# Part of a row's name -> the module that the row needs. Gymnasium's MuJoCo environments import imageio.
_PEERS = {"on lanes": "numba", "EnvPool": "envpool", "dm_control": "dm_control", "gymnasium Swimmer": "imageio"}


def absent_peers(names: Iterable[str], peers: Mapping[str, str]) -> dict[str, str]:
    """Return the reason, by row, why rows cannot be measured; `peers` maps part of a row's name to its module."""
    return {
        name: reason
        for name in names
        for peer, module in peers.items()
        if peer in name and (reason := absence("bench", module))
    }


def speed(repeats: int = 3) -> list[dict[str, Any]]:
    """Measure every row `repeats` times, interleaved; return medians and ratios.

    Returns:
        Rows with name, steps_per_second (or microseconds), the ratio to the limit, and the spread. A library that is
        not installed has a row with the reason.
    """
    torch.set_num_threads(1)
    cases: dict[str, Callable[[], float]] = {"limit, one core": _limit, "mujoco.batch, 256": partial(batch_rate, 256)}
    for n_envs in (64, 256):
        cases[f"vector environment, {n_envs}"] = partial(vector_rate, n_envs)
        cases[f"SB3 vector environment, {n_envs}"] = partial(_sb3, n_envs)
    for n_envs in (256, 1024):
        cases[f"vector environment on lanes, {n_envs}"] = partial(vector_rate, n_envs, physics="lanes")
    for n_envs in (64, 256):
        cases[f"EnvPool SwimmerSwimmer6-v1, {n_envs}"] = partial(envpool_rate, n_envs)
    cases |= {
        "single environment": single_rate,
        "dm_control": dm_control_rate,
        "vector environment, 256, 3 links": partial(vector_rate, 256, _GYMNASIUM),
        "single environment, 3 links": partial(single_rate, _GYMNASIUM),
        "gymnasium Swimmer-v5, 3 links": gymnasium_rate,
        "ES with NCAP, population 32": lambda: _es(32),
        "ES with NCAP, population 256": lambda: _es(256),
    }
    absent = absent_peers(cases, _PEERS)
    cases = {name: measure for name, measure in cases.items() if name not in absent}
    found: dict[str, list[float]] = {name: [] for name in cases}
    forward: list[float] = []
    for _ in range(repeats):
        for name, measure in cases.items():
            found[name].append(measure())
        forward.append(_ncap_forward())
    cores = min(_THREADS, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else _THREADS)
    limit = statistics.median(found["limit, one core"]) * cores
    rows: list[dict[str, Any]] = []
    for name, rates in found.items():
        rows.append(rate_row(name, rates, of_limit=round(statistics.median(rates) / limit, 3)))
    rows.append({"name": "NCAP forward, batch 256, 5 joints", "microseconds": round(statistics.median(forward), 1)})
    rows += _ratios({row["name"]: row.get("steps_per_second", 0) for row in rows}, cores)
    return rows + [{"name": name, "absent": reason} for name, reason in absent.items()]


def as_text(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table for people."""
    lines = [f"{'':40}{'steps/s':>10}{'of limit':>10}   lowest to highest"]
    for row in rows:
        if "steps_per_second" in row:
            spread = f"{row['low']:,} to {row['high']:,}"
            lines.append(f"{row['name']:40}{row['steps_per_second']:>10,}{row['of_limit']:>10.2f}   {spread}")
        elif "absent" in row:
            lines.append(f"{row['name']:40}not measured: {row['absent']}")
        elif "microseconds" in row:
            lines.append(f"{row['name']:40}{row['microseconds']:>10} microseconds")
        else:
            lines.append(f"{row['name']:40}{row['ratio']:>10.2f} times")
    return "\n".join(lines)


def _ratios(rates: dict[str, float], cores: int) -> list[dict[str, Any]]:
    pairs = {
        "vector 256 on lanes / vector 256": ("vector environment on lanes, 256", "vector environment, 256", 1),
        "vector 256 on lanes / EnvPool 256": (
            "vector environment on lanes, 256",
            "EnvPool SwimmerSwimmer6-v1, 256",
            1,
        ),
        "vector 256 / EnvPool 256": ("vector environment, 256", "EnvPool SwimmerSwimmer6-v1, 256", 1),
        "vector 256 per core / dm_control": ("vector environment, 256", "dm_control", cores),
        "single / dm_control": ("single environment", "dm_control", 1),
        "vector 256 per core / gymnasium": (
            "vector environment, 256, 3 links",
            "gymnasium Swimmer-v5, 3 links",
            cores,
        ),
        "single / gymnasium": ("single environment, 3 links", "gymnasium Swimmer-v5, 3 links", 1),
    }
    return [
        {"name": name, "ratio": round(rates[ours] / share / rates[theirs], 2)}
        for name, (ours, theirs, share) in pairs.items()
        if theirs in rates and ours in rates
    ]


def _timed(step: Callable[[np.ndarray], Any], n_envs: int, shape: tuple[int, ...]) -> float:
    """Return environment steps per second of `step` under random actions."""
    rounds = max(_STEPS // max(n_envs, 10), 20)
    actions = np.random.default_rng(0).uniform(-1, 1, (rounds, *shape))
    begin = time.perf_counter()
    for action in actions:
        step(action)
    return n_envs * rounds / (time.perf_counter() - begin)


def _limit() -> float:
    model = make_body(_BODY).compile()
    data = mujoco.MjData(model)
    data.qpos[3:] = np.random.default_rng(0).uniform(-1, 1, _JOINTS)

    def step(action: np.ndarray) -> None:
        data.ctrl[:] = action
        mujoco.mj_step(model, data, _SUBSTEPS)

    return _timed(step, 1, (_JOINTS,))


def batch_rate(n_envs: int) -> float:
    """Return steps per second of MuJoCo's own batch, which has neither observations nor rewards, on two threads."""
    model = make_body(_BODY).compile()
    batch = Batch(model, nsim=n_envs, nthread=_THREADS)
    batch.bind("qpos")[:, 3:] = np.random.default_rng(0).uniform(-1, 1, (n_envs, _JOINTS))
    ctrl = batch.bind("ctrl")

    def step(action: np.ndarray) -> None:
        ctrl[:] = action
        batch.step(nstep=_SUBSTEPS)

    return _timed(step, n_envs, (n_envs, _JOINTS))


def vector_rate(n_envs: int, body: str = _BODY, physics: str = "mujoco") -> float:
    """Return steps a second of a vector environment, on two threads."""
    env = SwimmerVectorEnv(n_envs, body=body, n_threads=_THREADS, physics=physics)
    env.reset(seed=0)
    rate = _timed(env.step, n_envs, env.action_space.shape or ())
    env.close()
    return rate


def _sb3(n_envs: int) -> float:
    env = SwimmerVecEnv(n_envs, body=_BODY, n_threads=_THREADS)
    env.seed(0)
    env.reset()
    rate = _timed(env.step, n_envs, (n_envs, _JOINTS))
    env.close()
    return rate


def single_rate(body: str = _BODY, physics: str = "mujoco") -> float:
    """Return steps a second of a single environment."""
    env = SwimmerEnv(body=body, physics=physics)
    env.reset(seed=0)
    return _timed(env.step, 1, env.action_space.shape or ())


def dm_control_rate() -> float:
    """Return steps a second of dm_control's swimmer of 6 links."""
    # On import it looks for a screen and warns where there is none; nothing is drawn here.
    os.environ.setdefault("MUJOCO_GL", "disable")
    from dm_control.suite import swimmer

    env = swimmer.swimmer6(random=0)
    env.reset()
    return _timed(env.step, 1, (_JOINTS,))


def gymnasium_rate() -> float:
    """Return steps a second of gymnasium's swimmer, which has 3 links."""
    env = gymnasium.make("Swimmer-v5").unwrapped
    env.reset(seed=0)
    rate = _timed(env.step, 1, (2,))
    env.close()
    return rate


def envpool_rate(n_envs: int) -> float:
    """Return steps a second of EnvPool's swimmer of 6 links, on two threads."""
    import envpool

    env = envpool.make_gymnasium("SwimmerSwimmer6-v1", num_envs=n_envs, batch_size=n_envs, num_threads=_THREADS, seed=0)
    env.reset()
    rate = _timed(env.step, n_envs, (n_envs, _JOINTS))
    env.close()
    return rate


def _es(population: int) -> float:
    """Return steps per second of one whole generation, with the update of the weights."""
    env = SwimmerVecEnv(population, body=_BODY, n_threads=_THREADS, episode_steps=max(_STEPS // population, 200))
    model = ES(CircuitPolicy, env, seed=0, policy_kwargs={"circuit": "ncap"})
    begin = time.perf_counter()
    model.learn(1)
    rate = model.num_timesteps / (time.perf_counter() - begin)
    env.close()
    return rate


@torch.inference_mode()
def _ncap_forward() -> float:
    circuit = NCAP(_JOINTS)
    sensors, state = torch.rand(256, _JOINTS) * 2 - 1, circuit.initial_state(256)
    times = []
    for _ in range(1000):
        begin = time.perf_counter()
        circuit(sensors, state)
        times.append(time.perf_counter() - begin)
    return 1e6 * statistics.median(times)
