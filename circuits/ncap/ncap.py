"""NCAP: the swimming circuit of C. elegans as a network with a few weights.

Bhattasali, Zador and Engel, Neural Circuit Architectural Priors for Embodied Control, NeurIPS 2022
(https://arxiv.org/abs/2201.05242), section 3 and appendix A.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...errors import CircuitMismatch
from ..contract import Facts, Neuron, Pins, State, Synapse, Wiring, named_groups, step_length
from ..lane_step import LaneStep, places_of
from ..sided import SIDES, along_body, sides
from .clocked import ClockedCircuit

# What each kind of synapse does in the animal; sign constraints hold its weight to this side of zero.
_SIGNS = {"prop": 1, "osc": 1, "turn": 1, "speed": -1, "ipsi": 1, "contra": -1}


class NCAP(ClockedCircuit):
    """Drive a chain of joints by a travelling wave: each joint follows the bend of the joint before it.

    A head oscillator (a square wave) excites the first dorsal and ventral B-neurons in turn; every other B-neuron is
    excited by the stretch of the joint before its own; B-neurons excite the muscle of their side and inhibit that of
    the other; a joint's motor command is dorsal minus ventral muscle.

    Args:
        n_joints: number of joints, head to tail.
        period: period of the oscillator, in control steps of `dt_ref`.
        sharing: whether there is one weight per kind of synapse, which fits any number of joints, or one per synapse.
        sign_constraints: whether weights are clamped in use to the sign of their synapse in the animal.
        init: "constant", +1 and -1; or "uniform", in [0, 1] and [-1, 0]. Without sign constraints, +1 or -1 at
            random, or uniform in [-1, 1].
        proprioception: whether B-neurons sense stretch.
        oscillator: whether there is a head oscillator; without it the circuit neither counts steps nor senses time.
        controls: sense `right`, `left` and `speed` in [0, 1]; see `Navigator`.
        n_turn_joints: number of joints, from the head, that turning acts on.
        observe_time: whether to sense the time (in control steps) instead of counting steps in the state.
        dt: seconds of a control step.
        dt_ref: seconds of the control step that is the unit of `period`; the period in seconds does not depend on dt.
        rng: random generator for random initial weights.

    Attributes:
        prop, osc, turn, speed, ipsi, contra: weights before the sign constraint; scalars, or [side, synapse] without
            sharing. Ablated parts have none.
    """

    origin = "It is a model of the circuit with which *C. elegans* swims (Bhattasali et al. 2022)."
    prop: nn.Parameter
    osc: nn.Parameter
    turn: nn.Parameter
    speed: nn.Parameter
    contra: nn.Parameter

    def __init__(
        self,
        n_joints: int,
        *,
        period: int = 60,
        sharing: bool = True,
        sign_constraints: bool = True,
        init: Literal["constant", "uniform"] = "constant",
        proprioception: bool = True,
        oscillator: bool = True,
        controls: bool = False,
        n_turn_joints: int = 1,
        observe_time: bool = False,
        dt: float | None = None,
        dt_ref: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if period < 2:
            raise CircuitMismatch(f"period is {period} steps; an oscillator needs 2 or more")
        if init not in ("constant", "uniform"):
            raise CircuitMismatch(f"init is {init!r}; give 'constant' or 'uniform'")
        if controls and not 0 <= n_turn_joints <= n_joints:
            raise CircuitMismatch(f"n_turn_joints is {n_turn_joints}; give 0 to {n_joints}")
        self.n_motors = n_joints
        self.period, self.sharing, self.sign_constraints = period, sharing, sign_constraints
        self.proprioception, self.oscillator, self.controls = proprioception, oscillator, controls
        self.n_turn_joints, self.observe_time = n_turn_joints, observe_time and oscillator
        self.memory, self.step_length = "clock" if oscillator else "none", step_length(dt, dt_ref)
        senses = [("joint_pos", n_joints)]
        if self.observe_time:
            senses.append(("time", 1))
        if controls:
            senses += [("right", 1), ("left", 1), ("speed", 1)]
        self.senses = tuple(senses)
        self.neurons, self.groups = named_groups(self._name_neurons())
        per_synapse = {
            "prop": (2, n_joints - 1),
            "osc": (2, 1),
            "turn": (2, n_turn_joints),
            "speed": (2, n_joints),
            "ipsi": (2, n_joints),
            "contra": (2, n_joints),
        }
        absent = set() if controls else {"turn", "speed"}
        absent |= set() if proprioception else {"prop"}
        absent |= set() if oscillator else {"osc"}
        for kind, sign in _SIGNS.items():
            if kind not in absent:
                shape = () if sharing else per_synapse[kind]
                setattr(self, kind, nn.Parameter(self._initial(shape, sign, init, rng)))

    @classmethod
    def facts(cls, options: Mapping[str, Any]) -> Facts:
        """Return the circuit's properties: bounded, with a clock if it has an oscillator."""
        return Facts(is_bounded=True, memory="clock" if options["oscillator"] else "none")

    def drive(
        self, sensors: Float[Tensor, "batch sensors"], time: Float[Tensor, "batch 1"], pins: Pins | None
    ) -> Float[Tensor, "batch motors"]:
        """Return dorsal minus ventral muscle of every joint, in units of the motor's range."""
        *_, (dorsal, ventral) = self._propagate(sensors, time, pins)
        return dorsal - ventral

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return every neuron's value, in [0, 1]."""
        heard, controls, b_neurons, muscles = self._propagate(sensors, self.time(sensors, state), pins)
        values = torch.cat((*heard[..., 1:], *heard[..., :1], *controls, *b_neurons, *muscles), 1)
        return muscles[0] - muscles[1], self.next(state), values

    def lane_step(self) -> LaneStep | None:
        """Return the vectorised step; None with `controls`, which lanes do not provide."""
        if self.controls:
            return None
        from .lanes import ncap

        at = places_of(self)
        at_time = self.n_motors if self.observe_time else -1
        return LaneStep(
            ncap,
            sum(parameter.numel() for parameter in self.parameters()),
            int(self._counts),
            numbers=(
                self.n_motors, self.period, self.step_length, self.sharing, self.sign_constraints,
                *(at.get(kind, -1) for kind in ("prop", "osc", "ipsi", "contra")), at_time,
            ),
        )  # fmt: skip

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return every synapse with its weight after the sign constraint."""
        joints = range(self.n_motors)
        synapses: list[Synapse] = []

        def connect(kind: str, side: int, index: int, pre: str, post: str) -> None:
            weight = self._weight(kind).detach()
            value = weight if self.sharing else weight[side, 0, index]
            synapses.append(Synapse(pre, post, float(value), kind if self.sharing else f"{kind}[{side},{index}]"))

        for s, side in enumerate(SIDES):
            other = SIDES[1 - s]
            if self.oscillator:
                connect("osc", s, 0, f"osc_{side}", f"B_{side}_0")
            for i in joints:
                if self.proprioception and i > 0:
                    connect("prop", s, i - 1, f"q_{side}_{i - 1}", f"B_{side}_{i}")
                if self.controls:
                    connect("speed", s, i, "stop", f"B_{side}_{i}")
                if self.controls and i < self.n_turn_joints:
                    connect("turn", s, i, ("right", "left")[s], f"B_{side}_{i}")
                connect("ipsi", s, i, f"B_{side}_{i}", f"muscle_{side}_{i}")
                connect("contra", s, i, f"B_{other}_{i}", f"muscle_{side}_{i}")
        return Wiring(self.neurons, tuple(synapses))

    def _propagate(
        self, sensors: Float[Tensor, "batch sensors"], time: Float[Tensor, "batch 1"], pins: Pins | None
    ) -> tuple[
        Float[Tensor, "2 batch heard"],
        tuple[Float[Tensor, "batch 3"], ...],
        Float[Tensor, "2 batch joints"],
        Float[Tensor, "2 batch joints"],
    ]:
        """Return the clock and the stretches, the controls if there are, the B-neurons and the muscles.

        Sides come first, not batch: slices stay contiguous, 55 microseconds instead of 64 at batch 256.
        """
        joints = self.n_motors
        heard = sides(torch.cat((self._square(time), sensors[:, :joints]), 1)).clamp(max=1.0)
        if pins is not None:
            clock, stretch = heard.split((1, joints), -1)
            heard = torch.cat((self.pinned_sides(clock, "osc", pins), self.pinned_sides(stretch, "q", pins)), -1)
        # The first B-neuron hears the clock, each other one the stretch of the joint before its own.
        drive = heard[..., :joints] * self._input_weights()
        controls: tuple[Tensor, ...] = ()
        if self.controls:
            right, left, speed = sensors[:, -3:].clamp(0.0, 1.0).unbind(1)
            pinned = self.pinned(torch.stack((right, left, 1.0 - speed), 1), "controls", pins)
            controls = (pinned,)
            turn = self._weight("turn") * pinned[:, :2].T[..., None]
            turn = turn.expand(-1, -1, self.n_turn_joints)
            turn = nn.functional.pad(turn, (0, joints - self.n_turn_joints))
            drive = drive + turn + self._weight("speed") * pinned[:, 2:]
        b_neurons = self.pinned_sides(drive.clamp(0.0, 1.0), "B", pins)
        ipsi, contra = self._weight("ipsi"), self._weight("contra")
        muscles = torch.addcmul(ipsi * b_neurons, contra, b_neurons.flip(0)).clamp(0.0, 1.0)
        return heard, controls, b_neurons, self.pinned_sides(muscles, "muscle", pins)

    def _square(self, time: Float[Tensor, "batch 1"]) -> Float[Tensor, "batch 1"]:
        """Return the oscillator: 1 in the first half of its period, -1 in the second; 0 where it is ablated."""
        if not self.oscillator:
            return torch.zeros_like(time)
        middle = self.middle(time)
        if self.step_length != 1:
            # The middle of the step of dt_ref that it falls in: between two steps the sign would be 0.
            middle = middle.floor() + 0.5
        return torch.sign(self.period // 2 - torch.remainder(middle, self.period))

    def _input_weights(self) -> Float[Tensor, "*side 1 joints"]:
        """Return the weight of the clock and of each stretch; zero where the synapse is ablated."""
        # Both kinds are excitatory, so one clamp does for both.
        parts = []
        for kind, present, size in (
            ("osc", self.oscillator, 1),
            ("prop", self.proprioception, self.n_motors - 1),
        ):
            weight = getattr(self, kind) if present else self.ipsi.new_zeros(())
            parts.append(weight.expand(size) if self.sharing else weight.expand(2, size))
        weights = torch.cat(parts, -1)
        if not self.sharing:
            weights = weights.unsqueeze(1)
        return weights.clamp(min=0.0) if self.sign_constraints else weights

    def _weight(self, kind: str) -> Float[Tensor, ...]:
        """Return a kind's weight as it acts, to broadcast over [side, batch, joints]."""
        weight: Tensor = getattr(self, kind)
        if not self.sharing:
            weight = weight.unsqueeze(1)
        if not self.sign_constraints:
            return weight
        return weight.clamp(min=0.0) if _SIGNS[kind] > 0 else weight.clamp(max=0.0)

    def _initial(self, shape: tuple[int, ...], sign: int, init: str, rng: torch.Generator | None) -> Float[Tensor, ...]:
        if init == "constant":
            if self.sign_constraints:
                return torch.full(shape, float(sign))
            return torch.randint(0, 2, shape, generator=rng).float() * 2 - 1
        drawn = torch.rand(shape, generator=rng)
        return drawn * sign if self.sign_constraints else drawn * 2 - 1

    def _name_neurons(self) -> dict[str, list[Neuron]]:
        """Return the neurons by group, in the order of `forward_with_activity`."""
        controls = [Neuron("right", "inter", 0.0, "d"), Neuron("left", "inter", 0.0, "v"), Neuron("stop", "inter")]
        return {
            **along_body("q", "sensor", self.n_motors),
            **{f"osc_{side}": [Neuron(f"osc_{side}", "oscillator", 0.0, side)] for side in SIDES},
            **({"controls": controls} if self.controls else {}),
            **along_body("B", "motor", self.n_motors),
            **along_body("muscle", "muscle", self.n_motors),
        }
