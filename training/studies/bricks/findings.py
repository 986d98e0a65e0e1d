"""A study of bricks among the results of its run: kept, and read again."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ....drawing.figures import figure_svg
from ....errors import InvalidRun, UnknownName
from ....files import write_text, write_whole
from ...runs.result import Result
from ...runs.run import Run
from .figure import study_figure
from .partition import Brick

NAME = "bricks"  # of the result


@dataclasses.dataclass(frozen=True)
class Study:
    """What was found of a circuit's bricks.

    Attributes:
        bricks: of every layer, by weights, by activity and at random.
        table: a row for each of them, with its `layer`, `method` and `size` and shares of the intact circuit's:
            `command I`, the spread of motor I's command that remains without it; for each body `return BODY`, the
            return that remains without it, and `control BODY`, without as many units of its layer drawn at random.
        moments: for each `brick` and each thing that is or is not `so` of the body in a step, such as "joint 2 is bent
            dorsally": of the intact circuit's return from the steps in which it is so, the share that remains without
            the brick, `return`, and without as many units of its layer drawn at random, `control`.
        retrieval: for each layer and score, by weights and at random, the return, no unit, when the best `q` bricks are
            kept at each step: `mean`, and `low` and `high`, its 95 % bootstrap interval over episodes.
        told: for each layer and method, the share of predicates and bricks that is significant, and the share where
            units are shuffled.
        words: for each brick by weights and by activity, what it tells, and when it is needed most.
    """

    bricks: tuple[Brick, ...]
    table: pd.DataFrame
    moments: pd.DataFrame
    retrieval: pd.DataFrame
    told: Mapping[tuple[str, str], tuple[float, float]]
    words: tuple[str, ...]


def keep_study(run: Run, study: Study, conditions: Mapping[str, object], seconds: float) -> None:
    """Add a study to the results of a run."""
    weights = run.last_weights()
    assert weights is not None
    numbers: dict[str, dict[str, Any]] = {}
    for (layer, method), told in study.told.items():
        for name, share in zip(("significant", "significant_by_chance"), told, strict=True):
            numbers[f"{layer}_{method}_{name}"] = {"value": share, "unit": ""}
    for key, rows in study.table.groupby(["layer", "method"], sort=False):
        for column, shares in rows.filter(regex="^(return|control) ").items():
            least = f"{'_'.join(map(str, key))}_least_{str(column).replace(' ', '_on_')}"
            numbers[least] = {"value": float(shares.min()), "unit": "of the intact return"}
    lines = "".join(f"{json.dumps(brick.to_json())}\n" for brick in study.bricks)
    packed = io.BytesIO()
    tables = {f"{table}_{column}": values.to_numpy()
              for table in ("table", "moments", "retrieval") for frame in [getattr(study, table)]
              for column, values in frame.items()}  # fmt: skip
    arrays = {name: each.astype(str) if each.dtype == object else each for name, each in tables.items()}
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    figure = study_figure(study.table, study.moments, study.retrieval)
    run.results.add(
        Result("probe", weights, conditions, name=NAME, numbers=numbers, words=study.words, seconds=seconds),
        {
            ".jsonl": lambda path: write_text(path, lines),
            ".svg": lambda path: write_text(path, figure_svg(figure)),
            ".npz": lambda path: write_whole(path, lambda partial: partial.write_bytes(packed.getvalue())),
        },
    )


def load_bricks(run: Run) -> dict[str, Brick]:
    """Return the bricks that were last found of a run, by name.

    Raises:
        InvalidRun: none were found yet, or their file is damaged.
    """
    results = run.results
    held = results.where("probe", NAME).shown
    path = None if held is None else results.file(held, ".jsonl")
    if path is None:
        raise InvalidRun(f"{run.path} is not cut into bricks yet; nervecord bricks {run.argument} does it")
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found = [Brick(**{**each, "units": tuple(map(str, each["units"]))}) for each in lines]
        return {brick.name: brick for brick in found}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidRun(f"{path} is damaged ({error}); nervecord bricks {run.argument} --seed 1 cuts anew") from error


def brick_named(run: Run, name: str) -> Brick:
    """Return one of the bricks that were last found of a run.

    Raises:
        InvalidRun: none were found yet.
        UnknownName: none has this name.
    """
    found = load_bricks(run)
    if name not in found:
        raise UnknownName("brick", name, found)
    return found[name]
