"""Windows of training in which a sense is missing, for the study of critical periods."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from ..errors import InvalidTask
from .senses import Layout


@dataclasses.dataclass(frozen=True)
class Deficit:
    """A sense that reads zero from environment step `start` until before step `stop`, all environments counted."""

    sense: str
    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise InvalidTask(
                f"deficit {self.sense}:{self.start}:{self.stop} is empty; give SENSE:START:STOP in environment steps, "
                "such as joint_pos:100000:200000"
            )

    @classmethod
    def parse(cls, text: str) -> Deficit:
        """Read `SENSE:START:STOP`.

        Raises:
            InvalidTask: it is not of that form.
        """
        try:
            sense, start, stop = text.split(":")
            return cls(sense, int(start), int(stop))
        except ValueError as error:
            raise InvalidTask(f"deficit {text!r} is not SENSE:START:STOP, such as joint_pos:100000:200000") from error


class DeficitVecEnv(VecEnvWrapper):
    """Show zeros in place of senses while their deficits last; the bodies and rewards are as ever.

    Args:
        env: the environment, whose observation is `layout`.
        layout: names of the observation's parts.
        deficits: the windows.

    Attributes:
        num_timesteps: environment steps so far; set it where training resumes.

    Raises:
        UnknownName: the observation has no such sense.
    """

    def __init__(self, env: VecEnv, layout: Layout, deficits: Sequence[Deficit]) -> None:
        super().__init__(env)
        self._windows = [(layout[deficit.sense], deficit) for deficit in deficits]
        self.num_timesteps = 0

    def reset(self) -> np.ndarray:
        """Start new episodes."""
        return self._masked(np.asarray(self.venv.reset()))

    def step_wait(self) -> VecEnvStepReturn:
        """Step, and mask what is shown."""
        observation, rewards, dones, infos = self.venv.step_wait()
        self.num_timesteps += self.num_envs
        for index in np.flatnonzero(dones):
            infos[index]["terminal_observation"] = self._masked(infos[index]["terminal_observation"])
        return self._masked(np.asarray(observation)), rewards, dones, infos

    def masked(self) -> Bool[np.ndarray, " obs"]:
        """Return which columns of the observation are missing now."""
        assert self.observation_space.shape is not None
        missing = np.zeros(self.observation_space.shape, bool)
        for columns, deficit in self._windows:
            missing[columns] |= deficit.start <= self.num_timesteps < deficit.stop
        return missing

    def _masked(self, observation: np.ndarray) -> np.ndarray:
        return np.where(self.masked(), 0.0, observation)
