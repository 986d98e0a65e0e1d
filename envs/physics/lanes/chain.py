"""A body as the arrays that lanes need, read from a compiled MuJoCo model."""

from __future__ import annotations

import dataclasses
import math

import mujoco
import numpy as np
from jaxtyping import Float

from ....errors import InvalidBody
from . import rows
from .coverage import INTEGRATORS, at_zero, find_motors, reach_of, reason_not_covered, share_along, site_drag

_OFF = mujoco.mjtDisableBit
_FREE = 1e9  # rad: a limit that no joint reaches


@dataclasses.dataclass(frozen=True)
class Chain:
    """A planar chain as arrays, SI units and radians.

    Attributes:
        n_links: number of links.
        parameters: [numbers], for each link, then for the body; order and units (m, kg, rad) as in `rows.py`.
        constants: [constants], the same in all environments; order and units (s, rad) as in `rows.py`.
        kind: the integrator, rows.EULER to rows.RK4.
        box: [links, 3], sides of each link's inertia box along it, across it and upwards, m.
        density: density of the fluid, kg/m^3.
        viscosity: viscosity of the fluid, Pa s.
        drag: [links, 3], linear drag by actuators without control: along and across, N s/m, in rotation, N m s/rad.
        ctrl_range: [joints, 2], the range that commands are clipped to, in units of the command.
        root: [2], position of the head's body at joint angles 0, m; lengths scale about it.
    """

    n_links: int
    parameters: Float[np.ndarray, " numbers"]
    constants: Float[np.ndarray, " constants"]
    kind: int
    box: Float[np.ndarray, "links 3"]
    density: float
    viscosity: float
    drag: Float[np.ndarray, "links 3"]
    ctrl_range: Float[np.ndarray, "joints 2"]
    root: Float[np.ndarray, " 2"]

    def links(self, parameters: Float[np.ndarray, "*some numbers"]) -> Float[np.ndarray, "*some links parameters"]:
        """Return a view of the links' part of `parameters`."""
        return parameters[..., : self.n_links * rows.PARAMETERS].reshape(
            *parameters.shape[:-1], self.n_links, rows.PARAMETERS
        )

    def drawn(
        self,
        link_mass: Float[np.ndarray, " bodies"],
        link_length: Float[np.ndarray, " bodies"],
        gear: Float[np.ndarray, " bodies"],
        density: Float[np.ndarray, " bodies"],
        viscosity: Float[np.ndarray, " bodies"],
        drag: Float[np.ndarray, "bodies links 3"],
    ) -> Float[np.ndarray, "bodies numbers"]:
        """Return parameters of bodies whose links are this body's boxes, scaled.

        Masses, lengths, gears and density are factors, viscosity is in Pa s, drag is added to this chain's. Inverse
        weights of limits are copied unchanged; `kernel.weigh_in` recomputes them.
        """
        found = np.tile(self.parameters, (len(link_mass), 1))
        links, body = self.links(found), found[:, self.n_links * rows.PARAMETERS :]
        mass, length = link_mass[:, None], link_length[:, None]
        along, across, up = (np.broadcast_to(side, links.shape[:2]) for side in self.box.T)
        links[..., rows.INERTIA] *= mass * ((length * along) ** 2 + across**2) / (along**2 + across**2)
        links[..., rows.MASS] *= mass
        links[..., (rows.LENGTH, rows.CENTRE)] *= length[..., None]
        links[..., rows.GEAR] *= gear[:, None]
        box = np.stack([length * along, across, up], axis=-1)
        links[..., rows.SQUARE_ALONG : rows.LINEAR_TURN + 1] = fluid_drag(
            box, self.density * density[:, None], viscosity[:, None]
        )
        links[..., rows.LINEAR_ALONG : rows.LINEAR_TURN + 1] += self.drag + drag
        body[:, (rows.NOSE_ALONG, rows.NOSE_ACROSS)] *= length
        body[:, (rows.ORIGIN_X, rows.ORIGIN_Y)] = self.root + length * (
            body[:, (rows.ORIGIN_X, rows.ORIGIN_Y)] - self.root
        )
        return found


