"""The commands of `nervecord`: their options, and the Python call that each is."""

from __future__ import annotations

import dataclasses
import functools
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import tyro

from ..errors import InvalidRun, UnknownName
from ..training.learning.engine import Engine
from ..training.runs.holds import holds
from .config_options import config_of, pairs, with_config_options
from .parsing import Steps
from .printing import table_text

if TYPE_CHECKING:
    import pandas as pd

    from ..training.runs.config import RunConfig


@dataclasses.dataclass(frozen=True)
class Command:
    """What every command takes."""

    goes_on: ClassVar[bool] = False  # from where it was interrupted, when it is given again

    json: bool = False
    """Print the result as JSON, and no progress bar."""

    @classmethod
    def prepared(cls, arguments: Sequence[str]) -> type[Any]:  # noqa: ARG003
        """Return the command as it is parsed."""
        return cls

    def check(self) -> None:
        """Refuse at once what shows without loading a library, as a folder that holds no run does."""

    def table(self, found: pd.DataFrame) -> Any:
        """Return a table, each value in its own unit, for machines or for people."""
        return json.loads(found.to_json(orient="records")) if self.json else table_text(found)


@dataclasses.dataclass(frozen=True)
class _Spread(Command):
    workers: int | None = None
    """Processes that evaluate a population (es, cmaes), one core each; by default this one, on all cores."""
    engine: Engine = "local"
    """Where the workers are: local, or ray (pip install "nervecord[ray]")."""
    address: str | None = None
    """Of a Ray cluster; by default Ray starts on this machine."""

    @property
    def _where(self) -> dict[str, Any]:
        return {"workers": self.workers, "engine": self.engine, "address": self.address}


@dataclasses.dataclass(frozen=True)
class Configured(Command):
    """A command that takes every field of a run's config as an option; see `config_options`."""

    held_config: ClassVar[Mapping[str, Any]] = {}

    config: Path | None = None
    """A TOML file with these options, by the names of RunConfig's fields; what is given beside it counts."""
    reward: str | None = None
    """The task's option reward, in short: swim's is paper (head speed, at most 1) or com (of the centre of mass)."""

    @classmethod
    def prepared(cls, arguments: Sequence[str]) -> type[Any]:
        """Return the command with an option for each field."""
        return with_config_options(cls, arguments)

    def check(self) -> None:
        """Refuse options that no run takes."""
        _ = self.run_config

    @functools.cached_property
    def run_config(self) -> RunConfig:
        """The config that the options make."""
        made: RunConfig = config_of(self)
        if self.reward is None:
            return made
        in_file = self.held_config.get("task_options", {}).get("reward")
        if made.task_options.get("reward", self.reward) not in (self.reward, in_file):
            raise InvalidRun(f"reward is {made.task_options['reward']} and {self.reward}; give one of them")
        return dataclasses.replace(made, task_options={**made.task_options, "reward": self.reward})


@dataclasses.dataclass(frozen=True)
class Train(_Spread, Configured):
    """Train a circuit on a body; the same command again resumes, or says that it is done."""

    goes_on = True

    out: Path = Path("runs/worm")
    """Folder of the run."""

    def run(self) -> dict[str, Any]:
        """Train, and return a summary."""
        from ..training.learning.training import summary, train

        done = summary(train(self.run_config, self.out, progress=not self.json, **self._where))
        return done if self.json else {**done, "next": next_commands(self.out)}


def next_commands(run: Path) -> list[str]:
    """Return the commands that people give after a training, each with what it is for."""
    path = shlex.quote(str(run))
    commands = {
        f"nervecord evaluate {path}": "its return, with an interval",
        f"nervecord render {path} --out {shlex.quote(str(run / 'film.mp4'))}": "a film",
        f"nervecord probe {path} --probes all": "what its body and neurons do",
        f"nervecord transfer {path}": "how it does on other bodies",
        f"nervecord report {path}": "one page about all of it",
    }
    width = max(map(len, commands))
    return [f"{command:<{width}}  {why}" for command, why in commands.items()]


@dataclasses.dataclass(frozen=True)
class Curriculum(Command):
    """Train a circuit to remember bits for longer and longer; the same command again goes on."""

    goes_on = True

    out: Path = Path("runs/memory")
    """Folder of the curriculum."""
    circuit: str = "ctrnn"
    """A circuit with memory; see `nervecord list circuits`."""
    task: str = "parity"
    """parity or delayed-match."""
    kind: Literal["single-head", "multi-head", "sliding"] = "multi-head"
    """One N at a time, every N so far, or the last few."""
    seed: int = 0
    """Every random number comes from it."""
    updates: Steps = 10_000
    """Of the weights."""
    circuit_options: tuple[str, ...] = ()
    """Such as units=500."""
    options: tuple[str, ...] = ()
    """Such as learning_rate=0.1 max_n=20; see `CurriculumConfig`."""

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
            circuit=self.circuit,
            task=self.task,
            kind=self.kind,
            seed=self.seed,
            updates=self.updates,
            circuit_options=pairs(self.circuit_options),
            **options,
        )
        return curriculum_summary(curriculum(config, self.out, progress=not self.json))


