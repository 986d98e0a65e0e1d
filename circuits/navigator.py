"""Steering NCAP towards a target (Bhattasali et al. 2022, appendix on Navigate)."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .circuit import Circuit, State, Wiring
from .ncap import NCAP


class Navigator(Circuit):
    """An NCAP whose `right`, `left` and `speed` follow the target in head coordinates.

    The head faces its -y axis, so a target at x < 0 is to its right. `right` excites the first dorsal
    B-neuron, which bends the head that way.

    Args:
        n_joints: number of joints.
        controller: "hand" turns when |x| > 0.1 m and goes when |y| > 0.12 m; "learned" is linear from
            (x, |y|) to right, left and speed, each clipped to [0, 1], and starts near "hand".
        rng: where the NCAP's random initial weights come from.
        ncap: options of the NCAP.
    """

    def __init__(
        self,
        n_joints: int,
        *,
        controller: Literal["hand", "learned"] = "hand",
        period: int = 60,
        sharing: bool = True,
        n_turn_joints: int = 1,
        observe_time: bool = False,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.ncap = NCAP(
            n_joints,
            period=period,
            sharing=sharing,
            controls=True,
            n_turn_joints=n_turn_joints,
            observe_time=observe_time,
            rng=rng,
        )
        self.n_motors = n_joints
        self.senses = tuple(sense for sense in self.ncap.senses if sense[1] and sense[0] in ("joint_pos", "time"))
        self.senses += (("to_target", 2),)
        self.neurons = self.ncap.neurons
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
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch motors"], State]:
        """Run one control step."""
        motor, state = self.ncap(self._steer(sensors), state)
        return motor, state

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return every neuron's value."""
        return self.ncap.forward_with_activity(self._steer(sensors), state)

    def wiring(self) -> Wiring:
        """Return the NCAP's graph; the controller acts through `right`, `left` and `stop`."""
        return self.ncap.wiring()

    def _steer(self, sensors: Float[Tensor, "batch sensors"]) -> Float[Tensor, "batch ncap"]:
        x, y = sensors[:, -2:-1], sensors[:, -1:]
        if self.linear is not None:
            controls = self.linear(torch.cat((x, y.abs()), 1)).clamp(0.0, 1.0)
        else:
            controls = torch.cat((x < -0.1, x > 0.1, y.abs() > 0.12), 1).to(sensors.dtype)
        return torch.cat((sensors[:, :-2], controls), 1)