def fluid_drag(
    box: Float[np.ndarray, "*links 3"], density: Float[np.ndarray, "*links"], viscosity: Float[np.ndarray, "*links"]
) -> Float[np.ndarray, "*links 6"]:
    """Return drag along, across and in rotation, quadratic then linear, by MuJoCo's inertia-box model."""
    along, across, up = box[..., 0], box[..., 1], box[..., 2]
    mean = box.mean(-1)
    linear = 3 * math.pi * mean * viscosity
    return np.stack(
        [
            density / 2 * across * up,
            density / 2 * along * up,
            density * up * (along**4 + across**4) / 64,
            linear,
            linear,
            math.pi * mean**3 * viscosity,
        ],
        axis=-1,
    )


def read_chain(model: mujoco.MjModel) -> Chain:
    """Read a chain from a compiled model.

    Raises:
        InvalidBody: lanes do not cover it; the message has the reason.
    """
    if reason := reason_not_covered(model):
        raise InvalidBody(f"the physics of lanes does not cover this body: {reason}")
    return _read(model)


def _read(model: mujoco.MjModel) -> Chain:
    data = at_zero(model)
    bodies = model.jnt_bodyid[2:]
    n_links = len(bodies)
    reach, offset = reach_of(model, data)
    links = np.zeros((n_links, rows.PARAMETERS))
    links[:, rows.LENGTH] = np.linalg.norm(reach, axis=1)
    axis = reach / links[:, rows.LENGTH, None]
    links[-1, rows.LENGTH] = 0.0
    links[:, rows.CENTRE] = (offset * axis).sum(1)
    mass, inertia = model.body_mass[bodies], model.body_inertia[bodies]
    links[:, rows.MASS] = mass
    along, up = share_along(axis, data, bodies), data.ximat[bodies].reshape(-1, 3, 3)[:, 2] ** 2
    links[:, rows.INERTIA] = (up * inertia).sum(1)
    sides = np.sqrt(6 * np.maximum(inertia.sum(1, keepdims=True) - 2 * inertia, 1e-15) / mass[:, None])
    box = np.stack([(share * sides).sum(1) for share in (along, 1 - along - up, up)], axis=-1)
    density, viscosity = float(model.opt.density), float(model.opt.viscosity)
    links[:, rows.SQUARE_ALONG : rows.LINEAR_TURN + 1] = fluid_drag(
        box, np.full(n_links, density), np.full(n_links, viscosity)
    )
    drag = site_drag(model)
    assert drag is not None  # checked by reason_not_covered
    links[:, rows.LINEAR_ALONG : rows.LINEAR_TURN + 1] += drag
    # The -y axis of the readings' frame points away from the next joint in the head, and towards the joint before in
    # all other links.
    links[:, rows.FACING] = np.sign(links[:, rows.CENTRE])
    links[0, rows.FACING] = np.sign(links[0, rows.LENGTH] - links[0, rows.CENTRE])
    turn = np.arctan2(axis[:, 1], axis[:, 0])
    links[1:, rows.BEND] = (np.diff(turn) + math.pi) % (2 * math.pi) - math.pi
    kind = _read_joints(model, links)
    constants = np.zeros(rows.CONSTANTS)
    constants[rows.STEP], constants[rows.TURN] = model.opt.timestep, turn[0]
    constants[rows.ROOT_ARMATURE] = model.dof_armature[0]
    constants[rows.REF_DAMPING : rows.PER_WIDTH + 1] = _limit_constants(model)
    front = data.xanchor[2, :2]
    nose = _nose(model, data, offset[0] + (offset[0] - reach[0]) + front) - front
    body = [*(nose @ np.array([axis[0], [-axis[0, 1], axis[0, 0]]]).T), *front]
    motors = find_motors(model)
    is_clipped = (model.actuator_ctrllimited[motors] > 0) & (not model.opt.disableflags & _OFF.mjDSBL_CLAMPCTRL)
    ctrl_range = np.where(is_clipped[:, None], model.actuator_ctrlrange[motors], (-np.inf, np.inf))
    return Chain(
        n_links=n_links,
        parameters=np.concatenate([links.ravel(), body]),
        constants=constants,
        kind=kind,
        box=box,
        density=density,
        viscosity=viscosity,
        drag=drag,
        ctrl_range=ctrl_range,
        root=data.xpos[bodies[0], :2].copy(),
    )


