"""Parts of trained networks: needed, merged, grown and routed. Tables of docs/results/structure.md.

    python -m nervecord.benchmarks.results.bricks runs/bricks --page docs/results/structure.md

Rules that were fixed before the runs, over seeds with 95 % intervals. A way to cut a layer finds parts where the least
return without one of its bricks, less the least return without one of as many random sets of the same sizes, lies
below 0. A way to have two skills is ahead of fine-tuning where the difference of its mean over both bodies lies
above 0.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ...files import read_json, write_json
from ...intervals import bootstrap_iqm
from ...training.rollouts.evaluation import evaluate
from ...training.runs.config import RunConfig
from ...training.runs.run import Run
from ...training.studies.bricks import find_bricks, grow, merge
from ...training.studies.markdown import markdown_table
from ...training.studies.routing import route
from .command import start
from .runs import run_each, trained
from .stored import results
from .tables import StudyArguments, interval_text, publish, standing

OLD, NEW = "swimmer6", "swimmer6-thick"
_STEPS, _MORE = 400_000, 200_000  # environment steps: of the old body's network, and of all that follows it
_UNITS, _EPISODES = 16, 10
SKILLS = {
    "old": f"trained on {OLD}",
    "new": f"trained on {NEW}",
    "tuned": f"{OLD}, fine-tuned on {NEW}",
    "units": f"{OLD}, grown, only the new units trained on {NEW}",
    "all": f"{OLD}, grown, all units trained on {NEW}",
    "merged": "average of the first two, units matched",
    "between": "average of the first and the fine-tuned",
    "routed": "the first two, routed by motion",
}
_CONTROL = "tuned"


def measure(out: Path, seed: int) -> None:
    """Train a seed's networks, take them apart and put them together; write what is found."""
    path = out / f"{seed}.json"
    if path.exists():
        return
    runs = out / "runs" / f"{seed}"
    # A second network of the old body, from other weights, to merge with.
    old, twin, new = (
        trained(runs / name, _config(own, body))
        for name, own, body in (("old", seed, OLD), ("twin", 1000 + seed, OLD), ("new", 2000 + seed, NEW))
    )
    study = find_bricks(old, episodes=_EPISODES)
    needed = study.table[["layer", "method", f"return {OLD}", f"control {OLD}"]].set_axis(
        ["layer", "method", "without", "control"], axis=1
    )
    pair = merge(old, twin, _fresh(runs / "pair"), episodes=_EPISODES)
    write_json(path, {
        "needed": needed.to_dict("records"),
        "pair": {"one": float(pair.returns[OLD][0].mean()), "half": float(pair.returns[OLD][2].mean()),
                 "other": float(pair.returns[OLD][-1].mean()), "unmatched": float(pair.unmatched[OLD].mean())},
        "skills": {name: {body: float(evaluate(run, _EPISODES, body=body).returns.mean()) for body in (OLD, NEW)}
                   for name, run in _skilled(runs, old, new, seed).items()},
    })  # fmt: skip


def _skilled(runs: Path, old: Run, new: Run, seed: int) -> dict[str, Run]:
    """Return the runs of `SKILLS`."""
    on = dataclasses.replace(_config(seed, NEW), steps=_MORE)
    tuned = trained(runs / "tuned", dataclasses.replace(on, start=str(old.path)))
    grown, units = grow(old, _UNITS, _fresh(runs / "grown"), body=NEW, seed=seed)
    wider = dataclasses.replace(on, start=str(grown.path), circuit_options=grown.config.circuit_options)
    return {
        "old": old,
        "new": new,
        "tuned": tuned,
        "units": trained(runs / "units", dataclasses.replace(wider, train_only=units)),
        "all": trained(runs / "all", wider),
        "merged": merge(old, new, _fresh(runs / "merged"), episodes=1).run,
        "between": merge(old, tuned, _fresh(runs / "between"), episodes=1).run,
        "routed": route([old, new], _fresh(runs / "routed"), episodes=5, seed=seed).run,
    }


def needed_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the Markdown table of what remains without the brick of each layer that is needed most."""
    rows = pd.concat([pd.DataFrame(each["needed"]).assign(seed=seed) for seed, each in enumerate(found)])
    lines = []
    for (layer, method), of_cut in rows.groupby(["layer", "method"], sort=False):
        least = of_cut.groupby("seed")[["without", "control"]].min()
        beyond = bootstrap_iqm(least["without"] - least["control"])
        cells = [interval_text(bootstrap_iqm(least[column]), 2) for column in least]
        lines.append([layer, method, len(least), *cells, interval_text(beyond, 2), "parts" if beyond.high < 0 else ""])
    columns = ["layer", "cut by", "seeds", "without the most needed brick", "without random units",
               "difference", "verdict"]  # fmt: skip
    return markdown_table(columns, *lines)


def pair_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the Markdown table of two networks of one body, and of the average of both."""
    pairs = pd.DataFrame([each["pair"] for each in found])
    columns = ["seeds", "first", "second", "average", "average, units not matched"]
    cells = [interval_text(bootstrap_iqm(pairs[name])) for name in ("one", "other", "half", "unmatched")]
    return markdown_table(columns, [len(pairs), *cells])


def skills_table(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the Markdown table of each way to have a skill on both bodies."""
    returns = {name: pd.DataFrame([each["skills"][name] for each in found]) for name in SKILLS}
    both = {name: each.mean(axis=1) for name, each in returns.items()}
    lines = []
    for name, label in SKILLS.items():
        cells = [
            interval_text(bootstrap_iqm(values)) for values in (returns[name][OLD], returns[name][NEW], both[name])
        ]
        beyond = bootstrap_iqm(both[name] - both[_CONTROL])
        compared = ["", ""] if name == _CONTROL else [interval_text(beyond), standing(beyond)]
        lines.append([label, len(found), *cells, *compared])
    return markdown_table(["agent", "seeds", OLD, NEW, "both", "difference from fine-tuning", "verdict"], *lines)


def _config(seed: int, body: str) -> RunConfig:
    return RunConfig("mlp", "ppo", body=body, seed=seed, steps=_STEPS, checkpoint_every=_STEPS)


def _fresh(folder: Path) -> Path:
    """Return the folder, without what an earlier call that was stopped had left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


@dataclasses.dataclass(frozen=True)
class _Arguments(StudyArguments):
    """Train networks on two bodies, cut them into bricks, and merge, grow and route them."""

    seeds: int = 5
    """Seeds of each."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""

    def run(out: Path) -> None:
        tasks = {f"{seed}": (out, seed) for seed in range(arguments.seeds)}
        run_each(measure, tasks, arguments.workers, "bricks")

    with results(arguments, "bricks", run, ("*.json",)) as folder:
        found = [read_json(path, "damaged") for path in sorted(folder.glob("*.json"))]
        made = {"bricks": needed_table(found), "merged": pair_table(found), "skills": skills_table(found)}
        publish(made, arguments.page)


if __name__ == "__main__":
    start(main, _Arguments)
