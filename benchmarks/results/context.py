"""What knowing the body brings, and what agents for single bodies do: tables of docs/results/structure.md.

    python -m nervecord.benchmarks.results.context runs/context --page docs/results/structure.md

Verdicts follow from rules that were fixed before the runs, over seeds: one agent is ahead of another where the 95 %
interval of the difference, seed by seed, lies above 0.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from ...files import read_json, write_json
from ...intervals import Interval, bootstrap_iqm
from ...training.rollouts.evaluation import evaluate
from ...training.runs.config import RunConfig
from ...training.runs.result import FINETUNED, TRAINED
from ...training.runs.run import Run
from ...training.runs.trial_files import TrialFiles
from ...training.studies.markdown import markdown_table
from ...training.studies.routing import route
from ...training.studies.trials import Trial, run_trials
from .command import start
from .runs import run_each
from .stored import TRIALS, results
from .tables import StudyArguments, interval_text, publish

SEEN = ("swimmer6", "swimmer6-thick", "swimmer6-heavy", "swimmer6-weak")
NEVER = ("swimmer6-long", "swimmer6-light", "swimmer6-thin")
STEPS, ALONE, NEXT = 600_000, 200_000, 100_000  # environment steps: on all bodies, on one, and on each that follows
_EPISODES = 5
_KNOWS: Mapping[str, Any] = {"senses": ["joint_pos", "body_velocities", "context"]}
# One agent for all bodies: what it is, and whether it is told the body's facts. The wider MLP has as many weights as
# dendrites have.
ARMS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    "dendrites": ("dendrites", {}, _KNOWS),
    "dendrites, no winners": ("dendrites", {"winners": None}, _KNOWS),
    "MLP with context": ("mlp", {"hidden": (64, 64)}, _KNOWS),
    "MLP with context, as many weights": ("mlp", {"hidden": (79, 79)}, _KNOWS),
    "MLP": ("mlp", {"hidden": (64, 64)}, {}),
}
SPECIALIST = "MLP of one body"
ROUTED: Mapping[Any, str] = {"motion": "routed by motion", "facts": "routed by facts"}
# Trained on one body after the other; protection needs the weights' inputs, which dendrites' gates are not.
SEQUENCES = ("dendrites", "MLP with context", "MLP")
PROTECTED = "MLP, protected"


def together(seeds: int) -> dict[str, Trial]:
    """Return the runs on all bodies at once, and those on one."""
    found = {}
    for seed in range(seeds):
        for arm in ARMS:
            config = dataclasses.replace(_config(arm, seed, STEPS), body=SEEN[0], bodies=SEEN)
            found[f"together/{arm}/{seed}"] = Trial("together", arm, config, bodies=(*SEEN, *NEVER))
        for body in SEEN:
            config = dataclasses.replace(_config("MLP", seed, ALONE), body=body)
            found[f"alone/{body}/{seed}"] = Trial("alone", SPECIALIST, config, bodies=(*SEEN, *NEVER))
    return found


def in_turn(seeds: int, runs: Path) -> list[dict[str, Trial]]:
    """Return the runs on the first body, then on the second from these, and so on; each is judged on all."""
    rounds: list[dict[str, Trial]] = []
    for place, body in enumerate(SEEN):
        found = {}
        for label, seed in itertools.product((*SEQUENCES, PROTECTED), range(seeds)):
            arm = label.removesuffix(", protected")
            config = dataclasses.replace(_config(arm, seed, NEXT), body=body)
            if place:
                start = str((runs / _sequence(label, SEEN[place - 1], seed)).resolve())
                config = dataclasses.replace(config, start=start, protect=(start,) if label == PROTECTED else ())
            found[_sequence(label, body, seed)] = Trial(f"in turn {place}", label, config, bodies=SEEN)
        rounds.append(found)
    return rounds


def measure_routed(out: Path, by: Literal["motion", "facts"], seed: int) -> None:
    """Make a router of a seed's specialists, and write its returns; what is there already stays."""
    path = out / "routed" / f"{by}-{seed}.json"
    if path.exists():
        return
    folder = path.with_suffix("")
    specialists = [out / "runs" / f"alone/{body}/{seed}" for body in SEEN]
    run = Run(folder) if folder.exists() else route(specialists, folder, by, _EPISODES, seed).run
    write_json(path, {body: float(evaluate(run, _EPISODES, body=body).returns.mean()) for body in (*SEEN, *NEVER)})


def routed(out: Path) -> pd.DataFrame:
    """Return the routers' returns: agent, seed, body, value."""
    rows = []
    for path in sorted((out / "routed").glob("*.json")):
        by, _, seed = path.stem.partition("-")
        for body, value in read_json(path, "damaged").items():
            rows.append({"agent": ROUTED[by], "seed": int(seed), "body": body, "value": value})
    return pd.DataFrame(rows, columns=["agent", "seed", "body", "value"])


