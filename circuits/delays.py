"""Synapses that transmit late: each by its own learned number of control steps.

Hammouamri et al., ICLR 2024 (https://arxiv.org/abs/2306.17670).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .bounds import within
from .contract import Pins, State
from .recurrent import UnitCircuit

_MOST = 64  # control steps in a buffer


class DelayedUnits(UnitCircuit):
    """Units whose recurrent synapses may each have a delay.

    Without delays, units hear one another's values of the control step before; a delay of d is d control steps later,
    interpolated between whole steps. The state then holds the units' last values, `buf` [batch, depth, units], newest
    first, instead of the last alone. A subclass calls `_delay` when it is built, and sets `sent`.

    Attributes:
        sent: the key of the state under which a circuit without delays holds the units' last values.
        delays: number of control steps of `dt_ref` that are remembered; 0 for no delays.
        raw_delay: of each synapse [post, pre], in control steps of `dt_ref`; acts within 0 to `delays` - 1.
    """

    sent: str
    raw_delay: Float[Tensor, "units units"]

    def _delay(self, delays: int, step: float, rng: torch.Generator | None) -> None:
        """Draw delays evenly over those that act; `step` is the length of a control step in those of `dt_ref`."""
        if not 0 <= delays <= _MOST:
            raise CircuitMismatch(
                f"delays is {delays}; give up to {_MOST} control steps that units remember, or 0 for no delays"
            )
        self.delays, self._step_length = delays, step
        self.depth = math.ceil((delays - 1) / step) + 1 if delays else 1
        if delays:
            drawn = torch.empty(self.n_features, self.n_features).uniform_(0, delays - 1, generator=rng)
            self.raw_delay = nn.Parameter(drawn)

    def drawn_delays(self) -> Float[Tensor, "units units"] | None:
        """Return the delays of recurrent synapses, in control steps; None without delays."""
        if not self.delays:
            return None
        acting = within(self.raw_delay, 0.0, self.delays - 1.0)
        return acting if self._step_length == 1 else acting / self._step_length

    def held(self, values: Float[Tensor, "batch units"]) -> State:
        """Return the part of the state in which units had these values for as long as they remember, in their unit."""
        return {"buf": values[:, None].repeat(1, self.depth, 1)} if self.delays else {self.sent: values}

    def after(self, values: Float[Tensor, "batch units"], state: State) -> State:
        """Return the part of the state that follows `state` when units come to these values, in their own unit."""
        if not self.delays:
            return {self.sent: values}
        # Shifted in the copy that must be made anyway, since a state is never changed in place; sliced by methods, as
        # brackets cost a microsecond of six.
        return {"buf": torch.cat((values.unsqueeze(1), state["buf"].narrow(1, 0, self.depth - 1)), 1)}

    def last(self, state: State) -> Float[Tensor, "batch units"]:
        """Return the units' last values, in their own unit."""
        return state["buf"].select(1, 0) if self.delays else state[self.sent]

    def heard(self, state: State) -> Float[Tensor, "batch heard"]:
        """Return the values that recurrent synapses act on, in the units' own unit; see `acting`."""
        return state["buf"].flatten(1) if self.delays else state[self.sent]

    def acting(self, weight: Float[Tensor, "units units"]) -> Float[Tensor, "heard units"]:
        """Return the matrix that turns `heard` into each unit's recurrent input, with the unit of the weights."""
        delays = self.drawn_delays()
        return (weight if delays is None else delayed(weight, delays, self.depth)).t()

    def pinned_step(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins
    ) -> tuple[Float[Tensor, "batch features"], State]:
        """Run one control step with sensors and units as they are after `pins`, in the state too."""
        features, after = self.step_features(self.pinned(sensors, "sensors", pins), state)
        values = self.pinned(features, "units", pins)
        return values, {**after, **self.after(values, state)}


def delayed(
    weight: Float[Tensor, "post pre"],
    delay: Float[Tensor, "post pre"],
    depth: int,
    width: float | None = None,
) -> Float[Tensor, "post heard"]:
    """Return weights over the last `depth` values of all presynaptic units: the newest of each, then those before.

    Args:
        weight: of each synapse.
        delay: of each synapse, in control steps, 0 to depth - 1.
        depth: number of values.
        width: None interpolates linearly between the two steps next to the delay; else the standard deviation, in
            control steps, of a Gaussian around the delay, normalised over the values.
    """
    # Units along the last axis, where operations on vectors are: with steps there this takes more than twice as long,
    # and it is most of what a control step with delays costs.
    steps, each = torch.arange(depth, dtype=delay.dtype, device=delay.device)[:, None], weight[:, None]
    apart = steps - delay[:, None]
    if width is None:
        return torch.addcmul(each, each, apart.clamp(-1, 1).abs(), value=-1).flatten(1)
    share = torch.exp(-0.5 * (apart / width).square())
    return (each * share / (share.sum(1, keepdim=True) + 1e-7)).flatten(1)
