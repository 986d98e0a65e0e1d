"""What a run is: one frozen config that repeats it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ..circuits import circuit_names
from ..envs import TASKS, Body, make_body
from ..envs.sb3_vec_env import SwimmerVecEnv
from ..errors import CircuitMismatch, InvalidRun, UnknownName

ALGORITHMS = {
    "es": "antithetic evolution strategy; any circuit",
    "ppo": "SB3's PPO with an MLP critic; circuits without a state of their own (ncap reads the time)",
}

# Found on swimmer6 at 320,000 steps; docs/results/baselines.md has the numbers.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "es": {"n_envs": 32, "sigma": 0.1, "learning_rate": 0.1},
    "ppo": {
        "n_envs": 4,
        "n_steps": 1024,
        "batch_size": 64,
        "n_epochs": 10,
        "learning_rate": 3e-4,
        "gamma": 0.99,
        "gae_lambda": 0.95,
        "clip_range": 0.2,
        "ent_coef": 0.0,
        "action_std": None,
        "normalize_observation": True,
        "normalize_reward": True,
    },
}
# A circuit that works before training is kept near what it does: little noise, physical units.
_DEFAULTS_OF_PRIORS = {"action_std": 0.1, "normalize_observation": False}


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that a run depends on.

    Attributes:
        circuit: name of the circuit.
        algorithm: "es" or "ppo".
        body: name of the body, or a `Body`.
        task: "swim" or "navigate".
        seed: from which every random number of the run comes.
        steps: environment steps to train for; whole generations or rollouts are run.
        episode_steps: control steps per episode.
        reward: Swim's reward, "paper" or "com"; other tasks have their own.
        randomize: ranges for body randomisation; see `Simulation`.
        circuit_options: options of the circuit.
        algorithm_options: options of the algorithm, over its defaults.
        checkpoint_every: environment steps between checkpoints.
    """

    circuit: str = "ncap"
    algorithm: str = "es"
    body: str | Body = "swimmer6"
    task: str = "swim"
    seed: int = 0
    steps: int = 320_000
    episode_steps: int = 1000
    reward: str = "paper"
    randomize: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    circuit_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    algorithm_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    checkpoint_every: int = 50_000

    def __post_init__(self) -> None:
        for kind, name, known in (
            ("circuit", self.circuit, circuit_names()),
            ("algorithm", self.algorithm, ALGORITHMS),
            ("task", self.task, TASKS),
        ):
            if name not in known:
                raise UnknownName(kind, name, known)
        object.__setattr__(self, "body", make_body(self.body))
        for name in ("steps", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise InvalidRun(f"{name} is {getattr(self, name)}; give 1 or more")
        for option in self.algorithm_options:
            if option not in _DEFAULTS[self.algorithm]:
                raise UnknownName(f"option of {self.algorithm}", option, _DEFAULTS[self.algorithm])

    @property
    def options(self) -> dict[str, Any]:
        """The algorithm's options, defaults included."""
        options = dict(_DEFAULTS[self.algorithm])
        if self.algorithm == "ppo" and self.circuit != "mlp":
            options |= _DEFAULTS_OF_PRIORS
        return {**options, **self.algorithm_options}

    @property
    def observe_time(self) -> bool:
        """Whether the observation holds the time: PPO trains no state, so oscillators read it there."""
        return self.algorithm == "ppo" and self.circuit != "mlp"

    def make_env(self, n_envs: int, body: str | Body | None = None, **options: Any) -> SwimmerVecEnv:
        """Return the environment of the run, or the same with another body."""
        arguments: dict[str, Any] = {
            "body": self.body if body is None else body,
            "episode_steps": self.episode_steps,
            "observe_time": self.observe_time,
            "randomize": self.randomize,
        }
        if self.task == "swim":
            arguments["reward"] = self.reward
        return SwimmerVecEnv(n_envs, self.task, **{**arguments, **options})

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON types; `from_json` takes it back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RunConfig:
        """Read what `to_json` returned.

        Raises:
            InvalidRun: fields are missing or unknown.
        """
        try:
            known = dict(values)
            known["body"] = Body(**known["body"])
            known["randomize"] = {name: tuple(bounds) for name, bounds in known["randomize"].items()}
            return cls(**known)
        except (TypeError, KeyError, AttributeError) as error:
            raise InvalidRun(f"the config is of another version of nervecord: {error}") from error

    def check(self) -> None:
        """Build the circuit once, so that what cannot work is said before anything is written."""
        from ..agents.policy import CircuitPolicy

        env = self.make_env(1)
        try:
            CircuitPolicy(
                env.observation_space,
                env.action_space,
                circuit=self.circuit,
                circuit_options=self.circuit_options,
                layout=env.layout,
                seed=self.seed,
            )
        except RuntimeError as error:
            raise CircuitMismatch(f"circuit {self.circuit!r} cannot be built: {error}") from error
        finally:
            env.close()
