"""Compare a circuit's propagation with the atlas, beside other predictions, shuffled graphs and the noise ceiling."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import spearmanr

from ..circuits.connectome.graph import Control, Graph
from ..intervals import Interval, bootstrap_mean
from ..progress import progress_bar
from ..training.studies.markdown import markdown_table
from .atlas import Atlas, partners
from .predictions import ceilings, of_graph, replicates
from .propagation import Propagation
from .scoring import Score, score

TITLES = ("prediction", "pairs", "AUROC", "less linear", "AP", "8 trials", "within", "sign", "correlation")
# What is shuffled: the name of its row, and which prediction of the shuffled graph is scored.
_CONTROLS: Mapping[Control, tuple[str, str]] = {
    "rewired": ("linear, rewired", "linear"),
    "random": ("linear, random wiring", "linear"),
    "signs": ("linear, shuffled signs", "linear, signed"),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """The score of one prediction; NaN for numbers that do not apply.

    Attributes:
        name: name of the prediction.
        pairs: number of pairs.
        auroc: AUROC with an interval over 1,000 draws of stimulated neurons; for shuffled graphs, over graphs.
        less_linear: AUROC minus that of the linear network on the same pairs; None if the pairs differ.
        precision, many, within, sign, correlation: as in `Score`.
    """

    name: str
    pairs: int
    auroc: Interval
    less_linear: Interval | None = None
    precision: float = float("nan")
    many: float = float("nan")
    within: float = float("nan")
    sign: float = float("nan")
    correlation: float = float("nan")


@dataclasses.dataclass(frozen=True)
class PropagationTable:
    """The comparison of a circuit's propagation with the atlas.

    Attributes:
        rows: scores of the predictions.
        stimulated: number of stimulated neurons.
        pairs: number of compared pairs, of neurons that the circuit has too.
        significant: number of these pairs with a response.
        timescale: rank correlation of the times of half the steady change with the peak times of the measured kernels.
        timescale_mirror: rank correlation of kernels' peak times between left-right mirrored pairs, the reliability of
            the measurement.
    """

    rows: tuple[Row, ...]
    stimulated: int
    pairs: int
    significant: int
    timescale: float
    timescale_mirror: float

    def markdown(self) -> str:
        """Return the table as Markdown; intervals of shuffled graphs are over graphs, others over stimulated
        neurons."""
        return markdown_table(TITLES, *(_cells(row) for row in self.rows))

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON types."""
        return dataclasses.asdict(self)


def compare_propagation(
    atlas: Atlas,
    graph: Graph,
    found: Mapping[str, Propagation],
    other: Atlas | None = None,
    controls: int = 5,
    progress: bool = False,
) -> PropagationTable:
    """Score a circuit's propagation, and the predictions to compare it with, on the pairs that the circuit has.

    Args:
        atlas: the atlas.
        graph: graph of the circuit.
        found: responses of the circuit, by name; `timescale` refers to the first.
        other: atlas of the other strain, for the noise ceiling.
        controls: number of shuffled graphs of each kind, whose linear networks are scored.
        progress: show a progress bar.

    Raises:
        CircuitMismatch: fewer than 20 neurons of the graph were measured.
    """
    predictions: dict[str, tuple[np.ndarray, np.ndarray | None]] = {}
    for name, each in found.items():
        gain, change = atlas.place(each.names, each.gain), atlas.place(each.names, each.change)
        predictions[name] = (np.abs(gain), gain)
        predictions[f"{name}, not over the driven cell's change"] = (np.abs(change), change)
    for name, values in of_graph(atlas, graph).items():
        predictions[name] = (np.abs(values), values) if name == "linear, signed" else (values, None)
    predictions |= {"distance": (-atlas.distance(), None), "number of trials": (atlas.trials.astype(float), None)}
    pairs = atlas.measured & np.all([np.isfinite(values) for values, _ in predictions.values()], axis=0)
    scores = {name: score(atlas, values, signed, pairs) for name, (values, signed) in predictions.items()}
    n_pairs = int(pairs.sum())
    rows = [_row(name, each, n_pairs, each.less(scores["linear"])) for name, each in scores.items()]
    rows[-2:-2] = [_shuffled(atlas, graph, control, controls, pairs, progress) for control in _CONTROLS if controls]
    for name, values in ceilings(atlas, other).items():
        kept = atlas.measured & np.isfinite(values)
        rows.append(_row(f"ceiling: {name}", score(atlas, values, values), int(kept.sum())))
    for k, again in replicates(atlas).items():
        rows.append(Row(f"ceiling: replicate of {k} trial{'s' * (k > 1)}", 0, Interval(again, np.nan, np.nan, 0)))
    peaks, first = atlas.peak_times(), next(iter(found.values()))
    mirror = partners(atlas, atlas.names)
    return PropagationTable(
        tuple(rows), len(np.flatnonzero(pairs.any(0))), n_pairs, int((atlas.significant & pairs).sum()),
        _ranks(atlas.place(first.names, first.half), peaks), _ranks(peaks, _apart(peaks, mirror)),
    )  # fmt: skip


def _row(name: str, found: Score, pairs: int, less: Interval | None = None) -> Row:
    return Row(name, pairs, found.auroc, less, found.precision, found.many, found.within, found.sign, found.correlation)


def _shuffled(
    atlas: Atlas, graph: Graph, control: Control, draws: int, pairs: Bool[np.ndarray, "300 300"], progress: bool
) -> Row:
    rng, found, (name, scored) = np.random.default_rng(0), [], _CONTROLS[control]
    for _ in progress_bar(range(draws), desc=control, disable=not progress):
        values = of_graph(atlas, graph.control(control, rng))[scored]
        found.append(score(atlas, np.abs(values), values if control == "signs" else None, pairs))
    means = {of: float(np.mean([getattr(each, of) for each in found]))
             for of in ("precision", "many", "within", "sign", "correlation")}  # fmt: skip
    aurocs = bootstrap_mean([each.auroc.mean for each in found])
    return Row(name, int(pairs.sum()), aurocs, None, **means)


def _apart(values: Float[np.ndarray, "300 300"], mirror: Int[np.ndarray, " 300"]) -> Float[np.ndarray, "300 300"]:
    """Return each pair's mirror image, NaN where it is the pair itself or counted already."""
    mirrored = values[np.ix_(mirror, mirror)]
    n = len(values)
    own = np.arange(n * n).reshape(n, n)
    mirrored[own[np.ix_(mirror, mirror)] <= own] = np.nan
    return mirrored


def _ranks(one: Float[np.ndarray, "n n"], other: Float[np.ndarray, "n n"]) -> float:
    known = np.isfinite(one) & np.isfinite(other)
    return float(spearmanr(one[known], other[known]).statistic)


def _cells(row: Row) -> list[str]:
    auroc = f"{row.auroc.mean:.3f}"
    if np.isfinite(row.auroc.low):
        auroc += f" [{row.auroc.low:.3f}, {row.auroc.high:.3f}]"
    less = row.less_linear
    known = less is not None and row.name != "linear"
    difference = f"{less.mean:+.3f} [{less.low:+.3f}, {less.high:+.3f}]" if known and less else ""
    rest = (row.precision, row.many, row.within, row.sign, row.correlation)
    shown = (f"{value:.3f}" if np.isfinite(value) else "" for value in rest)
    return [row.name, f"{row.pairs:,}" if row.pairs else "", auroc, difference, *shown]
