"""Agents in a page without Python: body, circuit and water are simulated in the browser."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..agents import Agent
from ..agents.fused import flat_state, sensor_numbers
from ..circuits import CTRNN, Circuit
from ..circuits.lane_step import lane_step_of
from ..envs import Body, Swimmer, make_body
from ..envs.bodies.body import joint_range
from ..envs.faces import face_of
from ..envs.physics.lanes import read_chain, rows
from ..errors import CircuitMismatch, InvalidOption, InvalidTask, NervecordError, OutputExists
from ..files import write_text
from ..options import PATH, checked
from ..training.runs.resolution import Resolved
from ..training.runs.run import Run
from .page_data import render_page, script_json

# Numbers of links that a page offers beside the agent's own, where its body is a swimmer.
_LINKS = (3, 4, 6, 8, 12, 16, 24)
# Circuits whose steps circuits.js has, by the names of their compiled steps.
_STEPS = ("ncap", "ncap_plus", "relay", "along", "cpg", "mlp")
_CIRCUITS = "ncap, ncap_plus, relay, along, cpg, mlp and ctrnn"


@checked(InvalidOption, out=PATH)
def export_web(runs: Sequence[Run], out: str | Path) -> Path:
    """Write a page in which runs' agents swim, simulated by the browser; return its path.

    The page needs no Python, no server and no network. It has the body of each run and, for swimmers, bodies of 3 to 24
    links. Visitors can choose among the agents, change the number of links, push the body and silence neurons. The
    initial state is that of the run's environments, and physics and circuit follow the equations of lanes.

    Args:
        runs: the runs; the first is shown first.
        out: the page, which must not exist yet.

    Raises:
        InvalidOption: no runs are given.
        OutputExists: `out` exists.
        InvalidRun: a run has no checkpoint yet.
        CircuitMismatch: pages do not support the circuit or one of its options.
        InvalidTask, InvalidBody: pages do not support the task's reward, or lanes do not support the body.
    """
    out = Path(out)
    if not runs:
        raise InvalidOption("there are no runs; give one or more")
    if out.exists():
        raise OutputExists(f"{out} exists; give another file")
    write_text(out, web_page(runs))
    return out


def web_page(runs: Sequence[Run]) -> str:
    """Return the page of `export_web`."""
    agents = [_agent_data(run) for run in runs]
    return render_page("web.html.j2", agents=script_json({"agents": agents}), names=[each["name"] for each in agents])


def _agent_data(run: Run) -> dict[str, Any]:
    """Return what a page needs of one agent, on each body that it may have there."""
    own = make_body(run.config.body)
    resolved = run.resolved
    bodies = {own.n_links: _on_body(run, resolved, own)}
    for n_links in _LINKS if isinstance(own, Swimmer) and own == make_body(f"swimmer{own.n_links}") else ():
        if n_links not in bodies:
            body = make_body(f"swimmer{n_links}")
            try:
                bodies[n_links] = _on_body(run, resolved.on(body), body)
            except NervecordError:
                continue  # an agent that fits no other body keeps its own
    return {
        "name": run.path.name, "about": run.description, "links": own.n_links,
        "bodies": {str(n_links): bodies[n_links] for n_links in sorted(bodies)},
    }  # fmt: skip


def _on_body(run: Run, resolved: Resolved, body: Body) -> dict[str, Any]:
    agent = run.agent(body)
    envs = resolved.stepped_by("lanes").make_envs(1, randomize={})
    try:
        envs.seed([0])
        envs.reset(np.arange(1))
        if envs.steerable is None:
            raise InvalidTask(
                f"pages show tasks that pay for speed alone, such as swim, and the run's is {resolved.config.task}"
            )
        if envs.arena.zones:
            raise InvalidTask("pages know one medium, and the run's arena has zones")
        chain, shown = read_chain(body.compile(arena=envs.arena)), envs.observation().copy()
        face = face_of(envs, envs.layout, envs.observation_space, shown)
        assert face is not None  # since they are steerable
        low, high = joint_range(body).T
        return {
            "body": body.name, "dt": body.control_dt, "substeps": envs.steerable.n_substeps,
            "halves": [float(length) / 2 for length in body.link_sizes[0]],
            "chain": {
                "links": chain.links(chain.parameters)[:, : rows.FACING + 1].tolist(),
                "body": chain.parameters[-rows.BODY_PARAMETERS :].tolist(),
                "constants": chain.constants.tolist(), "kind": chain.kind,
                "ctrl_range": [[_number(end) for end in ends] for ends in chain.ctrl_range],
            },
            "start": [[float(a), float(b)] for a, b in zip(low, high, strict=True)],
            "reward": [float(face.rule[i]) for i in (rows.PAID, rows.PRICE, rows.LEAST, rows.MOST)],
            "episode_steps": envs.episode_steps,
            "sensors": list(_sensors(agent, face, shown[0])),
            "squash": agent.squash,
            "circuit": circuit_data(agent.circuit),
        }  # fmt: skip
    finally:
        envs.close()


def _sensors(agent: Agent, face: Any, shown: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield where each sensor's value comes from: a reading's number, "time", or a constant; and what becomes of it."""
    columns, numbers = sensor_numbers(agent)
    for column, row in zip(columns.tolist(), numbers, strict=True):
        reading = int(face.columns[column])
        sources: dict[int, dict[str, Any]] = {rows.TIME: {"time": True}, rows.KEPT: {"value": float(shown[column])}}
        yield {
            **sources.get(reading, {"reading": reading}),
            "bounds": [_number(bound) for bound in face.bounds[:, column]],
            "numbers": [_number(value) for value in row],
        }


