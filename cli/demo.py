"""The demo: train, evaluate, transfer, probe, film and report one worm."""

from __future__ import annotations

from pathlib import Path

from ..pages.reports import report
from ..training.learning.training import train
from ..training.probes.probing import probe
from ..training.rollouts.evaluation import evaluate
from ..training.runs.config import RunConfig
from ..training.studies.transfers import transfer
from ..videos.films import render

BODIES = ("swimmer4", "swimmer8", "swimmer12", "swimmer6-eel", "swimmer6-thick")


def demo(out: str | Path, progress: bool = True, trust: bool = False) -> Path:
    """Train NCAP by ES on swimmer6, measure it and write its report; steps that are already done are skipped.

    With `trust`, links in the folder are followed.
    """
    run = train(RunConfig(), out, progress, trust=trust)
    done = run.results.current
    if not done.where("evaluation"):
        evaluate(run, progress=progress)
    if not done.where("transfer"):
        transfer(run, BODIES, progress=progress)
    if not done.where("probe", "gait"):
        probe(run, ("gait", "diagram"), progress=progress)
    if not (run.path / "film.mp4").exists():
        render(run, run.path / "film.mp4", seconds=20, progress=progress)
    return report(run)
