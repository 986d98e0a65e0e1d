"""The laws of circuits: their declarations, construction, steps and saved weights."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch

from ..circuits import CIRCUITS, Circuit, takes_pins
from ..circuits.lane_step import lane_step_of
from ..circuits.registry import circuit_facts, facts_of
from ..envs.physics.lanes import reason_not_compiled
from ..laws import named
from . import circuit_steps as steps
from .circuit_steps import Built
from .lane_steps import check_lane_step

_DT = 0.03  # s


def check_circuit(
    circuit: str | Callable[..., Circuit],
    senses: Mapping[str, int] | None = None,
    n_motors: int = 5,
    options: Mapping[str, Any] | None = None,
    no_gradient: Collection[str] = (),
    one_by_one: bool = False,
) -> None:
    """Check a circuit as built from the registry: stepping, unrolling, vmap, pins, and saved weights.

    A circuit with a clock is checked a second time with the sense `time`. If it has a `lane_step`, its motors are
    compared with torch's in double precision; if lanes cannot be compiled, a warning says so.

    Args:
        circuit: a registered name, or the object of an entry point of nervecord.circuits: a class or a function.
        senses: name and size of each available sense; None takes those of a swimmer in the task navigate.
        n_motors: number of motors.
        options: the circuit's options.
        no_gradient: names of parameters that have no gradient by design.
        one_by_one: whether its Python code branches on values, so that members of a population run one by one.

    Raises:
        ContractBroken: a law does not hold; the message names it.
        UnknownName: there is no such circuit.
    """
    if senses is None:
        senses = {
            "joint_pos": n_motors,
            "joint_vel": n_motors,
            "body_velocities": 3 * (n_motors + 1),
            "to_target": 2,
            "odour": 1,
            "touch": n_motors + 1,
            "context": 6,
        }
    options = dict(options or {})
    with named(CIRCUITS, circuit, "circuit") as name:
        built = Built(name, senses, n_motors, options)
        facts = _facts(built)
        if facts.noise:
            senses = {**senses, "noise": facts.noise}
        offers = [senses] if facts.memory != "clock" else [senses, {**senses, "time": 1}]
        for offered in offers:
            _check_steps(Built(name, offered, n_motors, options), set(no_gradient), one_by_one)


def _facts(built: Built) -> Any:
    """Check that the facts known before a circuit is built agree with the built circuit."""
    laws, senses = built.laws, dict(built.senses)
    with laws.asking("facts are known before it is built", "see Circuit.facts"):
        facts = circuit_facts(built.name, senses, built.n_motors, built.options)
    if facts.noise:
        senses["noise"] = facts.noise
    shown = facts_of(Built(built.name, senses, built.n_motors, built.options).circuit)
    laws.hold(
        "what it says of itself is what is built", facts == shown,
        f"facts are {facts}, and what is built shows {shown}",
        "mend is_bounded, memory or facts(options)",
    )  # fmt: skip
    return facts


def _check_steps(built: Built, no_gradient: set[str], one_by_one: bool) -> None:
    steps.without_gradients(_is_built_alike, built)
    for law in (
        steps.first_steps, steps.rows_alone, steps.state_at_reset, steps.sequences, steps.bounds,
        steps.device, _saved, _told_the_step,
    ):  # fmt: skip
        steps.without_gradients(law, built)
    steps.without_gradients(steps.mapping, built, one_by_one)
    steps.gradients(built, no_gradient)
    if takes_pins(built.circuit):
        steps.without_gradients(steps.pins, built)
    if built.circuit.spiking or built.circuit.firing:
        steps.without_gradients(steps.spikes, built)
    if built.circuit.changes_after_update:
        steps.without_gradients(_after_update, built)
    if built.circuit.restructures_every:
        steps.without_gradients(_restructure, built)
    if (step := lane_step_of(built.circuit)) is not None:
        if reason := reason_not_compiled():
            warnings.warn(f"the lane_step of {built.name} is not checked: {reason}", stacklevel=4)
        else:
            check_lane_step(built.laws, built.circuit, step)
            if "dt" in CIRCUITS[built.name].told:
                told = built.make(dt=2 * _DT / 3, dt_ref=_DT)
                check_lane_step(built.laws, told, told.lane_step())


def _is_built_alike(built: Built) -> None:
    one, again = (built.make(seed=9) for _ in range(2))
    right = "draw initial weights from rng, and from nothing else"
    built.laws.alike("the same rng draws the same weights", again.state_dict(), one.state_dict(), right)
    mine = dict(built.circuit.senses)
    for sense, size in mine.items():
        built.laws.hold(
            "it senses what it is offered", built.senses.get(sense) == size,
            f"it senses {size} values of {sense!r} and is offered {dict(built.senses)}",
            "take sizes from the argument senses, or give check_circuit senses=...",
        )  # fmt: skip


def _saved(built: Built) -> None:
    """Check that a circuit with another's `state_dict` equals it."""
    other, sensors, state = built.make(seed=5), built.sensors(4), built.state(4)
    right = "keep weights and statistics as parameters and buffers"
    law = "state_dict holds all that makes it what it is"
    with built.laws.asking(law, right):
        other.load_state_dict(copy.deepcopy(built.circuit.state_dict()))
    built.laws.alike(law, other(sensors, state), built.circuit(sensors, state), right, what="a step")


