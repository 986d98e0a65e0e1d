"""Take a trained circuit apart into bricks: what each is for, what it causes, and how few are needed at once."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ....agents import Agent
from ....circuits import check_pins
from ....circuits.unit_axes import axes_of, incoming_rows, layers_of, size_of
from ....envs import Body, make_body
from ....errors import InvalidOption
from ....intervals import bootstrap_mean
from ....options import COUNT, FLAG, Instance, ListOf, Number, checked
from ...probes.tools.predicates import BY_MORE, all_predicates
from ...rollouts.evaluation import EVALUATION_SEED
from ...rollouts.recorder import record
from ...rollouts.recording import Recording
from ...runs.made import alone_on
from ...runs.resolution import Resolved
from ...runs.result import conditions_of
from ...runs.run import A_RUN, Run
from .causes import alike_at_random, record_without, remaining_commands, remaining_returns, returns_while
from .findings import NAME, Study, keep_study
from .partition import Brick, Labels, at_random, bricks_of, by_activity, by_weights, check_bricks
from .retrieval import ROUTED, Router, Scores, centres_of, heard_in, oracle, returns_by_q, similarity
from .telling import functions, phrases, predictivity, told_by

_STEPS = 4000  # of a recording, from which functions are told and routers learn
_Cut = Mapping[tuple[str, str], Labels]  # by layer and method


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
    about = _Subject(run, resolved, agent, recording, episodes, seed, progress)
    cut = {(layer, method): labels for layer in layers for method, labels in about.cut(layer, number).items()}
    bricks = tuple(
        brick
        for (layer, method), labels in cut.items()
        for brick in bricks_of(labels, about.units(layer), layer, method, seed)
    )
    told, tells = about.functions(cut)
    table, moments = about.causes(bricks, bodies)
    words = tuple(f"{said} {_needed_most(moments, brick)}".rstrip() for brick, said in tells.items())
    study = Study(bricks, table, moments, about.retrieval(cut), told, words)
    conditions = conditions_of(run.resolved.config, episodes, EVALUATION_SEED, resolved.config.body)
    asked = {"number": number, "seed": seed, "bodies": [make_body(body).name for body in bodies]}
    keep_study(run, study, {**conditions, NAME: asked}, round(time.perf_counter() - begin, 3))
    return study


@dataclasses.dataclass(frozen=True)
class _Subject:
    """A run's agent on one body, a recording of it, and how it is studied."""

    run: Run
    resolved: Resolved
    agent: Agent
    recording: Recording
    episodes: int
    seed: int
    progress: bool

    def units(self, layer: str) -> list[str]:
        """Return the names of a layer's units."""
        return [neuron.name for neuron in self.agent.neurons[self.agent.circuit.groups[layer]]]

    def cut(self, layer: str, number: int) -> dict[str, Labels]:
        """Return the brick of each unit of a layer, by each method."""
        circuit = self.agent.circuit
        activity = np.asarray(self.recording.activity[:, :, circuit.groups[layer]], float)
        return {
            "weights": by_weights(incoming_rows(circuit, layer).double().numpy(), number, self.seed),
            "activity": by_activity(activity.reshape(-1, activity.shape[2]), self.seed),
            "random": at_random(activity.shape[2], number, self.seed),
        }

    def functions(self, cut: _Cut) -> tuple[dict[tuple[str, str], tuple[float, float]], dict[str, str]]:
        """Return which shares are significant, of bricks and by chance, and what each brick tells, in words by name."""
        predicates, steps = told_by(self.recording)
        activity = np.asarray(self.recording.activity[:, steps], float).reshape(-1, len(self.recording.neurons))
        every = max(1, len(activity) // _STEPS)
        holds = np.stack([each.holds[:, steps].reshape(-1) for each in predicates], 1)[::every]
        groups = self.agent.circuit.groups
        scores = {layer: predictivity(activity[::every, groups[layer]], holds) for layer, _ in cut}
        shares, words = {}, {}
        for (layer, method), labels in cut.items():
            if labels.max() < 0:  # no unit ever changes
                continue
            found = functions(scores[layer], labels, self.seed)
            shares[layer, method] = float(found.significant.mean()), found.null
            for brick in range(labels.max() + 1) if method != "random" else ():
                is_told = found.significant[:, brick].any()
                tells = "tells whether" if is_told else "tells nothing beyond chance; likeliest,"
                best = "; ".join(phrases(found, predicates, brick))
                name = f"{layer}-{method}-{brick}"
                words[name] = f"{name}, {(labels == brick).sum()} units, {tells} {best}."
        return shares, words

    def causes(self, bricks: Sequence[Brick], bodies: Sequence[str | Body]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return what remains without each brick, and when; see `Study.table` and `Study.moments`."""
        sensors = self.agent.sense(np.asarray(self.recording.observations)).transpose(0, 1)
        commands = remaining_commands(self.agent.circuit, sensors, [brick.units for brick in bricks])
        columns = {
            "brick": [brick.name for brick in bricks],
            "layer": [brick.layer for brick in bricks],
            "method": [brick.method for brick in bricks],
            "size": [len(brick.units) for brick in bricks],
            **{f"command {index}": column for index, column in enumerate(commands.T)},
        }
        random = alike_at_random(bricks, {brick.layer: self.units(brick.layer) for brick in bricks}, self.seed)
        silenced = [*(brick.units for brick in bricks), *random]
        own, moments = make_body(self.resolved.config.body), pd.DataFrame()
        for body in (own, *(other for other in map(make_body, bodies) if other != own)):
            envs = self.resolved.on(body).make_envs((len(silenced) + 1) * self.episodes, randomize={})
            try:
                if body is own:
                    recording = record_without(self.agent, envs, silenced, self.progress)
                    returns = recording.rewards.sum(1, dtype=float).reshape(self.episodes, -1).T.mean(1)
                    moments = _moments(recording, bricks)
                else:
                    returns = remaining_returns(self.run.agent(body), envs, silenced, self.progress).mean(1)
            finally:
                envs.close()
            shares = returns[:-1] / returns[-1] if returns[-1] else np.full(len(silenced), np.nan)
            columns |= {f"return {body.name}": shares[: len(bricks)], f"control {body.name}": shares[len(bricks) :]}
        return pd.DataFrame(columns), moments

    def retrieval(self, cut: _Cut) -> pd.DataFrame:
        """Return the returns with the q best bricks kept, for every q; see `Study.retrieval`."""
        rows = []
        for (layer, method), labels in cut.items():
            scores = {} if method == "activity" else self.scores(layer, method, labels)
            for name, score in scores.items():
                n = int(labels.max()) + 1
                envs = self.resolved.make_envs(n * self.episodes, randomize={})
                try:
                    returns = returns_by_q(self.agent, envs, layer, labels, score, self.progress)
                finally:
                    envs.close()
                for q, value in enumerate(map(bootstrap_mean, returns), 1):
                    about = {"layer": layer, "method": method, "score": name, "q": q}
                    rows.append({**about, "mean": value.mean, "low": value.low, "high": value.high})
        return pd.DataFrame(rows)

    def scores(self, layer: str, method: str, labels: Labels) -> dict[str, Scores]:
        """Return the scores to choose bricks by: of random ones the oracle alone, and a learned one of large layers."""
        circuit = self.agent.circuit
        found: dict[str, Scores] = {"oracle": lambda _, values: oracle(values, labels)}
        if method == "random":
            return found
        centre = centres_of(circuit, layer, labels)
        found["similarity"] = lambda heard, _: similarity(heard, centre)
        if len(labels) >= ROUTED:
            activity = torch.as_tensor(np.asarray(self.recording.activity, np.float32))
            now, before = (each.flatten(0, 1) for each in (activity[:, 1:], activity[:, :-1]))
            every = max(1, len(now) // _STEPS)
            now, before = now[::every], before[::every]
            router = Router(centre)
            router.learn(
                heard_in(circuit, layer, now, before), oracle(now[:, circuit.groups[layer]], labels), self.seed
            )
            found["learned"] = lambda heard, _: router(heard)
        return found


def _moments(recording: Recording, bricks: Sequence[Brick]) -> pd.DataFrame:
    """Return `Study.moments`.

    Args:
        recording: see `record_without`; of the bricks, then of as many sets of random units.
        bricks: which were silenced.
    """
    n_sets = 2 * len(bricks) + 1

    def by_set(values: np.ndarray) -> np.ndarray:
        return values.reshape(-1, n_sets, recording.n_steps).swapaxes(0, 1)

    # What the intact agent's body is now and then; of the many degrees by which a joint may be bent, none.
    held = {each.phrase: by_set(each.holds) for each in all_predicates(recording) if BY_MORE not in each.phrase}
    said = {phrase: holds for phrase, holds in held.items() if 0.02 < holds[-1].mean() < 0.98}
    rewards = by_set(np.asarray(recording.rewards))
    shares = returns_while(rewards, np.array(list(said.values())).reshape(-1, *rewards.shape))
    return pd.DataFrame(
        {
            "brick": np.repeat([brick.name for brick in bricks], len(said)),
            "so": list(said) * len(bricks),
            "return": shares[: len(bricks)].ravel(),
            "control": shares[len(bricks) :].ravel(),
        }
    )


def _needed_most(moments: pd.DataFrame, brick: str) -> str:
    """Return in words when a brick is missed most, beyond what random units are; nothing where that is never."""
    missed = moments[(moments["brick"] == brick) & (moments["control"] > moments["return"])]
    if missed.empty:
        return ""
    worst = missed.iloc[int((missed["control"] - missed["return"]).argmax())]
    return (
        f"It is needed most while {worst['so']}: of the return from such steps {worst['return']:.0%} remains without "
        f"it, and {worst['control']:.0%} without random units."
    )
