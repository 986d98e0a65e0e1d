"""What a reproduction of the NCAP paper came to: tables, figures and a verdict on each of its claims."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from ....agents.algorithms.registry import ALGORITHMS
from ....drawing.figures import ablation_bars, figure_svg
from ....files import write_text, write_whole
from ....intervals import Interval, bootstrap_iqm, probability_of_improvement
from ...rollouts.recorder import record
from ...runs.run import Run
from ..ablations import ablation_table
from ..markdown import markdown_table
from .figures import curve_panels, profile_panels, transfer_lines, wave_panels

OURS = "NCAP"
_ENOUGH = 0.9  # of a return: the paper asks how soon 90 % is reached
_COMPARABLE = 0.95


def write_report(out: Path, scores: pd.DataFrame, command: str) -> pd.DataFrame:
    """Write report.md, its figures and claims.csv from every score; return the claims."""
    findings = Findings(scores)
    claims = findings.claims()
    figures = {
        **{f"curves-{reward}": curve_panels(scores, reward) for reward in findings.rewards},
        "profiles": profile_panels(scores),
        "ablation": ablation_bars(findings.ablation),
        "transfer": transfer_lines(scores),
        "waves": wave_panels(record(Run(out / "runs" / findings.first_run), 1)),
    }
    for name, figure in figures.items():
        write_text(out / f"{name}.svg", figure_svg(figure))
    write_whole(out / "claims.csv", lambda partial: claims.to_csv(partial, index=False))
    write_text(out / "report.md", _page(findings, claims, command))
    return claims


class Findings:
    """Estimates over seeds, read from a study's scores.

    Attributes:
        scores: every row.
        rewards: "paper" and "com", what of them was trained on.
        ablation: see `ablation_table`.
    """

    def __init__(self, scores: pd.DataFrame) -> None:
        self.scores = scores
        self.curves = scores[scores["study"] == "curves"]
        self.own = str(self.curves["trained_on"].iloc[0])
        self.rewards = list(dict.fromkeys(self.curves["reward"]))
        self.algorithms = sorted(set(self.curves["algorithm"]), key=list(ALGORITHMS).index)
        self.agents = sorted(set(self.curves["agent"]), key=lambda agent: (agent != OURS, -self._weights(agent)))
        self.ablation = ablation_table(scores[scores["study"] == "ablation"])

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
        """Return each seed's mean over episodes."""
        rows = self.scores
        chosen = rows[
            (rows["study"] == study) & (rows["agent"] == agent) & (rows["algorithm"] == algorithm)
            & (rows["reward"] == reward) & (rows["metric"] == metric) & (rows["stage"] == stage)
            & (rows["body"] == (body or self.own)) & rows["value"].notna()
        ]  # fmt: skip
        return chosen.groupby("seed")["value"].mean()

    def iqm(self, agent: str, algorithm: str, **chosen: str) -> Interval:
        """Return the interquartile mean over seeds with its interval; NaN where nothing was measured."""
        return bootstrap_iqm(self.per_seed(agent, algorithm, **chosen))

    def trained_with(self, reward: str) -> list[tuple[str, str]]:
        """Return agent and algorithm of everything that was trained on a reward."""
        rows = self.curves[self.curves["reward"] == reward]
        held = set(zip(rows["agent"], rows["algorithm"], strict=True))
        return [(agent, algorithm) for algorithm in self.algorithms for agent in self.agents
                if (agent, algorithm) in held]  # fmt: skip

    def best_mlp(self, reward: str, algorithms: list[str]) -> tuple[str, str, float]:
        """Return the MLP of the highest trained return: agent, algorithm, IQM."""
        found = [
            (agent, algorithm, self.iqm(agent, algorithm, reward=reward).mean)
            for agent, algorithm in self.trained_with(reward)
            if agent != OURS and algorithm in algorithms
        ]
        return max(found, key=lambda row: row[2])

    def steps_to(self, agent: str, algorithm: str, reward: str, target: float) -> tuple[float, int, int]:
        """Return the median over seeds of the first step at which an evaluation reached a return.

        A seed that never did counts as infinity.

        Returns:
            The median, how many seeds reached it, and how many there are.
        """
        rows = self.curves
        chosen = rows[
            (rows["agent"] == agent) & (rows["algorithm"] == algorithm) & (rows["reward"] == reward)
            & (rows["stage"] == "training") & (rows["metric"] == "return")
        ]  # fmt: skip
        firsts = [seed[seed["value"] >= target]["step"].min() for _, seed in chosen.groupby("seed")]
        steps = np.nan_to_num(np.array(firsts, float), nan=np.inf)
        return float(np.median(steps)), int(np.isfinite(steps).sum()), len(steps)

    def bodies(self, study: str, stage: str) -> list[str]:
        """Return the bodies, other than the agents' own, that a study tested on."""
        rows = self.scores
        held = set(rows[(rows["study"] == study) & (rows["stage"] == stage)]["body"]) - {self.own}
        return sorted(held, key=lambda body: ("-" in body, int(body.split("-")[0].removeprefix("swimmer")), body))

    def claims(self) -> pd.DataFrame:
        """Judge the paper's claims, each by a fixed rule: all of its checks, some or none."""
        return pd.DataFrame(
            [
                self._swims_untrained(),
                self._learns_sooner(),
                self._as_good_at_the_end(),
                self._still_so_beside_the_best(),
                self._signs_matter(),
                self._start_matters(),
                self._rhythm_matters(),
                self._transfers(),
                self._ahead_after_finetuning(),
                self._travelling_wave(),
            ]
        )

    def _swims_untrained(self) -> Claim:
        ours = self.iqm(OURS, "es", stage="untrained")
        others = {agent: self.iqm(agent, "es", stage="untrained") for agent in self.agents if agent != OURS}
        best = self.best_mlp("paper", self.algorithms)[2]
        above = ours.mean > max(_upper(other) for other in others.values())
        told = f"NCAP {ours}; " + "; ".join(f"{agent} {other.mean:.0f}" for agent, other in others.items())
        return _claim(
            "It swims before any training", [above, ours.mean > 0.5 * best], f"{told}; the best trained MLP {best:.0f}"
        )

    def _learns_sooner(self) -> Claim:
        checks, told = [], []
        for algorithm in self.algorithms:
            agent, _, best = self.best_mlp("paper", [algorithm])
            ours = self.steps_to(OURS, algorithm, "paper", _ENOUGH * best)[0]
            theirs = self.steps_to(agent, algorithm, "paper", _ENOUGH * best)[0]
            checks.append(ours < theirs)
            told.append(f"{algorithm} to {_ENOUGH * best:.0f}: NCAP {_steps(ours)}, {agent} {_steps(theirs)}")
        return _claim("It needs less data than an MLP to 90 % of the MLP's return", checks, "; ".join(told))

    def _as_good_at_the_end(self) -> Claim:
        checks, told = [], []
        for algorithm in self.algorithms:
            agent, _, best = self.best_mlp("paper", [algorithm])
            ours = self.iqm(OURS, algorithm)
            checks.append(ours.mean >= _COMPARABLE * best)
            told.append(f"{algorithm}: NCAP {ours.mean:.0f}, {agent} {best:.0f}")
        return _claim("Its few weights reach an MLP's return under the same algorithm", checks, "; ".join(told))

    def _still_so_beside_the_best(self) -> Claim:
        checks, told = [], []
        for reward in self.rewards:
            ours = max((self.iqm(OURS, algorithm, reward=reward).mean, algorithm)
                       for agent, algorithm in self.trained_with(reward) if agent == OURS)  # fmt: skip
            mlps = [algorithm for agent, algorithm in self.trained_with(reward) if agent != OURS]
            if mlps:
                agent, algorithm, best = self.best_mlp(reward, mlps)
                checks.append(ours[0] >= _COMPARABLE * best)
                told.append(f"{reward} reward: NCAP by {ours[1]} {ours[0]:.0f}, {agent} by {algorithm} {best:.0f}")
        return _claim("So it does beside the best MLP of all algorithms", checks, "; ".join(told))

    def _signs_matter(self) -> Claim:
        found = self.ablation.set_index("agent")
        pairs = [(label, label.replace("signed", "unsigned")) for label in found.index if ", signed" in label]
        checks = [
            found.loc[signed, "trained"] > _upper_of(found.loc[unsigned], "trained") for signed, unsigned in pairs
        ]
        told = [f"{signed} {found.loc[signed, 'trained']:.0f} against {found.loc[unsigned, 'trained']:.0f}"
                for signed, unsigned in pairs]  # fmt: skip
        return _claim("Constrained excitation and inhibition is crucial for learning", checks, "; ".join(told))

    def _start_matters(self) -> Claim:
        found = self.ablation.set_index("agent")
        pairs = [
            (label, label.replace("constant", "uniform")) for label in found.index if ", signed, constant" in label
        ]
        checks = [
            found.loc[constant, "untrained"] > _upper_of(found.loc[uniform], "untrained") for constant, uniform in pairs
        ]
        told = [f"{constant} {found.loc[constant, 'untrained']:.0f} against {found.loc[uniform, 'untrained']:.0f}"
                for constant, uniform in pairs]  # fmt: skip
        return _claim("Its initial weights contribute to good initial performance", checks, "; ".join(told))

    def _rhythm_matters(self) -> Claim:
        found = self.ablation.set_index("agent")
        whole, parts = found.iloc[0]["trained"], [label for label in found.index if label.startswith("no ")]
        checks = [whole > _upper_of(found.loc[part], "trained") for part in parts]
        told = "; ".join(f"{part} {found.loc[part, 'trained']:.0f}" for part in parts)
        return _claim("It needs its oscillator and its proprioception", checks, f"whole {whole:.0f}; {told}")

    def _transfers(self) -> Claim:
        return self._on_other_bodies("It transfers to other bodies as it is", "curves", "trained")

    def _ahead_after_finetuning(self) -> Claim:
        return self._on_other_bodies("It stays ahead there after a short fine-tuning", "finetune", "finetuned")

    def _on_other_bodies(self, claim: str, study: str, stage: str) -> Claim:
        bodies = self.bodies(study, stage)
        _, algorithm, _ = self.best_mlp("paper", ["ppo"])
        ours = {body: self.iqm(OURS, "es", stage=stage, body=body, study=study).mean for body in bodies}
        theirs = {body: self.iqm("MLP(64, 64)", algorithm, stage=stage, body=body, study=study).mean for body in bodies}
        checks = [ours[body] > theirs[body] for body in bodies]
        # The returns themselves are cells of the table under Transfer.
        ahead = {
            what: f"{sum(ours[body] > theirs[body] for body in group)} of {len(group)} {what}"
            for what, group in (
                ("other numbers of links", [body for body in bodies if "-" not in body]),
                (f"variants of {self.own}", [body for body in bodies if "-" in body]),
            )
        }
        return _claim(
            claim, checks, f"NCAP by es is ahead of MLP(64, 64) by {algorithm} on {' and '.join(ahead.values())}"
        )

    def _travelling_wave(self) -> Claim:
        index = self.iqm(OURS, "es", metric="travelling_index")
        lag = self.iqm(OURS, "es", metric="joint_lag")
        return _claim(
            "It swims by a wave that travels from head to tail",
            [index.mean > 0.5, lag.mean < 0],
            f"travelling index {index}; each joint lags the one before by {-lag.mean:.2f} rad",
        )

    def _weights(self, agent: str) -> int:
        return int(self.curves[self.curves["agent"] == agent]["weights"].max())


