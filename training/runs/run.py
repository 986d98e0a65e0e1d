"""A run: a training on disk, and its agent."""

from __future__ import annotations

import logging
import os
import shlex
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Shaped
from torch import Tensor

from ...agents import Agent
from ...agents.resize import resize, resize_stats
from ...circuits.code_files import code_of
from ...circuits.held import weights_to_come
from ...circuits.registry import shown_name
from ...envs import Body
from ...errors import InvalidOption, InvalidRun, UnknownName
from ...options import Instance
from .config import RunConfig
from .folder import Checkpoint, Folder
from .resolution import Resolved, resolve
from .result import Weights
from .results import Results
from .shipped import PREFIX, shipped_names

A_RUN = Instance((Folder, str, os.PathLike), "a run, its folder, such as runs/worm, or an agent, such as agent:ncap")
_log = logging.getLogger(__name__)


class Run(Folder[RunConfig]):
    """A run on disk.

    Its folder contains the files listed in `Folder`, and results/, films and report.html once they are made.

    Attributes:
        path: the folder.
        config: config as given by the user.
        resolved: config with all defaults filled in when the run was started.
    """

    kind = "run"
    config_type = RunConfig

    def __init__(self, path: str | Path, trust: bool = False) -> None:
        try:
            super().__init__(path, trust)
            self.resolved = self._what_it_came_to()
        except (InvalidRun, InvalidOption) as error:
            # What is wrong in a config is said without the folder that it is in.
            if not hasattr(self, "path") or str(self.path) in str(error):
                raise
            raise InvalidRun(f"{self.path}: {error}") from error

    def train_longer(self, config: RunConfig) -> None:
        """Increase the steps to those of a config; see `Folder.train_longer`."""
        super().train_longer(config)
        self.resolved = self._what_it_came_to()

    def _what_it_came_to(self) -> Resolved:
        held = self.facts.get("resolved")
        # Runs of older versions hold what was asked alone.
        return resolve(self.config) if held is None else Resolved.from_json(held, self.config)

    @property
    def done(self) -> bool:
        """Whether training has reached its last step."""
        step, done = self.progress
        # Of an agent that is shown as it is before training there is no more to come.
        return done and (step >= self.config.steps or step == 0)

    @property
    def description(self) -> str:
        """The circuit and the algorithm that trained it, for captions."""
        how = f"trained by {self.config.algorithm}" if self.progress[0] else "untrained"
        return f"{shown_name(self.config.circuit)}, {how}"

    @property
    def argument(self) -> str:
        """The run as shell commands take it: its folder, and --trust where it is opened with it, or holds code."""
        needs_trust = self.trust or code_of(self.config.circuit) is not None
        return f"{shlex.quote(str(self.path))}{' --trust' if needs_trust else ''}"

    @property
    def results(self) -> Results:
        """The run's results."""
        return Results(self.path, self.last_weights)

    def last_weights(self) -> Weights | None:
        """Return the identity of the last checkpoint's weights; None without a checkpoint.

        Raises:
            InvalidRun: all checkpoints are damaged.
        """
        checkpoint = self.load_checkpoint(with_training=False)
        return None if checkpoint is None else Weights.of(checkpoint.step, checkpoint.weights)

    def agent(
        self, body: str | Body | None = None, checkpoint: Checkpoint | None = None, trained: bool = True
    ) -> Agent:
        """Return the trained or untrained agent, on the run's own or another body.

        On a body of another size, an MLP's weights are resampled along the body; see `resize`.

        Args:
            body: another body than the run's own.
            checkpoint: checkpoint with the weights; None reads the last.
            trained: whether to load trained weights; otherwise the agent has initial weights.

        Raises:
            CircuitMismatch: the weights do not fit the other body.
            InvalidRun: there is no checkpoint yet.
        """
        if trained and checkpoint is None:
            checkpoint = self.load_checkpoint(with_training=False)
        if trained and checkpoint is None:
            raise InvalidRun(f"{self.path} has no checkpoint yet; `nervecord resume {self.argument}` trains it")
        if checkpoint is None:
            return Agent(self.resolved.on(body).agent)
        return agent_with(self.resolved, checkpoint.weights, checkpoint.state.get("observation_stats"), body)

    def policy(self, body: str | Body | None = None, trained: bool = True) -> Agent:
        """Return the agent; the name of `agent` until 0.3."""
        warnings.warn("Run.policy() is now Run.agent()", DeprecationWarning, stacklevel=2)
        return self.agent(body, trained=trained)


def agent_with(
    resolved: Resolved,
    weights: Mapping[str, Shaped[Tensor, "*shape"]],
    stats: Mapping[str, Any] | None,
    body: str | Body | None = None,
) -> Agent:
    """Return the agent of a resolved run with these weights, on the run's own body or on another.

    Args:
        resolved: what the run came to.
        weights: the circuit's on the run's own body, in their own units; an MLP's are resampled along another.
        stats: of the observations there; None where they are not normalised.
        body: another than the run's own.

    Raises:
        CircuitMismatch: the weights do not fit the other body.
    """
    own, there = resolved.agent, resolved.on(body).agent
    with weights_to_come():
        agent = Agent(there)
    if there.layout.sizes != own.layout.sizes:
        if own.circuit == "mlp":
            weights, stats = resize(weights, stats, own.layout, there.layout)
        else:
            stats = resize_stats(stats, own.layout, there.layout)
    agent.load(weights, stats)
    return agent


def load_agent(run: Run | str | Path, body: str | Body | None = None) -> Agent:
    """Return the trained agent of a run, on the run's own or another body.

    Args:
        run: the run or its folder; or an agent that comes with the package (see `nervecord list agents`), by its name,
            such as "ncap-plus", or its address, "agent:ncap-plus".
        body: another body than the run's own, by name or as a `Body`.

    Raises:
        CircuitMismatch: the weights do not fit the other body.
        InvalidRun: there is no such run, or it has no checkpoint yet.
        InvalidOption: both an agent and a folder have that name.
        UnknownName: neither an agent nor a folder has that name.
    """
    if isinstance(run, str) and Path(run).name == run:
        run = _address(run)
    return (run if isinstance(run, Run) else Run(run)).agent(body)


def _address(name: str) -> str:
    """Return the address of the agent, or the folder, that a name without a folder before it means."""
    is_folder = Path(name).exists()
    if name not in shipped_names():
        if is_folder or name.startswith(PREFIX):
            return name
        raise UnknownName("agent", name, shipped_names(), "or give the folder of a run")
    if is_folder:
        raise InvalidOption(f"{name} is an agent and a folder here; give {PREFIX}{name} or {Path(name).absolute()}")
    return f"{PREFIX}{name}"


def hint_unfinished(run: Run, steps: int) -> None:
    """Say in one line that a run has not reached its last step, if it has not."""
    if not run.done:
        told = f"{run.path} is not finished ({steps:,} of {run.config.steps:,} steps)"
        _log.warning("nervecord: %s; nervecord resume %s goes on with it", told, run.argument)
