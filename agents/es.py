"""Evolution strategies as an SB3 algorithm: the whole population in lockstep in one vector environment.

Antithetic sampling and centred ranks after Salimans et al. 2017 (https://arxiv.org/abs/1703.03864),
section 2; the estimated gradient goes through Adam.
"""

from __future__ import annotations

import time
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from scipy import stats
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from stable_baselines3.common.utils import safe_mean
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from ..errors import CircuitMismatch
from .policy import CircuitPolicy, to_actions
from .population import Population
from .sensing import layout_of


class ES(BaseAlgorithm):
    """Train any circuit by an antithetic evolution strategy.

    Every environment of the vector environment runs one member for one episode per generation, each
    with its own weights; both members of an antithetic pair get the same episode, so that what tells
    them apart is their weights. A generation's noise depends on the seed and its number alone.

    Args:
        policy: "CircuitPolicy" or its class.
        env: a vector environment with an even number of environments: the population.
        learning_rate: of Adam.
        sigma: standard deviation of the weights' perturbation.
        episode_limit: steps after which a generation ends even if episodes go on; None waits for all.
        policy_kwargs: `circuit`, `circuit_options` and the rest of `CircuitPolicy`.
        sb3: `seed`, `verbose`, `tensorboard_log`, `device` as everywhere in SB3.

    Raises:
        CircuitMismatch: an odd population, or a circuit without weights.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"CircuitPolicy": CircuitPolicy}
    policy: CircuitPolicy

    def __init__(
        self,
        policy: str | type[BasePolicy],
        env: GymEnv | str | None,
        learning_rate: float = 0.05,
        sigma: float = 0.1,
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
            learning_rate=learning_rate,
            policy_kwargs=policy_kwargs,
            seed=seed,
            verbose=verbose,
            tensorboard_log=tensorboard_log,
            device=device,
            stats_window_size=stats_window_size,
            support_multi_env=True,
            supported_action_spaces=(spaces.Box, spaces.Discrete),
        )
        self.sigma, self.episode_limit = sigma, episode_limit
        self.generation = 0
        self._population: Population | None = None
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        if self.n_envs < 2 or self.n_envs % 2:
            raise CircuitMismatch(
                f"ES runs antithetic pairs, one member per environment, and got {self.n_envs} of them; "
                "give an even number"
            )
        self._setup_lr_schedule()
        # Without a seed the run is as random as asked for, yet repeats itself after save and load.
        if self.seed is None:
            self.seed = int(np.random.SeedSequence().generate_state(1)[0])
        self.set_random_seed(self.seed)
        arguments = {"layout": layout_of(self.env, self.observation_space), "seed": self.seed}
        self.policy_kwargs = {**arguments, **self.policy_kwargs}
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
        ).to(self.device)
        if not any(True for _ in self.policy.circuit.parameters()):
            raise CircuitMismatch("the circuit has no weights to train")

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "ES",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> ES:
        """Run whole generations until `total_timesteps` environment steps are done."""
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        if reset_num_timesteps:
            self.generation = 0
        callback.on_training_start(locals(), globals())
        while self.num_timesteps < total_timesteps:
            self._update_current_progress_remaining(self.num_timesteps, total_timesteps)
            if not self._run_generation(callback):
                break
            if self.generation % log_interval == 0:
                self._log()
        callback.on_training_end()
        return self

    def _run_generation(self, callback: BaseCallback) -> bool:
        """Sample, evaluate and step; False (and weights untouched) if a callback stopped it."""
        weights, episode_seeds = self._ask(self._rng_of(self.generation))
        callback.on_rollout_start()
        returns = self._evaluate(weights, episode_seeds, callback)
        if returns is None:
            return False
        self._tell(returns)
        self.generation += 1
        self._n_updates += 1
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _rng_of(self, generation: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([self.seed or 0, generation]))

    def _ask(self, rng: np.random.Generator) -> tuple[Float[Tensor, "members weights"], np.ndarray]:
        """Return the members' weights and the seeds of their episodes."""
        half = rng.standard_normal((self.n_envs // 2, len(self._mean())), np.float32)
        self._noise = torch.as_tensor(np.concatenate([half, -half]))
        return self._mean() + self.sigma * self._noise, np.tile(rng.integers(2**31, size=self.n_envs // 2), 2)

    def _mean(self) -> Float[Tensor, " weights"]:
        """Return the circuit's weights in one row."""
        return torch.nn.utils.parameters_to_vector(self.policy.circuit.parameters()).detach()

    @torch.inference_mode()
    def _evaluate(
        self, weights: Float[Tensor, "members weights"], seeds: np.ndarray, callback: BaseCallback
    ) -> Float[np.ndarray, " members"] | None:
        """Run one episode of every member; return their returns, None if a callback stopped it."""
        env = self.env
        assert env is not None
        if self._population is None:
            self._population = Population(self.policy.circuit, self.n_envs)
        population = self._population
        population.start(weights)
        _seed(env, seeds)
        observation = env.reset()
        returns, running = np.zeros(self.n_envs), np.ones(self.n_envs, bool)
        for step in range(self.episode_limit or 2**62):
            motor = population.step(self.policy.sense(np.asarray(observation)))
            actions = to_actions(motor, self.action_space).numpy()
            observation, rewards, dones, infos = env.step(actions)
            returns += np.where(running, rewards, 0.0)
            self.num_timesteps += self.n_envs
            callback.update_locals({"self": self, "step": step, "rewards": rewards, "dones": dones, "infos": infos})
            if not callback.on_step():
                return None
            if dones.any():
                self._update_info_buffer([info for info, on in zip(infos, running, strict=True) if on])
                running &= ~dones
                if not running.any():
                    break
                # The others go on; a member whose episode is over starts a new one that does not count.
                population.reset(dones)
        self._generation_returns = returns
        return returns

    def _tell(self, returns: Float[np.ndarray, " members"]) -> None:
        """Follow the estimated gradient of the expected rank."""
        # Pairs that tie (a weight without effect) must cancel, so equal returns share their mean rank.
        ranks = stats.rankdata(returns) - 1
        utility = torch.as_tensor(ranks / (len(returns) - 1) - 0.5, dtype=torch.float32)
        gradient = utility @ self._noise / (len(returns) * self.sigma)
        self.logger.record("train/gradient_norm", float(gradient.norm()))
        self._update_learning_rate(self.policy.optimizer)
        start = 0
        for parameter in self.policy.circuit.parameters():
            part = gradient[start : start + parameter.numel()]
            parameter.grad = -part.view_as(parameter)
            start += parameter.numel()
        self.policy.optimizer.step()

    def _log(self) -> None:
        returns = self._generation_returns
        self.logger.record("rollout/ep_rew_mean", float(returns.mean()))
        self.logger.record("rollout/ep_rew_best", float(returns.max()))
        self.logger.record("rollout/ep_rew_std", float(returns.std()))
        speeds = [info["net_speed"] for info in self.ep_info_buffer or () if "net_speed" in info]
        if speeds:
            self.logger.record("rollout/net_speed", safe_mean(speeds[-self.n_envs :]))
        self.logger.record("time/generation", self.generation)
        self.dump_logs()

    def dump_logs(self) -> None:
        """Write the recorded values with the present number of steps."""
        seconds = max((time.time_ns() - self.start_time) / 1e9, 1e-9)
        steps = self.num_timesteps - self._num_timesteps_at_start
        self.logger.record("time/fps", int(steps / seconds))
        self.logger.record("time/total_timesteps", self.num_timesteps, exclude="tensorboard")
        self.logger.dump(step=self.num_timesteps)

    def predict(  # type: ignore[override]
        self,
        observation: np.ndarray,
        state: Any = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, Any]:
        """Act with the mean weights; see `CircuitPolicy.predict`."""
        return self.policy.predict(observation, state, episode_start, deterministic)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_population", "_noise"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "policy.optimizer"], []


def _seed(env: VecEnv, seeds: np.ndarray) -> None:
    """Give antithetic partners the same episode, where the environment can be seeded one by one."""
    if hasattr(env.unwrapped, "seed_each"):
        env.unwrapped.seed_each(seeds)
    else:
        env.seed(int(seeds[0]))
