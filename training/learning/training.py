"""Train a run: build its learner, resume where it stopped, checkpoint as it goes."""

from __future__ import annotations

import logging
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import safe_mean
from stable_baselines3.common.vec_env import VecEnv

from ...agents import ES
from ...circuits import load_weights
from ...envs import make_body
from ...envs.deficits import DeficitVecEnv
from ...errors import InvalidRun
from ...progress import progress_bar
from ..rollouts.evaluation import evaluate_agent
from ..runs.config import RunConfig
from ..runs.held_graphs import tell_graph
from ..runs.metrics_log import make_logger
from ..runs.run import Run, make_policy
from . import snapshot
from .checks import check
from .engine import Engine
from .learners import make_learner
from .populations import Workers, open_evaluator
from .protection import protect
from .start import start_from
from .stopping import Stop, stopping

_log = logging.getLogger(__name__)


def train(
    config: RunConfig,
    out: str | Path,
    progress: bool = True,
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
) -> Run:
    """Train what the config says, in the folder `out`; a run that stands there goes on or is done.

    Ctrl-C, SIGTERM and SIGHUP have it write a checkpoint and stop; killed at any moment, it goes on from its
    last checkpoint when called again.

    Args:
        config: what to train.
        out: folder of the run.
        progress: show a bar.
        workers: processes that evaluate the rounds of a population (es, cmaes), one core each, with the
            same result whatever their number; None evaluates them here, on all cores.
        engine, address: where workers are; see `run_tasks`.

    Raises:
        InvalidRun: another run stands in `out`, or is trained there now, or workers that the algorithm has no
            use for.
        OutputExists: something that is no run stands there.
    """
    evaluator = None
    if workers is not None or engine != "local":
        evaluator = open_evaluator(config, 1 if workers is None else workers, engine, address)
    try:
        run = Run.create(out, config, check)
        if not run.done:
            with stopping() as stop, run.lock():
                _Training(run, progress, evaluator, stop).go()
        elif progress:
            print(f"{run.path} is done already; nothing was trained", file=sys.stderr)
        return run
    finally:
        if evaluator is not None:
            evaluator.close()


def resume(path: str | Path, progress: bool = True, **where: Any) -> Run:
    """Go on with the run in a folder; `where` are the workers, engine and address of `train`."""
    run = Run(path)
    return train(run.config, path, progress, **where)


class _Training:
    """One sitting at a run."""

    def __init__(self, run: Run, progress: bool, evaluator: Workers | None, stop: Stop | None = None) -> None:
        self.run, self.config, self.progress = run, run.config, progress
        self.stop = stop or Stop()
        checkpoint = run.load_checkpoint()
        # One thread: these networks are small, and MuJoCo's threads need the cores.
        torch.set_num_threads(1)
        # Before the learner, which sets the random numbers that building a circuit draws from.
        self.evaluation = _Evaluation(self.config) if self.config.evaluate_every else None
        self.env: VecEnv = self.config.make_env(self.config.options["n_envs"])
        if self.config.deficits:
            self.env = DeficitVecEnv(self.env, self.env.get_attr("layout")[0], self.config.deficits)
        self.model: BaseAlgorithm = make_learner(self.config, self.env)
        if isinstance(self.model, ES):
            self.model.evaluator = evaluator
        # What is protected must be seen as the start saw it, in a later sitting too.
        if self.config.start is not None and (checkpoint is None or self.config.protect):
            start_from(self.model, self.config)
        if self.config.protect and (free := protect(self.model, self.config)):
            _log.warning("weights that act in no linear map learn unprotected: %s", ", ".join(free))
        if checkpoint:
            try:
                snapshot.put_back(self.model, checkpoint.training, checkpoint.state)
            except (KeyError, RuntimeError, ValueError) as error:
                reason = " ".join(str(error).split())
                raise InvalidRun(f"{run.path}: its checkpoint is of another circuit or algorithm ({reason})") from error
        # Even at step 0: the environments are reset already, and a second reset would draw other episodes.
        self.resumes = checkpoint is not None
        self.model.set_logger(make_logger(run.path, checkpoint.step if checkpoint else None))

    def go(self) -> None:
        """Train to the last step, with checkpoints on the way."""
        done, total = self.model.num_timesteps, self._whole_steps()
        bar = progress_bar(
            total=total, initial=done, unit="step", unit_scale=True,
            desc=f"train {self.run.path.name}", disable=not self.progress,
        )  # fmt: skip
        callback = _Watch(self, bar)
        try:
            self.model.learn(
                self.config.steps - done,
                callback,
                log_interval=1,
                reset_num_timesteps=not self.resumes,
            )
            callback.evaluate()
            self.save(done=True)
        finally:
            bar.close()
            self.model.logger.close()
            self.env.close()
            if self.evaluation is not None:
                self.evaluation.env.close()

    def _whole_steps(self) -> int:
        """Return how many steps the whole generations or rollouts are that the steps asked for come to."""
        options, asked = self.config.options, self.config.steps
        if "population" in options:
            steps = self.env.get_attr("batch")[0].episode_steps
            what, many, long = "generation", options["population"] or options["n_envs"], steps
        else:
            what, many, long = "rollout", options["n_envs"], options.get("n_steps", 1)
        total = math.ceil(asked / (many * long)) * many * long
        if total != asked and self.progress:
            one = f"one {what} is {many} x {long:,} = {many * long:,} steps"
            print(f"{one}: {total:,} steps will be trained", file=sys.stderr)
        return total

    def save(self, done: bool = False) -> None:
        """Write a checkpoint from which training goes on as if it had not stopped."""
        # What the last update recorded is written with the next rollout, which a resumed run knows nothing of.
        self.model.logger.dump(self.model.num_timesteps)
        tensors, state = snapshot.take(self.model)
        circuit: Any = self.model.policy.circuit
        self.run.save_checkpoint(self.model.num_timesteps, circuit.state_dict(), tensors, {"done": done, **state})


