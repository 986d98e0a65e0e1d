"""Measure what random actions, untrained NCAP and trained agents reach, and write it for `normalized_return`.

python tools/reference_scores.py                                      # all bodies, hours on one core
python tools/reference_scores.py --bodies swimmer6 --task swim --task-options reward=com
python tools/reference_scores.py --out /tmp/runs --workers 4          # the same command again goes on

One body after another is trained, in runs/reference, and written to training/runs/references.csv in place of
what the file says of that body, task and options; all else in it stays.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from nervecord.cli.config_options import pairs
from nervecord.envs import VARIANTS
from nervecord.files import write_csv
from nervecord.intervals import Interval, bootstrap_iqm
from nervecord.training.learning.initial import untrained
from nervecord.training.rollouts.evaluation import evaluate, evaluate_agent
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.references import COLUMNS, FILE, RANDOM, options_text
from nervecord.training.runs.resolution import resolve
from nervecord.training.runs.trial_files import TrialFiles
from nervecord.training.studies.trials import Trial, means_of, run_trials
from nervecord.version import __version__

BODIES = (
    *(f"swimmer{n}" for n in (6, 3, 4, 8, 10, 12, 15, 20, 24)),
    *(f"swimmer6-{variant}" for variant in VARIANTS),
)
SEEDS = range(5)
EPISODES, RANDOM_EPISODES = 20, 100
_MLP = RunConfig("mlp", "ppo", steps=300_000)
# A cue lies 30 steps back: sequences are whole episodes, and units begin by remembering as long.
_CUE = {"n_envs": 32, "n_steps": 100, "sequence_length": 100, "batch_size": 800, "learning_rate": 0.001}
_LSTM = RunConfig("lstm", "ppo", steps=300_000, circuit_options={"horizon": 100}, algorithm_options=_CUE)
# Who may be the best known of a task. There is none of recallturn, which nobody has learned.
CANDIDATES = {
    "swim": (
        RunConfig("ncap_plus", "cmaes", steps=2_000_000),
        RunConfig("along", "ppo", steps=300_000),
        _MLP,
    ),
    "navigate": (RunConfig("navigator", "cmaes", steps=2_000_000), _MLP),
    "forage": (RunConfig("navigator", "cmaes", steps=2_000_000), _MLP),
    "chemotaxis": (RunConfig("klinotaxis", "cmaes", steps=2_000_000), _MLP),
    "cueturn": (_LSTM, _MLP),
    "escape": (RunConfig("escape", "cmaes", steps=2_000_000), _MLP),
    "track": (RunConfig("ctrnn", "ppo", steps=300_000), _MLP),
    # MuJoCo steps it, which takes longer.
    "lattice": (RunConfig("ncap_plus", "cmaes", steps=500_000), _MLP),
    # `relay` does not sense the target, and crosses where its course happens to lead there.
    "twomedia": (
        *(
            RunConfig(name, "cmaes", steps=500_000, circuit_options={"init": "worm"})
            for name in ("relay_navigator", "relay")
        ),
        _MLP,
    ),
}


class RandomActions:
    """Acts evenly at random, whatever it observes."""

    def __init__(self, n_motors: int) -> None:
        self.n_motors, self.rng = n_motors, np.random.default_rng(0)

    def predict(
        self, observation: Float[np.ndarray, "batch obs"], state: Any = None, *_: Any, **__: Any
    ) -> tuple[Float[np.ndarray, "batch motors"], Any]:
        """Return actions from -1 to 1, in units of the motor's range."""
        return self.rng.uniform(-1, 1, (len(observation), self.n_motors)), state


