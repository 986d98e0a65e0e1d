"""SB3's off-policy algorithms as learners, with a circuit as the actor: the base of sac.py and td3.py."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import threading
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from gymnasium.utils import seeding
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.logger import KVWriter, Logger
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.save_util import recursive_getattr
from stable_baselines3.common.vec_env import VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from ...circuits import load_weights
from ...envs.env_batch import EnvBatch
from ...envs.sb3_env import SwimmerVecEnv
from ...options import ListOf, Number, option
from ..agent import Agent
from ..loop import replay
from .algorithm import COUNT, POSITIVE, SHARE, Algorithm, Learner, load_optimizer_state, optimizer_state

# SB3 draws from the process-wide random generators, so its learners take turns.
_turn = threading.RLock()
_REPLAYED = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")


@dataclasses.dataclass(frozen=True)
class ReplayOptions:
    """Options shared by all off-policy algorithms; subclass it in a dataclass.

    Attributes:
        n_envs: number of environments.
        learning_rate: learning rate of Adam, for actor and critics.
        buffer_size: transitions in the replay buffer.
        learning_starts: environment steps before the first update.
        batch_size: transitions per update.
        tau: Polyak averaging coefficient of the target networks.
        gamma: discount factor per control step.
        gradient_steps: updates per control step of all environments.
        critic_hidden: sizes of the hidden layers of each critic.
    """

    n_envs: int = option(8, COUNT)
    learning_rate: float = option(1e-3, POSITIVE)
    buffer_size: int = option(1_000_000, COUNT)
    learning_starts: int = option(5_000, Number(0, is_whole=True))
    batch_size: int = option(256, COUNT)
    tau: float = option(0.005, Number(0, 1, above=True))
    gamma: float = option(0.99, SHARE)
    gradient_steps: int = option(4, COUNT)
    critic_hidden: tuple[int, ...] = option((256, 256), ListOf(COUNT))


class OffPolicy(Algorithm):
    """An SB3 algorithm that learns from single steps; a subclass names SB3's classes and maps the options to SB3's.

    Attributes:
        Model: SB3's algorithm class.
        Policy: the policy class, with a circuit as the actor.
    """

    Model: ClassVar[Any]
    Policy: ClassVar[Any]
    trains_memory = False
    squashes = True

    def make_arguments(self, agent: Agent, options: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Return SB3's arguments for an agent; options without a mapping of their own are passed on unchanged."""
        spec, rest = agent.spec, dict(options)
        del rest["n_envs"]
        policy = {
            "circuit": spec.circuit,
            "circuit_options": spec.circuit_options,
            "layout": spec.layout,
            "seed": spec.seed,
            "dt_ref": spec.dt_ref,
            "critic_hidden": rest.pop("critic_hidden"),
        }
        return {
            **rest,
            "policy_kwargs": policy,
            "replay_buffer_class": SinglePrecisionReplay,
            "train_freq": 1,
            "seed": seed,
            "device": agent.device,
        }

    def start(
        self,
        agent: Agent,
        envs: EnvBatch,
        options: Mapping[str, Any],
        seed: int,
    ) -> SB3Learner:
        """Return a learner that starts from the agent's current weights."""
        arguments, draws = self.make_arguments(agent, options, seed), Draws(agent.device)
        with draws:
            model = self.Model(self.Policy, LearningEnv.of(envs), **arguments)
        return SB3Learner(agent, model, draws)


class Draws(contextlib.AbstractContextManager["Draws"]):
    """One learner's own state of the process-wide random generators; leaving the context restores the process's state.

    Threads take turns.

    Args:
        device: where the learner computes; one other than the CPU draws from a generator of its own.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._held: tuple[Any, ...] | None = None

    def __enter__(self) -> Draws:
        _turn.acquire()
        self._outside = self._states()
        if self._held is not None:
            self._set(self._held)
        return self

    def __exit__(self, *_: object) -> None:
        self._held = self._states()
        self._set(self._outside)
        _turn.release()

    def state_dict(self) -> dict[str, Any]:
        """Return the states of torch's and NumPy's generators, and of the device's where it has its own."""
        with self:
            torch_rng, numpy_rng, _, device_rng = self._states()
        return {"torch_rng": torch_rng, "numpy_rng": numpy_rng, "device_rng": device_rng}

    def load_state_dict(self, state: Mapping[str, Any], seed: int) -> None:
        """Restore what `state_dict` returned; where that was on another kind of device, this one's starts at `seed`."""
        with self:
            here, there = self._states()[3], state.get("device_rng")
            if here is not None and (there is None or there.shape != here.shape):
                there = torch.Generator(self._device).manual_seed(seed).get_state()
            self._set((state["torch_rng"], state["numpy_rng"], random.getstate(), there))

    def _states(self) -> tuple[Any, ...]:
        on_device = None if self._device.type == "cpu" else _module(self._device).get_rng_state(self._device)
        return torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate(), on_device  # noqa: NPY002

    def _set(self, states: tuple[Any, ...]) -> None:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
        if self._device.type != "cpu":
            _module(self._device).set_rng_state(states[3], self._device)


