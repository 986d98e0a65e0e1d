"""The claims that a reproduction of the NCAP paper judges, each by a rule fixed before the numbers.

Each of the paper's claims is judged beside the paper's control, an MLP, and again beside the strongest control here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ....intervals import Interval, bootstrap_iqm
from .findings import ENOUGH, Findings, steps_text
from .plan import MLP, MOVED, NEVER, OURS

Claim = dict[str, str]
# Circuits that know nothing of the worm: no rhythm, no signs, weights drawn at random.
_MLPS = ("MLP(8, 8)", MLP, "MLP(256, 256)")
_NO_PRIOR = ("along", "along, each joint alone", *_MLPS)
_SHARED = "`along`, which only shares weights along the body"
_COMPARABLE = 0.95  # of another's return
_GOAL = 965  # return of `along` in its prototype
_GOAL_LINKS = (8, 20)


def judge(found: Findings) -> pd.DataFrame:
    """Return a row per claim: claim, verdict, numbers in words.

    A verdict is holds (all of its checks), partly (some), does not hold (none), or not tried (where a scale leaves
    them out).
    """
    rules = (
        _swims_untrained, _best_untrained, _learns_sooner, _soonest, _as_good_as_an_mlp, _as_good_as_any, _signs_matter,
        _start_matters, _rhythm_matters, _transfers, _transfers_best, _ahead_after_finetuning, _best_after_finetuning,
        _travelling_wave, _sharing_suffices, _along_reaches, _many_help,
    )  # fmt: skip
    return pd.DataFrame([rule(found) for rule in rules])


def _swims_untrained(found: Findings) -> Claim:
    ours = found.iqm(OURS, "es", stage="untrained")
    others = {arm: found.iqm(arm, "es", stage="untrained") for arm in _trained_by(found, "es", _NO_PRIOR)}
    best = found.best("paper", _trained_by(found, None, _MLPS))
    return _claim(
        "It swims before any training, where circuits without its prior do not",
        [ours.mean > max(map(_upper, others.values())), ours.mean > 0.5 * best[2]],
        f"NCAP {ours}; {_means(others)}; the best trained MLP {best[2]:.0f}",
    )


def _best_untrained(found: Findings) -> Claim:
    ours = found.iqm(OURS, "es", stage="untrained")
    others = {arm: found.iqm(arm, "es", stage="untrained") for arm in _trained_by(found, "es") if arm != OURS}
    return _claim(
        "No other circuit here swims better before training",
        [ours.mean >= other.mean for other in others.values()],
        f"NCAP {ours}; {_means(others)}",
    )


def _learns_sooner(found: Findings) -> Claim:
    return _sooner(found, "It needs less data than the best MLP to 90 % of the MLP's return", _MLPS)


def _soonest(found: Findings) -> Claim:
    others = [arm for arm in found.arms if arm != OURS]
    return _sooner(found, "It needs less data than the best other circuit to 90 % of that circuit's return", others)


def _sooner(found: Findings, claim: str, others: Sequence[str]) -> Claim:
    checks, words = [], []
    for algorithm in found.algorithms:
        arm, _, best = found.best("paper", others, [algorithm])
        if not arm:
            continue  # it trained none of them
        ours = found.steps_to(OURS, algorithm, "paper", ENOUGH * best)[0]
        theirs = found.steps_to(arm, algorithm, "paper", ENOUGH * best)[0]
        checks.append(ours < theirs)
        words.append(f"{algorithm} to {ENOUGH * best:.0f}: NCAP {steps_text(ours)}, {arm} {steps_text(theirs)}")
    return _claim(claim, checks, "; ".join(words))


def _as_good_as_an_mlp(found: Findings) -> Claim:
    checks, words = [], []
    for algorithm in found.algorithms:
        arm, _, best = found.best("paper", _MLPS, [algorithm])
        if not arm:
            continue  # it trained none of them
        ours = found.iqm(OURS, algorithm)
        checks.append(ours.mean >= _COMPARABLE * best)
        words.append(f"{algorithm}: NCAP {ours.mean:.0f}, {arm} {best:.0f}")
    return _claim("Its few weights reach an MLP's return under the same algorithm", checks, "; ".join(words))


def _as_good_as_any(found: Findings) -> Claim:
    checks, words = [], []
    for reward in found.rewards:
        _, by, ours = found.best(reward, [OURS])
        arm, algorithm, best = found.best(reward, [arm for arm in found.arms if arm != OURS])
        checks.append(ours >= _COMPARABLE * best)
        words.append(f"{reward} reward: NCAP by {by} {ours:.0f}, {arm} by {algorithm} {best:.0f}")
    return _claim("Its few weights reach the best return of any circuit and algorithm", checks, "; ".join(words))


def _signs_matter(found: Findings) -> Claim:
    return _lattice(found, "Fixed signs of excitation and inhibition are crucial for learning", "signed", "unsigned",
                    "trained")  # fmt: skip


def _start_matters(found: Findings) -> Claim:
    return _lattice(found, "Its initial weights contribute to good initial performance", "signed, constant",
                    "signed, uniform", "untrained")  # fmt: skip


def _lattice(found: Findings, claim: str, part: str, without: str, stage: str) -> Claim:
    """Judge that circuits with a part of the prior are above the intervals of those without it, all else equal."""
    table = found.ablation.set_index("agent")
    pairs = [(label, label.replace(part, without)) for label in table.index if f", {part}" in label]
    return _claim(
        claim,
        [table.loc[whole, stage] > _upper_of(table.loc[less], stage) for whole, less in pairs],
        "; ".join(f"{whole} {table.loc[whole, stage]:.0f} against {table.loc[less, stage]:.0f}"
                  for whole, less in pairs),
    )  # fmt: skip


def _rhythm_matters(found: Findings) -> Claim:
    table = found.ablation.set_index("agent")
    whole, parts = table.iloc[0]["trained"], [label for label in table.index if label.startswith("no ")]
    words = "; ".join(f"{part} {table.loc[part, 'trained']:.0f}" for part in parts)
    return _claim("It needs its oscillator and its proprioception",
                  [whole > _upper_of(table.loc[part], "trained") for part in parts],
                  f"whole {whole:.0f}; {words}")  # fmt: skip


def _transfers(found: Findings) -> Claim:
    return _on_other_bodies(
        found, "It transfers to other bodies better than an MLP, without further training", MLP, "curves", "trained"
    )


def _transfers_best(found: Findings) -> Claim:
    return _on_other_bodies(found, f"It transfers better than {_SHARED}", "along", "curves", "trained")


def _ahead_after_finetuning(found: Findings) -> Claim:
    return _on_other_bodies(found, "It stays ahead of an MLP on other bodies after a short fine-tuning", MLP,
                            "finetune", "finetuned")  # fmt: skip


def _best_after_finetuning(found: Findings) -> Claim:
    return _on_other_bodies(found, f"It stays ahead of {_SHARED}, after a short fine-tuning", "along", "finetune",
                            "finetuned")  # fmt: skip


def _on_other_bodies(found: Findings, claim: str, other: str, study: str, stage: str) -> Claim:
    bodies = found.bodies(study, stage)

    def returns(arm: str) -> dict[str, float]:
        return {body: found.iqm(arm, MOVED[arm], stage=stage, body=body, study=study).mean for body in bodies}

    ours, theirs = returns(OURS), returns(other)
    # The returns themselves are cells of the table under Transfer.
    ahead = [
        f"{sum(ours[body] > theirs[body] for body in group)} of {len(group)} {what}"
        for what, group in (
            ("other numbers of links", [body for body in bodies if "-" not in body]),
            (f"variants of {found.own}", [body for body in bodies if "-" in body]),
        )
    ]
    return _claim(
        claim, [ours[body] > theirs[body] for body in bodies],
        f"NCAP by {MOVED[OURS]} is ahead of {other} by {MOVED[other]} on {' and '.join(ahead)}",
    )  # fmt: skip


def _travelling_wave(found: Findings) -> Claim:
    index = found.iqm(OURS, "es", metric="travelling_index")
    lag = found.iqm(OURS, "es", metric="joint_lag")
    return _claim(
        "It swims by a wave that travels from head to tail", [index.mean > 0.5, lag.mean < 0],
        f"travelling index {index}; each joint lags the one before by {-lag.mean:.2f} rad",
    )  # fmt: skip


def _sharing_suffices(found: Findings) -> Claim:
    """Judge each number of links: weights shared along the body, without a worm, beside NCAP."""
    bodies = [body for body in found.bodies("curves", "trained") if "-" not in body]
    ours = {body: found.iqm(OURS, MOVED[OURS], body=body).mean for body in bodies}
    along = {body: found.iqm("along", MOVED["along"], body=body).mean for body in bodies}
    return _claim(
        "Sharing weights along the body is enough to transfer as NCAP does to other numbers of links",
        [along[body] >= _COMPARABLE * ours[body] for body in bodies],
        "; ".join(f"{body} along {along[body]:.0f}, NCAP {ours[body]:.0f}" for body in bodies),
    )


def _along_reaches(found: Findings) -> Claim:
    """Judge whether what a prototype of `along` reached is reached here."""
    least, most = _GOAL_LINKS
    sizes = [body for body in found.bodies("curves", "trained") if "-" not in body]
    bodies = [found.own, *(body for body in sizes if least <= int(body.removeprefix("swimmer")) <= most)]
    reached = {body: found.iqm("along", MOVED["along"], body=body) for body in bodies}
    return _claim(
        f"along reaches {_GOAL} where it was trained, and on {least} to {most} links without further training",
        [each.mean >= _GOAL for each in reached.values()],
        "; ".join(f"{body} {each}" for body, each in reached.items()),
    )


def _many_help(found: Findings) -> Claim:
    """Judge each agent: trained on many bodies together, beside itself trained on one for as many steps."""
    trained = found.scores[found.scores["study"] == "many"]
    checks, words = [], []
    for arm, algorithm in sorted(set(zip(trained["agent"], trained["algorithm"], strict=True))):
        many, one = (bootstrap_iqm(found.over(NEVER, arm, algorithm, study)) for study in ("many", "curves"))
        if one.n:
            checks.append(many.mean > _upper(one))
            words.append(f"{arm}, {algorithm}: {many.mean:.0f} against {one.mean:.0f}")
    return _claim("Training on many bodies raises the return on bodies never seen", checks, "; ".join(words))


def _trained_by(found: Findings, algorithm: str | None, arms: Sequence[str] | None = None) -> list[str]:
    """Return which of some arms were trained on the paper's reward by an algorithm, or by any."""
    held = [arm for arm, by in found.trained_with("paper") if algorithm in (None, by)]
    return [arm for arm in arms or found.arms if arm in held]


def _claim(claim: str, checks: Sequence[bool], numbers: str) -> Claim:
    verdict = "not tried" if not checks else "holds" if all(checks) else "partly" if any(checks) else "does not hold"
    return {"claim": claim, "verdict": verdict, "numbers": numbers}


def _means(estimates: dict[str, Interval]) -> str:
    return "; ".join(f"{arm} {estimate.mean:.0f}" for arm, estimate in estimates.items())


def _upper(interval: Interval) -> float:
    return interval.mean if np.isnan(interval.high) else interval.high


def _upper_of(row: pd.Series, stage: str) -> float:
    high = row[f"{stage}_high"]
    return float(row[stage] if np.isnan(high) else high)