class _Watch(BaseCallback):
    """Move the bar, log how far the bodies get, evaluate and checkpoint between updates."""

    def __init__(self, training: _Training, bar: Any) -> None:
        super().__init__()
        self.training, self.bar = training, bar
        config, step = training.config, training.model.num_timesteps
        # A run stopped before its first checkpoint is due must open all the same.
        self._saved = step if training.resumes else step - config.checkpoint_every
        # What is evaluated and checkpointed at the same step was evaluated first.
        self._evaluated = step if training.resumes else -1
        self._evaluation = training.evaluation

    def _on_step(self) -> bool:
        self.bar.update(self.model.num_timesteps - self.bar.n)
        return True

    def _on_rollout_end(self) -> None:
        speeds = [info["net_speed"] for info in self.model.ep_info_buffer or () if "net_speed" in info]
        if speeds:
            self.logger.record("rollout/net_speed", safe_mean(speeds))

    def _on_rollout_start(self) -> None:
        # Between an update and the next rollout nothing is half done: the moment to look and to checkpoint.
        every = self.training.config.evaluate_every
        if every and self.model.num_timesteps // every > self._evaluated // every:
            self.evaluate()
        stop = self.training.stop
        if self.model.num_timesteps - self._saved >= self.training.config.checkpoint_every or stop.requested:
            self.training.save()
            self._saved = self.model.num_timesteps
        stop.check()
        returns = [info["r"] for info in self.model.ep_info_buffer or ()]
        if returns:
            self.bar.set_postfix({"return": f"{np.mean(returns[-self.training.env.num_envs :]):.0f}"}, refresh=False)

    def evaluate(self) -> None:
        """Log how the agent does now, if the run is to be evaluated and was not at this step."""
        if self._evaluation is not None and self._evaluated != self.model.num_timesteps:
            for name, value in self._evaluation(self.model).items():
                self.logger.record(f"eval/{name}", value)
            self.logger.dump(self.model.num_timesteps)
            self._evaluated = self.model.num_timesteps


class _Evaluation:
    """Evaluate a learner's agent while it learns, apart from its environments and random numbers."""

    episodes = 5

    def __init__(self, config: RunConfig) -> None:
        self.env = config.make_env(self.episodes, randomize={})
        self.policy = make_policy(config, self.env)

    def __call__(self, model: BaseAlgorithm) -> dict[str, float]:
        """Return the means of what the episodes came to."""
        learning: Any = model.policy
        load_weights(self.policy.circuit, learning.circuit.state_dict())
        self.policy.observation_stats = snapshot.observation_stats(model)
        found = evaluate_agent(self.policy, self.env)
        return {name: float(values.mean()) for name, values in found.metrics.items()}


def summary(run: Run) -> dict[str, Any]:
    """Return what a run has reached: steps, and its last mean return in training."""
    table = run.metrics()
    returns = table[table["metric"] == "rollout/ep_rew_mean"]
    config, checkpoint = run.config, run.load_checkpoint()
    return {
        "run": str(run.path),
        "done": run.done,
        "steps": checkpoint.step if checkpoint else 0,
        "return": float(returns["value"].iloc[-1]) if len(returns) else None,
        "weights": sum(parameter.numel() for parameter in run.policy().circuit.parameters()),
        "config": {
            **config.to_json(),
            "body": make_body(config.body).name,
            "circuit_options": tell_graph(config.circuit_options),
        },
    }
