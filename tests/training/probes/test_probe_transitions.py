"""Kick neurons: a planted relay between noise and a latch is found first, and its loss stops the output."""

import dataclasses

import numpy as np
import pytest
import torch
from nervecord.circuits import UnitCircuit
from nervecord.errors import CircuitMismatch, InvalidRecording
from nervecord.training.learning.training import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.transitions import find_kicks, largest, pinned_rates, positive
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig
from planted import WIRING, planted

UNITS, LATCH, RELAY, ECHO = 16, 3, 11, 12


class Latch(UnitCircuit):
    """A network in which a relay fires when noise is strong, and flips a bistable latch that the motors follow.

    The echo fires exactly when the relay does and reaches nothing. The other units hear the same noise and
    one another, and hardly reach latch and motors.
    """

    def __init__(self) -> None:
        super().__init__()
        self._build({"noise": 2}, 2, UNITS, None)
        rng = torch.Generator().manual_seed(0)
        weight = 0.9 * torch.randn(UNITS, UNITS, generator=rng) / UNITS**0.5
        weight[[LATCH, RELAY, ECHO]] = 0
        weight[:, [LATCH, ECHO]] = 0
        weight[LATCH] = 0.005 * torch.randn(UNITS, generator=rng)
        weight[LATCH, ECHO] = 0
        weight[LATCH, LATCH], weight[LATCH, RELAY] = 1.7, 0.8
        weight_in = torch.randn(UNITS, 2, generator=rng)
        weight_in[LATCH], weight_in[[RELAY, ECHO]] = 0, torch.tensor([1.0, 0.0])
        readout = 0.02 * torch.randn(2, UNITS, generator=rng)
        readout[:, [RELAY, ECHO]] = 0
        readout[:, LATCH] = torch.tensor([1.0, -1.0])
        self.weight, self.weight_in = torch.nn.Parameter(weight), torch.nn.Parameter(weight_in)
        self.readout.weight.data = readout

    def initial_state(self, batch_size):
        return {"h": torch.full((batch_size, UNITS), 0.1)}

    def step_features(self, sensors, state):
        heard = state["h"] @ self.weight.T + sensors @ self.weight_in.T
        h = torch.tanh(heard)
        fires = torch.nn.functional.hardshrink(heard[:, RELAY : ECHO + 1], 2.0)
        h = torch.cat((h[:, :RELAY], fires, h[:, ECHO + 1 :]), 1)
        return h, {"h": h}

    def drawn_weights(self):
        return self.weight_in, self.weight


NOISE = torch.randn(600, 16, 2, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("code", [positive, largest])
def test_a_planted_relay_is_found_first_and_its_loss_stops_the_output(code):
    circuit = Latch()
    kicks = find_kicks(circuit, NOISE, code)
    assert kicks.n_transitions > 30
    first = int(np.argmax(kicks.score))
    assert kicks.columns[first] == circuit.n_sensors + RELAY
    # The latch is in its usual place until it flips, though far from its mean over all steps.
    assert kicks.score[first] > 1.5 * kicks.score[LATCH]
    # The echo is as far out as the relay and moves nothing.
    assert kicks.z[ECHO] == pytest.approx(kicks.z[RELAY])
    assert kicks.score[ECHO] == 0
    rates = pinned_rates(circuit, NOISE, kicks, code)
    silenced = rates[1 : UNITS + 1]
    assert silenced[first] < 0.1 * rates[0]
    others = [index for index in range(UNITS) if index not in (LATCH, first)]
    assert (silenced[others] > 0.5 * rates[0]).all()
    # Driven, it holds the latch on one side.
    assert rates[1 + UNITS + first] < 0.5 * rates[0]


def test_rates_are_those_of_each_unit_alone():
    circuit = Latch()
    kicks = find_kicks(circuit, NOISE)
    assert np.allclose(pinned_rates(circuit, NOISE, kicks)[0] * 599 * 16, kicks.n_transitions, atol=20)
    shifted = Latch()
    shifted.weight.data[RELAY] = 0
    shifted.weight.data[:, RELAY] = 0
    starts = torch.zeros(600, 16, dtype=torch.bool)
    motors = shifted.unroll(NOISE, shifted.initial_state(16), starts)[0]
    codes = positive(motors)
    expected = (codes[1:] != codes[:-1]).any(-1).double().mean().item()
    found = pinned_rates(circuit, NOISE, kicks)[1 + kicks.columns.index(circuit.n_sensors + RELAY)]
    assert found == pytest.approx(expected, abs=2e-4)


def test_codes_of_motors():
    motors = torch.tensor([[1.0, -2.0, 3.0], [-1.0, -2.0, -3.0]])
    assert positive(motors).tolist() == [[1, 0, 1], [0, 0, 0]]
    assert largest(motors).tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.fixture(scope="module", params=["ncap", "gru"])
def subject(request, tmp_path_factory) -> Subject:
    options = {"gru": {"units": 16}}.get(request.param, {})
    config = RunConfig(request.param, body="swimmer4", steps=2000, episode_steps=150, circuit_options=options)
    run = train(config, tmp_path_factory.mktemp("runs") / request.param, progress=False)
    return Subject(record(run, 3), run.agent().circuit.wiring(), run)


def test_a_runs_transitions_are_those_of_its_recording(subject):
    found = run_probe("transitions", subject)
    assert found.numbers.keys() == found.units.keys()
    on = np.asarray(subject.recording.actions) > 0
    changes = (on[:, 1:] != on[:, :-1]).any(-1)
    # Transitions in the first steps have nothing before them.
    assert changes[:, 3:].sum() <= found.numbers["transitions"] <= changes.sum()
    assert found.numbers["transition_rate"] == pytest.approx(changes.mean() / subject.recording.dt, rel=0.02)
    assert len(found.words) == 6


def test_what_has_no_transitions_is_said_in_one_line(subject):
    with pytest.raises(InvalidRecording, match="give a run"):
        run_probe("transitions", Subject(planted(), WIRING))
    recording = subject.recording
    cut = dataclasses.replace(recording, rewards=recording.rewards[:, :5], observations=recording.observations[:, :5])
    with pytest.raises(InvalidRecording, match="needs episodes of 8 steps and the recording's have 5"):
        run_probe("transitions", dataclasses.replace(subject, recording=cut))
    broken = np.full_like(recording.observations, np.nan)
    with pytest.raises(InvalidRecording, match="not finite in episode 0"):
        run_probe(
            "transitions", dataclasses.replace(subject, recording=dataclasses.replace(recording, observations=broken))
        )
    with pytest.raises(InvalidRecording, match="too rarely to average"):
        find_kicks(Latch(), 1e-3 * NOISE[:100])
    circuit = Latch()
    circuit.weight.data.zero_()
    with pytest.raises(InvalidRecording, match="every neuron is constant"):
        find_kicks(circuit, torch.zeros(50, 2, 2))

    class Old(Latch):
        def forward_with_activity(self, sensors, state):
            return super().forward_with_activity(sensors, state)

    with pytest.raises(CircuitMismatch, match="do not support interventions"):
        find_kicks(Old(), NOISE)
