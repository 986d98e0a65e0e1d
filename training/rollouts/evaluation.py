"""Evaluate an agent over whole episodes, run in parallel, with confidence intervals."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Shaped

from ...agents import Agent, Rollout
from ...agents.fused import Fused, reason_not_fused, say_not_fused
from ...agents.lost import naming_lost
from ...agents.places import on_body
from ...circuits import Pins
from ...circuits.held import weights_held
from ...envs import Body, EnvBatch, make_body
from ...errors import InvalidOption
from ...intervals import Interval, bootstrap_mean
from ...options import COUNT, FLAG, checked, wrong_value
from ...progress import progress_bar
from ...threads import one_thread
from ..runs.config import RunConfig
from ..runs.references import Scale, scale_of
from ..runs.resolution import Resolved
from ..runs.result import TRAINED, Result, Weights, conditions_of
from ..runs.run import A_RUN, Run, hint_unfinished
from .interventions import INTERVENTIONS, Intervention, pinning
from .saved_models import SavedModel

# Apart from the seeds that training uses, so that no agent is tested on an episode it learned from.
EVALUATION_SEED = 1_000_003
_log = logging.getLogger(__name__)


class Predictor(Protocol):
    """What SB3 calls a model: anything with `predict`."""

    def predict(
        self,
        observation: Float[np.ndarray, "batch obs"],
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Shaped[np.ndarray, "batch action"], Any]:
        """Return actions and the next state; observations and actions are in the environment's units."""
        ...


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of whole episodes.

    Attributes:
        metrics: one value per episode of "return" (the sum of rewards) and of the task's metrics at the end of the
            episode, such as "net_speed" (of the centre of mass, m/s). With several bodies, each value is the mean over
            bodies for one seed.
        bodies: scores on each body, by its name, if there are several; otherwise empty.
        scale: scale of normalised returns, if the body and task have reference scores.
    """

    metrics: Mapping[str, Float[np.ndarray, " episodes"]]
    bodies: Mapping[str, Evaluation] = dataclasses.field(default_factory=dict)
    scale: Scale | None = None

    @property
    def returns(self) -> Float[np.ndarray, " episodes"]:
        """The sum of rewards of each episode."""
        return self.metrics["return"]

    @property
    def n(self) -> int:
        """The number of episodes."""
        return len(self.returns)

    @property
    def mean_return(self) -> Interval:
        """The mean return with a bootstrap 95 % interval over episodes."""
        return bootstrap_mean(self.returns)

    @property
    def worst(self) -> tuple[str, Evaluation]:
        """The body with the lowest mean return and the scores on it; with one body, "" and these scores."""
        return min(self.bodies.items(), key=lambda each: each[1].returns.mean(), default=("", self))

    @property
    def intervals(self) -> dict[str, Interval]:
        """The mean of every metric with a bootstrap 95 % interval over episodes."""
        return {name: bootstrap_mean(values) for name, values in self.metrics.items()}

    @property
    def strata(self) -> dict[float, Evaluation]:
        """The scores of each stratum, by its lowest start distance in body lengths; see `Targeted`.

        Empty if all episodes are in one stratum, or the task has no strata.
        """
        of = self.metrics.get("stratum", np.zeros(0))
        bounds = np.unique(of).tolist()
        return {
            bound: Evaluation({name: values[of == bound] for name, values in self.metrics.items()})
            for bound in (bounds if len(bounds) > 1 else ())
        }

    @property
    def normalized_return(self) -> Interval | None:
        """The mean return on a scale from 0 (random actions) to 1 (best known agent); None without reference scores."""
        return None if self.scale is None else self.scale.of(self.mean_return)

    def to_json(self) -> dict[str, Any]:
        """Return the intervals and every episode as JSON types; also by stratum and body, and for the worst body."""
        strata = {f"{bound:g}": _as_data(each.intervals) for bound, each in self.strata.items()}
        by_body = {body: each.to_json() for body, each in self.bodies.items()}
        normalized = self.normalized_return
        return {
            **_as_data(self.intervals),
            **({"strata": strata} if strata else {}),
            "normalized_return": None if normalized is None else dataclasses.asdict(normalized),
            "episodes": {name: values.tolist() for name, values in self.metrics.items()},
            **({"bodies": by_body, "worst": self.worst[0]} if by_body else {}),
        }


def _as_data(intervals: Mapping[str, Interval]) -> dict[str, Any]:
    return {name: dataclasses.asdict(interval) for name, interval in intervals.items()}


def over_bodies(found: Mapping[str, Evaluation]) -> Evaluation:
    """Return the scores of an agent on several bodies together: by episode, the mean over bodies; of one, its own."""
    each = list(found.values())
    if len(each) == 1:
        return each[0]
    shared = [name for name in each[0].metrics if all(name in other.metrics for other in each)]
    common = [name for name in shared if name != "stratum"]  # a mean of which says nothing
    return Evaluation({name: np.mean([one.metrics[name] for one in each], axis=0) for name in common}, dict(found))


def evaluate_agent(
    agent: Predictor,
    envs: EnvBatch,
    seed: int | Sequence[int] = EVALUATION_SEED,
    interventions: Sequence[Intervention] | Pins = (),
    progress: bool = False,
) -> Evaluation:
    """Run one episode in every environment; episode i has the seed `seed` + i, or its own from a sequence.

    Args:
        agent: the agent, or any object with SB3's `predict`.
        envs: environments, one per episode.
        seed: seed of the first episode, or of each.
        interventions: interventions on neurons; `Pins` may differ between environments.
        progress: show a progress bar.

    Raises:
        UnknownName, CircuitMismatch: the agent's circuit does not allow these interventions.
        InvalidAction: a motor command is not finite; names the circuit and the neuron.
    """

    seeds = seeds_of(seed, envs.n_envs)
    if isinstance(agent, Agent) and not interventions and reason_not_fused(agent, envs) is None:
        with (
            one_thread(),
            progress_bar(total=envs.episode_steps, desc="evaluate", unit="step", disable=not progress) as bar,
        ):
            returns, _, metrics = Fused(agent, envs).run(seeds, on_part=bar.update)
        return _evaluation(returns, metrics)
    if isinstance(agent, Agent):
        say_not_fused(agent, envs)
    pins_at = pinning(agent, interventions, envs.n_envs, envs.episode_steps)

    def act(observation: np.ndarray, state: Any, episode_start: np.ndarray) -> tuple[np.ndarray, Any, None]:
        pins = pins_at(rollout.elapsed)
        # Agents that SB3 saved know of no pins.
        pinned: dict[str, Any] = {} if pins is None else {"pins": pins}
        return *agent.predict(observation, state, episode_start, deterministic=True, **pinned), None

    rollout = Rollout(envs, act)
    ends: dict[str, Float[np.ndarray, " envs"]] = {}
    with (
        one_thread(),
        weights_held(agent),
        naming_lost(agent, rollout),
        progress_bar(total=envs.episode_steps, desc="evaluate", unit="step", disable=not progress) as bar,
    ):
        rollout.start(seeds)
        while rollout.is_running:
            stepped = rollout.step()
            bar.update()
            for name, values in stepped.metrics.items() if len(rollout.ended) else ():
                ends.setdefault(name, np.zeros(envs.n_envs))[rollout.ended] = values[rollout.ended]
    return _evaluation(rollout.returns, ends)


def _evaluation(returns: Float[np.ndarray, " envs"], ends: dict[str, Float[np.ndarray, " envs"]]) -> Evaluation:
    """Return what episodes came to, and say how many diverged."""
    diverged = ends.pop("diverged").astype(bool)
    if diverged.any():
        _log.warning(
            "nervecord: the physics of %d of %d episodes diverged; they ended there", diverged.sum(), len(diverged)
        )
    return Evaluation({"return": returns, **ends})


def seeds_of(seed: int | Sequence[int], n_envs: int) -> list[int]:
    """Return the seed of each environment's episode: seed + i, or those that are given."""
    return [seed + index for index in range(n_envs)] if isinstance(seed, int) else list(seed)


