"""Gymnasium's own vector tools around the native vector environment: random actions, statistics of episodes."""

import gymnasium
import numpy as np
import tyro
from gymnasium.wrappers.vector import ClipAction, RecordEpisodeStatistics


def main(num_envs: int = 64, body: str = "swimmer6", seed: int = 0, episode_steps: int = 1000) -> float:
    envs = gymnasium.make_vec("nervecord:nervecord/Swim-v0", num_envs, body=body, episode_steps=episode_steps)
    envs = ClipAction(RecordEpisodeStatistics(envs))
    envs.reset(seed=seed)
    envs.action_space.seed(seed)
    returns: list[float] = []
    while len(returns) < num_envs:
        _, _, _, _, infos = envs.step(1.5 * envs.action_space.sample())
        if "episode" in infos:
            returns += infos["episode"]["r"][infos["_episode"]].tolist()
    envs.close()
    print(f"random actions return {np.mean(returns):.1f} over {len(returns)} episodes")
    return float(np.mean(returns))


if __name__ == "__main__":
    tyro.cli(main)
