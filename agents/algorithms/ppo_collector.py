"""An agent with its critic in environments: the part of PPO that acts and keeps what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...envs.env_batch import Step
from ..actor_critic import ActorCritic
from ..agent import Agent
from ..loop import Batch, Rollout
from ..lost import naming_lost
from .algorithm import EpisodeLog
from .sequence_buffer import SequenceBuffer


class Collector:
    """Fill a buffer step by step, in one batch of environments.

    Args:
        agent: the agent in the environments.
        actor_critic: its circuit with its critic.
        envs: the environments.
        buffer: where steps are kept.
        bodies: the name of each environment's body, where an agent learns on several.

    Attributes:
        rollout: the environments in which the agent acts.
        shown: what the circuit is shown now, normalised and with what is missing at 0.
        ended: numbers of the environments whose episode ended with the last step.
    """

    shown: Float[Tensor, "envs obs"]
    ended: Int[np.ndarray, " some"]

    def __init__(
        self,
        agent: Agent,
        actor_critic: ActorCritic,
        envs: Batch,
        buffer: SequenceBuffer,
        bodies: tuple[str, ...] = (),
    ) -> None:
        self.agent, self.actor_critic, self.buffer, self.bodies = agent, actor_critic, buffer, bodies
        self.rollout = Rollout(envs, self._act)

    @property
    def n_envs(self) -> int:
        """The number of environments."""
        return self.rollout.envs.n_envs

    def start(self, seed: int) -> None:
        """Begin an episode everywhere; environment i has the seed `seed` + i."""
        self.rollout.start([seed + index for index in range(self.n_envs)])
        if self.agent.normalizer is not None:
            self.agent.normalizer.update(self.rollout.observation)

    def begin(self) -> None:
        """Forget the last rollout."""
        self.actor_critic.eval()
        self.buffer.reset()
        self._motors: list[Tensor] = []
        self._heard: list[Tensor] = []

    def step(self) -> Step:
        """Act for one control step."""
        self._before, self._starts = self.shown, self.rollout.episode_start
        with naming_lost(self.agent, self.rollout):
            return self.rollout.step()

    def restart(self, stepped: Step, episodes: EpisodeLog) -> None:
        """Note the episodes that ended with the step, begin others in their place, and count what is shown now."""
        rollout = self.rollout
        self.ended, self._truncated = rollout.ended, rollout.ended
        if len(rollout.ended):
            episodes.add_ended(rollout, stepped, self.bodies)
            self._truncated = rollout.ended[stepped.truncated[rollout.ended]]
            self._last_observation = stepped.observation[self._truncated]
            rollout.restart(rollout.ended)
        if self.agent.normalizer is not None:
            self.agent.normalizer.update(rollout.observation)

    def keep(self, rewards: Float[np.ndarray, " envs"], gamma: float) -> None:
        """Keep the last step with its rewards, as they are learned from; `shown` is what follows it."""
        actions, motor, hears, state = self.rollout.extra
        self._motors.append(motor)
        self._heard.append(hears)
        if len(self._truncated):
            # The episode was cut, not over: what would have followed is worth its value, in the
            # state after the step.
            after = {key: value[self._truncated] for key, value in self.rollout.state.items()}
            none = torch.zeros(len(self._truncated), dtype=torch.bool, device=self.agent.device)
            last = self.actor_critic.predict_values(self.agent.observe(self._last_observation), after, none)
            rewards[self._truncated] += gamma * last.cpu().numpy()
        self.buffer.add(self._before, actions, rewards, self._starts, state)

    def finish(self) -> None:
        """Estimate values, advantages and returns of the rollout."""
        dones = self.rollout.episode_start
        final = torch.as_tensor(dones, device=self.agent.device)
        log_probs = self.actor_critic.log_prob(torch.stack(self._motors), self.buffer.actions)
        last_values = self.actor_critic.predict_values(self.shown, self.rollout.state, final)
        self.buffer.finish(self.actor_critic.value(torch.stack(self._heard)), log_probs, last_values, dones)

    def look(self) -> None:
        """Keep what the circuit is shown now: statistics move with the next step."""
        self.shown = self.agent.observe(self.rollout.observation)

    def go_on(
        self, observation: Float[np.ndarray, "envs obs"], state: Any, episode_start: Bool[np.ndarray, " envs"]
    ) -> None:
        """Take up episodes in the middle, as `Rollout.go_on` does; what is shown is in the layout's units."""
        self.rollout.go_on(observation, state, episode_start)
        self.rollout.returns, self.rollout.lengths = np.zeros(self.n_envs), np.zeros(self.n_envs, int)
        self.rollout.elapsed = 0

    def _act(self, _: np.ndarray, state: Any, episode_start: np.ndarray) -> tuple[np.ndarray, Any, Any]:
        if state is None:
            state = self.actor_critic.initial_state(len(episode_start))
        starts = torch.as_tensor(episode_start, device=self.agent.device)
        actions, motor, heard, after = self.actor_critic.act(self.shown, state, starts)
        return self.actor_critic.to_env(actions).cpu().numpy(), after, (actions, motor, heard, state)

    def state_dict(self, has_started: bool) -> dict[str, Any]:
        """Return critic and, once episodes have begun, environments and where episodes stand."""
        rollout = self.rollout
        own = {name: value for name, value in self.actor_critic.state_dict().items() if not name.startswith("circuit.")}
        if not has_started:
            return {"actor_critic": own}
        held = {
            name: getattr(rollout, name) for name in ("observation", "episode_start", "state", "returns", "lengths")
        }
        return {"actor_critic": own, "envs": rollout.envs.get_state(), "rollout": held}  # type: ignore[attr-defined]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        circuit = {f"circuit.{name}": value for name, value in self.agent.circuit.state_dict().items()}
        self.actor_critic.load_state_dict({**circuit, **state["actor_critic"]})
        if "envs" in state:
            held = state["rollout"]
            self.rollout.envs.set_state(state["envs"])  # type: ignore[attr-defined]
            # On the device of now, wherever it was before.
            inner = {name: value.to(self.agent.device) for name, value in (held["state"] or {}).items()}
            self.go_on(held["observation"], inner or held["state"], held["episode_start"])
            self.rollout.returns, self.rollout.lengths = held["returns"], held["lengths"]
