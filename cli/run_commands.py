"""The commands of `nervecord`: their options, and the Python call that each is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import tyro

from ..errors import InvalidRun, UnknownName
from ..training.learning.engine import Engine
from .config_options import config_of, pairs, with_config_options
from .parsing import Steps

if TYPE_CHECKING:
    from ..training.rollouts.saved_models import SavedModel
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

    @property
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

        return summary(train(self.run_config, self.out, progress=not self.json, **self._where))


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
        from ..training.runs.folder import holds

        if holds(self.path) == CurriculumRun.kind:
            config = CurriculumRun(self.path).config
            return curriculum_summary(curriculum(config, self.path, progress=not self.json))
        return summary(resume(self.path, progress=not self.json, device=self.device, **self._where))


@dataclasses.dataclass(frozen=True)
class OnModels(Command):
    """A command that takes a model that SB3 saved where it takes a run."""

    body_is_of_zips: ClassVar[bool] = False  # a run's own body is meant, and `body` says a zip file's

    trust: bool = False
    """Read a zip file although it can run any code: say so only of files whose maker you know."""
    algorithm: str | None = None
    """Which class saved the zip file, such as ppo, sac or recurrent-ppo; by default what the file tells."""
    normalize: Path | None = None
    """Of a zip file, what VecNormalize.save wrote; found by itself where RL Zoo and SB3's callbacks put it."""
    frames: int | None = None
    """Of a zip file, how many observations VecFrameStack showed it at once, 1 by default."""
    task: str | None = None
    """Of a zip file, swim by default; a run knows its own."""
    reward: str | None = None
    """Of a zip file on Swim, paper by default; a run knows its own."""
    task_options: tuple[str, ...] = ()
    """Of a zip file, NAME=VALUE, such as desired_speed=0.2; a run knows its own."""
    observe_time: bool = False
    """The zip file was shown the seconds since the reset, last of all; a run knows that."""
    episode_steps: Steps | None = None
    """Of a zip file, control steps of an episode, the task's own number by default; a run knows its own."""

    def model(self, path: Path, body: str | None = None) -> SavedModel | None:
        """Return the model that a zip file holds, with what it is tried in; None for a run."""
        from ..training.rollouts.saved_models import SavedModel

        if path.suffix != ".zip":
            of_zips = {field.name for field in dataclasses.fields(OnModels)} - {"json"}
            names = [f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(self)
                     if field.name in of_zips | ({"body"} if self.body_is_of_zips else set())
                     and getattr(self, field.name) != field.default]  # fmt: skip
            if names:
                raise InvalidRun(
                    f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} about a zip file that SB3 saved, and "
                    f"{path} is none; a run knows its own, so leave {'it' if len(names) == 1 else 'them'} out"
                )
            return None
        options = pairs(self.task_options) | ({} if self.reward is None else {"reward": self.reward})
        return SavedModel.load(
            path, self.trust, self.algorithm, self.normalize, body=body or "swimmer6", task=self.task or "swim",
            task_options=options, observe_time=self.observe_time, episode_steps=self.episode_steps,
            frames=1 if self.frames is None else self.frames,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class OnRunOrModel(Intervening, OnModels):
    """A command about a run or about a model that SB3 saved."""

    path: tyro.conf.Positional[Path] = tyro.MISSING
    """Folder of the run, or a zip file that SB3 saved (with --trust)."""
    body: str | None = None
    """Another body than the run's own; the body of a zip file, swimmer6 by default."""

    @property
    def saved_model(self) -> SavedModel | None:
        """The model that a zip file holds, with what it is tried in; None for a run."""
        if self.path.suffix == ".zip" and self.interventions:
            raise InvalidRun(f"{self.path} is a zip file; neurons are silenced, clamped or driven in runs alone")
        return self.model(self.path, self.body)


@dataclasses.dataclass(frozen=True)
class Evaluate(OnRunOrModel):
    """Report the mean return with a bootstrap 95 % interval over episodes."""

    episodes: int = 20
    """Episodes, each with its own seed, apart from training's."""

    def run(self) -> dict[str, Any]:
        """Evaluate, and return estimates with their intervals."""
        from ..training.rollouts.evaluation import evaluate, evaluate_model

        if model := self.saved_model:
            result = evaluate_model(model, self.episodes, progress=not self.json)
        else:
            result = evaluate(self.path, self.episodes, self.body, self.interventions, progress=not self.json)
        return result.to_json() if self.json else {name: str(found) for name, found in result.intervals.items()}


@dataclasses.dataclass(frozen=True)
class Transfer(OnModels):
    """Test a run's agent zero-shot on other bodies, beside untrained NCAP."""

    body_is_of_zips = True

    path: tyro.conf.Positional[Path] = tyro.MISSING
    """Folder of the run, or a zip file that SB3 saved (with --trust)."""
    body: str | None = None
    """Of a zip file, the body that it was trained on, swimmer6 by default; a run knows its own."""
    bodies: tuple[str, ...] = ("swimmer4", "swimmer8", "swimmer12")
    """Names or XML files."""
    episodes: int = 20
    """Episodes on each body."""
    finetune: Steps = 0
    """Environment steps to train on each other body, and to test again after; 0 for none."""

    def run(self) -> Any:
        """Test, and return the table."""
        from ..training.studies.transfers import transfer, transfer_model

        if model := self.model(self.path, self.body):
            if self.finetune:
                raise InvalidRun(f"--finetune trains runs, and {self.path} is a zip file; leave it out")
            table = transfer_model(model, self.bodies, self.episodes, progress=not self.json)
        else:
            table = transfer(self.path, self.bodies, self.episodes, self.finetune, progress=not self.json)
        if self.json:
            return json.loads(table.to_json(orient="records"))
        return table.round(3).to_string(index=False, na_rep="")