def bodies_table(scores: pd.DataFrame, routers: pd.DataFrame) -> str:
    """Return the Markdown table of each agent on the bodies that it was trained on, and on those never seen."""
    rows = pd.concat((_returns(scores[scores["study"] == "together"]), _own(scores), routers))
    context = _over(rows[rows["agent"] == "MLP with context"], NEVER)
    lines = []
    for agent in (*ARMS, SPECIALIST, *ROUTED.values()):
        of_agent = rows[rows["agent"] == agent]
        if of_agent.empty:
            continue
        never = _over(of_agent, NEVER)
        beyond = interval_text(bootstrap_iqm((never - context).dropna()))
        cells = [interval_text(_iqm(of_agent, (body,))) for body in SEEN]
        lines.append([agent, of_agent["seed"].nunique(), *cells, interval_text(_iqm(of_agent, SEEN)),
                      interval_text(bootstrap_iqm(never)), "" if agent == "MLP with context" else beyond])  # fmt: skip
    columns = ["agent", "seeds", *SEEN, "all of these", f"never seen: {', '.join(NEVER)}", "beyond MLP with context"]
    return markdown_table(columns, *lines)


def sequence_table(scores: pd.DataFrame) -> str:
    """Return the Markdown table of agents trained on one body after the other: returns at the end, and the loss."""
    lines = []
    for label in (*SEQUENCES, PROTECTED):
        rounds = [_returns(scores[(scores["study"] == f"in turn {place}") & (scores["agent"] == label)])
                  for place in range(len(SEEN))]  # fmt: skip
        if any(each.empty for each in rounds):
            continue
        then = [_over(each, (body,)) for each, body in zip(rounds, SEEN, strict=True)]
        learned = pd.concat(then, axis=1).mean(axis=1)
        last = _over(rounds[-1], SEEN)
        cells = [interval_text(_iqm(rounds[-1], (body,))) for body in SEEN]
        over = [interval_text(bootstrap_iqm(each)) for each in (last, learned - last)]
        lines.append([label, len(last), *cells, *over])
    columns = ["agent", "seeds", *(f"{body}, at the end" for body in SEEN), "all, at the end", "forgotten"]
    return markdown_table(columns, *lines)


def _config(arm: str, seed: int, steps: int) -> RunConfig:
    circuit, options, task_options = ARMS[arm]
    return RunConfig(
        circuit, "ppo", seed=seed, steps=steps, circuit_options=options, task_options=task_options,
        checkpoint_every=steps,
    )  # fmt: skip


def _sequence(label: str, body: str, seed: int) -> str:
    return f"in-turn/{label}/{body}/{seed}"


def _returns(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the mean return of trained agents: agent, seed, body, value."""
    # On its own body, what went on from another run is finetuned.
    after = scores["stage"].isin((TRAINED, FINETUNED))
    rows = scores[(scores["metric"] == "return") & scores["episode"].notna() & after]
    return rows.groupby(["agent", "seed", "body"])["value"].mean().reset_index()


def _own(scores: pd.DataFrame) -> pd.DataFrame:
    """Return the specialists' returns, each on the body that it was trained on."""
    alone = scores[(scores["study"] == "alone") & (scores["trained_on"] == scores["body"])]
    return _returns(alone)


def _over(rows: pd.DataFrame, bodies: Sequence[str]) -> pd.Series[float]:
    """Return each seed's mean over bodies; a seed that lacks one is left out."""
    wide = rows.pivot_table(index="seed", columns="body", values="value")
    return wide.reindex(columns=list(bodies)).dropna().mean(axis=1)


def _iqm(rows: pd.DataFrame, bodies: Sequence[str]) -> Interval:
    return bootstrap_iqm(_over(rows, bodies).to_numpy())


@dataclasses.dataclass(frozen=True)
class _Arguments(StudyArguments):
    """Train agents for several bodies, at once, one by one and in turn."""

    seeds: int = 5
    """Seeds of each."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""

    def run(out: Path) -> None:
        for trials in (together(arguments.seeds), *in_turn(arguments.seeds, out / "runs")):
            run_trials(trials, out / "runs", TrialFiles(out), episodes=_EPISODES, workers=arguments.workers)
        asked = itertools.product(ROUTED, range(arguments.seeds))
        tasks = {f"{by}-{seed}": (out, by, seed) for by, seed in asked}
        run_each(measure_routed, tasks, arguments.workers, "routers")

    with results(arguments, "context", run, (*TRIALS, "routed/*.json")) as folder:
        scores = TrialFiles(folder).table()
        made = {"bodies": bodies_table(scores, routed(folder)), "sequences": sequence_table(scores)}
        publish(made, arguments.page)


if __name__ == "__main__":
    start(main, _Arguments)
