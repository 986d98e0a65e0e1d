"""Steering towards a target: turns and a speed, from where the target is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .bounds import within
from .contract import Circuit, Facts, Memory, Pins, State, Synapse, Wiring, named_groups
from .neurons import neuron_row, sensor_neurons

_CONTROLLERS = ("bearing", "hand", "learned")
_DT, _SMOOTHED = 0.03, 0.9  # s: a control step of the swimmers, and half a period of NCAP


class Steering(Circuit):
    """Say how far to turn right and left and how fast to go, each in [0, 1], from where a target is.

    These are its three motor commands, to be wired to a circuit that senses `right`, `left` and `speed`, such as NCAP
    with `controls`; `Navigator` is both in one. `to_target` points from the nose to the target, in m. The head faces
    its -y axis, so a target at x < 0 is to its right.

    Args:
        controller: "bearing" turns by the target's bearing in rad, smoothed over half a period of NCAP's clock, since
            the head swings: turn = clip(gain bearing, -cap, cap), at full speed. "hand" turns when |x| > 0.1 m and
            goes when |y| > 0.12 m; "learned" is linear from (x, |y|) to right, left and speed, each clipped to [0, 1],
            and starts near "hand".
        dt: seconds of a control step; None is 0.03, the swimmers'.

    Attributes:
        gain, cap: of the turn, per rad and at most; only with "bearing".
        log_seconds: logarithm of the time of smoothing, s; only with "bearing".

    Raises:
        CircuitMismatch: there is no such controller.
    """

    is_bounded = True
    memory: Memory | None = "recurrent"

    def __init__(
        self, *, controller: Literal["bearing", "hand", "learned"] = "bearing", dt: float | None = None
    ) -> None:
        super().__init__()
        if controller not in _CONTROLLERS:
            raise CircuitMismatch(f"controller is {controller!r}; give one of {', '.join(map(repr, _CONTROLLERS))}")
        self.controller, self.dt = controller, _DT if dt is None else dt
        self.senses: tuple[tuple[str, int], ...] = (("to_target", 2),)
        self.n_motors, self.memory = 3, self.facts({"controller": controller}).memory
        self.neurons, self.groups = named_groups(
            {"sensors": sensor_neurons(self.senses), "motors": neuron_row("motor", "motor", self.n_motors)}
        )
        self.linear: nn.Linear | None = None
        if controller == "learned":
            self.linear = nn.Linear(2, 3)
            with torch.no_grad():
                # Saturated turns beyond 0.2 m to the side; full speed unless the target is abreast.
                self.linear.weight.copy_(torch.tensor([[-5.0, 0.0], [5.0, 0.0], [0.0, 8.0]]))
                self.linear.bias.zero_()
        if controller == "bearing":
            self.gain, self.cap = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(1.0))
            self.log_seconds = nn.Parameter(torch.tensor(math.log(_SMOOTHED)))

    @classmethod
    def facts(cls, options: Mapping[str, Any]) -> Facts:
        """Return that it is bounded, and recurrent where it smooths the bearing."""
        return Facts(is_bounded=True, memory="recurrent" if options["controller"] == "bearing" else "none")

    def initial_state(self, batch_size: int) -> State:
        """Return, with "bearing", the smoothed direction, [batch, 2], 0 until the first."""
        return {"direction": self.cap.new_zeros(batch_size, 2)} if self.controller == "bearing" else {}

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return every neuron's value: the target's place, m, and the commands."""
        heard = self.pinned(sensors, "sensors", pins)
        controls, state = self.steered(heard, state)
        controls = self.pinned(controls, "motors", pins)
        return controls, state, torch.cat((heard, controls), 1)

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run the circuit over a sequence; at once where steering looks at each step alone."""
        if self.controller == "bearing":
            return super().unroll(sensors, state, episode_start)
        return self.steered(sensors, state)

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return how a target steers: by weights with "learned", by the gain, per rad, with "bearing".

        With "hand", a weight of 1 says which way, and that the distance ahead or behind lets it go.
        """
        if self.linear is not None:
            found = {(pre, post): weight for post, row in enumerate(self.linear.weight.tolist())
                     for pre, weight in enumerate(row)}  # fmt: skip
        else:
            gain = float(self.gain.detach()) if self.controller == "bearing" else 1.0
            found = {(0, 0): -gain, (0, 1): gain, **({(1, 2): 1.0} if self.controller == "hand" else {})}
        return Wiring(
            self.neurons,
            tuple(Synapse(f"to_target_{pre}", f"motor_{post}", weight) for (pre, post), weight in found.items()),
        )

    def steered(self, to_target: Float[Tensor, "*batch 2"], state: State) -> tuple[Float[Tensor, "*batch 3"], State]:
        """Return right, left and speed, in [0, 1], and the next direction, where there is one."""
        x, y = to_target.split(1, -1)
        if self.linear is not None:
            return self.linear(torch.cat((x, y.abs()), -1)).clamp(0.0, 1.0), {}
        if self.controller == "hand":
            return torch.cat((x < -0.1, x > 0.1, y.abs() > 0.12), -1).to(to_target.dtype), {}
        direction = smoothed_direction(to_target, state["direction"], self.dt / self.log_seconds.exp())
        to_right, ahead = direction.split(1, -1)
        cap = within(self.cap, 0.0, 1.0)
        turn = (self.gain * torch.atan2(to_right, ahead)).clamp(-cap, cap)
        controls = torch.cat((turn.clamp(min=0.0), (-turn).clamp(min=0.0), torch.ones_like(turn)), -1)
        return controls, {"direction": direction}


def smoothed_direction(
    to_target: Float[Tensor, "batch 2"], before: Float[Tensor, "batch 2"], share: Float[Tensor, ""]
) -> Float[Tensor, "batch 2"]:
    """Return the direction to a target, to the right and ahead, smoothed; the first is taken as it is.

    Args:
        to_target: in the head's frame, m.
        before: the last result, 0 before the first.
        share: of the time of smoothing that has passed since.
    """
    now = -to_target / to_target.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    is_first = (before == 0).all(-1, keepdim=True)
    return torch.where(is_first, now, before - torch.expm1(-share) * (now - before))
