"""NCAP and an MLP on swimmer6, trained for as long, and NCAP before any training: docs/results/baselines.md.

python -m nervecord.benchmarks.results.baselines runs/baselines --page docs/results/baselines.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...training.learning.initial import untrained
from ...training.rollouts.evaluation import evaluate
from ...training.runs.config import RunConfig
from ...training.studies.markdown import markdown_table
from ...training.studies.trials import Trial
from .command import start
from .stored import trial_scores
from .tables import StudyArguments, publish, returns_table

STEPS = 320_000
BODIES = ("swimmer4", "swimmer8", "swimmer12")
# Circuit and algorithm of each agent.
AGENTS = {"NCAP, ES": ("ncap", "es"), "MLP, ES": ("mlp", "es"), "MLP, PPO": ("mlp", "ppo")}
# Body, what is left out, episodes, and what the circuit of github.com/nikhilxb/ncap-swimmer returns.
AUTHORS: Mapping[str, tuple[str, Mapping[str, Any], int, int]] = {
    "swimmer6": ("swimmer6", {}, 400, 798),
    "swimmer4": ("swimmer4", {}, 40, 344),
    "swimmer8": ("swimmer8", {}, 40, 902),
    "swimmer12": ("swimmer12", {}, 40, 904),
    "swimmer14": ("swimmer14", {}, 40, 915),
    "swimmer6, no proprioception": ("swimmer6", {"proprioception": False}, 400, 130),
    "swimmer6, no oscillator": ("swimmer6", {"oscillator": False}, 400, 50),
}


def trials(seeds: int) -> dict[str, Trial]:
    """Return the trainings of every agent."""
    return {
        f"{circuit}-{algorithm}/{seed}": Trial(
            "baselines", label, RunConfig(circuit, algorithm, seed=seed, steps=STEPS), True, BODIES
        )
        for label, (circuit, algorithm) in AGENTS.items()
        for seed in range(seeds)
    }


def before_training() -> str:
    """Return the Markdown table of untrained NCAP beside the authors' own circuit; intervals are over episodes."""
    lines = []
    for label, (body, options, episodes, authors) in AUTHORS.items():
        with untrained(RunConfig(body=body, circuit_options=options)) as run:
            found = evaluate(run, episodes).mean_return
        lines.append((label, f"{found.mean:.1f} [{found.low:.1f}, {found.high:.1f}]", f"{episodes}", f"{authors}"))
    return markdown_table(("body", "return", "episodes", "the authors' circuit"), *lines)


def main(arguments: StudyArguments) -> None:
    """Run what the command line asks for."""
    scores = trial_scores(arguments, lambda _: [trials(arguments.seeds)])
    made = {"trained": returns_table(scores, list(AGENTS), BODIES), "untrained": before_training()}
    publish(made, arguments.page)


if __name__ == "__main__":
    start(main, StudyArguments)