def circuit_data(circuit: Circuit) -> dict[str, Any]:
    """Return a circuit for circuits.js: its kind, numbers, flat weights and state at the start, and neurons' names.

    Raises:
        CircuitMismatch: pages do not compute this circuit, or not with its options.
    """
    if type(circuit) is CTRNN:
        kind, numbers, weights = "ctrnn", *_ctrnn(circuit)
    else:
        step = lane_step_of(circuit)
        kind = "" if step is None else step.function.__name__
        if step is None or kind not in _STEPS:
            raise CircuitMismatch(
                f"pages compute {_CIRCUITS}, with most of their options, and not this {type(circuit).__name__}"
            )
        numbers = [number for number in step.numbers if not callable(number)]
        weights = torch.nn.utils.parameters_to_vector(circuit.parameters())
    return {
        "kind": kind, "numbers": [float(number) for number in numbers], "weights": _packed(weights),
        "memory": flat_state(circuit.initial_state(1))[0].tolist(),
        "neurons": [neuron.name for neuron in circuit.neurons],
    }  # fmt: skip


def _ctrnn(circuit: CTRNN) -> tuple[Sequence[float], Tensor]:
    if circuit.delays:
        raise CircuitMismatch("pages compute ctrnn without delays")
    leak = 1 - (1 - 1 / circuit.tau) ** circuit.step_length
    weight_in, weight_rec = circuit.drawn_weights()
    readout = (circuit.get_parameter("readout.weight"), circuit.get_parameter("readout.bias"))
    parts = (weight_in, weight_rec, circuit.bias, leak, *readout)
    sizes = (circuit.n_sensors, circuit.n_features, circuit.n_motors)
    return (*sizes, circuit.substeps, circuit.form == "update"), torch.cat([part.detach().flatten() for part in parts])


def _packed(values: Tensor) -> str:
    """Return 32-bit floats, lowest byte first, in base 64."""
    return base64.b64encode(values.detach().numpy().astype("<f4").tobytes()).decode()


def _number(value: float) -> float | None:
    """Return a number as JSON has it: infinity is null."""
    return float(value) if math.isfinite(value) else None
