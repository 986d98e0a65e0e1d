"""Damage checkpoints at random, and see that each damage is found and the checkpoint before it used: before a release.

python tests/damaged_checkpoints.py --tries 1000
python tests/damaged_checkpoints.py --minutes 60 --seed 1
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run

CONFIG = RunConfig(body="swimmer4", steps=800, episode_steps=50, algorithm_options={"n_envs": 4})
FILES = ("meta.json", "state.json", "weights.safetensors", "training.safetensors", "replay.safetensors")
REPLAY = {"observations": torch.arange(600.0).reshape(100, 6)}


def make_run(folder: Path) -> Run:
    """Make a run with two checkpoints, of steps 100 and 200."""
    run = Run.create(folder, CONFIG)
    rng = torch.Generator().manual_seed(0)
    for step in (100, 200):
        weights = {"w": torch.randn(40, 40, generator=rng), "b": torch.randn(40, generator=rng)}
        training = {"momentum": torch.randn(40, 40, generator=rng), "rng": torch.arange(200, dtype=torch.uint8)}
        run.save_checkpoint(step, weights, training, {"done": step == 200, "episodes": list(range(100))}, REPLAY)
    return run


def damages(content: bytes, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yield nine bit flips, four zeroed blocks and four cuts, each with what it is."""
    for at in rng.integers(len(content), size=9):
        flipped = bytearray(content)
        flipped[at] ^= 1 << rng.integers(8)
        yield f"bit at {at}", bytes(flipped)
    for at in rng.integers(max(1, len(content) - 64), size=4):
        yield f"block at {at}", content[:at] + bytes(len(content[at : at + 64])) + content[at + 64 :]
    for length in (0, 1, len(content) // 2, len(content) - 1):
        yield f"cut to {length}", content[:length]


def damage_all(run: Run, rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Damage each file of the last checkpoint in each way, and yield what was done and what is wrong of the outcome."""
    last = run.checkpoints()[-1]
    for name in FILES:
        content = (last / name).read_bytes()
        for what, damaged in damages(content, rng):
            if damaged == content:
                continue
            (last / name).write_bytes(damaged)
            checkpoint = run.load_checkpoint()
            wrong = "" if checkpoint is not None and checkpoint.step == 100 else "it was loaded"
            # Of a replay buffer, which can be large, only the size is looked at where it is not asked for.
            if (name != "replay.safetensors" or what.startswith("cut")) and run.progress != (100, False):
                wrong = wrong or "it counted as trained"
            yield f"{name}, {what}", wrong
        (last / name).write_bytes(content)


def main() -> None:
    """Do what the command line asks for; the exit status is 1 if a damage was not found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tries", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=0, help="go on for so long")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    tried, missed, deadline = 0, 0, time.monotonic() + 60 * options.minutes
    rng = np.random.default_rng(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        run = make_run(Path(folder) / "run")
        while tried < options.tries or time.monotonic() < deadline:
            for what, wrong in damage_all(run, rng):
                tried, missed = tried + 1, missed + bool(wrong)
                if wrong:
                    print(f"{what}: {wrong}", flush=True)
    print(f"{tried} damages, {missed} not found")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
