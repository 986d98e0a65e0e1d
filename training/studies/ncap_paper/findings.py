"""Estimates over seeds, read from the scores of a reproduction."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ....agents.algorithms.registry import ALGORITHMS
from ....intervals import Interval, bootstrap_iqm
from ..ablations import ablation_table
from .plan import ARMS, OURS

ENOUGH = 0.9  # of a return: the paper asks how soon 90 % is reached
_PER_SEED = ["study", "agent", "algorithm", "reward", "stage", "body", "metric"]


class Findings:
    """Estimates over seeds, read from a study's scores; one seed counts as the mean over its episodes.

    Attributes:
        scores: every row.
        rewards: "paper" and "com", what of them was trained on.
        algorithms, arms: what was trained, in the order of the registry and of `ARMS`.
        ablation: see `ablation_table`.
    """

    def __init__(self, scores: pd.DataFrame) -> None:
        self.scores = scores
        self.curves = scores[scores["study"] == "curves"]
        self.own = str(self.curves["trained_on"].iloc[0])
        self.rewards = [reward for reward in ("paper", "com") if reward in set(self.curves["reward"])]
        self.algorithms = sorted(set(self.curves["algorithm"]), key=list(ALGORITHMS).index)
        self.arms = sorted(set(self.curves["agent"]), key=list(ARMS).index)
        self.ablation = ablation_table(scores[(scores["study"] == "ablation") & (scores["body"] == self.own)])
        episodes = scores[scores["stage"].ne("training") & scores["value"].notna()]
        self._means = episodes.groupby([*_PER_SEED, "seed"])["value"].mean()

    @property
    def first_run(self) -> str:
        """The name of NCAP's first run by ES on the paper's reward."""
        rows = self.curves
        chosen = rows[(rows["agent"] == OURS) & (rows["algorithm"] == "es") & (rows["reward"] == "paper")]
        return str(chosen.sort_values("seed")["source"].iloc[0])

    def per_seed(
        self, agent: str, algorithm: str, reward: str = "paper", metric: str = "return",
        stage: str = "trained", body: str | None = None, study: str = "curves",
    ) -> pd.Series:  # fmt: skip
        """Return each seed's mean over episodes; empty where nothing was measured."""
        key = (study, agent, algorithm, reward, stage, body or self.own, metric)
        return self._means.loc[key] if key in self._known else pd.Series(dtype=float)

    @functools.cached_property
    def _known(self) -> set[tuple[str, ...]]:
        return {key[:-1] for key in self._means.index}

    def iqm(self, agent: str, algorithm: str, **chosen: str) -> Interval:
        """Return the interquartile mean over seeds with its interval; NaN where nothing was measured."""
        return bootstrap_iqm(self.per_seed(agent, algorithm, **chosen))

    def over(self, bodies: Sequence[str], agent: str, algorithm: str, study: str = "curves") -> pd.Series:
        """Return each seed's mean return over some bodies; empty where it has none of them."""
        each = [self.per_seed(agent, algorithm, body=body, study=study) for body in bodies]
        return pd.concat(each, axis=1).dropna().mean(axis=1) if each else pd.Series(dtype=float)

    def over_sizes(self, agent: str, algorithm: str, study: str = "curves") -> pd.Series:
        """Return each seed's mean return over the bodies of other numbers of links; empty where it has none."""
        return self.over([body for body in self.bodies(study, "trained") if "-" not in body], agent, algorithm, study)

    def trained_with(self, reward: str) -> list[tuple[str, str]]:
        """Return agent and algorithm of everything that was trained on a reward."""
        rows = self.curves[self.curves["reward"] == reward]
        held = set(zip(rows["agent"], rows["algorithm"], strict=True))
        return [(arm, algorithm) for algorithm in self.algorithms for arm in self.arms if (arm, algorithm) in held]

    def best(
        self, reward: str, arms: Sequence[str] | None = None, algorithms: Sequence[str] | None = None
    ) -> tuple[str, str, float]:
        """Return agent, algorithm and IQM of the highest trained return: of some agents, by some algorithms, or any.

        What could not be measured is not among them.
        """
        found = [
            (arm, algorithm, self.iqm(arm, algorithm, reward=reward).mean)
            for arm, algorithm in self.trained_with(reward)
            if arm in (arms or self.arms) and algorithm in (algorithms or self.algorithms)
        ]
        return max((row for row in found if not np.isnan(row[2])), key=lambda row: row[2], default=("", "", np.nan))

    def steps_to(
        self, agent: str, algorithm: str, reward: str, target: float, study: str = "curves"
    ) -> tuple[float, int, int]:
        """Return the median over seeds of the first step at which an evaluation reached a return.

        A seed that never did counts as infinity.

        Returns:
            The median, how many seeds reached it, and how many there are.
        """
        rows = self.scores
        chosen = rows[
            (rows["study"] == study) & (rows["agent"] == agent) & (rows["algorithm"] == algorithm)
            & (rows["reward"] == reward) & (rows["stage"] == "training") & (rows["metric"] == "return")
        ]  # fmt: skip
        firsts = [seed[seed["value"] >= target]["step"].min() for _, seed in chosen.groupby("seed")]
        steps = np.nan_to_num(np.array(firsts, float), nan=np.inf)
        return (float(np.median(steps)) if len(steps) else np.nan), int(np.isfinite(steps).sum()), len(steps)

    def bodies(self, study: str, stage: str) -> list[str]:
        """Return the bodies, other than the agents' own, that a study tested on."""
        rows = self.scores
        held = set(rows[(rows["study"] == study) & (rows["stage"] == stage)]["body"]) - {self.own}
        return sorted(held, key=lambda body: ("-" in body, int(body.split("-")[0].removeprefix("swimmer")), body))

    def weights(self, agent: str) -> int:
        """Return how many weights of an agent are trained."""
        return int(self.curves[self.curves["agent"] == agent]["weights"].max())


def steps_text(steps: float) -> str:
    """Return environment steps as they are read; an agent that never got there has infinitely many."""
    return f"{steps:,.0f}" if np.isfinite(steps) else "never"