@dataclasses.dataclass(frozen=True)
class OnRun(Command):
    """A command about one run."""

    path: tyro.conf.Positional[Path] = tyro.MISSING
    """Folder of the run."""

    def check(self) -> None:
        """Refuse a folder that holds no run."""
        holds(self.path)


@dataclasses.dataclass(frozen=True)
class Intervening(Command):
    """A command that may silence, clamp or drive neurons."""

    silence: tuple[str, ...] = ()
    """Neurons to hold at 0, such as B_d_2, or B_d_2:100:200 (NEURON:START:STOP, control steps)."""
    clamp: tuple[str, ...] = ()
    """Neurons to hold at a value, such as osc_v=1.0 or osc_v=1.0:100:200."""
    drive: tuple[str, ...] = ()
    """Neurons to add a value to, such as B_d_0=0.5:100:200."""

    @property
    def interventions(self) -> list[Any]:
        """What is done to neurons, and when."""
        from ..training.rollouts.interventions import Intervention

        return [
            *(Intervention.parse("silence", text) for text in self.silence),
            *(Intervention.parse("clamp", text) for text in self.clamp),
            *(Intervention.parse("drive", text) for text in self.drive),
        ]


@dataclasses.dataclass(frozen=True)
class Resume(_Spread, OnRun):
    """Go on with a run or a curriculum that was stopped."""

    goes_on = True

    device: str | None = None
    """Where to compute from now on, as torch names it; by default where it was."""

    def run(self) -> dict[str, Any]:
        """Go on, and return a summary."""
        from ..training.learning.curricula import CurriculumRun, curriculum, curriculum_summary
        from ..training.learning.training import resume, summary

        if holds(self.path) == CurriculumRun.kind:
            config = CurriculumRun(self.path).config
            return curriculum_summary(curriculum(config, self.path, progress=not self.json))
        done = summary(resume(self.path, progress=not self.json, device=self.device, **self._where))
        return done if self.json else {**done, "next": next_commands(self.path)}


@dataclasses.dataclass(frozen=True)
class OnRunOrModel(Intervening):
    """A command about a run or about a model that SB3 saved."""

    path: tyro.conf.Positional[Path] = tyro.MISSING
    """Folder of the run, or a zip file that SB3 saved (with --trust)."""
    body: str | None = None
    """Another body than the run's own; the body of a zip file, swimmer6 by default."""
    trust: bool = False
    """Read a zip file although it can run any code: say so only of files whose maker you know."""
    algorithm: str | None = None
    """Which class saved the zip file: ppo (by default), sac, td3, ddpg, a2c, es, cmaes or circuit-ppo."""
    task: str | None = None
    """Of a zip file, swim by default; a run knows its own."""
    reward: str | None = None
    """Of a zip file on Swim, paper by default; a run knows its own."""

    def check(self) -> None:
        """Refuse a folder that holds no run."""
        if self.path.suffix != ".zip":
            holds(self.path)

    def model(self) -> tuple[Any, str, str, str] | None:
        """Return the model that a zip file holds, with the body, task and reward to try it on; None for a run."""
        from ..agents.sb3.zip_files import load_sb3

        if self.path.suffix != ".zip":
            given = {"--trust": self.trust, "--algorithm": self.algorithm, "--task": self.task, "--reward": self.reward}
            if names := [name for name, value in given.items() if value]:
                raise InvalidRun(
                    f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} about a zip file that SB3 saved, and "
                    f"{self.path} is none; a run knows its own, so leave {'it' if len(names) == 1 else 'them'} out"
                )
            return None
        if self.interventions:
            raise InvalidRun(f"{self.path} is a zip file; neurons are silenced, clamped or driven in runs alone")
        model = load_sb3(self.path, self.algorithm or "ppo", self.trust)
        return model, self.body or "swimmer6", self.task or "swim", self.reward or "paper"


@dataclasses.dataclass(frozen=True)
class Evaluate(OnRunOrModel):
    """Report the mean return with a bootstrap 95 % interval over episodes."""

    episodes: int = 20
    """Episodes, each with its own seed, apart from training's."""

    def run(self) -> dict[str, Any]:
        """Evaluate, and return estimates with their intervals."""
        from ..training.rollouts.evaluation import evaluate, evaluate_model

        if model := self.model():
            result = evaluate_model(*model, self.episodes, progress=not self.json)
        else:
            result = evaluate(self.path, self.episodes, self.body, self.interventions, progress=not self.json)
        return result.to_json() if self.json else {name: str(found) for name, found in result.intervals.items()}


@dataclasses.dataclass(frozen=True)
class Transfer(OnRun):
    """Test a run's agent zero-shot on other bodies, beside untrained NCAP."""

    bodies: tuple[str, ...] = ("swimmer4", "swimmer8", "swimmer12")
    """Names or XML files."""
    episodes: int = 20
    """Episodes on each body."""
    finetune: Steps = 0
    """Environment steps to train on each other body, and to test again after; 0 for none."""

    def run(self) -> Any:
        """Test, and return the table."""
        from ..training.studies.transfers import transfer

        return self.table(transfer(self.path, self.bodies, self.episodes, self.finetune, progress=not self.json))
