"""Memory for streams of bits, with and without delays: how soon it is learned, and how long it gets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ....circuits import Circuit, make_circuit
from ....envs.tasks.bits import BIT_TASKS, SOLVED, answers, draw_bits, draw_length
from ....intervals import bootstrap_mean
from ....training.studies.markdown import markdown_table
from ..tables import standing
from .kept import Measurement, at_most, difference, plain, seeds_of, told

# The LSTM remembers for about as long as sequences are; drawn without a horizon, its units forget within a few steps.
CIRCUITS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "spiking, k = 4": ("spiking", {}),
    "spiking, k = 4, delays": ("spiking", {"delays": 8}),
    "ctrnn": ("ctrnn", {}),
    "ctrnn, delays": ("ctrnn", {"delays": 8}),
    "lstm": ("lstm", {"horizon": 20}),
}
# Rule, fixed before the runs: with delays, match needs at most half the updates.
SHARE = 0.5
_DELAYED = ("spiking, k = 4", "ctrnn")
_TASK, _N = "delayed-match", 5
_MOST_UPDATES, _EVERY = 1500, 25
_GROWING, _FIRST = 2000, 2  # updates in all, and the N that growth begins with
_SEQUENCES, _TESTED = 64, 512


def wanted(out: Path, seeds: int) -> dict[str, Measurement]:  # noqa: ARG001
    """Return what is measured of each circuit and seed: match-5 from scratch, and both tasks of growing length."""
    found: dict[str, Measurement] = {}
    for seed in range(seeds):
        for name, (circuit, options) in CIRCUITS.items():
            found[f"match/{plain(name)}/{seed}"] = (updates_to_solve, (circuit, options, seed))
            for task in BIT_TASKS:
                found[f"growth-{task}/{plain(name)}/{seed}"] = (lengths_solved, (circuit, options, task, seed))
    return found


def updates_to_solve(circuit: str, options: Mapping[str, Any], seed: int) -> int:
    """Return after how many updates, in steps of 25, a circuit is right in 98 %; the most if it never was."""
    pupil = _Pupil(circuit, options, _TASK, seed)
    return next((update for update in pupil.updates(_MOST_UPDATES) if pupil.is_right()), _MOST_UPDATES)


def lengths_solved(circuit: str, options: Mapping[str, Any], task: str, seed: int) -> dict[str, int]:
    """Let N grow by one whenever a circuit is right in 98 %; return after how many updates it was, for each N."""
    pupil, solved = _Pupil(circuit, options, task, seed, _FIRST), {}
    for update in pupil.updates(_GROWING):
        if pupil.is_right():
            solved[f"{pupil.n}"] = update
            pupil.n += 1
    return solved


class _Pupil:
    """A circuit that learns a task by Adam, from fresh sequences of the present `n`."""

    def __init__(self, circuit: str, options: Mapping[str, Any], task: str, seed: int, n: int = _N) -> None:
        self.task, self.n = task, n
        self.net = make_circuit(circuit, {"bit": 1}, 1, options, torch.Generator().manual_seed(seed))
        self._draw, self._fresh = np.random.default_rng(seed).spawn(2)

    def updates(self, most: int) -> Iterator[int]:
        """Learn, and yield the number of updates so far every 25."""
        optimizer = torch.optim.Adam(self.net.parameters(), 3e-3)
        for update in range(1, most + 1):
            logit, right = answered(self.net, self.task, self.n, _SEQUENCES, self._draw)
            optimizer.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(logit, right).backward()
            torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
            optimizer.step()
            if update % _EVERY == 0:
                yield update

    @torch.inference_mode()
    def is_right(self) -> bool:
        """Say whether it is right in 98 % of fresh sequences."""
        logit, right = answered(self.net, self.task, self.n, _TESTED, self._fresh)
        return float(((logit > 0) == (right > 0)).float().mean()) >= SOLVED


def answered(
    net: Circuit, task: str, n: int, sequences: int, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the answer's logit at the end of fresh sequences, and whether the right answer is yes, 0 or 1."""
    bits = draw_bits(task, (draw_length(n, rng), sequences), rng)
    shown = torch.as_tensor(2 * bits - 1, dtype=torch.float32)[..., None]
    motors, _ = net.unroll(shown, net.initial_state(sequences), torch.zeros(bits.shape, dtype=torch.bool))
    return motors[-1, :, 0], torch.as_tensor(answers(task, bits, n), dtype=torch.float32)


def tables(out: Path) -> dict[str, str]:
    """Return the Markdown of what is measured so far, verdicts beneath."""
    made = {"match": _match_table(out)}
    for task in BIT_TASKS:
        made[f"growth-{task}"] = _growth_table(out, f"growth-{task}")
    return {name: table for name, table in made.items() if table}


def _match_table(out: Path) -> str:
    found = {name: seeds_of(out, "match", name) for name in CIRCUITS}
    rows = [
        [name, len(each), told(each.values(), 0), sum(updates < _MOST_UPDATES for updates in each.values())]
        for name, each in found.items()
        if each
    ]
    if not rows:
        return ""
    text = [markdown_table(["circuit", "seeds", "updates", "solved"], *rows)]
    for name in _DELAYED:
        without, late = found[name], found[f"{name}, delays"]
        if seeds := without.keys() & late.keys():
            share = bootstrap_mean([late[seed] / without[seed] for seed in seeds])
            text.append(f"With delays {name} needs {share} of the updates: {at_most(share, SHARE)}.")
    return "\n\n".join(text)


def _growth_table(out: Path, part: str) -> str:
    longest = {
        name: {seed: float(max(map(int, solved), default=0)) for seed, solved in seeds_of(out, part, name).items()}
        for name in CIRCUITS
    }
    rows = [
        [name, len(each), told(each.values()), ", ".join(f"{n:.0f}" for n in each.values())]
        for name, each in longest.items()
        if each
    ]
    if not rows:
        return ""
    text = [markdown_table(["circuit", "seeds", "longest N", "each seed"], *rows)]
    for name in _DELAYED:
        more = difference(longest[f"{name}, delays"], longest[name])
        if more.n:
            text.append(f"With delays {name} gets longer by {more}: {standing(more)}.")
    return "\n\n".join(text)
