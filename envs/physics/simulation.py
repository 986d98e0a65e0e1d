"""Many bodies of one topology, stepped together in MuJoCo's native threads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int
from mujoco.batch import Batch

from ...errors import InvalidBody, InvalidTask, UnknownName
from ..bodies.chain import SCALES
from ..bodies.swimmers import Body

# The whole state of these models for integration: no activations, mocap bodies or plugins exist in them.
_STATE = ("time", "qpos", "qvel", "qacc_warmstart", "ctrl")
_HEADER = 9  # sensordata begins with nose position, head x axis and head y axis
_PLANAR = [0, 1, 5]  # of (vx, vy, vz, wx, wy, wz): what a body in the plane can do


class Simulation:
    """`n_envs` copies of a body and their physics; arrays are live views, refreshed by every step.

    `ids` are numbers of environments, from 0.

    Args:
        body: the body of every environment.
        n_envs: how many.
        n_threads: native threads; 0 takes one per core, up to OMP_NUM_THREADS as every numeric library does.
        randomize: (low, high) for any of `link_mass`, `link_length`, `gear`, `density` (factors) and
            `viscosity` (Pa s); each environment draws its own body at every reset.

    Attributes:
        qpos: [n_envs, 3 + n_joints] float64: the head's place, m, its heading and the joint angles, rad.
        qvel: [n_envs, 3 + n_joints] float64: their velocities, m/s and rad/s.
        ctrl: [n_envs, n_joints] float64: motor commands, in units of the motor's range.
        com: centre of mass in the plane, [n_envs, 2], m.
    """

    def __init__(
        self,
        body: Body,
        n_envs: int,
        n_threads: int = 0,
        randomize: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        self.body, self.n_envs, self.n_threads = body, n_envs, n_threads
        self.randomize = _check_ranges(body, randomize or {})
        self.model = body.compile()
        self.n_joints = self.model.nu
        self.joint_range = self.model.jnt_range[3:].copy()
        # An unlimited hinge turns freely; its unit is half a turn.
        self.joint_range[self.model.jnt_limited[3:] == 0] = (-np.pi, np.pi)
        self.n_substeps = round(body.control_dt / self.model.opt.timestep)
        if abs(self.n_substeps * self.model.opt.timestep - body.control_dt) > 1e-9 or not self.n_substeps:
            raise InvalidBody(
                f"{body.name}: control_dt {body.control_dt} s is no multiple of "
                f"the physics step of {self.model.opt.timestep} s"
            )
        self._models = [self.model] * n_envs
        self._draws: list[dict[str, float]] = [{}] * n_envs
        self._open()

    def _open(self) -> None:
        if self.n_threads:
            threads = min(self.n_threads, self.n_envs)
        else:
            # A thread for fewer than 8 environments costs more in waking up than it saves.
            threads = min(_available_threads(), max(1, self.n_envs // 8))
        self._batch = Batch(self.model, self.n_envs, threads, persistent=True)
        self.qpos, self.qvel, self.ctrl = (self._batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        self._sensors = self._batch.bind("sensordata")
        self.com = self._batch.bind("subtree_com")[:, 1, :2]
        self._links = self._sensors[:, _HEADER:].reshape(self.n_envs, -1, 6)

    @property
    def joint_limit(self) -> Float[np.ndarray, " joints"]:
        """Half of each joint's range, rad."""
        return (self.joint_range[:, 1] - self.joint_range[:, 0]) / 2

    @property
    def joint_pos(self) -> Float[np.ndarray, "envs joints"]:
        """Joint angles, rad."""
        return self.qpos[:, 3:]

    @property
    def head_velocity(self) -> Float[np.ndarray, " envs"]:
        """Forward speed of the head in its own frame, m/s (the head faces its -y axis)."""
        return -self._links[:, 0, 1]

    @property
    def body_velocities(self) -> Float[np.ndarray, "envs links 3"]:
        """Velocity of each link in its own frame: x and y in m/s, rotation in rad/s."""
        return self._links[:, :, _PLANAR]

    @property
    def nose_pos(self) -> Float[np.ndarray, "envs 2"]:
        """Place of the nose in the plane, m."""
        return self._sensors[:, :2]

    @property
    def link_pos(self) -> Float[np.ndarray, "envs links 2"]:
        """Centre of mass of each link in the plane, m; bound at first use, current after the next step."""
        return self._batch.bind("xipos")[:, 1:, :2]

    @property
    def link_angle(self) -> Float[np.ndarray, "envs links"]:
        """World heading of each link (tail to head), rad, from sites whose -y axis points forward."""
        axes = self._batch.bind("site_xmat").reshape(self.n_envs, -1, 3, 3)
        sites = [self.model.site(f"link_{link}").id for link in range(self.body.n_links)]
        forward = -axes[:, sites][..., :2, 1]
        return np.arctan2(forward[..., 1], forward[..., 0])

    @property
    def gear(self) -> Float[np.ndarray, "envs joints"]:
        """Torque of each motor at full command, N m."""
        return np.stack([model.actuator_gear[:, 0] for model in self._models])

    def to_head_frame(self, point: Float[np.ndarray, "envs 2"]) -> Float[np.ndarray, "envs 2"]:
        """Return the vector from the nose to `point` in the head's frame, m."""
        header = self._sensors[:, :_HEADER].reshape(self.n_envs, 3, 3)
        offset = point - header[:, 0, :2]
        return np.einsum("nap,np->na", header[:, 1:, :2], offset)

    def reset(
        self,
        ids: Int[np.ndarray, " some"],
        heading: Float[np.ndarray, " some"],
        joint_pos: Float[np.ndarray, "some joints"],
        rngs: Sequence[np.random.Generator],
    ) -> None:
        """Put some environments at rest at the origin, with the heading and joint angles given (rad)."""
        if self.randomize:
            for index, rng in zip(ids, rngs, strict=True):
                self._draws[index] = {name: rng.uniform(*bounds) for name, bounds in self.randomize.items()}
                self._models[index] = self._drawn(self._draws[index])
            self._batch.set_models(self._models)
        self._batch.reset(ids, stage=int(mujoco.mjtStage.mjSTAGE_NONE))
        self.qpos[ids, 2] = heading
        self.qpos[ids, 3:] = joint_pos
        self.forward(ids)

    def forward(self, ids: Int[np.ndarray, " some"] | None = None) -> None:
        """Bring every derived quantity to the present state; warm-starts the solver as dm_control does."""
        self._batch.forward(ids)

    def step(self, ids: Int[np.ndarray, " some"] | None = None) -> None:
        """Advance by one control step under `ctrl`; only the environments `ids`, if they are given."""
        # MuJoCo computes sensors before it integrates; stage VEL brings them to the new state for free.
        self._batch.step(ids, self.n_substeps, int(mujoco.mjtStage.mjSTAGE_VEL))

    def model_of(self, index: int) -> mujoco.MjModel:
        """Return the model of one environment, which randomisation may have made its own."""
        return self._models[index]

    def get_state(self) -> dict[str, Any]:
        """Return copies of everything the physics depends on."""
        state: dict[str, Any] = {name: np.array(self._batch.bind(name)) for name in _STATE}
        if self.randomize:
            # What was drawn, not the models: a checkpoint holds JSON and arrays.
            state["draws"] = [dict(draw) for draw in self._draws]
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned."""
        if "draws" in state:
            self._draws = [dict(draw) for draw in state["draws"]]
            self._models = [self._drawn(draw) for draw in self._draws]
            self._batch.set_models(self._models)
        for name in _STATE:
            self._batch.bind(name)[:] = state[name]
        self._batch.forward(None, int(mujoco.mjtStage.mjSTAGE_VEL))

    def _drawn(self, draw: Mapping[str, float]) -> mujoco.MjModel:
        return self.body.compile(visual=False, **draw) if draw else self.model

    def close(self) -> None:
        """Free the native threads."""
        self.__dict__.pop("_batch", None)

    def __getstate__(self) -> dict[str, Any]:
        views = ("_batch", "qpos", "qvel", "ctrl", "com", "_sensors", "_links")
        kept = {name: value for name, value in self.__dict__.items() if name not in views}
        return {"kept": kept, "physics": self.get_state()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state["kept"])
        self._open()
        self.set_state(state["physics"])


def _check_ranges(body: Body, ranges: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    for name, bounds in ranges.items():
        if name not in SCALES:
            raise UnknownName("randomisation", name, SCALES)
        low, high = bounds
        if not 0 <= low <= high < np.inf or (name in ("link_mass", "link_length") and low == 0):
            raise InvalidTask(f"randomize {name}={tuple(bounds)} on {body.name}; give 0 < low <= high")
    return {name: (float(low), float(high)) for name, (low, high) in ranges.items()}


def _available_threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, int(limit)) if limit.isdigit() and int(limit) > 0 else cores
