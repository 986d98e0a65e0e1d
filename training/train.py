"""Train a run: build its learner, resume where it stopped, checkpoint as it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import safe_mean
from stable_baselines3.common.vec_env import VecEnv
from tqdm import tqdm

from ..envs import make_body
from ..envs.deficits import DeficitVecEnv
from ..errors import InvalidRun
from . import snapshot
from .config import RunConfig
from .learners import make_learner
from .logging import make_logger
from .run import Run


def train(config: RunConfig, out: str | Path, progress: bool = True) -> Run:
    """Train what the config says, in the folder `out`; a run that stands there goes on or is done.

    Stopped at any moment (Ctrl-C), it goes on from its last checkpoint when called again.

    Raises:
        InvalidRun: another run stands in `out`.
        OutputExists: something that is no run stands there.
    """
    run = Run.create(out, config)
    if not run.done:
        _Training(run, progress).go()
    return run


def resume(path: str | Path, progress: bool = True) -> Run:
    """Go on with the run in a folder."""
    run = Run(path)
    return train(run.config, path, progress)


class _Training:
    """One sitting at a run."""

    def __init__(self, run: Run, progress: bool) -> None:
        self.run, self.config, self.progress = run, run.config, progress
        checkpoint = run.load_checkpoint()
        # One thread: these networks are small, and MuJoCo's threads need the cores.
        torch.set_num_threads(1)
        self.env: VecEnv = self.config.make_env(self.config.options["n_envs"])
        if self.config.deficits:
            self.env = DeficitVecEnv(self.env, self.env.get_attr("layout")[0], self.config.deficits)
        self.model: BaseAlgorithm = make_learner(self.config, self.env)
        if checkpoint:
            try:
                snapshot.put_back(self.model, checkpoint.training, checkpoint.state)
            except (KeyError, RuntimeError, ValueError) as error:
                reason = " ".join(str(error).split())
                raise InvalidRun(f"{run.path}: its checkpoint is of another circuit or algorithm ({reason})") from error
        # Even at step 0: the environments are reset already, and a second reset would draw other episodes.
        self.resumes = checkpoint is not None
        self.model.set_logger(make_logger(run.path, checkpoint.step if checkpoint else 0))

    def go(self) -> None:
        """Train to the last step, with checkpoints on the way."""
        done = self.model.num_timesteps
        bar = tqdm(
            total=self.config.steps, initial=min(done, self.config.steps), unit="step", unit_scale=True,
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
            self.save(done=True)
        finally:
            bar.close()
            self.model.logger.close()
            self.env.close()

    def save(self, done: bool = False) -> None:
        """Write a checkpoint from which training goes on as if it had not stopped."""
        tensors, state = snapshot.take(self.model)
        circuit: Any = self.model.policy.circuit
        self.run.save_checkpoint(self.model.num_timesteps, circuit.state_dict(), tensors, {"done": done, **state})


class _Watch(BaseCallback):
    """Move the bar, log how far the bodies get, and checkpoint between updates."""

    def __init__(self, training: _Training, bar: Any) -> None:
        super().__init__()
        self.training, self.bar = training, bar
        # A run stopped before its first checkpoint is due must open all the same.
        due = training.model.num_timesteps - training.config.checkpoint_every
        self._saved = training.model.num_timesteps if training.run.checkpoints() else due

    def _on_step(self) -> bool:
        self.bar.update(self.training.env.num_envs)
        return True

    def _on_rollout_end(self) -> None:
        speeds = [info["net_speed"] for info in self.model.ep_info_buffer or () if "net_speed" in info]
        if speeds:
            self.logger.record("rollout/net_speed", safe_mean(speeds))

    def _on_rollout_start(self) -> None:
        # Between an update and the next rollout nothing is half done: the moment to checkpoint.
        if self.model.num_timesteps - self._saved >= self.training.config.checkpoint_every:
            self.training.save()
            self._saved = self.model.num_timesteps
        returns = [info["r"] for info in self.model.ep_info_buffer or ()]
        if returns:
            self.bar.set_postfix({"return": f"{np.mean(returns[-self.training.env.num_envs :]):.0f}"})


def summary(run: Run) -> dict[str, Any]:
    """Return what a run has reached: steps, and its last mean return in training."""
    table = run.metrics()
    returns = table[table["metric"] == "rollout/ep_rew_mean"]
    config = run.config
    return {
        "run": str(run.path),
        "done": run.done,
        "steps": int(table["step"].max()) if len(table) else 0,
        "return": float(returns["value"].iloc[-1]) if len(returns) else None,
        "weights": sum(parameter.numel() for parameter in run.policy().circuit.parameters()),
        "config": {**config.to_json(), "body": make_body(config.body).name},
    }
