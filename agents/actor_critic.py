"""The actor-critic that PPO trains: a circuit as the actor, with a critic beside it."""

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
from ..circuits.tanh import Tanh, differentiate_layers, layer_weights, run_layers, tanh_layers
from ..errors import CircuitMismatch
from .agent import Agent, to_actions
from .flat_adam import FlatAdam

Critic = Literal["shared", "separate", "mlp"]
# SB3's constant, a thousand times torch's: steps stay small while the second moment is young.
ADAM_EPSILON = 1e-5
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
# The separate critic's state travels with the actor's, under names of its own.
_CRITIC = "critic."


class ActorCritic(nn.Module):
    """A stochastic policy around a circuit, with a critic.

    Actions are Gaussian with the circuit's motor commands as mean; for discrete actions the motor commands are the
    logits of a categorical distribution. Observations are preprocessed by `Agent.observe`. Motor commands and actions
    are in units of the motor's range, values are discounted returns.

    Args:
        agent: the agent whose circuit is the actor; the circuit's weights are trained in place.
        action_std: fixed standard deviation of the actions; None learns it, starting at 1.
        critic: "shared" reads the circuit's features; "separate" is a second circuit of the same kind
            with one output; "mlp" reads the observation. None is "shared" where the circuit has
            features, else "mlp".
        critic_hidden: sizes of the critic's hidden tanh layers.
        generator: random generator for actions; None is torch's global one.

    Raises:
        CircuitMismatch: a shared critic with a circuit that has no features, or a separate critic with a circuit whose
            outputs are tied to the body's motors.
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
        self._value_layers = [layer for layer in self.value_head if isinstance(layer, nn.Linear)]
        self.is_discrete = isinstance(self.action_space, spaces.Discrete)
        if not self.is_discrete:
            log_std = torch.full((self.circuit.n_motors,), 0.0 if action_std is None else math.log(action_std))
            self.log_std = nn.Parameter(log_std, requires_grad=action_std is None)
        self.to(agent.device)

    def make_optimizer(self, learning_rate: float) -> FlatAdam:
        """Return an Adam optimiser of all trained parameters."""
        return adam_over([self], learning_rate)

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
    ) -> tuple[Shaped[Tensor, "batch ..."], Float[Tensor, "batch motors"], Float[Tensor, "batch heard"], State]:
        """Sample actions; return them, their means, the critic's input and the next state.

        Values and log-probabilities can be computed later, for many steps at once, by `value` and `log_prob`.
        """
        motor, heard, state = self.unroll(observation[None], state, episode_start[None])
        return self.sample(motor)[0], motor[0], heard[0], state

    def predict_values(
        self,
        observation: Float[Tensor, "batch obs"],
        state: State,
        episode_start: Bool[Tensor, " batch"],
    ) -> Float[Tensor, " batch"]:
        """Return the critic's values of observations in a given state."""
        return self.run(observation[None], state, episode_start[None])[1][0]

    def to_env(self, actions: Shaped[Tensor, "*batch action"]) -> Shaped[Tensor, "*batch action"]:
        """Convert actions sampled by `act` to the environment's units."""
        return actions if self.is_discrete else to_actions(actions, self.action_space)

    def run(
        self,
        observations: Float[Tensor, "time batch obs"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], Float[Tensor, "time batch"], State]:
        """Run actor and critic over sequences; return motor commands, values and the last state."""
        motor, heard, state = self.unroll(observations, state, episode_start)
        return motor, self.value(heard), state

    def unroll(
        self,
        observations: Float[Tensor, "time batch obs"],
        state: State,
        episode_start: Bool[Tensor, "time batch"],
    ) -> tuple[Float[Tensor, "time batch motors"], Float[Tensor, "time batch heard"], State]:
        """Run over sequences; return motor commands, the critic's input (for `value`) and the last state."""
        sensors = self.sensing(observations)
        if self.critic == "shared":
            assert isinstance(self.circuit, RecurrentCircuit)
            features, state = self.circuit.unroll_features(sensors, state, episode_start)
            return self.circuit.readout(features), features, state
        own = {key: value for key, value in state.items() if not key.startswith(_CRITIC)}
        motor, after = self.circuit.unroll(sensors, own, episode_start)
        if self.critic_circuit is None:
            return motor, observations, after
        its = {key[len(_CRITIC) :]: value for key, value in state.items() if key.startswith(_CRITIC)}
        features, its = self.critic_circuit.unroll_features(sensors, its, episode_start)
        return motor, features, after | _prefixed(its)

    def value(self, heard: Float[Tensor, "*batch heard"]) -> Float[Tensor, "*batch"]:
        """Return the values of the critic's inputs, which are observations or features."""
        return tanh_layers(heard, layer_weights(self._value_layers)).squeeze(-1)

    def run_critic(
        self, heard: Float[Tensor, "*batch heard"]
    ) -> tuple[Float[Tensor, "*batch"], list[Float[Tensor, "rows units"]]]:
        """Return the values, without gradients, and the input of each of the critic's layers."""
        values, by_layer = run_layers(heard.detach().flatten(0, -2), layer_weights(self._value_layers))
        return values.view(heard.shape[:-1]), by_layer

    def log_prob(
        self, motor: Float[Tensor, "*batch motors"], actions: Shaped[Tensor, "*shape"]
    ) -> Float[Tensor, "*batch"]:
        """Return the log-probability (density) of actions, given the motor commands as means."""
        if self.is_discrete:
            return motor.log_softmax(-1).gather(-1, actions[..., None]).squeeze(-1)
        deviation = (actions - motor) * torch.exp(-self.log_std)
        total: Tensor = -0.5 * deviation.square().sum(-1) - self.log_std.sum() - motor.shape[-1] * _HALF_LOG_2PI
        return total

    def entropy(self, motor: Float[Tensor, "*batch motors"]) -> Float[Tensor, ""]:
        """Return the mean entropy of the action distribution, in nats."""
        if self.is_discrete:
            log_p = motor.log_softmax(-1)
            return -(log_p.exp() * log_p).sum(-1).mean()
        return self.log_std.sum() + self.log_std.numel() * (0.5 + _HALF_LOG_2PI)

    def motor_gradient(
        self,
        motor: Float[Tensor, "*batch motors"],
        actions: Shaped[Tensor, "*shape"],
        of_log_prob: Float[Tensor, "*batch"],
        of_entropy: float,
    ) -> Float[Tensor, "*batch motors"]:
        """Return a loss's gradient with respect to the motor commands, and set that of `log_std`.

        Args:
            motor: motor commands in units of the motor's range.
            actions: actions that `act` sampled.
            of_log_prob: the loss's gradient with respect to `log_prob(motor, actions)`.
            of_entropy: the loss's gradient with respect to `entropy(motor)`.
        """
        weight = of_log_prob[..., None]
        if self.is_discrete:
            log_p = motor.log_softmax(-1)
            p = log_p.exp()
            found = (-weight * p).scatter_add(-1, actions[..., None], weight)
            if of_entropy:
                mean = (p * log_p).sum(-1, keepdim=True)
                found -= of_entropy / of_log_prob.numel() * p * (log_p - mean)
            return found
        scale = torch.exp(-self.log_std)
        deviation = (actions - motor) * scale
        weighted = weight * deviation
        if self.log_std.requires_grad:
            assert self.log_std.grad is not None
            squares = (weighted * deviation).flatten(0, -2).sum(0)
            self.log_std.grad.copy_(squares - (of_log_prob.sum() - of_entropy))
        return weighted * scale

    def value_gradient(
        self,
        of_values: Float[Tensor, "*batch"],
        by_layer: Sequence[Float[Tensor, "rows units"]],
        heard: Float[Tensor, "*batch heard"],
    ) -> Float[Tensor, "*batch heard"] | None:
        """Set the gradients of the critic's layers; return that of its input, or None if the input needs no gradient.

        Args:
            of_values: the loss's gradient with respect to the values.
            by_layer: inputs of each layer, as `run_critic` returns them.
            heard: the critic's input.
        """
        weights = layer_weights(self._value_layers)
        into = [weight.grad for weight in weights]
        found = differentiate_layers(
            of_values.reshape(-1, 1), by_layer, weights, into, heard.requires_grad  # type: ignore[arg-type]
        )  # fmt: skip
        return None if found is None else found.view(heard.shape)

    def sample(self, motor: Float[Tensor, "*batch motors"]) -> Shaped[Tensor, "*shape"]:
        """Sample actions around motor commands: in units of the motor's range, or indices of discrete actions."""
        if self.is_discrete:
            # The largest of log-probabilities plus Gumbel noise is a draw from them.
            gumbel = torch.empty_like(motor).exponential_(generator=self.generator).log()
            return (motor - gumbel).argmax(-1)
        noise = torch.randn(motor.shape, generator=self.generator, device=motor.device)
        return motor + torch.exp(self.log_std) * noise


