"""A model that SB3 saved, with what it is tried in and what stood between it and its environments."""

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
    """A model of SB3's and the environments that it is tried in.

    Attributes:
        model: the model.
        body: a name, an XML file or a body.
        task: its name.
        task_options: of the task, such as `reward` of swim, or `senses`.
        observe_time: the observation ends with the seconds since the reset.
        episode_steps: control steps of an episode; None is the task's own number.
        statistics: what SB3's VecNormalize kept of the observations; None shows them as they are.
        frames: how many last observations are shown, oldest first, as SB3's VecFrameStack does.

    Raises:
        UnknownName: no such task.
        InvalidArgument, InvalidTask: an option that the task does not take, or cannot have.
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
        """Load a zip file, and VecNormalize's statistics from where RL Zoo and SB3's callbacks put them.

        Args:
            path: what `model.save` wrote.
            trust: that the file, and the statistics, may run code.
            algorithm: which class saved it; None takes the class that the file tells.
            normalize: the file of the statistics, where it lies elsewhere.
            tried_in: the other attributes by name.

        Raises:
            InvalidRun: not trusted, missing, or not what it should be.
            UnknownName: no such algorithm.
            MissingDependency: a class of sb3-contrib, which is not installed.
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
        """Make one environment for each episode.

        Raises:
            CircuitMismatch: the model observes or acts in other spaces.
            InvalidOption: no episodes, or no frames.
        """
        envs = self.make_envs_on(self.body, episodes)
        try:
            self.check(envs)
        except CircuitMismatch:
            envs.close()
            raise
        return envs

    def make_envs_on(self, body: str | Path | Body, episodes: int) -> EnvBatch:
        """Make one environment for each episode on any body, whether the model fits it or not.

        Raises:
            InvalidOption: no episodes, or no frames.
            UnknownName, InvalidTask: no such task, or an option that it does not take.
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
        """Return the scale of returns on a body, where it has reference scores for the task."""
        return scale_on(body, self.task, self.task_options, self.episode_steps)

    def check(self, envs: EnvBatch) -> None:
        """Refuse environments that the model does not fit.

        Raises:
            CircuitMismatch: it, or its statistics, observe or act in other spaces.
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
        """Return what the model is shown of observations, and the stack of the last ones.

        Args:
            observation: in the environment's units; what is shown has none where it is normalised.
            stack: what this returned at the last step; None at the start.
            episode_start: these rows have seen nothing yet.
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
