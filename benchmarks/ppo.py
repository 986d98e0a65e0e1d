"""Training speed beside SB3's PPO and sb3-contrib's RecurrentPPO: rollouts and updates of whole episodes.

Every row has 64 environments of dm_control's 6-link swimmer, 64 steps a rollout, minibatches of 512
and 10 epochs, over the 16 rollouts that an episode of 1000 steps takes. The peers step dm_control
through shimmy in SB3's DummyVecEnv, as their users do; RecurrentPPO also steps our environment, which
leaves the learners alone to differ.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from ..agents import CircuitPPO
from ..envs.sb3_env import SwimmerVecEnv
from ..extras import absence

_ENVS, _STEPS, _BATCH, _UNITS, _ROLLOUTS = 64, 64, 512, 64, 16
_COMMON: dict[str, Any] = {"n_steps": _STEPS, "batch_size": _BATCH, "n_epochs": 10, "seed": 0, "device": "cpu"}


def ppo_speed(repeats: int = 3) -> list[dict[str, Any]]:
    """Measure every learner `repeats` times, interleaved; return medians, their parts and ratios.

    A peer that is not installed has a row that says why.
    """
    torch.set_num_threads(1)
    makers = _makers()
    absent = {name: reason for name in makers if (reason := absence("bench", *_needed(name)))}
    learners = {name: make() for name, make in makers.items() if name not in absent}
    for learner in learners.values():
        learner.learn(_ENVS * _STEPS)
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in learners}
    for _ in range(repeats):
        for name, learner in learners.items():
            found[name].append(_episode(learner))
    rows: list[dict[str, Any]] = []
    for name, times in found.items():
        rates = [_ROLLOUTS * _ENVS * _STEPS / (rollout + update) for rollout, update in times]
        rows.append(
            {
                "name": name,
                "steps_per_second": round(statistics.median(rates)),
                "low": round(min(rates)),
                "high": round(max(rates)),
                "rollout_share": round(statistics.median(rollout / (rollout + update) for rollout, update in times), 2),
            }
        )
    median = {row["name"]: row["steps_per_second"] for row in rows}
    ratios = {f"{ours} / {theirs}": median[ours] / median[theirs] for ours, theirs in _PAIRS if theirs in median}
    rows += [{"name": name, "ratio": round(ratio, 2)} for name, ratio in ratios.items()]
    return rows + [{"name": name, "absent": reason} for name, reason in absent.items()]


def as_text(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table for people."""
    lines = [f"{'':48}{'steps/s':>9}{'in rollouts':>13}   lowest to highest"]
    for row in rows:
        if "ratio" in row:
            lines.append(f"{row['name']:72}{row['ratio']:>6.2f} times")
        elif "absent" in row:
            lines.append(f"{row['name']:48}not measured: {row['absent']}")
        else:
            spread = f"{row['low']:,} to {row['high']:,}"
            lines.append(f"{row['name']:48}{row['steps_per_second']:>9,}{row['rollout_share']:>12.0%}   {spread}")
    return "\n".join(lines)


_PAIRS = [
    ("CircuitPPO, NCAP", "PPO, MLP, dm_control"),
    ("CircuitPPO, MLP", "PPO, MLP, dm_control"),
    ("CircuitPPO, LSTM", "RecurrentPPO, LSTM, our environment"),
    ("CircuitPPO, LSTM", "RecurrentPPO, LSTM, dm_control"),
]


def _makers() -> dict[str, Callable[[], BaseAlgorithm]]:
    mlp = {"net_arch": {"pi": [64, 64], "vf": [64, 64]}}
    lstm = {"circuit_options": {"units": _UNITS}, "critic": "separate", "critic_hidden": ()}
    return {
        "PPO, MLP, dm_control": lambda: PPO("MlpPolicy", _dm_control(), policy_kwargs=mlp, **_COMMON),
        "CircuitPPO, NCAP": lambda: _ours("ncap", {"action_std": 0.1}),
        "CircuitPPO, MLP": lambda: _ours("mlp", {}),
        "RecurrentPPO, LSTM, dm_control": lambda: _recurrent(_dm_control()),
        "RecurrentPPO, LSTM, our environment": lambda: _recurrent(_swimmers()),
        # As long sequences as RecurrentPPO's, and a critic of its own as it has by default.
        "CircuitPPO, LSTM": lambda: _ours("lstm", lstm),
    }


def _needed(name: str) -> list[str]:
    """Return the modules of the peers that a row's name names."""
    return [
        *(["sb3_contrib"] if "RecurrentPPO" in name else []),
        *(["shimmy", "dm_control"] if "dm_control" in name else []),
    ]


def _recurrent(env: VecEnv) -> BaseAlgorithm:
    import sb3_contrib

    lstm = {"lstm_hidden_size": _UNITS, "net_arch": {"pi": [], "vf": []}}
    learner: BaseAlgorithm = sb3_contrib.RecurrentPPO("MlpLstmPolicy", env, policy_kwargs=lstm, **_COMMON)
    return learner


def _ours(circuit: str, policy: dict[str, Any]) -> CircuitPPO:
    return CircuitPPO(
        "CircuitPolicy", _swimmers(), sequence_length=_STEPS, policy_kwargs={"circuit": circuit, **policy}, **_COMMON
    )


def _swimmers() -> VecEnv:
    return SwimmerVecEnv(_ENVS, body="swimmer6", n_threads=2)


def _dm_control() -> VecEnv:
    import shimmy

    gymnasium.register_envs(shimmy)

    def make() -> gymnasium.Env[Any, Any]:
        env = gymnasium.make("dm_control/swimmer-swimmer6-v0")
        return gymnasium.wrappers.FlattenObservation(env)

    return DummyVecEnv([make] * _ENVS)


def _episode(learner: Any) -> tuple[float, float]:
    """Return the seconds spent in rollouts and in updates over an episode."""
    _, callback = learner._setup_learn(_ENVS * _STEPS, reset_num_timesteps=False)
    rollouts = updates = 0.0
    for _ in range(_ROLLOUTS):
        begin = time.perf_counter()
        learner.collect_rollouts(learner.env, callback, learner.rollout_buffer, _STEPS)
        middle = time.perf_counter()
        learner.train()
        rollouts, updates = rollouts + middle - begin, updates + time.perf_counter() - middle
    return rollouts, updates