Claim = dict[str, str]


def _claim(claim: str, checks: list[bool], numbers: str) -> Claim:
    verdict = "holds" if all(checks) else "partly" if any(checks) else "not"
    return {"claim": claim, "verdict": verdict, "numbers": numbers}


def _upper(interval: Interval) -> float:
    return interval.mean if np.isnan(interval.high) else interval.high


def _upper_of(row: pd.Series, stage: str) -> float:
    high = row[f"{stage}_high"]
    return float(row[stage] if np.isnan(high) else high)


def _steps(steps: float) -> str:
    return f"{steps:,.0f}" if np.isfinite(steps) else "never"


def _page(found: Findings, claims: pd.DataFrame, command: str) -> str:
    trials = found.scores["source"].nunique()
    parts = [
        "# NCAP on the Swimmer, reproduced",
        f"Made by `{command}`: {trials} trials. Every value is an interquartile mean over seeds of the mean over "
        "episodes, with its 95 % bootstrap interval over seeds; up to three seeds it is the plain mean. All of it is "
        "in results.sqlite:",
        '    pandas.read_sql("SELECT * FROM scores", sqlite3.connect("results.sqlite"))',
        "## Claim by claim",
        _markdown(claims),
    ]
    for reward in found.rewards:
        parts += [
            f"## Learning, {reward} reward",
            f"![curves](curves-{reward}.svg)",
            _markdown(_learning(found, reward)),
        ]
    parts += [
        "![profiles](profiles.svg)",
        "## Without each part of the prior (ES)",
        "![ablation](ablation.svg)",
        _markdown(_ablations(found.ablation)),
        "## Transfer",
        f"Trained on {found.own}. The MLP acts as it is on variants of that body; for other sizes its weights are "
        "interpolated over joints.",
        "![transfer](transfer.svg)",
        _markdown(_transfer(found)),
        "## Gait and B-neurons",
        "![waves](waves.svg)",
        _markdown(_gaits(found)),
    ]
    return "\n\n".join(parts) + "\n"


