"""Spikes from the circuit to recordings, films, probes and pages."""

import dataclasses

import numpy as np
import pytest
import xarray
from nervecord import RunConfig, probe, record, report
from nervecord.circuits import Medium, Plasticity, Synapse, Wiring
from nervecord.circuits.liquid.nalsm import drawn_liquid
from nervecord.errors import InvalidRecording
from nervecord.training.learning import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.complexity import lempel_ziv
from nervecord.training.probes.spikes import branching_factor
from nervecord.training.rollouts import Recording
from nervecord.videos.neuron_view import NeuronView
from planted import DT, planted

UNITS, SUBSTEPS = 10, 4


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = RunConfig(
        "spiking", "es", "swimmer4", steps=480, episode_steps=120, circuit_options={"units": UNITS},
        algorithm_options={"n_envs": 4},
    )  # fmt: skip
    return train(config, tmp_path_factory.mktemp("runs") / "spiking", progress=False)


@pytest.fixture(scope="module")
def subject(run):
    return Subject(record(run, 2), run.agent().circuit.wiring(), run)


def fired(episodes=1, steps=200, n=3, substeps=4, seed=0) -> Recording:
    """A recording in which neuron i of n fires in a share i / n of the substeps, at random."""
    share = np.arange(n) / n
    spikes = np.random.default_rng(seed).random((episodes, steps, substeps, n)) < share
    return dataclasses.replace(
        planted(n_links=n + 1, steps=steps, episodes=episodes), activity=spikes.mean(2), spikes=spikes.astype(np.uint8),
        firing=tuple(f"n{i}" for i in range(n)),
    )  # fmt: skip


def test_a_recording_has_the_spikes_that_its_traces_are_of(run, subject):
    recording, circuit = subject.recording, run.agent().circuit
    assert recording.firing == tuple(f"unit_{i}" for i in range(UNITS))
    assert recording.spikes.shape == (2, 120, SUBSTEPS, UNITS)
    assert 0.2 < recording.spikes.mean() < 0.8
    kept = np.exp(-1 / circuit.tau.detach().numpy())
    trace = np.zeros((2, UNITS))
    units = [recording.neurons.index(name) for name in recording.firing]
    for step in range(120):
        trace = kept * trace + (1 - kept) * recording.spikes[:, step].mean(1)
        np.testing.assert_allclose(recording.activity[:, step, units], trace, atol=1e-5)


def test_spikes_are_read_by_name_and_time_within_the_step(subject, tmp_path):
    recording, path = subject.recording, tmp_path / "recording.nc"
    recording.save(path)
    read = Recording.load(path)
    assert (read.firing, read.spikes.dtype) == (recording.firing, np.uint8)
    assert np.array_equal(read.spikes[...], recording.spikes)
    with xarray.open_dataset(path) as opened:
        assert opened.spikes.dims == ("episode", "time", "substep", "firing")
        some = opened.spikes.sel(firing="unit_2", time=7 * DT).sel(substep=DT / 2, method="nearest")
        assert np.array_equal(some, recording.spikes[:, 7, 2, 2])
        nameless = opened.drop_vars("firing").load()
        strangers = opened.assign_coords(firing=[f"stranger_{i}" for i in range(UNITS)]).load()
    for dataset, message in ((nameless, "of neurons without names"), (strangers, "of neurons that are not there")):
        dataset.to_netcdf(tmp_path / "odd.nc", engine="h5netcdf")
        with pytest.raises(InvalidRecording, match=message):
            Recording.load(tmp_path / "odd.nc")


def test_until_the_first_end_there_are_spikes_too():
    longer = dataclasses.replace(fired(2, 200), lengths=np.array([200, 150]))
    assert longer.until_first_end().spikes.shape == (2, 150, 4, 3)


def test_numbers_of_spikes_are_those_that_were_planted():
    recording = fired(steps=1000)
    edges = [("n1", "n0"), ("n1", "n2"), ("n2", "n0"), ("n1", "m")]
    neurons = (*recording.cells, dataclasses.replace(recording.cells[0], name="m"))
    wiring = Wiring(neurons, tuple(Synapse(pre, post, 1.0) for pre, post in edges))
    found = run_probe("spikes", Subject(recording, wiring)).numbers
    assert found["rate"] == pytest.approx(4 / DT / 3, rel=0.03)
    assert found["most"] == pytest.approx(4 / DT * 2 / 3, rel=0.03)
    assert (found["silent"], found["saturated"]) == (1, 0)
    # Two synapses hear n1, which fires in a third of four substeps; one hears n2, in two thirds; a motor is left out.
    assert found["operations"] == pytest.approx(2 * 4 / 3 + 1 * 8 / 3, rel=0.05)
    assert found["operations_of_rates"] == 3


