"""Train a run: build its learner, resume where it stopped, checkpoint as it goes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import safe_mean
from stable_baselines3.common.vec_env import VecNormalize
from tqdm import tqdm

from ..agents import ES, CircuitActorCriticPolicy, CircuitPolicy
from ..envs import make_body
from ..envs.sb3_vec_env import SwimmerVecEnv
from ..errors import InvalidRun
from .config import RunConfig
from .logging import make_logger
from .run import Checkpoint, Run


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
        self.env = self.config.make_env(self.config.options["n_envs"])
        self.normalizer: VecNormalize | None = None
        self.model = self._make_model()
        if checkpoint:
            self._restore(checkpoint)
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
                self.config.steps - done if done else self.config.steps,
                callback,
                log_interval=1,
                reset_num_timesteps=not done,
            )
            self.save(done=True)
        finally:
            bar.close()
            self.model.logger.close()
            self.env.close()

    def save(self, done: bool = False) -> None:
        """Write a checkpoint from which training goes on as if it had not stopped."""
        model = self.model
        tensors: dict[str, torch.Tensor] = {}
        for name, value in model.policy.state_dict().items():
            tensors[f"policy.{name}"] = value
        optimizer = model.policy.optimizer.state_dict()
        for index, slots in optimizer["state"].items():
            for name, value in slots.items():
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
        env_state, numbers = _split(self.env.get_state())
        tensors |= {f"env.{name}": torch.as_tensor(value) for name, value in env_state.items()}
        tensors["torch_rng"] = torch.get_rng_state()
        state: dict[str, Any] = {
            "done": done,
            "num_timesteps": model.num_timesteps,
            "n_updates": model._n_updates,
            "episode_num": model._episode_num,
            "numpy_rng": _jsonable(np.random.get_state(legacy=False)),  # noqa: NPY002  (SB3 draws from it)
            "env": numbers,
        }
        if isinstance(model, ES):
            state["generation"] = model.generation
        elif model._last_obs is not None:
            tensors["last_obs"] = torch.as_tensor(np.asarray(model._last_obs))
            tensors["last_episode_starts"] = torch.as_tensor(np.asarray(model._last_episode_starts))
        if self.normalizer is not None:
            state["normalizer"] = {
                "observation": _moments(self.normalizer.obs_rms) if self.normalizer.norm_obs else None,
                "return": _moments(self.normalizer.ret_rms),
                "returns": self.normalizer.returns.tolist(),
            }
            if self.normalizer.norm_obs:
                state["observation_stats"] = {
                    **_moments(self.normalizer.obs_rms),
                    "clip": self.normalizer.clip_obs,
                    "epsilon": self.normalizer.epsilon,
                }
        assert isinstance(model.policy, CircuitPolicy | CircuitActorCriticPolicy)
        weights = model.policy.circuit.state_dict()
        self.run.save_checkpoint(model.num_timesteps, weights, tensors, state)

    def _make_model(self) -> BaseAlgorithm:
        config, options = self.config, dict(self.config.options)
        options.pop("n_envs")
        common = {
            "circuit": config.circuit,
            "circuit_options": config.circuit_options,
            "layout": self.env.layout,
        }
        if config.algorithm == "es":
            return ES(
                "CircuitPolicy",
                self.env,
                seed=config.seed,
                policy_kwargs={**common, "seed": config.seed},
                **options,
            )
        policy_kwargs = {**common, "seed": config.seed, "action_std": options.pop("action_std")}
        norm_obs, norm_reward = options.pop("normalize_observation"), options.pop("normalize_reward")
        env: SwimmerVecEnv | VecNormalize = self.env
        if norm_obs or norm_reward:
            env = self.normalizer = VecNormalize(
                self.env, norm_obs=norm_obs, norm_reward=norm_reward, gamma=options["gamma"]
            )
        return PPO(
            CircuitActorCriticPolicy,
            env,
            seed=config.seed,
            policy_kwargs=policy_kwargs,
            device="cpu",
            **options,
        )

    def _restore(self, checkpoint: Checkpoint) -> None:
        model, tensors, state = self.model, checkpoint.training, checkpoint.state
        try:
            model.policy.load_state_dict(
                {name[7:]: value for name, value in tensors.items() if name.startswith("policy.")}
            )
            optimizer = model.policy.optimizer.state_dict()
            slots: dict[int, dict[str, torch.Tensor]] = {}
            for name, value in tensors.items():
                if name.startswith("optimizer."):
                    _, index, slot = name.split(".")
                    slots.setdefault(int(index), {})[slot] = value
            model.policy.optimizer.load_state_dict({**optimizer, "state": slots})
            arrays = {name[4:]: value.numpy() for name, value in tensors.items() if name.startswith("env.")}
            model.num_timesteps, model._n_updates = state["num_timesteps"], state["n_updates"]
            model._episode_num = state["episode_num"]
            if isinstance(model, ES):
                model.generation = state["generation"]
                # The environments start anew in every generation; SB3 must only not reset the counters.
                model._last_obs = np.zeros(0)
                return
            model._last_obs = tensors["last_obs"].numpy()
            model._last_episode_starts = tensors["last_episode_starts"].numpy()
            self.env.set_state(_join(arrays, state["env"]))
            if self.normalizer is not None:
                self.normalizer.returns = np.array(state["normalizer"]["returns"])
                if self.normalizer.norm_obs:
                    _set_moments(self.normalizer.obs_rms, state["normalizer"]["observation"])
                _set_moments(self.normalizer.ret_rms, state["normalizer"]["return"])
            torch.set_rng_state(tensors["torch_rng"])
            np.random.set_state(_from_json(state["numpy_rng"]))  # noqa: NPY002
        except (KeyError, RuntimeError, ValueError) as error:
            raise InvalidRun(f"{self.run.path}: the last checkpoint does not fit its config: {error}") from error


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


def _split(state: Mapping[str, Any], prefix: str = "") -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Part a nested state into arrays (by path) and JSON."""
    arrays: dict[str, np.ndarray] = {}
    rest: dict[str, Any] = {}
    for key, value in state.items():
        if isinstance(value, np.ndarray):
            arrays[prefix + key] = value
        elif isinstance(value, Mapping):
            inner, rest[key] = _split(value, f"{prefix}{key}/")
            arrays |= inner
        else:
            rest[key] = _jsonable(value)
    return arrays, rest


def _join(arrays: Mapping[str, np.ndarray], rest: Mapping[str, Any]) -> dict[str, Any]:
    """Put together again what `_split` parted."""
    state = {key: _from_json(value) for key, value in rest.items()}
    for path, value in arrays.items():
        *folders, name = path.split("/")
        place = state
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
    return state


def _jsonable(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, Mapping):
        return {key: _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        if value.keys() == {"array", "dtype"}:
            return np.array(value["array"], value["dtype"])
        return {key: _from_json(item) for key, item in value.items()}
    return [_from_json(item) for item in value] if isinstance(value, list) else value


def _moments(moments: Any) -> dict[str, Any]:
    return {"mean": moments.mean.tolist(), "var": moments.var.tolist(), "count": float(moments.count)}


def _set_moments(moments: Any, values: Mapping[str, Any]) -> None:
    moments.mean, moments.var = np.array(values["mean"]), np.array(values["var"])
    moments.count = values["count"]


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
