"""Tables that several studies share."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ...intervals import bootstrap_iqm
from ...training.studies.markdown import markdown_table


def returns_table(scores: pd.DataFrame, agents: Sequence[str], bodies: Sequence[str], own: str = "swimmer6") -> str:
    """Return a Markdown table of each agent's return: untrained, trained, and as it is on other bodies.

    Args:
        scores: rows of a study, see `read_scores`; seeds are averaged over episodes, then over seeds (IQM, 95 %
            interval).
        agents: labels, in the order of the table; those without a row are left out.
        bodies: the other bodies.
        own: the body that was trained on.
    """
    rows = scores[(scores["metric"] == "return") & scores["episode"].notna()]
    columns = ["agent", "weights", "seeds", "untrained", "trained", *bodies]
    lines = []
    for agent in agents:
        of_agent = rows[rows["agent"] == agent]
        if of_agent.empty:
            continue
        cells = [agent, f"{int(of_agent['weights'].iloc[0])}", f"{of_agent['seed'].nunique()}"]
        places = [("untrained", own), ("trained", own), *(("trained", body) for body in bodies)]
        for stage, body in places:
            chosen = of_agent[(of_agent["stage"] == stage) & (of_agent["body"] == body)]
            found = bootstrap_iqm(chosen.groupby("seed")["value"].mean())
            cells.append(f"{found.mean:.0f} [{found.low:.0f}, {found.high:.0f}]")
        lines.append(cells)
    return markdown_table(columns, *lines) + "\n"
