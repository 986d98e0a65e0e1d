"""The report of a reproduction of the NCAP paper: tables and figures, claim by claim."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from ....drawing.figures import ablation_bars, figure_svg
from ....files import write_csv, write_text
from ....intervals import Interval, bootstrap_iqm, probability_of_improvement
from ...rollouts.recorder import record
from ...runs.run import Run
from ..markdown import markdown_table
from .claims import judge
from .figures import curve_panels, profile_panels, transfer_lines, wave_panels
from .findings import ENOUGH, Findings, steps_text
from .ingredients import ingredients_table
from .plan import MANY, NEVER, OURS

# Headings of the tables of learning.
_REWARDS = {"paper": "Paper reward: speed of the head", "com": "Com reward: speed of the centre of mass"}


def write_report(out: Path, scores: pd.DataFrame, command: str) -> pd.DataFrame:
    """Write report.md, its figures and claims.csv from every score; return the claims."""
    found = Findings(scores)
    claims = write_figures(out, found, Run(out / "runs" / found.first_run))
    made_by = (
        f"Made by `{command}`: {found.scores['source'].nunique()} trials. All of it is in results.sqlite:\n\n"
        '    pandas.read_sql("SELECT * FROM scores", sqlite3.connect("results.sqlite"))'
    )
    write_text(out / "report.md", f"# NCAP on the Swimmer, reproduced\n\n{made_by}\n\n{report_body(found, claims)}")
    return claims


def write_figures(out: Path, found: Findings, run: Run) -> pd.DataFrame:
    """Write the report's figures, with the waves of a run of NCAP, and claims.csv; return the claims."""
    figures = {
        **{f"curves-{reward}": curve_panels(found.scores, reward) for reward in found.rewards},
        "profiles": profile_panels(found.scores),
        "ablation": ablation_bars(found.ablation),
        "transfer": transfer_lines(found.scores),
        "waves": wave_panels(record(run, 1)),
    }
    for name, figure in figures.items():
        write_text(out / f"{name}.svg", figure_svg(figure))
    claims = judge(found)
    write_csv(out / "claims.csv", claims)
    return claims


def report_body(found: Findings, claims: pd.DataFrame, figures: str = "") -> str:
    """Return the report without its title, as Markdown; `figures` is the folder of its figures, such as "ncap/"."""
    parts = [
        "Every value is an interquartile mean over seeds of the mean over episodes, with its 95 % bootstrap interval "
        "over seeds. With three seeds or fewer it is the plain mean.",
        "## Claim by claim",
        _markdown(claims),
        "## What each ingredient explains",
        "Each row is a pair of agents that differ in one ingredient and were trained in the same way: the return with "
        "it minus the return without it. `steps to 90 %` are the environment steps to 90 % of the trained return of "
        "the agent with the ingredient. `other numbers of links` is the mean over those bodies without further "
        "training; an MLP is resampled over joints, and NCAP with separate weights at each joint does not fit them.",
        _markdown(ingredients_table(found)),
        "## Learning curves",
        "`trained` is the return after training, and `mean` its plain mean over seeds. `steps to 90% of the best` is "
        "the median of the environment steps to 90 % of the return of the best agent under the same algorithm, with "
        "the number of seeds that reached it. `NCAP ahead` is the probability that a run of NCAP ends above a run of "
        "this agent. `J/(kg m)` is the cost of transport. The profiles at the end show the share of seeds whose "
        "return under the paper's reward is above each value.",
    ]
    for reward in found.rewards:
        parts += [
            f"### {_REWARDS[reward]}",
            f"![curves]({figures}curves-{reward}.svg)",
            _markdown(_learning(found, reward)),
        ]
    parts += [
        f"![profiles]({figures}profiles.svg)",
        "## Ablations: NCAP without each part of its prior, by ES",
        "`shared` weights are the same at every joint, `signed` weights keep their sign, and `constant` or `uniform` "
        "is how they start.",
        f"![ablation]({figures}ablation.svg)",
        _markdown(_ablations(found.ablation)),
        "## Transfer",
        f"Trained on {found.own}, each by the algorithm with its highest return there, and tested without further "
        "training. An MLP fits the variants of that body; for other sizes its weights are interpolated over joints.",
        f"![transfer]({figures}transfer.svg)",
        _markdown(_transfer(found)),
        "Fine-tuned on each body:",
        _markdown(_finetuned(found)),
        "## Trained on many bodies",
        f"Trained on {', '.join(MANY)} together, or on {found.own} alone for as many steps. Shown are the mean over "
        f"these bodies, the lowest return among them, and the mean over bodies never seen: {', '.join(NEVER)}.",
        _markdown(_many(found)),
        "## Gait and B-neurons",
        "The figure shows one episode of NCAP: joints from head (top) to tail. The travelling index is 0 for a "
        "standing wave and 1 for a travelling one, and the Strouhal number is frequency times tail amplitude over "
        "speed.",
        f"![waves]({figures}waves.svg)",
        _markdown(_gaits(found)),
    ]
    return "\n\n".join(parts) + "\n"


