"""Silence, clamp or drive named neurons or groups while an agent runs: lesions and stimulation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch

from ...circuits import Circuit, Pins, check_pins
from ...circuits.weights import device_of
from ...errors import CircuitMismatch, InvalidOption, UnknownName
from ...options import Instance, ListOf, Number, OneOf, wrong_value

Kind = Literal["silence", "clamp", "drive", "noise"]
NoiseUnit = Literal["own", "absolute"]


_FIELDS = {
    "neuron": Instance(str, "the name of a neuron, such as B_d_2"),
    "kind": OneOf(get_args(Kind)),
    "value": Number(-math.inf),
    "start": Number(0, is_whole=True),
    "stop": Number(0, is_whole=True, also=(None,), none="leave it out"),
}


@dataclasses.dataclass(frozen=True)
class Intervention:
    """An intervention on one neuron or a group, in the control steps `start` <= t < `stop` of every episode.

    Attributes:
        neuron: name of the neuron, or of a group, such as `B_d`, for all of its neurons.
        kind: "silence" holds the neuron at 0, "clamp" at `value`; "drive" adds `value`; "noise" adds white noise with
            standard deviation `value`, drawn in every control step and environment.
        value: value in the neuron's unit; "silence" takes none.
        start, stop: control steps; `stop` None is the end of the episode.
    """

    neuron: str
    kind: Kind = "silence"
    value: float = 0.0
    start: int = 0
    stop: int | None = None

    def __post_init__(self) -> None:
        if wrong := wrong_value(vars(self), _FIELDS):
            raise InvalidOption(f"{self.kind} {self.neuron}: {wrong}")
        if self.kind == "silence" and self.value:
            raise InvalidOption(
                f"silence {self.neuron}: value is {self.value:g}, and silence holds at 0; leave it out, or give clamp"
            )
        if self.kind == "noise" and self.value < 0:
            raise InvalidOption(f"noise {self.neuron}: value is {self.value:g}; give a standard deviation of 0 or more")
        if self.stop is not None and self.stop <= self.start:
            raise InvalidOption(
                f"{self.kind} {self.neuron} from step {self.start} to {self.stop}; give 0 <= start < stop"
            )

    @classmethod
    def parse(cls, kind: Kind, text: str) -> Intervention:
        """Parse NEURON[:START:STOP], or NEURON=VALUE[:START:STOP] to clamp or drive.

        Raises:
            InvalidOption: the text has another form.
        """
        what, *window = text.split(":")
        neuron, _, value = what.partition("=")
        form = "NEURON[:START:STOP]" if kind == "silence" else "NEURON=VALUE[:START:STOP]"
        try:
            if len(window) not in (0, 2) or bool(value) is (kind == "silence"):
                raise ValueError
            start, stop = (int(step) for step in window) if window else (0, None)
            amount = float(value or 0.0)
        except ValueError as error:
            raise InvalidOption(f"{kind} is {text!r}; give {form}, such as {_EXAMPLE[kind]}") from error
        return cls(neuron, kind, amount, start, stop)

    def __str__(self) -> str:
        value = "" if self.kind == "silence" else f" {self.value:+g}" if self.kind == "drive" else f" {self.value:g}"
        window = f", from step {self.start}" if self.start else ""
        window = window if self.stop is None else f", steps {self.start} to {self.stop}"
        return f"{self.kind} {self.neuron}{value}{window}"


INTERVENTIONS = ListOf(Instance(Intervention, "an Intervention"), '[Intervention("B_d_2")]')
_NOISE_SEED = 20_000
_EXAMPLE: dict[str, str] = {
    "silence": "B_d_2",
    "clamp": "osc_v=1.0:100:200",
    "drive": "B_d_0=0.5:100:200",
    "noise": "B_d_0=0.1",
}


def pinning(
    agent: Any, interventions: Sequence[Intervention] | Pins, n_envs: int, episode_steps: int
) -> Callable[[int], Pins | None]:
    """Return what is done to an agent's circuit at each control step of an episode, counted from 0.

    Args:
        agent: whose `circuit` it is.
        interventions: by name and window, the same in every environment but for noise; or pins, the same in every step.
        n_envs: environments in which it acts.
        episode_steps: control steps of an episode.

    Raises:
        UnknownName: the circuit has no such neuron or group.
        CircuitMismatch: the agent has no circuit, or one whose neurons cannot be reached.
        InvalidOption: an intervention begins after an episode's end.
    """
    if isinstance(interventions, Pins):
        check_pins(circuit_of(agent))
        return lambda _: interventions
    if not interventions:
        return lambda _: None
    for each in interventions:
        if each.start >= episode_steps:
            raise InvalidOption(
                f"{each.kind} {each.neuron} begins at step {each.start}, after the episode's last; "
                f"give a step from 0 to {episode_steps - 1}"
            )
    circuit = circuit_of(agent)
    by_neuron = for_each_neuron(interventions, circuit)
    return lambda step: pins_at(by_neuron, circuit, step, n_envs)


def circuit_of(agent: Any) -> Circuit:
    """Return an agent's circuit.

    Raises:
        CircuitMismatch: it has none.
    """
    circuit = getattr(agent, "circuit", None)
    if not isinstance(circuit, Circuit):
        raise CircuitMismatch(f"{type(agent).__name__} has no circuit of named neurons to intervene in")
    return circuit


def for_each_neuron(interventions: Sequence[Intervention], circuit: Circuit) -> list[Intervention]:
    """Return interventions with those on a group replaced by one on each of its neurons.

    Raises:
        UnknownName: the circuit has no such neuron or group.
        CircuitMismatch: its neurons cannot be reached.
    """
    check_pins(circuit)
    members = {group: [neuron.name for neuron in circuit.neurons[part]] for group, part in circuit.groups.items()}
    members |= {neuron.name: [neuron.name] for neuron in circuit.neurons}
    found = []
    for each in interventions:
        if each.neuron not in members:
            spaces = "give several with spaces between them; " if "," in each.neuron else ""
            hint = f"{spaces}what each is: nervecord list neurons RUN"
            raise UnknownName("neuron or group", each.neuron, members, hint)
        found += [dataclasses.replace(each, neuron=name) for name in members[each.neuron]]
    return found


def pins_at(interventions: Sequence[Intervention], circuit: Circuit, step: int, n_envs: int = 1) -> Pins | None:
    """Return what interventions on single neurons do to a circuit at a control step of the episode; None for nothing.

    Those on one neuron act together, in any order: what drives it adds up, the variances of noise too, and nothing is
    added to a neuron that is held; of two that hold it, the last counts. Noise is the same whenever a step is asked
    for.
    """
    active = [each for each in interventions if each.start <= step and (each.stop is None or step < each.stop)]
    if not active:
        return None
    column = {neuron.name: index for index, neuron in enumerate(circuit.neurons)}
    scale, shift, noise = torch.ones(len(column)), torch.zeros(len(column)), torch.zeros(len(column))
    for each in active:
        at = column[each.neuron]
        if each.kind == "noise":
            noise[at] = math.hypot(noise[at], each.value)
        elif each.kind == "drive":
            shift[at] += each.value
    for each in active:
        if each.kind in ("silence", "clamp"):
            at = column[each.neuron]
            scale[at], shift[at] = 0.0, each.value
    if noise.any():
        draws = np.random.default_rng((_NOISE_SEED, step)).standard_normal((n_envs, len(column)), np.float32)
        shift = shift + scale * noise * torch.as_tensor(draws)
    device = device_of(circuit)
    return Pins(scale.to(device), shift.to(device))
