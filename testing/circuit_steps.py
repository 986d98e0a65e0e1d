"""The laws of a circuit's steps: their dependencies, and their agreement with unrolling, populations and pins."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import functional_call

from ..circuits import Circuit, Pins, State, make_circuit
from ..circuits.first_steps import check_bounds, check_first_steps, check_wiring, drawn_sensors, drawn_state
from ..circuits.registry import shown_name
from ..laws import Laws

_BATCH, _STEPS = 5, 12
_ROUNDING = 1e-5  # of sums in single precision in another order
_MOST_PINNED = 24  # neurons, so that a check of a large circuit takes no longer
_CLAMP = 0.37
# By which weights gradients are looked for, until all are found: the circuit's own times the first number, and a normal
# draw times the second; sensors reach as far as the third.
_DRAWS = [(1.0, 0.0, 0.6), (0.4, 0.1, 0.6), (1.0, 0.6, 1.5), *[(0.0, 0.5, 0.6)] * 20]


@dataclasses.dataclass(frozen=True)
class Built:
    """A circuit, built through the registry.

    Attributes:
        name: its registered name.
        senses: name and size of each available sense.
        n_motors: number of motors.
        options: the circuit's options.
    """

    name: str
    senses: Mapping[str, int]
    n_motors: int
    options: Mapping[str, Any]

    @property
    def laws(self) -> Laws:
        """Its laws."""
        return Laws(f"circuit {shown_name(self.name)}")

    @functools.cached_property
    def circuit(self) -> Circuit:
        """The circuit to check."""
        return self.make()

    def make(self, seed: int = 0, **told: float) -> Circuit:
        """Build a circuit with weights drawn from a seed; `told` are dt and dt_ref, s."""
        law = "it is built as build(senses, n_motors, rng=..., **options)"
        with self.laws.asking(law, "see register_circuit, or give check_circuit the senses that it needs"):
            rng = torch.Generator().manual_seed(seed)
            return make_circuit(self.name, dict(self.senses), self.n_motors, self.options, rng, **told)

    def sensors(self, *shape: int, seed: int = 0, reach: float = 1.5) -> Float[Tensor, "*shape sensors"]:
        """Draw sensors; see `drawn_sensors`."""
        return drawn_sensors(self.circuit, *shape, seed=seed, reach=reach)

    def state(self, batch: int) -> State:
        """Return a batch state with each environment at a different time of its episode."""
        return drawn_state(self.circuit, batch)

    def with_weights(self, seed: int, spread: float) -> Circuit:
        """Return a copy with normal noise of standard deviation `spread` on its weights, in their own units."""
        other, rng = copy.deepcopy(self.circuit), torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in other.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=rng).to(parameter.dtype), alpha=spread)
        return other


@torch.no_grad()
def without_gradients(law: Callable[..., None], *arguments: Any) -> None:
    """Check one law, without gradients."""
    law(*arguments)


def first_steps(built: Built) -> None:
    """Check what is checked of every circuit of a user's own before it is used."""
    check_first_steps(built.circuit, built.laws.subject, built.n_motors)
    check_wiring(built.circuit, built.laws.subject)


def rows_alone(built: Built) -> None:
    """Check that environments of a batch do not influence one another."""
    laws, circuit = built.laws, built.circuit
    sensors, state = built.sensors(_BATCH), built.state(_BATCH)
    expected = circuit(sensors, state)
    law, right = "environments of a batch do not hear each other", "compute along the batch, never across it"
    one = circuit(sensors[2:3], {key: value[2:3] for key, value in state.items()})
    laws.alike(law, one, _rows(expected, slice(2, 3)), right, _ROUNDING, "an environment alone")
    order = torch.tensor([3, 0, 4, 1, 2])
    other = circuit(sensors[order], {key: value[order] for key, value in state.items()})
    laws.alike(law, other, _rows(expected, order), right, _ROUNDING, "a batch in another order")
    sensors = sensors.clone()
    sensors[0] = torch.nan
    beside = _rows(circuit(sensors, state), slice(1, None))
    laws.alike(law, beside, _rows(expected, slice(1, None)), right, _ROUNDING, "a batch with NaN in another row")


