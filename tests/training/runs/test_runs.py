"""Runs end to end: train, resume, evaluate, transfer, probe, film, report, and the command line."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from nervecord.agents import Agent
from nervecord.agents.algorithms.registry import algorithm_named
from nervecord.cli.main import main
from nervecord.envs import make_body
from nervecord.envs.deficits import Deficit, Deficits
from nervecord.errors import InvalidOption, InvalidRun, OutputExists, UnknownName
from nervecord.pages.reports import report
from nervecord.training.learning.training import train
from nervecord.training.probes.probing import probe
from nervecord.training.rollouts.evaluation import evaluate, evaluate_on
from nervecord.training.rollouts.interventions import Intervention, pins_at
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.nested import join
from nervecord.training.runs.resolution import resolve
from nervecord.training.runs.run import Run
from nervecord.training.studies.transfers import transfer
from nervecord.videos.films import render

ES_CONFIG = RunConfig(steps=9600, episode_steps=150, algorithm_options={"n_envs": 16}, checkpoint_every=2000)
PPO_CONFIG = RunConfig(
    circuit="mlp", algorithm="ppo", steps=768, episode_steps=50, checkpoint_every=256,
    algorithm_options={"n_steps": 64, "n_envs": 4}, circuit_options={"hidden": [8]},
)  # fmt: skip


@pytest.fixture(scope="module")
def worm(tmp_path_factory) -> Run:
    return train(ES_CONFIG, tmp_path_factory.mktemp("runs") / "worm", progress=False)


def weights_of(run: Run) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in run.load_checkpoint().weights.items()}


def same_weights(one: Run, other: Run) -> bool:
    a, b = weights_of(one), weights_of(other)
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


class Interrupt(Exception):
    pass


@pytest.mark.parametrize(
    "config",
    [
        dataclasses.replace(ES_CONFIG, evaluate_every=3000),
        dataclasses.replace(ES_CONFIG, physics="mujoco", steps=4800, episode_steps=75),
        dataclasses.replace(PPO_CONFIG, evaluate_every=256),
        RunConfig(algorithm="ppo", steps=512, episode_steps=40, checkpoint_every=128,
                  algorithm_options={"n_steps": 32, "n_envs": 4, "batch_size": 32}),
        RunConfig(algorithm="cmaes", body="swimmer4", steps=2400, episode_steps=50, checkpoint_every=400,
                  algorithm_options={"n_envs": 8}),
        *(
            RunConfig(circuit, algorithm, "swimmer4", steps=160, episode_steps=20, checkpoint_every=60,
                      algorithm_options={"n_envs": 4, "learning_starts": 40, "batch_size": 16, "buffer_size": 120,
                                         "critic_hidden": (8,)})
            for circuit, algorithm in (("ncap", "ddpg"), ("mlp", "td3"), ("mlp", "sac"))
        ),
        RunConfig(algorithm="ppo", steps=512, episode_steps=40, checkpoint_every=128,
                  deficits=(Deficit("joint_pos", 192, 384),),
                  algorithm_options={"n_steps": 32, "n_envs": 4, "batch_size": 32}),
        *(
            RunConfig(circuit, "ppo", steps=768, episode_steps=50, checkpoint_every=256, circuit_options={"units": 8},
                      algorithm_options={"n_steps": 64, "n_envs": 4, "sequence_length": 16})
            for circuit in ("ctrnn", "lstm")
        ),
        RunConfig("mlp", "ppo", "swimmer4", steps=256, episode_steps=40, checkpoint_every=64,
                  randomize={"link_mass": (0.8, 1.2), "viscosity": (0.0, 0.1)},
                  algorithm_options={"n_steps": 16, "n_envs": 4, "batch_size": 32}),
    ],
    ids=["ncap-es", "ncap-es-mujoco", "mlp-ppo", "ncap-ppo", "ncap-cmaes", "ncap-ddpg", "mlp-td3", "mlp-sac", "deficit",
         "ctrnn-ppo", "lstm-ppo", "randomize"],
)  # fmt: skip
def test_a_stopped_run_resumes_to_the_same_weights_and_table(config, tmp_path):
    whole = train(config, tmp_path / "whole", progress=False)

    def stop_after_a_checkpoint(_):
        if Run(tmp_path / "stopped").progress[0] > 0:
            raise Interrupt

    with pytest.raises(Interrupt):
        train(config, tmp_path / "stopped", progress=False, callback=stop_after_a_checkpoint)
    assert not Run(tmp_path / "stopped").done
    assert evaluate(tmp_path / "stopped", episodes=1).n == 1
    resumed = train(config, tmp_path / "stopped", progress=False)
    assert same_weights(whole, resumed)
    tables = [run.metrics() for run in (whole, resumed)]
    lasting = [table[~table["metric"].str.startswith("time/")].reset_index(drop=True) for table in tables]
    pd.testing.assert_frame_equal(*lasting)


@pytest.mark.parametrize("algorithm", ["ddpg", "sac"])
def test_off_policy_actors_act_in_evaluation_as_they_learned_to(algorithm, tmp_path):
    options = {"n_envs": 2, "learning_starts": 20, "batch_size": 16, "critic_hidden": (8,)}
    for circuit in ("ncap", "mlp"):
        config = RunConfig(circuit, algorithm, "swimmer4", steps=60, episode_steps=40, algorithm_options=options)
        run = train(config, tmp_path / circuit, progress=False)
        envs, held = run.resolved.make_envs(2), run.load_checkpoint()
        learner = algorithm_named(algorithm).start(Agent(run.resolved.agent), envs, run.resolved.options, 0)
        learner.load_state_dict({**join(held.training, held.state["learner"]), "replay": held.replay})
        observation = envs.observation()
        ours, _ = run.agent().predict(observation)
        # A bounded motor is commanded at 0.97 of its range by SAC's tanh.
        expected = ours * 0.97 if (circuit, algorithm) == ("ncap", "sac") else ours
        assert np.allclose(learner.model.predict(observation, deterministic=True)[0], expected, atol=1e-5)
        envs.close()


@pytest.mark.parametrize("algorithm", ["es", "ppo", "ddpg"])
def test_a_deficit_masks_what_the_circuit_is_shown_in_its_window_alone(algorithm, monkeypatch):
    """After normalising, so that what is missing moves no statistics; in every algorithm, by environment step."""
    options = {"ppo": {"n_envs": 2, "n_steps": 8, "batch_size": 16, "normalize_observation": True}}.get(
        algorithm, {"n_envs": 2}
    )
    resolved = resolve(RunConfig("ncap", algorithm, "swimmer4", episode_steps=7, algorithm_options=options))
    envs, agent = resolved.make_envs(2), Agent(resolved.agent)
    learner = algorithm_named(algorithm).start(agent, envs, resolved.options, 0)
    learner.deficits = Deficits(agent.layout, [Deficit("joint_pos", 6, 12), Deficit("body_velocities", 4, 8, (1, 4))])
    shown = []
    if algorithm == "ddpg":
        sample = type(learner.model)._sample_action
        monkeypatch.setattr(
            type(learner.model),
            "_sample_action",
            lambda self, *a: shown.append(self._last_obs.copy()) or sample(self, *a),
        )
        for _ in range(8):
            learner.advance()
    else:
        observe = Agent.observe
        monkeypatch.setattr(
            Agent, "observe", lambda self, seen: shown.append(observe(self, seen).numpy().copy()) or observe(self, seen)
        )
        learner.advance()
    joints, velocities = agent.layout["joint_pos"], agent.layout["body_velocities"]
    shown = [row for row in shown if len(row) == 2]
    for step, row in enumerate(shown[:7]):
        assert (not row[:, joints].any()) == (6 <= 2 * step < 12), step
        for column in (1, 4):
            assert (not row[:, velocities.start + column].any()) == (4 <= 2 * step < 8 or step == 0), step
        assert row[:, velocities.start + 2].any() or step == 0
    assert agent.missing is None or algorithm == "ppo"


def silenced_sensors(circuit, joints):
    """Return interventions on all neurons of a circuit that sense these joints' bends, and nothing else."""
    return [Intervention(f"{kind}_{i}") for i in joints for kind in ("q_d", "q_v", "q", "joint_pos")
            if f"{kind}_{i}" in {neuron.name for neuron in circuit.neurons}]  # fmt: skip


