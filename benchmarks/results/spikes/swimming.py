"""Swimming in spikes and in rates, what conversion costs, and what disturbances leave of both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ....agents import Agent
from ....circuits import Circuit
from ....intervals import bootstrap_mean
from ....training.probes.spikes import fan_out
from ....training.rollouts.evaluation import EVALUATION_SEED, evaluate_agent
from ....training.rollouts.interventions import Intervention
from ....training.rollouts.recorder import record_agent
from ....training.runs.config import RunConfig
from ....training.runs.run import Run
from ....training.studies.markdown import markdown_table
from ..runs import trained
from ..tables import standing
from .kept import Measurement, at_most, difference, plain, seeds_of, told

STEPS, EPISODES = 300_000, 10
# What is trained to swim; rates are what is then converted.
RATES = "rates"
SWIMMERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "spiking, k = 4": ("spiking", {"substeps": 4}),
    RATES: ("spiking", {"substeps": 0}),
    "ctrnn": ("ctrnn", {}),
    "lstm": ("lstm", {}),
}
# Readouts of a frozen liquid, organised and as it was drawn, and of the senses alone; a step of a liquid takes 2 ms.
READOUT_STEPS = 100_000
READOUTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "nalsm": ("nalsm", {}),
    "nalsm, not organised": ("nalsm", {"samples": 0}),
    "linear in the senses": ("mlp", {"hidden": []}),
}
SUBSTEPS = (1, 2, 4, 8, 16)
# Disturbances of trained rates and of the same weights as spikes.
NOISE, SILENCED, BITS = (0.1, 0.2, 0.4), (0.1, 0.25), (8, 4)
# Rule, fixed before the runs: points of return that conversion may cost at k >= 2, and spikes beside the CT-RNN.
LOSS = 5.0


def wanted(out: Path, seeds: int) -> dict[str, Measurement]:
    """Return the returns that are measured of each circuit and seed."""
    return {
        f"swim/{plain(name)}/{seed}": (trained_return, (_folder(out, name, seed), *arm, STEPS, seed))
        for seed in range(seeds)
        for name, arm in SWIMMERS.items()
    }


def wanted_of_rates(out: Path, seeds: int) -> dict[str, Measurement]:
    """Return what is measured of the rates of those seeds that are trained to their end."""
    found: dict[str, Measurement] = {}
    for seed in sorted(seeds_of(out, "swim", RATES).keys() & range(seeds)):
        folder = _folder(out, RATES, seed)
        found[f"conversion/{seed}"] = (converted, (folder,))
        found[f"robustness/{seed}"] = (disturbed, (folder, seed))
    return found


def wanted_of_readouts(out: Path, seeds: int) -> dict[str, Measurement]:
    """Return the returns that are measured of readouts of a liquid, and of the senses alone."""
    return {
        f"readouts/{plain(name)}/{seed}": (trained_return, (_folder(out, name, seed), *arm, READOUT_STEPS, seed))
        for seed in range(seeds)
        for name, arm in READOUTS.items()
    }


def trained_return(folder: Path, circuit: str, options: Mapping[str, Any], steps: int, seed: int) -> float:
    """Train a circuit by PPO, or go on with it, and return its mean return."""
    config = RunConfig(
        circuit, "ppo", seed=seed, steps=steps, circuit_options=options, physics="lanes", checkpoint_every=steps // 4
    )
    run = trained(folder, config)
    return _return(run.agent(), run)


def converted(folder: Path) -> dict[str, dict[str, float]]:
    """Run a trained circuit of rates as spikes, without training; motors are compared on what the rates saw."""
    run = Run(folder)
    envs, rates = run.resolved.make_envs(EPISODES, randomize={}), run.agent()
    recorded = record_agent(rates, envs)
    aimed = _motors(rates, recorded.observations)
    found = {"0": {"return": float(recorded.rewards.sum(1).mean()), "error": 0.0, "spread": float(aimed.std())}}
    for k in SUBSTEPS:
        agent = as_spikes(rates, k)
        spiking = record_agent(agent, envs)
        counts = spiking.spikes.sum(2, dtype=float)
        heard = fan_out(agent.circuit.wiring(), spiking.firing)
        found[f"{k}"] = {
            "return": float(spiking.rewards.sum(1).mean()),
            "error": float((_motors(agent, recorded.observations) - aimed).square().mean().sqrt()),
            "rate": float(counts.mean() / spiking.dt),
            "operations": float((counts @ heard).mean()),
        }
    envs.close()
    return found


def disturbed(folder: Path, seed: int) -> dict[str, dict[str, float]]:
    """Disturb a trained circuit of rates, and the same weights as spikes, alike; each return over the undisturbed."""
    run = Run(folder)
    rates = run.agent()
    found: dict[str, dict[str, float]] = {}
    for name, agent in {"rates": rates, "spikes": as_spikes(rates, 4)}.items():
        intact = {key: value.clone() for key, value in agent.circuit.state_dict().items()}
        whole = _return(agent, run)
        kept = found.setdefault(name, {"intact": whole})
        for what, disturb in _disturbances(seed):
            agent.circuit.load_state_dict(intact)
            kept[what] = _return(agent, run, disturb(agent.circuit)) / whole
    return found


def _disturbances(seed: int) -> Iterator[tuple[str, Callable[[Circuit], list[Intervention]]]]:
    for share in NOISE:
        yield f"noise of {share:g} of the weights' deviation", partial(_noise, share=share, seed=seed)
    for share in SILENCED:
        yield f"{100 * share:g} % of the units silenced", partial(_silence, share=share, seed=seed)
    for bits in BITS:
        yield f"weights of {bits} bits", partial(_round, bits=bits)


@torch.no_grad()
def _noise(circuit: Circuit, share: float, seed: int) -> list[Intervention]:
    rng = torch.Generator().manual_seed(seed)
    for weight in circuit.parameters():
        weight.add_(torch.randn(weight.shape, generator=rng) * weight.std(), alpha=share)
    return []


def _silence(circuit: Circuit, share: float, seed: int) -> list[Intervention]:
    units = [neuron.name for neuron in circuit.neurons[circuit.groups["units"]]]
    chosen = np.random.default_rng(seed).choice(units, round(share * len(units)), replace=False)
    return [Intervention(str(name), "silence") for name in chosen]


@torch.no_grad()
def _round(circuit: Circuit, bits: int) -> list[Intervention]:
    for weight in circuit.parameters():
        step = weight.abs().max() / (2 ** (bits - 1) - 1)
        weight.copy_((weight / step).round() * step)
    return []


def as_spikes(rates: Agent, substeps: int) -> Agent:
    """Return an agent of the same weights whose units fire."""
    agent = Agent(dataclasses.replace(rates.spec, circuit_options={**rates.spec.circuit_options, "substeps": substeps}))
    agent.load(rates.circuit.state_dict(), rates.observation_stats)
    return agent


def _folder(out: Path, name: str, seed: int) -> Path:
    return out / "runs" / f"{plain(name)}-{seed}"


def _return(agent: Agent, run: Run, interventions: list[Intervention] | None = None) -> float:
    envs = run.resolved.make_envs(EPISODES, randomize={})
    found = evaluate_agent(agent, envs, EVALUATION_SEED, interventions or ())
    envs.close()
    return float(found.returns.mean())


@torch.inference_mode()
def _motors(agent: Agent, observations: np.ndarray) -> torch.Tensor:
    """Return the motor commands on recorded observations, [time, episode, motor], in units of the motor's range."""
    sensors = agent.sense(np.swapaxes(np.asarray(observations), 0, 1))
    starts = torch.zeros(sensors.shape[:2], dtype=torch.bool)
    found, _ = agent.circuit.unroll(sensors, agent.circuit.initial_state(sensors.shape[1]), starts)
    return found


