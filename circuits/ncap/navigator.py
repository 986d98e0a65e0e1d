"""Steering NCAP towards a target (Bhattasali et al. 2022, appendix on Navigate)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ...errors import CircuitMismatch
from ..bounds import within
from ..contract import Circuit, Facts, Memory, Pins, State, Wiring
from .ncap import NCAP

_CONTROLLERS = ("bearing", "hand", "learned")
_DT, _SMOOTHED = 0.03, 0.9  # s: a control step of the swimmers, and half a period of NCAP


class Navigator(Circuit):
    """An NCAP whose `right`, `left` and `speed` follow the target in head coordinates.

    `to_target` points from the nose to the target, in m. The head faces its -y axis, so a target at x < 0
    is to its right. `right` excites the first dorsal B-neurons, which bends the head that way.

    Args:
        n_joints: number of joints.
        controller: "bearing" turns by the target's bearing in rad, smoothed over half a period of the clock, since the
            head swings: turn = clip(gain bearing, -cap, cap), at full speed. "hand" turns when |x| > 0.1 m and goes
            when |y| > 0.12 m; "learned" is linear from (x, |y|) to right, left and speed, each clipped to [0, 1], and
            starts near "hand".
        period, sharing, sign_constraints, init, n_turn_joints, observe_time, dt, dt_ref, rng: as in `NCAP`.

    Attributes:
        gain, cap: of the turn, per rad and at most; only with "bearing".
        log_seconds: logarithm of the time of smoothing, s; only with "bearing".

    Raises:
        CircuitMismatch: an option is out of range.
    """

    is_bounded = True
    memory: Memory | None = "recurrent"
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
        super().__init__()
        if controller not in _CONTROLLERS:
            raise CircuitMismatch(f"controller is {controller!r}; give one of {', '.join(map(repr, _CONTROLLERS))}")
        self.controller, self.dt = controller, _DT if dt is None else dt
        self.memory = "recurrent" if controller == "bearing" else "clock"
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
        if controller == "bearing":
            self.gain, self.cap = nn.Parameter(torch.tensor(1.0)), nn.Parameter(torch.tensor(1.0))
            self.log_seconds = nn.Parameter(torch.tensor(math.log(_SMOOTHED)))

    @classmethod
    def facts(cls, options: Mapping[str, Any]) -> Facts:
        """Return that it is bounded, and recurrent where it smooths the bearing."""
        return Facts(is_bounded=True, memory="recurrent" if options["controller"] == "bearing" else "clock")

    def initial_state(self, batch_size: int) -> State:
        """Return NCAP's initial state and, with "bearing", the smoothed direction, [batch, 2], 0 until the first."""
        state = self.ncap.initial_state(batch_size)
        return state | ({"direction": self.cap.new_zeros(batch_size, 2)} if self.controller == "bearing" else {})

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
        x, y = sensors[..., -2:-1], sensors[..., -1:]
        direction: State = {}
        if self.linear is not None:
            controls = self.linear(torch.cat((x, y.abs()), -1)).clamp(0.0, 1.0)
        elif self.controller == "hand":
            controls = torch.cat((x < -0.1, x > 0.1, y.abs() > 0.12), -1).to(sensors.dtype)
        else:
            share = self.dt / self.log_seconds.exp()
            direction = {"direction": smoothed_direction(sensors[..., -2:], state["direction"], share)}
            to_right, ahead = direction["direction"].split(1, -1)
            cap = within(self.cap, 0.0, 1.0)
            turn = (self.gain * torch.atan2(to_right, ahead)).clamp(-cap, cap)
            controls = torch.cat((turn.clamp(min=0.0), (-turn).clamp(min=0.0), torch.ones_like(turn)), -1)
        return torch.cat((sensors[..., :-2], controls), -1), direction


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


def _of_ncap(state: State) -> State:
    return {name: value for name, value in state.items() if name != "direction"}
