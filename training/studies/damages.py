"""Damage and recovery: joints lose their stretch sensors at test, at birth, or after training and then train again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...agents import Agent
from ...envs.deficits import Deficit
from ...errors import CircuitMismatch, InvalidOption, InvalidRun
from ...intervals import bootstrap_iqm
from ...options import COUNT, FLAG, PATH, ListOf, Number, checked
from ..learning.checks import check
from ..learning.engine import Engine
from ..rollouts.evaluation import check_episodes
from ..rollouts.interventions import Intervention
from ..runs.config import A_CONFIG, RunConfig
from ..runs.trial_files import TrialFiles
from .trials import Trial, check_written, run_trials
from .written import TABLES, estimates, write_table

_STUDY, _SENSE = "damage", "joint_pos"
# What each column measures: the trials' label, and the stage of its scores; None is the pattern's own.
_COLUMNS: Mapping[str, tuple[str, str | None]] = {
    "intact": ("intact", "trained"),
    "at test": ("intact", None),
    "at birth": ("at birth", None),
    "at birth, twice as long": ("at birth, twice as long", None),
    "retrained": ("retrained", None),
}
_JOINTS = ListOf(Number(0, is_whole=True), "[1, 3]")


def patterns(n_joints: int) -> dict[str, tuple[int, ...]]:
    """Return the joints that lose their sensors, counted from the head: every second one, or as many neighbours."""
    alternating = tuple(range(1, n_joints, 2))
    return {"alternating": alternating, "sequential": tuple(range(1, 1 + len(alternating)))}


def sensory_neurons(names: Sequence[str], joint: int) -> list[str]:
    """Return the neurons that sense a joint's angle: `joint_pos_1`, or `q_1`, or `q_d_1` and `q_v_1`.

    Raises:
        CircuitMismatch: the circuit has none.
    """
    for wanted in ([f"{_SENSE}_{joint}"], [f"q_{joint}"], [f"q_d_{joint}", f"q_v_{joint}"]):
        if set(wanted) <= set(names):
            return wanted
    raise CircuitMismatch(f"the circuit has no neuron that senses joint {joint}; choose one that senses {_SENSE}")


def damage_trials(
    config: RunConfig, seeds: int, runs: Path, joints: Sequence[int] = ()
) -> tuple[dict[str, Trial], dict[str, Trial]]:
    """Return the trials by name: those of new agents, and those that go on from intact agents.

    Args:
        config: of the intact agents.
        seeds: how many, counted up from the config's.
        runs: folder of the runs.
        joints: those that lose their sensors; empty takes both of `patterns`.

    Raises:
        CircuitMismatch: the circuit cannot be built, or does not sense the joints' angles.
        InvalidOption: there is no such joint, or the config has damage of its own.
    """
    if config.deficits or config.start is not None:
        raise InvalidOption("damage sets deficits and start itself; leave them out")
    agent = Agent(check(config).agent)
    names = [neuron.name for neuron in agent.circuit.neurons]
    n_joints = agent.spec.n_motors
    lost = {f"joints {', '.join(map(str, joints))}": tuple(joints)} if joints else patterns(n_joints)
    if outside := [joint for each in lost.values() for joint in each if joint >= n_joints]:
        raise InvalidOption(f"joints names joint {outside[0]} of {n_joints}; give numbers from 0 to {n_joints - 1}")
    silenced = {
        pattern: tuple(Intervention(name) for joint in each for name in sensory_neurons(names, joint))
        for pattern, each in lost.items()
    }
    new: dict[str, Trial] = {}
    further: dict[str, Trial] = {}
    for seed in range(config.seed, config.seed + seeds):
        own = dataclasses.replace(config, seed=seed)
        first = f"{_STUDY}/intact/{seed}"
        new[first] = Trial(_STUDY, "intact", own, interventions=silenced)
        for pattern, each in lost.items():
            numb = dataclasses.replace(own, deficits=(Deficit(_SENSE, 0, None, each),))
            twice = dataclasses.replace(numb, steps=2 * config.steps)
            after = dataclasses.replace(numb, start=str((runs / first).resolve()))
            told = {pattern: silenced[pattern]}
            folder = pattern.replace(", ", "-").replace(" ", "-")
            new[f"{_STUDY}/birth/{folder}/{seed}"] = Trial(_STUDY, "at birth", numb, interventions=told)
            new[f"{_STUDY}/twice/{folder}/{seed}"] = Trial(_STUDY, "at birth, twice as long", twice, interventions=told)
            further[f"{_STUDY}/retrained/{folder}/{seed}"] = Trial(_STUDY, "retrained", after, interventions=told)
    return new, further


@checked(
    InvalidOption, config=A_CONFIG, out=PATH, joints=_JOINTS, seeds=COUNT, episodes=COUNT, progress=FLAG
)  # fmt: skip
def damage(
    config: RunConfig,
    out: str | Path,
    joints: Sequence[int] = (),
    seeds: int = 3,
    episodes: int = 20,
    workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train a circuit with and without the stretch sensors of some joints; write all scores to `out`/results.sqlite.

    Sensors are lost at test (the agent was trained with all of them), at birth (it is trained without them, and, as a
    control, for twice as long), or after training, whereupon it trains on without them for as long again. Evaluations
    after a loss are without the sensors too. The table is written as damage.csv, .md and .tex. Calling it again
    resumes.

    Args:
        config: of the intact agent.
        out: folder of the runs and the table.
        joints: those that lose their sensors, counted from 0 at the head. Empty compares every second joint from the
            second on ("alternating") with as many neighbours ("sequential").
        seeds: how many, counted up from the config's.
        episodes: of each evaluation.
        workers, engine, address: see `run_trials`.
        progress: show progress bars.

    Returns:
        One row per pattern of lost sensors: pattern, neurons (silenced at test), seeds (of the column with fewest), and
        for each of intact, at test, at birth, at birth, twice as long, and retrained the IQM over seeds of the mean
        return and its 95 % interval (_low, _high).

    Raises:
        CircuitMismatch: the circuit does not sense the joints' angles.
        InvalidOption: there is no such joint, or `seeds` or `episodes` is below 1.
        InvalidRun: a folder contains a run of another config, or no agent could be trained.
        OutputExists: `out` contains a table that was not written by this study.
    """
    out = Path(out)
    files = TrialFiles(out)
    check_episodes(episodes)
    rounds = damage_trials(config, seeds, out / "runs", joints)
    check_written(files, _STUDY, (out / f"{_STUDY}{suffix}" for suffix in TABLES), "this study did not write it")
    for trials in rounds:
        run_trials(trials, out / "runs", files, episodes, workers, engine, address, progress)
    scores = files.table(_STUDY)
    scores = scores[scores["source"].isin([name for trials in rounds for name in trials])]
    table = damage_table(scores, next(iter(rounds[0].values())))
    if table.empty:
        raise InvalidRun(f"no agent could be trained and measured; the first: {scores['note'].dropna().iloc[0]}")
    write_table(table, printed(table), out / _STUDY)
    return table


