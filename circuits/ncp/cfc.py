"""The closed-form continuous-time network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from ncps.torch import WiredCfCCell
from torch import Tensor

from ..contract import Pins, State, Wiring
from .shared import NCPCircuit, as_buffer, drawing_from

_LAYERS = ("inter_neurons", "command_neurons", "motor_neurons")


class CfC(NCPCircuit):
    """Closed-form continuous-time network (Hasani et al., Nature Machine Intelligence 2022) with NCP wiring.

    The cell of the library `ncps` has three layers: inter, command and motor. Each receives the layer before it, and is
    fully connected within itself. From AutoNCP's wiring the cell uses which synapses between layers exist, but not
    their signs nor the recurrence among command neurons; `wiring` shows the synapses that are computed. The state `h`
    has inter, command and motor neurons in this order.

    Args:
        senses, n_motors, units, sparsity, rng: as in `LTC`.
        dt: seconds of a control step.
        dt_ref: seconds of the control step that is the library's unit of time; the time in the gates is dt / dt_ref.
    """

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        units: int = 32,
        sparsity: float = 0.5,
        dt: float | None = None,
        dt_ref: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self._wire(senses, n_motors, units, sparsity, dt, dt_ref, rng)
        with drawing_from(rng):
            self.cell = WiredCfCCell(None, self._wiring)
        for layer in self._layers():
            as_buffer(layer, "sparsity_mask")
        layers = range(self._wiring.num_layers)
        self._name([number for layer in layers for number in self._wiring.get_neurons_of_layer(layer)])

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step, with interventions applied layer by layer."""
        heard, values = sensors, []
        layers = self._layers()
        held = state["h"].split([layer.hidden_size for layer in layers], -1)
        for layer, before, group in zip(layers, held, _LAYERS, strict=True):
            heard = self.pinned(layer(heard, before, self.step_length)[0], group, pins)
            values.append(heard)
        h = torch.cat(values, -1)
        return h, {"h": h}

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return the unmasked weights of each neuron's first branch (`ff1`)."""
        into = self.start.new_zeros(self.n_features, self.n_sensors)
        between = self.start.new_zeros(self.n_features, self.n_features)
        begin, heard = 0, 0
        for index, layer in enumerate(self._layers()):
            weight = layer.ff1.weight.detach() * layer.sparsity_mask
            end = begin + layer.hidden_size
            if index == 0:
                into[begin:end] = weight[:, : self.n_sensors]
            else:
                between[begin:end, heard:begin] = weight[:, : begin - heard]
            between[begin:end, begin:end] = weight[:, -layer.hidden_size :]
            begin, heard = end, begin
        return self._graph(into, between)

    def _layers(self) -> list[Any]:
        return [getattr(self.cell, f"layer_{index}") for index in range(self._wiring.num_layers)]
