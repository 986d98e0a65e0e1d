"""Stop trainings at random moments, resume them, and compare with undisturbed ones: a script for before a release.

python tests/kill_runs.py --kills 180 --sweep-kills 20

SIGKILL, SIGTERM, SIGINT and SIGHUP in turn, to the process alone or, as a terminal does, to its whole group. Then the
weights are the same bit for bit, no row of metrics.csv occurs twice, no process is left, and what asked to stop got
its one line and its exit status.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from nervecord.training.learning.curricula import CurriculumRun
from nervecord.training.runs.holds import holds
from nervecord.training.runs.run import Run

assert sys.platform != "win32", "Windows has no signals from process to process"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# What a stop may take: a rollout, a checkpoint and the end of Python, where the cores are shared.
PATIENCE = 600
PLAN = """
[base]
body = "swimmer4"
physics = "mujoco"
steps = 6400
episode_steps = 100
checkpoint_every = 400
algorithm_options = {n_envs = 8}
[vary]
seed = [0, 1, 2]
"""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A command that is stopped, and how."""

    command: tuple[str, ...]
    whole_group: bool = False  # signals go to the workers too, as from a terminal


# On MuJoCo, whose slower steps leave time to strike in the middle of a training.
_MUJOCO = ("train", "--physics", "mujoco")
_ES = (*_MUJOCO, "--body", "swimmer4", "--steps", "12800", "--episode-steps", "100", "--checkpoint-every", "200")
KINDS = {
    "es": Kind((*_ES, "--evaluate-every", "1600", "--algorithm-options", "n_envs=16")),
    "ppo": Kind((*_MUJOCO, "--circuit", "gru", "--algorithm", "ppo", "--steps", "6144", "--episode-steps", "50",
                 "--checkpoint-every", "200", "--circuit-options", "units=8",
                 "--algorithm-options", "n_envs=8", "n_steps=32", "sequence_length=16", "batch_size=64")),
    "sac": Kind((*_MUJOCO, "--circuit", "mlp", "--algorithm", "sac", "--body", "swimmer4", "--steps", "1200",
                 "--episode-steps", "40", "--checkpoint-every", "100",
                 "--algorithm-options", "n_envs=4", "learning_starts=80", "batch_size=16", "buffer_size=400")),
    "curriculum": Kind(("curriculum", "--circuit", "gru", "--updates", "160", "--circuit-options", "units=8",
                        "--options", "batch_size=16", "evaluate_every=4", "evaluation_sequences=16", "max_n=4")),
    "workers": Kind((*_ES, "--workers", "2", "--algorithm-options", "n_envs=8", "population=32"), whole_group=True),
    "sweep": Kind(("sweep", "PLAN", "--workers", "2"), whole_group=True),
}  # fmt: skip


