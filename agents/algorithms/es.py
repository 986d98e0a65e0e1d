"""Evolution strategy: antithetic pairs and centred ranks, and Adam along the estimated gradient.

After Salimans et al. 2017 (https://arxiv.org/abs/1703.03864), section 2; Adam after Kingma and Ba 2015
(https://arxiv.org/abs/1412.6980), algorithm 1.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...circuits import Facts
from ...errors import CircuitMismatch
from ...options import Number, option
from .algorithm import COUNT, POSITIVE
from .population_learner import PopulationAlgorithm, PopulationMethod, State, carry

_BETAS, _EPSILON = (0.9, 0.999), 1e-8


class AntitheticSearch(PopulationMethod):
    """Perturb the weights by noise and its negative; both members of a pair get the same episode seed, to reduce
    variance.
    """

    takes_projections = True

    def start(self, mean: Float[Tensor, " weights"]) -> State:
        """Return the state of a search that starts at the weights `mean`, in the circuit's units."""
        return {"mean": mean, "exp_avg": torch.zeros_like(mean), "exp_avg_sq": torch.zeros_like(mean), "t": 0}

    def carried(self, state: State, kept: Int[Tensor, " weights"]) -> State:
        """Return the state for other weights; those that are new have no moments."""
        return {**state, **{name: carry(state[name], kept) for name in ("mean", "exp_avg", "exp_avg_sq")}}

    def ask(
        self, state: State, rng: np.random.Generator
    ) -> tuple[State, Float[Tensor, "members weights"], Int[np.ndarray, " members"]]:
        """Return the state, the members' weights, in the circuit's units, and the seeds of their episodes."""
        pairs = self.population // 2
        half = rng.standard_normal((pairs, len(state["mean"])), np.float32)
        noise = torch.as_tensor(np.concatenate([half, -half]))
        weights = state["mean"] + self.options["sigma"] * noise
        return {**state, "noise": noise}, weights, np.tile(rng.integers(2**31, size=pairs), 2)

    def tell(self, state: State, returns: Float[np.ndarray, " members"]) -> tuple[State, dict[str, float]]:
        """Follow the estimated gradient of the expected rank; returns have no unit, and NaN is the lowest."""
        # NumPy sorts NaN to the end, where the best is.
        returns = np.where(np.isnan(returns), -np.inf, returns)
        # Pairs that tie (a weight without effect) must cancel, so equal returns share their mean rank.
        _, place, tied = np.unique(returns, return_inverse=True, return_counts=True)
        ranks = (np.cumsum(tied) - (tied + 1) / 2)[place]
        utility = torch.as_tensor(ranks / (len(returns) - 1) - 0.5, dtype=torch.float32)
        gradient = utility @ state["noise"] / (len(returns) * self.options["sigma"])
        rate, t = self.options["learning_rate"], state["t"] + 1
        first = torch.lerp(state["exp_avg"], -gradient, 1 - _BETAS[0])
        second = state["exp_avg_sq"].mul(_BETAS[1]).addcmul(gradient, gradient, value=1 - _BETAS[1])
        spread = (second.sqrt() / (1 - _BETAS[1] ** t) ** 0.5).add(_EPSILON)
        mean = state["mean"].addcdiv(first, spread, value=-rate / (1 - _BETAS[0] ** t))
        told = {"gradient_norm": float(gradient.norm()), "learning_rate": rate}
        return {"mean": mean, "exp_avg": first, "exp_avg_sq": second, "t": t}, told


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of the evolution strategy.

    Attributes:
        n_envs: number of environments, each of which evaluates one member at a time.
        population: members per generation; None takes one per environment.
        sigma: standard deviation of the weight perturbations.
        learning_rate: learning rate of Adam.
    """

    n_envs: int = option(32, COUNT)
    population: int | None = option(None, Number(2, is_whole=True, also=(None,)))
    sigma: float = option(0.1, POSITIVE)
    learning_rate: float = option(0.1, POSITIVE)


class EvolutionStrategy(PopulationAlgorithm):
    """Train any circuit with weights by an antithetic evolution strategy."""

    Options = Options
    Method = AntitheticSearch

    def check(self, facts: Facts | None, options: dict[str, Any]) -> None:
        """Refuse a population that is odd, or not a multiple of the environments."""
        super().check(facts, options)
        if options["population"] % 2:
            raise CircuitMismatch(
                f"ES runs antithetic pairs, one member per environment, and got {options['population']} members; "
                "give an even number"
            )
