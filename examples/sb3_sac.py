"""Stable-Baselines3's SAC on one environment made by gymnasium."""

import gymnasium
import tyro
from stable_baselines3 import SAC
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor


def main(steps: int = 30_000, body: str = "swimmer6", seed: int = 0, episode_steps: int = 1000) -> float:
    env = Monitor(gymnasium.make("nervecord:nervecord/Swim-v0", body=body, episode_steps=episode_steps))
    model = SAC("MlpPolicy", env, learning_starts=min(1000, steps // 2), seed=seed, device="cpu")
    model.learn(steps)
    mean, spread = evaluate_policy(model, env, n_eval_episodes=4)
    print(f"return {mean:.0f}, standard deviation {spread:.0f} over 4 episodes")
    return float(mean)


if __name__ == "__main__":
    tyro.cli(main)