def printed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `damage` as text, as it is read: returns as IQM over seeds with 95 % intervals."""
    shown = table[["pattern", "neurons", "seeds"]].astype(str)
    for column in _COLUMNS:
        shown[column] = estimates(table[column], table[f"{column}_low"], table[f"{column}_high"])
    return shown


def damage_table(scores: pd.DataFrame, intact: Trial) -> pd.DataFrame:
    """Return the table that `damage` returns, of the scores of its study and a trial of intact agents."""
    returns = scores[(scores["metric"] == "return") & scores["episode"].notna()]
    rows = []
    for pattern, lost in intact.interventions.items():
        row: dict[str, Any] = {"pattern": pattern, "neurons": " ".join(each.neuron for each in lost), "seeds": 0}
        seeds = []
        for column, (agent, stage) in _COLUMNS.items():
            chosen = returns[(returns["agent"] == agent) & (returns["stage"] == (stage or pattern))]
            found = bootstrap_iqm(chosen.groupby("seed")["value"].mean())
            seeds.append(found.n)
            row |= {column: found.mean, f"{column}_low": found.low, f"{column}_high": found.high}
        # Trials fail one by one: what every column has.
        rows.append(row | {"seeds": min(seeds)})
    return pd.DataFrame(rows) if len(returns) else pd.DataFrame()
