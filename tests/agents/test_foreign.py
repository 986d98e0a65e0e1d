"""SB3's own zip files: read when they are trusted, and only then."""

import json

import numpy as np
import pytest
from nervecord.agents.sb3.zip_files import algorithm_of, load_sb3, statistics_beside
from nervecord.cli.main import main
from nervecord.envs.sb3_env import SwimmerVecEnv
from nervecord.errors import InvalidRun
from nervecord.training.rollouts.evaluation import EVALUATION_SEED, evaluate_model
from nervecord.training.rollouts.recorder import record_model
from nervecord.training.rollouts.recording import Recording
from nervecord.training.rollouts.saved_models import SavedModel
from sb3_contrib import TQC, RecurrentPPO
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.vec_env import VecFrameStack, VecNormalize

SHORT = {"body": "swimmer4", "episode_steps": 12}
WORDS = ["--trust", "--body", "swimmer4", "--episode-steps", "12"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model.zip"
    PPO("MlpPolicy", SwimmerVecEnv(2, body="swimmer4"), n_steps=8, batch_size=8, device="cpu").save(path)
    return path


def test_a_zip_is_not_opened_unless_it_is_trusted(model, capsys, monkeypatch):
    monkeypatch.setattr(PPO, "load", lambda *_, **__: pytest.fail("the file was opened"))
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", str(model), "--body", "swimmer4"])
    assert exit_.value.code == 2
    assert "give --trust" in capsys.readouterr().err


def test_a_trusted_zip_is_evaluated(model, capsys):
    main(["evaluate", str(model), "--trust", "--body", "swimmer4", "--episodes", "2", "--json"])
    assert json.loads(capsys.readouterr().out)["return"]["n"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--body", "swimmer6"], "observations are of shape (15,)"),
        (["--algorithm", "pppo"], "did you mean 'ppo'"),
        (["--algorithm", "sac"], "not a model that SB3's sac saved: it is one of ppo"),
        (["--task", "navigate", "--reward", "com"], "task 'navigate' has no option 'reward'"),
        (["--observe-time"], "observations are of shape (15,)"),
        (["--task-options", "target=1"], "task 'swim' has no option 'target'"),
        (["--task-options", "n_envs=3"], "task 'swim' has no option 'n_envs'"),
    ],
)
def test_mistakes_are_one_line(model, words, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", str(model), "--trust", "--body", "swimmer4", "--episodes", "2", *words])
    error = capsys.readouterr().err
    assert exit_.value.code == 2
    assert message in error
    assert error.count("\n") == 1


def test_a_history_is_of_a_run(model, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["record", str(model), "--trust", "--body", "swimmer4", "--history", "--out", str(tmp_path / "h.nc")])
    assert "--history" in (said := capsys.readouterr().err)
    assert "would have no effect" in said


def test_a_zip_that_is_none_is_one_line(tmp_path, capsys):
    (tmp_path / "model.zip").write_text("no zip", encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["evaluate", str(tmp_path / "model.zip"), "--trust"])
    assert "not a model saved by SB3" in capsys.readouterr().err


def returns(model, envs):
    """What a model comes to in SB3's own loop, one episode of each environment."""
    envs.unwrapped.seed(EVALUATION_SEED)
    observation, state = envs.reset(), None
    start = np.ones(envs.num_envs, bool)
    for _ in range(SHORT["episode_steps"]):
        actions, state = model.predict(observation, state, start, deterministic=True)
        observation, _, start, infos = envs.step(actions)
    return np.array([info["episode"]["r"] for info in infos])


def stacked(env):
    return VecFrameStack(env, 3)


@pytest.mark.parametrize(
    ("kind", "policy", "wrap", "others"),
    [
        (PPO, "MlpPolicy", VecNormalize, {}),
        (RecurrentPPO, "MlpLstmPolicy", VecNormalize, {}),
        (A2C, "MlpPolicy", lambda env: stacked(VecNormalize(env)), {"frames": 3}),
        (A2C, "MlpPolicy", lambda env: VecNormalize(stacked(env)), {"frames": 3}),
        (A2C, "MlpPolicy", lambda env: env, {"observe_time": True}),
    ],
)
def test_a_model_is_scored_as_it_was_trained(kind, policy, wrap, others, tmp_path, caplog):
    frames, task = others.get("frames", 1), {name: value for name, value in others.items() if name != "frames"}
    envs = wrap(SwimmerVecEnv(2, **SHORT, **task))
    options = {} if kind is A2C else {"batch_size": 16}
    model = kind(policy, envs, n_steps=16, policy_kwargs={"net_arch": [8]}, seed=0, device="cpu", **options).learn(64)
    path = tmp_path / "best_model.zip"
    model.save(path)
    normalizer = model.get_vec_normalize_env()
    if normalizer is not None:
        SavedModel.load(path, trust=True, **SHORT, frames=frames)
        assert "give its statistics, --normalize" in caplog.text
        (tmp_path / "Swim-v0").mkdir()
        normalizer.save(tmp_path / "Swim-v0" / "vecnormalize.pkl")  # where RL Zoo has it
        normalizer.training = False
    caplog.clear()
    saved = SavedModel.load(path, trust=True, **SHORT, **others)
    assert ("are normalised by" in caplog.text) == (normalizer is not None)
    expected = returns(model, envs)
    assert np.abs(evaluate_model(saved, 2).returns - expected).max() < 1e-5
    assert np.abs(record_model(saved, 2).rewards.sum(1) - expected).max() < 1e-5


def test_statistics_are_read_only_where_the_file_is_trusted(model, tmp_path):
    (tmp_path / "stats.pkl").write_bytes(b"no pickle")
    with pytest.raises(InvalidRun, match="give --trust"):
        SavedModel.load(model, normalize=tmp_path / "stats.pkl")
    with pytest.raises(InvalidRun, match=r"not a file written by VecNormalize\.save"):
        SavedModel.load(model, trust=True, normalize=tmp_path / "stats.pkl")


def test_statistics_of_rewards_alone_change_nothing_and_those_of_others_are_left_alone(model, tmp_path):
    envs = VecNormalize(SwimmerVecEnv(1, **SHORT), norm_obs=False)
    envs.save(tmp_path / "rewards.pkl")
    assert SavedModel.load(model, trust=True, normalize=tmp_path / "rewards.pkl").statistics is None
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        envs.save(tmp_path / name / "vecnormalize.pkl")
    assert statistics_beside(tmp_path / "best_model.zip") is None
    assert statistics_beside(tmp_path / "other.zip") == tmp_path / "other" / "vecnormalize.pkl"
    envs.save(tmp_path / "rl_model_vecnormalize_500_steps.pkl")
    assert statistics_beside(tmp_path / "rl_model_500_steps.zip").name == "rl_model_vecnormalize_500_steps.pkl"


def test_a_file_tells_its_class_without_being_run(model, tmp_path):
    TQC("MlpPolicy", SwimmerVecEnv(1, **SHORT), buffer_size=10, device="cpu").save(tmp_path / "tqc.zip")
    assert (algorithm_of(model), algorithm_of(tmp_path / "tqc.zip")) == ("ppo", "tqc")
    assert type(load_sb3(tmp_path / "tqc.zip", trust=True)) is TQC
    RecurrentPPO("MlpLstmPolicy", SwimmerVecEnv(1, **SHORT), n_steps=8, batch_size=8).save(tmp_path / "lstm.zip")
    with pytest.raises(InvalidRun, match="it is one of recurrent-ppo"):
        load_sb3(tmp_path / "lstm.zip", "ppo", trust=True)


def test_zips_are_filmed_recorded_moved_and_reported(model, tmp_path, capsys):
    main(["render", str(model), *WORDS, "--out", str(tmp_path / "film.gif"), "--seconds", "0.2"])
    assert (tmp_path / "film.gif").read_bytes()[:3] == b"GIF"
    main(["record", str(model), *WORDS, "--episodes", "1", "--out", str(tmp_path / "kept.nc")])
    assert Recording.load(tmp_path / "kept.nc").actions.shape == (1, 12, 3)
    main(["report", str(model), *WORDS, "--out", str(tmp_path / "page.html")])
    assert "PPO, saved by SB3, to swim on swimmer4" in (tmp_path / "page.html").read_text(encoding="utf-8")
    capsys.readouterr()
    main(["transfer", str(model), *WORDS, "--bodies", "swimmer5", "--episodes", "1", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [(row["body"], row["agent"], row["n"]) for row in rows] == [
        ("swimmer4", "trained", 1),
        ("swimmer4", "untrained ncap", 1),
        ("swimmer5", "trained", 0),
        ("swimmer5", "untrained ncap", 1),
    ]
