"""The liquid time-constant network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from jaxtyping import Float
from ncps.torch import LTCCell
from torch import Tensor, nn

from ..contract import State, Wiring
from .shared import NCPCircuit, as_buffer, drawing_from


class LTC(NCPCircuit):
    """Liquid time-constant network (Hasani et al., AAAI 2021), through `ncps.torch.LTCCell`.

    A control step is 6 implicit steps over every synapse, which makes it about 20 times as slow as a
    GRU: keep it small and batch it well. The state `h` holds the membrane potentials. Reversal
    potentials, and so the signs of synapses, are learned.

    Args:
        senses: name and size of each sense.
        n_motors: number of motor commands, one motor neuron each.
        units: inter, command and motor neurons together.
        sparsity: of AutoNCP's wiring, from 0.1 (dense) to 0.9.
        rng: where wiring and initial weights come from.

    Source: Lechner et al., Nature Machine Intelligence 2020, for the wiring.
    """

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        units: int = 32,
        sparsity: float = 0.5,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self._wire(senses, n_motors, units, sparsity, rng)
        with drawing_from(rng):
            # Softplus keeps conductances positive by construction; the library's other way is to clip
            # them after every optimiser step, which an evolution strategy's members would miss.
            self.cell = _LTCCell(self._wiring, output_mapping=None, implicit_param_constraints=True)
        for mask in ("sparsity_mask", "sensory_sparsity_mask"):
            as_buffer(self.cell, mask)
        # The library's motor neurons are its first.
        self._name(list(range(units)))

    def step_features(
        self, sensors: Float[Tensor, "batch sensors"], state: State
    ) -> tuple[Float[Tensor, "batch units"], State]:
        """Run one control step; its duration is the library's unit of time."""
        if self.pins is None:
            _, h = self.cell(sensors, state["h"])
            return h, {"h": h}
        # What is silenced or clamped stays so in the cell's internal steps, which are then run one by one.
        h, parts, pins = state["h"], self.cell._ode_unfolds, self.pins
        units = slice(self.n_sensors, self.n_sensors + self.n_features)
        self.cell._ode_unfolds = 1
        for _ in range(parts):
            _, h = self.cell(sensors, torch.where(pins.scale[..., units] == 0, pins.shift[..., units], h), 1 / parts)
        self.cell._ode_unfolds = parts
        return h, {"h": h}

    def wiring(self) -> Wiring:
        """Return each synapse with its conductance, signed by its reversal potential."""
        cell = self.cell
        into = nn.functional.softplus(cell.sensory_w) * cell.sensory_erev.sign() * cell.sensory_sparsity_mask
        between = nn.functional.softplus(cell.w) * cell.erev.sign() * cell.sparsity_mask
        return self._graph(into.t(), between.t())


class _LTCCell(LTCCell):
    """The library's cell, reading its parameters where `functional_call` puts them.

    The library keeps references to them in a dict, past which replaced parameters would not be seen.
    """

    @property
    def _params(self) -> _Attributes:
        return _Attributes(self)

    @_params.setter
    def _params(self, _: Any) -> None:
        """Take no dict: `add_weight` has registered each parameter already."""


class _Attributes:
    """A module's parameters and buffers, looked up by name at each use."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module

    def __getitem__(self, name: str) -> Tensor:
        return cast(Tensor, getattr(self._module, name))

    def __setitem__(self, name: str, value: Tensor) -> None:
        """Leave it where it is registered."""
