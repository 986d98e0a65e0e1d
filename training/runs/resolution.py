"""Resolve a config: fill in every default once, and store the result beside the original config."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
from collections.abc import Mapping
from typing import Any

from ...agents import AgentSpec
from ...agents.algorithms.registry import ALGORITHMS, algorithm_named
from ...circuits import CIRCUITS
from ...circuits.registry import circuit_facts
from ...envs import Body, make_arena, make_body
from ...envs.choice import choose_physics
from ...envs.env_batch import EnvBatch
from ...envs.resolution import make_layout, make_setting
from ...envs.setting import Setting
from ...envs.tasks.registry import option_defaults
from ...errors import CircuitMismatch, InvalidBody, InvalidOption, NervecordError
from .config import RunConfig, of_another_version

_log = logging.getLogger(__name__)
# Of the agent's spec, what the config does not hold.
_OF_AGENT = ("n_motors", "normalize", "squash", "dt_ref")
_MAPPINGS = ("task_options", "circuit_options", "algorithm_options")


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A config with every default filled in, and the specification of its agent.

    Attributes:
        config: the config with a value for every field and option.
        agent: specification of the agent.
    """

    config: RunConfig
    agent: AgentSpec

    @property
    def options(self) -> Mapping[str, Any]:
        """Every option of the algorithm."""
        return self.config.algorithm_options

    @property
    def senses(self) -> list[str]:
        """The names of the observed senses, in order, without `noise`, which comes last."""
        return [name for name in self.agent.layout.sizes if name != "noise"]

    @property
    def noise(self) -> int:
        """The number of noise values that the circuit needs in each control step."""
        return self.agent.layout.sizes.get("noise", 0)

    @functools.cached_property
    def each(self) -> tuple[Resolved, ...]:
        """The resolved config for each of the run's bodies alone."""
        bodies = self.config.bodies
        return tuple(self.on(body) for body in bodies) if len(bodies) > 1 else (self,)

    def on(self, body: str | Body | None) -> Resolved:
        """Return the resolved config for another body, with the same senses; None changes nothing.

        Raises:
            UnknownName, InvalidBody: there is no such body.
            InvalidTask: the body lacks something that a sense needs.
        """
        if body is None:
            return self
        config = on_body(self.config, body)
        layout = make_layout(_setting(config, self.noise), self.senses)
        agent = dataclasses.replace(self.agent, layout=layout, n_motors=make_body(body).n_joints)
        return Resolved(config, agent)

    def stepped_by(self, physics: str) -> Resolved:
        """Return the resolved config with another physics, "mujoco" or "lanes"."""
        return Resolved(dataclasses.replace(self.config, physics=physics), self.agent)

    def make_envs(self, n_envs: int, randomize: Mapping[str, Any] | None = None) -> EnvBatch:
        """Build environments with the run's (first) body; `randomize` replaces the run's own ranges.

        Raises:
            InvalidOption: `n_envs` is below 1.
            InvalidTask: an option of the task is out of range.
        """
        if len(self.each) > 1:
            return self.each[0].make_envs(n_envs, randomize)
        return self._make_envs(n_envs, self.config.body, randomize)

    def make_mixed_envs(self, n_envs: int) -> EnvBatch:
        """Build one batch of environments with the run's bodies in turn, which must have the same number of links.

        Raises:
            InvalidBody: the bodies cannot be in one batch.
            InvalidTask: an option of the task is out of range.
        """
        return self._make_envs(n_envs, self.config.bodies or self.config.body)

    def _make_envs(self, n_envs: int, body: Any, randomize: Mapping[str, Any] | None = None) -> EnvBatch:
        if n_envs < 1:
            raise InvalidOption(f"episodes is {n_envs}; give 1 or more")
        config = self.config
        return EnvBatch(
            config.task,
            n_envs,
            body=body,
            arena=config.arena,
            physics=config.physics,
            randomize=config.randomize if randomize is None else randomize,
            episode_steps=config.episode_steps,
            noise=self.noise,
            **{**config.task_options, "senses": self.senses},
        )

    def to_json(self, asked: RunConfig) -> dict[str, Any]:
        """Return the values that `asked` does not contain, as JSON types, for `from_json`."""
        mine, there = (json.loads(json.dumps(config.to_json())) for config in (self.config, asked))
        found = {name: value for name, value in mine.items() if value != there[name]}
        for name in _MAPPINGS:
            found[name] = {key: value for key, value in mine[name].items() if there[name].get(key, ...) != value}
        agent = {name: getattr(self.agent, name) for name in _OF_AGENT}
        return {**found, "agent": {**agent, "layout": self.agent.layout.to_json()}}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], asked: RunConfig) -> Resolved:
        """Read the output of `to_json` for a config.

        Raises:
            InvalidOption: it was written by another version.
        """
        try:
            found, there = dict(values), asked.to_json()
            told = dict(found.pop("agent"))
            for name in _MAPPINGS:
                found[name] = {**there[name], **found[name]}
            config = RunConfig.from_json({**there, **found})
            spec = {"circuit": config.circuit, "circuit_options": config.circuit_options, "seed": config.seed}
            return cls(config, AgentSpec.from_json({**spec, **told}))
        except NervecordError:
            raise  # some are ValueErrors too
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise of_another_version(error) from error