def state_at_reset(built: Built) -> None:
    """Check that an episode's start removes all traces of the last episode."""
    laws, circuit = built.laws, built.circuit
    state, start = built.state(_BATCH), torch.tensor([True, False, True, False, False])
    found, initial = circuit.reset_state(state, start), circuit.initial_state(_BATCH)
    law, right = "reset_state puts initial rows where an episode starts, and leaves the others", "leave it to Circuit"
    laws.alike(law, _rows(found, start), _rows(initial, start), right)
    laws.alike(law, _rows(found, ~start), _rows(state, ~start), right)
    lost = {key: torch.full_like(value, torch.nan) if value.is_floating_point() else value
            for key, value in state.items()}  # fmt: skip
    everyone = torch.ones(_BATCH, dtype=torch.bool)
    with torch.enable_grad():
        found = circuit.reset_state(lost, everyone)
    laws.alike("a reset state forgets NaN", found, initial, "take torch.where, and do not multiply by 0")


def sequences(built: Built) -> None:
    """Check that `unroll` equals stepping, with resets inside."""
    circuit, state = built.circuit, built.state(_BATCH)
    sensors = built.sensors(_STEPS, _BATCH)
    before = (sensors.clone(), _copied(state))
    starts = torch.rand(_STEPS, _BATCH, generator=torch.Generator().manual_seed(1)) < 0.1
    starts[0, 0] = True
    motors, stepping = [], state
    for row, start in zip(sensors, starts, strict=True):
        motor, stepping = circuit(row, circuit.reset_state(stepping, start))
        motors.append(motor)
    law, right = "unroll equals stepping", "reset the state before step t where episode_start[t], or leave unroll alone"
    with built.laws.asking(law, right):
        found, last = circuit.unroll(sensors, state, starts)
    built.laws.alike(law, found, torch.stack(motors), right, _ROUNDING, "the motor command at [time, batch, motor]")
    built.laws.alike(law, last, stepping, right, _ROUNDING, "the last state's")
    built.laws.alike("unroll leaves its arguments as they are", (sensors, state), before, "write no tensor in place")
    ended, starts = sensors.clone(), starts.clone()
    ended[3, 0], starts[4, 0] = torch.nan, True
    found, expected = (circuit.unroll(each, state, starts)[0][4:] for each in (ended, sensors))
    built.laws.alike(
        "an episode that ended in NaN leaves nothing to the next", found, expected,
        "take torch.where, and do not multiply by 0", _ROUNDING, "the motor command at [time, batch, motor]",
    )  # fmt: skip


def bounds(built: Built) -> None:
    """Check that a circuit's statements about its bounds and its clock are true for any weights."""
    laws = built.laws
    if built.circuit.is_bounded:
        most = max(
            float(built.with_weights(seed, 3.0)(built.sensors(_BATCH, seed=seed, reach=15.0), built.state(_BATCH))[0]
                  .abs().max()) for seed in range(3)
        )  # fmt: skip
        check_bounds(laws, most)
    if built.circuit.memory == "clock":
        (_, one), (_, other) = (
            circuit(built.sensors(_BATCH), built.circuit.initial_state(_BATCH))
            for circuit in (built.circuit, built.with_weights(1, 0.5))
        )
        laws.alike("no weight moves a clock", other, one, 'say memory = "recurrent"', what="with other weights")


def device(built: Built) -> None:
    """Check that a step gives the same results while torch's default device is another."""
    circuit, sensors = built.circuit, built.sensors(4, _BATCH)
    start = torch.zeros(4, _BATCH, dtype=torch.bool)
    start[2, 1] = True
    expected = circuit.unroll(sensors, circuit.initial_state(_BATCH), start)
    law, right = "it makes its tensors where its weights are", "say device=, or use new_zeros and its like"
    with built.laws.asking(law, right), torch.device("meta"):
        found = circuit.unroll(sensors, circuit.initial_state(_BATCH), start)
    built.laws.hold(law, found[0].device == sensors.device, f"motors are on {found[0].device}", right)
    built.laws.alike(law, found, expected, right)


