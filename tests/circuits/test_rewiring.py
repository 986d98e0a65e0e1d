"""Ensembles that rewire: the authors' own rounds, closed forms, and what a synapse that is not there may not do."""

import dataclasses
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from nervecord.circuits import MLP, Rewiring, make_circuit
from nervecord.circuits.rewiring import correlation, cosine, divide, grow, prune
from nervecord.errors import CircuitMismatch

GOLDEN = Path(__file__).parents[1] / "golden" / "g2g.npz"
SENSES = {"joint_pos": 5, "body_velocities": 18, "to_target": 2}
BODY = {"ensembles": "body", "hidden": [20, 20]}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rewired(circuit, rounds: int = 1, seed: int = 0):
    """Let a circuit rewire by activity of random sensors; return which weights began anew in the last round."""
    for number in range(rounds):
        sensors = torch.randn(30, 4, circuit.n_sensors, generator=rng(seed + number))
        state, activity = circuit.initial_state(4), []
        with torch.no_grad():
            for row in sensors:
                _, state, felt = circuit.forward_with_activity(row, state)
                activity.append(felt)
        anew = circuit.restructure(sensors, torch.stack(activity))
    return anew


SPARSE = [
    ("mlp", BODY),
    ("mlp", {"ensembles": "random", "hidden": [24], "prune": "hebb"}),
    ("ctrnn", {"ensembles": "body", "units": 20}),
    ("ctrnn", {"ensembles": "interleaved", "units": 20, "n_ensembles": 4, "grow": "random"}),
]


@pytest.fixture(params=SPARSE, ids=str)
def circuit(request):
    return make_circuit(request.param[0], SENSES, 5, request.param[1], rng())


# The rules


@pytest.mark.parametrize("case", range(3))
def test_scores_pruning_and_growth_are_the_authors(case):
    """What was pruned may grow at once in their rounds, and a synapse that grows has its old weight."""
    file, prefix = np.load(GOLDEN), f"case{case}/"
    held = {key.removeprefix(prefix): torch.as_tensor(file[key]) for key in file.files if key.startswith(prefix)}
    share, rule = held["options"][4].item(), int(held["options"][5])
    weight, mask, x, bias = held["weight"], held["mask"].bool(), held["input"], held["bias"]
    torch.testing.assert_close(x @ (weight * mask).t() + bias, held["output"], rtol=0, atol=1e-9)
    for number in range(sum(key.endswith("/pre") for key in held)):
        found = {key: held[f"round{number}/{key}"] for key in ("pre", "post", "correlation", "mask", "output")}
        score = cosine(found["pre"], found["post"])
        torch.testing.assert_close(score, found["correlation"], rtol=0, atol=1e-9)
        count = int(share * int(mask.sum()))
        kept = prune(mask, score if rule else weight.abs(), count)
        mask = kept | grow(~kept, score, count)
        assert torch.equal(mask, found["mask"].bool())
        torch.testing.assert_close(x @ (weight * mask).t() + bias, found["output"], rtol=0, atol=1e-9)
        weight = held[f"round{number}/weight_after"]


def test_a_correlation_is_numpys_and_a_constant_unit_has_none():
    pre, post = torch.randn(20, 3, 4, generator=rng()), torch.randn(20, 3, 5, generator=rng(1))
    post[..., 2] = 7.0
    lost = pre.clone()
    lost[3, 1, 0] = torch.nan
    assert not correlation(lost, post)[:, 0].any()
    found = correlation(pre, post)
    with np.errstate(invalid="ignore"):
        both = np.corrcoef(np.concatenate((post.flatten(0, 1), pre.flatten(0, 1)), 1).T)[:5, 5:]
    rest = [0, 1, 3, 4]
    assert np.allclose(found[rest], np.abs(both[rest]), atol=1e-6)
    assert (found[2] < 1e-6).all()


def test_correlation_finds_planted_pairs_that_cosines_miss():
    """Of 3600 pairs, post copies pre in a third of the steps in ten; rates of all units differ."""
    draws = rng(3)
    rates = 0.05 + 0.6 * torch.rand(2, 60, generator=draws)
    pre, post = (torch.rand(400, 4, 60, generator=draws) < each for each in rates)
    planted = torch.zeros(60, 60, dtype=torch.bool)
    copied = torch.rand(400, 4, 10, generator=draws) < 0.35
    for pair in range(10):
        planted[59 - pair, pair] = True
        post[..., 59 - pair] = torch.where(copied[..., pair], pre[..., pair], post[..., 59 - pair])
    pre, post = pre.float(), post.float()
    everywhere = torch.ones_like(planted)
    assert torch.equal(grow(everywhere, correlation(pre, post), 10), planted)
    assert (grow(everywhere, cosine(pre, post), 10) & planted).sum() < 5


