"""Agents that Stable-Baselines3 saved itself: zip files that run code when they are read."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from stable_baselines3 import A2C, DDPG, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm

from ...errors import InvalidRun, UnknownName
from .algorithms import CMAES, ES, CircuitPPO

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


def load_sb3(path: str | Path, algorithm: str, trust: bool = False) -> BaseAlgorithm:
    """Load what `model.save(path)` wrote.

    SB3 keeps parts of a model as pickles, which may do anything when they are read. Runs of nervecord hold
    none and open safely.

    Args:
        path: the zip file.
        algorithm: which class saved it; see `CLASSES`.
        trust: that the file may run code.

    Raises:
        InvalidRun: not trusted, missing, or no model of that class.
        UnknownName: no such algorithm.
    """
    if not trust:
        raise InvalidRun(
            f"{path} is SB3's own format, which can run any code when it is read; "
            "give --trust if you know who made it, or use a run folder, which opens safely"
        )
    if algorithm not in CLASSES:
        raise UnknownName("class of SB3 model", algorithm, CLASSES)
    try:
        return CLASSES[algorithm].load(path, device="cpu")
    except FileNotFoundError as error:
        raise InvalidRun(f"{path} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise InvalidRun(f"{path} is no model that SB3's {algorithm} saved: {reason}") from error
