"""The liquid time-constant network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from ncps.torch import LTCCell
from torch import Tensor, nn

from ..contract import Pins, State, Wiring
from .shared import NCPCircuit, as_buffer, drawing_from

_PARTS = 6  # implicit steps of a control step
_EPSILON = 1e-8  # against division by 0


class LTC(NCPCircuit):
    """Liquid time-constant network (Hasani et al., AAAI 2021), with the weights of `ncps.torch.LTCCell`.

    With membrane potential v, capacitance c and leak g of each neuron, and conductance w and reversal
    potential E of each synapse, from sensors and from neurons, a control step is 6 implicit steps of h = 1/6:

        v' = (c / h v + g v_leak + sum w s(v_pre) E) / (c / h + g + sum w s(v_pre)), s(v) = sigmoid(sigma (v - mu))

    It is about 20 times as slow as a GRU, so keep it small and use large batches. The state `h` has the membrane
    potentials. Reversal potentials, and therefore the signs of synapses, are learned.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands, one motor neuron each.
        units: total number of inter, command and motor neurons.
        sparsity: sparsity of AutoNCP's wiring, from 0.1 (dense) to 0.9.
        dt: seconds of a control step.
        dt_ref: seconds of the control step for which time constants are given; h is dt / dt_ref / 6.
        rng: random generator for the wiring and the initial weights.

    Source: Lechner et al., Nature Machine Intelligence 2020, for the wiring.
    """

    cell: Any  # the library gives its weights no type

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
            # Softplus keeps conductances positive by construction. The library's alternative clips them
            # after every optimiser step, and an evolution strategy's members take no such step.
            self.cell = LTCCell(self._wiring, output_mapping=None, implicit_param_constraints=True)
        for mask in ("sparsity_mask", "sensory_sparsity_mask"):
            as_buffer(self.cell, mask)
        # The library puts motor neurons first.
        self._name(list(range(units)))

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step, with interventions applied in each of its implicit steps."""
        # Reads weights by name: the cell's own step keeps references that `functional_call` cannot replace.
        cell, h = self.cell, state["h"]
        sensed = sensors * cell.input_w + cell.input_b
        conductance = nn.functional.softplus(cell.sensory_w) * _open(sensed, cell.sensory_mu, cell.sensory_sigma)
        conductance = conductance * cell.sensory_sparsity_mask
        from_sensors = (conductance * cell.sensory_erev).sum(1), conductance.sum(1)
        capacitance = nn.functional.softplus(cell.cm) / (self.step_length / _PARTS)
        weight = nn.functional.softplus(cell.w)
        for _ in range(_PARTS):
            if pins is not None:
                units = self.groups["units"]
                h = torch.where(pins.scale[..., units] == 0, pins.shift[..., units], h)
            conductance = weight * _open(h, cell.mu, cell.sigma) * cell.sparsity_mask
            driven = (conductance * cell.erev).sum(1) + from_sensors[0]
            total = conductance.sum(1) + from_sensors[1]
            leak = nn.functional.softplus(cell.gleak)  # here, so that gradients add up in the library's order
            h = (capacitance * h + leak * cell.vleak + driven) / (capacitance + leak + total + _EPSILON)
        h = self.pinned(h, "units", pins)
        return h, {"h": h}

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return each synapse with its conductance, signed by its reversal potential."""
        cell = self.cell
        into = nn.functional.softplus(cell.sensory_w) * cell.sensory_erev.sign() * cell.sensory_sparsity_mask
        between = nn.functional.softplus(cell.w) * cell.erev.sign() * cell.sparsity_mask
        return self._graph(into.t(), between.t())


def _open(
    v: Float[Tensor, "batch pre"], mu: Float[Tensor, "pre post"], sigma: Float[Tensor, "pre post"]
) -> Float[Tensor, "batch pre post"]:
    """Return the opening of each synapse, from 0 to 1."""
    return torch.sigmoid(sigma * (v[..., None] - mu))