def start(kind: Kind, out: Path) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own."""
    (out.parent / "plan.toml").write_text(PLAN, encoding="utf-8")
    words = [str(out.parent / "plan.toml") if word == "PLAN" else word for word in kind.command]
    return subprocess.Popen(
        [sys.executable, "-c", "from nervecord.cli.main import main; main()", *words, "--out", str(out), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, process_group=0,
    )  # fmt: skip


def finish(kind: Kind, out: Path) -> None:
    """Run a command to its end."""
    process = start(kind, out)
    _, error = process.communicate(timeout=600)
    assert process.returncode == 0, error.decode()


def strike(kind: Kind, out: Path, number: int, rng: random.Random) -> None:
    """Start a command, stop it at a random moment, and check how it ended."""
    process = start(kind, out)
    try:
        _strike(process, kind, out, number, rng)
    finally:
        process.kill()


def _strike(process: subprocess.Popen[bytes], kind: Kind, out: Path, number: int, rng: random.Random) -> None:
    before, deadline = _newest(out), time.monotonic() + PATIENCE
    # Nine times of ten in whatever it does while it trains, else while it starts.
    while rng.random() < 0.9 and process.poll() is None and time.monotonic() < deadline and _newest(out) == before:
        time.sleep(0.01)
    time.sleep(rng.uniform(0.0, 0.5))
    to_all = kind.whole_group and rng.random() < 0.5 and number != signal.SIGKILL
    with contextlib.suppress(ProcessLookupError):
        (os.killpg if to_all else os.kill)(process.pid, number)
    output, error = process.communicate(timeout=PATIENCE)
    lines = error.decode().splitlines()
    if process.returncode == 1 and "init_import_site" in error.decode():
        return  # Python itself had not started yet.
    assert process.returncode in (0, -number, 128 + number), (process.returncode, lines)
    if process.returncode == 128 + number:
        assert "\n" not in json.loads(output)["error"]["message"], output
    assert not any(line.startswith("Traceback") for line in lines) or process.returncode == -number, lines
    assert none_left(process.pid), f"a process of group {process.pid} is left"


def none_left(group: int) -> bool:
    """Return whether every process of a group ends within a minute, which a busy machine may take."""
    for _ in range(1200):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def compare(whole: Path, hurt: Path) -> None:
    """Raise AssertionError where a run, or a sweep's runs and scores, differ from undisturbed ones."""
    if (whole / "results.sqlite").exists():
        scores = [_rows(out / "results.sqlite") for out in (whole, hurt)]
        assert scores[0] == scores[1], "scores differ"
        for folder in whole.glob("*/config.json"):
            compare(folder.parent, hurt / folder.parent.name)
        return
    runs = [(CurriculumRun if holds(out) == "curriculum" else Run)(out) for out in (whole, hurt)]
    expected, found = (run.load_checkpoint() for run in runs)
    assert expected is not None
    assert found is not None
    assert expected.step == found.step
    assert expected.weights.keys() == found.weights.keys()
    assert all(torch.equal(expected.weights[name], found.weights[name]) for name in expected.weights), "weights differ"
    tables = [run.metrics() for run in runs]
    assert not tables[1].duplicated(["step", "metric"]).any(), "a row occurs twice"
    assert set(tables[0]["metric"]) == set(tables[1]["metric"])
    assert not list(hurt.rglob("lock.json"))


def _rows(store: Path) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(store)) as connection:
        order = "source, metric, stage, step, episode"
        return connection.execute(f"SELECT * FROM scores ORDER BY {order}").fetchall()


def kill_many(name: str, folder: Path, kills: int, seed: int = 0) -> None:
    """Stop a command so many times, let it end, and begin anew where it was done before."""
    kind, rng = KINDS[name], random.Random(f"{name} {seed}")
    whole, hurt = folder / f"whole-{name}", folder / f"hurt-{name}-0"
    finish(kind, whole)
    for each in range(kills):
        strike(kind, hurt, SIGNALS[each % len(SIGNALS)], rng)
        if each % 10 == 9 or each == kills - 1:
            finish(kind, hurt)
            compare(whole, hurt)
            hurt = folder / f"hurt-{name}-{each + 1}"


def _newest(out: Path) -> int:
    return max((path.stat().st_mtime_ns for path in out.glob("**/checkpoints/*[0-9]")), default=0)


def main() -> None:
    """Do what the command line asks for, and say how it went."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=180, help="of single trainings, shared among their kinds")
    parser.add_argument("--sweep-kills", type=int, default=20)
    parser.add_argument("--kinds", nargs="+", default=[name for name in KINDS if name != "sweep"], choices=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    shares = {name: options.kills // len(options.kinds) for name in options.kinds} | {"sweep": options.sweep_kills}
    with tempfile.TemporaryDirectory() as folder:
        for name, kills in shares.items():
            begin = time.monotonic()
            if kills:
                kill_many(name, Path(folder), kills, options.seed)
            print(f"{name}: {kills} stops, all bits equal, {time.monotonic() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
