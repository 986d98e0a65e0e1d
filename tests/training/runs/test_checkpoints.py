"""Checkpoints and metrics: all damage is found, nothing occurs twice, and files are for whom the umask says."""

import dataclasses
import json
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from damaged_checkpoints import CONFIG, FILES, REPLAY, damage_all, make_run
from nervecord.errors import InvalidRun
from nervecord.training.learning.training import train
from nervecord.training.rollouts.evaluation import evaluate
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.metrics_log import make_logger
from nervecord.training.runs.run import Run


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> Run:
    """A run with two checkpoints, of steps 100 and 200."""
    return make_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def run(kept, tmp_path) -> Run:
    shutil.copytree(kept.path, tmp_path / "run")
    return Run(tmp_path / "run")


def test_every_damage_is_found_and_the_checkpoint_before_is_used(run, caplog):
    last, found = run.checkpoints()[-1], []
    for what, wrong in damage_all(run, np.random.default_rng(0)):
        assert not wrong, what
        assert f"checkpoint {last} is damaged" in caplog.text
        assert "\n" not in caplog.records[0].getMessage()
        caplog.clear()
        found.append(what)
    assert len(found) >= 72
    assert run.load_checkpoint().step == 200


@pytest.mark.parametrize("name", FILES)
def test_a_checkpoint_without_one_of_its_files_is_damaged(run, name):
    (run.checkpoints()[-1] / name).unlink()
    assert run.load_checkpoint().step == 100


def test_every_bit_of_the_list_of_checksums_counts(run):
    file = run.checkpoints()[-1] / "meta.json"
    content = file.read_bytes()
    for bit in range(0, 8 * len(content), 7):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        file.write_bytes(flipped)
        assert run.progress == (100, False), bit


def test_progress_is_read_without_tensors(run, monkeypatch):
    from nervecord.training.runs import checkpoints

    monkeypatch.setattr(checkpoints, "load_file", None)
    assert run.progress == (200, True)
    assert not run.done, "800 steps are asked for"


def test_a_replay_buffer_is_read_where_it_is_asked_for(run):
    assert run.load_checkpoint(with_training=False).replay == {}
    assert torch.equal(run.load_checkpoint().replay["observations"], REPLAY["observations"])
    run.save_checkpoint(300, {"w": torch.ones(2)}, {}, {})
    assert run.load_checkpoint().replay == {}
    assert run.progress == (300, False)


def test_nothing_trained_yet_is_step_0(tmp_path):
    assert Run.create(tmp_path / "run", CONFIG).progress == (0, False)


def as_format_2(run: Run) -> Run:
    config = json.loads((run.path / "config.json").read_text(encoding="utf-8"))
    (run.path / "config.json").write_text(json.dumps({**config, "format": 2}), encoding="utf-8")
    for folder in run.checkpoints():
        (folder / "meta.json").unlink()
    return Run(run.path)


def test_format_2_has_no_checksums_and_is_read_all_the_same(run):
    old = as_format_2(run)
    assert old.progress == (200, True)
    assert old.load_checkpoint().step == 200
    (old.checkpoints()[-1] / "weights.safetensors").write_bytes(b"")
    assert old.progress == (100, False)


def test_a_checkpoint_that_is_written_again_replaces_the_first(run):
    run.save_checkpoint(200, {"w": torch.ones(3)}, {}, {"done": False})
    assert run.load_checkpoint().weights["w"].tolist() == [1, 1, 1]
    assert run.progress == (200, False)
    assert sorted(item.name for item in (run.path / "checkpoints").iterdir()) == ["000000000100", "000000000200"]


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_are_for_whom_the_umask_says(umask, tmp_path):
    before = os.umask(umask)
    try:
        run = train(CONFIG, tmp_path / "run", progress=False)
        run.save_checkpoint(900, {"w": torch.ones(3)}, {}, {}, REPLAY)
        run.save_checkpoint(1000, {"w": torch.ones(3)}, {}, {}, REPLAY)
    finally:
        os.umask(before)
    files = [path for path in run.path.rglob("*") if path.is_file()]
    assert len(run.history()) > 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o666 & ~umask}


