"""Wrong values are one line before anything is written, and steps are what was trained."""

import dataclasses
import json

import pytest
from nervecord.agents import ALGORITHMS
from nervecord.circuits import Facts
from nervecord.cli.main import main
from nervecord.errors import InvalidRun
from nervecord.options import allowed_values, wrong_value
from nervecord.training.learning import untrained
from nervecord.training.learning.checks import check
from nervecord.training.learning.training import train
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run

SMALL = RunConfig(steps=400, episode_steps=50, algorithm_options={"n_envs": 8})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--seed -1", "seed is -1; give a whole number from 0 to 4294967295"),
        ("--steps 0", "steps is 0; give a whole number, 1 or more"),
        ("--episode-steps 0", "episode_steps is 0; give a whole number from 1 to 1000000, or leave it out"),
        ("--algorithm-options sigma=abc", "sigma is 'abc'; give a number above 0"),
        ("--algorithm-options sigma=-1", "sigma is -1; give a number above 0"),
        ("--algorithm-options sigma=0 learning_rate=0.1", "sigma is 0; give a number above 0"),
        ("--algorithm-options learning_rate=NaN", "algorithm_options learning_rate is nan; give a finite number"),
        ("--circuit mlp --algorithm ppo --algorithm-options learning_rate=-1", "learning_rate is -1; give"),
        ("--circuit mlp --algorithm ppo --algorithm-options batch_size=0", "batch_size is 0; give a whole number, 1"),
        ("--algorithm ppo --algorithm-options critic=big", "critic is 'big'; give shared or separate or mlp or null"),
        ("--algorithm ppo --algorithm-options normalize_reward=1", "normalize_reward is 1; give true or false"),
        ("--algorithm ppo --algorithm-options critic_hidden=8", "critic_hidden is 8; give a list, such as [64,64]"),
        ("--algorithm sac --algorithm-options ent_coef=much", "ent_coef is 'much'; give a number, 0 or more, or auto"),
        ("--workers 0", "workers is 0; give a whole number, 1 or more"),
        ("--workers -3", "workers is -3; give a whole number, 1 or more"),
    ],
)
def test_a_wrong_value_is_one_line_and_leaves_no_folder(arguments, words, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--out", str(tmp_path / "run"), *arguments.split()])
    line = capsys.readouterr().err
    assert stopped.value.code == 2
    assert words in line
    assert line.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_training_that_ends_before_it_learns_is_warned_of_before_it_begins(caplog):
    check(RunConfig(algorithm="ddpg", steps=2000))
    assert "steps is 2000 and ddpg learns nothing in its first 5000 (learning_starts); give more" in caplog.text
    caplog.clear()
    check(RunConfig(algorithm="ddpg", steps=5001))
    assert not caplog.text


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_default_of_an_algorithm_is_allowed(name):
    algorithm = ALGORITHMS[name]
    allowed = allowed_values(algorithm.Options)
    assert vars(algorithm.Options()).keys() == allowed.keys()
    for is_bounded in (False, True):
        for memory in ("none", "clock", *(["recurrent"] if algorithm.trains_memory else [])):
            assert wrong_value(algorithm.resolve(name, Facts(is_bounded, memory), {}), allowed) is None


def test_a_folder_with_a_config_that_cannot_be_is_one_line(tmp_path):
    run = train(SMALL, tmp_path / "run", progress=False)
    config = json.loads((run.path / "config.json").read_text(encoding="utf-8"))
    (run.path / "config.json").write_text(
        json.dumps({**config, "asked": {**config["asked"], "seed": "abc"}}), encoding="utf-8"
    )
    with pytest.raises(InvalidRun, match="seed is 'abc'; give a whole number"):
        Run(run.path)


def test_whole_generations_are_trained_said_first_and_counted(tmp_path, capsys):
    config = dataclasses.replace(SMALL, steps=500)
    train(config, tmp_path / "run")
    printed = capsys.readouterr().err
    assert printed.splitlines()[0] == "training goes by 400 steps at once: 800 steps will be trained"
    assert printed.count("\n") == 2, "the line and the bar, which is full at the end"
    assert "800/800" in printed
    assert Run(tmp_path / "run").load_checkpoint().step == 800


def test_whole_rollouts_are_trained_and_steps_that_fit_are_not_talked_about(tmp_path, capsys):
    options = {"n_steps": 32, "n_envs": 4, "batch_size": 32}
    config = RunConfig(algorithm="ppo", steps=200, episode_steps=40, algorithm_options=options)
    train(config, tmp_path / "run")
    assert "training goes by 128 steps at once: 256 steps will be trained\n" in capsys.readouterr().err
    train(SMALL, tmp_path / "whole")
    assert "will be trained" not in capsys.readouterr().err


def test_a_run_that_is_done_says_so_and_its_steps_are_those_of_its_checkpoint(tmp_path, capsys):
    arguments = ["train", "--out", str(tmp_path / "run"), "--algorithm", "ddpg", "--steps", "16", "--episode-steps",
                 "50", "--algorithm-options", "learning_starts=8", "batch_size=4"]  # fmt: skip
    main(arguments)
    capsys.readouterr()
    main(arguments)
    told = capsys.readouterr()
    assert "is done already; nothing was trained" in told.err
    main([*arguments, "--json"])
    assert json.loads(capsys.readouterr().out)["steps"] == 16, "fewer than an episode, so that no table says so"


def test_lists_say_what_one_thing_takes_and_holds(capsys):
    def listed(*arguments):
        main(["list", *map(str, arguments), "--json"])
        return json.loads(capsys.readouterr().out)

    assert listed("options", "ppo")["learning_rate"].endswith("(a number above 0)")
    assert listed("options", "ncap")["period"].startswith("60 ")
    assert listed("options", "swim")["desired_speed"].startswith("0.1 ")
    assert listed("environments")["nervecord/Swim-v1"].startswith("swim (lanes): ")
    with untrained(RunConfig()) as run:
        neurons = listed("neurons", run.path)
    assert neurons["B_v_4"] == "motor, ventral, at 1.00 of the body from the head"
    assert neurons["in all"].endswith("10 muscle")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["options", "pppo"], "unknown algorithm, circuit or task 'pppo'; did you mean 'ppo'?"),
        (["options"], "list options of what? give an algorithm, circuit or task, such as ppo"),
        (["bodies", "swimmer6"], "list bodies takes no 'swimmer6'; leave it out"),
        (["neurons", "nowhere"], "nowhere is no run folder"),
    ],
)
def test_lists_that_cannot_be_are_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(["list", *arguments])
    assert message in capsys.readouterr().err
