"""Circuits in files of the user's own: run where the user names them or trusts a run, and nowhere else."""

import hashlib
import json
import pickle
import shutil

import pytest
from nervecord import RunConfig, evaluate, train
from nervecord.circuits import CIRCUITS, circuit_from_file
from nervecord.cli.main import main
from nervecord.errors import CircuitMismatch, InvalidRun, UnknownName
from nervecord.sharing import export, import_run
from nervecord.training.runs import Run

SPRING = '''
import torch
from nervecord.circuits import Circuit, Neuron, Wiring


class Spring(Circuit):
    """Each joint pulls back."""

    memory = "none"
    needs = ("joint_pos",)

    def __init__(self, senses, n_motors, *, gain: float = -0.3, rng=None):
        super().__init__()
        self.senses, self.n_motors = (("joint_pos", n_motors),), n_motors
        self.neurons = tuple(Neuron(f"s{i}", "motor") for i in range(n_motors))
        self.pull = torch.nn.Parameter(torch.tensor(gain))

    def initial_state(self, batch_size):
        return {}

    def forward_with_activity(self, sensors, state, pins=None):
        motor = self.pull * sensors
        return motor, state, motor

    def wiring(self, state=None):
        return Wiring(self.neurons, ())
'''
SHORT = {"steps": 8, "episode_steps": 4, "physics": "auto", "algorithm_options": {"population": 2, "n_envs": 2}}


@pytest.fixture
def spring(tmp_path):
    """A file of a circuit, whose text is its own in every test."""
    file = tmp_path / "spring.py"
    file.write_text(f"# {tmp_path}\n{SPRING}", encoding="utf-8")
    return file


@pytest.fixture
def run(spring, tmp_path):
    return train(RunConfig(circuit_from_file(f"{spring}:Spring"), **SHORT), tmp_path / "run", progress=False)


