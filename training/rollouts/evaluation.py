"""How well an agent does: whole episodes in lockstep, with intervals."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, Shaped
from stable_baselines3.common.base_class import BaseAlgorithm

from ...agents import CircuitPolicy
from ...envs import Body
from ...envs.sb3_env import SwimmerVecEnv
from ...errors import CircuitMismatch, InvalidRun
from ...files import kept_if_possible, write_json
from ...intervals import Interval, bootstrap_mean
from ...progress import progress_bar
from ..runs.config import RunConfig
from ..runs.evaluation_file import read_evaluation
from ..runs.run import Run, hint_unfinished
from .interventions import Intervention, intervene

# Apart from the seeds that training uses, so that no agent is tested on an episode it learned from.
EVALUATION_SEED = 1_000_003
_log = logging.getLogger(__name__)


class Agent(Protocol):
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
    """What whole episodes came to.

    Attributes:
        metrics: one value per episode of "return" (the sum of rewards) and of everything that the task
            informs of at an episode's end, such as "net_speed" (of the centre of mass, m/s). Returns have no unit.
    """

    metrics: Mapping[str, Float[np.ndarray, " episodes"]]

    @property
    def returns(self) -> Float[np.ndarray, " episodes"]:
        """The sum of rewards of each episode, no unit."""
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
    def mean_net_speed(self) -> Interval:
        """The mean net speed with a bootstrap 95 % interval over episodes, m/s."""
        return bootstrap_mean(self.metrics["net_speed"])

    @property
    def intervals(self) -> dict[str, Interval]:
        """The mean of every metric with a bootstrap 95 % interval over episodes."""
        return {name: bootstrap_mean(values) for name, values in self.metrics.items()}

    def rows(self) -> list[dict[str, Any]]:
        """Return every episode's values as rows for a `Store`."""
        return [
            {"episode": episode, "metric": metric, "value": float(value)}
            for metric, values in self.metrics.items()
            for episode, value in enumerate(values)
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the intervals and every episode."""
        return {
            **{name: dataclasses.asdict(interval) for name, interval in self.intervals.items()},
            "episodes": {name: values.tolist() for name, values in self.metrics.items()},
        }


def evaluate_agent(
    agent: Agent,
    env: SwimmerVecEnv,
    seed: int | Sequence[int] = EVALUATION_SEED,
    interventions: Sequence[Intervention] = (),
    progress: bool = False,
) -> Evaluation:
    """Run one episode in every environment; episode i starts from seed + i, or from the seed given for it.

    Raises:
        UnknownName, CircuitMismatch: interventions that the agent's circuit does not allow.
    """
    torch.set_num_threads(1)
    batch = env.batch
    batch.seed([seed + index for index in range(batch.n_envs)] if isinstance(seed, int) else list(seed))
    observation = batch.reset(np.arange(batch.n_envs))
    state: Any = None
    returns = np.zeros(batch.n_envs)
    start = np.ones(batch.n_envs, bool)
    running = np.arange(batch.n_envs)
    ends: dict[str, Float[np.ndarray, " envs"]] = {}
    for step in progress_bar(range(batch.episode_steps), desc="evaluate", unit="step", disable=not progress):
        if not len(running):
            break
        if interventions:
            intervene(agent, interventions, step)
        actions, state = agent.predict(observation, state, start, deterministic=True)
        stepped = batch.step(actions, None if len(running) == batch.n_envs else running)
        observation, start = stepped.observation, np.zeros(batch.n_envs, bool)
        returns[running] += stepped.reward[running]
        ended = running[(stepped.terminated | stepped.truncated)[running]]
        for name, values in stepped.metrics.items() if len(ended) else ():
            ends.setdefault(name, np.zeros(batch.n_envs))[ended] = values[ended]
        running = np.setdiff1d(running, ended, assume_unique=True)
    diverged = ends.pop("diverged").astype(bool)
    if diverged.any():
        _log.warning(
            "nervecord: the physics of %d of %d episodes diverged; they ended there", diverged.sum(), len(diverged)
        )
    return Evaluation({"return": returns, **ends})


def evaluate_on(
    config: RunConfig,
    agent: CircuitPolicy,
    body: str | Body | None,
    episodes: int,
    interventions: Sequence[Intervention] = (),
    progress: bool = False,
) -> Evaluation:
    """Evaluate an agent on the task of a run, on its body or on another.

    Raises:
        InvalidRun: no episodes.
    """
    if episodes < 1:
        raise InvalidRun(f"episodes is {episodes}; give 1 or more")
    # Bodies are drawn in training only; what is evaluated is the body that was named.
    env = config.make_env(episodes, body, randomize={}, observe_time="time" in agent.layout)
    try:
        return evaluate_agent(agent, env, interventions=interventions, progress=progress)
    finally:
        env.close()


def evaluate_model(
    model: BaseAlgorithm, body: str | Body, task: str, reward: str, episodes: int, progress: bool = False
) -> Evaluation:
    """Evaluate a model of SB3's on a body and a task.

    Raises:
        CircuitMismatch: it observes or acts in other spaces.
        InvalidRun: no episodes.
    """
    env = make_model_env(model, body, task, reward, episodes)
    try:
        return evaluate_agent(model, env, progress=progress)
    finally:
        env.close()


def make_model_env(model: BaseAlgorithm, body: str | Body, task: str, reward: str, episodes: int) -> SwimmerVecEnv:
    """Make one environment for each episode of a model of SB3's.

    Raises:
        CircuitMismatch: it observes or acts in other spaces.
        InvalidRun: no episodes.
    """
    if episodes < 1:
        raise InvalidRun(f"episodes is {episodes}; give 1 or more")
    env = SwimmerVecEnv(episodes, task, body=body, **({"reward": reward} if task == "swim" else {}))
    for kind in ("observation", "action"):
        there, here = getattr(model, f"{kind}_space").shape, getattr(env, f"{kind}_space").shape
        if there != here:
            env.close()
            raise CircuitMismatch(f"the model's {kind}s are of shape {there}, on {env.body.name} {task} {here}")
    return env


def evaluate(
    run: Run | str | Path,
    episodes: int = 20,
    body: str | Body | None = None,
    interventions: Sequence[Intervention] = (),
    progress: bool = False,
) -> Evaluation:
    """Evaluate a run's agent, on its own body or on another; its own, left alone, is kept in evaluation.json.

    An evaluation of the same weights on more episodes is kept instead.

    Raises:
        CircuitMismatch: the weights do not fit the other body.
        UnknownName: no such neuron.
        InvalidRun: there is no such run, or nothing trained in it yet.
    """
    run = run if isinstance(run, Run) else Run(run)
    result = evaluate_on(run.config, run.policy(body), body, episodes, interventions, progress)
    checkpoint = run.load_checkpoint()
    assert checkpoint is not None
    hint_unfinished(run, bool(checkpoint.state.get("done")), checkpoint.step)
    if body is None and not interventions:
        _keep(run, result, checkpoint.step)
    return result


def _keep(run: Run, result: Evaluation, step: int) -> None:
    """Write evaluation.json, unless these weights were evaluated on more episodes already."""
    path = run.path / "evaluation.json"
    kept = read_evaluation(path)
    if kept is not None and kept.get("step", step) == step and (n := kept["return"]["n"]) > result.n:
        _log.warning("nervecord: %s keeps its evaluation of %d episodes, more than these %d", run.path, n, result.n)
    else:
        with kept_if_possible(path):
            write_json(path, {**result.to_json(), "step": step})
