"""The agent loop of dm_env, the interface of Acme and other libraries."""

import numpy as np
import tyro
from nervecord.envs import DmSwimmer


def main(episodes: int = 2, body: str = "swimmer6", seed: int = 0, episode_steps: int = 1000) -> float:
    env = DmSwimmer("swim", seed=seed, body=body, episode_steps=episode_steps)
    rng = np.random.default_rng(seed)
    spec = env.action_spec()
    returns = []
    for _ in range(episodes):
        step, total = env.reset(), 0.0
        while not step.last():
            step = env.step(rng.uniform(spec.minimum, spec.maximum, spec.shape))
            total += step.reward
        returns.append(total)
    env.close()
    print(f"random actions return {np.mean(returns):.1f} over {episodes} episodes")
    return float(np.mean(returns))


if __name__ == "__main__":
    tyro.cli(main)