def test_ensembles_are_in_a_row_interleaved_or_random_and_of_one_size():
    assert divide(8, 4, "index").tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert divide(8, 4, "interleaved").tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    for kind in ("index", "interleaved", "random"):
        sizes = divide(22, 4, kind, rng()).bincount()
        assert sizes.max() - sizes.min() == 1
    assert not torch.equal(divide(22, 4, "random", rng()), divide(22, 4, "random", rng(1)))


def test_density_and_modularity_are_what_the_probabilities_say():
    """p/G + q (1 - 1/G) = 0.25625, and p / (p + (G - 1) q) - 1/G = 0.3628 for the published numbers."""
    rules = Rewiring("index")
    members = rules.of_units(400, 5, None)
    mask = rules.draw(members, members, rng())
    assert mask.float().mean().item() == pytest.approx(0.25625, abs=0.003)
    graph = nx.from_numpy_array(mask.numpy(), create_using=nx.DiGraph)
    parts = [set(members[:, ensemble].nonzero()[:, 0].tolist()) for ensemble in range(8)]
    assert nx.community.modularity(graph, parts) == pytest.approx(0.3628, abs=0.01)


def test_what_was_pruned_waits_for_a_round():
    rules = dataclasses.replace(Rewiring("index"), rewire_share=0.5)
    mask = torch.tensor([[True, True, False, False]])
    weight, score = torch.tensor([[0.1, 5.0, 0.0, 0.0]]), torch.tensor([[0.9, 0.1, 0.2, 0.3]])
    possible = torch.ones_like(mask)
    once = rules.rewired(weight, mask, score, possible, rng())
    assert once.tolist() == [[False, True, False, True]], "the first has the highest score, and was just pruned"
    twice = rules.rewired(torch.tensor([[0.0, 5.0, 0.0, 0.2]]), once, score, possible, rng())
    assert twice.tolist() == [[True, True, False, False]]


# Circuits of them


def test_the_number_of_synapses_stays_and_the_graph_has_no_others(circuit):
    before = {name: mask.sum().item() for name, mask in circuit.active().items()}
    assert before
    for _ in range(4):
        anew = rewired(circuit)
        assert all(each.any() for each in anew.values())
        assert {name: mask.sum().item() for name, mask in circuit.active().items()} == before
    for name, parameter in circuit.named_parameters():
        if name in before:
            assert not parameter[~circuit.active()[name]].any()
    if circuit.groups.get("hidden_0"):
        sparse = [each for each in circuit.wiring().synapses if each.group in before]
        assert len(sparse) == sum(before.values())
    else:
        assert not any(each.pre == each.post for each in circuit.wiring().synapses)
        assert not circuit.mask_rec.diag().any()


def test_growth_alone_changes_no_command(circuit, monkeypatch):
    monkeypatch.setattr("nervecord.circuits.rewiring.prune", lambda mask, worth, count: mask)  # noqa: ARG005
    sensors, state = torch.randn(9, circuit.n_sensors, generator=rng(9)), circuit.initial_state(9)
    before = circuit(sensors, state)[0]
    edges = sum(mask.sum().item() for mask in circuit.active().values())
    rewired(circuit, 3)
    assert sum(mask.sum().item() for mask in circuit.active().values()) > edges
    assert torch.equal(circuit(sensors, state)[0], before)


def test_without_synapses_between_ensembles_a_sensor_reaches_its_own_alone():
    circuit = make_circuit("mlp", SENSES, 5, {**BODY, "p_inter": 0.0}, rng())
    still = circuit.forward_with_activity(torch.zeros(1, 25), {})[2]
    for joint in range(5):
        sensors = torch.zeros(1, 25)
        sensors[0, joint] = 1.0
        moved = (circuit.forward_with_activity(sensors, {})[2] != still)[0].nonzero()[:, 0].tolist()
        names = {circuit.neurons[index].name for index in moved}
        own = {f"hidden_{layer}_ensemble_{joint}_{unit}" for layer in (0, 1) for unit in range(4)}
        assert names == {f"joint_pos_{joint}", f"motor_{joint}", *own}


@pytest.mark.parametrize(("kind", "reached"), [("index", 1), ("interleaved", 1), ("mixer", 8)])
def test_two_matrices_of_a_mixer_join_all_ensembles(kind, reached):
    """A sensor reaches the units of one ensemble in the first layer, and through them some of each in the second."""
    options = {"hidden": [64, 64, 64], "ensembles": kind, "p_inter": 0.0, "rewire_every": 0}
    circuit = make_circuit("mlp", {"sense": 64}, 5, options, rng())
    first, second, third = (layer.mask for layer in circuit.layers[:3])
    assert {int(each.sum()) for mask in (first, second, third) for each in mask} == {8}
    ensembles = torch.arange(64) // 8 if kind != "interleaved" else torch.arange(64) % 8
    heard = (second.float() @ first.float())[:, 0] > 0
    assert len(set(ensembles[heard].tolist())) == reached
    assert torch.equal(first, third)
    assert torch.equal(first, second) is (kind != "mixer")


