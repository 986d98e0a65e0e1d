"""Memory tasks on a stream of bits: parity and delayed match to sample.

Khajehabdollahi et al., ICLR 2024 (https://arxiv.org/abs/2309.12927), section 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Bool, Float, Int

from ...errors import InvalidAction, InvalidTask, NotReady, UnknownName
from ...options import told
from ..vector_rules import (
    Described,
    as_info,
    as_numbers,
    autoreset_mode_of,
    chosen_envs,
    final_info,
    seeds_for,
    warn_of_options,
)

BIT_TASKS = {
    "parity": "whether the last N bits hold an odd number of ones",
    "delayed-match": "whether the bit N steps ago, counting the last as 1, equals the last",
}

SOLVED = 0.98  # share of right answers, as the paper has it
_NO_RESET = "the environments were never reset; call reset before the first step"


def draw_length(n: int, rng: np.random.Generator) -> int:
    """Return the length of a sequence for N, uniform in [N + 2, 4 N + 2)."""
    return int(rng.integers(n + 2, n + 2 + 3 * n))


def draw_bits(task: str, shape: tuple[int, int], rng: np.random.Generator) -> Int[np.ndarray, "time batch"]:
    """Return sequences of bits, 0 or 1: 1 with probability p, uniform per sequence for parity, 1/2 else."""
    p = rng.uniform(size=shape[1]) if task == "parity" else 0.5
    return (rng.uniform(size=shape) < p).astype(np.int64)


def answers(task: str, bits: Int[np.ndarray, "time batch"], n: int) -> Int[np.ndarray, " batch"]:
    """Return the right answer at the end of each sequence of bits, 0 or 1."""
    if task == "parity":
        return bits[-n:].sum(0) % 2
    return (bits[-n] == bits[-1]).astype(np.int64)


class _Stream:
    """One sequence at a time: what the single and the vector environment share."""

    def __init__(self, task: str, n: int) -> None:
        if task not in BIT_TASKS:
            raise UnknownName("bit task", task, BIT_TASKS)
        if n < 2:
            raise InvalidTask(f"n is {n}; give 2 or more bits to remember")
        self.task, self.n = task, n
        self.observation_space = spaces.Box(np.array([-1, 0], np.float32), np.array([1, 1], np.float32))
        self.action_space = spaces.Discrete(2)
        self.bits, self.place = np.zeros(n + 2, np.int64), 0

    def reset(self, rng: np.random.Generator) -> Float[np.ndarray, 2]:
        """Draw a new sequence and show its first bit."""
        length = draw_length(self.n, rng)
        self.bits, self.place = draw_bits(self.task, (length, 1), rng)[:, 0], 0
        return self._shown()

    def step(self, action: Any) -> tuple[Float[np.ndarray, 2], float, bool, dict[str, Any]]:
        """Take the answer if it was due, else show the next bit."""
        if as_numbers(action).shape != () or action not in (0, 1):
            raise InvalidAction(f"action is {told(action)}; give 0 or 1")
        if self.place == len(self.bits) - 1:
            correct = bool(action == answers(self.task, self.bits[:, None], self.n)[0])
            return self._shown(), float(correct), True, {"correct": correct}
        self.place += 1
        return self._shown(), 0.0, False, {}

    def _shown(self) -> Float[np.ndarray, 2]:
        return np.array([2 * self.bits[self.place] - 1, self.place == len(self.bits) - 1], np.float32)


class BitsEnv(Described, gymnasium.Env):
    """Observe a stream of bits, and answer at its end.

    The observation is the bit, -1 or 1, and a flag that is 1 with the last bit. The action in the last step is the
    answer, 0 or 1, with a reward of 1 if it is correct; earlier actions have no effect. At the end, `info["correct"]`
    says whether the answer was correct.

    Args:
        task: "parity" or "delayed-match"; see `BIT_TASKS`.
        n: number of bits to remember, 2 or more.
        render_mode: must be None.

    Raises:
        InvalidTask: another render mode is given, or `n` is below 2.
        UnknownName: there is no such task.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, task: str, n: int = 2, render_mode: None = None) -> None:
        _check_unseen(render_mode)
        self._stream, self.render_mode = _Stream(task, n), render_mode
        self.observation_space, self.action_space = self._stream.observation_space, self._stream.action_space
        self._has_begun = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, 2], dict[str, Any]]:
        """Start a new sequence; return its first bit, -1 or 1, and the flag, 0.

        Raises:
            InvalidTask: the seed is not a whole number, 0 or more.
        """
        warn_of_options(options)
        super().reset(seed=seeds_for(seed, 1)[0])
        self._has_begun = True
        return self._stream.reset(self.np_random), {}

    def step(self, action: Any) -> tuple[Float[np.ndarray, 2], float, bool, bool, dict[str, Any]]:
        """Take the answer, 0 or 1, if it was due; return the bit shown, -1 or 1, and the flag, 0 or 1.

        Raises:
            NotReady: there was no reset.
        """
        if not self._has_begun:
            raise NotReady(_NO_RESET)
        observation, reward, terminated, info = self._stream.step(action)
        return observation, reward, terminated, False, info

    def _limits(self) -> tuple[int, float | None]:
        return longest(self._stream.n), SOLVED


