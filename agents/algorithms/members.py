"""Evaluate members of a population: one in each environment, one episode each, in lockstep."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from ...circuits import Circuit
from ...envs.deficits import Deficits
from ...envs.env_batch import EnvBatch, Step
from ..agent import Agent
from ..fused import Fused, flat_state, reason_not_fused, say_not_fused
from ..loop import Batch, Rollout
from ..places import Place
from .population import Population

# Bytes of weights that stay in a processor's cache from step to step.
_IN_CACHE = 8 * 2**20


@dataclasses.dataclass(frozen=True)
class Round:
    """Members to evaluate, and their episodes.

    Attributes:
        weights: a row of flat weights for each member, in the circuit's units.
        seeds: seed of each member's episode.
        step: environment steps of training before this generation, the same for all of its rounds.
        buffers: the circuit's, by name: what all members share, such as frozen parts and fixed liquids. A worker takes
            them over.
    """

    weights: Float[Tensor, "members weights"]
    seeds: Int[np.ndarray, " members"]
    step: int = 0
    buffers: Mapping[str, Shaped[Tensor, "*shape"]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result of a round.

    Attributes:
        returns: the sum of each member's rewards.
        lengths: length of each member's episode, in control steps.
        metrics: the task's metrics at each episode's end, each in its own unit.
        lost: whether each member's motor commands were not finite in the end.
        by_body: where each member runs an episode on each of several bodies, what came of them on each, by its name;
            the return is then the mean over the bodies, and the length the sum.
    """

    returns: Float[np.ndarray, " members"]
    lengths: Int[np.ndarray, " members"]
    metrics: Mapping[str, Float[np.ndarray, " members"]]
    lost: Bool[np.ndarray, " members"]
    by_body: Mapping[str, Outcome] = dataclasses.field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Environment steps taken."""
        return int(self.lengths.sum())


class Members:
    """Evaluate rounds in one batch of environments.

    Args:
        agent: the agent; members are variations of its circuit.
        envs: one environment per member of a round.
        episode_limit: control steps after which a round ends even if episodes go on; None waits for all.
        deficits: senses to remove from the observation as training goes on.
        n_bodies: bodies on which each member runs an episode, which all count as steps of training.
        fused: run whole episodes in compiled code; None does so wherever that is possible.

    Raises:
        CircuitMismatch: `fused` is True and the episodes cannot run in compiled code.
    """

    def __init__(
        self,
        agent: Agent,
        envs: Batch,
        episode_limit: int | None = None,
        deficits: Deficits | None = None,
        n_bodies: int = 1,
        fused: bool | None = None,
    ) -> None:
        self.agent, self.envs, self.episode_limit, self.deficits = agent, envs, episode_limit, deficits
        self._n_bodies = n_bodies
        self._populations: dict[int, Population] = {}
        self._fused = None
        if fused or (fused is None and reason_not_fused(agent, envs) is None):
            self._fused = Fused(agent, envs)
        elif fused is None:
            say_not_fused(agent, envs)

    @torch.inference_mode()
    def evaluate(self, part: Round, on_step: Callable[[Rollout, Step], bool] | None = None) -> Outcome | None:
        """Run one episode of every member; None if `on_step`, called after every step, returns False to stop."""
        agent, n = self.agent, self.envs.n_envs
        is_plain = on_step is None and self.episode_limit is None
        if self._fused and is_plain and self._are_senses_steady(part):
            initial = None
            if agent.circuit.is_recurrent:  # its initial state may be learned, so each member has its own
                population = self._started(part.weights)
                initial = flat_state({key: value.flatten(0, 1) for key, value in population.initial.items()})
            missing = None if self.deficits is None else self.deficits.missing(part.step)
            seeds = [int(seed) for seed in part.seeds]
            returns, lengths, ends = self._fused.run(seeds, part.weights, initial, missing=missing)
            # Commands that are not finite leave a body in no finite state.
            return Outcome(returns, lengths, ends, ends["diverged"].astype(bool))
        weights = part.weights.to(agent.device)
        n_turns = turns_for(weights) if is_plain and self.deficits is None else 1
        space = self.envs.action_space
        actions = np.zeros((n, *(space.shape or ())), space.dtype)

        def act(observation: np.ndarray, _: Any, __: Any) -> tuple[np.ndarray, None, Tensor]:
            if self.deficits is not None:
                missing = self.deficits.missing(part.step + rollout.elapsed * n * self._n_bodies)
                agent.missing = None if missing is None else torch.as_tensor(missing, device=agent.device)
            motor = population.step(agent.sense(observation[turn]))
            # A member whose circuit diverges commands 0 from then on, and so scores low.
            actions[turn] = agent.to_actions(motor.nan_to_num(nan=0.0)).cpu().numpy()
            return actions, None, motor

        rollout = Rollout(self.envs, act)
        rollout.start([int(seed) for seed in part.seeds])
        metrics: dict[str, Float[np.ndarray, " members"]] = {}
        lost = np.zeros(n, bool)
        try:
            for turn in np.array_split(rollout.running, n_turns):
                rollout.running = turn
                population = self._started(weights[turn[0] : turn[-1] + 1])
                while rollout.is_running and rollout.elapsed != self.episode_limit:
                    stepped = rollout.step()
                    if len(rollout.ended):
                        for name, values in stepped.metrics.items():
                            metrics.setdefault(name, np.zeros(n))[rollout.ended] = values[rollout.ended]
                    if on_step is not None and not on_step(rollout, stepped):
                        return None
                # Of the last step alone, which costs nothing: a circuit that diverged has done so until then.
                lost[turn] = (~rollout.extra.isfinite()).any(1).cpu().numpy()
        finally:
            agent.missing = None
        return Outcome(rollout.returns, rollout.lengths, metrics, lost)

    def _are_senses_steady(self, part: Round) -> bool:
        """Say whether no deficit begins or ends within a round, which compiled code would not see."""
        if self.deficits is None:
            return True
        assert isinstance(self.envs, EnvBatch)  # since it is fused
        steps = self.envs.episode_steps * self.envs.n_envs * self._n_bodies
        return self.deficits.are_steady(part.step, part.step + steps)

    def _started(self, weights: Float[Tensor, "members weights"]) -> Population:
        """Return a population with these weights, at an episode's start."""
        if len(weights) not in self._populations:
            self._populations[len(weights)] = Population(self.agent.circuit, len(weights))
        self._populations[len(weights)].start(weights)
        return self._populations[len(weights)]


