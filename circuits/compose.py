"""Circuits wired into a circuit: open systems in boxes, and a box around them.

Spivak and Hosgood 2021 (https://arxiv.org/abs/2111.01297); Vagner, Spivak and Lerman 2015 for the wiring diagrams. Our
parts answer within the step, where theirs do so at the next one, so wires without delay form no cycle.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..errors import CircuitMismatch
from .contract import Circuit, Memory, Neuron, Pins, State, Synapse, Wiring, check_pins, wiring_at
from .freezing import thawed
from .lane_step import LaneStep, lane_step_of
from .neurons import neuron_row, sensor_neurons
from .wires import IN, OUT, End, Wire
from .wiring_diagram import WiringDiagram


class Composed(Circuit):
    """Circuits wired into a circuit.

    A state's keys are PART/KEY, and wire0, wire1, ... for wires with a delay, [batch, delay, size]; neurons are
    in/SENSE_0, PART/NEURON and out/motor_0; parameters are parts.PART.NAME.

    Args:
        parts: circuits by name.
        wires: between them.
        senses: size of each sense that wires may start from; those that none starts from are not sensed.
        n_motors: the number of motor commands.

    Attributes:
        parts: the circuits by name.

    Raises:
        CircuitMismatch: a wire's end does not exist, sizes or units differ, something that a part senses or a
            motor of the whole has no wire, wires without delay form a cycle, or a part cannot be one: its neurons
            take no pins, or it changes its weights after updates.
    """

    def __init__(
        self, parts: Mapping[str, Circuit], wires: Iterable[Wire], senses: Mapping[str, int], n_motors: int
    ) -> None:
        super().__init__()
        for name, part in parts.items():
            _check_part(name, part)
        self.parts = nn.ModuleDict(dict(parts))
        diagram = WiringDiagram(parts, wires, senses, n_motors)
        self.n_motors, self.senses = n_motors, diagram.senses
        self._joined, self._delayed = diagram.joined, diagram.delayed
        self._order, self._made_of = diagram.order, diagram.made_of
        self._keys = {name: tuple(part.initial_state(1)) for name, part in self._each()}
        self._name_neurons()
        self.memory = self._memory()
        self.is_bounded = self._is_bounded()
        first = {each.target.part for each in self._joined if each.source.part == IN} - {OUT}
        # What works before training, or scales its senses, must see them as they are.
        self.is_scaled = any(self._part(name).is_bounded or self._part(name).is_scaled for name in first)
        learned = {name for name, _ in self.named_parameters()}
        self.rates = {name: rate for name, rate in self._of_parameters(lambda part: part.rates) if name in learned}
        self.origin = " ".join(dict.fromkeys(part.origin for _, part in self._each() if part.origin))

    def active(self) -> Mapping[str, Bool[Tensor, "*shape"]]:
        """Return which weights of the parts act, by parameter."""
        return dict(self._of_parameters(lambda part: part.active()))

    def _of_parameters(self, asked: Callable[[Circuit], Mapping[str, Any]]) -> Iterator[tuple[str, Any]]:
        """Yield what the parts say of their parameters, by the names that these have here."""
        for name, part in self._each():
            for own, value in asked(part).items():
                yield f"parts.{name}.{own}", value

    def initial_state(self, batch_size: int) -> State:
        """Return the parts' initial states, and zeros for what is on its way in wires with a delay."""
        state = {
            f"{name}/{key}": value
            for name, part in self._each()
            for key, value in part.initial_state(batch_size).items()
        }
        like = next(
            (held for held in (*self.parameters(), *self.buffers()) if held.is_floating_point()), torch.zeros(0)
        )
        for each in self._delayed:
            state[each.key] = like.new_zeros(batch_size, each.wire.delay, each.source.size)
        return state

    def forward(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State]:
        """Run one control step."""
        motor, state, _ = self._step(sensors, state, pins, active=False)
        return motor, state

    def forward_with_activity(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
        """Run one control step and return every neuron's value, in its part's unit."""
        motor, state, activity = self._step(sensors, state, pins, active=True)
        return motor, state, torch.cat(activity, -1)

    def unroll(
        self,
        sensors: Float[Tensor, "time batch sensors"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], State]:
        """Run the circuit over a sequence: part after part, or step by step where a wire has a delay."""
        if self._delayed:
            return super().unroll(sensors, state, episode_start)
        values: dict[str, Tensor] = {IN: sensors}
        after: State = {}
        for name in self._order:
            values[name], own = self._part(name).unroll(
                self._gather(name, values), self._of_part(name, state), episode_start
            )
            after |= {f"{name}/{key}": value for key, value in own.items()}
        return self._gather(OUT, values), after

    @property
    def firing(self) -> tuple[Neuron, ...]:
        """The neurons of the parts that fire."""
        return self._firing

    def spikes(
        self, sensors: Float[Tensor, "batch sensors"], state: State, pins: Pins | None = None
    ) -> Float[Tensor, "batch substeps firing"]:
        """Return the spikes of the parts' neurons that fire, 0 or 1, in the control step that starts from `state`.

        There are as many substeps as all parts' numbers of substeps divide. A spike is in the last of those that its
        part's substep is divided into.
        """
        if not self._firing:
            return super().spikes(sensors, state, pins)
        found: list[Tensor] = []
        self._step(sensors, state, pins, active=False, spikes=found)
        most = math.lcm(*(each.shape[1] for each in found))
        spread = [each.new_zeros(len(each), most, each.shape[2]) for each in found]
        for whole, each in zip(spread, found, strict=True):
            apart = most // each.shape[1]
            whole[:, apart - 1 :: apart] = each
        return torch.cat(spread, -1)

    def lane_step(self) -> LaneStep | None:
        """Return the step over vectors; None where a part has none, or where parts are one circuit or share weights."""
        acting = {name: thawed(part) if part.frozen else part for name, part in self._each()}
        steps = {name: step for name, part in acting.items() if (step := lane_step_of(part))}
        own = sum(step.n_weights for name, step in steps.items() if not self._part(name).frozen)
        if len(steps) < len(acting) or own != sum(parameter.numel() for parameter in self.parameters()):
            return None
        from .compose_lanes import Part, composed_step

        parts = {}
        for name, part in self._each():
            frozen = nn.utils.parameters_to_vector(acting[name].parameters()).tolist() if part.frozen else ()
            parts[name] = Part(steps[name], part.n_sensors, part.n_motors, tuple(frozen))
        return composed_step(parts, self._made_of, self._delayed, self.n_sensors, self.n_motors)

    def wiring(self, state: State | None = None) -> Wiring:
        """Return the parts' graphs, joined by the wires with their gains."""
        synapses = []
        for name, part in self._each():
            held = None if state is None else self._of_part(name, state)
            synapses += [
                dataclasses.replace(each, pre=f"{name}/{each.pre}", post=f"{name}/{each.post}")
                for each in wiring_at(part, held).synapses
            ]
        for each in self._joined:
            group = str(each.wire)
            for place in range(each.source.size):
                synapses += [
                    Synapse(pre, post, each.gain * sign * factor, group, each.wire.delay or None)
                    for pre, sign in self._that_give(each.source, place)
                    for post, factor in self._that_hear(each.target, place)
                ]
        return Wiring(self.neurons, tuple(synapses))

    def _step(
        self,
        sensors: Float[Tensor, "batch sensors"],
        state: State,
        pins: Pins | None,
        active: bool,
        spikes: list[Float[Tensor, "batch substeps some"]] | None = None,
    ) -> tuple[Float[Tensor, "batch motors"], State, list[Float[Tensor, "batch some"]]]:
        """Run one control step; activity is of every neuron if `active`, and `spikes`, if given, takes each part's."""
        values = {IN: self.pinned(sensors, IN, pins)}
        values |= {each.key: state[each.key][:, 0] for each in self._delayed}
        after, activity = {}, [values[IN]]
        for name in self._order:
            part, own = self._part(name), self._of_part(name, state)
            heard = self._gather(name, values)
            held = () if pins is None else (Pins(*(each[..., self.groups[name]] for each in (pins.scale, pins.shift))),)
            if spikes is not None and part.firing:
                spikes.append(part.spikes(heard, own, *held))
            if active:
                values[name], own, found = part.forward_with_activity(heard, own, *held)
                activity.append(found)
            else:
                values[name], own = part(heard, own, *held)
            for key, value in own.items():
                after[f"{name}/{key}"] = value
        for each in self._delayed:
            now = values[each.source.part][:, None, each.source.columns]
            after[each.key] = torch.cat((state[each.key][:, 1:], now), 1)
        motor = self.pinned(self._gather(OUT, values), OUT, pins)
        return motor, after, [*activity, motor]

    def _gather(
        self, target: str, values: Mapping[str, Float[Tensor, "*batch some"]]
    ) -> Float[Tensor, "*batch columns"]:
        """Return what a part, or `out`, is given."""
        pieces = []
        for terms in self._made_of[target]:
            total = None
            for key, columns, gain, gate in terms:
                value = values[key] if columns is None else values[key][..., columns]
                value = value if gain == 1 else gain * value
                value = value if gate is None else values[gate.part][..., gate.columns] * value
                total = value if total is None else total + value
            pieces.append(total)
        if not pieces:  # of a part that senses nothing
            return values[IN][..., :0]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, -1)  # type: ignore[arg-type, return-value]

    def _of_part(self, name: str, state: State) -> State:
        return {key: state[f"{name}/{key}"] for key in self._keys[name]}

    def _part(self, name: str) -> Circuit:
        return self.parts[name]  # type: ignore[return-value]

    def _each(self) -> Iterable[tuple[str, Circuit]]:
        return self.parts.items()  # type: ignore[return-value]

    def _name_neurons(self) -> None:
        neurons = [dataclasses.replace(each, name=f"in/{each.name}") for each in sensor_neurons(self.senses)]
        groups, start = {IN: slice(0, len(neurons))}, 0
        for sense, size in self.senses:
            groups[f"in/{sense}"] = slice(start, start + size)
            start += size
        for name in self._order:
            part, start = self._part(name), len(neurons)
            neurons += [dataclasses.replace(each, name=f"{name}/{each.name}") for each in part.neurons]
            groups[name] = slice(start, len(neurons))
            for group, some in part.groups.items():
                first, last, _ = some.indices(len(part.neurons))
                groups[f"{name}/{group}"] = slice(start + first, start + last)
        groups[OUT] = slice(len(neurons), len(neurons) + self.n_motors)
        neurons += [dataclasses.replace(each, name=f"out/{each.name}")
                    for each in neuron_row("motor", "motor", self.n_motors)]  # fmt: skip
        self.neurons, self.groups = tuple(neurons), groups
        named = {each.name: each for each in neurons}
        self._firing = tuple(named[f"{name}/{each.name}"] for name in self._order for each in self._part(name).firing)

    def _memory(self) -> Memory:
        kinds = {"recurrent" if part.is_recurrent else "clock" if part.initial_state(1) else "none"
                 for _, part in self._each()}  # fmt: skip
        return "recurrent" if self._delayed or "recurrent" in kinds else "clock" if "clock" in kinds else "none"

    def _is_bounded(self) -> bool:
        reach = [each for each in self._joined if each.target.part == OUT]
        parts = [end.part for each in reach for end in (each.source, each.gate) if end is not None]
        if any(part == IN or not self._part(part).is_bounded for part in parts):
            return False
        return all(sum(abs(term.gain) for term in terms) <= 1 for terms in self._made_of[OUT])

    def _that_give(self, end: End, place: int) -> list[tuple[str, float]]:
        """Return the neurons whose value a source's value is, with their signs."""
        index = end.first + place
        if end.part == IN:
            return [(f"in/{end.sense}_{index}", 1.0)]
        signed = {f"motor_{index}": 1.0, f"out/motor_{index}": 1.0, f"muscle_d_{index}": 1.0, f"muscle_v_{index}": -1.0}
        return self._there(end.part, signed)

    def _that_hear(self, end: End, place: int) -> list[tuple[str, float]]:
        """Return the neurons that hear a target's value, with their signs."""
        index = end.first + place
        if end.part == OUT:
            return [(f"out/motor_{index}", 1.0)]
        signed = {f"{end.sense}_{index}": 1.0, f"in/{end.sense}_{index}": 1.0}
        if dict(self._part(end.part).senses)[end.sense] == 1:
            signed |= {end.sense: 1.0} | ({"stop": -1.0} if end.sense == "speed" else {})  # NCAP's is 1 - speed
        if end.sense == "joint_pos":  # stretch of both sides, as sided circuits name it
            signed |= {f"q_d_{index}": 1.0, f"q_v_{index}": -1.0}
        return self._there(end.part, signed)

    def _there(self, part: str, signed: Mapping[str, float]) -> list[tuple[str, float]]:
        names = {neuron.name for neuron in self._part(part).neurons}
        return [(f"{part}/{name}", sign) for name, sign in signed.items() if name in names]


def _check_part(name: str, part: Circuit) -> None:
    if not name.isidentifier() or name in (IN, OUT):
        raise CircuitMismatch(f"a part is named {name!r}; give a name of letters and digits, other than in and out")
    if not isinstance(part, Circuit):
        raise CircuitMismatch(f"part {name} is {type(part).__name__}; give a circuit")
    check_pins(part)
    if (part.changes_after_update or part.restructures_every) and any(True for _ in part.parameters()):
        raise CircuitMismatch(f"part {name} changes its weights after updates, as a part cannot; freeze it")
