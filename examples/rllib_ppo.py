"""RLlib's PPO. Ray pins gymnasium <= 1.2.2, so this needs an environment of its own.

python -m venv rllib && rllib/bin/pip install nervecord "ray[rllib]" "gymnasium<=1.2.2"
"""

import gymnasium
import tyro
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env


def main(iterations: int = 20, body: str = "swimmer6", seed: int = 0, episode_steps: int = 1000) -> float:
    register_env(
        "swim", lambda _: gymnasium.make("nervecord:nervecord/Swim-v0", body=body, episode_steps=episode_steps)
    )
    config = (
        PPOConfig()
        .environment("swim")
        .env_runners(num_env_runners=0)
        .training(gamma=0.99, lambda_=0.95, train_batch_size=4000)
        .debugging(seed=seed)
    )
    algorithm = config.build_algo()
    mean = float("nan")
    for iteration in range(iterations):
        mean = algorithm.train()["env_runners"]["episode_return_mean"]
        print(f"iteration {iteration}: return {mean:.0f}")
    algorithm.stop()
    return mean


if __name__ == "__main__":
    tyro.cli(main)
