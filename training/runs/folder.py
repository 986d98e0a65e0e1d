"""The folder of a training: config, versions, checkpoints and metrics; written atomically, without pickle."""

from __future__ import annotations

import contextlib
import csv
import importlib.metadata
import json
import logging
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

import pandas as pd
import torch
from jaxtyping import Shaped

from ...circuits.code_files import circuit_from_json
from ...errors import InvalidOption, InvalidRun, OutputExists
from ...files import replace, sync, write_json
from ...options import FLAG, PATH, checked
from ...plain_files import check_plain
from .checkpoints import Checkpoint, read_checkpoint, read_progress, write_checkpoint
from .held_files import told_config
from .holds import read_facts
from .lock import LOCK, hold
from .shipped import check_no_address, folder_of

FORMAT = 3
READABLE = (2, 3)
_PACKAGES = ("nervecord", "mujoco", "dm-control", "gymnasium", "stable-baselines3", "torch", "numpy")
_KEPT_CHECKPOINTS = 2
# All that a process stopped while it began a training can have left.
_BEGINNINGS = {"versions.json", ".versions.json.partial", ".config.json.partial", LOCK}
_log = logging.getLogger(__name__)


class Config(Protocol):
    """The config of a training: a frozen dataclass that can be converted to JSON."""

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON types."""
        ...

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        ...


ConfigT = TypeVar("ConfigT", bound=Config)
Found = TypeVar("Found")


class Folder(Generic[ConfigT]):
    """The folder of a training, with these files.

    config.json        config as given, config with defaults filled in, and version of the format
    versions.json      versions of packages, and machine
    checkpoints/STEP/  weights.safetensors (the circuit), training.safetensors, replay.safetensors (replay buffer, if
                       any), state.json, meta.json (step, done, checksum of every file)
    history/           weights of all earlier checkpoints
    lock.json          process that is training it now
    metrics.csv        one tidy table: step, metric, value
    tensorboard/       the same metrics, for TensorBoard

    Attributes:
        path: the folder.
        config: config as given by the user.
        facts: content of config.json.
        kind: kind of training, as stored in config.json.
        config_type: class of the config.

    Args:
        path: the folder; or the address of an agent that comes with the package, such as agent:ncap-plus.
        trust: follow links in the folder, such as to checkpoints on a scratch disk, and run circuit code stored in it;
            see `check_plain` for the risks of links.

    Raises:
        InvalidRun: the folder is not a training of this kind and format, or has a link or code and is not trusted.
        CircuitMismatch: the code of its circuit raises an error.
        UnknownName: no agent of that name comes with the package.
    """

    kind: str
    config_type: type[ConfigT]

    @checked(InvalidOption, path=PATH, trust=FLAG)
    def __init__(self, path: str | Path, trust: bool = False) -> None:
        self.path, self.trust = folder_of(path), trust
        self.facts = self._read_facts()
        if trust and isinstance(self.facts["asked"], Mapping):
            circuit_from_json(self.facts["asked"].get("circuit"), trust)
        self.config: ConfigT = self.config_type.from_json(self.facts["asked"])

    @classmethod
    def create(
        cls,
        path: str | Path,
        config: ConfigT,
        prepare: Callable[[], Mapping[str, Any]] = dict,
        trust: bool = False,
    ) -> Self:
        """Create a training folder, or open an existing one with the same config, possibly with fewer steps.

        An existing training is not changed; see `train_longer`.

        Args:
            path: the folder.
            config: config of the training.
            prepare: function called before anything is written; it raises errors of the config, and returns values to
                store in config.json beside it.
            trust: follow links in the folder.

        Raises:
            OutputExists: the folder contains something else; nothing is changed.
            InvalidRun: the folder contains a training with another config, or a link and is not trusted.
            InvalidOption: the path is the address of an agent that comes with the package.
        """
        check_no_address(path)
        path = Path(path)
        if (path / "config.json").exists():
            found = cls(path, trust)
            # As JSON, which knows no tuples: a config that was read equals the one that was written.
            there, asked = (json.loads(json.dumps(each.to_json())) for each in (found.config, config))
            changed = {name for name in asked if there[name] != asked[name]}
            if asked.get("physics") == "auto":  # leaves the choice, and there it has been made
                changed -= {"physics"}
            changed -= {"device"}  # where it computes is no part of what is computed
            if changed == {"steps"} and asked["steps"] > there["steps"]:
                return found
            there, asked = told_config(there), told_config(asked)
            if said := [f"{name}: {there[name]!r} there, {asked[name]!r} asked" for name in asked if name in changed]:
                raise InvalidRun(f"{path} holds another {cls.kind} ({'; '.join(said)}); give another --out")
            return found
        if path.exists() and (not path.is_dir() or {item.name for item in path.iterdir()} - _BEGINNINGS):
            raise OutputExists(f"{path} exists and holds no {cls.kind}; give another --out")
        beside = prepare()
        path.mkdir(parents=True, exist_ok=True)
        with hold(path):
            # Or another process began it between the look above and now.
            if is_new := not (path / "config.json").exists():
                asked = {"format": FORMAT, "holds": cls.kind, "asked": config.to_json()}
                write_json(path / "versions.json", versions())
                write_json(path / "config.json", {**asked, **beside})
        return cls(path, trust) if is_new else cls.create(path, config, trust=trust)

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Hold the folder while it is trained; see `hold` for what two trainings at once are told."""
        return hold(self.path)

    def train_longer(self, config: ConfigT) -> None:
        """Increase the steps to those of a config, under the folder's lock; the history keeps earlier values.

        The device stays the same.
        """
        asked, steps = self.facts["asked"], config.to_json()["steps"]
        history = [*self.facts.get("history", ()), {"steps": asked["steps"], "packages": versions()["packages"]}]
        self.facts = {**self.facts, "asked": {**asked, "steps": steps}, "history": history}
        write_json(self.path / "config.json", self.facts)
        self.config = self.config_type.from_json(self.facts["asked"])

    def refuse_old(self) -> None:
        """Refuse to train a run whose checkpoints have an older format.

        Raises:
            InvalidRun: the checkpoints have an older format.
        """
        if self.facts["format"] == FORMAT:
            return
        raise InvalidRun(
            f"{self.path} was trained by an older nervecord, whose checkpoints this version cannot resume; "
            f"--start {self.path} with another --out trains its weights on"
        )

    def _read_facts(self) -> dict[str, Any]:
        values = read_facts(self.path, self.kind, self.trust)
        version, kind = values.get("format"), values.get("holds")
        if version not in READABLE:
            raise InvalidRun(
                f"{self.path} is of format {version}, this nervecord reads {' and '.join(map(str, READABLE))}; "
                f"use the version that wrote it, which {self.path / 'versions.json'} names"
            )
        self._has_meta = version > 2
        if lacking := [name for name in ("holds", "asked") if version == FORMAT and name not in values]:
            raise InvalidRun(f"{self.path} is damaged: config.json has no {lacking[0]!r}")
        if kind != self.kind:
            raise InvalidRun(f"{self.path} holds a {kind}, and this command works on a {self.kind}")
        if not self.trust:
            # Only now: it is a run, and not a home folder whose every file would be looked at.
            check_plain(self.path)
        if "asked" in values:
            return values
        # Format 2 has the config's fields beside what it says of itself.
        asked = {name: value for name, value in values.items() if name not in ("format", "holds")}
        return {"format": 2, "holds": kind, "asked": asked}

    def save_checkpoint(
        self,
        step: int,
        policy_weights: Mapping[str, Shaped[torch.Tensor, "*shape"]],
        training: Mapping[str, Shaped[torch.Tensor, "*shape"]],
        state: Mapping[str, Any],
        replay: Mapping[str, Shaped[torch.Tensor, "*shape"]] | None = None,
    ) -> None:
        """Write a checkpoint atomically; keep the last two checkpoints, and the weights of all.

        `step` is in environment steps. `replay`, which can be large, has its own file. Older checkpoints are deleted
        only once the new one is on the disk.

        Raises:
            OSError: the checkpoint cannot be written; earlier ones are kept.
        """
        place = self.path / "checkpoints"
        # What a killed process left.
        for pattern in ("*.partial", "*.replaced"):
            for left in place.glob(pattern):
                shutil.rmtree(left, ignore_errors=True)
        write_checkpoint(place / f"{step:012d}", step, policy_weights, training, state, replay)
        if (self.path / "metrics.csv").exists():
            sync(self.path / "metrics.csv")
        for old in self.checkpoints()[:-_KEPT_CHECKPOINTS]:
            with contextlib.suppress(OSError):
                (self.path / "history").mkdir(exist_ok=True)
                replace(old / "weights.safetensors", self.path / "history" / f"{old.name}.safetensors")
            shutil.rmtree(old, ignore_errors=True)

    def checkpoints(self) -> list[Path]:
        """Return the folders of the checkpoints, oldest first."""
        folder = self.path / "checkpoints"
        return sorted(item for item in folder.glob("*") if item.name.isdigit()) if folder.is_dir() else []

    def history(self) -> dict[int, Path]:
        """Return the file of the circuit's weights for every checkpoint so far, by environment step."""
        files = [*(self.path / "history").glob("*.safetensors")]
        found = {int(file.stem): file for file in files if file.stem.isdigit()}
        held = {int(folder.name): folder / "weights.safetensors" for folder in self.checkpoints()}
        # A process killed between two files has moved the weights and left the rest.
        found |= {step: file for step, file in held.items() if file.exists()}
        return dict(sorted(found.items()))

    def load_checkpoint(self, with_training: bool = True) -> Checkpoint | None:
        """Return the last intact checkpoint, or None without checkpoints; log damaged ones, and the step used instead.

        Args:
            with_training: also load the learner's state and replay buffer.

        Raises:
            InvalidRun: all checkpoints are damaged.
            PermissionError: the checkpoints may not be read.
        """
        return self._last_whole(lambda folder: read_checkpoint(folder, self._has_meta, with_training))

    @property
    def progress(self) -> tuple[int, bool]:
        """The step of the last intact checkpoint, and whether training was complete there; (0, False) if there is none.

        Raises:
            InvalidRun: all checkpoints are damaged.
        """
        return self._last_whole(lambda folder: read_progress(folder, self._has_meta)) or (0, False)

    @property
    def done(self) -> bool:
        """Whether training has reached its last step."""
        return self.progress[1]

    def _last_whole(self, read: Callable[[Path], Found]) -> Found | None:
        problems = []
        for folder in reversed(self.checkpoints()):
            try:
                found = read(folder)
            except InvalidRun as error:
                problems.append(f"checkpoint {folder} is damaged ({error})")
                continue
            step = int(folder.name)
            told = f"of step {step:,} are used" if step else "of step 0 are used: untrained, as this run began"
            for problem in problems:
                _log.warning("nervecord: %s; the weights %s", problem, told)
            return found
        if problems:
            raise InvalidRun(f"{problems[0]}, and no other is whole; train again with another --out")
        return None

    def metrics(self) -> pd.DataFrame:
        """Return the logged metrics as a table with columns step (environment steps), metric and value."""
        return read_metrics(self.path / "metrics.csv")


def read_metrics(path: Path) -> pd.DataFrame:
    """Read a table of metrics, without an incomplete last row left by a killed process.

    Raises:
        InvalidRun: the file is not a table of metrics.
    """
    whole: list[list[str]] = []
    try:
        if path.exists():
            text = path.read_text(encoding="utf-8")
            rows = csv.reader(text[: text.rfind("\n") + 1].splitlines()[1:])
            whole = [row for row in rows if len(row) == 3]
        table = pd.DataFrame(whole, columns=["step", "metric", "value"])
        return table.astype({"step": int, "value": float})
    except (ValueError, OverflowError, csv.Error) as error:
        raise InvalidRun(f"{path} is damaged: {error}; its columns are step, metric and value, in UTF-8") from error


def versions() -> dict[str, Any]:
    """Return the packages and the machine that numbers are made with, as JSON types."""
    found: dict[str, str | None] = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    machine = {"platform": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
    return {"packages": found, "machine": machine, "torch_threads": torch.get_num_threads()}
