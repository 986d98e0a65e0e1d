"""Options that several commands share: what a run is, what is run, and what is disturbed."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import tyro

from ..errors import InvalidOption
from ..training.learning.engine import Engine
from ..training.runs.holds import holds
from .config_options import arena_given, circuit_named, config_of, pairs, with_config_options
from .parsing import Steps
from .printing import table_text

if TYPE_CHECKING:
    import pandas as pd

    from ..training.rollouts.saved_models import SavedModel
    from ..training.runs.config import RunConfig
    from ..training.runs.run import Run


@dataclasses.dataclass(frozen=True)
class Command(ABC):
    """Options that every command has."""

    too_many: ClassVar[str] = ""  # what to do instead of giving an option more values than it takes
    goes_on: ClassVar[bool] = False  # from where it was interrupted, when it is given again

    json: bool = False
    """Print the result as JSON, without a progress bar."""

    @classmethod
    def prepared(cls, arguments: Sequence[str]) -> type[Any]:  # noqa: ARG003
        """Return the class that the arguments are parsed into."""
        return cls

    def refuse(self, names: str, why: str) -> None:
        """Refuse options that would have no effect.

        Args:
            names: fields of the command, separated by spaces; a field at its default counts as not given.
            why: the end of the error message: what these options are for, or what to do instead.

        Raises:
            InvalidOption: one of them is given.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        given = [f"--{name.replace('_', '-')}" for name in names.split() if getattr(self, name) != defaults[name]]
        if given:
            raise InvalidOption(f"{', '.join(given)} would have no effect: {why}")

    def check(self) -> None:  # noqa: B027  # most commands have nothing to refuse so early
        """Raise the errors that can be found without loading a large library, such as a folder without a run."""

    def table(self, found: pd.DataFrame) -> Any:
        """Return a table as JSON types with --json, and otherwise as text; values keep their units."""
        return json.loads(found.to_json(orient="records")) if self.json else table_text(found)

    @abstractmethod
    def run(self) -> Any:
        """Run the command, and return what is to be printed."""


@dataclasses.dataclass(frozen=True)
class Trusting(Command):
    """A command that opens folders from other people."""

    trust: bool = False
    """Follow links in the folder and run circuit code stored in it. Use only if you trust who made the folder."""

    def run_in(self, path: Path) -> Run:
        """Return the run in a folder."""
        from ..training.runs.run import Run

        return Run(path, self.trust)


@dataclasses.dataclass(frozen=True)
class Spread(Command):
    """Where the workers of a population run."""

    workers: int | None = None
    """Worker processes for a population (es, cmaes), one core each; by default this process uses all cores."""
    engine: Engine = "local"
    """Where workers run: local (this machine), or ray (needs pip install "nervecord[ray]")."""
    address: str | None = None
    """Address of a Ray cluster; by default Ray starts on this machine."""

    @property
    def where(self) -> dict[str, Any]:
        """The same as keywords of `train` and `resume`."""
        return {"workers": self.workers, "engine": self.engine, "address": self.address}


@dataclasses.dataclass(frozen=True)
class Configured(Trusting):
    """A command that takes every field of a run's config as an option; see `config_options`."""

    held_config: ClassVar[Mapping[str, Any]] = {}

    config: Path | None = None
    """TOML file of options, named as the fields of RunConfig; options on the command line override it."""
    reward: str | None = None
    """Short for --task-options reward=...; for swim: paper (head speed, at most 1) or com (centre-of-mass speed)."""

    @classmethod
    def prepared(cls, arguments: Sequence[str]) -> type[Any]:
        """Return the command with an option for each field."""
        return with_config_options(cls, arguments)

    def check(self) -> None:
        """Refuse invalid options."""
        _ = self.run_config

    @functools.cached_property
    def run_config(self) -> RunConfig:
        """The run's config, made from the options."""
        if self.trust:
            for path in (self.start, *self.protect):  # type: ignore[attr-defined]
                if path:
                    self.run_in(Path(path))  # which runs the code of its circuit, for this process
        made: RunConfig = config_of(self)
        if self.reward is None:
            return made
        in_file = self.held_config.get("task_options", {}).get("reward")
        return dataclasses.replace(made, task_options=_rewarded(made.task_options, self.reward, in_file))


def _rewarded(options: Mapping[str, Any], reward: str | None, in_file: str | None = None) -> Mapping[str, Any]:
    """Return a task's options with the reward of --reward, which one of a file of options gives way to.

    Raises:
        InvalidOption: the options have another.
    """
    if reward is None:
        return options
    if options.get("reward", reward) not in (reward, in_file):
        raise InvalidOption(f"reward is {options['reward']} and {reward}; give one of them")
    return {**options, "reward": reward}


