"""Probes against planted motions whose answers are known."""

import dataclasses

import numpy as np
import pytest
import xarray
from nervecord.circuits import NCAP
from nervecord.drawing import draw_wiring, to_networkx
from nervecord.errors import InvalidRecording
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.gait import travelling_index, undulation_frequency
from nervecord.training.rollouts.recording import Recording
from planted import DT, WIRING, planted


def test_gait_finds_the_planted_wave():
    numbers = run_probe("gait", Subject(planted(), WIRING)).numbers
    assert numbers["frequency"] == pytest.approx(1.3, rel=0.001)
    assert numbers["wavelength"] == pytest.approx(0.65, rel=0.01)
    assert numbers["joint_lag"] == pytest.approx(-0.806, abs=0.005)
    assert numbers["wave_speed"] == pytest.approx(0.845, rel=0.01)
    assert numbers["com_speed"] == pytest.approx(0.1, rel=1e-6)
    # 11 joints of 2 mN m at 1 rad/s, 0.12 kg at 0.1 m/s.
    assert numbers["cost_of_transport"] == pytest.approx(11 * 2e-3 / 0.012)
    assert numbers["tail_amplitude"] == pytest.approx(0.1, rel=0.03)
    assert numbers["strouhal"] == pytest.approx(1.3, rel=0.03)


def test_one_joint_alone_has_no_wavelength_and_no_warning(recwarn):
    found = run_probe("gait", Subject(planted(n_links=2), WIRING))
    assert found.numbers["wavelength"] == np.inf
    assert not recwarn.list


def test_travelling_index_tells_travelling_from_standing():
    assert run_probe("gait", Subject(planted(), WIRING)).numbers["travelling_index"] > 0.9
    assert run_probe("gait", Subject(planted(standing=True), WIRING)).numbers["travelling_index"] < 0.1


@pytest.mark.parametrize("frequency", [0.31, 0.5556, 1.0, 2.77])
def test_frequency_is_finer_than_a_bin(frequency):
    time = np.arange(800)[:, None] * DT
    assert undulation_frequency(np.sin(2 * np.pi * frequency * time), DT) == pytest.approx(frequency, rel=2e-3)


def test_gait_does_not_depend_on_where_or_which_way_the_body_swims():
    plain = planted()
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    moved = dataclasses.replace(plain, com_pos=plain.com_pos @ turn.T + 3, link_pos=plain.link_pos @ turn.T + 3)
    mirrored = dataclasses.replace(plain, joint_pos=-plain.joint_pos)
    one = run_probe("gait", Subject(plain, WIRING)).numbers
    for other in (moved, mirrored):
        assert run_probe("gait", Subject(other, WIRING)).numbers == pytest.approx(one, rel=1e-6)
    assert travelling_index(5 * plain.joint_pos[0]) == pytest.approx(travelling_index(plain.joint_pos[0]))


def test_several_episodes_bring_an_interval():
    numbers = run_probe("gait", Subject(planted(episodes=3), WIRING)).numbers
    assert numbers["frequency_low"] == numbers["frequency"] == numbers["frequency_high"]


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        (planted(steps=50), "longer episodes"),
        (dataclasses.replace(planted(), joint_pos=np.zeros((1, 1000, 11))), "no joint moves"),
        (dataclasses.replace(planted(), joint_pos=np.full((1, 1000, 11), np.nan)), "not finite"),
        (
            dataclasses.replace(planted(), joint_pos=np.linspace(0.1, 1, 1000)[None, :, None] * np.ones(11)),
            "not undulate",
        ),
    ],
)
def test_recordings_without_a_gait_are_refused_in_one_line(recording, words):
    with pytest.raises(InvalidRecording, match=words):
        run_probe("gait", Subject(recording, WIRING))


def test_the_drawn_graph_is_the_circuits():
    graph = to_networkx(WIRING)
    assert graph.number_of_edges() == 2 + 8 + 10 + 10
    assert graph.edges["osc_d", "B_d_0", 0]["weight"] == 1
    assert graph.edges["q_d_1", "B_d_2", 0]["group"] == "prop"
    assert graph.edges["B_v_3", "muscle_d_3", 0]["weight"] == -1
    assert run_probe("diagram", Subject(planted(), WIRING)).numbers["inhibitory"] == 10


def test_a_recording_round_trips_and_a_damaged_one_is_named(tmp_path):
    recording = planted(episodes=2, steps=80)
    path = tmp_path / "recording.nc"
    recording.save(path)
    read = Recording.load(path)
    assert read.neurons == recording.neurons
    assert read.meta == recording.meta
    assert read.lengths.tolist() == [80, 80]
    arrays = [
        field.name for field in dataclasses.fields(recording) if field.name not in ("neurons", "dt", "meta", "firing")
    ]
    for name in arrays:
        ours, theirs = getattr(recording, name), getattr(read, name)
        assert theirs.shape == ours.shape
        assert np.allclose(theirs, ours, atol=1e-6)
    assert np.allclose(read.activity[1, 10:20, 3], recording.activity[1, 10:20, 3], atol=1e-6)
    opened = xarray.open_dataset(path)
    assert opened.joint_pos.dims == ("episode", "time", "joint")
    assert opened.joint_pos.units == "rad"
    assert np.allclose(opened.activity.sel(neuron="n3", time=DT * 7), recording.activity[:, 7, 3], atol=1e-6)
    opened.close()
    path = tmp_path / "cut" / "recording.nc"
    path.parent.mkdir()
    path.write_bytes((tmp_path / "recording.nc").read_bytes()[:2000])
    with pytest.raises(InvalidRecording, match=r"recording\.nc"):
        Recording.load(path)


@pytest.mark.parametrize("joints", [5, 23])
def test_the_diagram_shows_names_as_they_are_typed_apart_from_each_other(joints):
    wiring = NCAP(joints).wiring()
    figure = draw_wiring(wiring)
    figure.canvas.draw()
    labels = figure.axes[0].texts
    assert {label.get_text().replace("\n", "") for label in labels} == {neuron.name for neuron in wiring.neurons}
    boxes = [label.get_window_extent() for label in labels]
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
