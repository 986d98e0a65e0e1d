"""The propagation atlas: read as published, ranked by known numbers, and set beside a circuit whose answer is known."""

import hashlib
import importlib.util
import json

import h5py
import numpy as np
import pytest
import torch
from nervecord.circuits import Graph, load_graph, make_circuit
from nervecord.circuits.connectome import Cell, Contact
from nervecord.circuits.connectome.files import graph_json
from nervecord.cli.main import main
from nervecord.errors import CircuitMismatch, InvalidOption, InvalidRecording, MissingDependency, UnknownName
from nervecord.worm import compare_propagation, load_atlas, propagate, score
from nervecord.worm.atlas import partner
from nervecord.worm.predictions import ceilings, linear, of_graph, replicates
from nervecord.worm.scoring import aurocs, average_precision

installed = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("wormneuroatlas", "cect"))),
    reason="the atlas and the connectome are files of others: pip install --no-deps wormneuroatlas cect",
)
MASK = "adb4cccb6d284ebf8201978b279ac503d387ba2c1ba695700dcf78814b3af641"
LABEL = "bb8a7d36685cd21483959de275d12dc25526472931cc33e3b360f3a0e4de9311"
# AUROC, average precision, lower and upper bound, and AUROC within stimulated neurons.
COOK = {
    "counts": (0.563222, 0.068722, 0.5511, 0.5761, 0.556392), "path": (0.635859, 0.074282, 0.6146, 0.6581, 0.642254),
    "linear": (0.642865, 0.093343, 0.6183, 0.6681, 0.653918),
    "linear, both ways": (0.680271, 0.107071, 0.6592, 0.7021, 0.653519),
}  # fmt: skip
EM = {
    "counts": (0.568714, 0.065232, 0.5561, 0.5819, 0.567176), "linear": (0.626169, 0.089872, 0.5996, 0.6547, 0.649606),
}  # fmt: skip
OTHERS = {
    "distance": (0.727505, 0.14541, 0.7063, 0.7468, 0.724627), "trials": (0.653503, 0.129699, 0.6211, 0.6866, 0.602466)
}  # fmt: skip


@pytest.fixture(scope="module")
def atlas():
    return load_atlas()


@pytest.fixture(scope="module")
def cook():
    return load_graph("cook2019-whole")


def write_atlas(folder, trials, q=None, compiled="2023-06-28_19-52-14"):
    """Write files like the package's, of neurons A1, A2 and so on, all in the head."""
    n = len(trials)
    names = [f"A{i}" for i in range(n)]
    with h5py.File(folder / "funatlas.h5", "w") as file:
        file.attrs["time_compiled"] = np.bytes_(compiled)
        file["neuron_ids"] = np.array(names, "S5")
        for strain in ("wt", "unc31"):
            group = file.create_group(strain)
            group["q"] = np.ones((n, n)) if q is None else q
            group["dFF"] = np.ones((n, n))
            cells = group.create_dataset("dFF_all", (n, n), h5py.vlen_dtype(float))
            for i, j in np.ndindex(n, n):
                cells[i, j] = np.ones(trials[i][j])
    (folder / "aconnectome_ids_ganglia.json").write_text(
        json.dumps({"head": ["ring"], "ring": names}), encoding="utf-8"
    )
    return folder


@installed
def test_the_atlas_is_read_as_published(atlas):
    assert (atlas.measured.sum(), atlas.significant.sum(), len(atlas.stimulated)) == (23265, 1151, 168)
    assert hashlib.sha256(np.packbits(atlas.measured).tobytes()).hexdigest() == MASK
    assert hashlib.sha256(np.packbits(atlas.significant).tobytes()).hexdigest() == LABEL
    assert atlas.q[atlas.row("FLPL"), atlas.row("AQR")] == pytest.approx(0.0013336276837)
    times = np.array([0.25, 0.5, 1.0, 2.0, 5.0])
    kernel = [1.3067955, 1.0802826, 0.0619186, -0.1172186, -0.0305540]
    np.testing.assert_allclose(atlas.kernel("AVJR", "AVDR", times), kernel, atol=1e-3)
    other = load_atlas("unc31")
    assert (other.measured.sum(), other.significant.sum(), len(other.stimulated)) == (9119, 357, 109)
    chemical, _ = atlas.wiring()
    one, two = atlas.row("AVAL"), atlas.row("ASHL")
    assert (chemical[one, two], chemical[two, one]) == (26, 0)
    assert atlas.find("DA01") == atlas.row("DA1")
    assert atlas.row("AWCL") == atlas.row("AWCOF")
    assert atlas.find("MDL01") is None
    with pytest.raises(UnknownName, match=r"did you mean 'AVA[LR]'"):
        atlas.row("AVAl")


@installed
def test_predictions_without_a_fit_score_as_they_did_elsewhere(atlas, cook):
    chemical, gap = atlas.wiring()
    cases = [(of_graph(atlas, cook)[name], known) for name, known in COOK.items()]
    cases += [(chemical + gap, EM["counts"]), (linear(chemical + gap), EM["linear"])]
    cases += [(-atlas.distance(), OTHERS["distance"]), (atlas.trials.astype(float), OTHERS["trials"])]
    for values, known in cases:
        found = score(atlas, values)
        np.testing.assert_allclose(
            [found.auroc.mean, found.precision, found.within], np.take(known, [0, 1, 4]), atol=1e-4
        )
        np.testing.assert_allclose([found.auroc.low, found.auroc.high], known[2:4], atol=3e-3)
    mirror = ceilings(atlas)["mirror pair"]
    assert (np.isfinite(mirror) & atlas.measured).sum() == 19074
    assert score(atlas, mirror).auroc.mean == pytest.approx(0.701, abs=1e-3)
    np.testing.assert_allclose(list(replicates(atlas, 3).values()), [0.59, 0.65, 0.72, 0.73, 0.80], atol=0.03)


