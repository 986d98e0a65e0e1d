"""Sparse connectivity in ensembles, dense within and sparse between them, and rules of structural plasticity.

After G2GNet (https://arxiv.org/abs/2508.14140) and, for pruning the smallest weights, sparse evolutionary training
(Mocanu et al. 2018, https://arxiv.org/abs/1707.04780). The module `sparse` applies these functions in circuits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..errors import CircuitMismatch

Kind = Literal["index", "interleaved", "mixer", "random", "body"]
Pruning = Literal["set", "hebb"]
Growth = Literal["hebb", "random"]

_TURNS: tuple[Kind, Kind] = ("index", "interleaved")  # of "mixer", matrix by matrix
_ENSEMBLES = 8  # where nothing else says how many, as published
_TINY = 1e-8
# Senses with a value for each joint, and how many values others have for each link.
_PER_JOINT = ("joint_pos", "joint_vel", "joint_target", "joint_target_vel")
_PER_LINK = {"body_velocities": 3, "touch": 1}


@dataclasses.dataclass(frozen=True)
class Rewiring:
    """Options of sparse connectivity and its rewiring during training.

    Attributes:
        ensembles: how units are divided into ensembles: "index", into consecutive blocks; "interleaved", round-robin;
            "random"; "body", one ensemble per joint; or "mixer", by index for the first matrix of synapses, interleaved
            for the second, and so on in turns, so that two matrices connect all ensembles. None is fully connected.
        n_ensembles: number of ensembles; None is 8, or one per joint with "body".
        p_intra, p_inter: probability of a synapse within an ensemble, and between ensembles.
        rewire_every: number of rollouts or generations between two rewirings; 0 for never.
        rewire_share: share of each matrix's synapses that a rewiring replaces.
        prune: which synapses are removed: "set", those of smallest weight, or "hebb", those between the least
            correlated units.
        grow: which synapses are added: "hebb", those between the most correlated units, or "random".
    """

    ensembles: Kind | None = None
    n_ensembles: int | None = None
    p_intra: float = 1.0
    p_inter: float = 0.15
    rewire_every: int = 10
    rewire_share: float = 0.1
    prune: Pruning = "set"
    grow: Growth = "hebb"

    def check(self, n_joints: int) -> None:
        """Check the options.

        Raises:
            CircuitMismatch: an option is out of range, or has no effect with the other options.
        """
        if self.ensembles is None:
            self._refuse_idle(vars(self), "there are no ensembles; give ensembles='body'")
            return
        for name, values in (("ensembles", Kind), ("prune", Pruning), ("grow", Growth)):
            if (value := getattr(self, name)) not in get_args(values):
                raise CircuitMismatch(f"{name} is {value!r}; give {' or '.join(map(repr, get_args(values)))}")
        for name in ("p_intra", "p_inter"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise CircuitMismatch(f"{name} is {value}; give 0 to 1")
        if not 0 < self.rewire_share <= 1:
            raise CircuitMismatch(f"rewire_share is {self.rewire_share}; give a share above 0 and up to 1")
        if self.rewire_every < 0:
            raise CircuitMismatch(f"rewire_every is {self.rewire_every}; give 1 or more, or 0 for never")
        if self.rewire_every == 0:
            self._refuse_idle(("rewire_share", "prune", "grow"), "rewire_every is 0; give 1 or more")
        if self.ensembles == "body" and self.n_ensembles not in (None, n_joints):
            raise CircuitMismatch(
                f"n_ensembles is {self.n_ensembles}, and along the body there is one for each of {n_joints} joints; "
                "leave it out"
            )
        if self.n_ensembles is not None and self.n_ensembles < 1:
            raise CircuitMismatch(f"n_ensembles is {self.n_ensembles}; give 1 or more")

    def _refuse_idle(self, names: Iterable[str], why: str) -> None:
        """Refuse options that are given where nothing reads them."""
        for name in names:
            if (value := getattr(self, name)) != getattr(Rewiring, name):
                raise CircuitMismatch(f"{name} is {value}, and {why}")

    def count(self, n_joints: int) -> int:
        """Return the number of ensembles."""
        return n_joints if self.ensembles == "body" else self.n_ensembles or _ENSEMBLES

    def of_units(self, units: int, n_joints: int, rng: torch.Generator | None) -> Bool[Tensor, "units ensembles"]:
        """Return which ensemble each unit is in; of "mixer", which two.

        Raises:
            CircuitMismatch: there are fewer units than ensembles.
        """
        count = self.count(n_joints)
        if units < count:
            raise CircuitMismatch(f"{units} units cannot be divided into {count} ensembles; give {count} or more")
        return self._divided(units, count, rng)

    def of_sensors(
        self, senses: Sequence[tuple[str, int]], n_joints: int, rng: torch.Generator | None
    ) -> Bool[Tensor, "sensors ensembles"]:
        """Return which ensembles each sensor is in; with "body", that of its joint or those of its link's joints.

        Sensors without a position on the body are in all ensembles.
        """
        if self.ensembles != "body":
            return self._divided(sum(size for _, size in senses), self.count(n_joints), rng)
        joint, link = torch.eye(n_joints).bool(), torch.zeros(n_joints + 1, n_joints, dtype=torch.bool)
        link[:-1] |= joint
        link[1:] |= joint
        rows = []
        for name, size in senses:
            if name in _PER_JOINT and size == n_joints:
                rows.append(joint)
            elif name in _PER_LINK and size == _PER_LINK[name] * (n_joints + 1):
                rows.append(link.repeat_interleave(_PER_LINK[name], 0))
            else:
                rows.append(torch.ones(size, n_joints, dtype=torch.bool))
        return torch.cat(rows)

    def _divided(self, units: int, count: int, rng: torch.Generator | None) -> Bool[Tensor, "units ensembles"]:
        """Return which ensemble each unit is in; with "mixer", in twice as many columns, of both divisions."""
        kinds: tuple[Kind, ...] = ("index",) if self.ensembles in (None, "body") else (self.ensembles,)
        divisions = [divide(units, count, kind, rng) for kind in (_TURNS if kinds == ("mixer",) else kinds)]
        return torch.cat([torch.nn.functional.one_hot(each, count) for each in divisions], 1).bool()

    def draw(
        self,
        post: Bool[Tensor, "post ensembles"],
        pre: Bool[Tensor, "pre ensembles"],
        rng: torch.Generator | None,
        matrix: int = 0,
    ) -> Bool[Tensor, "post pre"]:
        """Draw the initial mask of synapses.

        Args:
            post, pre: ensembles of the postsynaptic and the presynaptic units.
            rng: random generator.
            matrix: index of the matrix in the circuit, counted from the sensors.
        """
        if self.ensembles == "mixer":
            post, pre = (each.chunk(len(_TURNS), 1)[matrix % len(_TURNS)] for each in (post, pre))
        same = (post.float() @ pre.float().t()) > 0
        share = torch.where(same, self.p_intra, self.p_inter)
        return torch.rand(share.shape, generator=rng) < share

    def rewired(
        self,
        weight: Float[Tensor, "post pre"],
        mask: Bool[Tensor, "post pre"],
        score: Float[Tensor, "post pre"],
        possible: Bool[Tensor, "post pre"],
        rng: torch.Generator,
    ) -> Bool[Tensor, "post pre"]:
        """Return the mask after a rewiring, which keeps the number of synapses.

        Synapses that are removed cannot be added again in the same rewiring.

        Args:
            weight: weight of each synapse.
            mask: which synapses exist.
            score: correlation of each presynaptic with each postsynaptic unit; see `correlation`.
            possible: which synapses may exist.
            rng: random generator for random growth.
        """
        candidates = possible & ~mask
        count = min(int(self.rewire_share * int(mask.sum())), int(candidates.sum()))
        kept = prune(mask, weight.abs() if self.prune == "set" else score, count)
        promise = torch.rand(mask.shape, generator=rng).to(score) if self.grow == "random" else score
        return kept | grow(candidates, promise, count)


def divide(units: int, count: int, kind: Kind, rng: torch.Generator | None = None) -> Int[Tensor, " units"]:
    """Return the number of each unit's ensemble, of `count` that differ in size by one at most."""
    order = torch.arange(units)
    if kind == "index":
        return order * count // units
    return (order if kind == "interleaved" else torch.randperm(units, generator=rng)) % count


