"""A population spread over processes or a Ray cluster, equal to one evaluated here."""

from __future__ import annotations

import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import torch

from ...agents import Agent
from ...agents.algorithms.members import MembersOnBodies, Outcome, Round
from ...agents.algorithms.registry import algorithm_named
from ...circuits.held import weights_to_come
from ...envs.deficits import Deficits
from ...errors import InvalidOption, WorkersLost
from ...options import up_to
from ..runs.resolution import Resolved
from .engine import Engine, check_engine, start_ray
from .places import places_of
from .workers import RETRIES, WorkerPool, attempt


def open_evaluator(resolved: Resolved, workers: int, engine: Engine = "local", address: str | None = None) -> Workers:
    """Start the workers that evaluate a run's populations; close them when done.

    A round's result depends only on its members, so results do not depend on the number of workers.

    Raises:
        InvalidOption: the algorithm has no population, or there are more workers than a generation has rounds.
        MissingDependency: Ray is not installed.
    """
    check_engine(workers, engine, address)
    algorithm, options = resolved.config.algorithm, resolved.options
    if not algorithm_named(algorithm).has_population:
        raise InvalidOption(f"{algorithm} has no population to spread over workers; use es or cmaes")
    if resolved.config.device != "cpu":
        raise InvalidOption(
            f"workers compute on the CPU, and device is {resolved.config.device!r}; leave one of them out"
        )
    n_envs = options["n_envs"]
    rounds = options["population"] // n_envs
    if workers > rounds:
        raise InvalidOption(
            f"workers is {workers} and a generation has {rounds} round{'s' * (rounds != 1)} of {n_envs} members; "
            f"give {up_to(rounds)}, or a larger population, such as --algorithm-options population={workers * n_envs}"
        )
    return _RayWorkers(resolved, workers, address) if engine == "ray" else _Processes(resolved, workers)


class Workers(ABC):
    """Evaluates rounds in other processes; close it when done."""

    @abstractmethod
    def evaluate(self, rounds: Iterable[Round]) -> Iterator[Outcome]:
        """Yield the outcomes in the order of the rounds."""

    @abstractmethod
    def close(self) -> None:
        """Stop the workers."""


class _Processes(Workers):
    """Processes on this machine, each with its own environments."""

    def __init__(self, resolved: Resolved, workers: int) -> None:
        self._pool = WorkerPool(workers, (_begin, (resolved,)))

    def evaluate(self, rounds: Iterable[Round]) -> Iterator[Outcome]:
        """Yield the outcomes in the order of the rounds; those of a worker that dies are run again."""
        ended: dict[str, Outcome] = {}
        following = 0
        tasks = ((f"round {number}", (_evaluate, (part,))) for number, part in enumerate(rounds))
        for name, outcome in self._pool.run(tasks):
            if isinstance(outcome, Exception):
                raise outcome
            ended[name] = outcome
            while (found := ended.pop(f"round {following}", None)) is not None:
                yield found
                following += 1

    def close(self) -> None:
        self._pool.close()


class _RayWorkers(Workers):
    """Ray actors, here or on a cluster; one that dies is started again by Ray, and its round with it."""

    def __init__(self, resolved: Resolved, workers: int, address: str | None) -> None:
        self._ray = start_ray(workers, address)
        actor = self._ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=RETRIES)(_RayRunner)
        self._pool = self._ray.util.ActorPool([actor.remote(resolved) for _ in range(workers)])

    def evaluate(self, rounds: Iterable[Round]) -> Iterator[Outcome]:
        """Yield the outcomes in the order of the rounds."""
        try:
            for succeeded, outcome in self._pool.map(lambda actor, part: actor.evaluate.remote(part), rounds):
                if not succeeded:
                    raise outcome
                yield outcome
        except self._ray.exceptions.RayActorError as error:
            raise WorkersLost(f"workers died {RETRIES + 1} times in a row; see whether memory runs out") from error

    def close(self) -> None:
        self._ray.shutdown()


class RoundRunner:
    """A worker's environments and agent of a run, on every body; weights and buffers come with each round."""

    def __init__(self, resolved: Resolved) -> None:
        with weights_to_come():
            self._resolved, self._agent = resolved, Agent(resolved.agent)

    @torch.no_grad()
    def evaluate(self, part: Round) -> Outcome:
        """Run one episode of every member on every body."""
        # A frozen part that starts from a run, or a liquid that organised itself, is another here until then.
        for name, value in part.buffers.items():
            self._agent.circuit.get_buffer(name).copy_(value)
        return self._members.evaluate(part)

    @functools.cached_property
    def _members(self) -> MembersOnBodies:
        """The environments, made with the first round: compiled code may hold buffers as they are then."""
        deficits = self._resolved.config.deficits
        places = places_of(self._resolved, self._agent, contextlib.ExitStack())  # which end with the process
        members = MembersOnBodies(places)
        members.lose(Deficits(self._agent.layout, deficits) if deficits else None)
        return members


class _RayRunner:
    """A worker on Ray. Its first round builds it, because Ray reports an error in an actor's constructor as death."""

    def __init__(self, resolved: Resolved) -> None:
        self._resolved = resolved
        self._runner: RoundRunner | None = None

    def evaluate(self, part: Round) -> tuple[bool, Any]:
        """Return the result of `attempt` on a round."""
        return attempt(self._evaluate, part)

    def _evaluate(self, part: Round) -> Outcome:
        self._runner = self._runner or RoundRunner(self._resolved)
        return self._runner.evaluate(part)


_runner: RoundRunner | None = None


def _begin(resolved: Resolved) -> None:
    """Make a new process a worker."""
    global _runner
    _runner = RoundRunner(resolved)


def _evaluate(part: Round) -> Any:
    assert _runner is not None
    return _runner.evaluate(part)
