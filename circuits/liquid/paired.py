"""Two fixed liquids that hear two senses of one movement, with projections by which each tells what the other hears.

Contrastive learning as by Lin et al. 2025 (https://arxiv.org/abs/2307.00771), with the liquids of `fixed.py`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ...errors import CircuitMismatch
from .fixed import FixedLiquid, moments, standardised

_RATE, _BATCH = 1e-3, 500  # of Adam; windows of an update, as published
_UPDATES = 100  # after which the loss hardly falls
# Published with 1, at which codes of length 1 leave the softmax flat: bodies never heard were told less often.
_TEMPERATURE = 0.1


class PairedLiquids(nn.Module):
    """Two senses of a movement in one space of codes: those of the same window alike, those of different windows not.

    Each sense is standardised, and a fixed liquid hears it for the length of a window. The code is

        e = g / |g|,    g = GELU(W n + b)

    of n, the spikes of each unit per control step. `organise` fits W and b of both senses to recorded windows, once.
    All else are buffers, drawn when it is built: no learner moves the liquids, and they are saved and loaded with the
    projections.

    Args:
        sizes: number of values of each of the two senses.
        units: of each liquid.
        code: size of a code.
        dt: seconds of a control step.
        rng: where liquids and projections come from.

    Attributes:
        liquids, projections: of each sense.
        mean0, std0, mean1, std1: of each sense's values, in their units: buffers.

    Raises:
        CircuitMismatch: a sense has no values, or there are no units or no code.
    """

    liquids: nn.ModuleList
    projections: nn.ModuleList

    def __init__(
        self,
        sizes: tuple[int, int],
        *,
        units: int = 200,
        code: int = 64,
        dt: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(sizes) < 1:
            raise CircuitMismatch(f"senses have {sizes[0]} and {sizes[1]} values; a liquid without input never fires")
        if min(units, code) < 1:
            raise CircuitMismatch(f"units is {units} and code {code}; give 1 or more of each")
        self.liquids = nn.ModuleList(FixedLiquid(size, units, dt, rng) for size in sizes)
        self.projections = nn.ModuleList(nn.Linear(units, code) for _ in sizes)
        for weight in self.projections.parameters():
            nn.init.uniform_(weight, -(units**-0.5), units**-0.5, generator=rng)
        for sense, size in enumerate(sizes):
            self.register_buffer(f"mean{sense}", torch.zeros(size))
            self.register_buffer(f"std{sense}", torch.ones(size))

    def forward(self, sense: int, windows: Float[Tensor, "time windows values"]) -> Float[Tensor, "windows code"]:
        """Return the codes, each of length 1, of windows of a sense, 0 or 1, whose values are in their own units."""
        return self._code(sense, self._hear(sense, windows))

    def organise(
        self,
        first: Float[Tensor, "time windows values"],
        second: Float[Tensor, "time windows others"],
        kinds: Int[Tensor, " windows"] | None = None,
        temperature: float = _TEMPERATURE,
        updates: int = _UPDATES,
        rng: torch.Generator | None = None,
    ) -> list[float]:
        """Fit standardisation and projections to windows of both senses; return the loss of each update, nats.

        Args:
            first, second: the same windows in the same order, in the senses' own units.
            kinds: of each window, such as the body that moves: a window is then paired with any of its kind, drawn anew
                for each update, so that codes are of kinds and not of the moment. None pairs it with itself.
            temperature: see `contrastive_loss`.
            updates: by Adam, each on 500 of the windows.
            rng: what these are drawn from.

        Raises:
            CircuitMismatch: there are fewer than two windows, another number of them in the other sense or in `kinds`,
                a value is not finite, or the temperature is not above 0.
        """
        many = first.shape[1]
        if many < 2 or second.shape[1] != many:
            raise CircuitMismatch(f"there are {many} and {second.shape[1]} windows; give two or more, of both senses")
        if not (first.isfinite().all() and second.isfinite().all()):
            raise CircuitMismatch("the windows are not all finite; leave out the episodes in which they are not")
        if kinds is not None and len(kinds) != many:
            raise CircuitMismatch(f"kinds has {len(kinds)} values for {many} windows; give one for each")
        if not temperature > 0:
            raise CircuitMismatch(f"temperature is {temperature}; give a number above 0, such as 1")
        heard = []
        for sense, windows in enumerate((first, second)):
            for name, value in zip(("mean", "std"), moments(windows.flatten(0, 1)), strict=True):
                self.get_buffer(f"{name}{sense}").copy_(value)
            heard.append(self._hear(sense, windows))
        optimizer, losses = torch.optim.Adam(self.projections.parameters(), _RATE), []
        for _ in range(updates):
            some = torch.randperm(many, generator=rng)[:_BATCH]
            partners = some if kinds is None else _of_their_kind(kinds, rng)[some]
            loss = contrastive_loss(self._code(0, heard[0][some]), self._code(1, heard[1][partners]), temperature)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    @torch.no_grad()
    def _hear(self, sense: int, windows: Float[Tensor, "time windows values"]) -> Float[Tensor, "windows units"]:
        """Return the spikes per control step of a sense's liquid, which is at rest before each window."""
        mean, std = self.get_buffer(f"mean{sense}"), self.get_buffer(f"std{sense}")
        liquid = self.liquids[sense]
        state = liquid.initial_state(windows.shape[1])  # type: ignore[operator]
        total = torch.zeros_like(state["z"])
        for row in standardised(windows, mean, std):
            state = liquid(row, state)
            total += state["z"]
        return total / len(windows)

    def _code(self, sense: int, heard: Float[Tensor, "windows units"]) -> Float[Tensor, "windows code"]:
        return nn.functional.normalize(nn.functional.gelu(self.projections[sense](heard)), dim=-1)


def _of_their_kind(kinds: Int[Tensor, " windows"], rng: torch.Generator | None) -> Int[Tensor, " windows"]:
    """Return for each window another of its kind, or itself, each window once."""
    drawn = torch.randperm(len(kinds), generator=rng)
    partners = torch.empty_like(drawn)
    partners[kinds.argsort(stable=True)] = drawn[kinds[drawn].argsort(stable=True)]
    return partners


def contrastive_loss(
    first: Float[Tensor, "windows code"], second: Float[Tensor, "windows code"], temperature: float = 1.0
) -> Float[Tensor, ""]:
    """Return how badly windows are told by their codes in the other sense, nats: the mean over both directions.

    Each code of one sense is compared with those of all windows in the other, by the cross-entropy of a softmax of
    their products over the temperature. Where all codes are alike it is ln N of N windows.

    Args:
        first, second: codes of the same windows, each of length 1.
        temperature: above 0; published with 1.
    """
    alike = first @ second.t() / temperature
    own = torch.arange(len(alike), device=alike.device)
    return (nn.functional.cross_entropy(alike, own) + nn.functional.cross_entropy(alike.t(), own)) / 2
