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

from ...errors import InvalidAction, InvalidTask, UnknownName

BIT_TASKS = {
    "parity": "whether the last N bits hold an odd number of ones",
    "delayed-match": "whether the bit N steps ago, counting the last as 1, equals the last",
}


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
        if action not in (0, 1):
            raise InvalidAction(f"action is {action!r}; give 0 or 1")
        if self.place == len(self.bits) - 1:
            correct = bool(action == answers(self.task, self.bits[:, None], self.n)[0])
            return self._shown(), float(correct), True, {"correct": correct}
        self.place += 1
        return self._shown(), 0.0, False, {}

    def _shown(self) -> Float[np.ndarray, 2]:
        return np.array([2 * self.bits[self.place] - 1, self.place == len(self.bits) - 1], np.float32)


class BitsEnv(gymnasium.Env):
    """Watch a stream of bits and answer when it ends.

    The observation is the bit, -1 or 1, and a flag that is 1 with the last bit; the answer to it, 0 or 1,
    earns 1 if it is right. Earlier actions have no effect. `info["correct"]` says at the end whether the
    answer was right.

    Args:
        task: "parity" or "delayed-match"; see `BIT_TASKS`.
        n: bits to remember, 2 or more.
        render_mode: None; there is nothing to see.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, task: str, n: int = 2, render_mode: None = None) -> None:
        self._stream, self.render_mode = _Stream(task, n), render_mode
        self.observation_space, self.action_space = self._stream.observation_space, self._stream.action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, 2], dict[str, Any]]:
        """Start a new sequence; return its first bit, -1 or 1, and the flag, 0."""
        super().reset(seed=seed, options=options)
        return self._stream.reset(self.np_random), {}

    def step(self, action: Any) -> tuple[Float[np.ndarray, 2], float, bool, bool, dict[str, Any]]:
        """Take the answer, 0 or 1, if it was due; return the bit shown, -1 or 1, and the flag, 0 or 1."""
        observation, reward, terminated, info = self._stream.step(action)
        return observation, reward, terminated, False, info


class BitsVectorEnv(VectorEnv):
    """Many `BitsEnv`, each with its own sequence; environment i of `reset(seed=s)` is seeded with s + i.

    Args:
        num_envs: number of environments.
        task, n: as in `BitsEnv`.
        max_episode_steps: of gymnasium; sequences end by themselves.
    """

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": []}  # noqa: RUF012

    def __init__(self, num_envs: int = 1, task: str = "parity", n: int = 2, max_episode_steps: None = None) -> None:  # noqa: ARG002
        if num_envs < 1:
            raise InvalidTask(f"num_envs is {num_envs}; give 1 or more")
        self.num_envs, self._streams = num_envs, [_Stream(task, n) for _ in range(num_envs)]
        self.single_observation_space = self._streams[0].observation_space
        self.single_action_space = self._streams[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs: list[np.random.Generator] = []
        self._ended = np.zeros(num_envs, bool)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> tuple[Float[np.ndarray, "envs 2"], dict[str, Any]]:
        """Start new sequences everywhere; return each one's first bit, -1 or 1, and its flag, 0."""
        if seed is not None or not self._rngs:
            if seed is None or isinstance(seed, (int, np.integer)):
                seed = [None if seed is None else int(seed) + index for index in range(self.num_envs)]
            self._rngs = [seeding.np_random(each)[0] for each in seed]
        self._ended[:] = False
        return np.stack([stream.reset(rng) for stream, rng in zip(self._streams, self._rngs, strict=True)]), {}

    def step(
        self, actions: Any
    ) -> tuple[
        Float[np.ndarray, "envs 2"],
        Float[np.ndarray, " envs"],
        Bool[np.ndarray, " envs"],
        Bool[np.ndarray, " envs"],
        dict[str, Any],
    ]:
        """Step every environment; one that ended starts anew instead.

        Actions, [envs], are answers, 0 or 1. Observations are the bit, -1 or 1, and the flag, 0 or 1; rewards
        are 1 for a right answer and 0 else.
        """
        observations, rewards = np.zeros((self.num_envs, 2), np.float32), np.zeros(self.num_envs)
        ended, correct = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        for index, (stream, action) in enumerate(zip(self._streams, actions, strict=True)):
            if self._ended[index]:
                observations[index] = stream.reset(self._rngs[index])
                continue
            observations[index], rewards[index], ended[index], info = stream.step(action)
            correct[index] = info.get("correct", False)
        self._ended = ended
        info = {"correct": correct, "_correct": ended} if ended.any() else {}
        return observations, rewards, ended.copy(), np.zeros(self.num_envs, bool), info