def check_episodes(episodes: int) -> None:
    """Refuse numbers of episodes that are none.

    Raises:
        InvalidOption: no whole number, or none above 0.
    """
    if wrong := wrong_value({"episodes": episodes}, {"episodes": COUNT}):
        raise InvalidOption(wrong)


def evaluate_on(
    resolved: Resolved,
    agent: Agent,
    episodes: int,
    interventions: Sequence[Intervention] = (),
    progress: bool = False,
) -> Evaluation:
    """Evaluate an agent on the body, or each of the bodies, and task of a resolved run; see `Resolved.on` for another.

    Raises:
        InvalidOption: no episodes.
    """
    check_episodes(episodes)
    found = {}
    for each in resolved.each:
        # Bodies are drawn in training only; what is evaluated is the body that was named.
        envs = each.make_envs(episodes, randomize={})
        there = agent if len(resolved.each) == 1 else on_body(agent, each.agent)
        try:
            found[envs.body.name] = evaluate_agent(there, envs, interventions=interventions, progress=progress)
        finally:
            envs.close()
    return over_bodies(found)


def evaluate_model(saved: SavedModel, episodes: int, progress: bool = False) -> Evaluation:
    """Evaluate a model saved by SB3.

    Raises:
        CircuitMismatch: the model has other observation or action spaces.
        InvalidOption: `episodes` is below 1.
        InvalidTask: the task has no such reward.
    """
    envs = saved.make_envs(episodes)
    try:
        found = evaluate_agent(saved, envs, progress=progress)
        return dataclasses.replace(found, scale=saved.scale_on(envs.body))
    finally:
        envs.close()


