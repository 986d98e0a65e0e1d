"""Robustness: the return under perturbed weights or time constants, and without single neurons.

After Khajehabdollahi et al. 2024 (https://arxiv.org/abs/2309.12927).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ...agents import Agent
from ...circuits import Circuit, Pins, takes_pins
from ...drawing.figures import COLOURS, open_axes
from ...errors import InvalidRecording
from ...intervals import bootstrap_mean
from ..rollouts.evaluation import EVALUATION_SEED, evaluate_agent
from .contract import ProbeResult, Subject, living
from .learning_regime import recurrent_parameters
from .timescales import autocorrelation, fit_decay

STRENGTHS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.8)
_DIRECTIONS = 5
_EPISODES = 4
_ABLATED = 20


def robustness(subject: Subject) -> ProbeResult:
    """Perturb a trained agent in five random directions and measure its return on four episodes each.

    Recurrent weights (or all weights, in a circuit without weights between units) change by eps ||W||_F D / ||D||_F,
    each tensor separately. Time constants, if the circuit has any, change by as much with D >= 0, which lengthens
    them. Single neurons are silenced: the 20 fastest and the 20 slowest, by trained time constant or else by
    the timescale measured in the recording (of fewer than 40 neurons, half each).

    Raises:
        InvalidRecording: there is only a recording, or it is too short for timescales.
    """
    run = subject.run
    agent = run.agent()
    env = run.resolved.make_envs(_EPISODES, randomize={})
    rng = torch.Generator().manual_seed(0)

    def score() -> float:
        return float(evaluate_agent(agent, env).returns.mean())

    try:
        curves = {"weights": _curve(agent.circuit, recurrent_parameters(agent.circuit), False, score, rng)}
        if taus := [name for name, _ in agent.circuit.named_parameters() if "tau" in name]:
            curves["time constants"] = _curve(agent.circuit, taus, True, score, rng)
    finally:
        env.close()
    intact = float(curves["weights"][0].mean())
    numbers, units = {"intact": intact}, {"intact": "return"}
    for kind, returns in curves.items():
        for strength in (0.1, 0.4):
            found = bootstrap_mean(returns[STRENGTHS.index(strength)])
            name = f"{kind.replace(' ', '_')}_{strength:g}"
            numbers |= {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
    arrays = {f"{kind.replace(' ', '_')}_returns": returns for kind, returns in curves.items()}
    arrays["strength"] = np.array(STRENGTHS)
    if takes_pins(agent.circuit):
        fastest, slowest = _by_timescale(subject, agent)
        without = _ablations(subject, agent, [*fastest, *slowest])
        groups = {"fastest": without[: len(fastest)], "slowest": without[len(fastest) :]}
        for name, returns in groups.items():
            found = bootstrap_mean(returns)
            key = f"without_one_of_the_{name}"
            numbers |= {key: found.mean, f"{key}_low": found.low, f"{key}_high": found.high}
            arrays[f"without_{name}"] = returns
    units |= dict.fromkeys(numbers, "return")
    return ProbeResult(numbers, units, arrays, _figure(curves, arrays, intact))


def perturbed(
    value: Float[Tensor, "*shape"], strength: float, rng: torch.Generator, lengthen: bool = False
) -> Float[Tensor, "*shape"]:
    """Return a tensor moved by `strength` of its own Frobenius norm in a random direction.

    Args:
        value: the tensor.
        strength: eps in value + eps ||value|| D / ||D||.
        rng: random generator for D, which is standard normal.
        lengthen: use the absolute values of D.
    """
    direction = torch.randn(value.shape, generator=rng)
    direction = direction.abs() if lengthen else direction
    return value + strength * value.norm() * direction / direction.norm()


def _curve(
    circuit: Circuit, names: Sequence[str], lengthen: bool, score: Callable[[], float], rng: torch.Generator
) -> Float[np.ndarray, "strengths directions"]:
    parameters = {name: circuit.get_parameter(name) for name in names}
    kept = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    returns = np.empty((len(STRENGTHS), _DIRECTIONS))
    with torch.no_grad():
        for row, strength in enumerate(STRENGTHS):
            for column in range(_DIRECTIONS if strength else 1):
                for name, parameter in parameters.items():
                    parameter.copy_(perturbed(kept[name], strength, rng, lengthen))
                returns[row, column] = score()
            if not strength:
                returns[row] = returns[row, 0]
        for name, parameter in parameters.items():
            parameter.copy_(kept[name])
    return returns


def _by_timescale(subject: Subject, agent: Agent) -> tuple[list[str], list[str]]:
    """Return the names of the fastest and of the slowest neurons that are not sensors."""
    tau = getattr(agent.circuit, "tau", None)
    inner = [neuron.name for neuron in agent.circuit.neurons if neuron.role == "inter"]
    if tau is not None and len(tau) == len(inner):
        order = [inner[index] for index in torch.argsort(tau.detach()).tolist()]
    else:
        activity, names, _ = living(subject.recording, 120)
        measured = [fit_decay(curve).tau for curve in autocorrelation(activity, 30)]
        sensors = {neuron.name for neuron in agent.circuit.neurons if neuron.role == "sensor"}
        order = [names[index] for index in np.argsort(measured) if names[index] not in sensors]
    count = min(_ABLATED, len(order) // 2)
    if count == 0:
        raise InvalidRecording("fewer than two neurons other than sensors change, so there are none to silence")
    return order[:count], order[-count:]


def _ablations(subject: Subject, agent: Agent, names: Sequence[str]) -> Float[np.ndarray, " neurons"]:
    """Return the mean return without each named neuron; all lesions run at once, one in each environment."""
    column = {neuron.name: index for index, neuron in enumerate(agent.circuit.neurons)}
    scale = torch.ones(len(names), len(column))
    scale[range(len(names)), [column[name] for name in names]] = 0
    pins = Pins(scale.repeat(_EPISODES, 1), torch.zeros(len(names) * _EPISODES, len(column)))
    env = subject.run.resolved.make_envs(len(names) * _EPISODES, randomize={})
    try:
        seeds = np.repeat(EVALUATION_SEED + np.arange(_EPISODES), len(names)).tolist()
        returns = evaluate_agent(agent, env, seeds, pins).returns
    finally:
        env.close()
    return np.asarray(returns.reshape(_EPISODES, len(names)).mean(0))


def _figure(curves: dict[str, np.ndarray], arrays: dict[str, np.ndarray], intact: float) -> Figure:
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.4, 1])
    for colour, (kind, returns) in zip(COLOURS[::2], curves.items(), strict=False):
        found = [bootstrap_mean(row) for row in returns]
        left.plot(STRENGTHS, [each.mean for each in found], "-o", markersize=4, color=colour, label=kind)
        left.fill_between(
            STRENGTHS, [each.low for each in found], [each.high for each in found], color=colour, alpha=0.2, lw=0
        )
    left.set(xlabel="perturbation (of the norm)", ylabel="return of an episode", title="weights moved at random")
    left.legend(frameon=False)
    groups = [name for name in ("fastest", "slowest") if f"without_{name}" in arrays]
    rng = np.random.default_rng(0)
    for place, name in enumerate(groups):
        values = arrays[f"without_{name}"]
        right.plot(
            place + rng.uniform(-0.15, 0.15, len(values)), values, "o", markersize=4, color=COLOURS[0], alpha=0.7
        )
    right.axhline(intact, color=COLOURS[1], linewidth=0.9, linestyle="--")
    right.text(0.02, intact, "intact", color="#57606a", va="bottom", transform=right.get_yaxis_transform())
    right.set_xticks(range(len(groups)), [f"of the {name}" for name in groups])
    right.set(xlim=(-0.6, max(len(groups), 1) - 0.4), ylabel="return without one neuron", title="silenced")
    for axes in (left, right):
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        open_axes(axes)
    return figure
