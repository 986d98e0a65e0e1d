"""Simulate the atlas's experiment: stimulate every neuron of a connectome circuit in turn, and record all responses."""

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
    """Responses of all neurons to a current into each; every matrix is [responding, stimulated].

    Attributes:
        names: names of the neurons, in the order of rows and columns.
        change: steady-state change of each neuron's rate (rates are from 0 to 1).
        peak: largest change, by magnitude, before the steady state.
        half: time at which half of the steady change is reached, s; NaN where nothing changes.
    """

    names: tuple[str, ...]
    change: Float[np.ndarray, "n n"]
    peak: Float[np.ndarray, "n n"]
    half: Float[np.ndarray, "n n"]

    @property
    def gain(self) -> Float[np.ndarray, "n n"]:
        """The change of each neuron relative to that of the stimulated one.

        This compensates for stimulated cells near saturation, which respond less, and so do all cells downstream.
        """
        own = np.abs(np.diag(self.change))
        return np.divide(self.change, own, out=np.zeros_like(self.change), where=own > 0)


def propagate(
    circuit: Connectome, background: float = 0.1, amplitude: float = 0.5, steps: int = 200, dt: float = 0.03
) -> Propagation:
    """Stimulate every neuron of a circuit in turn, without a body: no stretch, oscillator or tonic drive.

    All stimulations run in parallel from the steady state, and are compared with an unstimulated circuit.

    Args:
        circuit: a connectome circuit.
        background: current into all cells; without it rates are 0 at rest, and rectification hides inhibition and
            weak responses.
        amplitude: current into the stimulated cell, added to the background.
        steps: duration of the stimulation, control steps.
        dt: seconds of a control step.

    Raises:
        CircuitMismatch: the circuit is not wired by a graph of cells.
        InvalidOption: `background` is below 0, `amplitude` is 0, or `steps` is below 1.
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
    """Stimulate every neuron in turn while the circuit swims, and average over the gait.

    Each neuron is stimulated from 4 phases of the oscillator's period, each in its own environment; responses are
    differences from an unstimulated environment with the same start. The steady change is the mean over the last
    period.

    Args:
        agent: an agent with a connectome circuit.
        resolved: its resolved config, with body and task.
        background, amplitude: currents, as in `propagate`.
        steps: duration of the stimulation in control steps, at least one period of 60.

    Raises:
        CircuitMismatch: the agent's circuit is not wired by a graph of cells.
        InvalidOption: as in `propagate`, or `steps` is less than a period.
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
