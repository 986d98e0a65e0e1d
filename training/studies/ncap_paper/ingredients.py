"""How much of an agent's start, learning, end and transfer each ingredient explains: pairs that differ in it alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd

from ....intervals import difference_of_iqms, iqm
from .findings import ENOUGH, Findings, steps_text
from .plan import MLP, OURS

_WHOLE = "shared, signed, constant"


@dataclasses.dataclass(frozen=True)
class Pair:
    """An agent with an ingredient and one without it, trained in the same way.

    Attributes:
        ingredient: its name.
        whole: label of the agent that has it.
        without: label of the one that does not.
        algorithm: that trained both.
        study: that has both: "curves", or "ablation".
    """

    ingredient: str
    whole: str
    without: str
    algorithm: str
    study: str = "curves"


PAIRS = (
    Pair("sharing along the body", _WHOLE, "unshared, signed, constant", "es", "ablation"),
    Pair("sharing along the body", "along", MLP, "ppo"),
    Pair("neighbours", "along", "along, each joint alone", "ppo"),
    Pair("signs", _WHOLE, "shared, unsigned, constant", "es", "ablation"),
    Pair("initial weights", _WHOLE, "shared, signed, uniform", "es", "ablation"),
    Pair("clock", _WHOLE, "no oscillator", "es", "ablation"),
    Pair("stretch", _WHOLE, "no proprioception", "es", "ablation"),
    Pair("stretch", "cpg with stretch", "cpg", "cmaes"),
    Pair("graded neurons", "NCAP+", OURS, "cmaes"),
)


def ingredients_table(found: Findings) -> pd.DataFrame:
    """Return a row for each pair: what the return is with the ingredient and without it, and the difference.

    Returns have no unit; each is an IQM over seeds, and each difference has a 95 % interval. `transfer` is the mean
    return on the bodies of other numbers of links, as they are. `steps` are environment steps to 90 % of the trained
    return of the agent with the ingredient. Pairs that a scale leaves out have no row.
    """
    rows = []
    for pair in PAIRS:
        both = (pair.whole, pair.without)
        trained = [found.per_seed(agent, pair.algorithm, study=pair.study) for agent in both]
        if any(each.empty for each in trained):
            continue
        untrained = [found.per_seed(agent, pair.algorithm, stage="untrained", study=pair.study) for agent in both]
        transferred = [found.over_sizes(agent, pair.algorithm, pair.study) for agent in both]
        target = ENOUGH * iqm(trained[0])
        steps = [found.steps_to(agent, pair.algorithm, "paper", target, pair.study)[0] for agent in both]
        rows.append({
            "ingredient": pair.ingredient,
            "with and without it": f"{_name(pair.whole)} and {_name(pair.without)}, {pair.algorithm}",
            "untrained": _change(*untrained),
            "steps to 90 %": " and ".join(map(steps_text, steps)),
            "trained": _change(*trained),
            "other numbers of links": _change(*transferred),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _name(label: str) -> str:
    return OURS if label == _WHOLE else label


def _change(whole: pd.Series, without: pd.Series) -> str:
    difference = difference_of_iqms(whole, without)
    if not np.isfinite(difference.mean):
        return "does not fit" if without.empty else ""
    interval = "" if np.isnan(difference.low) else f" [{difference.low:.0f}, {difference.high:.0f}]"
    return f"{iqm(whole):.0f} - {iqm(without):.0f} = {difference.mean:.0f}{interval}"
