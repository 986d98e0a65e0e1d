"""Chains in vector instructions behind the interface of `Physics`: MuJoCo's equations, many times as fast."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int
from mujoco import MjData, MjModel

from ...errors import InvalidBody, UnknownName
from ..arenas.arena import Arena
from ..arenas.zones import SHAPES
from ..bodies.body import Body
from .lanes import Controller, Face, Lanes, reason_not_covered, rows
from .mujoco_batch import MujocoBatch, substeps_of
from .physics import PARAMETERS, QUANTITIES, Physics

# Parameters that lanes take as drag added to the model's, and keep in their state as such.
_OF_DRAG = {"drag", "drag_ratio"}


class LanePhysics(Physics):
    """`n_envs` copies of a planar chain, stepped side by side in vector instructions; see `Physics` and `Lanes`.

    Args:
        bodies: one body; lanes do not support batches of several bodies.
        n_envs: number of environments.
        arena: the bodies' surroundings.
        n_threads: threads for 64 environments and more; 0 chooses automatically.

    Raises:
        InvalidBody: lanes do not cover the body; says why.
        MissingDependency: numba is missing or broken.
    """

    dtype = np.float32  # torch's default, so that no step converts arrays

    def __init__(
        self, bodies: Body | Sequence[Body], n_envs: int, arena: Arena | None = None, n_threads: int = 0
    ) -> None:
        self.bodies = (bodies,) if isinstance(bodies, Body) else tuple(bodies)
        self.body, self.n_envs, self.n_threads, self.arena = self.bodies[0], n_envs, n_threads, arena or Arena()
        if reason := reason_no_lanes(self.bodies, self.arena):
            raise InvalidBody(f"{reason}; choose physics mujoco")
        self._model = self.body.compile(arena=self.arena)
        self.n_substeps = substeps_of(self.body, self._model)
        zones = _as_rows(self.arena) if self.arena.zones else None
        self._lanes = Lanes(
            self._model, n_envs, n_threads, scaled=self._scaled, zones=zones, lengths=self.body.link_sizes[0]
        )
        self._actions, self.diverged = self._lanes.ctrl, self._lanes.diverged
        self._set: dict[str, np.ndarray] = {}
        self._readers = self._make_readers()

    def _make_readers(self) -> dict[str, Callable[[], np.ndarray]]:
        lanes = self._lanes
        readers: dict[str, Callable[[], np.ndarray]] = {
            "joint_pos": lambda: lanes.qpos[:, 3:],
            "joint_vel": lambda: lanes.qvel[:, 3:],
            "heading": lambda: lanes.qpos[:, 2],
            "root_vel": lambda: lanes.qvel[:, :3],
            "link_pos": lambda: lanes.link_pos,
            "link_angle": lambda: lanes.link_angle,
            "link_vel": lambda: lanes.link_velocity,
            "com_pos": lambda: lanes.com,
            "nose_pos": lambda: lanes.nose_pos,
            "head_axes": lambda: np.stack([lanes.head_x, lanes.head_y], axis=1),
            "motor_torque": lambda: np.clip(self._actions, -1.0, 1.0) * lanes.gear,
        }
        assert readers.keys() == QUANTITIES.keys()
        return readers

    def read(self, name: str) -> Float[np.ndarray, "envs ..."]:
        """Return a quantity of every environment; see `Physics.read`."""
        if name not in self._readers:
            raise UnknownName("quantity", name, QUANTITIES)
        return self._readers[name]()

    def reset(
        self,
        ids: Int[np.ndarray, " some"],
        heading: Float[np.ndarray, " some"],
        joint_pos: Float[np.ndarray, "some joints"],
    ) -> None:
        """Put some environments at rest; see `Physics.reset`."""
        qpos = np.zeros((len(ids), 3 + self.body.n_joints))
        qpos[:, 2], qpos[:, 3:] = heading, joint_pos
        self._lanes.reset(ids, qpos)
        self._actions[ids] = 0.0

    def act(self, actions: Float[np.ndarray, "envs joints"]) -> None:
        """Set the motors' commands; see `Physics.act`."""
        self._actions[:] = actions

    def step(self, ids: Int[np.ndarray, " some"] | None = None) -> None:
        """Advance by one control step; see `Physics.step`."""
        self._lanes.advance(self.n_substeps, ids)

    @property
    def width(self) -> int:
        """Number of environments that share a vector."""
        return self._lanes.width

    def steer(self, controller: Controller, n_steps: int) -> None:
        """Advance by control steps that a controller commands; see `Lanes.steer`."""
        self._lanes.steer(controller, n_steps, self.n_substeps)

    def columns(self, name: str) -> Int[np.ndarray, " numbers"] | None:
        """Return the numbers of the kernel's readings that equal a quantity; None where it must be computed."""
        readings = rows.reading_slices(self.body.n_links)
        qvel = readings["qvel"]
        places = {
            "joint_pos": slice(3, readings["qpos"].stop),
            "joint_vel": slice(qvel.start + 3, qvel.stop),
            "link_vel": readings["link_velocity"],
        }
        return np.arange(places[name].start, places[name].stop) if name in places else None

    def show(self, face: Face) -> None:
        """Make the kernel write a face after every step; see `Lanes.show`."""
        self._lanes.show(face)

    def set(self, ids: Int[np.ndarray, " some"], values: Mapping[str, Float[np.ndarray, " some"]]) -> None:
        """Set the parameters of some environments; see `Physics.set`."""
        self._remember(ids, values)
        settings: dict[str, np.ndarray] = {name: each[ids] for name, each in self._set.items() if name not in _OF_DRAG}
        if self._set.keys() & _OF_DRAG:
            settings["drag"] = self._added_drag(ids)
        self._lanes.set(ids, **settings)

    def _added_drag(self, ids: Int[np.ndarray, " some"]) -> Float[np.ndarray, "some links 3"]:
        """Return by how much the drag of links is above the model's, N s/m and N m s/rad."""
        length, thickness = (self._set.get(name, np.ones(self.n_envs))[ids, None] for name in ("link_length", "drag"))
        own = self._lanes.chain.drag * np.stack([length, length, length**3], -1)
        found = own * thickness[..., None]
        if "drag_ratio" in self._set:
            found[..., 0] = found[..., 1] / self._set["drag_ratio"][ids, None]
        return found - own

    def _own_models(self) -> Sequence[MjModel]:
        return [self._model]

    def push(self, index: int, velocity: Float[np.ndarray, 2]) -> None:
        """Set the velocity of one body's root; see `Physics.push`."""
        state = self._lanes.get_state(np.array([index]))
        state["state"][0, -2:, 1] = velocity
        self._lanes.set_state(state, np.array([index]))

    def get_state(self) -> dict[str, Any]:
        """Return copies of everything that the future depends on."""
        media = {f"medium_{name}": self._set[name].copy() for name in sorted(_OF_DRAG & self._set.keys())}
        return {
            **self._lanes.get_state(), **media,
            "actions": self._actions.copy(), "has_diverged": self.diverged.copy(),
        }  # fmt: skip

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned, bit for bit.

        Raises:
            InvalidBody: the state belongs to another physics.
        """
        if "state" not in state:
            raise InvalidBody(
                "the state belongs to the physics of MuJoCo, and lanes cannot continue from it; choose physics mujoco"
            )
        self._lanes.set_state(state)
        self._set = {name: np.array(state[name]) for name in PARAMETERS if name not in _OF_DRAG}
        self._set |= {name: np.array(state[f"medium_{name}"]) for name in _OF_DRAG if f"medium_{name}" in state}
        self._actions[:] = state["actions"]
        self.diverged[:] = state["has_diverged"]

    def mujoco(self, index: int) -> tuple[MjModel, MjData]:
        """Return MuJoCo's model and data for one environment; see `Physics.mujoco`."""
        model = self._scaled(**{name: float(column[index]) for name, column in self._set.items()})
        data = MjData(model)
        data.qpos[:], data.qvel[:] = self._lanes.qpos[index], self._lanes.qvel[index]
        # A medium's drag is actuators too.
        data.ctrl[[model.actuator(name).id for name in self.body.parts.motors]] = self._actions[index]
        mujoco.mj_forward(model, data)
        return model, data

    def close(self) -> None:
        """End the threads."""
        self._lanes.close()

    def _scaled(self, **parameters: float) -> MjModel:
        physics = MujocoBatch(self.body, 1, self.arena, 1)
        # What stays as it is may be what cannot be set: a mesh has no other length, nor has a link among zones.
        changed = {name: np.array([each]) for name, each in parameters.items() if each != physics.parameter(name)[0]}
        if changed:
            physics.set(np.array([0]), changed)
        return physics.mujoco(0)[0]


