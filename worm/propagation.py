"""Every neuron of a connectome circuit driven in turn, and what all others do: the atlas's experiment, simulated."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from ..agents import Agent
from ..circuits.connectome import Connectome
from ..errors import CircuitMismatch, InvalidOption
from ..options import COUNT, Number, wrong_value
from ..threads import one_thread
from ..training.rollouts.evaluation import EVALUATION_SEED
from ..training.runs.resolution import Resolved

PERIOD = 60  # control steps of the gait, over which responses in a body are averaged
_PHASES = 4
_BEFORE = PERIOD  # control steps in the body until the first phase


@dataclasses.dataclass(frozen=True)
class Propagation:
    """What neurons do when each is driven by a current; every matrix is [responding, stimulated].

    Attributes:
        names: of the neurons, the order of rows and columns.
        change: of each one's rate, from 0 to 1, once it is steady.
        peak: the largest change on the way there, by magnitude.
        half: when half of the steady change is reached, s; NaN where nothing changes.
    """

    names: tuple[str, ...]
    change: Float[np.ndarray, "n n"]
    peak: Float[np.ndarray, "n n"]
    half: Float[np.ndarray, "n n"]

    @property
    def gain(self) -> Float[np.ndarray, "n n"]:
        """The change of each neuron over that of the driven one, no unit.

        A cell near the end of its range answers its own drive less, and everything behind it does too.
        """
        own = np.abs(np.diag(self.change))
        return np.divide(self.change, own, out=np.zeros_like(self.change), where=own > 0)


def propagate(
    circuit: Connectome, background: float = 0.1, amplitude: float = 0.5, steps: int = 200, dt: float = 0.03
) -> Propagation:
    """Drive every neuron of a circuit in turn, without a body: no stretch, no oscillator and no tonic drive.

    All stimulations run at once, beside a circuit in which none is driven, from its steady state.

    Args:
        circuit: whose graph has named cells.
        background: current into all cells, without which rates rest at 0, where rectification hides inhibition and
            what spreads into silent cells.
        amplitude: of the current into the driven cell, added to the background.
        steps: control steps that it flows.
        dt: seconds of a control step.

    Raises:
        CircuitMismatch: the circuit is not wired by a graph of cells.
        InvalidOption: the background is below 0, the amplitude is 0, or there are no steps.
    """
    checked_circuit(circuit, background)
    _check_drive(amplitude, steps)
    quiet = copy.deepcopy(circuit)
    with torch.no_grad():
        quiet.osc.zero_()
        quiet.tonic.zero_()
    rows, current = _currents(circuit, background, amplitude)
    sensors = current.new_zeros(len(current), circuit.n_sensors)
    undriven, driven = quiet.with_current(current[-1]), quiet.with_current(current)
    with torch.inference_mode(), one_thread():
        state = undriven.initial_state(1)
        for _ in range(steps):
            _, state = undriven.step_features(sensors[:1], state)
        state = {name: value.expand(len(current), -1) for name, value in state.items()}
        before, path = state["r"][0, rows], current.new_empty(steps, len(rows), len(rows))
        for step in range(steps):
            rates, state = driven.step_features(sensors, state)
            path[step] = (rates[:-1, rows] - before).T
    return _of_path(circuit, rows, path.numpy(), dt)


def propagate_in_body(
    agent: Agent, resolved: Resolved, background: float = 0.1, amplitude: float = 0.5, steps: int = 200
) -> Propagation:
    """Drive every neuron in turn while the circuit swims, and average over the gait.

    Each is driven from 4 phases of the oscillator's period on, in an environment of its own; what counts is the
    difference from one in which none is driven and that starts alike. The steady change is that of the last period.

    Args:
        agent: with a connectome circuit.
        resolved: its body and task.
        background, amplitude: currents, as in `propagate`.
        steps: control steps that a neuron is driven, a period of 60 or more.

    Raises:
        CircuitMismatch: the agent's circuit is not wired by a graph of cells.
        InvalidOption: what `propagate` refuses, or less than a period.
    """
    circuit = checked_circuit(agent.circuit, background)
    _check_drive(amplitude, steps)
    if steps < PERIOD:
        raise InvalidOption(f"steps is {steps}; give a period of the gait, {PERIOD}, or more")
    rows, current = _currents(circuit, background, amplitude)
    envs = resolved.make_envs(len(current), randomize={})
    paths = []
    try:
        for phase in range(_PHASES):
            envs.seed([EVALUATION_SEED] * len(current))
            observation, state = envs.reset(np.arange(len(current))), None
            path = np.empty((steps, len(rows), len(rows)), np.float32)
            start = _BEFORE + phase * PERIOD // _PHASES
            acting = _with_circuit(agent, circuit.with_current(current[-1]))
            with one_thread():
                for step in range(start + steps):
                    if step == start:
                        acting = _with_circuit(agent, circuit.with_current(current))
                    action, state = acting.predict(observation, state)
                    observation = envs.step(action).observation
                    if step >= start:
                        rates = state["r"][:, rows].numpy()
                        path[step - start] = (rates[:-1] - rates[-1]).T
            paths.append(path)
    finally:
        envs.close()
    mean = np.mean(paths, axis=0)
    found = _of_path(circuit, rows, mean, envs.dt)
    return dataclasses.replace(found, change=mean[-PERIOD:].mean(0))


def checked_circuit(circuit: Any, background: float) -> Connectome:
    """Return a circuit wired by a graph of cells, once its background current, in no unit, is one that can be.

    Raises:
        CircuitMismatch: the circuit is another one.
        InvalidOption: the background is below 0.
    """
    if not isinstance(circuit, Connectome):
        raise CircuitMismatch(
            f"{type(circuit).__name__} is not wired by a graph of named cells; give a run of the circuit 'connectome' "
            "with graph=cook2019-whole"
        )
    if wrong := wrong_value({"background": background}, {"background": Number(0.0)}):
        raise InvalidOption(wrong)
    return circuit


def _check_drive(amplitude: float, steps: int) -> None:
    if wrong := wrong_value({"steps": steps}, {"steps": COUNT}):
        raise InvalidOption(wrong)
    if not (np.isfinite(amplitude) and amplitude):
        raise InvalidOption(f"amplitude is {amplitude}; give a number other than 0")


def _currents(circuit: Connectome, background: float, amplitude: float) -> tuple[list[int], torch.Tensor]:
    """Return the rows of neurons, and the current into all cells: one neuron driven in each row, none in the last."""
    rows = [i for i, cell in enumerate(circuit.graph.cells) if cell.role != "muscle"]
    current = torch.full((len(rows) + 1, circuit.n_features), float(background))
    current[range(len(rows)), rows] += amplitude
    return rows, current


def _with_circuit(agent: Agent, circuit: Connectome) -> Agent:
    acting = copy.deepcopy(agent)
    acting.circuit = circuit
    return acting


def _of_path(circuit: Connectome, rows: list[int], path: Float[np.ndarray, "T n n"], dt: float) -> Propagation:
    change = path[-1].astype(float)
    largest = np.abs(path).argmax(0)
    reached = np.abs(path) >= np.abs(change) / 2
    half = np.where(np.abs(change) > 0, (reached.argmax(0) + 1) * dt, np.nan)
    peak = np.take_along_axis(path, largest[None], 0)[0].astype(float)
    return Propagation(tuple(circuit.graph.cells[i].name for i in rows), change, peak, half)
