"""PPO in one file, in the style of CleanRL, on gymnasium's vector interface."""

import gymnasium
import numpy as np
import torch
import tyro
from gymnasium.wrappers.vector import RecordEpisodeStatistics
from torch import nn
from torch.distributions import Normal


class Agent(nn.Module):
    def __init__(self, n_inputs: int, n_motors: int) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(n_inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(),
                                   nn.Linear(64, n_motors))  # fmt: skip
        self.critic = nn.Sequential(nn.Linear(n_inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
        self.log_std = nn.Parameter(torch.zeros(n_motors))

    def act(self, observations: torch.Tensor) -> Normal:
        return Normal(self.actor(observations), self.log_std.exp())


def main(
    steps: int = 300_000, body: str = "swimmer6", seed: int = 0, episode_steps: int = 1000, num_envs: int = 16,
    rollout: int = 256, epochs: int = 10, minibatches: int = 8, gamma: float = 0.99, gae_lambda: float = 0.95,
    learning_rate: float = 3e-4, clip: float = 0.2,
) -> float:  # fmt: skip
    torch.manual_seed(seed)
    envs = RecordEpisodeStatistics(
        gymnasium.make_vec("nervecord:nervecord/Swim-v0", num_envs, body=body, episode_steps=episode_steps)
    )
    n_inputs, n_motors = envs.single_observation_space.shape[0], envs.single_action_space.shape[0]
    agent = Agent(n_inputs, n_motors)
    optimizer = torch.optim.Adam(agent.parameters(), lr=learning_rate)
    returns: list[float] = []
    seen, _ = envs.reset(seed=seed)
    # The step after an episode's end resets it and ignores the action; such steps are masked out below.
    is_reset = torch.zeros(num_envs, dtype=torch.bool)
    for _ in range(max(1, steps // (rollout * num_envs))):
        observations = torch.zeros(rollout, num_envs, n_inputs)
        actions = torch.zeros(rollout, num_envs, n_motors)
        log_probs, rewards, values = (torch.zeros(rollout, num_envs) for _ in range(3))
        ended, counted = (torch.zeros(rollout, num_envs, dtype=torch.bool) for _ in range(2))
        with torch.no_grad():
            for t in range(rollout):
                observations[t] = torch.as_tensor(seen, dtype=torch.float32)
                distribution = agent.act(observations[t])
                actions[t] = distribution.sample()
                log_probs[t] = distribution.log_prob(actions[t]).sum(-1)
                values[t] = agent.critic(observations[t]).squeeze(-1)
                counted[t] = ~is_reset
                seen, reward, _, truncated, infos = envs.step(actions[t].clamp(-1, 1).numpy())
                rewards[t], ended[t] = torch.as_tensor(reward), torch.as_tensor(truncated)
                is_reset = ended[t].clone()
                if "episode" in infos:
                    returns += infos["episode"]["r"][infos["_episode"]].tolist()
            following = agent.critic(torch.as_tensor(seen, dtype=torch.float32)).squeeze(-1)
            advantages, carried = torch.zeros_like(rewards), torch.zeros(num_envs)
            for t in reversed(range(rollout)):
                # A truncated episode (time limit) is not a terminated one: the value of its last state still counts.
                delta = rewards[t] + gamma * following - values[t]
                carried = delta + gamma * gae_lambda * carried * ~ended[t]
                advantages[t], following = carried, values[t]
        targets = (advantages + values)[counted]
        batch = [tensor[counted] for tensor in (observations, actions, log_probs, advantages)]
        for _ in range(epochs):
            for rows in torch.randperm(len(targets)).chunk(minibatches):
                observed, acted, before, advantage = (tensor[rows] for tensor in batch)
                distribution = agent.act(observed)
                ratio = (distribution.log_prob(acted).sum(-1) - before).exp()
                advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                policy_loss = -torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()
                value_loss = (agent.critic(observed).squeeze(-1) - targets[rows]).pow(2).mean()
                optimizer.zero_grad()
                (policy_loss + 0.5 * value_loss).backward()
                nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
                optimizer.step()
        if returns:
            print(f"return of the last {min(16, len(returns))} episodes: {np.mean(returns[-16:]):.0f}")
    envs.close()
    return float(np.mean(returns[-16:])) if returns else float("nan")


if __name__ == "__main__":
    tyro.cli(main)
