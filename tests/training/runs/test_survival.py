"""Runs survive: a full disk, damaged and hostile files. What kills them is in test_stopping."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from nervecord.cli.main import main
from nervecord.errors import InvalidRun
from nervecord.training.learning.curricula import CurriculumConfig, curriculum
from nervecord.training.learning.training import train
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from systems import limit_of_files


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    config = RunConfig(steps=6400, episode_steps=100, algorithm_options={"n_envs": 16}, checkpoint_every=1600)
    return train(config, tmp_path_factory.mktemp("runs") / "worm", progress=False)


@pytest.mark.parametrize("name", ["state.json", "weights.safetensors", "training.safetensors", "meta.json"])
@pytest.mark.parametrize("damage", ["cut", "emptied", "gone"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(run, name, damage, tmp_path, caplog):
    shutil.copytree(run.path, tmp_path / "run")
    hurt = Run(tmp_path / "run")
    before, last = hurt.checkpoints()
    file = last / name
    if damage == "gone":
        file.unlink()
    else:
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"")
    assert hurt.load_checkpoint().step == int(before.name)
    assert f"checkpoint {last} is damaged" in caplog.text
    assert f"; the weights of step {int(before.name):,} are used" in caplog.text
    assert all("\n" not in record.getMessage() for record in caplog.records)
    assert not hurt.done
    repaired = train(run.config, hurt.path, progress=False)
    mine, its = repaired.load_checkpoint().weights, run.load_checkpoint().weights
    assert all(torch.equal(mine[name], its[name]) for name in its)
    assert (
        repaired.metrics()
        .query("not metric.str.startswith('time/')")
        .reset_index(drop=True)
        .equals(run.metrics().query("not metric.str.startswith('time/')").reset_index(drop=True))
    )


def test_where_the_first_checkpoint_alone_is_whole_the_circuit_is_called_untrained(tmp_path, caplog):
    config = RunConfig(steps=800, episode_steps=50, algorithm_options={"n_envs": 16})
    hurt = train(config, tmp_path / "run", progress=False)
    (hurt.checkpoints()[-1] / "weights.safetensors").write_bytes(b"")
    assert hurt.load_checkpoint().step == 0
    assert caplog.messages[-1].endswith("; the weights of step 0 are used: untrained, as this run began")


def test_a_checkpoint_of_another_circuit_is_one_line(run, tmp_path):
    other = RunConfig("gru", steps=1600, episode_steps=100, algorithm_options={"n_envs": 16}, checkpoint_every=800)
    foreign = train(other, tmp_path / "gru", progress=False)
    shutil.copytree(run.path, tmp_path / "run")
    for folder in Run(tmp_path / "run").checkpoints():
        shutil.rmtree(folder)
    step = foreign.checkpoints()[0].name
    shutil.copytree(foreign.checkpoints()[0], tmp_path / "run" / "checkpoints" / step)
    with pytest.raises(InvalidRun, match="is of another circuit or algorithm") as caught:
        train(run.config, tmp_path / "run", progress=False)
    assert "\n" not in str(caught.value)


def test_when_no_checkpoint_is_whole_one_line_says_so(run, tmp_path):
    shutil.copytree(run.path, tmp_path / "run")
    for folder in Run(tmp_path / "run").checkpoints():
        (folder / "weights.safetensors").write_bytes(b"")
    with pytest.raises(InvalidRun, match=r"is damaged .*, and no other is whole"):
        Run(tmp_path / "run").agent()


def test_a_write_that_fails_leaves_the_last_checkpoint_and_one_line(tmp_path):
    limit = limit_of_files(3000)
    words = ["train", "--circuit", "gru", "--algorithm", "ppo", "--steps", "1024", "--episode-steps", "50",
             "--checkpoint-every", "200", "--circuit-options", "units=8", "--algorithm-options", "n_envs=8",
             "n_steps=32", "sequence_length=16", "batch_size=64", "--out", str(tmp_path / "run"), "--json"]  # fmt: skip
    command = [sys.executable, "-c", "from nervecord.cli.main import main; main()", *words]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == 1
    line = json.loads(done.stdout)["error"]["message"]
    assert "\n" not in line
    assert "run the same command again to continue" in line
    assert not [path for path in (tmp_path / "run").rglob("*.safetensors") if "partial" not in str(path)]
    main(words)
    assert Run(tmp_path / "run").done


def test_a_recording_that_fails_in_the_middle_leaves_nothing_and_one_line(run, tmp_path):
    limit = limit_of_files(12_000)
    words = ["record", str(run.path), "--episodes", "1", "--out", str(tmp_path / "rec.nc")]
    command = [sys.executable, "-c", "from nervecord.cli.main import main; main()", *words]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("nervecord: File too large")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


class _Payload:
    """What a hostile pickle does when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_a_strangers_run_cannot_execute_code(run, tmp_path):
    payload = pickle.dumps(_Payload(tmp_path / "owned"))
    names = [path.relative_to(run.path) for path in run.path.rglob("*") if path.is_file()]
    assert len(names) > 6
    for name in names:
        hostile = tmp_path / "hostile"
        shutil.rmtree(hostile, ignore_errors=True)
        shutil.copytree(run.path, hostile)
        for path in hostile.glob("checkpoints/*"):
            if "checkpoints" in str(name) and (path / name.name).exists():
                (path / name.name).write_bytes(payload)
        (hostile / name).write_bytes(payload)
        try:
            opened = Run(hostile)
            opened.load_checkpoint()
            opened.metrics()
        except (InvalidRun, ValueError):
            pass
        assert not (tmp_path / "owned").exists(), name


def test_a_hostile_recording_is_not_unpickled(tmp_path):
    from nervecord.errors import InvalidRecording
    from nervecord.training.rollouts.recording import Recording

    trap = np.array([_Payload(tmp_path / "owned")], dtype=object)
    np.savez(tmp_path / "recording.nc.npz", header=trap, actions=trap)
    (tmp_path / "recording.nc.npz").rename(tmp_path / "recording.nc")
    with pytest.raises(InvalidRecording):
        Recording.load(tmp_path / "recording.nc")
    assert not (tmp_path / "owned").exists()


def test_curricula_open_their_checkpoints_as_safely(tmp_path):
    config = CurriculumConfig("gru", updates=8, batch_size=8, evaluate_every=4, evaluation_sequences=8,
                              circuit_options={"units": 4})  # fmt: skip
    run = curriculum(config, tmp_path / "run", progress=False)
    before, last = run.checkpoints()
    (last / "weights.safetensors").write_bytes(pickle.dumps(_Payload(tmp_path / "owned")))
    assert run.load_checkpoint().step == int(before.name)
    assert not (tmp_path / "owned").exists()
