"""PPO with backpropagation through time as an algorithm of Stable-Baselines3, on any of its environments."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
from stable_baselines3.common.utils import FloatSchedule
from stable_baselines3.common.vec_env import VecEnv

from ...envs.env_batch import Step
from ...errors import CircuitMismatch
from ...options import Number, allowed_values, wrong_value
from ..algorithms.ppo import ProximalPolicyOptimization
from ..algorithms.ppo_learner import PPOLearner
from ..algorithms.sequence_buffer import SequenceBuffer
from ..sensing import layout_of
from .policies import CircuitActorCriticPolicy, check_policy
from .vec_env_batch import VecEnvBatch

_POSITIVE_OR_NONE = Number(0, above=True, also=(None,))


class CircuitPPO(OnPolicyAlgorithm):
    """Train a circuit by PPO, with backpropagation through time if it is recurrent; see `agents.algorithms.ppo`.

    Args:
        policy: "CircuitPolicy" or the class.
        env: a vector environment, or anything that SB3 turns into one.
        sequence_length: steps of backpropagation through time, a divisor of `n_steps`; 1 for circuits without memory.
        batch_size: transitions of a minibatch, a multiple of `sequence_length`.
        policy_kwargs: `circuit`, `circuit_options`, `critic`, `action_std` and the rest of
            `CircuitActorCriticPolicy`.
        learning_rate, n_steps, n_epochs, gamma, gae_lambda, clip_range, clip_range_vf: as in SB3's PPO.
        normalize_advantage, ent_coef, vf_coef, max_grad_norm, target_kl, sb3: as in SB3's PPO.
        use_sde: must be False; state-dependent exploration is not supported.

    Raises:
        CircuitMismatch: an option is out of range, lengths do not divide one another, the circuit's state changes
            shape, or `use_sde` is set.
        TrainingDiverged: a loss or gradient is not finite; the weights are those before that update.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"CircuitPolicy": CircuitActorCriticPolicy}
    policy: CircuitActorCriticPolicy  # type: ignore[assignment]
    rollout_buffer: SequenceBuffer  # type: ignore[assignment]

    def __init__(
        self,
        policy: str | type[CircuitActorCriticPolicy],
        env: GymEnv | str,
        learning_rate: float | Schedule = 3e-4,
        n_steps: int = 256,
        batch_size: int = 256,
        sequence_length: int = 32,
        n_epochs: int = 10,
        gamma: float = 0.99,
        gae_lambda: float = 0.95,
        clip_range: float | Schedule = 0.2,
        clip_range_vf: float | Schedule | None = None,
        normalize_advantage: bool = True,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        target_kl: float | None = None,
        use_sde: bool = False,
        policy_kwargs: dict[str, Any] | None = None,
        device: torch.device | str = "cpu",
        _init_setup_model: bool = True,
        **sb3: Any,
    ) -> None:
        if use_sde:
            raise CircuitMismatch("use_sde is True; circuits have no state-dependent exploration, leave it out")
        super().__init__(
            policy,  # type: ignore[arg-type]
            env,
            learning_rate=learning_rate,
            n_steps=n_steps,
            gamma=gamma,
            gae_lambda=gae_lambda,
            ent_coef=ent_coef,
            vf_coef=vf_coef,
            max_grad_norm=max_grad_norm,
            use_sde=False,
            sde_sample_freq=-1,
            rollout_buffer_class=SequenceBuffer,  # type: ignore[arg-type]
            policy_kwargs=policy_kwargs,
            device=device,
            supported_action_spaces=(spaces.Box, spaces.Discrete),
            _init_setup_model=False,
            **sb3,
        )
        self.batch_size, self.sequence_length, self.n_epochs = batch_size, sequence_length, n_epochs
        self.clip_range, self.clip_range_vf = clip_range, clip_range_vf
        self.normalize_advantage, self.target_kl = normalize_advantage, target_kl
        self._learner: PPOLearner | None = None
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        # The layout and the seed travel with the policy's arguments, so that a saved model loads without env.
        check_policy(self)
        self._check_options()
        arguments = {"layout": layout_of(self.env, self.observation_space), "seed": self.seed}
        self.policy_kwargs = {**arguments, **self.policy_kwargs}
        # The learner makes the buffer, which SB3 would make before the policy.
        self.rollout_buffer_kwargs = {"sequence_length": 1}
        super()._setup_model()
        self.clip_range = FloatSchedule(self.clip_range)
        if self.clip_range_vf is not None:
            self.clip_range_vf = FloatSchedule(self.clip_range_vf)
        self._learner = None
        if self.env is not None:
            self.rollout_buffer = self.learner.buffer

    def _check_options(self) -> None:
        allowed = {**allowed_values(ProximalPolicyOptimization.Options), "clip_range_vf": _POSITIVE_OR_NONE}
        # Schedules are functions.
        given = {name: value for name, value in vars(self).items() if not callable(value)}
        if wrong := wrong_value(given, allowed):
            raise CircuitMismatch(wrong)

    @property
    def learner(self) -> PPOLearner:
        """The learner, bound to the current environment."""
        assert self.env is not None
        found = self._learner
        if found is None or found.rollout.envs.env is not self.env:  # type: ignore[attr-defined]
            own = vars(self)
            named = {name: own[name] for name in vars(ProximalPolicyOptimization.Options()) if name in own}
            options = {**vars(ProximalPolicyOptimization.Options()), **named,
                       "learning_rate": self.lr_schedule(1), "clip_range": FloatSchedule(self.clip_range)(1),
                       "normalize_reward": False}  # fmt: skip
            found = self._learner = PPOLearner(
                self.policy.agent, self.policy.actor_critic, VecEnvBatch(self.env, self.policy.layout), options,
                self.seed or 0, self.policy.optimizer, np.random,
            )  # fmt: skip
        return found

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str | None = None,
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> CircuitPPO:
        """Train for `total_timesteps` environment steps; `tb_log_name` is the class's name by default."""
        return super().learn(
            total_timesteps, callback, log_interval, tb_log_name or type(self).__name__, reset_num_timesteps,
            progress_bar,
        )  # fmt: skip

    def collect_rollouts(  # type: ignore[override]
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: SequenceBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer with a rollout; return False if a callback stopped it."""
        learner, rollout = self.learner, self.learner.rollout
        envs: Any = rollout.envs
        assert self._last_obs is not None
        if getattr(rollout, "observation", None) is not self._last_obs:
            # SB3 has reset the environments.
            learner.go_on(np.asarray(self._last_obs), None, np.asarray(self._last_episode_starts))
            envs.take(self._last_obs)
        callback.on_rollout_start()

        def on_step(stepped: Step) -> bool:
            self.num_timesteps += env.num_envs
            infos, dones = envs.infos, envs.dones
            callback.update_locals({"self": self, "infos": infos, "dones": dones, "rewards": stepped.reward,
                                    "new_obs": stepped.observation})  # fmt: skip
            if not callback.on_step():
                return False
            self._update_info_buffer(infos, dones)
            return True

        if not learner.collect(on_step):
            return False
        self._last_obs, self._last_episode_starts = rollout.observation, rollout.episode_start
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """Update actor and critic from the rollout."""
        self._update_learning_rate(self.policy.optimizer)
        for name in ("clip_range", "clip_range_vf"):
            schedule = getattr(self, name)
            left = self._current_progress_remaining
            self.learner.options[name] = None if schedule is None else FloatSchedule(schedule)(left)
        for name, value in self.learner.update().items():
            self.logger.record(name, value)
        self._n_updates = self.learner.n_updates

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_learner"]
