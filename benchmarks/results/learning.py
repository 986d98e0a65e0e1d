"""Learning curves of circuits under CircuitPPO, several seeds each, for docs/results/learning.md.

    python -m nervecord.benchmarks.results.learning runs/learning --page docs/results/learning.md

Every run is a folder. A second start skips finished runs and continues the others.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pandas as pd
import torch
from gymnasium import spaces
from gymnasium.wrappers import TransformObservation
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import VecNormalize

from ...agents import CircuitPPO
from ...drawing.figures import curves, figure_svg
from ...files import read_json, write_json, write_text
from ...intervals import bootstrap_mean
from ...training.rollouts.evaluation import evaluate
from ...training.runs.config import RunConfig
from ...training.studies.markdown import markdown_table
from .command import start
from .runs import run_each, trained
from .stored import results
from .tables import StudyArguments, interval_text, publish

KEPT = ("*/*/result.json",)
_LONG, _SHORT = 500_000, 300_000


@dataclasses.dataclass(frozen=True)
class Arguments(StudyArguments):
    """Train circuits on tasks with and without memory by PPO."""

    seeds: int = 10
    """Seeds of each circuit, at most: tasks with a body have three."""


@dataclasses.dataclass(frozen=True)
class Study:
    """Circuits on one task.

    Attributes:
        title: title of the figure.
        circuits: circuits to train.
        steps: environment steps.
        target: the score that counts as solved; None where there is none.
        metric: the metric scored after training, on new episodes.
        episodes: how many of them.
        seeds: of each circuit.
        circuit_options, algorithm_options: options other than the defaults; the former by circuit.
    """

    title: str
    circuits: tuple[str, ...]
    steps: int
    target: float | None = None
    metric: str = "return"
    episodes: int = 50
    seeds: int = 3
    circuit_options: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    algorithm_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


STUDIES = {
    "swim": Study("Swim, swimmer6", ("ncap", "mlp", "lstm", "ctrnn", "ctm"), _LONG),
    # Sequences are whole episodes, and units remember as long: the cue lies 30 steps back.
    "cueturn": Study(
        "CueTurn, swimmer6",
        ("lstm", "gru", "ctrnn", "mlp"),
        300_000,
        0.9,
        "success",
        400,
        circuit_options={"lstm": {"horizon": 100}, "gru": {"horizon": 100}, "ctrnn": {"tau": (1.0, 100.0)}},
        algorithm_options={
            "n_envs": 32,
            "n_steps": 100,
            "sequence_length": 100,
            "batch_size": 800,
            "learning_rate": 1e-3,
        },
    ),
    "cartpole": Study("CartPole-v1 without velocities", ("lstm", "ctm"), _SHORT, 475.0, seeds=10),
    # Without an entropy bonus, one CTM of three never swung up in 300,000 steps.
    "acrobot": Study(
        "Acrobot-v1 without velocities",
        ("lstm", "ctm"),
        _LONG,
        -100.0,
        seeds=10,
        algorithm_options={"ent_coef": 0.01},
    ),
}
# Gymnasium's id, and the columns that are positions.
_CLASSIC = {"cartpole": ("CartPole-v1", (0, 2)), "acrobot": ("Acrobot-v1", (0, 1, 2, 3))}
_CLASSIC_PPO: dict[str, Any] = {
    "n_steps": 128, "batch_size": 256, "sequence_length": 64, "n_epochs": 4, "learning_rate": 1e-3,
}  # fmt: skip


def run_study(out: Path, name: str, circuit: str, seed: int) -> None:
    """Train and score one circuit with one seed, unless its results exist already."""
    folder = out / name / f"{circuit}-{seed}"
    if (folder / "result.json").exists():
        return
    torch.set_num_threads(1)
    score = _classic if name in _CLASSIC else _embodied
    write_json(folder / "result.json", score(folder, name, circuit, seed))


def _embodied(folder: Path, name: str, circuit: str, seed: int) -> dict[str, Any]:
    study = STUDIES[name]
    config = RunConfig(
        circuit, "ppo", task=name, seed=seed, steps=study.steps, checkpoint_every=100_000,
        circuit_options=study.circuit_options.get(circuit, {}), algorithm_options=study.algorithm_options,
    )  # fmt: skip
    run = trained(folder / "run", config)
    table = run.metrics()
    curve = table[table["metric"] == "rollout/ep_rew_mean"]
    metrics = evaluate(run, episodes=study.episodes).metrics
    return {
        "steps": curve["step"].tolist(),
        "returns": curve["value"].tolist(),
        "score": float(np.mean(metrics[study.metric])),
        "metrics": {name: float(np.mean(values)) for name, values in metrics.items()},
    }


def _classic(folder: Path, name: str, circuit: str, seed: int) -> dict[str, Any]:  # noqa: ARG001
    env_id, columns = _CLASSIC[name]
    masked = functools.partial(_Masked, columns=columns)
    env = VecNormalize(make_vec_env(env_id, 8, seed=seed, wrapper_class=masked))
    options = {**_CLASSIC_PPO, **STUDIES[name].algorithm_options}
    learner = CircuitPPO("CircuitPolicy", env, seed=seed, policy_kwargs={"circuit": circuit}, **options)
    curve = _Curve()
    learner.learn(STUDIES[name].steps, curve)
    held_out = make_vec_env(env_id, 8, seed=10_000 + seed, wrapper_class=masked)
    test = VecNormalize(held_out, training=False, norm_reward=False)
    test.obs_rms = env.obs_rms
    score, _ = evaluate_policy(learner, test, 100)
    return {"steps": curve.steps, "returns": curve.returns, "score": float(np.mean(score))}


class _Masked(TransformObservation):
    """Show only some columns of the observation."""

    def __init__(self, env: gymnasium.Env[Any, Any], columns: Sequence[int]) -> None:
        full = env.observation_space
        assert isinstance(full, spaces.Box)
        kept = list(columns)
        space = spaces.Box(full.low[kept], full.high[kept], dtype=np.float32)
        super().__init__(env, lambda observation: observation[kept], space)


class _Curve(BaseCallback):
    """Keep the mean return of the last episodes, once a rollout."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []
        self.returns: list[float] = []

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        returns = [info["r"] for info in self.model.ep_info_buffer or ()]
        if returns:
            self.steps.append(self.num_timesteps)
            self.returns.append(float(np.mean(returns)))


