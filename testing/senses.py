"""The laws of senses: a sense's description agrees with its readings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..envs import SENSES, Arena, Body, EnvBatch, Sense, SenseKind
from ..envs.resolution import make_setting
from ..laws import Laws, named

_STEPS = 8
_DESCRIBES = "a sense describes itself in a setting"
_DESCRIBE = "see SenseKind, or say where there is what it senses"


def check_sense(
    sense: str | SenseKind | type[SenseKind],
    task: str = "navigate",
    body: str | Path | Body = "swimmer4",
    arena: str | Arena | Mapping[str, Any] | None = None,
) -> None:
    """Check a sense: its description without building anything agrees with what it reads.

    Args:
        sense: a registered name, or the object of an entry point of nervecord.senses: a `SenseKind` or a class of
            them, registered under the name that it describes itself by.
        task, body, arena: an environment in which the sense has values.

    Raises:
        ContractBroken: a law does not hold; the message names it.
        UnknownName: there is no such sense, task, body or arena.
    """
    setting = make_setting(task, body, arena, 4 * _STEPS, noise=2)
    if isinstance(sense, str):
        name: Any = sense
    else:
        laws = Laws(f"sense {getattr(sense, '__name__', type(sense).__name__)}")
        with laws.asking(_DESCRIBES, _DESCRIBE):
            name = (sense() if isinstance(sense, type) else sense).describe(setting).name
    laws = Laws(f"sense {name}")
    with named(SENSES, sense, "sense") as held:
        kind = SENSES[held]
        with laws.asking(_DESCRIBES, _DESCRIBE):
            described = kind.describe(setting)
        _description(laws, described, name)
        again = kind.describe(setting)
        laws.hold("it describes itself alike each time", again == described, f"{again} after {described}",
                  "let it follow from the setting alone")  # fmt: skip
        _reading(laws, kind, described, task, body, arena)


def _description(laws: Laws, described: Any, name: str) -> None:
    found = f"it describes {described!r:.80}"
    is_sense = isinstance(described, Sense)
    laws.hold("a sense describes itself by a Sense", is_sense, found, "return Sense(name, size, ...)")
    found = f"it says {described.name!r}"
    laws.hold("a sense has the name that it is registered under", described.name == name, found, f"say {name!r}")
    is_count = isinstance(described.size, int | np.integer) and described.size >= 1
    laws.hold("a sense has a number of values", is_count, f"size is {described.size!r}", "give 1 or more")
    is_range = math.isfinite(described.low) and math.isfinite(described.high) and described.low < described.high
    laws.hold("bounds are finite", is_range, f"they are {described.low} to {described.high}",
              "give what no motion reaches, such as MAX_DISTANCE")  # fmt: skip
    fits = len(described.scale) in (0, 1, described.size) and all(0 < each < math.inf for each in described.scale)
    laws.hold("scale is what circuits take for 1", fits, f"it is {described.scale} for {described.size} values",
              "give a number above 0 for each value, one for all, or none")  # fmt: skip


def _reading(laws: Laws, kind: SenseKind, described: Sense, task: str, body: Any, arena: Any) -> None:
    many, alone = (
        EnvBatch(task, n, body=body, arena=arena, senses=["joint_pos"], noise=2, episode_steps=4 * _STEPS, n_threads=1)
        for n in (3, 1)
    )
    shape, at_reset = (3, described.size), None
    try:
        many.seed([5, 6, 7])
        alone.seed([6])
        many.reset(np.arange(3))
        alone.reset(np.arange(1))
        rng = np.random.default_rng(0)
        for step in range(_STEPS):
            if step:
                actions = rng.uniform(-1, 1, (3, many.body.n_joints))
                many.step(actions)
                alone.step(actions[1:2])
            with laws.asking("it is read of all environments at once", "see SenseKind.read"):
                values, again, one = (np.array(kind.read(envs)) for envs in (many, many, alone))
            is_described = values.shape == shape and values.dtype.kind in "fiu"
            found = f"values are {values.dtype} of shape {values.shape}"
            laws.hold("it reads what it describes", is_described, found, f"return numbers of shape {shape}")
            inside = np.isfinite(values).all() and values.min() >= described.low and values.max() <= described.high
            found = f"{values.min():.4g} to {values.max():.4g} {described.unit}"
            laws.hold(
                "values are within its bounds", inside, f"{found} beside {described.low:.4g} to {described.high:.4g}",
                "widen low and high",
            )  # fmt: skip
            laws.alike("reading changes nothing", again, values, "draw nothing in read: take the sense noise")
            law, right = "environments do not hear each other", "read row by row"
            laws.alike(law, one[0], values[1], right, what="an environment alone")
            if kind.is_constant:
                at_reset = values if at_reset is None else at_reset
                law = "a constant sense does not change within an episode"
                laws.alike(law, values, at_reset, "leave is_constant out")
            if kind.quantity:
                raw = many.physics.read(kind.quantity).reshape(3, -1)
                laws.alike("it is the quantity that it names", values, raw, "leave quantity empty where it is more")
    finally:
        many.close()
        alone.close()