def _module(device: torch.device) -> Any:
    """Return torch's module of a kind of device, such as torch.cuda."""
    return getattr(torch, device.type)


class SinglePrecisionReplay(ReplayBuffer):
    """SB3's replay buffer with observations in single precision, as networks use them."""

    def __init__(self, buffer_size: int, observation_space: spaces.Box, *args: Any, **kwargs: Any) -> None:
        low, high = (bound.astype(np.float32) for bound in (observation_space.low, observation_space.high))
        super().__init__(buffer_size, spaces.Box(low, high, dtype=np.float32), *args, **kwargs)


class SB3Learner(Learner):
    """Train by an SB3 model's own rollouts and updates, one control step of all environments at a time.

    Args:
        agent: the agent in training; its circuit becomes the model's actor.
        model: the algorithm, made on a `LearningEnv` of the agent's environments.
        draws: the random generators' state right after the model was made.

    Attributes:
        model: the algorithm.
    """

    def __init__(self, agent: Agent, model: OffPolicyAlgorithm, draws: Draws) -> None:
        super().__init__()
        self.agent, self.model, self._draws = agent, model, draws
        actor: Any = model.policy
        load_weights(actor.circuit, agent.circuit.state_dict())
        if getattr(model, "actor_target", None) is not None:
            model.actor_target.load_state_dict(model.actor.state_dict())  # type: ignore[attr-defined]
        agent.circuit = actor.circuit
        self.steps_at_once = model.n_envs
        self._logged = _LogCollector()
        model.set_logger(Logger(None, [self._logged]))
        self._callback: Any = None
        model.env.learner = self  # type: ignore[union-attr]

    def advance(self) -> dict[str, float]:
        """Take one control step in every environment, then SB3's updates."""
        with self._draws:
            return self._advance()

    def _advance(self) -> dict[str, float]:
        model = self.model
        if self._callback is None:
            _, self._callback = model._setup_learn(2**62, None, reset_num_timesteps=model._last_obs is None)
        assert model.env is not None
        assert model.replay_buffer is not None
        model.collect_rollouts(
            model.env, self._callback, model.train_freq, model.replay_buffer, model.action_noise,  # type: ignore[arg-type]
            model.learning_starts, log_interval=1,
        )  # fmt: skip
        self.steps = model.num_timesteps
        if model.num_timesteps > model.learning_starts:
            model.train(model.gradient_steps, model.batch_size)
            if self.rewires:
                self._rewire()
        return self._logged.take()

    @torch.no_grad()
    def _rewire(self) -> None:
        """Let the circuit rewire itself from its activity in one more minibatch of the replay buffer."""
        assert self.model.replay_buffer is not None
        shown = self.model.replay_buffer.sample(self.model.batch_size).observations
        sensors = self.agent.sensing(shown.float())[None]
        steps = replay(self.agent.circuit, sensors)
        self.agent.circuit.after_update(sensors, torch.stack([step.activity for step in steps]))

    def state_dict(self) -> dict[str, Any]:
        """Return critics, optimisers, environments, draws, counters, and the replay buffer as `replay`."""
        model, found = self.model, {}
        names, loose = model._get_torch_save_params()
        for name in names:
            part = recursive_getattr(model, name)
            found[name] = optimizer_state(part) if isinstance(part, torch.optim.Optimizer) else part.state_dict()
        buffer = model.replay_buffer
        assert buffer is not None
        held = buffer.buffer_size if buffer.full else buffer.pos
        state: dict[str, Any] = {
            "steps": model.num_timesteps,
            "n_updates": model._n_updates,
            "episode_num": model._episode_num,
            "episodes": list(model.ep_info_buffer or ()),
            "model": found,
            "loose": {name: recursive_getattr(model, name).detach() for name in loose},
            **self._draws.state_dict(),
            "action_rng": model.action_space.np_random.bit_generator.state,
            "logged": self._logged.held,
            # SB3 logs an update's numbers only at the end of the next episode.
            "to_log": dict(model.logger.name_to_value),
            "envs": _swimmers(model).get_state(),
            "replay_place": {"pos": buffer.pos, "full": buffer.full},
            "replay": {name: torch.as_tensor(getattr(buffer, name)[:held]) for name in _REPLAYED},
        }
        if model._last_obs is not None:
            state["last_obs"] = np.asarray(model._last_obs)
            state["last_episode_starts"] = np.asarray(model._last_episode_starts)
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""
        model = self.model
        names, loose = model._get_torch_save_params()
        for name in names:
            part = recursive_getattr(model, name)
            if isinstance(part, torch.optim.Optimizer):
                load_optimizer_state(part, state["model"].get(name, {}))
            else:
                part.load_state_dict(state["model"][name])
        with torch.no_grad():
            for name in loose:
                recursive_getattr(model, name).copy_(state["loose"][name])
        self.steps = model.num_timesteps = state["steps"]
        model._n_updates, model._episode_num = state["n_updates"], state["episode_num"]
        self._logged.held = dict(state["logged"])
        for name, value in state.get("to_log", {}).items():
            model.logger.record(name, value)
        if "last_obs" not in state:
            return
        model._last_obs, model._last_episode_starts = state["last_obs"], state["last_episode_starts"]
        _swimmers(model).set_state(state["envs"])
        buffer = model.replay_buffer
        assert buffer is not None
        buffer.pos, buffer.full = state["replay_place"]["pos"], state["replay_place"]["full"]
        for name in _REPLAYED:
            values = np.asarray(state["replay"][name])
            getattr(buffer, name)[: len(values)] = values
        _, self._callback = model._setup_learn(2**62, None, reset_num_timesteps=False)
        model.ep_info_buffer.extend(state["episodes"])  # type: ignore[union-attr]
        model.action_space._np_random = seeding.np_random(0)[0]
        model.action_space.np_random.bit_generator.state = state["action_rng"]
        self._draws.load_state_dict(state, model.seed + self.steps)  # type: ignore[operator]


