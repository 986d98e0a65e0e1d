"""Training speed beside SB3's PPO and sb3-contrib's RecurrentPPO: rollouts and updates of whole episodes.

Every row has 64 environments of dm_control's 6-link swimmer, 64 steps a rollout, minibatches of 512
and 10 epochs, over the 16 rollouts that an episode of 1000 steps takes. The others step dm_control
through shimmy in SB3's DummyVecEnv, as their users do; RecurrentPPO also steps our environment on the same
physics as ours, so that only the learners differ.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import gymnasium
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from ..agents import Agent, AgentSpec, CircuitPPO
from ..agents.algorithms.ppo import ProximalPolicyOptimization
from ..envs import EnvBatch
from ..envs.sb3_env import SwimmerVecEnv
from ..extras import absence
from .rows import rate_row, ratio_rows

_ENVS, _STEPS, _BATCH, _EPOCHS, _UNITS, _ROLLOUTS = 64, 64, 512, 10, 64, 16
# Numerator, denominator, and how many times as fast the first should be.
_ASKED = (
    ("our PPO, NCAP, lanes", "SB3's PPO, MLP, dm_control", 5),
    ("our PPO, MLP, lanes", "SB3's PPO, MLP, dm_control", 5),
    ("our PPO, LSTM, lanes", "RecurrentPPO, LSTM, our environment, lanes", 2.5),
    ("our PPO, LSTM, lanes", "RecurrentPPO, LSTM, dm_control", 2.5),
)
_Episode = Callable[[], tuple[float, float]]


def ppo_speed(repeats: int = 3, names: Collection[str] = ()) -> list[dict[str, Any]]:
    """Measure every learner `repeats` times, or those of some names, interleaved, with one thread; return medians.

    Returns:
        Rows with name, steps_per_second, its low and high, and the share of the time that rollouts take; then rows with
        name, value, unit and target (`asked`). A library that is not installed has a row with the reason.
    """
    torch.set_num_threads(1)
    makers = {name: make for name, make in _makers().items() if not names or name in names}
    absent = {name: reason for name in makers if (reason := absence("bench", *_needed(name)))}
    episodes = {name: make() for name, make in makers.items() if name not in absent}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in episodes}
    for _ in range(repeats):
        for name, episode in episodes.items():
            found[name].append(episode())
    rows: list[dict[str, Any]] = []
    for name, times in found.items():
        rates = [_ROLLOUTS * _ENVS * _STEPS / (rollout + update) for rollout, update in times]
        share = statistics.median(rollout / (rollout + update) for rollout, update in times)
        rows.append(rate_row(name, rates, rollout_share=round(share, 2)))
    median = {row["name"]: row["steps_per_second"] for row in rows}
    rows += ratio_rows(median, _ASKED, 2)
    return rows + [{"name": name, "absent": reason} for name, reason in absent.items()]


def as_text(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table for people."""
    lines = [f"{'':48}{'steps/s':>9}{'in rollouts':>13}   lowest to highest"]
    for row in rows:
        if "value" in row:
            lines.append(f"{row['name']:72}{row['value']:>6.2f} {row['unit']}, asked for {row['asked']}")
        elif "absent" in row:
            lines.append(f"{row['name']:48}not measured: {row['absent']}")
        else:
            spread = f"{row['low']:,} to {row['high']:,}"
            lines.append(f"{row['name']:48}{row['steps_per_second']:>9,}{row['rollout_share']:>12.0%}   {spread}")
    return "\n".join(lines)


