"""Move an agent to a body of another size: statistics, and an MLP's inputs and outputs, are resampled along it."""

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

    Joints and links are matched by their relative place along the body. Sensor values of the old body are
    interpolated linearly from those of the new one, and motor commands are interpolated back. Both maps are
    linear, so they are multiplied into the first and the last layer; the result is an MLP that can be trained on.

    Raises:
        CircuitMismatch: the bodies do not have the same senses, or the MLP has ensembles or quadratic neurons.
    """
    check_senses(old, new)
    if not all(name.endswith((".weight", ".bias")) for name in weights):
        raise CircuitMismatch(
            "an MLP with ensembles or quadratic neurons has weights of one body; give a body of that size"
        )
    shown = along_body(old, new)
    moved = _resample(new.sizes["joint_pos"], old.sizes["joint_pos"])
    resized = dict(weights)
    layers = sorted({int(name.split(".")[1]) for name in weights})
    first, last = f"layers.{layers[0]}", f"layers.{layers[-1]}"
    resized[f"{first}.weight"] = resized[f"{first}.weight"] @ shown
    resized[f"{last}.weight"] = moved @ resized[f"{last}.weight"]
    resized[f"{last}.bias"] = moved @ resized[f"{last}.bias"]
    return resized, resize_stats(stats, old, new)


def resize_stats(stats: Mapping[str, Any] | None, old: Layout, new: Layout) -> dict[str, Any] | None:
    """Return the statistics of a body's observations, each in its own unit, for a body of another size.

    Raises:
        CircuitMismatch: the bodies do not have the same senses.
    """
    if stats is None:
        return None
    check_senses(old, new)
    back = along_body(new, old).double().numpy()
    return {**stats, **{name: (back @ np.asarray(stats[name])).tolist() for name in ("mean", "var")}}


def check_senses(old: Layout, new: Layout) -> None:
    """Refuse bodies whose observations hold other senses.

    Raises:
        CircuitMismatch: they do.
    """
    if old.sizes.keys() != new.sizes.keys():
        raise CircuitMismatch(
            f"the agent was trained with the senses {', '.join(old.sizes)}, and the new body has "
            f"{', '.join(new.sizes)}; choose a body and task with the same senses"
        )


def along_body(to: Layout, start: Layout) -> Float[Tensor, "to from"]:
    """Return the matrix that resamples a whole observation along the body; it has no unit."""
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
