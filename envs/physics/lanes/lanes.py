"""Many copies of one chain of links, stepped in parallel by vector (SIMD) instructions."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, Float, Int

from ....errors import InvalidBody, InvalidTask, UnknownName
from ....options import up_to
from ..cores import available_threads
from . import rows
from .chain import Chain, read_chain
from .compiling import compiled, has_wide_registers
from .controller import NOBODY, Controller
from .face import NOTHING, Face

# Two registers of AVX-512, which hides latency, or as many narrower ones as fit; for up to 4 environments, blocks of 2
# are faster. Bits are the same for every width.
_WIDEST, _WIDE, _NARROW, _FEW = 16, 8, 2, 4
_SERIAL_BELOW = 64  # environments: waking a thread costs more than stepping these
_WORTH_A_THREAD = 10_000  # links times physics steps: takes 100 microseconds; waking a thread takes 40
SCALES = ("link_mass", "link_length", "gear", "density", "viscosity")
SETTINGS = (*SCALES, "drag", "force")


class Lanes:
    """`n_envs` copies of a planar chain; public arrays are views, updated by reset, step, set and set_state.

    Public arrays are in the order of environments; internally, `width` environments share a vector. The results of an
    environment depend, bit for bit, only on its own state, parameters and commands: not on `n_envs`, its index, other
    environments, `width`, `n_threads` or the machine.

    Args:
        model: the body, compiled.
        n_envs: number of environments.
        n_threads: number of threads for batches of 64 or more; smaller ones are stepped in the caller's thread. 0
            chooses by the amount of work, at most one per core and OMP_NUM_THREADS.
        scaled: function that compiles the scaled body, as `Body.compile` does; `set` checks lengths and masses against
            it, and uses it if links are not boxes. Without it, links are assumed to be boxes.
        width: environments per vector; by default the fastest.
        zones: [zones + 1, rows.ZONE], media by position, which set the links' linear drag; see `kernel.fill_media`.
        lengths: [links], length of each link, m; needed with zones.

    Raises:
        InvalidBody: lanes do not support the model; the message says why.
        MissingDependency: numba is missing or broken.

    Attributes:
        chain: the model as arrays.
        ctrl: [n_envs, n_joints]: commands for the next step, in units of the motor's range.
        diverged: [n_envs], whether a state was not finite, or beyond 1e10, since its last reset.
        qpos: [n_envs, 3 + n_joints]: position of the head's front, m, heading and joint angles, rad.
        qvel: [n_envs, 3 + n_joints]: their velocities, m/s and rad/s.
        link_velocity: [n_envs, n_links, 3]: velocity of each link's centre in the link's frame, whose -y axis points to
            the head: x and y in m/s, rotation in rad/s.
        com: [n_envs, 2]: centre of mass, m.
        nose_pos: [n_envs, 2], m.
        head_x: [n_envs, 2]: the x axis of the head's frame, whose -y axis points forward.
        head_y: [n_envs, 2]: its y axis.
    """

    diverged: Bool[np.ndarray, " envs"]
    qpos: Float[np.ndarray, "envs coordinates"]
    qvel: Float[np.ndarray, "envs coordinates"]
    link_velocity: Float[np.ndarray, "envs links 3"]
    com: Float[np.ndarray, "envs 2"]
    nose_pos: Float[np.ndarray, "envs 2"]
    head_x: Float[np.ndarray, "envs 2"]
    head_y: Float[np.ndarray, "envs 2"]

    def __init__(
        self,
        model: mujoco.MjModel,
        n_envs: int,
        n_threads: int = 0,
        scaled: Callable[..., mujoco.MjModel] | None = None,
        width: int | None = None,
        zones: Float[np.ndarray, "media numbers"] | None = None,
        lengths: Float[np.ndarray, " links"] | None = None,
    ) -> None:
        if n_envs < 1:
            raise InvalidTask(f"n_envs is {n_envs}; give 1 or more")
        cores = os.cpu_count() or 1
        if not 0 <= n_threads <= cores:
            raise InvalidTask(f"n_threads is {n_threads}; give {up_to(cores)}, or 0 to leave the choice")
        self.chain: Chain = read_chain(model)
        self.n_envs, self.n_threads, self._scaled = n_envs, n_threads, scaled
        self.n_links, self.n_joints = self.chain.n_links, self.chain.n_links - 1
        self.width = width or (_NARROW if n_envs <= _FEW else _WIDEST if has_wide_registers() else _WIDE)
        self._all = np.arange(n_envs)
        self.ctrl = np.zeros((n_envs, self.n_joints))
        self._state = np.zeros((n_envs, self.n_links + 2, 3))
        self._readings = np.zeros((n_envs, rows.n_readings(self.n_links)))
        self.diverged = np.zeros(n_envs, bool)
        self._settings: dict[str, np.ndarray] = {}
        self._constants = self.chain.constants.copy()
        self._are_boxes: bool | None = None
        self._parameters = self.chain.parameters[None]  # [1 or n_envs, numbers]
        self._zones = np.zeros((0, rows.ZONE)) if zones is None else np.ascontiguousarray(zones, float)
        self._lengths = np.zeros(0) if lengths is None else np.ascontiguousarray(lengths, float)
        if len(self._zones):  # each environment's links then have drag of their own
            self._parameters = np.tile(self._parameters, (n_envs, 1))
        self._blocks = self._in_blocks(self._parameters)
        self._face = NOTHING.in_order()
        self._open()
        self.reset(self._all, np.zeros((n_envs, self.n_joints + 3)))

    def _open(self) -> None:
        self._advance = compiled("advance", self.width)
        self._n_extra = 0  # rows that a controller needs
        self._spaces = [self._space()]
        self._pool: ThreadPoolExecutor | None = None
        self._pool_of = 0  # id of the process that owns its threads; a forked process has none of them
        for name, place in rows.reading_slices(self.n_links).items():
            setattr(self, name, self._readings[:, place])
            getattr(self, name).flags.writeable = False
        self.link_velocity = self.link_velocity.reshape(self.n_envs, self.n_links, 3)

    @property
    def gear(self) -> Float[np.ndarray, "envs joints"]:
        """Torque of each motor at full command, N m."""
        gear = self.chain.links(self._parameters)[:, 1:, rows.GEAR]
        return np.broadcast_to(gear, (self.n_envs, self.n_joints)).copy()

    @property
    def link_angle(self) -> Float[np.ndarray, "envs links"]:
        """World heading of each link (tail to head), rad, from -pi to pi."""
        facing = self.chain.links(self._parameters)[..., rows.FACING]
        angle = self._state[:, :-2, 0]
        return np.arctan2(-facing * np.sin(angle), -facing * np.cos(angle))

    @property
    def link_pos(self) -> Float[np.ndarray, "envs links 2"]:
        """Centre of mass of each link in the plane, m."""
        links = self.chain.links(self._parameters)
        axis = np.stack([np.cos(self._state[:, :-2, 0]), np.sin(self._state[:, :-2, 0])], axis=-1)
        reach = links[..., rows.LENGTH, None] * axis
        front = self._state[:, None, -2:, 0] + np.cumsum(reach, axis=1) - reach
        return front + links[..., rows.CENTRE, None] * axis

    def show(self, face: Face) -> None:
        """Set a face, which is written now and after every step, reset and change of state."""
        self._face = face.in_order()
        self._run(self._all, 0)

    def reset(
        self,
        ids: Int[np.ndarray, " some"],
        qpos: Float[np.ndarray, "some coordinates"],
        qvel: Float[np.ndarray, "some coordinates"] | None = None,
    ) -> None:
        """Set the positions `qpos` and velocities `qvel` (0 by default) of environments, m and rad."""
        ids = np.ascontiguousarray(ids, np.int64)
        parameters = self._parameters if len(self._parameters) == 1 else self._parameters[ids]
        state = np.zeros((len(ids), self.n_links + 2, 3))
        state[:, :-2, 0] = (self.chain.constants[rows.TURN] + qpos[:, 2])[:, None]
        state[:, 1:-2, 0] += np.cumsum(qpos[:, 3:] + self.chain.links(parameters)[:, 1:, rows.BEND], axis=1)
        state[:, -2:, 0] = qpos[:, :2] + parameters[:, -rows.BODY_PARAMETERS + rows.ORIGIN_X :]
        if qvel is not None:
            state[:, :-2, 1] = np.cumsum(qvel[:, 2:], axis=1)
            state[:, -2:, 1] = qvel[:, :2]
        self._state[ids] = state
        self._run(ids, 0)

    def step(
        self,
        ctrl: Float[np.ndarray, "some joints"],
        n_substeps: int,
        ids: Int[np.ndarray, " some"] | None = None,
    ) -> None:
        """Advance by `n_substeps` physics steps under the commands `ctrl`; only `ids`, if they are given.

        Commands are in units of the motor's range, and clipped to it where the model does so.
        """
        self.ctrl[slice(None) if ids is None else ids] = ctrl
        self.advance(n_substeps, ids)

    def advance(self, n_substeps: int, ids: Int[np.ndarray, " some"] | None = None) -> None:
        """Advance by `n_substeps` physics steps under `ctrl`; `ids` are indices of environments, None means all."""
        self._run(self._all if ids is None else np.ascontiguousarray(ids, np.int64), n_substeps)

    def steer(self, controller: Controller, n_steps: int, n_substeps: int) -> None:
        """Advance all environments by control steps under a controller, in one call; `show` must have set a face.

        All environments must have been reset at the same time.

        Args:
            controller: commands the motors; its memory and tallies are updated.
            n_steps: control steps.
            n_substeps: physics steps of each.
        """
        n_rows = len(controller.columns) + self.n_joints + controller.n_room
        if n_rows > self._n_extra:
            self._n_extra = n_rows
            self._spaces = [self._space()]
        self._run(self._all, n_substeps, n_steps, controller)

    def set(self, ids: Int[np.ndarray, " some"], **settings: Float[np.ndarray, "some ..."]) -> None:
        """Change bodies and fluid of some environments; settings that are not named do not change.

        `link_mass`, `link_length`, `gear` and `density` are factors on the model's values, `viscosity` is in Pa s, each
        [some]; the result equals compiling the scaled model. `drag` [some, n_links, 3] is linear drag along and across
        each link, N s/m, and in rotation, N m s/rad, added to the model's. `force` [some, n_links, 3] pushes each
        link's centre along the world's x and y, N, and turns it, N m, until it is set again; for a force at another
        point, add its moment about the centre. Positions and velocities in joint coordinates do not change.

        Raises:
            UnknownName: there is no such setting.
        """
        if unknown := [name for name in settings if name not in SETTINGS]:
            raise UnknownName("setting of a body", unknown[0], SETTINGS)
        ids = np.ascontiguousarray(ids, np.int64)
        if not self._settings:
            self._settings = self._unchanged(self.n_envs)
            self._parameters = np.tile(self.chain.parameters, (self.n_envs, 1))
            self._blocks = self._in_blocks(self._parameters)
        for name, values in settings.items():
            self._settings[name][ids] = values
        if "force" in settings:
            self._constants[rows.IS_PUSHED] = self._settings["force"].any()
        qpos, parameters = self.qpos[ids, :2].copy(), self._drawn(ids, settings)
        links = self.chain.links(parameters)
        links[..., rows.PUSH_X : rows.PUSH_TURN + 1] = self._settings["force"][ids]
        self._parameters[ids] = parameters
        self._state[ids, -2:, 0] = qpos + parameters[:, -rows.BODY_PARAMETERS + rows.ORIGIN_X :]
        self._write_blocks(ids)
        self._run(ids, 0)

    def get_state(self, ids: Int[np.ndarray, " some"] | None = None) -> dict[str, Float[np.ndarray, "some ..."]]:
        """Return a copy of the full simulation state, one row per environment, in SI units and radians.

        `state` is [some, n_links + 2, 3]: world angle of each link's axis, then x and y of the head's front; each with
        its velocity and its last acceleration, which is the solver's first guess. The other keys are the settings of
        `set`.
        """
        ids = self._all if ids is None else ids
        settings = self._settings or self._unchanged(self.n_envs)
        return {"state": self._state[ids].copy(), **{name: values[ids].copy() for name, values in settings.items()}}

    def set_state(
        self, state: Mapping[str, Float[np.ndarray, "some ..."]], ids: Int[np.ndarray, " some"] | None = None
    ) -> None:
        """Continue from a state that `get_state` returned, for as many environments and in its units, bit for bit."""
        ids = self._all if ids is None else np.ascontiguousarray(ids, np.int64)
        settings = {name: np.asarray(state[name]) for name in SETTINGS}
        unchanged = self._unchanged(len(ids))
        if self._settings or any((settings[name] != unchanged[name]).any() for name in SETTINGS):
            self.set(ids, **settings)
        self._state[ids] = state["state"]
        self._run(ids, 0)

    def close(self) -> None:
        """End the threads."""
        if self._pool:
            self._pool.shutdown()
            self._pool = None

    def __getstate__(self) -> dict[str, Any]:
        views = ("_advance", "_pool", "_spaces", *rows.reading_slices(self.n_links))
        return {name: value for name, value in self.__dict__.items() if name not in views}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    def _run(
        self, ids: Int[np.ndarray, " some"], n_substeps: int, n_steps: int = 1, controller: Controller = NOBODY
    ) -> None:
        """Advance and read; `ids` are contiguous 64-bit integers."""
        if ids is self._all or len(self._parameters) == 1:
            blocks = self._blocks
        else:
            blocks = self._in_blocks(self._parameters[ids])
        n_blocks = -(-len(ids) // self.width)
        chain = self.chain
        rest = (
            ids, self._state, self.ctrl, chain.ctrl_range, blocks, self._constants, chain.kind, n_substeps,
            n_steps, self._zones, self._lengths, self._readings, self.diverged, *self._face, *controller.in_order(),
        )  # fmt: skip
        is_short = len(ids) < _SERIAL_BELOW and n_steps == 1
        n_threads = 1 if is_short else self._threads_for(len(ids), n_blocks, n_substeps * n_steps)
        if n_threads < 2:
            self._advance(0, n_blocks, self._spaces[0], *rest)
            return
        if self._pool is None or self._pool_of != os.getpid():
            most = self.n_threads or available_threads()
            self._pool, self._pool_of = ThreadPoolExecutor(most - 1, "lanes"), os.getpid()
        while len(self._spaces) < n_threads:
            self._spaces.append(self._space())
        ends = [n_blocks * part // n_threads for part in range(n_threads + 1)]
        parts = list(zip(itertools.pairwise(ends), self._spaces, strict=False))
        others = [self._pool.submit(self._advance, *pair, space, *rest) for pair, space in parts[1:]]
        self._advance(0, ends[1], self._spaces[0], *rest)
        for other in others:
            other.result()

    def _threads_for(self, n_envs: int, n_blocks: int, n_substeps: int) -> int:
        if self.n_threads or not n_substeps:
            return min(self.n_threads, n_blocks) if n_substeps else 1
        return min(available_threads(), n_blocks, n_envs * self.n_links * n_substeps // _WORTH_A_THREAD)

    def _space(self) -> Float[np.ndarray, "rows width"]:
        """Return the workspace of one block, aligned to a cache line: a row that crosses one takes twice as long."""
        n_rows = (self.n_links + 2) * rows.ROWS + self._readings.shape[1] + self._n_extra
        raw = np.zeros(n_rows * self.width + 8)
        start = -raw.ctypes.data % 64 // 8
        return raw[start : start + n_rows * self.width].reshape(n_rows, self.width)

    def _unchanged(self, n: int) -> dict[str, np.ndarray]:
        factors = {name: np.ones(n) for name in SCALES if name != "viscosity"}
        none = np.zeros((n, self.n_links, 3))
        return factors | {"viscosity": np.full(n, self.chain.viscosity), "drag": none, "force": none.copy()}

    def _drawn(self, ids: Int[np.ndarray, " some"], changed: Mapping[str, Any]) -> Float[np.ndarray, "some numbers"]:
        """Return the parameters of these environments under their settings."""
        if changed.keys() <= {"force"}:
            return self._parameters[ids]
        settings = {name: values[ids] for name, values in self._settings.items() if name != "force"}
        if changed.keys() & {"link_mass", "link_length"} and self._are_boxes is None:
            self._are_boxes = self._scaled is None or self._scales_as_boxes(self._scaled)
        if self._are_boxes is False and self._scaled is not None:
            return self._compiled(self._scaled, settings)
        found = self.chain.drawn(**settings)
        links = self.chain.links(found)
        if changed.keys() & {"link_mass", "link_length"}:
            blocks = self._in_blocks(found)
            compiled("weigh", self.width)(blocks, self.chain.constants, self._space())
            weighed = blocks.transpose(0, 2, 1).reshape(-1, found.shape[1])[: len(ids)]
            links[:, 1:, rows.INVERSE_WEIGHT] = self.chain.links(weighed)[:, 1:, rows.INVERSE_WEIGHT]
        else:
            before = self.chain.links(self._parameters[ids])
            links[:, 1:, rows.INVERSE_WEIGHT] = before[:, 1:, rows.INVERSE_WEIGHT]
        return found

    def _scales_as_boxes(self, scaled: Callable[..., mujoco.MjModel]) -> bool:
        """Compile one body of other lengths and masses, and return whether scaling boxes gives the same."""
        factors = {"link_mass": 1.25, "link_length": 1.5}
        try:
            theirs = read_chain(scaled(**factors)).parameters
        except InvalidBody:
            return False
        settings = self._unchanged(1) | {name: np.array([factor]) for name, factor in factors.items()}
        ours = self.chain.drawn(**{name: settings[name] for name in (*SCALES, "drag")})[0]
        for parameters in (ours, theirs):
            self.chain.links(parameters)[:, rows.INVERSE_WEIGHT] = 0.0  # computed in another way, and checked by tests
        return bool(np.allclose(ours, theirs, rtol=1e-9, atol=1e-15))

    def _compiled(
        self, scaled: Callable[..., mujoco.MjModel], settings: Mapping[str, np.ndarray]
    ) -> Float[np.ndarray, "some numbers"]:
        found = np.empty((len(settings["drag"]), self._parameters.shape[1]))
        for row, parameters in enumerate(found):
            parameters[:] = read_chain(scaled(**{name: settings[name][row] for name in SCALES})).parameters
        self.chain.links(found)[..., rows.LINEAR_ALONG : rows.LINEAR_TURN + 1] += settings["drag"]
        return found

    def _in_blocks(self, parameters: Float[np.ndarray, "some numbers"]) -> Float[np.ndarray, "blocks numbers width"]:
        """Lay rows side by side in blocks; the last row pads the last block."""
        padded = np.arange(-(-len(parameters) // self.width) * self.width).clip(max=len(parameters) - 1)
        found = parameters[padded].reshape(-1, self.width, parameters.shape[1])
        return np.ascontiguousarray(found.transpose(0, 2, 1))

    def _write_blocks(self, ids: Int[np.ndarray, " some"]) -> None:
        self._blocks[ids // self.width, :, ids % self.width] = self._parameters[ids]
        if (ids == self.n_envs - 1).any() and self.n_envs % self.width:
            self._blocks[-1, :, self.n_envs % self.width :] = self._parameters[-1][:, None]
