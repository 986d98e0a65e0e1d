"""A chain of phase oscillators: a control for the value of a clock at every joint, with or without feedback."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .contract import Circuit, Pins, State, Synapse, Wiring, named_groups
from .lane_step import LaneStep, places_of
from .neurons import neuron_row

_SWIMMERS_DT = 0.03  # s
_SUBSTEPS = 10
# rad/s, of coupling at 0 and of stretch at 1: so one step size suits every weight.
_COUPLING = 8.0


class CPG(Circuit):
    """Drive a chain of joints by coupled oscillators, one per joint, whose phase lags make a travelling wave.

    With phi_i the phase at joint i, J joints, psi = -2 pi waves / J, k = 8 exp(coupling) in rad/s, and q in units of
    the joint limit:

        phi_i' = 2 pi f exp(tempo) + k sin(phi_(i-1) - phi_i + psi) + k sin(phi_(i+1) - phi_i - psi)
               + 8 stretch q_i cos phi_i [with feedback]
        motor_i = clip(amplitude sin phi_i, -1, 1)

    The ends have only one neighbour. All joints share the weights, so they fit bodies of any length. Episodes start
    with all phases at 0, and every phase lag converges to psi. A control step is 10 steps of Euler's method.

    Args:
        n_joints: number of joints, head to tail.
        frequency: f, Hz; by default that of NCAP's clock on the swimmers.
        wavelength: initial wavelength in body lengths; `waves` starts at its inverse.
        feedback: whether each oscillator receives the angle of its joint, with a weight that starts at 0.
        dt: seconds of a control step; None is 0.03, as of the swimmers.
        rng: unused, as no initial weight is random.

    Attributes:
        tempo: logarithm of the frequency relative to `frequency`.
        coupling: logarithm of the coupling strength relative to 8 rad/s.
        waves: number of waves on the body.
        amplitude: amplitude of the motors, in units of their range.
        stretch: feedback weight, in units of 8 rad/s for a joint at its limit.

    Source: Ijspeert et al. 2007, a chain of such oscillators as the spinal cord of the lamprey and the salamander,
    without the dynamics of the amplitude.
    """

    is_bounded = True
    memory = "recurrent"
    tempo: nn.Parameter
    coupling: nn.Parameter
    waves: nn.Parameter
    amplitude: nn.Parameter
    stretch: nn.Parameter

    def __init__(
        self,
        n_joints: int,
        *,
        frequency: float = 1 / 1.8,
        wavelength: float = 1.2,
        feedback: bool = False,
        dt: float | None = None,
        rng: torch.Generator | None = None,  # noqa: ARG002
    ) -> None:
        super().__init__()
        for name, value, unit in (
            ("frequency", frequency, "Hz"),
            ("wavelength", wavelength, "bodies"),
            ("dt", dt, "s"),
        ):
            if value is not None and not 0 < value < math.inf:
                raise CircuitMismatch(f"{name} is {value:g} {unit}; give a number above 0")
        self.n_motors, self.senses, self.feedback = n_joints, (("joint_pos", n_joints),), feedback
        self.frequency, self.dt = frequency, _SWIMMERS_DT if dt is None else dt
        starts = {"tempo": 0.0, "coupling": 0.0, "waves": 1 / wavelength, "amplitude": 1.0}
        if feedback:
            starts["stretch"] = 0.0
        for name, start in starts.items():
            self.register_parameter(name, nn.Parameter(torch.tensor(start)))
        self.neurons, self.groups = named_groups(
            {
                "cos": neuron_row("cos", "oscillator", n_joints),
                **({"q": neuron_row("q", "sensor", n_joints)} if feedback else {}),
                "sin": neuron_row("sin", "oscillator", n_joints),
                "motors": neuron_row("motor", "motor", n_joints),
            }
        )

    def initial_state(self, batch_size: int) -> State:
        """Return all oscillators at phase 0: `phase` is their cosine and sine, [batch_size, joints, 2]."""
        phase = self.tempo.new_zeros(batch_size, self.n_motors)
        return {"phase": torch.stack((phase.cos(), phase.sin()), -1)}

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step; the activity is cosines, joint angles (with feedback), sines, and motors.

        The cosine and sine of a joint represent one oscillator. Pinning them changes what its neighbours and its motor
        receive; the oscillator itself continues unchanged.
        """
        q = self.pinned(sensors, "q", pins) if self.feedback else sensors
        phase = self._advance(q, state["phase"], self._coupling(), pins)
        cos, sin = self._heard(phase[..., 0], phase[..., 1], pins)
        motor = self.pinned((self.amplitude * sin).clamp(-1.0, 1.0), "motors", pins)
        return motor, {"phase": phase}, torch.cat((cos, *([q] if self.feedback else []), sin, motor), -1)

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run a sequence; see `Circuit.unroll`."""
        coupling, restarts, sines = self._coupling(), episode_start.any(1).tolist(), []
        for step, q in enumerate(sensors.unbind()):
            if restarts[step]:
                state = self.reset_state(state, episode_start[step])
            state = {"phase": self._advance(q, state["phase"], coupling)}
            sines.append(state["phase"][..., 1])
        return (self.amplitude * torch.stack(sines)).clamp(-1.0, 1.0), state

    def lane_step(self) -> LaneStep:
        """Return the vectorised step."""
        from .cpg_lanes import cpg

        at, n = places_of(self), self.n_motors
        return LaneStep(
            cpg, len(at), 2 * n, n_room=n, numbers=(n, self.dt, self.frequency, _COUPLING, _SUBSTEPS, self.feedback)
        )

    def wiring(self, state: State | None = None) -> Wiring:  # noqa: ARG002
        """Return the synapses onto each oscillator, with weights in rad/s, and onto its motor.

        Weights are the component of a drive that advances the phase.
        """
        names = [neuron.name for neuron in (*self.neurons[self.groups["cos"]], *self.neurons[self.groups["sin"]])]
        coupling = self._coupling().detach()
        synapses = [
            Synapse(names[pre], names[post], float(coupling[post, pre]), "coupling")
            for post, pre in coupling.nonzero().tolist()
        ]
        for joint in range(self.n_motors):
            if self.feedback:
                stretch = _COUPLING * float(self.stretch.detach())
                synapses.append(Synapse(f"q_{joint}", f"sin_{joint}", stretch, "stretch"))
            synapses.append(Synapse(f"sin_{joint}", f"motor_{joint}", float(self.amplitude.detach()), "amplitude"))
        return Wiring(self.neurons, tuple(synapses))

    def _coupling(self) -> Float[Tensor, "two_joints two_joints"]:
        """Return the drive that each cosine and sine gets from those of its neighbours, in rad/s.

        What comes from the joint before is turned by psi, what comes from the joint behind by -psi.
        """
        strength, lag = _COUPLING * self.coupling.exp(), -2 * math.pi * self.waves / self.n_motors
        before, behind = (torch.diag_embed(self.tempo.new_ones(self.n_motors - 1), offset) for offset in (-1, 1))
        straight, across = strength * torch.cos(lag) * (before + behind), strength * torch.sin(lag) * (before - behind)
        return torch.cat((torch.cat((straight, -across), 1), torch.cat((across, straight), 1)), 0)

    def _advance(
        self,
        q: Float[Tensor, "batch joints"],
        phase: Float[Tensor, "batch joints 2"],
        coupling: Float[Tensor, "two_joints two_joints"],
        pins: Pins | None = None,
    ) -> Float[Tensor, "batch joints 2"]:
        """Return cosines and sines one control step later; `q` is in joint limits, `coupling` in rad/s."""
        angle = torch.atan2(phase[..., 1], phase[..., 0])
        turn = 2 * math.pi * self.frequency * self.tempo.exp()
        pushed = _COUPLING * self.stretch * q if self.feedback else 0.0
        for _ in range(_SUBSTEPS):
            cos, sin = torch.cos(angle), torch.sin(angle)
            to_cos, to_sin = nn.functional.linear(torch.cat(self._heard(cos, sin, pins), -1), coupling).chunk(2, -1)
            angle = angle + self.dt / _SUBSTEPS * (turn + cos * (to_sin + pushed) - sin * to_cos)
        return torch.stack((torch.cos(angle), torch.sin(angle)), -1)

    def _heard(
        self, cos: Float[Tensor, "batch joints"], sin: Float[Tensor, "batch joints"], pins: Pins | None
    ) -> tuple[Float[Tensor, "batch joints"], Float[Tensor, "batch joints"]]:
        """Return cosines and sines as neighbours and motors hear them."""
        return self.pinned(cos, "cos", pins), self.pinned(sin, "sin", pins)
