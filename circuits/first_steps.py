"""The first steps of a circuit of the user's own: what it returns is checked once, before it acts or learns."""

from __future__ import annotations

from typing import Any, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from ..laws import Laws
from .contract import Circuit, Role, State, wiring_at

_BATCH = 5  # environments
_MODULE = "let the state carry what changes: it goes in and comes out, and the module keeps none of it"


@torch.no_grad()
def check_first_steps(circuit: Circuit, subject: str, n_motors: int) -> None:
    """Check what can be seen in a few steps with the initial weights: neurons, sizes, state, finite numbers and bounds.

    Raises:
        ContractBroken: the circuit breaks its contract; the message begins with `subject`, such as "circuit follower".
    """
    laws = Laws(subject)
    laws.hold(
        "it is built as build(senses, n_motors, rng=..., **options)", isinstance(circuit, Circuit),
        f"what is built is a {type(circuit).__name__}", "return a Circuit",
    )  # fmt: skip
    with laws.asking("it has senses, n_motors and neurons", "set them in __init__; see Circuit"):
        names, found = [neuron.name for neuron in circuit.neurons], circuit.n_motors
        drawn_sensors(circuit, _BATCH)
    laws.hold(
        "it drives the motors that there are", found == n_motors,
        f"n_motors is {found} where {n_motors} were asked for", "set n_motors as given",
    )  # fmt: skip
    _check_neurons(laws, circuit, names)
    _check_start(laws, circuit)
    _check_steps(laws, circuit)


@torch.no_grad()
def check_wiring(circuit: Circuit, subject: str) -> None:
    """Check that the wiring can be drawn, between the circuit's own neurons and with finite weights.

    Raises:
        ContractBroken: it is not so; the message begins with `subject`.
    """
    laws = Laws(subject)
    for state in (None, circuit.initial_state(1)):
        with laws.asking("its wiring can be drawn", "return Wiring(self.neurons, synapses)"):
            wiring = wiring_at(circuit, state)
        laws.hold(
            "the wiring's neurons are the circuit's", wiring.neurons == tuple(circuit.neurons),
            f"{len(wiring.neurons)} there and {len(circuit.neurons)} here, or in another order",
            "give Wiring self.neurons",
        )  # fmt: skip
        odd = [each for each in wiring.synapses if not abs(each.weight) < float("inf")]
        laws.hold("weights of the wiring are finite", not odd, f"{odd[:1]}", "return what the connection weighs now")


def drawn_sensors(circuit: Circuit, *shape: int, seed: int = 0, reach: float = 1.5) -> Float[Tensor, "*shape sensors"]:
    """Draw sensors between -reach and reach, each in its own unit; time in whole control steps."""
    rng = torch.Generator().manual_seed(seed)
    columns = [
        torch.randint(0, 200, (*shape, size), generator=rng).float()
        if name == "time"
        else (torch.rand(*shape, size, generator=rng) * 2 - 1) * reach
        for name, size in circuit.senses
    ]
    return torch.cat(columns, -1) if columns else torch.zeros(*shape, 0)


def drawn_state(circuit: Circuit, batch: int) -> State:
    """Return a batch state with each environment at a different time of its episode."""
    rng, state = torch.Generator().manual_seed(0), circuit.initial_state(batch)
    for step in range(3):
        _, state = circuit(drawn_sensors(circuit, batch, seed=step), state)
        state = circuit.reset_state(state, torch.rand(batch, generator=rng) < 0.3)
    return state


def lost_neuron(circuit: Circuit, activity: Float[Tensor, "batch neurons"]) -> str:
    """Return the name of the first neuron whose value is not finite in some environment; "" if all are."""
    lost = (~activity.isfinite()).any(0).nonzero()
    return circuit.neurons[int(lost[0])].name if len(lost) else ""


@torch.no_grad()
def first_lost(circuit: Circuit, n_steps: int = 1000) -> str:
    """Return the first neuron whose value is not finite in some steps with drawn sensors; "" if all are."""
    state = circuit.initial_state(1)
    for step in range(n_steps):
        _, state, activity = circuit.forward_with_activity(drawn_sensors(circuit, 1, seed=step), state)
        if lost := lost_neuron(circuit, activity):
            return lost
    return ""


