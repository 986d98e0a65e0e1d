"""Leaky integrate-and-fire units, substep by substep: the unit of the literature."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ...errors import CircuitMismatch
from ..bounds import within
from ..contract import Pins, State, step_length
from ..held import of_weights
from ..recurrent import UnitCircuit, hold, uniform
from .spiking import STEP, acting_tau, log_uniform
from .surrogate import Surrogate, check_surrogate, spike

# Where there are several substeps, a surrogate of a larger area than about 0.3 adds up to gradients worse than none.
_SLOPES: Mapping[Surrogate, float] = {"narrow": 25.0, "atan": 2.0, "triangle": 0.3, "box": 1.0}


class LIF(UnitCircuit):
    """Leaky units that hear one another's traces in every substep.

    In each of k substeps of dt / k: I = W_in x + W_rec s + b; v = b_m v + (1 - b_m) I; a unit fires, z = 1, where v
    reaches the threshold 1 + beta A; then v loses the threshold, or all; s = a s + (1 - a) k z; A = r A + (1 - r) k z.
    b_m, a and r are exp(-dt / k tau) of their time constants. The trace s is in spikes per control step, so that it
    does not grow with k. The gradient of a spike is a surrogate's.

    With recurrence inside the control step, dynamics depend on k: weights trained at one do not fit another, and there
    is no twin in rates. `Spiking` has both, at a fraction of the time.

    The state is `v` and `s`, and with adaptation `A`, [batch, units]; all begin at 0. The threshold is 1: another would
    change no spike that other weights and biases do not.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands.
        units: number of units.
        substeps: k.
        reset: "subtract" takes the threshold off v at a spike, "zero" sets v to 0.
        adaptation: spikes raise the threshold by beta A, beta learned from 0.
        surrogate: see `spike`; None is "atan" for one substep and "narrow" for more.
        slope: of the surrogate; None is 2 for "atan", 25 for "narrow", 0.3 for "triangle" and 1 for "box".
        tau: range of the membranes' initial time constants, s, drawn evenly in their logarithm.
        learn_tau: learn all time constants.
        dt: seconds of a control step. Time constants are in seconds and stay what they are.
        dt_ref: seconds of the control step where `dt` is not given.
        rng: random generator for the initial weights.

    Attributes:
        weight_in, weight_rec, bias: as above.
        log_tau_m, log_tau_s, log_tau_a: logarithms of time constants in seconds: of membranes, traces and adaptation.
            They act within 0.001 to 10 s.
        beta: of the adaptation; acts where it is above 0.
    """

    memory = "recurrent"
    spiking = "units"
    log_tau_m: Float[Tensor, " units"]
    log_tau_s: Float[Tensor, " units"]
    log_tau_a: Float[Tensor, " units"]

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        units: int = 64,
        substeps: int = 1,
        reset: Literal["subtract", "zero"] = "subtract",
        adaptation: bool = False,
        surrogate: Surrogate | None = None,
        slope: float | None = None,
        tau: tuple[float, float] = (0.02, 0.2),
        learn_tau: bool = True,
        dt: float | None = None,
        dt_ref: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if substeps < 1:
            raise CircuitMismatch(
                f"substeps is {substeps}; give 1 or more: lif has no twin in rates, which spiking has"
            )
        if reset not in ("subtract", "zero"):
            raise CircuitMismatch(f"reset is {reset!r}; give 'subtract' or 'zero'")
        self.surrogate: Surrogate = surrogate or ("atan" if substeps == 1 else "narrow")
        self.slope = _SLOPES.get(self.surrogate, 1.0) if slope is None else slope
        check_surrogate(self.surrogate, self.slope)
        self._build(senses, n_motors, units, rng)
        step_length(dt, dt_ref)
        self.dt, self.substeps, self.reset, self.adaptation = dt or dt_ref or STEP, substeps, reset, adaptation
        self.weight_in = uniform((units, self.n_sensors), self.n_sensors, rng)
        self.weight_rec = uniform((units, units), units, rng)
        self.bias = nn.Parameter(torch.empty(units).uniform_(0.5, 1.5, generator=rng))
        hold(self, "log_tau_m", log_uniform(units, tau, rng), learned=learn_tau)
        hold(self, "log_tau_s", torch.full((units,), math.log(0.03)), learned=learn_tau)
        if adaptation:
            hold(self, "log_tau_a", log_uniform(units, (0.2, 2.0), rng), learned=learn_tau)
            self.beta = nn.Parameter(torch.zeros(units))

    @property
    def tau(self) -> Float[Tensor, " units"]:
        """The membranes' time constants, in control steps."""
        return acting_tau(self.log_tau_m) / self.dt

    def initial_state(self, batch_size: int) -> State:
        """Return units at rest."""
        keys = ("v", "s", "A") if self.adaptation else ("v", "s")
        return {key: self.bias.new_zeros(batch_size, self.n_features) for key in keys}

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step."""
        ran = self._run(sensors, state, self._of_weights())
        return ran.state["s"], ran.state

    def unroll_features(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch units"], State]:
        """Run a sequence, bit for bit as step by step."""
        acting, traces, resets = self._of_weights(), [], episode_start.any(1).tolist()
        for step, row in enumerate(sensors):
            state = self.reset_state(state, episode_start[step]) if resets[step] else state
            state = self._run(row, state, acting).state
            traces.append(state["s"])
        return torch.stack(traces), state

    def pinned_step(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step with sensors and traces as they are after `pins`, in every substep."""
        ran = self._run(self.pinned(sensors, "sensors", pins), state, self._of_weights(), pins)
        return ran.state["s"], ran.state

    def spikes(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> Float[Tensor, "batch substeps units"]:
        """Return each unit's spikes, 0 or 1, in the substeps of the control step that starts from `state`."""
        return torch.stack(self._run(self.pinned(sensors, "sensors", pins), state, self._of_weights(), pins).spikes, 1)

    def drawn_weights(self) -> tuple[Float[Tensor, "units sensors"], Float[Tensor, "units units"]]:
        """Return the input and the recurrent weights."""
        return self.weight_in, self.weight_rec

    @of_weights
    def _of_weights(self) -> _Acting:
        logs = [self.log_tau_m, self.log_tau_s, *([self.log_tau_a] if self.adaptation else [])]
        kept = [torch.exp(-self.dt / self.substeps / acting_tau(log)) for log in logs]
        beta = within(self.beta, 0.0) if self.adaptation else None
        one = self.bias.new_ones(())
        return _Acting(self.bias, self.weight_in.t(), self.weight_rec.t(), kept, beta, one, self.substeps * one)

    def _run(
        self,
        sensors: Float[Tensor, "batch sensors"],
        state: State,
        acting: _Acting,
        pins: Pins | None = None,
    ) -> _Ran:
        driven = torch.addmm(acting.bias, sensors, acting.weight_in)
        v, s, a, threshold = state["v"], state["s"], state.get("A"), acting.one
        fired = []
        for _ in range(self.substeps):
            v = torch.lerp(torch.addmm(driven, s, acting.weight_rec), v, acting.kept[0])
            if a is not None and acting.beta is not None:
                threshold = torch.addcmul(acting.one, acting.beta, a)
            z = spike(v - threshold, self.surrogate, self.slope)
            # Detached: a gradient through the reset too would take the spike's twice.
            v = torch.addcmul(v, v if self.reset == "zero" else threshold, z.detach(), value=-1)
            sent = z * acting.substeps
            s = self.pinned(torch.lerp(sent, s, acting.kept[1]), "units", pins)
            if a is not None:
                a = torch.lerp(sent, a, acting.kept[2])
            fired.append(z)
        return _Ran(fired, {"v": v, "s": s} if a is None else {"v": v, "s": s, "A": a})


class _Acting(NamedTuple):
    """What a step needs of the weights: those of synapses, the shares of v, s and A that remain after a substep, beta.

    And 1 and k as tensors, with which torch computes in half the time that it takes with numbers.
    """

    bias: Float[Tensor, " units"]
    weight_in: Float[Tensor, "sensors units"]
    weight_rec: Float[Tensor, "units units"]
    kept: list[Float[Tensor, " units"]]
    beta: Float[Tensor, " units"] | None
    one: Float[Tensor, ""]
    substeps: Float[Tensor, ""]


class _Ran(NamedTuple):
    """What a control step came to: the spikes of each substep, 0 or 1, and the state after the last."""

    spikes: list[Float[Tensor, "batch units"]]
    state: State
