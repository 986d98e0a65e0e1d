"""Run every id of the package for a few seeded steps, and keep what it gave.

    cd tests && python -m reference.trajectories reference/trajectories.npz

docs/versions.md promises that an id gives these numbers as long as its own number stays. So a new id is added to the
file, and what is there stays: the command refuses to write other numbers for an id that the file has.
"""

import argparse
import sys
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium import spaces
from nervecord.envs.registration import BIT_IDS, IDS, LANES_IDS

KEPT = Path(__file__).parent / "trajectories.npz"
# What Track follows: a wave along five joints, 2.4 s at 30 frames a second.
_POSTURE = Path(__file__).parent / "posture.csv"
ENV_IDS = (*IDS, *LANES_IDS, *BIT_IDS)
# Relative to the largest number of its column. Another processor rounds otherwise, and 40 steps
# of a swimmer make parts in 1e7 of that no larger than this.
TOLERANCE = 1e-4
# The short episode outlasts the pause before the go of CueTurn, of 30 steps.
_SEEDS, _STEPS, _EPISODE_STEPS = (0, 1), 8, 40
# Steps for which an action of the short episode lasts: bodies then bend far enough to reach posts.
_LASTS = 10
Arrays = dict[str, np.ndarray]


def trajectories(env_id: str) -> Arrays:
    """Return what an id promises: its spaces, its episodes' length, and what seeded actions are answered by.

    The first 8 steps of two episodes, and one that ends after 40, where the id takes a length. Observations are in the
    environment's own units; the last column is 1 where the episode terminated and 2 where it was truncated.
    """
    options = {"recording": str(_POSTURE)} if "Track" in env_id else {}
    env = gymnasium.make(f"nervecord:{env_id}", disable_env_checker=True, **options)
    found = {"default steps": np.array(env.spec.max_episode_steps or 0, np.float32)}
    for name, space in (("observation", env.observation_space), ("action", env.action_space)):
        bounds = (space.low, space.high) if isinstance(space, spaces.Box) else (space.start, space.start + space.n - 1)
        found[f"{name} space"] = np.array(bounds, np.float32)
    for seed in _SEEDS:
        found[f"episode {seed}"] = _episode(env, seed, _STEPS, 1)
    env.close()
    if env_id not in BIT_IDS:
        env = gymnasium.make(f"nervecord:{env_id}", disable_env_checker=True, episode_steps=_EPISODE_STEPS, **options)
        found["short episode"] = _episode(env, _SEEDS[0], _EPISODE_STEPS, _LASTS)
        env.close()
    return found


def _episode(env: gymnasium.Env, seed: int, n_steps: int, lasts: int) -> np.ndarray:
    """Return a row for the reset and for each step: the observation, the reward, and how the episode ended, if so."""
    rng = np.random.default_rng(seed)
    observation, _ = env.reset(seed=seed)
    rows = [[*observation, 0.0, 0]]
    for step in range(n_steps):
        if isinstance(env.action_space, spaces.Discrete):
            action = int(rng.integers(env.action_space.n))
        elif step % lasts == 0:
            action = rng.uniform(-1, 1, env.action_space.shape).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        rows.append([*observation, reward, terminated + 2 * truncated])
        if terminated or truncated:
            break
    return np.array(rows, np.float32)


def differing(found: Arrays, kept: Arrays) -> list[str]:
    """Return the names of what is another than it was, with by how much; both are of one id."""
    wrong = [f"{name}: new" for name in found.keys() - kept.keys()]
    for name, before in kept.items():
        now = found.get(name)
        if now is None or now.shape != before.shape:
            wrong.append(f"{name}: of shape {before.shape} before, {None if now is None else now.shape} now")
            continue
        same = now == before  # infinite bounds
        scale = np.abs(before).max(0, initial=0)
        with np.errstate(invalid="ignore"):
            off = np.where(same, 0.0, np.abs(now - before.astype(float)) / np.where(scale > 0, scale, 1.0))
        if off.max(initial=0) > TOLERANCE:
            wrong.append(f"{name}: off by {off.max():.1e} of the column's largest")
    return wrong


def read_kept(path: Path = KEPT) -> dict[str, Arrays]:
    """Return what the file has, by id."""
    found: dict[str, Arrays] = {}
    with np.load(path) as file:
        for key in file:
            env_id, _, name = key.partition("|")
            found.setdefault(env_id, {})[name] = file[key]
    return found


def main(path: Path) -> str:
    """Add the ids that the file lacks; return why nothing was written, "" if it was."""
    kept = read_kept(path) if path.exists() else {}
    for env_id in ENV_IDS:
        found = trajectories(env_id)
        if env_id not in kept:
            kept[env_id] = found
        elif wrong := differing(found, kept[env_id]):
            return f"{env_id} gives other numbers than {path} has: {'; '.join(wrong)}; register a new id for them"
    flat = {f"{env_id}|{name}": values for env_id, arrays in kept.items() for name, values in arrays.items()}
    np.savez_compressed(path, **flat)
    return ""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    sys.exit(main(parser.parse_args().out))
