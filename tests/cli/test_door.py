"""The door of a run: Python, TOML, the command line, a sweep and a run's own folder are refused alike, in one line."""

import dataclasses
import datetime
import json
import shutil

import numpy as np
import pytest
from nervecord.cli.main import main
from nervecord.envs import Swimmer
from nervecord.envs.deficits import Deficit
from nervecord.envs.tasks.registry import TASKS
from nervecord.envs.tasks.swim import Swim
from nervecord.errors import InvalidArena, InvalidBody, InvalidOption, InvalidRun, InvalidTask, NervecordError
from nervecord.training.learning.checks import check, device_named
from nervecord.training.learning.training import train
from nervecord.training.rollouts.interventions import Intervention
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.old_results import old_results
from nervecord.training.runs.run import Run
from nervecord.training.studies.sweeps import Sweep

SMALL = RunConfig(steps=400, episode_steps=50, algorithm_options={"n_envs": 8})
INF, HUGE = float("inf"), 10**400


def one_line(caught) -> str:
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 400
    return line


def refused(arguments, tmp_path, capsys) -> str:
    """Return what a command says, which must be one line with status 2; nothing may be left behind."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    line = capsys.readouterr().err
    assert stopped.value.code == 2
    assert line.count("\n") == 1, line
    assert sorted(tmp_path.rglob("*")) == before
    return line


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("circuit", 3, "circuit is 3; give the name of a circuit, such as ncap"),
        ("task", 3, "task is 3; give the name of a task, such as swim"),
        ("task", ["swim"], "task is ['swim']; give the name of a task"),
        ("algorithm", None, "algorithm is None; give the name of an algorithm"),
        ("physics", 1, "physics is 1; give auto, lanes or mujoco"),
        ("device", ["cpu"], "device is ['cpu']; give a device as torch names it, such as cpu"),
        ("device", None, "device is None; give a device"),
        ("body", 3, "body is 3; give the name of a body, such as swimmer6, or a path to MuJoCo XML"),
        ("body", {"name": "swimmer6"}, "body is {'name': 'swimmer6'}; give the name of a body"),
        ("bodies", 3, "bodies is 3; give a list, such as"),
        ("bodies", "swimmer6", 'bodies is \'swimmer6\'; give a list, such as ["swimmer6", "swimmer6-eel"]'),
        ("arena", 3, "arena is 3; give the name of an arena, such as open, or a table"),
        ("deficits", 3, 'deficits is 3; give a list, such as ["joint_pos:100000:200000"]'),
        ("deficits", "joint_pos:0:10", "deficits is 'joint_pos:0:10'; give a list"),
        ("deficits", [3], "deficits is [3]; give a list"),
        ("start", datetime.date(2020, 1, 1), "start is datetime.date(2020, 1, 1); give the folder of a run"),
        ("protect", 3, "protect is 3; give a list"),
        ("protect", "a/b", "protect is 'a/b'; give a list, such as [\"runs/worm\"]"),
        ("randomize", {"link_mass": 3}, "randomize link_mass is 3; give two factors, low and high"),
        ("randomize", {"link_mass": [2, 1]}, "randomize link_mass is 2 to 1, and low is above high; give 1 and 2"),
        ("randomize", {"link_mass": [1, 2, "lin"]}, "randomize link_mass is [1, 2, 'lin']; give two factors"),
        (
            "randomize",
            {"link_mass": [0, 1]},
            "randomize link_mass begins at 0, and no body has none; give a low above 0",
        ),
        (
            "randomize",
            {"drag_ratio": [0.5, 2]},
            "randomize drag_ratio begins at 0.5, and a medium's is 1 or more; give",
        ),
        ("randomize", {"gear": [0, 1, "log"]}, "randomize gear begins at 0, and its logarithm is drawn"),
        ("randomize", {"link_mass": [1, INF]}, "randomize link_mass is inf; give a finite number"),
        ("task_options", {3: 1}, "task_options has the key 3; give keys that are text"),
        ("circuit_options", {"graph": {1: 2}}, "circuit_options graph has the key 1"),
        ("task_options", {"desired_speed": INF}, "task_options desired_speed is inf; give a finite number"),
        ("circuit_options", {"a": [1.0, float("nan")]}, "circuit_options a is nan; give a finite number"),
        ("circuit_options", {"period": HUGE}, "too large for 64 bits; give a finite number"),
        ("algorithm_options", {"sigma": -INF}, "algorithm_options sigma is -inf; give a finite number"),
        ("algorithm_options", {"sigma": 1e300}, "sigma is 1e+300, too large for single precision; give a finite"),
        ("episode_steps", 10**30, "too large for 64 bits; give a whole number from 1 to 1000000, or leave it out"),
        ("task_options", {"desired_speed": datetime.date(2020, 1, 1)}, "2020, 1, 1); give text, a number, true or"),
        ("task_options", {"desired_speed": "abc"}, "desired_speed is 'abc'; give a number above 0"),
        ("task_options", {"reward": "speed"}, "reward is 'speed'; give paper or com"),
        ("task_options", {"senses": 3}, 'senses is 3; give a list, such as ["joint_pos","body_velocities"]'),
        ("task_options", {"senses": "nope"}, "senses is 'nope'; give a list"),
        ("arena", {"name": "open", "medium": {"density": INF}}, "arena medium density is inf; give a finite number"),
        ("arena", {"name": "open", "medium": 3}, "the arena's medium is 3; give a Fluid or a Drag, or a table"),
    ],
)
def test_a_wrong_value_is_the_same_line_from_python_and_a_sweep(field, value, words):
    lines = []
    for make in (
        lambda: RunConfig(**{field: value}),
        lambda: Sweep({field: value}, {}).configs(),
        lambda: Sweep({}, {field: [value]}).configs(),
    ):
        with pytest.raises(NervecordError) as caught:
            make()
        lines.append(one_line(caught))
    assert words in lines[0]
    assert len(set(lines)) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("circuit = 3", "circuit is 3; give the name of a circuit"),
        ("[body]\nname = 'swimmer6'", "body is {'name': 'swimmer6'}; give the name of a body"),
        ("deficits = 3", "deficits is 3; give a list"),
        ("deficits = 'joint_pos:0:10'", "deficits is 'joint_pos:0:10'; give a list"),
        (
            "[[deficits]]\nsense = 'joint_pos'\nstop = 9",
            "has no start; give sense and start, and perhaps stop and index",
        ),
        ("[[deficits]]\nsens = 'joint_pos'", "unknown field of a deficit 'sens'; did you mean 'sense'?"),
        ("[[deficits]]\nsense = 'joint_pos'\nstart = 0.5\nstop = 3", "start is 0.5; give a whole number, 0 or more"),
        ("start = 2020-01-01", "start is datetime.date(2020, 1, 1); give the folder of a run"),
        ("[randomize]\nlink_mass = 3", "randomize link_mass is 3; give two factors"),
        ("randomize = 3", "randomize is 3; give values by name, such as link_mass = [0.8, 1.2]"),
        ("task_options = 3", "task_options is 3; give values by name, such as desired_speed = 0.2"),
        ("[task_options]\ndesired_speed = inf", "task_options desired_speed is inf; give a finite number"),
        ("[task_options]\ndesired_speed = 2020-01-01", "give text, a number, true or false"),
        ("[arena]\nmedium = 2020-01-01", "arena medium is datetime.date(2020, 1, 1); give text, a number"),
        (f"[circuit_options]\nperiod = {HUGE}", "too large for 64 bits; give a finite number"),
        ("task = 'cueturn'\n[task_options]\ndelay_steps = 1.5", "delay_steps is 1.5; give a whole number, 0 or more"),
        ("reward = 'com'", 'reward is an option of the task; give task_options = {reward = "com"}'),
    ],
)
def test_a_wrong_value_in_a_file_is_one_line_for_a_run_and_for_a_sweep(text, words, tmp_path, capsys):
    (tmp_path / "run.toml").write_text(text, encoding="utf-8")
    arguments = ["train", "--config", str(tmp_path / "run.toml"), "--out", str(tmp_path / "run")]
    assert words in refused(arguments, tmp_path, capsys)
    rest, brackets, table = text.partition("[")
    nested = table.replace("[", "[base.", 1) if table.startswith("[") else f"base.{table}"
    (tmp_path / "plan.toml").write_text(f"[base]\n{rest}{brackets}{nested if brackets else ''}", encoding="utf-8")
    arguments = ["sweep", str(tmp_path / "plan.toml"), "--out", str(tmp_path / "runs")]
    assert words in refused(arguments, tmp_path, capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--task-options desired_speed=Infinity", "task_options desired_speed is inf; give a finite number"),
        ("--task-options desired_speed=abc", "desired_speed is 'abc'; give a number above 0"),
        ("--task-options senses=3", "senses is 3; give a list"),
        ("--task-options senses=nope", "senses is 'nope'; give a list"),
        ("--task cueturn --task-options delay_steps=1.5", "delay_steps is 1.5; give a whole number, 0 or more"),
        ("--task navigate --task-options reward=com", "task 'navigate' has no option 'reward'; it takes senses"),
        ("--task navigate --reward com", "task 'navigate' has no option 'reward'; it takes senses"),
        ("--task-options depth=3", "task 'swim' has no option 'depth'; it takes desired_speed, reward, senses"),
        (f"--circuit-options period={HUGE}", "too large for 64 bits; give a finite number"),
        ("--episode-steps 0", "episode_steps is 0; give a whole number from 1 to 1000000, or leave it out"),
        ("--randomize mass=0.8:1.2", "unknown randomisation 'mass'; did you mean 'link_mass'?"),
        ("--randomize gear=0:1:log", "randomize gear begins at 0, and its logarithm is drawn"),
        ("--arena {bad", "arena '{bad' is not JSON (Expecting property name"),
        ("--device meta", "device 'meta' cannot be used here"),
        ("--algorithm cmaes --algorithm-options sigma=1e300", "sigma is 1e+300, too large for single precision"),
        ("--algorithm-options n_envs=1000000000000", "n_envs is 1000000000000, which takes"),
        ("--algorithm td3 --algorithm-options buffer_size=100000000000", "buffer_size is 100000000000, which takes"),
        ("--algorithm ppo --algorithm-options n_steps=10000000000", "n_steps is 10000000000, which takes"),
        ("--algorithm ppo --algorithm-options critic_hidden=[1000000,1000000]", "critic_hidden is [1000000, 1000000]"),
        ("--task-options reward=paper --reward com", "reward is paper and com; give one of them"),
    ],
)
def test_a_wrong_option_is_one_line_before_a_folder_is_made(arguments, words, tmp_path, capsys):
    assert words in refused(["train", "--out", str(tmp_path / "run"), *arguments.split()], tmp_path, capsys)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"link_mass": INF}, "link_mass is inf; give a number above 0"),
        ({"control_dt": float("nan")}, "control_dt is nan; give a number above 0"),
        ({"n_links": 6.5}, "n_links is 6.5; give a whole number from 3 to 100"),
        ({"gear": "strong"}, "gear is 'strong'; give a number, 0 or more"),
        ({"lesioned": 3}, "lesioned is 3; give a list"),
        ({"taper": 1.0}, "taper is 1; give a number from 0 to below 1"),
        ({"joint_range": 4.0}, "joint_range is 4.0; give a number above 0 to 3.141592654"),
        ({"habitat": None}, "habitat is None; give a Fluid"),
    ],
)
def test_a_wrong_number_of_a_body_is_one_line(change, words):
    with pytest.raises(InvalidBody) as caught:
        dataclasses.replace(Swimmer(), **change)
    assert words in one_line(caught)


class _Foreign(Swim):
    """A task of another package: no bounds, an annotation that only a type checker can read, and a bare default."""

    def __init__(self, envs, height: "Unread" = 0.5, steps: int = 3, deep=False, names: list[str] = ()):  # noqa: F821
        super().__init__(envs)
        self.asked = height, steps, deep, names


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"height": "tall"}, "height is 'tall'; give float"),
        ({"steps": 1.5}, "steps is 1.5; give int"),
        ({"deep": 1}, "deep is 1; give true or false"),
        ({"names": "ab"}, "names is 'ab'; give a list of str"),
        ({"names": [3]}, "names is [3]; give a list of str"),
        ({"speed": 3}, "it takes height, steps, deep, names, senses"),
        ({"height": 1, "steps": 2, "deep": True, "names": ["a"]}, ""),
    ],
)
def test_a_task_of_others_is_checked_by_its_annotations_and_defaults(option, words, monkeypatch):
    monkeypatch.setitem(TASKS, "foreign", _Foreign)
    if words:
        with pytest.raises(InvalidTask) as caught:
            RunConfig(task="foreign", task_options=option)
        assert words in one_line(caught)
    else:
        check(RunConfig(task="foreign", task_options=option)).make_envs(1).close()


def test_deficits_may_be_tables_as_a_runs_config_writes_them(tmp_path):
    asked = RunConfig(deficits=("joint_pos[1]:0:10",))
    several = RunConfig(deficits=("joint_pos[1,3]:0:",))
    assert several.deficits == (Deficit("joint_pos", 0, None, (1, 3)),)
    assert RunConfig.from_json(json.loads(json.dumps(several.to_json()))) == several
    assert str(several.deficits[0]) == "joint_pos[1,3]:0:"
    assert RunConfig(deficits=[{"sense": "joint_pos", "start": 0, "index": [1, 3]}]) == several
    (table,) = json.loads(json.dumps(asked.to_json()))["deficits"]
    assert RunConfig(deficits=[table]) == asked == RunConfig.from_json(asked.to_json())
    assert (
        RunConfig(deficits=[Deficit("joint_pos", np.int64(0), np.int64(10), np.int64(1))]).to_json() == asked.to_json()
    )
    (tmp_path / "run.toml").write_text(
        "steps = 400\n[[deficits]]\nsense = 'joint_pos'\nstart = 0\nstop = 10\nindex = 1", encoding="utf-8"
    )
    main(["train", "--config", str(tmp_path / "run.toml"), "--out", str(tmp_path / "run"), "--episode-steps", "10",
          "--algorithm-options", "n_envs=8"])  # fmt: skip
    assert Run(tmp_path / "run").config.deficits == asked.deficits


def test_numbers_and_paths_of_other_libraries_are_held_as_plain_ones(tmp_path):
    config = RunConfig(
        start=tmp_path,
        protect=[tmp_path],
        task_options={"desired_speed": np.float32(0.5)},
        circuit_options={"period": np.int64(50)},
        randomize={"gear": np.array([0.5, 2.0])},
    )
    told = json.loads(json.dumps(config.to_json()))
    assert (told["start"], told["protect"]) == (str(tmp_path), [str(tmp_path)])
    assert RunConfig.from_json(told) == config


def test_the_command_lines_reward_wins_over_the_files(tmp_path):
    (tmp_path / "run.toml").write_text(
        "steps = 400\nepisode_steps = 10\n[task_options]\nreward = 'paper'", encoding="utf-8"
    )
    main(["train", "--config", str(tmp_path / "run.toml"), "--reward", "com", "--out", str(tmp_path / "run"),
          "--algorithm-options", "n_envs=8"])  # fmt: skip
    assert Run(tmp_path / "run").config.task_options["reward"] == "com"


@pytest.mark.parametrize("kind", ["clamp", "drive"])
@pytest.mark.parametrize("value", ["nan", "inf", "1e300"])
def test_a_neuron_is_held_at_finite_values_alone(kind, value):
    with pytest.raises(InvalidOption) as caught:
        Intervention.parse(kind, f"osc_d={value}")
    assert f"{kind} osc_d: value is {float(value)!r}" in one_line(caught)
    with pytest.raises(InvalidOption, match=f"{kind} is 'osc_d'; give NEURON=VALUE"):
        Intervention.parse(kind, "osc_d")


def test_a_device_that_computes_nothing_is_refused():
    with pytest.raises(InvalidOption, match="device 'meta' cannot be used here"):
        device_named("meta")


@pytest.mark.parametrize(
    ("base", "vary", "words"),
    [
        (3, {}, "base is 3; give a table of fields of a run"),
        ({}, [1], "vary is [1]; give a table"),
        ({}, {"seed": [1, 1]}, "vary.seed has 1 twice; give each value once"),
        ({}, {"circuit_options": [{"period": 50}, {"period": 50}]}, "vary.circuit_options has {'period': 50} twice"),
        ({"reward": "com"}, {}, "reward is an option of the task"),
    ],
)
def test_a_wrong_plan_is_one_line(base, vary, words):
    with pytest.raises(InvalidOption) as caught:
        Sweep(base, vary).configs()
    assert words in one_line(caught)


def test_trials_have_folders_of_their_own_with_names_that_files_may_have():
    long = [{"senses": ["joint_pos", *["body_velocities"] * 20, *more]} for more in ([], ["time"])]
    names = list(Sweep({}, {"task_options": long, "seed": [0, 1]}).configs())
    assert len(names) == len(set(names)) == 4
    assert max(map(len, names)) <= 200
    same = Sweep({}, {"circuit_options": [{"period": 50}, {"period": [50]}]}).configs()
    assert len(same) == 2, "values that one name of a folder would stand for"


@pytest.fixture(scope="module")
def worm(tmp_path_factory) -> Run:
    return train(SMALL, tmp_path_factory.mktemp("door") / "worm", progress=False)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (("resolved", "agent", "layout"), "no 'layout'"),
        (("asked", "task_options"), "no 'task_options'"),
        (("asked", "body"), "no 'body'"),
    ],
)
def test_a_stored_config_that_lacks_a_field_names_the_field_and_the_folder(place, words, worm, tmp_path):
    shutil.copytree(worm.path, tmp_path / "worm")
    held = inner = json.loads((tmp_path / "worm" / "config.json").read_text(encoding="utf-8"))
    for name in place[:-1]:
        inner = inner[name]
    del inner[place[-1]]
    (tmp_path / "worm" / "config.json").write_text(json.dumps(held), encoding="utf-8")
    with pytest.raises(InvalidRun) as caught:
        Run(tmp_path / "worm")
    assert words in one_line(caught)
    assert str(tmp_path / "worm") in str(caught.value)


def test_the_summary_of_a_training_shows_no_empty_tables(tmp_path, capsys):
    main(["train", "--out", str(tmp_path / "run"), "--steps", "400", "--episode-steps", "50", "--algorithm-options",
          "n_envs=8"])  # fmt: skip
    lines = capsys.readouterr().out.splitlines()
    assert not any(line.split() in (["task_options"], ["circuit_options"], ["randomize"]) for line in lines)
    assert any(line.split() == ["n_envs", "8"] for line in lines)


@pytest.mark.parametrize(
    ("held", "version"), [({"format": 2}, "of format 2"), ({"format": 3}, "of format 3 or before")]
)
def test_a_result_of_an_earlier_version_says_of_which(held, version, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**held, "body": {"name": "swimmer6"}}), encoding="utf-8")
    interval = {"mean": 1, "low": 1, "high": 1, "n": 1}
    (tmp_path / "evaluation.json").write_text(
        json.dumps({"return": interval, "episodes": {"return": [1.0]}}), encoding="utf-8"
    )
    (result,) = old_results(tmp_path)
    assert (result.version, result.conditions["body"]) == (version, "swimmer6")


def test_an_arena_has_a_medium():
    with pytest.raises(InvalidArena, match="medium is 3"):
        RunConfig(arena={"medium": 3})
