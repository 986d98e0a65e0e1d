"""Group the runs of a study that differ only in their seed, with readable names, in one table."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...errors import InvalidOption, UnknownName
from ...intervals import bootstrap_iqm, probability_of_improvement
from ..runs.config import RunConfig
from ..runs.held_files import told_config
from ..runs.references import Scale, scale_of
from ..runs.result import conditions_of
from ..runs.run import Run
from .written import estimates

# What does not change what is learned.
_ASIDE = ("seed", "checkpoint_every", "evaluate_every", "device", "control_dt")
_OPTIONS = ("circuit_options", "algorithm_options", "task_options", "randomize")


@dataclasses.dataclass(frozen=True)
class _Facts:
    """What a run's name may be made of: every field, with defaults filled in, and which options were asked for."""

    fields: Mapping[str, Any]
    asked: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, run: Run) -> _Facts:
        config = run.resolved.config
        fields = {name: value for name, value in told_config(config.to_json()).items() if name not in _ASIDE}
        fields |= {"body": _body_name(config), "bodies": ""}
        fields["arena"] = None if run.config.arena is None else fields["arena"]
        asked = {(name, option) for name in _OPTIONS for option in getattr(run.config, name)}
        return cls(json.loads(json.dumps(fields)), frozenset(asked))

    @property
    def key(self) -> str:
        return json.dumps(self.fields, sort_keys=True)


def grouped(runs: Sequence[Run], labels: Mapping[str, str] | None = None) -> dict[str, list[Run]]:
    """Group runs whose configs, with their defaults, differ in the seed alone; name groups by what differs.

    Args:
        runs: the runs.
        labels: other names for some groups, by the names made here.

    Raises:
        InvalidOption: the same seed twice in a group, or two groups of one name.
        UnknownName: there is no group of that name.
    """
    facts = [_Facts.of(run) for run in runs]
    found: dict[str, list[Run]] = {}
    for run, fact in zip(runs, facts, strict=True):
        found.setdefault(fact.key, []).append(run)
    names = _names({fact.key: fact for fact in facts})
    for key, members in found.items():
        seeds = [run.config.seed for run in members]
        if repeated := [seed for seed in seeds if seeds.count(seed) > 1]:
            raise InvalidOption(f"seed {repeated[0]} of {names[key]} occurs twice; give each run once")
    labels = labels or {}
    for name in labels:
        if name not in names.values():
            raise UnknownName("group", name, names.values())
    given = {key: labels.get(name, name) for key, name in names.items()}
    called = list(given.values())
    if alike := [label for label in called if called.count(label) > 1]:
        raise InvalidOption(f"two groups are called {alike[0]!r}; give each a label of its own")
    return {given[key]: members for key, members in found.items()}


def scales_of(groups: Mapping[str, Sequence[Run]]) -> dict[str, Scale | None]:
    """Return the scale of each group's returns, None where their body and task have no reference scores."""
    firsts = {label: members[0].resolved.config for label, members in groups.items()}
    return {label: scale_of(conditions_of(config, 1, 0)) for label, config in firsts.items()}


