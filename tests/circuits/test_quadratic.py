"""Quadratic neurons against the authors' own outputs, what one of them can do, and when they are linear."""

from pathlib import Path

import numpy as np
import pytest
import torch
from nervecord import RunConfig, train
from nervecord.circuits import Quadratic, make_circuit
from nervecord.errors import CircuitMismatch

GOLDEN = Path(__file__).parents[1] / "golden" / "quadratic.npz"
SENSES = {"joint_pos": 5, "body_velocities": 18}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def of(case: int) -> tuple[dict[str, torch.Tensor], list[Quadratic]]:
    """Return the arrays of a golden case, and its two layers with their weights."""
    file, prefix = np.load(GOLDEN), f"case{case}/"
    held = {key.removeprefix(prefix): torch.as_tensor(file[key]) for key in file.files if key.startswith(prefix)}
    width, has_gate, _ = held["options"].tolist()
    layers = []
    for number in (1, 2):
        layer = Quadratic(width, width, is_compact=not has_gate, learned=True).double()
        weights = {"weight": held[f"weight/{number}r"], "bias": held[f"bias/{number}r"]}
        weights |= {"square_weight": held[f"weight/{number}b"], "square_bias": held[f"bias/{number}b"]}
        if has_gate:  # whose bias is counted from 1 here
            weights |= {"gate_weight": held[f"weight/{number}g"], "gate_bias": held[f"bias/{number}g"] - 1}
        layer.load_state_dict(weights)
        layer.clip = float("inf")
        layers.append(layer)
    return held, layers


@pytest.mark.parametrize("case", range(3))
def test_they_are_the_authors_block(case):
    held, (first, second) = of(case)
    x = held["input"].requires_grad_()
    output = torch.relu(second(torch.relu(first(x))) + x)
    torch.testing.assert_close(output, held["output"], rtol=0, atol=1e-9)
    (output**2).sum().backward()
    torch.testing.assert_close(x.grad, held["grad/input"], rtol=0, atol=1e-9)
    for number, layer in ((1, first), (2, second)):
        parts = {"r": "weight", "b": "square_weight", **({} if layer.is_compact else {"g": "gate_weight"})}
        for theirs, ours in parts.items():
            found = layer.get_parameter(ours).grad
            torch.testing.assert_close(found, held[f"grad/{number}{theirs}"], rtol=0, atol=1e-9)


