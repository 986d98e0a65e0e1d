"""Steering NCAP towards a target (Bhattasali et al. 2022, appendix on Navigate)."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ...errors import CircuitMismatch
from ..contract import Circuit, Pins, State, Wiring
from .ncap import NCAP


class Navigator(Circuit):
    """An NCAP whose `right`, `left` and `speed` follow the target in head coordinates.

    `to_target` points from the nose to the target, in m. The head faces its -y axis, so a target at x < 0
    is to its right. `right` excites the first dorsal B-neurons, which bends the head that way.

    Args:
        n_joints: number of joints.
        controller: "hand" turns when |x| > 0.1 m and goes when |y| > 0.12 m; "learned" is linear from
            (x, |y|) to right, left and speed, each clipped to [0, 1], and starts near "hand".
        period, sharing, sign_constraints, init, n_turn_joints, observe_time, dt, dt_ref, rng: as in `NCAP`.

    Raises:
        CircuitMismatch: an option is out of range.
    """

    is_bounded = True
    memory = "clock"
    origin = "It steers NCAP, a model of the circuit with which *C. elegans* swims (Bhattasali et al. 2022)."

    def __init__(
        self,
        n_joints: int,
        *,
        controller: Literal["hand", "learned"] = "hand",
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
        super().__init__()
        if controller not in ("hand", "learned"):
            raise CircuitMismatch(f"controller is {controller!r}; give 'hand' or 'learned'")
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
        self.n_motors = n_joints
        body_senses = (("joint_pos", n_joints), ("time", 1)) if observe_time else (("joint_pos", n_joints),)
        self.senses = (*body_senses, ("to_target", 2))
        self.neurons, self.groups = self.ncap.neurons, self.ncap.groups
        self.linear: nn.Linear | None = None
        if controller == "learned":
            self.linear = nn.Linear(2, 3)
            with torch.no_grad():
                # Saturated turns beyond 0.2 m to the side; full speed unless the target is abreast.
                self.linear.weight.copy_(torch.tensor([[-5.0, 0.0], [5.0, 0.0], [0.0, 8.0]]))
                self.linear.bias.zero_()

    def initial_state(self, batch_size: int) -> State:
        """Return the NCAP's initial state."""
        return self.ncap.initial_state(batch_size)

    def forward(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State]:
        """Run one control step."""
        motor, state = self.ncap(self._steer(sensors), state, pins)
        return motor, state

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return the value of every neuron of the NCAP, in [0, 1]."""
        return self.ncap.forward_with_activity(self._steer(sensors), state, pins)

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run the circuit over a sequence at once: steering looks at each step alone."""
        return self.ncap.unroll(self._steer(sensors), state, episode_start)

    def wiring(self, state: State | None = None) -> Wiring:
        """Return the NCAP's graph; the controller acts through `right`, `left` and `stop`."""
        return self.ncap.wiring(state)

    def _steer(self, sensors: Float[Tensor, "*batch sensors"]) -> Float[Tensor, "*batch ncap"]:
        """Replace `to_target` by `right`, `left` and `speed`."""
        x, y = sensors[..., -2:-1], sensors[..., -1:]
        if self.linear is not None:
            controls = self.linear(torch.cat((x, y.abs()), -1)).clamp(0.0, 1.0)
        else:
            controls = torch.cat((x < -0.1, x > 0.1, y.abs() > 0.12), -1).to(sensors.dtype)
        return torch.cat((sensors[..., :-2], controls), -1)
