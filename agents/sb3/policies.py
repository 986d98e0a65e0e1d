"""Agents as policies of Stable-Baselines3, for its algorithms and for ours with the same interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Shaped
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.distributions import CategoricalDistribution, DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from ...circuits import Circuit, Neuron, State
from ...envs.senses import Layout
from ...errors import CircuitMismatch
from ...options import allowed_values, wrong_value
from ..actor_critic import ActorCritic, Critic
from ..agent import Agent, AgentSpec, as_batch, n_motors_for
from ..algorithms.ppo import ProximalPolicyOptimization
from ..flat_adam import FlatAdam
from ..sensing import plain_layout


class CircuitPolicy(BasePolicy):
    """A deterministic agent as an SB3 policy, for `ES` and `CMAES`.

    Observations and actions are in the environment's units.

    Args:
        observation_space, action_space: the environment's.
        lr_schedule: passed by SB3, and ignored: the policy has no optimiser.
        circuit: name of the circuit.
        circuit_options: options of the circuit.
        layout: names and positions of the senses in the observation; None treats it as one unnamed vector.
        seed: seed of random initial weights.
        squash: whether motor commands of an unbounded circuit pass through a tanh.

    Attributes:
        agent: the agent.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Any = None,  # noqa: ARG002
        *,
        circuit: str = "ncap",
        circuit_options: Mapping[str, Any] | None = None,
        layout: Layout | None = None,
        seed: int | None = None,
        squash: bool = False,
        use_sde: bool = False,  # noqa: ARG002  (SB3 passes it to every policy)
    ) -> None:
        super().__init__(observation_space, action_space)
        spec = AgentSpec(
            circuit, layout or plain_layout(observation_space), n_motors_for(action_space), dict(circuit_options or {}),
            seed, squash=squash,
        )  # fmt: skip
        self.agent = Agent(spec, action_space)

    @property
    def circuit(self) -> Circuit:
        """The circuit, a torch module."""
        return self.agent.circuit

    @property
    def layout(self) -> Layout:
        """The names and positions of the senses in the observation."""
        return self.agent.layout

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """The circuit's neurons, in the order of the activity's columns."""
        return self.agent.neurons

    def _get_constructor_parameters(self) -> dict[str, Any]:
        """Return what `save` keeps beside the weights, from which `load` makes the policy."""
        spec = self.agent.spec
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "circuit": spec.circuit,
            "circuit_options": dict(spec.circuit_options),
            "layout": spec.layout,
            "seed": spec.seed,
            "squash": spec.squash,
        }

    def predict(  # type: ignore[override]
        self,
        observation: Shaped[np.ndarray, "*batch obs"],
        state: State | None = None,
        episode_start: Bool[np.ndarray, " batch"] | None = None,
        deterministic: bool = True,  # noqa: ARG002
    ) -> tuple[Shaped[np.ndarray, "*batch action"], State]:
        """Return actions and the circuit's next state; see `Agent.predict`."""
        return self.agent.predict(observation, state, episode_start)

    def predict_with_activity(
        self,
        observation: Shaped[np.ndarray, "*batch obs"],
        state: State | None = None,
        episode_start: Bool[np.ndarray, " batch"] | None = None,
    ) -> tuple[Shaped[np.ndarray, "*batch action"], State, Float[Tensor, "batch neurons"] | None]:
        """Act as `predict` does, and also return every neuron's value; see `Agent.predict_with_activity`."""
        return self.agent.predict_with_activity(observation, state, episode_start)

    def forward(self, observation: Float[Tensor, "batch obs"], deterministic: bool = True) -> Shaped[Tensor, "*shape"]:
        """Return actions for a batch of observations, from the initial state, as `predict` does."""
        return self._predict(observation, deterministic)

    def _predict(  # type: ignore[override]
        self,
        observation: Tensor,
        deterministic: bool = True,  # noqa: ARG002
    ) -> Tensor:
        return self.agent(observation.cpu().numpy())[0]


