"""A run: a body's training on disk, and the agent that came out of it."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...agents.policy import CircuitPolicy
from ...agents.resize import resize
from ...circuits import load_weights
from ...envs import Body
from ...envs.sb3_env import SwimmerVecEnv
from ...errors import InvalidRun
from .config import RunConfig
from .folder import Folder, read_json
from .options import ListOf, Number, wrong_value

# JSON has no NaN: one episode has no interval, and null is where its bounds were.
_BOUND = Number(-math.inf, also=(None,))
_INTERVAL = {"mean": Number(-math.inf), "low": _BOUND, "high": _BOUND, "n": Number(1, is_whole=True)}
_log = logging.getLogger(__name__)


class Run(Folder[RunConfig]):
    """A run on disk.

    It holds what every `Folder` holds, and evaluation.json, results.sqlite, recording.nc, probes/, films and
    report.html as they are asked for.

    Attributes:
        path: the folder.
        config: what was read from it.
    """

    kind = "run"
    config_type = RunConfig

    def policy(self, body: str | Body | None = None, trained: bool = True) -> CircuitPolicy:
        """Return the agent, on its own body or on another.

        An MLP's weights are resampled along a body of another size; see `resize`.

        Raises:
            CircuitMismatch: the weights do not fit the other body.
            InvalidRun: there is no checkpoint yet.
        """
        config = self.config
        checkpoint = self.load_checkpoint() if trained else None
        if trained and checkpoint is None:
            raise InvalidRun(f"{self.path} has no checkpoint yet; `nervecord resume {self.path}` trains it")
        env = config.make_env(1, body)
        env.close()
        if checkpoint is None:
            return make_policy(config, env)
        weights, stats = checkpoint.weights, checkpoint.state.get("observation_stats")
        if config.circuit == "mlp" and env.body.n_links != config.n_links:
            own = config.make_env(1)
            own.close()
            weights, stats = resize(weights, stats, own.layout, env.layout)
        policy = make_policy(config, env, stats)
        load_weights(policy.circuit, weights)
        return policy


def read_evaluation(path: Path) -> dict[str, Any] | None:
    """Return what an evaluation.json holds, None if there is none: each metric's interval and episodes, the step.

    Raises:
        InvalidRun: it is no evaluation.
    """
    if not path.exists():
        return None
    found = read_json(path, f"{path.parent} is damaged")
    wrong = "" if isinstance(found, dict) and "return" in found else "no return in it"
    for name in () if wrong else found.keys() - {"step", "episodes"}:
        if not isinstance(found[name], dict) or not found[name].keys() >= _INTERVAL.keys():
            wrong = f"{name} lacks one of {', '.join(_INTERVAL)}"
        elif each := wrong_value(found[name], _INTERVAL):
            wrong = f"{name}'s {each}"
    episodes = {} if wrong else found.get("episodes")
    if not isinstance(episodes, dict) or wrong_value(episodes, dict.fromkeys(episodes, ListOf(_BOUND))):
        wrong = "episodes are no lists of numbers by metric"
    if wrong:
        raise InvalidRun(f"{path} is damaged: {wrong}; remove it, and nervecord evaluate writes it anew")
    evaluation: dict[str, Any] = found
    return evaluation


def hint_unfinished(run: Run, done: bool, steps: int) -> None:
    """Say in one line that a run has not reached its last step, if it has not."""
    if not done:
        told = f"{run.path} is not finished ({steps:,} of {run.config.steps:,} steps)"
        _log.warning("nervecord: %s; nervecord resume %s goes on with it", told, run.path)


def make_policy(
    config: RunConfig, env: SwimmerVecEnv, observation_stats: Mapping[str, Any] | None = None
) -> CircuitPolicy:
    """Build the agent of a run, untrained, for the layout of an environment."""
    return CircuitPolicy(
        env.observation_space,
        env.action_space,
        circuit=config.circuit,
        circuit_options=config.circuit_options,
        layout=env.layout,
        seed=config.seed,
        observation_stats=observation_stats,
        squash=config.squash,
    )
