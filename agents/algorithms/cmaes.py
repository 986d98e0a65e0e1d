"""CMA-ES for circuits of few weights; all members of a generation get the same episode.

Hansen 2016, The CMA Evolution Strategy: a tutorial (https://arxiv.org/abs/1604.00772), figure 6 and table 1.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...errors import CircuitMismatch
from ...options import Number, option
from .algorithm import COUNT, POSITIVE
from .population_learner import PopulationAlgorithm, PopulationMethod, State, carry

_MOST_WEIGHTS = 1000


@dataclasses.dataclass(frozen=True)
class _Rates:
    """The constants of table 1, which follow from the number of weights and the population."""

    weights: Float[np.ndarray, " members"]
    mu_eff: float
    c_sigma: float
    d_sigma: float
    c_c: float
    c_1: float
    c_mu: float
    expected_norm: float

    @classmethod
    def of(cls, n: int, population: int) -> _Rates:
        """Return the constants for `n` weights and a population of that size."""
        raw = np.log((population + 1) / 2) - np.log(np.arange(1, population + 1))
        best = raw[: population // 2]
        mu_eff = best.sum() ** 2 / (best**2).sum()
        worst = raw[population // 2 :]
        mu_eff_minus = worst.sum() ** 2 / (worst**2).sum()
        c_1 = 2 / ((n + 1.3) ** 2 + mu_eff)
        c_mu = min(1 - c_1, 2 * (0.25 + mu_eff + 1 / mu_eff - 2) / ((n + 2) ** 2 + mu_eff))
        # Negative weights are scaled so that the covariance matrix stays positive definite (eqs. 50 to 53).
        most: float = min(1 + c_1 / c_mu, 1 + 2 * mu_eff_minus / (mu_eff + 2), (1 - c_1 - c_mu) / (n * c_mu))
        weights = np.where(raw >= 0, raw / best.sum(), most * raw / -worst[worst < 0].sum())
        c_sigma = (mu_eff + 2) / (n + mu_eff + 5)
        return cls(
            weights=weights,
            mu_eff=mu_eff,
            c_sigma=c_sigma,
            d_sigma=1 + 2 * max(0.0, np.sqrt((mu_eff - 1) / (n + 1)) - 1) + c_sigma,
            c_c=(4 + mu_eff / n) / (n + 4 + 2 * mu_eff / n),
            c_1=c_1,
            c_mu=c_mu,
            expected_norm=np.sqrt(n) * (1 - 1 / (4 * n) + 1 / (21 * n**2)),
        )


class CovarianceSearch(PopulationMethod):
    """Sample members from a normal distribution, whose mean, step size and covariance follow the better half."""

    def start(self, mean: Float[Tensor, " weights"]) -> State:
        """Return the state of a search that starts at the weights `mean`, in the circuit's units.

        Raises:
            CircuitMismatch: the circuit has too few or too many weights for CMA-ES.
        """
        n = len(mean)
        if not 2 <= n <= _MOST_WEIGHTS:
            raise CircuitMismatch(
                f"CMA-ES learns a matrix of weights x weights and takes 2 to {_MOST_WEIGHTS} weights; the circuit has "
                f"{n}; use es, or ppo"
            )
        zeros = torch.zeros(n, dtype=torch.float64)
        return {
            "mean": mean,
            "center": mean.double(),
            "sigma": float(self.options["sigma"]),
            "covariance": torch.eye(n, dtype=torch.float64),
            "path": zeros,
            "path_sigma": zeros.clone(),
            "generation": 0,
        }

    def moved(self, state: State, mean: Float[Tensor, " weights"]) -> State:
        """Return the state with its mean replaced by `mean`, in the circuit's units."""
        return {**state, "mean": mean, "center": mean.double()}

    def carried(self, state: State, kept: Int[Tensor, " weights"]) -> State:
        """Return the state for other weights; those that are new have the variance 1, and vary with no other."""
        rows = {name: carry(state[name], kept) for name in ("mean", "center", "path", "path_sigma")}
        covariance = carry(carry(state["covariance"], kept).t(), kept)
        return {**state, **rows, "covariance": covariance + torch.diag((kept < 0).double())}

    def ask(
        self, state: State, rng: np.random.Generator
    ) -> tuple[State, Float[Tensor, "members weights"], Int[np.ndarray, " members"]]:
        """Return the state, the members' weights, in the circuit's units, and the seeds of their episodes."""
        values, vectors = np.linalg.eigh(state["covariance"].numpy())
        draws = rng.standard_normal((self.population, len(values)))
        steps = torch.as_tensor((draws * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
        weights = (state["center"] + state["sigma"] * steps).float()
        return {**state, "steps": steps}, weights, np.full(self.population, rng.integers(2**31))

    def tell(self, state: State, returns: Float[np.ndarray, " members"]) -> tuple[State, dict[str, float]]:
        """Update the distribution."""
        n, generation, sigma = len(state["center"]), state["generation"] + 1, state["sigma"]
        rates = _rates(n, self.population)
        steps = state["steps"].numpy()[np.argsort(-returns, kind="stable")]
        weights = rates.weights
        step = weights[weights > 0] @ steps[weights > 0]
        covariance = state["covariance"].numpy()
        values, vectors = np.linalg.eigh(covariance)
        whiten = (vectors / np.sqrt(np.maximum(values, 1e-300))) @ vectors.T
        c_sigma, c_c = rates.c_sigma, rates.c_c
        path_sigma = (1 - c_sigma) * state["path_sigma"].numpy()
        path_sigma = path_sigma + np.sqrt(c_sigma * (2 - c_sigma) * rates.mu_eff) * whiten @ step
        norm = float(np.linalg.norm(path_sigma))
        # While the step size's path is long, the covariance's path is not updated, or it would grow too fast (h_sigma).
        grown = float(norm / (1 - (1 - c_sigma) ** (2 * generation)) ** 0.5)
        is_short = grown < (1.4 + 2 / (n + 1)) * rates.expected_norm
        path = (1 - c_c) * state["path"].numpy() + is_short * np.sqrt(c_c * (2 - c_c) * rates.mu_eff) * step
        lost = (1 - is_short) * c_c * (2 - c_c)
        # A bad direction removes no more than a whitened step of length n would (eq. 46).
        lengths = ((steps @ whiten.T) ** 2).sum(1)
        scaled = np.where(weights >= 0, weights, weights * n / np.maximum(lengths, 1e-300))
        covariance = (
            (1 + rates.c_1 * lost - rates.c_1 - rates.c_mu * weights.sum()) * covariance
            + rates.c_1 * np.outer(path, path)
            + rates.c_mu * (steps.T * scaled) @ steps
        )
        center = state["center"] + sigma * torch.as_tensor(step)
        sigma = sigma * math.exp(min(1.0, c_sigma / rates.d_sigma * (norm / rates.expected_norm - 1)))
        after: dict[str, Any] = {
            "mean": center.float(),
            "center": center,
            "sigma": sigma,
            "covariance": torch.as_tensor((covariance + covariance.T) / 2),
            "path": torch.as_tensor(path),
            "path_sigma": torch.as_tensor(path_sigma),
            "generation": generation,
        }
        return after, {"sigma": sigma}


@functools.cache
def _rates(n: int, population: int) -> _Rates:
    return _Rates.of(n, population)


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of CMA-ES.

    Attributes:
        n_envs: number of environments, each of which evaluates one member at a time.
        population: members per generation; None takes one per environment.
        sigma: standard deviation of the first generation.
    """

    n_envs: int = option(32, COUNT)
    population: int | None = option(None, Number(2, is_whole=True, also=(None,)))
    sigma: float = option(0.3, POSITIVE)


class CMAEvolutionStrategy(PopulationAlgorithm):
    """Train a circuit of few weights by covariance matrix adaptation."""

    Options = Options
    Method = CovarianceSearch
