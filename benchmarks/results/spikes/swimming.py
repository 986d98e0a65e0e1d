"""What spikes cost and bring: the tables of docs/results/spikes.md.

    python -m nervecord.benchmarks.results.spikes runs/spikes --page docs/results/spikes.md

Every result is a file. A second start skips what is there, and the tables have what is finished.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro

from ...agents import Agent
from ...circuits import Circuit, make_circuit
from ...envs import EnvBatch
from ...envs.tasks.bits import answers, draw_bits, draw_length
from ...files import read_json, write_json
from ...intervals import Interval, bootstrap_mean
from ...threads import one_thread
from ...training.learning.training import resume, train
from ...training.probes.spikes import fan_out
from ...training.rollouts.evaluation import EVALUATION_SEED, evaluate_agent
from ...training.rollouts.interventions import Intervention
from ...training.rollouts.recorder import record_agent
from ...training.runs.config import RunConfig
from ...training.runs.run import Run
from ...training.studies.markdown import markdown_table
from .tables import fill_page

SEEDS = 5
STEPS, EPISODES = 100_000, 10
# What is trained to swim; rates are what is then converted.
SWIMMERS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "spiking, k = 4": ("spiking", {"substeps": 4}),
    "rates": ("spiking", {"substeps": 0}),
    "ctrnn": ("ctrnn", {}),
}
SUBSTEPS = (1, 2, 4, 8, 16)
# Disturbances of trained rates and of the same weights as spikes.
NOISE, SILENCED, BITS = (0.1, 0.2, 0.4), (0.1, 0.25), (8, 4)
# Rules of the verdicts, fixed before the runs. Intervals are 95 % bootstraps over seeds.
SHARE = 0.5  # of the updates without delays, at most, that match needs with them
LOSS = 5.0  # points of return that conversion may cost at k >= 2, and spikes beside the CT-RNN


# Swim


def swim(out: Path, seed: int) -> Iterator[None]:
    """Train each circuit by PPO and evaluate it, unless that was done."""
    for name, (circuit, options) in SWIMMERS.items():
        path = out / "swim" / f"{_file(name)}-{seed}.json"
        if not path.exists():
            config = RunConfig(circuit, "ppo", seed=seed, steps=STEPS, circuit_options=options, physics="lanes")
            folder = path.with_suffix("")
            run = resume(folder, progress=False) if folder.exists() else train(config, folder, progress=False)
            write_json(path, {"return": _return(run.agent(), run)})
        yield


def conversion(out: Path, seed: int) -> Iterator[None]:
    """Run a trained circuit of rates as spikes, without training; motors are compared on what the rates saw."""
    path, run = out / "conversion" / f"{seed}.json", _rates(out, seed)
    if path.exists() or run is None:
        return
    envs = run.resolved.make_envs(EPISODES, randomize={})
    rates = run.agent()
    recorded = record_agent(rates, envs)
    wanted = _motors(rates, recorded.observations)
    found = {"0": {"return": float(recorded.rewards.sum(1).mean()), "error": 0.0, "spread": float(wanted.std())}}
    for k in SUBSTEPS:
        agent = as_spikes(rates, k)
        spiking = record_agent(agent, envs)
        counts = spiking.spikes.sum(2, dtype=float)
        heard = fan_out(agent.circuit.wiring(), spiking.firing)
        found[f"{k}"] = {
            "return": float(spiking.rewards.sum(1).mean()),
            "error": float((_motors(agent, recorded.observations) - wanted).square().mean().sqrt()),
            "rate": float(counts.mean() / spiking.dt),
            "operations": float((counts @ heard).mean()),
        }
        yield
    envs.close()
    write_json(path, found)


def robustness(out: Path, seed: int) -> Iterator[None]:
    """Disturb a trained circuit of rates, and the same weights as spikes, alike; each return over the undisturbed."""
    path, run = out / "robustness" / f"{seed}.json", _rates(out, seed)
    if path.exists() or run is None:
        return
    rates = run.agent()
    found: dict[str, dict[str, float]] = {}
    for name, agent in {"rates": rates, "spikes": as_spikes(rates, 4)}.items():
        intact = {key: value.clone() for key, value in agent.circuit.state_dict().items()}
        whole = _return(agent, run)
        kept = found.setdefault(name, {"intact": whole})
        for what, disturb in _disturbances(seed):
            agent.circuit.load_state_dict(intact)
            kept[what] = _return(agent, run, disturb(agent.circuit)) / whole
            yield
        agent.circuit.load_state_dict(intact)
    write_json(path, found)


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


def _rates(out: Path, seed: int) -> Run | None:
    folder = out / "swim" / f"rates-{seed}"
    return Run(folder) if folder.with_suffix(".json").exists() else None


def _return(agent: Agent, run: Run, interventions: list[Intervention] | None = None) -> float:
    envs: EnvBatch = run.resolved.make_envs(EPISODES, randomize={})
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


# Memory

MEMORIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "spiking, k = 4": ("spiking", {}),
    "spiking, k = 4, delays": ("spiking", {"delays": 8}),
    "ctrnn": ("ctrnn", {}),
    "ctrnn, delays": ("ctrnn", {"delays": 8}),
}
TASK, N = "delayed-match", 5
_SOLVED, _MOST_UPDATES, _EVERY = 0.98, 1500, 25
_SEQUENCES, _TESTED = 64, 512


def memory(out: Path, seed: int) -> Iterator[None]:
    """Train circuits to compare a bit with one some steps ago until they are right; count the updates."""
    for name, (circuit, options) in MEMORIES.items():
        path = out / "memory" / f"{_file(name)}-{seed}.json"
        if not path.exists():
            write_json(path, {"updates": updates_to_solve(circuit, options, seed)})
        yield


def updates_to_solve(circuit: str, options: Mapping[str, Any], seed: int) -> int:
    """Return after how many updates, in steps of 25, a circuit is right in 98 %; the most if it never was."""
    rng = torch.Generator().manual_seed(seed)
    net, draw, fresh = make_circuit(circuit, {"bit": 1}, 1, options, rng), *np.random.default_rng(seed).spawn(2)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    for update in range(1, _MOST_UPDATES + 1):
        logit, right = _answered(net, _SEQUENCES, draw)
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(logit, right).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        if update % _EVERY == 0:
            with torch.inference_mode():
                logit, right = _answered(net, _TESTED, fresh)
            if float(((logit > 0) == (right > 0)).float().mean()) >= _SOLVED:
                return update
    return _MOST_UPDATES


def _answered(net: Circuit, n: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the answer's logit at the end of n fresh sequences, and whether the right answer is yes, 0 or 1."""
    bits = draw_bits(TASK, (draw_length(N, rng), n), rng)
    shown = torch.as_tensor(2 * bits - 1, dtype=torch.float32)[..., None]
    motors, _ = net.unroll(shown, net.initial_state(n), torch.zeros(bits.shape, dtype=torch.bool))
    return motors[-1, :, 0], torch.as_tensor(answers(TASK, bits, N), dtype=torch.float32)