class LearningEnv(VecEnvWrapper):
    """A learner's environments for SB3, with the senses that a deficit removes set to 0.

    Attributes:
        learner: the learner whose deficits apply.
    """

    learner: SB3Learner | None = None

    @classmethod
    def of(cls, envs: EnvBatch) -> LearningEnv:
        """Return the environments of a batch."""
        return cls(SwimmerVecEnv.of(envs))

    def reset(self) -> np.ndarray:
        """Start new episodes."""
        return self._shown(np.asarray(self.venv.reset()), 0)

    def step_wait(self) -> VecEnvStepReturn:
        """Step, and return observations without the removed senses."""
        observation, rewards, dones, infos = self.venv.step_wait()
        step = (self.learner.model.num_timesteps if self.learner else 0) + self.num_envs
        for index in np.flatnonzero(dones):
            infos[index]["terminal_observation"] = self._shown(infos[index]["terminal_observation"], step)
        return self._shown(np.asarray(observation), step), rewards, dones, infos

    def _shown(self, observation: np.ndarray, step: int) -> np.ndarray:
        deficits = self.learner.deficits if self.learner else None
        missing = None if deficits is None else deficits.missing(step)
        return observation if missing is None else np.where(missing, 0.0, observation)


class _LogCollector(KVWriter):
    """Collects the latest logged numbers: SB3 logs at the end of every environment's episode."""

    def __init__(self) -> None:
        self.held: dict[str, float] = {}

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, Any], step: int = 0) -> None:  # noqa: ARG002
        """Keep one dump's numbers."""
        self.held |= {name: float(value) for name, value in key_values.items() if not isinstance(value, str)}

    def close(self) -> None:
        """Nothing is open."""

    def take(self) -> dict[str, float]:
        """Return the collected numbers, and clear them."""
        found, self.held = self.held, {}
        return found


def _swimmers(model: OffPolicyAlgorithm) -> SwimmerVecEnv:
    assert model.env is not None
    env = model.env.unwrapped
    assert isinstance(env, SwimmerVecEnv)
    return env
