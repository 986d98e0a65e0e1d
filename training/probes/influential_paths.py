"""Influential paths: the chains of neurons that carry sensor signals to the motors.

The contribution of a path is the sensor's value times the local derivatives along it, x_i J_ji J_kj ...; over
all paths they add up to F(x) - F(0) where the circuit is linear between 0 and x.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
from collections.abc import Sequence

import networkx as nx
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ...agents import Agent
from ...circuits import Circuit, Pins, check_pins
from ...drawing.figures import COLOURS, open_axes
from ...errors import InvalidRecording
from .contract import ProbeResult, Subject, living

_SAMPLES = 96
_DELAY = 3  # control steps over which a recurrent circuit is unrolled
_BEAM = 200
_EXHAUSTIVE = 200_000  # paths up to which all are looked at
_SHOWN = 12
_NUDGE = 1e-3
_Carried = tuple[tuple[int, ...], np.ndarray]  # a path so far, and what it carries at each moment


@dataclasses.dataclass(frozen=True)
class Layers:
    """A circuit as layers of neurons, at some moments.

    Attributes:
        names: of each layer's neurons, sensors first and motors last.
        values: of the first layer's neurons.
        jacobians: of each layer with respect to the one before.
    """

    names: tuple[tuple[str, ...], ...]
    values: Float[np.ndarray, "samples first"]
    jacobians: tuple[Float[np.ndarray, "samples after before"], ...]


@dataclasses.dataclass(frozen=True)
class Path:
    """A chain of neurons, one of each layer, and its mean absolute contribution over the moments."""

    neurons: tuple[int, ...]
    strength: float


def influential_paths(subject: Subject) -> ProbeResult:
    """Rank the paths from sensors to motors at 96 moments of the recording.

    Circuits without memory between their neurons are taken as they are, layer by layer (exact, by finite
    differences with everything before held still); recurrent ones whose state is their units are unrolled
    over three control steps, from the sensors of three steps ago. Shares are of the mean absolute
    contribution of all paths; with more than 200,000 a beam search finds the strongest.

    Raises:
        InvalidRecording: there is only a recording, it is too short, or the circuit's memory is no neurons.
    """
    agent = subject.run.agent()
    living(subject.recording, 50)
    layers = circuit_layers(agent, np.asarray(subject.recording.observations))
    # A clipped neuron passes nothing on: at its moments the paths through it carry nothing.
    paths = [path for path in strongest_paths(layers, _SHOWN) if path.strength > 0]
    if not paths:
        raise InvalidRecording(f"every neuron is clipped at all of the {_SAMPLES} moments, so no path carries anything")
    greedy = strongest_paths(layers, 1, beam=1)
    total = total_strength(layers)
    shares = [path.strength / max(total, 1e-12) for path in paths]
    numbers = {
        "paths": float(np.prod([float(len(each)) for each in layers.names])),
        "strongest": shares[0], "twelve_strongest": float(sum(shares)),
        "greedy_over_strongest": greedy[0].strength / max(paths[0].strength, 1e-12),
        "layers": float(len(layers.names)),
    }  # fmt: skip
    units = {"paths": "paths", "strongest": "of all", "twelve_strongest": "of all", "greedy_over_strongest": "",
             "layers": "layers"}  # fmt: skip
    texts = [" -> ".join(_through(layers, path)) for path in paths]
    words = tuple(
        f"{text}: {100 * share:.1f} % of what all paths carry." for text, share in zip(texts, shares, strict=True)
    )
    arrays = {"path": np.array(texts), "share": np.array(shares)}
    return ProbeResult(numbers, units, arrays, _figure(texts, shares), words)


def strongest_paths(layers: Layers, count: int, beam: int = _BEAM) -> list[Path]:
    """Return the strongest paths, by all of them where they are few and the beam is wide, else by a beam search.

    The beam goes layer by layer and keeps what promises most: the strength so far times the absolute
    strength of all that may follow. A beam of 1 is the greedy path.
    """
    n_paths = int(np.prod([float(len(each)) for each in layers.names]))
    if n_paths <= _EXHAUSTIVE and beam > 1:
        strength = np.abs(all_contributions(layers)).mean(0)
        flat = np.argsort(-strength, axis=None)[:count]
        return [
            Path(tuple(int(i) for i in np.unravel_index(index, strength.shape)), float(strength.flat[index]))
            for index in flat.tolist()
        ]
    ahead = [np.ones((len(layers.values), len(layers.names[-1])))]
    for jacobian in reversed(layers.jacobians):
        ahead.insert(0, np.einsum("sab,sa->sb", np.abs(jacobian), ahead[0]))
    held: list[_Carried] = [((index,), layers.values[:, index]) for index in range(layers.values.shape[1])]
    held = _most_promising(held, ahead[0], beam)
    for jacobian, after in zip(layers.jacobians, ahead[1:], strict=True):
        grown: list[_Carried] = [
            ((*path, post), carried * jacobian[:, post, path[-1]])
            for path, carried in held
            for post in np.flatnonzero(np.abs(jacobian[:, :, path[-1]]).any(0)).tolist()
        ]
        held = _most_promising(grown, after, beam)
    return [Path(path, float(np.abs(carried).mean())) for path, carried in held[:count]]


def all_contributions(layers: Layers) -> Float[np.ndarray, "samples first *others"]:
    """Return the contribution of every path, one axis for each layer."""
    carried = layers.values
    for jacobian in layers.jacobians:
        carried = carried[..., None] * np.expand_dims(jacobian.swapaxes(1, 2), tuple(range(1, carried.ndim - 1)))
    return np.asarray(carried)


def total_strength(layers: Layers) -> float:
    """Return the summed mean absolute contribution of all paths."""
    carried = np.abs(layers.values)
    for jacobian in layers.jacobians:
        carried = np.einsum("sab,sb->sa", np.abs(jacobian), carried)
    return float(carried.sum(1).mean())


def circuit_layers(agent: Agent, observations: Float[np.ndarray, "E T O"], delay: int = _DELAY) -> Layers:
    """Return a circuit as layers, at moments spread over the observations.

    Raises:
        InvalidRecording: neurons hear one another in a circle, and the state is not the neurons themselves.
        CircuitMismatch: the neurons hear one another in no circle, and cannot be reached.
    """
    circuit = copy.deepcopy(agent.circuit).double()
    sensors = agent.sense(observations).double()
    graph = nx.DiGraph((synapse.pre, synapse.post) for synapse in circuit.wiring().synapses)
    steps = np.linspace(sensors.shape[1] // 3, sensors.shape[1] - 1, _SAMPLES).astype(int)
    episodes = np.arange(_SAMPLES) % len(sensors)
    if nx.is_directed_acyclic_graph(graph) and not circuit.is_recurrent:
        check_pins(circuit)
        return _feedforward(circuit, sensors, episodes, steps, graph)
    if list(circuit.initial_state(1)) != ["h"]:
        raise InvalidRecording(
            f"the memory of {type(circuit).__name__} is not its neurons, so no path of neurons leads through it; "
            "choose a ctrnn, a gru, or a circuit without memory"
        )
    return _unrolled(circuit, sensors, episodes, steps, delay)


@torch.no_grad()
def _feedforward(
    circuit: Circuit, sensors: Float[Tensor, "E T sensors"], episodes: np.ndarray, steps: np.ndarray, graph: nx.DiGraph
) -> Layers:
    """Return the layers by depth; a synapse that skips layers goes through them unchanged."""
    names = [neuron.name for neuron in circuit.neurons]
    column = {name: index for index, name in enumerate(names)}
    depth = {name: 0 for name in names if name in graph}
    for name in nx.topological_sort(graph):
        depth[name] = max((depth[pre] + 1 for pre in graph.predecessors(name)), default=0)
    deepest = max(depth.values())
    # What ends early is carried to the end, where the motors are; sensors that nobody hears are left out.
    ends = {name for name in graph if graph.out_degree(name) == 0}
    levels: list[list[str]] = [[] for _ in range(deepest + 1)]
    for name, level in depth.items():
        last = deepest if name in ends else max(depth[post] for post in graph.successors(name)) - 1
        for place in range(level, last + 1):
            levels[place].append(name)
    activity = _activity_at(circuit, sensors, episodes, steps)
    jacobians = []
    for before, after in itertools.pairwise(levels):
        jacobian = np.zeros((len(steps), len(after), len(before)))
        fresh = [name for name in after if name not in before]
        for position, pre in enumerate(before):
            if pre in after:
                jacobian[:, after.index(pre), position] = 1
            for post, slope in zip(
                fresh, _slopes(circuit, sensors, episodes, steps, activity, pre, fresh, column), strict=True
            ):
                if graph.has_edge(pre, post):
                    jacobian[:, after.index(post), position] = slope
        jacobians.append(jacobian)
    values = activity[:, [column[name] for name in levels[0]]].numpy()
    return Layers(tuple(map(tuple, levels)), values, tuple(jacobians))


def _slopes(
    circuit: Circuit, sensors: Tensor, episodes: np.ndarray, steps: np.ndarray, activity: Tensor, pre: str,
    posts: Sequence[str], column: dict[str, int],
) -> list[np.ndarray]:  # fmt: skip
    """Return d post / d pre at each moment, with every neuron but the posts held at its value."""
    free = torch.zeros(len(column), dtype=activity.dtype)
    free[[column[post] for post in posts]] = 1
    results = []
    for nudge in (_NUDGE, -_NUDGE):
        held = activity.clone()
        held[:, column[pre]] += nudge
        pins = Pins(free.expand_as(held), held * (1 - free))
        results.append(_activity_at(circuit, sensors, episodes, steps, pins))
    slope = (results[0] - results[1]) / (2 * _NUDGE)
    return [slope[:, column[post]].numpy() for post in posts]


def _activity_at(
    circuit: Circuit, sensors: Float[Tensor, "E T sensors"], episodes: np.ndarray, steps: np.ndarray,
    pins: Pins | None = None,
) -> Float[Tensor, "samples neurons"]:  # fmt: skip
    """Return every neuron's value at chosen moments of a circuit whose state is no more than a clock."""
    state = circuit.initial_state(len(steps))
    if state:
        state = {name: value + torch.as_tensor(steps).reshape(-1, *[1] * (value.ndim - 1)).to(value.dtype)
                 for name, value in state.items()}  # fmt: skip
    return circuit.forward_with_activity(sensors[episodes, steps], state, *([] if pins is None else [pins]))[2]


