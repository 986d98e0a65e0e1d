"""Run the short trainings with whatever `nervecord` is on the path, and keep what they come to as arrays.

    cd tests && python -m reference.produce OUT [NAME ...]

OUT/NAME/ is the folder of the training, OUT/NAME.nc a recording, OUT/NAME.npz everything that `compare` compares. All
goes through the command line, which outlives the modules behind it. What lies on disk is read without nervecord, by the
three functions below that begin with `read_`: where its layout changes, they learn the new one beside the old.
"""

import argparse
import contextlib
import csv
import io
import json
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import nervecord
import numpy as np
from safetensors.numpy import load_file

from .configs import CONFIGS, Config

try:
    from nervecord.cli.main import main
except ImportError:
    from nervecord.training.cli import main

EPISODES = 3
_RECORDED_EPISODES = 2
Arrays = dict[str, np.ndarray]


def produce(out: Path, names: Sequence[str]) -> list[str]:
    """Run the trainings of these names in the folder `out`; return the names of those that failed."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "package.txt").write_text(str(Path(nervecord.__file__).resolve().parent), encoding="utf-8")
    failed = []
    with contextlib.chdir(out):
        for name in names:
            began = time.perf_counter()
            try:
                np.savez(f"{name}.npz", **arrays_of(name, CONFIGS[name]))
            except (Exception, SystemExit):
                traceback.print_exc()
                failed.append(name)
            print(f"{name}: {time.perf_counter() - began:.1f} s", file=sys.stderr)
    return failed


def arrays_of(name: str, config: Config) -> Arrays:
    """Train in the folder `name` of the current one; return weights, returns and a recording, by name."""
    call(*config.command.split(), "--out", name)
    found = {f"metrics/{key}": value for key, value in read_metrics(Path(name)).items()}
    found |= {f"weights/{key}": value for key, value in read_weights(Path(name)).items()}
    if not config.is_run:
        return found
    for body in (None, *config.bodies):
        place = "evaluation" if body is None else f"evaluation on {body}"
        found |= {f"{place}/{key}": value for key, value in evaluate(name, body).items()}
    call("record", name, "--out", f"{name}.nc", "--episodes", str(_RECORDED_EPISODES), *config.record.split())
    return found | {f"recording/{key}": value for key, value in read_recording(Path(f"{name}.nc")).items()}


def evaluate(path: str | Path, body: str | None = None) -> Arrays:
    """Return what the episodes of a run's agent come to: every metric, one value an episode."""
    told = call("evaluate", str(path), "--episodes", str(EPISODES), *(["--body", body] if body else []))
    return {metric: np.array(values) for metric, values in told["episodes"].items()}


def call(*words: str) -> Any:
    """Run one command and return what it prints as JSON."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        main([*words, "--json"])
    return json.loads(printed.getvalue())


def read_weights(run: Path) -> Arrays:
    """Return the circuit's weights at the last checkpoint of a run's folder."""
    return load_file(max((run / "checkpoints").iterdir()) / "weights.safetensors")


def read_metrics(run: Path) -> Arrays:
    """Return what a run's table says of learning, and at which steps; what it says of time differs every time."""
    found, updates = defaultdict(dict), defaultdict(list)
    with open(run / "metrics.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            metric, value = row["metric"], float(row["value"])
            if metric.startswith("train/"):
                # Before format 3, what an update came to stood with the rollout that followed it.
                updates[metric].append(value)
            elif not metric.startswith("time/") and metric != "rollout/net_speed":
                # Before format 3, SB3's learners wrote a row for every environment, and nobody wrote net_speed.
                found[metric][int(row["step"])] = value
    values = {name: np.array(list(of.values())) for name, of in found.items()}
    steps = {f"{name} at": np.array(list(of)) for name, of in found.items()}
    return values | steps | {name: np.array(of) for name, of in updates.items()}


def read_recording(path: Path) -> Arrays:
    """Return the arrays of a recording; names are arrays of text."""
    with h5py.File(path) as file:
        arrays = {name: held.asstr()[()] if held.dtype.kind == "O" else held[()] for name, held in file.items()}
    # Since format 3 a recording says how long its episodes are; here all are cut by time.
    arrays.pop("lengths", None)
    return {name: values.astype(str) if values.dtype.kind == "O" else values for name, values in arrays.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all by default: {', '.join(CONFIGS)}")
    asked = parser.parse_args()
    sys.exit(f"failed: {', '.join(bad)}" if (bad := produce(asked.out, asked.names or list(CONFIGS))) else 0)
