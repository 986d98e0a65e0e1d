"""A learner at one moment, as plain tensors and JSON: what a checkpoint holds and training goes on from."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.utils import seeding
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import recursive_getattr

from ...agents import CMAES, ES, CircuitPPO
from ...envs.deficits import DeficitVecEnv
from ...envs.sb3_env import SwimmerVecEnv

_REPLAYED = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


def take(model: BaseAlgorithm) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return everything that the rest of training depends on, as tensors and as JSON."""
    env = _swimmers(model)
    arrays, numbers = _split(env.get_state())
    tensors = {f"env.{name}": torch.as_tensor(value) for name, value in arrays.items()}
    tensors["torch_rng"] = torch.get_rng_state()
    names, loose = model._get_torch_save_params()
    for name in names:
        tensors |= _flat(f"model.{name}", recursive_getattr(model, name).state_dict())
    tensors |= {f"model.{name}": recursive_getattr(model, name).detach() for name in loose}
    state: dict[str, Any] = {
        "num_timesteps": model.num_timesteps,
        "n_updates": model._n_updates,
        "episode_num": model._episode_num,
        "episodes": list(model.ep_info_buffer or ()),
        "numpy_rng": _jsonable(np.random.get_state(legacy=False)),  # noqa: NPY002  (SB3 draws from it)
        "env": numbers,
    }
    if isinstance(model, ES):
        state["generation"] = model.generation
        if isinstance(model, CMAES) and model.history:
            tensors["returns"] = torch.as_tensor(np.stack(model.history))
    elif model._last_obs is not None:
        tensors["last_obs"] = torch.as_tensor(np.asarray(model._last_obs))
        tensors["last_episode_starts"] = torch.as_tensor(np.asarray(model._last_episode_starts))
    if isinstance(model, CircuitPPO):
        tensors |= {f"last_state.{name}": value for name, value in (model._last_state or {}).items()}
    if isinstance(model, OffPolicyAlgorithm):
        state["action_rng"] = _jsonable(model.action_space.np_random.bit_generator.state)
        replay = model.replay_buffer
        assert isinstance(replay, ReplayBuffer)
        state["replay"] = {"pos": replay.pos, "full": replay.full}
        held = replay.buffer_size if replay.full else replay.pos
        tensors |= {f"replay.{name}": torch.as_tensor(getattr(replay, name)[:held]) for name in _REPLAYED}
    normalizer = model.get_vec_normalize_env()
    if normalizer is not None:
        state["normalizer"] = {
            "observation": _moments(normalizer.obs_rms) if normalizer.norm_obs else None,
            "return": _moments(normalizer.ret_rms),
            "returns": normalizer.returns.tolist(),
        }
    if (stats := observation_stats(model)) is not None:
        state["observation_stats"] = stats
    return tensors, state


def observation_stats(model: BaseAlgorithm) -> dict[str, Any] | None:
    """Return the statistics by which a learner normalises its observations, None where it does not."""
    normalizer = model.get_vec_normalize_env()
    if normalizer is None or not normalizer.norm_obs:
        return None
    return {**_moments(normalizer.obs_rms), "clip": normalizer.clip_obs, "epsilon": normalizer.epsilon}


def put_back(model: BaseAlgorithm, tensors: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
    """Make a fresh learner go on from what `take` returned.

    Raises:
        KeyError, RuntimeError, ValueError: it is of another learner.
    """
    # Memory of torch's own: the last bit of a sum can depend on how its terms are aligned.
    tensors = {name: value.clone() for name, value in tensors.items()}
    names, loose = model._get_torch_save_params()
    for name in names:
        module = recursive_getattr(model, name)
        module.load_state_dict(_nested(f"model.{name}.", tensors, module.state_dict()))
    with torch.no_grad():
        for name in loose:
            recursive_getattr(model, name).copy_(tensors[f"model.{name}"])
    model.num_timesteps, model._n_updates = state["num_timesteps"], state["n_updates"]
    model._episode_num = state["episode_num"]
    model.ep_info_buffer = deque(state["episodes"], maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    deficits = _wrapper(model, DeficitVecEnv)
    if isinstance(deficits, DeficitVecEnv):
        deficits.num_timesteps = model.num_timesteps
    if isinstance(model, ES):
        model.generation = state["generation"]
        if isinstance(model, CMAES) and "returns" in tensors:
            model.history = list(tensors["returns"].numpy())
        # The environments start anew in every generation; SB3 must only not reset the counters.
        model._last_obs = np.zeros(0)
        return
    model._last_obs = tensors["last_obs"].numpy()
    model._last_episode_starts = tensors["last_episode_starts"].numpy()
    arrays = {name[4:]: value.numpy() for name, value in tensors.items() if name.startswith("env.")}
    _swimmers(model).set_state(_join(arrays, state["env"]))
    if isinstance(model, CircuitPPO):
        held = {name[11:]: value for name, value in tensors.items() if name.startswith("last_state.")}
        model._last_state = held or None
    if isinstance(model, OffPolicyAlgorithm):
        model.action_space._np_random = seeding.np_random(0)[0]
        model.action_space.np_random.bit_generator.state = _from_json(state["action_rng"])
        replay = model.replay_buffer
        assert isinstance(replay, ReplayBuffer)
        replay.pos, replay.full = state["replay"]["pos"], state["replay"]["full"]
        for name in _REPLAYED:
            values = tensors[f"replay.{name}"].numpy()
            getattr(replay, name)[: len(values)] = values
    normalizer = model.get_vec_normalize_env()
    if normalizer is not None:
        normalizer.returns = np.array(state["normalizer"]["returns"])
        if normalizer.norm_obs:
            _set_moments(normalizer.obs_rms, state["normalizer"]["observation"])
        _set_moments(normalizer.ret_rms, state["normalizer"]["return"])
    torch.set_rng_state(tensors["torch_rng"])
    np.random.set_state(_from_json(state["numpy_rng"]))  # noqa: NPY002


def _swimmers(model: BaseAlgorithm) -> SwimmerVecEnv:
    assert model.env is not None
    env = model.env.unwrapped
    assert isinstance(env, SwimmerVecEnv)
    return env


def _wrapper(model: BaseAlgorithm, kind: type) -> Any:
    env: Any = model.env
    while env is not None and not isinstance(env, kind):
        env = getattr(env, "venv", None)
    return env


def _flat(prefix: str, state: Mapping[Any, Any]) -> dict[str, torch.Tensor]:
    """Flatten a module's state, or an optimiser's slots: its groups come from the config."""
    if "param_groups" in state:
        slots = state["state"].items()
        return {f"{prefix}.{i}.{slot}": torch.as_tensor(value) for i, held in slots for slot, value in held.items()}
    return {f"{prefix}.{name}": value for name, value in state.items()}


def _nested(prefix: str, tensors: Mapping[str, torch.Tensor], like: Mapping[str, Any]) -> dict[str, Any]:
    """Undo `_flat` into a state such as `like`."""
    found = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
    if "param_groups" not in like:
        return {name: found[name] for name in like}
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in found.items():
        index, slot = name.split(".")
        slots.setdefault(int(index), {})[slot] = value
    return {**like, "state": slots}


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
