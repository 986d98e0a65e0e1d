"""Radial bases against the authors' own outputs, what kernels can represent, and where experience puts them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from nervecord import RunConfig, resume, train
from nervecord.circuits import make_circuit
from nervecord.circuits.rbf import RBF, clusters, kernels
from nervecord.errors import CircuitMismatch

GOLDEN = Path(__file__).parents[1] / "golden" / "neurbf.npz"
KINDS = ("ivq", "gauss", "ivmq", "ivq", "hat")  # full matrices or diagonals
SENSES = {"joint_pos": 3, "body_velocities": 12}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("case", range(3))
def test_kernels_are_the_authors_within_their_network(case):
    """Their network of kernels, sines and layers, of which the circuit takes over the kernels."""
    file, prefix = np.load(GOLDEN), f"case{case}/"
    held = {key.removeprefix(prefix): torch.as_tensor(file[key]) for key in file.files if key.startswith(prefix)}
    kind, _, _, knn, _, _, _, keep = (int(value) for value in held["options"])
    centres, shapes, features = (held[key].requires_grad_() for key in ("centres", "shapes", "weight/features"))
    phi = kernels(held["input"], centres, shapes, KINDS[kind])
    rows = features.expand(len(phi), -1, -1)
    if knn:
        nearest = held["nearest"].long()
        phi, rows = phi.gather(1, nearest), features[nearest]
    torch.testing.assert_close(phi, held["rbf"], rtol=0, atol=1e-9)
    if knn:
        phi = phi / (phi.sum(-1, keepdim=True).detach() + 1e-8)
    bases = phi[..., None].expand_as(rows)
    if len(held["feature_frequencies"]):
        bases = torch.cat((bases[..., :keep], torch.sin(bases[..., keep:] * held["feature_frequencies"])), -1)
    h = held["weight/feature_bias"] + (rows * bases).sum(1)
    for layer in range(3):
        h = torch.nn.functional.linear(h, held[f"weight/backbone{layer}"], held[f"bias/backbone{layer}"])
        if layer == 0 and len(held["hidden_frequencies"]):
            h = h + torch.sin(h * held["hidden_frequencies"])
        elif layer < 2:
            h = torch.relu(h)
    torch.testing.assert_close(h, held["output"], rtol=0, atol=1e-9)
    (h**2).sum().backward()
    for key, parameter in (("centres", centres), ("shapes", shapes), ("features", features)):
        torch.testing.assert_close(parameter.grad, held[f"grad/{key}"], rtol=0, atol=1e-9)


def test_hats_on_a_grid_are_a_partition_and_reproduce_bilinear_functions():
    steps = torch.linspace(0, 1, 6, dtype=torch.float64)
    grid = torch.cartesian_prod(steps, steps)
    points = torch.rand(200, 2, generator=rng(), dtype=torch.float64)
    values = kernels(points, grid, torch.full_like(grid, 5.0), "hat")
    torch.testing.assert_close(values.sum(1), torch.ones(200, dtype=torch.float64), rtol=0, atol=1e-14)

    def bilinear(at):
        return 1 + 2 * at[:, 0] - at[:, 1] + 3 * at[:, 0] * at[:, 1]

    torch.testing.assert_close(values @ bilinear(grid), bilinear(points), rtol=0, atol=1e-13)


def test_as_many_kernels_as_points_pass_through_them():
    points, wanted = (torch.randn(20, size, generator=rng(size), dtype=torch.float64) for size in (3, 2))
    values = kernels(points, points, torch.full_like(points, 4.0), "ivq")
    values = values / values.sum(1, keepdim=True)
    torch.testing.assert_close(values @ torch.linalg.solve(values, wanted), wanted, rtol=0, atol=1e-12)


def test_kernels_of_equal_weights_command_a_constant():
    circuit = RBF(SENSES, 3, units=10, rng=rng())
    with torch.no_grad():
        circuit.weights.fill_(0.7)
        circuit.direct.weight.zero_()
    motor, _ = circuit(torch.randn(30, 15, generator=rng()), {})
    torch.testing.assert_close(motor, torch.full((30, 3), 0.7))


def test_kernels_go_to_where_experience_was_and_are_silent_there():
    circuit = RBF(SENSES, 3, units=2, rng=rng())
    sensors = 0.1 * torch.randn(40, 5, 15, generator=rng())
    sensors[:, :2, 0] += 4.0
    with torch.no_grad():
        circuit.weights.fill_(0.7)
    anew = circuit.restructure(sensors, torch.zeros(40, 5, len(circuit.neurons)))
    assert {name: bool(each.all()) for name, each in anew.items()} == dict.fromkeys(
        ("centres", "log_shapes", "weights"), True
    )
    low, high = circuit.centres[circuit.centres[:, 0].argsort()].detach()
    torch.testing.assert_close(high, sensors[:, :2].flatten(0, 1).mean(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(low, sensors[:, 2:].flatten(0, 1).mean(0), atol=1e-5, rtol=0)
    assert circuit.log_shapes[:, 1:].exp().mean().item() == pytest.approx(0.5 / 0.1**2, rel=0.1)
    assert not circuit.weights.any()
    assert circuit.restructures_every == 0
    placed = circuit.centres.clone()
    assert circuit.restructure(sensors + 9, torch.zeros(40, 5, len(circuit.neurons))) == {}
    assert torch.equal(circuit.centres, placed), "never again"


def test_a_hat_is_as_wide_as_its_cluster():
    """A triangle's sensors are in units of length where other kernels' are in their squares."""
    circuit = RBF(SENSES, 3, units=2, kernel="hat", rng=rng())
    sensors = 0.1 * torch.randn(40, 5, 15, generator=rng())
    circuit.restructure(sensors, torch.zeros(40, 5, len(circuit.neurons)))
    assert circuit.log_shapes[:, 1:].exp().mean().item() == pytest.approx((0.5 / 0.1**2) ** 0.5, rel=0.1)


def test_points_that_repeat_and_sensors_that_never_move_give_finite_shapes():
    points = np.repeat([[0.0, 3.0], [1.0, 3.0], [5.0, 3.0]], 20, 0)
    centres, shapes = clusters(points, 3, seed=0)
    assert sorted(centres[:, 0]) == [0, 1, 5]
    assert (shapes[:, 1] == 0.5).all(), "a sensor that never moved"
    assert shapes[:, 0] == pytest.approx(0.5 / (0.01 * points[:, 0].var())), "clusters of one place"
    with pytest.raises(CircuitMismatch, match="3 different moments of experience cannot place 5 kernels; give fewer"):
        clusters(points, 5, seed=0)


@pytest.mark.parametrize("algorithm", ["ppo", "es"])
def test_where_kernels_are_is_kept_when_a_run_is_resumed(tmp_path, algorithm):
    options = {"ppo": {"n_envs": 4, "n_steps": 32, "batch_size": 32}, "es": {"n_envs": 4}}[algorithm]
    config = RunConfig("rbf", algorithm, "swimmer4", steps=768, episode_steps=48, algorithm_options=options,
                       circuit_options={"units": 8})  # fmt: skip
    whole = train(config, tmp_path / "whole", progress=False).load_checkpoint().weights
    stopped = train(config, tmp_path / "stopped", progress=False, callback=lambda moment: moment.step >= 300)
    early = stopped.load_checkpoint().weights
    assert early["is_placed"]
    late = resume(stopped.path, progress=False).load_checkpoint().weights
    assert not torch.equal(early["weights"], late["weights"]), "kernels learn"
    for name, value in whole.items():
        assert torch.equal(value, late[name]), name


def test_the_graph_says_how_narrow_a_kernel_is_and_what_it_drives():
    circuit = RBF({"joint_pos": 2}, 2, units=3, rng=rng())
    with torch.no_grad():
        circuit.weights.fill_(0.5)
    groups = {}
    for each in circuit.wiring().synapses:
        groups.setdefault(each.group, []).append(each)
    assert {group: len(found) for group, found in groups.items()} == {
        "log_shapes": 6, "weights": 6, "direct.weight": 4
    }  # fmt: skip
    assert {each.weight for each in groups["log_shapes"]} == {0.5}


@pytest.mark.parametrize(
    ("options", "said"), [({"units": 0}, "units is 0; give 1"), ({"kernel": "box"}, "'box'; give")]
)
def test_a_mistake_is_one_line(options, said):
    with pytest.raises(CircuitMismatch, match=said):
        make_circuit("rbf", SENSES, 3, options)
