"""The continuous-timescale RNN: every unit has its own learned time constant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .bounds import within
from .contract import State, UnitAxes, step_length
from .delays import DelayedUnits
from .held import of_weights
from .recurrent import READOUT_AXES, hold, motor_readout, uniform, with_rank
from .rewiring import Growth, Kind, Pruning, Rewiring
from .sparse import RewiringCircuit, Sparse, SparseLinear, ensemble_neurons, keep, masked

_SLOPE = 0.01  # of the leaky ReLU below zero


class CTRNN(DelayedUnits, RewiringCircuit):
    """Leaky units h' = f((1 - a) h + a (W h + b + W_in x)) with a = 1 / tau, one tau each.

    f is a leaky ReLU and no unit has a synapse onto itself (W has a zero diagonal). The state is `h`, [batch, units].

    With `ensembles`, connections are sparse and are rewired during training; `Rewiring` documents these options. With
    "body" ensembles, the units, the sensors and the motor of a joint form one ensemble; otherwise motors read all
    units.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands.
        units: number of units.
        form: "update" applies f to the whole update, as above; "drive" applies it to W h + b + W_in x alone.
        time_constants: "softplus", tau = 1 + softplus(rho); "clamp", a = 1 / max(tau, 1), as published, where a tau
            below 1 has no gradient (23 % of the taus in one released network); "fixed", not trained.
        tau: range of the initial time constants, in substeps; 1 or more.
        substeps: updates per control step.
        learn_start: whether to learn the initial state, which starts at 0.
        delays: number of past control steps that are stored, so that each recurrent synapse has a learned delay of 0 to
            `delays` - 1 control steps, the same in all substeps; 0 for no delays. With delays, the state is `buf`
            instead of `h`; see `DelayedUnits`.
        rank: rank of the initial recurrent weights (before the diagonal and missing synapses are removed); None for
            full rank.
        ensembles, n_ensembles, p_intra, p_inter: initial sparse connectivity; see `Rewiring`.
        rewire_every, rewire_share, prune, grow: rewiring during training; see `Rewiring`.
        dt: seconds of a control step.
        dt_ref: seconds of the control step for which time constants and delays are given. At another dt, 1 - a is
            (1 - 1 / tau) to the power of dt / dt_ref: under constant input, a unit moves as far in the same number of
            seconds.
        rng: random generator for the initial weights.

    Attributes:
        weight_in, weight_rec, bias: W_in, W and b; the diagonal of `weight_rec` is ignored.
        raw_tau: the parameters from which the function named by `time_constants` computes the time constants.

    Source: Khajehabdollahi et al., ICLR 2024 (https://arxiv.org/abs/2309.12927), eq. 1.
    """

    memory = "recurrent"
    sent = "h"
    others: Float[Tensor, "units units"]
    mask_in: Bool[Tensor, "units sensors"]
    mask_rec: Bool[Tensor, "units units"]
    raw_tau: Float[Tensor, " units"]
    start: Float[Tensor, " units"]

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        units: int = 64,
        form: Literal["update", "drive"] = "update",
        time_constants: Literal["softplus", "clamp", "fixed"] = "softplus",
        tau: tuple[float, float] = (1.0, 2.0),
        substeps: int = 1,
        learn_start: bool = True,
        delays: int = 0,
        rank: int | None = None,
        ensembles: Kind | None = None,
        n_ensembles: int | None = None,
        p_intra: float = 1.0,
        p_inter: float = 0.15,
        rewire_every: int = 10,
        rewire_share: float = 0.1,
        prune: Pruning = "set",
        grow: Growth = "hebb",
        dt: float | None = None,
        dt_ref: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if form not in ("update", "drive"):
            raise CircuitMismatch(f"form is {form!r}; give 'update' or 'drive'")
        if time_constants not in ("softplus", "clamp", "fixed"):
            raise CircuitMismatch(f"time_constants is {time_constants!r}; give 'softplus', 'clamp' or 'fixed'")
        low, high = tau
        if not 1 <= low <= high:
            raise CircuitMismatch(f"tau is {low} to {high} steps; give a range from 1 up, such as [1, 2]")
        if substeps < 1:
            raise CircuitMismatch(f"substeps is {substeps}; give 1 or more")
        rewiring = Rewiring(ensembles, n_ensembles, p_intra, p_inter, rewire_every, rewire_share, prune, grow)
        rewiring.check(n_motors)
        if delays and ensembles:
            raise CircuitMismatch(
                f"delays is {delays}, and synapses that are exchanged have none; leave out one of them"
            )
        self._build(senses, n_motors, units, rng)
        self.step_length = step_length(dt, dt_ref)
        self.form, self.time_constants, self.substeps = form, time_constants, substeps
        self.weight_in = uniform((units, self.n_sensors), self.n_sensors, rng)
        self.weight_rec = nn.Parameter(with_rank(uniform((units, units), units, rng), rank))
        self.bias = uniform((units,), units, rng)
        drawn = torch.empty(units).uniform_(low, high, generator=rng)
        # Learned time constants start slightly above 1: at 1 itself, the inverse of softplus is minus infinity.
        raw = torch.expm1((drawn - 1).clamp(min=1e-2)).log() if time_constants == "softplus" else drawn
        hold(self, "raw_tau", raw, learned=time_constants != "fixed")
        hold(self, "start", torch.zeros(units), learned=learn_start)
        self.register_buffer("others", 1 - torch.eye(units), persistent=False)
        self._delay(delays, self.step_length, rng)
        self._rewire_by(rewiring, rng)
        if ensembles:
            self._keep_some(rng)

    def _keep_some(self, rng: torch.Generator | None) -> None:
        """Draw which synapses there are, and place the units of ensembles along the body."""
        rewiring, first, joints = self.rewiring, self.groups["units"].start, self.n_motors
        sensors = rewiring.of_sensors(self.senses, joints, rng)
        units = rewiring.of_units(self.n_features, joints, rng)
        self.register_buffer("mask_in", rewiring.draw(units, sensors, rng))
        self.register_buffer("mask_rec", rewiring.draw(units, units, rng, 1) & self.others.bool())
        keep(self.weight_in, self.mask_in)
        keep(self.weight_rec, self.mask_rec)
        if rewiring.ensembles == "body":
            self.readout = motor_readout(self.n_features, joints, rng, SparseLinear)
            self.readout.keep(rewiring.draw(torch.eye(joints).bool(), units, rng))  # type: ignore[operator]
            placed = ensemble_neurons("ensemble", units)
            self.neurons = (*self.neurons[:first], *placed, *self.neurons[first + len(placed) :])

    def sparse(self) -> Mapping[str, Sparse]:
        """Return the sparse matrices, by parameter."""
        if self.rewiring.ensembles is None:
            return {}
        sensors, units, motors = (self.groups[name] for name in ("sensors", "units", "motors"))
        found = {
            "weight_in": Sparse(self.weight_in, self.mask_in, torch.ones_like(self.mask_in), sensors, units),
            # Units hear one another's values of the control step before.
            "weight_rec": Sparse(self.weight_rec, self.mask_rec, self.others.bool(), units, units, lag=1),
        }
        if isinstance(out := self.readout, SparseLinear):
            found["readout.weight"] = Sparse(out.weight, out.mask, torch.ones_like(out.mask), units, motors)
        return found

    @property
    def tau(self) -> Float[Tensor, " units"]:
        """The time constants, in substeps; a control step has `substeps` of them."""
        if self.time_constants == "softplus":
            return 1 + nn.functional.softplus(self.raw_tau)
        return within(self.raw_tau, 1.0) if self.time_constants == "clamp" else self.raw_tau

    def initial_state(self, batch_size: int) -> State:
        """Return the state at the start of an episode."""
        return self.held(self.start.expand(batch_size, -1))

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step, `substeps` updates."""
        leak, recurrent = self._of_weights()
        h = self._update(state, self._drive(sensors), leak, recurrent)
        return h, self.after(h, state)

    def unroll_features(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch units"], State]:
        """Run a sequence; what depends on weights and sensors alone is computed once, for the whole sequence."""
        leak, recurrent = self._of_weights()
        resets, values = episode_start.any(1).tolist(), []
        # With M = I (1 - a) + W a, an update is f(h M + a x): a third fewer operations than by h and W apart.
        if is_one_product := self.form == "update" and not self.delays:
            recurrent = torch.diag(1 - leak) + recurrent * leak
        for step, drive in enumerate(self._drive(sensors, leak if is_one_product else None).unbind()):
            if resets[step]:
                state = self.reset_state(state, episode_start[step])
            if is_one_product:
                h = self.last(state)
                for _ in range(self.substeps):
                    h = nn.functional.leaky_relu(torch.addmm(drive, h, recurrent), _SLOPE)
            else:
                h = self._update(state, drive, leak, recurrent)
            state = self.after(h, state)
            values.append(h)
        return torch.stack(values), state

    def drawn_weights(self) -> tuple[Float[Tensor, "units sensors"], Float[Tensor, "units units"]]:
        """Return the input and the recurrent weights."""
        return self.weight_in, self.weight_rec * self.others

    @property
    def unit_axes(self) -> UnitAxes:
        """Which axes of the weights index units; a leaky ReLU is not odd."""
        axes = {
            "weight_in": ("units", "sensors"), "weight_rec": ("units", "units"), "bias": ("units",),
            "raw_tau": ("units",), "start": ("units",), **READOUT_AXES,
        }  # fmt: skip
        return UnitAxes(axes, "bias")

    @of_weights
    def _of_weights(self) -> tuple[Float[Tensor, " units"], Float[Tensor, "heard units"]]:
        """Return the leaks and the recurrent weights as they act."""
        return self._leak(), self.acting(self._between())

    def _leak(self) -> Float[Tensor, " units"]:
        """Return a: the fraction of the distance to its input that each unit moves in a substep."""
        leak = 1 / self.tau
        if self.step_length == 1:
            return leak
        # At tau = 1, a unit that forgets everything at once, the gradient is infinite in a step shorter than dt_ref.
        return 1 - (1 - leak).clamp(min=1e-6) ** self.step_length

    def _between(self) -> Float[Tensor, "units units"]:
        """Return the recurrent weights as they act."""
        weight = self.weight_rec * self.others
        return masked(weight, self.mask_rec) if self.rewiring.ensembles else weight

    def _drive(
        self, sensors: Float[Tensor, "*batch sensors"], gain: Float[Tensor, " units"] | None = None
    ) -> Float[Tensor, "*batch units"]:
        into = masked(self.weight_in, self.mask_in) if self.rewiring.ensembles else self.weight_in
        if gain is None:
            return nn.functional.linear(sensors, into, self.bias)
        return nn.functional.linear(sensors, into * gain[:, None], self.bias * gain)

    def _update(
        self,
        state: State,
        drive: Float[Tensor, "batch units"],
        leak: Float[Tensor, " units"],
        recurrent: Float[Tensor, "heard units"],
    ) -> Float[Tensor, "batch units"]:
        h = self.last(state)
        for _ in range(self.substeps):
            heard = torch.addmm(drive, self.heard(state) if self.delays else h, recurrent)
            if self.form == "drive":
                heard = nn.functional.leaky_relu(heard, _SLOPE)
            h = torch.lerp(h, heard, leak)
            if self.form == "update":
                h = nn.functional.leaky_relu(h, _SLOPE)
        return h
