"""Connectomes: graphs read and refused, controls that keep what they say, and a ladder that swims."""

import csv
import dataclasses
import re
from collections import Counter

import networkx as nx
import numpy as np
import pytest
import torch
from nervecord.agents import Agent
from nervecord.circuits import Cell, Connectome, Contact, Graph, ladder, load_graph, make_circuit
from nervecord.cli.main import main
from nervecord.errors import CircuitMismatch, MissingDependency, UnknownName
from nervecord.training.rollouts.evaluation import evaluate_on
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.resolution import resolve


def small() -> Graph:
    cells = (
        Cell("DB1", "DB", "motor", 0.1), Cell("VB1", "VB", "motor", 0.1), Cell("DD1", "DD", "motor", 0.5),
        Cell("MDL01", "MD", "muscle", 0.3, "d"), Cell("MVL01", "MV", "muscle", 0.7, "v"),
    )  # fmt: skip
    contacts = (
        Contact("DB1", "MDL01", 3, 1), Contact("VB1", "MVL01", 2, 1), Contact("VB1", "DD1", 1, 1),
        Contact("DD1", "MDL01", 4, -1), Contact("DB1", "VB1", 2, 1, True),
    )  # fmt: skip
    return Graph(cells, contacts)


def write(graph: Graph, folder) -> None:
    with open(folder / "worm.csv", "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["pre", "post", "count", "sign", "kind"])
        for c in graph.contacts:
            rows.writerow([c.pre, c.post, c.count, c.sign, "electrical" if c.is_electrical else "chemical"])
    with open(folder / "worm.cells.csv", "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "class", "role", "position", "side"])
        for cell in graph.cells:
            rows.writerow([cell.name, cell.kind, cell.role, cell.position, cell.side or ""])


def test_a_graph_survives_csv_and_graphml(tmp_path):
    write(small(), tmp_path)
    assert load_graph(str(tmp_path / "worm.csv")) == dataclasses.replace(
        small(), contacts=tuple(dataclasses.replace(c, count=float(c.count)) for c in small().contacts)
    )
    held = nx.MultiDiGraph()
    for cell in small().cells:
        held.add_node(cell.name, **{"class": cell.kind}, role=cell.role, position=cell.position, side=cell.side or "")
    for c in small().contacts:
        kind = "electrical" if c.is_electrical else "chemical"
        held.add_edge(c.pre, c.post, count=float(c.count), sign=c.sign, kind=kind)
    nx.write_graphml(held, tmp_path / "worm.graphml")
    assert set(load_graph(str(tmp_path / "worm.graphml")).contacts) == set(
        load_graph(str(tmp_path / "worm.csv")).contacts
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contacts": (Contact("DB9", "MDL01", 1, 1),)}, "unknown cell .* 'DB9'; did you mean 'DB1'"),
        ({"contacts": (Contact("DB1", "MDL01", 1, 0),)}, "has sign 0; give 1"),
        ({"contacts": (Contact("DB1", "MDL01", 0, 1),)}, "has count 0; give above 0"),
        ({"contacts": (Contact("DB1", "MDL01", 1, 1),)}, "nothing reaches muscle MVL01"),
        ({"cells": (dataclasses.replace(small().cells[0], role="motr"), *small().cells[1:])}, "did you mean 'motor'"),
        ({"cells": (*small().cells, small().cells[0])}, "cell 'DB1' is there 2 times"),
        (
            {"cells": (dataclasses.replace(small().cells[0], position=30.0), *small().cells[1:])},
            "DB1 lies at 30.0; give 0",
        ),
        (
            {"cells": (dataclasses.replace(small().cells[3], side="D"), *small().cells[:3])},
            "MDL01 has side 'D'; give d",
        ),
        ({"cells": tuple(c for c in small().cells if c.side != "v"), "contacts": ()}, "no ventral muscle"),
    ],
)
def test_a_graph_that_cannot_be_is_one_line(change, message):
    with pytest.raises((CircuitMismatch, UnknownName), match=message):
        dataclasses.replace(small(), **change)


def test_files_that_are_no_graphs_are_one_line(tmp_path):
    with pytest.raises(UnknownName, match="unknown graph 'worm'"):
        load_graph("worm")
    with pytest.raises(CircuitMismatch, match=r"nowhere\.csv cannot be read"):
        load_graph(str(tmp_path / "nowhere.csv"))
    write(small(), tmp_path)
    text = (tmp_path / "worm.csv").read_text(encoding="utf-8")
    (tmp_path / "worm.csv").write_text(text.replace("3,1,chemical", "3,,chemical"), encoding="utf-8")
    with pytest.raises(CircuitMismatch, match="DB1 -> MDL01 has no sign"):
        load_graph(str(tmp_path / "worm.csv"))
    (tmp_path / "worm.csv").write_text(text.replace("3,1,chemical", "3,0.5,chemical"), encoding="utf-8")
    with pytest.raises(CircuitMismatch, match=r"DB1 -> MDL01 has sign 0\.5; give 1"):
        load_graph(str(tmp_path / "worm.csv"))
    (tmp_path / "worm.csv").write_text(text.replace("sign", "sgn"), encoding="utf-8")
    with pytest.raises(CircuitMismatch, match="no column 'sign'"):
        load_graph(str(tmp_path / "worm.csv"))
    (tmp_path / "worm.graphml").write_text("<graphml", encoding="utf-8")
    with pytest.raises(CircuitMismatch, match="cannot be read as GraphML"):
        load_graph(str(tmp_path / "worm.graphml"))


def degrees(graph: Graph) -> tuple[Counter, Counter]:
    return Counter(c.pre for c in graph.contacts), Counter(c.post for c in graph.contacts)


def test_a_graph_in_parts_is_one_line(tmp_path):
    graph = small()
    write(dataclasses.replace(graph, cells=(*graph.cells, Cell("VD1", "VD", "motor", 0.5))), tmp_path)
    with pytest.raises(CircuitMismatch, match=r"is of 2 unconnected parts: VD1 is cut off; add their contacts"):
        load_graph(str(tmp_path / "worm.csv"))


def test_controls_keep_what_they_say():
    graph, rng = ladder(), np.random.default_rng(0)
    counts = sorted(c.count for c in graph.contacts)
    for kind in ("rewired", "signs", "random"):
        other = graph.control(kind, rng)
        assert other != graph
        assert sorted(c.count for c in other.contacts) == counts
        assert Counter(c.sign for c in other.contacts) == Counter(c.sign for c in graph.contacts)
        pairs = [(c.pre, c.post, c.is_electrical) for c in other.contacts]
        assert len(set(pairs)) == len(pairs)
    rewired = graph.control("rewired", rng)
    assert degrees(rewired) == degrees(graph)
    kept = {(c.pre, c.post) for c in rewired.contacts} & {(c.pre, c.post) for c in graph.contacts}
    assert len(kept) < 0.5 * len(graph.contacts)
    assert [(c.pre, c.post) for c in graph.control("signs", rng).contacts] == [(c.pre, c.post) for c in graph.contacts]
    assert graph.control("none", rng) is graph


def test_the_ladder_has_the_cells_and_signs_of_the_ventral_cord():
    graph = ladder()
    kinds = Counter(cell.kind for cell in graph.cells)
    assert kinds == {"AVB": 2, "DB": 7, "VB": 11, "DD": 6, "VD": 13, "MD": 48, "MV": 47}
    assert graph.weight("DB", "MV") == (0, 0)
    assert graph.weight("DB", "MD")[1] > 48
    assert all(c.sign == -1 for c in graph.contacts if c.pre.startswith(("DD", "VD")))
    assert len(graph.parts()) == 1


def test_a_step_is_what_the_equation_says(tmp_path):
    write(small(), tmp_path)
    circuit = Connectome({"joint_pos": 2}, 2, graph=str(tmp_path / "worm.csv"))
    r = torch.tensor([[0.2, 0.4, 0.1, 0.3, 0.5]])
    with torch.no_grad():
        after, _ = circuit.step_features(torch.tensor([[0.5, -0.5]]), {"r": r, "step": torch.zeros(1, 1)})
    wave = np.sin(0.5 * 2 * np.pi / 60)
    # Gains: DB-MD 3, VB-MV 3, VB-DD 2, DD-MD 1, gap 0.1; counts are over all of the pair that reach a cell.
    x = [2 * wave + 0.1 * (0.4 - 0.2), -2 * wave + 0.1 * (0.2 - 0.4), 2 * 0.4, 3 * 0.2 - 0.1, 3 * 0.4]
    expected = r.numpy()[0] + (1 - np.exp(-1)) * (np.tanh(np.maximum(x, 0)) - r.numpy()[0])
    assert np.allclose(after.numpy()[0], expected, atol=1e-6)


def test_gains_are_few_by_class_and_one_each_when_free():
    by_class = Connectome({"joint_pos": 5}, 5)
    free = Connectome({"joint_pos": 5}, 5, gains="free")
    assert len(by_class.gain) == 8
    assert len(free.gain) == len(ladder().contacts)
    sensors, state = torch.rand(3, 5) - 0.5, by_class.initial_state(3)
    for _ in range(5):
        one, state_one = by_class(sensors, state)
        other, _ = free(sensors, state)
        assert torch.allclose(one, other, atol=1e-6)
        state = state_one
    with torch.no_grad():
        free.gain.fill_(-1.0)
    assert (free.weights()[0] == 0).all()


def test_gains_start_alike_however_they_are_kept_from_below_zero():
    plain = Connectome({"joint_pos": 5}, 5)
    for form in ("softplus", "projection"):
        other = Connectome({"joint_pos": 5}, 5, nonnegative=form)
        torch.testing.assert_close(other.gains, plain.gains)
        torch.testing.assert_close(other.weights(), plain.weights())


def test_a_gain_below_zero_has_a_gradient_by_softplus_and_comes_back_by_projection():
    circuits = {form: Connectome({"joint_pos": 5}, 5, nonnegative=form) for form in ("clamp", "softplus", "projection")}
    for form, circuit in circuits.items():
        with torch.no_grad():
            circuit.gain.fill_(-1.0)
        assert circuit.changes_after_update == (form == "projection")
        circuit.after_update(torch.zeros(1, 1, 5), torch.zeros(1, 1, len(circuit.neurons)))
    gradients = {
        form: torch.autograd.grad(circuit.gains.sum(), [circuit.gain])[0].max().item()
        for form, circuit in circuits.items()
    }
    assert gradients == {
        "clamp": 0.0, "softplus": pytest.approx(1 / (1 + np.e)), "projection": 1.0
    }  # fmt: skip
    assert (circuits["clamp"].gain == -1).all()
    assert (circuits["projection"].gain == 0).all()
    assert not Connectome({"joint_pos": 5}, 5, nonnegative="projection", gains="fixed").changes_after_update


def test_raw_counts_are_weights_by_one_factor_for_each_pair_of_classes():
    circuit = Connectome({"joint_pos": 5}, 5, counts="raw")
    chemical, electrical = (matrix.detach() for matrix in circuit.weights())
    assert (electrical > 0).any()
    assert torch.equal(electrical, electrical.T)
    cells = {cell.name: i for i, cell in enumerate(circuit.graph.cells)}
    kind = {cell.name: cell.kind for cell in circuit.graph.cells}
    factors, totals = {}, {}
    for contact in circuit.graph.contacts:
        weight = (electrical if contact.is_electrical else chemical)[cells[contact.post], cells[contact.pre]]
        pair = (*sorted((kind[contact.pre], kind[contact.post])), True) if contact.is_electrical else (
            kind[contact.pre], kind[contact.post], False)  # fmt: skip
        factors.setdefault(pair, []).append(float(weight) / (contact.sign * contact.count))
        if not contact.is_electrical:
            totals.setdefault(pair, {}).setdefault(contact.post, []).append(abs(float(weight)))
    assert all(np.allclose(each, each[0]) for each in factors.values())
    share = {pair: np.mean([sum(each) for each in cells.values()]) for pair, cells in totals.items()}
    assert share["DB", "MD", False] == pytest.approx(3.0)
    assert share["VB", "DD", False] == pytest.approx(2.0)


def test_a_graph_without_anything_for_the_oscillator_is_one_line(tmp_path):
    (tmp_path / "b.csv").write_text("pre,post,count,sign,kind\nDB1,M1,1,1,chemical\nVB1,M2,1,1,chemical\n"
                                    "DB1,VB1,1,1,electrical\n", encoding="utf-8")  # fmt: skip
    (tmp_path / "b.cells.csv").write_text("name,class,role,position,side\nDB1,DB,motor,0.5,\nVB1,VB,motor,0.5,\n"
                                          "M1,MD,muscle,0.5,d\nM2,MV,muscle,0.5,v\n", encoding="utf-8")  # fmt: skip
    with pytest.raises(CircuitMismatch, match=r"no cell of class DB or VB at a position below 0\.2"):
        make_circuit("connectome", {"joint_pos": 5}, 5, {"graph": str(tmp_path / "b.csv")})


@pytest.mark.parametrize("joints", [2, 5, 23, 59, 99])
def test_every_joint_is_moved_by_muscles_of_both_sides(joints):
    circuit = make_circuit("connectome", {"joint_pos": joints}, joints)
    pull = circuit.readout.pull
    assert torch.allclose(pull.clamp(min=0).sum(1), torch.ones(joints))
    assert torch.allclose(pull.clamp(max=0).sum(1), -torch.ones(joints))
    # A mirrored body moves in mirror: the ladder's sides differ only in how many cells they have.
    assert circuit.felt.abs().sum(1).max() == pytest.approx(1)


def test_a_joint_between_two_muscles_is_moved_by_both():
    circuit = make_circuit("connectome", {"joint_pos": 99}, 99)
    places = torch.tensor([cell.position for cell in circuit.graph.cells])
    for side in (1, -1):
        pull = (side * circuit.readout.pull).clamp(min=0)
        assert (pull @ places)[3:-3].numpy() == pytest.approx(np.arange(4, 97) / 100, abs=0.02)


@pytest.mark.parametrize("joints", [3, 5, 11])
def test_stretch_is_felt_as_many_links_ahead_on_every_body(joints):
    circuit = make_circuit("connectome", {"joint_pos": joints}, joints)
    places = (torch.arange(joints) + 1.0) / (joints + 1)
    inside = 0
    for cell, felt in zip(circuit.graph.cells, circuit.felt, strict=True):
        ahead = cell.position - 1.2 / (joints + 1)
        if felt.any() and places[0] < ahead < places[-1]:
            assert float(felt.abs() @ places) == pytest.approx(ahead, abs=1e-5)
            inside += 1
    assert inside >= 3


def untrained_return(config: RunConfig) -> float:
    resolved = resolve(config)
    return float(evaluate_on(resolved, Agent(resolved.agent), 2).returns.mean())


def test_the_ladder_swims_on_bodies_that_it_was_not_made_for():
    for body in ("swimmer8", "swimmer12"):
        config = RunConfig("connectome", body=body, episode_steps=500)
        swims = untrained_return(config)
        assert swims > 300, body  # 500 steps; above 400 when written


def test_the_ladder_swims_untrained_and_shuffled_signs_do_not():
    config = RunConfig("connectome", episode_steps=500)
    swims = untrained_return(config)
    shuffled = [
        untrained_return(dataclasses.replace(config, seed=seed, circuit_options={"control": "signs"}))
        for seed in range(3)
    ]
    assert swims > 250  # 500 steps; 337 when written
    assert max(shuffled) < swims / 2


@pytest.mark.parametrize(("options", "learned"), [
    ({"taus": "cell"}, {"gain": 10, "log_tau": 134}), ({"taus": "fixed"}, {"gain": 10}),
    ({"gains": "fixed"}, {"log_tau": 7}), ({"gains": "fixed", "taus": "fixed"}, {}),
])  # fmt: skip
def test_gains_and_time_constants_are_learned_or_fixed_but_act_alike(options, learned):
    plain = make_circuit("connectome", {"joint_pos": 5}, 5)
    circuit = make_circuit("connectome", {"joint_pos": 5}, 5, options)
    sizes = {name: value.numel() for name, value in circuit.named_parameters() if name in ("gain", "log_tau")}
    assert sizes.keys() == learned.keys()
    assert sizes.get("log_tau") == learned.get("log_tau")
    sensors, episode_start = torch.rand(4, 2, 5) - 0.5, torch.zeros(4, 2, dtype=torch.bool)
    expected, _ = plain.unroll(sensors, plain.initial_state(2), episode_start)
    got, _ = circuit.unroll(sensors, circuit.initial_state(2), episode_start)
    torch.testing.assert_close(got, expected)


def test_the_published_connectome_has_the_counts_that_are_known():
    pytest.importorskip("cect", reason="cect holds the published connectome: pip install --no-deps cect")
    graph = load_graph("cook2019")
    expected = {("DB", "MD"): (170, 63), ("DB", "MV"): (0, 0), ("VB", "MV"): (338, 69), ("DB", "VD"): (235, 22),
                ("VB", "DD"): (290, 16), ("DD", "MD"): (243, 45), ("VD", "MV"): (362, 74)}  # fmt: skip
    for (pre, post), counts in expected.items():
        assert graph.weight(pre, post) == counts, (pre, post)
    joined = [graph.weight("AVB", kind, is_electrical=True) for kind in ("DB", "VB")]
    assert tuple(map(sum, zip(*joined, strict=True))) == (156, 31)
    signs = {contact.pre[:2]: contact.sign for contact in graph.contacts if not contact.is_electrical}
    assert {kind: signs[kind] for kind in ("DD", "VD", "DA", "DB", "VA", "VB", "AS")} == {
        "DD": -1, "VD": -1, "DA": 1, "DB": 1, "VA": 1, "VB": 1, "AS": 1,
    }  # fmt: skip
    roles = Counter(cell.role for cell in graph.cells)
    assert roles["muscle"] == 95
    assert roles.total() == 202
    assert all(0 <= cell.position <= 1 for cell in graph.cells)
    assert len(graph.parts()) == 1
    places = [cell.position for cell in graph.cells if cell.kind == "VD"]
    assert places == sorted(places)


def test_the_whole_published_connectome_has_every_neuron_with_synapses():
    pytest.importorskip("cect", reason="cect holds the published connectome: pip install --no-deps cect")
    graph = load_graph("cook2019-whole")
    neurons = [cell for cell in graph.cells if cell.role != "muscle"]
    assert len(neurons) == 302
    assert {"ASEL", "AVAL", "RIML", "NSML", "I3", "DVA", "PVCL"} <= {cell.name for cell in neurons}
    assert {cell.kind for cell in neurons if cell.name in ("RMDDL", "RMDL", "RMDVR")} == {"RMD"}


def test_without_the_package_the_published_connectome_is_one_line(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match=r"cect is not installed: pip install --no-deps cect"):
        load_graph("cook2019")


def test_wrong_options_are_one_line():
    for options, message in (
        ({"gains": "all"}, "gains"), ({"nonnegative": "abs"}, "nonnegative"), ({"taus": "all"}, "taus"),
        ({"control": "shuffle"}, "control"), ({"graph": "cook"}, "unknown graph 'cook'"),
        ({"reach": -1.0}, "reach is -1.0; give 0 or more"),
        ({"counts": "log"}, "'counts' of connectome is 'log'"),
    ):  # fmt: skip
        with pytest.raises((CircuitMismatch, UnknownName), match=message):
            make_circuit("connectome", {"joint_pos": 5}, 5, options)


def test_what_a_connectome_holds_is_printed(capsys):
    main(["worm", "connectome"])
    printed = capsys.readouterr().out
    assert re.search(r"VD +13 \(motor\)", printed)
    assert re.search(r"VD -> MV +inhibits: \d+ synapses in \d+ contacts", printed)
    assert re.search(r"parts +one", printed)
    with pytest.raises(SystemExit):
        main(["worm", "connectome", "cook"])
    assert "unknown graph 'cook'" in capsys.readouterr().err
