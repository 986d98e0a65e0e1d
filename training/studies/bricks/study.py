"""Take a trained circuit apart into bricks: what each is for, what it causes, and how few are needed at once."""

from __future__ import annotations

import dataclasses
import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from ....agents import Agent
from ....circuits import check_pins
from ....circuits.unit_axes import axes_of, incoming_rows, layers_of, size_of
from ....drawing.figures import figure_svg
from ....envs import Body, make_body
from ....errors import InvalidOption, InvalidRun, UnknownName
from ....files import write_text, write_whole
from ....intervals import bootstrap_mean
from ....options import COUNT, FLAG, Instance, ListOf, Number, checked
from ...rollouts.evaluation import EVALUATION_SEED, evaluate_agent
from ...rollouts.recorder import record
from ...rollouts.recording import Recording
from ...runs.resolution import Resolved
from ...runs.result import Result, conditions_of
from ...runs.run import A_RUN, Run
from .causes import alike_at_random, remaining_commands, remaining_returns
from .figure import study_figure
from .made import alone_on
from .partition import Brick, Labels, at_random, bricks_of, by_activity, by_weights, check_bricks
from .retrieval import ROUTED, Retrieving, Router, Scores, centres_of, heard_in, oracle, similarity
from .telling import Functions, functions, phrases, predictivity, told_by

NAME = "bricks"  # of the result
_STEPS = 4000  # of a recording, from which functions are told and routers learn


@dataclasses.dataclass(frozen=True)
class Study:
    """What was found of a circuit's bricks.

    Attributes:
        bricks: of every layer, by weights, by activity and at random.
        table: a row for each of them, with its `layer`, `method` and `size` and shares of the intact circuit's:
            `command I`, the spread of motor I's command that remains without it; for each body `return BODY`, the
            return that remains without it, and `control BODY`, without as many units of its layer drawn at random.
        retrieval: for each layer, method and score the return, no unit, when the best `q` bricks are kept at each step:
            `mean`, and `low` and `high`, its 95 % bootstrap interval over episodes.
        told: for each layer and method, the share of predicates and bricks that is significant, and the share where
            units are shuffled.
        words: a sentence for each brick by weights and by activity: what it tells.
    """

    bricks: tuple[Brick, ...]
    table: pd.DataFrame
    retrieval: pd.DataFrame
    told: Mapping[tuple[str, str], tuple[float, float]]
    words: tuple[str, ...]


@checked(
    InvalidOption,
    run=A_RUN,
    number=COUNT,
    bodies=ListOf(Instance((str, Path, Body), "a body or its name"), '["swimmer4"]'),
    episodes=COUNT,
    seed=Number(0, 2**32 - 1, is_whole=True),
    progress=FLAG,
)
def find_bricks(
    run: Run | str | Path,
    number: int = 4,
    bodies: Sequence[str | Body] = (),
    episodes: int = 8,
    seed: int = 0,
    progress: bool = False,
) -> Study:
    """Cut each hidden layer of a run's circuit into bricks, and find out what each is for and what it causes.

    Layers are cut by the weights by which units hear, by their activity in a recording, and at random, the control.
    Numbers, words, a figure and the bricks are added to the run's results.

    Args:
        run: the run or its folder.
        number: of bricks of each layer, by weights and at random; by activity, it follows from the activity.
        bodies: on which bricks are silenced, beside the run's own.
        episodes: of the recording, and of each brick's silencing and retrieval.
        seed: of everything drawn.
        progress: show bars.

    Raises:
        CircuitMismatch: a circuit that is not layers of alike units, or that does not fit a body; names those that are.
        InvalidOption: bricks of one unit.
        InvalidRecording: nothing changes that units could tell.
    """
    begin = time.perf_counter()
    run, number, seed = run if isinstance(run, Run) else Run(run), int(number), int(seed)
    resolved = alone_on(run, None)
    agent = run.agent(resolved.config.body)
    circuit = agent.circuit
    layers = layers_of(circuit, axes_of(circuit))
    check_pins(circuit)
    for layer in layers:
        check_bricks(layer, size_of(circuit, layer), number)
    recording = record(run, episodes, resolved.config.body, progress=progress).until_first_end()
    cut = {key: value for layer in layers for key, value in _cut(agent, recording, layer, number, seed).items()}
    names = [neuron.name for neuron in circuit.neurons]
    of_layer = {layer: names[circuit.groups[layer]] for layer in layers}
    found = tuple(
        brick
        for (layer, method), labels in cut.items()
        for brick in bricks_of(labels, of_layer[layer], layer, method, seed)
    )
    told, words = _functions(circuit.groups, recording, cut, seed)
    table = _causes(run, agent, resolved, recording, found, of_layer, bodies, episodes, seed, progress)
    retrieval = pd.DataFrame([
        row for (layer, method), labels in cut.items() if method != "activity"
        for row in _retrieved(agent, resolved, recording, layer, method, labels, episodes, seed, progress)
    ])  # fmt: skip
    study = Study(found, table, retrieval, told, words)
    conditions = conditions_of(run.resolved.config, episodes, EVALUATION_SEED, resolved.config.body)
    asked = {"number": number, "seed": seed, "bodies": [make_body(body).name for body in bodies]}
    _keep(run, study, {**conditions, NAME: asked}, round(time.perf_counter() - begin, 3))
    return study


