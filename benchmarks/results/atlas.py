"""Set the connectome beside the propagation atlas, unfitted and fitted: the tables of docs/results/atlas.md.

python -m nervecord.benchmarks.results.atlas runs/atlas --page docs/results/atlas.md
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Literal

import numpy as np
import tyro

from ...agents import Agent
from ...circuits import load_graph
from ...circuits.connectome import Connectome
from ...files import write_text
from ...training.rollouts.evaluation import evaluate_on
from ...training.runs.config import RunConfig
from ...training.runs.resolution import resolve
from ...training.runs.run import Run
from ...training.studies.markdown import markdown_table
from ...worm.atlas import Atlas, load_atlas
from ...worm.fitted import TITLES, FitRow, Gains, compare_fits, decays_of, interval_text, save_fitted, source_of
from ...worm.fitting import Fit, Model, fit, scored
from ...worm.predictions import of_graph
from ...worm.propagation import checked_circuit, propagate, propagate_in_body
from ...worm.propagation_table import compare_propagation
from .command import start
from .tables import publish

GRAPH = "cook2019-whole"
BACKGROUNDS = (0.0, 0.05, 0.1, 0.3, 1.0)


def propagation(atlas: Atlas) -> dict[str, str]:
    """Return the table of the unfitted circuit, lying still and swimming, and what background drive does."""
    resolved = resolve(RunConfig("connectome", circuit_options={"graph": GRAPH}))
    agent, other = Agent(resolved.agent), load_atlas("unc31")
    graph, dt = load_graph(GRAPH), resolved.agent.layout.dt
    driven = {
        background: propagate(checked_circuit(agent.circuit, background), background, dt=dt)
        for background in BACKGROUNDS
    }
    found = {"circuit": driven[0.1], "circuit, swimming": propagate_in_body(agent, resolved)}
    table = compare_propagation(atlas, graph, found, other, controls=20)
    rows = compare_propagation(
        atlas, graph, {f"{background:g}": each for background, each in driven.items()}, controls=0
    ).rows  # fmt: skip
    pairs = zip(rows[0 : 2 * len(driven) : 2], rows[1 : 2 * len(driven) : 2], strict=True)
    lines = [
        (
            over.name,
            interval_text(raw.auroc),
            interval_text(over.auroc),
            interval_text(over.less_linear or over.auroc, "+"),
        )
        for over, raw in pairs
    ]
    return {
        "propagation": table.markdown(),
        "background": markdown_table(("background", "change", "over the driven cell's", "less linear"), *lines),
    }


def fits(atlas: Atlas, out: Path, gains: Gains | None, rewired: int) -> str:
    """Return the table of nested fits; each is kept in a folder, and those that are there are not made again."""
    circuit = Agent(resolve(RunConfig("connectome", circuit_options={"graph": GRAPH})).agent).circuit
    assert isinstance(circuit, Connectome)

    def kept(model: Model, draw: int | None) -> Fit:
        kind = "none" if model.gains == "none" else gains or "circuit"
        name = f"{kind}{'-rates' * model.rates}{'-distance' * model.distance}"
        path = out / (name + ("" if draw is None else f"-rewired{draw}") + ".json")
        if not path.exists():
            made = fit(atlas, source_of(circuit, gains, draw), model, decays=decays_of(gains, model))
            out.mkdir(parents=True, exist_ok=True)
            known = [round(value, 6) for value in made.odds[atlas.measured].tolist()]
            write_text(path, json.dumps({"odds": known, "decays": made.decays}))
        held = json.loads(path.read_text(encoding="utf-8"))
        odds = np.full(atlas.q.shape, np.nan)
        odds[atlas.measured] = held["odds"]
        return scored(atlas, odds, tuple(held["decays"]))

    return compare_fits(atlas, circuit, gains, rewired=rewired, fitted=kept).markdown()


def swimming(atlas: Atlas, out: Path, episodes: int = 20) -> str:
    """Return the returns of the circuit before and after its gains are fitted to all stimulations."""
    resolved = resolve(RunConfig("connectome", circuit_options={"graph": GRAPH}))
    before = Agent(resolved.agent)
    circuit = before.circuit
    assert isinstance(circuit, Connectome)
    place = out / "fitted"
    run = Run(place) if place.exists() else save_fitted(atlas, circuit, resolved, 0.1, place)
    agents = {"untrained": before, "fitted to the atlas": run.agent()}
    lines = [(name, str(evaluate_on(resolved, agent, episodes).mean_return)) for name, agent in agents.items()]
    return markdown_table(("circuit", "return on swimmer6"), *lines)


def unfitted(atlas: Atlas) -> str:
    """Return the scores without a fit, as those of fits are: means of five folds."""
    values = {**of_graph(atlas, load_graph(GRAPH)), "distance": -atlas.distance()}
    return markdown_table(
        TITLES[:4],
        *(FitRow(name, scored(atlas, each)).cells()[:4] for name, each in values.items() if "signed" not in name),
    )


@dataclasses.dataclass(frozen=True)
class _Arguments:
    """Score the connectome on the propagation atlas, unfitted and fitted, beside its controls."""

    out: tyro.conf.Positional[Path]
    """Folder of the fits; those that are there are not made again."""
    gains: tuple[Literal["circuit", "global", "class"], ...] = ("global", "class", "circuit")
    """Fits of the circuit's own gains, of a network of conductances with 7 numbers, or with some for each class too."""
    rewired: int = 5
    """Rewired graphs for each."""
    page: Path | None = None
    """Page whose tables are made anew."""


def main(arguments: _Arguments) -> None:
    """Run what the command line asks for."""
    atlas = load_atlas()
    made = {**propagation(atlas), "unfitted": unfitted(atlas), "swimming": swimming(atlas, arguments.out)}
    for each in arguments.gains:
        made[f"fits-{each}"] = fits(atlas, arguments.out, None if each == "circuit" else each, arguments.rewired)
    publish(made, arguments.page)


if __name__ == "__main__":
    start(main, _Arguments)
