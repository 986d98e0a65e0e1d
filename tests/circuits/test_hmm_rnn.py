"""A circuit that learned to emit like a hidden Markov model, against symbols sampled by hmmlearn."""

import numpy as np
import pytest
import torch
from hmm_rnn import joint_shares, sample_symbols, train_hmm_rnn
from nervecord.circuits import GRU
from nervecord.errors import InvalidRun
from nervecord.extras import absence
from nervecord.training.probes.transitions import find_kicks, largest, pinned_rates

hmm = pytest.importorskip("hmmlearn.hmm", reason=absence("probes", "hmmlearn"))

TRANSITION = np.array([[0.9, 0.1, 0.0], [0.0, 0.85, 0.15], [0.1, 0.05, 0.85]])
EMISSION = np.array([[0.9, 0.1, 0.0], [0.05, 0.9, 0.05], [0.0, 0.1, 0.9]])


@pytest.fixture(scope="module")
def truth():
    model = hmm.CategoricalHMM(3)
    model.startprob_, model.transmat_, model.emissionprob_ = np.full(3, 1 / 3), TRANSITION, EMISSION
    model.n_features = 3
    return model


@pytest.fixture(scope="module")
def symbols(truth) -> np.ndarray:
    return np.stack([truth.sample(1000, random_state=seed)[0][:, 0] for seed in range(40)])


@pytest.fixture(scope="module")
def circuit() -> GRU:
    return train_hmm_rnn(TRANSITION, EMISSION)


def shares(symbols: np.ndarray, *lags: int) -> np.ndarray:
    """How often each combination of symbols occurs that many steps after the first."""
    length = symbols.shape[1] - max(lags)
    code = sum(3**place * symbols[:, lag : lag + length] for place, lag in enumerate((0, *lags)))
    return np.bincount(code.ravel(), minlength=3 ** (len(lags) + 1)) / code.size


def runs(symbols: np.ndarray) -> np.ndarray:
    """How long a symbol is emitted before another is: the shares of runs of 1 to 30 steps."""
    lengths = np.concatenate([np.diff(np.flatnonzero(np.diff(row))) for row in symbols])
    return np.bincount(lengths.clip(max=30), minlength=31) / len(lengths)


def test_closed_form_shares_are_those_that_hmmlearn_samples(symbols):
    for lag in (1, 4):
        assert shares(symbols, lag) == pytest.approx(joint_shares(TRANSITION, EMISSION, lag).T.ravel(), abs=0.01)


def test_the_circuit_emits_like_the_model(truth, symbols, circuit):
    emitted = sample_symbols(circuit, 1000, 40, torch.Generator().manual_seed(5))
    shuffled = np.random.default_rng(0).permuted(symbols, axis=1)
    # Lags 4 and 10 and triplets are none that were learned; half the sum of differences is the total variation.
    for lags, most in (((1,), 0.06), ((4,), 0.06), ((10,), 0.08), ((1, 2), 0.1)):
        wanted = shares(symbols, *lags)
        distance = np.abs(shares(emitted, *lags) - wanted).sum() / 2
        assert distance < most
        assert lags == (10,) or distance < 0.3 * np.abs(shares(shuffled, *lags) - wanted).sum() / 2
    assert np.abs(runs(emitted) - runs(symbols)).sum() / 2 < 0.12
    # In nats per symbol: the truth's own symbols score -0.69, shuffled ones -1.53.
    own, theirs, null = (truth.score(x.reshape(-1, 1), [1000] * 40) / x.size for x in (symbols, emitted, shuffled))
    assert own - theirs < 0.2 * (own - null)


def test_its_transitions_have_kick_neurons(circuit):
    noise = torch.randn(200, 8, 4, generator=torch.Generator().manual_seed(6))
    kicks = find_kicks(circuit, noise, largest)
    rates = pinned_rates(circuit, noise, kicks, largest)
    change = np.abs(rates[1:33] - rates[0]) + np.abs(rates[33:] - rates[0])
    order = np.argsort(-kicks.score)
    assert change[order[:8]].mean() > change[order[-8:]].mean()


@pytest.mark.parametrize(
    ("transition", "emission", "words"),
    [
        (np.eye(3)[:2], EMISSION, r"are \(2, 3\) and \(3, 3\)"),
        (2 * np.eye(3), EMISSION, "row of the transition matrix"),
        (TRANSITION, EMISSION - 1, "row of the emission matrix"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(transition, emission, words):
    with pytest.raises(InvalidRun, match=words):
        train_hmm_rnn(transition, emission)