def main() -> None:
    """Measure the bodies that are asked for, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bodies", nargs="+", default=BODIES)
    parser.add_argument("--task", default="swim", choices=CANDIDATES)
    parser.add_argument("--task-options", nargs="+", default=(), help="NAME=VALUE, such as reward=com")
    parser.add_argument("--out", type=Path, default=Path("runs/reference"), help="folder of the runs")
    parser.add_argument("--workers", type=int, help="runs at a time, one core each; by default one for each core")
    asked = parser.parse_args()
    for body in asked.bodies:
        found = rows(body, asked.task, pairs(asked.task_options), asked.out, asked.workers)
        write(found)
        print(found[["body", "agent", "return_iqm", "return_low95", "return_high95", "is_best"]].to_string(index=False))


def rows(body: str, task: str, options: Mapping[str, Any], out: Path, workers: int | None = None) -> pd.DataFrame:
    """Return the rows of a body and a task: random actions, untrained NCAP, and the candidates."""
    own = RunConfig(body=body, task=task, task_options=options)
    resolved = resolve(own)
    said = " ".join([f"--body {body} --task {task}", *(f"--task-options {key}={options[key]}" for key in options)])
    envs = resolved.make_envs(RANDOM_EPISODES)
    at_random = evaluate_agent(RandomActions(resolved.agent.n_motors), envs).mean_return
    envs.close()
    with untrained(own) as run:
        before = evaluate(run, EPISODES).mean_return
    here = f"python tools/reference_scores.py {said.replace('--body', '--bodies')}"
    found = [
        _row(RANDOM, at_random, 1, RANDOM_EPISODES, here),
        _row("ncap, untrained", before, 1, EPISODES, f"nervecord evaluate --untrained {said}"),
    ]
    where = "-".join([body, task, *map(str, options.values())])
    trials = {
        f"{config.circuit}-{config.algorithm}-{where}-{seed}": Trial(
            where, f"{config.circuit}, {config.algorithm}",
            dataclasses.replace(config, seed=seed, body=body, task=task, task_options=options),
        )
        for config in CANDIDATES[task] for seed in SEEDS
    }  # fmt: skip
    files = TrialFiles(out)
    run_trials(trials, out, files, EPISODES, workers)
    scores = files.table(where)
    scores = scores[scores["source"].isin(trials)]  # an earlier start may have had other candidates
    if len(failed := scores.dropna(subset="note")):
        raise SystemExit(f"{failed['agent'].iloc[0]} could not be trained: {failed['note'].iloc[0]}")
    means = means_of(scores)["return"]
    for config in CANDIDATES[task]:
        agent = f"{config.circuit}, {config.algorithm}"
        score = bootstrap_iqm([means[name] for name, trial in trials.items() if trial.agent == agent])
        found.append(_row(agent, score, len(SEEDS), EPISODES, _command(config, said)))
    table = pd.DataFrame(found)
    table["is_best"] = table["return_iqm"] == table["return_iqm"].max()
    return table.assign(
        body=body, task=task, task_options=options_text(resolved.config.task_options),
        physics=resolved.config.physics, version=__version__,
    )  # fmt: skip


def _row(agent: str, score: Interval, seeds: int, episodes: int, command: str) -> dict[str, Any]:
    numbers = {"return_iqm": score.mean, "return_low95": score.low, "return_high95": score.high}
    rounded = {name: round(value, 2) for name, value in numbers.items()}
    return {"agent": agent, **rounded, "seeds": seeds, "episodes": episodes, "command": command}


def _command(config: RunConfig, said: str) -> str:
    """Return the command that trains a candidate; `said` are its words for body and task."""
    words = [f"nervecord train --circuit {config.circuit} --algorithm {config.algorithm} {said} --steps {config.steps}"]
    for option, values in (("circuit", config.circuit_options), ("algorithm", config.algorithm_options)):
        if values:
            words += [f"--{option}-options", *(f"{name}={value}" for name, value in values.items())]
    return " ".join([*words, "--seed SEED"])


def write(found: pd.DataFrame) -> None:
    """Put the rows of a body, a task and its options into the file, in place of those that it has."""
    key = ["body", "task", "task_options"]
    tables = [found]
    if FILE.exists():
        held = pd.read_csv(FILE)
        is_there = (held[key] == found[key].iloc[0]).all(axis=1)
        tables.insert(0, held[~is_there])
    write_csv(FILE, pd.concat(tables)[list(COLUMNS)])


if __name__ == "__main__":
    main()