def adam_over(actor_critics: Sequence[ActorCritic], learning_rate: float) -> FlatAdam:
    """Return an Adam optimiser of all trained parameters, shared ones once, with the rate factors of their circuits."""
    trained: dict[int, nn.Parameter] = {}
    rates: dict[int, float] = {}
    for one in actor_critics:
        trained |= {id(each): each for each in one.parameters() if each.requires_grad}
        for circuit in (one.circuit, one.critic_circuit):
            if circuit is not None:
                rates |= {id(each): circuit.rates.get(name, 1.0) for name, each in circuit.named_parameters()}
    return FlatAdam(trained.values(), learning_rate, ADAM_EPSILON, [rates.get(key, 1.0) for key in trained])


def _prefixed(state: Mapping[str, Tensor]) -> State:
    return {_CRITIC + key: value for key, value in state.items()}


def _value_head(inputs: int, hidden: Sequence[int], rng: torch.Generator | None) -> nn.Sequential:
    """Build the critic's layers, initialised as SB3 does: orthogonal, gain sqrt 2, and 1 at the value."""
    layers: list[nn.Module] = []
    for size, units in itertools.pairwise([inputs, *hidden]):
        layer = nn.Linear(size, units)
        nn.init.orthogonal_(layer.weight, math.sqrt(2), generator=rng)
        nn.init.zeros_(layer.bias)
        layers += [layer, Tanh()]
    value = nn.Linear([inputs, *hidden][-1], 1)
    nn.init.orthogonal_(value.weight, 1.0, generator=rng)
    nn.init.zeros_(value.bias)
    return nn.Sequential(*layers, value)
