"""NCAP+: NCAP's wiring with graded neurons and further reflexes.

Additions to Bhattasali et al. 2022, with their source in the animal: B-neurons are graded (Goodman et al. 1998);
stretch is sensed over several segments (Wen et al. 2012), and in the neuron's own segment as position and velocity;
motion of the segment through the fluid is sensed; the head oscillator's period and waveform are learned.
docs/results/ncap-plus.md measures each part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...errors import CircuitMismatch
from ..contract import Neuron, Pins, State, Synapse, Wiring, named_groups, step_length
from ..lane_step import LaneStep, places_of
from ..recurrent import hold
from ..sided import SIDES, along_body, sides
from .clocked import ClockedCircuit

_REACH = 3
# Angular velocity in 10 rad/s and lateral velocity in 0.2 m/s are of order one on these bodies, so that
# one step size suits every weight.
_PER_SPIN, _PER_DRIFT = 0.1, 5.0
_TURN = 2 * math.pi / 60  # radians of the oscillator in a control step, at tempo 0
# "tuned" was chosen from a grid of 768 on swimmer4, 6 and 12 (docs/results/ncap-plus.md); "paper" has NCAP's
# synapses alone, all of one weight.
_START = {
    "tuned": {"osc": 2.5, "prop_1": 6.5, "own": -3.0, "rate": -3.0},
    "paper": {"osc": 1.5, "prop_1": 1.5},
}
_FELT = ("q", "rate", "drift", "spin")
_WEIGHTS = ("osc", "prop_1", "prop_2", "prop_3", "own", "rate", "drift", "spin")


class NCAPPlus(ClockedCircuit):
    """Drive a chain of joints by a travelling wave: each joint follows the bend of the joints before it, minus its own.

    The drive x_i of joint i, with q its angle in units of the joint limit, and all weights shared along the body:

        x_i = osc wave(t) [i = 0] + sum over k = 1..3 of prop_k q_(i-k) + own q_i
            + rate q'_i + drift v_i + spin r_i
        B_d = tanh(max(x, 0)), B_v = tanh(max(-x, 0)); muscle = min(ipsi B, 1); motor = dorsal - ventral

    q' is the joint's angular velocity (in units of 10 rad/s), v the lateral velocity (0.2 m/s) and r the angular
    velocity (10 rad/s) of the two links it joins; wave(t) = tanh(exp(sharpness) sin(2 pi t / (60 exp(-tempo)))).

    Args:
        n_joints: number of joints, head to tail.
        init: initial weights: "tuned", set by hand so that it swims untrained; or "paper", only the synapses of NCAP.
        without: names of weights that are fixed at zero.
        observe_time: whether to sense the time (in control steps) instead of counting steps in the state.
        dt: seconds of a control step.
        dt_ref: seconds of the control step for which the period at tempo 0 is 60 steps; the period in seconds does not
            depend on dt.
        rng: unused, as no initial weight is random.

    Attributes:
        osc, prop_1, prop_2, prop_3, own, rate, drift, spin: synaptic weights, scalars.
        tempo, sharpness: speed and waveform of the oscillator.
        ipsi: weight from B-neurons to muscles.
    """

    origin = "It extends NCAP, a model of the circuit with which *C. elegans* swims (Bhattasali et al. 2022)."
    osc: Float[Tensor, ""]
    own: Float[Tensor, ""]
    rate: Float[Tensor, ""]
    drift: Float[Tensor, ""]
    spin: Float[Tensor, ""]

    def __init__(
        self,
        n_joints: int,
        *,
        init: Literal["tuned", "paper"] = "tuned",
        without: Sequence[str] = (),
        observe_time: bool = False,
        dt: float | None = None,
        dt_ref: float | None = None,
        rng: torch.Generator | None = None,  # noqa: ARG002
    ) -> None:
        super().__init__()
        if init not in _START:
            raise CircuitMismatch(f"init is {init!r}; give 'tuned' or 'paper'")
        if unknown := set(without) - set(_WEIGHTS):
            raise CircuitMismatch(f"ncap_plus has no weight {min(unknown)!r} to leave out; give {', '.join(_WEIGHTS)}")
        self.n_motors, self.observe_time, self.step_length = n_joints, observe_time, step_length(dt, dt_ref)
        clock = (("time", 1),) if observe_time else ()
        self.senses = (("joint_pos", n_joints), *clock, ("body_velocities", 3 * (n_joints + 1)))
        for name in _WEIGHTS:
            start = 0.0 if name in without else _START[init].get(name, 0.0)
            hold(self, name, torch.tensor(start), learned=name not in without)
        self.tempo, self.sharpness = nn.Parameter(torch.zeros(())), nn.Parameter(torch.ones(()))
        self.ipsi = nn.Parameter(torch.ones(()))
        self.neurons, self.groups = named_groups(
            {
                **{group: row for kind in _FELT for group, row in along_body(kind, "sensor", n_joints).items()},
                **{f"osc_{side}": [Neuron(f"osc_{side}", "oscillator", 0.0, side)] for side in SIDES},
                **along_body("B", "motor", n_joints),
                **along_body("muscle", "muscle", n_joints),
            }
        )

    def drive(
        self, sensors: Float[Tensor, "batch sensors"], time: Float[Tensor, "batch 1"], pins: Pins | None
    ) -> Float[Tensor, "batch motors"]:
        """Return dorsal minus ventral muscle of every joint, in units of the motor's range."""
        *_, (dorsal, ventral) = self._propagate(sensors, time, pins)
        return dorsal - ventral

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return every neuron's value, 0 or above."""
        felt, clock, b_neurons, muscles = self._propagate(sensors, self.time(sensors, state), pins)
        values = torch.cat((*(side for pair in felt for side in pair), *clock, *b_neurons, *muscles), -1)
        return muscles[0] - muscles[1], self.next(state), values

    def lane_step(self) -> LaneStep:
        """Return the vectorised step."""
        from .lanes import ncap_plus

        at, names = places_of(self), ("prop_1", "prop_2", "prop_3", "own", "rate", "drift", "spin", "osc")
        at_time = self.n_motors if self.observe_time else -1
        return LaneStep(
            ncap_plus,
            len(at),
            int(self._counts),
            n_room=len(names),
            numbers=(
                self.n_motors, _TURN * self.step_length, _PER_SPIN, _PER_DRIFT, at_time,
                self.n_motors + self.observe_time,
                *(at.get(name, -1) for name in (*names, "tempo", "sharpness", "ipsi")),
            ),
        )  # fmt: skip

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return every synapse; a sensor excites one side and inhibits the other with equal weight."""
        synapses: list[Synapse] = []
        for s, side in enumerate(SIDES):
            for joint in range(self.n_motors):
                post = f"B_{side}_{joint}"
                heard = [("osc", "osc_{}")] if joint == 0 else []
                heard += [(f"prop_{k}", f"q_{{}}_{joint - k}") for k in range(1, _REACH + 1) if joint >= k]
                heard += [("own", f"q_{{}}_{joint}")]
                heard += [(kind, f"{kind}_{{}}_{joint}") for kind in ("rate", "drift", "spin")]
                for kind, pre in heard:
                    weight = float(getattr(self, kind).detach())
                    synapses.append(Synapse(pre.format(side), post, weight, kind))
                    synapses.append(Synapse(pre.format(SIDES[1 - s]), post, -weight, kind))
                synapses.append(Synapse(post, f"muscle_{side}_{joint}", float(self.ipsi.detach()), "ipsi"))
        return Wiring(self.neurons, tuple(synapses))

    def _propagate(
        self, sensors: Float[Tensor, "batch sensors"], time: Float[Tensor, "batch 1"], pins: Pins | None
    ) -> tuple[
        list[Float[Tensor, "2 batch joints"]],
        Float[Tensor, "2 batch 1"],
        Float[Tensor, "2 batch joints"],
        Float[Tensor, "2 batch joints"],
    ]:
        """Return what each segment senses, the oscillator, the B-neurons and the muscles, sides first."""
        joints = self.n_motors
        velocities = sensors[:, -3 * (joints + 1) :].unflatten(-1, (-1, 3))
        before, behind = velocities[:, :-1], velocities[:, 1:]
        signed = (
            sensors[:, :joints].clamp(-1.0, 1.0),
            _PER_SPIN * (behind[..., 2] - before[..., 2]),
            _PER_DRIFT * (behind[..., 0] + before[..., 0]) / 2,
            _PER_SPIN * (behind[..., 2] + before[..., 2]) / 2,
        )
        felt = [self.pinned_sides(sides(values), kind, pins) for kind, values in zip(_FELT, signed, strict=True)]
        phase = self.middle(time) * _TURN * self.tempo.exp()
        clock = self.pinned_sides(sides(torch.tanh(self.sharpness.exp() * torch.sin(phase))), "osc", pins)
        # A sensor excites its own side as much as it inhibits the other.
        joint_pos, rate, drift, spin = (dorsal - ventral for dorsal, ventral in felt)
        total = self.own * joint_pos + self.rate * rate + self.drift * drift + self.spin * spin
        ahead = nn.functional.pad(joint_pos, (_REACH, 0))
        for k in range(1, _REACH + 1):
            total = total + getattr(self, f"prop_{k}") * ahead[:, _REACH - k : _REACH - k + joints]
        total = total + nn.functional.pad(self.osc * (clock[0] - clock[1]), (0, joints - 1))
        b_neurons = self.pinned_sides(torch.tanh(sides(total)), "B", pins)
        muscles = self.pinned_sides((self.ipsi * b_neurons).clamp(0.0, 1.0), "muscle", pins)
        return felt, clock, b_neurons, muscles
