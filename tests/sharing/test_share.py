"""Agents shared through a model hub: there and back, safely, and the card says what was measured."""

import dataclasses
import http.server
import importlib.util
import json
import os
import pickle
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from nervecord.cli.main import main
from nervecord.errors import CircuitMismatch, InvalidRun, OutputExists
from nervecord.pages.reports import report
from nervecord.sharing.hub import export, import_run
from nervecord.training.learning.training import train
from nervecord.training.rollouts.evaluation import evaluate
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from safetensors.torch import load_file, save_file
from systems import make_pipe

CONFIG = RunConfig(
    "mlp", "ppo", steps=512, episode_steps=60, algorithm_options={"n_steps": 64, "n_envs": 4},
    circuit_options={"hidden": [8]},
)  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> tuple[Run, Path]:
    folder = tmp_path_factory.mktemp("share")
    run = train(CONFIG, folder / "run", progress=False)
    return run, export(run, folder / "hub" / "agent")


def test_an_exported_agent_comes_back_the_same(exported, tmp_path):
    run, folder = exported
    back = import_run(folder, tmp_path / "mine")
    assert back.done
    # Normalised observations too: the statistics travel with the weights.
    assert back.agent().observation_stats is not None
    assert np.array_equal(evaluate(back, 3).returns, evaluate(run, 3).returns)
    assert back.config == run.config


def test_an_exported_agent_keeps_what_it_inherited_from_the_run_that_it_was_tuned_from(tmp_path):
    """Its circuit's options, where its own config gives none, and the control step that its time constants are for."""
    config = RunConfig("ncap", steps=800, episode_steps=100, algorithm_options={"n_envs": 4})
    config = dataclasses.replace(config, circuit_options={"sign_constraints": False})
    first = train(config, tmp_path / "first", progress=False)
    there = dataclasses.replace(config, circuit_options={}, body="gymnasium-swimmer", start=str(first.path))
    tuned = train(there, tmp_path / "tuned", progress=False)
    back = import_run(export(tuned, tmp_path / "agent", film=False), tmp_path / "mine")
    assert back.resolved.agent.dt_ref == first.resolved.agent.dt_ref != back.agent().layout.dt
    assert back.resolved.config.circuit_options == first.resolved.config.circuit_options
    assert np.array_equal(evaluate(back, 3).returns, evaluate(tuned, 3).returns)


def test_an_exported_agent_is_imported_from_the_command_line(exported, tmp_path, capsys):
    main(["import", str(exported[1]), "--out", str(tmp_path / "mine"), "--json"])
    assert json.loads(capsys.readouterr().out)["config"]["circuit"] == "mlp"
    assert Run(tmp_path / "mine").done


@pytest.mark.parametrize("repo", ["", "worm", "a/b/c", "a b/c"])
def test_what_is_no_repository_is_refused_before_anything_is_exported(repo, exported, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["export", str(exported[0].path), "--out", str(tmp_path / "out"), "--push", repo])
    assert "is not the name of a repository; give OWNER/NAME, such as me/worm" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_form_that_an_agent_does_not_have_is_refused_before_it_is_evaluated(tmp_path):
    config = RunConfig(circuit="gru", steps=64, episode_steps=32, algorithm="ppo")
    run = train(config, tmp_path / "run", progress=False)
    with pytest.raises(CircuitMismatch, match=r"pages compute ncap, .* and not this GRU"):
        export(run, tmp_path / "out", web=True)
    assert run.results.where("evaluation").best is None
    assert not (tmp_path / "out").exists()


def test_the_folder_is_what_a_hub_expects_and_nothing_in_it_is_pickled(exported):
    _, folder = exported
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "README.md", "config.json", "evaluation.json", "film.mp4", "metrics.csv", "model.safetensors", "versions.json",
    }  # fmt: skip
    front = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert front["library_name"] == "nervecord"
    told = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    metric = front["model-index"][0]["results"][0]["metrics"][0]
    assert float(metric["value"]) == pytest.approx(told["intervals"]["return"]["mean"], abs=0.05)


def test_every_file_can_be_read_by_whom_the_umask_lets(exported, tmp_path):
    run, _ = exported
    before = os.umask(0o022)
    try:
        folder = export(run, tmp_path / "agent")
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o644"}


def card(config: RunConfig, folder: Path) -> str:
    run = train(config, folder / "run", progress=False)
    evaluate(run, 2)
    return (export(run, folder / "agent", film=False) / "README.md").read_text(encoding="utf-8")


def test_a_card_of_an_mlp_says_nothing_of_worms_and_how_to_open_it(exported):
    text = (exported[1] / "README.md").read_text(encoding="utf-8")
    assert "worm" not in text.replace("runs/worm", "")
    assert "elegans" not in text
    assert "one simulated body" in text
    assert "| net speed (m/s) |" in text
    for said in ("pip install nervecord", "nervecord import THIS_FOLDER", "import_run("):
        assert said in text


