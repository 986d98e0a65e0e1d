"""Find why lanes do not cover a MuJoCo model, in one line; and read the geometry of models that they cover."""

from __future__ import annotations

from collections.abc import Iterator

import mujoco
import numpy as np
from jaxtyping import Float, Int

from . import rows

_HINGE, _SLIDE = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE
_OFF, _ON = mujoco.mjtDisableBit, mujoco.mjtEnableBit
# Flags that have no effect on a chain in the plane without contacts.
_HARMLESS_OFF = (
    _OFF.mjDSBL_CONTACT | _OFF.mjDSBL_GRAVITY | _OFF.mjDSBL_EQUALITY | _OFF.mjDSBL_FRICTIONLOSS | _OFF.mjDSBL_WARMSTART
    | _OFF.mjDSBL_FILTERPARENT | _OFF.mjDSBL_MIDPHASE | _OFF.mjDSBL_NATIVECCD | _OFF.mjDSBL_ISLAND
    | _OFF.mjDSBL_MULTICCD | _OFF.mjDSBL_SENSOR | _OFF.mjDSBL_AUTORESET | _OFF.mjDSBL_EULERDAMP
)  # fmt: skip
_HARMLESS_ON = _ON.mjENBL_ENERGY | _ON.mjENBL_FWDINV
INTEGRATORS = {
    int(mujoco.mjtIntegrator.mjINT_EULER): rows.EULER,
    int(mujoco.mjtIntegrator.mjINT_IMPLICITFAST): rows.IMPLICITFAST,
    int(mujoco.mjtIntegrator.mjINT_RK4): rows.RK4,
}
_ROUNDING = 1e-9  # relative; a compiled model's directions are not exact


def reason_not_covered(model: mujoco.MjModel) -> str | None:
    """Return the first feature of a model that lanes do not cover, in one line; None where they cover it."""
    return next(_obstacles(model), None)


def _obstacles(model: mujoco.MjModel) -> Iterator[str]:
    """Yield the features of a model that the equations lack; later checks rely on earlier ones."""
    n_links = model.njnt - 2
    bodies = model.jnt_bodyid[2:]
    if n_links < 2 or list(model.jnt_type) != [_SLIDE, _SLIDE] + [_HINGE] * n_links:
        yield "its joints are not two slides and then hinges"
        return
    parents = [0, *bodies[:-1]]
    if (
        len(set(bodies)) < n_links
        or list(model.body_parentid[bodies]) != parents
        or (model.jnt_bodyid[:3] != bodies[0]).any()
    ):
        yield "it is a tree, not one chain of links from head to tail"
    elif np.isin(np.setdiff1d(np.arange(model.nbody), bodies), np.flatnonzero(model.body_weldid)).any():
        yield "a body without a joint is attached to a link"
    for count, what in (
        (model.ntendon, "tendons"), (model.neq, "equality constraints"), (model.nflex, "flexes"),
        (model.na, "actuators with activation"), (model.nplugin, "plugins"), (model.nhistory, "delays"),
    ):  # fmt: skip
        if count:
            yield f"it has {what}"
    yield from _odd_options(model)
    yield from _odd_joints(model)
    yield from _odd_actuators(model)
    if _may_touch(model):
        yield "its geoms may touch (contacts)"
    if (model.geom_fluid[:, 0] > 0).any():
        yield "a geom has the ellipsoid model of fluid forces"
    yield from _odd_shape(model)


def _odd_options(model: mujoco.MjModel) -> Iterator[str]:
    if int(model.opt.integrator) not in INTEGRATORS:
        yield "its integrator is not Euler, implicitfast or RK4"
    for flags, harmless, bits in (
        (model.opt.disableflags, _HARMLESS_OFF, _OFF),
        (model.opt.enableflags, _HARMLESS_ON, _ON),
    ):
        if odd := int(flags) & ~int(harmless):
            names = [bit.name[7:].lower() for bit in map(bits, (1 << place for place in range(32) if odd >> place & 1))]
            yield f"its option flags change {', '.join(names)}"
    if not model.opt.disableflags & _OFF.mjDSBL_GRAVITY and np.abs(model.opt.gravity[:2]).max() > 0:
        yield "gravity pulls in the plane of motion"
    if np.abs(model.opt.wind).max() > 0:
        yield "the fluid moves (wind)"