def test_what_a_killed_process_left_is_cleaned_up_and_no_history_is_missing(run):
    for name in ("000000000150.partial", "000000000200.replaced"):
        (run.path / "checkpoints" / name).mkdir()
    run.save_checkpoint(300, {"w": torch.ones(3)}, {}, {})
    # Killed between moving the weights and removing the rest.
    (run.path / "checkpoints" / "000000000050").mkdir()
    assert list(run.history()) == [100, 200, 300]
    assert all(path.exists() for path in run.history().values())
    run.save_checkpoint(400, {"w": torch.ones(3)}, {}, {})
    assert sorted(item.name for item in (run.path / "checkpoints").iterdir()) == ["000000000300", "000000000400"]


@pytest.mark.parametrize(
    "left",
    [(), ("versions.json",), (".versions.json.partial",), ("versions.json", ".config.json.partial", "lock.json")],
)
def test_a_run_whose_beginning_was_stopped_is_begun_again(left, tmp_path):
    for name in left:
        (tmp_path / name).write_text("{", encoding="utf-8")
    assert Run.create(tmp_path, CONFIG).progress == (0, False)
    assert json.loads((tmp_path / "versions.json").read_text(encoding="utf-8"))["packages"]["torch"]


def stop(*_, **__):
    raise KeyboardInterrupt


def test_a_run_stopped_before_its_first_checkpoint_has_no_row_twice(tmp_path, monkeypatch):
    config = dataclasses.replace(CONFIG, evaluate_every=400)
    whole = train(config, tmp_path / "whole", progress=False)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "save_checkpoint", stop)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "run", progress=False)
    assert (Run(tmp_path / "run").metrics()["step"] == 0).any()
    run = train(config, tmp_path / "run", progress=False)
    tables = [each.metrics().query("not metric.str.startswith('time/')") for each in (run, whole)]
    assert not tables[0].duplicated(["step", "metric"]).any()
    assert tables[0].equals(tables[1])


@pytest.mark.slow
def test_off_policy_metrics_have_each_row_once(tmp_path):
    options = {"n_envs": 4, "learning_starts": 80, "batch_size": 16, "buffer_size": 400}
    config = RunConfig("mlp", "sac", "swimmer4", steps=400, episode_steps=20, algorithm_options=options)
    table = train(config, tmp_path / "run", progress=False).metrics()
    assert len(table[table["metric"] == "rollout/ep_rew_mean"]) == 5
    assert not table.duplicated(["step", "metric"]).any()


def test_a_second_dump_at_a_step_replaces_what_it_names_and_adds_the_rest(tmp_path):
    logger = make_logger(tmp_path, None)
    for step, values in (
        (1, {"a": 1.0}),
        (2, {"a": 2.0, "b": 20.0}),
        (2, {"a": 2.5}),
        (2, {"c": 7.0}),
        (3, {"a": 3.0}),
    ):
        for name, value in values.items():
            logger.record(name, value)
        logger.dump(step)
    logger.close()
    expected = ["step,metric,value", "1,a,1.0", "2,a,2.5", "2,b,20.0", "2,c,7.0", "3,a,3.0"]
    assert (tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines() == expected


def test_a_result_that_cannot_be_written_is_shown_all_the_same(caplog, tmp_path):
    trained = train(CONFIG, tmp_path / "trained", progress=False)
    # A file in its way, as root writes into read-only folders too.
    (trained.path / "results").write_text("in the way", encoding="utf-8")
    assert evaluate(trained, episodes=2).n == 2
    assert "the evaluation is not kept" in caplog.text


def test_when_no_checkpoint_is_whole_one_line_says_so(run):
    for folder in run.checkpoints():
        (folder / "meta.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InvalidRun, match=r"meta.json does not match its checksum.*no other is whole"):
        assert run.done
    assert Path(run.path / "checkpoints").exists()
