"""Turning to where a cue was: CueTurn, and RecallTurn, which needs a memory that one presentation fills."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ....intervals import bootstrap_mean
from ....training.rollouts.evaluation import evaluate
from ....training.runs.config import RunConfig
from ....training.studies.markdown import markdown_table
from ..runs import trained
from ..tables import standing
from .kept import Measurement, at_least, best_rate, difference, plain, seeds_of, told

# Units of both tasks remember for up to a whole episode of 100 steps, and sequences are whole episodes.
_SPIKES: Mapping[str, Any] = {"tau": (0.03, 3.0)}
_LSTM: Mapping[str, Any] = {"horizon": 100}
_CTRNN: Mapping[str, Any] = {"tau": (1.0, 100.0)}
_PPO = {"n_envs": 32, "n_steps": 100, "sequence_length": 100, "batch_size": 800}
_EPISODES = 100
CUE_STEPS, RECALL_STEPS = 300_000, 600_000
CUE: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "spiking, k = 4": ("spiking", _SPIKES),
    "spiking, k = 4, delays": ("spiking", {**_SPIKES, "delays": 8}),
    "rates": ("spiking", {**_SPIKES, "substeps": 0}),
    "ctrnn": ("ctrnn", _CTRNN),
    "ctrnn, delays": ("ctrnn", {**_CTRNN, "delays": 8}),
    "lstm": ("lstm", _LSTM),
    "mlp": ("mlp", {}),
}
# Each with the learning rate that is best for it over all seeds, since `ca3` learns little with that of the others.
RECALL: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ca3": ("ca3", {"cues": 32}),
    "lstm": ("lstm", _LSTM),
    "mlp": ("mlp", {}),
}
_CUE_RATE, _RECALL_RATES = 1e-3, (1e-3, 3e-3)
# Rules, fixed before the runs: CueTurn is solved at this share of successes, as in docs/results/learning.md; and more
# than one of four pairs is remembered where more turns are correct than with one.
SOLVED, ONE_PAIR = 0.9, 0.75


def wanted(out: Path, seeds: int) -> dict[str, Measurement]:
    """Return what is measured of each circuit and seed on both tasks."""
    found: dict[str, Measurement] = {}
    for seed in range(seeds):
        for name, arm in CUE.items():
            folder = out / "runs" / f"cueturn-{plain(name)}-{seed}"
            found[f"cueturn/{plain(name)}/{seed}"] = (choices, (folder, "cueturn", *arm, CUE_STEPS, _CUE_RATE, seed))
        for rate, (name, arm) in itertools.product(_RECALL_RATES, RECALL.items()):
            folder = out / "runs" / f"{_recall(rate)}-{plain(name)}-{seed}"
            asked = (folder, "recallturn", *arm, RECALL_STEPS, rate, seed)
            found[f"{_recall(rate)}/{plain(name)}/{seed}"] = (choices, asked)
    return found


def choices(
    folder: Path, task: str, circuit: str, options: Mapping[str, Any], steps: int, rate: float, seed: int
) -> dict[str, float]:
    """Train a circuit by PPO, or go on with it; return the shares of turns to the right side, and far enough."""
    config = RunConfig(
        circuit, "ppo", task=task, seed=seed, steps=steps, circuit_options=options, physics="lanes",
        algorithm_options={**_PPO, "learning_rate": rate}, checkpoint_every=steps // 4,
    )  # fmt: skip
    found = evaluate(trained(folder, config), _EPISODES)
    return {name: float(found.metrics[name].mean()) for name in ("correct", "success")}


def tables(out: Path) -> dict[str, str]:
    """Return the Markdown of what is measured so far, verdicts beneath."""
    made = {"cueturn": _cue_table(out), "recallturn": _recall_table(out)}
    return {name: table for name, table in made.items() if table}


def _cue_table(out: Path) -> str:
    shares = {name: _shares(out, "cueturn", name, "success") for name in CUE}
    rows = [
        [name, len(each), told(each.values(), 2), at_least(bootstrap_mean(list(each.values())), SOLVED)]
        for name, each in shares.items()
        if each
    ]
    if not rows:
        return ""
    text = [markdown_table(["circuit", "seeds", "successes", f"more than {SOLVED:g}"], *rows)]
    for control in ("ctrnn", "lstm"):
        more = difference(shares["spiking, k = 4"], shares[control])
        if more.n:
            text.append(f"Spikes less {control} is {more}: {standing(more)}.")
    return "\n\n".join(text)


def _recall_table(out: Path) -> str:
    rows, shares = [], {}
    for name in RECALL:
        rate, each = best_rate({rate: _shares(out, _recall(rate), name, "correct") for rate in _RECALL_RATES})
        shares[name] = each
        if each:
            far = told(_shares(out, _recall(rate), name, "success").values(), 2)
            over = at_least(bootstrap_mean(list(each.values())), ONE_PAIR)
            rows.append([name, f"{rate:g}", len(each), told(each.values(), 2), far, over])
    if not rows:
        return ""
    titles = ["circuit", "learning rate", "seeds", "correct", "successes", f"more than {ONE_PAIR:g} correct"]
    text = [markdown_table(titles, *rows)]
    for control in ("lstm", "mlp"):
        more = difference(shares["ca3"], shares[control])
        if more.n:
            text.append(f"`ca3` less {control} is {more}: {standing(more)}.")
    return "\n\n".join(text)


def _recall(rate: float) -> str:
    return f"recallturn-{rate:g}"


def _shares(out: Path, task: str, name: str, metric: str) -> dict[int, float]:
    return {seed: found[metric] for seed, found in seeds_of(out, task, name).items()}