def _odd_joints(model: mujoco.MjModel) -> Iterator[str]:
    data = at_zero(model)
    axes = np.array([[1, 0, 0], [0, 1, 0]] + [[0, 0, 1]] * (model.njnt - 2))
    if np.abs(data.xaxis - axes).max() > _ROUNDING:
        yield "its joints are not a slide along x, one along y and hinges about z"
    if np.abs(model.qpos0).max() > 0:
        yield "a joint has a reference angle"
    if model.dof_frictionloss.any() or model.dof_dampingpoly.any() or model.jnt_stiffnesspoly.any():
        yield "a joint has dry friction, or a spring or damping that is not linear"
    root = slice(0, 3)
    if model.jnt_limited[root].any() or model.jnt_stiffness[root].any() or model.dof_damping[root].any():
        yield "the root has limits, springs or damping"
    if model.dof_armature[0] != model.dof_armature[1]:
        yield "the root's slides differ in armature"
    if model.jnt_actfrclimited.any():
        yield "a joint limits the force of its motor"
    limited = np.flatnonzero(model.jnt_limited)
    if len(limited):
        solref, solimp = model.jnt_solref[limited], model.jnt_solimp[limited]
        if (solref != solref[0]).any() or (solimp != solimp[0]).any():
            yield "its joints' limits differ in solref or solimp"
        if (
            (solref <= 0).any()
            or (solimp[0, 3:] != (0.5, 2)).any()
            or solimp[0, 2] < 1e-10
            or model.jnt_margin[limited].any()
        ):
            yield "its joints' limits have a margin, a negative solref, or a midpoint and power other than 0.5 and 2"


def _odd_actuators(model: mujoco.MjModel) -> Iterator[str]:
    motors = find_motors(model)
    if list(model.actuator_trnid[motors, 0]) != list(range(3, model.njnt)):
        yield "it does not have one motor for each hinge, from head to tail"
    biases = (mujoco.mjtBias.mjBIAS_NONE, mujoco.mjtBias.mjBIAS_AFFINE)
    if (
        (model.actuator_gaintype != mujoco.mjtGain.mjGAIN_FIXED).any()
        or not np.isin(model.actuator_biastype, biases).all()
        or model.actuator_forcelimited.any()
        or model.actuator_damping.any()
        or model.actuator_dampingpoly.any()
        or model.actuator_armature.any()
        or model.opt.disableactuator
    ):
        yield "an actuator is neither a motor nor a servo, or limits its force"
    elif site_drag(model) is None:
        yield "an actuator acts on neither a hinge nor, as linear drag, on a link's centre along an axis of the link"


def _may_touch(model: mujoco.MjModel) -> bool:
    if model.opt.disableflags & _OFF.mjDSBL_CONTACT:
        return False
    weld = model.body_weldid[model.geom_bodyid]
    touching = (model.geom_contype[:, None] & model.geom_conaffinity) != 0
    touching |= touching.T
    apart = weld[:, None] != weld
    parent = model.body_weldid[model.body_parentid[weld]]
    if not model.opt.disableflags & _OFF.mjDSBL_FILTERPARENT:
        related = (parent[:, None] == weld) & (weld != 0)
        apart &= ~(related | related.T)
    return bool((touching & apart).any() or model.npair)


