"""The commands of `nervecord`: their options, and the Python call that each is."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar, Literal

import tyro

from ..errors import InvalidRun, UnknownName
from ..training.learning.engine import Engine
from .parsing import Steps


@dataclasses.dataclass(frozen=True)
class Command:
    """What every command takes."""

    goes_on: ClassVar[bool] = False  # from where it was interrupted, when it is given again

    json: bool = False
    """Print the result as JSON, and no progress bar."""


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
class Train(_Spread):
    """Train a circuit on a body; the same command again resumes, or says that it is done."""

    goes_on = True

    out: Path = Path("runs/worm")
    """Folder of the run."""
    circuit: str = "ncap"
    """See `nervecord list circuits`."""
    algorithm: str = "es"
    """See `nervecord list algorithms`."""
    body: str = "swimmer6"
    """See `nervecord list bodies`, or a path to MuJoCo XML."""
    bodies: tuple[str, ...] = ()
    """Several bodies of one number of links, which the environments have in turn, in place of one."""
    arena: str | None = None
    """See `nervecord list arenas`; by default open space in the body's own medium."""
    physics: str = "mujoco"
    """What steps the bodies: mujoco, or lanes, many times as fast for planar chains."""
    task: str = "swim"
    """See `nervecord list tasks`."""
    seed: int = 0
    """Every random number of the run comes from it."""
    steps: Steps = 320_000
    """Environment steps to train for."""
    episode_steps: int | None = None
    """Control steps per episode; the task's own number by default."""
    task_options: tuple[str, ...] = ()
    """Such as desired_speed=0.2 (swim) or delay_steps=40 (cueturn)."""
    reward: str = "paper"
    """Swim's reward: paper (head speed, at most 1) or com (speed of the centre of mass)."""
    randomize: tuple[str, ...] = ()
    """Bodies drawn at reset, such as link_mass=0.8:1.2 viscosity=0:0.1, or link_mass=0.1:10:log."""
    checkpoint_every: Steps = 50_000
    """Environment steps between checkpoints."""
    evaluate_every: Steps | None = None
    """Environment steps between evaluations without the learner's noise (eval/return); none by default."""
    start: str | None = None
    """Folder of a run whose weights to begin with, on this body or another: fine-tuning."""
    protect: tuple[str, ...] = ()
    """Folders of runs whose tasks should not be forgotten: updates keep off what they have for inputs."""
    deficit: tuple[str, ...] = ()
    """Windows of training in which a sense reads zero, such as joint_pos:100000:200000 (SENSE:START:STOP)."""
    circuit_options: tuple[str, ...] = ()
    """Such as period=50 or hidden=[8,8]."""
    algorithm_options: tuple[str, ...] = ()
    """Such as n_envs=64 sigma=0.2."""

    def run(self) -> dict[str, Any]:
        """Train, and return a summary."""
        from ..envs.deficits import Deficit
        from ..training.learning.training import summary, train
        from ..training.runs.config import RunConfig

        config = RunConfig(
            circuit=self.circuit,
            algorithm=self.algorithm,
            body=self.body,
            bodies=self.bodies,
            arena=self.arena,
            physics=self.physics,
            task=self.task,
            seed=self.seed,
            steps=self.steps,
            episode_steps=self.episode_steps,
            reward=self.reward,
            task_options={name: _value(text) for name, text in _pairs(self.task_options)},
            randomize={name: _range(name, text) for name, text in _pairs(self.randomize)},
            checkpoint_every=self.checkpoint_every,
            evaluate_every=self.evaluate_every,
            start=self.start,
            protect=self.protect,
            deficits=tuple(Deficit.parse(text) for text in self.deficit),
            circuit_options={name: _value(text) for name, text in _pairs(self.circuit_options)},
            algorithm_options={name: _value(text) for name, text in _pairs(self.algorithm_options)},
        )
        return summary(train(config, self.out, progress=not self.json, **self._where))


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

        options = {name: _value(text) for name, text in _pairs(self.options)}
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
            circuit_options={name: _value(text) for name, text in _pairs(self.circuit_options)},
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

    def run(self) -> dict[str, Any]:
        """Go on, and return a summary."""
        from ..training.learning.curricula import CurriculumRun, curriculum, curriculum_summary
        from ..training.learning.training import resume, summary
        from ..training.runs.folder import holds

        if holds(self.path) == CurriculumRun.kind:
            config = CurriculumRun(self.path).config
            return curriculum_summary(curriculum(config, self.path, progress=not self.json))
        return summary(resume(self.path, progress=not self.json, **self._where))


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

    def model(self) -> tuple[Any, str, str, str] | None:
        """Return the model that a zip file holds, with the body, task and reward to try it on; None for a run."""
        from ..agents.foreign import load_sb3

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

        table = transfer(self.path, self.bodies, self.episodes, self.finetune, progress=not self.json)
        if self.json:
            return json.loads(table.to_json(orient="records"))
        return table.round(3).to_string(index=False, na_rep="")


def _pairs(texts: tuple[str, ...]) -> list[tuple[str, str]]:
    for text in texts:
        if "=" not in text:
            raise InvalidRun(f"option {text!r} has no value; give name=value")
    return [(text.split("=", 1)[0], text.split("=", 1)[1]) for text in texts]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _range(name: str, text: str) -> tuple[Any, ...]:
    *bounds, last = text.split(":")
    kind = [last] if last == "log" else []
    try:
        low, high = (float(part) for part in (bounds if kind else [*bounds, last]))
    except ValueError as error:
        raise InvalidRun(f"randomize {name}={text}; give low:high, such as {name}=0.8:1.2, or low:high:log") from error
    return low, high, *kind
