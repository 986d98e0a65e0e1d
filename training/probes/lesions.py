"""Lesions: the return that remains when each neuron is silenced."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure

from ...circuits import Pins, check_pins
from ...drawing.figures import COLOURS, open_axes
from ...intervals import bootstrap_mean
from ..rollouts.evaluation import EVALUATION_SEED, evaluate_agent
from .contract import ProbeResult, Subject
from .tools.remaining import remaining

_SHOWN = 40  # largest number of neurons in the figure


def lesions(subject: Subject) -> ProbeResult:
    """Silence each neuron for whole episodes; all lesions run at once, one in each environment.

    Every lesion, and the intact circuit, is tested on the same episodes, as many as are recorded, which training did
    not use. Silencing fixes a neuron's value at 0 from the episode's start. `needed` are the neurons without which less
    than half of the return remains, `spare` those without which more than 95 % does; see `remaining`.

    Raises:
        InvalidRecording: there is only a recording.
        CircuitMismatch: the circuit does not expose its neurons.
    """
    returns = silenced_returns(subject)
    names = [neuron.name for neuron in subject.run.agent().circuit.neurons]
    intact = bootstrap_mean(returns[-1])
    without = returns[:-1].mean(1)
    share = remaining(without, intact.mean)
    order = np.argsort(without)
    numbers = {
        "intact": intact.mean,
        "intact_low": intact.low,
        "intact_high": intact.high,
        "most_needed_remaining": float(without[order[0]]),
        "needed": float((share < 0.5).sum()),
        "spare": float((share > 0.95).sum()),
    }
    units = {name: "neurons" if name in ("needed", "spare") else "return" for name in numbers}
    words = tuple(_sentence(names[index], share[index], returns[index]) for index in order)
    arrays = {"returns": returns, "neuron": np.array([*names, "intact"])}
    return ProbeResult(numbers, units, arrays, _figure(names, returns, order), words)


def _sentence(name: str, share: float, returns: Float[np.ndarray, " episodes"]) -> str:
    mean = bootstrap_mean(returns)
    if np.isnan(share):
        return f"Without {name} the return is {mean}; it is 0 with all neurons, so that no share of it can be told."
    return f"Without {name} {100 * share:.0f} % of the return remains ({mean})."


def silenced_returns(subject: Subject) -> Float[np.ndarray, "neurons+1 episodes"]:
    """Return the returns without each neuron; the last row has those of the intact circuit."""
    run = subject.run
    agent = run.agent()
    circuit = agent.circuit
    check_pins(circuit)
    n, episodes = len(circuit.neurons), subject.recording.n_episodes
    scale = torch.cat((1 - torch.eye(n), torch.ones(1, n))).repeat(episodes, 1)
    seeds = np.repeat(EVALUATION_SEED + np.arange(episodes), n + 1).tolist()
    env = run.resolved.make_envs((n + 1) * episodes, randomize={})
    try:
        returns = evaluate_agent(agent, env, seeds, Pins(scale, torch.zeros_like(scale))).returns
    finally:
        env.close()
    return returns.reshape(episodes, n + 1).T


def _figure(names: list[str], returns: Float[np.ndarray, "neurons+1 episodes"], order: np.ndarray) -> Figure:
    shown = order[:_SHOWN]
    intervals = [bootstrap_mean(returns[index]) for index in shown]
    means = np.array([found.mean for found in intervals])
    spread = np.array([[found.low, found.high] for found in intervals]).T
    figure = Figure(figsize=(max(5.0, 0.26 * len(shown) + 1.5), 3.4), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(len(shown)), means, yerr=np.nan_to_num(np.abs(spread - means)), color=COLOURS[0],
             error_kw={"linewidth": 1, "capsize": 2})  # fmt: skip
    axes.axhline(returns[-1].mean(), color=COLOURS[4], linestyle="--", linewidth=1, label="left alone")
    axes.set_xticks(range(len(shown)), [names[index] for index in shown], rotation=90, fontsize=7)
    axes.set_ylabel("return of an episode (mean, 95 %)")
    axes.set_xlabel("silenced neuron" if len(shown) == len(names) else f"silenced neuron, the {_SHOWN} most needed")
    axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1))
    open_axes(axes)
    return figure
