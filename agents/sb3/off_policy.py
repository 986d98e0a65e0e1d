"""A circuit as the actor of SB3's off-policy algorithms: DDPG and TD3, and SAC."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from gymnasium import spaces
from jaxtyping import Float
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.sac.policies import Actor as SACActor
from stable_baselines3.sac.policies import SACPolicy
from stable_baselines3.td3.policies import Actor as TD3Actor
from stable_baselines3.td3.policies import TD3Policy
from torch import Tensor, nn

from ...circuits import Circuit
from ...envs.senses import Layout
from ...errors import CircuitMismatch
from ..agent import AgentSpec, n_motors_for
from ..sensing import Sensing, plain_layout

# SAC draws before the tanh, where a motor at its bound would stand at infinity.
_REACH = 0.97


class _CircuitActor:
    """What both policies share: SB3's critics on the observation, and a circuit to put into its actor."""

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Box,
        lr_schedule: Any,
        *,
        critic_hidden: Sequence[int] = (256, 256),
        circuit: str = "ncap",
        circuit_options: Mapping[str, Any] | None = None,
        layout: Layout | None = None,
        seed: int | None = None,
        dt_ref: float | None = None,
        **sb3: Any,
    ) -> None:
        if "net_arch" in sb3:
            raise CircuitMismatch("net_arch is no argument here; give circuit_options and critic_hidden")
        names = layout or plain_layout(observation_space)
        # Plain data, which nn.Module's __init__ would not mind: actor and target are built of it before that.
        self._spec = AgentSpec(
            circuit, names, n_motors_for(action_space), dict(circuit_options or {}), seed, dt_ref=dt_ref
        )
        self._is_named, self._critic_hidden = layout is not None, tuple(critic_hidden)
        sb3["net_arch"] = {"pi": [], "qf": list(critic_hidden)}
        super().__init__(observation_space, action_space, lr_schedule, **sb3)  # type: ignore[call-arg]

    def _make_drive(self, finish: Callable[[Circuit, Tensor], Tensor]) -> _Drive:
        try:
            return _Drive(self._spec.layout, self._spec.make_circuit(), finish)
        except CircuitMismatch as error:
            if self._is_named:
                raise
            raise CircuitMismatch(
                f"{error}; SB3 does not tell policies what an observation holds, so give "
                'policy_kwargs={"layout": env.get_attr("layout")[0]} of a nervecord environment'
            ) from error

    def _get_constructor_parameters(self) -> dict[str, Any]:
        """Return what `save` keeps beside the weights, from which `load` makes the policy."""
        kept: dict[str, Any] = super()._get_constructor_parameters()  # type: ignore[misc]
        del kept["net_arch"]
        spec = self._spec
        own = {"circuit": spec.circuit, "circuit_options": dict(spec.circuit_options), "seed": spec.seed}
        given = {"layout": spec.layout, "dt_ref": spec.dt_ref, "critic_hidden": self._critic_hidden}
        return {**kept, **own, **given}

    @property
    def circuit(self) -> Circuit:
        """The actor's torch module."""
        drive: _Drive = self.actor.mu  # type: ignore[attr-defined]
        return drive.circuit


class CircuitTD3Policy(_CircuitActor, TD3Policy):
    """A memoryless circuit as the actor of DDPG and TD3, with SB3's critics on the observation.

    Motor commands of unbounded circuits pass through a tanh, as in `CircuitPolicy` with `squash=True`.

    Args:
        observation_space, action_space, lr_schedule, circuit, circuit_options, layout, seed: as in
            `CircuitPolicy`.
        critic_hidden: sizes of the hidden layers of each critic.
        dt_ref: seconds of the control step that the circuit was made for; None is the layout's.
        sb3: further arguments of SB3's policy.

    Raises:
        CircuitMismatch: the circuit has a state; NCAP has none with `observe_time=True`, which reads the time instead.
    """

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> TD3Actor:
        """Build SB3's actor with the circuit in it."""
        actor = super().make_actor(features_extractor)
        actor.mu = self._make_drive(_bounded)  # type: ignore[assignment]
        return actor.to(self.device)


class CircuitSACPolicy(_CircuitActor, SACPolicy):
    """A memoryless circuit as the actor of SAC: its motor commands are the mean of the squashed Gaussian.

    A bounded motor command m becomes the mean atanh(0.97 m) before SAC's tanh, so that the mean action is 0.97 m.

    Args:
        observation_space, action_space, lr_schedule, critic_hidden: as in `CircuitTD3Policy`.
        circuit, circuit_options, layout, seed, sb3: as in `CircuitTD3Policy`.
    """

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> SACActor:
        """Build SB3's actor with the circuit in it."""
        actor = super().make_actor(features_extractor)
        actor.mu = self._make_drive(_before_tanh)
        return actor.to(self.device)


class _Drive(nn.Module):
    """From an observation to motor commands, through a circuit without state."""

    def __init__(self, layout: Layout, circuit: Circuit, finish: Callable[[Circuit, Tensor], Tensor]) -> None:
        super().__init__()
        if circuit.initial_state(1):
            raise CircuitMismatch(
                f"{type(circuit).__name__} keeps a state over time, and off-policy algorithms learn from single "
                "steps; use ppo or es, or observe_time=True where the state is a clock, as in NCAP"
            )
        if circuit.restructures_every or circuit.rates:
            what = "changes its structure between rollouts" if circuit.restructures_every else "has slow weights"
            raise CircuitMismatch(
                f"{type(circuit).__name__} {what}, and off-policy algorithms know neither rollouts nor rates of single "
                "weights; use ppo or es, or options without that: rewire_every=0, or neuron='linear'"
            )
        self.circuit, self.sensing, self._finish = circuit, Sensing(layout, circuit), finish

    def forward(self, observation: Float[Tensor, "batch obs"]) -> Float[Tensor, "batch motors"]:
        return self._finish(self.circuit, self.circuit(self.sensing(observation), {})[0])


def _bounded(circuit: Circuit, motor: Float[Tensor, "batch motors"]) -> Float[Tensor, "batch motors"]:
    return motor if circuit.is_bounded else torch.tanh(motor)


def _before_tanh(circuit: Circuit, motor: Float[Tensor, "batch motors"]) -> Float[Tensor, "batch motors"]:
    return torch.atanh(_REACH * motor) if circuit.is_bounded else motor
