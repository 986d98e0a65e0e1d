"""The listings of `nervecord list`: options of a name, neurons of a run, environments and agents."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import UnknownName

if TYPE_CHECKING:
    from ..training.runs.run import Run


def options_of(name: str) -> dict[str, Any]:
    """Return the options of an algorithm, a circuit or a task, each with its default and allowed values.

    Raises:
        UnknownName: no algorithm, circuit or task has that name.
    """
    from ..agents.algorithms.registry import ALGORITHMS, algorithm_named
    from ..circuits import CIRCUITS
    from ..envs import TASKS
    from ..options import allowed_values

    if name in ALGORITHMS:
        options = algorithm_named(name).Options
        takes: Mapping[str, Any] = allowed_values(options)
        defaults = vars(options())
        return {option: _line(default, takes.get(option)) for option, default in defaults.items()}
    if name in CIRCUITS:
        return {option: _line(each.default, _type(each)) for option, each in CIRCUITS[name].options.items()}
    if name in TASKS:
        parameters = list(inspect.signature(TASKS[name]).parameters.values())[1:]
        takes = TASKS[name].allowed
        return {
            **{each.name: _line(each.default, takes.get(each.name) or _type(each)) for each in parameters},
            "senses": "names of `nervecord list senses`; by default those of the task",
        }
    raise UnknownName("algorithm, circuit or task", name, [*ALGORITHMS, *CIRCUITS, *TASKS])


def neurons_of(run: Run) -> dict[str, Any]:
    """Return every neuron of a run's circuit: its name, as `--silence` takes it, with role and position; and groups."""
    circuit = run.agent(trained=False).circuit
    neurons = circuit.neurons
    sides = {"d": "dorsal", "v": "ventral"}
    found = {}
    for neuron in neurons:
        place = None if neuron.position is None else f"at {neuron.position:.2f} of the body from the head"
        found[neuron.name] = ", ".join(filter(None, (neuron.role, sides.get(neuron.side or ""), place)))
    counted = Counter(neuron.role for neuron in neurons)
    groups = {"groups": ", ".join(circuit.groups)} if circuit.groups else {}
    return {**found, "in all": ", ".join(f"{count} {role}" for role, count in counted.items()), **groups}


def agents() -> dict[str, Any]:
    """Return the agents that come with the package: address, circuit, number of weights, training and return."""
    from ..training.runs.run import Run
    from ..training.runs.shipped import PREFIX, SHIPPED, shipped_names

    found = {}
    for name in shipped_names():
        run = Run(SHIPPED / name)  # where it lies: nothing is written
        tested = run.results.current.where("evaluation").best
        assert tested is not None
        weights = f"{run.config.circuit} of {run.agent(trained=False).n_weights} weights"
        returned = f"return {tested.intervals['return']} on {tested.body}"
        found[f"{PREFIX}{name}"] = f"{weights}, trained by {run.config.algorithm}; {returned}"
    return found


def environments() -> dict[str, Any]:
    """Return every gymnasium id of this package and its plug-ins, with its task and physics."""
    import gymnasium

    from ..envs import TASKS
    from ..envs.registration import BIT_IDS, LANES_IDS

    found = {}
    for name, spec in gymnasium.registry.items():
        if not name.startswith("nervecord/"):
            continue
        task = spec.kwargs["task"]
        about = "a task on bits, without a body" if name in BIT_IDS else (TASKS[task].__doc__ or "").splitlines()[0]
        physics = "" if name in BIT_IDS else f" ({'lanes' if name in LANES_IDS else 'mujoco'})"
        found[name] = f"{task}{physics}: {about}"
    return found


def _type(parameter: inspect.Parameter) -> str:
    annotation = parameter.annotation
    if annotation is not parameter.empty:
        return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return "" if parameter.default in (None, parameter.empty) else type(parameter.default).__name__


def _line(default: Any, takes: Any) -> str:
    shown = "no default" if default is inspect.Parameter.empty else f"{default!r}"
    return f"{shown}  ({takes})" if takes else shown
