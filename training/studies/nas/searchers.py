"""Searches over a space: each yields, without end, the architectures that it tries and what they came to.

After the baselines of NAS-Bench-201 (Dong and Yang, ICLR 2020, https://arxiv.org/abs/2001.00326). A searcher takes a
space, a function that evaluates an architecture (the higher, the better), and a random generator; whoever takes from it
decides when the search ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from .spaces import Genes, SearchSpace

Evaluate = Callable[[str], float]
Searcher = Callable[[SearchSpace, Evaluate, np.random.Generator], Iterator[tuple[str, float]]]

_POPULATION, _SAMPLE = 10, 3
_SPREAD, _MOMENTUM = 1e-3, 0.9
_BETAS, _EPSILON = (0.9, 0.999), 1e-8


def random_search(space: SearchSpace, evaluate: Evaluate, rng: np.random.Generator) -> Iterator[tuple[str, float]]:
    """Try architectures at random, each with the same probability every time."""
    while True:
        architecture = space.written(space.drawn(rng))
        yield architecture, evaluate(architecture)


def regularized_evolution(
    space: SearchSpace, evaluate: Evaluate, rng: np.random.Generator
) -> Iterator[tuple[str, float]]:
    """Mutate the best of a sample of the living, of whom the oldest dies; the first ten are drawn at random.

    The sample is of three, with replacement. A child is never its parent: one choice that acts differs.

    Source: Real et al. 2019 (https://arxiv.org/abs/1802.01548), algorithm 1.
    """
    living: deque[tuple[Genes, float]] = deque(maxlen=_POPULATION)
    while True:
        if len(living) < _POPULATION:
            genes = space.drawn(rng)
        else:
            sample = [living[int(at)] for at in rng.integers(_POPULATION, size=_SAMPLE)]
            genes = space.mutated(max(sample, key=lambda each: each[1])[0], rng)
        architecture = space.written(genes)
        value = evaluate(architecture)
        living.append((genes, value))
        yield architecture, value


def reinforce(
    space: SearchSpace, evaluate: Evaluate, rng: np.random.Generator, learning_rate: float = 0.01
) -> Iterator[tuple[str, float]]:
    """Draw each choice from a softmax of its own, whose logits follow the policy gradient by Adam.

    The baseline is a moving average of the rewards, the newest among them, corrected for its start at 0.

    Source: Williams 1992, eq. 4; Zoph and Le 2017 (https://arxiv.org/abs/1611.01578), section 3.2.
    """
    sizes = [len(values) for values in space.choices.values()]
    is_there = np.arange(max(sizes)) < np.array(sizes)[:, None]
    logits = np.where(is_there, rng.normal(0.0, _SPREAD, is_there.shape), -np.inf)
    first = second = np.zeros(is_there.shape)
    mean, t = 0.0, 0
    while True:
        shares = np.exp(logits - logits.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        genes = tuple(int(rng.choice(len(row), p=row)) for row in shares)
        architecture = space.written(genes)
        value = evaluate(architecture)
        yield architecture, value
        t += 1
        mean = _MOMENTUM * mean + (1 - _MOMENTUM) * value
        advantage = value - mean / (1 - _MOMENTUM**t)
        # Of -advantage sum log p, by the logits.
        gradient = -advantage * (np.eye(len(shares[0]))[list(genes)] - shares)
        first = _BETAS[0] * first + (1 - _BETAS[0]) * gradient
        second = _BETAS[1] * second + (1 - _BETAS[1]) * gradient**2
        spread = np.sqrt(second / (1 - _BETAS[1] ** t)) + _EPSILON
        logits = logits - learning_rate * (first / (1 - _BETAS[0] ** t)) / spread


SEARCHERS: Mapping[str, Searcher] = {
    "random": random_search,
    "rea": regularized_evolution,
    "reinforce": reinforce,
}
