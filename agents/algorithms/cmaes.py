"""CMA-ES for circuits of few weights, by the `cma` library, on the population of our ES.

Hansen and Ostermeier 2001; Hansen 2016 (https://arxiv.org/abs/1604.00772).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import CircuitMismatch
from .es import ES

_MOST_WEIGHTS = 1000


class CMAES(ES):
    """Train a circuit by covariance matrix adaptation; all members of a generation get the same episode.

    The library keeps its state to itself, so what is saved is `history`, every generation's returns:
    asked and told them again, it comes to the same state, because a generation's draws depend on the
    seed and its number alone.

    Args:
        policy, env, policy_kwargs, seed, sb3: as in `ES`; the population may be odd.
        sigma: standard deviation of the first generation.

    Attributes:
        history: the returns of every generation so far: one sum of rewards per member, no unit.

    Raises:
        CircuitMismatch: more weights than CMA-ES is for.
    """

    def __init__(self, policy: Any, env: Any, sigma: float = 0.3, **arguments: Any) -> None:
        self.history: list[Float[np.ndarray, " members"]] = []
        super().__init__(policy, env, sigma=sigma, **arguments)

    def _setup_model(self) -> None:
        super()._setup_model()
        count = len(self._mean())
        if not 2 <= count <= _MOST_WEIGHTS:
            raise CircuitMismatch(
                f"CMA-ES learns a matrix of weights x weights, for 2 to {_MOST_WEIGHTS} of them, and the circuit has "
                f"{count}; use es, or ppo"
            )
        self.center()

    def center(self) -> None:
        """Begin the search anew around the circuit's present weights."""
        # Not above: it brings pyplot with it, a second for every process that trains anything.
        import cma

        self._draws = np.random.default_rng(0)
        self._strategy = cma.CMAEvolutionStrategy(
            self._mean().double().numpy(),
            self.sigma,
            {
                "popsize": self.population,
                "randn": lambda *shape: self._draws.standard_normal(shape),
                # The library would seed NumPy's global generator.
                "seed": np.nan,
                "verbose": -9,
                "verb_log": 0,
            },
        )

    def _ask(self, rng: np.random.Generator) -> tuple[Float[Tensor, "members weights"], np.ndarray]:
        # After loading, the strategy stands at its start: go through what it was told before.
        for generation in range(self._strategy.countiter, len(self.history)):
            self._draw(self._rng_of(generation))
            self._strategy.tell(self._asked, (-self.history[generation]).tolist())
        self._draw(rng)
        episode = rng.integers(2**31)
        return torch.as_tensor(np.array(self._asked), dtype=torch.float32), np.full(self.population, episode)

    def _draw(self, rng: np.random.Generator) -> None:
        self._draws = rng
        self._asked = self._strategy.ask()

    def _tell(self, returns: Float[np.ndarray, " members"]) -> None:
        self._strategy.tell(self._asked, (-returns).tolist())
        self.history.append(returns.copy())
        mean = torch.as_tensor(self._strategy.mean, dtype=torch.float32)
        torch.nn.utils.vector_to_parameters(mean, self.policy.circuit.parameters())
        self.logger.record("train/sigma", float(self._strategy.sigma))

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_strategy", "_asked", "_draws"]