def _check_neurons(laws: Laws, circuit: Circuit, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    laws.hold("names of neurons are unique", not twice, f"{twice[:3]} stand more than once", "give each its own")
    for neuron in circuit.neurons:
        is_placed = neuron.position is None or 0 <= neuron.position <= 1
        is_known = neuron.role in get_args(Role) and neuron.side in ("d", "v", None)
        laws.hold(
            "neurons have a known role, side and place", is_placed and is_known, f"{neuron}",
            f"role is one of {', '.join(get_args(Role))}; position is 0 to 1 or None; side is d, v or None",
        )  # fmt: skip
    for group, some in circuit.groups.items():
        inside = isinstance(some, slice) and 0 <= (some.start or 0) < (some.stop or len(names)) <= len(names)
        laws.hold(
            "groups are slices of the neurons", inside and some.step in (None, 1),
            f"{group!r} is {some} of {len(names)} neurons", "let named_groups make neurons and groups",
        )  # fmt: skip


def _check_start(laws: Laws, circuit: Circuit) -> None:
    with laws.asking("an episode has an initial state", "return a dictionary of tensors, {} without memory"):
        start = dict(circuit.initial_state(_BATCH))
    for key, value in start.items():
        is_batch = isinstance(value, Tensor) and value.dim() and len(value) == _BATCH
        laws.hold(
            "initial_state has a row for each environment", is_batch,
            f"{key} is of shape {tuple(getattr(value, 'shape', ()))} for a batch of {_BATCH}", "put the batch first",
        )  # fmt: skip
        laws.alike(
            "all episodes start alike", value, value[:1].expand_as(value), "return equal rows", what=f"initial {key}"
        )


def _check_steps(laws: Laws, circuit: Circuit) -> None:
    """Check single steps, and that those of other environments in between leave nothing behind."""
    law = "a step depends on its arguments alone"
    right = "keep nothing in the module, and draw nothing: state goes in and comes out, noise is a sense"
    _step(laws, circuit, drawn_sensors(circuit, _BATCH, seed=3), circuit.initial_state(_BATCH))
    weights, kept = _copied(circuit.state_dict()), _tensors_of(circuit)
    with laws.asking(law, right):
        sensors, state = drawn_sensors(circuit, _BATCH), drawn_state(circuit, _BATCH)
        first = circuit(sensors, state)
        circuit(drawn_sensors(circuit, 3, seed=8), circuit.initial_state(3))
        again = circuit(sensors, state)
    laws.alike(law, again, first, right, what="a repeat")
    laws.alike("a step leaves the module as it is", circuit.state_dict(), weights, _MODULE)
    # A constant may be kept once it is computed; what each step replaces is a state.
    moved = [name for name, value in _tensors_of(circuit).items() if name in kept and value is not kept[name]]
    laws.hold("a step leaves the module as it is", not moved, f"it sets self.{', self.'.join(moved)}", _MODULE)
    laws.alike(
        "forward equals forward_with_activity", first, _step(laws, circuit, sensors, state)[:2],
        "let forward return what forward_with_activity does, so that a recording shows what it does", what="a step",
    )  # fmt: skip
    if circuit.is_bounded:
        with laws.asking("a step takes large sensors too", "bound what grows"):
            motor, _ = circuit(drawn_sensors(circuit, _BATCH, reach=15.0), state)
        check_bounds(laws, float(motor.abs().max()))


def check_bounds(laws: Laws, most: float) -> None:
    """Check that the largest motor command of a bounded circuit, in units of the motor's range, is within it."""
    laws.hold(
        "a bounded circuit's motors stay in [-1, 1]", most <= 1, f"a motor is at {most:.3g}",
        "clamp, or leave is_bounded False",
    )  # fmt: skip


def _step(
    laws: Laws, circuit: Circuit, sensors: Float[Tensor, "batch sensors"], state: State
) -> tuple[Float[Tensor, "batch motors"], State, Float[Tensor, "batch neurons"]]:
    """Run a step, and check what it returns."""
    before = (sensors.clone(), _copied(state))
    with laws.asking("a step takes sensors and state", "see Circuit.forward_with_activity"):
        returned: Any = circuit.forward_with_activity(sensors, state)
    is_three = isinstance(returned, tuple) and len(returned) == 3
    told = f"{len(returned)} values" if isinstance(returned, tuple) else f"a {type(returned).__name__}"
    laws.hold("a step returns motors, state and activity", is_three, f"it returns {told}",
              "return motor, state, activity")  # fmt: skip
    motor, after, activity = returned
    laws.alike("a step leaves its arguments as they are", (sensors, state), before, "write no tensor in place")
    expected = {"motors": (len(sensors), circuit.n_motors), "activity": (len(sensors), len(circuit.neurons))}
    for what, value in (("motors", motor), ("activity", activity)):
        shape = tuple(getattr(value, "shape", ()))
        laws.hold(
            "a step returns a column for each motor and each neuron", shape == expected[what],
            f"the shape of {what} is {shape} where {expected[what]} is expected",
            "return [batch, motors], the state and [batch, neurons]",
        )  # fmt: skip
    lost = lost_neuron(circuit, activity)
    finite, right = "a step returns finite numbers", "mind roots, logarithms and divisions at 0, and bound what grows"
    laws.hold(finite, not lost, f"neuron {lost} is not finite", right)
    laws.hold(finite, motor.isfinite().all(), "motors are not", right)
    _check_state(laws, state, after)
    has_moved = not state or circuit.memory == "none" or any(after[key] is not value for key, value in state.items())
    laws.hold(
        "a step returns the next state", has_moved, "it returns the state that it was given",
        "return the new values; a circuit without memory begins with {}",
    )  # fmt: skip
    return motor, after, activity


def _check_state(laws: Laws, before: State, after: Any) -> None:
    law = "a step returns a state of the kind that it was given"
    right = "return every tensor of initial_state, of its shape and type"
    laws.hold(law, isinstance(after, dict), f"it is a {type(after).__name__}", right)
    laws.hold(
        law, before.keys() == after.keys(),
        f"it begins with {', '.join(before) or 'none'} and returns {', '.join(after) or 'none'}", right,
    )  # fmt: skip
    for key, value in before.items():
        (shape, kind), (found, other) = ((tuple(each.shape), each.dtype) for each in (value, after[key]))
        laws.hold(
            law, (shape, kind) == (found, other), f"{key} begins as {shape} {kind} and comes back as {found} {other}",
            right,
        )  # fmt: skip


def _tensors_of(circuit: Circuit) -> dict[str, Tensor]:
    """Return the tensors that modules keep as plain attributes, by name."""
    return {
        ".".join(filter(None, (path, name))): value
        for path, module in circuit.named_modules()
        for name, value in vars(module).items()
        if isinstance(value, Tensor)
    }


def _copied(state: State) -> State:
    return {key: value.clone() for key, value in state.items()}