class MembersOnBodies:
    """Evaluate rounds on several bodies, or one: each member runs an episode on every body, from the same seed.

    Args:
        places: an agent on each body, with an environment for each member of a round.

    Raises:
        CircuitMismatch: a circuit's `lane_step` does not fit it.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self._names = [place.bodies[0] for place in places]
        self._members = [Members(place.agent, place.envs, n_bodies=len(places)) for place in places]

    def lose(self, deficits: Deficits | None) -> None:
        """Remove senses from the observations as training goes on; None removes none."""
        for members in self._members:
            members.deficits = None if deficits is None else deficits.on(members.agent.layout)

    def evaluate(self, part: Round) -> Outcome:
        """Run one episode of every member on every body."""
        found = [members.evaluate(part) for members in self._members]
        outcomes = [outcome for outcome in found if outcome is not None]
        if len(outcomes) == 1:
            return outcomes[0]
        common = [name for name in outcomes[0].metrics if all(name in each.metrics for each in outcomes)]
        return Outcome(
            np.mean([each.returns for each in outcomes], axis=0),
            np.sum([each.lengths for each in outcomes], axis=0),
            {name: np.mean([each.metrics[name] for each in outcomes], axis=0) for name in common},
            np.all([each.lost for each in outcomes], axis=0),
            dict(zip(self._names, outcomes, strict=True)),
        )


def buffers_of(circuit: Circuit) -> dict[str, Shaped[Tensor, "*shape"]]:
    """Return copies of what a circuit saves beside its weights, in units of its own."""
    saved = circuit.state_dict()
    return {name: value.detach().clone() for name, value in circuit.named_buffers() if name in saved}


def turns_for(weights: Float[Tensor, "members weights"]) -> int:
    """Return in how many groups members run, one after another, by their weights, in any unit.

    A processor is fastest with as many members as its cache has room for; a device of many cores with all at once: 256
    MLPs of 1,024 and 1,024 units take a quarter of the time on an H100.
    """
    if weights.device.type != "cpu":
        return 1
    # No group is smaller than a member, however many weights it has.
    return min(len(weights), -(-weights.element_size() * weights.numel() // _IN_CACHE))
