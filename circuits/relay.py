"""The worm's wiring without a clock: bistable units switched by stretch, which oscillate through body feedback."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .contract import Pins, State, Synapse, Wiring, named_groups
from .lane_step import LaneStep
from .sided import SIDES, SidedCircuit, along_body, sides

_SWIMMERS_DT = 0.03  # s
_PHASE = 1.0  # rad, of the wave of switches that an episode starts with
# Of the smooth map S' = tanh(2 S - _FOLD P / th): its resting state vanishes exactly where P is at th.
_FOLD = math.sqrt(2) - math.atanh(math.sqrt(0.5))
_LEAST_THRESHOLD = 0.05  # of the first joint's, so that every unit can be switched
# "worm" was fitted to the animal's gait from water to 28 Pa s (Fang-Yen et al. 2010), on an elastic body in a resistive
# medium; "swimmer" is for the swimmers in their own water. Curvatures are in 1 / body length, times in seconds.
_STARTS = {
    "worm": {
        "theta": 5.129, "g_theta": -0.735, "rho": 0.328, "rho_a": 0.0753, "w": 0.3105,
        "beta": 0.1088, "tau_n": 0.0394, "tau_m": 0.02, "g_m": -0.304, "gain": 1.0,
    },
    "swimmer": {
        "theta": 0.3 * 2 * math.pi, "g_theta": 0.0, "rho": 0.328, "rho_a": 0.0753, "w": 0.7,
        "beta": 0.1088, "tau_n": 0.0394, "tau_m": 0.02, "g_m": -0.304, "gain": 1.5,
    },
}  # fmt: skip
# Kept as logarithms: above zero, and a step of the same size is the same share of each.
_POSITIVE = ("theta", "rho", "rho_a", "beta", "tau_n", "tau_m")


class Constants(NamedTuple):
    """What a step needs that follows from the weights; stretch, threshold and strength may have a batch in front."""

    stretch: Float[Tensor, "*batch joints joints"]
    threshold: Float[Tensor, "*batch joints"]
    beta: Float[Tensor, ""]
    sensing: Float[Tensor, ""]
    contracting: Float[Tensor, ""]
    strength: Float[Tensor, "*batch joints"]


class Relay(SidedCircuit):
    """Drive a chain by proprioception alone: a joint bends to one side until it and those behind are bent enough.

    With q in units of the joint limit, curvature kappa = `limit` q, its rate kappa', and s = i / (J - 1) from 0 at the
    head to 1 at the tail:

        x = W (kappa + beta kappa')
        P += (1 - exp(-dt / tau_n)) (x - P)
        S_i = -S_i where S_i P_i > theta (1 + g_theta s)
        a += (1 - exp(-dt / tau_m)) (S - a)
        motor_i = clip(gain (1 + g_m s) a_i, -1, 1)

    The rate is sensed with `velocity`; otherwise it is the change since the last control step divided by dt, and 0 in
    the first step. Row i of W is (1 - w) times exp(-(j - i) / (rho J)) over the joints j >= i, whose bend ends the bend
    of joint i, minus w times exp(-(i - 1 - j) / (rho_a J)) over the joints j < i, whose bend it follows; both are
    normalised to a sum of 1. The first row has only the first part. All joints share the weights. S starts as the sign
    of sin(2 pi i / J + 1).

    The switch has no gradient. In the backward pass its surrogate is tanh(2 S - 0.533 P / th), with th the threshold,
    a map whose fixed point vanishes at the same threshold.

    Args:
        n_joints: number of joints, head to tail.
        init: initial weights: "swimmer", for the swimmers in their own water; or "worm", fitted to the animal's gait in
            media from water to 28 Pa s on an elastic body.
        velocity: whether to sense the joints' velocities (`joint_vel`). Finite differences lag, and where a period is
            only a few control steps, as in thin fluids, the gait then locks to whole steps.
        limit: curvature at the joint limit, in 1 / body length: the limit in rad times the number of links, which is
            2 pi on swimmers of any length.
        dt: seconds of a control step; None is 0.03, as of the swimmers.
        rng: unused, as no initial weight is random.

    Attributes:
        log_theta, g_theta: logarithm of the first joint's threshold (in 1 / body length), and the relative change of
            the threshold to the tail, where it is at least a twentieth.
        log_rho, log_rho_a: logarithms of the range of stretch from behind and from ahead, in body lengths.
        w: share of the stretch from ahead.
        log_beta: logarithm of the weight beta of the curvature's rate, in seconds.
        log_tau_n, log_tau_m: logarithms of the time constants of unit and muscle, in seconds.
        gain, g_m: strength of the first joint's muscle, in units of the motor's range, and its relative change to the
            tail.

    Source: Boyle, Berri and Cohen 2012 (two-state units that stretch switches) and Wen et al. 2012 (a segment bends as
    those before it), with torques for muscles.
    """

    is_bounded = True
    memory = "recurrent"
    origin = (
        "It follows models of how *C. elegans* undulates by proprioception, without a clock "
        "(Boyle et al. 2012; Wen et al. 2012)."
    )
    g_theta: nn.Parameter
    w: nn.Parameter
    g_m: nn.Parameter
    gain: nn.Parameter
    start: Float[Tensor, " joints"]
    behind: Float[Tensor, "joints joints"]
    before: Float[Tensor, "joints joints"]

    def __init__(
        self,
        n_joints: int,
        *,
        init: Literal["swimmer", "worm"] = "swimmer",
        limit: float = 2 * math.pi,
        velocity: bool = False,
        dt: float | None = None,
        rng: torch.Generator | None = None,  # noqa: ARG002
    ) -> None:
        super().__init__()
        if init not in _STARTS:
            raise CircuitMismatch(f"init is {init!r}; give 'swimmer' or 'worm'")
        if not 0 < limit < math.inf:
            raise CircuitMismatch(f"limit is {limit:g}; give the curvature at the joint limit, such as 6.28")
        if dt is not None and not 0 < dt < math.inf:
            raise CircuitMismatch(f"dt is {dt:g} s; give a control step above 0, such as 0.03")
        self.n_motors, self.limit, self.velocity = n_joints, limit, velocity
        self.senses = (("joint_pos", n_joints), *([("joint_vel", n_joints)] if velocity else []))
        self.dt = _SWIMMERS_DT if dt is None else dt
        for name, value in _STARTS[init].items():
            is_log = name in _POSITIVE
            weight = nn.Parameter(torch.tensor(math.log(value) if is_log else value))
            self.register_parameter(f"log_{name}" if is_log else name, weight)
        joint = torch.arange(n_joints)
        # How many joints behind, or before the last one before; negative where a joint is on the other side.
        self.register_buffer("behind", (joint[None] - joint[:, None]).float(), persistent=False)
        self.register_buffer("before", (joint[:, None] - joint[None] - 1).float(), persistent=False)
        wave = torch.sin(2 * math.pi * joint / n_joints + _PHASE)
        self.register_buffer("start", torch.where(wave > 0, 1.0, -1.0), persistent=False)
        self.neurons, self.groups = named_groups(
            {
                **along_body("q", "sensor", n_joints),
                **along_body("B", "motor", n_joints),
                **along_body("muscle", "muscle", n_joints),
            }
        )

    def initial_state(self, batch_size: int) -> State:
        """Return the switches S in a wave pattern, and everything else at rest.

        `on` is S, `felt` is P, `muscle` is a, and `q` the last angles, each [batch_size, joints]; `has_felt`,
        [batch_size, 1], is 0 before the first step and 1 after it. With `velocity`, `q` and `has_felt` do not exist.
        """
        on = self.start.expand(batch_size, -1)
        rest = torch.zeros_like(on)
        remembered = {} if self.velocity else {"q": rest, "has_felt": rest[:, :1]}
        return {"on": on, "felt": rest, "muscle": rest, **remembered}

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return every neuron's value, 0 or above.

        A B-neuron is 1 on the side to which its unit is switched, and 0 on the other. Pinning it changes what its
        muscle receives; the switch itself continues unchanged.
        """
        return self.step(sensors, state, self.constants(), pins)

    def step(
        self, sensors: Float[Tensor, "batch sensors"], state: State, constants: Constants, pins: Pins | None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step with constants that may differ across the batch; see `forward_with_activity`."""
        stretch = self.pinned_sides(sides(sensors[:, : self.n_motors]), "q", pins)
        q = stretch[0] - stretch[1]
        rate = sensors[:, self.n_motors :] if self.velocity else self._rate(q, state["q"], state["has_felt"])
        felt = self._felt(q, rate, constants)
        on, pressed = self._switch(felt, state["on"], state["felt"], constants)
        b_neurons = self.pinned_sides(sides(on), "B", pins)
        muscle = torch.lerp(state["muscle"], b_neurons[0] - b_neurons[1], constants.contracting)
        muscles = self.pinned_sides(sides(constants.strength * muscle).clamp(max=1.0), "muscle", pins)
        remembered = {} if self.velocity else {"q": q, "has_felt": torch.ones_like(q[:, :1])}
        after = {"on": on, "felt": pressed, "muscle": muscle, **remembered}
        return muscles[0] - muscles[1], after, torch.cat((*stretch, *b_neurons, *muscles), -1)

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run a sequence; proprioception is computed for all steps at once, switches and muscles step by step."""
        constants = self.constants()
        state = self.reset_state(state, episode_start[0])
        initial = self.initial_state(episode_start.shape[1])
        q, remembered = sensors[..., : self.n_motors], State()
        if self.velocity:
            rate = sensors[..., self.n_motors :]
        else:
            last = torch.cat((state["q"][None], q[:-1]))
            has_felt = torch.cat((state["has_felt"][None], torch.ones_like(q[1:, :, :1])))
            rate = self._rate(q, last, has_felt.masked_fill(episode_start[..., None], 0.0))
            remembered = {"q": q[-1], "has_felt": torch.ones_like(q[-1, :, :1])}
        felt = self._felt(q, rate, constants)
        restarts, muscles = episode_start.any(1).tolist(), []
        on, pressed, muscle = state["on"], state["felt"], state["muscle"]
        for step, now in enumerate(felt.unbind()):
            if step > 0 and restarts[step]:
                fresh = episode_start[step][:, None]
                on, pressed, muscle = (
                    torch.where(fresh, initial[key], value)
                    for key, value in (("on", on), ("felt", pressed), ("muscle", muscle))
                )
            on, pressed = self._switch(now, on, pressed, constants)
            muscle = torch.lerp(muscle, on, constants.contracting)
            muscles.append(muscle)
        motor = (constants.strength * torch.stack(muscles)).clamp(-1.0, 1.0)
        return motor, {"on": on, "felt": pressed, "muscle": muscle, **remembered}

    def lane_step(self) -> LaneStep | None:
        """Return the vectorised step."""
        from .relay_lanes import relay

        return LaneStep(
            relay,
            sum(parameter.numel() for parameter in self.parameters()),
            3 * self.n_motors if self.velocity else 4 * self.n_motors + 1,
            n_room=3 * self.n_motors,
            numbers=(self.n_motors, self.dt, self.limit, _LEAST_THRESHOLD, self.velocity),
        )

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return every synapse; of a dorsal and ventral pair of B-neurons, the one with the larger input is on.

        The two inhibit each other with weight 1; the weight of stretch is the effect of a joint at its limit, in units
        of the threshold.
        """
        return Wiring(self.neurons, tuple(self.synapses(self.constants())))

    def synapses(self, constants: Constants) -> list[Synapse]:
        """Return every synapse, given the constants of one environment."""
        weights = (-self.limit * constants.stretch / constants.threshold[:, None]).tolist()
        synapses = []
        for s, side in enumerate(SIDES):
            other = SIDES[1 - s]
            for i, row in enumerate(weights):
                synapses += [
                    Synapse(f"q_{side}_{j}", f"B_{side}_{i}", weight, "behind" if j >= i else "before")
                    for j, weight in enumerate(row)
                ]
                synapses.append(Synapse(f"B_{other}_{i}", f"B_{side}_{i}", -1.0, "switch"))
                strength = float(constants.strength[i].detach())
                synapses.append(Synapse(f"B_{side}_{i}", f"muscle_{side}_{i}", strength, "ipsi"))
                synapses.append(Synapse(f"B_{other}_{i}", f"muscle_{side}_{i}", -strength, "contra"))
        return synapses

    def constants(self) -> Constants:
        """Return the constants of a step, computed from the weights."""
        theta, rho, rho_a, beta, tau_n, tau_m = (getattr(self, f"log_{name}").exp() for name in _POSITIVE)
        place = self.behind[0] / max(self.n_motors - 1, 1)
        own = torch.exp(-self.behind.clamp(min=0.0) / (rho * self.n_motors)) * (self.behind >= 0)
        front = torch.exp(-self.before.clamp(min=0.0) / (rho_a * self.n_motors)) * (self.before >= 0)
        is_led = (self.behind[0] > 0)[:, None]  # all but the first
        front = self.w * front / torch.where(is_led, front.sum(1, keepdim=True), 1.0)
        own = torch.where(is_led, 1 - self.w, 1.0) * own / own.sum(1, keepdim=True)
        return Constants(
            own - front,
            theta * (1 + self.g_theta * place).clamp(min=_LEAST_THRESHOLD),
            beta,
            -torch.expm1(-self.dt / tau_n),
            -torch.expm1(-self.dt / tau_m),
            self.gain * (1 + self.g_m * place),
        )

    def _rate(
        self,
        q: Float[Tensor, "*batch joints"],
        last: Float[Tensor, "*batch joints"],
        has_felt: Float[Tensor, "*batch 1"],
    ) -> Float[Tensor, "*batch joints"]:
        """Return q' by the change since the last step, in joint limits/s."""
        # where, not multiplication: NaN in the last angle of an episode that ended must not survive it.
        return torch.where(has_felt > 0, (q - last) / self.dt, 0.0)

    def _felt(
        self, q: Float[Tensor, "*batch joints"], rate: Float[Tensor, "*batch joints"], constants: Constants
    ) -> Float[Tensor, "*batch joints"]:
        """Return x, what the units feel of the stretch, in 1 / body length."""
        ahead = q + constants.beta * rate
        if constants.stretch.dim() == 2:
            return self.limit * nn.functional.linear(ahead, constants.stretch)
        return self.limit * (constants.stretch @ ahead[..., None])[..., 0]

    def _switch(
        self,
        felt: Float[Tensor, "batch joints"],
        on: Float[Tensor, "batch joints"],
        pressed: Float[Tensor, "batch joints"],
        constants: Constants,
    ) -> tuple[Float[Tensor, "batch joints"], Float[Tensor, "batch joints"]]:
        """Return S, 1 or -1, and P, in 1 / body length, one step later."""
        pressed = torch.lerp(pressed, felt, constants.sensing)
        after = torch.where(on * pressed > constants.threshold, -on, on)
        if torch.is_grad_enabled():
            smooth = torch.tanh(2 * on - _FOLD * pressed / constants.threshold)
            after = after.detach() + (smooth - smooth.detach())
        return after, pressed


def turn_synapses(n_joints: int) -> list[Synapse]:
    """Return the synapses of `right` and `left`, which steer a relay, on the sense of every joint's stretch."""
    return [
        Synapse(pre, f"q_{side}_{joint}", weight, "turn")
        for side, more, less in (("d", "left", "right"), ("v", "right", "left"))
        for joint in range(n_joints)
        for pre, weight in ((more, 1.0), (less, -1.0))
    ]
