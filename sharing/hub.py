"""Share agents: export to a folder for a model hub, and import without running code."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save

from ..circuits.code_files import circuit_from_json
from ..envs import make_body
from ..errors import InvalidOption, InvalidRun, OutputExists, Unreachable
from ..extras import require
from ..files import read_json, replace, write_json, write_text
from ..options import FLAG, PATH, TEXT_OR_NONE, Allowed, Instance, ListOf, Number, checked, wrong_value
from ..pages.web import export_web
from ..plain_files import check_plain
from ..training.learning.checks import check
from ..training.rollouts.evaluation import evaluate, result_of
from ..training.runs.config import RunConfig
from ..training.runs.folder import FORMAT, READABLE, read_metrics
from ..training.runs.old_results import read_evaluation
from ..training.runs.resolution import Resolved
from ..training.runs.result import Result, Weights
from ..training.runs.run import A_RUN, Run
from ..training.runs.shipped import folder_of
from ..version import __version__
from ..videos.films import render
from .cards import card
from .policies import Step, check_policy, export_onnx, export_torch, onnx_step, torch_step

_FILM_SECONDS = 10.0
_EPISODES = 20
_KEPT = ("metrics.csv", "versions.json")
_STEPS = Number(0, 1e15, is_whole=True)
_DT_REF = Number(0, above=True, also=(None,))
_STATS: dict[str, Allowed] = {
    "mean": ListOf(Number(-math.inf)), "var": ListOf(Number(0)), "clip": Number(0, above=True),
    "epsilon": Number(0, above=True),
}  # fmt: skip


@checked(
    InvalidOption, run=A_RUN, out=PATH, film=FLAG, onnx=FLAG, torch_program=FLAG, web=FLAG, progress=FLAG
)  # fmt: skip
def export(
    run: Run | str | Path,
    out: str | Path,
    film: bool = True,
    onnx: bool = False,
    torch_program: bool = False,
    web: bool = False,
    progress: bool = False,
) -> Path:
    """Export a run's trained agent as a folder for a model hub; a failed export leaves nothing behind.

    The folder contains model.safetensors (the circuit's weights), config.json (the config from which the training can
    be repeated, and the statistics of normalised observations), evaluation.json, metrics.csv, film.mp4, versions.json
    and README.md, the model card.

    Args:
        run: the run or its folder; it is evaluated if its last weights have no evaluation.
        out: folder of the export, which must not exist yet.
        film: include a film of the last weights, which is made if the run has none.
        onnx: also write the whole policy as policy.onnx, checked against the agent over an episode; see `export_onnx`.
        torch_program: also write it as policy.pt2, which plain torch runs; see `export_torch`.
        web: also write web.html, a page in which it swims without Python; see `export_web`.
        progress: show progress bars.

    Raises:
        OutputExists: `out` exists.
        InvalidRun: there is no such run, or it has no checkpoint yet.
        CircuitMismatch, InvalidTask, InvalidBody: the agent cannot be exported in one of these forms.
        MissingDependency: onnx, onnxscript or onnxruntime is not installed.
    """
    run, out = run if isinstance(run, Run) else Run(run), Path(out)
    if out.exists():
        raise OutputExists(f"{out} exists; give another --out")
    checkpoint = run.load_checkpoint()
    if checkpoint is None:
        raise InvalidRun(f"{run.path} has no checkpoint yet; `nervecord resume {run.argument}` trains it")
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        weights = {name: value.contiguous() for name, value in checkpoint.weights.items()}
        # Not save_file, which makes a file that only its owner may read, whatever the umask.
        (partial / "model.safetensors").write_bytes(save(weights, metadata={"format": "pt"}))
        # Other runs' folders are of whoever trained, and mean nothing elsewhere; what was inherited from them stays.
        resolved = run.resolved
        options = {"circuit_options": resolved.config.to_json()["circuit_options"]} if run.config.start else {}
        config = {**run.config.to_json(), **options, "start": None, "protect": ()}
        stats = checkpoint.state.get("observation_stats")
        write_json(partial / "config.json", {
            "library_name": "nervecord", "format": FORMAT, "holds": Run.kind, "config": config,
            "steps": checkpoint.step, "observation_stats": stats, "dt_ref": resolved.agent.dt_ref,
        })  # fmt: skip
        for name in _KEPT:
            if (run.path / name).exists():
                shutil.copyfile(run.path / name, partial / name)
        # Before what takes long: not every agent can be exported in every form.
        if onnx:
            _add_policy(run, export_onnx, onnx_step, partial / "policy.onnx")
        if torch_program:
            _add_policy(run, export_torch, torch_step, partial / "policy.pt2")
        if web:
            export_web([run], partial / "web.html")
        found = _evaluation(run, Weights.of(checkpoint.step, checkpoint.weights), progress)
        write_json(partial / "evaluation.json", found.to_json())
        if film:
            _add_film(run, partial / "film.mp4", progress)
        told = card(run, found, film=film, onnx=onnx, torch_program=torch_program, web=web)
        write_text(partial / "README.md", told)
        replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return out


def _evaluation(run: Run, weights: Weights, progress: bool) -> Result:
    """Return the evaluation of the agent as it is on most episodes; one of earlier weights is not it."""
    held = run.results.current.where("evaluation").best
    # What earlier versions kept does not say under which conditions it was measured.
    if held is None or "seed" not in held.conditions:
        values = evaluate(run, _EPISODES, progress=progress).metrics
        held = result_of(run.resolved.config, weights, _EPISODES, values)
    return held


def _add_film(run: Run, path: Path, progress: bool) -> None:
    """Copy the run's film of its agent as it is, or make one."""
    results = run.results
    found = results.films(make_body(run.config.body).name).current.best
    held = None if found is None else results.file(found, ".mp4")
    if held is not None:
        shutil.copyfile(held, path)
    else:
        render(run, path, seconds=_FILM_SECONDS, progress=progress)


