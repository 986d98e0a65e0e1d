"""Other packages add bodies, circuits, tasks and probes through entry points, and a broken one hurts nobody else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nervecord.errors import BrokenPlugin
from nervecord.registry import Registry

PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "tinyworm"
version = "1.0"

[tool.setuptools]
py-modules = ["tinyworm"]

[project.entry-points."nervecord.bodies"]
stub = "tinyworm:stub"
[project.entry-points."nervecord.circuits"]
follower = "tinyworm:Follower"
shattered = "tinyworm:no_such_name"
[project.entry-points."nervecord.tasks"]
sprint = "tinyworm:Sprint"
to-the-light = "tinyworm:ToTheLight"
walk = "tinyworm:stub"
[project.entry-points."nervecord.arenas"]
lit = "tinyworm:Lit"
[project.entry-points."nervecord.senses"]
light = "tinyworm:Light"
[project.entry-points."nervecord.probes"]
mean_rate = "tinyworm:MEAN_RATE"
"""
MODULE = '''
"""Bodies, circuits, tasks and probes of another package."""
import torch
from matplotlib.figure import Figure
from nervecord.circuits import Circuit, Neuron, Wiring
import dataclasses
import numpy as np
from nervecord.envs import Arena, Sense, SenseKind, Swim, Swimmer, Task
from nervecord.errors import InvalidTask
from nervecord.training.probes import Probe, ProbeResult


def stub():
    return Swimmer(name="stub", n_links=4, link_length=0.06, gear=3e-4)


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

    def add_to(self, spec, habitat, visual=False):
        super().add_to(spec, habitat, visual)
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


@pytest.fixture(scope="module")
def nervecord(tmp_path_factory):
    """Build and install the package into a folder, and return the command line as those with that folder have it."""
    folder = tmp_path_factory.mktemp("tinyworm")
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "tinyworm.py").write_text(MODULE)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--target",
         folder / "site", folder],
        check=True, capture_output=True, text=True,
    )  # fmt: skip

    def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(folder / "site")}, cwd=folder,
        )  # fmt: skip

    def command(*arguments: object) -> subprocess.CompletedProcess[str]:
        return python("from nervecord.cli.main import main; main()", *arguments)

    command.python = python
    return command


def test_listings_hold_what_the_package_adds_and_say_what_is_broken(nervecord):
    assert "stub" in nervecord("list", "bodies").stdout
    tasks = json.loads(nervecord("list", "tasks", "--json").stdout)
    assert tasks["sprint"] == "Swim, but for a short while."
    assert "walk is a function, not a subclass of Task" in tasks["walk"]
    circuits = json.loads(nervecord("list", "circuits", "--json").stdout)
    assert circuits["follower"] == "Each joint gets a weight of its own."
    assert circuits["ncap"]
    assert "(tinyworm:no_such_name in tinyworm) cannot be used: AttributeError" in circuits["shattered"]


def test_everything_the_package_adds_works_together(nervecord, tmp_path):
    out = tmp_path / "run"
    trained = nervecord("train", "--circuit", "follower", "--body", "stub", "--task", "sprint", "--algorithm", "es",
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
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["asked"]["arena"] == {"name": "lit", "medium": None, "x": 0.5}
    assert config["asked"]["physics"] == "mujoco"
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


def test_a_registry_imports_an_entry_point_when_it_is_looked_up(tmp_path, monkeypatch):
    info = tmp_path / "other-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[made.up]\nthing = othermodule:thing\nours = othermodule:thing\n")
    Path(tmp_path / "othermodule.py").write_text("thing = 'theirs'\n")
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
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other2\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[nervecord.made]\nthing = othermodule2:thing\n")
    Path(tmp_path / "othermodule2.py").write_text("thing = 3\n")
    monkeypatch.syspath_prepend(tmp_path)

    def adopt(value, name):
        raise TypeError(f"{name} is {value}, not callable")

    with pytest.raises(BrokenPlugin, match=r"'thing' of nervecord.made .* in other2\) .*TypeError: thing is 3"):
        Registry("nervecord.made", adopt=adopt)["thing"]
