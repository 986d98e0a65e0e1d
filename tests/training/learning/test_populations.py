"""A population on workers: the same weights whatever their number, wherever they are, whoever dies."""

import multiprocessing
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from nervecord.cli.main import main
from nervecord.errors import CircuitMismatch, InvalidOption
from nervecord.training.learning.training import train
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.resolution import resolve

CONFIG = RunConfig(
    body="swimmer4", steps=4800, episode_steps=100, circuit_options={"init": "uniform"},
    algorithm_options={"n_envs": 4, "population": 16},
)  # fmt: skip


def trained(config, path, **where) -> torch.Tensor:
    run = train(config, path, progress=False, **where)
    return torch.stack(list(run.load_checkpoint().weights.values()))


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> torch.Tensor:
    return trained(CONFIG, tmp_path_factory.mktemp("alone") / "run")


@pytest.mark.parametrize("workers", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_any_number_of_processes_gives_the_same_weights(alone, workers, tmp_path):
    assert torch.equal(trained(CONFIG, tmp_path / "run", workers=workers), alone)


@pytest.mark.slow
def test_ray_actors_give_the_same_weights(alone, tmp_path):
    pytest.importorskip("ray", reason="Ray is not installed: pip install nervecord[ray]")
    assert torch.equal(trained(CONFIG, tmp_path / "run", workers=1, engine="ray"), alone)


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(alone, tmp_path):
    killed = []

    def kill_in_the_second_generation(_):
        if not killed:
            workers = multiprocessing.active_children()
            killed.extend(worker.pid for worker in workers)
            threading.Timer(0.02, lambda: [worker.kill() for worker in workers]).start()

    found = trained(CONFIG, tmp_path / "run", workers=2, callback=kill_in_the_second_generation)
    assert len(killed) == 2
    assert torch.equal(found, alone)


def test_a_round_is_a_share_of_the_population():
    options = resolve(CONFIG).options
    assert options["population"] // options["n_envs"] == 4


@pytest.mark.parametrize(
    ("config", "workers", "error", "message"),
    [
        (RunConfig(algorithm="ppo"), 2, InvalidOption, "ppo has no population"),
        (RunConfig(), 2, InvalidOption, r"1 round of 32 members; give 1, or .* population=64"),
        (RunConfig(algorithm_options={"population": 40}), 1, CircuitMismatch, "give a multiple of 32"),
    ],
)
def test_workers_without_work_are_one_line(config, workers, error, message, tmp_path):
    with pytest.raises(error, match=message):
        train(config, tmp_path / "run", progress=False, workers=workers)
    assert not Path(tmp_path / "run").exists()


NOTEBOOK = """
from nervecord import RunConfig, train
from nervecord.circuits import MLP, register_circuit
register_circuit("spring", MLP, "a circuit of a notebook's own")
train(RunConfig(circuit="spring", steps=3200, episode_steps=50, algorithm_options={"population": 64}), "run",
      progress=False, workers=2)
"""


@pytest.mark.slow
def test_what_a_notebook_registered_is_missing_on_workers_in_one_line(tmp_path):
    # A kernel has no file, as python -c has none.
    words = [sys.executable, "-c", NOTEBOOK]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert "InvalidOption: unknown circuit 'spring'" in done.stderr
    assert "workers are new processes and do not have the names that a notebook" in done.stderr
    assert "died" not in done.stderr


@pytest.mark.slow
def test_a_script_that_does_not_guard_its_work_is_told_to(tmp_path):
    (tmp_path / "script.py").write_text(NOTEBOOK, encoding="utf-8")
    words = [sys.executable, "script.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert "WorkersLost: a worker ended at its start (exit status 1" in done.stderr
    assert "if __name__ == '__main__':" in done.stderr


@pytest.mark.slow
def test_the_command_line_takes_workers(tmp_path, capsys):
    main(["train", "--body", "swimmer4", "--steps", "1600", "--episode-steps", "50", "--workers", "2",
          "--algorithm-options", "n_envs=4", "population=8", "--out", str(tmp_path / "run"), "--json"])  # fmt: skip
    assert '"done": true' in capsys.readouterr().out
