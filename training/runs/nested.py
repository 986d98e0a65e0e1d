"""Split nested states into tensors, for safetensors, and JSON with each tensor's place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor


def part(state: Mapping[str, Any]) -> tuple[dict[str, Shaped[Tensor, "*shape"]], dict[str, Any]]:
    """Return a state's tensors and arrays by their path in it, and the rest as JSON types that refer to the paths."""
    tensors: dict[str, Tensor] = {}

    def plain(value: Any, path: str) -> Any:
        if isinstance(value, Tensor):
            tensors[path] = value.detach()
            return {"tensor": path}
        if isinstance(value, np.ndarray):
            if value.dtype.kind == "u" and value.dtype.itemsize > 1:
                # Unsigned integers of a generator's state, for which torch has no widely supported type.
                return {"words": value.tolist(), "dtype": str(value.dtype)}
            tensors[path] = torch.as_tensor(value)
            return {"array": path}
        if isinstance(value, Mapping):
            return {str(key): plain(item, f"{path}/{key}" if path else str(key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item, f"{path}/{index}") for index, item in enumerate(value)]
        return value.item() if isinstance(value, np.generic) else value

    rest: dict[str, Any] = plain(state, "")
    return tensors, rest


def join(tensors: Mapping[str, Shaped[Tensor, "*shape"]], rest: Any) -> Any:
    """Return the state that `part` split.

    Raises:
        KeyError: a tensor is missing.
    """
    if isinstance(rest, Mapping):
        if rest.keys() == {"tensor"}:
            # Copied into memory that torch allocates: the last bit of a sum can depend on alignment.
            return tensors[rest["tensor"]].clone()
        if rest.keys() == {"array"}:
            return tensors[rest["array"]].clone().numpy()
        if rest.keys() == {"words", "dtype"}:
            return np.array(rest["words"], rest["dtype"])
        return {key: join(tensors, item) for key, item in rest.items()}
    return [join(tensors, item) for item in rest] if isinstance(rest, list) else rest
