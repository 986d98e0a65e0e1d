"""Overhead of parallel work: ES on one and two workers, a sweep against its runs alone, checkpoints.

Every row compares two things measured in the same run: `nervecord bench --scale`.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import pickle
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from ..agents import Agent
from ..agents.algorithms.algorithm import Evaluate
from ..agents.algorithms.population_learner import PopulationAlgorithm, PopulationLearner
from ..agents.algorithms.registry import algorithm_named
from ..envs import EnvBatch
from ..training.learning.engine import Engine, run_tasks
from ..training.learning.populations import open_evaluator
from ..training.learning.training import train
from ..training.rollouts.evaluation import evaluate
from ..training.runs.config import RunConfig
from ..training.runs.resolution import Resolved, resolve
from ..training.runs.run import Run
from ..training.studies.sweeps import Sweep, sweep

_ES = RunConfig(physics="mujoco", algorithm_options={"n_envs": 32, "population": 128})
_SWEPT: dict[str, Any] = {"physics": "mujoco", "steps": 320_000, "checkpoint_every": 160_000}
_EPISODES = 5


def scale(repeats: int = 3) -> list[dict[str, Any]]:
    """Measure everything; rows with name, value, unit and target."""
    rows = _es_rows("local", repeats)
    if importlib.util.find_spec("ray"):
        rows += _es_rows("ray", repeats)
    return rows + _generation_rows() + [_sweep_row(), *_checkpoint_rows()]


def as_text(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table."""
    return "\n".join(f"{row['name']:58}{row['value']:>12,.4g} {row['unit']:10}{row['target']}" for row in rows)


def _es_rows(engine: Engine, repeats: int) -> list[dict[str, Any]]:
    """Measure steps per second of whole generations with their updates, in turns; the ratio is a median."""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(repeats):
        for workers, found in rates.items():
            found.append(_generation_rate(workers, engine))
    one, two = (statistics.median(found) for found in rates.values())
    ratio = statistics.median(b / a for a, b in zip(*rates.values(), strict=True))
    where = {"local": "processes", "ray": "Ray actors"}[engine]
    return [
        {"name": f"ES, population 128, 1 of {where}", "value": one, "unit": "steps/s", "target": ""},
        {"name": f"ES, population 128, 2 of {where}", "value": two, "unit": "steps/s", "target": ""},
        {"name": f"ES, 2 {where} against 1", "value": ratio, "unit": "times", "target": "1.8 or more"},
    ]


def _generation_rate(workers: int, engine: Engine) -> float:
    resolved = resolve(_ES)
    evaluator = open_evaluator(resolved, workers, engine)
    envs = resolved.make_envs(resolved.options["n_envs"])
    try:
        learner = _learner(resolved, envs, evaluator.evaluate)
        # The first generation starts the workers and traces their circuits.
        learner.advance()
        begin = time.perf_counter()
        learner.advance()
        return learner.steps_at_once / (time.perf_counter() - begin)
    finally:
        evaluator.close()
        envs.close()


def _learner(resolved: Resolved, envs: EnvBatch, evaluate: Evaluate | None = None) -> PopulationLearner:
    agent, algorithm = Agent(resolved.agent), algorithm_named(resolved.config.algorithm)
    assert isinstance(algorithm, PopulationAlgorithm)
    return algorithm.start(agent, envs, resolved.options, resolved.config.seed, evaluate)


def _generation_rows() -> list[dict[str, Any]]:
    """Measure one machine's computing time and sent bytes per generation, for docs/scale.md."""
    rows = []
    for circuit in ("ncap", "mlp"):
        config = dataclasses.replace(_ES, circuit=circuit, algorithm_options={"n_envs": 32, "population": 4096})
        resolved = resolve(config)
        envs = resolved.make_envs(32)
        learner = _learner(resolved, envs)
        begin = time.perf_counter()
        rounds = learner.rounds()
        learner.learn_from(torch.randn(4096).numpy())
        seconds = time.perf_counter() - begin
        sent = len(pickle.dumps(rounds[0]))
        envs.close()
        rows += [
            {"name": f"ask and tell, population 4096, {circuit}", "value": 1e3 * seconds, "unit": "ms", "target": ""},
            {"name": f"sent to a round of 32 members, {circuit}", "value": sent / 1e3, "unit": "kB", "target": ""},
        ]
    return rows


def _sweep_row() -> dict[str, Any]:
    """Time a sweep on one worker against the same runs one after the other in one worker process."""
    with tempfile.TemporaryDirectory() as folder:
        plan = Sweep(_SWEPT, {"seed": list(range(6))}, _EPISODES)
        begin = time.perf_counter()
        sweep(plan, Path(folder) / "sweep", workers=1, progress=False)
        swept = time.perf_counter() - begin
        configs = plan.configs()
        alone = dict(run_tasks(_runs_alone, {"all": (list(configs.values()), Path(folder) / "alone")}, workers=1))[
            "all"
        ]
    return {
        "name": "a sweep over its 6 runs alone",
        "value": 100 * (swept / alone - 1),
        "unit": "%",
        "target": "below 3",
    }


def _runs_alone(configs: list[RunConfig], folder: Path) -> float:
    """Return the seconds that training and evaluating takes, without starting the process."""
    begin = time.perf_counter()
    for config in configs:
        evaluate(train(config, folder / str(config.seed), progress=False), _EPISODES)
    return time.perf_counter() - begin


def _checkpoint_rows() -> list[dict[str, Any]]:
    rows = []
    for config in (
        RunConfig(steps=480_000, physics="mujoco"),
        RunConfig("mlp", "ppo", steps=131_072, physics="mujoco"),
        RunConfig("lstm", "ppo", steps=131_072, physics="mujoco"),
    ):
        with tempfile.TemporaryDirectory() as folder:
            spent: list[float] = []
            save = Run.save_checkpoint

            def timed(run: Run, *held: Any, save: Any = save, spent: list[float] = spent, **more: Any) -> None:
                begin = time.perf_counter()
                save(run, *held, **more)
                spent.append(time.perf_counter() - begin)

            with mock.patch.object(Run, "save_checkpoint", timed):
                begin = time.perf_counter()
                train(config, Path(folder) / "run", progress=False)
            share = sum(spent) / (time.perf_counter() - begin)
        name = f"{len(spent)} checkpoints of {config.circuit} under {config.algorithm}"
        rows.append({"name": name, "value": 100 * share, "unit": "% of time", "target": "below 2"})
    return rows
