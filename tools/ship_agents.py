"""Train the agents that come with the package, and write their folders in agents/shipped and their table in the docs.

python tools/ship_agents.py                  # trains what is missing in runs/shipped, some minutes, and writes all
python tools/ship_agents.py --out /tmp/runs  # the same in another folder; the same command again goes on

Each is trained with five seeds, and the seed whose return is the median is shipped, so that no agent is the luckiest
of several.
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
from collections.abc import Iterable
from pathlib import Path

from nervecord.files import write_csv, write_text
from nervecord.sharing.cards import card
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.result import TESTS, TRAINED, UNTRAINED, Result
from nervecord.training.runs.run import Run
from nervecord.training.runs.shipped import SHIPPED
from nervecord.training.runs.trial_files import TrialFiles
from nervecord.training.studies.trials import Trial, run_trials

SEEDS = range(5)
EPISODES = 20
BODIES = ("swimmer3", "swimmer4", "swimmer8", "swimmer12", "swimmer20", "swimmer6-thick", "swimmer6-weak")
ARMS = {
    "ncap": RunConfig("ncap", "es", steps=500_000),
    "ncap-plus": RunConfig("ncap_plus", "cmaes", steps=1_000_000),
    # Its switches have no gradient, and PPO does not improve it.
    "relay": RunConfig("relay", "cmaes", steps=1_000_000),
    "along": RunConfig("along", "ppo", steps=500_000),
    "cpg": RunConfig("cpg", "cmaes", steps=1_000_000),
}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "guides" / "agents.md"
BEGIN, END = "<!-- table: python tools/ship_agents.py -->", "<!-- end of table -->"
SHOWN = ("swimmer4", "swimmer12", "swimmer20")
_CURVE = "rollout/ep_rew_mean"  # all that a report draws of a training


def main() -> None:
    """Train what is missing, and write every agent's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/shipped"), help="folder of the runs")
    parser.add_argument("--workers", type=int, help="runs at a time, one core each; by default one for each core")
    asked = parser.parse_args()
    configs = {
        f"{name}-{seed}": dataclasses.replace(config, seed=seed) for name, config in ARMS.items() for seed in SEEDS
    }
    trials = {
        name: Trial("shipped", name.rpartition("-")[0], config, untrained=True, bodies=BODIES)
        for name, config in configs.items()
    }
    run_trials(trials, asked.out, TrialFiles(asked.out), EPISODES, asked.workers)
    for name in ARMS:
        runs = {seed: Run(asked.out / f"{name}-{seed}") for seed in SEEDS}
        chosen = ship(name, runs)
        print(f"agent:{name} is seed {chosen}")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    write_text(PAGE, f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}")


def ship(name: str, runs: dict[int, Run]) -> int:
    """Write the folder of the agent whose return is the median of its seeds; return its seed."""
    scores = {seed: measured(run.results) for seed, run in runs.items()}
    ordered = sorted(scores, key=lambda seed: scores[seed].intervals["return"].mean)
    chosen = ordered[len(ordered) // 2]
    run, folder = runs[chosen], SHIPPED / name
    checkpoint = run.load_checkpoint(with_training=False)
    assert checkpoint is not None
    shutil.rmtree(folder, ignore_errors=True)
    shipped = Run.create(folder, run.config, lambda: {"resolved": run.facts["resolved"]})
    stats = checkpoint.state.get("observation_stats")
    shipped.save_checkpoint(checkpoint.step, checkpoint.weights, {}, {"done": True, "observation_stats": stats})
    curve = run.metrics().query("metric == @_CURVE")
    write_csv(folder / "metrics.csv", curve)
    for result in run.results:
        shipped.results.add(result)
    text = card(
        shipped, scores[chosen], "shipped.md.j2", name=name,
        seeds={seed: result.intervals["return"] for seed, result in scores.items()},
        bodies={body: measured(run.results, body).intervals["return"] for body in BODIES},
        untrained=measured(run.results, agent=UNTRAINED).intervals["return"],
    )  # fmt: skip
    write_text(folder / "README.md", text)
    return chosen


def table() -> str:
    """Return every agent's numbers as a table in Markdown."""
    columns = ["agent", "circuit", "weights", "trained by", "steps", "seed", "untrained", "swimmer6", *SHOWN]
    rows = [columns, ["---"] * len(columns)]
    for name in ARMS:
        run = Run(SHIPPED / name)
        own = measured(run.results).intervals["return"]
        means = [measured(run.results, agent=UNTRAINED), *(measured(run.results, body) for body in SHOWN)]
        before, *others = (f"{each.intervals['return'].mean:.0f}" for each in means)
        config, weights = run.config, run.agent(trained=False).n_weights
        rows.append([
            f"`agent:{name}`", f"`{config.circuit}`", str(weights), config.algorithm, f"{run.progress[0]:,}",
            str(config.seed), before, f"{own.mean:.0f} [{own.low:.0f}, {own.high:.0f}]", *others,
        ])  # fmt: skip
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def measured(results: Iterable[Result], body: str = "swimmer6", agent: str = TRAINED) -> Result:
    """Return the episodes of an agent on a body."""
    found = [each for each in results if each.what in TESTS and (each.body, each.agent) == (body, agent)]
    assert [each.episodes for each in found] == [EPISODES]
    return found[0]


if __name__ == "__main__":
    main()
