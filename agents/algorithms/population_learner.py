"""Gradient-free methods in ask/tell form: they propose members' weights and learn from the members' returns."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from ...circuits import Facts
from ...circuits.first_steps import first_lost
from ...circuits.registry import shown_name
from ...envs.env_batch import EnvBatch
from ...errors import CircuitMismatch, TrainingDiverged
from ...memory import machine_memory
from ..agent import Agent
from ..loop import Batch, Rollout
from ..lost import naming_lost
from ..places import Place
from .algorithm import Algorithm, EpisodeLog, Evaluate, Learner
from .members import MembersOnBodies, Outcome, Round, buffers_of
from .search_space import SearchSpace

State = dict[str, Any]
_DIVERGED = "the last checkpoint is kept; try a smaller sigma or learning_rate, or bound what grows in the circuit"


class PopulationMethod(ABC):
    """A search over flat weight vectors; its state is an explicit value, a mapping of tensors and numbers.

    Args:
        options: all options of the algorithm.

    Attributes:
        takes_projections: whether the mean in its state may be changed after a generation.
    """

    takes_projections: bool = False

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.population = int(options["population"])
        self.options = options

    @abstractmethod
    def start(self, mean: Float[Tensor, " weights"]) -> State:
        """Return the state of a search that starts at `mean`; every state has the key "mean"."""

    def moved(self, state: State, mean: Float[Tensor, " weights"]) -> State:
        """Return the state with its mean replaced by `mean`."""
        return {**state, "mean": mean}

    def carried(self, state: State, kept: Int[Tensor, " weights"]) -> State:
        """Return the state for a changed set of weights: `kept` has each weight's previous index, -1 if it is new.

        A method without this cannot train circuits that change their structure.
        """
        raise NotImplementedError

    @abstractmethod
    def ask(
        self, state: State, rng: np.random.Generator
    ) -> tuple[State, Float[Tensor, "members weights"], Int[np.ndarray, " members"]]:
        """Return the next state, the members' weights, and the seeds of their episodes."""

    @abstractmethod
    def tell(self, state: State, returns: Float[np.ndarray, " members"]) -> tuple[State, dict[str, float]]:
        """Return the state updated with the members' returns, and the metrics to log."""


def carry(values: Shaped[Tensor, "old ..."], kept: Int[Tensor, " new"]) -> Shaped[Tensor, "new ..."]:
    """Return the rows of `values` at the indices `kept`, and 0 where the index is -1."""
    found = values[kept.clamp(min=0)]
    found[kept < 0] = 0.0
    return found


class PopulationAlgorithm(Algorithm):
    """An algorithm that runs a `PopulationMethod`; a subclass names the method and its options.

    Attributes:
        Method: class of the search.
    """

    Method: ClassVar[type[PopulationMethod]]
    has_population = True
    takes_places = True

    def check(self, facts: Facts | None, options: dict[str, Any]) -> None:  # noqa: ARG002
        """Fill in the population, by default `n_envs`, and refuse one that is not a multiple of `n_envs`."""
        options["population"] = options["population"] or options["n_envs"]
        if options["population"] % options["n_envs"]:
            raise CircuitMismatch(
                f"a population of {options['population']} does not fill rounds of {options['n_envs']} environments; "
                f"give a multiple of {options['n_envs']}"
            )

    def start(
        self,
        agent: Agent,
        envs: EnvBatch,
        options: Mapping[str, Any],
        seed: int,
        evaluate: Evaluate | None = None,
        places: Sequence[Place] = (),
    ) -> PopulationLearner:
        """Return a learner that searches around the agent's weights."""
        _check_memory(options["population"], agent.n_weights)
        learner = PopulationLearner(agent, self.Method(options), seed, evaluate, places)
        places = places or [Place(agent, envs, (envs.body.name,) * envs.n_envs)]
        learner.steps_at_once = learner.method.population * envs.episode_steps * len(places)
        learner.rounds_of, learner.envs = envs.n_envs, envs
        if evaluate is None:
            members = MembersOnBodies(places)

            def here(rounds: Iterable[Round]) -> Iterator[Outcome]:
                members.lose(learner.deficits)
                yield from map(members.evaluate, rounds)

            learner.evaluate = here
        return learner


