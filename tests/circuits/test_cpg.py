"""The chain of phase oscillators: what coupling settles on, what it hears, and what silencing it cuts."""

import math

import numpy as np
import pytest
import torch
from nervecord.agents import Agent
from nervecord.circuits import CPG, Pins, load_weights, make_circuit
from nervecord.drawing import neuron_places
from nervecord.errors import CircuitMismatch
from nervecord.training.rollouts.evaluation import evaluate_on
from nervecord.training.runs import RunConfig, resolve


def cpg(n_joints=6, **options):
    return CPG(n_joints, **options).double()


def start(circuit, angles):
    angles = torch.as_tensor(angles, dtype=torch.float64).expand(1, circuit.n_motors)
    return {"phase": torch.stack((angles.cos(), angles.sin()), -1)}


def angles_of(state):
    return torch.atan2(state["phase"][0, :, 1], state["phase"][0, :, 0])


@torch.no_grad()
def test_every_lag_becomes_psi_and_the_frequency_that_of_one_oscillator():
    """Twelve joints of 6 rad in all: lags of -0.5000 and 1.3000 Hz, from all phases at 0."""
    circuit = cpg(12, frequency=1.3, wavelength=2 * math.pi / 6)
    state, q = circuit.initial_state(1), torch.zeros(1, 12, dtype=torch.float64)
    for _ in range(600):
        _, state = circuit(q, state)
    angles = angles_of(state)
    _, state = circuit(q, state)
    lags = torch.remainder(angles.diff() + math.pi, 2 * math.pi) - math.pi
    turned = torch.remainder(angles_of(state) - angles, 2 * math.pi)
    np.testing.assert_allclose(lags, -0.5, atol=5e-5)
    np.testing.assert_allclose(turned / (2 * math.pi * 0.03), 1.3, atol=5e-5)


@torch.no_grad()
def test_what_turns_an_oscillator_is_its_synapses_across_its_phase():
    dt, rng = 1e-6, torch.Generator().manual_seed(0)
    circuit = cpg(feedback=True, dt=dt)
    circuit.stretch.fill_(0.7)
    names = {neuron.name: index for index, neuron in enumerate(circuit.neurons)}
    weights = torch.zeros(len(names), len(names), dtype=torch.float64)
    for synapse in circuit.wiring().synapses:
        weights[names[synapse.post], names[synapse.pre]] += synapse.weight
    state = start(circuit, 6 * torch.rand(6, generator=rng, dtype=torch.float64))
    q = torch.randn(1, 6, generator=rng, dtype=torch.float64)
    motor, after, activity = circuit.forward_with_activity(q, state)
    drive = activity @ weights.T
    cos, sin = (activity[0, circuit.groups[name]] for name in ("cos", "sin"))
    turn = 2 * math.pi / 1.8 + cos * drive[0, circuit.groups["sin"]] - sin * drive[0, circuit.groups["cos"]]
    torch.testing.assert_close((angles_of(after) - angles_of(state)) / dt, turn, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(motor, drive[:, circuit.groups["motors"]])


@torch.no_grad()
def test_a_silenced_oscillator_cuts_the_chain():
    circuit = cpg(6)
    n = len(circuit.neurons)
    kept = torch.ones(1, n, dtype=torch.float64)
    kept[0, [index for index, neuron in enumerate(circuit.neurons) if neuron.name in ("cos_2", "sin_2")]] = 0
    pins, q = Pins(kept, torch.zeros_like(kept)), torch.zeros(1, 6, dtype=torch.float64)

    def motors(front):
        state = start(circuit, [front, 0.0, 0.0, 0.0, 0.0, 0.0])
        for _ in range(20):
            motor, state = circuit(q, state, pins)
        return motor[0]

    one, other = motors(0.0), motors(2.0)
    assert (one[:2] - other[:2]).abs().min() > 1e-3
    assert one[2] == 0
    torch.testing.assert_close(one[3:], other[3:], rtol=0, atol=0)


@torch.no_grad()
def test_feedback_starts_without_an_effect_and_then_has_one():
    q, starts = torch.rand(20, 2, 6, dtype=torch.float64) - 0.5, torch.zeros(20, 2, dtype=torch.bool)
    deaf, feeling = cpg(), cpg(feedback=True)
    state = deaf.initial_state(2)
    torch.testing.assert_close(feeling.unroll(q, state, starts)[0], deaf.unroll(q, state, starts)[0])
    feeling.stretch.fill_(1.0)
    assert (feeling.unroll(q, state, starts)[0] - deaf.unroll(q, state, starts)[0]).abs().max() > 0.05
    assert torch.equal(deaf.unroll(q, state, starts)[0], deaf.unroll(-q, state, starts)[0])


@pytest.mark.parametrize(("feedback", "n_weights"), [(False, 4), (True, 5)])
def test_the_weights_fit_every_length(feedback, n_weights):
    circuit = CPG(5, feedback=feedback)
    assert sum(parameter.numel() for parameter in circuit.parameters()) == n_weights
    load_weights(CPG(23, feedback=feedback), circuit.state_dict())


def test_oscillators_are_drawn_above_their_joints_and_apart():
    neurons = CPG(5, feedback=True).neurons
    places = neuron_places(neurons)
    assert len(set(places.values())) == len(neurons)
    assert all(places[neuron.name][0] == neuron.position for neuron in neurons)
    assert [places[f"{kind}_0"][1] for kind in ("cos", "q", "sin", "motor")] == [4, 3, 2, 1]


def test_it_swims_untrained_as_measured():
    resolved = resolve(RunConfig("cpg"))
    assert np.mean(evaluate_on(resolved, Agent(resolved.agent), 16).returns) == pytest.approx(684, abs=30)


def test_wrong_options_are_one_line():
    for options in ({"frequency": 0.0}, {"wavelength": -1.0}):
        name, value = next(iter(options.items()))
        with pytest.raises(CircuitMismatch, match=rf"{name} is {value:g} \w+; give a number above 0"):
            make_circuit("cpg", {"joint_pos": 5}, 5, options)
