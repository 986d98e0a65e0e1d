"""What a population method searches: the weights of a circuit that act, each in units of its rate of learning."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...circuits import Circuit


class SearchSpace:
    """The weights that act, as `Circuit.active` says when this is made; the others are left as they are.

    A weight of rate r is searched as 1 / r times its value: its perturbation and its steps are r times those of others.

    Args:
        circuit: whose weights are searched.
    """

    def __init__(self, circuit: Circuit) -> None:
        self._parameters = dict(circuit.named_parameters())
        active, rates = circuit.active(), circuit.rates
        self._is_whole = not active and not rates
        acts = self._flat({name: active.get(name, torch.tensor(True)) for name in self._parameters})
        self._places = acts.nonzero()[:, 0]
        self._rates = self._flat({name: torch.tensor(rates.get(name, 1.0)) for name in self._parameters})[self._places]

    def searched(self) -> Float[Tensor, " searched"]:
        """Return the circuit's weights as they are searched, in its units over their rates."""
        weights = self._flat(self._parameters)
        return weights if self._is_whole else weights[self._places] / self._rates

    def whole(self, searched: Float[Tensor, "*members searched"]) -> Float[Tensor, "*members weights"]:
        """Return all weights, in the circuit's units, where those that are searched have these values."""
        if self._is_whole:
            return searched
        found = self._flat(self._parameters).expand(*searched.shape[:-1], -1).clone()
        found[..., self._places] = searched * self._rates
        return found

    def kept_from(self, before: SearchSpace, anew: Mapping[str, Bool[Tensor, "*shape"]]) -> Int[Tensor, " searched"]:
        """Return where each searched weight stood in another space of this circuit.

        Args:
            before: the other space.
            anew: which weights of which parameters begin anew; for these, and for those that were not searched, -1.
        """
        forgotten = self._flat({name: anew.get(name, torch.tensor(False)) for name in self._parameters})
        stood = torch.full(forgotten.shape, -1)
        stood[before._places] = torch.arange(len(before._places))
        stood[forgotten] = -1
        return stood[self._places]

    def _flat(self, values: Mapping[str, Tensor]) -> Float[Tensor, " weights"]:
        """Return a value for each weight in one row, in the order of `parameters()`."""
        sized = (values[name].detach().cpu().expand(each.shape) for name, each in self._parameters.items())
        return torch.cat([each.flatten() for each in sized])