def _told_the_step(built: Built) -> None:
    if "dt" in CIRCUITS[built.name].told:
        told = built.make(dt=_DT, dt_ref=_DT)
        sensors, start = built.sensors(9, 4), torch.zeros(9, 4, dtype=torch.bool)
        found, expected = (each.unroll(sensors, each.initial_state(4), start) for each in (told, built.circuit))
        built.laws.alike(
            "at dt_ref, dt changes nothing", found, expected,
            "rescale constants by step_length(dt, dt_ref), which is 1 there",
        )  # fmt: skip


def _after_update(built: Built) -> None:
    law, right = "after_update changes weights in place", "write into the parameters, under torch.no_grad()"
    circuit = copy.deepcopy(built.circuit)
    _changed_in_place(built, circuit, circuit.after_update, law, right)


def _restructure(built: Built) -> None:
    law = "restructure changes weights in place, and says which begin anew"
    right = "write into the parameters, and return masks by their names"
    circuit = copy.deepcopy(built.circuit)
    anew = _changed_in_place(built, circuit, circuit.restructure, law, right)
    named, active = dict(circuit.named_parameters()), circuit.active()
    for name, mask in (*anew.items(), *active.items()):
        fits = name in named and mask.dtype == torch.bool and mask.shape == named[name].shape
        built.laws.hold(law, fits, f"{name} is no mask of a parameter", right)
    odd = [name for name, mask in active.items() if named[name][~mask].any()]
    built.laws.hold("weights that do not act are 0", not odd, f"{odd} are not", "set them to 0 in restructure")


def _changed_in_place(built: Built, circuit: Circuit, change: Callable[..., Any], law: str, right: str) -> Any:
    """Return what a method returns that changes a circuit's weights by what it sensed."""
    before = dict(circuit.named_parameters())
    sensors, state, activity = built.sensors(32, 4), circuit.initial_state(4), []
    for row in sensors:
        _, state, felt = circuit.forward_with_activity(row, state)
        activity.append(felt)
    with built.laws.asking(law, right):
        found = change(sensors, torch.stack(activity))
    after = dict(circuit.named_parameters())
    same = after.keys() == before.keys() and all(after[name] is before[name] for name in before)
    built.laws.hold(law, same, "there are other parameters than before", right)
    odd = [name for name, value in after.items() if not value.isfinite().all()]
    built.laws.hold(law, not odd, f"{odd} are no longer finite", right)
    circuit(sensors[0], circuit.initial_state(4))
    return found
