"""CT-RNN and ELM against the authors' numbers, gated circuits against torch, NCPs against their library."""

from pathlib import Path

import ncps.torch
import numpy as np
import pytest
import torch
from nervecord.circuits import CTRNN, ELM, GRU, LSTM, LTC, CfC
from nervecord.circuits.recurrent import with_rank
from nervecord.errors import CircuitMismatch
from torch import nn

FOLDER = Path(__file__).parents[1] / "golden"
CTRNN_GOLDEN, ELM_GOLDEN = np.load(FOLDER / "ctrnn.npz"), np.load(FOLDER / "elm.npz")


def case_of(golden, name: str) -> dict[str, torch.Tensor]:
    return {key[len(name) + 1 :]: torch.as_tensor(golden[key]) for key in golden if key.startswith(name)}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
@pytest.mark.parametrize("name", ["case0", "case1", "case2", "case3"])
def test_ctrnn_matches_the_authors_implementation(name):
    case = case_of(CTRNN_GOLDEN, name)
    units, inputs, trainable, on_drive = case["options"].int().tolist()
    circuit = CTRNN(
        {"bits": inputs}, 3, units=units, form="drive" if on_drive else "update",
        time_constants="clamp" if trainable else "fixed",
    ).double()  # fmt: skip
    if name in ("case0", "case1"):
        assert (case["tau"] < 1).any(), "the clamp is exercised"
    circuit.weight_in.copy_(case["W_in"])
    circuit.weight_rec.copy_(case["W_rec"])
    circuit.bias.copy_(case["b_in"] + case["b_rec"])
    circuit.raw_tau.copy_(case["tau"].expand(units))
    circuit.readout.load_state_dict({"weight": case["W_out"], "bias": case["b_out"]})
    start = torch.zeros(case["input"].shape[:2], dtype=torch.bool)
    states, end = circuit.unroll_features(case["input"], {"h": case["state0"]}, start)
    assert torch.allclose(states, case["state"], atol=1e-9, rtol=0)
    assert torch.allclose(end["h"], case["state"][-1], atol=1e-9, rtol=0)
    motors, _ = circuit.unroll(case["input"], {"h": case["state0"]}, start)
    assert torch.allclose(motors, case["readout"], atol=1e-9, rtol=0)


def test_a_tau_below_one_learns_under_softplus_and_not_under_the_clamp():
    gradients = {}
    for kind in ("softplus", "clamp"):
        circuit = CTRNN({"x": 2}, 1, units=6, time_constants=kind, rng=rng())
        with torch.no_grad():
            circuit.raw_tau[:3] = 0.5 if kind == "clamp" else -3.0
        sensors = torch.randn(9, 4, 2, generator=rng(1))
        start = torch.zeros(9, 4, dtype=torch.bool)
        circuit.unroll(sensors, circuit.initial_state(4), start)[0].square().sum().backward()
        gradients[kind] = circuit.raw_tau.grad
        assert (circuit.tau >= 1).all()
    assert gradients["softplus"].all()
    assert not gradients["clamp"][:3].any()
    assert gradients["clamp"][3:].all()


def test_time_constants_start_in_their_range_and_slow_units_remember_longer():
    circuit = CTRNN({"x": 1}, 1, units=50, tau=(3.0, 9.0), rng=rng())
    assert circuit.tau.min() >= 3
    assert circuit.tau.max() <= 9
    lone = CTRNN({"x": 1}, 1, units=2, time_constants="clamp", rng=rng())
    with torch.no_grad():
        lone.weight_rec.zero_()
        lone.weight_in.zero_()
        lone.bias.zero_()
        lone.raw_tau.copy_(torch.tensor([2.0, 20.0]))
        values, _ = lone.unroll_features(
            torch.zeros(10, 1, 1), {"h": torch.ones(1, 2)}, torch.zeros(10, 1, dtype=torch.bool)
        )
    # With nothing heard, h decays as (1 - 1/tau)^t.
    assert torch.allclose(values[-1, 0], torch.tensor([0.5**10, 0.95**10]), rtol=1e-5)


