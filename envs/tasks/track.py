"""Posture tracking: follow the joint angles of a recorded worm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Int

from ...errors import InvalidTask
from ...options import Allowed, Instance
from ..bodies.body import joint_limit, joint_range
from ..senses import MAX_ANGLE, MAX_VELOCITY, SENSES, Sense, SenseKind
from ..setting import Envs, Setting
from .joint_angles import JointAngles
from .task import Task

# The animal's crawl on agar (Fang-Yen et al. 2010, table 1): Hz, and body lengths. The amplitude of the tangent, rad,
# is the largest round one that the joints of all our bodies reach.
FREQUENCY, WAVELENGTH, AMPLITUDE = 0.3, 0.65, 0.6
_LEAST = -1.0  # reward, that a start which is far off does not drown all else


class TrackPosture(Task):
    """Follow the posture of a recorded worm.

    An episode starts at rest, with a random heading, in the posture of a random time of the recording; the time is
    drawn early enough for a whole episode if the recording is long enough. The episode ends at the end of the
    recording. The reward of a step is 1 - (squared error of the joint angles) / (mean square of the recording's joint
    angles), at least -1: it is 1 for a perfect match, 0 on average for a straight body, and negative for the opposite
    posture. Position and heading of the body are not rewarded.

    Metrics: `joint_error`, root mean squared error of the joint angles since the reset, rad; `explained`, 1 - (squared
    error) / (square of the recording's angles), both summed since the reset.

    Args:
        envs: the environments.
        recording: a CSV file with the columns time (s) and angle_0, angle_1, ... (rad, head to tail), as
            `nervecord worm posture` writes, or the content of one as a run stores it. For a body with fewer links, the
            midline is divided into its number of links. None is a crawl as on agar: a travelling wave of 0.3 Hz and a
            wavelength of 0.65 body lengths.

    Raises:
        InvalidTask: the body is not a chain, or has more links than the recording.
        InvalidRecording: the recording cannot be read.
    """

    senses = ("joint_pos", "joint_vel", "joint_target", "joint_target_vel")
    allowed: ClassVar[Mapping[str, Allowed]] = {
        "recording": Instance((str, Mapping, NoneType), "the path of a CSV file of joint angles")
    }
    files: ClassVar[Mapping[str, Callable[[str | Path], Mapping[str, Any]]]] = {
        "recording": lambda path: JointAngles.read(path).to_json()
    }
    metric_units: ClassVar[Mapping[str, str]] = {**Task.metric_units, "joint_error": "rad"}

    def __init__(self, envs: Envs, recording: str | Mapping[str, Any] | None = None) -> None:
        super().__init__(envs)
        body, n = envs.body, envs.n_envs
        if not body.parts.is_chain:
            raise InvalidTask(f"{body.name} is not a chain of links; take a swimmer or worm")
        if recording is None:
            held = _crawl(body.n_links, envs.episode_steps * envs.dt, envs.dt)
        else:
            held = JointAngles.read(recording) if isinstance(recording, str) else JointAngles.from_json(recording)
        if body.n_links > held.n_links:
            raise InvalidTask(
                f"{held.file} is of {held.n_links} links and {body.name} has {body.n_links}; make another with "
                f"nervecord worm posture FILE --links {body.n_links} --out angles.csv, or choose a body of fewer"
            )
        self.recording = held.relinked(body.n_links)
        self._power = max(float((self.recording.joint_pos**2).mean()), 1e-12)
        self._start, self._seen = np.zeros(n), np.zeros(n, int)
        self._reward, self._error, self._bending = np.zeros(n), np.zeros(n), np.zeros(n)

    def reset(self, ids: Int[np.ndarray, " some"], rngs: Sequence[np.random.Generator]) -> None:
        """Start new episodes in some environments, each in a posture of the recording."""
        heading, _ = self.start_pose(rngs)
        latest = max(0.0, self.recording.duration - self.envs.episode_steps * self.envs.dt)
        self._start[ids] = [rng.uniform(0.0, latest) for rng in rngs]
        self.envs.draw_bodies(ids, rngs)
        posture = np.clip(self.recording.at(self._start[ids]), *joint_range(self.envs.body).T)
        self.envs.put(ids, rngs, heading, posture)
        self.com_start[ids] = self._com_before[ids] = self.physics.read("com_pos")[ids]
        for values in (self._seen, self._reward, self._error, self._bending):
            values[ids] = 0

    def target(self, ahead: float = 0.0) -> Float[np.ndarray, "envs joints"]:
        """Return the recording's joint angles now, or `ahead` control steps later, rad."""
        return self.recording.at(self._start + (self.envs.elapsed + ahead) * self.envs.dt)

    def reward(self) -> Float[np.ndarray, " envs"]:
        """Return the reward of matching the recording's posture, from -1 to 1; see the class."""
        moved = self.envs.elapsed != self._seen
        if moved.any():
            target = self.target()[moved]
            error = ((self.physics.read("joint_pos")[moved] - target) ** 2).mean(1)
            self._reward[moved] = np.maximum(1.0 - error / self._power, _LEAST)
            self._error[moved] += error
            self._bending[moved] += (target**2).mean(1)
            self._seen[moved] = self.envs.elapsed[moved]
        return self._reward.copy()

    @property
    def reward_threshold(self) -> float | None:
        """Nine tenths of the largest possible return, which a recording shorter than the episode limits."""
        steps = max(1, int((self.recording.duration + 1e-9) / self.envs.dt))
        return 0.9 * min(self.envs.episode_steps, steps)

    def terminated(self) -> Bool[np.ndarray, " envs"]:
        """Return which episodes have reached the end of the recording."""
        ended: Bool[np.ndarray, " envs"] = (
            self._start + (self.envs.elapsed + 1) * self.envs.dt > self.recording.duration + 1e-9
        )
        return ended

    def metrics(self) -> dict[str, Float[np.ndarray, " envs"]]:
        """Return the net speed (m/s) and the errors of the posture; see the class."""
        steps = np.maximum(self._seen, 1)
        explained = np.where(self._seen > 0, 1.0 - self._error / np.maximum(self._bending, 1e-12), 0.0)
        return {**super().metrics(), "joint_error": np.sqrt(self._error / steps), "explained": explained}

    def get_state(self) -> dict[str, Any]:
        """Return a copy of the task's state."""
        return {**super().get_state(), **{name: getattr(self, f"_{name}").copy() for name in _KEPT}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        super().set_state(state)
        for name in _KEPT:
            getattr(self, f"_{name}")[:] = state[name]


_KEPT = ("start", "seen", "reward", "error", "bending")


class JointTarget(SenseKind):
    """The recording's joint angles at the end of the coming step in `TrackPosture`; sensed as joint angles are."""

    def describe(self, setting: Setting) -> Sense:
        """Describe the sense; see `SenseKind`."""
        return _of_track(setting, "joint_target", MAX_ANGLE, "rad")

    def read(self, envs: Envs) -> Float[np.ndarray, "envs joints"]:
        """Return the angles, rad."""
        assert isinstance(envs.task, TrackPosture)
        return envs.task.target(1)


class JointTargetVel(SenseKind):
    """How fast the recording's joints move in the coming step in `TrackPosture`; sensed as joint velocities are."""

    def describe(self, setting: Setting) -> Sense:
        """Describe the sense; see `SenseKind`."""
        return _of_track(setting, "joint_target_vel", MAX_VELOCITY, "rad/s")

    def read(self, envs: Envs) -> Float[np.ndarray, "envs joints"]:
        """Return the velocities, rad/s."""
        assert isinstance(envs.task, TrackPosture)
        velocity: Float[np.ndarray, "envs joints"] = (envs.task.target(1) - envs.task.target(0)) / envs.dt
        return velocity


def _of_track(setting: Setting, name: str, most: float, unit: str) -> Sense:
    if not issubclass(setting.task, TrackPosture):
        raise InvalidTask(f"task {setting.task.__name__} has no recording to sense; sense {name} in TrackPosture")
    limit = tuple(float(value) for value in joint_limit(setting.body))
    return Sense(name, setting.body.n_joints, -most, most, unit, limit)


SENSES["joint_target"], SENSES["joint_target_vel"] = JointTarget(), JointTargetVel()


def _crawl(n_links: int, duration: float, dt: float) -> JointAngles:
    """Return a crawl that lasts a period longer than an episode of `duration` s, which may begin anywhere in it."""
    return travelling_wave(n_links, duration + 1 / FREQUENCY + dt, dt)


def travelling_wave(
    n_links: int,
    duration: float,
    dt: float,
    frequency: float = FREQUENCY,
    wavelength: float = WAVELENGTH,
    amplitude: float = AMPLITUDE,
) -> JointAngles:
    """Return the joint angles of a wave of the midline's tangent that travels from head to tail.

    Args:
        n_links: of the chain.
        duration: at least, s.
        dt: between times, s.
        frequency: Hz.
        wavelength: in body lengths.
        amplitude: of the tangent, rad.
    """
    time = np.arange(int(np.ceil(duration / dt)) + 1) * dt
    place = (np.arange(n_links) + 0.5) / n_links
    tangent = amplitude * np.sin(2 * np.pi * (place / wavelength - frequency * time[:, None]))
    return JointAngles("a travelling wave", time, np.diff(tangent, axis=1))
