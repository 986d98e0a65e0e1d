"""Fixed points: the states in which a recurrent circuit would rest, and the directions in which it leaves them.

Source: Sussillo and Barak 2013, "Opening the black box".
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Complex, Float
from matplotlib.figure import Figure
from torch import Tensor

from ...agents import Agent, replay
from ...drawing.figures import COLOURS, open_axes
from ...errors import InvalidRecording
from .contract import ProbeResult, Subject

_STARTS = 128
_LARGEST = 512  # dimensions of a state; its Jacobian has this number squared
_MERGE = 1e-3
_SLOW = 1e-10  # q = |F(x) - x|^2 / 2 below which a point is fixed
_DESCENT = 600
_POLISH = 30


@dataclasses.dataclass(frozen=True)
class FixedPoints:
    """The fixed points of a map.

    Attributes:
        points: the fixed points.
        eigenvalues: eigenvalues of the map's Jacobian at each point, the largest first.
        unstable: number of unstable directions at each point: eigenvalues of modulus above 1.
    """

    points: Float[np.ndarray, "p dims"]
    eigenvalues: Complex[np.ndarray, "p dims"]

    @property
    def unstable(self) -> np.ndarray:
        """The number of unstable directions of each point."""
        return np.asarray((np.abs(self.eigenvalues) > 1).sum(1))


def fixed_points(subject: Subject) -> ProbeResult:
    """Find the fixed points of a run's circuit with its sensors fixed at their mean over the recording.

    The search starts from 128 states that the circuit passed through in the recording.

    Raises:
        InvalidRecording: there is only a recording, the circuit has no memory, a memory too large for a
            Jacobian or states that are not finite, or no fixed point is found.
    """
    agent = subject.run.agent()
    circuit = agent.circuit
    if not circuit.is_recurrent:
        raise InvalidRecording(f"circuit {subject.run.config.circuit!r} has no memory, and so no state to rest in")
    sensors, states, shapes = visited_states(agent, np.asarray(subject.recording.observations))
    if states.shape[1] > _LARGEST:
        raise InvalidRecording(
            f"the state has {states.shape[1]} values, and the probe takes up to {_LARGEST}; choose a smaller circuit"
        )
    if not states.isfinite().all():
        raise InvalidRecording("the circuit passes through states that are not finite; record the run again")
    mean = sensors.mean(0)

    def step(x: Float[Tensor, " dims"]) -> Float[Tensor, " dims"]:
        state = unflatten(x[None], shapes)
        _, after = circuit(mean[None], state)
        return torch.cat([after[name].reshape(-1) for name in shapes])

    rng = np.random.default_rng(0)
    starts = states[rng.permutation(len(states))[:_STARTS]]
    found = find_fixed_points(step, starts)
    if not len(found.points):
        raise InvalidRecording(f"no fixed point is found from {len(starts)} states; the circuit may only cycle")
    radius = np.abs(found.eigenvalues[:, 0])
    order = np.argsort(radius)
    lead = found.eigenvalues[order[-1], 0]
    dt = subject.recording.dt
    numbers = {
        "points": float(len(found.points)),
        "stable": float((found.unstable == 0).sum()),
        "saddles": float((found.unstable > 0).sum()),
        "most_unstable_directions": float(found.unstable.max()),
        "smallest_radius": float(radius[order[0]]),
        "largest_radius": float(radius[order[-1]]),
        "rotation": float(abs(np.angle(lead)) / (2 * np.pi * dt)),
    }
    units = dict.fromkeys(numbers, "") | {"points": "points", "stable": "points", "saddles": "points",
                                          "most_unstable_directions": "directions", "rotation": "Hz"}  # fmt: skip
    arrays = {"points": found.points, "eigenvalues": found.eigenvalues, "states": states.numpy()[:2000]}
    return ProbeResult(numbers, units, arrays, _figure(found, arrays["states"]))


def find_fixed_points(
    step: Callable[[Float[Tensor, " dims"]], Float[Tensor, " dims"]], starts: Float[Tensor, "n dims"]
) -> FixedPoints:
    """Return the fixed points of a map that a search from the starts reaches.

    Adam minimises q = |F(x) - x|^2 / 2, then Newton's method solves F(x) = x; a Newton step is kept where q falls.
    Points nearer than 1e-3 count as one.
    """
    batch, jacobian = torch.vmap(step), torch.vmap(torch.func.jacrev(step))
    x = starts.detach().clone().requires_grad_(True)
    optimizer = torch.optim.Adam([x], lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, _DESCENT, eta_min=1e-4)
    for _ in range(_DESCENT):
        optimizer.zero_grad()
        loss = ((batch(x) - x) ** 2).sum() / 2
        loss.backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        x = x.detach().double() if starts.dtype == torch.float64 else x.detach()
        eye = torch.eye(x.shape[1], dtype=x.dtype)
        q = ((batch(x) - x) ** 2).sum(1) / 2
        for _ in range(_POLISH):
            # Least squares, because at a bifurcation I - J has no inverse.
            move = torch.linalg.lstsq(jacobian(x) - eye, (batch(x) - x)[..., None]).solution[..., 0]
            tried = x - move
            q_tried = ((batch(tried) - tried) ** 2).sum(1) / 2
            better = q_tried < q
            x, q = torch.where(better[:, None], tried, x), torch.where(better, q_tried, q)
            if not better.any():
                break
        kept: list[Tensor] = []
        for point in x[q < _SLOW]:
            if all((point - other).norm() > _MERGE for other in kept):
                kept.append(point)
        points = torch.stack(kept) if kept else x[:0]
        values = np.linalg.eigvals(jacobian(points).numpy()) if kept else np.zeros((0, x.shape[1]), complex)
    order = np.argsort(-np.abs(values), axis=1)
    return FixedPoints(points.numpy(), np.take_along_axis(values, order, 1))


@torch.no_grad()
def visited_states(
    agent: Agent, observations: Float[np.ndarray, "E T O"]
) -> tuple[Float[Tensor, "samples sensors"], Float[Tensor, "samples dims"], dict[str, torch.Size]]:
    """Return the sensors and the flattened states that an agent passes through, and the shape of each state.

    Every fourth step of each episode is kept.
    """
    sensors = agent.sense(observations)
    shapes = {name: value.shape[1:] for name, value in agent.circuit.initial_state(1).items()}
    states = [step.state for step in replay(agent.circuit, sensors.transpose(0, 1))][::4]
    kept = [torch.cat([state[name].flatten(1) for name in shapes], 1) for state in states]
    return sensors.reshape(-1, sensors.shape[-1]), torch.cat(kept), shapes


def unflatten(x: Float[Tensor, "batch dims"], shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
    """Return the state whose flattened form is `x`."""
    parts = x.split([shape.numel() for shape in shapes.values()], 1)
    return {name: part.reshape(-1, *shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def _figure(found: FixedPoints, states: Float[np.ndarray, "samples dims"]) -> Figure:
    figure = Figure(figsize=(8.2, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    middle = states.mean(0)
    axes2 = np.linalg.svd(states - middle, full_matrices=False)[2][:2].T
    if axes2.shape[1] < 2:
        axes2 = np.pad(axes2, ((0, 0), (0, 2 - axes2.shape[1])))
    passed, points = (states - middle) @ axes2, (found.points - middle) @ axes2
    left.plot(passed[:, 0], passed[:, 1], ".", markersize=2, color=COLOURS[1], alpha=0.5, label="passed through")
    stable = found.unstable == 0
    left.plot(*points[stable].T, "o", color=COLOURS[0], label="stable")
    left.plot(*points[~stable].T, "o", markerfacecolor="white", color=COLOURS[4], label="left in some direction")
    left.set(xlabel="first principal component", ylabel="second", title=f"{len(found.points)} fixed points")
    left.legend(frameon=False, fontsize=8)
    circle = np.linspace(0, 2 * np.pi, 200)
    right.plot(np.cos(circle), np.sin(circle), color=COLOURS[1], linewidth=0.8)
    for values, rests in zip(found.eigenvalues, stable, strict=True):
        right.plot(values.real, values.imag, ".", markersize=4, color=COLOURS[0] if rests else COLOURS[4])
    right.set(xlabel="real part", ylabel="imaginary part", title="eigenvalues of the Jacobian")
    right.set_aspect("equal", "datalim")
    for axes in (left, right):
        open_axes(axes)
    return figure
