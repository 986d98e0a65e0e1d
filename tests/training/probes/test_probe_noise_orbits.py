"""Orbits against the complex Ornstein-Uhlenbeck process, and stays against a Markov chain."""

import dataclasses

import numpy as np
import pytest
from nervecord.errors import CircuitMismatch, InvalidRecording
from nervecord.training.learning.training import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.noise_orbits import measure_orbits, measure_stays, output_states
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig
from planted import WIRING, planted


def ornstein_uhlenbeck(dt=0.01, mu=-0.5, omega=2 * np.pi, sigma=0.3, rollouts=400, steps=2000) -> np.ndarray:
    """z <- z + dt (mu + i omega) z + sigma sqrt(dt) xi, with unit noise in the real and in the imaginary part."""
    rng = np.random.default_rng(0)
    factor = 1 + dt * (mu + 1j * omega)
    variance = 2 * sigma**2 * dt / (1 - abs(factor) ** 2)
    noise = rng.normal(size=(steps, rollouts, 2)) @ [1, 1j]
    z = np.empty((steps, rollouts), complex)
    z[0] = noise[0] * np.sqrt(variance / 2)  # in its stationary state from the first step on
    for step in range(1, steps):
        z[step] = factor * z[step - 1] + sigma * np.sqrt(dt) * noise[step]
    return np.stack([z.real, z.imag], -1).swapaxes(0, 1)


def test_a_complex_ornstein_uhlenbeck_process_spreads_and_turns_as_its_closed_form():
    away = ornstein_uhlenbeck()
    found = measure_orbits(away + 3, np.array([3.0, 3.0]), 0.01)
    assert found.spread == pytest.approx(0.2986, rel=0.04)
    # From one step to the next it turns by the angle of 1 + dt (mu + i omega), which is dt omega to 0.4 %.
    assert found.rotation == pytest.approx(2 * np.pi, rel=0.02)
    assert found.in_plane == pytest.approx(1)


def test_rotation_knows_the_plane_and_neither_its_place_nor_its_shape():
    away = ornstein_uhlenbeck(rollouts=50, steps=500)
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.normal(size=(7, 7)))[0][:2]
    one = measure_orbits(away, np.zeros(2), 0.01)
    other = measure_orbits(away @ turn, np.zeros(7), 0.01)
    assert other.rotation == pytest.approx(one.rotation)
    assert other.spread == pytest.approx(one.spread)
    far = measure_orbits(away, np.array([3.0, 4.0]), 0.01)
    assert far.rotation == pytest.approx(one.rotation)
    assert far.spread == pytest.approx(25 + one.spread, rel=0.05)
    assert measure_orbits(away[..., ::-1], np.zeros(2), 0.01).rotation == pytest.approx(one.rotation)
    flat = measure_orbits(away * [1, 0.1], np.zeros(2), 0.01)
    assert flat.rotation == pytest.approx(one.rotation, rel=0.05)
    line = away[..., :1] * [1.0, 2.0]
    assert measure_orbits(line, np.zeros(2), 0.01).rotation == 0


def test_stays_of_a_markov_chain():
    rng = np.random.default_rng(0)
    states = np.cumsum(rng.random((200, 2000)) < 0.05, 1) % 3
    found = measure_stays(states, 0.1)
    assert found.residency == pytest.approx(0.1 / 0.05, rel=0.02)
    assert found.transition_rate == pytest.approx(0.05 / 0.1, rel=0.02)
    assert found.states == 3
    still = measure_stays(np.zeros((3, 50), int), 0.1)
    assert (still.residency, still.transition_rate, still.states) == (5, 0, 1)
    assert output_states(np.array([[1.0, -1.0, 2.0], [-1.0, 0.5, 0.0]])).tolist() == [5, 2]


@pytest.fixture(scope="module")
def subjects(tmp_path_factory) -> dict[str, Subject]:
    made = {}
    for circuit, options in (("ncap", {}), ("gru", {"units": 8})):
        config = RunConfig(circuit, body="swimmer4", steps=200, episode_steps=80, circuit_options=options,
                           algorithm_options={"n_envs": 2})  # fmt: skip
        run = train(config, tmp_path_factory.mktemp("runs") / circuit, progress=False)
        made[circuit] = Subject(record(run, 2), run.agent().circuit.wiring(), run)
    return made


def test_noise_moves_a_recurrent_circuit_that_rests_without(subjects):
    found = run_probe("noise_orbits", subjects["gru"])
    assert found.numbers.keys() == found.units.keys()
    assert found.numbers["spread_quiet"] < 1e-6
    assert found.numbers["rotation_quiet"] == found.numbers["transition_rate_quiet"] == 0
    assert found.numbers["spread_noisy"] > 1e-4
    assert found.numbers["transition_rate_noisy"] > 0
    again = run_probe("noise_orbits", subjects["gru"])
    assert again.numbers == found.numbers


def test_what_has_no_orbit_is_said_in_one_line(subjects):
    with pytest.raises(InvalidRecording, match="give a run"):
        run_probe("noise_orbits", Subject(planted(), WIRING))
    with pytest.raises(CircuitMismatch, match="NCAP has no recurrent units"):
        run_probe("noise_orbits", subjects["ncap"])
    subject = subjects["gru"]
    still = dataclasses.replace(subject.recording, observations=np.zeros_like(subject.recording.observations))
    with pytest.raises(InvalidRecording, match="every sensor is constant"):
        run_probe("noise_orbits", dataclasses.replace(subject, recording=still))
    with pytest.raises(InvalidRecording, match="not finite in rollout 0, step 1"):
        measure_orbits(np.array([[[0, 0], [np.nan, 0], [1, 1]]]), np.zeros(2), 0.1)
    with pytest.raises(InvalidRecording, match="2 or more of both"):
        measure_orbits(np.zeros((2, 1, 2)), np.zeros(2), 0.1)


def test_states_of_more_motors_than_an_integer_has_bits_stay_apart():
    motors = -np.ones((2, 3, 99))
    motors[0, 1, 98] = motors[1, 0, 70] = 1
    states = output_states(motors)
    assert states.shape == (2, 3)
    assert len(np.unique(states)) == 3
    assert states[0, 0] == states[0, 2] == states[1, 1] == states[1, 2]
