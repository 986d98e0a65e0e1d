"""Leaky units against those of SpikingJelly, snnTorch and Lin et al. 2022, and against the closed form of intervals."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from nervecord.circuits import LIF, make_circuit
from nervecord.circuits.spiking.surrogate import spike
from nervecord.errors import CircuitMismatch
from torch.func import functional_call

FOLDER = Path(__file__).parents[1] / "golden"
GOLDEN, PRETRAIN = np.load(FOLDER / "lif.npz"), np.load(FOLDER / "pretrain.npz")
DT = 0.03


def case_of(name: str, golden=GOLDEN) -> dict[str, torch.Tensor]:
    return {key.split("/")[1]: torch.as_tensor(golden[key]) for key in golden if key.startswith(name)}


def of_case(case, tau: float, reset: bool, slope: float, surrogate="atan") -> LIF:
    """The circuit of a golden case: a membrane that keeps 1 - 1 / tau a step, and a trace that is the last spike."""
    n, inputs = case["input"].shape[-1] if "W" not in case else len(case["W"]), case["input"].shape[-1]
    kind = "subtract" if reset else "zero"
    circuit = LIF({"x": inputs}, 1, units=n, reset=kind, surrogate=surrogate, slope=slope, dt=DT).double()
    with torch.no_grad():
        circuit.weight_in.copy_(case.get("W", torch.eye(n)))
        circuit.weight_rec.copy_(case.get("R", torch.zeros(n, n)))
        circuit.bias.copy_(case.get("b", torch.zeros(n)))
        circuit.log_tau_m.fill_(log_tau(1 - 1 / tau))
        circuit.log_tau_s.fill_(-50.0)  # acts as 1 ms, after which 1e-13 is left
    return circuit


def log_tau(kept):
    """The logarithm of the time constant by which this much of a membrane is kept in a step."""
    return math.log(-DT / math.log(kept)) if isinstance(kept, float) else (-DT / kept.log()).log()


def run(circuit, inputs):
    """Spikes and membranes of each step, and the state's history with its gradients."""
    state, spikes, membranes = circuit.initial_state(inputs.shape[1]), [], []
    for row in inputs:
        spikes.append(circuit.spikes(row, state)[:, 0])
        _, state = circuit(row, state)
        membranes.append(state["v"])
    return torch.stack(spikes), torch.stack(membranes)


@pytest.mark.parametrize("name", ["node0", "node1"])
def test_spikes_membranes_and_gradients_are_those_of_spikingjelly(name):
    case = case_of(name)
    tau, reset, decays, slope, detached, threshold, _ = case["options"].tolist()
    assert (decays, detached, threshold) == (1, 1, 1)
    circuit, inputs = of_case(case, tau, reset, slope), case["input"].requires_grad_()
    spikes, membranes = run(circuit, inputs)
    assert torch.equal(spikes, case["spikes"].double())
    assert torch.allclose(membranes, case["voltage"], atol=1e-9, rtol=0)
    (spikes * case["probe"]).sum().backward()
    for found, key in ((circuit.weight_in, "W"), (circuit.weight_rec, "R"), (inputs, "input")):
        assert torch.allclose(found.grad, case[f"grad_{key}"], atol=1e-9), key


def test_another_threshold_and_scale_of_the_input_are_other_weights():
    """Their input is not scaled by 1 / tau and their threshold is 1.5: weights and bias take up both."""
    case = case_of("node2")
    tau, reset, decays, slope, _, threshold, _ = case["options"].tolist()
    assert (decays, threshold) == (0, 1.5)
    circuit = of_case({**case, "W": case["W"] * tau / threshold, "R": case["R"] * tau / threshold,
                       "b": case["b"] * tau / threshold}, tau, reset, slope)  # fmt: skip
    spikes, membranes = run(circuit, case["input"])
    assert torch.equal(spikes, case["spikes"].double())
    assert torch.allclose(threshold * membranes, case["voltage"], atol=1e-9, rtol=0)


