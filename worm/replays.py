"""Replay a recorded worm's posture on a body, with prescribed joints or driven by motors."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from typing import Any, Literal, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

from ..envs import Arena, Body, EnvBatch, Swimmer, make_arena, make_body
from ..envs.bodies.body import joint_range
from ..errors import InvalidArena, InvalidBody, InvalidOption, InvalidRecording
from ..options import Instance, Number, OneOf, checked
from ..training.probes.gait import undulation_frequency
from ..training.rollouts.recording import Recording
from .posture import Posture

DRIVES = ("prescribed", "motors")
_ROOM = 1.1  # of the largest angle that is replayed, for the joints' range
_FEWEST_OF_SPECTRUM = 64  # control steps, of which a spectrum is taken
# Motors are servos: an error of 0.1 rad asks for the whole torque, and so does one of 3.3 rad/s.
_FULL, _DAMPING = 0.1, 0.03  # rad, s


@dataclasses.dataclass(frozen=True)
class Replay:
    """The result of a replay: S physics steps, T control steps, J joints.

    Attributes:
        recording: recording of the body, without neurons.
        body: the body, with the joint range and gear that were used.
        posture: the replayed posture, the longest stretch without gaps.
        start: start of that stretch in the file, s.
        target: the recorded joint angles at each control step, rad.
        torque: torque of each joint in each physics step, N m.
        needed: torque with which the joints would follow exactly, N m; equal to `torque` for prescribed joints.
        first: MuJoCo's initial qpos and qvel (m, rad, m/s, rad/s), from which the torques reproduce the motion.
    """

    recording: Recording
    body: Swimmer
    posture: Posture
    start: float
    target: Float[np.ndarray, "T J"]
    torque: Float[np.ndarray, "S J"]
    needed: Float[np.ndarray, "S J"]
    first: Float[np.ndarray, "2 dofs"]

    @property
    def error(self) -> Float[np.ndarray, "T J"]:
        """Joint angles minus the recorded ones, rad."""
        return np.asarray(self.recording.joint_pos[0], float) - self.target

    def facts(self) -> dict[str, float]:
        """Return the measurements, each with its unit in its name; unknown ones are left out."""
        length = float(self.body.link_sizes[0].sum())
        com, velocity = (np.asarray(each[0], float) for each in (self.recording.com_pos, self.recording.joint_vel))
        seconds = (len(self.target) - 1) * self.recording.dt
        speed = float(np.linalg.norm(com[-1] - com[0]) / length / seconds)
        steps = len(velocity)
        power = (self.torque.reshape(steps, -1, velocity.shape[1]).mean(1) * velocity).sum(1)
        at_limit = np.abs(self.torque) >= self.body.gear * (1 - 1e-9)
        found = {
            "start in the file, s": self.start,
            "duration, s": seconds,
            "joint angles, rms, rad": _rms(self.target),
            "largest joint angle, rad": float(np.abs(self.target).max()),
            "joint range, rad": float(self.body.joint_range or 2 * np.pi / self.body.n_links),
            "error, rms, rad": _rms(self.error),
            "largest error, rad": float(np.abs(self.error).max()),
            "torque, rms, N m": _rms(self.torque),
            "largest torque, N m": float(np.abs(self.torque).max()),
            "largest torque that following takes, N m": float(np.abs(self.needed).max()),
            "gear of the motors, N m": float(self.body.gear),
            "at that limit or above, share of joints and time": float(at_limit.mean()),
            "power of the joints, mean, W": float(power.mean()),
            "speed, body lengths/s": speed,
            "speed of the recorded worm, body lengths/s": _speed(self.posture),
        }
        if steps >= _FEWEST_OF_SPECTRUM:
            with contextlib.suppress(InvalidRecording):  # that does not undulate
                frequency = undulation_frequency(np.asarray(self.recording.joint_pos[0], float), self.recording.dt)
                found |= {"frequency, Hz": frequency, "speed, body lengths per undulation": speed / frequency}
        return {name: value for name, value in found.items() if np.isfinite(value)}


@checked(
    InvalidOption,
    posture=Instance(Posture, "a Posture"),
    drive=OneOf(DRIVES),
    gear=Number(0, above=True, also=(None,), none="leave it out"),
)
def replay(
    posture: Posture,
    body: str | Body = "worm",
    drive: Literal["prescribed", "motors"] = "prescribed",
    gear: float | None = None,
    arena: str | Arena | dict[str, Any] | None = None,
) -> Replay:
    """Replay a recorded worm's posture on a body, and return the resulting motion and the torques.

    The longest stretch without gaps is replayed in real time, with zero initial momentum. Angles are interpolated by a
    cubic spline. The joint range is that of the body, or 1.1 times the largest angle if that is more. Compare speeds
    only in body lengths, because the bodies are as long as hundreds of worms.

    Args:
        posture: posture of the worm; it is converted to the body's number of links.
        body: a swimmer or a worm.
        drive: "prescribed": joints follow exactly, with the torque of inverse dynamics in the discrete steps of the
            physics. "motors": each motor is a PD servo, saturated at an error of 0.1 rad, with a damping time of
            0.03 s, and limited by its torque.
        gear: torque of motors at full command, N m; None is the body's own.
        arena: surroundings of the body; None is open space in its own medium.

    Raises:
        UnknownName: there is no such body or arena.
        InvalidBody: the body is from XML, so its range and gear cannot be set.
        InvalidArena: the arena has zones, posts or fields, which a replay does not support.
        InvalidOption: `gear` is given for prescribed joints.
        InvalidRecording: the posture is shorter than two control steps, or the integration diverges.
    """
    if gear is not None and drive == "prescribed":
        raise InvalidOption("gear is of motors, and the joints are prescribed; give drive='motors' too")
    own, around = make_body(body), make_arena(arena)
    if not isinstance(own, Swimmer):
        raise InvalidBody(f"{own.name} is from XML, whose joints have no range to give; choose a swimmer or a worm")
    if around.zones or around.fields or around.stands(own) is not None:
        raise InvalidArena(
            "a replay is in one medium without posts or fields; choose open, water, gel, agar or newtonian"
        )
    chosen = posture.stretch()
    start = float(chosen.time[0]) if len(chosen.time) else 0.0
    chosen = dataclasses.replace(chosen, time=chosen.time - start)
    duration = float(chosen.time[-1]) if len(chosen.time) else 0.0
    # A control step more than states are kept of: the last one is stepped too.
    steps = int(duration / own.control_dt + 1e-6)
    if steps < 3:
        raise InvalidRecording(
            f"the longest stretch without a gap lasts {duration:g} s; a replay needs {3 * own.control_dt:g} s or more"
        )
    joints = chosen.relinked(own.n_links)
    # Angles go beyond a half turn nowhere, but jump where a joint passes it.
    angles = CubicSpline(chosen.time, np.unwrap(joints.joint_pos, axis=0))
    made = _strong(own, angles, steps * own.control_dt, gear)
    heading = float(joints.heading[0])
    exact = moved = _Simulation(made, around, angles, by_motors=False).run(steps, heading)
    if drive == "motors":
        moved = _Simulation(made, around, angles, by_motors=True).run(steps, heading)
    return Replay(
        recording=_recording(made, around, moved, drive),
        body=made,
        posture=chosen,
        start=start,
        target=angles(np.arange(steps) * own.control_dt),
        torque=moved.torque,
        needed=exact.torque,
        first=moved.first,
    )


def _strong(body: Swimmer, angles: CubicSpline, duration: float, gear: float | None) -> Swimmer:
    """Return the body with the range that the angles need, and with motors of this gear."""
    times = np.linspace(0, min(duration, angles.x[-1]), max(2, int(duration / 0.002)))
    needed = _ROOM * float(np.abs(angles(times)).max()) / (1 - body.range_bias)
    limit = float(np.abs(joint_range(body)).min()) / (1 - body.range_bias)
    changes: dict[str, float] = {} if gear is None else {"gear": gear}
    if needed > limit:
        changes["joint_range"] = min(needed, math.pi)
    return dataclasses.replace(body, **changes)  # type: ignore[arg-type]


class _Motion(NamedTuple):
    """The arrays of a recording, a row each control step, and torques of each physics step, N m."""

    arrays: dict[str, Float[np.ndarray, "T ..."]]
    torque: Float[np.ndarray, "S J"]
    first: Float[np.ndarray, "2 dofs"]


class _Simulation:
    """One body in MuJoCo whose joints are brought to given angles, step by step."""

    def __init__(self, body: Swimmer, arena: Arena, angles: CubicSpline, by_motors: bool) -> None:
        self.body, self.angles, self.by_motors = body, angles, by_motors
        self.model = model = body.compile(arena=arena)
        self.data, parts = mujoco.MjData(model), body.parts
        self.joints = [int(model.joint(name).dofadr[0]) for name in parts.joints]
        self.root = [int(model.joint(name).dofadr[0]) for name in (*parts.slides, parts.turn)]
        motors = [model.actuator(name).id for name in parts.motors]
        self.links = [model.body(name).id for name in parts.links]
        self.frames = [model.site(name).id for name in parts.frames]
        self.gear = model.actuator_gear[motors, 0].copy()
        self.dt, self.n_substeps = float(model.opt.timestep), round(body.control_dt / model.opt.timestep)

    def run(self, steps: int, heading: float) -> _Motion:
        """Move through some control steps, from rest, with the first link's tangent at an angle, rad."""
        data, kept = self.data, []
        # A head's own forward axis is -y, and its tangent runs to the tail.
        data.qpos[self.root[2]] = heading - np.pi / 2
        data.qpos[self.joints] = self.angles(0.0)
        self._begin(self.angles(0.0, 1))
        first = np.stack([data.qpos, data.qvel])
        torque = np.zeros((steps * self.n_substeps, len(self.joints)))
        for step in range(steps):
            mujoco.mj_forward(self.model, data)
            row = self._seen()
            for sub in range(step * self.n_substeps, (step + 1) * self.n_substeps):
                torque[sub] = self._advance(sub)
            kept.append({**row, "torque": torque[sub].copy()})
            if data.warning.number.any() or not np.isfinite(data.qpos).all():
                raise InvalidRecording(
                    f"{self.body.name} cannot follow the recording in this medium: the integration diverges after "
                    f"{(step + 1) * self.body.control_dt:g} s; do its angles jump? --fix-swaps turns swapped heads"
                )
        arrays = {name: np.array([row[name] for row in kept]) for name in kept[0]}
        return _Motion(arrays, torque, first)

    def _begin(self, joint_vel: Float[np.ndarray, " J"]) -> None:
        """Give the joints velocities, rad/s, and the root those with which the body's momentum is 0, or its drag."""
        mujoco.mj_forward(self.model, self.data)
        mass, root, joints = self._mass(), self.root, self.joints
        self.data.qvel[joints] = joint_vel
        self.data.qvel[root] = -np.linalg.solve(mass[np.ix_(root, root)], mass[np.ix_(root, joints)] @ joint_vel)

    def _advance(self, step: int) -> Float[np.ndarray, " J"]:
        """Take a physics step; return the joints' torques, N m."""
        data, h, after = self.data, self.dt, (step + 1) * self.dt
        now, velocity = data.qpos[self.joints], data.qvel[self.joints]
        mass, force = self._of_joints()
        if self.by_motors:
            # With the error and the velocity at the end of the step, which no gain makes unstable (Tan et al. 2011).
            stiffness, damping = self.gear / _FULL, self.gear * _DAMPING / _FULL
            push = stiffness * (self.angles(after) - now - h * velocity) + damping * (self.angles(after, 1) - velocity)
            resistance = h * (damping + h * stiffness)
            torque = push - resistance * np.linalg.solve(mass + np.diag(resistance), force + push)
            torque = np.clip(torque, -self.gear, self.gear)
        else:
            torque = mass @ (((self.angles(after) - now) / h - velocity) / h) - force
        data.qfrc_applied[self.joints] = torque
        mujoco.mj_step(self.model, data)
        return torque

    def _of_joints(self) -> tuple[Float[np.ndarray, "J J"], Float[np.ndarray, " J"]]:
        """Return mass and force of the joints alone, while nothing holds the root, in kg m^2 and N m.

        Mass times the change of the joints' velocities over a step, over its length, is that force and their torques.
        Integrators that take damping at the end of a step add the step's length times the damping to the mass.
        (MuJoCo's own mj_inverse does so too, but loses what we need to rounding where drag is large, as on agar.)
        """
        data = self.data
        data.qfrc_applied[:] = 0.0
        mujoco.mj_forward(self.model, data)
        force, mass = data.qfrc_smooth + data.qfrc_constraint, self._mass()
        root, joints = self.root, self.joints
        coupling = np.linalg.solve(mass[np.ix_(root, root)], mass[np.ix_(root, joints)]).T
        return mass[np.ix_(joints, joints)] - coupling @ mass[np.ix_(root, joints)], force[joints] - coupling @ force[
            root
        ]

    def _mass(self) -> Float[np.ndarray, "dofs dofs"]:
        """Return the mass matrix with what the integrator adds to it."""
        model, data = self.model, self.data
        mass = np.zeros((model.nv, model.nv))
        for unit, column in zip(np.eye(model.nv), mass, strict=True):
            mujoco.mj_mulM(model, data, column, unit)
        damping = np.diag(model.dof_damping)
        if model.opt.integrator == mujoco.mjtIntegrator.mjINT_IMPLICITFAST:
            moment = np.zeros((model.nu, model.nv))
            mujoco.mju_sparse2dense(
                moment, data.actuator_moment.ravel(), data.moment_rownnz, data.moment_rowadr, data.moment_colind.ravel()
            )
            damping -= moment.T @ (model.actuator_biasprm[:, 2, None] * moment)
        return mass + self.dt * damping

    def _seen(self) -> dict[str, np.ndarray]:
        data, plane = self.data, list(self.body.parts.plane)
        forward = -data.site_xmat[self.frames].reshape(-1, 3, 3)[:, plane, 1]
        root = self.model.body(self.body.parts.root_body).id
        return {
            "joint_pos": data.qpos[self.joints].copy(),
            "joint_vel": data.qvel[self.joints].copy(),
            "link_pos": data.xipos[self.links][:, plane].copy(),
            "link_angle": np.arctan2(forward[:, 1], forward[:, 0]),
            "com_pos": data.subtree_com[root][plane].copy(),
        }


def _recording(body: Swimmer, arena: Arena, motion: _Motion, drive: str) -> Recording:
    envs = EnvBatch("swim", 1, body, arena, n_threads=1)
    facts = {**envs.facts(), "task": f"replay, {drive}", "neurons": [], "interventions": []}
    envs.close()
    steps = len(motion.arrays["joint_pos"])
    arrays: dict[str, Any] = {name: values[None].astype(np.float32) for name, values in motion.arrays.items()}
    none = np.zeros((1, steps, 0), np.float32)
    gear = body.gear or np.inf
    return Recording(
        **arrays, observations=none, actions=arrays["torque"] / np.float32(gear), rewards=none.sum(-1), target_pos=none,
        activity=none, neurons=(), dt=body.control_dt, meta=facts,
    )  # fmt: skip


def _speed(posture: Posture) -> float:
    """Return the net speed of the middle of a recorded worm, its lengths/s; NaN where it is not known where it was."""
    length, middle = float(np.mean(posture.length)), posture.nodes().mean(1)
    return float(np.linalg.norm(middle[-1] - middle[0]) / length / (posture.time[-1] - posture.time[0]))


def _rms(values: Float[np.ndarray, "*shape"]) -> float:
    return float(np.sqrt((values**2).mean()))