def _learning(found: Findings, reward: str) -> pd.DataFrame:
    rows = []
    for arm, algorithm in found.trained_with(reward):
        best = found.best(reward, algorithms=[algorithm])[2]
        median, reached, seeds = found.steps_to(arm, algorithm, reward, ENOUGH * best)
        returns = found.per_seed(arm, algorithm, reward)
        ours = found.per_seed(OURS, algorithm, reward)
        wins = None if arm == OURS or ours.empty else probability_of_improvement(ours, returns)
        rows.append({
            "algorithm": algorithm,
            "agent": arm,
            "weights": f"{found.weights(arm):,}",
            "seeds": seeds,
            "untrained": _text(found.iqm(arm, algorithm, reward=reward, stage="untrained")),
            "trained": _text(found.iqm(arm, algorithm, reward=reward)),
            "mean": f"{returns.mean():.0f}",
            f"steps to {ENOUGH:.0%} of the best": f"{steps_text(median)} ({reached}/{seeds})",
            "NCAP ahead": f"{wins.mean:.2f}" if wins else "",
            "net speed, cm/s": _text(found.iqm(arm, algorithm, reward=reward, metric="net_speed"), 100, 1),
            "J/(kg m)": _text(found.iqm(arm, algorithm, reward=reward, metric="cost_of_transport"), 1, 2),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _ablations(table: pd.DataFrame) -> pd.DataFrame:
    def column(stage: str) -> list[str]:
        return [_text(Interval(row[stage], row[f"{stage}_low"], row[f"{stage}_high"], row["seeds"]))
                for _, row in table.iterrows()]  # fmt: skip

    return pd.DataFrame({
        "circuit": table["agent"], "weights": table["weights"], "seeds": table["seeds"],
        "untrained": column("untrained"), "trained": column("trained"),
    })  # fmt: skip


def _transfer(found: Findings) -> pd.DataFrame:
    shown = [(arm, found.best("paper", [arm])[1]) for arm in found.arms]
    rows = [
        {"body": body, **{f"{arm}, {by}": _text(found.iqm(arm, by, body=body)) for arm, by in shown}}
        for body in [found.own, *found.bodies("curves", "trained")]
    ]
    means = {f"{arm}, {by}": f"{found.over_sizes(arm, by).mean():.0f}" for arm, by in shown}
    return pd.DataFrame([*rows, {"body": "mean over other numbers of links", **means}])


def _finetuned(found: Findings) -> pd.DataFrame:
    moved = found.scores[found.scores["study"] == "finetune"]
    pairs = list(dict.fromkeys(zip(moved["agent"], moved["algorithm"], strict=True)))
    chosen = {"stage": "finetuned", "study": "finetune"}
    return pd.DataFrame([
        {"body": body, **{f"{arm}, {by}": _text(found.iqm(arm, by, body=body, **chosen)) for arm, by in pairs}}
        for body in found.bodies("finetune", "finetuned")
    ])  # fmt: skip


def _many(found: Findings) -> pd.DataFrame:
    trained = found.scores[found.scores["study"] == "many"]
    rows = []
    for arm, algorithm in list(dict.fromkeys(zip(trained["agent"], trained["algorithm"], strict=True))):
        for study, on in (("many", "all of them"), ("curves", found.own)):
            lowest = np.min([found.iqm(arm, algorithm, body=body, study=study).mean for body in MANY])
            rows.append({
                "agent": arm, "algorithm": algorithm, "trained on": on,
                "on those bodies": _text(bootstrap_iqm(found.over(MANY, arm, algorithm, study))),
                "lowest": "" if np.isnan(lowest) else f"{lowest:.0f}",
                "never seen": _text(bootstrap_iqm(found.over(NEVER, arm, algorithm, study))),
            })  # fmt: skip
    return pd.DataFrame(rows)


def _gaits(found: Findings) -> pd.DataFrame:
    columns: dict[str, tuple[str, float, int]] = {
        "frequency, Hz": ("frequency", 1, 2),
        "wavelength, lengths": ("wavelength", 1, 2),
        "travelling index": ("travelling_index", 1, 2),
        "tail amplitude, cm": ("tail_amplitude", 100, 1),
        "Strouhal": ("strouhal", 1, 2),
        "speed, cm/s": ("com_speed", 100, 1),
        "J/(kg m)": ("cost_of_transport", 1, 2),
    }
    text: Callable[..., str] = _text
    return pd.DataFrame([
        {"reward": reward, "algorithm": algorithm, "agent": arm}
        | {title: text(found.iqm(arm, algorithm, reward=reward, metric=metric), factor, digits)
           for title, (metric, factor, digits) in columns.items()}
        for reward in found.rewards for arm, algorithm in found.trained_with(reward)
    ])  # fmt: skip


def _text(found: Interval, factor: float = 1.0, digits: int = 0) -> str:
    mean, low, high = (f"{factor * value:.{digits}f}" for value in (found.mean, found.low, found.high))
    if found.n == 0:
        return ""
    return mean if np.isnan(found.low) else f"{mean} [{low}, {high}]"


def _markdown(table: pd.DataFrame) -> str:
    return markdown_table(table.columns, *table.itertuples(index=False))