@dataclasses.dataclass(frozen=True)
class OnRun(Trusting):
    """A command about one run."""

    path: tyro.conf.Positional[Path] = tyro.MISSING
    """Folder of the run, or agent:NAME (see `nervecord list agents`)."""

    def check(self) -> None:
        """Refuse a folder that holds no run."""
        holds(self.path, self.trust)

    def opened(self) -> Run:
        """Return the run."""
        return self.run_in(self.path)


@dataclasses.dataclass(frozen=True)
class OnRuns(Trusting):
    """A command about several runs."""

    runs: tyro.conf.Positional[tuple[Path, ...]] = tyro.MISSING
    """Folders of runs, or agent:NAME (see `nervecord list agents`)."""

    def opened(self) -> list[Run]:
        """Return the runs."""
        return [self.run_in(path) for path in self.runs]


@dataclasses.dataclass(frozen=True)
class Intervening(Command):
    """A command that may silence, clamp or drive neurons."""

    silence: tuple[str, ...] = ()
    """Neurons or groups to hold at 0: NAME or NAME:START:STOP in control steps. Names: `nervecord list neurons RUN`."""
    clamp: tuple[str, ...] = ()
    """Neurons or groups to hold at a value, such as osc_v=1.0 or osc_v=1.0:100:200."""
    drive: tuple[str, ...] = ()
    """Neurons or groups to add a value to, such as B_d_0=0.5:100:200."""

    @property
    def interventions(self) -> list[Any]:
        """The interventions on neurons."""
        from ..training.rollouts.interventions import Intervention

        return [
            *(Intervention.parse("silence", text) for text in self.silence),
            *(Intervention.parse("clamp", text) for text in self.clamp),
            *(Intervention.parse("drive", text) for text in self.drive),
        ]


@dataclasses.dataclass(frozen=True)
class Disturbing(Intervening):
    """A command that may also add noise to all neurons."""

    noise: float | None = None
    """Standard deviation of noise added to every neuron in every control step; none by default."""
    noise_unit: Literal["own", "absolute"] | None = None
    """Unit of --noise: each neuron's standard deviation without noise (own, the default), or its unit (absolute)."""

    def check(self) -> None:
        """Refuse a noise that is not above 0."""
        if self.noise is None:
            self.refuse("noise_unit", "it is the unit of --noise, which is not given")
        elif not 0 < self.noise < float("inf"):
            raise InvalidOption(f"--noise is {self.noise}; give a number above 0, such as 0.3")
        super().check()

    def done_to(self, run: Any, episodes: int, body: str | None = None) -> list[Any]:
        """Return the interventions on a run's neurons, including the noise."""
        from ..training.rollouts.recorder import disturbances

        noise = () if self.noise is None else disturbances(run, self.noise, self.noise_unit or "own", episodes, body)
        return [*self.interventions, *noise]


@dataclasses.dataclass(frozen=True)
class OnModels(Trusting):
    """A command that accepts a model saved by Stable-Baselines3 (SB3) in place of a run."""

    body_is_of_zips: ClassVar[bool] = False  # a run's own body is meant, and `body` says a zip file's
    of_zips: ClassVar[str] = "algorithm normalize frames task reward task_options observe_time episode_steps"

    trust: bool = False
    """Allow loading an SB3 .zip, running circuit code and following links. Use only with files that you trust."""
    algorithm: str | None = None
    """For an SB3 .zip: the class that saved it, such as ppo, sac or recurrent-ppo; by default read from the file."""
    normalize: Path | None = None
    """For an SB3 .zip: its VecNormalize file; found automatically where RL Zoo and SB3's callbacks save it."""
    frames: int | None = None
    """For an SB3 .zip: number of observations stacked by VecFrameStack, 1 by default."""
    task: str | None = None
    """For an SB3 .zip: the task, swim by default."""
    reward: str | None = None
    """For an SB3 .zip: reward of the task; for swim paper (the default) or com."""
    task_options: tuple[str, ...] = ()
    """For an SB3 .zip: options of the task as NAME=VALUE, such as desired_speed=0.2."""
    observe_time: bool = False
    """For an SB3 .zip: its observations end with the seconds since the reset."""
    episode_steps: Steps | None = None
    """For an SB3 .zip: control steps per episode, by default the task's own."""

    def check_zip(self, path: Path | None) -> None:
        """Refuse options for an SB3 .zip where none is given."""
        if path is None or path.suffix != ".zip":
            what = f"{path} is none; a run knows its own" if path else "an untrained agent is none"
            names = f"{self.of_zips} body" if self.body_is_of_zips else self.of_zips
            self.refuse(names, f"they are about a zip file that SB3 saved, and {what}")

    def model(self, path: Path | None, body: str | None = None) -> SavedModel | None:
        """Return the model in an SB3 .zip with its environment settings; None for any other path."""
        from ..training.rollouts.saved_models import SavedModel

        if path is None or path.suffix != ".zip":
            return None
        options = _rewarded(pairs(self.task_options), self.reward)
        return SavedModel.load(
            path, self.trust, self.algorithm, self.normalize, body=_or(body, "swimmer6"), task=_or(self.task, "swim"),
            task_options=options, observe_time=self.observe_time, episode_steps=self.episode_steps,
            frames=1 if self.frames is None else self.frames,
        )  # fmt: skip


