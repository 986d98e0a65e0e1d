"""Fits to the propagation atlas: partners stay together, gradients are right, and what is there is found."""

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch
from nervecord import evaluate
from nervecord.agents import Agent
from nervecord.circuits import Graph, load_graph, make_circuit
from nervecord.circuits.connectome import Cell, Contact
from nervecord.circuits.connectome.files import graph_json
from nervecord.cli.main import main
from nervecord.errors import CircuitMismatch
from nervecord.intervals import Interval
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.resolution import resolve
from nervecord.training.runs.run import Run
from nervecord.worm import Model, fit, fit_circuit, load_atlas, propagate, swim_of
from nervecord.worm.atlas import Atlas, partner
from nervecord.worm.fitted import save_fitted
from nervecord.worm.fitting import CircuitResponse, Fit, RateNetwork, Response, _train, scored
from nervecord.worm.folds import FOLDS
from test_atlas import installed


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """An atlas of the ladder's neurons: any responds where q says so."""
    folder = tmp_path_factory.mktemp("atlas")
    names = tuple(cell.name for cell in load_graph("ladder").cells if cell.role != "muscle")
    places = "\n".join(f"{i} 0 0" for i in range(len(names)))
    (folder / "anatlas_neuron_positions.txt").write_text(f"#{' '.join(names)}\n{places}\n", encoding="utf-8")
    n = len(names)
    rng = np.random.default_rng(0)
    return Atlas(
        folder, "wt", names, rng.random((n, n)) ** 3, np.ones((n, n)), np.ones((n, n), int), ~np.eye(n, dtype=bool)
    )


def test_partners_are_in_the_same_fold():
    names = list(itertools.chain(*FOLDS))
    assert len(names) == len(set(names)) == 168
    for fold in FOLDS:
        assert all(partner(name) in fold for name in fold if partner(name) in names)


def test_a_circuit_s_response_is_that_of_a_small_simulated_current(small):
    circuit = make_circuit("connectome", {"joint_pos": 5}, 5, {"graph": "ladder"})
    network = CircuitResponse(small, Model(), circuit, 0.1)
    found = network.response(torch.arange(len(small.names))).detach().numpy()
    simulated = propagate(circuit, 0.1, 0.01)
    assert simulated.names == small.names
    np.testing.assert_allclose(found, simulated.gain, rtol=1e-2, atol=1e-3)


def test_gradients_are_those_of_finite_differences(small):
    circuit = make_circuit("connectome", {"joint_pos": 5}, 5, {"graph": "ladder"})
    graph = load_graph("ladder")
    driven = torch.tensor([0, 3, 20])
    for network in (CircuitResponse(small, Model(), circuit, 0.1), RateNetwork(small, Model("class"), graph)):
        (gradient,) = torch.autograd.grad(
            network(driven).sum(), [last := [p for p in network.parameters() if p.requires_grad][-1]]
        )
        flat, at = last.data.view(-1), int(gradient.abs().argmax())
        values = []
        for step in (1e-5, -2e-5):
            flat[at] += step
            values.append(network(driven).sum().item())
        assert gradient.flatten()[at].item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-3)


def test_a_fit_lowers_the_loss_and_a_penalty_holds_it_back(small):
    rows = list(range(len(small.names)))
    sizes = []
    for decay in (0.01, 1e4):
        network = Response(small, Model("none", rates=True))
        _train(network, small, rows, decay)
        sizes.append(network.rates.abs().max().item())
    assert sizes[0] > 0.3 > 1e-2 > sizes[1]


def test_a_fitted_circuit_is_a_run_like_any(small, tmp_path, monkeypatch):
    monkeypatch.setattr("nervecord.worm.atlas._LEAST", 5)
    resolved = resolve(RunConfig("connectome", circuit_options={"graph": "ladder"}, episode_steps=5))
    circuit = make_circuit("connectome", {"joint_pos": 5}, 5, {"graph": "ladder"})
    run = save_fitted(small, circuit, resolved, 0.1, tmp_path / "fitted")
    fitted = Run(run.path).agent().circuit
    assert torch.equal(fitted.gain, fit_circuit(small, circuit, Model(rates=True), 3.0).gain)
    assert not torch.equal(fitted.gain, circuit.gain)
    assert evaluate(run, 1).n == 1


@pytest.fixture(scope="module")
def swimming():
    """The ladder, and how NCAP swims on its body."""
    resolved = resolve(RunConfig("connectome", circuit_options={"graph": "ladder"}, episode_steps=120))
    ncap = resolve(RunConfig("ncap", episode_steps=120))
    return resolved, Agent(resolved.agent), swim_of(Agent(ncap.agent), ncap)


def test_a_swim_s_error_is_nothing_for_its_own_teacher_and_one_for_motors_at_rest(swimming):
    resolved, agent, _ = swimming
    own = swim_of(agent, resolved)
    assert own.error(copy.deepcopy(agent.circuit).double()).item() == pytest.approx(0, abs=1e-9)
    still = copy.deepcopy(agent.circuit).double()
    for value in (still.gain, still.osc, still.stretch, still.tonic):
        value.data.zero_()
    assert own.error(still).item() == pytest.approx(1)
    other = make_circuit("connectome", {"joint_pos": 3}, 3, {"graph": "ladder"})
    with pytest.raises(CircuitMismatch, match="the teacher moves 5 joints and the circuit 3"):
        own.error(other.double())
    with pytest.raises(CircuitMismatch, match="motors do not move"):
        swim_of(lame(agent), resolved)
    assert own.motors.shape == (120, 2, 5)


