"""Circuits that have some of their synapses only, and exchange them as they learn."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .contract import Circuit, Neuron
from .rewiring import Rewiring, correlation


@dataclasses.dataclass(frozen=True)
class Sparse:
    """A weight matrix of which some synapses are there.

    Attributes:
        weight: [post, pre]; 0 where there is none.
        mask: which synapses there are, a buffer.
        possible: which there may be.
        pre, post: the units' columns in the activity.
        lag: control steps that a synapse takes.
    """

    weight: Float[Tensor, "post pre"]
    mask: Bool[Tensor, "post pre"]
    possible: Bool[Tensor, "post pre"]
    pre: slice
    post: slice
    lag: int = 0


class RewiringCircuit(Circuit):
    """A circuit whose sparse matrices are rewired every `rewire_every` rollouts or generations.

    Synapses that are removed, and new ones, have the weight 0: growth alone changes no motor command.

    Attributes:
        rewiring: by which rules.
        rewirings: how many there were, a buffer, on which random growth depends; with its seed, another buffer.
    """

    rewiring: Rewiring
    rewirings: Int[Tensor, ""]
    rewiring_seed: Int[Tensor, ""]

    @abstractmethod
    def sparse(self) -> Mapping[str, Sparse]:
        """Return the sparse matrices by the names of their parameters; none without ensembles."""

    def _rewire_by(self, rewiring: Rewiring, rng: torch.Generator | None) -> None:
        """Keep the rules; call after nn.Module's __init__."""
        self.rewiring = rewiring
        if rewiring.ensembles is not None:
            self.register_buffer("rewirings", torch.zeros((), dtype=torch.int64))
            self.register_buffer("rewiring_seed", torch.randint(2**31, (), generator=rng))

    @property
    def restructures_every(self) -> int:  # type: ignore[override]
        """After how many rollouts or generations it is rewired; 0 for never."""
        return 0 if self.rewiring.ensembles is None else self.rewiring.rewire_every

    def active(self) -> Mapping[str, Bool[Tensor, "*shape"]]:
        """Return which synapses there are, by parameter."""
        return {name: each.mask for name, each in self.sparse().items()}

    @torch.no_grad()
    def restructure(
        self,
        sensors: Float[Tensor, "time batch sensors"],  # noqa: ARG002
        activity: Float[Tensor, "time batch neurons"],
    ) -> Mapping[str, Bool[Tensor, "*shape"]]:
        """Exchange synapses by how well the activity of the units that they would join goes together."""
        if self.rewiring.ensembles is None:
            return {}
        rng = torch.Generator().manual_seed(int(self.rewiring_seed) + int(self.rewirings))
        self.rewirings += 1
        anew = {}
        for name, each in self.sparse().items():
            end = len(activity) - each.lag
            score = correlation(activity[:end, :, each.pre], activity[each.lag :, :, each.post])
            after = self.rewiring.rewired(each.weight, each.mask, score, each.possible, rng)
            anew[name] = after ^ each.mask
            each.weight.masked_fill_(anew[name], 0.0)
            each.mask.copy_(after)
        return anew


class SparseLinear(nn.Linear):
    """A linear layer of which some weights are there.

    Attributes:
        mask: which weights there are, a buffer.
    """

    mask: Bool[Tensor, "outputs inputs"]

    def keep(self, mask: Bool[Tensor, "outputs inputs"]) -> None:
        """Keep some weights, and scale them for the units that hear less."""
        self.register_buffer("mask", mask)
        keep(self.weight, mask)

    def acting(self) -> Float[Tensor, "outputs inputs"]:
        """Return the weights, in their own unit; see `masked`."""
        return masked(self.weight, self.mask)

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """Return the outputs, in the unit of the bias."""
        return nn.functional.linear(x, self.acting(), self.bias)


@torch.no_grad()
def keep(weight: Float[Tensor, "post pre"], mask: Bool[Tensor, "post pre"]) -> None:
    """Set weights to 0 where there is no synapse, and scale each row's others so that its sum varies as before."""
    heard = mask.sum(1, keepdim=True).clamp(min=1)
    weight.mul_(mask * (mask.shape[1] / heard).sqrt())


def masked(weight: Float[Tensor, "post pre"], mask: Bool[Tensor, "post pre"]) -> Float[Tensor, "post pre"]:
    """Return the weights, in their own unit, with a gradient where there are synapses and nowhere else.

    Where there are none, weights are 0 already. So without gradients they are taken as they are: members of a
    population bring their own, in processes that do not know the mask of this generation.
    """
    return weight * mask if torch.is_grad_enabled() else weight


def ensemble_neurons(name: str, ensembles: Bool[Tensor, "units ensembles"]) -> list[Neuron]:
    """Return units NAME_3_5, the sixth of the fourth ensemble, at the place of its joint along the body."""
    count, counted, neurons = ensembles.shape[1], [0] * ensembles.shape[1], []
    for ensemble in ensembles.int().argmax(1).tolist():
        position = ensemble / max(count - 1, 1)
        neurons.append(Neuron(f"{name}_{ensemble}_{counted[ensemble]}", "inter", position))
        counted[ensemble] += 1
    return neurons