def correlation(
    pre: Float[Tensor, "time batch pre"], post: Float[Tensor, "time batch post"]
) -> Float[Tensor, "post pre"]:
    """Return |correlation| of each postsynaptic unit with each presynaptic one; 0 where one is constant or not finite.

    The means are removed: without that, as published, the score ranks pairs by how active both are.
    """
    pre, post = (each.double().flatten(0, 1) for each in (pre, post))
    return cosine(*(each - each.mean(0) for each in (pre, post))).abs().nan_to_num()


def cosine(pre: Float[Tensor, "*samples pre"], post: Float[Tensor, "*samples post"]) -> Float[Tensor, "post pre"]:
    """Return the cosine of each postsynaptic unit with each presynaptic one over all samples: the published score."""
    pre, post = (each.flatten(0, -2) for each in (pre, post))
    pre, post = (each / (torch.linalg.vector_norm(each, dim=0) + _TINY) for each in (pre, post))
    return post.t() @ pre


def prune(mask: Bool[Tensor, "post pre"], worth: Float[Tensor, "post pre"], count: int) -> Bool[Tensor, "post pre"]:
    """Return the mask without the `count` synapses of the least worth, in any unit."""
    return mask & ~_first(mask, worth, count, largest=False)


def grow(
    candidates: Bool[Tensor, "post pre"], score: Float[Tensor, "post pre"], count: int
) -> Bool[Tensor, "post pre"]:
    """Return the `count` candidates of the highest score, in any unit."""
    return _first(candidates, score, count, largest=True)


def _first(
    among: Bool[Tensor, "post pre"], values: Float[Tensor, "post pre"], count: int, largest: bool
) -> Bool[Tensor, "post pre"]:
    """Return where the `count` largest or smallest values are, among some."""
    places = among.flatten().nonzero()[:, 0]
    chosen = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    chosen[places[values.flatten()[places].topk(count, largest=largest).indices]] = True
    return chosen.view(values.shape)
