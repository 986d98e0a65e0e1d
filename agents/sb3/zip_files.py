"""Agents that Stable-Baselines3 saved itself: zip files and statistics, which run code when they are read."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3 import A2C, DDPG, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecNormalize

from ...errors import InvalidRun, UnknownName
from ...extras import require
from .circuit_ppo import CircuitPPO
from .population import CMAES, ES

CLASSES: Mapping[str, type[BaseAlgorithm]] = {
    "a2c": A2C,
    "cmaes": CMAES,
    "circuit-ppo": CircuitPPO,
    "ddpg": DDPG,
    "es": ES,
    "ppo": PPO,
    "sac": SAC,
    "td3": TD3,
}
# Those of sb3-contrib, which need not be installed.
CONTRIB = {"ars": "ARS", "crossq": "CrossQ", "recurrent-ppo": "RecurrentPPO", "tqc": "TQC", "trpo": "TRPO"}
# What a saved model keeps tells its class: the first of these of which it keeps all.
_KEPT = {
    "circuit-ppo": ("sequence_length", "clip_range"),
    "trpo": ("cg_max_steps",),
    "ars": ("delta_std_schedule",),
    "tqc": ("top_quantiles_to_drop_per_net",),
    "crossq": ("policy_delay", "target_entropy"),
    "td3": ("policy_delay", "target_policy_noise"),
    "sac": ("target_entropy", "tau"),
    "ppo": ("clip_range", "n_epochs"),
    "a2c": ("gae_lambda", "n_steps"),
}
_READING = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, EOFError, ImportError)


def load_sb3(path: str | Path, algorithm: str | None = None, trust: bool = False) -> BaseAlgorithm:
    """Load what `model.save(path)` wrote.

    SB3 keeps parts of a model as pickles, which may do anything when they are read. Runs of nervecord hold
    none and open safely.

    Args:
        path: the zip file.
        algorithm: which class saved it; see `CLASSES` and `CONTRIB`. None takes the class that the file tells.
        trust: that the file may run code.

    Raises:
        InvalidRun: not trusted, missing, or no model of that class.
        UnknownName: there is no such algorithm.
        MissingDependency: a class of sb3-contrib, which is not installed.
    """
    _check_trust(path, "SB3's own format", trust)
    if algorithm is not None and algorithm not in (*CLASSES, *CONTRIB):
        raise UnknownName("class of SB3 model", algorithm, (*CLASSES, *CONTRIB))
    found = algorithm_of(path)
    # DDPG is TD3 with other settings, which the file does not tell from TD3's.
    if algorithm not in (None, found) and {algorithm, found} != {"ddpg", "td3"}:
        raise InvalidRun(f"{path} is not a model that SB3's {algorithm} saved: it is one of {found}")
    try:
        return _class_named(algorithm or found).load(path, device="cpu")
    except (*_READING, pickle.UnpicklingError) as error:
        raise InvalidRun(
            f"{path} is not a model that SB3's {algorithm or found} saved: {_in_one_line(error)}"
        ) from error


def algorithm_of(path: str | Path) -> str:
    """Return the name of the class that saved a zip file, a key of `CLASSES` or `CONTRIB`; runs no code of the file.

    Raises:
        InvalidRun: the file is missing, or none of these classes saved it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            kept: Any = json.loads(archive.read("data"))
            weights = archive.read("policy.pth") if "policy.pth" in archive.namelist() else b""
    except FileNotFoundError as error:
        raise InvalidRun(f"{path} is missing") from error
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InvalidRun(f"{path} is not a model saved by SB3: {_in_one_line(error)}") from error
    if not isinstance(kept, dict):
        raise InvalidRun(f"{path} is not a model saved by SB3: its data is a {type(kept).__name__}")
    if {"progress", "options"} <= kept.keys():
        return "es" if "learning_rate" in kept["options"] else "cmaes"
    found = next((name for name, names in _KEPT.items() if all(each in kept for each in names)), None)
    if found is None:
        raise InvalidRun(
            f"{path} is of a class of SB3's that is not known here; known: {', '.join(sorted([*CLASSES, *CONTRIB]))}"
        )
    # RecurrentPPO keeps no other settings than PPO does; its weights have other names.
    return "recurrent-ppo" if found == "ppo" and b"lstm_actor" in weights else found


def load_statistics(path: str | Path, trust: bool = False) -> VecNormalize:
    """Load what `VecNormalize.save(path)` wrote; the statistics move no more.

    Raises:
        InvalidRun: not trusted, missing, or no VecNormalize with statistics of one flat observation.
    """
    _check_trust(path, "a pickle", trust)
    try:
        with open(path, "rb") as file:
            found = pickle.load(file)
    except FileNotFoundError as error:
        raise InvalidRun(f"{path} is missing") from error
    except (*_READING, IndexError, pickle.UnpicklingError) as error:
        raise InvalidRun(f"{path} is not a file written by VecNormalize.save: {_in_one_line(error)}") from error
    if not isinstance(found, VecNormalize) or (found.norm_obs and not hasattr(found.obs_rms, "mean")):
        raise InvalidRun(
            f"{path} is not a VecNormalize of one flat observation; give a file written by VecNormalize.save"
        )
    found.training = False
    return found


def statistics_beside(path: str | Path) -> Path | None:
    """Return the VecNormalize statistics that lie beside a zip file where RL Zoo and SB3's callbacks put them."""
    path = Path(path)
    steps = re.fullmatch(r"(.+)_(\d+)_steps", path.stem)
    of_step = [path.parent / f"{steps[1]}_vecnormalize_{steps[2]}_steps.pkl"] if steps else []
    names = ("vecnormalize.pkl", "vec_normalize.pkl")
    # RL Zoo keeps them in a folder named after the environment, as the last model is; the best one is not.
    near = [*of_step, *(folder / name for folder in (path.with_suffix(""), path.parent) for name in names)]
    if found := next((each for each in near if each.is_file()), None):
        return found
    below = [each for name in names for each in path.parent.glob(f"*/{name}")]
    return below[0] if len(below) == 1 else None


def saw_normalized(model: BaseAlgorithm) -> bool:
    """Say whether what a model saw last shows that VecNormalize stood between it and its environments."""
    last, space = model._last_obs, model.observation_space
    if getattr(model, "_last_original_obs", None) is not None:
        return True
    if not isinstance(last, np.ndarray) or space.shape is None or last.shape[1:] != space.shape:
        return False
    low, high = getattr(space, "low", -np.inf), getattr(space, "high", np.inf)
    # VecNormalize returns single precision whatever the space says, and does not keep to its bounds.
    return last.dtype != space.dtype or bool(np.any((last < low) | (last > high)))


def _check_trust(path: str | Path, what: str, trust: bool) -> None:
    if not trust:
        raise InvalidRun(
            f"{path} is {what}, which can run any code when it is read; "
            "give --trust if you know who made it, or use a run folder, which opens safely"
        )


def _class_named(name: str) -> type[BaseAlgorithm]:
    if name in CLASSES:
        return CLASSES[name]
    found: type[BaseAlgorithm] = getattr(require("sb3_contrib", "contrib"), CONTRIB[name])
    return found


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())
