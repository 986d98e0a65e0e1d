"""The run folder: config, versions, checkpoints, metrics; written whole or not at all, nothing pickled."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..agents.policy import CircuitPolicy
from ..circuits import load_weights
from ..envs import Body
from ..errors import InvalidRun, OutputExists
from .config import RunConfig

FORMAT = 1
_PACKAGES = ("nervecord", "mujoco", "dm-control", "gymnasium", "stable-baselines3", "torch", "numpy")
_KEPT_CHECKPOINTS = 2


class Run:
    """A run on disk.

    config.json        the exact config (and the format's version)
    versions.json      packages and machine
    checkpoints/STEP/  weights.safetensors (the circuit), training.safetensors, state.json
    metrics.csv        one tidy table: step, metric, value
    tensorboard/       the same, for TensorBoard
    evaluation.json, transfer.csv, recording.npz, probes/, films and report.html as they are asked for

    Attributes:
        path: the folder.
        config: what was read from it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self._read_config()

    @classmethod
    def create(cls, path: str | Path, config: RunConfig) -> Run:
        """Begin a run, or open the one that stands there with the same config.

        Raises:
            OutputExists: something else stands there; nothing is touched.
            InvalidRun: a run with another config stands there.
        """
        path = Path(path)
        if (path / "config.json").exists():
            run = cls(path)
            if run.config != config:
                changed = [
                    f"{field.name}: {getattr(run.config, field.name)!r} there, {getattr(config, field.name)!r} asked"
                    for field in dataclasses.fields(RunConfig)
                    if getattr(run.config, field.name) != getattr(config, field.name)
                ]
                raise InvalidRun(f"{path} holds another run ({'; '.join(changed)}); give another --out")
            return run
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise OutputExists(f"{path} exists and holds no run; give another --out")
        config.check()
        path.mkdir(parents=True, exist_ok=True)
        write_json(path / "versions.json", _versions())
        write_json(path / "config.json", {"format": FORMAT, **config.to_json()})
        return cls(path)

    def _read_config(self) -> RunConfig:
        values = read_json(self.path / "config.json", f"{self.path} is no run folder")
        version = values.pop("format", None)
        if version != FORMAT:
            raise InvalidRun(
                f"{self.path} is of format {version}, this nervecord reads {FORMAT}; "
                f"use the version that wrote it, which {self.path / 'versions.json'} names"
            )
        return RunConfig.from_json(values)

    # Checkpoints

    def save_checkpoint(
        self,
        step: int,
        policy_weights: Mapping[str, torch.Tensor],
        training: Mapping[str, torch.Tensor],
        state: Mapping[str, Any],
    ) -> None:
        """Write a checkpoint beside its place, then rename; keep the last two."""
        folder = self.path / "checkpoints" / f"{step:012d}"
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save_file(
            {name: value.contiguous() for name, value in policy_weights.items()},
            partial / "weights.safetensors",
        )
        save_file({name: value.contiguous() for name, value in training.items()}, partial / "training.safetensors")
        write_json(partial / "state.json", {"step": step, **state})
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
        for old in self.checkpoints()[:-_KEPT_CHECKPOINTS]:
            shutil.rmtree(old, ignore_errors=True)

    def checkpoints(self) -> list[Path]:
        """Return the checkpoints' folders, oldest first."""
        folder = self.path / "checkpoints"
        return sorted(item for item in folder.glob("*") if item.name.isdigit()) if folder.is_dir() else []

    def load_checkpoint(self) -> Checkpoint | None:
        """Return the last checkpoint, None if there is none yet.

        Raises:
            InvalidRun: it is damaged.
        """
        found = self.checkpoints()
        if not found:
            return None
        folder = found[-1]
        state = read_json(folder / "state.json", f"checkpoint {folder} is damaged")
        try:
            weights = load_file(folder / "weights.safetensors")
            training = load_file(folder / "training.safetensors")
        except (OSError, SafetensorError) as error:
            raise InvalidRun(
                f"checkpoint {folder} is damaged ({error}); remove it to go on from the one before"
            ) from error
        return Checkpoint(int(state["step"]), weights, training, state)

    # What the run trained

    def policy(self, body: str | Body | None = None, trained: bool = True) -> CircuitPolicy:
        """Return the agent, on its own body or on another.

        Raises:
            CircuitMismatch: the weights do not fit the other body.
            InvalidRun: there is no checkpoint yet.
        """
        config = self.config
        checkpoint = self.load_checkpoint() if trained else None
        if trained and checkpoint is None:
            raise InvalidRun(f"{self.path} has no checkpoint yet; `nervecord resume {self.path}` trains it")
        stats = checkpoint.state.get("observation_stats") if checkpoint else None
        env = config.make_env(1, body)
        policy = CircuitPolicy(
            env.observation_space,
            env.action_space,
            circuit=config.circuit,
            circuit_options=config.circuit_options,
            layout=env.layout,
            seed=config.seed,
            observation_stats=stats,
            squash=config.squash,
        )
        env.close()
        if checkpoint:
            load_weights(policy.circuit, checkpoint.weights)
        return policy

    @property
    def done(self) -> bool:
        """Whether training has reached its last step."""
        checkpoint = self.checkpoints()
        return bool(checkpoint) and bool(
            read_json(checkpoint[-1] / "state.json", f"checkpoint {checkpoint[-1]} is damaged").get("done")
        )

    def metrics(self) -> pd.DataFrame:
        """Return the metrics' table: step, metric, value."""
        path = self.path / "metrics.csv"
        return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=["step", "metric", "value"])


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds: the circuit's weights, the learner's tensors, and the rest as JSON."""

    step: int
    weights: dict[str, torch.Tensor]
    training: dict[str, torch.Tensor]
    state: dict[str, Any]


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, default=_plain) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a file beside `path`, then rename it there; on failure leave nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            partial.unlink()


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file; `what` begins the error's line.

    Raises:
        InvalidRun: it is missing or is no JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InvalidRun(f"{what}: {path.name} is missing") from error
    except (OSError, ValueError) as error:
        raise InvalidRun(f"{what}: {path.name} cannot be read ({error})") from error


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON type")


def _versions() -> dict[str, Any]:
    found: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    machine = {"platform": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
    return {"packages": found, "machine": machine, "torch_threads": torch.get_num_threads()}
