"""What a run is: one frozen config that repeats it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import torch

from ...circuits import CIRCUITS, Circuit, make_circuit
from ...envs import TASKS, Arena, Body, make_arena, make_body
from ...envs.arenas import arena_json
from ...envs.bodies import body_from_json
from ...envs.deficits import Deficit
from ...envs.env_batch import PHYSICS, make_layout, make_setting
from ...envs.sb3_env import SwimmerVecEnv
from ...envs.tasks.bits import BIT_TASKS
from ...errors import CircuitMismatch, InvalidRun, NervecordError, UnknownName
from .algorithms import ALGORITHMS
from .held_graphs import hold_graph
from .options import Number, wrong_value

_NUMBERS = {
    "seed": Number(0, 2**32 - 1, is_whole=True),
    "steps": Number(1, is_whole=True),
    "episode_steps": Number(1, is_whole=True, also=(None,)),
    "checkpoint_every": Number(1, is_whole=True),
    "evaluate_every": Number(1, is_whole=True, also=(None,)),
}


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that a run depends on.

    Attributes:
        circuit: name of the circuit.
        algorithm: its name; see `ALGORITHMS`.
        body: name of the body, or a `Body`.
        bodies: bodies that the environments have in turn, of one number of links, in place of `body`, which is then
            the first of them.
        arena: what is around the body: a name, or an `Arena`; None is open space in the body's own medium.
        physics: what steps the bodies, "mujoco" or "lanes"; see `EnvBatch`.
        task: its name; see `TASKS`.
        seed: from which every random number of the run comes.
        steps: environment steps to train for; whole generations or rollouts are run.
        episode_steps: control steps per episode; None takes the task's own default.
        reward: Swim's reward, "paper" or "com"; other tasks have their own.
        task_options: further arguments of the task.
        randomize: ranges for body randomisation; see `EnvBatch`.
        circuit_options: options of the circuit; a file that `graph` names is held as its content.
        algorithm_options: options of the algorithm, over its defaults.
        deficits: windows of training in which a sense is masked.
        checkpoint_every: environment steps between checkpoints.
        evaluate_every: environment steps between evaluations of the agent without its learner's noise,
            logged as eval/return; None for none.
        start: folder of a run whose weights training starts from, on the same body or another.
        protect: folders of runs whose inputs training keeps its updates off, `start` or those that it protected;
            see `training.learning.protect`.
    """

    circuit: str = "ncap"
    algorithm: str = "es"
    body: str | Body = "swimmer6"
    task: str = "swim"
    seed: int = 0
    steps: int = 320_000
    episode_steps: int | None = None
    reward: str = "paper"
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
    physics: str = "mujoco"

    def __post_init__(self) -> None:
        for name in ("task_options", "randomize", "circuit_options", "algorithm_options"):
            if not isinstance(getattr(self, name), Mapping):
                raise InvalidRun(f"{name} is {getattr(self, name)!r}; give values by name")
        for name, bounds in self.randomize.items():
            if len(bounds) not in (2, 3):
                raise InvalidRun(f"randomize {name} is {bounds!r}; give two factors, low and high, and perhaps 'log'")
        if self.task in BIT_TASKS:
            raise InvalidRun(f"{self.task} is a task without a body: nervecord curriculum --task {self.task}")
        for kind, name, known in (
            ("circuit", self.circuit, CIRCUITS),
            ("algorithm", self.algorithm, ALGORITHMS),
            ("task", self.task, TASKS),
            ("physics", self.physics, PHYSICS),
        ):
            if name not in known:
                raise UnknownName(kind, name, known)
        bodies = tuple(make_body(body) for body in self.bodies)
        object.__setattr__(self, "bodies", bodies)
        object.__setattr__(self, "body", bodies[0] if bodies else make_body(self.body))
        object.__setattr__(self, "arena", make_arena(self.arena))
        object.__setattr__(self, "circuit_options", hold_graph(self.circuit, self.circuit_options))
        if self.protect and self.start is None:
            raise InvalidRun("protect keeps what a circuit has learned; give start too, the run whose circuit goes on")
        algorithm = ALGORITHMS[self.algorithm]
        for option in self.algorithm_options:
            if option not in algorithm.defaults:
                raise UnknownName(f"option of {self.algorithm}", option, algorithm.defaults)
        wrong = wrong_value(vars(self), _NUMBERS) or wrong_value(self.algorithm_options, algorithm.allowed)
        if wrong:
            raise InvalidRun(wrong)

    @property
    def n_links(self) -> int:
        """The number of links of the body."""
        return make_body(self.body).n_links

    @property
    def options(self) -> dict[str, Any]:
        """The algorithm's options, its defaults for this kind of circuit included."""
        algorithm, circuit = ALGORITHMS[self.algorithm], self._circuit
        kind: Mapping[str, Any] = {}
        if circuit.is_bounded:
            kind = algorithm.for_priors
        elif circuit.is_recurrent:
            kind = algorithm.for_memory
        return {**algorithm.defaults, **kind, **self.algorithm_options}

    @property
    def observe_time(self) -> bool:
        """Whether the observation holds the time: algorithms that train no state let oscillators read it."""
        keeps_time = bool(self._circuit.initial_state(1)) and not self._circuit.is_recurrent
        return keeps_time and not ALGORITHMS[self.algorithm].trains_memory

    @property
    def squash(self) -> bool:
        """Whether motors go through a tanh, as off-policy actors learn them."""
        return not ALGORITHMS[self.algorithm].trains_memory

    @functools.cached_property
    def _circuit(self) -> Circuit:
        """The circuit as it is built where time is not observed; its kind decides defaults."""
        setting = make_setting(self.task, self.bodies or self.body, self.arena, self.episode_steps)
        layout = make_layout(setting, self.task_options.get("senses"))
        rng = torch.Generator().manual_seed(self.seed)
        try:
            circuit = make_circuit(self.circuit, layout.sizes, setting.body.n_joints, self.circuit_options, rng)
        except RuntimeError as error:
            raise CircuitMismatch(f"circuit {self.circuit!r} cannot be built: {error}") from error
        if circuit.is_recurrent and not ALGORITHMS[self.algorithm].trains_memory:
            others = ", ".join(name for name, algorithm in ALGORITHMS.items() if algorithm.trains_memory)
            raise CircuitMismatch(
                f"{self.algorithm} learns from single steps and circuit {self.circuit!r} has a memory; "
                f"choose {others}, or a circuit without memory"
            )
        return circuit

    def make_env(self, n_envs: int, body: str | Body | None = None, **options: Any) -> SwimmerVecEnv:
        """Return the environment of the run, or the same with another body."""
        arguments: dict[str, Any] = {
            "body": (self.bodies or self.body) if body is None else body,
            "arena": self.arena,
            "physics": self.physics,
            "observe_time": self.observe_time,
            "randomize": self.randomize,
            **self.task_options,
        }
        if self.episode_steps is not None:
            arguments["episode_steps"] = self.episode_steps
        if self.task == "swim":
            arguments["reward"] = self.reward
        return SwimmerVecEnv(n_envs, self.task, **{**arguments, **options})

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON types; `from_json` takes it back."""
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            **plain,
            "body": make_body(self.body).to_json(),
            "bodies": [make_body(body).to_json() for body in self.bodies],
            "arena": arena_json(make_arena(self.arena)),
            "deficits": [dataclasses.asdict(deficit) for deficit in self.deficits],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunConfig:
        """Read what `to_json` returned, or a config of format 2, which has no arena, no bodies and no physics.

        Raises:
            InvalidRun: fields are missing or unknown.
        """
        try:
            known = dict(values)
            known["body"] = body_from_json(known["body"])
            known["bodies"] = tuple(body_from_json(body) for body in known.get("bodies", ()))
            known["deficits"] = tuple(Deficit(**deficit) for deficit in known["deficits"])
            known["protect"] = tuple(known.get("protect", ()))
            known["randomize"] = {name: tuple(bounds) for name, bounds in known["randomize"].items()}
            return cls(**known)
        except (TypeError, KeyError, AttributeError) as error:
            raise InvalidRun(f"the config is of another version of nervecord: {error}") from error


def trainable(algorithm: str) -> list[str]:
    """Return the names of the circuits that an algorithm trains, on one task or another."""
    names = []
    for circuit in CIRCUITS.working():
        for task in TASKS.working():
            try:
                RunConfig(circuit, algorithm, task=task).options  # noqa: B018  (builds the circuit)
            except NervecordError:  # a circuit that does not fit, or a task that needs an arena or a sense of its own
                continue
            names.append(circuit)
            break
    return names