def group_table(
    means: pd.DataFrame, groups: Mapping[str, Iterable[str]], scales: Mapping[str, Scale | None]
) -> pd.DataFrame:
    """Return one row per group: the interquartile mean of the return over seeds, with its 95 % interval, and more.

    Args:
        means: mean over episodes of each metric, one column per metric, one row per run, by its name.
        groups: names of the runs of each group.
        scales: scale of each group's returns.

    Returns:
        Columns group, seeds, return_iqm with return_low95 and return_high95, normalized_iqm (return_iqm on a scale from
        random actions, 0, to the best known agent, 1; see `normalized_return`), net_speed_mean (m/s), and p_better (the
        probability that a seed of the group has a higher return than a seed of the group in compared_with) with
        p_better_low95 and p_better_high95.
    """
    first, *_ = groups
    base = means.reindex(list(groups[first]))["return"].dropna()
    rows = []
    for label, sources in groups.items():
        members = means.reindex(list(sources)).dropna(subset=["return"])
        found, scale = bootstrap_iqm(members["return"]), scales[label]
        row: dict[str, Any] = {
            "group": label, "seeds": found.n, "return_iqm": found.mean, "return_low95": found.low,
            "return_high95": found.high, "normalized_iqm": np.nan if scale is None else scale.of(found).mean,
            "net_speed_mean": float(members["net_speed"].mean()) if "net_speed" in members else np.nan,
            "compared_with": "",
        }  # fmt: skip
        if label != first and found.n and len(base):
            better = probability_of_improvement(members["return"], base)
            row |= {"compared_with": first, "p_better": better.mean, "p_better_low95": better.low,
                    "p_better_high95": better.high}  # fmt: skip
        rows.append(row)
    columns = ["group", "seeds", "return_iqm", "return_low95", "return_high95", "normalized_iqm", "net_speed_mean",
               "compared_with", "p_better", "p_better_low95", "p_better_high95"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def printed(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table of `group_table` as it is read: estimates with their intervals in one cell, units in the heads."""
    shown = pd.DataFrame({"group": table["group"], "seeds": table["seeds"].astype(str)})
    returns = estimates(table["return_iqm"], table["return_low95"], table["return_high95"])
    shown["return, IQM [95 % interval]"] = returns
    plain = {"normalized, 0 random, 1 best known": "normalized_iqm", "net speed, mean, m/s": "net_speed_mean"}
    for head, column in plain.items():
        if table[column].notna().any():
            shown[head] = ["" if np.isnan(each) else f"{each:.4g}" for each in table[column]]
    if others := [label for label in table["compared_with"] if label]:
        better = estimates(table["p_better"], table["p_better_low95"], table["p_better_high95"])
        shown[f"P(return above {others[0]}) [95 % interval]"] = better
    return shown


def _names(groups: Mapping[str, _Facts]) -> dict[str, str]:
    """Return a name for each group, of the fields that differ between them, and of options where they were chosen."""
    facts = list(groups.values())
    plain = [name for name in facts[0].fields if name not in _OPTIONS and _differ(each.fields[name] for each in facts)]
    asked = frozenset[tuple[str, str]]().union(*(each.asked for each in facts))
    told = {key: _told(each, plain, _options(facts, asked)) for key, each in groups.items()}
    if len(set(told.values())) < len(told):
        # Older runs hold no defaults that this version would fill in as they did.
        every = {(name, option) for each in facts for name in _OPTIONS for option in each.fields[name]}
        told = {key: _told(each, plain, _options(facts, every)) for key, each in groups.items()}
    numbered: dict[str, int] = {}
    names = {}
    for key, name in told.items():
        numbered[name] = numbered.get(name, 0) + 1
        names[key] = (name or "all runs") + (f" ({numbered[name]})" if numbered[name] > 1 else "")
    return names


def _options(facts: Sequence[_Facts], among: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the options among these whose values differ between the groups that have them."""
    return sorted(
        (name, option)
        for name, option in among
        if _differ(each.fields[name][option] for each in facts if option in each.fields[name])
    )


def _differ(values: Iterable[Any]) -> bool:
    return len({json.dumps(value, sort_keys=True) for value in values}) > 1


def _told(facts: _Facts, plain: Sequence[str], options: Sequence[tuple[str, str]]) -> str:
    parts = [_words(name, facts.fields[name]) for name in plain]
    parts += [_words(option, facts.fields[name][option]) for name, option in options if option in facts.fields[name]]
    return ", ".join(filter(None, parts))


def _words(name: str, value: Any) -> str:
    """Return a field and its value as one says them: "mlp", "period 40", "no reflexes", "64,000 steps"."""
    words = name.replace("_", " ")
    if value is None or value is False or value in ("", [], {}):
        return f"no {words}"
    if value is True:
        return words
    if isinstance(value, str):
        return value
    if name == "steps":
        return f"{value:,} steps"
    if isinstance(value, Mapping) and set(value) >= {"name"}:
        return str(value["name"])
    if isinstance(value, list):
        return f"{words} {' x '.join(map(str, value))}" if all(np.isscalar(each) for each in value) else words
    return f"{words} {value:g}" if isinstance(value, float) else f"{words} {value}"


def _body_name(config: RunConfig) -> str:
    return config.trained_on if config.control_dt is None else f"{config.trained_on} at {config.control_dt:g} s"
