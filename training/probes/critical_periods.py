"""Critical periods: when in training a missing sense costs performance that later training does not bring back.

Achille, Rovere and Soatto 2019 (https://arxiv.org/abs/1711.08856).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.figure import Figure

from ...envs.deficits import Deficit
from ...errors import InvalidOption, InvalidRun, NervecordError
from ...progress import progress_bar
from ..learning.checks import check
from ..learning.engine import run_tasks
from ..learning.training import train
from ..rollouts.evaluation import evaluate_on, result_of
from ..runs.config import RunConfig
from ..runs.result import TRAINED, Result
from ..runs.run import Run
from ..runs.trial_files import TrialFiles, asked_of
from .contract import ProbeResult, Subject
from .tools.remaining import remaining

_STUDY = "critical periods"
_SENSE = "joint_pos"
_EPISODES = 16
_ONSETS, _DURATIONS, _AFTER = (0.0, 0.25, 0.5), (0.125, 0.25, 0.5), 0.5  # shares of the run's own training


def critical_periods(subject: Subject) -> ProbeResult:
    """Train the run's config anew with `joint_pos` masked at different times; see `deficit_grid`.

    Onsets are 0, 1/4 and 1/2 of the run's own training and durations 1/8, 1/4 and 1/2 of it; half of it
    follows each. Runs are in the run's folder, under critical_periods, and those done are not done again.

    Raises:
        InvalidRecording: there is only a recording.
        UnknownName: the run's task does not show the joints.
    """
    return describe(deficit_grid(subject.run))


def describe(grid: DeficitGrid) -> ProbeResult:
    """Return a grid's mean and worst cell, and its heat map.

    Raises:
        InvalidRun: every control's return is 0, so that there is nothing to compare with.
    """
    relative = grid.relative
    if np.isnan(relative).all():
        raise InvalidRun("the controls' returns are all 0, so there is nothing to compare with; train for longer")
    worst = np.unravel_index(np.nanargmin(relative), relative.shape)
    numbers = {
        "mean_relative": float(np.nanmean(relative)),
        "worst_relative": float(relative[worst]),
        "worst_onset": float(grid.onsets[worst[0]]),
        "worst_duration": float(grid.durations[worst[1]]),
    }
    units = {"mean_relative": "", "worst_relative": "", "worst_onset": "steps", "worst_duration": "steps"}
    arrays = {
        "onset": np.array(grid.onsets),
        "duration": np.array(grid.durations),
        "returns": grid.returns,
        "controls": grid.controls,
        "relative": relative,
    }
    sentence = (
        f"Masking {grid.sense} cost most from step {grid.onsets[worst[0]]:,} for {grid.durations[worst[1]]:,} steps: "
        f"{100 * relative[worst]:.0f} % of the control's return was left after training on."
    )
    return ProbeResult(numbers, units, arrays, _figure(grid), (sentence,))


@dataclasses.dataclass(frozen=True)
class DeficitGrid:
    """Returns after training with a sense masked for a while, and of controls trained as long without.

    Attributes:
        sense: what was masked.
        onsets: when masking began, environment steps.
        durations: how long it lasted, environment steps.
        returns: mean over seeds and episodes of the return at the end.
        controls: the same of runs of the same length in which nothing was masked.
    """

    sense: str
    onsets: tuple[int, ...]
    durations: tuple[int, ...]
    returns: Float[np.ndarray, "onsets durations"]
    controls: Float[np.ndarray, "onsets durations"]

    @property
    def relative(self) -> Float[np.ndarray, "onsets durations"]:
        """What remains: 1 + (return - control's) / |control's|, the ratio where the control's is positive.

        NaN where the control's is 0.
        """
        return remaining(self.returns, self.controls)


def deficit_grid(
    run: Run,
    sense: str = _SENSE,
    onsets: Sequence[float] = _ONSETS,
    durations: Sequence[float] = _DURATIONS,
    after: float = _AFTER,
    seeds: int = 1,
    workers: int | None = None,
    progress: bool = False,
) -> DeficitGrid:
    """Train a run's config once for every onset and duration of a masked sense, and controls without.

    Each run goes on for `after` when its deficit ends, and is compared with a control trained as long.
    Scores are means over the evaluation's 16 episodes. Every run that is done is kept in the folder
    critical_periods of the run, so that a grid that was stopped goes on, and a larger one adds to it.

    Args:
        run: whose config is trained; deficits of its own are left out.
        sense: what reads zero.
        onsets, durations, after: as shares of the config's steps.
        seeds: runs of each kind; the first has the config's own seed.
        workers: runs at a time; None for one per core.
        progress: show a bar.

    Raises:
        UnknownName: the observation has no such sense.
        InvalidOption: shares out of range, or no seeds.
        InvalidRun: a training that cannot be.
    """
    if not onsets or not durations or min(onsets) < 0 or min(durations) <= 0 or after < 0 or seeds < 1:
        raise InvalidOption(
            f"onsets {tuple(onsets)}, durations {tuple(durations)}, after {after}, {seeds} seeds; give onsets and "
            "after of 0 or more, durations above 0 and 1 seed or more"
        )
    steps = run.config.steps
    begins = tuple(round(onset * steps) for onset in onsets)
    lasts = tuple(max(1, round(duration * steps)) for duration in durations)
    folder = run.path / "critical_periods"
    configs: dict[str, RunConfig] = {}
    cells: dict[str, list[tuple[int, int]]] = {}
    for i, begin in enumerate(begins):
        for j, last in enumerate(lasts):
            total = begin + last + round(after * steps)
            for number in range(seeds):
                seed = run.config.seed + number
                for name, deficits in (
                    (f"{sense}-{begin}-{last}-of-{total}-seed-{seed}", (Deficit(sense, begin, begin + last),)),
                    (f"control-of-{total}-seed-{seed}", ()),
                ):
                    configs[name] = dataclasses.replace(
                        run.config, steps=total, seed=seed, deficits=deficits, evaluate_every=None
                    )
                    cells.setdefault(name, []).append((i, j))
    check(next(iter(configs.values())))
    scores = _train_all(configs, folder, workers, progress)
    returns, controls = np.zeros((2, len(begins), len(lasts)))
    for name, places in cells.items():
        for place in places:
            (controls if name.startswith("control-") else returns)[place] += scores[name] / seeds
    return DeficitGrid(sense, begins, lasts, returns, controls)


def _train_all(configs: dict[str, RunConfig], folder: Path, workers: int | None, progress: bool) -> dict[str, float]:
    """Return every run's mean return, of those done before and of those trained now."""
    files = TrialFiles(folder)
    asked = {name: asked_of(config, episodes=_EPISODES) for name, config in configs.items()}
    left = {name: (config, (folder / name).resolve()) for name, config in configs.items()
            if not files.holds(name, asked[name])}  # fmt: skip
    with contextlib.closing(run_tasks(_measure, left, workers)) as outcomes:
        for name, found in progress_bar(
            outcomes, desc="critical periods", total=len(left), disable=not progress, unit="run"
        ):
            about = {"study": _STUDY, "agent": name, "seed": configs[name].seed}
            if isinstance(found, Result):
                files.put(name, asked[name], about, [(TRAINED, found)])
            else:
                files.put(name, asked[name], about, note=str(found))
    files.write_table()
    table = files.table(_STUDY)
    table = table[table["source"].isin(list(configs))]
    if table["note"].notna().any():
        bad = table[table["note"].notna()].iloc[0]
        raise InvalidRun(f"{bad['source']} could not be trained: {bad['note']}")
    means: pd.Series = table[table["metric"] == "return"].groupby("source")["value"].mean()
    return {str(name): float(value) for name, value in means.items()}


def _measure(config: RunConfig, path: Path) -> Result | str:
    """Train one run, or go on with it, and return what it came to, or why it could not be trained."""
    try:
        run = train(config, path, progress=False)
        values, weights = evaluate_on(run.resolved, run.agent(), _EPISODES).metrics, run.last_weights()
    except NervecordError as error:
        return str(error)
    except Exception as error:  # of a plug-in, say; the other runs have no part in it
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    assert weights is not None
    return run.results.add(result_of(run.resolved.config, weights, _EPISODES, values))


def _figure(grid: DeficitGrid) -> Figure:
    figure = Figure(figsize=(1.1 * len(grid.durations) + 2.4, 0.7 * len(grid.onsets) + 1.3), layout="constrained")
    axes = figure.subplots()
    relative = grid.relative
    # Centred on the control, so that white is no effect.
    reach = max(0.1, float(np.nanmax(np.abs(relative - 1))))
    image = axes.imshow(relative, cmap="RdBu", vmin=1 - reach, vmax=1 + reach, aspect="auto")
    for (i, j), value in np.ndenumerate(relative):
        dark = abs(value - 1) > 0.6 * reach
        axes.annotate(f"{value:.2f}", (j, i), ha="center", va="center", fontsize=9, color="white" if dark else "black")
    axes.set_xticks(range(len(grid.durations)), [f"{last:,}" for last in grid.durations])
    axes.set_yticks(range(len(grid.onsets)), [f"{begin:,}" for begin in grid.onsets])
    axes.set(xlabel=f"{grid.sense} masked for (environment steps)", ylabel="masked from (environment step)")
    figure.colorbar(image, ax=axes, label="return / control's")
    return figure
