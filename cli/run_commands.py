"""Commands that train agents and evaluate them, each of them one Python call."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from ..errors import UnknownName
from ..training.runs.holds import holds
from .config_options import circuit_named, pairs
from .parsing import Steps
from .printing import over_bodies_text, run_told

if TYPE_CHECKING:
    from ..training.runs.run import Run

from .command import Configured, OnModels, OnRun, OnRunOrModel, Spread, Trusting


@dataclasses.dataclass(frozen=True)
class Train(Spread, Configured):
    """Train a circuit on a body. Run the same command again to resume."""

    goes_on = True

    out: Path = Path("runs/worm")
    """Folder of the run."""

    def run(self) -> dict[str, Any]:
        """Train, and return a summary."""
        from ..training.learning.training import summary, train

        run = train(self.run_config, self.out, progress=not self.json, trust=self.trust, **self.where)
        return summary(run) if self.json else {**run_told(summary(run)), "next": next_commands(run)}


def next_commands(run: Run) -> list[str]:
    """Return commands to try after training, each with its purpose."""
    path = run.argument
    commands = {
        f"nervecord evaluate {path}": "its return, with an interval",
        f"nervecord render {path} --out {shlex.quote(str(run.path / 'film.mp4'))}": "a film",
        f"nervecord probe {path} --probes all": "what its body and neurons do",
        f"nervecord transfer {path}": "how it does on other bodies",
        f"nervecord report {path}": "one page about all of it",
    }
    width = max(map(len, commands))
    return [f"{command:<{width}}  {why}" for command, why in commands.items()]


@dataclasses.dataclass(frozen=True)
class Curriculum(Trusting):
    """Train a circuit to remember bits for longer and longer. Run the same command again to resume."""

    goes_on = True

    out: Path = Path("runs/memory")
    """Folder of the curriculum."""
    circuit: str = "ctrnn"
    """A circuit with memory; see `nervecord list circuits`."""
    task: str = "parity"
    """parity or delayed-match."""
    kind: Literal["single-head", "multi-head", "sliding"] = "multi-head"
    """Delays N trained together: one at a time (single-head), all so far (multi-head), or the last few (sliding)."""
    seed: int = 0
    """Seed of every random number."""
    updates: Steps = 10_000
    """Number of weight updates."""
    circuit_options: tuple[str, ...] = ()
    """Options of the circuit, such as units=500."""
    options: tuple[str, ...] = ()
    """Other fields of CurriculumConfig, such as learning_rate=0.1 max_n=20."""

    def run(self) -> dict[str, Any]:
        """Train, and return what was solved."""
        from ..training.learning.curricula import CurriculumConfig, curriculum, curriculum_summary

        options = pairs(self.options)
        known = {field.name for field in dataclasses.fields(CurriculumConfig)} - {
            field.name for field in dataclasses.fields(self)
        }
        for option in options:
            if option not in known:
                raise UnknownName("option of curriculum", option, sorted(known))
        config = CurriculumConfig(
            circuit=circuit_named(self.circuit),
            task=self.task,
            kind=self.kind,
            seed=self.seed,
            updates=self.updates,
            circuit_options=pairs(self.circuit_options),
            **options,
        )
        return curriculum_summary(curriculum(config, self.out, progress=not self.json, trust=self.trust))


@dataclasses.dataclass(frozen=True)
class Resume(Spread, OnRun):
    """Resume a run or a curriculum that was stopped."""

    goes_on = True

    path: tyro.conf.Positional[Path] = tyro.MISSING
    """Folder of the run or the curriculum."""
    device: str | None = None
    """Torch device to train on from now on, such as cpu or cuda; by default the same as before."""

    def run(self) -> dict[str, Any]:
        """Resume, and return a summary."""
        from ..training.learning.curricula import CurriculumRun, curriculum, curriculum_summary
        from ..training.learning.training import resume, summary

        if holds(self.path, self.trust) == CurriculumRun.kind:
            self.refuse("workers engine address", f"{self.path} is a curriculum, which trains in this process")
            config = CurriculumRun(self.path, self.trust).config
            config = config if self.device is None else dataclasses.replace(config, device=self.device)
            return curriculum_summary(curriculum(config, self.path, progress=not self.json, trust=self.trust))
        found = resume(self.path, progress=not self.json, device=self.device, trust=self.trust, **self.where)
        return summary(found) if self.json else {**run_told(summary(found)), "next": next_commands(found)}


@dataclasses.dataclass(frozen=True)
class Evaluate(OnRunOrModel):
    """Report an agent's mean return with a bootstrap 95 % interval over episodes, on each body of its run."""

    too_many = "for several bodies: nervecord transfer RUN --bodies swimmer4 swimmer12"

    episodes: int = 20
    """Number of episodes, each with its own seed; training uses other seeds."""

    def run(self) -> Any:
        """Evaluate, and return estimates with their intervals."""
        from ..envs.tasks.registry import task_class
        from ..training.rollouts.evaluation import evaluate, evaluate_model

        if model := self.saved_model:
            task = model.task
            result = evaluate_model(model, self.episodes, progress=not self.json)
        else:
            with self.opened(self.body) as run:
                task = run.config.task
                result = evaluate(run, self.episodes, self.body, self.interventions, progress=not self.json)
        if self.json:
            return result.to_json()
        units = task_class(task).metric_units
        if result.bodies:
            worst, on_worst = result.worst
            return over_bodies_text({**result.bodies, f"worst: {worst}": on_worst, "mean": result}, units)
        normalized = result.normalized_return
        told = {} if normalized is None else {"normalized_return": f"{normalized}, 0 random, 1 best known"}
        shown = {name: found.told(units.get(name, "")) for name, found in result.intervals.items() if name != "stratum"}
        strata = {}
        for bound, each in result.strata.items():
            of = each.intervals
            strata[f"from {bound:g} body lengths"] = {
                name: str(of[name]) for name in ("return", "reached") if name in of
            }
        return shown | told | strata


@dataclasses.dataclass(frozen=True)
class Transfer(OnModels):
    """Test a run's agent zero-shot on other bodies, with untrained NCAP as a baseline."""

    body_is_of_zips = True

    path: tyro.conf.Positional[Path] = tyro.MISSING
    """Folder of the run, agent:NAME (see `nervecord list agents`), or an SB3 .zip (with --trust)."""
    body: str | None = None
    """For an SB3 .zip: the body that it was trained on, swimmer6 by default."""
    bodies: tuple[str, ...] = ("swimmer4", "swimmer8", "swimmer12")
    """Bodies to test on: names or MuJoCo XML files."""
    episodes: int = 20
    """Episodes on each body."""
    finetune: Steps = 0
    """Environment steps of fine-tuning on each other body, after which it is tested again; 0 for none."""

    def check(self) -> None:
        """Refuse a folder without a run, and options that would have no effect."""
        self.check_zip(self.path)
        if self.path.suffix == ".zip":
            self.refuse("finetune", f"it trains runs, and {self.path} is a zip file")
        else:
            holds(self.path, self.trust)

    def run(self) -> Any:
        """Test, and return the table."""
        import pandas as pd

        from ..training.studies.transfers import transfer, transfer_model, worst_and_mean

        if model := self.model(self.path, self.body):
            table = transfer_model(model, self.bodies, self.episodes, progress=not self.json)
        else:
            run = self.run_in(self.path)
            table = transfer(run, self.bodies, self.episodes, self.finetune, progress=not self.json)
        over = worst_and_mean(table)
        return self.table(pd.concat([table, over], ignore_index=True) if len(over) else table)