@torch.no_grad()
def test_substeps_are_updates_with_the_same_sensors():
    one, three = (CTRNN({"x": 2}, 1, units=5, substeps=k, rng=rng()) for k in (1, 3))
    sensors, state = torch.randn(4, 2, generator=rng(2)), {"h": torch.rand(4, 5, generator=rng(3))}
    stepped = state
    for _ in range(3):
        _, stepped = one(sensors, stepped)
    assert torch.allclose(three(sensors, state)[1]["h"], stepped["h"], atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", ["case0", "case1"])
def test_elm_matches_the_authors_implementation(name):
    case = case_of(ELM_GOLDEN, name)
    inputs, outputs, units, layers, branches, _, dt, low, high, decay = case["options"].tolist()
    assert decay == 5
    # Ours counts time constants in control steps: theirs, over the step.
    low, high = low / dt, high / dt
    # Ours hears every sensor twice, as it is and negated: the second half of its branches gets no weight.
    circuit = ELM(
        {"x": int(inputs)}, int(outputs), units=int(units), branches=2 * int(branches), layers=int(layers),
        tau=(low, high),
    ).double()  # fmt: skip
    circuit.weight_s.copy_(torch.cat((case["weight/_proto_w_s"], torch.zeros(int(inputs)))))
    assert (case["weight/_proto_w_s"] < 0).any(), "the ReLU on the weights is exercised"
    circuit.tau_b.copy_(case["weight/tau_b"].repeat(2) / dt)
    circuit.raw_tau_m.copy_(case["weight/_proto_tau_m"])
    for index in range(0, 2 * int(layers) + 1, 2):
        weight = case[f"weight/mlp.network.{index}.weight"]
        if index == 0:
            none = torch.zeros(len(weight), int(branches))
            weight = torch.cat((weight[:, : int(branches)], none, weight[:, int(branches) :]), 1)
        circuit.mlp[index].weight.copy_(weight)
        circuit.mlp[index].bias.copy_(case[f"weight/mlp.network.{index}.bias"])
    circuit.readout.load_state_dict({"weight": case["weight/w_y.weight"], "bias": case["weight/w_y.bias"]})
    assert torch.allclose(circuit.tau * dt, case["tau_m"], atol=1e-9)
    sensors = case["input"].transpose(0, 1)
    start = torch.zeros(sensors.shape[:2], dtype=torch.bool)
    motors, _ = circuit.unroll(sensors, circuit.initial_state(sensors.shape[1]), start)
    assert torch.allclose(motors.transpose(0, 1), case["output"], atol=1e-9, rtol=0)


@torch.no_grad()
def test_elm_feels_a_sensor_of_either_sign():
    circuit = ELM({"x": 1}, 1, units=4, branches=2, rng=rng())
    state = circuit.initial_state(2)
    _, after = circuit(torch.tensor([[1.0], [-1.0]]), state)
    assert torch.allclose(after["branch"], torch.tensor([[0.5, -0.5], [-0.5, 0.5]]))


@torch.no_grad()
@pytest.mark.parametrize(("kind", "layer"), [(LSTM, nn.LSTM), (GRU, nn.GRU)])
def test_gated_circuits_step_as_torchs_layers(kind, layer):
    circuit, reference = kind({"x": 3}, 2, units=6, rng=rng()), layer(3, 6)
    reference.load_state_dict(circuit.cell.state_dict())
    sensors, state = torch.randn(8, 5, 3, generator=rng(1)), circuit.initial_state(5)
    expected, _ = reference(sensors)
    for row, value in zip(sensors, expected, strict=True):
        features, state = circuit.step_features(row, state)
        assert torch.allclose(features, value, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("dt", [None, 0.04, 0.015])
@pytest.mark.parametrize("kind", [LTC, CfC])
def test_ncps_run_as_in_their_library_also_in_another_control_step(kind, dt):
    circuit = kind({"x": 4}, 3, units=14, rng=rng(), dt=dt, dt_ref=0.03)
    if kind is LTC:
        theirs = ncps.torch.LTC(4, circuit._wiring, output_mapping=None, implicit_param_constraints=True)
    else:
        theirs = ncps.torch.CfC(4, circuit._wiring)
    theirs.rnn_cell.load_state_dict(circuit.cell.state_dict())
    sensors = torch.randn(6, 9, 4, generator=rng(1))
    start = torch.zeros(9, 6, dtype=torch.bool)
    motors, end = circuit.unroll(sensors.transpose(0, 1), circuit.initial_state(6), start)
    expected, last = theirs(sensors, torch.zeros(6, 14))
    if dt is not None:
        last = torch.zeros(6, 14)
        for step in range(9):
            expected[:, step], last = theirs.rnn_cell(sensors[:, step], last, dt / 0.03)
    assert torch.allclose(motors.transpose(0, 1), expected, atol=1e-6)
    assert torch.allclose(end["h"], last, atol=1e-6)


@pytest.mark.parametrize("kind", [LTC, CfC])
def test_the_wiring_of_an_ncp_is_its_librarys_and_drawing_it_leaves_global_generators_alone(kind):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    circuit = kind({"x": 4}, 3, units=14, rng=rng(5))
    assert torch.equal(before, torch.get_rng_state())
    again, other = kind({"x": 4}, 3, units=14, rng=rng(5)), kind({"x": 4}, 3, units=14, rng=rng(6))
    assert circuit.wiring() == again.wiring()
    assert circuit.wiring() != other.wiring()
    kinds = {neuron.name.rsplit("_", 1)[0] for neuron in circuit.neurons}
    assert kinds == {"x", "inter", "command", "motor", "output"}
    edges = {(synapse.pre.split("_")[0], synapse.post.split("_")[0]) for synapse in circuit.wiring().synapses}
    layered = {("x", "inter"), ("inter", "command"), ("command", "motor"), ("motor", "output")}
    # The wired CfC drops the recurrence that AutoNCP draws among commands and has each layer hear itself.
    within = {("command", "command")} if kind is LTC else {(name, name) for name in ("inter", "command", "motor")}
    assert edges == layered | within


def test_a_silenced_synapse_of_an_ncp_is_one_that_is_not_drawn():
    """The diagram holds every path from a neuron's last value to another's next, and no more."""
    circuit = CfC({"x": 4}, 3, units=14, rng=rng())
    jacobian = torch.autograd.functional.jacobian(
        lambda h: circuit.step_features(torch.zeros(1, 4), {"h": h[None]})[0][0], torch.zeros(14)
    )
    names = [neuron.name for neuron in circuit.neurons][4:-3]
    drawn = {(synapse.pre, synapse.post) for synapse in circuit.wiring().synapses}
    inter = [index for index, name in enumerate(names) if name.startswith("inter")]
    for post in inter:
        for pre in range(14):
            assert bool(jacobian[post, pre]) == ((names[pre], names[post]) in drawn)


def test_rank_of_a_weight():
    weight = torch.randn(30, 30, generator=rng())
    for rank in (1, 4, 30):
        cut = with_rank(weight, rank)
        singular = torch.linalg.svdvals(cut)
        assert int((singular > 1e-4 * singular[0]).sum()) == rank
        assert torch.allclose(cut.norm(), weight.norm())
    assert with_rank(weight, None) is weight
    # Equal singular values stay equal: the effective rank is the number kept, by every definition.
    orthogonal = torch.linalg.qr(weight).Q
    singular = torch.linalg.svdvals(with_rank(orthogonal, 5))[:5]
    assert torch.allclose(singular, singular[0].expand(5), atol=1e-5)
    with pytest.raises(CircuitMismatch, match="rank is 31; give 1 to 30"):
        with_rank(weight, 31)


def test_every_gate_of_an_lstm_has_the_rank_asked_for():
    circuit = LSTM({"x": 3}, 2, units=12, rank=2, rng=rng())
    for gate in circuit.cell.weight_hh_l0.detach().chunk(4):
        singular = torch.linalg.svdvals(gate)
        assert int((singular > 1e-4 * singular[0]).sum()) == 2
