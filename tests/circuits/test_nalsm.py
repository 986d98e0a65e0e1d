"""The neuron-astrocyte liquid against its authors' code, and as a circuit."""

from pathlib import Path

import numpy as np
import pytest
import torch
from nervecord.circuits import NALSM, Medium, Pins, Plasticity, make_circuit
from nervecord.circuits.held import weights_to_come
from nervecord.circuits.liquid.nalsm import count_up, drawn_liquid
from nervecord.errors import CircuitMismatch

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "nalsm.npz")
EVERY = 20  # ms, at which the golden weights are kept


@pytest.mark.parametrize("name", ["case0", "case1"])
def test_every_ms_is_that_of_the_authors_code(name):
    case = {key.split("/")[1]: GOLDEN[key] for key in GOLDEN if key.startswith(name)}
    _, excitatory, _, steps, fading, gain, bound, eta, tau, trace = case["options"].tolist()
    rates = Plasticity(gain, bound, eta, eta, tau, trace, fading)
    medium = Medium(case["weights0"], case["mask"], int(excitatory), rates)
    for ms in range(int(steps)):
        medium.step(case["input"][ms])
        assert np.array_equal(medium.spikes, case["spikes"][ms])
        for found, key in ((medium.voltage, "voltage"), (medium.trace, "trace"), (rates.depression, "astrocyte"),
                           (rates.potentiation, "potentiation")):  # fmt: skip
            assert np.allclose(found, case[key][ms], atol=1e-9, rtol=0), key
        if ms % EVERY == EVERY - 1:
            assert np.allclose(medium.weights, case["weights"][ms // EVERY], atol=1e-9, rtol=0)


def small(gain=0.015, fading=1.0) -> Medium:
    _, mask, weights = drawn_liquid(27, 10, 22, np.random.default_rng(0))
    return Medium(weights, mask, 22, Plasticity(gain, fading=fading))


def test_without_gain_depression_only_fades_and_a_silent_liquid_keeps_its_weights():
    medium, before = small(0.0, 0.99), small().weights
    for ms in range(1, 50):
        medium.step(np.zeros(10))
        # The bias fades as it does, and so what it returns to.
        assert medium.plasticity.depression == pytest.approx(0.15 * 0.99**ms)
    assert np.array_equal(medium.weights, before)


def test_of_inhibitory_synapses_the_two_rates_change_places():
    weights = np.array([[0.0, 1.0, -1.0], [1.0, 0.0, -1.0], [1.0, 1.0, 0.0]])
    medium = Medium(np.pad(weights, ((0, 0), (0, 1))), np.pad(weights != 0, ((0, 0), (0, 1))), 2, Plasticity(0.0))
    medium.trace[:] = 0.5
    medium.voltage[0] = 20.0  # unit 0 fires, which hears units 1 and 2
    before = medium.weights.copy()
    medium.step(np.zeros(1))
    change = medium.weights - before
    assert change[0, 1] == pytest.approx(0.15 * 0.5)
    assert change[0, 2] == pytest.approx(-0.15 * 0.5)
    assert change[1, 0] == change[2, 0] == pytest.approx(-0.15 * 0.5)


@torch.no_grad()
def test_a_liquid_whose_weights_are_to_come_is_drawn_alike_and_organised_when_it_is_loaded():
    def built() -> NALSM:
        return NALSM({"x": 3}, 2, units=27, samples=3, rng=torch.Generator().manual_seed(5))

    organised = built()
    with weights_to_come():
        drawn = built()
    assert drawn.neurons == organised.neurons
    assert torch.equal(drawn.mask, organised.mask)
    assert torch.equal(drawn.weights.abs(), 3.0 * drawn.mask), "as they begin"
    assert not torch.equal(drawn.weights, organised.weights)
    drawn.load_state_dict(organised.state_dict())
    assert torch.equal(drawn.weights, organised.weights)
    assert torch.equal(built().weights, organised.weights), "outside they organise themselves again"


def test_an_organised_liquid_fires_about_as_often_as_its_inputs():
    def rate(samples):
        circuit = NALSM({"x": 23}, 2, samples=samples, rng=torch.Generator().manual_seed(0))
        weights, rng = circuit.weights.double().numpy(), np.random.default_rng(1)
        medium = Medium(weights, circuit.mask.numpy(), 100, Plasticity(0.0, potentiation=0.0, depression=0.0, bias=0.0))
        bits = count_up(rng.standard_normal((5, 23)).repeat(200, 0), rng.random(46))
        fired = 0
        for row in bits:
            medium.step(row)
            fired += medium.spikes[:125].sum()
        assert np.array_equal(medium.weights, weights)
        return fired / bits.sum()

    assert rate(0) > 5
    assert 0.2 < rate(30) < 2


@torch.no_grad()
def test_the_circuit_acts_as_the_medium_does_without_plasticity():
    circuit = NALSM({"x": 6}, 2, units=27, samples=2, rng=torch.Generator().manual_seed(0)).double()
    fixed = Plasticity(0.0, potentiation=0.0, depression=0.0, bias=0.0)
    medium = Medium(circuit.weights.numpy(), circuit.mask.numpy(), 22, fixed)
    state, sensors = (
        circuit.initial_state(1),
        3 * torch.randn(10, 1, 6, generator=torch.Generator().manual_seed(1)).double(),
    )
    counted = count_up(sensors[:, 0].numpy().repeat(30, 0), np.zeros(12))
    trace = np.zeros(27)
    for step, row in enumerate(sensors):
        raster = circuit.spikes(row, state)[0]
        _, state, activity = circuit.forward_with_activity(row, state)
        total = np.zeros(27)
        for ms in range(30):
            medium.step(counted[30 * step + ms])
            assert np.array_equal(raster[ms], medium.spikes[:27])
            total += medium.spikes[:27]
        trace = np.exp(-0.03 / 0.15) * trace + (1 - np.exp(-0.03 / 0.15)) * total
        assert np.allclose(state["s"][0], trace, atol=1e-9)
        assert np.allclose(activity[0, circuit.groups["units"]], trace, atol=1e-9)
    assert trace.any()


def test_only_the_readout_learns_and_the_liquid_is_saved_and_drawn_from_the_rng():
    one, again, other = (
        NALSM({"x": 6}, 2, units=27, samples=2, rng=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert {name for name, _ in one.named_parameters()} == {"readout.weight", "readout.bias"}
    assert "weights" in one.state_dict()
    assert torch.equal(one.weights, again.weights)
    assert not torch.equal(one.weights, other.weights)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.weights, other.weights)
    before = one.weights.clone()
    one.organise(5 * torch.randn(30, 6, generator=torch.Generator().manual_seed(0)))
    assert not torch.equal(one.weights, before)
    assert (one.weights[:, :22] >= 0).all()
    assert (one.weights[:, 22:27] <= 0).all()
    assert not one.weights[~one.mask].any()
    positions = [neuron.position for neuron in one.neurons if neuron.name.startswith(("exc", "inh"))]
    assert sorted(positions) == sorted([0.0, 0.5, 1.0] * 9)


@torch.no_grad()
def test_nothing_hears_a_silenced_unit_of_the_liquid():
    circuit = NALSM({"x": 6}, 2, units=27, samples=0, rng=torch.Generator().manual_seed(0))
    circuit.weights[:, 27:] = 0.0
    circuit.weights[3, 27:] = 3.0  # unit 3 alone hears the inputs
    scale = torch.ones(len(circuit.neurons))
    scale[circuit.groups["units"].start + 3] = 0.0
    pins = Pins(scale, torch.zeros(len(scale)))
    fired = {}
    for kind, pinned in (("free", None), ("silenced", pins)):
        state, fired[kind] = circuit.initial_state(1), torch.zeros(27)
        for _ in range(10):
            fired[kind] += circuit.spikes(4 * torch.ones(1, 6), state, pinned)[0].sum(0)
            _, state = circuit(4 * torch.ones(1, 6), state, pinned)
    assert fired["free"].count_nonzero() > 3
    assert fired["silenced"].nonzero().flatten().tolist() == [3]
    assert not state["s"][:, 3].any()


@pytest.mark.parametrize(
    ("senses", "options", "message"),
    [
        ({"x": 2}, {"units": 100}, "units is 100; give a cube, such as 27, 64 or 125"),
        ({"x": 2}, {"gain": -1.0}, "gain is -1.0; give 0 to 1"),
        ({"x": 2}, {"samples": -1}, "samples is -1; give 0 or more"),
        ({}, {}, "a liquid without input never fires"),
    ],
)
def test_a_liquid_that_cannot_be_is_one_line(senses, options, message):
    with pytest.raises(CircuitMismatch, match=message):
        make_circuit("nalsm", senses, 1, options)
    circuit = NALSM({"x": 2}, 1, units=8, samples=0)
    drawn = circuit.weights.clone()
    for sensors, what in (
        (torch.zeros(50, 3), r"give \(time, 2\)"),
        (torch.zeros(3, 2), "last 90 ms; give a sample"),
        (torch.full((50, 2), torch.nan), "not all finite"),
        (torch.zeros(50, 2), "hears nothing; give a body that moves"),
    ):
        with pytest.raises(CircuitMismatch, match=what):
            circuit.organise(sensors)
    assert torch.equal(circuit.weights, drawn)


def test_weights_that_are_loaded_into_a_liquid_change_no_other():
    def built(seed):
        options = {"units": 27, "samples": 0}
        return make_circuit("nalsm", {"joint_pos": 2}, 2, options, torch.Generator().manual_seed(seed))

    first, second = built(0), built(0)
    mask = first.mask.clone()
    assert not torch.equal(mask, built(1).mask)
    second.load_state_dict(built(1).state_dict())
    assert torch.equal(first.mask, mask)
    assert torch.equal(built(0).mask, mask)