# Speed

TIMED: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ctrnn": ("ctrnn", {}),
    "spiking, rates": ("spiking", {"substeps": 0}),
    "spiking, k = 1": ("spiking", {"substeps": 1}),
    "spiking, k = 4": ("spiking", {"substeps": 4}),
    "spiking, k = 32": ("spiking", {"substeps": 32}),
    "spiking, k = 4, delays": ("spiking", {"delays": 8}),
    "lif, k = 4": ("lif", {"substeps": 4}),
}
_ROUNDS, _CALLS, _ROWS = 200, 5, 8


@torch.inference_mode()
def speed(out: Path, seed: int) -> Iterator[None]:
    """Time a control step of 8 rows of 23 sensors, the best of 200 rounds in which all take turns."""
    if (out / "speed.json").exists():
        return
    nets = {
        name: make_circuit(circuit, {"x": 23}, 5, options, torch.Generator().manual_seed(seed))
        for name, (circuit, options) in TIMED.items()
    }
    sensors, best = torch.randn(_ROWS, 23, generator=torch.Generator().manual_seed(seed)), dict.fromkeys(nets, math.inf)
    states = {name: net.initial_state(_ROWS) for name, net in nets.items()}
    for _ in range(_ROUNDS):
        for name, net in nets.items():
            start = time.perf_counter()
            for _ in range(_CALLS):
                net(sensors, states[name])
            best[name] = min(best[name], (time.perf_counter() - start) / _CALLS)
    write_json(out / "speed.json", best)
    yield


# Tables


def tables(out: Path) -> dict[str, str]:
    """Return the Markdown of each part of which anything is finished, its verdicts beneath."""
    made = {
        "speed": _speed_table(out), "swim": _swim_table(out), "conversion": _conversion_table(out),
        "robustness": _robustness_table(out), "memory": _memory_table(out),
    }  # fmt: skip
    return {name: table for name, table in made.items() if table}


def _speed_table(out: Path) -> str:
    if not (out / "speed.json").exists():
        return ""
    found = read_json(out / "speed.json", "speed.json is damaged")
    rows = [[name, f"{1e6 * took:.0f}", f"{took / found['ctrnn']:.2f}"] for name, took in found.items()]
    return markdown_table(["circuit", "µs a step", "of the CT-RNN's"], *rows) + "\n"


def _swim_table(out: Path) -> str:
    returns = {
        name: {seed: read_json(path, "")["return"] for seed in range(SEEDS)
               if (path := out / "swim" / f"{_file(name)}-{seed}.json").exists()}
        for name in SWIMMERS
    }  # fmt: skip
    rows = [[name, len(found), _told(found.values())] for name, found in returns.items() if found]
    text = markdown_table(["circuit", "seeds", "return"], *rows) + "\n"
    if not any(returns.values()):
        return ""
    ours, theirs = returns["spiking, k = 4"], returns["ctrnn"]
    behind = bootstrap_mean([theirs[seed] - ours[seed] for seed in ours.keys() & theirs.keys()])
    return f"{text}\nThe CT-RNN is ahead of spikes by {behind}: {at_most(behind, LOSS)}.\n"


