"""Batches of environments of one layout, stepped as one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from ..errors import InvalidTask
from .env_batch import EnvBatch, Step


class JoinedBatch:
    """Several batches as one: environments of the first come first, each batch with a body and physics of its own.

    Attributes:
        batches: the batches.
        n_envs: environments of all of them.
        layout: what stands where in an observation.
        action_space: what an action of one environment is.

    Raises:
        InvalidTask: their layouts or actions differ.
    """

    def __init__(self, batches: Sequence[EnvBatch]) -> None:
        self.batches = tuple(batches)
        first = self.batches[0]
        self.layout, self.action_space = first.layout, first.action_space
        for batch in self.batches[1:]:
            if batch.layout != self.layout or batch.action_space != self.action_space:
                raise InvalidTask(
                    f"{batch.body.name} has other observations or actions than {first.body.name}; "
                    "join batches of one layout"
                )
        self._ends = np.cumsum([batch.n_envs for batch in self.batches])
        self.n_envs = int(self._ends[-1])

    def seed(self, seeds: Sequence[int | None]) -> None:
        """Give environment i the generator of seeds[i]; None keeps the one it has."""
        for batch, end in zip(self.batches, self._ends, strict=True):
            batch.seed(seeds[end - batch.n_envs : end])

    def reset(self, ids: Int[np.ndarray, " some"]) -> Float[np.ndarray, "envs obs"]:
        """Start new episodes in some environments; return what all of them show, in the layout's units."""
        shown = []
        for batch, own in zip(self.batches, self._split(ids), strict=True):
            shown.append(batch.reset(own) if len(own) else batch.observation())
        return np.concatenate(shown)

    def step(self, actions: Float[np.ndarray, "envs joints"], ids: Int[np.ndarray, " some"] | None = None) -> Step:
        """Apply actions, in units of the motor's range, for one control step; only in `ids`, if they are given."""
        parts = np.split(np.asarray(actions), self._ends[:-1])
        chosen = [None] * len(self.batches) if ids is None else self._split(ids)
        stepped = [batch.step(own, some) for batch, own, some in zip(self.batches, parts, chosen, strict=True)]
        common = [name for name in stepped[0].metrics if all(name in each.metrics for each in stepped)]
        metrics = {name: np.concatenate([each.metrics[name] for each in stepped]) for name in common}
        observation, reward, terminated, truncated = (
            np.concatenate([getattr(each, name) for each in stepped]) for name in Step._fields[:4]
        )
        return Step(observation, reward, terminated, truncated, metrics)

    def get_state(self) -> dict[str, Any]:
        """Return everything that the future depends on, by each batch's number."""
        return {str(number): batch.get_state() for number, batch in enumerate(self.batches)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        for number, batch in enumerate(self.batches):
            batch.set_state(state[str(number)])

    def _split(self, ids: Int[np.ndarray, " some"]) -> list[Int[np.ndarray, " some"]]:
        """Return the numbers of some environments within each batch."""
        ids, starts = np.asarray(ids), (0, *self._ends[:-1])
        return [ids[(ids >= start) & (ids < end)] - start for start, end in zip(starts, self._ends, strict=True)]
