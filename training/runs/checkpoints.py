"""A checkpoint on disk: tensors and JSON, and a list of their checksums, which is written last."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Shaped
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ...errors import InvalidRun
from ...files import json_text, read_json, replace, sync, write_json, write_text

_META = "meta.json"
_STATE, _WEIGHTS, _TRAINING, _REPLAY = "state.json", "weights.safetensors", "training.safetensors", "replay.safetensors"
_ALWAYS = (_STATE, _WEIGHTS, _TRAINING)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint: the circuit's weights, the learner's tensors, and the rest as JSON.

    Attributes:
        step: environment steps trained so far.
        weights: the circuit's weights.
        training: the learner's other tensors; empty if they were not requested.
        state: the learner's numbers and text.
        replay: the tensors of a replay buffer; empty if there is none, or if it was not requested.
    """

    step: int
    weights: dict[str, torch.Tensor]
    training: dict[str, torch.Tensor]
    state: dict[str, Any]
    replay: dict[str, torch.Tensor] = dataclasses.field(default_factory=dict)


def write_checkpoint(
    folder: Path,
    step: int,
    weights: Mapping[str, Shaped[torch.Tensor, "*shape"]],
    training: Mapping[str, Shaped[torch.Tensor, "*shape"]],
    state: Mapping[str, Any],
    replay: Mapping[str, Shaped[torch.Tensor, "*shape"]] | None = None,
) -> None:
    """Write a checkpoint under a temporary name beside its place, and rename it once it is completely on the disk.

    Tensors are written as they are, in their own units; `step` is in environment steps.

    Raises:
        OSError: it cannot be written; no part of it remains.
    """
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    tensors = {_WEIGHTS: weights, _TRAINING: training} | ({} if replay is None else {_REPLAY: replay})
    try:
        write_json(partial / _STATE, {"step": step, **state})
        for name, values in tensors.items():
            _save_tensors(partial / name, values)
        files = {name: _fingerprint(partial / name) for name in (_STATE, *tensors)}
        meta = {"step": step, "done": bool(state.get("done")), "files": files}
        # Without a final newline, so that a file cut anywhere is not valid JSON.
        write_text(partial / _META, json_text({**meta, "sha256": _digest(meta)}))
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OSError(f"checkpoint {folder} cannot be written: {error}") from error
    if folder.exists():
        replaced = folder.with_suffix(".replaced")
        shutil.rmtree(replaced, ignore_errors=True)
        replace(folder, replaced)
        replace(partial, folder)
        shutil.rmtree(replaced, ignore_errors=True)
    else:
        replace(partial, folder)


def read_checkpoint(folder: Path, has_meta: bool, with_training: bool = True) -> Checkpoint:
    """Read a checkpoint, each file checked against its checksum.

    Args:
        folder: folder of the checkpoint.
        has_meta: whether a missing list of checksums means damage, and not an older version.
        with_training: also read the learner's tensors and its replay buffer; otherwise only check their sizes.

    Raises:
        InvalidRun: it is damaged; says which file.
        PermissionError: it may not be read.
    """
    if has_meta or (folder / _META).exists():
        meta = _read_meta(folder)
        files = [name for name in meta["files"] if with_training or name in (_STATE, _WEIGHTS)]
        _check(folder, meta, files)
    else:
        files = list(_ALWAYS if with_training else (_STATE, _WEIGHTS))
    state = read_json(folder / _STATE, f"{_STATE} is damaged")
    try:
        tensors = {name: load_file(folder / name) for name in files if name != _STATE}
        training, replay = (tensors.get(name, {}) for name in (_TRAINING, _REPLAY))
        return Checkpoint(int(state["step"]), tensors[_WEIGHTS], training, state, replay)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InvalidRun(" ".join(str(error).split())) from error


def read_progress(folder: Path, has_meta: bool) -> tuple[int, bool]:
    """Return a checkpoint's step and whether training was done there, without loading its tensors.

    Of a replay buffer, which can be large, only the size is checked.

    Raises:
        InvalidRun: it is damaged; says which file.
    """
    if not has_meta and not (folder / _META).exists():
        checkpoint = read_checkpoint(folder, has_meta)
        return checkpoint.step, bool(checkpoint.state.get("done"))
    meta = _read_meta(folder)
    _check(folder, meta, _ALWAYS)
    return meta["step"], meta["done"]


def _read_meta(folder: Path) -> dict[str, Any]:
    meta = read_json(folder / _META, "its list of checksums is damaged")
    try:
        whole = meta.pop("sha256") == _digest(meta) and meta["step"] == int(folder.name)
        whole = whole and set(_ALWAYS) <= meta["files"].keys() <= {*_ALWAYS, _REPLAY} and isinstance(meta["done"], bool)
    except (AttributeError, KeyError, TypeError):
        whole = False
    if not whole:
        raise InvalidRun(f"{_META} does not match its checksum")
    return dict(meta)


def _digest(meta: Mapping[str, Any]) -> str:
    return hashlib.sha256(json_text(meta).encode()).hexdigest()


def _check(folder: Path, meta: Mapping[str, Any], hashed: Iterable[str]) -> None:
    """Compare every file's size, and the content of the files in `hashed`, with the list of checksums.

    Raises:
        InvalidRun: a file differs from the list.
    """
    for name, written in meta["files"].items():
        try:
            found = _fingerprint(folder / name) if name in hashed else {"bytes": (folder / name).stat().st_size}
            same = found == {key: written[key] for key in found}
        except FileNotFoundError as error:
            raise InvalidRun(f"{name} is missing") from error
        except PermissionError:
            raise  # It may be intact; its owner can change the permissions.
        except (OSError, KeyError, TypeError) as error:
            raise InvalidRun(f"{name} cannot be read ({error})") from error
        if not same:
            raise InvalidRun(f"{name} does not match its checksum")


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


def _save_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    # save_file ignores the umask and makes a file that only its owner may read; a plain file shows the umask.
    path.touch()
    mode = path.stat().st_mode
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    path.chmod(mode)
    sync(path)
