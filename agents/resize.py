"""An MLP moved to a body of another size: what it senses and commands is resampled along the body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..envs.senses import Layout
from ..errors import CircuitMismatch

_PER_LINK = {"body_velocities": 3}


def resize(
    weights: Mapping[str, Tensor], stats: Mapping[str, Any] | None, old: Layout, new: Layout
) -> tuple[dict[str, Tensor], dict[str, Any] | None]:
    """Return an MLP's weights, and the statistics of its observations, for a body of another size.

    Joints are matched by their place along the body, and links by theirs: the MLP is shown what it would
    have sensed on its own body by linear interpolation between the neighbours on the new one, and what it
    commands is interpolated back. Both maps are linear, so they go into the first and the last layer and
    what comes out is an MLP again, which training can go on with.

    Raises:
        CircuitMismatch: a sense is on one side only.
    """
    if old.sizes.keys() != new.sizes.keys():
        raise CircuitMismatch(f"an MLP that senses {', '.join(old.sizes)} cannot be shown {', '.join(new.sizes)}")
    shown = _along_body(old, new)
    moved = _resample(new.sizes["joint_pos"], old.sizes["joint_pos"])
    resized = dict(weights)
    layers = sorted({int(name.split(".")[1]) for name in weights})
    first, last = f"layers.{layers[0]}", f"layers.{layers[-1]}"
    resized[f"{first}.weight"] = resized[f"{first}.weight"] @ shown
    resized[f"{last}.weight"] = moved @ resized[f"{last}.weight"]
    resized[f"{last}.bias"] = moved @ resized[f"{last}.bias"]
    if stats is None:
        return resized, None
    back = _along_body(new, old).double().numpy()
    moments = {name: (back @ np.asarray(stats[name])).tolist() for name in ("mean", "var")}
    return resized, {**stats, **moments}


def _along_body(to: Layout, start: Layout) -> Float[Tensor, "to from"]:
    """Return the matrix that resamples a whole observation."""
    parts = []
    for sense, size in to.sizes.items():
        group = _PER_LINK.get(sense, 1)
        parts.append(torch.kron(_resample(size // group, start.sizes[sense] // group), torch.eye(group)))
    return torch.block_diag(*parts)


def _resample(n_to: int, n_from: int) -> Float[Tensor, "to from"]:
    """Return the matrix that interpolates `n_from` values, spread evenly along the body, at `n_to` places."""
    grid = np.linspace(0, 1, n_from)
    at = np.linspace(0, 1, n_to)
    columns = [np.interp(at, grid, row) for row in np.eye(n_from)]
    return torch.as_tensor(np.stack(columns, 1), dtype=torch.float32)
