"""TorchRL: the environment as tensordicts, and a collector that steps it with a module."""

import gymnasium
import torch
import tyro
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.collectors import Collector
from torchrl.envs import DoubleToFloat, GymWrapper, RewardSum, TransformedEnv


def main(frames: int = 4000, body: str = "swimmer6", seed: int = 0, episode_steps: int = 1000) -> float:
    torch.manual_seed(seed)
    env = TransformedEnv(
        GymWrapper(gymnasium.make("nervecord:nervecord/Swim-v0", body=body, episode_steps=episode_steps))
    )
    env.append_transform(DoubleToFloat()).append_transform(RewardSum())
    env.set_seed(seed)
    n_inputs, n_motors = env.observation_spec["observation"].shape[-1], env.action_spec.shape[-1]
    network = nn.Sequential(nn.Linear(n_inputs, 64), nn.Tanh(), nn.Linear(64, n_motors), nn.Tanh())
    policy = TensorDictModule(network, in_keys=["observation"], out_keys=["action"])
    returns = []
    collector = Collector(
        env, policy, frames_per_batch=episode_steps, total_frames=frames, auto_register_policy_transforms=True
    )
    for batch in collector:
        ended = batch["next", "done"].squeeze(-1)
        returns += batch["next", "episode_reward"][ended].flatten().tolist()
    collector.shutdown()
    mean = sum(returns) / len(returns)
    print(f"an untrained network returns {mean:.1f} over {len(returns)} episodes")
    return mean


if __name__ == "__main__":
    tyro.cli(main)
