"""Learned delays of synapses against DCLS with SpikingJelly's units, and what delays must do."""

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from nervecord.circuits import CTRNN, Spiking, Synapse, make_circuit
from nervecord.circuits.delays import delayed
from nervecord.circuits.spiking.surrogate import spike
from nervecord.drawing import draw_wiring, to_networkx
from nervecord.errors import CircuitMismatch

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "delays.npz")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def layer(inputs, weight, position, depth, width, steps):
    """What a layer receives: DCLS counts positions from the centre backwards, and pads with zeros on both sides."""
    kernel = delayed(weight, (depth - 1) / 2 - position, depth, width)
    if width is None:
        kernel = kernel / (1 + 1e-7)  # its weights are divided by their sum and a little more
    batch, units = inputs.shape[1:]
    buffer = inputs.new_zeros(batch, depth, units)
    received = []
    for row in torch.cat((inputs, inputs.new_zeros(steps - len(inputs), batch, units))):
        buffer = torch.cat((row[:, None], buffer[:, :-1]), 1)
        received.append(buffer.flatten(1) @ kernel.t())
    return received


@pytest.mark.parametrize("name", ["case0", "case1", "case2"])
def test_currents_spikes_and_gradients_are_those_of_dcls(name):
    case = {key.split("/")[1]: torch.as_tensor(GOLDEN[key]) for key in GOLDEN if key.startswith(name)}
    _, _, _, depth, kind, sigma, tau = case["options"].tolist()
    weights = {key: case[key].requires_grad_() for key in ("W0", "P0", "W1", "P1")}
    width = None if kind == 1 else abs(sigma) + 0.27
    depth = int(depth)
    currents = layer(case["input"], case["W0"], case["P0"], depth, width, len(case["current"]))
    v, fired = torch.zeros_like(currents[0]), []
    for current in currents:
        v = v * (1 - 1 / tau) + current
        fired.append(spike(v - 1, "atan", 5.0))
        v = v * (1 - fired[-1].detach())
    spikes = torch.stack(fired)
    read, readout = torch.zeros_like(case["readout"][0]), []
    for current in layer(spikes, case["W1"], case["P1"], depth, width, len(case["readout"])):
        read = read * (1 - 1 / tau) + current
        readout.append(read)
    assert torch.allclose(torch.stack(currents), case["current"], atol=1e-9, rtol=0)
    assert torch.equal(spikes, case["spikes"])
    assert torch.allclose(torch.stack(readout), case["readout"], atol=1e-9, rtol=0)
    (torch.stack(readout) * case["probe"]).sum().backward()
    for key, weight in weights.items():
        assert torch.allclose(weight.grad, case[f"grad_{key}"], atol=1e-9), key


def test_a_delay_of_whole_steps_is_one_value_and_one_between_is_exact_for_lines():
    delays = torch.tensor([[0.0, 3.0], [1.25, 2.5]])
    share = delayed(torch.ones(2, 2), delays, 5).unflatten(1, (5, 2)).transpose(1, 2)
    assert torch.equal(share[0, 0], torch.tensor([1.0, 0, 0, 0, 0]))
    assert torch.equal(share[0, 1], torch.tensor([0.0, 0, 0, 1, 0]))
    assert torch.allclose(share.sum(-1), torch.ones(2, 2))
    line = 7 - 2 * torch.arange(5.0)  # newest first
    assert torch.allclose(share @ line, 7 - 2 * delays)


KINDS = [(CTRNN, {"substeps": 2}), (CTRNN, {"form": "drive"}), (Spiking, {}), (Spiking, {"substeps": 0})]


def outputs(circuit, inputs):
    starts = torch.zeros(inputs.shape[:2], dtype=torch.bool)
    return circuit.unroll_features(inputs, circuit.initial_state(inputs.shape[1]), starts)[0]


