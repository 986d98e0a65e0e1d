"""What PPO does: rollouts of any circuit, and updates of it and its critic from each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.utils import explained_variance
from torch import Tensor

from ...envs.env_batch import Step
from ...errors import CircuitMismatch, TrainingDiverged
from ..actor_critic import ActorCritic
from ..agent import Agent
from ..flat_adam import FlatAdam
from ..loop import Batch, Rollout, replay
from .algorithm import EpisodeLog, Learner, load_optimizer_state, optimizer_state
from .objective import objective
from .reward_normalizer import RewardNormalizer
from .sequence_buffer import SequenceBuffer, Sequences

_TERMS = ("policy_gradient_loss", "value_loss", "approx_kl", "clip_fraction", "entropy_loss")


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
        optimizer: FlatAdam | None = None,
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
        motors, heard = [], []
        for _ in range(self.options["n_steps"]):
            shown, starts = self._shown, rollout.episode_start
            stepped = rollout.step()
            self.steps += rollout.envs.n_envs
            if on_step is not None and not on_step(stepped):
                return False
            actions, motor, hears, state = rollout.extra
            motors.append(motor)
            heard.append(hears)
            ended = rollout.ended
            rewards, truncated = stepped.reward, ended
            if len(ended):
                self.episodes.add_ended(rollout, stepped)
                truncated = ended[stepped.truncated[ended]]
                last_observation = stepped.observation[truncated]
                rollout.restart(ended)
            if agent.normalizer is not None:
                agent.normalizer.update(rollout.observation)
            if self._rewards is not None:
                rewards = self._rewards(rewards, ended)
            rewards = rewards.astype(np.float32)
            self._look()
            if len(truncated):
                # The episode was cut, not over: what would have followed is worth its value, in the
                # state after the step.
                after = {key: value[truncated] for key, value in rollout.state.items()}
                none = torch.zeros(len(truncated), dtype=torch.bool, device=agent.device)
                last = self.actor_critic.predict_values(agent.observe(last_observation), after, none)
                rewards[truncated] += self.options["gamma"] * last.cpu().numpy()
            self.buffer.add(shown, actions, rewards, starts, state)
        dones = rollout.episode_start
        final = torch.as_tensor(dones, device=agent.device)
        log_probs = self.actor_critic.log_prob(torch.stack(motors), self.buffer.actions)
        last_values = self.actor_critic.predict_values(self._shown, rollout.state, final)
        self.buffer.finish(self.actor_critic.value(torch.stack(heard)), log_probs, last_values, dones)
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
        actions, motor, heard, after = self.actor_critic.act(self._shown, state, starts)
        return self.actor_critic.to_env(actions).cpu().numpy(), after, (actions, motor, heard, state)

    def _look(self) -> None:
        """Keep what the circuit is shown now: statistics move with the next step."""
        self.lose_senses()
        self._shown = self.agent.observe(self.rollout.observation)

    def update(self) -> dict[str, float]:
        """Update actor and critic from the rollout; return the loss's terms and what else there is to log."""
        self.actor_critic.train()
        logged: list[dict[str, float]] = []
        target = self.options["target_kl"]
        go_on = True
        for _ in range(self.options["n_epochs"]):
            for sequences in self.buffer.get(self.options["batch_size"]):
                terms = self.differentiate(sequences)
                logged.append(terms)
                go_on = target is None or terms["approx_kl"] <= 1.5 * target
                if not go_on:
                    break
                self._step(terms)
                if self.rewires:
                    self._rewire(sequences)
            self.n_updates += 1
            if not go_on:
                break
        found = {f"train/{name}": float(np.mean([terms[name] for terms in logged])) for name in logged[0]}
        explained = explained_variance(self.buffer.values.flatten(), self.buffer.returns.flatten())
        found |= {
            "train/explained_variance": float(explained),
            "train/learning_rate": float(self.optimizer.param_groups[0]["lr"]),
            "train/n_updates": float(self.n_updates),
        }
        if not self.actor_critic.is_discrete:
            found["train/std"] = self.actor_critic.log_std.exp().mean().item()
        return found

    def differentiate(self, sequences: Sequences) -> dict[str, float]:
        """Set the gradients of PPO's loss on a minibatch; return the loss and its terms by name.

        They have no unit, but `entropy_loss` and `approx_kl` are in nats and `clip_fraction` is from 0 to 1. What comes
        after the circuit is differentiated by hand, which takes half as long; autograd goes on from the motor commands.

        Raises:
            TrainingDiverged: the loss is not finite.
        """
        options, actor_critic = self.options, self.actor_critic
        vf_coef, ent_coef = options["vf_coef"], options["ent_coef"]
        self.optimizer.zero_grad()
        motor, heard, _ = actor_critic.unroll(sequences.observations, sequences.state, sequences.episode_start)
        with torch.no_grad():
            log_prob, entropy = actor_critic.log_prob(motor, sequences.actions), actor_critic.entropy(motor)
            values, by_layer = actor_critic.run_critic(heard)
            advantages = sequences.advantages
            if options["normalize_advantage"] and advantages.numel() > 1:
                std, mean = torch.std_mean(advantages)
                advantages = (advantages - mean) / (std + 1e-8)
            parts, of_log_prob, of_values = objective(
                log_prob, values, sequences.old_log_prob, advantages, sequences.returns, options["clip_range"],
                sequences.old_values, options.get("clip_range_vf"),  # which SB3's users alone ask for
            )  # fmt: skip
            # One wait for a device, not one for each number.
            numbers = torch.cat((parts, -entropy[None])).tolist()
            terms = dict(zip(_TERMS, numbers, strict=True))
            terms["loss"] = numbers[0] + vf_coef * numbers[1] + ent_coef * numbers[4]
            if not math.isfinite(terms["loss"]):
                culprits = {"log_prob": log_prob, "values": values, "entropy": entropy,
                            "ratio": (log_prob - sequences.old_log_prob).exp(),
                            "advantages": sequences.advantages, "returns": sequences.returns}  # fmt: skip
                raise TrainingDiverged(self._diagnosis("the loss", culprits))
            of_motor = actor_critic.motor_gradient(motor, sequences.actions, of_log_prob, -ent_coef)
            of_heard = actor_critic.value_gradient(of_values * vf_coef, by_layer, heard)
        roots = [(motor, of_motor)] if motor.requires_grad else []
        if of_heard is not None:
            roots.append((heard, of_heard))
        if roots:
            tensors, gradients = zip(*roots, strict=True)
            torch.autograd.backward(tensors, gradients)
        return terms

    def _step(self, terms: dict[str, float]) -> None:
        if not math.isfinite(self.optimizer.clip(self.options["max_grad_norm"])):
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
