"""Integrate-and-fire units whose input current is constant within a control step, so that spikes have a closed form."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ...errors import CircuitMismatch
from ..bounds import within
from ..contract import Pins, State, step_length
from ..delays import DelayedUnits
from ..held import of_weights
from ..recurrent import hold, uniform

STEP = 0.03  # s, the control step of a circuit that is told none: that of dm_control's swimmers
_TAU = (0.001, 10.0)  # s, within which time constants act, however far a learner moves them


class Spiking(DelayedUnits):
    """Units that integrate a current, fire at 1 and subtract it; others hear a trace of their spikes.

    In a control step of k substeps, I = W_in x + W_rec s + b, r = clip(I, 0, 1) is the share of substeps with a spike,
    n = floor(v + k r) the number of spikes, v' = v + k r - n, and s' = a s + (1 - a) n / k with a = exp(-dt / tau).
    The current is that of the whole control step: synapses between units transmit with a delay of one control step,
    those of sensors at once. No loop over substeps is needed, and a step takes as long for any k. The gradient is that
    of the rate r: it is passed through the rounding.

    The trace s is what is read out, recorded and heard, from 0 to 1, and does not depend on k but for the rounding, at
    most 1 / k in a step. So the same weights run with any number of substeps, and with 0 as rates, which send r itself.
    The state is `s` and the membrane potential `v`, [batch, units], the latter from 0 to 1 in units of the threshold.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands.
        units: number of units.
        substeps: k, at which a unit may fire, per control step; 0 for rates.
        tau: range of the initial time constants of the traces, s, drawn evenly in their logarithm.
        learn_tau: learn them.
        delays: control steps that units remember of each trace, so that each recurrent synapse has a learned delay of 0
            to one less; 0 for no delays. 8 is a quarter of a second for dm_control's swimmers. The state is then `buf`
            in place of `s`; see `DelayedUnits`.
        dt: seconds of a control step. Time constants are in seconds and stay what they are; that synapses between units
            hear the control step before is so at any length.
        dt_ref: seconds of the control step that `delays` and `raw_delay` are counted in: at another dt, they stay as
            many seconds.
        rng: random generator for the initial weights.

    Attributes:
        weight_in, weight_rec, bias: as above.
        log_tau: logarithm of the time constants in seconds, which act within 0.001 to 10 s.
    """

    memory = "recurrent"
    sent = "s"
    log_tau: Float[Tensor, " units"]
    _substeps: Float[Tensor, ""]

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        units: int = 64,
        substeps: int = 4,
        tau: tuple[float, float] = (0.03, 0.3),
        learn_tau: bool = True,
        delays: int = 0,
        dt: float | None = None,
        dt_ref: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if substeps < 0:
            raise CircuitMismatch(f"substeps is {substeps}; give 1 or more, or 0 for rates without spikes")
        self._build(senses, n_motors, units, rng)
        self.dt, self.substeps = dt or dt_ref or STEP, substeps
        self.spiking = "units" if substeps else ""
        self.weight_in = uniform((units, self.n_sensors), self.n_sensors, rng)
        self.weight_rec = uniform((units, units), units, rng)
        # Half active at first: where r is linear, and no unit is silent.
        self.bias = nn.Parameter(torch.empty(units).uniform_(0.2, 0.8, generator=rng))
        hold(self, "log_tau", log_uniform(units, tau, rng), learned=learn_tau)
        self._delay(delays, step_length(dt, dt_ref), rng)
        # As a tensor, by which torch divides in half the time that it takes for a number.
        self.register_buffer("_substeps", torch.tensor(float(substeps)), persistent=False)

    @property
    def tau(self) -> Float[Tensor, " units"]:
        """The traces' time constants, in control steps."""
        return acting_tau(self.log_tau) / self.dt

    def initial_state(self, batch_size: int) -> State:
        """Return silent traces, and membranes in the middle, so that the first rounding has no bias."""
        silent = self.bias.new_zeros(batch_size, self.n_features)
        return {**self.held(silent), "v": torch.full_like(silent, 0.5)}

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step."""
        return self._step(sensors, state, self._of_weights())

    def unroll_features(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch units"], State]:
        """Run a sequence. Bit for bit as step by step: a sum in another order could round one spike otherwise."""
        acting, traces = self._of_weights(), []
        resets = episode_start.any(1).tolist()
        for step, row in enumerate(sensors):
            begun = self.reset_state(state, episode_start[step]) if resets[step] else state
            trace, state = self._step(row, begun, acting)
            traces.append(trace)
        return torch.stack(traces), state

    def spikes(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> Float[Tensor, "batch substeps units"]:
        """Return each unit's spikes, 0 or 1, in the substeps of the control step that starts from `state`."""
        rate = self._rate(self.pinned(sensors, "sensors", pins), state, self._of_weights())
        return spikes_of(rate.detach(), state["v"], self.substeps)

    def drawn_weights(self) -> tuple[Float[Tensor, "units sensors"], Float[Tensor, "units units"]]:
        """Return the input and the recurrent weights."""
        return self.weight_in, self.weight_rec

    @of_weights
    def _of_weights(self) -> _Acting:
        kept = torch.exp(-self.dt / acting_tau(self.log_tau))
        return _Acting(self.bias, self.weight_in.t(), self.acting(self.weight_rec), self._substeps, kept)

    def _rate(
        self, sensors: Float[Tensor, "batch sensors"], state: State, acting: _Acting
    ) -> Float[Tensor, "batch units"]:
        driven = torch.addmm(acting.bias, sensors, acting.weight_in)
        # Clipped before it is integrated: an excess that the membrane kept would bias the rate for long.
        return torch.addmm(driven, self.heard(state), acting.weight_rec).clamp(0, 1)

    def _step(
        self, sensors: Float[Tensor, "batch sensors"], state: State, acting: _Acting
    ) -> tuple[Float[Tensor, "batch units"], State]:
        sent = rate = self._rate(sensors, state, acting)
        membrane = state["v"]
        if self.substeps:
            count, membrane = fire(rate.detach(), membrane, self.substeps)
            sent = count / acting.substeps
            if rate.requires_grad:
                sent = sent + (rate - rate.detach())
        trace = torch.lerp(sent, self.last(state), acting.kept)
        return trace, {**self.after(trace, state), "v": membrane}


