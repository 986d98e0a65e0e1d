"""Commands about the installation: a demonstration, speed, what there is by name, and what works here."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro

from ..errors import InvalidOption, UnknownName
from . import listings
from .command import Command, Trusting
from .surroundings import no_renderer

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Demo(Trusting):
    """Train, evaluate, transfer, probe, film and report one worm."""

    path: tyro.conf.Positional[Path] = tyro.MISSING
    """Folder of the run."""

    goes_on = True

    def run(self) -> dict[str, Any]:
        """Run all steps, and return the report's path and the results on each body."""
        from ..training.studies.transfers import transfer_table
        from .demo import demo

        path = str(demo(self.path, progress=not self.json, trust=self.trust))
        found = self.table(transfer_table(self.run_in(self.path)))
        return {"report": path, "results": found if self.json else found.splitlines()}


@dataclasses.dataclass(frozen=True)
class Bench(Command):
    """Measure speed in comparison with MuJoCo's own speed and other libraries."""

    repeats: int = 3
    """Number of measurements per row; the median is shown."""
    ppo: bool = False
    """Instead, PPO training: ours, on lanes and on MuJoCo, beside SB3's PPO and sb3-contrib's RecurrentPPO."""
    scale: bool = False
    """Instead, the overhead of parallel workers, sweeps and checkpoints."""
    lanes: bool = False
    """Instead, physics alone: lanes beside mj_step, for 3 to 100 links."""
    draw: str | None = None
    """With --lanes: file for the figure, such as lanes.svg."""
    zones: bool = False
    """Instead, arenas with zones: step time with several media relative to one medium, measured in pairs."""
    composed: bool = False
    """Instead, composed circuits: a step of `navigator` made of parts beside the steps of these parts alone."""
    learn: bool = False
    """Instead, learning: generations per second, and seconds from start to a given return, beside SB3's PPO."""
    seeds: int = 5
    """With --learn: number of seeds per method; the median is shown."""
    limit: float = 600.0
    """With --learn: time limit of each seed, seconds of learning."""

    def check(self) -> None:
        """Refuse to measure nothing."""
        from ..options import COUNT, wrong_value

        if wrong := wrong_value(vars(self), {"repeats": COUNT, "seeds": COUNT}):
            raise InvalidOption(wrong)
        if not self.limit > 0:
            raise InvalidOption(f"limit is {self.limit}; give seconds, more than 0")

    def run(self) -> Any:
        """Measure, and return the table."""
        from ..benchmarks import composed, lanes, learn, ppo, scale, speed, zones

        asked = [name for name in ("learn", "lanes", "zones", "composed", "scale", "ppo") if getattr(self, name)]
        self.refuse(" ".join(asked[1:]), f"one thing is measured at once, and --{asked[0]} is another" if asked else "")
        if not self.lanes:
            self.refuse("draw", "only --lanes draws a figure")
        if not self.learn:
            self.refuse("seeds limit", "only --learn trains; give --repeats for the others")
        if self.learn:
            rates = learn.learning_rates(self.repeats)
            times = learn.learning_times(self.seeds, self.limit, progress=not self.json)
            return {"rates": rates, "times": times} if self.json else learn.as_text(rates, times)
        if self.lanes:
            rows = lanes.lanes_speed(self.repeats)
            if self.draw:
                try:
                    lanes.figure(rows).savefig(self.draw)
                except (OSError, ValueError) as error:  # what was measured is printed all the same
                    _log.warning("nervecord: the figure cannot be written: %s", error)
            return rows if self.json else lanes.as_text(rows)
        if self.zones:
            rows = zones.zones_speed(self.repeats)
            return rows if self.json else zones.as_text(rows)
        if self.composed:
            rows = composed.composed_speed(self.repeats)
            return rows if self.json else composed.as_text(rows)
        if self.scale:
            rows = scale.scale(self.repeats)
            return rows if self.json else scale.as_text(rows)
        if self.ppo:
            rows = ppo.ppo_speed(self.repeats)
            return rows if self.json else ppo.as_text(rows)
        rows = speed.speed(self.repeats)
        return rows if self.json else speed.as_text(rows)


@dataclasses.dataclass(frozen=True)
class Names(Trusting):
    """List agents, bodies, tasks, circuits and more, the options of one, or the neurons of a run."""

    kind: tyro.conf.Positional[str] = tyro.MISSING
    """agents, bodies, arenas, senses, tasks, circuits, algorithms, probes or environments; options; or neurons."""
    of: tyro.conf.Positional[str | None] = None
    """For options: the name of an algorithm, circuit or task. For neurons: the folder of a run."""

    def run(self) -> dict[str, Any]:
        """Return the names with their descriptions."""
        if self.kind not in (*_LISTS, *_LISTS_OF):
            raise UnknownName("list", self.kind, [*_LISTS, *_LISTS_OF])
        if self.kind in _LISTS:
            if self.of is not None:
                raise InvalidOption(f"list {self.kind} takes no {self.of!r}; leave it out, or give options {self.of}")
            return _LISTS[self.kind]()
        if self.of is None:
            raise InvalidOption(f"list {self.kind} of what? give {_LISTS_OF[self.kind]}")
        if self.kind == "options":
            return listings.options_of(self.of)
        return listings.neurons_of(self.run_in(Path(self.of)))


def _bodies() -> dict[str, Any]:
    from ..envs import VARIANTS, body_names

    def told(name: str) -> str:
        if sized := re.fullmatch(r"(swimmer|worm)(\d+)", name):
            return f"{sized[2]} links, which may be any number from 3 to 100"
        variant = name.split("-")[-1]
        return VARIANTS[variant][0] if variant in VARIANTS else ""

    return {name: told(name) for name in body_names()}


def _arenas() -> dict[str, Any]:
    from ..envs import ARENAS

    return ARENAS.docs(lambda arena: (arena.__doc__ or "").splitlines()[0])


def _senses() -> dict[str, Any]:
    from ..envs import SENSES, TASKS

    TASKS.working()  # tasks bring senses of their own
    return SENSES.docs(lambda sense: (sense.__doc__ or "").splitlines()[0])


def _tasks() -> dict[str, Any]:
    from ..envs import TASKS

    return TASKS.docs(lambda task: (task.__doc__ or "").splitlines()[0])


def _circuits() -> dict[str, Any]:
    from ..circuits.registry import circuit_names

    return circuit_names()


def _algorithms() -> dict[str, Any]:
    from ..agents.algorithms.registry import ALGORITHMS

    return ALGORITHMS.docs(lambda algorithm: (algorithm.__doc__ or "").splitlines()[0])


def _probes() -> dict[str, Any]:
    from ..training.probes import PROBES

    return PROBES.docs(lambda probe: probe.doc)


# Each imports what it lists alone.
_LISTS: dict[str, Callable[[], dict[str, Any]]] = {
    "agents": listings.agents, "bodies": _bodies, "arenas": _arenas, "senses": _senses, "tasks": _tasks,
    "circuits": _circuits, "algorithms": _algorithms, "probes": _probes, "environments": listings.environments,
}  # fmt: skip
_LISTS_OF = {"options": "an algorithm, circuit or task, such as ppo", "neurons": "the folder of a run"}


@dataclasses.dataclass(frozen=True)
class Doctor(Command):
    """Check the installation: versions, threads, renderers and encoders, and how to fix problems."""

    def run(self) -> dict[str, Any]:
        """Return the findings."""
        with no_renderer():  # a value of MUJOCO_GL that does not work is one of the findings
            from .doctor import doctor

        return doctor()