@pytest.mark.parametrize("circuit", ["ncap", "ncap_plus", "relay", "along", "mlp", "ctrnn", "connectome", "gru"])
def test_joints_without_sensors_are_the_same_at_birth_and_at_test(circuit):
    """What a deficit masks in training, silencing the joints' sensory neurons takes away in an evaluation."""
    deprived, lesioned = (Agent(resolve(RunConfig(circuit, "es")).agent) for _ in range(2))
    missing = Deficits(deprived.layout, [Deficit.parse("joint_pos[1,3]:0:")]).missing(10**9)
    deprived.missing = torch.as_tensor(missing)
    pins = pins_at(silenced_sensors(lesioned.circuit, (1, 3)), lesioned.circuit, 0)
    seen = np.random.default_rng(0).uniform(-1, 1, (7, 1, deprived.layout.size))
    states = [None, None]
    intact = []
    for row in seen:
        one, states[0] = deprived.predict(row, states[0])
        other, states[1] = lesioned.predict(row, states[1], pins=pins)
        np.testing.assert_allclose(one, other, atol=1e-6)
        intact.append(abs(one - lesioned.predict(row, states[1])[0]).max())
    assert max(intact) > 1e-3


def test_statistics_are_of_what_was_there_not_of_what_was_shown(monkeypatch):
    options = {"n_envs": 2, "n_steps": 32, "batch_size": 64, "normalize_observation": True}
    resolved = resolve(RunConfig("ncap", "ppo", "swimmer4", algorithm_options=options))
    envs, agent = resolved.make_envs(2), Agent(resolved.agent)
    learner = algorithm_named("ppo").start(agent, envs, resolved.options, 0)
    learner.deficits = Deficits(agent.layout, [Deficit("joint_pos", 0, 10**6)])
    counted, update = [], agent.normalizer.update
    monkeypatch.setattr(agent.normalizer, "update", lambda seen: counted.append(seen.copy()) or update(seen))
    learner.collect()
    joints = agent.layout["joint_pos"]
    assert len(counted) == 33
    assert np.array(counted)[:, :, joints].all()
    assert not learner.buffer.observations[:, :, joints].any()


