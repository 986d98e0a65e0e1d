"""What PPO does: rollouts of any circuit, and updates of it and its critic from each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.utils import explained_variance
from torch import Tensor

from ...circuits.held import weights_held
from ...envs.env_batch import Step
from ...errors import InvalidAction, TrainingDiverged
from ..actor_critic import ActorCritic, adam_over
from ..agent import Agent
from ..flat_adam import FlatAdam
from ..loop import Batch, Rollout, replay
from ..places import Place
from .algorithm import EpisodeLog, Learner, load_optimizer_state, optimizer_state
from .objective import objective
from .ppo_collector import Collector
from .reward_normalizer import RewardNormalizer
from .sequence_buffer import SequenceBuffer, Sequences, Together, check_lengths

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
        others: for bodies of other sizes, the agent's circuit with a critic there, and where it acts. Minibatches hold
            sequences of each size; the circuits have the same weights, each critic its own.
        bodies: the name of each environment's body, where there are several.

    Attributes:
        optimizer: Adam over both.
        collectors: for bodies of each size, the environments in which the agent acts, and their last rollout.

    Raises:
        CircuitMismatch: lengths that do not divide.
        TrainingDiverged: (by `update`) a loss or gradient is not finite; the weights are those before that update; (by
            `collect`) a motor command is not.
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
        others: Sequence[tuple[ActorCritic, Place]] = (),
        bodies: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self.agent, self.actor_critic, self.options = agent, actor_critic, dict(options)
        self.seed, self.n_updates = seed, 0
        self.options["sequence_length"] = options["sequence_length"] if agent.circuit.is_recurrent else 1
        check_lengths(self.options)
        self._actor_critics = (actor_critic, *(each for each, _ in others))
        self.optimizer = optimizer or adam_over(self._actor_critics, options["learning_rate"])
        self._shuffle = np.random.RandomState(seed) if shuffle is None else shuffle
        places = (Place(agent, envs, bodies), *(place for _, place in others))
        self.collectors = tuple(map(self._collector, self._actor_critics, places))
        n_envs = sum(collector.n_envs for collector in self.collectors)
        self.steps_at_once = n_envs * options["n_steps"]
        self.episodes = EpisodeLog()
        self._rewards = RewardNormalizer(n_envs, options["gamma"]) if options["normalize_reward"] else None
        self._has_started = False

    def _collector(self, actor_critic: ActorCritic, place: Place) -> Collector:
        options, agent = self.options, place.agent
        buffer = SequenceBuffer(
            options["n_steps"], agent.layout.space, agent.action_space, agent.device, options["gae_lambda"],
            options["gamma"], place.envs.n_envs, options["sequence_length"], self._shuffle,
        )  # fmt: skip
        return Collector(agent, actor_critic, place.envs, buffer, place.bodies)

    @property
    def agents(self) -> Sequence[Agent]:
        """The agent on bodies of each size."""
        return tuple(collector.agent for collector in self.collectors)

    @property
    def buffer(self) -> SequenceBuffer:
        """The last rollout of the first environments."""
        return self.collectors[0].buffer

    @property
    def rollout(self) -> Rollout:
        """The first environments in which the agent acts."""
        return self.collectors[0].rollout

    def advance(self) -> dict[str, float]:
        """Do one rollout and one update; return what there is to log."""
        self.collect()
        return {**self.episodes.means(), **self.update()}

    def start(self) -> None:
        """Begin an episode everywhere."""
        seed = self.seed
        for collector in self.collectors:
            collector.start(seed)
            seed += collector.n_envs
        self._has_started = True
        self._look()

    @torch.no_grad()
    def collect(self, on_step: Callable[[Step], bool] | None = None) -> bool:
        """Fill the buffers; False if `on_step`, which is told of every step, says stop."""
        with weights_held(*self._actor_critics):
            return self._collect(on_step)

    def _collect(self, on_step: Callable[[Step], bool] | None) -> bool:
        collectors, gamma = self.collectors, self.options["gamma"]
        if not self._has_started:
            self.start()
        for collector in collectors:
            collector.begin()
        for _ in range(self.options["n_steps"]):
            rewards = []
            for collector in collectors:
                try:
                    stepped = collector.step()
                except InvalidAction as error:
                    raise TrainingDiverged(
                        f"at step {self.steps}: {error}; try a lower learning_rate or max_grad_norm"
                    ) from error
                self.steps += collector.n_envs
                if on_step is not None and not on_step(stepped):
                    return False
                collector.restart(stepped, self.episodes)
                rewards.append(stepped.reward)
            rewards = self._normalized(rewards)
            self._look()
            for collector, own in zip(collectors, rewards, strict=True):
                collector.keep(own.astype(np.float32), gamma)
        for collector in collectors:
            collector.finish()
        return True

    def _normalized(self, rewards: list[np.ndarray]) -> list[np.ndarray]:
        """Return the rewards of a step as they are learned from: by statistics of all bodies together."""
        if self._rewards is None:
            return rewards
        ends = np.cumsum([len(own) for own in rewards])
        ended = [each.ended + end - each.n_envs for each, end in zip(self.collectors, ends, strict=True)]
        return np.split(self._rewards(np.concatenate(rewards), np.concatenate(ended)), ends[:-1])

    def go_on(self, observation: np.ndarray, state: Any, episode_start: np.ndarray) -> None:
        """Take up episodes in the middle, as `Rollout.go_on` does; what is shown is in the layout's units."""
        self.collectors[0].go_on(observation, state, episode_start)
        self._has_started = True
        self._look()

    def _look(self) -> None:
        self.lose_senses()
        for collector in self.collectors:
            collector.look()

    def update(self) -> dict[str, float]:
        """Update actor and critic from the rollout; return the loss's terms and what else there is to log."""
        for actor_critic in self._actor_critics:
            actor_critic.train()
        logged: list[dict[str, float]] = []
        target = self.options["target_kl"]
        go_on = True
        for _ in range(self.options["n_epochs"]):
            for parts in self._minibatches():
                terms = self.differentiate(*parts)
                logged.append(terms)
                go_on = target is None or terms["approx_kl"] <= 1.5 * target
                if not go_on:
                    break
                self._step(terms)
                if self.rewires:
                    for collector, sequences in zip(self.collectors, parts, strict=True):
                        _rewire(collector.agent, sequences)
            self.n_updates += 1
            if not go_on:
                break
        self._restructure_if_due()
        found = {f"train/{name}": float(np.mean([terms[name] for terms in logged])) for name in logged[0]}
        buffers = [collector.buffer for collector in self.collectors]
        values, returns = (
            np.concatenate([getattr(buffer, name).flatten() for buffer in buffers]) for name in ("values", "returns")
        )
        explained = explained_variance(values, returns)
        found |= {
            "train/explained_variance": float(explained),
            "train/learning_rate": float(self.optimizer.param_groups[0]["lr"]),
            "train/n_updates": float(self.n_updates),
        }
        if not self.actor_critic.is_discrete:
            found["train/std"] = torch.cat([each.log_std for each in self._actor_critics]).exp().mean().item()
        return found

    @torch.no_grad()
    def _restructure_if_due(self) -> None:
        """Let the circuit change its structure by the rollout, and forget the moments of weights that begin anew."""
        circuit, rollouts = self.agent.circuit, self.steps // self.steps_at_once
        if not circuit.restructures_every or rollouts % circuit.restructures_every:
            return
        observations, state, episode_start = self.buffer.experience()
        sensors = self.agent.sensing(observations)
        own = {name: state[name] for name in circuit.initial_state(1)}
        activity = torch.stack([step.activity for step in replay(circuit, sensors, own, episode_start)])
        for name, anew in circuit.restructure(sensors, activity).items():
            slots = self.optimizer.state[circuit.get_parameter(name)]
            for moment in (slots["exp_avg"], slots["exp_avg_sq"]):
                moment.masked_fill_(anew, 0.0)

    def _minibatches(self) -> Iterator[tuple[Sequences, ...]]:
        """Yield minibatches in random order, each with sequences of bodies of every size."""
        size, buffers = self.options["batch_size"], [collector.buffer for collector in self.collectors]
        if len(buffers) == 1:
            yield from ((sequences,) for sequences in buffers[0].get(size))
            return
        many = -(-self.steps_at_once // size)
        yield from zip(*(buffer.get_parts(many) for buffer in buffers), strict=True)

    def differentiate(self, *parts: Sequences) -> dict[str, float]:
        """Set the gradients of PPO's loss on a minibatch; return the loss and its terms by name.

        They have no unit, but `entropy_loss` and `approx_kl` are in nats and `clip_fraction` is from 0 to 1. What comes
        after the circuit is differentiated by hand, which takes half as long; autograd goes on from the motor commands.

        Args:
            parts: sequences of each of the collectors, in order.

        Raises:
            TrainingDiverged: the loss is not finite.
        """
        options, together = self.options, Together(parts)
        vf_coef, ent_coef = options["vf_coef"], options["ent_coef"]
        self.optimizer.zero_grad()
        ran = [
            actor_critic.unroll(each.observations, each.state, each.episode_start)[:2]
            for actor_critic, each in zip(self._actor_critics, parts, strict=True)
        ]
        with torch.no_grad():
            all_parts = list(zip(self._actor_critics, ran, parts, strict=True))
            log_prob = together.join([each.log_prob(motor, part.actions) for each, (motor, _), part in all_parts])
            entropies = [each.entropy(motor) for each, (motor, _), _ in all_parts]
            entropy = together.mean(entropies)
            ran_critics = [each.run_critic(heard) for each, (_, heard), _ in all_parts]
            values = together.join([each for each, _ in ran_critics])
            old_log_prob, old_values, returns, raw_advantages = (
                together.join([getattr(part, name) for part in parts])
                for name in ("old_log_prob", "old_values", "returns", "advantages")
            )
            advantages = raw_advantages
            if options["normalize_advantage"] and advantages.numel() > 1:
                std, mean = torch.std_mean(advantages)
                advantages = (advantages - mean) / (std + 1e-8)
            objectives, of_log_prob, of_values = objective(
                log_prob, values, old_log_prob, advantages, returns, options["clip_range"],
                old_values, options.get("clip_range_vf"),  # which SB3's users alone ask for
            )  # fmt: skip
            # One wait for a device, not one for each number.
            numbers = torch.cat((objectives, -entropy[None])).tolist()
            terms = dict(zip(_TERMS, numbers, strict=True))
            terms["loss"] = numbers[0] + vf_coef * numbers[1] + ent_coef * numbers[4]
            if not math.isfinite(terms["loss"]):
                culprits = {"log_prob": log_prob, "values": values, "entropy": entropy,
                            "ratio": (log_prob - old_log_prob).exp(),
                            "advantages": raw_advantages, "returns": returns}  # fmt: skip
                raise TrainingDiverged(self._diagnosis("the loss", culprits))
            gradients = zip(together.split(of_log_prob), together.split(of_values * vf_coef), strict=True)
            roots = []
            for (actor_critic, (motor, heard), part), (_, by_layer), share, (of_its_log_prob, of_its_values) in zip(
                all_parts, ran_critics, together.shares, gradients, strict=True
            ):
                of_motor = actor_critic.motor_gradient(motor, part.actions, of_its_log_prob, -ent_coef * share)
                of_heard = actor_critic.value_gradient(of_its_values, by_layer, heard)
                roots += [(motor, of_motor)] if motor.requires_grad else []
                roots += [(heard, of_heard)] if of_heard is not None else []
        if roots:
            tensors, of_tensors = zip(*roots, strict=True)
            torch.autograd.backward(tensors, of_tensors)
        return terms

    def _step(self, terms: dict[str, float]) -> None:
        if not math.isfinite(self.optimizer.clip(self.options["max_grad_norm"])):
            learned = [pair for each in self._actor_critics for pair in each.named_parameters()]
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

    @property
    def _generator(self) -> torch.Generator:
        assert self.actor_critic.generator is not None
        return self.actor_critic.generator

    def state_dict(self) -> dict[str, Any]:
        """Return critic, optimiser, environments, draws and counters."""
        first, *others = (collector.state_dict(self._has_started) for collector in self.collectors)
        return {
            "steps": self.steps,
            "n_updates": self.n_updates,
            "optimizer": optimizer_state(self.optimizer),
            "generator": self._generator.get_state(),
            "shuffle": self._shuffle.get_state(legacy=False),
            "episodes": self.episodes.to_json(),
            "rewards": None if self._rewards is None else self._rewards.to_json(),
            **first,
            **({"others": {str(number): each for number, each in enumerate(others)}} if others else {}),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.steps, self.n_updates = state["steps"], state["n_updates"]
        others = [state["others"][str(number)] for number in range(len(self.collectors) - 1)]
        for collector, its in zip(self.collectors, (state, *others), strict=True):
            collector.load_state_dict(its)
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
            self._has_started = True
            self._look()


@torch.no_grad()
def _rewire(agent: Agent, sequences: Sequences) -> None:
    circuit, sensors = agent.circuit, agent.sensing(sequences.observations)
    own = {name: sequences.state[name] for name in circuit.initial_state(1)}
    steps = replay(circuit, sensors, own, sequences.episode_start)
    circuit.after_update(sensors, torch.stack([step.activity for step in steps]))
