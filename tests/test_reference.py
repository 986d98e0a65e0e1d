"""Folders of commit 81006cf still open and evaluate to what they did; curricula go on, and runs say how they can."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from nervecord.cli.main import main
from reference.compare import COMMIT, has_commit
from reference.configs import CONFIGS
from reference.produce import call, evaluate, read_weights

# Written in format 2 by `python -m reference.produce` at 81006cf; only tensorboard/ and the kernel's name are left out.
KEPT = Path(__file__).parent / "reference" / "runs"
# Relative to each episode's value, and to an array's largest weight. Another processor rounds otherwise, by parts in
# 1e7 of float32. Weights put off by 1e-6 move what an episode comes to by 1.3e-5 at most (ppo-ctrnn-deficit; longer
# episodes would be chaotic, and move more). Another release of MuJoCo may move more: then look at what changed before
# you touch these numbers.
RETURN_TOLERANCE = 1e-4
WEIGHT_TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def _in_a_copy(tmp_path, monkeypatch):
    """Go where a copy of the kept folders is, for one of them names another by its relative path."""
    shutil.copytree(KEPT, tmp_path / "runs")
    monkeypatch.chdir(tmp_path / "runs")


def assert_weights_are_kept(name: str) -> None:
    kept, found = read_weights(KEPT / name), read_weights(Path(name))
    assert found.keys() == kept.keys()
    for key, values in kept.items():
        scale = np.abs(values).max(initial=0)
        np.testing.assert_allclose(found[key], values, rtol=0, atol=WEIGHT_TOLERANCE * scale, err_msg=key)


def test_every_training_has_its_folder():
    assert {folder.name for folder in KEPT.iterdir()} == set(CONFIGS)


@pytest.mark.parametrize("name", [name for name, config in CONFIGS.items() if config.is_run])
def test_a_kept_run_evaluates_to_its_kept_returns(name):
    kept = json.loads(Path(name, "evaluation.json").read_text(encoding="utf-8"))["episodes"]
    found = evaluate(name)
    for metric, values in kept.items():
        np.testing.assert_allclose(found[metric], values, rtol=RETURN_TOLERANCE, atol=0, err_msg=metric)


@pytest.mark.parametrize("name", [name for name, config in CONFIGS.items() if not config.is_run])
def test_a_kept_curriculum_resumes_from_its_checkpoint_before_last_to_the_weights_of_its_last(name):
    shutil.rmtree(max(Path(name, "checkpoints").iterdir()))
    assert call("resume", name)["done"]
    assert_weights_are_kept(name)


def test_a_kept_run_that_is_not_done_says_how_its_weights_train_on(capsys):
    shutil.rmtree(max(Path("es-ncap", "checkpoints").iterdir()))
    with pytest.raises(SystemExit) as stopped:
        main(["resume", "es-ncap"])
    line = capsys.readouterr().err
    assert stopped.value.code == 2
    assert "was trained by an older nervecord" in line
    assert "--start es-ncap with another --out" in line
    assert call(
        "train", "--start", "es-ncap", "--out", "on", "--steps", "800", "--episode-steps", "100",
        "--algorithm-options", "n_envs=8",
    )["done"]  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_the_command_that_trained_a_kept_folder_finds_it_done(name):
    assert call(*CONFIGS[name].train.split(), "--out", name)["done"]
    assert_weights_are_kept(name)


@pytest.mark.release
@pytest.mark.slow
def test_the_working_tree_trains_what_the_commit_trained():
    if not has_commit(COMMIT):
        pytest.skip(f"no commit {COMMIT} here: not a git repository, or one without its history")
    # One of each kind of learner; the command without names compares all.
    command = [sys.executable, "-m", "reference.compare", "es-ncap", "ppo-gru-cueturn", "ddpg-ncap"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
