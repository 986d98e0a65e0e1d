"""Probes on runs and recordings: what cannot be measured leaves its reason, and the pages show it all."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
import torch
import xarray
from nervecord.cli.main import main
from nervecord.envs.sb3_env import SwimmerVecEnv
from nervecord.errors import InvalidOption, InvalidRecording, InvalidRun, UnknownName
from nervecord.pages.reports import report
from nervecord.training.learning.training import train
from nervecord.training.probes import PROBES
from nervecord.training.probes.probing import chosen, merged, probe
from nervecord.training.rollouts.recorder import record, record_model
from nervecord.training.rollouts.recording import Recording
from nervecord.training.rollouts.saved_models import SavedModel
from nervecord.training.rollouts.weights_history import history
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from stable_baselines3 import A2C, DDPG, PPO, SAC

CONFIG = RunConfig(steps=9600, episode_steps=300, algorithm_options={"n_envs": 8}, checkpoint_every=2400)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    return train(CONFIG, tmp_path_factory.mktemp("runs") / "worm", progress=False)


@pytest.fixture
def run(trained, tmp_path) -> Run:
    shutil.copytree(trained.path, tmp_path / "worm")
    return Run(tmp_path / "worm")


def test_a_probe_that_cannot_be_leaves_its_reason_and_the_others_go_on(run, tmp_path):
    recording = record(run, 2)
    still = dataclasses.replace(recording, joint_pos=np.zeros_like(recording.joint_pos))
    still.save(tmp_path / "still.nc")
    found = probe(tmp_path / "still.nc", ("gait", "lesions", "diagram"))
    assert found["gait"].result is None
    assert "no joint moves in episode 0" in found["gait"].missing
    assert "only a recording" in found["lesions"].missing
    assert found["diagram"].result is not None
    kept = json.loads((tmp_path / "still_probes" / "gait.json").read_text(encoding="utf-8"))
    assert kept["missing"] == found["gait"].missing
    assert not (tmp_path / "still_probes" / "gait.svg").exists()
    assert (tmp_path / "still_probes" / "diagram.svg").exists()


def test_what_probes_found_is_kept_and_read_back(run):
    found = probe(run, ("gait", "diagram"), episodes=2)
    kept = run.results.current.where("probe", "gait").best
    result = found["gait"].result
    assert {name: each["value"] for name, each in kept.numbers.items()} == pytest.approx(result.numbers)
    arrays = np.load(run.results.file(kept, ".npz"))
    assert np.array_equal(arrays["curvature"], result.arrays["curvature"])
    assert kept.seconds == pytest.approx(found["gait"].seconds, abs=1e-3)
    with pytest.raises(InvalidOption, match="episodes is 0; give a whole number, 1 or more"):
        probe(run, ("gait",), episodes=0)


def test_all_stands_for_what_neither_trains_nor_simulates():
    assert chosen(["gait", "all"])[0] == "gait"
    assert set(chosen(["all"])) == {name for name, each in PROBES.items() if not each.is_study}
    with pytest.raises(UnknownName, match="did you mean 'gait'"):
        chosen(["gate"])


def test_intervals_join_their_number():
    numbers = {
        "speed": {"value": 1.0, "unit": "m/s"}, "speed_low": {"value": 0.5, "unit": "m/s"},
        "speed_high": {"value": None, "unit": "m/s"}, "the_low": {"value": 2.0, "unit": ""},
    }  # fmt: skip
    assert merged(numbers) == {"speed": ("1 [0.5, none]", "m/s"), "the low": ("2", "")}


def test_the_report_shows_every_probe_its_words_and_what_is_missing(run):
    probe(run, ("gait", "lesions"), episodes=2)
    gait = run.results.where("probe", "gait").best
    run.results.add(dataclasses.replace(gait, name="diagram", numbers={}, words=(), files=(), missing="<told>"))
    page = report(run).read_text(encoding="utf-8")
    assert 'href="#gait"' in page
    assert "% of the return remains" in page
    assert re.search(r'scope="row">intact</th><td>[\d.]+ \[[\d.]+, [\d.]+\]</td><td>return</td>', page)
    assert "&lt;told&gt;" not in page  # the wiring is drawn from the run itself
    shutil.rmtree(run.path / "results")
    run.results.add(dataclasses.replace(gait, numbers={}, words=(), files=(), missing="<told>"))
    assert "Could not be measured: &lt;told&gt;" in report(run).read_text(encoding="utf-8")


def test_two_runs_stand_side_by_side(run, tmp_path):
    other = train(dataclasses.replace(CONFIG, seed=1), tmp_path / "other" / "worm", progress=False)
    probe(run, ("gait",), episodes=2)
    with pytest.raises(InvalidOption, match="give --out"):
        report(run, other)
    main(["report", str(run.path), str(other.path), "--out", str(tmp_path / "both.html")])
    page = (tmp_path / "both.html").read_text(encoding="utf-8")
    names = re.findall(r"<h1>(.*)</h1>", page)
    assert len(set(names)) == 2
    assert all(name.endswith("/worm") for name in names)
    assert "Not measured: --probes gait" in page
    assert re.findall(r'<th scope="col">(.*?)</th>', page)[-4:] == ["quantity", *names, "unit"]
    assert "with another" not in page


@pytest.mark.parametrize("kind", [PPO, A2C, SAC, DDPG])
def test_every_unit_of_an_sb3_model_is_recorded(kind, tmp_path):
    env = SwimmerVecEnv(1, "swim", body="swimmer4", episode_steps=70)
    model = kind("MlpPolicy", env, policy_kwargs={"net_arch": [7, 5]}, seed=0)
    recording = record_model(SavedModel(model, "swimmer4"), 2)
    n_obs = env.observation_space.shape[0]
    assert recording.activity.shape[2] == n_obs + 7 + 5 + 3
    assert recording.neurons[n_obs] == "hidden_0_0"
    actor = model.policy.mlp_extractor.policy_net if kind in (PPO, A2C) else model.actor
    first = next(module for module in actor.modules() if isinstance(module, torch.nn.Linear))
    act = torch.tanh if kind in (PPO, A2C) else torch.relu
    observations = torch.as_tensor(recording.observations)
    with torch.no_grad():
        assert np.allclose(act(first(observations)).numpy(), recording.activity[..., n_obs : n_obs + 7], atol=1e-5)
    assert np.allclose(recording.activity[..., -3:], recording.actions)
    assert np.allclose(recording.activity[..., :n_obs], recording.observations, atol=1e-6)
    recording.save(tmp_path / "r.nc")
    cells = Recording.load(tmp_path / "r.nc").cells
    assert {cell.role for cell in cells} == {"sensor", "inter", "motor"}


def test_record_from_the_command_line(tmp_path, capsys):
    model = PPO("MlpPolicy", SwimmerVecEnv(1, "swim", body="swimmer3"), policy_kwargs={"net_arch": [4]})
    model.save(tmp_path / "model.zip")
    out = str(tmp_path / "model.nc")
    given = ["record", str(tmp_path / "model.zip"), "--body", "swimmer3", "--episodes", "1", "--out", out]
    with pytest.raises(SystemExit):
        main(given)
    assert "--trust" in capsys.readouterr().err
    main([*given, "--trust"])
    assert Recording.load(out).neurons[-1] == "motor_1"
    with pytest.raises(SystemExit):
        main([*given, "--trust"])
    assert "give another --out" in capsys.readouterr().err


def test_a_history_holds_weights_and_activity_at_every_checkpoint(run, tmp_path):
    main(["record", str(run.path), "--history", "--out", str(tmp_path / "history.nc")])
    held = xarray.open_dataset(tmp_path / "history.nc", engine="h5netcdf")
    assert held["checkpoint"].values.tolist() == [0, 2400, 4800, 7200, 9600]
    final = run.agent().circuit
    for name, parameter in final.named_parameters():
        assert np.array_equal(held[f"weights.{name}"].values[-1], parameter.detach().numpy())
        assert not np.array_equal(held[f"weights.{name}"].values[0], held[f"weights.{name}"].values[-1])
    recording = record(run, 1)
    assert np.allclose(held["activity"].values[-1], recording.activity[0], atol=1e-5)
    assert held["activity"].sel(neuron="B_d_2").shape == (5, 300)


def test_one_checkpoint_is_no_history(tmp_path):
    run = Run.create(tmp_path / "run", CONFIG)
    run.save_checkpoint(0, {}, {}, {})
    with pytest.raises(InvalidRecording, match="two are needed"):
        history(run, None)


def test_a_run_opens_again_with_options_that_were_tuples(tmp_path):
    config = RunConfig("mlp", steps=800, circuit_options={"hidden": (8, 8)})
    Run.create(tmp_path / "run", config)
    assert Run.create(tmp_path / "run", config).path == tmp_path / "run"
    with pytest.raises(InvalidRun, match="circuit_options"):
        Run.create(tmp_path / "run", dataclasses.replace(config, circuit_options={"hidden": (8, 4)}))
