"""Searches over weights as algorithms of Stable-Baselines3, on any of its environments: `ES` and `CMAES`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback

from ...envs.env_batch import Step
from ...errors import CircuitMismatch
from ...options import Number, allowed_values, wrong_value
from ..algorithms.cmaes import CMAEvolutionStrategy
from ..algorithms.es import EvolutionStrategy
from ..algorithms.members import Members, Outcome, Round
from ..algorithms.population_learner import PopulationAlgorithm, PopulationLearner
from ..loop import Rollout
from ..sensing import layout_of
from .policies import CircuitPolicy, check_policy
from .vec_env_batch import VecEnvBatch


class _Stopped(Exception):
    """A callback says stop in the middle of a generation."""


class _PopulationModel(BaseAlgorithm):
    """What `ES` and `CMAES` share.

    Every environment of the vector environment runs one member for one episode at a time, each with its own weights.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"CircuitPolicy": CircuitPolicy}
    policy: CircuitPolicy
    algorithm: ClassVar[PopulationAlgorithm]

    def __init__(
        self,
        policy: str | type[BasePolicy],
        env: GymEnv | str | None,
        options: Mapping[str, Any] | None = None,
        episode_limit: int | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        seed: int | None = None,
        verbose: int = 0,
        tensorboard_log: str | None = None,
        device: str = "cpu",
        stats_window_size: int = 100,
        _init_setup_model: bool = True,
    ) -> None:
        super().__init__(
            policy,
            env,
            learning_rate=0.0,
            policy_kwargs=policy_kwargs,
            seed=seed,
            verbose=verbose,
            tensorboard_log=tensorboard_log,
            device=device,
            stats_window_size=stats_window_size,
            support_multi_env=True,
            supported_action_spaces=(spaces.Box, spaces.Discrete),
        )
        self.options, self.episode_limit = dict(options or {}), episode_limit
        self.progress: dict[str, Any] | None = None
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        # Without a seed the run is as random as asked for, yet repeats itself after save and load.
        if self.seed is None:
            self.seed = int(np.random.SeedSequence().generate_state(1)[0])
        self.set_random_seed(self.seed)
        check_policy(self)
        arguments = {"layout": layout_of(self.env, self.observation_space), "seed": self.seed}
        self.policy_kwargs = {**arguments, **self.policy_kwargs}
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space, self.action_space, **self.policy_kwargs
        ).to(self.device)
        options = self._checked_options()
        self.learner = PopulationLearner(self.policy.agent, self.algorithm.Method(options), self.seed)
        self.learner.rounds_of = self.n_envs
        self._members: Members | None = None
        if self.progress is not None:
            self.learner.load_state_dict(self.progress)

    def _checked_options(self) -> dict[str, Any]:
        options = {**vars(self.algorithm.Options()), **self.options, "n_envs": self.n_envs}
        if wrong := wrong_value(
            {**options, "episode_limit": self.episode_limit},
            {**allowed_values(self.algorithm.Options), "episode_limit": Number(1, is_whole=True, also=(None,))},
        ):
            raise CircuitMismatch(wrong)
        self.algorithm.check(None, options)
        return options

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Any:
        """Run whole generations until `total_timesteps` environment steps are done.

        TensorBoard's runs are called `tb_log_name`, by default as the class is.
        """
        tb_log_name = tb_log_name or type(self).__name__
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        callback.on_training_start(locals(), globals())
        self.learner.evaluate = self._evaluate_with(callback)
        while self.num_timesteps < total_timesteps:
            self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
            callback.on_rollout_start()
            try:
                metrics = self.learner.advance()
            except _Stopped:
                break
            self.progress = self.learner.state_dict()
            self._n_updates += 1
            callback.update_locals(locals())
            callback.on_rollout_end()
            for name, value in metrics.items():
                self.logger.record(name, value)
            if self.learner.generation % log_interval == 0:
                self.dump_logs()
        callback.on_training_end()
        return self

    def _evaluate_with(self, callback: BaseCallback) -> Callable[[Iterable[Round]], Iterator[Outcome]]:
        """Return what evaluates rounds here and tells a callback of every step."""
        assert self.env is not None
        if self._members is None or self._members.envs.env is not self.env:  # type: ignore[attr-defined]
            self._members = Members(self.policy.agent, VecEnvBatch(self.env, self.policy.layout), self.episode_limit)
        members, envs = self._members, self._members.envs
        self.learner.envs = envs

        def on_step(rollout: Rollout, stepped: Step) -> bool:
            self.num_timesteps += self.n_envs
            infos = envs.infos  # type: ignore[attr-defined]
            # A member whose episode is over goes on with another, which nobody counts.
            dones = np.zeros(self.n_envs, bool)
            dones[rollout.ended] = True
            callback.update_locals({"self": self, "infos": infos, "dones": dones, "rewards": stepped.reward,
                                    "new_obs": stepped.observation, "step": rollout.elapsed})  # fmt: skip
            self._update_info_buffer([infos[index] for index in rollout.ended.tolist()])
            return callback.on_step()

        def evaluate(rounds: Iterable[Round]) -> Iterator[Outcome]:
            for part in rounds:
                outcome = members.evaluate(part, on_step)
                if outcome is None:
                    raise _Stopped
                yield outcome

        return evaluate

    def dump_logs(self) -> None:
        """Write what was recorded, with steps and speed in steps per second, to the logger."""
        seconds = max((time.time_ns() - self.start_time) / 1e9, 1e-9)
        self.logger.record("time/fps", int((self.num_timesteps - self._num_timesteps_at_start) / seconds))
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(step=self.num_timesteps)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_members", "learner"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy"], []