def _learning(found: Findings, reward: str) -> pd.DataFrame:
    rows = []
    for agent, algorithm in found.trained_with(reward):
        mlps = [other for other, by in found.trained_with(reward) if other != OURS and by == algorithm]
        best = found.best_mlp(reward, [algorithm])[2] if mlps else np.nan
        median, reached, seeds = found.steps_to(agent, algorithm, reward, _ENOUGH * best)
        ours = found.per_seed(OURS, algorithm, reward)
        wins = probability_of_improvement(ours, found.per_seed(agent, algorithm, reward)) if agent != OURS else None
        rows.append({
            "algorithm": algorithm,
            "agent": agent,
            "weights": f"{found._weights(agent):,}",
            "seeds": seeds,
            "untrained": _text(found.iqm(agent, algorithm, reward=reward, stage="untrained")),
            "trained": _text(found.iqm(agent, algorithm, reward=reward)),
            f"steps to {_ENOUGH:.0%} of the MLP's": f"{_steps(median)} ({reached}/{seeds})" if mlps else "",
            "NCAP ahead": f"{wins.mean:.2f}" if wins else "",
            "net speed, cm/s": _text(found.iqm(agent, algorithm, reward=reward, metric="net_speed"), 100, 1),
            "J/(kg m)": _text(found.iqm(agent, algorithm, reward=reward, metric="cost_of_transport"), 1, 2),
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
    rows = []
    moved = found.scores[found.scores["study"] == "finetune"]
    pairs = list(dict.fromkeys(zip(moved["agent"], moved["algorithm"], strict=True)))
    shown = [(agent, algorithm) for agent, algorithm in found.trained_with("paper")
             if agent in (OURS, "MLP(64, 64)") and algorithm != "ddpg"]  # fmt: skip
    for body in [found.own, *found.bodies("curves", "trained")]:
        row = {"body": body}
        for agent, algorithm in shown:
            row[f"{agent}, {algorithm}"] = _text(found.iqm(agent, algorithm, body=body))
        for agent, algorithm in pairs:
            tuned = found.iqm(agent, algorithm, body=body, stage="finetuned", study="finetune")
            row[f"{agent}, {algorithm}, fine-tuned"] = _text(tuned)
        rows.append(row)
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
        {"reward": reward, "algorithm": algorithm, "agent": agent}
        | {title: text(found.iqm(agent, algorithm, reward=reward, metric=metric), factor, digits)
           for title, (metric, factor, digits) in columns.items()}
        for reward in found.rewards for agent, algorithm in found.trained_with(reward)
    ])  # fmt: skip


def _text(found: Interval, factor: float = 1.0, digits: int = 0) -> str:
    mean, low, high = (f"{factor * value:.{digits}f}" for value in (found.mean, found.low, found.high))
    if found.n == 0:
        return ""
    return mean if np.isnan(found.low) else f"{mean} [{low}, {high}]"


def _markdown(table: pd.DataFrame) -> str:
    return markdown_table(table.columns, *table.itertuples(index=False))
