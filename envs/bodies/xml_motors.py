"""What command drives a user's motor to the ends of its range."""

from __future__ import annotations

import math

import mujoco

from ...errors import InvalidBody

_GAIN, _BIAS, _DYN, _TRN = mujoco.mjtGain, mujoco.mjtBias, mujoco.mjtDyn, mujoco.mjtTrn


def find_motors(name: str, model: mujoco.MjModel, joints: list[int]) -> list[int]:
    """Return the actuator of each joint, whatever the order in the XML.

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
                "a body is moved by its hinges alone: give one motor per hinge"
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

    Action +1 pushes qpos up. The range of a motor is ctrlrange, cut to what forcerange (its own, or the
    joint's actuatorfrcrange) lets through; without ctrlrange that alone. The range of a servo is its
    ctrlrange; a position servo without takes the angles that its joint may have.

    Raises:
        InvalidBody: the actuator has no such range, or its force is not one that grows with the command.
    """
    label = model.actuator(motor).name
    if (
        _GAIN(int(model.actuator_gaintype[motor])) != _GAIN.mjGAIN_FIXED
        or _BIAS(int(model.actuator_biastype[motor])) not in (_BIAS.mjBIAS_NONE, _BIAS.mjBIAS_AFFINE)
        or _DYN(int(model.actuator_dyntype[motor])) not in (_DYN.mjDYN_NONE, _DYN.mjDYN_FILTER, _DYN.mjDYN_FILTEREXACT)
        or model.actuator_ctrlnum[motor] != 1
    ):
        raise InvalidBody(
            f"{name}: actuator {label!r} is no motor or servo (its force is not in proportion to a command); "
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
            f"{name}: actuator {label!r} has no range, which is the unit of actions "
            f'(its commands go from {low:g} to {high:g}); give it one, such as ctrlrange="-1 1" ctrllimited="true"'
        )
    upward = -1.0 if gain * gear < 0 else 1.0
    return (low + high) / 2, upward * (high - low) / 2
