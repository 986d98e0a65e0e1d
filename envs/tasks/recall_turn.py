"""A one-shot memory task with a body: several cues, each seen once with its side, one of which is asked for in part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from ...options import Allowed, OneOf
from ..senses import SENSES, Sense, SenseKind
from ..setting import Envs, Setting
from .cue_turn import CueTurn, sensed_in

CELLS = 12  # of which patterns are made


class RecallTurn(CueTurn):
    """Turn to the side with which a pattern was shown, when one cell of it is shown again.

    One after another, for `cue_steps` each, the sense `pattern` shows the cells of a pattern as 1 and `cue` its side: 1
    for right, -1 for left. After `delay_steps` more, `go` turns to 1, and from then on `pattern` shows one cell of one
    of the patterns. Motors, reward and metrics are those of `CueTurn`, for the side of that pattern.

    The 12 cells are dealt anew in every episode, each to one pattern, and half of the patterns go right; so what each
    pattern means can only be learned from seeing it once, and one cell of it tells which it is. An agent that remembers
    all pairs is always correct. Without memory half of the turns are correct, and so they are for one that remembers
    the sides and not the patterns. With c cues, one that remembers a single pair is correct in 1 / c + 1 / 2 of the
    episodes: it is asked for that pair, or turns to the other side, where more of the others are.

    Args:
        envs: the environments.
        cues: number of patterns, of 12 / `cues` cells each: 2, 4 or 6.
        cue_steps: control steps that each pattern is shown.
        delay_steps: control steps between the end of the last and the go.
        success_angle: rad.

    Raises:
        InvalidTask: no step is left to turn in.
    """

    senses = ("joint_pos", "pattern", "cue", "go", "body_velocities")
    essential = ("pattern", "cue")
    allowed: ClassVar[Mapping[str, Allowed]] = {**CueTurn.allowed, "cues": OneOf((2, 4, 6))}

    def __init__(
        self, envs: Envs, cues: int = 4, cue_steps: int = 5, delay_steps: int = 10, success_angle: float = 0.4
    ) -> None:
        # A cue to `CueTurn` is all patterns together.
        super().__init__(envs, cues * cue_steps, delay_steps, success_angle)
        self.cues, self._steps_each = cues, cue_steps
        self._patterns = np.zeros((envs.n_envs, cues, CELLS))
        self._sides = np.zeros((envs.n_envs, cues))
        self._fragment = np.zeros((envs.n_envs, CELLS))

    def cue(self) -> Float[np.ndarray, " envs"]:
        """Return the side of the pattern that is shown, 1 or -1, and 0 once all have been."""
        return np.where(self._is_showing(), self._sides[self._shown()], 0.0)

    def pattern(self) -> Float[np.ndarray, "envs cells"]:
        """Return 1 for the cells that are shown, of a whole pattern at first and of its fragment after the go."""
        asked = self.go()[:, None] * self._fragment
        return np.where(self._is_showing()[:, None], self._patterns[self._shown()], asked)

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes, each with its own patterns, sides and question."""
        super().reset(ids, rngs)
        for index, rng in zip(ids, rngs, strict=True):
            self._patterns[index], self._sides[index], asked, self._fragment[index] = draw_pairs(self.cues, rng)
            self._side[index] = self._sides[index, asked]

    def get_state(self) -> dict[str, Any]:
        """Return copies of what the task remembers, the pairs included."""
        held = {"patterns": self._patterns.copy(), "sides": self._sides.copy(), "fragment": self._fragment.copy()}
        return {**super().get_state(), **held}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        super().set_state(state)
        self._patterns[:], self._sides[:], self._fragment[:] = state["patterns"], state["sides"], state["fragment"]

    def _is_showing(self) -> Bool[np.ndarray, " envs"]:
        """Return which environments are shown a pattern with its side."""
        return self.envs.elapsed < self.cue_steps

    def _shown(self) -> tuple[Int[np.ndarray, " envs"], Int[np.ndarray, " envs"]]:
        """Return each environment and which of its pairs is shown, the last once all have been."""
        return np.arange(self.envs.n_envs), np.minimum(self.envs.elapsed // self._steps_each, self.cues - 1)


def draw_pairs(
    cues: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "cues cells"], Float[np.ndarray, " cues"], int, Float[np.ndarray, " cells"]]:
    """Return patterns that share no cell, 0 or 1, their sides, 1 or -1, which is asked for, and one cell of that."""
    cells = rng.permutation(CELLS).reshape(cues, -1)
    patterns, fragment = np.zeros((cues, CELLS)), np.zeros(CELLS)
    np.put_along_axis(patterns, cells, 1.0, 1)
    asked = int(rng.integers(cues))
    fragment[cells[asked, 0]] = 1.0
    return patterns, rng.permutation(np.resize([1.0, -1.0], cues)), asked, fragment


class Pattern(SenseKind):
    """The cells that are shown in `RecallTurn`, 1, and the others, 0."""

    def describe(self, setting: Setting) -> Sense:
        """Return what it is; see `SenseKind`."""
        return sensed_in(RecallTurn, setting, Sense("pattern", CELLS, 0.0, 1.0, ""))

    def read(self, envs: Envs) -> Float[np.ndarray, "envs cells"]:
        """Return the cells, without a unit."""
        assert isinstance(envs.task, RecallTurn)
        return envs.task.pattern()


SENSES["pattern"] = Pattern()
