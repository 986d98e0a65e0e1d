"""One agent on several bodies: circuits of each body's size that share their weights, each with its environments."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from ..circuits import load_weights
from ..circuits.held import weights_to_come
from ..envs.senses import Layout
from .agent import Agent, AgentSpec
from .loop import Batch
from .normalizer import Normalizer
from .resize import along_body, check_senses


@dataclasses.dataclass(frozen=True)
class Place:
    """An agent and its environments on one of several bodies that are trained on together.

    Attributes:
        agent: the agent, in the size of these bodies.
        envs: the environments.
        bodies: name of each environment's body.
    """

    agent: Agent
    envs: Batch
    bodies: tuple[str, ...]


def on_body(agent: Agent, spec: AgentSpec) -> Agent:
    """Return the agent on another body: its circuit there has the same weights, which change wherever one learns.

    The statistics of its observations are the agent's too; on a body of another size they are resampled along it, and
    what is seen there is resampled back before it counts.

    Raises:
        CircuitMismatch: a circuit for that body has other weights, or the bodies do not have the same senses.
    """
    if spec == agent.spec:
        return agent
    with weights_to_come():
        other = Agent(spec).to(agent.device)
    load_weights(other.circuit, agent.circuit.state_dict())
    kept = set(agent.circuit.state_dict())
    for name, module in other.circuit.named_modules():
        its = agent.circuit.get_submodule(name)
        for held, theirs in ((module._parameters, its._parameters), (module._buffers, its._buffers)):
            # What no checkpoint keeps, such as positions along the body, is the circuit's own.
            held.update({key: value for key, value in theirs.items() if f"{name}.{key}".lstrip(".") in kept})
    if agent.normalizer is not None:
        check_senses(agent.layout, spec.layout)
        is_same = agent.layout.sizes == spec.layout.sizes
        shared = ResampledNormalizer(agent.normalizer, agent.layout, spec.layout)
        other.normalizer = agent.normalizer if is_same else shared
    return other


class ResampledNormalizer(Normalizer):
    """The statistics of another body's observations, resampled along this one.

    Args:
        shared: the other body's.
        old: where things stand in its observations.
        new: where they stand in this body's.
    """

    def __init__(self, shared: Normalizer, old: Layout, new: Layout) -> None:
        nn.Module.__init__(self)
        self._shared = shared
        self._here: Tensor
        self.register_buffer("_here", along_body(new, old).double().to(shared.mean.device), persistent=False)
        self._there = along_body(old, new).double().numpy()

    @property
    def mean(self) -> Float[Tensor, " obs"]:  # type: ignore[override]
        """Mean of each observation, in its own unit."""
        return self._here @ self._shared.mean

    @property
    def var(self) -> Float[Tensor, " obs"]:  # type: ignore[override]
        """Variance of each observation, in its unit's square."""
        return self._here @ self._shared.var

    @property
    def count(self) -> Float[Tensor, ""]:  # type: ignore[override]
        """Number of observations seen, on bodies of either size."""
        return self._shared.count

    @property
    def clip(self) -> float:  # type: ignore[override]
        """Where normalised observations are clipped, in standard deviations."""
        return self._shared.clip

    @property
    def epsilon(self) -> float:  # type: ignore[override]
        """What is added to the variances, as to the other body's."""
        return self._shared.epsilon

    def update(self, observations: Float[np.ndarray, "batch obs"]) -> None:
        """Count a batch of observations in, resampled along the other body, in their own units."""
        self._shared.update(np.asarray(observations, float) @ self._there.T)


def check_weights(specs: list[AgentSpec], names: list[str]) -> str | None:
    """Return in one line why agents on bodies of these names cannot share weights, None if they can.

    Circuits are built only where the bodies differ in size.
    """
    known: dict[str, dict[str, tuple[int, ...]]] = {}
    for spec, name in zip(specs, names, strict=True):
        if spec.layout.sizes == specs[0].layout.sizes and spec.n_motors == specs[0].n_motors:
            continue
        if not known:
            known[names[0]] = _shapes(specs[0])
        there, here = known[names[0]], _shapes(spec)
        if differing := [key for key in there.keys() | here.keys() if there.get(key) != here.get(key)]:
            key = min(differing)
            return (
                f"circuit {spec.circuit!r} has other weights on {name} than on {names[0]}: {key} is "
                f"{here.get(key, 'absent')} and {there.get(key, 'absent')}"
            )
    return None


def _shapes(spec: AgentSpec) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in spec.make_circuit(0).state_dict().items()}
