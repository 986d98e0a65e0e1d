"""A new body in ten lines: register it, and train the same circuit on it as on all others."""

import tyro
from nervecord import RunConfig, evaluate, train
from nervecord.envs import Swimmer, register_body


def main(out: str = "runs/stub", steps: int = 64_000, episode_steps: int = 1000) -> float:
    register_body("stub", lambda: Swimmer(name="stub", n_links=5, link_length=0.06, link_mass=0.02, gear=3e-4))
    run = train(RunConfig("ncap", "es", body="stub", steps=steps, episode_steps=episode_steps), out)
    found = evaluate(run, episodes=8).mean_return
    print(f"return {found}")
    return found.mean


if __name__ == "__main__":
    tyro.cli(main)