def told(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main([str(each) for each in arguments])
    line = capsys.readouterr().err.strip().splitlines()[-1]
    return stopped.value.code, line


def strangers(run, marker):
    """Return a copy of a run whose circuit is other code, as a stranger would make it."""
    folder = run.path.with_name("strangers")
    shutil.copytree(run.path, folder)
    held = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    code = held["asked"]["circuit"]
    code["source"] += f"\nopen({str(marker)!r}, 'w').close()\n"
    code["sha256"] = hashlib.sha256(code["source"].encode()).hexdigest()
    (folder / "config.json").write_text(json.dumps(held), encoding="utf-8")
    return folder


def test_a_named_file_is_trained_and_its_run_needs_no_file(spring, tmp_path, capsys):
    options = ["--steps=8", "--episode-steps=4", "--physics=auto", "--json"]
    main(["train", "--circuit", f"{spring}:Spring", *options, "--algorithm-options", "population=2", "n_envs=2",
          "--out", str(tmp_path / "run")])  # fmt: skip
    shown = json.loads(capsys.readouterr().out)["config"]["circuit"]
    held = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["asked"]["circuit"]
    text = spring.read_text(encoding="utf-8")
    spring.unlink()
    assert held == {"file": "spring.py", "class": "Spring", "source": text,
                    "sha256": hashlib.sha256(text.encode()).hexdigest()}  # fmt: skip
    assert shown == f"spring.py:Spring@{held['sha256'][:12]}"
    # A process that was never shown the code.
    del CIRCUITS[shown]
    with pytest.raises(InvalidRun, match=r"run: its circuit spring\.py:Spring@.* is code .*give --trust"):
        evaluate(tmp_path / "run", episodes=1)
    assert evaluate(Run(tmp_path / "run", trust=True), episodes=1).n == 1


def test_a_strangers_run_runs_no_code_until_it_is_trusted(run, tmp_path, capsys, caplog):
    marker = tmp_path / "ran"
    folder = strangers(run, marker)
    for command in (["evaluate", folder], ["results", folder], ["report", folder], ["compare", folder, run.path]):
        status, line = told(capsys, *command)
        assert (status, "give --trust" in line, marker.exists()) == (2, True, False)
    main(["results", str(folder), "--trust"])
    assert marker.exists()
    assert "running the code of circuit spring.py:Spring@" in caplog.text


def test_an_export_carries_the_code_and_its_import_asks_for_trust(run, tmp_path):
    exported = export(run, tmp_path / "export", film=False)
    assert "@" in (exported / "README.md").read_text(encoding="utf-8")
    assert run.description.startswith("spring.py:Spring, ")  # a film's caption has no checksum
    del CIRCUITS[run.config.circuit]
    with pytest.raises(InvalidRun, match="give --trust"):
        import_run(exported, tmp_path / "imported")
    assert import_run(exported, tmp_path / "imported", trust=True).config.circuit == run.config.circuit


def test_a_config_takes_its_code_to_another_process(spring):
    name = circuit_from_file(f"{spring}:Spring")
    packed = pickle.dumps(RunConfig(name))
    del CIRCUITS[name]
    with pytest.raises(UnknownName, match=r"of your own: --circuit FILE\.py:CLASS .* entry point"):
        RunConfig(name)
    assert pickle.loads(packed) == RunConfig(name)


def test_another_text_is_another_circuit(run, spring):
    spring.write_text(spring.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    with pytest.raises(InvalidRun, match=r"another run \(circuit: 'spring.py:Spring@\w+' there, 'spring.py:Spring@"):
        train(RunConfig(circuit_from_file(f"{spring}:Spring"), **SHORT), run.path, progress=False)


def test_damaged_code_is_one_line(run):
    held = json.loads((run.path / "config.json").read_text(encoding="utf-8"))
    for name, value in (("sha256", "0" * 64), ("file", "../spring.py"), ("class", "a b"), ("source", 3)):
        damaged = {**held["asked"]["circuit"], name: value}
        (run.path / "config.json").write_text(
            json.dumps({**held, "asked": {**held["asked"], "circuit": damaged}}), encoding="utf-8"
        )
        for trust in (False, True):
            with pytest.raises(InvalidRun, match=r"its circuit.* is damaged"):
                Run(run.path, trust)


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (None, "none.py:Spring", r"none\.py cannot be read: No such file"),
        ("x = (", "own.py:Spring", r"own\.py fails when it runs: SyntaxError"),
        ("1 / 0", "own.py:Spring", r"own\.py fails when it runs: ZeroDivisionError: division by zero"),
        ("class Spring: pass", "own.py:Spring", r"has no circuit 'Spring'; it has no class that is a nervecord"),
        (SPRING, "own.py:Sprong", r"has no circuit 'Sprong'; it has Spring; give own\.py:Spring"),
        (SPRING, "own.py", r"own\.py needs the name of a class; it has Spring; give own\.py:Spring"),
    ],
)
def test_files_that_hold_no_circuit_are_one_line(tmp_path, monkeypatch, text, place, message):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "own.py").write_text(text, encoding="utf-8")
    with pytest.raises(CircuitMismatch, match=message):
        circuit_from_file(place)


def test_code_that_a_file_of_options_names_is_trusted_apart(spring, tmp_path, capsys):
    run = f'circuit = "{spring}:Spring"\nsteps = 8\nepisode_steps = 4\nphysics = "auto"\n'
    (tmp_path / "run.toml").write_text(f"{run}[algorithm_options]\npopulation = 2\nn_envs = 2\n", encoding="utf-8")
    (tmp_path / "plan.toml").write_text(f'[base]\ncircuit = "{spring}:Spring"\n[vary]\nseed = [0]\n', encoding="utf-8")
    for command in (["train", "--config", tmp_path / "run.toml"], ["sweep", tmp_path / "plan.toml"]):
        status, line = told(capsys, *command, "--out", tmp_path / "out")
        assert (status, "which is code; if you know who made it, give --trust" in line) == (2, True)
    main(["train", "--config", str(tmp_path / "run.toml"), "--trust", "--json", "--out", str(tmp_path / "out")])
    assert "spring.py:Spring@" in json.loads(capsys.readouterr().out)["config"]["circuit"]