def _read_joints(model: mujoco.MjModel, links: Float[np.ndarray, "links parameters"]) -> int:
    """Fill in the joints' parameters; return the integrator."""
    bend, motors = links[1:, rows.BEND], find_motors(model)
    links[:, rows.ARMATURE], links[1:, rows.DAMPING] = model.dof_armature[2:], model.dof_damping[3:]
    links[1:, rows.STIFFNESS] = model.jnt_stiffness[3:]
    links[1:, rows.TORQUE_0] = model.jnt_stiffness[3:] * model.qpos_spring[3:]
    is_limited = model.jnt_limited[3:] > 0
    links[1:, rows.LOW] = np.where(is_limited, model.jnt_range[3:, 0], -_FREE) + bend
    links[1:, rows.HIGH] = np.where(is_limited, model.jnt_range[3:, 1], _FREE) + bend
    links[1:, rows.INVERSE_WEIGHT] = model.dof_invweight0[3:]
    gear = model.actuator_gear[motors, 0]
    links[1:, rows.GEAR] = gear * model.actuator_gainprm[motors, 0]
    links[:, rows.IMPLICIT_DAMPING] = links[:, rows.DAMPING]
    kind = INTEGRATORS[int(model.opt.integrator)]
    if kind == rows.EULER and links[:, rows.DAMPING].any() and not model.opt.disableflags & _OFF.mjDSBL_EULERDAMP:
        kind = rows.EULER_DAMPED
    # A servo is a spring and a damper; only implicitfast includes its damping in the matrix.
    is_affine = model.actuator_biastype[motors] == mujoco.mjtBias.mjBIAS_AFFINE
    constant, position, velocity = model.actuator_biasprm[motors, :3].T * is_affine
    links[1:, rows.TORQUE_0] += gear * constant
    links[1:, rows.STIFFNESS] -= gear**2 * position
    links[1:, rows.DAMPING] -= gear**2 * velocity
    if kind == rows.IMPLICITFAST:
        links[:, rows.IMPLICIT_DAMPING] = links[:, rows.DAMPING]
    return kind


def _limit_constants(model: mujoco.MjModel) -> tuple[float, float, float, float, float]:
    joint = next(iter(np.flatnonzero(model.jnt_limited)), 3)
    (time_constant, damping_ratio), (first, last, width, _, _) = model.jnt_solref[joint], model.jnt_solimp[joint]
    first, last = np.clip((first, last), 1e-4, 0.9999)
    if not model.opt.disableflags & _OFF.mjDSBL_REFSAFE:
        time_constant = max(time_constant, 2 * model.opt.timestep)
    stiffness = 1 / (last * time_constant * damping_ratio) ** 2
    return 2 / (last * time_constant), stiffness, first, last, 1 / width


def _nose(model: mujoco.MjModel, data: mujoco.MjData, otherwise: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " 2"]:
    """Return where the sensor `nose_pos` is; the head's tip where the model has none."""
    if (sensor := mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SENSOR, "nose_pos")) < 0:
        return otherwise
    places = {int(mujoco.mjtObj.mjOBJ_GEOM): data.geom_xpos, int(mujoco.mjtObj.mjOBJ_SITE): data.site_xpos}
    return places[int(model.sensor_objtype[sensor])][model.sensor_objid[sensor], :2]
