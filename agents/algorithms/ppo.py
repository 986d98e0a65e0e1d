"""PPO that trains any circuit through time, with an explicit state of any shape.

Schulman et al. 2017 (https://arxiv.org/abs/1707.06347), with SB3's conventions: equal to SB3's PPO for
stateless circuits and to sb3-contrib's RecurrentPPO for an LSTM (tests/test_ppo.py).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Float
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, Schedule
from stable_baselines3.common.utils import FloatSchedule, explained_variance
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from ...circuits import State
from ...errors import CircuitMismatch, TrainingDiverged
from ..actor_critic import CircuitActorCriticPolicy
from ..sensing import layout_of
from .sequence_buffer import SequenceBuffer, Sequences


class CircuitPPO(OnPolicyAlgorithm):
    """Train a circuit by PPO, through time where it has a memory.

    The state is carried per environment, reset at episode starts to the circuit's (learned) initial
    state, and stored at the start of each training sequence; gradients flow through `sequence_length`
    steps. Circuits whose state needs no gradient (NCAP, MLP) learn from single steps.

    Args:
        policy: "CircuitPolicy" or the class.
        env: a vector environment, or what SB3 makes one of.
        sequence_length: steps of backpropagation through time, a divisor of `n_steps`; circuits
            without memory take 1.
        batch_size: transitions of a minibatch, a multiple of `sequence_length`.
        policy_kwargs: `circuit`, `circuit_options`, `critic`, `action_std` and the rest of
            `CircuitActorCriticPolicy`.
        learning_rate, n_steps, n_epochs, gamma, gae_lambda, clip_range: as in SB3's PPO.
        normalize_advantage, ent_coef, vf_coef, max_grad_norm, target_kl, sb3: as in SB3's PPO.

    Raises:
        CircuitMismatch: lengths that do not divide, or a circuit whose state changes shape.
        TrainingDiverged: a loss or gradient is not finite; the weights are those before that update.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"CircuitPolicy": CircuitActorCriticPolicy}
    policy: CircuitActorCriticPolicy  # type: ignore[assignment]
    rollout_buffer: SequenceBuffer

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
        normalize_advantage: bool = True,
        ent_coef: float = 0.0,
        vf_coef: float = 0.5,
        max_grad_norm: float = 0.5,
        target_kl: float | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        device: torch.device | str = "cpu",
        _init_setup_model: bool = True,
        **sb3: Any,
    ) -> None:
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
            rollout_buffer_class=SequenceBuffer,
            policy_kwargs=policy_kwargs,
            device=device,
            supported_action_spaces=(spaces.Box, spaces.Discrete),
            _init_setup_model=False,
            **sb3,
        )
        self.batch_size, self.sequence_length, self.n_epochs = batch_size, sequence_length, n_epochs
        self.clip_range, self.normalize_advantage, self.target_kl = clip_range, normalize_advantage, target_kl
        self._last_state: State | None = None
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        # The layout and the seed travel with the policy's arguments, so that a saved model loads without env.
        arguments = {"layout": layout_of(self.env, self.observation_space), "seed": self.seed}
        self.policy_kwargs = {**arguments, **self.policy_kwargs}
        # Only the policy knows whether its circuit has a memory, and SB3 makes the buffer first.
        self.rollout_buffer_kwargs = {"sequence_length": 1}
        super()._setup_model()
        _check_state(self.policy)
        length = self.sequence_length if self.policy.circuit.is_recurrent else 1
        self.rollout_buffer = SequenceBuffer(
            self.n_steps, self.observation_space, self.action_space, self.device,
            self.gae_lambda, self.gamma, self.n_envs, length,
        )  # fmt: skip
        if self.batch_size < length or self.batch_size % length:
            raise CircuitMismatch(
                f"batch_size {self.batch_size} is no multiple of sequence_length {length}; "
                f"give {max(round(self.batch_size / length), 1) * length}"
            )
        self.clip_range = FloatSchedule(self.clip_range)

    @torch.no_grad()
    def collect_rollouts(  # type: ignore[override]
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: SequenceBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer; False if a callback stopped it."""
        policy, device = self.policy, self.device
        policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        assert self._last_obs is not None
        if self._last_state is None:
            self._last_state = policy.initial_state(env.num_envs)
        state = self._last_state
        for _ in range(n_rollout_steps):
            obs = policy.observe(self._last_obs)  # type: ignore[arg-type]
            starts = torch.as_tensor(self._last_episode_starts, device=device)
            actions, values, log_prob, next_state = policy.act(obs, state, starts)
            new_obs, rewards, dones, infos = env.step(policy.to_env(actions).cpu().numpy())
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            self._update_info_buffer(infos, dones)
            truncated = [i for i in np.flatnonzero(dones).tolist() if infos[i].get("TimeLimit.truncated", False)]
            if truncated:
                # The episode was cut, not over: what would have followed is worth its value, in the
                # state after the step.
                last_obs = policy.observe(np.stack([infos[i]["terminal_observation"] for i in truncated]))
                after = {key: value[truncated] for key, value in next_state.items()}
                last = policy.predict_values(
                    last_obs, after, torch.zeros(len(truncated), dtype=torch.bool, device=device)
                )
                rewards = rewards.copy()
                rewards[truncated] += self.gamma * last.cpu().numpy()
            rollout_buffer.add(
                obs.cpu().numpy(), actions.cpu().numpy(), rewards, self._last_episode_starts, values, log_prob,
                state=state,
            )  # fmt: skip
            self._last_obs, self._last_episode_starts = new_obs, dones  # type: ignore[assignment]
            self._last_state = state = next_state
        final = torch.as_tensor(dones, device=device)
        values = policy.predict_values(policy.observe(new_obs), state, final)  # type: ignore[arg-type]
        rollout_buffer.compute_returns_and_advantage(last_values=values, dones=dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """Update actor and critic from the rollout."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        logged: dict[str, list[float]] = {}
        go_on = True
        for _ in range(self.n_epochs):
            for sequences in self.rollout_buffer.get(self.batch_size):
                loss, terms = self.loss(sequences)
                for name, value in terms.items():
                    logged.setdefault(name, []).append(value.item())
                go_on = self.target_kl is None or logged["approx_kl"][-1] <= 1.5 * self.target_kl
                if not go_on:
                    break
                self._update(loss, terms)
            self._n_updates += 1
            if not go_on:
                break
        for name, values in logged.items():
            self.logger.record(f"train/{name}", float(np.mean(values)))
        explained = explained_variance(self.rollout_buffer.values.flatten(), self.rollout_buffer.returns.flatten())
        self.logger.record("train/explained_variance", float(explained))
        if not self.policy.is_discrete:
            self.logger.record("train/std", self.policy.log_std.exp().mean().item())
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")

    def loss(self, sequences: Sequences) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """Return PPO's loss on a minibatch, and its terms by name.

        They have no unit, but `entropy_loss` and `approx_kl` are in nats and `clip_fraction` is from 0 to 1.
        """
        clip_range = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        values, log_prob, entropy = self.policy.evaluate_sequences(
            sequences.observations, sequences.state, sequences.episode_start, sequences.actions
        )
        advantages = sequences.advantages
        if self.normalize_advantage and advantages.numel() > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        log_ratio = log_prob - sequences.old_log_prob
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
        policy_loss = -torch.min(advantages * ratio, advantages * clipped).mean()
        value_loss = (sequences.returns - values).square().mean()
        loss = policy_loss - self.ent_coef * entropy + self.vf_coef * value_loss
        with torch.no_grad():
            terms = {
                "policy_gradient_loss": policy_loss.detach(),
                "value_loss": value_loss.detach(),
                "entropy_loss": -entropy.detach(),
                "loss": loss.detach(),
                # Schulman's low-variance estimate of KL(old, new).
                "approx_kl": (ratio - 1 - log_ratio).mean(),
                "clip_fraction": ((ratio - 1).abs() > clip_range).float().mean(),
            }
        if not torch.isfinite(loss):
            culprits = {"log_prob": log_prob, "values": values, "entropy": entropy, "ratio": ratio,
                        "advantages": sequences.advantages, "returns": sequences.returns}  # fmt: skip
            raise TrainingDiverged(self._diagnosis("the loss", culprits))
        return loss, terms

    def _update(self, loss: Tensor, terms: dict[str, Tensor]) -> None:
        self.policy.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self.max_grad_norm)
        if not torch.isfinite(norm):
            gradients = {
                name: parameter.grad for name, parameter in self.policy.named_parameters() if parameter.grad is not None
            }
            raise TrainingDiverged(self._diagnosis(f"a gradient (of a loss of {terms['loss']:.3g})", gradients))
        self.policy.optimizer.step()

    def _diagnosis(self, what: str, tensors: dict[str, Tensor]) -> str:
        bad = next((name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()), "their sum")
        return (
            f"{what} is not finite at step {self.num_timesteps}: {bad} is not; "
            "the weights are as before this update; try a lower learning_rate or max_grad_norm"
        )

    def _setup_learn(self, *args: Any, **kwargs: Any) -> Any:
        result = super()._setup_learn(*args, **kwargs)
        held = self._last_state
        # New environments start episodes everywhere, whose state is the initial one.
        if np.all(self._last_episode_starts) or (held and next(iter(held.values())).shape[0] != self.n_envs):
            self._last_state = None
        return result

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_last_state"]


@torch.no_grad()
def _check_state(policy: CircuitActorCriticPolicy) -> None:
    """Step once, so that a state that changes is named before training."""
    before = policy.initial_state(2)
    observation = torch.zeros(2, policy.layout.size, device=policy.device)
    after = policy.run(observation[None], before, torch.zeros(1, 2, dtype=torch.bool, device=policy.device))[2]
    kind = type(policy.circuit).__name__
    if before.keys() != after.keys():
        raise CircuitMismatch(
            f"{kind} begins with the state {', '.join(before) or 'none'} and returns {', '.join(after) or 'none'}; "
            "a step must return what it was given"
        )
    for key, value in before.items():
        if value.shape != after[key].shape or value.dtype != after[key].dtype:
            raise CircuitMismatch(
                f"{kind} begins with state {key!r} {tuple(value.shape)} {value.dtype} and returns "
                f"{tuple(after[key].shape)} {after[key].dtype}; a step must keep shape and type"
            )
