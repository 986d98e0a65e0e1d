"""A recogniser: a fixed liquid that hears the body move, and a linear readout that says which of several it is."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import CircuitMismatch
from ..contract import Circuit, Neuron, Pins, State, Wiring, named_groups
from ..liquid.fixed import FixedLiquid, standardised
from ..neurons import neuron_row, sensor_neurons
from ..recurrent import motor_readout, synapses

_DT = 0.03  # s, of the swimmers' control step
_NO_CLOCK = ("time", "noise")  # which say nothing of the body


class Recogniser(Circuit):
    """Which of several cases its senses are of: one command for each, 1 for the one chosen and 0 for the others.

    Every half `window`, the liquid's spikes in the last `window` are counted, and a linear readout scores the cases.
    The first case is chosen until there is a whole window, then the one of the highest score; later, another is chosen
    once it has won twice in a row. Gradients go through the choice as if it were the softmax of the scores
    (straight-through, https://arxiv.org/abs/1308.3432).

    Untrained, it knows nothing; `nervecord route` fits the readout to recordings by ridge regression.

    The state is `v` and `z` of the liquid [batch, units], `counts` in this and the last half window
    [batch, 2, features], `age` in control steps [batch, 1], and `choice` and `winner` [batch, cases].

    Args:
        senses: name and size of each sense; time and noise are not heard.
        n_motors: number of cases.
        units: of the liquid; 0 for none: the senses themselves are averaged over the window.
        window: s.
        dt: seconds of a control step.
        rng: where the liquid's synapses come from.

    Attributes:
        mean, std: of each sensor, in its unit, by which it is standardised: buffers.
        liquid: what hears them.
        readout: from counts per control step to scores.

    Raises:
        CircuitMismatch: an option is out of range, or there is nothing to hear.
    """

    is_bounded = True
    is_scaled = True
    memory = "recurrent"
    mean: Float[Tensor, " sensors"]
    std: Float[Tensor, " sensors"]

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        units: int = 200,
        window: float = 1.8,
        dt: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if units < 0:
            raise CircuitMismatch(f"units is {units}; give 0 or more")
        if not window > 0:
            raise CircuitMismatch(f"window is {window}; give seconds above 0, such as 1.8")
        self.senses = tuple((name, size) for name, size in senses.items() if name not in _NO_CLOCK)
        if not self.senses:
            raise CircuitMismatch("nothing is sensed by which cases could be told; choose a task with senses")
        self.n_motors, self.half_window = n_motors, max(1, round(window / (_DT if dt is None else dt) / 2))
        self.register_buffer("mean", torch.zeros(self.n_sensors))
        self.register_buffer("std", torch.ones(self.n_sensors))
        self.liquid = FixedLiquid(self.n_sensors, units, dt, rng)
        self.n_features = units or self.n_sensors
        self.readout = motor_readout(self.n_features, n_motors, rng)
        heard = {"units": [Neuron(f"unit_{i}", "inter") for i in range(units)]} if units else {}
        self.neurons, self.groups = named_groups(
            {"sensors": sensor_neurons(self.senses), **heard, "motors": neuron_row("motor", "motor", n_motors)}
        )

    def initial_state(self, batch_size: int) -> State:
        """Return a liquid at rest, nothing counted, and the first case chosen."""
        first = self.mean.new_zeros(batch_size, self.n_motors)
        first[:, 0] = 1
        counts = self.mean.new_zeros(batch_size, 2, self.n_features)
        return {
            **self.liquid.initial_state(batch_size),
            "counts": counts, "age": counts.new_zeros(batch_size, 1), "choice": first, "winner": first.clone(),
        }  # fmt: skip

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step; activity is what is sensed, the liquid's spikes, and the choice."""
        sensed = self.pinned(sensors, "sensors", pins)
        standard = self._standard(sensed)
        heard = self.liquid(standard, state)
        if self.liquid.units:
            heard["z"] = self.pinned(heard["z"], "units", pins)
        now = heard["z"] if self.liquid.units else standard
        age, counts = state["age"] + 1, torch.stack((state["counts"][:, 0], state["counts"][:, 1] + now), 1)
        scores = self.readout(counts.sum(1) / (2 * self.half_window))
        is_due = (age % self.half_window == 0) & (age >= 2 * self.half_window)
        winner = torch.where(is_due, _chosen(scores), state["winner"])
        is_sure = (age == 2 * self.half_window) | (winner * state["winner"]).sum(-1, keepdim=True).ge(0.5)
        choice = torch.where(is_due & is_sure, winner, state["choice"])
        rolled = torch.stack((counts[:, 1], torch.zeros_like(now)), 1)
        counts = torch.where((age % self.half_window == 0)[..., None], rolled, counts)
        after = {**heard, "counts": counts, "age": age, "choice": choice, "winner": winner}
        motor = self.pinned(choice, "motors", pins)
        return motor, after, torch.cat((sensed, heard["z"], motor), -1)

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return the synapses onto the liquid, within it, and the readout."""
        of = {group: [neuron.name for neuron in self.neurons[some]] for group, some in self.groups.items()}
        n, units = self.n_sensors, of.get("units", [])
        between = (self.liquid.heard[:, :n] - self.liquid.heard[:, n:]) / 2  # the mean of the slopes above and below 0
        found = [
            *synapses(of["sensors"], units, between, "input"),
            *synapses(units, units, self.liquid.own, "liquid"),
            *synapses(units or of["sensors"], of["motors"], self.readout.weight, "readout"),
        ]
        return Wiring(self.neurons, tuple(found))

    @torch.no_grad()
    def hear(self, sensors: Float[Tensor, "time batch sensors"]) -> Float[Tensor, "decisions batch features"]:
        """Return the counts per control step that each decision would be made on, from an episode's start on.

        Args:
            sensors: in their own units, standardised by `mean` and `std` here.
        """
        state, found, half = self.liquid.initial_state(sensors.shape[1]), [], []
        for row in self._standard(sensors):
            state = self.liquid(row, state)
            half.append(state["z"] if self.liquid.units else row)
            if len(half) == self.half_window:
                found.append(torch.stack(half).sum(0))
                half = []
        halves = torch.stack(found) if found else sensors.new_zeros(0, sensors.shape[1], self.n_features)
        return (halves[1:] + halves[:-1]) / (2 * self.half_window)

    def _standard(self, sensors: Float[Tensor, "*batch sensors"]) -> Float[Tensor, "*batch sensors"]:
        return standardised(sensors, self.mean, self.std)


def _chosen(scores: Float[Tensor, "batch cases"]) -> Float[Tensor, "batch cases"]:
    """Return 1 for the highest score and 0 for the others, with the gradients of their softmax."""
    soft = scores.softmax(-1)
    hard = (scores.argmax(-1, keepdim=True) == torch.arange(scores.shape[-1], device=scores.device)).to(soft)
    return hard + (soft - soft.detach())
