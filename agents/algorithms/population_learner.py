"""Methods that vary a circuit's weights and look at returns alone: they ask for members and are told how these did."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...circuits import Facts
from ...envs.env_batch import EnvBatch
from ...errors import CircuitMismatch
from ...memory import machine_memory
from ..agent import Agent
from ..loop import Batch, Rollout
from .algorithm import Algorithm, EpisodeLog, Evaluate, Learner
from .members import Members, Outcome, Round

State = dict[str, Any]


class PopulationMethod(ABC):
    """A search over flat weights, with its state as a value: tensors and numbers by name.

    Args:
        options: every option of the algorithm.

    Attributes:
        takes_projections: the mean in its state may be moved somewhere else after a generation.
    """

    takes_projections: bool = False

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.population = int(options["population"])
        self.options = options

    @abstractmethod
    def start(self, mean: Float[Tensor, " weights"]) -> State:
        """Return the state of a search around some weights; `mean`, in the circuit's units, is part of every state."""

    def moved(self, state: State, mean: Float[Tensor, " weights"]) -> State:
        """Return the state with its mean moved somewhere else, in the circuit's units."""
        return {**state, "mean": mean}

    @abstractmethod
    def ask(
        self, state: State, rng: np.random.Generator
    ) -> tuple[State, Float[Tensor, "members weights"], Int[np.ndarray, " members"]]:
        """Return the state, the members' weights, in the circuit's units, and the seeds of their episodes."""

    @abstractmethod
    def tell(self, state: State, returns: Float[np.ndarray, " members"]) -> tuple[State, dict[str, float]]:
        """Return the state after the members' returns (no unit) are known, and what there is to log."""


class PopulationAlgorithm(Algorithm):
    """An algorithm built around a `PopulationMethod`; a subclass names the method and its options.

    Attributes:
        Method: the search.
    """

    Method: ClassVar[type[PopulationMethod]]
    has_population = True

    def check(self, facts: Facts | None, options: dict[str, Any]) -> None:  # noqa: ARG002
        """Fill in the population, one member for each environment, and refuse one that fills no whole rounds."""
        options["population"] = options["population"] or options["n_envs"]
        if options["population"] % options["n_envs"]:
            raise CircuitMismatch(
                f"a population of {options['population']} does not fill rounds of {options['n_envs']} environments; "
                f"give a multiple of {options['n_envs']}"
            )

    def start(
        self, agent: Agent, envs: EnvBatch, options: Mapping[str, Any], seed: int, evaluate: Evaluate | None = None
    ) -> PopulationLearner:
        """Return a learner that searches around the agent's weights."""
        _check_memory(options["population"], agent.n_weights)
        learner = PopulationLearner(agent, self.Method(options), seed, evaluate)
        learner.steps_at_once = learner.method.population * envs.episode_steps
        learner.rounds_of, learner.envs = envs.n_envs, envs
        if evaluate is None:
            members = Members(agent, envs)

            def here(rounds: Iterable[Round]) -> Iterator[Outcome]:
                members.deficits = learner.deficits
                for part in rounds:
                    outcome = members.evaluate(part)
                    assert outcome is not None
                    yield outcome

            learner.evaluate = here
        return learner


def _check_memory(population: int, n_weights: int) -> None:
    """Refuse a generation that the machine cannot hold: members, their noise and what is made of them.

    Raises:
        CircuitMismatch: it is larger than the memory.
    """
    needed = 4 * 3 * population * n_weights
    if needed > (here := machine_memory()):
        most = int(here) // (4 * 3 * n_weights) // 2 * 2
        raise CircuitMismatch(
            f"a population of {population:,} members with {n_weights:,} weights takes {needed / 1e9:,.0f} GB and this "
            f"machine has {here / 1e9:,.0f}; give at most {most:,}"
        )


