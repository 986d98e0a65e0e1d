"""The memory of CA3: its spikes against recordings on SpiNNaker, its table against its spikes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from nervecord.circuits import CA3, Pins, SpikingCA3, make_circuit
from nervecord.errors import CircuitMismatch

EXTRACT = Path(__file__).parents[1] / "golden" / "ca3.npz"
SHARED = Path(__file__).parents[3] / "shared" / "golden" / "spiking" / "ca3.npz"  # the recordings' licence is the GPL
GROUPS = ("cueCue", "contCue", "cond", "condInt", "cueCont", "contCont", "mergeCue", "mergeCont", "outCue", "outCont")
REST = -60.0  # mV


def case_of(path: Path, name: str) -> dict[str, np.ndarray]:
    if not path.exists():
        pytest.skip(f"the project's golden vectors are not here: {path}")
    golden = np.load(path)
    return {key.split("/")[1]: golden[key] for key in golden if key.startswith(f"{name}/")}


@pytest.mark.parametrize(
    ("path", "name"),
    [(EXTRACT, "random0"), (SHARED, "experiment1"), pytest.param(SHARED, "experiment2", marks=pytest.mark.slow)],
)
def test_every_spike_is_that_of_the_recording(path, name):
    case = case_of(path, name)
    found = SpikingCA3(case["in_cue"].shape[1], case["in_content"].shape[1]).run(case["in_cue"], case["in_content"])
    for group in GROUPS:
        assert np.array_equal(found[group], case[group]), group


def test_weights_and_membranes_are_those_that_follow_from_the_recordings():
    case = case_of(EXTRACT, "random0")
    memory = SpikingCA3(4, 6)
    for ms in range(len(case["in_cue"])):
        memory.run(case["in_cue"][ms : ms + 1], case["in_content"][ms : ms + 1])
        assert np.allclose(memory.weights["cueCue", "contCue"], case["W_cue_content"][ms], atol=1e-9)
        assert np.allclose(memory.weights["contCont", "cueCont"], case["W_content_cue"][ms], atol=1e-9)
        assert np.allclose(REST + memory.membrane("contCue"), case["v_contCue"][ms], atol=1e-9)


def hand_set(cues=3, content=4) -> CA3:
    """A circuit that senses a cue, a content and whether to store, as they are: -1 or 1 each."""
    circuit = CA3({"cue": cues, "content": content, "store": 1}, 1, cues=cues, content=content)
    with torch.no_grad():
        circuit.weight_cue.copy_(torch.eye(cues, cues + content + 1))
        circuit.weight_content.copy_(torch.eye(content, cues + content + 1).roll(cues, 1))
        circuit.bias_content.zero_()
        circuit.weight_store.copy_(torch.eye(1, cues + content + 1).roll(-1, 1))
    return circuit


def operate(circuit, state, cue=None, content=None, store=False):
    """One operation on every environment; returns the contents and the cues that are recalled, and the state."""
    sensors = -torch.ones(1, circuit.n_sensors)
    if cue is not None:
        sensors[:, cue] = 1
    if content is not None:
        sensors[:, circuit.cues : -1] = 2 * torch.as_tensor(content).float() - 1
    sensors[:, -1] = 2.0 * store - 1
    _, state, activity = circuit.forward_with_activity(sensors, state)
    return activity[0, circuit.groups["CA3_content"]], activity[0, circuit.groups["CA3_cue"]], state


@torch.no_grad()
def test_one_presentation_stores_and_half_a_pattern_recalls_its_cue_and_that_the_whole():
    circuit, state = hand_set(), None
    state = circuit.initial_state(1)
    patterns = [[1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1]]
    for cue in (0, 1):
        recalled, _, state = operate(circuit, state, cue, patterns[cue], store=True)
        assert not recalled.any(), "nothing was there before"
    before = state["M"].clone()
    _, cues, state = operate(circuit, state, content=[0, 0, 0, 1])
    assert cues.tolist() == [0, 1, 0]
    whole, _, state = operate(circuit, state, cue=int(cues.argmax()))
    assert whole.tolist() == patterns[1]
    assert torch.equal(state["M"], before), "recalling changes no bit"
    # Storing under a cue replaces its content, emits the old one and leaves all other columns.
    old, _, state = operate(circuit, state, 0, patterns[2], store=True)
    assert old.tolist() == patterns[0]
    assert state["M"][0].t().tolist() == [patterns[2], patterns[1], [0, 0, 0, 0]]
    _, cues, state = operate(circuit, state, content=[0, 1, 0, 1])
    assert cues.tolist() == [1, 1, 0], "one common cell is enough"


@torch.no_grad()
def test_the_table_computes_what_spikes_do_when_operations_are_30_ms_apart():
    cues, content, rng = 3, 4, np.random.default_rng(0)
    circuit, spiking = hand_set(cues, content), SpikingCA3(3, 4)
    state = circuit.initial_state(1)
    for _ in range(25):
        kind, cue = rng.integers(3), int(rng.integers(cues))
        bits = rng.random(content) < 0.5
        bits[rng.integers(content)] = True
        in_cue, in_content = np.zeros((30, cues), bool), np.zeros((30, content), bool)
        long = 3 if kind == 0 else 1
        if kind < 2:
            in_cue[:long, cue] = True
        if kind != 1:
            in_content[:long] = bits
        found = spiking.run(in_cue, in_content)
        recalled, cued, state = operate(circuit, state, cue, bits if kind != 1 else None, store=kind == 0)
        if kind == 1:
            assert found["outCont"].any(0).tolist() == recalled.bool().tolist()
        if kind == 2:
            assert found["outCue"].any(0).tolist() == cued.bool().tolist()


def test_gradients_reach_what_was_stored_through_a_later_recall():
    circuit = CA3({"x": 6}, 2, cues=3, content=5, rng=torch.Generator().manual_seed(0))
    sensors = torch.randn(8, 16, 6, generator=torch.Generator().manual_seed(1))
    motors, _ = circuit.unroll(sensors, circuit.initial_state(16), torch.zeros(8, 16, dtype=torch.bool))
    motors[-1].square().sum().backward()
    for name, parameter in circuit.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@torch.no_grad()
def test_a_pinned_gate_stores_nothing_and_the_wiring_shows_what_is_stored():
    circuit = hand_set()
    state = circuit.initial_state(1)
    n = len(circuit.neurons)
    scale = torch.ones(n)
    scale[circuit.groups["in_store"]] = 0
    sensors = torch.ones(1, circuit.n_sensors)
    _, unchanged, _ = circuit.forward_with_activity(sensors, state, Pins(scale, torch.zeros(n)))
    assert not unchanged["M"].any()
    _, stored = circuit(sensors, state)
    drawn = {(each.pre, each.post): each.weight for each in circuit.wiring(stored).synapses if each.group == "M"}
    assert drawn["in_cue_0", "CA3_content_2"] == drawn["in_content_2", "CA3_cue_0"] == 1
    assert not [each for each in circuit.wiring().synapses if each.group == "M"]


@pytest.mark.parametrize("options", [{"cues": 0}, {"content": 0}, {"cues": 10_000, "content": 10_000}])
def test_a_table_of_no_or_too_many_cells_is_one_line(options):
    with pytest.raises(CircuitMismatch, match=r"give (1 or more|less|so)|so give less"):
        make_circuit("ca3", {"x": 3}, 1, options)
    with pytest.raises(CircuitMismatch, match=r"shapes \(5, 3\) and \(5, 4\); give \(ms, cells\) of \[\(5, 2\)"):
        SpikingCA3(2, 4).run(np.zeros((5, 3)), np.zeros((5, 4)))
