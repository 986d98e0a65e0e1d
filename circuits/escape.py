"""A relay with a touch reflex: it reverses its wave after a touch in front, and bends harder after one behind."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .contract import Circuit, Neuron, Pins, State, Synapse, Wiring
from .lane_step import LaneStep
from .relay import Constants, Relay
from .sided import SIDES

_SECONDS = 3.0  # that a touch is remembered
_RISE = 2.0  # per second, of what is remembered, where a touch is 1
_LATCH, _SOFT = 0.2, 0.1  # what must be remembered to go backwards, and how gradually learners take it
_MOST_BOOST = 0.5  # of the muscles' strength
_EXCITED = ("front", "rear")
_TURNED = ("stretch", "threshold", "strength")


class Escape(Relay):
    """Drive a chain as `Relay` does; reverse the wave after a touch in front, and bend harder after one behind.

    With `front` the largest touch on links in the front half, and `rear` in the rear half, in each control step

        r += dt (gain_r front - r / tau_r);  e += dt (gain_e rear - e / tau_e)      both from 0 to 1
        backward = r > 0.2;  boost = 1 + min(e, 0.5)

    While `backward` is set, the stretch weights, thresholds and muscle strengths of `Relay` are mirrored head to tail,
    so the same wave runs the other way. `boost` multiplies the muscles' strength; to leave range for it, the gain
    starts at two thirds of the motors' range.

    The threshold of `backward` has no gradient; sigmoid((r - 0.2) / 0.1) is its surrogate in the backward pass.

    Args:
        n_joints: number of joints, head to tail.
        init, limit, velocity, dt, rng: as in `Relay`.

    Attributes:
        log_seconds: [2], logarithms of tau_r and tau_e in seconds.
        rise: [2], gain_r and gain_e, 1/s.

    Source: a touch in front of the middle reverses the worm, one behind it speeds it up (Mazzochette et al. 2018).
    """

    is_front: Bool[Tensor, " links"]

    def __init__(
        self,
        n_joints: int,
        *,
        init: Literal["swimmer", "worm"] = "swimmer",
        limit: float = 2 * math.pi,
        velocity: bool = False,
        dt: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__(n_joints, init=init, limit=limit, velocity=velocity, dt=dt, rng=rng)
        n_links = n_joints + 1
        self.n_relay = self.n_sensors
        self.senses = (*self.senses, ("touch", n_links))
        self.log_seconds = nn.Parameter(torch.full((2,), math.log(_SECONDS)))
        self.rise = nn.Parameter(torch.full((2,), _RISE))
        with torch.no_grad():
            self.gain.fill_(1 / (1 + _MOST_BOOST))
        place = [(link + 0.5) / n_links for link in range(n_links)]
        self.register_buffer("is_front", torch.tensor([at < 0.5 for at in place]), persistent=False)
        own = [
            *(Neuron(f"touch_{link}", "sensor", at) for link, at in enumerate(place)),
            Neuron("front", "inter", 0.25), Neuron("rear", "inter", 0.75),
            Neuron("backward", "inter", 0.25), Neuron("boost", "inter", 0.75),
        ]  # fmt: skip
        n = len(self.neurons)
        names = {"touch": (0, n_links), **{neuron.name: (n_links + at, 1) for at, neuron in enumerate(own[n_links:])}}
        self.neurons = (*self.neurons, *own)
        self.groups = {
            **self.groups, **{name: slice(n + first, n + first + size) for name, (first, size) in names.items()}
        }  # fmt: skip

    def initial_state(self, batch_size: int) -> State:
        """Return the relay's state and `excited`, [batch_size, 2], the memory r and e of touches."""
        state = super().initial_state(batch_size)
        return {**state, "excited": self.rise.new_zeros(batch_size, 2)}

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return every neuron's value.

        `front` and `rear` are the memories r and e, `backward` is 0 or 1, `boost` is the muscles' added strength.
        """
        touch = self.pinned(sensors[:, self.n_relay :], "touch", pins)
        felt = torch.stack([torch.where(side, touch, 0.0).amax(1) for side in (self.is_front, ~self.is_front)], 1)
        before = state["excited"]
        excited = (before + self.dt * (self.rise * felt - before / self.log_seconds.exp())).clamp(0.0, 1.0)
        front, rear = (self.pinned(excited[:, at : at + 1], name, pins) for at, name in enumerate(_EXCITED))
        backward = (front > _LATCH).to(front.dtype)
        if torch.is_grad_enabled():
            smooth = torch.sigmoid((front - _LATCH) / _SOFT)
            backward = backward + (smooth - smooth.detach())
        backward = self.pinned(backward, "backward", pins)
        boost = self.pinned(rear.clamp(max=_MOST_BOOST), "boost", pins)
        relay = {name: value for name, value in state.items() if name != "excited"}
        motor, after, values = self.step(sensors[:, : self.n_relay], relay, self.turned(backward, boost), pins)
        own = torch.cat((touch, front, rear, backward, boost), 1)
        return motor, {**after, "excited": excited}, torch.cat((values, own), 1)

    def turned(self, backward: Float[Tensor, "batch 1"], boost: Float[Tensor, "batch 1"]) -> Constants:
        """Return the step's constants for each environment's `backward` (0 or 1) and `boost`, [batch, ...]."""
        own = self.constants()
        return own._replace(
            stretch=torch.lerp(own.stretch, own.stretch.flip(0, 1), backward[..., None]),
            threshold=torch.lerp(own.threshold, own.threshold.flip(0), backward),
            strength=torch.lerp(own.strength, own.strength.flip(0), backward) * (1 + boost),
        )

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run a sequence step by step; see `Circuit.unroll`."""
        return Circuit.unroll(self, sensors, state, episode_start)

    def lane_step(self) -> LaneStep | None:
        """Return None, because lanes do not simulate touch."""
        return None

    def wiring(self, state: State | None = None) -> Wiring:
        """Return the relay's graph, mirrored if the state is `backward`, and the graph of the touch reflex.

        The effects of `backward` and `boost` are shown as one synapse to each neuron that they affect.
        """
        excited = (self.initial_state(1) if state is None else state)["excited"][:1]
        backward = (excited[:, :1] > _LATCH).to(excited.dtype)
        turned = self.turned(backward, excited[:, 1:].clamp(max=_MOST_BOOST))
        found = self.synapses(turned._replace(**{name: getattr(turned, name)[0] for name in _TURNED}))
        for link, is_front in enumerate(self.is_front.tolist()):
            at = 0 if is_front else 1
            found.append(Synapse(f"touch_{link}", _EXCITED[at], float(self.rise[at].detach()), "rise"))
        found += [Synapse("front", "backward", 1.0), Synapse("rear", "boost", 1.0)]
        for i in range(self.n_motors):
            for side in SIDES:
                found += [Synapse("backward", f"B_{side}_{i}", 1.0), Synapse("boost", f"muscle_{side}_{i}", 1.0)]
        return Wiring(self.neurons, tuple(found))