class PopulationLearner(Learner):
    """Learn by whole generations. A generation's draws depend on the seed and its number alone.

    A generation larger than a batch of environments is evaluated in rounds, which may run in other processes and on
    other machines: a round is the same wherever it runs.

    Args:
        agent: what learns: its weights are the mean of the search.
        method: the search.
        seed: from which every draw comes.
        evaluate: evaluates rounds; may be set later.

    Attributes:
        generation: generations so far.
        rounds_of: members of a round.
        envs: where an episode of the mean is watched, for circuits that change themselves after an update.

    Raises:
        CircuitMismatch: the circuit has no weights to train.
    """

    rounds_of: int
    envs: Batch | None = None

    def __init__(self, agent: Agent, method: PopulationMethod, seed: int, evaluate: Evaluate | None = None) -> None:
        super().__init__()
        self.agent, self.method, self.seed, self.generation = agent, method, seed, 0
        self.takes_projections = method.takes_projections
        if not any(True for _ in agent.circuit.parameters()):
            raise CircuitMismatch("the circuit has no weights to train")
        if evaluate is not None:
            self.evaluate = evaluate
        self.state = method.start(self._weights())
        self.episodes = EpisodeLog(method.population)

    def advance(self) -> dict[str, float]:
        """Evaluate one generation and move the mean."""
        returns = np.concatenate([outcome.returns for outcome in self._outcomes()])
        return self.learn_from(returns)

    def rounds(self) -> list[Round]:
        """Ask for a generation, cut into rounds."""
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, self.generation]))
        self.state, weights, seeds = self.method.ask(self.state, rng)
        size, parts = self.rounds_of, range(0, self.method.population, self.rounds_of)
        return [Round(weights[at : at + size].clone(), seeds[at : at + size], self.steps) for at in parts]

    def learn_from(self, returns: Float[np.ndarray, " members"]) -> dict[str, float]:
        """Tell the method what the generation's members came to, move the mean, and return what there is to log.

        Returns are sums of rewards, no unit.
        """
        self.state, told = self.method.tell(self.state, returns)
        for hook in self.before_update:
            hook()
        parameters = list(self.agent.circuit.parameters())
        torch.nn.utils.vector_to_parameters(self.state["mean"].to(self.agent.device), parameters)
        for hook in self.after_update:
            hook()
        if self.rewires:
            self._rewire()
        if self.after_update or self.rewires:
            self.state = self.method.moved(self.state, self._weights())
        self.generation += 1
        logged = {
            "rollout/ep_rew_mean": float(returns.mean()),
            "rollout/ep_rew_best": float(returns.max()),
            "rollout/ep_rew_std": float(returns.std()),
            "time/generation": float(self.generation),
        }
        return {**self.episodes.means(), **logged, **{f"train/{name}": value for name, value in told.items()}}

    @torch.no_grad()
    def _rewire(self) -> None:
        """Let the circuit change itself after an episode of the mean."""
        if self.envs is None:
            kind = type(self.agent.circuit).__name__
            raise CircuitMismatch(
                f"{kind} changes itself after an update; give the learner environments to watch it in"
            )
        sensors: list[Tensor] = []
        activity: list[Tensor] = []

        def act(observation: np.ndarray, state: Any, episode_start: np.ndarray) -> tuple[np.ndarray, Any, None]:
            sensors.append(self.agent.sense(observation))
            motor, state, felt = self.agent.run(observation, state, episode_start, record=True)
            activity.append(felt)  # type: ignore[arg-type]
            return self.agent.to_actions(motor).cpu().numpy(), state, None

        rollout = Rollout(self.envs, act)
        rollout.start([self.seed + index for index in range(self.envs.n_envs)])
        while rollout.is_running:
            rollout.step()
        self.agent.circuit.after_update(torch.stack(sensors), torch.stack(activity))

    def note(self, outcome: Outcome) -> None:
        """Count a round's steps and remember its episodes."""
        self.steps += outcome.steps
        self.episodes.add(outcome.returns.tolist(), outcome.lengths.tolist(), outcome.metrics)

    def state_dict(self) -> dict[str, Any]:
        """Return the search's state and the counters."""
        return {
            "steps": self.steps,
            "generation": self.generation,
            "search": self.state,
            "episodes": self.episodes.to_json(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.steps, self.generation = state["steps"], state["generation"]
        self.state = dict(state["search"])
        self.episodes.load_json(state["episodes"])

    def _outcomes(self) -> Iterator[Outcome]:
        rounds = self.rounds()
        for outcome in self.evaluate(rounds):
            self.note(outcome)
            yield outcome

    def _weights(self) -> Float[Tensor, " weights"]:
        """Return the circuit's weights in one row."""
        return torch.nn.utils.parameters_to_vector(self.agent.circuit.parameters()).detach().cpu()
