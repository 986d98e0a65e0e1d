"""Timescales of processes whose timescale is known, and complexity of sequences that order as they must."""

from pathlib import Path

import numpy as np
import pytest
from nervecord.circuits import Wiring
from nervecord.errors import InvalidRecording
from nervecord.training.learning.training import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.complexity import binarise, lempel_ziv, normalised_complexity
from nervecord.training.probes.timescales import autocorrelation, fit_decay
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig
from planted import acting

GOLDEN = Path(__file__).parents[2] / "golden" / "complexity.npz"


def autoregressive(keep: float, rng: np.random.Generator, episodes: int = 40, steps: int = 2000) -> np.ndarray:
    noise = rng.standard_normal((episodes, steps))
    series = np.zeros((episodes, steps))
    for step in range(1, steps):
        series[:, step] = keep * series[:, step - 1] + noise[:, step]
    return series[..., None]


@pytest.mark.parametrize("tau", [2, 3, 5, 8, 20])
def test_the_timescale_of_an_autoregressive_process_is_found(tau):
    series = autoregressive(np.exp(-1 / tau), np.random.default_rng(tau))
    fit = fit_decay(autocorrelation(series, 30)[0])
    assert fit.tau == pytest.approx(tau, rel=0.1)
    # Without its guards the second exponential comes out at its bound.
    assert np.isnan(fit.fast)


def test_recurrence_makes_a_network_slower_than_its_units():
    tau, w, n = 2.0, 0.9, 8
    rng = np.random.default_rng(0)
    feedback = np.full((n, n), w / n)
    x, kept = np.zeros((30, n)), []
    for _ in range(3000):
        # All units share their noise, so that they move along the direction that feeds back.
        x = (1 - 1 / tau) * x + x @ feedback / tau + rng.standard_normal((30, 1))
        kept.append(x)
    expected = -1 / np.log(1 - 1 / tau + w / tau)
    assert expected == pytest.approx(19.5, abs=0.05)
    found = fit_decay(autocorrelation(np.stack(kept, 1), 30)[0]).tau
    assert found == pytest.approx(expected, rel=0.1)


def test_two_timescales_are_told_apart():
    rng = np.random.default_rng(1)
    slow, fast = autoregressive(np.exp(-1 / 25), rng), autoregressive(np.exp(-1 / 2), rng)
    fit = fit_decay(autocorrelation(slow / slow.std() + fast / fast.std(), 30)[0])
    assert fit.tau == pytest.approx(25, rel=0.25)
    assert fit.fast == pytest.approx(2, rel=0.25)


def test_a_short_episode_is_corrected_for_its_own_mean():
    series = autoregressive(np.exp(-1 / 8), np.random.default_rng(2), episodes=400, steps=150)
    assert fit_decay(autocorrelation(series, 30)[0]).tau == pytest.approx(8, rel=0.1)


def test_constant_periodic_and_random_order_as_they_must():
    rng = np.random.default_rng(0)
    constant, periodic = np.zeros(1000, bool), np.arange(1000) % 20 < 10
    noise = rng.random(1000) < 0.5
    assert lempel_ziv(constant) < lempel_ziv(periodic) < lempel_ziv(noise)
    assert normalised_complexity(periodic, rng) < 0.1
    assert normalised_complexity(noise, rng) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize(
    ("text", "phrases"),
    # 0.001.10.100.1000.101 is the example of the paper (Kaspar and Schuster 1987); its last phrase is cut off.
    [("0001101001000101", 6), ("0000000000", 2), ("01010101010101", 3), ("0", 1)],
)
def test_phrases_are_those_of_the_exhaustive_history(text, phrases):
    assert lempel_ziv(np.array(list(text)) == "1") == phrases


def test_phrases_are_those_that_antropy_counts():
    golden = np.load(GOLDEN)
    for case in ("case0", "case1", "case2"):
        counted, normalised, others = golden[f"{case}/complexity"].T
        found = [lempel_ziv(train > 0) for train in golden[f"{case}/trains"]]
        assert found == counted.tolist()
        length = golden[f"{case}/trains"].shape[1]
        assert np.array(found) * np.log2(length) / length == pytest.approx(normalised)
        assert found != others.tolist(), "the last column is of another definition, of 1978"


def test_phrases_of_random_spikes_tend_to_their_entropy():
    for share, entropy in ((0.5, 1.0), (0.2, 0.722), (0.05, 0.286)):
        bits = np.random.default_rng(0).random(3000) < share
        assert lempel_ziv(bits) * np.log2(3000) / 3000 == pytest.approx(entropy, abs=0.05)


def test_bits_of_a_neuron_that_saturates():
    assert binarise(np.array([0, 1, 1, 1, 1])).sum() == 4
    assert binarise(np.array([0, 0, 0, 0, 1])).sum() == 1


def test_trained_time_constants_stand_beside_the_measured(tmp_path):
    config = RunConfig(
        "ctrnn", "ppo", steps=256, episode_steps=200, circuit_options={"units": 6, "tau": (4.0, 5.0)},
        algorithm_options={"n_steps": 64, "n_envs": 4, "sequence_length": 16},
    )  # fmt: skip
    run = train(config, tmp_path / "run", progress=False)
    subject = Subject(record(run, 2), run.agent().circuit.wiring(), run)
    result = run_probe("timescales", subject)
    trained = result.arrays["trained_tau"][[name.startswith("unit") for name in result.arrays["neuron"]]]
    assert np.allclose(trained, run.agent().circuit.tau.detach().numpy() * subject.recording.dt, rtol=1e-5)
    assert 0 < run_probe("complexity", subject).numbers["mean"] < 1.2


def test_a_recording_too_short_is_one_line(tmp_path):
    run = train(RunConfig(steps=960, episode_steps=60, algorithm_options={"n_envs": 8}), tmp_path / "r", progress=False)
    subject = Subject(record(run, 1), Wiring((), ()))
    with pytest.raises(InvalidRecording, match="60 steps"):
        run_probe("timescales", subject)


def test_what_forgets_at_once_has_a_timescale_all_the_same():
    """An autocorrelation that turns negative drives the fit to its lower bound, where a second one must start too."""
    curve = np.where(np.arange(31) == 0, 1.0, -0.3)
    assert fit_decay(curve).tau < 0.2


def test_a_series_that_never_changes_has_no_complexity():
    rng = np.random.default_rng(0)
    for bits in (np.zeros(500, bool), np.ones(500, bool)):
        assert normalised_complexity(bits, rng) == 0
    assert normalised_complexity(np.arange(500) % 10 < 5, rng) > 0


def test_a_neuron_that_differs_between_episodes_alone_is_counted_as_constant():
    wave = np.sin(0.2 * np.arange(1000))[None].repeat(2, 0)
    by_episode = np.stack([np.zeros(1000), np.ones(1000)])
    found = run_probe("timescales", Subject(acting(wave, by_episode), Wiring((), ())))
    assert found.numbers["constant"] == 1
    assert found.arrays["neuron"].tolist() == ["n0"]