def load_bricks(run: Run) -> dict[str, Brick]:
    """Return the bricks that were last found of a run, by name.

    Raises:
        InvalidRun: none were found yet, or their file is damaged.
    """
    results = run.results
    held = results.where("probe", NAME).shown
    path = None if held is None else results.file(held, ".jsonl")
    if path is None:
        raise InvalidRun(f"{run.path} is not cut into bricks yet; nervecord bricks {run.path} does it")
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found = [Brick(**{**each, "units": tuple(map(str, each["units"]))}) for each in lines]
        return {brick.name: brick for brick in found}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InvalidRun(f"{path} is damaged ({error}); nervecord bricks {run.path} --seed 1 cuts anew") from error


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


def _cut(agent: Agent, recording: Recording, layer: str, number: int, seed: int) -> dict[tuple[str, str], Labels]:
    circuit = agent.circuit
    activity = np.asarray(recording.activity[:, :, circuit.groups[layer]], float)
    cut = {
        "weights": by_weights(incoming_rows(circuit, layer).double().numpy(), number, seed),
        "activity": by_activity(activity.reshape(-1, activity.shape[2]), seed),
        "random": at_random(activity.shape[2], number, seed),
    }
    return {(layer, method): labels for method, labels in cut.items()}


def _functions(
    groups: Mapping[str, slice], recording: Recording, cut: Mapping[tuple[str, str], Labels], seed: int
) -> tuple[dict[tuple[str, str], tuple[float, float]], tuple[str, ...]]:
    """Return the shares that are significant, and what bricks tell in words."""
    predicates, steps = told_by(recording)
    activity = np.asarray(recording.activity[:, steps], float).reshape(-1, len(recording.neurons))
    every = max(1, len(activity) // _STEPS)
    holds = np.stack([each.holds[:, steps].reshape(-1) for each in predicates], 1)[::every]
    scores = {layer: predictivity(activity[::every, groups[layer]], holds) for layer, _ in cut}
    shares, words = {}, []
    for (layer, method), labels in cut.items():
        if labels.max() < 0:  # no unit ever changes
            continue
        found: Functions = functions(scores[layer], labels, seed)
        shares[layer, method] = float(found.significant.mean()), found.null
        if method != "random":
            for brick, size in enumerate(np.bincount(labels[labels >= 0])):
                tells = (
                    "tells whether" if found.significant[:, brick].any() else "tells nothing beyond chance; likeliest,"
                )
                words.append(
                    f"{layer}-{method}-{brick}, {size} units, {tells} {'; '.join(phrases(found, predicates, brick))}."
                )
    return shares, tuple(words)


def _causes(
    run: Run,
    agent: Agent,
    resolved: Resolved,
    recording: Recording,
    bricks: Sequence[Brick],
    of_layer: Mapping[str, Sequence[str]],
    bodies: Sequence[str | Body],
    episodes: int,
    seed: int,
    progress: bool,
) -> pd.DataFrame:
    sensors = agent.sense(np.asarray(recording.observations)).transpose(0, 1)
    commands = remaining_commands(agent.circuit, sensors, [brick.units for brick in bricks])
    rows = {
        "brick": [brick.name for brick in bricks],
        "layer": [brick.layer for brick in bricks],
        "method": [brick.method for brick in bricks],
        "size": [len(brick.units) for brick in bricks],
        **{f"command {index}": column for index, column in enumerate(commands.T)},
    }
    silenced = [*(brick.units for brick in bricks), *alike_at_random(bricks, of_layer, seed)]
    own = make_body(resolved.config.body)
    for body in (own, *(other for other in map(make_body, bodies) if other != own)):
        there = run.agent(body)
        envs = resolved.on(body).make_envs((len(silenced) + 1) * episodes, randomize={})
        try:
            returns = remaining_returns(there, envs, silenced, progress).mean(1)
        finally:
            envs.close()
        share = returns[:-1] / returns[-1] if returns[-1] else np.full(len(silenced), np.nan)
        rows |= {f"return {body.name}": share[: len(bricks)], f"control {body.name}": share[len(bricks) :]}
    return pd.DataFrame(rows)


def _retrieved(
    agent: Agent,
    resolved: Resolved,
    recording: Recording,
    layer: str,
    method: str,
    labels: Labels,
    episodes: int,
    seed: int,
    progress: bool,
) -> list[dict[str, object]]:
    """Return for each score the returns when the q best bricks are kept, for every q."""
    n = int(labels.max()) + 1
    q = np.tile(np.arange(1, n + 1), episodes)
    rows = []
    for name, scores in _scores(agent, recording, layer, method, labels, seed).items():
        envs = resolved.make_envs(n * episodes, randomize={})
        seeds = np.repeat(EVALUATION_SEED + np.arange(episodes), n).tolist()
        try:
            found = evaluate_agent(Retrieving(agent, layer, labels, scores, q), envs, seeds, progress=progress).returns
        finally:
            envs.close()
        for each, returns in enumerate(found.reshape(episodes, n).T, 1):
            value = bootstrap_mean(returns)
            about = {"layer": layer, "method": method, "score": name, "q": each}
            rows.append({**about, "mean": value.mean, "low": value.low, "high": value.high})
    return rows


def _scores(
    agent: Agent, recording: Recording, layer: str, method: str, labels: Labels, seed: int
) -> dict[str, Scores]:
    """Return the scores to choose bricks by: of random bricks the oracle alone, and a learned one of large layers."""
    circuit = agent.circuit
    found: dict[str, Scores] = {"oracle": lambda _, values: oracle(values, labels)}
    if method == "random":
        return found
    centre = centres_of(circuit, layer, labels)
    found["similarity"] = lambda heard, _: similarity(heard, centre)
    if len(labels) >= ROUTED:
        router = Router(centre)
        activity = torch.as_tensor(np.asarray(recording.activity, np.float32))
        now, before = (each.flatten(0, 1) for each in (activity[:, 1:], activity[:, :-1]))
        every = max(1, len(now) // _STEPS)
        now, before = now[::every], before[::every]
        wanted = oracle(now[:, circuit.groups[layer]], labels)
        router.learn(heard_in(circuit, layer, now, before), wanted, seed)
        found["learned"] = lambda heard, _: _by(router, heard)
    return found


def _by(router: Router, heard: Float[Tensor, "batch inputs"]) -> Float[Tensor, "batch bricks"]:
    scores: Tensor = router(heard)
    return scores


def _keep(run: Run, study: Study, conditions: Mapping[str, object], seconds: float) -> None:
    """Add a study to the results of a run."""
    weights = run.last_weights()
    assert weights is not None
    numbers = {}
    for (layer, method), shares in study.told.items():
        for name, share in zip(("significant", "significant_by_chance"), shares, strict=True):
            numbers[f"{layer}_{method}_{name}"] = {"value": share, "unit": ""}
    for (layer, method), rows in study.table.groupby(["layer", "method"], sort=False):
        for column in rows.filter(regex="^(return|control) "):
            name = f"{layer}_{method}_least_{column.replace(' ', '_on_')}"
            numbers[name] = {"value": float(rows[column].min()), "unit": "of the intact return"}
    lines = "".join(f"{json.dumps(brick.to_json())}\n" for brick in study.bricks)
    packed = io.BytesIO()
    tables = {f"{table}_{column}": values.to_numpy()
              for table, frame in (("table", study.table), ("retrieval", study.retrieval))
              for column, values in frame.items()}  # fmt: skip
    arrays = {name: each.astype(str) if each.dtype == object else each for name, each in tables.items()}
    np.savez_compressed(packed, allow_pickle=False, **arrays)
    figure = study_figure(study.table, study.retrieval)
    run.results.add(
        Result("probe", weights, conditions, name=NAME, numbers=numbers, words=study.words, seconds=seconds),
        {
            ".jsonl": lambda path: write_text(path, lines),
            ".svg": lambda path: write_text(path, figure_svg(figure)),
            ".npz": lambda path: write_whole(path, lambda partial: partial.write_bytes(packed.getvalue())),
        },
    )