def _add_policy(run: Run, write: Callable[..., Path], step: Callable[[Path], Step], path: Path) -> None:
    """Write the run's agent as a policy of its own, and compare the two over an episode."""
    agent, envs = run.agent(), run.resolved.make_envs(1, randomize={})
    try:
        check_policy(step(write(agent, path)), agent, envs)
    finally:
        envs.close()


@checked(InvalidOption, folder=PATH, out=PATH, trust=FLAG)
def import_run(folder: str | Path, out: str | Path, trust: bool = False) -> Run:
    """Turn an exported folder into a run; only safetensors and JSON are read, so no code is run without `trust`.

    Args:
        folder: folder written by `export`.
        out: folder of the run, which must not exist yet or be empty.
        trust: follow links in the folder, as in the cache of huggingface_hub (see `check_plain`), and run circuit code
            stored in it.

    Raises:
        OutputExists: `out` is not empty.
        InvalidRun: the folder is not an export, is damaged or of another format, or has a link and is not trusted.
    """
    folder, out = folder_of(folder), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir()) or out.samefile(".")):
        raise OutputExists(f"{out} exists; give another --out")
    if not trust:
        check_plain(folder, "config.json")
    held = _read_export(folder)
    if not trust:
        check_plain(folder)
    whole = out.resolve()
    partial = whole.with_name(f".{whole.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        if isinstance(held["config"].get("circuit"), dict):
            circuit_from_json(held["config"]["circuit"], trust)  # code is refused by a line of its own
        with _invalid_run_from(folder / "config.json"):
            config = RunConfig.from_json(held["config"])
            resolved = check(config)
            # Earlier versions did not keep the step that the circuit was made for.
            if (dt_ref := held.get("dt_ref")) is not None:
                resolved = Resolved(resolved.config, dataclasses.replace(resolved.agent, dt_ref=dt_ref))
            run = Run.create(partial, config, lambda: {"resolved": resolved.to_json(config)})
        with _invalid_run_from(folder / "model.safetensors"):
            weights = load_file(folder / "model.safetensors")
            stats = held.get("observation_stats")
            run.save_checkpoint(held["steps"], weights, {}, {"done": True, "observation_stats": stats})
            own = run.agent()
            for name, value in own.circuit.state_dict().items():
                if weights[name].dtype != value.dtype:
                    raise InvalidRun(f"{name} is {weights[name].dtype}; give {value.dtype}")
                if not weights[name].isfinite().all():
                    raise InvalidRun(f"{name} has a weight that is NaN or infinite; export the agent again")
        sizes = [(len(stats[name]),) for name in ("mean", "var")] if stats else []
        if any(size != (own.layout.size,) for size in sizes):
            raise InvalidRun(f"{folder / 'config.json'} is damaged: mean and var in observation_stats are of shapes "
                             f"{sizes}; give {(own.layout.size,)} each")  # fmt: skip
        for name in ("metrics.csv", "film.mp4"):
            if (folder / name).exists():
                shutil.copyfile(folder / name, run.path / name)
        read_metrics(folder / "metrics.csv")
        _take_evaluation(run, folder / "evaluation.json")
        with contextlib.suppress(FileNotFoundError):
            whole.rmdir()  # It is empty, and Windows puts no folder in the place of another.
        replace(partial, whole)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Run(out)


def _take_evaluation(run: Run, path: Path) -> None:
    """Take over what was measured of an exported agent; earlier versions wrote it as their runs held it."""
    if not path.exists():
        return
    if isinstance(held := read_json(path, f"{path.parent} is damaged"), dict) and "what" in held:
        run.results.add(Result.from_json(held, str(path)))
    else:
        read_evaluation(path)
        shutil.copyfile(path, run.path / path.name)


def _read_export(folder: Path) -> dict[str, Any]:
    """Return an exported config.json."""
    file = folder / "config.json"
    held: Any = read_json(file, f"{folder} is not an exported agent")
    if isinstance(held, dict) and "library_name" not in held and held.get("holds") == Run.kind:
        raise InvalidRun(f"{folder} is a run already; use it as it is, or give the folder that nervecord export wrote")
    if not isinstance(held, dict) or held.get("library_name") != "nervecord" or held.get("holds") != Run.kind:
        raise InvalidRun(f"{folder} is not an exported agent: its config.json is not nervecord's")
    if held.get("format") not in READABLE:
        readable = " and ".join(map(str, READABLE))
        raise InvalidRun(f"{folder} is of format {held.get('format')}, this nervecord ({__version__}) reads {readable}")
    if missing := [name for name in ("config", "steps") if name not in held]:
        raise InvalidRun(f"{file} is damaged: {' and '.join(missing)} missing; export the run again")
    if not isinstance(held["config"], dict):
        raise InvalidRun(f"{file} is damaged: config is not an object; export the run again")
    if wrong := wrong_value(held, {"steps": _STEPS, "dt_ref": _DT_REF}):
        raise InvalidRun(f"{file} is damaged: {wrong}")
    if (stats := held.get("observation_stats")) is not None:
        if not isinstance(stats, dict) or not stats.keys() >= _STATS.keys():
            raise InvalidRun(f"{file} is damaged: observation_stats are null, or hold {', '.join(_STATS)}")
        if wrong := wrong_value(stats, _STATS):
            raise InvalidRun(f"{file} is damaged: in observation_stats {wrong}")
    return held


@contextlib.contextmanager
def _invalid_run_from(file: Path) -> Iterator[None]:
    """Turn any error caused by an untrusted file into InvalidRun naming that file; let OSError through."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:  # the file's author decides which code fails, and with which exception
        raise InvalidRun(f"{file} is damaged: {' '.join(str(error).split())}") from error


@checked(InvalidOption, folder=PATH, repo=Instance(str, "OWNER/NAME"), endpoint=TEXT_OR_NONE, private=FLAG)
def push(folder: str | Path, repo: str, endpoint: str | None = None, private: bool = False) -> str:
    """Upload an exported folder to a model hub and return its address.

    Args:
        folder: folder written by `export`.
        repo: repository, "owner/name"; it is created if it does not exist.
        endpoint: address of the hub; None is https://huggingface.co.
        private: make the repository private.

    Raises:
        MissingDependency: huggingface_hub is not installed.
        InvalidOption: `repo` is not of the form "owner/name".
        Unreachable: the hub does not answer or refuses, for example because the user is not logged in.
    """
    check_repo(repo)
    hub: Any = require("huggingface_hub", "hub")
    api = hub.HfApi(endpoint=endpoint)
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        return str(api.upload_folder(repo_id=repo, folder_path=str(folder), commit_message="nervecord export"))
    except Exception as error:  # the hub's client passes on its HTTP library's errors, which change with its version
        again = f"{folder} is complete; nervecord.sharing.push({str(folder)!r}, {repo!r}) tries again"
        raise Unreachable(f"{repo} was not uploaded: {' '.join(str(error).split())}; {again}") from error


def check_repo(repo: str) -> None:
    """Refuse a name that no repository on a hub can have.

    Raises:
        InvalidOption: it is not an owner and a name.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise InvalidOption(f"{repo!r} is not the name of a repository; give OWNER/NAME, such as me/worm")