def tables(out: Path) -> dict[str, str]:
    """Return the Markdown of what is measured so far, verdicts beneath."""
    made = {
        "swim": _swim_table(out), "conversion": _conversion_table(out), "robustness": _robustness_table(out),
        "readouts": _readouts_table(out),
    }  # fmt: skip
    return {name: table for name, table in made.items() if table}


def _swim_table(out: Path) -> str:
    returns = {name: seeds_of(out, "swim", name) for name in SWIMMERS}
    text = [markdown_table(["circuit", "seeds", "return"], *_returns(returns))] if any(returns.values()) else []
    for control in ("ctrnn", "lstm"):
        behind = difference(returns[control], returns["spiking, k = 4"])
        if behind.n:
            text.append(f"The {control} is ahead of spikes by {behind}; at most {LOSS:g}: {at_most(behind, LOSS)}.")
    return "\n\n".join(text)


def _readouts_table(out: Path) -> str:
    returns = {name: seeds_of(out, "readouts", name) for name in READOUTS}
    text = [markdown_table(["circuit", "seeds", "return"], *_returns(returns))] if any(returns.values()) else []
    for control in list(READOUTS)[1:]:
        more = difference(returns["nalsm"], returns[control])
        if more.n:
            text.append(f"`nalsm` less {control} is {more}: {standing(more)}.")
    return "\n\n".join(text)


def _returns(returns: Mapping[str, Mapping[int, float]]) -> list[list[Any]]:
    return [[name, len(found), told(found.values())] for name, found in returns.items() if found]


def _conversion_table(out: Path) -> str:
    found = list(seeds_of(out, "conversion").values())
    if not found:
        return ""
    rows, losses = [], []
    for k in ("0", *map(str, SUBSTEPS)):
        each = [seed[k] for seed in found]
        loss = bootstrap_mean([seed["0"]["return"] - seed[k]["return"] for seed in found])
        if int(k) >= 2:
            losses.append(loss)
        error = [seed[k]["error"] / seed["0"]["spread"] for seed in found]
        fires = [told((one[name] for one in each), 1) for name in ("rate", "operations")] if k != "0" else ["", ""]
        rows.append([k, told(one["return"] for one in each), str(loss) if k != "0" else "", told(error, 3), *fires])
    titles = ["k", "return", "loss", "error of motors, of their deviation", "spikes/s of a unit", "synaptic operations"]
    worst = max(losses, key=lambda loss: loss.high)
    return f"{markdown_table(titles, *rows)}\n\nThe largest loss at k >= 2 is {worst}: {at_most(worst, LOSS)}."


def _robustness_table(out: Path) -> str:
    found = list(seeds_of(out, "robustness").values())
    if not found:
        return ""
    rows = []
    for what, _ in _disturbances(0):
        both = [[100 * seed[name][what] for seed in found] for name in ("rates", "spikes")]
        more = bootstrap_mean(np.subtract(both[1], both[0]))
        verdict = {"ahead": "spikes keep more", "behind": "rates keep more"}.get(standing(more), standing(more))
        rows.append([what, told(both[0]), told(both[1]), str(more), verdict])
    titles = ["disturbance", "rates keep, %", "spikes keep, %", "spikes less rates", "verdict"]
    return markdown_table(titles, *rows)