def mapping(built: Built, one_by_one: bool) -> None:
    """Check that a population's step equals a single step with each member's weights."""
    members = [built.circuit, *(built.with_weights(seed, 0.5) for seed in (1, 2))]
    weights, buffers = torch.func.stack_module_state(members)
    sensors, state = built.sensors(3, _BATCH), built.state(_BATCH)
    states = {key: torch.stack([value] * 3) for key, value in state.items()}

    def one(weights: State, buffers: State, sensors: Tensor, state: State) -> tuple[Tensor, State]:
        found: tuple[Tensor, State] = functional_call(built.circuit, (weights, buffers), (sensors, state))
        return found

    law, right = (
        "torch.vmap maps it over weights",
        ("compute without branching on values, or say one_by_one=True: populations then run more slowly"),
    )
    try:
        found = torch.vmap(one)(weights, buffers, sensors, states)
    except RuntimeError as error:
        built.laws.hold(law, one_by_one, str(error).split(". ")[0], right)
        return
    built.laws.hold("it runs one by one as said", not one_by_one, "torch.vmap maps it", "leave one_by_one=True out")
    for index, member in enumerate(members):
        expected = member(sensors[index], state)
        right = "use parameters by their names, each time"
        built.laws.alike(law, _rows(found, index), expected, right, _ROUNDING, f"member {index} of 3")


def gradients(built: Built, exempt: set[str]) -> None:
    """Check that every parameter gets a gradient, under at least one of several draws of weights."""
    names = {name for name, parameter in built.circuit.named_parameters() if parameter.requires_grad}
    laws, law = built.laws, "a gradient reaches every parameter"
    laws.hold(
        "parameters without a gradient are named as they are", exempt <= names,
        f"no_gradient names {sorted(exempt - names)}", f"its parameters are {', '.join(sorted(names)) or 'none'}",
    )  # fmt: skip
    _gradients_after_nan(built)
    missing = set(names)
    starts = torch.zeros(_STEPS, 16, dtype=torch.bool)
    weight = torch.rand(_STEPS, 16, built.n_motors, generator=torch.Generator().manual_seed(4))
    # Saturated sums and resting units have no gradient: small weights and inputs avoid most of these.
    for seed, (keep, spread, reach) in enumerate(_DRAWS):
        if missing <= exempt:
            break
        circuit = built.with_weights(seed, spread)
        with torch.no_grad():
            for parameter, own in zip(circuit.parameters(), built.circuit.parameters(), strict=True):
                parameter.add_(own, alpha=keep - 1)
        sensors = built.sensors(_STEPS, 16, seed=seed, reach=reach)
        motor, _ = circuit.unroll(sensors, circuit.initial_state(16), starts)
        if not motor.requires_grad:
            continue
        (motor * weight).sum().backward()
        for name, parameter in circuit.named_parameters():
            if parameter.grad is None:
                continue
            finite, right = bool(parameter.grad.isfinite().all()), "mind roots, logarithms and divisions at 0"
            laws.hold("gradients are finite", finite, f"that of {name} is not", right)
            if parameter.grad.any():
                missing.discard(name)
    laws.hold(
        law, missing <= exempt, f"none reaches {', '.join(sorted(missing - exempt))}",
        "let the motors depend on them without a step or a detach in between, or name them in no_gradient",
    )  # fmt: skip


def _gradients_after_nan(built: Built) -> None:
    """Return a state in which every environment comes from an episode that ended in NaN."""
    circuit, starts = copy.deepcopy(built.circuit), torch.zeros(3, _BATCH, dtype=torch.bool)
    starts[0] = True
    lost = {key: torch.full_like(value, torch.nan) if value.is_floating_point() else value
            for key, value in circuit.initial_state(_BATCH).items()}  # fmt: skip
    motor, _ = circuit.unroll(built.sensors(3, _BATCH), lost, starts)
    if motor.requires_grad:
        motor.sum().backward()
    grads = [parameter.grad for parameter in circuit.parameters() if parameter.grad is not None]
    finite = motor.isfinite().all() and all(grad.isfinite().all() for grad in grads)
    built.laws.hold(
        "an episode that ended in NaN leaves nothing to the next", finite, "motors or gradients are not finite",
        "take torch.where to reset, and do not multiply by 0",
    )  # fmt: skip


