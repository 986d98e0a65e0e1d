"""A model saved by SB3, with its environment settings and the wrappers it was trained with."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecNormalize

from ...agents.sb3.zip_files import load_sb3, load_statistics, saw_normalized, statistics_beside
from ...envs import Body, EnvBatch
from ...envs.tasks.registry import check_options
from ...errors import CircuitMismatch, InvalidOption
from ...options import Number, wrong_value
from ..runs.references import Scale, scale_on

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class SavedModel:
    """A model saved by SB3, with settings of the environments to run it in.

    Attributes:
        model: the SB3 model.
        body: a name, an XML file or a `Body`.
        task: name of the task.
        task_options: options of the task, such as `reward` of swim, or `senses`.
        observe_time: whether observations end with the seconds since the reset.
        episode_steps: control steps per episode; None is the task's number.
        statistics: SB3's VecNormalize with which the model was trained; None if there was none.
        frames: number of stacked observations, oldest first, as in SB3's VecFrameStack.

    Raises:
        UnknownName: there is no such task.
        InvalidArgument, InvalidTask: the task does not take an option, or its value is invalid.
    """

    model: BaseAlgorithm
    body: str | Path | Body = "swimmer6"
    task: str = "swim"
    task_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    observe_time: bool = False
    episode_steps: int | None = None
    statistics: VecNormalize | None = None
    frames: int = 1

    def __post_init__(self) -> None:
        check_options(self.task, self.task_options)

    @classmethod
    def load(
        cls,
        path: str | Path,
        trust: bool = False,
        algorithm: str | None = None,
        normalize: str | Path | None = None,
        **tried_in: Any,
    ) -> SavedModel:
        """Load an SB3 .zip, with VecNormalize statistics if they are where RL Zoo or SB3's callbacks save them.

        Args:
            path: file written by `model.save`.
            trust: allow loading; the file and the statistics may run code.
            algorithm: name of the class that saved it; None reads it from the file.
            normalize: file of the VecNormalize statistics, if it is elsewhere.
            tried_in: other attributes of `SavedModel`, by name.

        Raises:
            InvalidRun: a file is not trusted, missing, or not a valid model or VecNormalize.
            UnknownName: there is no such algorithm.
            MissingDependency: the class is from sb3-contrib, which is not installed.
        """
        model = load_sb3(path, algorithm, trust)
        beside = statistics_beside(path) if normalize is None else None
        if beside is not None:
            _log.warning("nervecord: observations are normalised by %s", beside)
        elif normalize is None and saw_normalized(model):
            _log.warning(
                "nervecord: %s learned from observations that VecNormalize had normalised, and sees them raw here, "
                "which may change all that it does; give its statistics, --normalize vecnormalize.pkl",
                path,
            )
        file = normalize or beside
        statistics = None if file is None else load_statistics(file, trust)
        return cls(model, statistics=statistics if statistics is None or statistics.norm_obs else None, **tried_in)

    def make_envs(self, episodes: int) -> EnvBatch:
        """Build one environment for each episode.

        Raises:
            CircuitMismatch: the model has other observation or action spaces.
            InvalidOption: `episodes` or `frames` is below 1.
        """
        envs = self.make_envs_on(self.body, episodes)
        try:
            self.check(envs)
        except CircuitMismatch:
            envs.close()
            raise
        return envs

    def make_envs_on(self, body: str | Path | Body, episodes: int) -> EnvBatch:
        """Build one environment for each episode on any body, without checking that the model fits it.

        Raises:
            InvalidOption: `episodes` or `frames` is below 1.
            UnknownName, InvalidTask: there is no such task, or it does not take an option.
        """
        allowed = {"episodes": Number(1, is_whole=True), "frames": Number(1, is_whole=True)}
        if wrong := wrong_value({"episodes": episodes, "frames": self.frames}, allowed):
            raise InvalidOption(wrong)
        check_options(self.task, self.task_options)
        return EnvBatch(
            self.task, episodes, body=body, observe_time=self.observe_time, episode_steps=self.episode_steps,
            **self.task_options,
        )  # fmt: skip

    def scale_on(self, body: Body) -> Scale | None:
        """Return the scale of normalised returns on a body; None without reference scores."""
        return scale_on(body, self.task, self.task_options, self.episode_steps)

    def check(self, envs: EnvBatch) -> None:
        """Check that the model fits the environments.

        Raises:
            CircuitMismatch: the model or its statistics have other observation or action spaces.
        """
        size = envs.layout.size
        where = f"on {envs.body.name} {self.task}"
        for kind, here in (("observation", (size * self.frames,)), ("action", envs.action_space.shape)):
            if (there := getattr(self.model, f"{kind}_space").shape) != here:
                hint = self._hint(there, size) if kind == "observation" else ""
                raise CircuitMismatch(f"the model's {kind}s are of shape {there}, {where} {here}{hint}")
        if self.statistics is not None and not (self._normalizes(size) or self._normalizes(size * self.frames)):
            there = self._statistics_shape
            raise CircuitMismatch(f"the statistics are of observations of shape {there}, {where} ({size},)")

    def _hint(self, there: tuple[int, ...] | None, size: int) -> str:
        """Return what would make observations of the model's shape, if it is easily told."""
        n = there[0] if there is not None and len(there) == 1 else 0
        if n == size + 1 and not self.observe_time:
            return "; give --observe-time if their last value was the seconds since the reset"
        if n > size and n % size == 0:
            return f"; give --frames {n // size} if it was trained under VecFrameStack"
        return ""

    def see(
        self,
        observation: Float[np.ndarray, "batch obs"],
        stack: Float[np.ndarray, "batch stacked"] | None,
        episode_start: Bool[np.ndarray, " batch"] | None,
    ) -> tuple[Float[np.ndarray, "batch stacked"], Float[np.ndarray, "batch stacked"]]:
        """Return the model's normalised and stacked input, and the stack of the last observations.

        Args:
            observation: observations in the environment's units.
            stack: stack returned at the last step; None at the start.
            episode_start: rows in which an episode starts.
        """
        size = observation.shape[1]
        if self._normalizes(size):
            observation = self._normalized(observation)
        if self.frames > 1:
            before = np.zeros((len(observation), size * (self.frames - 1)), observation.dtype)
            if stack is not None:
                before[:] = stack[:, size:]
            if episode_start is not None:
                before[np.asarray(episode_start, bool)] = 0
            observation = np.concatenate([before, observation], axis=1)
        shown = (
            self._normalized(observation) if self.frames > 1 and self._normalizes(size * self.frames) else observation
        )
        return shown, observation

    def _normalizes(self, size: int) -> bool:
        """Say whether the statistics are of so many values: of one observation, or of a stack of them."""
        return self.statistics is not None and self._statistics_shape == (size,)

    @property
    def _statistics_shape(self) -> tuple[int, ...]:
        assert self.statistics is not None
        moments: Any = self.statistics.obs_rms
        return np.shape(moments.mean)

    def _normalized(self, observation: np.ndarray) -> np.ndarray:
        assert self.statistics is not None
        return np.asarray(self.statistics.normalize_obs(observation))

    def predict(
        self,
        observation: Float[np.ndarray, "batch obs"],
        state: Any = None,
        episode_start: Bool[np.ndarray, " batch"] | None = None,
        deterministic: bool = True,
    ) -> tuple[Shaped[np.ndarray, "batch action"], Any]:
        """Return actions and the next state; observations and actions are in the environment's units."""
        stack, inner = (None, None) if state is None else state
        shown, stack = self.see(observation, stack, episode_start)
        actions, inner = self.model.predict(shown, inner, episode_start, deterministic=deterministic)
        return actions, (stack, inner)
