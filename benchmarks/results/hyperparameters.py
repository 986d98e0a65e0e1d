"""Whether a default of an algorithm is beaten by another value: the tables of docs/guides/hyperparameters.md.

python -m nervecord.benchmarks.results.hyperparameters runs/options --page docs/guides/hyperparameters.md
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ...intervals import Interval, bootstrap_iqm, bootstrap_mean
from ...training.runs.config import RunConfig
from ...training.studies.markdown import markdown_table
from ...training.studies.trials import Trial
from .command import start
from .stored import trial_scores
from .tables import StudyArguments, interval_text, publish


@dataclasses.dataclass(frozen=True)
class Grid:
    """A search over some options of one algorithm.

    Attributes:
        algorithm: its name.
        circuits: each is trained with every setting.
        steps: environment steps of a training on swimmer6.
        options: values of each option that varies; all combinations are tried.
        default: the setting that the algorithm has by default.
        seeds: of each setting.
    """

    algorithm: str
    circuits: tuple[str, ...]
    steps: int
    options: Mapping[str, tuple[float, ...]]
    default: tuple[float, ...]
    seeds: range = range(5)

    def settings(self) -> Iterator[tuple[float, ...]]:
        """Yield every combination of values, in the order of `options`."""
        yield from itertools.product(*self.options.values())


GRIDS: Mapping[str, Grid] = {
    "es": Grid("es", ("ncap", "mlp"), 320_000, {"sigma": (0.03, 0.1, 0.3), "learning_rate": (0.03, 0.1, 0.3)},
               (0.1, 0.1)),
    "cmaes": Grid("cmaes", ("ncap", "along"), 320_000, {"sigma": (0.1, 0.3, 1.0), "n_envs": (8, 32, 128)}, (0.3, 32)),
    # The best of a search may be so by luck: tried again on new seeds, and on more circuits.
    "cmaes-again": Grid("cmaes", ("ncap", "along", "ncap_plus", "relay", "cpg"), 320_000,
                        {"sigma": (0.3, 1.0), "n_envs": (8, 32)}, (0.3, 32), range(5, 15)),
    "ppo": Grid("ppo", ("along", "mlp"), 200_000, {"learning_rate": (3e-4, 1e-3, 3e-3)}, (1e-3,)),
    # Three to five minutes of a core a training: three seeds, and no more steps than an MLP learns to swim in.
    "sac": Grid("sac", ("ncap", "mlp"), 40_000, {"learning_rate": (1e-4, 3e-4, 1e-3)}, (3e-4,), range(3)),
    "td3": Grid("td3", ("ncap", "mlp"), 40_000, {"learning_rate": (3e-4, 1e-3, 3e-3)}, (1e-3,), range(3)),
    "td3-again": Grid("td3", ("ncap",), 40_000, {"learning_rate": (1e-3, 3e-3)}, (1e-3,), range(5, 8)),
    "ddpg": Grid("ddpg", ("ncap", "mlp"), 40_000, {"learning_rate": (3e-4, 1e-3, 3e-3)}, (1e-3,), range(3)),
}  # fmt: skip


def trials(seeds: int) -> dict[str, Trial]:
    """Return a training for each grid, circuit, setting and seed."""
    found = {}
    for name, grid in GRIDS.items():
        for circuit, setting, seed in itertools.product(grid.circuits, grid.settings(), grid.seeds[:seeds]):
            options: dict[str, Any] = dict(zip(grid.options, setting, strict=True))
            config = RunConfig(circuit, grid.algorithm, seed=seed, steps=grid.steps, algorithm_options=options)
            label = said(setting)
            found[f"{name}/{circuit}/{label.replace(', ', '-')}/{seed}"] = Trial(f"{name} {circuit}", label, config)
    return found


def said(setting: tuple[float, ...]) -> str:
    """Return a setting as tables show it."""
    return ", ".join(f"{value:g}" for value in setting)


def judge(gains: Mapping[str, Interval]) -> str:
    """Return the verdict on a setting from its gains over the default, in points of return, by circuit.

    "replaces the default" if the gain's whole 95 % interval, over seeds, lies above 0 with every circuit of the grid;
    "better with" the circuits of which that is so, if not with all; "" otherwise. A default that is tuned to one
    circuit alone is no default.
    """
    better = [circuit for circuit, gain in gains.items() if gain.low > 0]
    if len(better) == len(gains):
        return "replaces the default"
    return f"better with {', '.join(better)}" if better else ""


def table(scores: pd.DataFrame, name: str) -> str:
    """Return the Markdown table of one grid: returns and gains over the default, by setting and circuit."""
    grid = GRIDS[name]
    returns = {circuit: _by_seed(scores, f"{name} {circuit}") for circuit in grid.circuits}
    columns = [", ".join(grid.options)]
    for circuit in grid.circuits:
        columns += [circuit, f"{circuit}, gain"]
    lines = []
    for setting in grid.settings():
        is_default, label, gains, cells = setting == grid.default, said(setting), {}, []
        for circuit, by_setting in returns.items():
            own, default = by_setting[label], by_setting[said(grid.default)]
            shared = own.index.intersection(default.index)
            cells.append(interval_text(bootstrap_iqm(own.to_numpy())))
            gains[circuit] = bootstrap_mean(np.asarray(own[shared] - default[shared]))
            cells.append("" if is_default else interval_text(gains[circuit]))
        lines.append([label, *cells, "the default" if is_default else judge(gains)])
    return markdown_table([*columns, "verdict"], *lines)


def _by_seed(scores: pd.DataFrame, study: str) -> dict[str, pd.Series]:
    """Return, by setting, the mean return of each seed's trained agent."""
    kept = (scores["study"] == study) & (scores["metric"] == "return") & scores["episode"].notna()
    return {str(label): rows.groupby("seed")["value"].mean() for label, rows in scores[kept].groupby("agent")}


@dataclasses.dataclass(frozen=True)
class _Arguments(StudyArguments):
    """Train with every setting of each grid, and say which would replace the default."""

    seeds: int = 10
    """Seeds of each setting, at most: most searches have five."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    scores = trial_scores(arguments, lambda _: [trials(arguments.seeds)])
    publish({f"search-{name}": table(scores, name) for name in GRIDS}, arguments.page)


if __name__ == "__main__":
    start(main, _Arguments)