def test_the_gradient_of_a_learned_leak_is_that_of_spikingjelly():
    case = case_of("plif0")
    tau, reset, slope = case["options"].tolist()
    circuit, w = of_case(case, tau, reset, slope), case["w"].requires_grad_()
    state, spikes = circuit.initial_state(case["input"].shape[1]), []
    weights = {"log_tau_m": log_tau(1 - w.sigmoid()).expand(circuit.n_features)}
    for row in case["input"]:
        (_, after) = functional_call(circuit, weights, (row, state))
        # A trace of 1 ms is the last spike.
        spikes.append(after["s"])
        state = after
    assert torch.equal(torch.stack(spikes).round(), case["spikes"].double())
    (torch.stack(spikes) * case["probe"]).sum().backward()
    assert torch.allclose(w.grad, case["grad_w"], atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("name", ["torch0", "torch1", "torch2"])
def test_spikes_and_membranes_are_those_of_snntorch(name):
    """Its reset comes a step later, before the leak: v' = beta v + I - z. Here it is then leaked: beta (v - z) + I'.

    Both are one where I' = I - (1 - beta) z: a synapse of -1 from each unit onto itself. The third case filters its
    input too.
    """
    case = case_of(name)
    kept, inputs = case["beta"].double(), case.get("current", case["input"])
    n = inputs.shape[-1]
    circuit = of_case({"input": inputs, "W": torch.diag(1 / (1 - kept)), "R": -torch.eye(n)}, 2.0, True, 2.0)
    circuit.log_tau_m.copy_(log_tau(kept))
    spikes, membranes = run(circuit, inputs)
    assert torch.equal(spikes, case["spikes"].double())
    assert torch.allclose(membranes + spikes, case["voltage"], atol=1e-9, rtol=0)  # theirs is before the reset


@pytest.mark.parametrize("name", ["lif0", "lif1", "lif2"])
def test_spikes_and_gradients_are_those_of_lin_et_al(name):
    """Their threshold is 0.5, their membrane keeps a quarter and their input is not scaled: weights take up all."""
    case = case_of(name, PRETRAIN)
    inputs = case["drive"].requires_grad_()
    scaled = torch.eye(inputs.shape[-1]) / (0.5 * 0.75)
    circuit = of_case({"input": inputs, "W": scaled}, 4 / 3, False, 0.5, "box")
    spikes, _ = run(circuit, inputs)
    assert torch.equal(spikes, case["spikes"])
    (spikes * case["probe"]).sum().backward()
    assert torch.allclose(inputs.grad, case["grad"], atol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("name", ["liaf0", "liaf1", "liaf2"])
def test_membranes_that_lin_et_al_hand_on_are_these(name):
    """While they train as rates, units hand on their membrane before the reset, clipped, in place of a spike."""
    case = case_of(name, PRETRAIN)
    kept, inputs = float(case["decay"]), case["input"].transpose(0, 1)  # theirs is batch first
    scale = 0.5 * (1 - kept)
    layer = {"input": inputs, "W": case["W"] / scale, "b": case["b"] / scale}
    zero, subtract = (of_case(layer, 1 / (1 - kept), reset, 1.0) for reset in (False, True))
    state = zero.initial_state(inputs.shape[1])
    for row, wanted in zip(inputs, case["output"].transpose(0, 1), strict=True):
        spikes = zero.spikes(row, state)[:, 0]
        before = 0.5 * (subtract(row, state)[1]["v"] + spikes)
        found = before.clamp(0, 1) if case["analog"] else spikes
        assert torch.allclose(found, wanted, atol=1e-9, rtol=0)
        state = zero(row, state)[1]


@torch.no_grad()
@pytest.mark.parametrize("substeps", [1, 4])
def test_intervals_under_a_constant_current_have_a_closed_form(substeps):
    current = torch.tensor([0.5, 1.0, 1.07, 1.3, 2.0, 3.3])
    circuit = LIF({"x": 1}, 1, units=6, substeps=substeps, reset="zero", tau=(0.1, 0.1), dt=DT).double()
    circuit.weight_in.zero_()
    circuit.weight_rec.zero_()
    circuit.bias.copy_(current)
    state, spikes = circuit.initial_state(1), []
    for _ in range(100):
        spikes.append(circuit.spikes(torch.zeros(1, 1).double(), state)[0])
        _, state = circuit(torch.zeros(1, 1).double(), state)
    train = torch.cat(spikes).numpy()
    assert not train[:, :2].any(), "a current of 1 or less never fires"
    kept = -DT / substeps / 0.1
    for column in range(2, 6):
        expected = math.ceil(math.log(1 - 1 / float(circuit.bias[column])) / kept)
        assert set(np.diff(np.flatnonzero(train[:, column]))) == {expected}


@torch.no_grad()
def test_the_mean_trace_is_spikes_per_control_step_at_any_number_of_substeps():
    for substeps in (1, 4, 16):
        circuit = LIF({"x": 1}, 1, units=60, substeps=substeps, rng=torch.Generator().manual_seed(0), dt=DT)
        circuit.weight_rec.zero_()
        circuit.weight_in.zero_()
        circuit.bias.copy_(torch.linspace(1.2, 4, 60))
        state, spikes, traces = circuit.initial_state(20), [], []
        # At other times of their intervals: what starts alike fires at the same times in all control steps.
        state["v"] = torch.rand(20, 60, generator=torch.Generator().manual_seed(1))
        for _ in range(200):
            spikes.append(circuit.spikes(torch.zeros(20, 1), state).sum(1))
            _, state = circuit(torch.zeros(20, 1), state)
            traces.append(state["s"])
        assert float(torch.stack(traces).mean()) == pytest.approx(float(torch.stack(spikes).mean()), rel=0.03)


@torch.no_grad()
def test_adaptation_slows_a_unit_down():
    circuit = LIF({"x": 1}, 1, units=1, adaptation=True, substeps=4, dt=DT)
    circuit.weight_rec.zero_()
    circuit.weight_in.zero_()
    circuit.bias.fill_(4.0)
    rates = []
    for beta in (-1.0, 0.0, 0.5):
        circuit.beta.fill_(beta)
        state, fired = circuit.initial_state(1), 0.0
        for _ in range(300):
            fired += float(circuit.spikes(torch.zeros(1, 1), state).sum())
            _, state = circuit(torch.zeros(1, 1), state)
        rates.append(fired)
    assert rates[0] == rates[1] > 1.2 * rates[2] > 0


@pytest.mark.parametrize(
    ("surrogate", "slope", "height", "area"),
    [
        ("atan", 2.0, 1.0, 1.0),
        ("atan", 8.0, 4.0, 1.0),
        ("narrow", 25.0, 1.0, 0.08),
        ("triangle", 0.3, 0.3, 0.3),
        ("box", 1.0, 1.0, 1.0),
        ("box", 0.5, 0.5, 1.0),
    ],
)
def test_a_surrogates_gradient_has_its_height_and_its_area(surrogate, slope, height, area):
    x = torch.linspace(-2000, 2000, 4_000_001, dtype=torch.float64, requires_grad=True)
    fired = spike(x, surrogate, slope)
    assert torch.equal(fired, (x >= 0).double())
    fired.sum().backward()
    assert float(x.grad.max()) == pytest.approx(height)
    assert float(x.grad.sum() * 0.001) == pytest.approx(area, rel=2e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"substeps": 0}, "substeps is 0; give 1 or more: lif has no twin in rates, which spiking has"),
        ({"reset": "half"}, "'half'; give '"),
        ({"surrogate": "step"}, "'step'; give .*narrow"),
        ({"slope": 0.0}, "slope is 0.0; give a number above 0"),
    ],
)
def test_a_mistake_is_one_line(options, message):
    with pytest.raises(CircuitMismatch, match=message):
        make_circuit("lif", {"x": 1}, 1, options)
