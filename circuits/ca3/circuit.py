"""A one-shot associative memory modelled on the hippocampal region CA3, with one operation per control step."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...errors import CircuitMismatch
from ..bounds import within
from ..contract import Neuron, Pins, State, Wiring, named_groups
from ..neurons import neuron_row, sensor_neurons
from ..recurrent import RecurrentCircuit, motor_readout, synapses, uniform
from ..weights import check_size


class CA3(RecurrentCircuit):
    """An associative memory that stores pairs of cue and content in one step, and is read by cue and by content.

    From the sensors x it computes the content, bits c = [W_c x + b_c >= 0]; the cue, a one-hot q at the largest W_q x;
    and whether to store, g = [w_g x >= 0]. The table M [content, cues] is read before it is written: y = M q is the
    content stored under the cue, u = min(M^T c, 1) marks the cues whose content shares a cell with c, and
    M' = M + g (c - y) q^T replaces y by c. M is the state (fast weights), and 0 at the start of an episode. Motors are
    a linear readout of y, u and c.

    Gradients pass through bits as through a logistic function, and through the cue as through a softmax.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands.
        cues: number of cues.
        content: number of content cells.
        rng: random generator for the initial weights.

    Attributes:
        weight_content, bias_content, weight_cue, weight_store: W_c, b_c, W_q and w_g.

    Source: Casanueva-Morato et al. 2024 (https://arxiv.org/abs/2310.05868), whose spikes `SpikingCA3` has.
    """

    memory = "recurrent"
    origin = (
        "A model of the memory of the hippocampal region CA3 as a table; its cells stand for groups of spiking neurons."
    )

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        cues: int = 16,
        content: int = 32,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        for name, n in (("cues", cues), ("content", content)):
            if n < 1:
                raise CircuitMismatch(f"{name} is {n}; give 1 or more")
        check_size("cues times content", cues * content)
        self.senses, self.n_motors, self.n_features = tuple(senses.items()), n_motors, 2 * content + cues
        self.cues, self.content = cues, content
        self.neurons, self._slices = named_groups({
            "sensors": sensor_neurons(self.senses),
            "CA3_content": [Neuron(f"CA3_content_{i}", "inter") for i in range(content)],
            "CA3_cue": [Neuron(f"CA3_cue_{i}", "inter") for i in range(cues)],
            "in_content": [Neuron(f"in_content_{i}", "inter") for i in range(content)],
            "in_cue": [Neuron(f"in_cue_{i}", "inter") for i in range(cues)],
            "in_store": [Neuron("in_store", "inter")],
            "motors": neuron_row("motor", "motor", n_motors),
        })  # fmt: skip
        check_size("content", content * self.n_sensors)
        self.weight_content = uniform((content, self.n_sensors), self.n_sensors, rng)
        self.bias_content = uniform((content,), self.n_sensors, rng)
        self.weight_cue = uniform((cues, self.n_sensors), self.n_sensors, rng)
        self.weight_store = uniform((1, self.n_sensors), self.n_sensors, rng)
        self.readout = motor_readout(self.n_features, n_motors, rng)

    @functools.cached_property
    def groups(self) -> Mapping[str, slice]:  # type: ignore[override]
        """The slices of each kind of cell, and of `units`, all cells between sensors and motors."""
        first, end = self.n_sensors, len(self.neurons) - self.n_motors
        return {**self._slices, "units": slice(first, end)}

    def initial_state(self, batch_size: int) -> State:
        """Return an empty table."""
        return {"M": self.bias_content.new_zeros(batch_size, self.content, self.cues)}

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch features"], State]:
        """Run one control step: read, then write."""
        return self.pinned_step(sensors, state, None)

    def pinned_step(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None
    ) -> tuple[Float[Tensor, "batch features"], State]:
        """Run one control step with interventions on the cells."""
        cells, state = self._cells(sensors, state, pins)
        return torch.cat(cells[: len(_READ)], -1), state

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step; the activity is sensors, all cells and motors."""
        cells, state = self._cells(sensors, state, pins)
        motor = self.read_out(torch.cat(cells[: len(_READ)], -1), pins)
        return motor, state, torch.cat((self.pinned(sensors, "sensors", pins), *cells, motor), -1)

    def wiring(self, state: State | None = None) -> Wiring:
        """Return the trained synapses and, with a state, those that the table stores."""
        names = [neuron.name for neuron in self.neurons]
        of = {group: names[some] for group, some in self.groups.items()}
        found = [
            *synapses(of["sensors"], of["in_content"], self.weight_content, "weight_content"),
            *synapses(of["sensors"], of["in_cue"], self.weight_cue, "weight_cue"),
            *synapses(of["sensors"], of["in_store"], self.weight_store, "weight_store"),
        ]
        if state is not None:
            found += synapses(of["in_cue"], of["CA3_content"], state["M"][0], "M")
            found += synapses(of["in_content"], of["CA3_cue"], state["M"][0].t(), "M")
        read = [name for group in _READ for name in of[group]]
        found += synapses(read, of["motors"], self.readout.get_parameter("weight"), "readout")
        return Wiring(self.neurons, tuple(found))

    def _cells(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None
    ) -> tuple[list[Float[Tensor, "batch cells"]], State]:
        """Return the values of CA3's content and cues, of the content, the cue and the gate, and the table after."""
        x, table = self.pinned(sensors, "sensors", pins), state["M"]
        content = _bits(nn.functional.linear(x, self.weight_content, self.bias_content))
        content = self.pinned(content, "in_content", pins)
        cue = self.pinned(_largest(nn.functional.linear(x, self.weight_cue)), "in_cue", pins)
        store = self.pinned(_bits(nn.functional.linear(x, self.weight_store)), "in_store", pins)
        stored = (table @ cue[..., None])[..., 0]
        recalled = self.pinned(stored, "CA3_content", pins)
        found = self.pinned(within((content[..., None, :] @ table)[..., 0, :], high=1.0), "CA3_cue", pins)
        # What is stored is replaced, whatever is done to the cells that report it.
        after = table + store[..., None] * (content - stored)[..., None] * cue[..., None, :]
        return [recalled, found, content, cue, store], {"M": after}


_READ = ("CA3_content", "CA3_cue", "in_content")  # what motors read, in this order


def _bits(drive: Float[Tensor, "batch cells"]) -> Float[Tensor, "batch cells"]:
    """Return 1 where a drive is 0 or more, else 0, with the gradient of a logistic function."""
    hard = (drive >= 0).to(drive.dtype)
    if not drive.requires_grad:
        return hard
    soft = drive.sigmoid()
    return hard + (soft - soft.detach())


def _largest(drive: Float[Tensor, "batch cells"]) -> Float[Tensor, "batch cells"]:
    """Return 1 for the first cell of the largest drive, else 0, with the gradient of a softmax."""
    cells = torch.arange(drive.shape[-1], device=drive.device)
    hard = (cells == drive.argmax(-1, keepdim=True)).to(drive.dtype)
    if not drive.requires_grad:
        return hard
    soft = drive.softmax(-1)
    return hard + (soft - soft.detach())