def _or(given: str | None, default: str) -> str:
    """Return what is given, be it empty, or the default."""
    return default if given is None else given


@dataclasses.dataclass(frozen=True)
class OnAgent(Trusting):
    """A command about a run's agent, or about an untrained one."""

    path: tyro.conf.Positional[Path | None] = None
    """Folder of the run, or agent:NAME (see `nervecord list agents`)."""
    untrained: bool = False
    """Use an untrained agent instead of a run; ncap swims without training."""
    circuit: str | None = None
    """With --untrained: the circuit, ncap by default (see `nervecord list circuits`), or your FILE.py:CLASS."""
    circuit_options: tuple[str, ...] = ()
    """With --untrained: options of the circuit as NAME=VALUE, such as period=50."""
    task: str | None = None
    """With --untrained: the task, swim by default."""
    task_options: tuple[str, ...] = ()
    """With --untrained: options of the task as NAME=VALUE, such as desired_speed=0.2."""
    episode_steps: Steps | None = None
    """With --untrained: control steps per episode, by default the task's own."""
    arena: str | None = None
    """With --untrained: the arena, a name (see `nervecord list arenas`) or JSON; open by default."""
    seed: int | None = None
    """With --untrained: seed of the initial weights, 0 by default."""

    def check(self) -> None:
        """Refuse no agent or two agents, and options that do not apply."""
        if self.untrained:
            if self.path is not None:
                raise InvalidOption(f"{self.path} and --untrained are two agents; give one of them")
            return
        if self.path is None:
            raise InvalidOption("give the folder of a run, or --untrained with --circuit")
        about_task = "" if self.path.suffix == ".zip" else "task task_options episode_steps"
        why = f"they are about --untrained, and {self.path} knows its own"
        self.refuse(f"circuit circuit_options arena seed {about_task}", why)
        if self.path.suffix not in (".zip", ".nc"):
            holds(self.path, self.trust)

    @contextlib.contextmanager
    def opened(self, body: str | None = None) -> Iterator[Run]:
        """Open the run in the given folder, or one with an untrained agent.

        Args:
            body: body of an untrained agent, swimmer6 by default.
        """
        if self.path is not None:
            yield self.run_in(self.path)
            return
        from ..training.learning.initial import untrained
        from ..training.runs.config import RunConfig

        config = RunConfig(
            circuit_named(_or(self.circuit, "ncap")), body=_or(body, "swimmer6"), task=_or(self.task, "swim"),
            task_options=pairs(self.task_options), episode_steps=self.episode_steps, seed=self.seed or 0,
            circuit_options=pairs(self.circuit_options), arena=arena_given(self.arena),
        )  # fmt: skip
        with untrained(config) as run:
            yield run


@dataclasses.dataclass(frozen=True)
class OnRunOrModel(Intervening, OnAgent, OnModels):
    """A command about an agent, or about a model saved by SB3."""

    of_zips = "algorithm normalize frames reward observe_time"

    path: tyro.conf.Positional[Path | None] = None
    """Folder of the run, agent:NAME (see `nervecord list agents`), or an SB3 .zip (with --trust)."""
    body: str | None = None
    """Body to act on; by default the run's own, or swimmer6 for an SB3 .zip or --untrained."""
    task: str | None = None
    """For an SB3 .zip or --untrained: the task, swim by default."""
    task_options: tuple[str, ...] = ()
    """For an SB3 .zip or --untrained: options of the task as NAME=VALUE, such as desired_speed=0.2."""
    episode_steps: Steps | None = None
    """For an SB3 .zip or --untrained: control steps per episode, by default the task's own."""

    def check(self) -> None:
        """Refuse no agent or two agents, and options that do not apply."""
        if not (self.path and self.untrained):
            self.check_zip(self.path)
        if self.path and self.path.suffix == ".zip":
            self.refuse("silence clamp drive", f"{self.path} is a zip file; give a run, which has neurons")
        super().check()

    @property
    def saved_model(self) -> SavedModel | None:
        """The model in an SB3 .zip with its environment settings; None for any other agent."""
        return self.model(self.path, self.body)
