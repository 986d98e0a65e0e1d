"""Evolution strategies as an SB3 algorithm: the whole population in lockstep in one vector environment.

Antithetic sampling and centred ranks after Salimans et al. 2017 (https://arxiv.org/abs/1703.03864),
section 2; the estimated gradient goes through Adam.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Shaped
from scipy import stats
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback
from stable_baselines3.common.utils import safe_mean
from torch import Tensor

from ...errors import CircuitMismatch
from ..policy import CircuitPolicy
from ..sensing import layout_of
from .members import Evaluator, Members, Outcome, Round


class ES(BaseAlgorithm):
    """Train any circuit by an antithetic evolution strategy.

    Every environment of the vector environment runs one member for one episode at a time, each with its
    own weights; both members of an antithetic pair get the same episode, so that what tells them apart is
    their weights. A generation's noise depends on the seed and its number alone. A population larger than
    the vector environment is evaluated in rounds, which an `Evaluator` may spread over other processes
    and machines: a round is the same wherever it runs.

    Args:
        policy: "CircuitPolicy" or its class.
        env: a vector environment; see `population`.
        learning_rate: of Adam.
        sigma: standard deviation of the weights' perturbation.
        population: members of a generation, an even multiple of the number of environments; None takes
            one per environment.
        episode_limit: steps after which a generation ends even if episodes go on; None waits for all.
        policy_kwargs: `circuit`, `circuit_options` and the rest of `CircuitPolicy`.
        sb3: `seed`, `verbose`, `tensorboard_log`, `device` as everywhere in SB3.

    Attributes:
        evaluator: where rounds are evaluated instead of `env`; None for here.

    Raises:
        CircuitMismatch: an odd population or one that is no multiple, or a circuit without weights.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"CircuitPolicy": CircuitPolicy}
    policy: CircuitPolicy

    def __init__(
        self,
        policy: str | type[BasePolicy],
        env: GymEnv | str | None,
        learning_rate: float = 0.05,
        sigma: float = 0.1,
        population: int | None = None,
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
        self.population = self.n_envs if population is None else population
        self.generation = 0
        self.evaluator: Evaluator | None = None
        self._members: Members | None = None
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        if self.population < 2 or self.population % 2:
            raise CircuitMismatch(
                f"ES runs antithetic pairs, one member per environment, and got {self.population} of them; "
                "give an even number"
            )
        if self.population % self.n_envs:
            raise CircuitMismatch(
                f"a population of {self.population} does not fill rounds of {self.n_envs} environments; "
                f"give a multiple of {self.n_envs}"
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
        half = rng.standard_normal((self.population // 2, len(self._mean())), np.float32)
        self._noise = torch.as_tensor(np.concatenate([half, -half]))
        return self._mean() + self.sigma * self._noise, np.tile(rng.integers(2**31, size=self.population // 2), 2)

    def _mean(self) -> Float[Tensor, " weights"]:
        """Return the circuit's weights in one row."""
        return torch.nn.utils.parameters_to_vector(self.policy.circuit.parameters()).detach()

    def _evaluate(
        self, weights: Float[Tensor, "members weights"], seeds: np.ndarray, callback: BaseCallback
    ) -> Float[np.ndarray, " members"] | None:
        """Run one episode of every member; return their returns, None if a callback stopped it."""
        starts = range(0, self.population, self.n_envs)
        rounds = [Round(weights[at : at + self.n_envs].clone(), seeds[at : at + self.n_envs]) for at in starts]
        outcomes = []
        evaluate = self._evaluate_here if self.evaluator is None else self._evaluate_elsewhere
        for outcome in evaluate(rounds, callback):
            if outcome is None:
                return None
            self._update_info_buffer(outcome.infos)
            outcomes.append(outcome.returns)
        self._generation_returns = np.concatenate(outcomes)
        return self._generation_returns

    def _evaluate_here(self, rounds: list[Round], callback: BaseCallback) -> Iterator[Outcome | None]:
        assert self.env is not None
        if self._members is None:
            self._members = Members(self.policy, self.env, self.episode_limit)

        def on_step(told: dict[str, Any]) -> bool:
            self.num_timesteps += self.n_envs
            callback.update_locals({"self": self, **told})
            return callback.on_step()

        for part in rounds:
            yield self._members.evaluate(part, on_step)

    def _evaluate_elsewhere(self, rounds: list[Round], callback: BaseCallback) -> Iterator[Outcome | None]:
        assert self.evaluator is not None
        for outcome in self.evaluator.evaluate(rounds):
            self.num_timesteps += outcome.steps
            callback.update_locals({"self": self, "infos": outcome.infos, "dones": np.ones(self.n_envs, bool)})
            yield outcome if callback.on_step() else None

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
            self.logger.record("rollout/net_speed", safe_mean(speeds[-self.population :]))
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
        observation: Float[np.ndarray, "*batch obs"],
        state: Any = None,
        episode_start: Bool[np.ndarray, " batch"] | None = None,
        deterministic: bool = True,
    ) -> tuple[Shaped[np.ndarray, "*batch action"], Any]:
        """Act with the mean weights, from and in the environment's units; see `CircuitPolicy.predict`."""
        return self.policy.predict(observation, state, episode_start, deterministic)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_members", "_noise", "evaluator"]

    def _get_torch_save_params(self) -> tuple[list[str], list[str]]:
        return ["policy", "policy.optimizer"], []
