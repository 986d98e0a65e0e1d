"""Rollouts kept as sequences: what a circuit with memory learns from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Int, Shaped
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
        return self._map(lambda value, axis: value.index_select(axis, chosen))

    def split(self, size: int) -> Iterator[Sequences]:
        """Yield the sequences in order, `size` at a time."""
        count = self.episode_start.shape[1]
        for start in range(0, count, size):
            many = min(size, count - start)
            yield self._map(lambda value, axis, start=start, many=many: value.narrow(axis, start, many))

    def _map(self, change: Any) -> Sequences:
        """Return the sequences with every tensor changed, given the axis that counts sequences."""
        observations, actions, episode_start, state, *rest = self
        return Sequences(
            change(observations, 1),
            change(actions, 1),
            change(episode_start, 1),
            {key: change(value, 0) for key, value in state.items()},
            *(change(value, 1) for value in rest),
        )


class Together:
    """Numbers of a minibatch's parts as one: of one part as they are, of several end to end.

    Args:
        parts: sequences of bodies of each size.

    Attributes:
        shares: each part's share of the transitions.
    """

    def __init__(self, parts: Sequence[Sequences]) -> None:
        self._shapes = [part.returns.shape for part in parts]
        sizes = [shape.numel() for shape in self._shapes]
        self._sizes, self.shares = sizes, [size / sum(sizes) for size in sizes]

    def join(self, values: list[Tensor]) -> Tensor:
        """Return the values of all parts."""
        return values[0] if len(values) == 1 else torch.cat([value.flatten() for value in values])

    def split(self, values: Tensor) -> list[Tensor]:
        """Return the values of each part, in its shape."""
        if len(self._sizes) == 1:
            return [values]
        return [part.view(shape) for part, shape in zip(values.split(self._sizes), self._shapes, strict=True)]

    def mean(self, means: list[Tensor]) -> Tensor:
        """Return the mean of all transitions from the means of the parts."""
        if len(means) == 1:
            return means[0]
        return torch.stack([share * mean for share, mean in zip(self.shares, means, strict=True)]).sum()


class SequenceBuffer:
    """A rollout of `buffer_size` steps in every environment, read as sequences.

    It holds a circuit's state once per sequence. A state at every step of 2048 x 8 steps would take a Continuous
    Thought Machine 671 MB; every 16 steps it takes 42.

    Args:
        buffer_size: steps per environment.
        observation_space, action_space: of one environment.
        device: on which circuits learn.
        gae_lambda: of the generalised advantage estimate.
        gamma: discount of a step.
        n_envs: number of environments.
        sequence_length: steps of a sequence; 1 for circuits whose state needs no gradient.
        shuffle: draws the order of sequences; NumPy's global generator by default.

    Attributes:
        observations: as the circuit was shown them, [step, env, obs].
        actions: motor commands [step, env, motors], or indices of discrete ones [step, env].
        rewards, episode_starts: of each step, [step, env]; what a cut episode would have earned counts as reward.
        values, log_probs: of each step, as the policy was that acted; log-probabilities in nats.
        advantages, returns: by `finish`, in the unit of rewards.

    Raises:
        CircuitMismatch: `sequence_length` does not divide `buffer_size`.
    """

    values: Float[np.ndarray, "steps envs"]
    log_probs: Float[np.ndarray, "steps envs"]
    advantages: Float[np.ndarray, "steps envs"]
    returns: Float[np.ndarray, "steps envs"]

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
        self._gamma, self._gae_lambda = gamma, gae_lambda
        shape = (buffer_size, n_envs)
        self.observations = torch.empty(*shape, *(observation_space.shape or ()), device=device)
        is_discrete = isinstance(action_space, spaces.Discrete)
        motors = () if is_discrete else action_space.shape or ()
        self.actions = torch.empty(*shape, *motors, dtype=torch.long if is_discrete else torch.float32, device=device)
        self.rewards, self.episode_starts = np.zeros(shape, np.float32), np.zeros(shape, bool)
        self.reset()

    def reset(self) -> None:
        """Forget the last rollout."""
        self._steps, self._states = 0, []  # type: tuple[int, list[State]]
        self._sequences: Sequences | None = None

    def size(self) -> int:
        """Return how many steps of each environment were added, as callbacks ask SB3's buffers."""
        return self._steps

    def add(
        self,
        observation: Float[Tensor, "envs obs"],
        action: Shaped[Tensor, "envs ..."],
        reward: Float[np.ndarray, " envs"],
        episode_start: Bool[np.ndarray, " envs"],
        state: State,
    ) -> None:
        """Keep a step; `state` is the circuits' before it, and before the reset where an episode starts."""
        step = self._steps
        if step % self.sequence_length == 0:
            self._states.append(state)
        self.observations[step], self.actions[step] = observation, action
        self.rewards[step], self.episode_starts[step] = reward, episode_start
        self._steps += 1

    def finish(
        self,
        values: Float[Tensor, "steps envs"],
        log_probs: Float[Tensor, "steps envs"],
        last_values: Float[Tensor, " envs"],
        dones: Bool[np.ndarray, " envs"],
    ) -> None:
        """Take what the policy made of the steps, and estimate advantages and returns.

        Args:
            values: of the observations, in the unit of rewards.
            log_probs: of the actions, nats.
            last_values: of what is shown after the last step, in the unit of rewards.
            dones: where that begins another episode.
        """
        self.values, self.log_probs = (value.float().cpu().numpy() for value in (values, log_probs))
        following = np.concatenate((self.values[1:], last_values.float().cpu().numpy()[None]))
        goes_on = 1.0 - np.concatenate((self.episode_starts[1:], dones[None])).astype(np.float32)
        # Schulman et al. 2016, eq. 11 to 16, in the order of SB3's operations.
        errors = self.rewards + self._gamma * following * goes_on - self.values
        factors = self._gamma * self._gae_lambda * goes_on
        self.advantages = np.empty_like(errors)
        advantage: Any = 0.0
        for step in reversed(range(len(errors))):
            advantage = self.advantages[step] = errors[step] + factors[step] * advantage
        self.returns = self.advantages + self.values

    def get(self, batch_size: int) -> Iterator[Sequences]:
        """Yield the rollout's sequences in random order, `batch_size` transitions at a time."""
        sequences = self.sequences()
        # The same draw as SB3's buffer, so that stateless circuits learn from the same minibatches.
        order = torch.as_tensor(self._shuffle.permutation(sequences.episode_start.shape[1]))
        return sequences.pick(order.to(self.observations.device)).split(batch_size // self.sequence_length)

    def get_parts(self, many: int) -> Iterator[Sequences]:
        """Yield the rollout's sequences in random order, in `many` parts of nearly equal sizes.

        Raises:
            CircuitMismatch: there are fewer sequences than parts.
        """
        sequences = self.sequences()
        count = sequences.episode_start.shape[1]
        if count < many:
            raise CircuitMismatch(
                f"a rollout has {many} minibatches and only {count} sequences of one size of body; give a larger "
                "batch_size, a shorter sequence_length or more n_envs"
            )
        for chosen in np.array_split(self._shuffle.permutation(count), many):
            yield sequences.pick(torch.as_tensor(chosen).to(self.observations.device))

    @torch.no_grad()
    def sequences(self) -> Sequences:
        """Return the whole rollout, the sequences of one environment in a row."""
        if self._sequences is None:
            state = {key: torch.stack([held[key] for held in self._states], 1).flatten(0, 1) for key in self._states[0]}
            scalars = (self.values, self.log_probs, self.advantages, self.returns)
            self._sequences = Sequences(
                self._cut(self.observations),
                self._cut(self.actions),
                self._cut(self.episode_starts),
                state,
                *(self._cut(each) for each in scalars),
            )
        return self._sequences

    def experience(self) -> tuple[Float[Tensor, "steps envs obs"], State, Bool[Tensor, "steps envs"]]:
        """Return the rollout's observations in order, the state it began in, and where episodes start."""
        return self.observations, self._states[0], torch.as_tensor(self.episode_starts, device=self.observations.device)

    def _cut(self, steps: Any) -> Tensor:
        """Cut [steps, envs, ...] into [time, sequences, ...]."""
        tensor = torch.as_tensor(steps, device=self.observations.device)
        return tensor.unflatten(0, (-1, self.sequence_length)).movedim(0, 2).flatten(1, 2)


def _nearest_divisor(number: int, wanted: int) -> int:
    """Return the divisor of a number that is nearest to the wanted one, the smaller of two."""
    return min((n for n in range(1, number + 1) if number % n == 0), key=lambda n: abs(n - wanted))


def check_lengths(options: Mapping[str, Any]) -> None:
    """Refuse lengths that do not divide one another.

    Raises:
        CircuitMismatch: `sequence_length` does not divide `n_steps`, or `batch_size` is not a multiple of it.
    """
    steps, length, size = options["n_steps"], options["sequence_length"], options["batch_size"]
    if length < 1 or steps % length:
        raise CircuitMismatch(
            f"sequence_length {length} does not divide n_steps {steps}; "
            f"give a divisor, such as {_nearest_divisor(steps, length)}"
        )
    if size < length or size % length:
        raise CircuitMismatch(
            f"batch_size {size} is not a multiple of sequence_length {length}; "
            f"give {max(round(size / length), 1) * length}"
        )
