"""Returns of NCAP+, whole and without each of its parts: the numbers of docs/results/ncap-plus.md.

python -m nervecord.benchmarks.results.ncap_plus runs/plus --page docs/results/ncap-plus.md

A part is worth something where the whole is ahead of what is left without it, by the 95 % interval of the difference of
their interquartile means over seeds; a rule that was fixed before the runs of ten seeds.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from ...agents import Agent
from ...agents.algorithms.members import Members, Round
from ...files import write_csv
from ...training.runs.config import RunConfig
from ...training.runs.resolution import resolve
from ...training.studies.trials import Trial
from .command import start
from .stored import trial_scores
from .tables import StudyArguments, differences_table, publish, returns_table

STEPS = 192_000
BODIES = ("swimmer4", "swimmer8", "swimmer12", "swimmer20", "swimmer6-eel", "swimmer6-thick", "swimmer6-weak")
_LEARNERS: Mapping[str, Mapping[str, Any]] = {
    # 12 members, 16 generations: the default population size of the library for 11 weights.
    "cmaes": {"n_envs": 12, "sigma": 0.5},
    "es": {"n_envs": 16, "sigma": 0.3, "learning_rate": 0.3},
    "ppo": {},
}
WHOLE = "nothing left out"
PARTS: Mapping[str, tuple[str, ...]] = {
    WHOLE: (),
    "no stretch of the own joint": ("own",),
    "no joint velocity": ("rate",),
    "no stretch from further ahead": ("prop_2", "prop_3"),
    "no motion through the fluid": ("drift", "spin"),
    "NCAP's synapses alone, graded": ("own", "rate", "prop_2", "prop_3", "drift", "spin"),
}


def trials(seeds: int) -> dict[str, Trial]:
    """Return every learner from every start, and CMA-ES from the paper's start without each part."""
    found = {}
    for (algorithm, options), init, seed in itertools.product(_LEARNERS.items(), ("tuned", "paper"), range(seeds)):
        config = RunConfig(
            "ncap_plus", algorithm, seed=seed, steps=STEPS, circuit_options={"init": init},
            algorithm_options=options, evaluate_every=STEPS // 16,
        )  # fmt: skip
        label = f"{init}, {algorithm}"
        found[f"learners/{init}-{algorithm}/{seed}"] = Trial("learners", label, config, True, BODIES, gait=True)
    for index, (part, without) in enumerate(PARTS.items()):
        for seed in range(seeds):
            options = {"init": "paper", "without": without}
            config = RunConfig(
                "ncap_plus", "cmaes", seed=seed, steps=STEPS, circuit_options=options,
                algorithm_options=_LEARNERS["cmaes"],
            )  # fmt: skip
            found[f"parts/{index}/{seed}"] = Trial("parts", part, config, True, BODIES[:3])
    return found


def grid() -> pd.DataFrame:
    """Return the untrained return of every hand-set start on 4, 6 and 12 links, one episode each."""
    values = {"osc": (1, 1.5, 2, 2.5), "prop_1": (1, 2, 3, 4), "own": (0, -1, -2, -3), "rate": (0, -1, -2)}
    rows = [
        {**{name: factor * value for name, value in zip(values, chosen, strict=True)}, "tempo": tempo}
        for chosen in itertools.product(*values.values())
        for factor in (1.0, np.exp(0.5))
        for tempo in (0.0, 0.2)
    ]
    table = pd.DataFrame(rows)
    for body in ("swimmer4", "swimmer6", "swimmer12"):
        config = RunConfig("ncap_plus", body=body)
        resolved = resolve(config)
        agent, envs = Agent(resolved.agent), resolved.make_envs(64)
        members = Members(agent, envs)
        names = [name for name, _ in agent.circuit.named_parameters()]
        start = {name: value.item() for name, value in agent.circuit.named_parameters()}
        weights = torch.tensor([[row.get(name, start[name]) for name in names] for row in rows])
        returns = []
        for at in range(0, len(rows), 64):
            outcome = members.evaluate(Round(weights[at : at + 64], np.full(64, 5)))
            assert outcome is not None
            returns.append(outcome.returns)
        envs.close()
        table[body] = np.concatenate(returns)
    return table.sort_values(["swimmer6"], ascending=False)


def tables(scores: pd.DataFrame) -> dict[str, str]:
    """Return the tables of the page by name, in Markdown."""
    found = {}
    for study, bodies in (("learners", BODIES), ("parts", BODIES[:3])):
        rows = scores[scores["study"] == study]
        found[study] = returns_table(rows, list(dict.fromkeys(rows.sort_values("source")["agent"])), bodies)
    found["worth"] = differences_table(scores[scores["study"] == "parts"], WHOLE, list(PARTS), BODIES[:3])
    return found


@dataclasses.dataclass(frozen=True)
class _Arguments(StudyArguments):
    """Train NCAP+ by three learners from two starts, and without each part; write grid.csv."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    publish(tables(trial_scores(arguments, lambda _: [trials(arguments.seeds)])), arguments.page)
    if arguments.out is not None:
        write_csv(arguments.out / "grid.csv", grid())


if __name__ == "__main__":
    start(main, _Arguments)