def _check_memory(population: int, n_weights: int) -> None:
    """Refuse a generation larger than the machine's memory: members, their noise, and the copies made of them.

    Raises:
        CircuitMismatch: it does not fit.
    """
    needed = 4 * 3 * population * n_weights
    if needed > (here := machine_memory()):
        most = int(here) // (4 * 3 * n_weights) // 2 * 2
        raise CircuitMismatch(
            f"a population of {population:,} members with {n_weights:,} weights takes {needed / 1e9:,.0f} GB and this "
            f"machine has {here / 1e9:,.0f} GB; give at most {most:,} members"
        )


class PopulationLearner(Learner):
    """Learn in whole generations. Random draws depend only on the seed and the number of the generation.

    A generation larger than the batch of environments is evaluated in rounds. Rounds may run in other processes or on
    other machines, with the same result.

    Args:
        agent: the agent in training; its weights are the mean of the search.
        method: the search.
        seed: seed of every random draw.
        evaluate: the function that evaluates rounds; may be set later.
        places: the agent and environments of each body, when training on several.

    Attributes:
        generation: generations so far.
        rounds_of: members per round.
        envs: environments in which the mean runs an episode, for circuits that need activity after each update.

    Raises:
        CircuitMismatch: the circuit has no weights to train, or changes its structure and the method cannot follow.
    """

    rounds_of: int
    envs: Batch | None = None

    def __init__(
        self,
        agent: Agent,
        method: PopulationMethod,
        seed: int,
        evaluate: Evaluate | None = None,
        places: Sequence[Place] = (),
    ) -> None:
        super().__init__()
        self.places = tuple(places)
        self.agent, self.method, self.seed, self.generation = agent, method, seed, 0
        self.takes_projections = method.takes_projections
        if not any(True for _ in agent.circuit.parameters()):
            raise CircuitMismatch("the circuit has no weights to train")
        if agent.circuit.restructures_every and type(method).carried is PopulationMethod.carried:
            raise CircuitMismatch(
                f"circuit {agent.spec.circuit!r} changes its structure, which {type(method).__name__} cannot follow; "
                "use es, cmaes or ppo"
            )
        if evaluate is not None:
            self.evaluate = evaluate
        self._space = SearchSpace(agent.circuit)
        self.state = method.start(self._space.searched())
        self.episodes = EpisodeLog(method.population * max(len(places), 1))

    @property
    def agents(self) -> Sequence[Agent]:
        """The agent on each body."""
        return tuple(place.agent for place in self.places) or (self.agent,)

    def advance(self) -> dict[str, float]:
        """Evaluate one generation and move the mean.

        Raises:
            TrainingDiverged: no member's motor commands are finite, or the weights that it comes to are not.
        """
        rounds = self.rounds()
        outcomes = []
        for outcome in self.evaluate(rounds):
            self.note(outcome)
            outcomes.append(outcome)
        # A member that diverges is a bad draw, and scores low; where all do, returns say nothing.
        if all(outcome.lost.all() for outcome in outcomes):
            member = copy.deepcopy(self.agent.circuit).cpu()
            torch.nn.utils.vector_to_parameters(rounds[0].weights[0].cpu(), member.parameters())
            lost = first_lost(member)
            told = f"; of the first member, the first neuron that is not finite is {lost}" if lost else ""
            raise TrainingDiverged(f"{self._told_generation}: no member's motor commands are finite{told}; {_DIVERGED}")
        return self.learn_from(np.concatenate([outcome.returns for outcome in outcomes]))

    def rounds(self) -> list[Round]:
        """Ask the method for a generation, and split it into rounds."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, self.generation]))
        self._space = SearchSpace(self.agent.circuit)
        self.state, searched, seeds = self.method.ask(self.state, rng)
        weights = self._space.whole(searched)
        size, parts = self.rounds_of, range(0, self.method.population, self.rounds_of)
        buffers = buffers_of(self.agent.circuit)
        return [Round(weights[at : at + size].clone(), seeds[at : at + size], self.steps, buffers) for at in parts]

    def learn_from(self, returns: Float[np.ndarray, " members"]) -> dict[str, float]:
        """Pass the returns of a generation's members to the method, move the mean, and return the metrics to log."""
        self.state, told = self.method.tell(self.state, returns)
        mean = self._space.whole(self.state["mean"])
        if not mean.isfinite().all():
            raise TrainingDiverged(f"{self._told_generation}: the weights that it comes to are not finite; {_DIVERGED}")
        for hook in self.before_update:
            hook()
        parameters = list(self.agent.circuit.parameters())
        torch.nn.utils.vector_to_parameters(mean.to(self.agent.device), parameters)
        for hook in self.after_update:
            hook()
        if self.rewires:
            self._rewire()
        if self.after_update or self.rewires:
            self.state = self.method.moved(self.state, self._space.searched())
        self.generation += 1
        every = self.agent.circuit.restructures_every
        if every and self.generation % every == 0:
            self._restructure()
        logged = {
            "rollout/ep_rew_mean": float(returns.mean()),
            "rollout/ep_rew_best": float(returns.max()),
            "rollout/ep_rew_std": float(returns.std()),
            "time/generation": float(self.generation),
        }
        return {**self.episodes.means(), **logged, **{f"train/{name}": value for name, value in told.items()}}

    @torch.no_grad()
    def _rewire(self) -> None:
        """Let the circuit rewire itself after an episode of the mean."""
        for place in self.places or (Place(self.agent, self._own_envs(), ()),):
            place.agent.circuit.after_update(*self._episode(place))

    @torch.no_grad()
    def _restructure(self) -> None:
        """Let the circuit change its structure after an episode of the mean, and search the weights that act then."""
        place = self.places[0] if self.places else Place(self.agent, self._own_envs(), ())
        anew = self.agent.circuit.restructure(*self._episode(place))
        before, self._space = self._space, SearchSpace(self.agent.circuit)
        carried = self.method.carried(self.state, self._space.kept_from(before, anew))
        self.state = self.method.moved(carried, self._space.searched())

    def _episode(self, place: Place) -> tuple[Float[Tensor, "time batch sensors"], Float[Tensor, "time batch neurons"]]:
        """Return what the mean senses, without what deficits mask now, and its neurons' values."""
        self.lose_senses()
        try:
            return _episode(place.agent, place.envs, self.seed)
        finally:
            for agent in self.agents:
                agent.missing = None

    def _own_envs(self) -> Batch:
        if self.envs is None:
            kind = type(self.agent.circuit).__name__
            raise CircuitMismatch(
                f"{kind} changes itself after an update; set the learner's envs, in which an episode of the mean runs"
            )
        return self.envs

    def note(self, outcome: Outcome) -> None:
        """Count a round's environment steps, and remember its episodes."""
        self.steps += outcome.steps
        for body, each in (outcome.by_body or {"": outcome}).items():
            bodies = [body] * len(each.returns) if body else ()
            self.episodes.add(each.returns.tolist(), each.lengths.tolist(), each.metrics, bodies)

    def state_dict(self) -> dict[str, Any]:
        """Return the search's state and the counters."""
        return {
            "steps": self.steps,
            "generation": self.generation,
            "search": self.state,
            "episodes": self.episodes.to_json(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""
        self.steps, self.generation = state["steps"], state["generation"]
        self.state = dict(state["search"])
        self.episodes.load_json(state["episodes"])

    @property
    def _told_generation(self) -> str:
        return f"circuit {shown_name(self.agent.spec.circuit)}, generation {self.generation + 1}"


def _episode(
    agent: Agent, envs: Batch, seed: int
) -> tuple[Float[Tensor, "time batch sensors"], Float[Tensor, "time batch neurons"]]:
    """Return what the agent senses in an episode in each environment, until the first ends, and its neurons' values."""
    sensors: list[Tensor] = []
    activity: list[Tensor] = []

    def act(observation: np.ndarray, state: Any, episode_start: np.ndarray) -> tuple[np.ndarray, Any, None]:
        sensors.append(agent.sense(observation))
        motor, state, felt = agent.run(observation, state, episode_start, record=True)
        activity.append(felt)  # type: ignore[arg-type]
        return agent.to_actions(motor).cpu().numpy(), state, None

    rollout = Rollout(envs, act)
    rollout.start([seed + index for index in range(envs.n_envs)])
    with naming_lost(agent, rollout):
        # What an environment shows after its episode's end is none of the agent's doing.
        while len(rollout.running) == envs.n_envs:
            rollout.step()
    return torch.stack(sensors), torch.stack(activity)