def _conversion_table(out: Path) -> str:
    found = _seeds(out / "conversion")
    if not found:
        return ""
    rows, losses = [], []
    for k in ("0", *map(str, SUBSTEPS)):
        each = [seed[k] for seed in found]
        loss = bootstrap_mean([seed["0"]["return"] - seed[k]["return"] for seed in found])
        if int(k) >= 2:
            losses.append(loss)
        error = [seed[k]["error"] / seed["0"]["spread"] for seed in found]
        fires = ["rate", "operations"] if k != "0" else []
        told = [_told(one[name] for one in each) for name in fires] or ["", ""]
        rows.append([k, _told(one["return"] for one in each), str(loss) if k != "0" else "", _told(error, 3), *told])
    titles = ["k", "return", "loss", "error of motors, of their deviation", "spikes/s of a unit", "synaptic operations"]
    worst = max(losses, key=lambda loss: loss.high)
    return f"{markdown_table(titles, *rows)}\n\nThe largest loss at k >= 2 is {worst}: {at_most(worst, LOSS)}.\n"


def _robustness_table(out: Path) -> str:
    found = _seeds(out / "robustness")
    if not found:
        return ""
    rows = []
    for what, _ in _disturbances(0):
        both = [[100 * seed[name][what] for seed in found] for name in ("rates", "spikes")]
        ahead = bootstrap_mean(np.subtract(both[1], both[0]))
        verdict = "spikes keep more" if ahead.low > 0 else "rates keep more" if ahead.high < 0 else "no difference"
        rows.append([what, _told(both[0]), _told(both[1]), str(ahead), verdict])
    titles = ["disturbance", "rates keep, %", "spikes keep, %", "spikes less rates", "verdict"]
    return markdown_table(titles, *rows) + "\n"


def _memory_table(out: Path) -> str:
    found = {
        name: {seed: read_json(path, "")["updates"] for seed in range(SEEDS)
               if (path := out / "memory" / f"{_file(name)}-{seed}.json").exists()}
        for name in MEMORIES
    }  # fmt: skip
    rows = [
        [name, len(each), _told(each.values(), 0), sum(updates < _MOST_UPDATES for updates in each.values())]
        for name, each in found.items()
        if each
    ]
    if not rows:
        return ""
    text = [markdown_table(["circuit", "seeds", "updates", "solved"], *rows) + "\n"]
    for name in ("spiking, k = 4", "ctrnn"):
        without, late = found[name], found[f"{name}, delays"]
        if seeds := without.keys() & late.keys():
            share = bootstrap_mean([late[seed] / without[seed] for seed in seeds])
            text.append(f"With delays {name} needs {share} of the updates: {at_most(share, SHARE)}.\n")
    return "\n".join(text)


def at_most(found: Interval, bound: float) -> str:
    """Return the verdict of a rule that a number is below a bound: by where its interval lies, in its own unit."""
    return "holds" if found.high < bound else "fails" if found.low > bound else "undecided"


def _seeds(folder: Path) -> list[dict[str, Any]]:
    return [read_json(path, f"{path} is damaged") for path in sorted(folder.glob("*.json"))]


def _told(values: Any, digits: int = 1) -> str:
    found = bootstrap_mean(list(values))
    ends = "" if math.isnan(found.low) else f" [{found.low:.{digits}f}, {found.high:.{digits}f}]"
    return f"{found.mean:.{digits}f}{ends}"


def _file(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


PARTS = {"swim": swim, "conversion": conversion, "robustness": robustness, "memory": memory, "speed": speed}


@dataclasses.dataclass(frozen=True)
class _Arguments:
    """Train, convert and disturb circuits that fire, and write tables."""

    out: tyro.conf.Positional[Path]
    """Folder of the runs and the results."""
    parts: tuple[Literal["swim", "conversion", "robustness", "memory", "speed"], ...] = (
        "swim", "conversion", "robustness", "memory", "speed",
    )  # fmt: skip
    """What to run."""
    seeds: int = SEEDS
    """Seeds of each."""
    page: Path | None = None
    """Page whose tables are made anew."""


def main() -> None:
    """Run what the command line asks for."""
    arguments = tyro.cli(_Arguments)
    with one_thread():
        # Seed by seed, so that tables of a part of the seeds compare like with like.
        for seed in range(arguments.seeds):
            for part in arguments.parts:
                for _ in PARTS[part](arguments.out, seed):
                    pass
    made = tables(arguments.out)
    print(*made.values(), sep="\n\n")
    if arguments.page:
        fill_page(arguments.page, made)


if __name__ == "__main__":
    main()
