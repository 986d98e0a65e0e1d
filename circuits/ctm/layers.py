"""The parts of the Continuous Thought Machine: synapses, neuron-level models, synchronisation.

Source: Darlow et al. 2025, "Continuous Thought Machines", sections 3.2 to 3.4 and the authors' code for
reinforcement learning.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..bounds import within

Layers = list[tuple[Tensor, Tensor]]

_NARROWEST = 16  # units at the bottom of a U-Net
_FIRST_DECAY = 0.05  # per tick, under softplus: r = 0.95, and 5 % of the gradient passes


def linear(inputs: int, outputs: int, rng: torch.Generator | None, *, bias: bool = True) -> nn.Linear:
    """Return a linear layer with torch's initial distribution, drawn from `rng`."""
    # nn.Linear would draw its weights from the global generator before we overwrite them.
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=rng)
    return layer


def gated_blocks(sizes: tuple[int, ...], rng: torch.Generator | None) -> nn.Sequential:
    """Return a block of Linear, GLU, LayerNorm from each size to the next."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [linear(inputs, 2 * outputs, rng), nn.GLU(-1), nn.LayerNorm(outputs)]
    return nn.Sequential(*layers)


class Synapses(nn.Module):
    """From the encoded sensors and every neuron's last value to every neuron's pre-activation.

    The first layer is split into two halves: the sensors' half does not depend on the state, so it is computed for
    a whole sequence at once.

    Args:
        d_input: encoded sensors.
        d_model: neurons.
        depth: 1: two blocks of Linear, GLU, LayerNorm. More: a U-Net of that many widths.
        rng: random generator for the initial weights.
    """

    def __init__(self, d_input: int, d_model: int, depth: int, rng: torch.Generator | None) -> None:
        super().__init__()
        width = 2 * d_model if depth == 1 else d_model
        joint = linear(d_input + d_model, width, rng)
        self.from_features = linear(d_input, width, rng)
        self.from_neurons = linear(d_model, width, rng, bias=False)
        self.from_features.load_state_dict({"weight": joint.weight[:, :d_input], "bias": joint.bias})
        self.from_neurons.load_state_dict({"weight": joint.weight[:, d_input:]})
        self.rest: nn.Sequential | UNet
        if depth == 1:
            self.rest = nn.Sequential(nn.GLU(-1), nn.LayerNorm(d_model), *gated_blocks((d_model, d_model), rng))
        else:
            self.rest = UNet(d_model, depth, rng)

    def forward(
        self, drive: Float[Tensor, "batch width"], neurons: Float[Tensor, "batch neurons"]
    ) -> Float[Tensor, "batch neurons"]:
        """Return the pre-activations, given `drive = from_features(features)`."""
        pre: Tensor = self.rest(torch.addmm(drive, neurons, self.from_neurons.weight.t()))
        return pre


class UNet(nn.Module):
    """A U-Net over units: down to 16 and up again, with a skip connection at each level."""

    def __init__(self, d_model: int, depth: int, rng: torch.Generator | None) -> None:
        super().__init__()
        levels = list(itertools.pairwise(np.linspace(d_model, _NARROWEST, depth).astype(int).tolist()))

        def block(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(linear(inputs, outputs, rng), nn.LayerNorm(outputs), nn.SiLU())

        self.first = nn.Sequential(nn.LayerNorm(d_model), nn.SiLU())
        self.down = nn.ModuleList(block(wide, narrow) for wide, narrow in levels)
        self.up = nn.ModuleList(block(narrow, wide) for wide, narrow in levels)
        self.skip = nn.ModuleList(nn.LayerNorm(wide) for wide, _ in levels)

    def forward(self, drive: Float[Tensor, "batch neurons"]) -> Float[Tensor, "batch neurons"]:
        """Return the pre-activations."""
        levels = [self.first(drive)]
        for down in self.down:
            levels.append(down(levels[-1]))
        now: Tensor = levels.pop()
        for up, skip in zip(reversed(self.up), reversed(self.skip), strict=True):
            now = skip(up(now) + levels.pop())
        return now


class NeuronModels(nn.Module):
    """A separate model for every neuron: from the history of its pre-activation to its value.

    The authors divide each layer by a learned number T, which can cross 0 and blow up; here its
    logarithm is learned, which starts the same (T = 1, the same gradient) and cannot.

    Args:
        d_model: neurons.
        memory_length: M, ticks of history.
        hidden: units of each neuron's hidden layer; None for a linear model.
        rng: random generator for the initial weights.
    """

    def __init__(self, d_model: int, memory_length: int, hidden: int | None, rng: torch.Generator | None) -> None:
        super().__init__()
        sizes = [(memory_length, 2)] if hidden is None else [(memory_length, 2 * hidden), (hidden, 2)]
        self.weight, self.bias, self.log_divisor = nn.ParameterList(), nn.ParameterList(), nn.ParameterList()
        for inputs, outputs in sizes:
            bound = 1 / math.sqrt(inputs + outputs)
            weight = torch.empty(d_model, outputs, inputs).uniform_(-bound, bound, generator=rng)
            self.weight.append(nn.Parameter(weight))
            self.bias.append(nn.Parameter(torch.zeros(d_model, outputs, 1)))
            self.log_divisor.append(nn.Parameter(torch.zeros(1)))

    def layers(self) -> Layers:
        """Return each layer's weight and bias divided by T, computed once for a whole sequence."""
        scales = [torch.exp(-log) for log in self.log_divisor]
        return [(w * scale, b * scale) for w, b, scale in zip(self.weight, self.bias, scales, strict=True)]

    def forward(self, history: Float[Tensor, "neurons memory batch"], layers: Layers) -> Float[Tensor, "neurons batch"]:
        """Return every neuron's value; the first dimension is neurons, each with its own matrix product."""
        for weight, bias in layers:
            history = F.glu(torch.baddbmm(bias, weight, history), 1)
        return history[:, 0]


