"""The reference physics: MuJoCo itself, which steps many environments together in native threads."""

from __future__ import annotations

import copy
import ctypes
import itertools
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int
from mujoco.batch import MODEL_FIELDS, Batch

from ...errors import InvalidBody, NervecordError, UnknownName
from ..arenas.arena import Arena
from ..arenas.media import Drag, drag_of, link_drag
from ..arenas.posts import MOST_STRETCH
from ..arenas.zones import drag_at
from ..bodies.body import Body, conventions
from .cores import available_threads
from .parameters import Parameters
from .physics import QUANTITIES, Physics
from .standing import Standing

# The whole state of an integration (mjSTATE_INTEGRATION); what a model does not have is empty.
_STATE = ("time", "qpos", "qvel", "act", "history", "qacc_warmstart", "ctrl", "qfrc_applied", "xfrc_applied",
          "eq_active", "mocap_pos", "mocap_quat", "userdata", "plugin_state")  # fmt: skip
# Runs of format 2 hold these alone; their bodies have nothing else.
_ALWAYS = ("time", "qpos", "qvel", "qacc_warmstart", "ctrl")
# Physics steps in a control step; a second of computing, where 3 to 50 are usual.
MAX_SUBSTEPS = 10_000
_IN_PLANE = [0, 1, 5]  # of (vx, vy, vz, wx, wy, wz) in a link's frame, whose z axis is the plane's normal
_DIVERGED = [int(getattr(mujoco.mjtWarning, name)) for name in ("mjWARN_BADQPOS", "mjWARN_BADQVEL", "mjWARN_BADQACC")]


