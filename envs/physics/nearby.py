"""Which links and posts may touch in the next control step: only those are looked at in each physics step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, Int

from ...errors import MissingDependency
from ..arenas.contacts import LATTICE, POST
from ..arenas.posts import Stands
from ..bodies.body import Body
from .lanes import compiled_near

_CONTACT = int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
# How far links get in a control step beyond what is near now, m: one and a half times as far as at the speed of the
# fastest, and twice as far as motors push one from rest. Swimmers under full commands at random got by 0.4 to 1.5 times
# the latter further than at their speed, which is 5 mm in all.
_LEAST, _AHEAD, _PUSHED = 0.002, 1.5, 2.0
_MASKS = ("geom_contype", "geom_conaffinity", "body_contype", "body_conaffinity")


class Nearby:
    """The pairs of a link and a post that each environment of a batch looks at: those that are near.

    A model looks at as many pairs as it has slots. Environments with more near ones than that look at all, by MuJoCo's
    own search, and those with none at nothing. What is found is the same, in the same order: only pairs that cannot
    touch are left out. Where numba cannot compile the search, all look at everything.

    Args:
        batch: MuJoCo's.
        model: of the world, with slots.
        bodies: of one shape, in a fluid.
        stands: what stands around them, none of which can be pushed.

    Attributes:
        is_near: which environments have something near, [envs].
    """

    def __init__(self, batch: Any, model: mujoco.MjModel, bodies: tuple[Body, ...], stands: Stands) -> None:
        self._batch, self._n_envs, self._n_slots = batch, batch.nsim, model.npair
        self.is_near = np.ones(self._n_envs, bool)
        # A slot to spare looks at the two that stand furthest apart, which MuJoCo lets be, since neither moves.
        away = np.linalg.norm(stands.places[:, None, :2] - stands.places[:, :2], axis=-1)
        posts = np.array([model.geom(POST.format(index)).id for index in range(len(stands.places))], np.int32)
        spare = posts[list(np.unravel_index(away.argmax(), away.shape))]
        if self._n_slots < len(posts) * bodies[0].n_links:
            self._one, self._two = batch.expand("pair_geom1"), batch.expand("pair_geom2")
            self._one[:], self._two[:] = spare
        else:
            # Of so few pairs each has its slot, and keeps it.
            self._one, self._two = np.zeros((2, self._n_envs, self._n_slots), np.int32)
        self._search: Callable[..., int] | None = None
        try:
            self._search = compiled_near()
        except MissingDependency:
            return
        parts, body = bodies[0].parts, bodies[0]
        self._lengths, widths = (np.max([each.link_sizes[axis] for each in bodies], 0) for axis in (0, 1))
        inertia = model.body_inertia[[model.body(name).id for name in parts.links]].max(1).min()
        spin = float(model.actuator_gear[:, 0].max() / inertia)  # rad/s^2
        self._push, self._widths = 0.25 * spin * body.control_dt**2 * self._lengths.max(), widths
        self._links = np.array([
            (model.body(link).id, model.site(frame).id, model.sensor(f"velocity_{index}").adr[0], model.geom(shell).id)
            for index, (link, frame, shell) in enumerate(zip(parts.links, parts.frames, parts.shells, strict=True))
        ], np.int32)  # fmt: skip
        heading = stands.places[:, 2]
        self._places = np.column_stack([
            stands.places[:, :2], np.cos(heading), np.sin(heading), stands.half, stands.radius
        ])  # fmt: skip
        lattice = int(model.body_mocapid[model.body(LATTICE).id]) if stands.n_cell else -1
        own = int(model.opt.disableflags)
        self._geoms = np.array([*spare, lattice, stands.n_own, own | _CONTACT, own, *posts], np.int32)
        # Where there is no lattice, no mocap body is read.
        shape = (self._n_envs, 1)
        self._mocap = (
            (batch.bind("mocap_pos"), batch.bind("mocap_quat"))
            if lattice >= 0
            else (np.zeros((*shape, 3)), np.zeros((*shape, 4)))
        )
        self._flags = batch.expand("opt.disableflags")
        self._all = {name: np.array(getattr(model, name)) for name in _MASKS}
        # Until the first search, every environment looks at all.
        self._looks_at_all, self._counts = np.ones(self._n_envs, bool), np.full(self._n_envs, 2**30, np.int32)
        self._everyone, self._ahead = np.ones(self._n_envs, bool), _AHEAD * body.control_dt
        self.change(np.ones(self._n_envs), np.ones(self._n_envs))

    def change(self, lengths: Float[np.ndarray, " envs"], pushes: Float[np.ndarray, " envs"]) -> None:
        """Take note of other bodies: by what factors links are longer, and motors accelerate them more."""
        if self._search is not None:
            rest = _LEAST + _PUSHED * self._push * pushes
            halves = [0.5 * np.maximum(lengths, 1.0)[:, None] * size for size in (self._lengths, self._widths)]
            halves[0] = 0.5 * lengths[:, None] * self._lengths
            self._steps = np.column_stack([rest, np.full(self._n_envs, self._ahead), *halves])

    def refresh(self, ids: Int[np.ndarray, " some"] | None) -> bool:
        """Choose the pairs of some environments, or all, for their next control step, from where the bodies are now.

        Return whether something is near in other environments than before.
        """
        if self._search is None:
            return False
        asked = self._everyone
        if ids is not None:
            asked = np.zeros(self._n_envs, bool)
            asked[ids] = True
        bind = self._batch.bind
        frames = bind("site_xmat").reshape(self._n_envs, -1, 9)
        changes = self._search(
            asked, self._links, self._places, self._steps, bind("xipos"), frames, bind("sensordata"), *self._mocap,
            self._geoms, self._one, self._two, self._counts, self._flags,
        )  # fmt: skip
        if changes & 2:
            looks_at_all = self._counts > self._n_slots
            changed = (looks_at_all != self._looks_at_all).nonzero()[0]
            for name, masks in self._all.items():
                self._batch.expand(name)[changed] = np.where(looks_at_all[changed, None], masks, 0)
            self._looks_at_all = looks_at_all
        if changes & 1:
            self.is_near = self._counts > 0
        return bool(changes & 1)
