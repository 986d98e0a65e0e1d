"""Steering NCAP towards a target (Bhattasali et al. 2022, appendix on Navigate)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..contract import Facts, Pins, State, Wiring
from ..steering import Steering
from .ncap import NCAP


class Navigator(Steering):
    """An NCAP whose `right`, `left` and `speed` follow the target in head coordinates, as `Steering` says.

    `right` excites the first dorsal B-neurons, which bends the head that way. Composed of its parts, as in
    `docs/guides/compose.md`, it takes the same steps; here, neurons and weights have the names that NCAP gives them.

    Args:
        n_joints: number of joints.
        controller: as in `Steering`.
        period, sharing, sign_constraints, init, n_turn_joints, observe_time, dt, dt_ref, rng: as in `NCAP`.

    Attributes:
        gain, cap, log_seconds: as in `Steering`.

    Raises:
        CircuitMismatch: an option is out of range.
    """

    origin = "It steers NCAP, a model of the circuit with which *C. elegans* swims (Bhattasali et al. 2022)."

    def __init__(
        self,
        n_joints: int,
        *,
        controller: Literal["bearing", "hand", "learned"] = "bearing",
        period: int = 60,
        sharing: bool = True,
        sign_constraints: bool = True,
        init: Literal["constant", "uniform"] = "constant",
        n_turn_joints: int = 1,
        observe_time: bool = False,
        dt: float | None = None,
        dt_ref: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__(controller=controller, dt=dt)
        self.ncap = NCAP(
            n_joints,
            period=period,
            sharing=sharing,
            sign_constraints=sign_constraints,
            init=init,
            controls=True,
            n_turn_joints=n_turn_joints,
            observe_time=observe_time,
            dt=dt,
            dt_ref=dt_ref,
            rng=rng,
        )
        if self.linear is not None:
            # Checkpoints of searches hold all weights in a row, and there NCAP's come first.
            self.linear = self._modules.pop("linear")  # type: ignore[assignment]
        self.n_motors = n_joints
        body_senses = (("joint_pos", n_joints), ("time", 1)) if observe_time else (("joint_pos", n_joints),)
        self.senses = (*body_senses, *self.senses)
        self.neurons, self.groups = self.ncap.neurons, self.ncap.groups

    @classmethod
    def facts(cls, options: Mapping[str, Any]) -> Facts:
        """Return that it is bounded, and recurrent where it smooths the bearing."""
        return Facts(is_bounded=True, memory="recurrent" if options["controller"] == "bearing" else "clock")

    def initial_state(self, batch_size: int) -> State:
        """Return NCAP's initial state and, with "bearing", the smoothed direction, [batch, 2], 0 until the first."""
        return {**self.ncap.initial_state(batch_size), **super().initial_state(batch_size)}

    def forward(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State]:
        """Run one control step."""
        steered, direction = self._steer(sensors, state)
        motor, state = self.ncap(steered, _of_ncap(state), pins)
        return motor, state | direction

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return the value of every neuron of the NCAP, in [0, 1]."""
        steered, direction = self._steer(sensors, state)
        motor, state, activity = self.ncap.forward_with_activity(steered, _of_ncap(state), pins)
        return motor, state | direction, activity

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run the circuit over a sequence; at once where steering looks at each step alone."""
        if self.controller == "bearing":
            return super().unroll(sensors, state, episode_start)
        return self.ncap.unroll(self._steer(sensors, state)[0], state, episode_start)

    def wiring(self, state: State | None = None) -> Wiring:
        """Return the NCAP's graph; the controller acts through `right`, `left` and `stop`."""
        return self.ncap.wiring(state)

    def _steer(
        self, sensors: Float[Tensor, "*batch sensors"], state: State
    ) -> tuple[Float[Tensor, "*batch ncap"], State]:
        """Replace `to_target` by `right`, `left` and `speed`; return the next direction too, where there is one."""
        controls, direction = self.steered(sensors[..., -2:], state)
        return torch.cat((sensors[..., :-2], controls), -1), direction


def _of_ncap(state: State) -> State:
    return {name: value for name, value in state.items() if name != "direction"}