@installed
@pytest.mark.slow
def test_a_circuit_is_set_beside_the_atlas(atlas, cook):
    circuit = make_circuit("connectome", {"joint_pos": 5}, 5, {"graph": "cook2019-whole"})
    driven, at_rest = propagate(circuit), propagate(circuit, 0.0)
    table = compare_propagation(atlas, cook, {"circuit": driven, "at rest": at_rest}, controls=1)
    rows = {row.name: row for row in table.rows}
    raw = ", not over the driven cell's change"
    assert rows[f"at rest{raw}"].auroc.mean == pytest.approx(0.545, abs=1e-3)
    assert rows[f"circuit{raw}"].auroc.mean == pytest.approx(0.620, abs=1e-3)
    assert rows["circuit"].auroc.mean == pytest.approx(0.645, abs=1e-3)
    assert rows["circuit"].less_linear.low < 0 < rows["circuit"].less_linear.high
    assert rows["linear, rewired"].auroc.mean < 0.54
    assert (table.pairs, table.significant) == (23265, 1151)


def test_a_driven_cell_moves_what_hears_it_by_the_weight():
    cells = [Cell(name, name, "motor", 0.1) for name in ("DB1", "VB1")]
    cells += [Cell("MDL01", "MD", "muscle", 0.3, "d"), Cell("MVL01", "MV", "muscle", 0.3, "v")]
    cells = tuple(Cell(c.name, c.kind.rstrip("1"), c.role, c.position, c.side) for c in cells)
    contacts = (Contact("DB1", "VB1", 1, 1), Contact("DB1", "MDL01", 1, 1), Contact("VB1", "MVL01", 1, 1))
    circuit = make_circuit("connectome", {"joint_pos": 5}, 5, {"graph": graph_json(Graph(cells, contacts))})
    found = propagate(circuit, background=0.2, amplitude=0.3)
    db, vb = (found.names.index(name) for name in ("DB1", "VB1"))
    weight = circuit.weights()[0][1, 0].item()
    before, after = np.tanh(0.2), np.tanh(0.5)
    assert found.change[db, db] == pytest.approx(after - before, abs=1e-6)
    expected = np.tanh(0.2 + weight * after) - np.tanh(0.2 + weight * before)
    assert found.change[vb, db] == pytest.approx(expected, abs=1e-6)
    assert found.gain[vb, db] == pytest.approx(expected / (after - before), abs=1e-5)
    assert found.change[db, vb] == 0
    assert np.isnan(found.half[db, vb])


def test_samples_of_groups_are_scored_as_if_their_pairs_were_repeated():
    rng = np.random.default_rng(0)
    truth, given = rng.random(60) < 0.3, rng.integers(0, 9, 60).astype(float)
    group, draws = rng.integers(0, 5, 60), rng.integers(0, 3, (7, 5)).astype(float)
    metrics = pytest.importorskip("sklearn.metrics")
    for draw, found in zip(draws, aurocs(truth, given, group, draws), strict=True):
        weights = draw[group]
        assert found == pytest.approx(metrics.roc_auc_score(truth, given, sample_weight=weights))
    assert average_precision(truth, given) == pytest.approx(metrics.average_precision_score(truth, given))


def test_partners_of_neurons():
    assert [partner(name) for name in ("AVAL", "AWCON", "DB1", "AVL")] == ["AVAR", "AWCOF", "", "AVR"]


def test_files_that_are_no_such_atlas_are_refused(tmp_path, monkeypatch, capsys):
    with pytest.raises(UnknownName, match="unknown strain 'n2'"):
        load_atlas("n2")
    with pytest.raises(InvalidRecording, match="cannot be read"):
        load_atlas(folder=tmp_path)
    right = np.full((4, 4), 2) + np.diag([3] * 4)
    turned = right.copy()
    turned[0, 1] = 9
    with pytest.raises(InvalidRecording, match="columns are not the stimulated neurons"):
        load_atlas(folder=write_atlas(tmp_path, turned))
    with pytest.warns(UserWarning, match="compiled at 2030"):
        atlas = load_atlas(folder=write_atlas(tmp_path, right, compiled="2030"))
    assert atlas.measured.sum() == 12
    with pytest.raises(InvalidOption, match="0 of 12 pairs respond; give pairs of both kinds"):
        score(atlas, np.ones((4, 4)))
    with pytest.raises(CircuitMismatch, match="2 of 3 cells are neurons that the atlas measured, and 20 are"):
        atlas.place(("A1", "A2", "B"), np.ones((3, 3)))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingDependency, match="pip install --no-deps wormneuroatlas"):
        load_atlas()
    for arguments in ("--controls=-1", "--out ."):
        with pytest.raises(SystemExit):
            main(["worm", "propagate", *arguments.split()])
    said = capsys.readouterr().err.splitlines()
    assert said[0].endswith("controls is -1; give 0 or more graphs")
    assert "holds no table of propagation" in said[1]


def test_a_circuit_without_named_cells_and_impossible_currents_are_refused():
    with pytest.raises(CircuitMismatch, match="NCAP is not wired by a graph of named cells"):
        propagate(make_circuit("ncap", {"joint_pos": 5}, 5))
    circuit = make_circuit("connectome", {"joint_pos": 5}, 5)
    with pytest.raises(InvalidOption, match="background is -1"):
        propagate(circuit, -1)
    with pytest.raises(InvalidOption, match="amplitude is 0"):
        propagate(circuit, amplitude=0)
    with pytest.raises(CircuitMismatch, match="of 3 cells; give"):
        circuit.with_current(torch.zeros(3))