def run_all(out: Path, arguments: Arguments) -> None:
    """Train and score every circuit of every study with every seed."""
    tasks = {
        f"{name}/{circuit}-{seed}": (out, name, circuit, seed)
        for name, study in STUDIES.items()
        for seed in range(min(arguments.seeds, study.seeds))
        for circuit in study.circuits
    }
    run_each(run_study, tasks, arguments.workers, "circuits")


def finished(folder: Path) -> pd.DataFrame:
    """Return study, circuit, seed, score and curve of each run."""
    rows = []
    for path in sorted(folder.glob(KEPT[0])):
        circuit, seed = path.parent.name.rsplit("-", 1)
        found = read_json(path, f"{path.parent} is damaged")
        rows.append({"study": path.parent.parent.name, "circuit": circuit, "seed": int(seed), **found})
    return pd.DataFrame(rows)


def table(found: pd.DataFrame) -> str:
    """Return the Markdown table of scores, with those of each seed."""
    lines = []
    for name, study in STUDIES.items():
        for circuit in study.circuits:
            scores = found[(found["study"] == name) & (found["circuit"] == circuit)].sort_values("seed")["score"]
            digits = 2 if study.metric == "success" else 0 if len(scores) > 3 else 1
            each = ", ".join(f"{score:.{digits}f}" for score in scores)
            target = "" if study.target is None else f"{study.target:g}"
            lines.append((study.title, circuit, interval_text(bootstrap_mean(scores), digits), target, each))
    return markdown_table(("task", "circuit", "score", "target", "each seed"), *lines)


def sides(found: pd.DataFrame) -> str:
    """Return the Markdown table of how often agents turn to the cued side, percent of episodes."""
    lines = []
    for circuit in STUDIES["cueturn"].circuits:
        metrics = found[(found["study"] == "cueturn") & (found["circuit"] == circuit)]["metrics"]
        shares = [[100 * each[name] for each in metrics] for name in ("correct", "success")]
        lines.append((circuit, *(interval_text(bootstrap_mean(each), 1) for each in shares)))
    return markdown_table(("circuit", "to the cued side, %", "and at least 0.4 rad, %"), *lines)


def figure(found: pd.DataFrame, name: str) -> str:
    """Return the learning curves of a study as an SVG."""
    study = STUDIES[name]
    groups = {}
    for circuit in study.circuits:
        rows = found[(found["study"] == name) & (found["circuit"] == circuit)]
        groups[circuit] = list(zip(rows["steps"], rows["returns"], strict=True))
    return figure_svg(curves(groups, study.title, study.target if study.metric == "return" else None))


def main(arguments: Arguments) -> None:
    """Run what the command line asks for."""
    with results(arguments, "circuits", functools.partial(run_all, arguments=arguments), KEPT) as folder:
        found = finished(folder)
    publish({"scores": table(found), "cueturn": sides(found)}, arguments.page)
    if arguments.page:
        for name in STUDIES:
            write_text(arguments.page.with_suffix("") / f"{name}.svg", figure(found, name))


if __name__ == "__main__":
    start(main, Arguments)
