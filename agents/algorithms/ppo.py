"""PPO that trains any circuit through time, with an explicit state of any shape.

Schulman et al. 2017 (https://arxiv.org/abs/1707.06347), with SB3's conventions: equal to SB3's PPO for
stateless circuits and to sb3-contrib's RecurrentPPO for an LSTM (tests/test_ppo.py).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from stable_baselines3.common.utils import explained_variance
from torch import Tensor

from ...circuits import Facts
from ...envs.env_batch import EnvBatch, Step
from ...errors import CircuitMismatch, TrainingDiverged
from ...options import ListOf, Number, OneOf, option
from ..actor_critic import ActorCritic
from ..agent import Agent, joined
from ..loop import Batch, Rollout, replay
from .algorithm import (
    COUNT,
    POSITIVE,
    SHARE,
    Algorithm,
    EpisodeLog,
    Evaluate,
    Learner,
    load_optimizer_state,
    optimizer_state,
)
from .sequence_buffer import SequenceBuffer, Sequences

_CLIP, _EPSILON = 10.0, 1e-8


@dataclasses.dataclass(frozen=True)
class Options:
    """What a user may set.

    Attributes:
        n_envs: environments.
        n_steps: control steps of each in a rollout.
        batch_size: transitions of a minibatch, a multiple of `sequence_length`.
        sequence_length: steps of backpropagation through time, a divisor of `n_steps`; circuits without memory take 1.
        n_epochs: passes through each rollout.
        learning_rate: of Adam.
        gamma: discount of a control step.
        gae_lambda: of the generalised advantage estimate.
        clip_range: how far the ratio of probabilities is followed from 1.
        normalize_advantage: take each minibatch's advantages less their mean, over their standard deviation.
        ent_coef, vf_coef: weights of the entropy (nats) and of the value's squared error in the loss.
        max_grad_norm: to which gradients are clipped.
        target_kl: KL divergence, nats, at 1.5 times of which an update ends; None for no end.
        action_std: of the motor commands, in units of the motor's range, fixed; None learns it, from 1.
        critic: "shared" reads the circuit's features, "separate" is a second circuit, "mlp" reads the observation; None
            is "shared" where the circuit has features, else "mlp".
        critic_hidden: tanh layers of the critic.
        normalize_observation, normalize_reward: by running statistics, as SB3's VecNormalize.
    """

    n_envs: int = option(4, COUNT)
    n_steps: int = option(1024, COUNT)
    batch_size: int = option(64, COUNT)
    sequence_length: int = option(32, COUNT)
    n_epochs: int = option(10, COUNT)
    learning_rate: float = option(3e-4, POSITIVE)
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
    """Train any circuit by PPO, through time where it has a memory."""

    Options = Options

    def defaults(self, facts: Facts) -> dict[str, Any]:
        """Return what keeps circuits that work before training near what they do, and what suits a memory."""
        if facts.is_bounded:
            return {"action_std": 0.1, "normalize_observation": False}
        if facts.memory == "recurrent":
            return {"n_envs": 16, "n_steps": 256, "batch_size": 512, "n_epochs": 5, "learning_rate": 1e-3}
        return {}

    def normalizes(self, options: Mapping[str, Any]) -> bool:
        """Return whether the agent sees normalised observations."""
        return bool(options["normalize_observation"])

    def check(self, facts: Facts, options: dict[str, Any]) -> None:
        """Refuse lengths that do not divide one another; circuits without memory learn from single steps."""
        if facts.memory != "recurrent":
            options["sequence_length"] = 1
        check_lengths(options)

    def start(
        self,
        agent: Agent,
        envs: EnvBatch,
        options: Mapping[str, Any],
        seed: int,
        evaluate: Evaluate | None = None,  # noqa: ARG002
    ) -> PPOLearner:
        """Return a learner that begins with the agent as it is."""
        # Another stream than the one that the weights were drawn from.
        draws = int(np.random.SeedSequence([seed, 1]).generate_state(1)[0])
        generator = torch.Generator(agent.device).manual_seed(draws)
        actor_critic = ActorCritic(agent, options["action_std"], options["critic"], options["critic_hidden"], generator)
        return PPOLearner(agent, actor_critic, envs, options, seed)


def check_lengths(options: Mapping[str, Any]) -> None:
    """Refuse lengths that do not divide one another.

    Raises:
        CircuitMismatch: `sequence_length` does not divide `n_steps`, or `batch_size` is no multiple of it.
    """
    steps, length, size = options["n_steps"], options["sequence_length"], options["batch_size"]
    if length < 1 or steps % length:
        nearest = min((n for n in range(1, steps + 1) if steps % n == 0), key=lambda n: abs(n - length))
        raise CircuitMismatch(
            f"sequence_length {length} does not divide n_steps {steps}; give a divisor, such as {nearest}"
        )
    if size < length or size % length:
        raise CircuitMismatch(
            f"batch_size {size} is no multiple of sequence_length {length}; "
            f"give {max(round(size / length), 1) * length}"
        )


class RewardNormalizer:
    """Rewards over the standard deviation of the discounted returns that they came to, as SB3's VecNormalize."""

    def __init__(self, n_envs: int, gamma: float) -> None:
        self._gamma, self._returns = gamma, np.zeros(n_envs)
        self._moments: tuple[Any, Any, float] = (np.float64(0.0), np.float64(1.0), 1e-4)

    def __call__(self, rewards: Float[np.ndarray, " envs"], ended: Any) -> Float[np.ndarray, " envs"]:
        """Count the rewards of a step in and return them normalised; episodes that ended with it begin anew."""
        self._returns = self._returns * self._gamma + rewards
        self._moments = joined(self._moments, self._returns)
        normalized = np.clip(rewards / np.sqrt(self._moments[1] + _EPSILON), -_CLIP, _CLIP)
        self._returns[ended] = 0.0
        return normalized

    def to_json(self) -> dict[str, Any]:
        """Return the statistics as JSON types."""
        mean, var, count = (float(value) for value in self._moments)
        return {"returns": self._returns.tolist(), "mean": mean, "var": var, "count": count}

    def load_json(self, held: Mapping[str, Any]) -> None:
        """Take over what `to_json` returned."""
        self._returns = np.array(held["returns"])
        self._moments = (np.float64(held["mean"]), np.float64(held["var"]), held["count"])


