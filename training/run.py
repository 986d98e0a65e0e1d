"""A run: a body's training on disk, and the agent that came out of it."""

from __future__ import annotations

from ..agents.policy import CircuitPolicy
from ..circuits import load_weights
from ..envs import Body
from ..errors import InvalidRun
from .config import RunConfig
from .folder import Folder


class Run(Folder[RunConfig]):
    """A run on disk: what every `Folder` holds, and

    evaluation.json, transfer.csv, recording.npz, probes/, films and report.html as they are asked for.

    Attributes:
        path: the folder.
        config: what was read from it.
    """

    kind = "run"
    config_type = RunConfig

    def policy(self, body: str | Body | None = None, trained: bool = True) -> CircuitPolicy:
        """Return the agent, on its own body or on another.

        Raises:
            CircuitMismatch: the weights do not fit the other body.
            InvalidRun: there is no checkpoint yet.
        """
        config = self.config
        checkpoint = self.load_checkpoint() if trained else None
        if trained and checkpoint is None:
            raise InvalidRun(f"{self.path} has no checkpoint yet; `nervecord resume {self.path}` trains it")
        stats = checkpoint.state.get("observation_stats") if checkpoint else None
        env = config.make_env(1, body)
        policy = CircuitPolicy(
            env.observation_space,
            env.action_space,
            circuit=config.circuit,
            circuit_options=config.circuit_options,
            layout=env.layout,
            seed=config.seed,
            observation_stats=stats,
            squash=config.squash,
        )
        env.close()
        if checkpoint:
            load_weights(policy.circuit, checkpoint.weights)
        return policy
