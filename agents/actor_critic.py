"""A circuit as actor with a critic beside it, stepped or run over sequences: what PPO trains."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from gymnasium import spaces
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from ..circuits import RecurrentCircuit, State
from ..errors import CircuitMismatch
from .agent import Agent, to_actions

Critic = Literal["shared", "separate", "mlp"]
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
# The separate critic's state travels with the actor's, under names of its own.
_CRITIC = "critic."


class ActorCritic(nn.Module):
    """A Gaussian (or, for discrete actions, a categorical) around a circuit's motors, and a critic.

    Observations are as the agent's circuit is shown them (see `Agent.observe`). Motor commands are in units of the
    motor's range, and so are the actions drawn around them. Values are discounted sums of rewards, no unit.

    Args:
        agent: whose circuit is the actor; it learns in place.
        action_std: standard deviation of the motor commands, fixed; None learns it, from 1.
        critic: "shared" reads the circuit's features; "separate" is a second circuit of the same kind
            with one output; "mlp" reads the observation. None is "shared" where the circuit has
            features, else "mlp".
        critic_hidden: tanh layers of the critic, between features or observation and the value.
        generator: what actions are drawn from; None is torch's global one.

    Raises:
        CircuitMismatch: a shared critic of a circuit without features, or a separate one of a circuit
            that is bound to the body's motors.
    """

    def __init__(
        self,
        agent: Agent,
        action_std: float | None = None,
        critic: Critic | None = None,
        critic_hidden: Sequence[int] = (64, 64),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.circuit, self.sensing, self.generator = agent.circuit, agent.sensing, generator
        self.action_space = agent.action_space
        name, seed = agent.spec.circuit, agent.spec.seed
        has_features = isinstance(self.circuit, RecurrentCircuit)
        self.critic: Critic = critic or ("shared" if has_features else "mlp")
        if self.critic == "shared" and not has_features:
            raise CircuitMismatch(f"circuit {name!r} has no features for a critic to share; give critic 'mlp'")
        self.critic_circuit: RecurrentCircuit | None = None
        inputs = agent.layout.size
        if isinstance(self.circuit, RecurrentCircuit) and self.critic != "mlp":
            inputs = self.circuit.n_features
        if self.critic == "separate":
            its = agent.spec.make_circuit(None if seed is None else seed + 1)
            if not isinstance(its, RecurrentCircuit):
                raise CircuitMismatch(f"circuit {name!r} cannot be a critic; give critic 'mlp'")
            its.readout = nn.Identity()
            self.critic_circuit = its
        rng = None if seed is None else torch.Generator().manual_seed(seed)
        self.value_head = _value_head(inputs, critic_hidden, rng)
        self.is_discrete = isinstance(self.action_space, spaces.Discrete)
        if not self.is_discrete:
            log_std = torch.full((self.circuit.n_motors,), 0.0 if action_std is None else math.log(action_std))
            self.log_std = nn.Parameter(log_std, requires_grad=action_std is None)
        self.to(agent.device)

    def make_optimizer(self, learning_rate: float) -> torch.optim.Adam:
        """Return Adam over everything that is trained."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        # SB3's constant, ten thousand times torch's: steps stay small while the second moment is young.
        return torch.optim.Adam(trained, lr=learning_rate, eps=1e-5, fused=True)

    def initial_state(self, batch_size: int) -> State:
        """Return the state of actor and critic at an episode's start."""
        state = self.circuit.initial_state(batch_size)
        if self.critic_circuit is not None:
            state = state | _prefixed(self.critic_circuit.initial_state(batch_size))
        return state

    def act(
        self,
        observation: Float[Tensor, "batch obs"],
        state: State,
        episode_start: Bool[Tensor, " batch"],
    ) -> tuple[Shaped[Tensor, "batch ..."], Float[Tensor, " batch"], Float[Tensor, " batch"], State]:
        """Draw actions; return them (as motor commands), values, log-probabilities and the next state."""
        motor, values, state = self.run(observation[None], state, episode_start[None])
        actions = self.sample(motor)
        return actions[0], values[0], self.log_prob(motor, actions)[0], state

    def predict_values(
        self,
        observation: Float[Tensor, "batch obs"],
        state: State,
        episode_start: Bool[Tensor, " batch"],
    ) -> Float[Tensor, " batch"]:
        """Return the values of observations that are met in a state."""
        return self.run(observation[None], state, episode_start[None])[1][0]

    def evaluate_sequences(
        self,
        observations: Float[Tensor, "time batch obs"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
        actions: Shaped[Tensor, "time batch ..."],
    ) -> tuple[Float[Tensor, "time batch"], Float[Tensor, "time batch"], Float[Tensor, ""]]:
        """Return values, log-probabilities of the actions taken, and the mean entropy, nats."""
        motor, values, _ = self.run(observations, state, episode_start)
        return values, self.log_prob(motor, actions), self._entropy(motor)

    def to_env(self, actions: Shaped[Tensor, "*batch action"]) -> Shaped[Tensor, "*batch action"]:
        """Return what the environment is given, in its units, for actions that `act` drew."""
        return actions if self.is_discrete else to_actions(actions, self.action_space)

    def run(
        self,
        observations: Float[Tensor, "time batch obs"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], Float[Tensor, "time batch"], State]:
        """Run actor and critic over sequences; return motor commands, values and the last state."""
        sensors = self.sensing(observations)
        if self.critic == "shared":
            assert isinstance(self.circuit, RecurrentCircuit)
            features, state = self.circuit.unroll_features(sensors, state, episode_start)
            return self.circuit.readout(features), self.value_head(features).squeeze(-1), state
        own = {key: value for key, value in state.items() if not key.startswith(_CRITIC)}
        motor, after = self.circuit.unroll(sensors, own, episode_start)
        if self.critic_circuit is None:
            return motor, self.value_head(observations).squeeze(-1), after
        its = {key[len(_CRITIC) :]: value for key, value in state.items() if key.startswith(_CRITIC)}
        features, its = self.critic_circuit.unroll_features(sensors, its, episode_start)
        return motor, self.value_head(features).squeeze(-1), after | _prefixed(its)

    def log_prob(
        self, motor: Float[Tensor, "*batch motors"], actions: Shaped[Tensor, "*shape"]
    ) -> Float[Tensor, "*batch"]:
        """Return the log-probability (density) of actions, given the motor commands at their centre."""
        if self.is_discrete:
            return motor.log_softmax(-1).gather(-1, actions[..., None]).squeeze(-1)
        deviation = (actions - motor) * torch.exp(-self.log_std)
        total: Tensor = -0.5 * deviation.square().sum(-1) - self.log_std.sum() - motor.shape[-1] * _HALF_LOG_2PI
        return total

    def _entropy(self, motor: Float[Tensor, "*batch motors"]) -> Float[Tensor, ""]:
        if self.is_discrete:
            log_p = motor.log_softmax(-1)
            return -(log_p.exp() * log_p).sum(-1).mean()
        return self.log_std.sum() + self.log_std.numel() * (0.5 + _HALF_LOG_2PI)

    def sample(self, motor: Float[Tensor, "*batch motors"]) -> Shaped[Tensor, "*shape"]:
        """Draw actions around motor commands, in units of the motor's range; indices of discrete ones."""
        if self.is_discrete:
            # The largest of log-probabilities plus Gumbel noise is a draw from them.
            gumbel = torch.empty_like(motor).exponential_(generator=self.generator).log()
            return (motor - gumbel).argmax(-1)
        noise = torch.randn(motor.shape, generator=self.generator, device=motor.device)
        return motor + torch.exp(self.log_std) * noise


def _prefixed(state: Mapping[str, Tensor]) -> State:
    return {_CRITIC + key: value for key, value in state.items()}


def _value_head(inputs: int, hidden: Sequence[int], rng: torch.Generator | None) -> nn.Sequential:
    """Build the critic's layers, initialised as SB3 does: orthogonal, gain sqrt 2, and 1 at the value."""
    layers: list[nn.Module] = []
    for size, units in itertools.pairwise([inputs, *hidden]):
        layer = nn.Linear(size, units)
        nn.init.orthogonal_(layer.weight, math.sqrt(2), generator=rng)
        nn.init.zeros_(layer.bias)
        layers += [layer, nn.Tanh()]
    value = nn.Linear([inputs, *hidden][-1], 1)
    nn.init.orthogonal_(value.weight, 1.0, generator=rng)
    nn.init.zeros_(value.bias)
    return nn.Sequential(*layers, value)
