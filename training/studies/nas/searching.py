"""Compare search algorithms on a table: regret against cost, and stability of the ranking across bodies."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy
from jaxtyping import Float, Int

from ....drawing.figures import regret_curves, stability_map
from ....errors import InvalidOption, OutputExists, UnknownName
from ....intervals import bootstrap_mean
from ....options import COUNT, FLAG, Instance, ListOf, Number, checked
from ....progress import progress_bar
from ..written import FIGURES, TABLES, estimates, write_figure, write_table
from .searchers import SEARCHERS, Searcher
from .table import ArchitectureTable

_TEXTS = ListOf(Instance(str, "a name"), '["random", "rea"]')
_TOLD_AT = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_RESAMPLES = 1000


@dataclasses.dataclass(frozen=True)
class _Course:
    """One search, training by training.

    Attributes:
        seconds: used so far.
        chosen: index of the architecture with the highest validation return so far.
        valid: that return.
    """

    seconds: Float[np.ndarray, " trainings"]
    chosen: Int[np.ndarray, " trainings"]
    valid: Float[np.ndarray, " trainings"]


@checked(
    InvalidOption,
    table=Instance(ArchitectureTable, "a table, as open_table opens it"),
    bodies=_TEXTS,
    searchers=_TEXTS,
    searches=COUNT,
    trainings=COUNT,
    seed=Number(0, is_whole=True),
    progress=FLAG,
)
def search_table(
    table: ArchitectureTable,
    bodies: Sequence[str] = (),
    searchers: Sequence[str] = tuple(SEARCHERS),
    searches: int = 500,
    trainings: int = 100,
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """Run many searches by each search algorithm on each body of a table, and return their regret over time.

    For each training, a search observes one validation return, of a random seed; it chooses the architecture with the
    highest. The regret of a choice is the best mean test return in the table minus that of the choice, with means over
    all seeds. A choice counts as found if its mean test return is not below the 95 % interval of the best.

    Args:
        table: the table.
        bodies: names of bodies; empty for all of the table's.
        searchers: names of search algorithms, from `SEARCHERS`.
        searches: number of searches per search algorithm and body.
        trainings: number of trainings per search.
        seed: seed of all random draws.
        progress: show a progress bar.

    Returns:
        A row for each body, searcher and number of trainings (1, 2, 5, 10, ...): seconds, the cost of these trainings;
        regret with regret_low95 and regret_high95 (95 % bootstrap interval over searches); found, the share of
        searches that found the best; optimism, the validation return of the choice minus its mean over seeds.

    Raises:
        UnknownName: there is no such body or searcher.
        InvalidOption: the table lacks architectures.
    """
    for name in searchers:
        if name not in SEARCHERS:
            raise UnknownName("searcher", name, SEARCHERS)
    bodies = list(bodies or table.bodies)
    for body in bodies:
        _check_whole(table, body)
    told_at = sorted({*(number for number in _TOLD_AT if number < trainings), trainings})
    rows: list[dict[str, Any]] = []
    bar = progress_bar(total=len(bodies) * len(searchers) * searches, disable=not progress, desc="nas", unit="search")
    with bar:
        for body, name in itertools.product(bodies, searchers):
            courses = []
            for number in range(searches):
                rng = np.random.default_rng([seed, number])
                courses.append(_course(table, body, SEARCHERS[name], trainings, rng))
                bar.update()
            rows += [{"body": body, "searcher": name, **row} for row in _rows(table, body, courses, told_at)]
    return pd.DataFrame(rows)


def _check_whole(table: ArchitectureTable, body: str) -> None:
    lacking = len(table.space) - int((~np.isnan(table.means(body))).sum())
    if lacking:
        raise InvalidOption(
            f"this table lacks {lacking} of {len(table.space)} architectures on {body}; nervecord nas make "
            f"{table.space.name} makes them"
        )


def _course(
    table: ArchitectureTable, body: str, searcher: Searcher, trainings: int, rng: np.random.Generator
) -> _Course:
    def evaluate(architecture: str) -> float:
        return table.simulate_train_eval(architecture, body, rng=rng).valid

    table.reset_time()
    seconds, tried, valid = np.zeros(trainings), np.zeros(trainings, int), np.zeros(trainings)
    for at, (architecture, value) in enumerate(itertools.islice(searcher(table.space, evaluate, rng), trainings)):
        seconds[at], tried[at], valid[at] = table.used_time, table.query_index_by_arch(architecture), value
    return _incumbents(seconds, tried, valid)


def _incumbents(
    seconds: Float[np.ndarray, " trainings"],
    tried: Int[np.ndarray, " trainings"],
    valid: Float[np.ndarray, " trainings"],
) -> _Course:
    """Return the course of a search that tried these; of equal returns, the first is kept."""
    best = np.maximum.accumulate(valid)
    is_new = np.diff(best, prepend=-np.inf) > 0
    at = np.maximum.accumulate(np.where(is_new, np.arange(len(valid)), 0))
    return _Course(seconds, tried[at], best)


def _rows(
    table: ArchitectureTable, body: str, courses: Sequence[_Course], told_at: Sequence[int]
) -> list[dict[str, Any]]:
    test, valid = table.means(body), table.means(body, "valid")
    best = int(test.argmax())
    own = table.scores(body)[best]
    lowest = np.nanmin([bootstrap_mean(own[~np.isnan(own)]).low, test[best]])
    rows = []
    for number in told_at:
        chosen = np.array([course.chosen[number - 1] for course in courses])
        regret = bootstrap_mean(test[best] - test[chosen])
        seconds = np.mean([course.seconds[number - 1] for course in courses])
        optimism = np.mean([course.valid[number - 1] for course in courses] - valid[chosen])
        rows.append({
            "trainings": number, "seconds": float(seconds), "regret": regret.mean, "regret_low95": regret.low,
            "regret_high95": regret.high, "found": float((test[chosen] >= lowest).mean()), "optimism": float(optimism),
        })  # fmt: skip
    return rows


@checked(InvalidOption, table=Instance(ArchitectureTable, "a table, as open_table opens it"))
def ranking_stability(table: ArchitectureTable, seed: int = 0) -> pd.DataFrame:
    """Return the rank correlation of architectures between bodies: Kendall's tau-b of the mean test returns.

    Intervals are 95 % percentile intervals over 1000 resamples of each architecture's seeds, shifted so that the
    resamples' mean equals the estimate, because resampling adds the noise of the seeds a second time and so lowers tau.
    For a body with itself, tau is the mean over 1000 random split halves of the seeds, with their percentiles: the
    largest agreement that the number of seeds allows.

    Args:
        table: the table.
        seed: seed of the resampling.

    Returns:
        A row for each pair of bodies, and each body with itself: body, other, tau, tau_low95, tau_high95.

    Raises:
        InvalidOption: the table lacks architectures.
    """
    for body in table.bodies:
        _check_whole(table, body)
    rng = np.random.default_rng(seed)
    rows = []
    for body, other in itertools.combinations_with_replacement(table.bodies, 2):
        one, two = table.scores(body), table.scores(other)
        if body == other:
            taus = [_tau(*np.array_split(rng.permuted(one, axis=1), 2, axis=1)) for _ in range(_RESAMPLES)]
            tau = float(np.mean(taus))
        else:
            tau = _tau(one, two)
            taus = [_tau(_resampled(one, rng), _resampled(two, rng)) for _ in range(_RESAMPLES)]
        low, high = np.percentile(taus, (2.5, 97.5)) - np.mean(taus) + tau
        rows.append({"body": body, "other": other, "tau": tau, "tau_low95": float(low), "tau_high95": float(high)})
    return pd.DataFrame(rows)


def _resampled(
    scores: Float[np.ndarray, "architectures seeds"], rng: np.random.Generator
) -> Float[np.ndarray, "architectures seeds"]:
    return np.take_along_axis(scores, rng.integers(scores.shape[1], size=scores.shape), 1)


def _tau(one: Float[np.ndarray, "architectures seeds"], two: Float[np.ndarray, "architectures others"]) -> float:
    # Where seeds are missing, a half or a resample may have none of an architecture: it is left out of that one.
    counts = [(~np.isnan(scores)).sum(1) for scores in (one, two)]
    means = [np.nansum(scores, 1) / np.where(n, n, np.nan) for scores, n in zip((one, two), counts, strict=True)]
    return float(scipy.stats.kendalltau(*means, nan_policy="omit").statistic)


def write_searches(searches: pd.DataFrame, stability: pd.DataFrame, out: Path) -> None:
    """Write what `search_table` and `ranking_stability` returned: tables and figures, `regret` and `stability`."""
    check_out(out)
    shown = searches[["body", "searcher", "trainings"]].astype(str)
    shown["seconds"] = searches["seconds"].map("{:.3g}".format)
    shown["regret [95 % interval]"] = estimates(searches["regret"], searches["regret_low95"], searches["regret_high95"])
    shown["found"] = searches["found"].map("{:.0%}".format)
    shown["optimism"] = searches["optimism"].map("{:.3g}".format)
    write_table(searches, shown, out / "regret")
    write_figure(regret_curves(searches), out / "regret")
    pairs = stability[["body", "other"]].copy()
    pairs["Kendall's tau [95 % interval]"] = estimates(
        stability["tau"], stability["tau_low95"], stability["tau_high95"]
    )
    write_table(stability, pairs, out / "stability")
    write_figure(stability_map(stability), out / "stability")


def check_out(out: Path) -> None:
    """Refuse a folder that holds anything but earlier searches.

    Raises:
        OutputExists: it does.
    """
    own = {f"{name}{suffix}" for name in ("regret", "stability") for suffix in (*TABLES, *FIGURES)}
    if out.exists() and not (out.is_dir() and {path.name for path in out.iterdir()} <= own):
        raise OutputExists(f"{out} exists and holds no searches; give another --out")
