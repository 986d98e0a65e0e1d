"""Units that vote against the authors' code, and the body told from planted activity."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from nervecord import RunConfig, record
from nervecord.circuits import Neuron
from nervecord.envs import EnvBatch
from nervecord.errors import InvalidOption, InvalidRecording
from nervecord.training.learning import untrained
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.body_code import gait_code, told_by_ridge, windows
from nervecord.training.probes.tools.gaits import GAITS, PERIODS, Moved, gait_motors, moved
from nervecord.training.probes.tools.unseen import told_unseen
from nervecord.training.probes.tools.votes import (
    NOBODY,
    assigned,
    best_threshold,
    recognised,
    remove_hyperactive,
    votes,
)
from planted import planted

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "ensemble.npz")


@pytest.mark.parametrize("name", ["case0", "case2"])
def test_classes_responses_and_scores_are_those_of_the_authors_code(name):
    case = {key.split("/")[1]: GOLDEN[key] for key in GOLDEN if key.startswith(name)}
    threshold = int(case["options"][-1])
    classes = np.concatenate([assigned(*expert) for expert in zip(case["train"], case["labels"], strict=True)])
    assert np.array_equal(classes, case["assignments"])
    kept = remove_hyperactive(case["calibration"], threshold)
    assert np.array_equal(kept, case["responses"] < threshold)
    assert np.array_equal(case["query"] * kept, case["cleaned"])
    real = case["regions"] >= 0  # theirs lets units of no class vote too
    for found, wanted in ((votes(case["query"], classes, kept), "score"), (votes(case["query"], classes), "score_raw")):
        assert np.array_equal(found[0], case["regions"][real])
        assert np.allclose(found[1], case[wanted][real], atol=1e-9)
    truth = np.arange(len(case["query"]))
    before, after = (recognised(case["query"], truth, classes, each) for each in (None, kept))
    assert before <= 0.25 < 0.8 < after


def test_removing_units_that_answer_to_all():
    counts = np.array([[0, 1, 2, 0], [0, 1, 0, 0], [0, 3, 0, 5]])
    assert remove_hyperactive(counts, 0).all()
    assert remove_hyperactive(counts, 3).tolist() == [True, False, True, True]
    assert remove_hyperactive(counts, 1).tolist() == [True, False, False, False], "a silent unit is kept"
    assert assigned(counts, np.array([4, 5, 6])).tolist() == [NOBODY, 6, 4, 6]
    order = np.array([2, 0, 1])
    known, scores = votes(counts, np.array([0, 1, 2, 2]))
    again, permuted = votes(counts[:, [1, 2, 3, 0]], np.array([1, 2, 2, 0]))
    assert np.array_equal(known, again)
    assert np.array_equal(scores, permuted)
    assert np.array_equal(votes(counts[order], np.array([0, 1, 2, 2]))[1], scores[:, order])
    for threshold, shape, message in ((-1, (3, 4), "threshold is -1"), (2, (12,), r"shape \(12,\); give \(samples")):
        with pytest.raises(InvalidOption, match=message):
            remove_hyperactive(counts.reshape(shape), threshold)


def test_where_nobody_fires_nobody_is_recognised():
    counts, labels = np.zeros((6, 4)), np.arange(6) % 2
    classes = assigned(counts, labels)
    assert recognised(counts, labels, classes) == 0
    assert votes(counts, classes)[1].shape == (0, 6)
    assert best_threshold(counts, labels, classes, [1, 3]) == 0


def test_the_best_threshold_is_found_on_samples_that_classes_were_not():
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(5), 12)
    counts = rng.poisson(3.0 * (labels[:, None] == np.arange(40) % 5))
    counts[:, :8] = rng.poisson(9.0, (60, 8))  # a fifth answers to everything
    classes = assigned(counts[:30], labels[:30])
    threshold = best_threshold(counts[30:], labels[30:], classes, (10, 25))
    assert threshold == 10
    kept = remove_hyperactive(counts[30:], threshold)
    assert recognised(counts[30:], labels[30:], classes, kept) > recognised(counts[30:], labels[30:], classes)


def of_body(mean: float, seed: int):
    """Four episodes in which one neuron's mean is of the body, and a sensor's tells everything."""
    rng = np.random.default_rng(seed)
    activity = rng.standard_normal((4, 300, 3)) + np.array([100 * mean, mean, 0])
    cells = (Neuron("x", "sensor"), Neuron("a", "inter"), Neuron("b", "motor"))
    made = dataclasses.replace(planted(n_links=4, steps=300, episodes=4), activity=activity, neurons=("x", "a", "b"))
    made.meta["neurons"] = [{"role": cell.role, "position": None, "side": None} for cell in cells]
    return made


def test_a_body_is_told_by_neurons_that_are_not_sensors():
    values, labels, episodes = windows([of_body(mean, seed) for seed, mean in enumerate((0.0, 1.0, 3.0))])
    assert values.shape == (3 * 4 * 4, 2)
    tested = episodes == 3
    guesses = told_by_ridge(values[~tested], labels[~tested], values[tested])
    assert np.array_equal(guesses[labels[tested] != 1], labels[tested][labels[tested] != 1])
    with pytest.raises(InvalidRecording, match="no 60 steps after its first fifth"):
        windows([dataclasses.replace(of_body(0.0, 0), lengths=np.array([300, 300, 300, 100]))])


def oscillations(amplitude: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Twelve windows of a movement as two senses see it."""
    phase = 0.4 * torch.arange(60)[:, None] + 6.3 * torch.rand(12, generator=torch.Generator().manual_seed(seed))
    lags = 0.5 * torch.arange(4)
    return amplitude * torch.sin(phase[..., None] - lags), 5 + 0.1 * amplitude * torch.cos(phase[..., None] - lags[:2])


