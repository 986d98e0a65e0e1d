"""Merge two trained circuits into one: their units are matched, and their weights averaged."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ....agents import Agent, replay
from ....circuits import Circuit, load_weights
from ....circuits.unit_axes import Tensors, axes_of, layers_of, reordered
from ....drawing.figures import figure_svg
from ....envs import Body, make_body
from ....errors import CircuitMismatch, InvalidOption, NervecordError
from ....files import json_text, write_text
from ....options import COUNT, FLAG, PATH, Instance, Number, checked, told
from ...rollouts.evaluation import EVALUATION_SEED, evaluate_on
from ...rollouts.recorder import record
from ...runs.made import alone_on, check_new, write_made
from ...runs.result import Result, Weights, conditions_of
from ...runs.run import A_RUN, Run, agent_with
from .figure import merge_figure
from .partition import correlations

NAME = "merge"  # of the result
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_EPISODES, _STEPS = 4, 4000  # of the recording on which units are matched


@dataclasses.dataclass(frozen=True)
class Merged:
    """Two runs in one.

    Attributes:
        run: the run that was written.
        has_one_start: both were trained from the same weights, so that no units had to be matched.
        returns: for each body, the returns of each share of the other run in `SHARES`; no unit.
        unmatched: for each body, the returns of the plain average of both, units not matched.
        matched: for each layer, the mean |correlation| of units with those that they were matched with.
    """

    run: Run
    has_one_start: bool
    returns: Mapping[str, Float[np.ndarray, "shares episodes"]]
    unmatched: Mapping[str, Float[np.ndarray, " episodes"]]
    matched: Mapping[str, float]

    @property
    def barriers(self) -> dict[str, float]:
        """By how much the return of a mixture lies at most below the line between both ends, on each body; no unit."""
        shares = np.array(SHARES)
        means = {body: each.mean(1) for body, each in self.returns.items()}
        return {body: float(((1 - shares) * each[0] + shares * each[-1] - each).max()) for body, each in means.items()}

    @property
    def numbers(self) -> dict[str, dict[str, Any]]:
        """Every mean return and barrier by name, as `Result` has numbers."""
        found = {f"{body}_barrier": barrier for body, barrier in self.barriers.items()}
        for body, each in self.returns.items():
            found |= {f"{body}_at_{share:g}": float(row.mean()) for share, row in zip(SHARES, each, strict=True)}
        found |= {f"{body}_at_0.5_unmatched": float(each.mean()) for body, each in self.unmatched.items()}
        return {name: {"value": value, "unit": "return"} for name, value in found.items()}

    @property
    def words(self) -> tuple[str, ...]:
        """What was matched, and how deep the return falls between both runs."""
        alike = "; ".join(
            f"in {layer} with a mean |correlation| of {value:.2f}" for layer, value in self.matched.items()
        )
        how = (
            "Both runs have one start, so no units were matched."
            if self.has_one_start
            else f"Units were matched {alike}."
        )
        return how, *(
            f"On {body} the return lies at most {barrier:.3g} below the line between both runs."
            for body, barrier in self.barriers.items()
        )


@checked(
    InvalidOption,
    one=A_RUN,
    other=A_RUN,
    out=PATH,
    weights=Instance((list, tuple), "two numbers, such as (0.5, 0.5)"),
    episodes=COUNT,
    progress=FLAG,
)
def merge(
    one: Run | str | Path,
    other: Run | str | Path,
    out: str | Path,
    weights: Sequence[float] = (0.5, 0.5),
    episodes: int = 8,
    progress: bool = False,
) -> Merged:
    """Merge two runs of one circuit into a new run on the first one's body, and test what lies between them.

    The other's first layer is rewritten to hear observations as the first run normalises them. Runs with one start (the
    same `start`, one the other's, or the same seed) become start + the weighted changes of both. The units of other
    runs are matched first: layer by layer by the correlation of their activity on the same recorded observations, with
    their signs turned where the function of a unit is odd.

    Args:
        one, other: the runs or their folders.
        out: folder of the merged run, which must not exist.
        weights: of each run's change. They add up to 1 unless both have one start.
        episodes: on each run's body, of each mixture.
        progress: show bars.

    Raises:
        CircuitMismatch: the runs are of different circuits, options or senses, or of a circuit that is not layers of
            alike units.
        InvalidOption: other weights than two finite numbers.
        OutputExists: something stands at `out`.
    """
    one, other = (each if isinstance(each, Run) else Run(each) for each in (one, other))
    check_new(out)
    _check_alike(one, other)
    resolved = alone_on(one, None)
    mine, theirs = one.agent(resolved.config.body), other.agent(resolved.config.body)
    start = _common_start(one, other, mine, resolved.config.body)
    _check_weights(weights, start is not None)
    ends: list[Tensors] = [mine.circuit.state_dict(), heard_as(theirs, mine)]
    load_weights(theirs.circuit, ends[1])
    unmatched, matched = ends[1], dict[str, float]()
    if start is None:
        observations = np.asarray(record(one, _EPISODES, resolved.config.body).until_first_end().observations)
        ends[1], matched = match(mine.circuit, theirs.circuit, mine.sense(observations).transpose(0, 1))
    base = ends[0] if start is None else start
    bodies = [resolved.config.body, *{make_body(alone_on(other, None).config.body)} - {make_body(resolved.config.body)}]

    def tested(mixed: Tensors) -> dict[str, Float[np.ndarray, " episodes"]]:
        found = {}
        for body in bodies:
            agent = agent_with(resolved, mixed, mine.observation_stats, body)
            found[make_body(body).name] = evaluate_on(resolved.on(body), agent, episodes, progress=progress).returns
        return found

    each = [tested(combined(base, ends, (1 - share, share))) for share in SHARES]
    returns = {body: np.stack([found[body] for found in each]) for body in each[0]}
    plain = tested(combined(ends[0], [ends[0], unmatched], (0.5, 0.5))) if start is None else {}
    step = one.progress[0]
    made = {"by": "merge", "of": [str(run.path) for run in (one, other)], "weights": list(map(float, weights))}
    run = write_made(out, resolved, combined(base, ends, weights), mine.observation_stats, step, made)
    merged = Merged(run, start is not None, returns, plain, matched)
    conditions = conditions_of(run.resolved.config, episodes, EVALUATION_SEED)
    figure = merge_figure(SHARES, returns, plain)
    of = Weights.of(step, run.agent().circuit.state_dict())
    run.results.add(
        Result("probe", of, conditions, name=NAME, numbers=merged.numbers, words=merged.words),
        {".svg": lambda path: write_text(path, figure_svg(figure))},
    )
    return merged


def combined(start: Tensors, ends: Sequence[Tensors], weights: Sequence[float]) -> dict[str, Shaped[Tensor, "*shape"]]:
    """Return start + the weighted sum of the changes from it to each end: task arithmetic, in the weights' own units.

    Source: Ilharco et al. 2023 (https://arxiv.org/abs/2212.04089), eq. 1.
    """
    return {
        name: value + sum(weight * (end[name] - value) for weight, end in zip(weights, ends, strict=True))
        for name, value in start.items()
    }


def match(
    one: Circuit, other: Circuit, sensors: Float[Tensor, "time batch sensors"]
) -> tuple[dict[str, Shaped[Tensor, "*shape"]], dict[str, float]]:
    """Return the other circuit's weights with its units in the order, and of the signs, of those that they are like.

    Units of each layer are matched one to one by the greatest sum of |correlation|, while both circuits hear the same.
    What the other circuit computes stays the same.

    Args:
        one, other: circuits of the same size.
        sensors: what both hear, in the units that `Agent.sense` returns.

    Returns:
        The weights, in their own units, and the mean |correlation| of each layer's matches.

    Source: Ainsworth et al. 2023, Git Re-Basin (https://arxiv.org/abs/2209.04836), matching of activations; Li et al.
    2015 (https://arxiv.org/abs/1511.07543).
    """
    axes, felt = axes_of(one), [_activity(circuit, sensors) for circuit in (one, other)]
    orders, signs, found = {}, {}, {}
    for layer in layers_of(one, axes):
        related = correlations(*(each[:, one.groups[layer]] for each in felt))
        chosen = linear_sum_assignment(-np.abs(related))
        orders[layer] = torch.as_tensor(chosen[1])
        found[layer] = float(np.abs(related[chosen]).mean())
        if axes.odd is not None:
            signs[layer] = torch.as_tensor(np.where(related[chosen] < 0, -1.0, 1.0))
    return reordered(other, orders, signs), found


def heard_as(agent: Agent, other: Agent) -> dict[str, Shaped[Tensor, "*shape"]]:
    """Return an agent's weights, in their own units, that act on observations as another agent normalises them.

    Exact but for observations beyond 10 standard deviations, which both clip.
    """
    axes, found = axes_of(agent.circuit), dict(agent.circuit.state_dict())
    (old_mean, old_std), (new_mean, new_std) = _moments(agent), _moments(other)
    name = next(name for name, groups in axes.axes.items() if groups[1:] == ("sensors",))
    weight, bias = found[name].double(), found[axes.input_bias].double()
    moved = {name: weight * (new_std / old_std), axes.input_bias: bias + weight @ ((new_mean - old_mean) / old_std)}
    return found | {key: value.to(found[key]) for key, value in moved.items()}


def _check_alike(one: Run, other: Run) -> None:
    """Refuse runs that hold different functions of their weights."""
    first, second = ({"circuit": run.resolved.agent.circuit, **run.resolved.agent.circuit_options,
                      "squash": run.resolved.agent.squash} for run in (one, other))  # fmt: skip
    first, second = (json.loads(json_text(each)) for each in (first, second))
    for name in first | second:
        if first.get(name) != second.get(name):
            raise CircuitMismatch(
                f"{name} is {first.get(name)} in {one.path} and {second.get(name)} in {other.path}; merge runs of one "
                "circuit with the same options"
            )


def _check_weights(weights: Sequence[float], has_one_start: bool) -> None:
    if len(weights) != 2 or not all(Number(-math.inf).takes(weight) for weight in weights):
        raise InvalidOption(f"weights is {told(weights)}; give two numbers, such as 0.5 0.5")
    if not has_one_start and not math.isclose(sum(weights), 1.0, abs_tol=1e-9):
        raise InvalidOption(
            f"weights add up to {sum(weights):g}, and these runs have no start in common; give two that add up to 1"
        )


def _common_start(one: Run, other: Run, agent: Agent, body: str | Body) -> Tensors | None:
    """Return the weights from which both were trained, on observations as `agent` normalises them; None of no such."""
    before = [{Path(run.config.start).resolve()} if run.config.start else set() for run in (one, other)]
    lines = [{run.path.resolve()} | start for run, start in zip((one, other), before, strict=True)]
    if shared := set.intersection(*lines):
        with contextlib.suppress(NervecordError):  # it has moved, or is of another size: units are matched then
            return heard_as(Run(shared.pop()).agent(body), agent)
        return None
    specs = [run.resolved.agent for run in (one, other)]
    drawn = [(spec.seed, dict(spec.layout.sizes), spec.n_motors) for spec in specs]
    is_untouched = not any(before) and not any("made" in run.facts for run in (one, other))
    return heard_as(Agent(specs[0]), agent) if is_untouched and drawn[0] == drawn[1] else None


def _moments(agent: Agent) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of what the circuit senses before it is normalised, in the sensors' units."""
    columns, scale = agent.sensing.columns, agent.sensing.scale.double()
    if agent.normalizer is None:
        return torch.zeros_like(scale), torch.ones_like(scale)
    normalizer = agent.normalizer
    # Sensors are scaled after they are normalised, so that the scale is of what they are and not of their spread.
    return scale * normalizer.mean[columns], normalizer.std[columns]


@torch.inference_mode()
def _activity(circuit: Circuit, sensors: Float[Tensor, "time batch sensors"]) -> Float[np.ndarray, "samples neurons"]:
    values = torch.stack([step.activity for step in replay(circuit, sensors)]).flatten(0, 1).numpy()
    return values[:: max(1, len(values) // _STEPS)]