class CircuitActorCriticPolicy(CircuitPolicy):
    """An agent with a critic as an SB3 policy, for `CircuitPPO`.

    Args:
        observation_space, action_space, lr_schedule, circuit, circuit_options, layout, seed: as in `CircuitPolicy`.
        action_std, critic, critic_hidden: as in `ActorCritic`.

    Attributes:
        actor_critic: the circuit with its critic.
        optimizer: optimiser of both.

    Raises:
        CircuitMismatch: an option is out of range.
    """

    optimizer: FlatAdam

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Any,
        *,
        circuit: str = "ncap",
        circuit_options: Mapping[str, Any] | None = None,
        layout: Layout | None = None,
        seed: int | None = None,
        action_std: float | None = None,
        critic: Critic | None = None,
        critic_hidden: Sequence[int] = (64, 64),
        use_sde: bool = False,
    ) -> None:
        critics = {"action_std": action_std, "critic": critic, "critic_hidden": critic_hidden}
        if wrong := wrong_value(critics, allowed_values(ProximalPolicyOptimization.Options)):
            raise CircuitMismatch(wrong)
        super().__init__(
            observation_space, action_space, lr_schedule, circuit=circuit, circuit_options=circuit_options,
            layout=layout, seed=seed, use_sde=use_sde,
        )  # fmt: skip
        self.actor_critic = ActorCritic(self.agent, action_std, critic, critic_hidden)
        self.optimizer = self.actor_critic.make_optimizer(lr_schedule(1))
        self._critic_options = critics

    def _get_constructor_parameters(self) -> dict[str, Any]:
        """Return what `save` keeps beside the weights; a policy that is loaded by itself does not learn."""
        kept = super()._get_constructor_parameters()
        del kept["squash"]
        return {**kept, **self._critic_options, "lr_schedule": self._dummy_schedule}

    @torch.inference_mode()
    def predict(  # type: ignore[override]
        self,
        observation: Shaped[np.ndarray, "*batch obs"],
        state: State | None = None,
        episode_start: Bool[np.ndarray, " batch"] | None = None,
        deterministic: bool = True,
    ) -> tuple[Shaped[np.ndarray, "*batch action"], State]:
        """Return actions, sampled unless `deterministic`, and the circuit's next state.

        Observations and actions are in the environment's units.
        """
        if deterministic:
            return self.agent.predict(observation, state, episode_start)
        batch, is_single = as_batch(observation)
        motor, state, _ = self.agent.run(batch, state, episode_start)
        actions = self.actor_critic.to_env(self.actor_critic.sample(motor)).cpu().numpy()
        actions = actions.astype(self.action_space.dtype, copy=False)
        return (actions[0, ...] if is_single else actions), state

    # What follows is by the names and shapes of SB3's ActorCriticPolicy, whose users call it by themselves.
    def forward(  # type: ignore[override]
        self, observation: Float[Tensor, "batch obs"], deterministic: bool = False
    ) -> tuple[Shaped[Tensor, "batch ..."], Float[Tensor, "batch 1"], Float[Tensor, " batch"]]:
        """Return actions from the initial state, the critic's values, and the actions' log-probabilities.

        Actions are in units of the motor's range; discrete ones are indices.
        """
        motor, heard = self._hear(observation)
        actions = self.actor_critic.sample(motor)
        if deterministic:
            actions = motor.argmax(-1) if self.actor_critic.is_discrete else motor
        return actions, self.actor_critic.value(heard)[:, None], self.actor_critic.log_prob(motor, actions)

    def predict_values(self, observation: Float[Tensor, "batch obs"]) -> Float[Tensor, "batch 1"]:
        """Return the critic's values of observations in the initial state."""
        return self.actor_critic.value(self._hear(observation)[1])[:, None]

    def get_distribution(self, observation: Float[Tensor, "batch obs"]) -> Distribution:
        """Return the action distribution in the initial state, in units of the motor's range."""
        motor, _ = self._hear(observation)
        if self.actor_critic.is_discrete:
            return CategoricalDistribution(motor.shape[-1]).proba_distribution(motor)
        return DiagGaussianDistribution(motor.shape[-1]).proba_distribution(motor, self.actor_critic.log_std)

    def evaluate_actions(
        self, observation: Float[Tensor, "batch obs"], actions: Shaped[Tensor, "batch ..."]
    ) -> tuple[Float[Tensor, "batch 1"], Float[Tensor, " batch"], Float[Tensor, " batch"]]:
        """Return values of observations, and log-probabilities and entropies (nats) of actions, in the initial state.

        Actions are in units of the motor's range; discrete ones are indices.
        """
        motor, heard = self._hear(observation)
        log_prob = self.actor_critic.log_prob(motor, actions)
        entropy = self.actor_critic.entropy(motor).expand(len(motor))
        if self.actor_critic.is_discrete:
            log_p = motor.log_softmax(-1)
            entropy = -(log_p.exp() * log_p).sum(-1)
        return self.actor_critic.value(heard)[:, None], log_prob, entropy

    def _hear(
        self, observation: Float[Tensor, "batch obs"]
    ) -> tuple[Float[Tensor, "batch motors"], Float[Tensor, "batch heard"]]:
        """Return motor commands and what the critic hears, from the initial state."""
        shown = self.agent.observe(observation.detach().cpu().numpy())[None]
        starts = torch.zeros(shown.shape[:2], dtype=torch.bool, device=shown.device)
        motor, heard, _ = self.actor_critic.unroll(shown, self.actor_critic.initial_state(shown.shape[1]), starts)
        return motor[0], heard[0]


def check_policy(model: BaseAlgorithm) -> None:
    """Refuse an algorithm of ours whose policy holds no circuit.

    Raises:
        CircuitMismatch: SB3's own, or another.
    """
    policy = model.policy_class
    kind = model.policy_aliases["CircuitPolicy"]
    if not issubclass(policy, kind):
        raise CircuitMismatch(
            f"policy is {policy.__name__}, and {type(model).__name__} trains circuits; give 'CircuitPolicy' or a "
            f"subclass of {kind.__name__}"
        )