@checked(InvalidOption, run=A_RUN, episodes=COUNT, interventions=INTERVENTIONS, progress=FLAG)
def evaluate(
    run: Run | str | Path,
    episodes: int = 20,
    body: str | Body | None = None,
    interventions: Sequence[Intervention] = (),
    progress: bool = False,
) -> Evaluation:
    """Evaluate a run's agent on its own or another body, and add the scores to the run's results.

    A run with several bodies is evaluated on each; scores of each body and over all bodies are separate results.

    Raises:
        CircuitMismatch: the weights do not fit the other body.
        UnknownName: there is no such neuron or group.
        InvalidOption: there is no such run, it has no checkpoint yet, or an intervention begins after the episode.
    """
    run = run if isinstance(run, Run) else Run(run)
    checkpoint = run.load_checkpoint(with_training=False)
    agent = run.agent(body, checkpoint)
    found = evaluate_on(run.resolved.on(body), agent, episodes, interventions, progress)
    assert checkpoint is not None
    hint_unfinished(run, checkpoint.step)
    weights = Weights.of(checkpoint.step, checkpoint.weights)
    for name, each in found.bodies.items():
        its = next(own for own in run.resolved.config.bodies if make_body(own).name == name)
        run.results.add(result_of(run.resolved.config, weights, episodes, each.metrics, its, interventions))
    result = result_of(run.resolved.config, weights, episodes, found.metrics, body, interventions)
    run.results.add(result)
    return dataclasses.replace(found, scale=scale_of(result.conditions))


def conditions_on(
    config: RunConfig,
    episodes: int,
    body: str | Body | None = None,
    interventions: Sequence[Intervention] = (),
) -> dict[str, Any]:
    """Return under which conditions `evaluate` tests a run's agent, as JSON types: on all its bodies, or on another.

    Args:
        config: of the run whose task it is.
        episodes: how many.
        body: another than the run's own, or one of several.
        interventions: what is done to neurons.
    """
    several = [make_body(each) for each in config.bodies] if len(config.bodies) > 1 else []
    if body is not None and not several and make_body(body) == make_body(config.body):
        body = None
    found = conditions_of(config, episodes, EVALUATION_SEED, body, interventions)
    if body is None and several:
        found |= {"body": config.trained_on, "bodies": [each.to_json() for each in several]}
    return found


def result_of(
    config: RunConfig,
    weights: Weights,
    episodes: int,
    values: Mapping[str, Float[np.ndarray, " episodes"]],
    body: str | Body | None = None,
    interventions: Sequence[Intervention] = (),
    agent: str = TRAINED,
    missing: str = "",
) -> Result:
    """Return what episodes of a run's task came to, as a result of the run; builds and writes nothing.

    Args:
        config: of the run whose task it was.
        weights: of the agent that acted.
        episodes: how many were to be run.
        values: by metric, one value an episode, in the metric's own unit.
        body: another than the run's own, or one of several.
        interventions: what was done to neurons.
        agent: who acted; see `Result`.
        missing: why there are no values.
    """
    conditions = conditions_on(config, episodes, body, interventions)
    own = conditions_on(config, episodes, None, interventions)
    return Result(
        "evaluation" if conditions == own else "transfer",
        weights,
        conditions,
        agent=agent,
        values={name: [value if math.isfinite(value) else None for value in each.tolist()]
                for name, each in values.items()},
        missing=missing,
    )  # fmt: skip