class BitsVectorEnv(Described, VectorEnv):
    """A vector environment of many `BitsEnv`; `reset(seed=s)` seeds environment i with s + i.

    Args:
        num_envs: number of environments.
        task, n, render_mode: as in `BitsEnv`.
        autoreset_mode: gymnasium's NEXT_STEP (default), SAME_STEP or DISABLED.
        max_episode_steps: must not be shorter than the longest sequence, which has 4 n + 1 steps.

    Raises:
        InvalidTask: `max_episode_steps` is too small, or see `BitsEnv`.
        InvalidAction: in the mode DISABLED, an environment was stepped after its episode ended.
    """

    def __init__(
        self,
        num_envs: int = 1,
        task: str = "parity",
        n: int = 2,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        render_mode: None = None,
    ) -> None:
        if num_envs < 1:
            raise InvalidTask(f"num_envs is {num_envs}; give 1 or more")
        if max_episode_steps is not None and max_episode_steps < longest(n):
            raise InvalidTask(
                f"max_episode_steps is {max_episode_steps}, and sequences of n = {n} have up to {longest(n)} steps; "
                "leave it out"
            )
        _check_unseen(render_mode)
        self.num_envs, self._streams = num_envs, [_Stream(task, n) for _ in range(num_envs)]
        self.autoreset_mode = autoreset_mode_of(autoreset_mode)
        self.metadata = {"autoreset_mode": self.autoreset_mode, "render_modes": []}
        self.single_observation_space = self._streams[0].observation_space
        self.single_action_space = self._streams[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs: list[np.random.Generator | None] = [None] * num_envs
        self._seeds: list[int | None] = [None] * num_envs
        self._shown = np.zeros((num_envs, 2), np.float32)
        self._ended = np.zeros(num_envs, bool)
        self._has_begun = np.zeros(num_envs, bool)

    @property
    def np_random_seed(self) -> tuple[int | None, ...]:  # type: ignore[override]
        """The seed of each environment's generator; None before the first reset."""
        return tuple(self._seeds)

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator | None, ...]:  # type: ignore[override]
        """The generator of each environment; None before the first reset."""
        return tuple(self._rngs)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Float[np.ndarray, "envs 2"], dict[str, Any]]:
        """Start new sequences, everywhere or where `options={"reset_mask": ...}` says; return what is shown.

        A new sequence shows its first bit, -1 or 1, and the flag, 0.

        Raises:
            InvalidTask, InvalidArgument: not a seed for each environment, or a mask that is none.
        """
        ids, seeds = chosen_envs(options, self.num_envs), seeds_for(seed, self.num_envs)
        for index in ids:
            if seeds[index] is not None or self._rngs[index] is None:
                self._rngs[index], self._seeds[index] = seeding.np_random(seeds[index])
        self._begin(ids)
        return self._shown.copy(), {}

    def step(
        self, actions: Any
    ) -> tuple[
        Float[np.ndarray, "envs 2"],
        Float[np.ndarray, " envs"],
        Bool[np.ndarray, " envs"],
        Bool[np.ndarray, " envs"],
        dict[str, Any],
    ]:
        """Step every environment; one that ended starts anew as the autoreset mode says.

        Actions, [envs], are answers, 0 or 1. Observations are the bit, -1 or 1, and the flag, 0 or 1; rewards
        are 1 for a right answer and 0 else.

        Raises:
            NotReady: there was no reset.
            InvalidAction: other than an answer for each environment, or one for an episode that has ended, in the mode
                DISABLED.
        """
        if not self._has_begun.all():
            raise NotReady(_NO_RESET)
        if self.autoreset_mode is AutoresetMode.DISABLED and self._ended.any():
            raise InvalidAction(
                f"environment {np.flatnonzero(self._ended)[0]} has ended, and autoreset is disabled; "
                'call reset(options={"reset_mask": ended})'
            )
        actions = as_numbers(actions)
        if actions.shape != (self.num_envs,):
            raise InvalidAction(f"actions have shape {actions.shape}; give ({self.num_envs},), an answer for each")
        waiting, rewards = self._ended, np.zeros(self.num_envs)
        ended, correct = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        for index, (stream, action) in enumerate(zip(self._streams, actions, strict=True)):
            if not waiting[index]:
                self._shown[index], rewards[index], ended[index], info = stream.step(action)
                correct[index] = info.get("correct", False)
        info = as_info({"correct": correct}, ended) if ended.any() else {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP:
            info = final_info(ended, self._shown, {"correct": correct}) if ended.any() else {}
            self._begin(np.flatnonzero(ended))
        else:
            self._begin(np.flatnonzero(waiting))
            self._ended = ended
        return self._shown.copy(), rewards, ended.copy(), np.zeros(self.num_envs, bool), info

    def _begin(self, ids: Int[np.ndarray, " some"]) -> None:
        for index in ids:
            rng = self._rngs[index]
            assert rng is not None
            self._shown[index] = self._streams[index].reset(rng)
        self._has_begun[ids], self._ended[ids] = True, False

    def _limits(self) -> tuple[int, float | None]:
        return longest(self._streams[0].n), SOLVED


def longest(n: int) -> int:
    """Return the steps of the longest sequence for N."""
    return 4 * n + 1


def _check_unseen(render_mode: str | None) -> None:
    if render_mode is not None:
        raise InvalidTask(f"render_mode is {render_mode!r}; bits have no picture, leave it out")
