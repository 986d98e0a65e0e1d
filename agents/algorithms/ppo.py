"""PPO that trains any circuit through time, with an explicit state of any shape.

Schulman et al. 2017 (https://arxiv.org/abs/1707.06347), with SB3's conventions: equal to SB3's PPO for
stateless circuits and to sb3-contrib's RecurrentPPO for an LSTM (tests/agents/test_ppo.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ...circuits import Facts
from ...envs.env_batch import EnvBatch
from ...options import ListOf, Number, OneOf, option
from ..actor_critic import ActorCritic
from ..agent import Agent
from ..places import Place
from .algorithm import COUNT, POSITIVE, SHARE, Algorithm
from .ppo_learner import PPOLearner
from .sequence_buffer import check_lengths


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of PPO.

    Attributes:
        n_envs: number of environments.
        n_steps: control steps per environment and rollout.
        batch_size: transitions per minibatch, a multiple of `sequence_length`.
        sequence_length: steps of backpropagation through time, a divisor of `n_steps`; circuits without memory take 1.
        n_epochs: passes over each rollout.
        learning_rate: learning rate of Adam.
        gamma: discount factor per control step.
        gae_lambda: lambda of generalised advantage estimation.
        clip_range: the ratio of probabilities is clipped to 1 - clip_range .. 1 + clip_range.
        normalize_advantage: scale each minibatch's advantages to mean 0 and standard deviation 1.
        ent_coef, vf_coef: weights of the entropy (nats) and of the value's squared error in the loss.
        max_grad_norm: gradients are clipped to this norm.
        target_kl: KL divergence between the policy that acted and the present one, nats; the update of a rollout ends
            at the first minibatch where it is above 1.5 times this value. None never ends early.
        action_std: fixed standard deviation of the motor commands, in units of the motor's range; None learns it, from
            1.
        critic: "shared" reads the circuit's features, "separate" is a second circuit, "mlp" reads the observation; None
            is "shared" where the circuit has features, else "mlp".
        critic_hidden: sizes of the critic's hidden tanh layers.
        normalize_observation, normalize_reward: normalise by running statistics, as SB3's VecNormalize.
    """

    n_envs: int = option(64, COUNT)
    n_steps: int = option(64, COUNT)
    batch_size: int = option(512, COUNT)
    sequence_length: int = option(32, COUNT)
    n_epochs: int = option(5, COUNT)
    learning_rate: float = option(1e-3, POSITIVE)
    gamma: float = option(0.99, SHARE)
    gae_lambda: float = option(0.95, SHARE)
    clip_range: float = option(0.2, POSITIVE)
    normalize_advantage: bool = option(True, OneOf((True, False)))
    ent_coef: float = option(0.0, Number(0))
    vf_coef: float = option(0.5, Number(0))
    max_grad_norm: float = option(0.5, POSITIVE)
    target_kl: float | None = option(None, Number(0, above=True, also=(None,)))
    action_std: float | None = option(None, Number(0, above=True, also=(None,)))
    critic: str | None = option(None, OneOf(("shared", "separate", "mlp", None)))
    critic_hidden: tuple[int, ...] = option((64, 64), ListOf(COUNT))
    normalize_observation: bool = option(True, OneOf((True, False)))
    normalize_reward: bool = option(True, OneOf((True, False)))


class ProximalPolicyOptimization(Algorithm):
    """Train any circuit by PPO, with backpropagation through time if it is recurrent."""

    Options = Options
    takes_places = True

    def defaults(self, facts: Facts) -> dict[str, Any]:
        """Return defaults for circuits that work before training: little noise, raw senses, a large learning rate.

        Their weights are few and of the order of 1.
        """
        if facts.is_bounded:
            return {"action_std": 0.1, "normalize_observation": False, "learning_rate": 1e-2}
        return {"normalize_observation": False} if facts.is_scaled else {}

    def normalizes(self, options: Mapping[str, Any]) -> bool:
        """Return whether the agent sees normalised observations."""
        return bool(options["normalize_observation"])

    def check(self, facts: Facts, options: dict[str, Any]) -> None:
        """Refuse lengths that do not divide one another; set sequences of one step for circuits without memory."""
        if facts.memory != "recurrent":
            options["sequence_length"] = 1
        check_lengths(options)

    def start(
        self,
        agent: Agent,
        envs: EnvBatch,
        options: Mapping[str, Any],
        seed: int,
        places: Sequence[Place] = (),
    ) -> PPOLearner:
        """Return a learner that starts from the agent's current weights."""
        # A random stream apart from the one that drew the weights.
        draws = int(np.random.SeedSequence([seed, 1]).generate_state(1)[0])
        generator = torch.Generator(agent.device).manual_seed(draws)

        def with_critic(agent: Agent) -> ActorCritic:
            critic = options["critic"], options["critic_hidden"]
            return ActorCritic(agent, options["action_std"], *critic, generator)

        others = [(with_critic(place.agent), place) for place in places[1:]]
        bodies = places[0].bodies if places else ()
        return PPOLearner(agent, with_critic(agent), envs, options, seed, others=others, bodies=bodies)