def test_a_branching_factor_of_1_is_a_chain_and_of_0_neurons_that_nothing_follows():
    chain, targets = np.zeros((200, 6), np.uint8), np.eye(6, k=-1, dtype=bool)
    for start in range(30, 150, 20):
        chain[start + np.arange(6), np.arange(6)] = 1
    # Five of six have one spike follow; the sixth has no target. Each but the first is preceded by one.
    assert branching_factor(chain, targets) == pytest.approx(5 / 6)
    fans = np.eye(6, dtype=bool) * False
    fans[1:3, 0] = True
    assert branching_factor(chain, fans) == pytest.approx(2 / 6)
    assert branching_factor(chain, np.zeros((6, 6), bool)) == 0
    assert np.isnan(branching_factor(np.zeros((100, 6), np.uint8), targets))


def test_stronger_weights_branch_more():
    found = []
    for strength in (0.6, 1.0, 1.6):
        rng = np.random.default_rng(0)
        _, mask, weights = drawn_liquid(125, 46, 100, rng)
        medium = Medium(strength * weights / 3, mask, 100, Plasticity(0.0, potentiation=0.0, depression=0.0, bias=0.0))
        raster = []
        for bits in rng.random((250, 46)) < 0.5:
            medium.step(bits)
            raster.append(medium.spikes[:125])
        found.append(branching_factor(np.array(raster), mask[:, :125]))
    assert found[0] < found[1] < found[2]


def test_complexity_of_neurons_that_fire_is_that_of_their_spikes():
    recording = fired(steps=400, n=4)
    regular = recording.spikes.copy()
    regular[..., 3] = (np.arange(1600) % 7 == 0).reshape(400, 4)
    result = run_probe("complexity", Subject(dataclasses.replace(recording, spikes=regular), Wiring((), ())))
    found = dict(zip(result.arrays["neuron"].tolist(), result.arrays["complexity"][0], strict=True))
    assert result.numbers["constant"] == 1  # n0 never fires
    # Random spikes are as irregular as their shuffles, which have the same rate.
    assert found["n1"] == pytest.approx(1, abs=0.06)
    assert found["n2"] == pytest.approx(1, abs=0.06)
    assert found["n3"] < 0.2
    silent = dataclasses.replace(recording, spikes=np.zeros_like(regular))
    with pytest.raises(InvalidRecording, match="no neuron fires in some substeps and not in others"):
        run_probe("complexity", Subject(silent, Wiring((), ())))
    assert lempel_ziv(regular[0, :, :, 3].ravel() > 0) < 12


def test_a_film_shows_the_spikes_of_neurons_that_fire(subject):
    view = NeuronView(subject.recording, subject.wiring, size=(640, 480))
    strip = view._rows
    assert strip.shape[1] == 120 * SUBSTEPS
    names = [view._neurons[index].name for index in view._order]
    row = strip[names.index("unit_3")]
    dark = row.astype(int).sum(-1) < 200
    assert np.array_equal(dark, subject.recording.spikes[0, :, :, 3].ravel() > 0)
    assert view.frame(60).shape == (480, 640, 3)
    many = dataclasses.replace(subject.recording, spikes=np.repeat(subject.recording.spikes, 8, axis=2))
    assert np.array_equal(NeuronView(many, subject.wiring, size=(640, 480))._rows, strip), "32 substeps, four columns"


@pytest.mark.slow
def test_a_report_draws_the_raster(run, tmp_path):
    probe(run, ["spikes"], episodes=1)
    page = report(run, out=tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="spikes"' in page
    assert "synaptic operations a control step" in page


def test_a_circuit_that_does_not_fire_has_no_raster():
    recording = planted(n_links=4, steps=100)
    assert recording.spikes.size == 0
    with pytest.raises(InvalidRecording, match="none of the circuit's neurons fire"):
        run_probe("spikes", Subject(recording, Wiring((), ())))
