"""A run: a body's training on disk, and the agent that came out of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from ...agents.policy import CircuitPolicy
from ...agents.resize import resize
from ...circuits import load_weights
from ...envs import Body
from ...envs.sb3_env import SwimmerVecEnv
from ...errors import InvalidRun
from .config import RunConfig
from .folder import Folder
from .result import Weights
from .results import Results

_log = logging.getLogger(__name__)


class Run(Folder[RunConfig]):
    """A run on disk.

    It holds what every `Folder` holds, and results/, films and report.html as they are asked for.

    Attributes:
        path: the folder.
        config: what was read from it.
    """

    kind = "run"
    config_type = RunConfig

    @property
    def results(self) -> Results:
        """What was measured of it."""
        return Results(self.path, self.last_weights)

    def last_weights(self) -> Weights | None:
        """Return which weights its last checkpoint holds, None if there is none yet.

        Raises:
            InvalidRun: all checkpoints are damaged.
        """
        checkpoint = self.load_checkpoint()
        return None if checkpoint is None else Weights.of(checkpoint.step, checkpoint.weights)

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
