"""Stable-Baselines3's PPO with its default network, on many swimmers at once."""

import tyro
from nervecord.envs import SwimmerVecEnv
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy


def main(steps: int = 300_000, body: str = "swimmer6", seed: int = 0, episode_steps: int = 1000) -> float:
    env = SwimmerVecEnv(16, "swim", body=body, episode_steps=episode_steps)
    model = PPO("MlpPolicy", env, n_steps=256, batch_size=512, gamma=0.99, gae_lambda=0.95, seed=seed, device="cpu")
    model.learn(steps)
    mean, spread = evaluate_policy(model, env, n_eval_episodes=16)
    print(f"return {mean:.0f}, standard deviation {spread:.0f} over 16 episodes")
    return float(mean)


if __name__ == "__main__":
    tyro.cli(main)
