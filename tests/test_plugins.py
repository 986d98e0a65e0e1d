"""Other packages add bodies, circuits, tasks, algorithms and probes by entry points; a broken one hurts nobody else.

What was written for the first release runs, or is told its new signature in one line.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import climbing
import pytest
from nervecord import RunConfig, evaluate, train, transfer
from nervecord.circuits import CIRCUITS
from nervecord.envs.bodies import registry as bodies
from nervecord.errors import BrokenPlugin, CircuitMismatch, InvalidBody
from nervecord.registry import Registry
from nervecord.training.rollouts import Intervention, record

PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "tinyworm"
version = "1.0"

[tool.setuptools]
py-modules = ["tinyworm", "climbing"]

[project.entry-points."nervecord.bodies"]
stub = "tinyworm:stub"
old-stub = "tinyworm:old_stub"
[project.entry-points."nervecord.circuits"]
follower = "tinyworm:Follower"
shattered = "tinyworm:no_such_name"
[project.entry-points."nervecord.tasks"]
sprint = "tinyworm:Sprint"
old-sprint = "tinyworm:OldSprint"
to-the-light = "tinyworm:ToTheLight"
walk = "tinyworm:stub"
[project.entry-points."nervecord.algorithms"]
climb = "climbing:HillClimbing"
[project.entry-points."nervecord.arenas"]
lit = "tinyworm:Lit"
[project.entry-points."nervecord.senses"]
light = "tinyworm:Light"
[project.entry-points."nervecord.probes"]
mean_rate = "tinyworm:MEAN_RATE"
"""
MODULE = '''
"""Bodies, circuits, tasks and probes of another package."""
import dataclasses
import numpy as np
import torch
from matplotlib.figure import Figure
from nervecord.circuits import Circuit, Neuron, Wiring
from nervecord.envs import Arena, Body, Sense, SenseKind, Swim, Swimmer, Task
from nervecord.errors import InvalidTask
from nervecord.training.probes import Probe, ProbeResult


def stub():
    return Swimmer(name="stub", n_links=4, link_length=0.06, gear=3e-4)


def old_stub():
    return Body(name="old-stub", n_links=4, link_length=0.06, gear=3e-4)


class OldSprint(Swim):
    """Swim, but for a short while, as the first release had tasks."""

    def extra_senses(self):
        return []

    def before_step(self):
        super().before_step()

    def info(self):
        return {**super().info(), "x": self.simulation.com[:, 0]}


class Follower(Circuit):
    """Each joint gets a weight of its own."""

    needs = ("joint_pos",)

    def __init__(self, senses, n_motors, *, gain=1.0, rng=None):
        super().__init__()
        self.senses, self.n_motors = (("joint_pos", n_motors),), n_motors
        self.neurons = tuple(Neuron(f"joint_{i}", "motor", i / (n_motors - 1)) for i in range(n_motors))
        self.weight = torch.nn.Parameter(torch.full((n_motors,), float(gain)))

    def initial_state(self, batch_size):
        return {}

    def forward_with_activity(self, sensors, state):
        motor = (self.weight * sensors).clamp(-1, 1)
        return motor, state, motor

    def wiring(self):
        return Wiring(self.neurons, ())


class Sprint(Swim):
    """Swim, but for a short while."""


@dataclasses.dataclass(frozen=True)
class Lit(Arena):
    """A light at some place."""

    x: float = 0.5

    def add_to(self, spec, body, visual=False):
        super().add_to(spec, body, visual)
        spec.worldbody.add_site(name="lamp", pos=[self.x, 0, 0])


class Light(SenseKind):
    """How bright it is at the nose."""

    def describe(self, setting):
        if not isinstance(setting.arena, Lit):
            raise InvalidTask("light: the arena has no lamp; choose arena lit")
        return Sense("light", 1, 0.0, 1.0, "1")

    def read(self, envs):
        away = envs.physics.read("nose_pos") - np.array([envs.arena.x, 0.0])
        return np.exp(-np.linalg.norm(away, axis=1))[:, None]


class ToTheLight(Task):
    """Come to the light."""

    senses = ("joint_pos", "light", "body_velocities")

    def reward(self):
        return Light().read(self.envs)[:, 0]

    def terminated(self):
        return self.reward() > 0.99


def mean_rate(subject):
    mean = float(abs(subject.recording.activity).mean())
    return ProbeResult({"mean_rate": mean}, {"mean_rate": ""}, {}, Figure())


MEAN_RATE = Probe("the mean rate of all neurons", mean_rate)
'''


