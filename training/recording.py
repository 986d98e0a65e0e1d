"""A rollout kept for study: what was sensed, done and felt by every neuron, with names and units."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import InvalidRecording


@dataclasses.dataclass(frozen=True)
class Recording:
    """Whole episodes of one agent on one body; E episodes, T control steps, J joints, L links, N neurons.

    Row t of every array belongs to the same instant: the state the agent saw, and what it did there.

    Attributes:
        observations: what the agent was shown.
        actions: motor commands in units of the motor's range.
        rewards: the reward for the action of the same row.
        joint_pos: joint angles, radians, head to tail.
        joint_vel: joint velocities, rad/s.
        torque: joint torques applied by the motors, N m.
        link_pos: centre of each link in the plane, m.
        link_angle: heading of each link, radians: its axis points from tail to head at this angle
            from the world's x axis.
        com_pos: centre of mass in the plane, m.
        target_pos: the target in the plane, m; empty (size 0 in its last axis) if the task has none.
        activity: every neuron's value.
        neurons: the names of the columns of `activity`.
        dt: seconds per control step.
        meta: the body's facts (`name`, `link_length` [L] m, `link_width` [L] m, `joint_limit` [J] rad,
            `mass` kg) and where the recording came from.
    """

    observations: Float[np.ndarray, "E T O"]
    actions: Float[np.ndarray, "E T J"]
    rewards: Float[np.ndarray, "E T"]
    joint_pos: Float[np.ndarray, "E T J"]
    joint_vel: Float[np.ndarray, "E T J"]
    torque: Float[np.ndarray, "E T J"]
    link_pos: Float[np.ndarray, "E T L 2"]
    link_angle: Float[np.ndarray, "E T L"]
    com_pos: Float[np.ndarray, "E T 2"]
    target_pos: Float[np.ndarray, "E T target"]
    activity: Float[np.ndarray, "E T N"]
    neurons: tuple[str, ...]
    dt: float
    meta: dict[str, Any]

    @property
    def n_episodes(self) -> int:
        """The number of episodes."""
        return self.rewards.shape[0]

    @property
    def n_steps(self) -> int:
        """The number of control steps in each episode."""
        return self.rewards.shape[1]

    def save(self, path: str | Path) -> None:
        """Write one npz file, whole or not at all; arrays are kept in single precision."""
        path = Path(path)
        arrays = {name: np.asarray(getattr(self, name), np.float32) for name in _ARRAYS}
        header = json.dumps({"neurons": self.neurons, "dt": self.dt, "meta": self.meta})
        partial = path.with_name(path.name + ".partial")
        with open(partial, "wb") as file:
            np.savez_compressed(file, allow_pickle=False, **{"header": np.array(header), **arrays})
        os.replace(partial, path)

    @classmethod
    def load(cls, path: str | Path) -> Recording:
        """Read a recording that `save` wrote.

        Raises:
            InvalidRecording: the file is missing, damaged or no recording.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                arrays = {name: file[name] for name in _ARRAYS}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise InvalidRecording(f"{path} is no recording that can be read: {error}") from error
        return cls(**arrays, neurons=tuple(header["neurons"]), dt=header["dt"], meta=header["meta"])


_ARRAYS = [field.name for field in dataclasses.fields(Recording) if field.name not in ("neurons", "dt", "meta")]
