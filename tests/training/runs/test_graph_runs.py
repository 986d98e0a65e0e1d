"""Runs hold the graph that they were trained with, and need its file no more."""

import json

import pytest
from nervecord.circuits import load_graph
from nervecord.errors import InvalidRun
from nervecord.sharing.hub import export, import_run
from nervecord.training.learning.curricula import CurriculumConfig
from nervecord.training.learning.training import summary, train
from nervecord.training.rollouts.evaluation import evaluate
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from nervecord.training.studies.comparisons import compare
from nervecord.training.studies.sweeps import Sweep

CELLS = """name,class,role,position,side
DB1,DB,motor,0.1,
VB1,VB,motor,0.1,
MDL01,MD,muscle,0.3,d
MVL01,MV,muscle,0.7,v
"""
CONTACTS = "pre,post,count,sign,kind\nDB1,MDL01,3,1,chemical\nVB1,MVL01,2,1,chemical\nDB1,VB1,2,,electrical\n"
SMALL = {"body": "swimmer4", "steps": 400, "episode_steps": 50, "algorithm_options": {"n_envs": 4}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ok.csv").write_text(CONTACTS, encoding="utf-8")
    (tmp_path / "data" / "ok.cells.csv").write_text(CELLS, encoding="utf-8")
    monkeypatch.chdir(tmp_path / "data")
    return tmp_path


def config(graph: str = "ok.csv", **changed) -> RunConfig:
    return RunConfig("connectome", "es", circuit_options={"graph": graph}, **{**SMALL, **changed})


def test_a_run_needs_its_graphs_file_no_more(folder, monkeypatch):
    run = train(config(), folder / "run", progress=False)
    before = evaluate(run, episodes=2).returns
    for name in ("ok.csv", "ok.cells.csv"):
        (folder / "data" / name).unlink()
    monkeypatch.chdir(folder)
    assert (evaluate(Run(folder / "run"), episodes=2).returns == before).all()
    (folder / "run").rename(folder / "moved")
    export(folder / "moved", folder / "shared", film=False)
    card = (folder / "shared" / "README.md").read_text(encoding="utf-8")
    assert "ok.csv (4 cells, 3 contacts, checksum " in card
    assert "MDL01" not in card
    imported = import_run(folder / "shared", folder / "other" / "run")
    assert (evaluate(imported, episodes=2).returns == before).all()


def test_the_same_command_goes_on_and_a_changed_file_is_said_in_short(folder, monkeypatch):
    run = Run.create(folder / "run", config())
    monkeypatch.chdir(folder)
    assert Run.create(folder / "run", config("data/ok.csv")).config == run.config
    (folder / "data" / "ok.csv").write_text(CONTACTS.replace("DB1,MDL01,3", "DB1,MDL01,4"), encoding="utf-8")
    with pytest.raises(InvalidRun, match=r"circuit_options: .*ok\.csv \(4 cells, 3 contacts, checksum") as raised:
        Run.create(folder / "run", config("data/ok.csv"))
    assert "MDL01" not in str(raised.value)


@pytest.mark.usefixtures("folder")
def test_a_config_holds_files_as_json_and_names_as_names():
    held = config()
    assert load_graph(held.circuit_options["graph"]) == load_graph("ok.csv")
    assert RunConfig.from_json(json.loads(json.dumps(held.to_json()))) == held
    assert config("ladder").circuit_options == {"graph": "ladder"}
    curriculum = CurriculumConfig("connectome", circuit_options={"graph": "ok.csv"})
    assert curriculum.circuit_options == held.circuit_options
    plan = Sweep({"circuit": "connectome"}, {"circuit_options": [{"graph": "ok.csv"}, {"graph": "ladder"}]})
    assert [each.circuit_options for each in plan.configs().values()] == [held.circuit_options, {"graph": "ladder"}]


def test_tables_name_a_graph_in_short(folder):
    runs = [train(config(graph), folder / graph, progress=False) for graph in ("ok.csv", "ladder")]
    assert summary(runs[0])["config"]["circuit_options"]["graph"].startswith("ok.csv (4 cells")
    agents = compare(runs, folder / "both", episodes=1).table["group"].tolist()
    assert "ok.csv (4 cells, 3 contacts" in agents[0]
    assert "MDL01" not in agents[0]