def _odd_shape(model: mujoco.MjModel) -> Iterator[str]:
    bodies = model.jnt_bodyid[2:]
    if (model.body_mass[bodies] < 1e-12).any():
        yield "a link has no mass"
        return
    data = at_zero(model)
    reach, offset = reach_of(model, data)
    size = np.linalg.norm(reach, axis=1)
    if size.min() < 1e-9:
        yield "two hinges, or a hinge and the tail's centre, are at the same place"
        return
    axis = reach / size[:, None]
    if np.abs(offset[:, 0] * axis[:, 1] - offset[:, 1] * axis[:, 0]).max() > _ROUNDING * size.max():
        yield "a link's centre of mass is off the line between its hinges"
    along = share_along(axis, data, bodies)
    if np.abs(along - np.round(along)).max() > _ROUNDING:
        yield "a link's axes of inertia are oblique to the line between its hinges"


def at_zero(model: mujoco.MjModel) -> mujoco.MjData:
    """Return the data of the model at joint angles 0."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    mujoco.mj_comPos(model, data)
    return data


def reach_of(
    model: mujoco.MjModel, data: mujoco.MjData
) -> tuple[Float[np.ndarray, "links 2"], Float[np.ndarray, "links 2"]]:
    """Return vectors from each link's front hinge to the next hinge (in the tail: to its centre), and to its centre."""
    front, centre = data.xanchor[2:, :2], data.xipos[model.jnt_bodyid[2:], :2]
    return np.vstack([front[1:] - front[:-1], centre[-1:] - front[-1:]]), centre - front


def share_along(
    axis: Float[np.ndarray, "links 2"], data: mujoco.MjData, bodies: np.ndarray
) -> Float[np.ndarray, "links 3"]:
    """Return the squared cosine between each link's line and each axis of its inertia: 0 or 1 where not oblique."""
    frames = data.ximat[bodies].reshape(-1, 3, 3)
    return np.einsum("ni,nij->nj", np.c_[axis, np.zeros(len(axis))], frames) ** 2


def find_motors(model: mujoco.MjModel) -> Int[np.ndarray, " motors"]:
    """Return the numbers of the actuators that act on joints."""
    kinds = (mujoco.mjtTrn.mjTRN_JOINT, mujoco.mjtTrn.mjTRN_JOINTINPARENT)
    return np.flatnonzero(np.isin(model.actuator_trntype, kinds))


def site_drag(model: mujoco.MjModel) -> Float[np.ndarray, "links 3"] | None:
    """Return each link's linear drag from uncontrolled actuators on sites; None if any has another effect."""
    bodies = list(model.jnt_bodyid[2:])
    drag = np.zeros((len(bodies), 3))
    data = at_zero(model)
    reach, _ = reach_of(model, data)
    for actuator in set(range(model.nu)) - set(find_motors(model)):
        site, other = model.actuator_trnid[actuator]
        gain, bias, gear = (getattr(model, f"actuator_{name}")[actuator] for name in ("gainprm", "biasprm", "gear"))
        is_site = model.actuator_trntype[actuator] == mujoco.mjtTrn.mjTRN_SITE
        if not is_site or other >= 0 or gain[0] or bias[:2].any() or model.site_bodyid[site] not in bodies:
            return None
        link = bodies.index(model.site_bodyid[site])
        frame = data.site_xmat[site].reshape(3, 3)
        tangent = np.array([*reach[link], 0.0]) / np.linalg.norm(reach[link])
        local = np.array([tangent, np.cross([0, 0, 1], tangent), [0, 0, 1]])
        push, turn = local @ frame @ gear[:3], local @ frame @ gear[3:]
        works = np.array([push[0], push[1], turn[2]])
        is_centred = np.abs(data.site_xpos[site] - data.xipos[bodies[link]])[:2].max() < _ROUNDING
        if np.count_nonzero(np.abs(works) > _ROUNDING * np.abs(works).max()) != 1 or not is_centred:
            return None
        drag[link] -= bias[2] * np.where(np.abs(works) == np.abs(works).max(), works**2, 0.0)
    return drag
