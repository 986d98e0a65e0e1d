"""Rollouts kept as sequences: what a circuit with memory learns from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Int
from stable_baselines3.common.buffers import RolloutBuffer
from torch import Tensor

from ...circuits import State
from ...errors import CircuitMismatch


class Sequences(NamedTuple):
    """A minibatch of equally long stretches of experience, each with the state it began in.

    Stretches never need padding, so no loss needs a mask; `episode_start` says where the state resets.
    Actions are motor commands [time, batch, motors], or the index of a discrete action [time, batch].
    """

    observations: Float[Tensor, "time batch obs"]
    actions: Tensor
    episode_start: Bool[Tensor, "time batch"]
    state: State
    old_values: Float[Tensor, "time batch"]
    old_log_prob: Float[Tensor, "time batch"]
    advantages: Float[Tensor, "time batch"]
    returns: Float[Tensor, "time batch"]

    def pick(self, chosen: Int[Tensor, " some"]) -> Sequences:
        """Return some of the sequences."""
        state = {key: value.index_select(0, chosen) for key, value in self.state.items()}
        parts = {
            name: value.index_select(1, chosen) for name, value in self._asdict().items() if isinstance(value, Tensor)
        }
        return Sequences(**parts, state=state)


class SequenceBuffer(RolloutBuffer):
    """SB3's rollout buffer, read as sequences; holds a circuit's state once per sequence.

    A state at every step of 2048 x 8 steps would take a Continuous Thought Machine 671 MB; every 16
    steps it takes 42.

    Args:
        buffer_size: steps per environment.
        observation_space, action_space, device, gae_lambda, gamma, n_envs: as in SB3.
        sequence_length: steps of a sequence; 1 for circuits whose state needs no gradient.
        shuffle: draws the order of sequences; NumPy's global generator by default.

    Raises:
        CircuitMismatch: `sequence_length` does not divide `buffer_size`.
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        device: torch.device | str = "cpu",
        gae_lambda: float = 1.0,
        gamma: float = 0.99,
        n_envs: int = 1,
        sequence_length: int = 1,
        shuffle: Any = np.random,
    ) -> None:
        if sequence_length < 1 or buffer_size % sequence_length:
            raise CircuitMismatch(
                f"sequence_length {sequence_length} does not divide n_steps {buffer_size}; "
                f"give a divisor, such as {_nearest_divisor(buffer_size, sequence_length)}"
            )
        self.sequence_length, self._shuffle = sequence_length, shuffle
        super().__init__(buffer_size, observation_space, action_space, device, gae_lambda, gamma, n_envs)

    def reset(self) -> None:
        """Forget the last rollout."""
        super().reset()
        self._states: list[State] = []
        self._tensors: Sequences | None = None

    def add(self, *args: Any, state: State, **kwargs: Any) -> None:  # type: ignore[override]
        """Keep a step; `state` is the circuits' before it, and before the reset where an episode starts."""
        if self.pos % self.sequence_length == 0:
            self._states.append(state)
        super().add(*args, **kwargs)

    def get(self, batch_size: int | None = None) -> Iterator[Sequences]:  # type: ignore[override]
        """Yield the rollout's sequences in random order, `batch_size` transitions at a time."""
        if self._tensors is None:
            self._tensors = self._as_sequences()
        tensors = self._tensors
        count = tensors.episode_start.shape[1]
        size = count if batch_size is None else batch_size // self.sequence_length
        # The same draw as SB3's buffer, so that stateless circuits learn from the same minibatches.
        order = torch.as_tensor(self._shuffle.permutation(count), device=self.device)
        for chosen in order.split(size):
            yield tensors.pick(chosen)

    def _as_sequences(self) -> Sequences:
        """Cut [steps, envs, ...] into [time, sequences, ...], the sequences of one environment in a row."""
        length = self.sequence_length

        def cut(array: np.ndarray) -> Tensor:
            tensor = torch.as_tensor(array, dtype=torch.float32, device=self.device)
            return tensor.unflatten(0, (-1, length)).movedim(0, 2).flatten(1, 2)

        actions = cut(self.actions)
        if isinstance(self.action_space, spaces.Discrete):
            actions = actions.squeeze(-1).long()
        state = {key: torch.stack([held[key] for held in self._states], 1).flatten(0, 1) for key in self._states[0]}
        return Sequences(
            cut(self.observations),
            actions,
            cut(self.episode_starts) > 0,
            state,
            cut(self.values),
            cut(self.log_probs),
            cut(self.advantages),
            cut(self.returns),
        )


def _nearest_divisor(number: int, wanted: int) -> int:
    return min((n for n in range(1, number + 1) if number % n == 0), key=lambda n: abs(n - wanted))