# One process for all commands: importing what they need takes longer than most of them.
SHELL = """
import contextlib, io, json, sys, traceback
from nervecord.cli.main import main

for line in sys.stdin:
    code, arguments = json.loads(line)
    status, out, err = 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            exec(code)
        except SystemExit as stop:
            status = stop.code or 0
        except Exception:
            status = 1
            traceback.print_exc()
    print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)
"""


@pytest.fixture(scope="module")
def nervecord(tmp_path_factory):
    """Build and install the package into a folder, and return the command line as those with that folder have it."""
    folder = tmp_path_factory.mktemp("tinyworm")
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (folder / "tinyworm.py").write_text(MODULE, encoding="utf-8")
    shutil.copy(climbing.__file__, folder)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target",
         folder / "site", folder],
        check=True, capture_output=True, text=True,
    )  # fmt: skip

    # What imports here imports there too: a checkout that is not the installed one is found by PYTHONPATH.
    path = os.pathsep.join([str(folder / "site"), os.environ.get("PYTHONPATH", "")])

    process = subprocess.Popen(
        [sys.executable, "-c", SHELL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": path}, cwd=folder,
    )  # fmt: skip

    def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        process.stdin.write(json.dumps([code, [*map(str, arguments)]]) + "\n")
        process.stdin.flush()
        return subprocess.CompletedProcess(arguments, *json.loads(process.stdout.readline()))

    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        return python("main(arguments)", *arguments)

    command.python = python
    yield command
    process.stdin.close()
    process.wait()


def test_listings_hold_what_the_package_adds_and_say_what_is_broken(nervecord):
    assert "stub" in nervecord("list", "bodies").stdout
    tasks = json.loads(nervecord("list", "tasks", "--json").stdout)
    assert tasks["sprint"] == "Swim, but for a short while."
    assert "walk is a function, not a subclass of Task" in tasks["walk"]
    circuits = json.loads(nervecord("list", "circuits", "--json").stdout)
    assert circuits["follower"] == "Each joint gets a weight of its own."
    assert circuits["ncap"]
    assert "(tinyworm:no_such_name in tinyworm) cannot be used: AttributeError" in circuits["shattered"]
    algorithms = json.loads(nervecord("list", "algorithms", "--json").stdout)
    assert "Climb from the best member to the best around it." in str(algorithms["climb"])


@pytest.mark.slow
def test_everything_the_package_adds_works_together(nervecord, tmp_path):
    out = tmp_path / "run"
    trained = nervecord("train", "--circuit", "follower", "--body", "stub", "--task", "sprint", "--algorithm", "climb",
                        "--algorithm-options", "spread=0.2", "population=8", "--workers", 2,
                        "--steps", 512, "--episode-steps", 64, "--out", out, "--json")  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    probed = nervecord("probe", out, "--probes", "mean_rate", "--episodes", 1, "--json")
    assert probed.returncode == 0, probed.stderr
    assert json.loads(probed.stdout)["mean_rate"]["numbers"]["mean_rate"] >= 0


def test_a_task_in_an_arena_with_a_sense_is_trained_and_has_a_gymnasium_id(nervecord, tmp_path):
    asked = ("train", "--circuit", "mlp", "--algorithm", "ppo", "--body", "stub", "--task", "to-the-light",
             "--steps", 256, "--episode-steps", 64, "--algorithm-options", "n_steps=64", "--out")  # fmt: skip
    dark = nervecord(*asked, tmp_path / "dark")
    assert dark.returncode == 2
    assert "the arena has no lamp; choose arena lit" in dark.stderr
    assert not (tmp_path / "dark").exists()
    trained = nervecord(*asked, tmp_path / "run", "--arena", "lit", "--json")
    assert trained.returncode == 0, trained.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert config["asked"]["arena"] == {"name": "lit", "medium": None, "x": 0.5}
    assert (config["asked"]["physics"], config["resolved"]["physics"]) == ("auto", "lanes")
    evaluated = nervecord("evaluate", tmp_path / "run", "--episodes", 2, "--json")
    assert evaluated.returncode == 0, evaluated.stderr
    assert set(json.loads(nervecord("list", "senses", "--json").stdout)) >= {"light", "joint_pos", "to_target"}
    code = (
        "import gymnasium; e = gymnasium.make('nervecord:nervecord/ToTheLight-v0', body='stub', arena={'name': 'lit', "
        "'x': 0.25}, episode_steps=20); o, _ = e.reset(seed=0); print(e.unwrapped.layout.sizes['light'], "
        "e.unwrapped.batch.arena.x, gymnasium.make_vec('nervecord/Sprint-v0', num_envs=2).num_envs)"
    )
    made = nervecord.python(code)
    assert made.stdout.split() == ["1", "0.25", "2"], made.stderr


def test_a_broken_entry_point_is_one_line_when_it_is_asked_for_and_harmless_else(nervecord, tmp_path):
    broken = nervecord("train", "--circuit", "shattered", "--out", tmp_path / "run")
    assert broken.returncode == 2
    assert len(broken.stderr.strip().splitlines()) == 1
    assert "update or uninstall tinyworm" in broken.stderr
    assert not (tmp_path / "run").exists()
    assert nervecord("list", "algorithms").returncode == 0


def test_bodies_and_tasks_as_the_first_release_had_them_are_one_line_with_the_new_signature(nervecord, tmp_path):
    body = nervecord("train", "--body", "old-stub", "--out", tmp_path / "run")
    assert (body.returncode, len(body.stderr.strip().splitlines())) == (2, 1)
    assert "make a Swimmer(name=..., n_links=..., habitat=Fluid(density=..., viscosity=...))" in body.stderr
    task = nervecord("train", "--task", "old-sprint", "--out", tmp_path / "run")
    assert (task.returncode, len(task.stderr.strip().splitlines())) == (2, 1)
    for now in ("before_step(self, actions)", "the class attribute senses", "metrics(self)", "self.physics.read"):
        assert now in task.stderr
    assert not (tmp_path / "run").exists()


def test_a_registry_imports_an_entry_point_when_it_is_looked_up(tmp_path, monkeypatch):
    info = tmp_path / "other-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(
        "[made.up]\nthing = othermodule:thing\nours = othermodule:thing\n", encoding="utf-8"
    )
    Path(tmp_path / "othermodule.py").write_text("thing = 'theirs'\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("made.up", {"ours": "ours"})
    assert sorted(registry) == ["ours", "thing"]
    assert "thing" in registry
    assert "othermodule" not in sys.modules
    assert registry["ours"] == "ours"
    assert registry["thing"] == "theirs"
    assert registry.working() == {"ours": "ours", "thing": "theirs"}
    with pytest.raises(KeyError):
        registry["none"]


def test_what_an_entry_point_should_be_is_checked(tmp_path, monkeypatch):
    info = tmp_path / "other2-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other2\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[nervecord.made]\nthing = othermodule2:thing\n", encoding="utf-8")
    Path(tmp_path / "othermodule2.py").write_text("thing = 3\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def adopt(value, name):
        raise TypeError(f"{name} is {value}, not callable")

    with pytest.raises(BrokenPlugin, match=r"'thing' of nervecord.made .* in other2\) .*TypeError: thing is 3"):
        Registry("nervecord.made", adopt=adopt)["thing"]


# What README.md and docs/guides/circuit.md of commit 81006cf showed, to the letter.
OLD_README = '''
import torch
from nervecord.circuits import Circuit, Neuron, Wiring, register_circuit


class Reflex(Circuit):
    """Each joint responds to its own bend."""

    def __init__(self, senses, n_motors, *, rng=None):
        super().__init__()
        self.senses, self.n_motors = (("joint_pos", n_motors),), n_motors
        self.neurons = tuple(Neuron(f"reflex_{i}", "motor") for i in range(n_motors))
        self.gain = torch.nn.Parameter(torch.tensor(0.5))

    def initial_state(self, batch_size):
        return {}

    def forward_with_activity(self, sensors, state):
        motor = self.gain * sensors
        return motor, state, motor

    def wiring(self):
        return Wiring(self.neurons, ())


register_circuit("reflex", Reflex, "one gain for every joint", needs=("joint_pos",))
'''
OLD_GUIDE = '''
import torch
from nervecord.circuits import Circuit, Neuron, Synapse, Wiring, register_circuit


class Relay(Circuit):
    """Each joint follows the bend of the joint before it; the first follows a clock."""

    can_be_pinned = True

    def __init__(self, senses, n_motors, *, period=60, rng=None):
        super().__init__()
        self.senses, self.n_motors, self.period = (("joint_pos", n_motors),), n_motors, period
        self.neurons = tuple(Neuron(f"relay_{i}", "motor", i / max(n_motors - 1, 1)) for i in range(n_motors))
        self.gain = torch.nn.Parameter(torch.tensor(1.0))

    @property
    def is_recurrent(self):
        return False  # the state is a step counter, and no gradient flows through it

    def initial_state(self, batch_size):
        return {"step": torch.zeros(batch_size, 1)}

    def forward_with_activity(self, sensors, state):
        clock = torch.sin(2 * torch.pi * state["step"] / self.period).sign()
        # What --silence and its like do, to the neurons from number 0 of `self.neurons` on.
        motor = self.pinned(self.gain * torch.cat([clock, sensors[:, :-1]], 1), 0)
        return motor, {"step": state["step"] + 1}, motor

    def wiring(self):
        names, weight = [neuron.name for neuron in self.neurons], self.gain.item()
        return Wiring(self.neurons, tuple(Synapse(a, b, weight, "gain") for a, b in zip(names, names[1:])))


register_circuit("relay", Relay, "each joint follows the one before", needs=("joint_pos",))
'''
OLD_BODY = """
from nervecord.envs import Body, register_body

register_body("old-stub", lambda: Body(name="old-stub", n_links=5, link_length=0.06, gear=3e-4))
"""
OLD_SB3 = """
from nervecord.envs.sb3_vec_env import SwimmerVecEnv
from stable_baselines3 import PPO

env = SwimmerVecEnv(8, "swim", body="swimmer6", episode_steps=200)
model = PPO("MlpPolicy", env, n_steps=64, batch_size=128)
model.learn(512)
"""


@pytest.fixture
def _as_before():
    known = (CIRCUITS, bodies._registered)
    held = [dict(each._held) for each in known]
    yield
    for each, before in zip(known, held, strict=True):
        each._held.clear()
        each._held.update(before)


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize(("text", "name", "warns"), [(OLD_README, "reflex", False), (OLD_GUIDE, "relay", True)])
def test_circuits_that_the_first_release_showed_run_unchanged_but_for_pins(text, name, warns, tmp_path):
    exec(text, {"__name__": "old"})
    config = RunConfig(name, steps=200, episode_steps=50, algorithm_options={"n_envs": 4})
    with pytest.warns(DeprecationWarning, match="takes no pins") if warns else contextlib.nullcontext():
        run = train(config, tmp_path / "run", progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert run.done
        assert evaluate(run, episodes=2).n == 2
        assert record(run, episodes=1).activity.shape == (1, 50, 5)
        assert transfer(run, ["swimmer4"], episodes=2)["agent"].tolist() == ["trained", "untrained ncap"] * 2
        with pytest.raises(CircuitMismatch, match=r"forward_with_activity\(self, sensors, state, pins=None\)"):
            evaluate(run, episodes=2, interventions=[Intervention(f"{name}_1")])


@pytest.mark.usefixtures("_as_before")
def test_the_body_that_the_first_release_showed_is_told_what_makes_it_now():
    exec(OLD_BODY, {})
    with pytest.raises(InvalidBody, match=r"make a Swimmer\(name=\.\.\., n_links=\.\.\."):
        RunConfig(body="old-stub")


def test_the_environment_for_sb3_that_the_first_release_showed_learns_under_its_old_name():
    sys.modules.pop("nervecord.envs.sb3_vec_env", None)
    with pytest.warns(DeprecationWarning, match="sb3_vec_env is now nervecord.envs.sb3_env"):
        exec(OLD_SB3, {})