def lame(agent):
    acting = copy.deepcopy(agent)
    for value in acting.circuit.parameters():
        value.data.zero_()
    return acting


@pytest.mark.parametrize("form", ["clamp", "softplus"])
def test_the_weights_of_a_fit_move_it_from_the_atlas_to_the_swim(small, swimming, monkeypatch, form):
    monkeypatch.setattr("nervecord.worm.atlas._LEAST", 5)
    monkeypatch.setattr("nervecord.worm.fitting._STEPS", 8)
    _, _, swim = swimming
    circuit = make_circuit("connectome", {"joint_pos": 5}, 5, {"graph": "ladder", "nonnegative": form})
    before = swim.error(copy.deepcopy(circuit).double()).item()
    errors = []
    for weight in (0.0, 0.5, 1.0):
        found = fit_circuit(small, circuit, Model(), 0.1, swim=swim, swimming=weight)
        errors.append(swim.error(copy.deepcopy(found).double()).item())
    assert errors[2] <= errors[1] < errors[0]
    assert errors[1] < before
    # A weight of 0 is the fit without any swim.
    alone = fit_circuit(small, circuit, Model(), 0.1)
    assert torch.equal(alone.gain, fit_circuit(small, circuit, Model(), 0.1, swim=swim).gain)


def test_the_wrong_circuits_and_idle_options_are_refused(small, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cells = [(name, name[:-1], "motor", 0.1, None) for name in ("DB1", "VB1")]
    cells = tuple(
        Cell(*each) for each in (*cells, ("MDL01", "MD", "muscle", 0.3, "d"), ("MVL01", "MV", "muscle", 0.3, "v"))
    )
    cut = graph_json(Graph(cells, (Contact("DB1", "MDL01", 1, 1), Contact("VB1", "MVL01", 1, 1))))
    with pytest.raises(CircuitMismatch, match="and 20 are the fewest"):
        fit_circuit(small, make_circuit("connectome", {"joint_pos": 5}, 5, {"graph": cut}), Model(), 3.0)
    fixed = make_circuit("connectome", {"joint_pos": 5}, 5, {"graph": "ladder", "gains": "fixed"})
    with pytest.raises(CircuitMismatch, match="gains are fixed; give one with gains=class"):
        CircuitResponse(small, Model(), fixed, 0.1)
    for arguments, words in (
        ("--rewired=-1", "rewired is -1; give 0 or more graphs"),
        ("--out .", "exists; give another --out"),
        ("--swimming 1.5", "swimming is 1.5; give a weight from 0 to 1"),
        ("--teacher agent:ncap", "--teacher would have no effect: it is of --swimming, whose weight is 0"),
        ("--gains global --swimming 0.5", "--swimming would have no effect: they are of --gains circuit"),
        ("--gains class --rewired 4", "rewired is 4; gains of classes can learn how often a class answers on any"),
        (
            "--gains class --background 0.2 --out x",
            "--background, --out would have no effect: they are of --gains circuit",
        ),
    ):
        with pytest.raises(SystemExit):
            main(["worm", "fit", *arguments.split()])
        assert words in capsys.readouterr().err


@installed
def test_without_wiring_distance_and_rates_score_as_they_did_elsewhere():
    atlas = load_atlas()
    found = fit(atlas, load_graph("ladder"), Model("none", rates=True, distance=True))
    assert found.auroc.mean == pytest.approx(0.754, abs=5e-3)
    assert found.less(fit(atlas, load_graph("ladder"), Model("none", rates=True))).low > 0.08


@installed
@pytest.mark.slow
def test_a_planted_network_is_recovered():
    atlas, graph = load_atlas(), load_graph("cook2019-whole")
    truth = RateNetwork(atlas, Model(), graph)
    with torch.no_grad():
        truth.common += torch.tensor([1.5, -0.7, -1.0, 0.3])
        odds = truth(torch.arange(300)).numpy()
    strongest = odds >= np.quantile(odds[atlas.measured], 0.95)
    planted = dataclasses.replace(atlas, q=np.where(strongest, 0.0, 1.0))
    found = fit(planted, graph, Model())
    assert found.auroc.mean > 0.99
    assert scored(planted, found.odds).auroc == found.auroc


def test_a_draw_without_any_response_leaves_the_others_interval(small):
    draws = np.linspace(0, 1, 101)
    one, other = (
        Fit(small.q, (0.5,), Interval(mean, 0.0, 1.0, 3), 0.1, np.append(draws + shift, np.nan))
        for mean, shift in ((0.6, 0.1), (0.5, 0.0))
    )
    difference = one.less(other)
    assert (difference.mean, difference.low, difference.high) == pytest.approx((0.1, 0.1, 0.1))
