"""Reference returns on bodies and tasks: random actions, untrained NCAP, and the best known agent.

They are stored in references.csv, which `python tools/reference_scores.py` measures and writes.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import ArrayLike

from ...envs import Body, make_body
from ...envs.arenas import arena_json, make_arena
from ...envs.tasks.registry import option_defaults, task_class
from ...errors import UnknownName
from ...intervals import Interval

FILE = Path(__file__).with_name("references.csv")
COLUMNS = (
    "body", "task", "task_options", "agent", "is_best", "return_iqm", "return_low95", "return_high95", "seeds",
    "episodes", "physics", "version", "command",
)  # fmt: skip
RANDOM = "random"


@dataclasses.dataclass(frozen=True)
class Scale:
    """Two returns that define the scale of normalised returns.

    Attributes:
        random: mean return of uniformly random actions.
        best: return of the best known agent, the interquartile mean over its seeds.
    """

    random: float
    best: float

    def normalized(self, value: Float[ArrayLike, "*shape"]) -> Any:
        """Return returns as 0 where they are random actions', and 1 where they are the best agent's."""
        return (np.asarray(value, float) - self.random) / (self.best - self.random)

    def of(self, interval: Interval) -> Interval:
        """Return the interval of a mean return on this scale."""
        mean, low, high = map(float, self.normalized([interval.mean, interval.low, interval.high]))
        return Interval(mean, low, high, interval.n)


def reference_scores() -> pd.DataFrame:
    """Return the reference scores, one row for each body, task, task options and agent.

    Columns: body, task, task_options (JSON, without senses), agent, is_best (highest return_iqm among these agents),
    return_iqm (interquartile mean over seeds; for random actions, the mean over episodes), return_low95 and
    return_high95 (its 95 % bootstrap interval), seeds, episodes (per seed), physics, version and command.
    """
    return _table().copy()


def normalized_return(
    value: Float[ArrayLike, "*shape"],
    body: str | Body,
    task: str = "swim",
    task_options: Mapping[str, Any] | None = None,
) -> Any:
    """Normalise returns, so that random actions have 0 and the best known agent has 1.

    Values may be below 0 or above 1. Returns must be of whole episodes of the task's default length.

    Args:
        value: a return, or an array of them.
        body: the body.
        task: name of the task.
        task_options: options of the task that are not its defaults, such as {"reward": "com"}.

    Raises:
        UnknownName: there are no reference scores for this body and task.
    """
    scale = scale_on(body, task, task_options or {})
    if scale is None:
        asked = _words(make_body(body).name, task, options_text({**option_defaults(task), **(task_options or {})}))
        raise UnknownName("reference score", asked, sorted(_words(*key) for key in _scales()))
    found = scale.normalized(value)
    return found if found.ndim else float(found)


def scale_on(
    body: str | Body, task: str, task_options: Mapping[str, Any], episode_steps: int | None = None
) -> Scale | None:
    """Return the scale of a body and a task in its own arena; None where nobody has measured one.

    Args:
        body: a body.
        task: its name.
        task_options: of the task; those that are left out have their defaults.
        episode_steps: control steps of an episode; None is the task's own number, and others have no scale.
    """
    there, options = make_body(body), {**option_defaults(task), **task_options}
    return _scale(there.name, there.to_json(), task, options, episode_steps)


def scale_of(conditions: Mapping[str, Any]) -> Scale | None:
    """Return the scale of the conditions of a `Result`; None where nobody has measured one.

    What is sensed, and what is done to neurons, is the agent's and changes no scale.
    """
    bodies, task, options = (conditions.get(name) for name in ("bodies", "task", "task_options"))
    if not isinstance(bodies, list) or len(bodies) != 1 or not isinstance(options, Mapping):
        return None  # of several bodies at once, or of an earlier version
    if conditions.get("arena") not in (None, arena_json(make_arena(None))):
        return None
    return _scale(conditions["body"], bodies[0], task, options, conditions.get("episode_steps"))


def _scale(name: str, body: Any, task: Any, options: Mapping[str, Any], episode_steps: Any) -> Scale | None:
    """Return the scale of a body, as JSON has it, and a task all of whose options are there."""
    scale = _scales().get((name, task, options_text(options)))
    if scale is None or episode_steps not in (None, task_class(task).default_steps):
        return None
    # Another body may go by the name.
    own, there = (json.loads(json.dumps(each)) for each in (make_body(name).to_json(), body))
    return scale if own == there else None


@functools.cache
def _scales() -> dict[tuple[str, str, str], Scale]:
    found = {}
    for (body, task, options), rows in _table().groupby(["body", "task", "task_options"]):
        random, best = (rows[chosen]["return_iqm"] for chosen in (rows["agent"] == RANDOM, rows["is_best"]))
        if len(random) == len(best) == 1:
            found[str(body), str(task), str(options)] = Scale(float(random.iloc[0]), float(best.iloc[0]))
    return found


@functools.cache
def _table() -> pd.DataFrame:
    return pd.read_csv(FILE)


def options_text(options: Mapping[str, Any]) -> str:
    """Return a task's options as a row has them."""
    return json.dumps({name: value for name, value in options.items() if name != "senses"}, sort_keys=True)


def _words(body: str, task: str, options: str) -> str:
    """Return in words what a row is about: "swimmer6 swim reward=com"."""
    own = option_defaults(task)
    others = [f"{name}={value}" for name, value in json.loads(options).items() if own.get(name) != value]
    return " ".join([body, task, *others])