def test_the_python_of_a_card_runs(exported, tmp_path, monkeypatch):
    text = (exported[1] / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1].replace("THIS_FOLDER", str(exported[1]))
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code, names)
    assert names["run"].done


def test_a_card_of_ncap_on_bodies_that_vary_says_so(tmp_path):
    config = RunConfig(steps=200, episode_steps=50, randomize={"link_mass": (0.8, 1.2)})
    text = card(config, tmp_path)
    assert "A model of an animal's circuit is not the circuit itself" in text
    assert "variants of one body (link_mass from 0.8 to 1.2)" in text
    assert "one simulated body." not in text


def test_a_hostile_or_damaged_folder_runs_nothing_and_is_one_line(exported, tmp_path):
    _, folder = exported

    class Payload:
        def __reduce__(self):
            return Path.touch, (tmp_path / "owned",)

    hostile = shutil.copytree(folder, tmp_path / "hostile")
    (hostile / "model.safetensors").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(InvalidRun, match="is damaged"):
        import_run(hostile, tmp_path / "a")
    assert not (tmp_path / "owned").exists()
    assert not (tmp_path / "a").exists()
    (hostile / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises(InvalidRun, match="not nervecord's"):
        import_run(hostile, tmp_path / "a")
    with pytest.raises(InvalidRun, match=r"config\.json is missing"):
        import_run(tmp_path, tmp_path / "a")


def test_nothing_is_overwritten(exported, tmp_path):
    run, folder = exported
    with pytest.raises(OutputExists):
        export(run, folder)
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputExists):
        import_run(folder, tmp_path)


def test_a_run_that_was_trained_is_not_replaced_by_an_import_of_the_same_config(exported, tmp_path):
    mine = shutil.copytree(exported[0].path, tmp_path / "mine")
    before = contents(mine)
    changed = shutil.copytree(exported[1], tmp_path / "changed")
    weights = load_file(changed / "model.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, changed / "model.safetensors")
    with pytest.raises(OutputExists, match="give another --out"):
        import_run(changed, mine)
    assert contents(mine) == before
    (tmp_path / "empty").mkdir()
    assert import_run(changed, tmp_path / "empty").done


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "metrics.csv", "evaluation.json", "film.mp4"])
def test_no_link_is_followed_out_of_an_imported_folder(exported, tmp_path, name):
    folder, secret = shutil.copytree(exported[1], tmp_path / "linked"), tmp_path / "secret"
    (folder / name).rename(secret)
    (folder / name).symlink_to(secret)
    refused(folder, tmp_path, f"{name} is a link")
    (folder / name).unlink()
    make_pipe(folder / name)
    refused(folder, tmp_path, f"{name} is a pipe")


