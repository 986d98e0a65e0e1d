"""A liquid that an astrocyte keeps near its edge, organised once before training, with a trained readout."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...errors import CircuitMismatch
from ..contract import Neuron, Pins, State, Wiring, named_groups, step_length
from ..held import are_weights_to_come
from ..neurons import neuron_row, sensor_neurons
from ..recurrent import RecurrentCircuit, motor_readout, synapses
from ..weights import check_size
from .medium import BOUND, DRIVE, LEAK, REFRACTORY, REST, THRESHOLD, Medium, Plasticity

_RATE = 0.04  # spikes per ms of an input for each unit of its sensor
_TAU = 0.15  # s, of the traces that are read out
_EXCITATORY = 0.8  # of the liquid
# Of pairs of units next to each other, by whether the presynaptic and the postsynaptic one excite.
_CONNECTED = {(True, True): 0.2, (True, False): 0.1, (False, True): 0.3, (False, False): 0.05}
_REACH = 3.0  # of synapses, in distances of the grid
_HEARD = 0.15  # share of the liquid that an input reaches
_SAMPLE = 200  # ms
_MOST = 100  # ms since a spike that are counted


class NALSM(RecurrentCircuit):
    """A neuron-astrocyte liquid state machine: a grid of spiking units that nothing trains, and a readout that learns.

    Every ms, each sensor and its negative send spikes at a rate of its value (0.04 a ms for a value of 1), by counting
    up and not at random. Units of the liquid leak (64 ms), fire at 20 and rest for 2 ms; a current decays in 1 ms.
    Motors are a linear readout of each unit's spikes per control step, averaged over 0.15 s.

    When it is built, the liquid organises itself on noise: pairs of spikes change its weights, and an astrocyte
    balances growth and decay by how much more the liquid fires than its inputs. Its weights are then fixed, and saved
    with the circuit: no learner moves them, and nothing is plastic while it acts. `organise` does so on sensors of a
    recording. Samples are of 200 ms and not of 20, as published: here inputs fire so rarely that within 20 ms nothing
    in the liquid does.

    The state is `v`, `since` and `ref` [batch, liquid + inputs], `acc` [batch, inputs] and `s` [batch, liquid]:
    membranes, ms since the last spike, ms of rest, what inputs have counted up and the averages.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands.
        units: number of units of the liquid, a cube such as 125; four of five excite.
        gain: of the astrocyte; 0 leaves depression where it begins.
        samples: of 200 ms each, on which the liquid organises itself.
        dt: seconds of a control step; its ms are simulated.
        dt_ref: seconds of the control step where `dt` is not given.
        rng: random generator for positions, synapses and noise.

    Attributes:
        weights: of synapses onto the liquid [liquid, liquid + inputs], a buffer.
        mask: which synapses there are, a buffer.

    Source: Ivanov and Michmizos, NeurIPS 2021 (https://arxiv.org/abs/2111.01760).
    """

    memory = "recurrent"
    spiking = "units"
    weights: Float[Tensor, "units all"]
    mask: Bool[Tensor, "units all"]

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        units: int = 125,
        gain: float = 0.015,
        samples: int = 30,
        dt: float | None = None,
        dt_ref: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        side = round(units ** (1 / 3))
        if units < 8 or side**3 != units:
            raise CircuitMismatch(f"units is {units}; give a cube, such as 27, 64 or 125")
        if not 0 <= gain < 1:
            raise CircuitMismatch(f"gain is {gain}; give 0 to 1, such as 0.015")
        if samples < 0:
            raise CircuitMismatch(f"samples is {samples}; give 0 or more")
        if not sum(senses.values()):
            raise CircuitMismatch(
                "nothing is sensed, and a liquid without input never fires; choose a task with senses"
            )
        step_length(dt, dt_ref)
        self.senses, self.n_motors, self.n_features = tuple(senses.items()), n_motors, units
        n_inputs = 2 * self.n_sensors
        check_size("units", units * (units + n_inputs))
        self.dt = dt or dt_ref or 0.03
        self.substeps, self.gain, self.samples = max(1, round(1000 * self.dt)), gain, samples
        excitatory = round(_EXCITATORY * units)
        # Which draws positions, synapses and noise; the same for the same rng.
        seed = int(torch.randint(2**62, (), generator=rng))
        begun = 0 if are_weights_to_come() else samples  # it organises itself once, and is loaded from then on
        places, mask, weights = _organised(units, n_inputs, excitatory, gain, begun, seed)
        self._excitatory = excitatory
        self.neurons, self._slices = named_groups({
            "sensors": sensor_neurons(self.senses),
            "in": [Neuron(f"in_{sensor.name}_{sign}", "inter")
                   for sign, sensor in itertools.product(("on", "off"), sensor_neurons(self.senses))],
            "exc": [Neuron(f"exc_{i}", "inter", places[i, 0] / (side - 1)) for i in range(excitatory)],
            "inh": [Neuron(f"inh_{i}", "inter", places[excitatory + i, 0] / (side - 1))
                    for i in range(units - excitatory)],
            "motors": neuron_row("motor", "motor", n_motors),
        })  # fmt: skip
        self.register_buffer("weights", torch.as_tensor(weights, dtype=torch.float32))
        # Copied, because what is kept for the next liquid would change where weights are loaded into this one.
        self.register_buffer("mask", torch.tensor(mask))
        self.readout = motor_readout(units, n_motors, rng)

    @functools.cached_property
    def groups(self) -> Mapping[str, slice]:  # type: ignore[override]
        """The slices of each kind of neuron, and of the liquid, `units`."""
        return {**self._slices, "units": slice(self._slices["exc"].start, self._slices["inh"].stop)}

    def initial_state(self, batch_size: int) -> State:
        """Return units at rest that have not fired."""
        silent = self.weights.new_zeros(batch_size, self.weights.shape[1])
        return {
            "v": silent,
            "since": torch.full_like(silent, float(REST)),
            "ref": torch.zeros_like(silent),
            "acc": silent.new_zeros(batch_size, 2 * self.n_sensors),
            "s": silent.new_zeros(batch_size, self.n_features),
        }

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step, ms by ms."""
        after, _ = self._run(sensors, state, None)
        return after["s"], after

    def pinned_step(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step with sensors and averages as they are after `pins`; what has scale 0 sends no spikes."""
        after, _ = self._run(self.pinned(sensors, "sensors", pins), state, pins)
        return after["s"], after

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step; activity of inputs is their spikes in this step, of the liquid its averages."""
        sensed = self.pinned(sensors, "sensors", pins)
        after, spikes = self._run(sensed, state, pins)
        motor = self.read_out(after["s"], pins)
        sent = self.pinned(spikes[:, :, self.n_features :].sum(1), "in", pins)
        return motor, after, torch.cat((sensed, sent, after["s"], motor), -1)

    def spikes(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> Float[Tensor, "batch substeps units"]:
        """Return the liquid's spikes, 0 or 1, in each ms of the control step that starts from `state`."""
        return self._run(self.pinned(sensors, "sensors", pins), state, pins)[1][:, :, : self.n_features]

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return the sensors' drive of their inputs, the synapses of the liquid and the readout."""
        names = [neuron.name for neuron in self.neurons]
        of = {group: names[some] for group, some in self.groups.items()}
        one = torch.eye(self.n_sensors, device=self.weights.device)
        driven = torch.cat((one, -one)) * _RATE * self.substeps
        found = [
            *synapses(of["sensors"], of["in"], driven, "rate"),
            *synapses([*of["units"], *of["in"]], of["units"], self.weights, "liquid"),
            *synapses(of["units"], of["motors"], self.readout.get_parameter("weight"), "readout"),
        ]
        return Wiring(self.neurons, tuple(found))

    @torch.no_grad()
    def organise(self, sensors: Float[Tensor, "time sensors"]) -> None:
        """Let the liquid's weights go on organising themselves by what was sensed; before training, for once.

        Args:
            sensors: a control step a row, as the circuit senses it.

        Raises:
            CircuitMismatch: they are of another number of sensors, not finite, shorter than a sample of 200 ms, or so
                weak that the liquid hears nothing.
        """
        if sensors.dim() != 2 or sensors.shape[1] != self.n_sensors:
            raise CircuitMismatch(f"sensors are of shape {tuple(sensors.shape)}; give (time, {self.n_sensors})")
        if not sensors.isfinite().all():
            raise CircuitMismatch("sensors are not all finite; leave out the episode in which they are not")
        values = sensors.cpu().double().numpy().repeat(self.substeps, 0)
        samples = len(values) // _SAMPLE
        if not samples:
            raise CircuitMismatch(f"sensors last {len(values)} ms; give a sample of {_SAMPLE} ms or more")
        bits = count_up(values, np.zeros(2 * self.n_sensors))
        if not bits.any():
            raise CircuitMismatch(
                "the sensors are 0 or nearly so, and the liquid hears nothing; give a body that moves"
            )
        weights, mask = self.weights.double().cpu().numpy(), self.mask.cpu().numpy()
        medium = Medium(weights, mask, self._excitatory, Plasticity(self.gain))
        medium.grow(samples, _SAMPLE, bits)
        self.weights.copy_(torch.as_tensor(medium.weights))

    def _run(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None
    ) -> tuple[State, Float[Tensor, "batch substeps all"]]:
        """Return the state after a control step, and the spikes of the liquid and the inputs in each ms."""
        n, heard, silenced = self.n_features, self.weights.t(), self._silenced(pins)
        v, since, rest, acc = (state[key] for key in ("v", "since", "ref", "acc"))
        rates = _RATE * torch.cat((sensors, -sensors), -1).clamp(0.0, 1 / _RATE)
        spikes = []
        for _ in range(self.substeps):
            acc = acc + rates
            bits = (acc >= 1).to(v.dtype)
            acc = acc - bits
            fires = ((rest <= 0) & (v >= THRESHOLD)).to(v.dtype)
            v = v * (1 - fires)
            since = since * (1 - fires * silenced)
            current = torch.cat((torch.exp(-since) @ heard, DRIVE * bits), -1)
            v = v + current - v / LEAK
            since = (since + 1).clamp(max=_MOST)
            rest = torch.where(fires > 0, REFRACTORY, (rest - 1).clamp(min=0))
            spikes.append(fires)
        raster = torch.stack(spikes, 1)
        kept = float(np.exp(-self.dt / _TAU))
        trace = self.pinned(kept * state["s"] + (1 - kept) * raster[:, :, :n].sum(1), "units", pins)
        return {"v": v, "since": since, "ref": rest, "acc": acc, "s": trace}, raster

    def _silenced(self, pins: Pins | None) -> Any:
        """Return 0 for the units of the liquid, then the inputs, whose spikes nothing hears, and 1 for the others."""
        if pins is None:
            return 1.0
        groups = (self.groups["units"], self.groups["in"])
        return torch.cat([(pins.scale[..., some] != 0).to(self.weights.dtype) for some in groups], -1)


def count_up(
    values: Float[np.ndarray, "ms sensors"], start: Float[np.ndarray, " inputs"]
) -> Bool[np.ndarray, "ms inputs"]:
    """Return spikes of inputs that count up each sensor's value and its negative, from `start`, and fire at 1."""
    rates = _RATE * np.concatenate((values, -values), 1).clip(0, 1 / _RATE)
    total = start + np.cumsum(rates, 0)
    return np.diff(np.floor(total), axis=0, prepend=np.floor(start)[None]) > 0


@functools.lru_cache(maxsize=8)
def _organised(
    units: int, n_inputs: int, excitatory: int, gain: float, samples: int, seed: int
) -> tuple[Int[np.ndarray, "units 3"], Bool[np.ndarray, "units all"], Float[np.ndarray, "units all"]]:
    """Return places on the grid, synapses and weights after organising on noise; kept, for agents are built often."""
    rng = np.random.default_rng(seed)
    places, mask, weights = drawn_liquid(units, n_inputs, excitatory, rng)
    medium = Medium(weights, mask, excitatory, Plasticity(gain))
    # What is sensed is normalised: a value for each sample, and inputs that have counted up to somewhere.
    values = rng.standard_normal((samples, n_inputs // 2)).repeat(_SAMPLE, 0)
    medium.grow(samples, _SAMPLE, count_up(values, rng.random(n_inputs)))
    return places, mask, medium.weights


def drawn_liquid(
    units: int, n_inputs: int, excitatory: int, rng: np.random.Generator
) -> tuple[Int[np.ndarray, "units 3"], Bool[np.ndarray, "units all"], Float[np.ndarray, "units all"]]:
    """Return units' places on a cubic grid, which synapses there are, and their weights before anything is learned."""
    side = round(units ** (1 / 3))
    places = rng.permutation(np.array(list(itertools.product(range(side), repeat=3))))
    excites = np.arange(units) < excitatory
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    share = np.zeros((units, units))
    for (pre, post), most in _CONNECTED.items():
        share += most * np.outer(excites == post, excites == pre)
    mask = rng.random((units, units)) < share * np.exp(-((apart / _REACH) ** 2))
    np.fill_diagonal(mask, False)
    heard = rng.random((units, n_inputs)) < _HEARD
    signs = rng.choice([-1.0, 1.0], (units, n_inputs))
    weights = np.concatenate((np.where(excites, BOUND, -BOUND) * mask, BOUND * signs * heard), 1)
    return places, np.concatenate((mask, heard), 1), weights