class _Acting(NamedTuple):
    """What a step needs of the weights; `kept` is the share of a trace that remains after a control step."""

    bias: Float[Tensor, " units"]
    weight_in: Float[Tensor, "sensors units"]
    weight_rec: Float[Tensor, "heard units"]
    substeps: Float[Tensor, ""]
    kept: Float[Tensor, " units"]


def fire(
    rate: Float[Tensor, "batch units"], membrane: Float[Tensor, "batch units"], substeps: int
) -> tuple[Float[Tensor, "batch units"], Float[Tensor, "batch units"]]:
    """Return the number of spikes, and the membrane potential after a control step.

    Args:
        rate: wanted share of substeps with a spike, 0 to 1.
        membrane: potential before, 0 to 1 in units of the threshold.
        substeps: of the control step.
    """
    charged = torch.add(membrane, rate, alpha=substeps)
    # In single precision a sum of nearly k + 1 rounds up to it; there are no more spikes than substeps.
    count = charged.floor().clamp_max(substeps)
    return count, charged - count


def spikes_of(
    rate: Float[Tensor, "batch units"], membrane: Float[Tensor, "batch units"], substeps: int
) -> Float[Tensor, "batch substeps units"]:
    """Return in which substeps the spikes are that `fire` counts, 0 or 1 each.

    Args:
        rate, membrane, substeps: as those of `fire`.
    """
    until = torch.arange(substeps, dtype=rate.dtype, device=rate.device)[:, None]
    before = torch.minimum((membrane[:, None] + until * rate[:, None]).floor(), until)
    # The last is what `fire` counts, which may round its sum in another way.
    return torch.cat((before, fire(rate, membrane, substeps)[0][:, None]), 1).diff(dim=1)


def acting_tau(log_tau: Float[Tensor, " units"]) -> Float[Tensor, " units"]:
    """Return time constants in seconds from their logarithms, within what acts."""
    return within(log_tau, math.log(_TAU[0]), math.log(_TAU[1])).exp()


def log_uniform(units: int, tau: tuple[float, float], rng: torch.Generator | None) -> Float[Tensor, " units"]:
    """Return the logarithms of time constants in seconds that are drawn evenly in their logarithm.

    Raises:
        CircuitMismatch: the range does not rise or is not within 0.001 to 10 s.
    """
    low, high = tau
    if not _TAU[0] <= low <= high <= _TAU[1]:
        raise CircuitMismatch(f"tau is {low} to {high} s; give a range within 0.001 to 10, such as [0.03, 0.3]")
    return torch.empty(units).uniform_(math.log(low), math.log(high), generator=rng)
