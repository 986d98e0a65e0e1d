"""Agents as they are before training, wherever a run's agent is taken."""

import json

import pytest
from nervecord import RunConfig, evaluate, load_agent
from nervecord.cli.main import main
from nervecord.training.learning import untrained
from nervecord.training.rollouts import Recording


def shown(capsys, *arguments):
    main([*map(str, arguments), "--json"])
    return json.loads(capsys.readouterr().out)


def test_an_untrained_agent_is_evaluated_like_a_run(capsys):
    with untrained(RunConfig(physics="mujoco", episode_steps=20)) as run:
        expected = evaluate(run, episodes=2)
        assert run.description == "ncap, untrained"
        assert run.done
    assert not run.path.exists()
    assert expected.returns.min() > 0
    found = shown(capsys, "evaluate", "--untrained", "--circuit", "ncap", "--episodes", 1)
    # NCAP swims before any training, which is the paper's claim: 0.2 m/s and more for most of 30 s.
    assert found["return"]["mean"] > 300


def test_initial_weights_follow_the_seed_and_the_options():
    runs = {}
    for name, config in {"a": RunConfig("mlp"), "b": RunConfig("mlp", seed=1), "c": RunConfig("mlp")}.items():
        with untrained(config) as run:
            runs[name] = run.agent().circuit.state_dict()["layers.0.weight"]
    assert runs["a"].equal(runs["c"])
    assert not runs["a"].equal(runs["b"])


def test_it_begins_with_what_its_training_would_begin_with():
    shipped = load_agent("ncap").circuit.state_dict()
    wires = [{"source": "in.joint_pos", "target": "worm.joint_pos"}, {"source": "worm", "target": "out"}]
    plan = {"parts": {"worm": {"circuit": "ncap", "start": "agent:ncap"}}, "wires": wires}
    for config, prefix in (
        (RunConfig("compose", circuit_options={"plan": plan}), "parts.worm."),
        (RunConfig("ncap", start="agent:ncap"), ""),
    ):
        with untrained(config) as run:
            weights = run.agent().circuit.state_dict()
        assert all(weights[f"{prefix}{name}"].equal(value) for name, value in shipped.items())


def test_an_untrained_agent_is_recorded_and_filmed(tmp_path, capsys):
    shown(capsys, "record", "--untrained", "--task", "navigate", "--circuit", "navigator", "--episodes", 1,
          "--out", tmp_path / "a.nc")  # fmt: skip
    assert "osc_d" in " ".join(Recording.load(tmp_path / "a.nc").neurons)
    # A circuit whose size is its body's.
    shown(capsys, "render", "--untrained", "--circuit", "gru", "--circuit-options", "units=8", "--body", "swimmer4",
          "--seconds", 0.2, "--out", tmp_path / "a.gif")  # fmt: skip
    assert (tmp_path / "a.gif").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate"], "give the folder of a run, or --untrained with --circuit"),
        (["probe", "--circuit", "ncap"], "give the folder of a run, or --untrained with --circuit"),
        (["render", "runs/a", "--untrained"], "runs/a and --untrained are two agents; give one of them"),
        (
            ["record", "runs/a", "--circuit", "ncap"],
            "--circuit would have no effect: they are about --untrained, and runs/a knows its own",
        ),
        (
            ["play", "runs/a", "--task", "swim"],
            "--task would have no effect: they are about --untrained, and runs/a knows its own",
        ),
        (["evaluate", "model.zip", "--untrained"], "model.zip and --untrained are two agents; give one of them"),
        (
            ["evaluate", "model.zip", "--circuit", "ncap"],
            "--circuit would have no effect: they are about --untrained, and model.zip knows its own",
        ),
        (
            ["evaluate", "--untrained", "--algorithm", "ppo"],
            "--algorithm would have no effect: they are about a zip file that SB3 saved",
        ),
    ],
)
def test_options_of_the_other_kind_are_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err