@pytest.mark.parametrize(
    ("deficit", "message"),
    [
        ("joint_pos", "is not SENSE:START:STOP"),
        ("joint_pos:9:3", "is empty; give SENSE:START:STOP"),
        ("joint_pos[7]:0:9", "joint_pos has 5 values; give 0 to 4"),
        ("joint_pos[1,5]:0:", "deficit joint_pos[5]: joint_pos has 5 values; give 0 to 4"),
        ("joint_pos[1,1]:0:", "give each of the sense's values once, such as [1, 3]"),
        ("joint_pos[1,]:0:", "is not SENSE:START:STOP"),
        ("joints:0:9", "unknown sense 'joints'"),
    ],
)
def test_a_wrong_deficit_is_one_line(deficit, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--out", str(tmp_path / "x"), "--deficit", deficit])
    assert stopped.value.code == 2
    line = capsys.readouterr().err
    assert message in line
    assert line.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_a_mistake_is_said_before_the_difference_to_the_run_that_is_there(worm):
    with pytest.raises(UnknownName, match="unknown sense 'joint_pso'; did you mean 'joint_pos'"):
        train(dataclasses.replace(ES_CONFIG, deficits=("joint_pso:0:10",)), worm.path, progress=False)
    with pytest.raises(InvalidRun, match=r"deficits: \[\] there, \['joint_pos:0:10'\] asked"):
        train(dataclasses.replace(ES_CONFIG, deficits=("joint_pos:0:10",)), worm.path, progress=False)


def test_a_done_run_is_not_trained_again(worm):
    before = {path: path.stat().st_mtime_ns for path in worm.path.rglob("*") if path.is_file()}
    train(ES_CONFIG, worm.path, progress=False)
    assert before == {path: path.stat().st_mtime_ns for path in worm.path.rglob("*") if path.is_file()}


def test_another_config_or_foreign_files_are_never_overwritten(worm, tmp_path):
    with pytest.raises(InvalidRun, match="seed: 0 there, 1 asked"):
        train(dataclasses.replace(ES_CONFIG, seed=1), worm.path)
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExists):
        train(ES_CONFIG, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_nothing_in_a_run_is_pickled(worm):
    suffixes = {path.suffix for path in worm.path.rglob("*") if path.is_file() and path.parent.name != "tensorboard"}
    assert suffixes <= {".json", ".csv", ".safetensors", ".nc", ".svg", ".html", ".mp4"}


def test_config_round_trips_through_json(worm):
    assert Run(worm.path).config == ES_CONFIG
    assert RunConfig.from_json(json.loads(json.dumps(ES_CONFIG.to_json()))) == ES_CONFIG


def test_untrained_ncap_scores_what_the_authors_circuit_scores():
    expected = {"swimmer6": 798, "swimmer4": 344, "swimmer8": 902}
    for name, score in expected.items():
        assert abs(untrained_return(name, 20) - score) < 10


def untrained_return(body: str = "swimmer6", episodes: int = 40, **options) -> float:
    resolved = resolve(RunConfig(body=body, circuit_options=options))
    return evaluate_on(resolved, Agent(resolved.agent), episodes).mean_return.mean


def test_ncap_without_proprioception_scores_what_the_authors_circuit_scores():
    assert abs(untrained_return(proprioception=False) - 130) < 10


def test_ncap_without_its_oscillator_hardly_moves():
    assert untrained_return(oscillator=False) < 110


def test_training_beats_the_untrained_circuit(worm):
    trained = evaluate(worm, episodes=8)
    untrained = evaluate_on(worm.resolved, worm.agent(trained=False), 8)
    assert trained.mean_return.mean > untrained.mean_return.mean


def test_transfer_puts_every_body_beside_the_control(worm):
    table = transfer(worm, ("swimmer4", "swimmer6-eel"), episodes=4)
    assert list(table["body"]) == ["swimmer6"] * 2 + ["swimmer4"] * 2 + ["swimmer6-eel"] * 2
    assert (table["n"] == 4).all()
    assert table[["low", "mean", "high"]].apply(lambda row: row["low"] <= row["mean"] <= row["high"], axis=1).all()


def test_probe_film_and_report_make_a_page_that_needs_nothing_else(worm, tmp_path):
    shutil.copytree(worm.path, tmp_path / "worm")
    run = Run(tmp_path / "worm")
    evaluate(run, episodes=3)
    transfer(run, ("swimmer4",), episodes=2)
    gait = probe(run, ("gait", "diagram"), episodes=2)["gait"].result.numbers
    # The oscillator's period of 60 steps is 1.8 s, and the body follows it.
    assert gait["frequency"] == pytest.approx(1 / 1.8, rel=0.1)
    render(run, run.path / "film.mp4", seconds=1)
    page = report(run).read_text(encoding="utf-8")
    assert page.count('role="img" aria-label') + page.count('role="group" aria-label') == 4
    assert "data:video/mp4;base64," in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert not re.search(r"No film yet|No other body yet", page)


def test_report_names_what_is_missing_and_how_to_get_it(worm, tmp_path):
    shutil.copytree(worm.path, tmp_path / "bare")
    page = report(tmp_path / "bare").read_text(encoding="utf-8")
    assert "nervecord render" in page


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--circuit", "ncp"], "did you mean 'ncap'"),
        (["train", "--body", "swimmer2"], "n_links is 2"),
        (["train", "--task", "fly"], "unknown task 'fly'"),
        (["train", "--circuit-options", "periood=3"], "did you mean 'period'"),
        (["train", "--circuit", "navigator"], "senses 'to_target'"),
        (["train", "--randomize", "gear=1"], "give low:high"),
        (["evaluate", "nowhere"], "no run folder"),
        (["probe", "WORM", "--probes", "gate"], "did you mean 'gait'"),
        (["render", "WORM", "--out", "worm.avi"], "unknown film format 'avi'; known: gif, mp4, webp"),
        (["render", "WORM", "--out", "WORM/config.json"], "unknown film format"),
        (["list", "body"], "did you mean 'bodies'"),
    ],
)
def test_mistakes_get_one_line_and_exit_2(arguments, words, worm, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main([argument.replace("WORM", str(worm.path)) for argument in arguments])
    printed = capsys.readouterr().err
    assert caught.value.code == 2
    assert words in printed
    assert printed.count("\n") == 1
    assert not any(tmp_path.rglob("config.json"))


@pytest.mark.parametrize("kind", ["bodies", "tasks", "circuits", "algorithms", "probes"])
def test_lists_as_json(kind, capsys):
    main(["list", kind, "--json"])
    assert len(json.loads(capsys.readouterr().out)) >= 2


def test_a_damaged_or_foreign_run_is_named(worm, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(worm.path, broken)
    for checkpoint in (broken / "checkpoints").iterdir():
        (checkpoint / "weights.safetensors").write_bytes(b"junk")
    with pytest.raises(InvalidRun, match="damaged"):
        evaluate(broken)
    config = json.loads((broken / "config.json").read_text(encoding="utf-8"))
    (broken / "config.json").write_text(json.dumps({**config, "format": 99}), encoding="utf-8")
    with pytest.raises(InvalidRun, match="format 99"):
        Run(broken)
    (broken / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(InvalidRun, match=r"config.json is damaged .* restore it from a copy"):
        Run(broken)


def test_options_that_do_not_exist_are_named():
    with pytest.raises(UnknownName, match="did you mean 'sigma'"):
        RunConfig(algorithm_options={"sigme": 1})
    with pytest.raises(InvalidOption, match="sigma is 0; give a number above 0"):
        RunConfig(algorithm_options={"sigma": 0})


def test_body_in_a_config_may_be_the_users_own():
    config = RunConfig(body=make_body("gymnasium-swimmer"))
    assert RunConfig.from_json(json.loads(json.dumps(config.to_json()))).body == make_body("gymnasium-swimmer")
