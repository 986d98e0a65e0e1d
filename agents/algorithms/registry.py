"""The algorithms by name; each is imported on first use, so listing them does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import UnknownName
from ...registry import Line, Registry

if TYPE_CHECKING:
    from .algorithm import Algorithm

_HERE = __name__.rpartition(".")[0]


def _adopted(found: Any, name: str) -> Algorithm:
    from .algorithm import make_algorithm

    return make_algorithm(found, name)


# Every algorithm by name, with those of other packages; docs/results/ has their returns on swimmer6.
ALGORITHMS: Registry[Algorithm] = Registry(
    "nervecord.algorithms",
    adopt=_adopted,
    lines={
        "es": Line(f"{_HERE}.es:EvolutionStrategy", "antithetic evolution strategy, for every circuit with weights"),
        "cmaes": Line(f"{_HERE}.cmaes:CMAEvolutionStrategy", "covariance matrix adaptation, for 2 to 1000 weights"),
        "ppo": Line(
            f"{_HERE}.ppo:ProximalPolicyOptimization",
            "proximal policy optimisation, with backpropagation through time for recurrent circuits",
        ),
        "ddpg": Line(f"{_HERE}.td3:DDPG", "deterministic policy gradient, for circuits without memory"),
        "td3": Line(f"{_HERE}.td3:TD3", "twin delayed deterministic policy gradient, for circuits without memory"),
        "sac": Line(f"{_HERE}.sac:SAC", "soft actor-critic, for circuits without memory"),
    },
)


def algorithm_named(name: str) -> Algorithm:
    """Return the algorithm of that name.

    Raises:
        UnknownName: there is no such algorithm.
        BrokenPlugin: the algorithm belongs to another package and cannot be imported.
    """
    if name not in ALGORITHMS:
        raise UnknownName("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name]