def resolve(config: RunConfig) -> Resolved:
    """Fill in every default of a config, without building environments or, where its class declares facts, the circuit.

    Raises:
        UnknownName, InvalidTask, InvalidOption, CircuitMismatch: a value is invalid, or values are incompatible.
    """
    algorithm = algorithm_named(config.algorithm)
    setting = _setting(config)
    physics = _physics_of(config, algorithm.takes_places)
    task_options = {**option_defaults(config.task), **config.task_options}
    layout = make_layout(setting, task_options.get("senses"))
    n_motors = setting.body.n_joints
    facts = circuit_facts(config.circuit, layout.sizes, n_motors, config.circuit_options)
    if facts.memory == "recurrent" and not algorithm.trains_memory:
        others = ", ".join(name for name, each in ALGORITHMS.working().items() if each.trains_memory)
        raise CircuitMismatch(
            f"{config.algorithm} learns from single steps and circuit {config.circuit!r} has a memory; "
            f"choose {others}, or a circuit without memory"
        )
    options = algorithm.resolve(config.algorithm, facts, config.algorithm_options)
    if len(config.bodies) > 1 and algorithm.takes_places and not algorithm.has_population:
        options["n_envs"] = _divided(options["n_envs"], len(config.bodies), "n_envs" in config.algorithm_options)
    # Who learns from single steps cannot count; the time is there to be read.
    reads_time = facts.memory == "clock" and not algorithm.trains_memory
    senses = list(layout.sizes)
    if reads_time or facts.noise:
        layout = make_layout(_setting(config, facts.noise), senses, observe_time=reads_time)
        senses = [name for name in layout.sizes if name != "noise"]
    circuit_options = {**_circuit_defaults(config.circuit), **config.circuit_options}
    complete = dataclasses.replace(
        config,
        arena=make_arena(config.arena),
        physics=physics,
        episode_steps=setting.episode_steps,
        task_options={**task_options, "senses": senses},
        circuit_options=circuit_options,
        algorithm_options=options,
    )
    agent = AgentSpec(
        config.circuit, layout, n_motors, circuit_options, config.seed,
        normalize=algorithm.normalizes(options), squash=algorithm.squashes, dt_ref=layout.dt,
    )  # fmt: skip
    return Resolved(complete, agent)


def on_body(config: RunConfig, body: str | Body) -> RunConfig:
    """Return a resolved config with another body: where lanes do not cover it, MuJoCo steps it.

    Raises:
        UnknownName, InvalidBody: there is no such body.
    """
    there = dataclasses.replace(config, body=make_body(body), bodies=(), control_dt=None)
    physics, _ = choose_physics("auto" if config.physics == "lanes" else config.physics, _setting(there))
    return dataclasses.replace(there, physics=physics)


def trainable(algorithm: str) -> list[str]:
    """Return the names of the circuits that an algorithm trains, on one task or another."""
    names = []
    for circuit in CIRCUITS.working():
        for task in ("swim", "navigate"):
            try:
                resolve(RunConfig(circuit, algorithm, task=task))
            except NervecordError:  # a circuit that does not fit
                continue
            names.append(circuit)
            break
    return names


def _setting(config: RunConfig, noise: int = 0) -> Setting:
    return make_setting(config.task, config.body, config.arena, config.episode_steps, noise)


def _physics_of(config: RunConfig, apart: bool) -> str:
    """Return what steps a run's bodies, lanes where they cover one of several; say why where they cover one not.

    Args:
        config: the run's.
        apart: each of several bodies has environments of its own, in place of one batch with all of them.

    Raises:
        CircuitMismatch: the algorithm needs one batch, and the bodies do not go into one.
        InvalidBody: lanes were asked for by name and do not cover a body.
    """
    if len(config.bodies) > 1 and not apart:
        try:
            settings = [make_setting(config.task, config.bodies, config.arena, config.episode_steps)]
        except InvalidBody as error:
            able = ", ".join(name for name, each in ALGORITHMS.working().items() if each.takes_places)
            raise CircuitMismatch(f"{config.algorithm} trains in one batch: {error}; or choose {able}") from error
    else:
        settings = [
            make_setting(config.task, body, config.arena, config.episode_steps)
            for body in config.bodies or (config.body,)
        ]
    found = [choose_physics(config.physics, setting) for setting in settings]
    for why in dict.fromkeys(why for _, why in found if why):
        _log.warning("nervecord: %s", why)
    return "lanes" if any(name == "lanes" for name, _ in found) else "mujoco"


def _divided(n_envs: int, n_bodies: int, is_asked: bool) -> int:
    """Return a number of environments that can be divided over bodies: the next multiple, of one not asked for.

    Raises:
        CircuitMismatch: it was asked for and is no multiple.
    """
    multiple = -(-n_envs // n_bodies) * n_bodies
    if is_asked and multiple != n_envs:
        raise CircuitMismatch(
            f"n_envs is {n_envs} and there are {n_bodies} bodies; give a multiple, such as {multiple}"
        )
    return multiple


def _circuit_defaults(name: str) -> dict[str, Any]:
    """Return a circuit's options with their defaults, as far as they have some that JSON holds."""
    plain = (bool, int, float, str, list, tuple, type(None))
    known = {option: parameter.default for option, parameter in CIRCUITS[name].options.items()}
    return {option: value for option, value in known.items() if isinstance(value, plain)}