@torch.no_grad()
@pytest.mark.parametrize(("kind", "options"), KINDS[1:])
def test_a_buffer_of_one_step_is_no_delay(kind, options):
    without, one = (kind({"x": 3}, 2, units=6, delays=n, rng=rng(), **options) for n in (0, 1))
    one.load_state_dict({**without.state_dict(), "raw_delay": torch.full((6, 6), 0.3)})
    inputs = torch.randn(20, 4, 3, generator=rng(1))
    assert torch.allclose(outputs(one, inputs), outputs(without, inputs), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize(("kind", "options"), KINDS[2:])
def test_a_sequence_with_delays_is_its_steps_bit_for_bit(kind, options):
    circuit = kind({"x": 3}, 2, units=16, delays=5, rng=rng(), **options)
    inputs, starts = torch.randn(24, 8, 3, generator=rng(1)), torch.rand(24, 8, generator=rng(3)) < 0.1
    motors, after = circuit.unroll(inputs, circuit.initial_state(8), starts)
    state = circuit.initial_state(8)
    for row, start, wanted in zip(inputs, starts, motors, strict=True):
        motor, state = circuit(row, circuit.reset_state(state, start))
        assert torch.equal(motor, wanted)
    assert all(torch.equal(state[key], after[key]) for key in state)


@torch.no_grad()
@pytest.mark.parametrize("late", [0, 1, 2, 5])
def test_what_a_unit_hears_is_as_late_as_its_synapse(late):
    """Unit 1 hears unit 0 alone, and unit 0 the input alone; before the start there was nothing to hear."""
    circuit = Spiking({"x": 1}, 1, units=2, substeps=0, delays=6, rng=rng()).double()
    circuit.weight_rec.copy_(torch.tensor([[0.0, 0.0], [0.5, 0.0]]))
    circuit.weight_in.copy_(torch.tensor([[0.4], [0.0]]))
    circuit.bias.fill_(0.1)
    circuit.raw_delay.fill_(late)
    found = outputs(circuit, torch.rand(40, 1, 1, generator=rng(1)).double())[:, 0]
    kept, trace = float(torch.exp(-1 / circuit.tau)[1]), 0.0
    for step in range(40):
        heard = float(found[step - 1 - late, 0]) if step > late else 0.0
        trace = kept * trace + (1 - kept) * (0.1 + 0.5 * heard)
        assert float(found[step, 1]) == pytest.approx(trace, abs=1e-12)


@torch.no_grad()
def test_delays_stay_as_many_seconds_at_another_control_step():
    short, long = (
        make_circuit("spiking", {"x": 1}, 1, {"units": 4, "delays": 5}, rng(), dt=dt, dt_ref=0.03)
        for dt in (0.015, 0.03)
    )
    assert (short.depth, long.depth) == (9, 5)
    assert torch.allclose(0.015 * short.drawn_delays(), 0.03 * long.drawn_delays())
    assert short.state_dict().keys() == long.state_dict().keys()
    long.raw_delay.fill_(99.0)
    assert torch.equal(long.drawn_delays(), torch.full((4, 4), 4.0))


def test_delays_learn():
    for kind, options in KINDS:
        circuit = kind({"x": 3}, 2, units=6, delays=4, rng=rng(), **options)
        outputs(circuit, torch.randn(12, 8, 3, generator=rng(1))).square().sum().backward()
        heard = circuit.drawn_weights()[1] != 0
        assert circuit.raw_delay.grad[heard].count_nonzero() == heard.sum()


def test_wiring_diagrams_and_graphml_have_the_delays(tmp_path):
    circuit = Spiking({"x": 2}, 1, units=3, delays=4, rng=rng())
    wiring = circuit.wiring()
    late = {(each.pre, each.post): each.delay for each in wiring.synapses if each.group == "recurrent"}
    assert late["unit_2", "unit_0"] == pytest.approx(float(circuit.raw_delay.detach()[0, 2]))
    assert {each.delay for each in wiring.synapses if each.group != "recurrent"} == {None}
    nx.write_graphml(to_networkx(wiring), tmp_path / "wiring.graphml")
    read = nx.read_graphml(tmp_path / "wiring.graphml")
    assert read.edges["unit_2", "unit_0"]["delay"] == pytest.approx(late["unit_2", "unit_0"])
    assert "delay" not in read.edges["x_0", "unit_0"]
    drawn = draw_wiring(wiring).axes[0]
    assert "dotted" in drawn.get_title(loc="left")
    dotted = [patch for patch in drawn.patches if patch.get_linestyle() in (":", "dotted")]
    assert len(dotted) == sum(delay >= 0.5 for delay in late.values())
    assert "dotted" not in draw_wiring(Spiking({"x": 2}, 1, units=3).wiring()).axes[0].get_title(loc="left")
    assert Synapse("a", "b", 1.0).delay is None


@pytest.mark.parametrize("delays", [-1, 65])
def test_more_delays_than_a_buffer_has_steps_are_one_line(delays):
    with pytest.raises(
        CircuitMismatch, match=rf"delays is {delays}; give up to 64 control steps .* or 0 for no delays"
    ):
        make_circuit("ctrnn", {"x": 1}, 1, {"delays": delays})