def refused(folder: Path, tmp_path: Path, told: str) -> None:
    """Import a folder; it must fail with one line that tells so, and leave nothing."""
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InvalidRun) as caught:
        import_run(folder, tmp_path / "run")
    assert told in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        (("config", "circuit_options"), [1], "circuit_options is [1]"),
        (("config", "circuit_options"), {"hidden": "wide"}, "config.json is damaged"),
        (("config", "circuit"), "brain", "unknown circuit 'brain'"),
        (("config", "randomize"), {"gear": [0.9]}, "randomize gear is [0.9]; give two factors, low and high"),
        (("config", "randomize"), {"gear": 1}, "config.json is damaged"),
        (("config", "randomize"), {"gear": "ab"}, "config.json is damaged"),
        (("config",), [], "config is not an object"),
        (("steps",), float("inf"), "steps is inf; give a whole number"),
        (("steps",), 1e30, "steps is 1e+30; give a whole number"),
        (("steps",), 1.5, "steps is 1.5; give a whole number"),
        (("steps",), -1, "steps is -1; give a whole number"),
        (("dt_ref",), 0, "dt_ref is 0; give a number above 0"),
        (("observation_stats",), "none", "observation_stats are null, or hold mean, var, clip, epsilon"),
        (("observation_stats",), {"mean": [], "var": [], "clip": 10}, "observation_stats are null, or hold"),
        (("observation_stats", "epsilon"), 0, "in observation_stats epsilon is 0; give a number above 0"),
        (("observation_stats", "var"), [-1.0], "in observation_stats var is [-1.0]; give a list"),
        (("observation_stats", "mean"), [0.0], "mean and var in observation_stats are of shapes [(1,), (23,)]"),
    ],
)
def test_a_wrong_value_in_an_imported_config_is_one_line_and_leaves_nothing(exported, tmp_path, place, value, told):
    folder = shutil.copytree(exported[1], tmp_path / "wrong")
    held = inner = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    (folder / "config.json").write_text(json.dumps(held), encoding="utf-8")
    refused(folder, tmp_path, told)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("config.json", b"[" * 200_000, "config.json is damaged"),
        ("metrics.csv", b"step,metric,value\n1,\xff,1\n", "metrics.csv is damaged"),
        ("metrics.csv", b"step,metric,value\n1,loss,low\n", "metrics.csv is damaged"),
        ("metrics.csv", b"step,metric,value\n99999999999999999999,loss,1\n", "metrics.csv is damaged"),
        ("evaluation.json", b"{}", "no return in it"),
        ("evaluation.json", b'{"return": 3}', "return lacks one of mean, low, high, n"),
        ("evaluation.json", b'{"return": {"mean": "high", "low": null, "high": null, "n": 1}}', "mean is 'high'"),
        ("evaluation.json", b'{"return": {"mean": 1, "low": 1, "high": 1, "n": 1}, "episodes": 1}', "not lists"),
        ("evaluation.json", b'{"return": {"mean": 1, "low": 1, "high": 1, "n": 1}, "step": "1"}', "not a whole number"),
        ("evaluation.json", b'{"what": "evaluation"}', "no weights in it"),
    ],
)
def test_a_damaged_file_of_an_export_is_one_line_and_leaves_nothing(exported, tmp_path, name, text, told):
    folder = shutil.copytree(exported[1], tmp_path / "damaged")
    (folder / name).write_bytes(text)
    refused(folder, tmp_path, told)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda value: value.to(torch.int64), "int64; give torch.float32"),
        (lambda value: value * float("nan"), "has a weight that is NaN or infinite"),
        (lambda value: value[:1], "trained on another size"),
    ],
)
def test_weights_that_do_not_fit_are_refused_at_import(exported, tmp_path, change, told):
    folder = shutil.copytree(exported[1], tmp_path / "unfit")
    weights = load_file(folder / "model.safetensors")
    save_file({name: change(value).contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    refused(folder, tmp_path, told)


def test_a_damaged_evaluation_of_an_earlier_version_is_one_line_in_a_runs_report(exported, tmp_path):
    run = Run(shutil.copytree(exported[0].path, tmp_path / "run"))
    (run.path / "evaluation.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InvalidRun, match="no return in it; remove it and run nervecord evaluate again"):
        report(run)


def test_an_export_of_an_earlier_version_brings_its_evaluation(exported, tmp_path):
    folder = shutil.copytree(exported[1], tmp_path / "agent")
    interval = {"mean": 7.0, "low": None, "high": None, "n": 1}
    step = exported[0].load_checkpoint().step
    told = {"return": interval, "episodes": {"return": [7.0]}, "step": step}
    (folder / "evaluation.json").write_text(json.dumps(told), encoding="utf-8")
    run = import_run(folder, tmp_path / "run")
    assert run.results.current.where("evaluation").best.values == {"return": [7.0]}


class _Hub(http.server.BaseHTTPRequestHandler):
    """As much of a model hub as an upload of small files asks for."""

    commits: list[bytes]

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        owner = f"http://127.0.0.1:{self.server.server_port}/me/worm"
        if self.path == "/api/repos/create":
            answer = {"url": owner, "id": "me/worm", "name": "me/worm"}
        elif "/preupload/" in self.path:
            files = json.loads(body)["files"]
            answer = {"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in files]}
        elif self.path == "/api/validate-yaml":
            answer = {"warnings": [], "errors": []}
        else:
            self.commits.append(body)
            answer = {"commitUrl": f"{owner}/commit/abc", "commitOid": "abc"}
        self._answer(answer)

    def do_GET(self):
        self._answer({"id": "me/worm", "siblings": [], "sha": "0" * 40, "modelId": "me/worm"})

    def _answer(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def test_an_export_is_uploaded_to_a_hub(exported, tmp_path, monkeypatch, capsys):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    _Hub.commits = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        main(["export", str(exported[0].path), "--out", str(tmp_path / "out"), "--push", "me/worm",
              "--endpoint", f"http://127.0.0.1:{server.server_port}"])  # fmt: skip
    finally:
        server.shutdown()
        server.server_close()
    sent = {json.loads(line)["value"].get("path") for line in _Hub.commits[0].splitlines()}
    assert {"model.safetensors", "config.json", "README.md"} <= sent
    assert "me/worm" in capsys.readouterr().out


def test_a_hub_that_cannot_be_reached_is_one_line(exported, tmp_path, capsys, monkeypatch):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    with pytest.raises(SystemExit):
        main(["export", str(exported[0].path), "--out", str(tmp_path / "out"), "--push", "me/worm",
              "--endpoint", "http://127.0.0.1:9"])  # fmt: skip
    printed = capsys.readouterr().err.strip()
    assert "was not uploaded" in printed.splitlines()[-1]
    assert f"nervecord.sharing.push({str(tmp_path / 'out')!r}, 'me/worm') tries again" in printed


def test_what_uploads_is_missed_before_anything_is_exported(exported, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SystemExit):
        main(["export", str(exported[0].path), "--out", str(tmp_path / "out"), "--push", "me/worm"])
    assert "huggingface_hub is not installed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
