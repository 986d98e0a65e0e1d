"""The schema of all measurements of a run: what was measured, of which weights, under which conditions."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped

from ...envs import Body, make_body
from ...envs.arenas import arena_json
from ...errors import InvalidRun
from ...files import json_text
from ...intervals import Interval, bootstrap_mean
from ...version import __version__
from .config import RunConfig
from .held_files import tell_task_files
from .resolution import on_body

KINDS = ("evaluation", "transfer", "probe", "recording", "film")
# Whole episodes, on the run's own body and on others.
TESTS = ("evaluation", "transfer")
# Who acted: the run's agent, the same after training on, the run's agent before training. Any other label is a
# control's, whose weights are not the run's.
TRAINED, FINETUNED, UNTRAINED = "trained", "finetuned", "untrained"


@dataclasses.dataclass(frozen=True)
class Weights:
    """The identity of an agent's weights: training step and checksum.

    Attributes:
        step: environment steps of training; None if an earlier version did not record it.
        sha256: checksum of the circuit's tensors; "" if an earlier version did not record it.
    """

    step: int | None
    sha256: str = ""

    @classmethod
    def of(cls, step: int, tensors: Mapping[str, Shaped[torch.Tensor, "*shape"]]) -> Weights:
        """Return the identity of these tensors.

        The checksum is of the tensors, not of a file, so it survives export and import.
        """
        digest = hashlib.sha256()
        for name in sorted(tensors):
            value = tensors[name].detach().cpu().contiguous()
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
            digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
        return cls(step, digest.hexdigest())

    def are(self, other: Weights | None) -> bool:
        """Return whether both are the same weights, as far as steps and checksums are known."""
        if other is None or self.step is None or self.step != other.step:
            return False
        return not (self.sha256 and other.sha256) or self.sha256 == other.sha256


def conditions_of(
    config: RunConfig,
    episodes: int,
    seed: int,
    body: str | Body | None = None,
    interventions: Sequence[Any] = (),
) -> dict[str, Any]:
    """Return under which conditions a run's agent is measured, as JSON types.

    Args:
        config: the run's, resolved: nothing in it is left open.
        episodes: how many.
        seed: of the first; episode i has seed + i.
        body: another than the run's own, of several the first.
        interventions: what is done to neurons, dataclasses all of whose fields are JSON types.
    """
    if body is None and len(config.bodies) > 1:
        body = config.bodies[0]
    config = config if body is None else on_body(config, body)
    own = make_body(config.body)
    found = {
        "body": own.name,
        "bodies": [own.to_json()],
        "arena": None if config.arena is None else arena_json(config.arena),  # type: ignore[arg-type]
        "physics": config.physics,
        "task": config.task,
        "task_options": tell_task_files(config.task, config.task_options),
        "episode_steps": config.episode_steps,
        # Bodies are drawn in training only; what is measured is the body that was named.
        "randomize": {},
        "interventions": [dataclasses.asdict(each) for each in interventions],
        "seed": seed,
        "episodes": episodes,
    }
    plain: dict[str, Any] = json.loads(json_text(found))
    return plain


@dataclasses.dataclass(frozen=True)
class Result:
    """One measurement of a run: values, and the weights and conditions they belong to.

    Attributes:
        what: kind of measurement: evaluation (on the run's own body), transfer (on another), probe, recording or film.
        weights: weights of the agent; for `agent` "finetuned", those that fine-tuning started from.
        conditions: body, task, episodes, interventions and so on; see `conditions_of`.
        name: name of the probe, or view of the film.
        agent: trained, finetuned, untrained, or the name of a control.
        values: one value per episode for each metric, in the metric's unit; None if not finite.
        numbers: results over all episodes: `value` and `unit` by name.
        words: results as sentences.
        missing: why there is no result; "" if there is one.
        files: files of the measurement, relative to the run's folder.
        seconds: duration of the measurement, s.
        version: version of nervecord.
        when: time in UTC, ISO 8601.
    """

    what: str
    weights: Weights
    conditions: Mapping[str, Any]
    name: str = ""
    agent: str = TRAINED
    values: Mapping[str, Sequence[float | None]] = dataclasses.field(default_factory=dict)
    numbers: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    words: tuple[str, ...] = ()
    missing: str = ""
    files: tuple[str, ...] = ()
    seconds: float | None = None
    version: str = __version__
    when: str = dataclasses.field(default_factory=lambda: datetime.datetime.now(datetime.UTC).isoformat())

    @property
    def body(self) -> str:
        """The name of the body."""
        return str(self.conditions["body"])

    @property
    def episodes(self) -> int:
        """The number of episodes."""
        return int(self.conditions["episodes"])

    @property
    def interventions(self) -> list[dict[str, Any]]:
        """The interventions: `neuron`, `kind`, `value`, `start` and `stop` (control steps) of each."""
        return list(self.conditions["interventions"])

    @property
    def metrics(self) -> dict[str, Float[np.ndarray, " episodes"]]:
        """The values of each metric as an array; NaN where a value is not finite."""
        return {name: np.array(values, float) for name, values in self.values.items()}

    @property
    def intervals(self) -> dict[str, Interval]:
        """The mean of every metric with a bootstrap 95 % interval over episodes."""
        return {name: bootstrap_mean(values) for name, values in self.metrics.items()}

    @property
    def key(self) -> str:
        """Ten hexadecimal digits that identify the weights and conditions."""
        told = [self.agent, self.weights.step, self.weights.sha256, self.conditions]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:10]

    def says_the_same(self, other: Result) -> bool:
        """Return whether two results are equal, apart from version, duration and time."""
        mine, its = (json.loads(json_text(dataclasses.asdict(each))) for each in (self, other))
        for name in ("seconds", "version", "when", *(() if self.what == "film" else ("files",))):
            del mine[name], its[name]
        return mine == its

    def rows(self) -> list[dict[str, Any]]:
        """Return all values as rows with step, body, episode, metric, value and note."""
        place = {"step": self.weights.step, "body": self.body}
        if self.missing:
            return [{**place, "metric": self.name or None, "note": self.missing}]
        rows = [{**place, "metric": name, "value": number["value"]} for name, number in self.numbers.items()]
        for metric, values in self.values.items():
            rows += [{**place, "metric": metric, "value": value, "episode": n} for n, value in enumerate(values)]
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON types, with the interval of each metric for human readers."""
        intervals = {name: dataclasses.asdict(interval) for name, interval in self.intervals.items()}
        plain: dict[str, Any] = json.loads(json_text({**dataclasses.asdict(self), "intervals": intervals}))
        return plain

    @classmethod
    def from_json(cls, held: Any, where: str) -> Result:
        """Read the output of `to_json`; error messages start with `where`.

        Raises:
            InvalidRun: the value is not a result.
        """
        wrong = _wrong(held)
        if wrong:
            raise InvalidRun(f"{where} is damaged: {wrong}; remove it, and measure again")
        weights = Weights(held["weights"]["step"], held["weights"]["sha256"])
        fields = {field.name: held[field.name] for field in dataclasses.fields(cls)}
        return cls(**{**fields, "weights": weights, "words": tuple(held["words"]), "files": tuple(held["files"])})


def _wrong(held: Any) -> str:
    """Return what makes a value no result, "" for nothing."""
    if not isinstance(held, Mapping):
        return "it is not an object"
    if lacking := [field.name for field in dataclasses.fields(Result) if field.name not in held]:
        return f"no {lacking[0]} in it"
    for name, kind in _TYPES.items():
        if not isinstance(held[name], kind):
            return f"{name} is {held[name]!r}"
    if held["what"] not in KINDS:
        return f"what is {held['what']!r}; give {', '.join(KINDS)}"
    weights, conditions = held["weights"], held["conditions"]
    if not _is_count(weights.get("step"), or_none=True) or not isinstance(weights.get("sha256"), str):
        return f"weights is {weights!r}; give step and sha256"
    if not isinstance(conditions.get("body"), str) or not _is_count(conditions.get("episodes")):
        return "conditions have no body or no episodes"
    interventions = conditions.get("interventions")
    if not isinstance(interventions, list) or not all(isinstance(each, dict) for each in interventions):
        return "conditions have no interventions, not even none"
    for metric, values in held["values"].items():
        if not isinstance(values, list) or not values or not all(_is_number(value) for value in values):
            return f"{metric} is no list of numbers"
    for name, number in held["numbers"].items():
        if not isinstance(number, dict) or not _is_number(number.get("value")) or not isinstance(
            number.get("unit"), str
        ):  # fmt: skip
            return f"{name} is {number!r}; give value and unit"
    if not all(isinstance(text, str) for name in ("words", "files") for text in held[name]):
        return "words or files are no texts"
    return ""


_TYPES: dict[str, Any] = {
    "what": str, "weights": dict, "conditions": dict, "name": str, "agent": str, "values": dict, "numbers": dict,
    "words": list, "missing": str, "files": list, "version": str, "when": str, "seconds": (int, float, type(None)),
}  # fmt: skip


def _is_count(value: Any, or_none: bool = False) -> bool:
    return (or_none and value is None) or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
