"""Fits to the propagation atlas in one table: nested models, the same on rewired graphs, and no wiring at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from ..agents import Agent
from ..circuits import make_circuit
from ..circuits.connectome import Connectome, Graph
from ..circuits.connectome.files import graph_json
from ..intervals import Interval
from ..training.learning.checks import check
from ..training.runs.made import write_made
from ..training.runs.resolution import Resolved
from ..training.runs.run import Run
from ..training.studies.markdown import markdown_table
from .atlas import Atlas
from .fitting import DECAYS, Fit, Model, fit, fit_circuit
from .swims import Swim

Gains = Literal["global", "class"]
TITLES = ("model", "AUROC, held out", "folds", "AP", "rewired", "above rewired", "above no wiring")
DECAY = 3.0  # of a circuit, which is not chosen: it would take four times as long
# What is added to the wiring, by name.
NESTED: Mapping[str, tuple[bool, bool]] = {
    "alone": (False, False),
    "with a rate per responding cell": (True, False),
    "with rates and distance": (True, True),
}


@dataclasses.dataclass(frozen=True)
class FitRow:
    """How one model does on held-out stimulations.

    Attributes:
        name: of the model.
        fit: what it came to.
        rewired: the same model on each rewired graph.
        unwired: the same without any wiring, where that leaves something.
    """

    name: str
    fit: Fit
    rewired: tuple[Fit, ...] = ()
    unwired: Fit | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the row's cells under `TITLES`, with paired intervals of the differences."""
        means = [each.auroc.mean for each in self.rewired]
        return (
            self.name, interval_text(self.fit.auroc), f"{min(self.fit.folds):.2f} to {max(self.fit.folds):.2f}",
            f"{self.fit.precision:.3f}",
            f"{np.mean(means):.3f} ({min(means):.3f} to {max(means):.3f})" if means else "",
            interval_text(self.fit.less(*self.rewired), "+") if means else "",
            interval_text(self.fit.less(self.unwired), "+") if self.unwired else "",
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return the scores as JSON types."""
        found = {"name": self.name, "auroc": dataclasses.asdict(self.fit.auroc), "folds": self.fit.folds,
                 "precision": self.fit.precision, "rewired": [each.auroc.mean for each in self.rewired]}  # fmt: skip
        if self.rewired:
            found["above_rewired"] = dataclasses.asdict(self.fit.less(*self.rewired))
        if self.unwired:
            found["above_no_wiring"] = dataclasses.asdict(self.fit.less(self.unwired))
        return found


@dataclasses.dataclass(frozen=True)
class FitTable:
    """Nested fits and their controls.

    Attributes:
        rows: first without wiring, then as in `NESTED`.
    """

    rows: tuple[FitRow, ...]

    def markdown(self) -> str:
        """Return the table."""
        return markdown_table(TITLES, *(row.cells() for row in self.rows))

    def to_json(self) -> dict[str, Any]:
        """Return every score as JSON types."""
        return {"rows": [row.to_json() for row in self.rows]}


def compare_fits(
    atlas: Atlas,
    circuit: Connectome,
    gains: Gains | None = None,
    background: float = 0.1,
    rewired: int = 5,
    progress: bool = False,
    fitted: Callable[[Model, int | None], Fit] | None = None,
    swim: Swim | None = None,
    swimming: float = 0.0,
) -> FitTable:
    """Fit nested models to an atlas: wiring alone, with a rate for each responding cell, and with distance too.

    Args:
        atlas: what was measured.
        circuit: whose gains are fitted, or whose graph is the wiring.
        gains: of a `RateNetwork` on the circuit's graph; None for the circuit's own.
        background: current into all cells of the circuit.
        rewired: how many rewired graphs are fitted alike.
        progress: show bars.
        fitted: makes the fit of a model on the graph (None) or on the rewired graph of a draw; by default `fit` does.
        swim: what the circuit is to do on its body beside; see `fit_circuit`.
        swimming: the weight of that.

    Raises:
        CircuitMismatch: fewer than 20 of the circuit's neurons were measured.
    """

    def fit_alike(model: Model, draw: int | None) -> Fit:
        source, decays = source_of(circuit, gains, draw), decays_of(gains, model)
        beside = (None, 0.0) if gains is not None or (model.gains == "none") else (swim, swimming)
        return fit(atlas, source, model, background, decays, progress, *beside)

    make = fitted or fit_alike
    unwired = {distance: make(Model("none", True, distance), None) for distance in (False, True)}
    names = {False: "no wiring: rates", True: "no wiring: rates and distance"}
    rows = [FitRow(names[distance], found) for distance, found in unwired.items()]
    what = "circuit" if gains is None else f"{gains} gains"
    for name, (rates, distance) in NESTED.items():
        model = Model(gains or "global", rates, distance)
        others = tuple(make(model, draw) for draw in range(rewired))
        rows.append(FitRow(f"{what} {name}", make(model, None), others, unwired[distance] if rates else None))
    return FitTable(tuple(rows))


def decays_of(gains: Gains | None, model: Model) -> tuple[float, ...]:
    """Return the weights of the penalty that a fit chooses from; of a circuit's own gains there is one. No unit."""
    return (DECAY,) if gains is None and model.gains != "none" else DECAYS


def source_of(circuit: Connectome, gains: Gains | None, draw: int | None) -> Graph | Connectome:
    """Return what is fitted: a circuit, or its graph for a `RateNetwork`; of a draw, one rewired by it.

    A rewired circuit begins from the gains of an untrained one.
    """
    if gains is not None:
        return circuit.graph if draw is None else circuit.graph.control("rewired", np.random.default_rng(draw))
    if draw is None:
        return circuit
    options = {"graph": graph_json(circuit.graph), "control": "rewired"}
    rng = torch.Generator().manual_seed(draw)
    made = make_circuit("connectome", dict(circuit.senses), circuit.n_motors, options, rng)
    assert isinstance(made, Connectome)
    return made


def save_fitted(
    atlas: Atlas,
    circuit: Connectome,
    resolved: Resolved,
    background: float,
    out: Path,
    swim: Swim | None = None,
    swimming: float = 0.0,
) -> Run:
    """Fit a circuit to all stimulations, and write it as a run that is trained, probed and filmed as any is.

    Rates of responding cells are fitted beside the gains, so that these need not say how often a cell responds.

    Args:
        atlas: what was measured.
        circuit: to begin with.
        resolved: its body and task.
        background: current into all cells.
        out: the run's folder, which must not exist.
        swim: what it is to do on its body beside; see `fit_circuit`.
        swimming: the weight of that.

    Raises:
        OutputExists: it exists.
    """
    fitted = fit_circuit(atlas, circuit, Model(rates=True), DECAY, background, swim, swimming)
    checked = check(resolved.config)
    stats = Agent(checked.agent).observation_stats
    return write_made(out, checked, fitted.state_dict(), stats, 0, {"by": "worm fit", "background": background})


def interval_text(value: Interval, sign: str = "") -> str:
    """Return an AUROC, or a difference of two with its sign, with the bounds of its interval."""
    return f"{value.mean:{sign}.3f} [{value.low:{sign}.3f}, {value.high:{sign}.3f}]"