class PPOLearner(Learner):
    """Learn by rollouts of `n_steps` in every environment and updates from each.

    The state is carried per environment, reset at episode starts to the circuit's (learned) initial
    state, and stored at the start of each training sequence; gradients flow through `sequence_length`
    steps. Circuits whose state needs no gradient (NCAP, MLP) learn from single steps.

    Args:
        agent: what learns.
        actor_critic: the agent's circuit with its critic.
        envs: the environments.
        options: every option; see `Options`.
        seed: of the episodes and of the order of sequences.
        optimizer: over actor and critic; None makes it.
        shuffle: draws the order of sequences; None makes it of the seed.

    Attributes:
        optimizer: Adam over both.
        buffer: the last rollout.
        rollout: the environments in which the agent acts.

    Raises:
        CircuitMismatch: lengths that do not divide, or a circuit whose state changes shape.
        TrainingDiverged: (by `update`) a loss or gradient is not finite; the weights are those before that update.
    """

    takes_projections = True

    def __init__(
        self,
        agent: Agent,
        actor_critic: ActorCritic,
        envs: Batch,
        options: Mapping[str, Any],
        seed: int,
        optimizer: torch.optim.Optimizer | None = None,
        shuffle: Any = None,
    ) -> None:
        super().__init__()
        self.agent, self.actor_critic, self.options = agent, actor_critic, dict(options)
        self.seed, self.n_updates = seed, 0
        self.options["sequence_length"] = options["sequence_length"] if agent.circuit.is_recurrent else 1
        check_lengths(self.options)
        self.optimizer = optimizer or actor_critic.make_optimizer(options["learning_rate"])
        self._shuffle = np.random.RandomState(seed) if shuffle is None else shuffle
        _check_state(self.actor_critic, agent)
        self.buffer = SequenceBuffer(
            options["n_steps"], agent.layout.space, agent.action_space, agent.device,
            options["gae_lambda"], options["gamma"], envs.n_envs, self.options["sequence_length"], self._shuffle,
        )  # fmt: skip
        self.rollout = Rollout(envs, self._act)
        self.steps_at_once = envs.n_envs * options["n_steps"]
        self.episodes = EpisodeLog()
        self._rewards = RewardNormalizer(envs.n_envs, options["gamma"]) if options["normalize_reward"] else None
        self._has_started = False

    def advance(self) -> dict[str, float]:
        """Do one rollout and one update; return what there is to log."""
        self.collect()
        return {**self.episodes.means(), **self.update()}

    def start(self) -> None:
        """Begin an episode everywhere."""
        self.rollout.start([self.seed + index for index in range(self.rollout.envs.n_envs)])
        self._has_started = True
        if self.agent.normalizer is not None:
            self.agent.normalizer.update(self.rollout.observation)
        self._look()

    @torch.no_grad()
    def collect(self, on_step: Callable[[Step], bool] | None = None) -> bool:
        """Fill the buffer; False if `on_step`, which is told of every step, says stop."""
        rollout, agent = self.rollout, self.agent
        if not self._has_started:
            self.start()
        self.actor_critic.eval()
        self.buffer.reset()
        for _ in range(self.options["n_steps"]):
            shown, starts = self._shown, rollout.episode_start
            stepped = rollout.step()
            self.steps += rollout.envs.n_envs
            if on_step is not None and not on_step(stepped):
                return False
            actions, values, log_prob, state = rollout.extra
            ended = rollout.ended
            self.episodes.add_ended(rollout, stepped)
            truncated = ended[stepped.truncated[ended]]
            last_observation = stepped.observation[truncated]
            if len(ended):
                rollout.restart(ended)
            if agent.normalizer is not None:
                agent.normalizer.update(rollout.observation)
            rewards = stepped.reward if self._rewards is None else self._rewards(stepped.reward, ended)
            rewards = rewards.astype(np.float32)
            self._look()
            if len(truncated):
                # The episode was cut, not over: what would have followed is worth its value, in the
                # state after the step.
                after = {key: value[truncated] for key, value in rollout.state.items()}
                none = torch.zeros(len(truncated), dtype=torch.bool, device=agent.device)
                last = self.actor_critic.predict_values(agent.observe(last_observation), after, none)
                rewards[truncated] += self.options["gamma"] * last.cpu().numpy()
            self.buffer.add(shown.cpu().numpy(), actions.cpu().numpy(), rewards, starts, values, log_prob, state=state)
        dones = rollout.episode_start
        final = torch.as_tensor(dones, device=agent.device)
        values = self.actor_critic.predict_values(self._shown, rollout.state, final)
        self.buffer.compute_returns_and_advantage(last_values=values, dones=dones)
        return True

    def go_on(self, observation: np.ndarray, state: Any, episode_start: np.ndarray) -> None:
        """Take up episodes in the middle, as `Rollout.go_on` does; what is shown is in the layout's units."""
        n_envs = self.rollout.envs.n_envs
        self.rollout.go_on(observation, state, episode_start)
        self.rollout.returns, self.rollout.lengths, self.rollout.elapsed = np.zeros(n_envs), np.zeros(n_envs, int), 0
        self._has_started = True
        self._look()

    def _act(self, _: np.ndarray, state: Any, episode_start: np.ndarray) -> tuple[np.ndarray, Any, Any]:
        if state is None:
            state = self.actor_critic.initial_state(len(episode_start))
        starts = torch.as_tensor(episode_start, device=self.agent.device)
        actions, values, log_prob, after = self.actor_critic.act(self._shown, state, starts)
        return self.actor_critic.to_env(actions).cpu().numpy(), after, (actions, values, log_prob, state)

    def _look(self) -> None:
        """Keep what the circuit is shown now: statistics move with the next step."""
        self.lose_senses()
        self._shown = self.agent.observe(self.rollout.observation)

    def update(self) -> dict[str, float]:
        """Update actor and critic from the rollout; return the loss's terms and what else there is to log."""
        self.actor_critic.train()
        logged: dict[str, list[float]] = {}
        target = self.options["target_kl"]
        go_on = True
        for _ in range(self.options["n_epochs"]):
            for sequences in self.buffer.get(self.options["batch_size"]):
                loss, terms = self.loss(sequences)
                for name, value in terms.items():
                    logged.setdefault(name, []).append(value.item())
                go_on = target is None or logged["approx_kl"][-1] <= 1.5 * target
                if not go_on:
                    break
                self._step(loss, terms)
                if self.rewires:
                    self._rewire(sequences)
            self.n_updates += 1
            if not go_on:
                break
        found = {f"train/{name}": float(np.mean(values)) for name, values in logged.items()}
        explained = explained_variance(self.buffer.values.flatten(), self.buffer.returns.flatten())
        found |= {
            "train/explained_variance": float(explained),
            "train/learning_rate": float(self.optimizer.param_groups[0]["lr"]),
            "train/n_updates": float(self.n_updates),
        }
        if not self.actor_critic.is_discrete:
            found["train/std"] = self.actor_critic.log_std.exp().mean().item()
        return found

    def loss(self, sequences: Sequences) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """Return PPO's loss on a minibatch, and its terms by name.

        They have no unit, but `entropy_loss` and `approx_kl` are in nats and `clip_fraction` is from 0 to 1.
        """
        clip_range = self.options["clip_range"]
        values, log_prob, entropy = self.actor_critic.evaluate_sequences(
            sequences.observations, sequences.state, sequences.episode_start, sequences.actions
        )
        advantages = sequences.advantages
        if self.options["normalize_advantage"] and advantages.numel() > 1:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        log_ratio = log_prob - sequences.old_log_prob
        ratio = log_ratio.exp()
        clipped = ratio.clamp(1 - clip_range, 1 + clip_range)
        policy_loss = -torch.min(advantages * ratio, advantages * clipped).mean()
        value_loss = (sequences.returns - values).square().mean()
        loss = policy_loss - self.options["ent_coef"] * entropy + self.options["vf_coef"] * value_loss
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

    def _step(self, loss: Tensor, terms: dict[str, Tensor]) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.actor_critic.parameters(), self.options["max_grad_norm"])
        if not torch.isfinite(norm):
            learned = self.actor_critic.named_parameters()
            gradients = {name: parameter.grad for name, parameter in learned if parameter.grad is not None}
            raise TrainingDiverged(self._diagnosis(f"a gradient (of a loss of {terms['loss']:.3g})", gradients))
        for hook in self.before_update:
            hook()
        self.optimizer.step()
        for hook in self.after_update:
            hook()

    def _diagnosis(self, what: str, tensors: dict[str, Tensor]) -> str:
        bad = next((name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()), "their sum")
        return (
            f"{what} is not finite at step {self.steps}: {bad} is not; "
            "the weights are as before this update; try a lower learning_rate or max_grad_norm"
        )

    @torch.no_grad()
    def _rewire(self, sequences: Sequences) -> None:
        circuit, sensors = self.agent.circuit, self.agent.sensing(sequences.observations)
        own = {name: sequences.state[name] for name in circuit.initial_state(1)}
        steps = replay(circuit, sensors, own, sequences.episode_start)
        circuit.after_update(sensors, torch.stack([step.activity for step in steps]))

    @property
    def _generator(self) -> torch.Generator:
        assert self.actor_critic.generator is not None
        return self.actor_critic.generator

    def state_dict(self) -> dict[str, Any]:
        """Return critic, optimiser, environments, draws and counters."""
        rollout = self.rollout
        own = {name: value for name, value in self.actor_critic.state_dict().items() if not name.startswith("circuit.")}
        found: dict[str, Any] = {
            "steps": self.steps,
            "n_updates": self.n_updates,
            "actor_critic": own,
            "optimizer": optimizer_state(self.optimizer),
            "generator": self._generator.get_state(),
            "shuffle": self._shuffle.get_state(legacy=False),
            "episodes": self.episodes.to_json(),
            "rewards": None if self._rewards is None else self._rewards.to_json(),
        }
        if self._has_started:
            found["envs"] = rollout.envs.get_state()  # type: ignore[attr-defined]
            found["rollout"] = {
                "observation": rollout.observation,
                "episode_start": rollout.episode_start,
                "state": rollout.state,
                "returns": rollout.returns,
                "lengths": rollout.lengths,
            }
        return found

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.steps, self.n_updates = state["steps"], state["n_updates"]
        circuit = {f"circuit.{name}": value for name, value in self.agent.circuit.state_dict().items()}
        self.actor_critic.load_state_dict({**circuit, **state["actor_critic"]})
        load_optimizer_state(self.optimizer, state["optimizer"])
        try:
            self._generator.set_state(state["generator"])
        except RuntimeError:
            # Generators of another kind of device have another state: the draws go on from the seed and the step.
            self._generator.manual_seed(self.seed + self.steps)
        self._shuffle.set_state(state["shuffle"])
        self.episodes.load_json(state["episodes"])
        if self._rewards is not None:
            self._rewards.load_json(state["rewards"])
        if "envs" in state:
            held = state["rollout"]
            self.rollout.envs.set_state(state["envs"])  # type: ignore[attr-defined]
            # On the device of now, wherever it was before.
            inner = {name: value.to(self.agent.device) for name, value in (held["state"] or {}).items()}
            self.go_on(held["observation"], inner or held["state"], held["episode_start"])
            self.rollout.returns, self.rollout.lengths = held["returns"], held["lengths"]


@torch.no_grad()
def _check_state(actor_critic: ActorCritic, agent: Agent) -> None:
    """Step once, so that a state that changes is named before training."""
    before = actor_critic.initial_state(2)
    observation = torch.zeros(2, agent.layout.size, device=agent.device)
    after = actor_critic.run(observation[None], before, torch.zeros(1, 2, dtype=torch.bool, device=agent.device))[2]
    kind = type(agent.circuit).__name__
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