class MujocoBatch(Physics):
    """A batch of bodies in an arena, stepped by MuJoCo's native threads; see `Physics`.

    Args:
        bodies: a body, or several whose models have the same structure, assigned to the environments in turn.
        n_envs: number of environments.
        arena: the bodies' surroundings.
        n_threads: number of native threads; 0 takes one per core, at most OMP_NUM_THREADS.

    Raises:
        InvalidBody: a control step is not a whole number of physics steps, or the bodies' models differ in structure.
    """

    def __init__(
        self, bodies: Body | Sequence[Body], n_envs: int, arena: Arena | None = None, n_threads: int = 0
    ) -> None:
        self.bodies = (bodies,) if isinstance(bodies, Body) else tuple(bodies)
        self.body, self.n_envs, self.n_threads = self.bodies[0], n_envs, n_threads
        self.arena = arena or Arena()
        self._models = [body.compile(arena=self.arena) for body in self.bodies]
        self._model = self._models[0]
        self.n_substeps = substeps_of(self.body, self._model)
        self._parts = self.body.parts
        self._parameters = [Parameters(body, model) for body, model in zip(self.bodies, self._models, strict=True)]
        self._which = np.arange(n_envs) % len(self.bodies)
        self._set: dict[str, np.ndarray] = {}
        self._stands = self.arena.stands(self.body)
        if self._stands is not None and len({float(body.link_sizes[0].sum()) for body in self.bodies}) > 1:
            raise InvalidBody(
                "bodies of several lengths cannot share an arena with posts; give each environments of its own"
            )
        if self.arena.zones:
            self._lengths, self._drag_ids = self.body.link_sizes[0], np.array(drag_of(self.body, self._model))
        self._open()

    def _open(self) -> None:
        if self.n_threads:
            threads = min(self.n_threads, self.n_envs)
        else:
            # A thread for fewer than 8 environments costs more in waking up than it saves.
            threads = min(available_threads(), max(1, self.n_envs // 8))
        _keep_logs_to_ourselves()
        self._batch: Any = Batch(self._model, self.n_envs, threads, persistent=True)
        _open_batches.add(self)
        self._give_bodies()
        self._ctrl, self._qpos = self._batch.bind("ctrl"), self._batch.bind("qpos")
        self._readers = self._make_readers()
        self._standing = None if self._stands is None else Standing(self._batch, self._model, self.bodies, self._stands)
        self._current: dict[str, np.ndarray] = {}
        self.diverged = np.zeros(self.n_envs, bool)
        self._warned = self._divergences()

    def _give_bodies(self) -> None:
        """Give each environment the fields of its own body's model, where bodies differ."""
        first = conventions(self.body, self._model)
        for body, model in zip(self.bodies, self._models, strict=True):
            if conventions(body, model) != first:
                raise InvalidBody(
                    f"{self.body.name} and {body.name} differ in signs of joints, ranges of motors or the order of "
                    "either; batch them apart"
                )
        for field in sorted(MODEL_FIELDS) if len(self._models) > 1 else ():
            holders = [model.opt if field.startswith("opt.") else model for model in self._models]
            values = [np.asarray(getattr(holder, field.removeprefix("opt."))) for holder in holders]
            if field.startswith("name") or all(np.array_equal(values[0], value) for value in values[1:]):
                continue
            if any(value.shape != values[0].shape for value in values):
                raise InvalidBody(f"{', '.join(body.name for body in self.bodies)} differ in {field}; batch them apart")
            rows = np.stack([values[which] for which in self._which])
            target = self._batch.expand(field)
            target[:] = rows.reshape(target.shape)

    def _make_readers(self) -> dict[str, Callable[[], np.ndarray]]:
        model, parts, bind = self._model, self._parts, self._batch.bind
        qpos, qvel, sensors, com = bind("qpos"), bind("qvel"), bind("sensordata"), bind("subtree_com")
        joints = [model.joint(name) for name in parts.joints]
        roots = [model.joint(name) for name in (*parts.slides, parts.turn)]
        self._joint_adr = _slice([int(joint.qposadr[0]) for joint in joints])
        dofs, root_dofs = _slice([int(j.dofadr[0]) for j in joints]), _slice([int(j.dofadr[0]) for j in roots])
        self._motor_ids = _slice([model.actuator(name).id for name in parts.motors])
        self._signs = np.array(parts.joint_signs or (1,) * len(joints), float)
        root_signs = np.array([*parts.slide_signs, parts.turn_sign], float)
        self._turn_adr = int(roots[2].qposadr[0])
        scale = np.array(parts.action_scale or (1.0,) * len(joints))
        offset = np.array(parts.action_offset or (0.0,) * len(joints))
        # Motors whose control is the action itself, which MuJoCo clips to their range.
        self._scaling = None if (scale == 1).all() and (offset == 0).all() else (scale, offset)
        links = _slice([model.body(name).id for name in parts.links])
        sites = [model.site(name).id for name in parts.frames]
        plane, root = list(parts.plane), model.body(parts.root_body).id
        in_plane = _slice(plane)
        nose, x_axis, y_axis = (int(model.sensor(name).adr[0]) for name in ("nose_pos", "head_x", "head_y"))
        first = int(model.sensor("velocity_0").adr[0])
        # Taking columns is several times as fast as indexing the last axis by a list.
        link_vel = (first + 6 * np.arange(len(parts.links))[:, None] + np.array(_IN_PLANE)).ravel()
        all_plus, root_plus = bool((self._signs > 0).all()), bool((root_signs > 0).all())

        def angles(axes: np.ndarray) -> np.ndarray:
            # A site's -y axis points towards the head; a matrix holds its axes in columns.
            forward = -axes.reshape(self.n_envs, -1, 3, 3)[:, sites][..., plane, 1]
            return np.arctan2(forward[..., 1], forward[..., 0])

        readers: dict[str, Callable[[], np.ndarray]] = {
            "joint_pos": lambda: qpos[:, self._joint_adr] if all_plus else qpos[:, self._joint_adr] * self._signs,
            "joint_vel": lambda: qvel[:, dofs] if all_plus else qvel[:, dofs] * self._signs,
            "heading": lambda: qpos[:, self._turn_adr] * root_signs[2],
            "root_vel": lambda: qvel[:, root_dofs] if root_plus else qvel[:, root_dofs] * root_signs,
            "link_pos": lambda: bind("xipos")[:, links][..., in_plane],
            "link_angle": lambda: angles(bind("site_xmat")),
            "link_vel": lambda: sensors.take(link_vel, axis=1).reshape(self.n_envs, -1, 3),
            "com_pos": lambda: com[:, root, in_plane],
            "nose_pos": lambda: sensors[:, nose : nose + 3][:, in_plane],
            "head_axes": lambda: np.stack(
                [sensors[:, x_axis : x_axis + 3][:, in_plane], sensors[:, y_axis : y_axis + 3][:, in_plane]], axis=1
            ),
            "motor_torque": lambda: bind("actuator_force")[:, self._motor_ids] * self.gear * self._signs,
        }
        assert readers.keys() == QUANTITIES.keys()
        return readers

    @property
    def gear(self) -> Float[np.ndarray, "envs joints"]:
        """Torque at each joint, N m, per unit of its actuator's force, with MuJoCo's signs."""
        is_own = "gear" in self._set or len(self.bodies) > 1
        gears = self._batch.expand("actuator_gear") if is_own else self._model.actuator_gear[None]
        return gears[:, self._motor_ids, 0]

    def read(self, name: str) -> Float[np.ndarray, "envs ..."]:
        """Return a quantity of every environment; see `Physics.read`."""
        # Several senses, the reward and the metrics may ask for the same between two steps.
        if (value := self._current.get(name)) is None:
            if name not in self._readers:
                raise UnknownName("quantity", name, QUANTITIES)
            value = self._current[name] = self._readers[name]()
        return value

    def reset(
        self,
        ids: Int[np.ndarray, " some"],
        heading: Float[np.ndarray, " some"],
        joint_pos: Float[np.ndarray, "some joints"],
    ) -> None:
        """Place some bodies at rest; see `Physics.reset`."""
        self._batch.reset(ids, stage=int(mujoco.mjtStage.mjSTAGE_NONE))
        self._qpos[ids, self._turn_adr] = heading * self._parts.turn_sign
        self._qpos[_rows(ids, self._joint_adr)] = joint_pos * self._signs
        self._batch.forward(ids)
        self._current.clear()
        self.diverged[ids] = False
        self._warned = self._divergences()

    def place(self, ids: Int[np.ndarray, " some"], lattice: Float[np.ndarray, "some 3"]) -> None:
        """Set the pose of the lattice in some environments; see `Physics.place`."""
        if self._standing is None:
            super().place(ids, lattice)
        else:
            self._standing.place(ids, lattice)
            self._batch.forward(ids)
            self._current.clear()

    def touch(self) -> Float[np.ndarray, "envs links"]:
        """Return the contact force on each link, N; see `Physics.touch`."""
        return super().touch() if self._standing is None else self._standing.touch()

    def penetration(self) -> Float[np.ndarray, " envs"]:
        """Return the largest penetration of obstacles, m; see `Physics.penetration`."""
        return super().penetration() if self._standing is None else self._standing.penetration()

    def obstacle_poses(self) -> Float[np.ndarray, "envs K 3"]:
        """Return the poses of the obstacles, m and rad; see `Physics.obstacle_poses`."""
        return self.obstacles.poses(self._batch.bind("geom_xpos"), self._batch.bind("geom_xmat"))

    def act(self, actions: Float[np.ndarray, "envs joints"]) -> None:
        """Set the motors' commands; see `Physics.act`. MuJoCo clips them to the motors' range."""
        if self._scaling is not None:
            scale, offset = self._scaling
            actions = np.clip(actions, -1.0, 1.0) * scale + offset
        self._ctrl[:, self._motor_ids] = actions

    def step(self, ids: Int[np.ndarray, " some"] | None = None) -> None:
        """Advance by one control step; see `Physics.step`."""
        if self.arena.zones:
            self._fill_media(ids)
        if self._standing is not None:
            self._standing.follow(lambda: self.read("com_pos"))
            self._standing.look(ids)
        # MuJoCo computes sensors before it integrates; stage VEL brings them to the new state for free.
        self._batch.step(ids, self.n_substeps, int(mujoco.mjtStage.mjSTAGE_VEL))
        self._current.clear()
        if self._batch.warning.tobytes() != self._all_warnings:
            warned = self._divergences()
            # MuJoCo has put these back to their reference pose by itself.
            self.diverged |= (warned != self._warned).any(axis=1)
            self._warned = warned

    def _fill_media(self, ids: Int[np.ndarray, " some"] | None) -> None:
        """Give each link the drag of the medium at its centre."""
        which = np.arange(self.n_envs) if ids is None else ids
        medium = self.arena.medium
        assert isinstance(medium, Drag)
        across, ratio = drag_at(medium, self.arena.zones, self.read("link_pos")[which])
        drags = link_drag(across, ratio, np.broadcast_to(self._lengths, across.shape))
        self._batch.expand("actuator_biasprm")[which[:, None, None], self._drag_ids, 2] = -drags

    def set(self, ids: Int[np.ndarray, " some"], values: Mapping[str, Float[np.ndarray, " some"]]) -> None:
        """Set the parameters of some environments; see `Physics.set`."""
        longest = float(np.max(values.get("link_length", 1.0), initial=0.0))
        if self._stands is not None and self._stands.n_cell and longest > MOST_STRETCH:
            raise InvalidBody(
                f"link_length {longest:.3g} cannot be drawn in a lattice, whose posts stand as far as the body itself "
                f"reaches; draw {MOST_STRETCH:g} at most"
            )
        self._remember(ids, values)
        derives = False
        for which, parameters in enumerate(self._parameters):
            some = ids[self._which[ids] == which]
            if len(some):
                fields, changes = parameters.fields({name: column[some] for name, column in self._set.items()})
                derives |= changes
                for field, rows in fields.items():
                    self._batch.expand(field)[some] = rows
        if derives:
            self._batch.set_const(ids)
        if self._standing is not None:
            lengths, weights = self.parameter("link_length"), self.parameter("link_mass")
            self._standing.change(lengths, self.parameter("gear") / (weights * lengths))

    def _own_models(self) -> Sequence[mujoco.MjModel]:
        return self._models

    def push(self, index: int, velocity: Float[np.ndarray, 2]) -> None:
        """Set the velocity of one body's root; see `Physics.push`."""
        dofs = [int(self._model.joint(name).dofadr[0]) for name in self._parts.slides]
        self._current.clear()
        self._batch.bind("qvel")[index, dofs] = np.asarray(velocity) * np.array(self._parts.slide_signs)
        if self._standing is not None:
            # How far links may get is by what their sensors say.
            self._batch.forward(np.array([index]), int(mujoco.mjtStage.mjSTAGE_VEL))

    def get_state(self) -> dict[str, Any]:
        """Return a copy of the full simulation state."""
        state: dict[str, Any] = {name: np.array(self._batch.bind(name)) for name in self._state_names()}
        if self._set:
            # What was set, not the fields that follow from it: a checkpoint holds few numbers.
            state["parameters"] = {name: column.copy() for name, column in self._set.items()}
        state["has_diverged"] = self.diverged.copy()
        if self._standing is not None:
            state["feels"] = self._standing.feels
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Continue from a state that `get_state` returned, or that a run of format 2 contains."""
        parameters = state.get("parameters")
        if parameters is None and "draws" in state:
            draws = state["draws"]
            parameters = {name: np.array([draw[name] for draw in draws]) for name in draws[0]}
        if parameters or self._set:
            held = {name: np.asarray(column) for name, column in (parameters or {}).items()}
            self.set(np.arange(self.n_envs), held)
        for name in self._state_names():
            if name in state:
                self._batch.bind(name)[:] = state[name]
        self._batch.forward(None, int(mujoco.mjtStage.mjSTAGE_VEL))
        if self._standing is not None:
            # Of where bodies are now follows what they may touch, and of that, what they do.
            self._standing.resume(bool(state.get("feels", False)))
            self._batch.forward(None, int(mujoco.mjtStage.mjSTAGE_VEL))
        self._current.clear()
        self.diverged[:] = state.get("has_diverged", False)
        self._warned = self._divergences()

    def mujoco(self, index: int) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """Return copies of the model and the data of one environment; see `Physics.mujoco`."""
        return copy.copy(self._batch.get_model(index)), copy.copy(self._batch.get_data(index))

    def close(self) -> None:
        """Free the native threads."""
        for name in ("_batch", "_readers", "_standing", "_current", "_ctrl", "_qpos"):
            self.__dict__.pop(name, None)

    def _state_names(self) -> list[str]:
        return [name for name in _STATE if name in _ALWAYS or self._batch.bind(name).size]

    def _divergences(self) -> np.ndarray:
        """Return how often MuJoCo warned of each kind of divergence, and note all warnings that there are."""
        self._all_warnings = self._batch.warning.tobytes()
        return np.array(self._batch.warning[:, _DIVERGED, 1])


class _AfterFork:
    """Stands for MuJoCo's batch in a forked child, which has none of its threads, and would wait for them for ever."""

    def __getattr__(self, name: str) -> Any:
        raise NervecordError(
            "these environments were made before the process was forked, and MuJoCo's threads stayed in the parent; "
            "make them in the child, start it by spawn, or give physics='lanes', which work in both"
        )


_open_batches: weakref.WeakSet[MujocoBatch] = weakref.WeakSet()


def _leave_batches() -> None:
    for each in list(_open_batches):
        if "_batch" in vars(each):
            # Never freed here: that would wait for the threads too.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(each._batch))
            each._batch = _AfterFork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_batches)


def substeps_of(body: Body, model: mujoco.MjModel) -> int:
    """Return how many physics steps a control step is.

    Raises:
        InvalidBody: no whole number, or more than `MAX_SUBSTEPS`.
    """
    n_substeps = round(body.control_dt / model.opt.timestep) if model.opt.timestep > 0 else 0
    if n_substeps > MAX_SUBSTEPS:
        raise InvalidBody(
            f"{body.name}: control_dt {body.control_dt} s is {n_substeps:,} physics steps of {model.opt.timestep} s; "
            f"{MAX_SUBSTEPS:,} are the most: give a larger timestep"
        )
    if not n_substeps or abs(n_substeps * model.opt.timestep - body.control_dt) > 1e-9:
        near = round(max(1, n_substeps) * model.opt.timestep, 9)
        raise InvalidBody(
            f"{body.name}: control_dt {body.control_dt} s is not a multiple of the physics step {model.opt.timestep} "
            f"s; give one, such as {near:g}"
        )
    return n_substeps


def _slice(numbers: list[int]) -> Any:
    """Return numbers that follow each other as a slice, which makes a view and no copy."""
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    if numbers and len(set(steps)) <= 1 and all(step > 0 for step in steps):
        return slice(numbers[0], numbers[-1] + 1, steps[0] if steps else 1)
    return numbers


def _rows(ids: np.ndarray, columns: Any) -> Any:
    return (ids, columns) if isinstance(columns, slice) else np.ix_(ids, columns)


def _keep_logs_to_ourselves() -> None:
    """Stop MuJoCo from writing MUJOCO_LOG.TXT into the user's folder: what it warns of is counted and said."""
    config = mujoco.MjLogConfig.get()
    if config.logto_file or config.logto_console:
        config.logto_file = config.logto_console = False
        config.set()