def _makers() -> dict[str, Callable[[], _Episode]]:
    """Return, for each learner, a function that builds it and runs its first rollout and update before the timing."""
    mlp = {"net_arch": {"pi": [64, 64], "vf": [64, 64]}}
    makers: dict[str, Callable[[], _Episode]] = {
        "SB3's PPO, MLP, dm_control": lambda: _sb3(PPO("MlpPolicy", _dm_control(), policy_kwargs=mlp, **_common())),
        "RecurrentPPO, LSTM, dm_control": lambda: _sb3(_recurrent(_dm_control())),
        "RecurrentPPO, LSTM, our environment, lanes": lambda: _sb3(_recurrent(_swimmers("lanes"))),
    }
    for physics, title in (("mujoco", "MuJoCo"), ("lanes", "lanes")):
        for circuit in ("NCAP", "MLP", "LSTM"):
            makers[f"our PPO, {circuit}, {title}"] = partial(_native, circuit.lower(), physics)
    # As SB3's users run it: with its logs and callbacks, and an info for every environment and step.
    makers["CircuitPPO, MLP, lanes"] = lambda: _sb3(
        CircuitPPO("CircuitPolicy", _swimmers("lanes"), policy_kwargs={"circuit": "mlp"}, **_common())
    )
    return makers


def _common() -> dict[str, Any]:
    return {"n_steps": _STEPS, "batch_size": _BATCH, "n_epochs": _EPOCHS, "seed": 0, "device": "cpu"}


def _needed(name: str) -> list[str]:
    """Return the modules that a row with this name needs."""
    return [
        *(["sb3_contrib"] if "RecurrentPPO" in name else []),
        *(["shimmy", "dm_control"] if "dm_control" in name else []),
    ]


def _recurrent(env: VecEnv) -> BaseAlgorithm:
    import sb3_contrib

    lstm = {"lstm_hidden_size": _UNITS, "net_arch": {"pi": [], "vf": []}}
    learner: BaseAlgorithm = sb3_contrib.RecurrentPPO("MlpLstmPolicy", env, policy_kwargs=lstm, **_common())
    return learner


def _native(circuit: str, physics: str) -> _Episode:
    """Return our learner as runs use it, with the other learner's networks and none of its own extra features."""
    envs = EnvBatch("swim", _ENVS, physics=physics, n_threads=2)
    circuit_options = {"units": _UNITS} if circuit == "lstm" else {}
    agent = Agent(AgentSpec(circuit, envs.layout, envs.body.n_joints, circuit_options, seed=0))
    special: dict[str, dict[str, Any]] = {
        "ncap": {"action_std": 0.1},
        # Sequences as long as RecurrentPPO's, and a separate critic, as RecurrentPPO has by default.
        "lstm": {"sequence_length": _STEPS, "critic": "separate", "critic_hidden": ()},
    }
    options: dict[str, Any] = {
        **vars(ProximalPolicyOptimization.Options()), "n_envs": _ENVS, "n_steps": _STEPS, "batch_size": _BATCH,
        "n_epochs": _EPOCHS, "sequence_length": 1, "normalize_observation": False, "normalize_reward": False,
        **special.get(circuit, {}),
    }  # fmt: skip
    learner = ProximalPolicyOptimization().start(agent, envs, options, 0)
    learner.advance()
    return partial(_timed, learner.collect, learner.update)


def _sb3(learner: Any) -> _Episode:
    learner.learn(_ENVS * _STEPS)
    _, callback = learner._setup_learn(_ENVS * _STEPS, reset_num_timesteps=False)
    return partial(
        _timed,
        lambda: learner.collect_rollouts(learner.env, callback, learner.rollout_buffer, _STEPS),
        learner.train,
    )


def _timed(collect: Callable[[], Any], update: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds spent in rollouts and in updates over an episode."""
    rollouts = updates = 0.0
    for _ in range(_ROLLOUTS):
        begin = time.perf_counter()
        collect()
        middle = time.perf_counter()
        update()
        rollouts, updates = rollouts + middle - begin, updates + time.perf_counter() - middle
    return rollouts, updates


def _swimmers(physics: str) -> VecEnv:
    return SwimmerVecEnv(_ENVS, body="swimmer6", physics=physics, n_threads=2)


def _dm_control() -> VecEnv:
    import shimmy

    gymnasium.register_envs(shimmy)

    def make() -> gymnasium.Env[Any, Any]:
        env = gymnasium.make("dm_control/swimmer-swimmer6-v0")
        return gymnasium.wrappers.FlattenObservation(env)

    return DummyVecEnv([make] * _ENVS)
