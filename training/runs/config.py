"""The config of a run: one immutable value from which the run can be repeated."""

from __future__ import annotations

import dataclasses
import os
import tomllib
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType
from typing import Any

from ...agents.algorithms.registry import ALGORITHMS, algorithm_named
from ...circuits import CIRCUITS
from ...circuits.code_files import circuit_from_json, circuit_json, code_of, load_code
from ...circuits.registry import unknown_circuit
from ...envs import TASKS, Arena, Body, make_arena, make_body
from ...envs.arenas import arena_json
from ...envs.bodies import body_from_json
from ...envs.choice import PHYSICS_CHOICES
from ...envs.deficits import Deficit
from ...envs.physics.mujoco_batch import substeps_of
from ...envs.randomization import wrong_range
from ...envs.tasks.bits import BIT_TASKS
from ...envs.tasks.registry import check_options, unknown_task
from ...errors import InvalidBody, InvalidOption, InvalidRun, UnknownName
from ...options import DEVICE, Allowed, Instance, ListOf, Number, not_plain, plain, wrong_value
from .held_files import check_held, check_held_of_task, hold_files, hold_task_files

_NUMBERS = {
    "seed": Number(0, 2**32 - 1, is_whole=True),
    "steps": Number(1, is_whole=True),
    # More would not fit into memory as a recording: a million steps are some gigabytes.
    "episode_steps": Number(1, 1_000_000, is_whole=True, also=(None,), none="leave it out"),
    "checkpoint_every": Number(1, is_whole=True),
    "evaluate_every": Number(1, is_whole=True, also=(None,), none="leave it out"),
}
_CONTROL_DT = Number(0, above=True, also=(None,), none="leave it out")
_BODY = Instance((str, Path, Body), "the name of a body, such as swimmer6, or a path to MuJoCo XML")
_FOLDER = Instance((str, os.PathLike), "the folder of a run, such as runs/worm")
_OPTIONS = "values by name, such as {}".format
_DEFICIT = Instance((str, Mapping, Deficit), "SENSE:START:STOP, or a table of sense, start, stop and index")
# What each field takes, whoever gives it: Python, a command line, a TOML file, a sweep or the config.json of a run.
_FIELDS: dict[str, Allowed] = {
    "circuit": Instance(str, "the name of a circuit, such as ncap"),
    "algorithm": Instance(str, "the name of an algorithm, such as es"),
    "body": _BODY,
    "bodies": ListOf(_BODY, '["swimmer6", "swimmer6-eel"]'),
    "arena": Instance((str, Arena, Mapping, NoneType), "the name of an arena, such as open, or a table with its name"),
    "physics": Instance(str, "auto, lanes or mujoco"),
    "task": Instance(str, "the name of a task, such as swim"),
    "task_options": Instance(Mapping, _OPTIONS("desired_speed = 0.2")),
    "randomize": Instance(Mapping, _OPTIONS("link_mass = [0.8, 1.2]")),
    "circuit_options": Instance(Mapping, _OPTIONS("period = 50")),
    "algorithm_options": Instance(Mapping, _OPTIONS("n_envs = 64")),
    "deficits": ListOf(_DEFICIT, '["joint_pos:100000:200000"]'),
    "start": Instance((str, os.PathLike, NoneType), f"{_FOLDER}, or leave it out"),
    "protect": ListOf(_FOLDER, '["runs/worm"]'),
    "train_only": ListOf(Instance(str, "the name of a hidden unit"), '["hidden_0_3"]'),
    "device": DEVICE,
    "control_dt": _CONTROL_DT,
    **_NUMBERS,
}
_MAPPINGS = ("task_options", "randomize", "circuit_options", "algorithm_options")
_TUPLES = ("protect", "train_only")
# Beside which other fields have tables inside.
_TABLES = (*_MAPPINGS, "arena", "deficits")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The config of a run: everything that it depends on.

    Attributes:
        circuit: name of the circuit; `circuit_from_file` registers one from a Python file, whose text the run stores.
        algorithm: name of the algorithm.
        body: name of the body, a path to MuJoCo XML, or a `Body`.
        bodies: several bodies to train one agent on, in place of `body`. They may differ in number of links if the
            circuit's weights do not depend on it. Each body has its own environments: members of a population run an
            episode on every body, and PPO divides its environments among them. SB3's algorithms need bodies with the
            same number of links.
        arena: surroundings of the body: a name, or an `Arena`; None is open space in the body's own medium.
        control_dt: seconds per control step, a multiple of the body's physics step; None is the body's own, which is
            0.03 for swimmers and XML.
        physics: simulator: "auto" takes "lanes" if they support the body, otherwise "mujoco" with one line that says
            why. "mujoco" is the reference; "lanes" solves the same equations many times as fast, for planar chains.
            The run's folder records the choice.
        task: name of the task.
        seed: seed of all random numbers.
        steps: environment steps of training, rounded up to whole generations or rollouts.
        episode_steps: control steps per episode; None takes the task's default.
        task_options: options of the task, such as Swim's `reward`, "paper" or "com", and `senses`, the observed senses;
            a file named by an option, such as TrackPosture's `recording`, is stored as its content.
        randomize: domain randomisation: ranges from which bodies are drawn at reset; see `EnvBatch`.
        circuit_options: options of the circuit; a file named by `graph` is stored as its content.
        algorithm_options: options of the algorithm that replace its defaults.
        deficits: windows of training in which a sense is masked.
        checkpoint_every: environment steps between checkpoints.
        evaluate_every: environment steps between evaluations without exploration noise, logged as eval/return;
            None for none.
        start: folder of a run whose weights training starts from, on the same body or another. Options of the circuit
            that `circuit_options` does not give are that run's.
        device: torch device, such as cpu or cuda.
        protect: folders of earlier runs to protect from forgetting (Hebbian orthogonal projection).
        train_only: names of hidden units; only their weights are trained, such as those of one brick. Empty trains all
            weights. With it, the observation statistics of `start` are frozen too.
    """

    circuit: str = "ncap"
    algorithm: str = "es"
    body: str | Body = "swimmer6"
    task: str = "swim"
    seed: int = 0
    steps: int = 320_000
    episode_steps: int | None = None
    task_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    randomize: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
    circuit_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    algorithm_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    deficits: tuple[Deficit, ...] = ()
    checkpoint_every: int = 50_000
    evaluate_every: int | None = None
    start: str | None = None
    protect: tuple[str, ...] = ()
    bodies: tuple[str | Body, ...] = ()
    arena: str | Arena | Mapping[str, Any] | None = None
    physics: str = "auto"
    device: str = "cpu"
    control_dt: float | None = None
    train_only: tuple[str, ...] = ()
    # Until 0.3: what is an option of the task now.
    reward: dataclasses.InitVar[str | None] = None

    def __post_init__(self, reward: str | None) -> None:
        for name in (*_MAPPINGS, *_TUPLES, "start"):
            object.__setattr__(self, name, plain(getattr(self, name)))
        check_values(vars(self))
        if reward is not None:
            warnings.warn("reward is an option of the task now: task_options={'reward': ...}", DeprecationWarning, 3)
            object.__setattr__(self, "task_options", {**self.task_options, "reward": reward})
        object.__setattr__(self, "deficits", tuple(map(Deficit.of, self.deficits)))
        for name in _TUPLES:
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "randomize", {name: tuple(bounds) for name, bounds in self.randomize.items()})
        if self.task in BIT_TASKS:
            raise InvalidOption(f"{self.task} is a task without a body: nervecord curriculum --task {self.task}")
        if self.circuit not in CIRCUITS:
            raise unknown_circuit(self.circuit)
        if self.task not in TASKS:
            raise unknown_task(self.task)
        for kind, name, known in (
            ("algorithm", self.algorithm, ALGORITHMS),
            ("physics", self.physics, PHYSICS_CHOICES),
        ):
            if name not in known:
                raise UnknownName(kind, name, known)
        bodies = tuple(make_body(body) for body in self.bodies)
        body = make_body(self.body)
        if bodies and body not in (bodies[0], make_body(RunConfig.body)):
            raise InvalidOption(f"body is {body.name} and bodies begin with {bodies[0].name}; leave body out")
        body, *others = (_stepped(each, self.control_dt) for each in bodies or (body,))
        object.__setattr__(self, "bodies", (body, *others) if bodies else ())
        object.__setattr__(self, "body", body)
        object.__setattr__(self, "arena", make_arena(self.arena))
        object.__setattr__(self, "circuit_options", hold_files(self.circuit, self.circuit_options))
        object.__setattr__(self, "task_options", hold_task_files(self.task, self.task_options))
        if self.protect and self.start is None:
            raise InvalidOption(
                "protect keeps what a circuit has learned; give start too, the run whose circuit goes on"
            )
        if self.train_only and self.start is None:
            raise InvalidOption(
                "train_only keeps all other units as they are; give start too, the run that they are of"
            )
        for name in _NUMBERS:
            # NumPy's whole numbers are none to JSON.
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, int(value))
        algorithm_named(self.algorithm).validate(self.algorithm, self.algorithm_options)
        check_options(self.task, self.task_options)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields, and the code of the circuit, for workers, which are started fresh."""
        return {**vars(self), "code": code_of(self.circuit)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if (code := state.pop("code")) is not None:
            load_code(code)
        vars(self).update(state)

    @property
    def n_links(self) -> int:
        """The number of links of the body."""
        return make_body(self.body).n_links

    @property
    def body_names(self) -> tuple[str, ...]:
        """The names of the bodies trained on."""
        return tuple(make_body(body).name for body in self.bodies or (self.body,))

    @property
    def trained_on(self) -> str:
        """The names of the bodies as one text, such as swimmer6 or swimmer4 + swimmer8."""
        return " + ".join(self.body_names)

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON types, for `from_json`."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            **plain,
            "circuit": circuit_json(self.circuit),
            "body": make_body(self.body).to_json(),
            "bodies": [make_body(body).to_json() for body in self.bodies],
            "arena": arena_json(make_arena(self.arena)),
            "deficits": [dataclasses.asdict(deficit) for deficit in self.deficits],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunConfig:
        """Read what `to_json` returned, or a config of format 2, which has a reward, and no arena, bodies or physics.

        Raises:
            InvalidRun: fields are missing or unknown, or the circuit is code that was not loaded.
        """
        try:
            known = dict(values)
            check_held(known.get("circuit_options"))
            check_held_of_task(known["task"], known["task_options"])
            known["circuit"] = circuit_from_json(known["circuit"])
            known["body"] = body_from_json(known["body"])
            known["bodies"] = tuple(body_from_json(body) for body in known.get("bodies", ()))
            reward, options = known.pop("reward", "paper"), known["task_options"]
            # Format 2 had a reward of its own, which counted where both were given, and MuJoCo alone.
            if known["task"] == "swim" and (reward != "paper" or "reward" in options) and "physics" not in known:
                known["task_options"] = {**options, "reward": reward}
            known.setdefault("physics", "mujoco")
            return cls(**known)
        except (TypeError, KeyError, AttributeError) as error:
            raise of_another_version(error) from error


A_CONFIG = Instance(RunConfig, "a RunConfig")


def _stepped(body: Body, control_dt: float | None) -> Body:
    """Return a body of another control step, in seconds; None leaves it as it is.

    Raises:
        InvalidBody: its class has no such field, or it is no whole number of the body's physics steps.
    """
    if control_dt is None:
        return body
    if not dataclasses.is_dataclass(body):
        raise InvalidBody(f"{body.name} has its control step from its class; leave control_dt out")
    stepped = dataclasses.replace(body, control_dt=float(control_dt))
    substeps_of(stepped, stepped.compile())
    return stepped


def of_another_version(error: Exception) -> InvalidRun:
    """Return what to raise where a stored config has not the fields that it should."""
    what = f"it has no {error}" if isinstance(error, KeyError) else str(error).split("() ")[-1]
    return InvalidRun(f"the config is of another version of nervecord, or damaged: {what}")


def read_config(path: str | Path) -> dict[str, Any]:
    """Read the fields of a config from a TOML file: by their names, options as tables.

    Raises:
        InvalidOption: it cannot be read, or a value that its field does not take.
        UnknownName: a field that no config has.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        quotes = '; text has quotes, as in circuit = "ncap"' if str(error).startswith("Invalid value") else ""
        raise InvalidOption(f"{path} cannot be read: {error}{quotes}") from error
    check_fields(values)
    check_values(values)
    return values


def check_fields(values: Iterable[str]) -> None:
    """Refuse names that no field of a config has.

    Raises:
        UnknownName: the first of them.
        InvalidOption: `reward`, which is an option of the task.
    """
    known = [field.name for field in dataclasses.fields(RunConfig)]
    for name in values:
        if name == "reward":
            raise InvalidOption('reward is an option of the task; give task_options = {reward = "com"}')
        if name not in known:
            raise UnknownName("field of a run", name, known)


def check_values(values: Mapping[str, Any]) -> None:
    """Refuse what a field does not take, and numbers that are not finite or too large anywhere in it.

    Raises:
        InvalidOption: the first of them.
    """
    if wrong := wrong_value(values, _FIELDS):
        raise InvalidOption(wrong)
    for name in _TABLES:
        held = values.get(name)
        for part in held if name == "deficits" and held else [held]:
            if isinstance(part, Mapping) and (wrong := not_plain(name, part)):
                raise InvalidOption(wrong)
    if wrong := wrong_range(values.get("randomize", {})):
        raise InvalidOption(wrong)
