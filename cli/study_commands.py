"""The commands of `nervecord` that run or read many runs at once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import tyro

from ..errors import InvalidOption, UnknownName
from ..training.learning.engine import Engine
from .command import Command, Configured, OnRuns
from .config_options import circuit_named


@dataclasses.dataclass(frozen=True)
class Many(Command):
    """A command that trains many runs."""

    goes_on = True

    workers: int | None = None
    """Number of runs trained in parallel, one core each; by default the number of cores."""
    engine: Engine = "local"
    """Where runs are trained: local (this machine), or ray (needs pip install "nervecord[ray]")."""
    address: str | None = None
    """Address of a Ray cluster whose machines share the folder --out; by default Ray starts on this machine."""

    @property
    def _options(self) -> dict[str, Any]:
        return {
            "workers": self.workers,
            "engine": self.engine,
            "address": self.address,
            "progress": not self.json,
        }


@dataclasses.dataclass(frozen=True)
class Sweep(Many):
    """Train every combination of the values in a TOML file. Run the same command again to resume."""

    plan: tyro.conf.Positional[Path] = tyro.MISSING
    """TOML file with the tables base (options of all runs) and vary (lists of values)."""
    out: Path = Path("runs/sweep")
    """Folder for the runs and results.sqlite."""
    trust: bool = False
    """Allow the file to name circuit code (FILE.py:CLASS), which is then run."""

    def run(self) -> Any:
        """Train what is missing, and return the table."""
        from ..training.studies.groups import printed
        from ..training.studies.sweeps import Sweep, sweep, sweep_groups

        untrusted = None if self.trust else self.plan
        plan = Sweep.read(self.plan).named("circuit", lambda circuit: circuit_named(circuit, untrusted))
        table = sweep(plan, self.out, **self._options)
        groups = sweep_groups(plan, self.out)
        if self.json:
            return {"runs": self.table(table), "groups": self.table(groups)}
        by_group = f"\n\n{printed(groups).to_string(index=False)}" if len(groups) else ""
        return f"{self.table(table)}{by_group}"


@dataclasses.dataclass(frozen=True)
class Ablate(Many, Configured):
    """Train NCAP without each part of its prior, such as weight sharing, sign constraints and initial weights."""

    out: Path = Path("runs/ablation")
    """Folder for the runs, results.sqlite, ablation.csv and ablation.svg."""
    seeds: int = 5
    """Number of seeds, counted up from --seed."""
    episodes: int = 20
    """Episodes of each evaluation."""

    def run(self) -> Any:
        """Train what is missing, and return the table."""
        from ..training.studies.ablations import ablate

        return self.table(ablate(self.run_config, self.out, self.seeds, self.episodes, **self._options))


@dataclasses.dataclass(frozen=True)
class Damage(Many, Configured):
    """Take stretch sensors from a circuit at birth, at test, or after training, and train it again without them."""

    out: Path = Path("runs/damage")
    """Folder for the runs, results.sqlite and damage.csv."""
    joints: tuple[int, ...] = ()
    """Joints that lose their sensors, from 0 at the head; by default both every second joint and as many neighbours."""
    seeds: int = 3
    """Number of seeds, counted up from --seed."""
    episodes: int = 20
    """Episodes of each evaluation."""

    def run(self) -> Any:
        """Train what is missing, and return the table."""
        from ..training.studies.damages import damage, printed

        table = damage(self.run_config, self.out, self.joints, self.seeds, self.episodes, **self._options)
        return self.table(table) if self.json else printed(table).to_string(index=False)


@dataclasses.dataclass(frozen=True)
class Reproduce(Many):
    """Reproduce a paper, claim by claim. Run the same command again to resume."""

    paper: tyro.conf.Positional[str] = tyro.MISSING
    """The paper: ncap (Bhattasali, Zador and Engel 2022)."""
    scale: str = "small"
    """smoke (minutes), small (an hour or two on 2 cores), or paper (10 to 30 seeds, 2 to 3 hours on 2 cores)."""
    out: Path = Path("runs/ncap-paper")
    """Folder for the runs, results.sqlite, report.md and its figures."""

    def run(self) -> Any:
        """Run what is missing, and return the verdict on each claim."""
        from ..training.studies.ncap_paper.reproduction import reproduce

        if self.paper != "ncap":
            raise UnknownName("paper", self.paper, ["ncap"])
        claims = reproduce(self.out, self.scale, **self._options)
        if self.json:
            return self.table(claims)
        return {**dict(zip(claims["claim"], claims["verdict"], strict=True)), "report": str(self.out / "report.md")}


@dataclasses.dataclass(frozen=True)
class Compare(OnRuns):
    """Compare groups of runs that differ only in their seed: one table, and learning curves with intervals."""

    out: Path = Path("comparison")
    """Folder for table (.csv, .md, .tex), curves (.svg, .pdf, .png) and results.sqlite."""
    episodes: int = 20
    """Number of episodes for runs that are not evaluated yet."""
    labels: tuple[str, ...] = ()
    """New names for groups, such as "mlp=A network"; the old name is the one in the table."""

    def run(self) -> Any:
        """Write the comparison, and return its table."""
        from ..training.studies.comparisons import compare
        from ..training.studies.groups import printed

        labels = _labels(self.labels)
        found = compare(self.runs, self.out, self.episodes, labels, progress=not self.json, trust=self.trust)
        return self.table(found.table) if self.json else printed(found.table).to_string(index=False)


@dataclasses.dataclass(frozen=True)
class Route(OnRuns):
    """Combine several agents into one that recognises its body and lets the agent trained on that body act."""

    out: Path = Path("runs/router")
    """Folder of the new run, which evaluate, transfer, render and the other commands take."""
    by: Literal["motion", "facts"] = "motion"
    """Recognise the body by its motion (a fixed liquid reads the senses), or by its facts (the sense context)."""
    episodes: int = 5
    """Episodes recorded for each body and agent, the last held out for testing; also episodes of the evaluation."""
    seed: int = 0
    """Seed of the liquid."""

    def run(self) -> Any:
        """Write the router, and return what it recognises and how it moves."""
        from ..training.studies.routing import route

        found = route(self.runs, self.out, self.by, self.episodes, self.seed, not self.json, self.trust)
        return self.table(found.table)


def _labels(texts: Sequence[str]) -> dict[str, str]:
    """Return labels given as GROUP=LABEL.

    Raises:
        InvalidOption: one names no group, or two name the same.
    """
    found: dict[str, str] = {}
    for text in texts:
        group, equals, label = text.partition("=")
        if not equals or not label:
            raise InvalidOption(f"label {text!r} is for no group; give GROUP=LABEL, such as 'mlp=A network'")
        if group in found:
            raise InvalidOption(f"group {group!r} is given two labels; give it one")
        found[group] = label
    return found
