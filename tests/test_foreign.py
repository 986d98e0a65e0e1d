"""SB3's own zip files: read when they are trusted, and only then."""

import json

import pytest
from nervecord.cli.main import main
from nervecord.envs.sb3_env import SwimmerVecEnv
from stable_baselines3 import PPO


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
        (["--algorithm", "sac"], "no model that SB3's sac saved"),
        (["--task", "navigate", "--reward", "com"], "task 'navigate' has no option 'reward'"),
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
    assert "would change nothing" in said


def test_a_zip_that_is_none_is_one_line(tmp_path, capsys):
    (tmp_path / "model.zip").write_text("no zip")
    with pytest.raises(SystemExit):
        main(["evaluate", str(tmp_path / "model.zip"), "--trust"])
    assert "no model that SB3's ppo saved" in capsys.readouterr().err