class Synchronisation(nn.Module):
    """How similar the histories of two neurons are, for each pair of the watched neurons.

    For neurons i <= j with histories S: sum_m r_ij^(M-1-m) S_i[m] S_j[m] / sqrt(sum_m r_ij^(M-1-m)).

    Args:
        n_synch: number of watched neurons.
        memory_length: M, ticks of history.
        decay: `clamp`: r = exp(-clamp(d, 0, 4)), d starts at 0, as published; a d below 0 has no gradient and
            stays there. `softplus`: r = exp(-softplus(d)), which always has a gradient and starts at r = 0.95.
    """

    first: Tensor
    second: Tensor
    age: Tensor

    def __init__(self, n_synch: int, memory_length: int, decay: Literal["softplus", "clamp"]) -> None:
        super().__init__()
        first, second = torch.triu_indices(n_synch, n_synch)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("second", second, persistent=False)
        self.register_buffer("age", torch.arange(memory_length - 1, -1, -1), persistent=False)
        self._is_clamped = decay == "clamp"
        start = 0.0 if self._is_clamped else math.log(math.expm1(_FIRST_DECAY))
        self.decay = nn.Parameter(torch.full((len(first),), start))

    def forward(self, history: Float[Tensor, "batch watched memory"]) -> Float[Tensor, "batch pairs"]:
        """Return the synchronisation of each pair over one history."""
        return (history[:, self.first] * history[:, self.second] * self._weights()).sum(-1)

    def unroll(
        self,
        initial: Float[Tensor, "batch watched memory"],
        start: Float[Tensor, "watched memory"],
        values: Float[Tensor, "time ticks watched batch"],
        episode_start: Bool[Tensor, "time batch"],
    ) -> Float[Tensor, "time batch pairs"]:
        """Return the synchronisation after each step of a sequence, all steps at once.

        Args:
            initial: the history before the sequence.
            start: the history that an episode starts with.
            values: values of the watched neurons after each tick.
            episode_start: true where an episode starts: `start` replaces the history before that step.
        """
        sources, ends = _lines(episode_start, values.shape[1], len(self.age))
        rows = (initial.transpose(1, 2), start.t(), values.transpose(2, 3))
        line = torch.cat([row.reshape(-1, start.shape[0]) for row in rows]).index_select(0, sources).t()
        products = line[self.first] * line[self.second]
        # Successive histories share all products but one; a causal convolution per pair computes each product once.
        pairs = F.conv1d(products[None], self._weights()[:, None], groups=len(products))[0]
        return pairs.t().contiguous().index_select(0, ends.flatten()).unflatten(0, ends.shape)

    def _weights(self) -> Float[Tensor, "pairs memory"]:
        decay = within(self.decay, 0.0, 4.0) if self._is_clamped else F.softplus(self.decay)
        weights = torch.exp(-decay[:, None] * self.age)
        return weights / weights.sum(-1, keepdim=True).sqrt()


def _lines(episode_start: Bool[Tensor, "time batch"], ticks: int, memory: int) -> tuple[Tensor, Tensor]:
    """Concatenate all episodes of all environments, each preceded by the history that it starts with.

    Returns:
        For each place on the line, the row it comes from: `batch * memory` rows of initial histories,
        then `memory` of the start, then `time * ticks * batch` of values. And for each
        [time, batch], where the window of `memory` places that ends with that step begins.
    """
    n_steps, batch = episode_start.shape
    device = episode_start.device
    past = memory - 1  # entries of a history before the newest
    resets = episode_start.long().cumsum(0)
    lengths = past + n_steps * ticks + past * resets[-1]
    begins = lengths.cumsum(0) - lengths
    step = torch.arange(n_steps, device=device)[:, None]
    first_tick = begins + past + step * ticks + past * resets
    sources = torch.empty(int(lengths.sum()), dtype=torch.long, device=device)
    row = torch.arange(past, device=device)
    sources[begins[:, None] + row] = torch.arange(batch, device=device)[:, None] * memory + 1 + row
    sources[first_tick[episode_start][:, None] - past + row] = batch * memory + 1 + row
    tick, env = torch.arange(ticks, device=device)[:, None, None], torch.arange(batch, device=device)
    sources[first_tick + tick] = (batch + 1) * memory + (step * ticks + tick) * batch + env
    return sources, first_tick + ticks - 1 - past
