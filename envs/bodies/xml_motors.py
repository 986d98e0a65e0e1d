"""The commands that drive a user's motors to the ends of their range."""

from __future__ import annotations

import math

import mujoco

from ...errors import InvalidBody

_GAIN, _BIAS, _DYN, _TRN = mujoco.mjtGain, mujoco.mjtBias, mujoco.mjtDyn, mujoco.mjtTrn


def find_motors(name: str, model: mujoco.MjModel, joints: list[int]) -> list[int]:
    """Return the actuator of each joint, in the order of the joints.

    Raises:
        InvalidBody: a joint has none or two, or an actuator acts on something else.
    """
    motors: dict[int, int] = {}
    for actuator in range(len(model.actuator_trntype)):
        label = model.actuator(actuator).name
        kind = _TRN(int(model.actuator_trntype[actuator]))
        if kind not in (_TRN.mjTRN_JOINT, _TRN.mjTRN_JOINTINPARENT):
            raise InvalidBody(
                f"{name}: actuator {label!r} acts on a {kind.name[6:].lower()}; give one motor per hinge, on joint="
            )
        joint = int(model.actuator_trnid[actuator, 0])
        if joint not in joints:
            raise InvalidBody(
                f"{name}: actuator {label!r} acts on the root joint {model.joint(joint).name!r}; "
                "the root moves freely: give motors only to the other hinges, one each"
            )
        if joint in motors:
            other = model.actuator(motors[joint]).name
            raise InvalidBody(
                f"{name}: actuators {other!r} and {label!r} both act on {model.joint(joint).name!r}; "
                "give one motor per hinge"
            )
        motors[joint] = actuator
    if missing := [model.joint(joint).name for joint in joints if joint not in motors]:
        raise InvalidBody(f"{name}: no motor acts on {missing[0]!r}; give one motor per hinge")
    return [motors[joint] for joint in joints]


def command_of_action(name: str, model: mujoco.MjModel, motor: int, joint: int) -> tuple[float, float]:
    """Return (offset, scale): ctrl = offset + scale * action drives the motor over its whole range.

    An action of +1 drives qpos up. The range of a motor is its ctrlrange, limited by forcerange (its own, or the
    joint's actuatorfrcrange); without a ctrlrange, it is that of the force alone. The range of a servo is its
    ctrlrange; a position servo without one takes its joint's range of angles.

    Raises:
        InvalidBody: the actuator has no such range, or its force is not proportional to the command.
    """
    label = model.actuator(motor).name
    if (
        _GAIN(int(model.actuator_gaintype[motor])) != _GAIN.mjGAIN_FIXED
        or _BIAS(int(model.actuator_biastype[motor])) not in (_BIAS.mjBIAS_NONE, _BIAS.mjBIAS_AFFINE)
        or _DYN(int(model.actuator_dyntype[motor])) not in (_DYN.mjDYN_NONE, _DYN.mjDYN_FILTER, _DYN.mjDYN_FILTEREXACT)
        or model.actuator_ctrlnum[motor] != 1
    ):
        raise InvalidBody(
            f"{name}: actuator {label!r} is not a motor or servo (its force is not proportional to the command); "
            "give <motor>, <position> or <velocity>"
        )
    if model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_ACTUATION or (
        0 <= (group := int(model.actuator_group[motor])) < 31 and model.opt.disableactuator >> group & 1
    ):
        raise InvalidBody(f"{name}: the <option> switches actuator {label!r} off; leave actuation enabled")
    gain, gear = float(model.actuator_gainprm[motor, 0]), float(model.actuator_gear[motor, 0])
    stiffness, damping = (float(value) for value in model.actuator_biasprm[motor, 1:3])
    if _BIAS(int(model.actuator_biastype[motor])) == _BIAS.mjBIAS_NONE:
        stiffness = damping = 0.0
    low, high = -math.inf, math.inf
    if model.actuator_ctrllimited[motor]:
        low, high = (float(bound) for bound in model.actuator_ctrlrange[motor])
    if not stiffness and not damping:
        for is_limited, bounds, unit in (
            (model.actuator_forcelimited[motor], model.actuator_forcerange[motor], gain),
            (model.jnt_actfrclimited[joint], model.jnt_actfrcrange[joint], gain * gear),
            (model.actuator_actlimited[motor], model.actuator_actrange[motor], 1.0),
        ):
            if is_limited and unit:
                ends = sorted(float(bound) / unit for bound in bounds)
                low, high = max(low, ends[0]), min(high, ends[1])
    elif stiffness == -gain and math.isinf(low):
        low, high = sorted(float(bound) * gear for bound in model.jnt_range[joint])
    if not -math.inf < low < high < math.inf:
        raise InvalidBody(
            f"{name}: actuator {label!r} has no finite range, and actions are relative to it "
            f'(its commands go from {low:g} to {high:g}); give it one, such as ctrlrange="-1 1" ctrllimited="true"'
        )
    upward = -1.0 if gain * gear < 0 else 1.0
    return (low + high) / 2, upward * (high - low) / 2
