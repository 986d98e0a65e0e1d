"""The pairs of RecallTurn without a body: which circuits learn by gradient to store each at its only presentation."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ....circuits import Circuit, make_circuit
from ....envs.tasks.recall_turn import CELLS, draw_pairs
from ....intervals import bootstrap_mean
from ....training.studies.markdown import markdown_table
from ..tables import standing
from .kept import Measurement, at_least, best_rate, difference, plain, seeds_of, told

CUES = (4, 6)  # pairs in a sequence
# 32 cues of `ca3` are enough to store each pattern under one of its 12 cells and its side, with some to spare for steps
# that show nothing. The LSTM remembers for about as long as sequences are.
CIRCUITS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ca3": ("ca3", {"cues": 32}),
    "lstm": ("lstm", {"horizon": 10}),
    "ctrnn": ("ctrnn", {}),
    "spiking, k = 4": ("spiking", {}),
    "mlp": ("mlp", {}),
}
# Each circuit has the learning rate that is best for it over all seeds.
_LEARNING_RATES = (3e-3, 1e-2)
_UPDATES, _PAUSE = 2000, 2  # the latter in control steps, before a fragment is shown
_SEQUENCES, _TESTED = 64, 2000
# Rule, fixed before the runs: all pairs are remembered where more than this share of answers is right.
ALL = 0.98


def wanted(out: Path, seeds: int) -> dict[str, Measurement]:  # noqa: ARG001
    """Return what is measured of each circuit, number of pairs, learning rate and seed."""
    return {
        f"{_part(cues, rate)}/{plain(name)}/{seed}": (share_right, (*arm, cues, rate, seed))
        for seed, cues, rate in itertools.product(range(seeds), CUES, _LEARNING_RATES)
        for name, arm in CIRCUITS.items()
    }


def share_right(circuit: str, options: Mapping[str, Any], cues: int, rate: float, seed: int) -> float:
    """Train a circuit by Adam; return in what share of fresh sequences it names the right side."""
    senses = {"pattern": CELLS, "cue": 1, "go": 1}
    net = make_circuit(circuit, senses, 1, options, torch.Generator().manual_seed(seed))
    draw, fresh = np.random.default_rng(seed).spawn(2)
    optimizer = torch.optim.Adam(net.parameters(), rate)
    for _ in range(_UPDATES):
        logit, right = answered(net, cues, _SEQUENCES, draw)
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(logit, right).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
    with torch.inference_mode():
        logit, right = answered(net, cues, _TESTED, fresh)
    return float(((logit > 0) == (right > 0)).float().mean())


def answered(net: Circuit, cues: int, sequences: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logit of the right side when a fragment is shown, and whether it is right, 0 or 1.

    Each pair is shown for one control step, then nothing for two, then the fragment with `go`.
    """
    shown = np.zeros((cues + _PAUSE + 1, sequences, CELLS + 2), np.float32)
    sides = np.zeros(sequences, np.float32)
    for row in range(sequences):
        shown[:cues, row, :CELLS], shown[:cues, row, CELLS], asked, shown[-1, row, :CELLS] = draw_pairs(cues, rng)
        sides[row] = shown[asked, row, CELLS]
    shown[-1, :, -1] = 1.0
    motors, _ = net.unroll(
        torch.as_tensor(shown), net.initial_state(sequences), torch.zeros(shown.shape[:2], dtype=torch.bool)
    )
    return motors[-1, :, 0], torch.as_tensor((sides > 0).astype(np.float32))


def tables(out: Path) -> dict[str, str]:
    """Return the Markdown of what is measured so far, verdicts beneath."""
    rows, text, best = [], [], {}
    for cues, name in itertools.product(CUES, CIRCUITS):
        rate, each = best_rate({rate: seeds_of(out, _part(cues, rate), name) for rate in _LEARNING_RATES})
        best[cues, name] = each
        if each:
            over = at_least(bootstrap_mean(list(each.values())), ALL)
            rows.append([cues, name, f"{rate:g}", len(each), told(each.values(), 3), over])
    for cues in CUES:
        more = difference(best[cues, "ca3"], best[cues, "lstm"])
        if more.n:
            text.append(f"With {cues} pairs, `ca3` less lstm is {more}: {standing(more)}.")
    if not rows:
        return {}
    titles = ["pairs", "circuit", "learning rate", "seeds", "right", f"more than {ALL:g}"]
    return {"recall": "\n\n".join([markdown_table(titles, *rows), *text])}


def _part(cues: int, rate: float) -> str:
    return f"recall-{cues}-{rate:g}"
