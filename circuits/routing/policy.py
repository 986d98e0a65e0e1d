"""A whole agent as a circuit: what its learner did to its senses and its motors, around its own circuit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import CircuitMismatch
from ..contract import Circuit, Facts, Neuron, Pins, State, Wiring, check_pins, wiring_at
from ..registry import CIRCUITS, declared_facts, make_circuit


class Policy(Circuit):
    """A circuit that is shown its senses as its learner showed them, and whose motors stay in their range.

    As a part of a composed circuit it acts as the agent of the run that its weights come from: with the agent's
    observation statistics, each sensor is

        clip((x - mean) / std, -clip, clip) unit

    and motors are clipped to [-1, 1], or squashed by a tanh, as algorithms do whose policies are. Untrained, or from a
    run whose observations are not normalised, sensors are as they are.

    Args:
        senses: size of each sense that is offered to the circuit.
        n_motors: number of motor commands.
        circuit: name of the circuit.
        options: of the circuit.
        bound: how motors are kept in their range.
        dt, dt_ref, rng: as in `make_circuit`.

    Attributes:
        circuit: the agent's own.
        mean, std: of each sensor, in its unit: buffers.
        unit: of each sensor, in which the circuit is shown a normalised observation: a buffer.
        clip: of a normalised observation: a buffer.

    Raises:
        UnknownName, CircuitMismatch: there is no such circuit, it cannot be built so, or it is a policy itself.
    """

    is_bounded = True
    is_scaled = True
    mean: Float[Tensor, " sensors"]
    std: Float[Tensor, " sensors"]
    unit: Float[Tensor, " sensors"]
    clip: Float[Tensor, ""]

    def __init__(
        self,
        senses: Mapping[str, int],
        n_motors: int,
        *,
        circuit: str = "mlp",
        options: Mapping[str, Any] | None = None,
        bound: Literal["clip", "tanh"] = "clip",
        dt: float | None = None,
        dt_ref: float | None = None,
        rng: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if circuit == "policy":
            raise CircuitMismatch("a policy is made of a policy; name its circuit, such as mlp")
        if bound not in ("clip", "tanh"):
            raise CircuitMismatch(f"bound is {bound!r}; give clip or tanh")
        self.circuit, self.bound = make_circuit(circuit, senses, n_motors, options, rng, dt, dt_ref), bound
        check_pins(self.circuit)
        self.senses, self.n_motors = self.circuit.senses, n_motors
        self.neurons, self.groups = self.circuit.neurons, self.circuit.groups
        self.rates = {f"circuit.{name}": rate for name, rate in self.circuit.rates.items()}
        self.memory, self.origin = self.circuit.memory, self.circuit.origin
        for name, value in (("mean", 0.0), ("std", 1.0), ("unit", 1.0)):
            self.register_buffer(name, torch.full((self.n_sensors,), value))
        self.register_buffer("clip", torch.tensor(math.inf))

    @classmethod
    def facts(cls, options: Mapping[str, Any]) -> Facts | None:
        """Return what a policy of these options is: as its circuit, but bounded and scaled."""
        if options["circuit"] not in CIRCUITS or options["circuit"] == "policy":
            return None
        its = declared_facts(options["circuit"], options["options"] or {})
        return None if its is None else dataclasses.replace(its, is_bounded=True, is_scaled=True)

    @property
    def firing(self) -> tuple[Neuron, ...]:
        """The circuit's neurons that fire."""
        return self.circuit.firing

    def initial_state(self, batch_size: int) -> State:
        """Return the circuit's state at an episode's start."""
        return self.circuit.initial_state(batch_size)

    def forward(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State]:
        """Run one control step."""
        motor, state = self.circuit(self._shown(sensors), state, pins)
        return self._bounded(motor), state

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step; activity is the circuit's, of sensors as they are shown and motors before the bound."""
        motor, state, activity = self.circuit.forward_with_activity(self._shown(sensors), state, pins)
        return self._bounded(motor), state, activity

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run the circuit over a sequence; see `Circuit.unroll`."""
        motors, state = self.circuit.unroll(self._shown(sensors), state, episode_start)
        return self._bounded(motors), state

    def spikes(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> Float[Tensor, "batch substeps firing"]:
        """Return the circuit's spikes, 0 or 1, in the control step that starts from `state`."""
        return self.circuit.spikes(self._shown(sensors), state, pins)

    def wiring(self, state: State | None = None) -> Wiring:
        """Return the circuit's graph."""
        return wiring_at(self.circuit, state)

    def after_update(
        self, sensors: Float[Tensor, "time batch sensors"], activity: Float[Tensor, "time batch neurons"]
    ) -> None:
        """Let the circuit change what a learner's update left."""
        self.circuit.after_update(self._shown(sensors), activity)

    @property
    def changes_after_update(self) -> bool:
        """Whether the circuit does."""
        return self.circuit.changes_after_update

    @property
    def restructures_every(self) -> int:  # type: ignore[override]
        """After how many rollouts or generations the circuit changes its structure."""
        return self.circuit.restructures_every

    def restructure(
        self, sensors: Float[Tensor, "time batch sensors"], activity: Float[Tensor, "time batch neurons"]
    ) -> Mapping[str, Bool[Tensor, "*shape"]]:
        """Let the circuit change its structure."""
        anew = self.circuit.restructure(self._shown(sensors), activity)
        return {f"circuit.{name}": mask for name, mask in anew.items()}

    def active(self) -> Mapping[str, Bool[Tensor, "*shape"]]:
        """Return which of the circuit's weights act, by parameter."""
        return {f"circuit.{name}": mask for name, mask in self.circuit.active().items()}

    def _shown(self, sensors: Float[Tensor, "*batch sensors"]) -> Float[Tensor, "*batch sensors"]:
        return ((sensors - self.mean) / self.std).clamp(-self.clip, self.clip) * self.unit

    def _bounded(self, motor: Float[Tensor, "*batch motors"]) -> Float[Tensor, "*batch motors"]:
        return motor.tanh() if self.bound == "tanh" else motor.clamp(-1, 1)
