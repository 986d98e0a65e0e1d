"""Train one architecture from many seeds at once, and measure each: what a worker does for a table.

A run writes no folder here, and builds no environments of its own: the populations of all seeds are members of one
batch. Each seed has the weights that `train` gives its config alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ....agents import Agent
from ....agents.algorithms.algorithm import Learner
from ....agents.algorithms.members import Members, Outcome, Round
from ....agents.algorithms.population_learner import PopulationAlgorithm, PopulationLearner
from ....agents.algorithms.registry import algorithm_named
from ....agents.places import on_body
from ....circuits.lane_step import lane_step_of
from ....envs import Body, EnvBatch
from ....threads import one_thread
from ...learning.start import begun
from ...rollouts.evaluation import EVALUATION_SEED, evaluate_agent, result_of
from ...runs.config import RunConfig
from ...runs.resolution import Resolved, resolve
from ...runs.result import TRAINED, Result, Weights
from ..trials import Measured
from .plans import TEST_EPISODES, UNSEEN_EPISODES, VALID_EPISODES

# Apart from the seeds of `evaluate`, so that the architecture that is chosen by these episodes is tested on others.
VALIDATION_SEED = 2 * EVALUATION_SEED


def measure_seeds(
    config: RunConfig, seeds: Sequence[int], steps: Sequence[int], unseen: Sequence[Body]
) -> dict[int, Measured]:
    """Train a config from each seed, and return by seed what was measured.

    The curve has the mean return of the validation episodes at each of the steps, or after the generation or rollout
    in which it falls, and at the last the seconds of processor time that the training took, of seeds trained together
    in equal shares. Results are the mean return on the test episodes, which are those of `evaluate`, and on each of
    the unseen bodies, as `transfer` has it.
    """
    with one_thread():
        runs = {seed: resolve(dataclasses.replace(config, seed=seed)) for seed in seeds}
        agents = {seed: begun(run) for seed, run in runs.items()}
        found: dict[int, Measured] = {}
        for pack in _packs(agents, config.algorithm):
            with contextlib.ExitStack() as stack:
                trained = [runs[seed] for seed in pack], [agents[seed] for seed in pack]
                found |= zip(pack, _measured(*trained, steps, unseen, stack), strict=True)
        return found


def _packs(agents: Mapping[int, Agent], algorithm: str) -> list[list[int]]:
    """Split seeds into those that can be trained in one batch: populations whose members differ in nothing but weights.

    A circuit may draw more than its weights, such as which synapses there are; it keeps that in buffers.
    """
    packs: dict[Any, list[int]] = {}
    for seed, agent in agents.items():
        circuit = agent.circuit
        key: Any = seed
        if isinstance(algorithm_named(algorithm), PopulationAlgorithm) and not circuit.changes_after_update:
            step = lane_step_of(circuit)
            buffers = [(name, value.tolist()) for name, value in agent.named_buffers()]
            key = repr((None if step is None else step.numbers, buffers))
        packs.setdefault(key, []).append(seed)
    return list(packs.values())


def _measured(
    runs: Sequence[Resolved],
    agents: Sequence[Agent],
    steps: Sequence[int],
    unseen: Sequence[Body],
    stack: contextlib.ExitStack,
) -> list[Measured]:
    """Train and measure the seeds of a pack; `stack` closes their environments."""
    run = runs[0]
    learners, advance = _learners(runs, agents, stack)
    valid = _envs(run, VALID_EPISODES * len(agents), stack, randomize={})
    curves: list[list[tuple[int, str, float]]] = [[] for _ in agents]
    spent = 0.0
    for step in steps:
        began = time.process_time()
        while learners[0].steps < step:
            advance()
        spent += time.process_time() - began
        for curve, value in zip(curves, _returns(agents, valid, VALIDATION_SEED), strict=True):
            curve.append((step, "return", value))
    weights = [Weights.of(steps[-1], agent.circuit.state_dict()) for agent in agents]
    tests: list[list[tuple[str, Result]]] = [[] for _ in agents]
    for body, episodes in ((None, TEST_EPISODES), *((body, UNSEEN_EPISODES) for body in unseen)):
        there = run.on(body)
        envs = _envs(there, episodes * len(agents), stack, randomize={})
        values = _returns([on_body(agent, there.agent) for agent in agents], envs, EVALUATION_SEED)
        for each, own, value in zip(tests, weights, values, strict=True):
            result = result_of(run.config, own, episodes, {}, body)
            numbers = {"return": {"value": value, "unit": ""}}
            each.append((TRAINED, dataclasses.replace(result, numbers=numbers)))
    return [
        Measured(agent.n_weights, results, [*curve, (steps[-1], "seconds", spent / len(agents))])
        for agent, results, curve in zip(agents, tests, curves, strict=True)
    ]


def _learners(
    runs: Sequence[Resolved], agents: Sequence[Agent], stack: contextlib.ExitStack
) -> tuple[Sequence[Learner], Callable[[], Any]]:
    """Return the learners of a pack, and a function by which all do a generation or a rollout."""
    run = runs[0]
    algorithm, options = algorithm_named(run.config.algorithm), run.options
    if not isinstance(algorithm, PopulationAlgorithm):
        envs = _envs(run, options["n_envs"], stack)
        learner = algorithm.start(agents[0], envs, options, run.config.seed)
        return [learner], learner.advance
    envs = _envs(run, options["population"] * len(runs), stack)
    together = [
        PopulationLearner(agent, algorithm.Method(options), each.config.seed)
        for agent, each in zip(agents, runs, strict=True)
    ]
    for learner in together:
        learner.rounds_of, learner.envs = options["population"], envs
    members = Members(agents[0], envs)
    return together, lambda: _advance(together, members)


def _advance(learners: Sequence[PopulationLearner], members: Members) -> None:
    """Evaluate one generation of every learner in one batch, and let each learn from its own."""
    rounds = [part for learner in learners for part in learner.rounds()]
    weights = torch.cat([part.weights for part in rounds])
    outcome = members.evaluate(Round(weights, np.concatenate([part.seeds for part in rounds]), rounds[0].step))
    assert outcome is not None
    size = len(weights) // len(learners)
    for index, learner in enumerate(learners):
        own = slice(index * size, (index + 1) * size)
        metrics = {name: values[own] for name, values in outcome.metrics.items()}
        learner.note(Outcome(outcome.returns[own], outcome.lengths[own], metrics, outcome.lost[own]))
        learner.learn_from(outcome.returns[own])


def _returns(agents: Sequence[Agent], envs: EnvBatch, seed: int) -> list[float]:
    """Return each agent's mean return; all have the same episodes, and an equal share of `envs`."""
    if len(agents) == 1:
        return [float(evaluate_agent(agents[0], envs, seed).returns.mean())]
    episodes = envs.n_envs // len(agents)
    weights = [torch.nn.utils.parameters_to_vector(agent.circuit.parameters()).detach() for agent in agents]
    seeds = np.tile(np.arange(seed, seed + episodes), len(agents))
    outcome = Members(agents[0], envs).evaluate(Round(torch.stack(weights).repeat_interleave(episodes, 0), seeds))
    assert outcome is not None
    means: list[float] = outcome.returns.reshape(len(agents), episodes).mean(1).tolist()
    return means


def _envs(run: Resolved, n_envs: int, stack: contextlib.ExitStack, randomize: Any = None) -> EnvBatch:
    envs = run.make_envs(n_envs, randomize)
    stack.callback(envs.close)
    return envs
