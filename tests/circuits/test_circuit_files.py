"""Circuits in files of the user's own: run where the user names them or trusts a run, and nowhere else."""

import hashlib
import json
import pickle
import re
import shlex
import shutil

import pytest
from nervecord import RunConfig, evaluate, train
from nervecord.circuits import CIRCUITS, circuit_from_file, make_circuit
from nervecord.cli.main import main
from nervecord.errors import CircuitMismatch, InvalidAction, InvalidRun, TrainingDiverged, UnknownName
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


@pytest.fixture(autouse=True)
def _forgotten():
    """Forget the circuits that a test registered: other tests go through all."""
    before = set(CIRCUITS)
    yield
    for name in set(CIRCUITS) - before:
        del CIRCUITS[name]


@pytest.fixture
def spring(tmp_path):
    """A file of a circuit, whose text is its own in every test."""
    file = tmp_path / "spring.py"
    file.write_text(f"# {tmp_path}\n{SPRING}", encoding="utf-8")
    return file


# What a newcomer gets wrong first, by what is replaced in the text, and the line that says so.
MISTAKES = {
    "an option that its code cannot take": (
        "torch.tensor(gain))", "torch.tensor(gain / 0))",
        r"circuit spring\.py:Spring cannot be built: ZeroDivisionError: .* \(spring\.py:\d+\)$",
    ),
    "no super().__init__()": (
        "super().__init__()", "pass", r"cannot be built: AttributeError: .*__init__\(\) call \(spring\.py:\d+\)$",
    ),
    "no initial_state": ("def initial_state", "def start", "cannot be built: TypeError: .*abstract.*initial_state"),
    "too few motors": ("return motor, state, motor", "return motor[:, 1:], state, motor", "the shape of motors is"),
    "a wrong shape": ("self.pull * sensors", "sensors[:, :2] + sensors", r"RuntimeError: .*\(spring\.py:23\)"),
    "no number": ("self.pull * sensors", "(self.pull * sensors - 9).sqrt()", "neuron s0 is not finite"),
    "bounds that are none": ('memory = "none"', 'memory = "none"\n    is_bounded = True', "a motor is at 4"),
}  # fmt: skip


@pytest.mark.parametrize("algorithm", ["es", "ppo"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_circuit_is_said_in_one_line_before_anything_is_written(
    spring, tmp_path, capsys, mistake, algorithm
):
    right, wrong, line = MISTAKES[mistake]
    spring.write_text(spring.read_text(encoding="utf-8").replace(right, wrong), encoding="utf-8")
    out = tmp_path / "run"
    for command in (("train", "--algorithm", algorithm, "--out", out), ("evaluate", "--untrained")):
        status, said = told(capsys, *command, "--circuit", f"{spring}:Spring")
        assert status == 2
        assert re.search(line, said), said
    assert not out.exists()


def test_what_a_circuits_code_raised_is_the_cause_of_the_error(spring):
    text = spring.read_text(encoding="utf-8").replace("torch.tensor(gain))", "torch.tensor(gain / 0))")
    spring.write_text(text, encoding="utf-8")
    with pytest.raises(CircuitMismatch) as caught:
        make_circuit(circuit_from_file(f"{spring}:Spring"), {"joint_pos": 5}, 5)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


# Finite at first, as every check before training sees it.
LATE = SPRING.replace('"none"', '"recurrent"').replace("return {}", 'return {"t": torch.zeros(batch_size, 1)}')
LATE = LATE.replace(
    "return motor, state, motor",
    'motor = torch.where((state["t"] > 20) & (torch.arange(motor.shape[1]) > 1), torch.nan, motor)\n'
    '        return motor, {"t": state["t"] + 1}, motor',
)


@pytest.mark.parametrize(
    ("algorithm", "options", "message"),
    [
        ("es", {"population": 2, "n_envs": 2}, r"circuit late\.py:Spring, generation 1: no member.* finite is s2"),
        ("ppo", {"n_envs": 2, "n_steps": 32, "batch_size": 64}, r"at step 4[0-9]: circuit late\.py:Spring: .* is s2;"),
    ],
)
def test_a_circuit_that_diverges_stops_training_by_the_name_of_its_neuron(tmp_path, algorithm, options, message):
    file = tmp_path / "late.py"
    file.write_text(LATE, encoding="utf-8")
    config = RunConfig(
        circuit_from_file(f"{file}:Spring"), algorithm=algorithm, steps=64, episode_steps=32, algorithm_options=options
    )
    with pytest.raises(TrainingDiverged, match=message):
        train(config, tmp_path / "run", progress=False)
    with pytest.raises(InvalidAction, match=r"circuit late\.py:Spring: .*joint 2.* is s2$"):
        evaluate(Run(tmp_path / "run"), episodes=2)


@pytest.fixture
def run(spring, tmp_path):
    return train(RunConfig(circuit_from_file(f"{spring}:Spring"), **SHORT), tmp_path / "run", progress=False)


def told(capsys, *arguments):
    with pytest.raises(SystemExit) as stopped:
        main([str(each) for each in arguments])
    line = capsys.readouterr().err.strip().splitlines()[-1]
    return stopped.value.code, line


def test_commands_that_are_suggested_open_the_run(spring, tmp_path, capsys):
    code = f"--circuit={spring}:Spring"
    main(["train", code, "--out", str(tmp_path / "my run"), "--steps", "8", "--episode-steps", "4",
          "--algorithm-options", "population=2", "n_envs=2"])  # fmt: skip
    commands = re.findall(r"nervecord \w+ .*?(?=  )", capsys.readouterr().out)
    assert len(commands) == 5
    CIRCUITS.pop(next(name for name in CIRCUITS if name.startswith("spring.py:")))  # as in another process
    for command in commands:
        assert "--trust" in shlex.split(command)
    main([*shlex.split(commands[0])[1:], "--episodes", "2"])
    assert "return" in capsys.readouterr().out


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