def test_a_links_velocities_are_of_both_its_joints_and_a_target_is_everywhere():
    members = Rewiring("body").of_sensors(tuple(SENSES.items()), 5, None)
    assert members[:5].int().tolist() == torch.eye(5).int().tolist()
    links = members[5:23].unflatten(0, (6, 3))
    assert [each[0].nonzero()[:, 0].tolist() for each in links] == [[0], [0, 1], [1, 2], [2, 3], [3, 4], [4]]
    assert members[23:].all()


def test_units_of_an_ensemble_stand_at_their_joint():
    circuit = make_circuit("ctrnn", SENSES, 5, {"ensembles": "body", "units": 12}, rng())
    places = {neuron.name: neuron.position for neuron in circuit.neurons}
    assert places["ensemble_0_0"] == 0
    assert places["ensemble_4_1"] == 1
    assert places["ensemble_2_1"] == 0.5
    assert sum(name.startswith("ensemble_") for name in places) == 12


def test_weights_that_are_not_there_have_no_gradient_and_no_optimiser_moves_them(circuit):
    optimizer = torch.optim.AdamW(circuit.parameters(), 0.01, weight_decay=0.1)
    for step in range(5):
        optimizer.zero_grad()
        sensors, starts = torch.randn(6, 4, circuit.n_sensors, generator=rng(step)), torch.zeros(6, 4).bool()
        (circuit.unroll(sensors, circuit.initial_state(4), starts)[0] - 1).square().sum().backward()
        optimizer.step()
    for name, mask in circuit.active().items():
        parameter = circuit.get_parameter(name)
        assert not parameter[~mask].any()
        assert not parameter.grad[~mask].any()
        assert parameter.grad[mask].any()


def test_sums_vary_as_in_a_dense_layer():
    """Each row is scaled for what it hears; here three of four inputs are missing."""
    dense, sparse = (
        MLP({"x": 400}, 1, hidden=[400], rng=rng(), **options)
        for options in ({}, {"ensembles": "index", "p_intra": 0.25, "p_inter": 0.25})
    )
    x = torch.randn(2000, 400, generator=rng())
    spread = [circuit.layers[0](x).std().item() for circuit in (dense, sparse)]
    assert spread[1] == pytest.approx(spread[0], rel=0.05)


def test_all_synapses_within_one_ensemble_are_the_dense_circuit():
    dense = make_circuit("mlp", SENSES, 5, {"hidden": [8]}, rng())
    whole = make_circuit("mlp", SENSES, 5, {"hidden": [8], "ensembles": "index", "n_ensembles": 1}, rng())
    for own, value in dense.named_parameters():
        assert torch.equal(value, whole.get_parameter(own))


def test_random_growth_depends_on_the_seed_and_the_round_alone():
    options = {"hidden": [24], "ensembles": "index", "grow": "random"}
    one, again, other = (make_circuit("mlp", SENSES, 5, options, rng(seed)) for seed in (0, 0, 1))
    rewired(one)
    saved = {name: value.clone() for name, value in one.state_dict().items()}
    rewired(one)
    again.load_state_dict(saved)
    rewired(again)
    other.load_state_dict({**saved, "rewiring_seed": other.rewiring_seed})
    rewired(other)
    name = "layers.0.weight"
    assert torch.equal(one.active()[name], again.active()[name])
    assert not torch.equal(one.active()[name], other.active()[name])


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("mlp", {"p_inter": 0.5}, "p_inter is 0.5, and there are no ensembles; give ensembles='body'"),
        ("mlp", {"ensembles": "body", "n_ensembles": 8}, "one for each of 5 joints; leave it out"),
        ("mlp", {"ensembles": "index", "p_intra": 1.5}, "p_intra is 1.5; give 0 to 1"),
        ("mlp", {"ensembles": "index", "hidden": [4]}, "4 units cannot be divided into 8 ensembles; give 8 or more"),
        ("mlp", {"ensembles": "index", "hidden": []}, "no hidden units"),
        ("mlp", {"ensembles": "index", "n_ensembles": 0}, "n_ensembles is 0; give 1 or more"),
        ("ctrnn", {"ensembles": "index", "rewire_every": -1}, "rewire_every is -1; give 1 or more, or 0 for never"),
        ("ctrnn", {"ensembles": "index", "rewire_share": 0.0}, "rewire_share is 0.0; give a share above 0"),
        ("ctrnn", {"ensembles": "index", "rewire_every": 0, "grow": "random"}, "grow is random, and rewire_every is 0"),
        ("ctrnn", {"ensembles": "index", "delays": 3}, "delays is 3, and synapses that are exchanged have none"),
    ],
)
def test_a_mistake_is_one_line(name, options, said):
    with pytest.raises(CircuitMismatch, match=said):
        make_circuit(name, SENSES, 5, options)