def _as_rows(arena: Any) -> Float[np.ndarray, "media numbers"]:
    """Return the media of an arena with zones as the kernel has them; see `rows.SHAPE`."""
    found = np.zeros((1 + len(arena.zones), rows.ZONE))
    for row, medium in zip(found, (arena.medium, *(zone.medium for zone in arena.zones)), strict=True):
        row[rows.LOG_ACROSS], row[rows.LOG_RATIO] = math.log(medium.across), math.log(medium.ratio)
    for row, zone in zip(found[1:], arena.zones, strict=True):
        row[rows.SHAPE] = SHAPES.index(zone.shape)
        row[rows.ZONE_X : rows.TO_Y + 1] = zone.x, zone.y, math.cos(zone.heading), math.sin(zone.heading)
        row[rows.SIZE], row[rows.PER_EDGE] = zone.size, 1 / zone.edge
    return found


def reason_no_lanes(bodies: Sequence[Body], arena: Arena) -> str | None:
    """Return the reason, in one line, why lanes cannot step these bodies in this arena; None where they can."""
    body, parts = bodies[0], bodies[0].parts
    if len(bodies) > 1:
        return "the physics of lanes does not step batches of several bodies"
    if arena.stands(body) is not None:
        return "the physics of lanes knows no contacts, and posts stand in the arena"
    if parts.plane != (0, 1):
        reason: str | None = "its plane is not that of x and y"
    elif {parts.turn_sign, *parts.slide_signs, *parts.joint_signs} != {1}:
        reason = "an axis points backwards"
    elif set(parts.action_scale) - {1.0} or set(parts.action_offset) - {0.0}:
        reason = "a motor's range is not -1 to 1"
    else:
        reason = reason_not_covered(body.compile(arena=arena))
    return reason and f"the physics of lanes does not cover {body.name}: {reason}"
