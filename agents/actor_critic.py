"""A circuit as the actor of SB3's own on-policy algorithms (PPO, A2C), with an MLP critic beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import DiagGaussianDistribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import MlpExtractor
from torch import Tensor, nn

from ..circuits import Circuit
from ..envs.layout import Layout
from ..errors import CircuitMismatch
from .policy import build_circuit
from .sensing import Sensing, plain_layout


class CircuitActorCriticPolicy(ActorCriticPolicy):
    """A stateless circuit as PPO's actor; a Gaussian around its motor commands, an MLP as critic.

    Circuits whose state is the step counter alone, such as NCAP, are stateless once the environment's
    observation holds the time (`observe_time=True`).

    Args:
        circuit, circuit_options, layout, seed: as in `CircuitPolicy`.
        action_std: standard deviation of the actions, fixed; None learns it, from 1.
        critic: hidden layers of the critic, on the whole observation.
        sb3: arguments of SB3's `ActorCriticPolicy`.

    Raises:
        CircuitMismatch: the circuit keeps a state that PPO here cannot train through.
    """

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
        action_std: float | None = 0.1,
        critic: tuple[int, ...] = (64, 64),
        **sb3: Any,
    ) -> None:
        layout = layout or plain_layout(observation_space)
        # nn.Module takes no attributes before its __init__, which is SB3's, which calls _build.
        self._make_actor = lambda: _Actor(layout, build_circuit(circuit, layout, action_space, circuit_options, seed))
        self._action_std = action_std
        sb3.setdefault("net_arch", {"pi": [], "vf": list(critic)})
        super().__init__(observation_space, action_space, lr_schedule, **sb3)

    @property
    def circuit(self) -> Circuit:
        """The actor's torch module."""
        actor: _Actor = self.action_net  # type: ignore[assignment]
        return actor.circuit

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = MlpExtractor(
            self.features_dim, net_arch=self.net_arch, activation_fn=self.activation_fn, device=self.device
        )

    def _build(self, lr_schedule: Any) -> None:
        super()._build(lr_schedule)
        # SB3 has made a linear action layer and initialised it; the circuit takes its place as it is.
        self.action_net = self._make_actor().to(self.device)
        del self._make_actor
        if isinstance(self.action_dist, DiagGaussianDistribution) and self._action_std is not None:
            fixed = torch.full_like(self.log_std, math.log(self._action_std))
            self.log_std = nn.Parameter(fixed, requires_grad=False)
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        self.optimizer = self.optimizer_class(trained, lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]


class _Actor(nn.Module):
    """From an observation to motor commands, through a circuit without state."""

    def __init__(self, layout: Layout, circuit: Circuit) -> None:
        super().__init__()
        if circuit.initial_state(1):
            raise CircuitMismatch(
                f"{type(circuit).__name__} keeps a state over time, and PPO trains circuits without one; "
                "observe_time=True lets NCAP read the time, algorithm 'es' trains any circuit"
            )
        self.circuit, self.sensing = circuit, Sensing(layout, circuit)

    def forward(self, observation: Tensor) -> Tensor:
        motor: Tensor = self.circuit(self.sensing(observation), {})[0]
        return motor
