"""Update a trained circuit in part: train one brick alone, or change one answer of a linear map and others least."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ....errors import InvalidOption
from ....options import COUNT, FLAG, PATH, Instance, checked
from ...learning.training import train
from ...runs.run import A_RUN, Run
from .partition import Brick

_RIDGE = 1e-6  # of the mean diagonal of the second moments


@checked(
    InvalidOption, run=A_RUN, brick=Instance(Brick, "a Brick, as `load_bricks` returns them"), out=PATH, steps=COUNT,
    progress=FLAG,
)  # fmt: skip
def update_brick(run: Run | str | Path, brick: Brick, out: str | Path, steps: int, progress: bool = False) -> Run:
    """Train a run's agent on in a new run, moving only the weights into and out of one brick.

    Args:
        run: the run or its folder.
        brick: whose units learn.
        out: folder of the new run; the same call again resumes it.
        steps: environment steps.
        progress: show a bar.

    Raises:
        CircuitMismatch: the brick is of other units, or the run's algorithm cannot be masked.
        InvalidRun: another run stands in `out`.
    """
    run = run if isinstance(run, Run) else Run(run)
    config = dataclasses.replace(
        run.config, start=str(run.path.resolve()), protect=(), train_only=brick.units, steps=steps
    )
    return train(config, out, progress)


def edited(
    weight: Float[np.ndarray, "outputs inputs"],
    bias: Float[np.ndarray, " outputs"],
    key: Float[np.ndarray, " inputs"],
    target: Float[np.ndarray, " outputs"],
    keys: Float[np.ndarray, "samples inputs"],
) -> Float[np.ndarray, "outputs inputs"]:
    """Return the weight, in its own unit, that answers one key with a target and changes other answers least.

    W' = W + (y - b - W k) u^T / (u^T k) with u = C^-1 k, where C is the second moment of the keys. Over them, the
    answers change by |y - b - W k| / sqrt(k^T C^-1 k) in the root mean square, which no other weight undercuts.

    Args:
        weight, bias: of the linear map.
        key: what it hears.
        target: what it is to answer, as W k + b.
        keys: what it hears otherwise, as in a recording.

    Raises:
        InvalidOption: the key is 0, which no weight answers otherwise.

    Source: Meng et al. 2022 (https://arxiv.org/abs/2202.05262), eq. 2.
    """
    if not key.any():
        raise InvalidOption("the key is all zeros, and every weight answers it with the bias; give another key")
    moments = keys.T @ keys / len(keys)
    moments = moments + _RIDGE * np.trace(moments) / len(key) * np.eye(len(key))
    direction = np.linalg.solve(moments, key)
    return np.asarray(weight + np.outer(target - bias - weight @ key, direction) / (direction @ key))