class ES(_PopulationModel):
    """Train any circuit by an antithetic evolution strategy; see `agents.algorithms.es`.

    Args:
        policy: "CircuitPolicy" or its class.
        env: a vector environment; see `population`.
        learning_rate: learning rate of Adam.
        sigma: standard deviation of the weight perturbations.
        population: members of a generation, an even multiple of the number of environments; None takes
            one per environment.
        episode_limit: steps after which a generation ends even if episodes have not; None waits for all episodes.
        policy_kwargs: `circuit`, `circuit_options` and the rest of `CircuitPolicy`.
        sb3: `seed`, `verbose`, `tensorboard_log`, `device` as everywhere in SB3.

    Raises:
        CircuitMismatch: the population is not an even multiple of the environments, or the circuit has no weights.
    """

    algorithm = EvolutionStrategy()

    def __init__(
        self,
        policy: str | type[BasePolicy],
        env: GymEnv | str | None,
        learning_rate: float = 0.05,
        sigma: float = 0.1,
        population: int | None = None,
        episode_limit: int | None = None,
        **sb3: Any,
    ) -> None:
        options = {"learning_rate": learning_rate, "sigma": sigma, "population": population}
        super().__init__(policy, env, options, episode_limit, **sb3)


class CMAES(_PopulationModel):
    """Train a circuit by covariance matrix adaptation; see `agents.algorithms.cmaes`.

    Args:
        policy, env, episode_limit, policy_kwargs, sb3: as in `ES`.
        sigma: standard deviation of the first generation.
        population: members of a generation, a multiple of the number of environments; None takes one per environment.

    Raises:
        CircuitMismatch: the circuit has too many weights for CMA-ES, or the population is not a multiple.
    """

    algorithm = CMAEvolutionStrategy()

    def __init__(
        self,
        policy: str | type[BasePolicy],
        env: GymEnv | str | None,
        sigma: float = 0.3,
        population: int | None = None,
        episode_limit: int | None = None,
        **sb3: Any,
    ) -> None:
        super().__init__(policy, env, {"sigma": sigma, "population": population}, episode_limit, **sb3)
