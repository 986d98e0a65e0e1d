"""Steps a second of what people use now, and of nervecord, in one run: the tables of docs/comparison.md.

python -m nervecord.benchmarks.results.comparison --page docs/comparison.md
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ...training.studies.markdown import markdown_table
from .. import ppo, speed
from .command import start
from .tables import fill_page

_THREE = "gymnasium-swimmer"
# Row -> how it is measured, and the rows of ours that it is compared with; rows without any are ours.
STEPPING: Mapping[str, tuple[Callable[[], float], Sequence[str]]] = {
    "nervecord on lanes, 256": (partial(speed.vector_rate, 256, physics="lanes"), ()),
    "nervecord on MuJoCo, 256": (partial(speed.vector_rate, 256), ()),
    "mujoco.batch, 256, physics alone": (partial(speed.batch_rate, 256), ("on MuJoCo, 256", "on lanes, 256")),
    "EnvPool SwimmerSwimmer6-v1, 256": (partial(speed.envpool_rate, 256), ("on MuJoCo, 256", "on lanes, 256")),
    "nervecord on lanes, 1": (partial(speed.single_rate, physics="lanes"), ()),
    "nervecord on MuJoCo, 1": (speed.single_rate, ()),
    "dm_control swimmer6, 1": (speed.dm_control_rate, ("on MuJoCo, 1", "on lanes, 1")),
    "nervecord on lanes, 1, 3 links": (partial(speed.single_rate, _THREE, "lanes"), ()),
    "nervecord on MuJoCo, 1, 3 links": (partial(speed.single_rate, _THREE), ()),
    "gymnasium Swimmer-v5, 1, 3 links": (speed.gymnasium_rate, ("on MuJoCo, 1, 3 links", "on lanes, 1, 3 links")),
}
_PEERS = {"on lanes": "numba", "EnvPool": "envpool", "dm_control": "dm_control", "gymnasium": "imageio"}
# Of `ppo.ppo_speed`: theirs, and ours with the same network.
TRAINING = {
    "our PPO, MLP, lanes": None,
    "CircuitPPO, MLP, lanes": None,
    "SB3's PPO, MLP, dm_control": "our PPO, MLP, lanes",
    "our PPO, LSTM, lanes": None,
    "RecurrentPPO, LSTM, our environment, lanes": "our PPO, LSTM, lanes",
    "RecurrentPPO, LSTM, dm_control": "our PPO, LSTM, lanes",
}


def stepping(repeats: int) -> str:
    """Return the table of stepping: every row in turn, `repeats` times, and ratios within a turn."""
    torch.set_num_threads(1)
    absent = speed.absent_peers(STEPPING, _PEERS)
    rates: dict[str, list[float]] = {name: [] for name in STEPPING if name not in absent}
    # The first turn compiles and warms up.
    for turn in range(repeats + 1):
        for name, found in rates.items():
            rate = STEPPING[name][0]()
            if turn:
                found.append(rate)
    lines = []
    for name, (_, ours) in STEPPING.items():
        if name in absent:
            lines.append([name, absent[name], "", "", ""])
            continue
        found = rates[name]
        ratios = [_ratio(rates[f"nervecord {mine}"], found) if f"nervecord {mine}" in rates else "" for mine in ours]
        spread = f"{min(found):,.0f} to {max(found):,.0f}"
        lines.append([name, f"{statistics.median(found):,.0f}", spread, *(ratios or ["", ""])])
    titles = ["what, environments", "steps/s", "lowest to highest", "ours on MuJoCo over it", "ours on lanes over it"]
    return markdown_table(titles, *lines)


def training(repeats: int) -> str:
    """Return the table of training: rollouts and updates of PPO together."""
    rows = {row["name"]: row for row in ppo.ppo_speed(repeats, TRAINING)}
    lines = []
    for name, ours in TRAINING.items():
        row = rows[name]
        if "absent" in row:
            lines.append([name, row["absent"], "", "", ""])
            continue
        beside: Sequence[Any] = ["", ""]
        if ours is not None:
            beside = [ours, f"{rows[ours]['steps_per_second'] / row['steps_per_second']:.2g}"]
        lines.append([name, f"{row['steps_per_second']:,}", f"{row['low']:,} to {row['high']:,}", *beside])
    return markdown_table(["what", "steps/s", "lowest to highest", "beside", "ours over theirs"], *lines)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the median of the ratios within a turn, with the least and the greatest."""
    found = [mine / its for mine, its in zip(ours, theirs, strict=True)]
    return f"{statistics.median(found):.2f} [{min(found):.2f}, {max(found):.2f}]"


@dataclasses.dataclass(frozen=True)
class _Arguments:
    """Measure what people use now beside nervecord, in one run, on two threads."""

    repeats: int = 5
    """Turns of stepping; the median is shown, with the lowest and the highest."""
    training_repeats: int = 3
    """Turns of training, of which each takes about a minute for dm_control alone."""
    page: Path | None = None
    """Page whose tables are made anew."""


def main(arguments: _Arguments) -> None:
    """Print the tables; make the page's anew."""
    made = {"stepping": stepping(arguments.repeats)}
    print(made["stepping"], flush=True)
    made["training"] = training(arguments.training_repeats)
    print(made["training"])
    if arguments.page:
        fill_page(arguments.page, made)


if __name__ == "__main__":
    start(main, _Arguments)
