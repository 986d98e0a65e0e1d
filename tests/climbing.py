"""An algorithm in one file, as the guide shows: what tests register, ship in a package, and break."""

import dataclasses

import numpy as np
import torch
from nervecord.agents.algorithms import PopulationAlgorithm, PopulationMethod
from nervecord.options import Number, option


class Climb(PopulationMethod):
    """Keep the best of members drawn around it."""

    def start(self, mean):
        return {"mean": mean}

    def ask(self, state, rng):
        noise = rng.standard_normal((self.population, len(state["mean"])), np.float32)
        weights = state["mean"] + self.options["spread"] * torch.as_tensor(noise)
        return {**state, "asked": weights}, weights, np.full(self.population, rng.integers(2**31))

    def tell(self, state, returns):
        return {"mean": state["asked"][int(returns.argmax())]}, {"best": float(returns.max())}


@dataclasses.dataclass(frozen=True)
class Options:
    n_envs: int = option(4, Number(1, is_whole=True))
    population: int | None = option(None, Number(2, is_whole=True, also=(None,)))
    spread: float = option(0.1, Number(0, above=True))


class HillClimbing(PopulationAlgorithm):
    """Climb from the best member to the best around it."""

    Options, Method = Options, Climb