def test_classes_are_told_by_a_code_of_others_where_both_senses_show_them_and_by_chance_where_they_do_not():
    # Every two that are left out are far apart, and between others.
    made = [oscillations(amplitude, seed) for seed, amplitude in enumerate((1, 3, 1.5, 3.5, 0.5, 2.5, 2, 4))]
    episodes = [torch.arange(12) // 3] * 8
    first, second = (list(sense) for sense in zip(*made, strict=True))
    shares = told_unseen(first, second, episodes, 0.03)
    assert len(shares) == 4
    assert np.mean(shares) > 0.8
    noise = torch.Generator().manual_seed(0)
    silent = [torch.randn(60, 12, 2, generator=noise) for _ in range(8)]
    assert 0.3 < np.mean(told_unseen(first, silent, episodes, 0.03)) < 0.7


@pytest.mark.parametrize("body", ["swimmer6", "worm"])
def test_a_body_that_is_moved_by_a_gait_goes_where_its_name_says(body):
    envs = EnvBatch("swim", len(GAITS) * len(PERIODS), body=body, physics="lanes")
    envs.seed([0] * envs.n_envs)
    envs.reset(np.arange(envs.n_envs))
    places, axes = [], []
    motors = gait_motors(envs.body.n_joints, envs.dt, 260)
    assert np.abs(motors).max() <= 1
    for row in motors:
        envs.step(row.astype(np.float32))
        links = envs.physics.read("link_pos")
        places.append(envs.physics.read("com_pos").copy())
        axes.append(links[:, 0] - links[:, -1])
    envs.close()
    axes, angles = np.array(axes), np.unwrap(np.arctan2(*np.array(axes).T[::-1]).T, axis=0)
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    ahead = (np.diff(places, axis=0) * axes[:-1]).sum(-1).sum(0).reshape(len(GAITS), -1)
    turned = (angles[-1] - angles[0]).reshape(len(GAITS), -1)
    forward, backward, left, right = range(len(GAITS))
    assert ahead[forward].min() > 0 > ahead[backward].max()
    assert turned[left].mean() > np.abs(turned[[forward, backward]]).mean()
    assert turned[right].mean() < -np.abs(turned[[forward, backward]]).mean()


def of_gaits(neurons, seed):
    """A body whose senses tell nothing, and whose neurons tell what they are given for each gait and period."""
    gaits, periods = np.divmod(np.arange(16), 4)
    noise = np.random.default_rng(seed).standard_normal((16, 6))
    return Moved(noise[:, :4], neurons(gaits, periods) + 0.01 * noise[:, 4:5], gaits, periods)


def test_a_gait_is_told_at_other_periods_and_on_other_bodies_or_by_chance():
    told = gait_code([of_gaits(lambda gaits, _: np.eye(4)[gaits], seed) for seed in range(3)])
    assert told.numbers["gait"] == told.numbers["gait_unseen"] == 1
    assert np.array_equal(told.confusion, np.eye(4))
    assert told.numbers["gait_chance"] == 0.25
    assert told.numbers["gait_by_senses"] < 0.6
    # What stands for a gait differs between bodies: it is not told where the readout knows other bodies only.
    own = gait_code([of_gaits(lambda gaits, _, turn=turn: np.eye(4)[(gaits + turn) % 4], turn) for turn in range(3)])
    assert own.numbers["gait_unseen"] == 0
    # And here between periods.
    late = gait_code([of_gaits(lambda gaits, periods: np.eye(4)[(gaits + periods) % 4], seed) for seed in range(3)])
    assert late.numbers["gait"] == 0


def test_neurons_that_hear_a_moved_body_and_do_not_move_it():
    """Two circuits with other motors hear the same body: what is felt is of the gait, not of the agent."""
    found = []
    for seed in (0, 1):
        config = RunConfig("spiking", "es", "swimmer4", episode_steps=160, circuit_options={"units": 8}, seed=seed)
        with untrained(config) as run:
            found.append(moved(run, "swimmer4"))
    one, other = found
    assert one.neurons.shape == (16, 8 + 3)
    assert np.allclose(one.senses, other.senses)
    assert not np.allclose(one.neurons, other.neurons)
    assert np.array_equal(np.bincount(one.gaits), [4] * 4)
    message = "swimmer4 ends after 100 steps, and a gait is told from 120"
    with (
        untrained(dataclasses.replace(config, episode_steps=100)) as run,
        pytest.raises(InvalidRecording, match=message),
    ):
        moved(run, "swimmer4")


@pytest.mark.slow
def test_bodies_are_told_by_the_neurons_of_an_agent_that_moves_them():
    options = {"units": 16}
    with untrained(RunConfig("spiking", "es", "swimmer6", episode_steps=160, circuit_options=options)) as run:
        found = run_probe("body_code", Subject(record(run, 1), run.agent().circuit.wiring(), run))
    assert found.numbers["chance"] == pytest.approx(1 / len(found.arrays["body"]))
    assert set(found.numbers) == {
        *("told", "told_low", "told_high", "chance", "votes", "votes_without_hyperactive"),
        *("unseen", "unseen_low", "unseen_high"),
        *("gait", "gait_low", "gait_high", "gait_chance", "gait_by_senses"),
        *("gait_unseen", "gait_unseen_low", "gait_unseen_high"),
    }
    assert found.numbers["gait"] > 0.4
    assert found.arrays["gait"].tolist() == list(GAITS)
    assert np.allclose(found.arrays["gait_confusion"].sum(1), 1)
    assert 0.3 < found.numbers["unseen"] <= 1
    assert np.allclose(found.arrays["confusion"].sum(1), 1)
    with untrained(RunConfig("spiking", "es", "swimmer4", episode_steps=160, circuit_options=options)) as run:
        subject = Subject(record(run, 1), run.agent().circuit.wiring(), run)
        with pytest.raises(InvalidRecording, match="no other body has 3 joints"):
            run_probe("body_code", subject)