def _unrolled(
    circuit: Circuit, sensors: Float[Tensor, "E T sensors"], episodes: np.ndarray, steps: np.ndarray, delay: int
) -> Layers:
    """Return sensors, units at each step from then to now, and motors."""
    names = [neuron.name for neuron in circuit.neurons]
    units = names[circuit.n_sensors : -circuit.n_motors]
    with torch.no_grad():
        state, states = circuit.initial_state(len(sensors)), []
        for step in range(sensors.shape[1]):
            states.append(state["h"])
            _, state = circuit(sensors[:, step], state)
    first = steps - delay

    def advance(x: Float[Tensor, " sensors"], h: Float[Tensor, " units"]) -> Float[Tensor, " units"]:
        return circuit(x[None], {"h": h[None]})[1]["h"][0]

    readout = circuit.get_submodule("readout")
    slopes, of_readout = torch.func.jacrev(advance, argnums=(0, 1)), torch.func.jacrev(lambda h: readout(h[None])[0])
    found: list[list[np.ndarray]] = [[] for _ in range(delay + 2)]
    for episode, begin in zip(episodes.tolist(), first.tolist(), strict=True):
        h = states[begin][episode]
        for offset in range(delay + 1):
            x = sensors[episode, begin + offset]
            of_x, of_h = slopes(x, h)
            found[offset].append((of_h if offset else of_x).detach().numpy())
            h = advance(x, h)
        found[-1].append(of_readout(h).detach().numpy())
    jacobians = tuple(np.stack(each) for each in found)
    chain = [names[: circuit.n_sensors], *[units] * (delay + 1), names[-circuit.n_motors :]]
    values = sensors[episodes, first].numpy()
    return Layers(tuple(map(tuple, chain)), values, jacobians)


def _most_promising(held: list[_Carried], ahead: Float[np.ndarray, "samples neurons"], beam: int) -> list[_Carried]:
    return sorted(held, key=lambda item: -float((np.abs(item[1]) * ahead[:, item[0][-1]]).mean()))[:beam]


def _through(layers: Layers, path: Path) -> list[str]:
    """Return the path's neurons by name, without repeating one that is only carried through layers."""
    names = [layer[index] for layer, index in zip(layers.names, path.neurons, strict=True)]
    return [name for place, name in enumerate(names) if place == 0 or name != names[place - 1]]


def _figure(texts: list[str], shares: list[float]) -> Figure:
    figure = Figure(figsize=(8.6, 0.28 * len(texts) + 0.9), layout="constrained")
    axes = figure.subplots()
    axes.barh(range(len(texts)), [100 * share for share in shares], 0.7, color=COLOURS[0])
    axes.set_yticks(range(len(texts)), texts, fontsize=8)
    axes.set(xlabel="share of what all paths carry (%)", ylim=(len(texts) - 0.4, -0.6))
    open_axes(axes)
    return figure