def pins(built: Built) -> None:
    """Check that a pinned neuron has its pinned value, and that the neurons that it drives respond to that value."""
    laws, circuit, n = built.laws, built.circuit, len(built.circuit.neurons)
    right = "pass values through self.pinned(values, group, pins) where they are computed"
    sensors, state = built.sensors(_BATCH), built.state(_BATCH)
    expected = circuit.forward_with_activity(sensors, state)
    as_they_are = Pins(torch.ones(_BATCH, n), torch.zeros(_BATCH, n))
    found = circuit.forward_with_activity(sensors, state, as_they_are)
    laws.alike("pins of scale 1 and shift 0 change nothing", found, expected, right, _ROUNDING)
    some = torch.linspace(0, n - 1, min(n, _MOST_PINNED)).round().long()
    rows, each = torch.arange(len(some)), torch.zeros(len(some), n)
    each[rows, some] = 1.0
    departed = torch.zeros(n, dtype=torch.bool)
    for value in (_CLAMP, 0.0):
        pinned = Pins(1 - each, value * each)
        free = held = {key: rest[:1].expand(len(some), *rest.shape[1:]) for key, rest in state.items()}
        for step in range(3):
            sensors = built.sensors(1, seed=step).expand(len(some), -1)
            _, free, usual = circuit.forward_with_activity(sensors, free)
            plain, _ = circuit(sensors, held, pinned)
            motor, held, activity = circuit.forward_with_activity(sensors, held, pinned)
            laws.alike("forward equals forward_with_activity, with pins too", plain, motor, right)
            wrong = (activity[rows, some] - value).abs() > 1e-6
            names = [circuit.neurons[int(index)].name for index in some[wrong][:3]]
            what = "a silenced neuron is at 0" if value == 0 else "a clamped neuron keeps its value"
            laws.hold(what, not names, f"{', '.join(names)} left {value}", right)
            others = (activity - usual).abs() > 1e-6
            others[rows, some] = False
            departed |= others.any(0)
    # Neurons may receive a motor's value only through the body.
    inner = {neuron.name for neuron in circuit.neurons if neuron.role != "motor"}
    driving = any(abs(synapse.weight) > 1e-3 and synapse.pre in inner for synapse in circuit.wiring().synapses)
    laws.hold("what hears a pinned neuron hears its new value", departed.any() or not driving,
              "no neuron changes when another is pinned", right)  # fmt: skip


def spikes(built: Built) -> None:
    """Check that spikes are 0 or 1, of the neurons that fire, the same in any batch, and that there are some."""
    laws, circuit = built.laws, built.circuit
    right = "return [batch, substeps, neurons that fire], and keep nothing"
    laws.hold(
        "neurons that fire are a group", not circuit.spiking or circuit.spiking in circuit.groups,
        f"{circuit.spiking!r} is none of {', '.join(circuit.groups)}", "name one of `groups`",
    )  # fmt: skip
    sensors, state = built.sensors(_BATCH), built.state(_BATCH)
    before = (sensors.clone(), _copied(state))
    with laws.asking("a circuit that fires has spikes", right):
        found = circuit.spikes(sensors, state)
    laws.alike(
        "asking for spikes leaves the arguments as they are", (sensors, state), before, "write no tensor in place"
    )
    n = len(circuit.firing)
    laws.hold(
        "spikes have a row for each environment and a column for each neuron that fires",
        found.dim() == 3 and (len(found), found.shape[-1]) == (_BATCH, n),
        f"they are of shape {tuple(found.shape)} where ({_BATCH}, substeps, {n}) is expected", right,
    )  # fmt: skip
    laws.hold("a spike is 0 or 1", bool(((found == 0) | (found == 1)).all()), f"values are {found.unique()[:4]}", right)
    one = circuit.spikes(sensors[2:3], _rows(state, slice(2, 3)))
    laws.alike("environments of a batch do not hear each other", one, found[2:3], right, what="spikes alone")
    fired = torch.zeros(())
    for step in range(_STEPS):
        sensors = built.sensors(_BATCH, seed=step)
        fired = fired + circuit.spikes(sensors, state).sum()
        _, state = circuit(sensors, state)
    laws.hold("neurons that fire do fire", bool(fired), f"there is no spike in {_STEPS} steps", "mind the threshold")


def _copied(state: Mapping[str, Tensor]) -> State:
    return {key: value.clone() for key, value in state.items()}


def _rows(found: Any, rows: Any) -> Any:
    """Return some rows (environments) of motors, states and tuples of these."""
    if isinstance(found, Tensor):
        return found[rows]
    if isinstance(found, Mapping):
        return {key: value[rows] for key, value in found.items()}
    return tuple(_rows(each, rows) for each in found)
