"""Active dendrites against the authors' own outputs, and what gates, winners and missing inputs do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from nervecord import RunConfig, train
from nervecord.circuits import Dendrites, make_circuit
from nervecord.errors import CircuitMismatch

GOLDEN = Path(__file__).parents[1] / "golden" / "dendrites.npz"
SENSES = {"joint_pos": 5, "context": 4}
GATES = ("abs_max", "abs_max", "abs_max_unsigned", "max", "bias")  # their one_segment has one


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def of(case: int) -> tuple[dict[str, torch.Tensor], Dendrites]:
    """Return the arrays of a golden case, and the circuit with its weights."""
    file, prefix = np.load(GOLDEN), f"case{case}/"
    held = {key.removeprefix(prefix): torch.as_tensor(file[key]) for key in file.files if key.startswith(prefix)}
    kind, inputs, n_context, segments, outputs, winners, _, _, *hidden = held["options"].tolist()
    circuit = Dendrites(
        {"input": int(inputs), "context": int(n_context)}, int(outputs), hidden=[int(units) for units in hidden],
        segments=int(segments), winners=winners or None, gate=GATES[int(kind)],
        gated="all" if held["modulated"].all() else "last",
    ).double()  # fmt: skip
    names = {"motors.weight": "out", "motors.bias": "b_out"}
    names |= {f"weights.{layer}": f"ff{layer}" for layer in range(len(hidden))}
    names |= {f"biases.{layer}": f"b{layer}" for layer in range(len(hidden))}
    names |= {f"segments.{layer}": f"segments{layer}" for layer in circuit.segments}
    circuit.load_state_dict({name: held[f"weight/{theirs}"].double() for name, theirs in names.items()})
    return held, circuit


@pytest.mark.parametrize("case", range(3))
def test_it_is_the_authors_network(case):
    held, circuit = of(case)
    motor, _, activity = circuit.forward_with_activity(torch.cat((held["input"], held["context"]), 1), {})
    torch.testing.assert_close(motor, held["output"], rtol=0, atol=1e-9)
    for layer in range(len(circuit.weights)):
        found = activity[:, circuit.groups[f"hidden_{layer}"]]
        torch.testing.assert_close(found, held[f"hidden{layer}"], rtol=0, atol=1e-9)
    (motor**2).sum().backward()
    for layer, weight in enumerate(circuit.weights):
        torch.testing.assert_close(weight.grad, held[f"grad/ff{layer}"], rtol=0, atol=1e-9)
    for layer, segments in circuit.segments.items():
        torch.testing.assert_close(segments.grad, held[f"grad/segments{layer}"], rtol=0, atol=1e-9)


def test_with_a_one_hot_context_segments_are_a_table_of_gates():
    circuit = Dendrites(SENSES, 5, hidden=(12,), segments=3, rng=rng())
    with torch.no_grad():
        table = circuit.segments["0"].gather(1, circuit.segments["0"].abs().argmax(1, keepdim=True))
    one = Dendrites(SENSES, 5, hidden=(12,), segments=1, rng=rng())
    one.load_state_dict({**circuit.state_dict(), "segments.0": table})
    sensors = torch.cat((torch.randn(20, 5), torch.eye(4).repeat(5, 1)), 1)
    assert torch.equal(circuit(sensors, {})[0], one(sensors, {})[0])


def test_as_many_units_win_as_were_asked_for_and_ties_all_do():
    circuit = Dendrites(SENSES, 5, hidden=(40,), winners=0.25, rng=rng())
    sensors = torch.randn(50, 9)
    hidden = circuit.forward_with_activity(sensors, {})[2][:, circuit.groups["hidden_0"]]
    assert ((hidden != 0).sum(1) == 10).all()
    still = circuit.forward_with_activity(torch.zeros(1, 9), {})[0]
    with torch.no_grad():
        circuit.biases[0].fill_(0.5)
    equal = circuit.forward_with_activity(torch.zeros(1, 9), {})[2][:, circuit.groups["hidden_0"]]
    assert (equal == 0.25).all(), "half of the bias passes a gate that knows nothing"
    assert still.shape == (1, 5)


def test_inputs_that_a_unit_does_not_have_stay_away_after_updates(tmp_path):
    config = RunConfig("dendrites", "ppo", "swimmer4", steps=256, episode_steps=40, task_options=CONTEXT,
                       circuit_options={"hidden": [8, 8], "sparsity": 0.5},
                       algorithm_options={"n_steps": 16, "n_envs": 4, "batch_size": 32})  # fmt: skip
    weights = train(config, tmp_path / "run", progress=False).load_checkpoint().weights
    for layer, n_inputs in enumerate((weights["weights.0"].shape[1], 8)):
        missing = weights[f"keep_{layer}"] == 0
        assert (missing.sum(1) == n_inputs - round(0.5 * n_inputs)).all()
        assert (weights[f"weights.{layer}"][missing] == 0).all()
        assert (weights[f"weights.{layer}"][~missing] != 0).all()


CONTEXT = {"senses": ["joint_pos", "body_velocities", "context"]}


def test_the_graph_has_segments_as_synapses_from_the_context():
    circuit = Dendrites(SENSES, 5, hidden=(6, 4), gated="last", sparsity=0.5, rng=rng())
    groups = {}
    for each in circuit.wiring().synapses:
        groups.setdefault(each.group, []).append(each)
    assert groups.keys() == {"weights.0", "weights.1", "segments.1", "motors.weight"}
    assert {each.pre for each in groups["segments.1"]} <= {f"context_{i}" for i in range(4)}
    assert len(groups["weights.0"]) == 6 * round(0.5 * 5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hidden": ()}, r"hidden is \(\); give numbers of units"),
        ({"segments": 0}, "segments is 0; give 1 or more"),
        ({"winners": 0.0}, "winners is 0.0; give a share above 0"),
        ({"sparsity": 1.0}, "sparsity is 1.0; give a share from 0 and below 1"),
        ({"gate": "min"}, "gate.*'min'; give"),
    ],
)
def test_a_mistake_is_one_line(options, said):
    with pytest.raises(CircuitMismatch, match=said):
        make_circuit("dendrites", SENSES, 5, options)
    with pytest.raises(CircuitMismatch, match="circuit 'dendrites' senses 'context'"):
        make_circuit("dendrites", {"joint_pos": 5}, 5)


def test_inputs_that_a_unit_does_not_have_are_neither_searched_nor_learned():
    circuit = Dendrites(SENSES, 5, hidden=(6, 4), gated="last", sparsity=0.5, rng=rng())
    assert Dendrites(SENSES, 5, rng=rng()).active() == {}
    active, parameters = circuit.active(), dict(circuit.named_parameters())
    assert active.keys() == {"weights.0", "weights.1", "segments.1"}
    motor, _ = circuit(torch.randn(16, circuit.n_sensors, generator=rng()), {})
    motor.square().sum().backward()
    for name, kept in active.items():
        assert (parameters[name][~kept] == 0).all()
        assert (parameters[name].grad[~kept] == 0).all()
        assert parameters[name].grad[kept].any()
