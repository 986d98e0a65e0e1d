"""`Algorithm` and `Learner`: the two classes that a new training method implements."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...circuits import Facts
from ...envs.deficits import Deficits
from ...envs.env_batch import EnvBatch, Step
from ...errors import InvalidOption, UnknownName
from ...options import Number, allowed_values, wrong_value
from ..agent import Agent
from .members import Outcome, Round

COUNT = Number(1, is_whole=True)
POSITIVE = Number(0, above=True)
SHARE = Number(0, 1)

_BODY = "body"  # of an episode that is remembered: its body's name

Evaluate = Callable[[Iterable[Round]], Iterator[Outcome]]


class Learner(ABC):
    """One training in progress: an agent, its environments and the optimiser's state.

    Attributes:
        agent: the agent in training; it acts with its current weights.
        steps: environment steps so far, summed over environments.
        steps_at_once: environment steps taken by one `advance`.
        deficits: windows of training in which senses are masked; set before the first `advance`.
        before_update, after_update: functions called before and after each change of the circuit's weights, by learners
            that take projections; others may not call them.
        takes_projections: whether it calls these, and `after_update` may change the weights.
    """

    takes_projections: bool = False

    agent: Agent
    steps: int = 0
    steps_at_once: int
    deficits: Deficits | None = None

    def __init__(self) -> None:
        self.before_update: list[Callable[[], None]] = []
        self.after_update: list[Callable[[], None]] = []

    @property
    def agents(self) -> Sequence[Agent]:
        """The agent on each body it trains on, all with the same weights."""
        return (self.agent,)

    @property
    def rewires(self) -> bool:
        """Whether the circuit changes itself after an update, using its activity since the last one."""
        return self.agent.circuit.changes_after_update

    @abstractmethod
    def advance(self) -> dict[str, float]:
        """Do one rollout and one update; return the metrics to log."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return everything that training depends on from here, except the circuit's weights and statistics.

        Nested mappings of tensors, arrays and JSON values; a replay buffer, if any, is under the key `replay`.
        """

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned; the agent's weights are restored before."""

    def lose_senses(self) -> None:
        """Mask the senses that the deficits mask at this step of training."""
        if self.deficits is None:
            return
        for agent in self.agents:
            missing = self.deficits.on(agent.layout).missing(self.steps)
            agent.missing = None if missing is None else torch.as_tensor(missing, device=agent.device)


