"""The environments of a run that trains on several bodies, and the agent on each body."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from ...agents import Agent
from ...agents.algorithms.registry import algorithm_named
from ...agents.places import Place, on_body
from ...envs.joined import JoinedBatch
from ..runs.resolution import Resolved


def places_on_bodies(
    resolved: Resolved,
    agent: Agent,
    n_envs: int,
    stack: contextlib.ExitStack,
    randomize: Mapping[str, Any] | None = None,
) -> tuple[Place, ...]:
    """Build environments of each of a run's bodies, stepped by lanes where these cover it, and the agent there.

    Args:
        resolved: the run.
        agent: on its first body; on the others it has the same weights.
        n_envs: environments of each body.
        stack: closes the environments.
        randomize: in place of the run's own ranges.

    Raises:
        CircuitMismatch: the circuit has other weights on another body.
    """
    places = []
    for each in resolved.each:
        envs = each.make_envs(n_envs, randomize)
        stack.callback(envs.close)
        places.append(Place(on_body(agent, each.agent), envs, (envs.body.name,) * n_envs))
    return tuple(places)


def places_of(resolved: Resolved, agent: Agent, stack: contextlib.ExitStack) -> tuple[Place, ...]:
    """Build the environments that a run's algorithm trains in, and the agent in each; the first is on the first body.

    A population has environments for a round on every body. Other algorithms divide theirs over the bodies, and
    bodies on which the agent is the same share a place. An algorithm that takes no places has one batch of all.

    Args:
        resolved: the run.
        agent: on its first body.
        stack: closes the environments.

    Raises:
        CircuitMismatch: the circuit has other weights on another body.
    """
    n_envs, n_bodies = resolved.options["n_envs"], len(resolved.each)
    algorithm = algorithm_named(resolved.config.algorithm)
    if not algorithm.takes_places:
        mixed = resolved.make_mixed_envs(n_envs)
        stack.callback(mixed.close)
        return (Place(agent, mixed, tuple(mixed.bodies[index].name for index in mixed.body_index)),)
    if algorithm.has_population or n_bodies == 1:
        return places_on_bodies(resolved, agent, n_envs, stack)
    apart = places_on_bodies(resolved, agent, n_envs // n_bodies, stack)
    alike: dict[str, list[Place]] = {}
    for place in apart:
        alike.setdefault(repr(place.agent.spec), []).append(place)
    return tuple(map(_joined, alike.values()))


def _joined(places: list[Place]) -> Place:
    if len(places) == 1:
        return places[0]
    envs = JoinedBatch([place.envs for place in places])  # type: ignore[misc]
    return Place(places[0].agent, envs, tuple(name for place in places for name in place.bodies))