def test_one_neuron_is_exclusive_or_and_a_circle():
    either = Quadratic(2, 1, is_compact=False, learned=True)
    circle = Quadratic(2, 1, is_compact=True, learned=True)
    with torch.no_grad():
        either.weight.copy_(torch.tensor([[1.0, 0.0]]))
        either.bias.zero_()
        either.gate_weight.copy_(torch.tensor([[0.0, -1.0]]))
        either.gate_bias.fill_(-1.0)
        for part in (circle.weight, circle.bias):
            part.zero_()
        circle.square_weight.fill_(1.0)
        circle.square_bias.fill_(-0.25)
    corners = torch.tensor([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    assert either(corners)[:, 0].tolist() == [-1, 1, 1, -1]
    turn = torch.linspace(0, 6, 20)
    for radius in (0.4, 0.6):
        inside = circle(radius * torch.stack((turn.cos(), turn.sin()), 1)) < 0
        assert (inside == (radius < 0.5)).all()


def test_a_sensor_far_out_does_not_count_squared():
    layer = Quadratic(1, 1, is_compact=False, learned=True)
    with torch.no_grad():
        layer.square_weight.fill_(1.0)
        layer.gate_weight.fill_(1.0)
    first, second = layer(torch.tensor([[30.0], [40.0], [50.0]]))[:, 0].diff().tolist()
    assert first == pytest.approx(second, rel=1e-5), "beyond its clip it grows linearly"


@pytest.mark.parametrize(("algorithm", "kind"), [("ppo", "quadratic"), ("ppo", "compact"), ("es", "quadratic")])
def test_without_gamma_they_train_bit_for_bit_as_an_mlp(tmp_path, algorithm, kind):
    options = {"ppo": {"n_envs": 4, "n_steps": 32, "batch_size": 32}, "es": {"n_envs": 4}}[algorithm]

    def weights(name, neuron):
        config = RunConfig("mlp", algorithm, "swimmer4", steps=384, episode_steps=48, algorithm_options=options,
                           circuit_options={"hidden": [8, 8], **neuron})  # fmt: skip
        return train(config, tmp_path / name, progress=False).load_checkpoint().weights

    plain, quadratic = weights("plain", {}), weights("quadratic", {"neuron": kind, "gamma": 0.0})
    for name, value in plain.items():
        assert torch.equal(value, quadratic[name]), name
    others = {name: value for name, value in quadratic.items() if name not in plain}
    assert others
    assert not any(value.any() for value in others.values())


def test_gamma_is_how_much_slower_they_learn(tmp_path):
    """Adam's first step is at most the learning rate for every weight, and nearly that for the largest gradient."""
    config = RunConfig("mlp", "ppo", "swimmer4", steps=128, episode_steps=48,
                       circuit_options={"hidden": [8], "neuron": "quadratic", "gamma": 0.25},
                       algorithm_options={"n_envs": 4, "n_steps": 32, "batch_size": 128, "n_epochs": 1})  # fmt: skip
    run = train(config, tmp_path / "run", progress=False)
    before, after = run.agent(trained=False).circuit.state_dict(), run.load_checkpoint().weights
    moved = {name: (after[name] - before[name]).abs().max().item() for name in before}
    assert moved["layers.0.weight"] == pytest.approx(1e-3, rel=0.1)
    for part in ("gate_weight", "gate_bias", "square_weight", "square_bias"):
        assert 0.15e-3 < moved[f"layers.0.{part}"] < 0.2501e-3, part


def test_an_optimiser_that_shrinks_weights_makes_them_linear_again():
    layer = Quadratic(3, 2, is_compact=False, learned=True)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if name not in ("weight", "bias"):
                parameter.fill_(0.3)
    x = torch.randn(9, 3, generator=rng())
    linear = torch.nn.functional.linear(x, layer.weight, layer.bias)
    optimizer = torch.optim.SGD([p for n, p in layer.named_parameters() if n not in ("weight", "bias")], 0.5,
                                weight_decay=1.0)  # fmt: skip
    for _ in range(40):
        optimizer.zero_grad()
        (0.0 * layer(x).sum()).backward()
        optimizer.step()
    torch.testing.assert_close(layer(x), linear)


def test_the_graph_has_a_synapse_for_each_way_in_which_a_unit_hears_another():
    circuit = make_circuit("mlp", SENSES, 5, {"hidden": [6], "neuron": "quadratic"}, rng())
    assert {each.group for each in circuit.wiring().synapses} == {"layers.0.weight", "layers.1.weight"}
    with torch.no_grad():
        circuit.layers[0].gate_weight[2, 3] = 0.5
    (gate,) = (each for each in circuit.wiring().synapses if each.group == "layers.0.gate_weight")
    assert (gate.pre, gate.post, gate.weight) == ("joint_pos_3", "hidden_0_2", 0.5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"neuron": "cubic"}, "neuron.*'cubic'; give"),
        ({"gamma": 0.5}, "gamma is 0.5, and neurons are linear; give neuron='quadratic'"),
        ({"neuron": "quadratic", "gamma": -1.0}, "gamma is -1.0; give 0 or more"),
        ({"neuron": "quadratic", "ensembles": "body"}, "ensembles are of linear neurons"),
        ({"neuron": "compact", "hidden": []}, "no hidden units to be quadratic"),
    ],
)
def test_a_mistake_is_one_line(options, said):
    with pytest.raises(CircuitMismatch, match=said):
        make_circuit("mlp", SENSES, 5, options)


def test_what_cannot_learn_at_two_rates_says_so(tmp_path):
    config = RunConfig("mlp", "sac", "swimmer4", steps=64, circuit_options={"neuron": "quadratic"})
    with pytest.raises(CircuitMismatch, match=r"MLP has slow weights, and off-policy.*use ppo or es"):
        train(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