class Algorithm(ABC):
    """A training algorithm. A new one needs a subclass in one file and one line in the registry.

    Attributes:
        Options: a frozen dataclass of the user's options, each field an `option` with default and bounds; one field is
            `n_envs`, the number of environments.
        trains_memory: whether it can train circuits that need gradients through their state; if not, oscillators
            read the time from the observation instead of counting steps.
        squashes: whether motor commands of unbounded circuits pass through a tanh.
        has_population: whether it evaluates a population, which worker processes may share.
        takes_places: whether `start` takes `places`, to train on bodies of several sizes at once.
        normalizes: whether the agent sees normalised observations under given options.
    """

    Options: ClassVar[Any]
    trains_memory: ClassVar[bool] = True
    squashes: ClassVar[bool] = False
    has_population: ClassVar[bool] = False
    takes_places: ClassVar[bool] = False

    def defaults(self, facts: Facts) -> dict[str, Any]:  # noqa: ARG002
        """Return the defaults that are different for this kind of circuit."""
        return {}

    def normalizes(self, options: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Return whether the agent sees normalised observations."""
        return False

    def validate(self, name: str, asked: Mapping[str, Any]) -> None:
        """Refuse options that do not exist, or whose values are invalid.

        Raises:
            UnknownName: there is no such option.
            InvalidOption: a value is out of range or of the wrong type.
        """
        for option in asked:
            if option not in vars(self.Options()):
                raise UnknownName(f"option of {name}", option, vars(self.Options()))
        if wrong := wrong_value(asked, allowed_values(self.Options)):
            raise InvalidOption(wrong)

    def resolve(self, name: str, facts: Facts, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return every option: the given values, and otherwise the defaults for this kind of circuit.

        Raises:
            UnknownName, InvalidOption: as `validate`.
            CircuitMismatch: the options contradict one another.
        """
        self.validate(name, asked)
        options = {**vars(self.Options()), **self.defaults(facts), **asked}
        self.check(facts, options)
        return options

    def check(self, facts: Facts, options: dict[str, Any]) -> None:  # noqa: B027  (most have nothing to say)
        """Refuse options that contradict one another; fill in those that follow from others."""

    @abstractmethod
    def start(self, agent: Agent, envs: EnvBatch, options: Mapping[str, Any], seed: int) -> Learner:
        """Return a learner that starts from the agent's current weights.

        An algorithm with a population also takes `evaluate`, a function that evaluates rounds in other processes; None
        evaluates them in `envs`. An algorithm that `takes_places` also takes `places`, an agent and environments for
        each body; the agents share their weights, and the first place is `agent` and `envs`. Population algorithms
        use `n_envs` environments for each body, other algorithms divide `n_envs` among the bodies.

        Args:
            agent: the agent to train.
            envs: `n_envs` environments of the agent's layout.
            options: every option, as `resolve` returns them.
            seed: seed of every random draw of the learner.

        Raises:
            CircuitMismatch: the algorithm cannot train this circuit.
        """


def make_algorithm(found: Any, name: str) -> Algorithm:
    """Return the algorithm that a registry's line or an entry point names.

    Raises:
        TypeError: it is not an Algorithm, or its options have no `n_envs`.
    """
    algorithm = found() if inspect.isclass(found) else found
    if not isinstance(algorithm, Algorithm):
        raise TypeError(f"{name} is a {type(algorithm).__name__}, not an Algorithm")
    if "n_envs" not in vars(algorithm.Options()):
        raise TypeError(f"the options of {name} have no n_envs, the number of environments it trains in; add it")
    return algorithm


class EpisodeLog:
    """Returns, lengths and metrics of the last episodes.

    Args:
        size: number of episodes to remember.
    """

    def __init__(self, size: int = 100) -> None:
        self._held: deque[dict[str, Any]] = deque(maxlen=size)

    def add(
        self,
        returns: Sequence[float],
        lengths: Sequence[int],
        metrics: Mapping[str, np.ndarray],
        bodies: Sequence[str] = (),
    ) -> None:
        """Add episodes that ended: returns, lengths in control steps, and metrics.

        Metrics that describe an episode without rating it are left out.

        Args:
            returns, lengths, metrics: one value an episode.
            bodies: the name of each episode's body, where there are several.
        """
        metrics = {name: values for name, values in metrics.items() if name not in ("diverged", "body")}
        for index, (value, length) in enumerate(zip(returns, lengths, strict=True)):
            told: dict[str, Any] = {name: float(values[index]) for name, values in metrics.items()}
            told |= {_BODY: bodies[index]} if len(bodies) else {}
            self._held.append({"r": float(value), "l": int(length), **told})

    def add_ended(self, rollout: Any, stepped: Step, bodies: Sequence[str] = ()) -> None:
        """Note the episodes of a rollout that ended with its last step; `bodies` names each environment's body."""
        ids = rollout.ended
        ended = {name: values[ids] for name, values in stepped.metrics.items()}
        self.add(rollout.returns[ids], rollout.lengths[ids], ended, [bodies[index] for index in ids] if bodies else ())

    def means(self) -> dict[str, float]:
        """Return means over the episodes remembered, by the names of SB3's logs, and of each of several bodies.

        Metrics are in the task's units.
        """
        held = list(self._held)
        if not held:
            return {}
        names = {"r": "ep_rew_mean", "l": "ep_len_mean"}
        common = [name for name in held[0] if name != _BODY and all(name in each for each in held)]
        found = {f"rollout/{names.get(name, name)}": float(np.mean([each[name] for each in held])) for name in common}
        bodies = sorted({each[_BODY] for each in held if _BODY in each})
        by_body = {body: float(np.mean([each["r"] for each in held if each.get(_BODY) == body])) for body in bodies}
        worst = {"rollout/ep_rew_worst": min(by_body.values())} if by_body else {}
        return {**found, **{f"return/{body}": value for body, value in by_body.items()}, **worst}

    def to_json(self) -> list[dict[str, Any]]:
        """Return the episodes as JSON types."""
        return list(self._held)

    def load_json(self, held: Iterable[dict[str, Any]]) -> None:
        """Restore the episodes that `to_json` returned."""
        self._held.clear()
        self._held.extend(held)


def optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, dict[str, Tensor]]:
    """Return an optimiser's tensors by parameter and name; its other settings follow from the options."""
    held = optimizer.state_dict()["state"]
    return {str(i): {name: torch.as_tensor(value) for name, value in slots.items()} for i, slots in held.items()}


def load_optimizer_state(optimizer: torch.optim.Optimizer, state: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Restore the tensors that `optimizer_state` returned."""
    held = {int(i): dict(slots) for i, slots in state.items()}
    optimizer.load_state_dict({**optimizer.state_dict(), "state": held})
