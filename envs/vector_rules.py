"""Gymnasium's rules for vector environments: seeds, reset masks, infos and the spec."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import Any

import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode
from jaxtyping import Bool, Int, Shaped

from ..errors import InvalidAction, InvalidArgument, InvalidTask
from ..options import told


class Described:
    """An environment whose description by gymnasium holds the limit and the threshold of its own episodes.

    The ids are registered without a limit: gymnasium would wrap a second one around, which follows neither
    `episode_steps` nor `set_state`.
    """

    _spec: EnvSpec | None = None

    @property
    def spec(self) -> EnvSpec | None:
        """The environment's spec from gymnasium; None if gymnasium did not make it."""
        return self._spec

    @spec.setter
    def spec(self, spec: EnvSpec | None) -> None:
        if spec is not None:
            spec.max_episode_steps, spec.reward_threshold = self._limits()
        self._spec = spec

    @abstractmethod
    def _limits(self) -> tuple[int, float | None]:
        """Return the control steps after which an episode has ended, and the return that counts as solved."""


def autoreset_mode_of(mode: AutoresetMode | str) -> AutoresetMode:
    """Return gymnasium's autoreset mode of that name.

    Raises:
        InvalidTask: there is none such.
    """
    try:
        return AutoresetMode(mode)
    except ValueError as error:
        known = ", ".join(each.value for each in AutoresetMode)
        raise InvalidTask(f"autoreset_mode is {mode!r}; give one of {known}") from error


def seeds_for(seed: int | Sequence[int | None] | None, n_envs: int) -> list[int | None]:
    """Return the seed of each environment: seed + i, or those that are given.

    Raises:
        InvalidTask: another number of them, or one that is not a whole number, 0 or more.
    """
    if seed is None:
        return [None] * n_envs
    if isinstance(seed, Sequence | np.ndarray) and not isinstance(seed, str | bytes):
        if len(seed) != n_envs:
            raise InvalidTask(f"{len(seed)} seeds for {n_envs} environments; give one each")
        return [None if each is None else _as_seed(each) for each in seed]
    first = _as_seed(seed)
    return [first + index for index in range(n_envs)]


def _as_seed(seed: Any) -> int:
    # No upper bound: those that gymnasium draws have 128 bits.
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise InvalidTask(f"seed is {told(seed)}; give a whole number, 0 or more")
    return int(seed)


def warn_of_options(options: Mapping[str, Any] | None, known: Sequence[str] = ()) -> None:
    """Warn of options of a reset that are not in `known`, and change nothing.

    They are no error: libraries reset every environment with the same options, and gymnasium's own ignore what they do
    not know.

    Raises:
        InvalidArgument: they are not a mapping.
    """
    if not isinstance(options, Mapping | NoneType):
        raise InvalidArgument(f"options are {told(options)}; give a table of them, or None")
    if unknown := [name for name in options or () if name not in known]:
        warnings.warn(
            f"nervecord: reset ignores {', '.join(map(repr, unknown))}; it takes {', '.join(known) or 'no options'}. "
            "Give options where the environment is made",
            stacklevel=3,
        )


def chosen_envs(options: Mapping[str, Any] | None, n_envs: int) -> Int[np.ndarray, " some"]:
    """Return the numbers of the environments that a reset is about: all, or those in `options["reset_mask"]`.

    Raises:
        InvalidArgument: the mask is no array of bools.
        InvalidTask: it is of another shape, or nothing is in it.
    """
    warn_of_options(options, ("reset_mask",))
    if not options or "reset_mask" not in options:
        return np.arange(n_envs)
    mask = options["reset_mask"]
    if not isinstance(mask, np.ndarray) or mask.dtype != bool:
        kind = f"an array of {mask.dtype}" if isinstance(mask, np.ndarray) else f"a {type(mask).__name__}"
        raise InvalidArgument(f"reset_mask is {kind}; give a NumPy array of {n_envs} bools")
    if mask.shape != (n_envs,):
        raise InvalidTask(f"reset_mask has shape {mask.shape}; give ({n_envs},), a bool for each environment")
    if not mask.any():
        raise InvalidTask("reset_mask chooses no environment; give one that does, or step on")
    return np.flatnonzero(mask)


def as_numbers(actions: Any) -> Shaped[np.ndarray, " ..."]:
    """Return actions as an array, each number in its own unit.

    Raises:
        InvalidAction: they are not numbers, or are lists of several lengths.
    """
    try:
        found = np.asarray(actions)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor that needs a gradient is torch's RuntimeError
        raise InvalidAction(f"actions do not form an array: {told(str(error))}; give an array of numbers") from error
    if found.dtype.kind not in "fiub":
        raise InvalidAction(f"actions are of type {found.dtype}; give numbers")
    return found


def as_info(
    metrics: Mapping[str, Shaped[np.ndarray, " envs"]], present: Bool[np.ndarray, " envs"]
) -> dict[str, np.ndarray]:
    """Return measures, each in its own unit, with a mask of where each is present; it is 0 elsewhere."""
    info: dict[str, np.ndarray] = {}
    for key, value in metrics.items():
        info[key], info[f"_{key}"] = np.where(present, value, np.zeros((), value.dtype)), present.copy()
    return info


def final_info(
    ended: Bool[np.ndarray, " envs"],
    observation: Shaped[np.ndarray, "envs obs"],
    metrics: Mapping[str, Shaped[np.ndarray, " envs"]],
) -> dict[str, Any]:
    """Return what episodes that ended showed last, and their measures, each in its own unit."""
    final_obs = np.full(len(ended), None, dtype=object)
    for index in np.flatnonzero(ended):
        final_obs[index] = observation[index].copy()
    return {
        "final_obs": final_obs,
        "_final_obs": ended.copy(),
        "final_info": as_info(metrics, ended),
        "_final_info": ended.copy(),
    }
