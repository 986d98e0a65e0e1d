"""skrl's PPO on the native vector environment."""

import gymnasium
import torch
import tyro
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
from skrl.trainers.torch import SequentialTrainer
from skrl.utils import set_seed
from torch import nn


def network(n_inputs: int, n_outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_inputs, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, n_outputs))


class Policy(GaussianMixin, Model):
    def __init__(self, observation_space, action_space, device):
        Model.__init__(self, observation_space=observation_space, action_space=action_space, device=device)
        GaussianMixin.__init__(self)
        self.net = network(self.num_observations, self.num_actions)
        self.log_std = nn.Parameter(torch.zeros(self.num_actions))

    def compute(self, inputs, role):
        return self.net(inputs["observations"]), {"log_std": self.log_std}


class Value(DeterministicMixin, Model):
    def __init__(self, observation_space, action_space, device):
        Model.__init__(self, observation_space=observation_space, action_space=action_space, device=device)
        DeterministicMixin.__init__(self)
        self.net = network(self.num_observations, 1)

    def compute(self, inputs, role):
        return self.net(inputs["observations"]), {}


class TimeLimitPPO(PPO):
    """Bootstraps after a time limit from the episode's last observation, which gymnasium returns in `infos`."""

    def record_transition(self, *, next_observations, infos, **transition):
        if "final_obs" in infos:
            next_observations = next_observations.clone()
            for index in infos["_final_obs"].nonzero()[0]:
                next_observations[index] = torch.as_tensor(infos["final_obs"][index])
        super().record_transition(next_observations=next_observations, infos=infos, **transition)


def main(
    steps: int = 300_000, body: str = "swimmer6", seed: int = 0, episode_steps: int = 1000, num_envs: int = 16,
    rollout: int = 256, folder: str = "runs/skrl",
) -> PPO:  # fmt: skip
    set_seed(seed)
    # SameStep: the step that ends an episode also resets it, so that no action is ignored.
    envs = gymnasium.make_vec(
        "nervecord:nervecord/Swim-v0", num_envs, body=body, episode_steps=episode_steps, autoreset_mode="SameStep"
    )
    env = wrap_env(envs, wrapper="gymnasium")
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space, "device": env.device}
    config = PPO_CFG(
        rollouts=rollout, learning_epochs=10, mini_batches=8, discount_factor=0.99, gae_lambda=0.95,
        learning_rate=3e-4, time_limit_bootstrap=True,
    )  # fmt: skip
    config.experiment.directory = folder
    agent = TimeLimitPPO(
        models={"policy": Policy(**spaces), "value": Value(**spaces)},
        memory=RandomMemory(memory_size=rollout, num_envs=num_envs, device=env.device), cfg=config, **spaces,
    )  # fmt: skip
    SequentialTrainer(env=env, agents=agent, cfg={"timesteps": steps // num_envs, "headless": True}).train()
    return agent


if __name__ == "__main__":
    tyro.cli(main)
