"""What every version of a format wrote still opens; docs/reference/formats.md says what is promised."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray
from nervecord.envs import make_body
from nervecord.envs.bodies.registry import body_from_json
from nervecord.errors import InvalidRecording, InvalidRun
from nervecord.sharing import import_run
from nervecord.training.learning.curricula import CurriculumRun, curriculum_summary
from nervecord.training.rollouts.evaluation import evaluate
from nervecord.training.rollouts.recording import READABLE_RECORDINGS, RECORDING_FORMAT, Recording
from nervecord.training.runs.folder import FORMAT, READABLE
from nervecord.training.runs.run import Run

# One folder for each version: a run with its results, a curriculum, an export, a recording and bodies. That of format 2
# was written at commit 81006cf; only tensorboard/ and the kernel's name are left out.
FORMATS = Path(__file__).parents[2] / "reference" / "formats"
RETURNS = [5.279235973380233, 7.7865304131380295]  # of both, which trained alike


@pytest.fixture(params=READABLE, ids="format_{}".format)
def folder(request, tmp_path):
    return Path(shutil.copytree(FORMATS / str(request.param), tmp_path / "kept"))


def test_every_version_that_is_read_has_a_folder_and_the_newest_is_what_is_written():
    assert {path.name for path in FORMATS.iterdir()} == set(map(str, READABLE))
    assert max(READABLE) == FORMAT
    assert max(READABLE_RECORDINGS) == RECORDING_FORMAT
    stored = [xarray.open_dataset(path, engine="h5netcdf").attrs["conventions"] for path in FORMATS.glob("*/*.nc")]
    assert sorted(stored) == [f"nervecord recording {version}" for version in READABLE_RECORDINGS]


def test_a_run_of_every_version_opens_with_its_results_and_evaluates_to_what_it_did(folder):
    run = Run(folder / "run")
    assert run.done
    assert run.config.physics == "mujoco"
    found = run.results.where("evaluation", agent="trained")[0]
    np.testing.assert_allclose(found.values["return"], RETURNS, rtol=1e-12)
    moved = run.results.where("transfer", agent="trained")[0]
    assert moved.body == "swimmer4"
    np.testing.assert_allclose(evaluate(run, episodes=2).metrics["return"], RETURNS, rtol=1e-4)


def test_results_as_the_first_runs_of_format_3_held_them_are_read(tmp_path):
    """Those runs had the files of format 2 for what was measured."""
    run = Path(shutil.copytree(FORMATS / "3" / "run", tmp_path / "run"))
    shutil.rmtree(run / "results")
    for name in ("evaluation.json", "results.sqlite"):
        shutil.copy(FORMATS / "2" / "run" / name, run)
    found = Run(run).results
    np.testing.assert_allclose(found.where("evaluation", agent="trained")[0].values["return"], RETURNS, rtol=1e-12)
    assert found.where("transfer", agent="trained")[0].body == "swimmer4"


def test_a_curriculum_of_every_version_opens_with_its_circuit(folder):
    run = CurriculumRun(folder / "curriculum")
    assert (run.done, run.config.task, run.config.updates) == (True, "parity", 4)
    # Of both, which trained alike.
    np.testing.assert_allclose(run.circuit().tau.detach(), [1.5263, 1.2437, 1.5846, 1.0332], atol=1e-4)
    assert curriculum_summary(run)["mean tau (steps)"] == pytest.approx(1.346923, rel=1e-6)


def test_an_export_of_every_version_is_imported_and_evaluates_to_what_it_did(folder):
    run = import_run(folder / "export", folder / "imported")
    np.testing.assert_allclose(evaluate(run, episodes=2).metrics["return"], RETURNS, rtol=1e-4)


def test_a_recording_of_every_version_is_read_alike(folder):
    recording, newest = Recording.load(folder / "recording.nc"), Recording.load(FORMATS / str(FORMAT) / "recording.nc")
    assert recording.neurons == newest.neurons
    assert recording.lengths.tolist() == [30]
    assert recording.meta["interventions"] == [
        {"neuron": "B_d_2", "kind": "silence", "value": 0.0, "start": 10, "stop": 20},
        {"neuron": "osc_v", "kind": "clamp", "value": 1.0, "start": 0, "stop": None},
    ]
    np.testing.assert_allclose(recording.activity[:], newest.activity[:], atol=1e-6)
    assert recording.poses().link_pos.shape == (30, 6, 2)


def test_a_body_of_every_version_is_the_body_of_that_name(folder):
    held = json.loads((folder / "bodies.json").read_text(encoding="utf-8"))
    assert {"swimmer6", "swimmer12-eel", "swimmer6-thick", "one.xml"} <= held.keys()
    for name, values in held.items():
        body = body_from_json(values)
        if name != "one.xml":
            assert body == make_body(name)
        assert body.n_links == (2 if name == "one.xml" else make_body(name).n_links)
        assert body_from_json(json.loads(json.dumps(body.to_json()))) == body


def test_versions_of_another_nervecord_are_refused_in_one_line(tmp_path):
    kept = shutil.copytree(FORMATS / str(FORMAT), tmp_path / "kept")
    for part, opened in (("run", Run), ("export", lambda path: import_run(path, tmp_path / "imported"))):
        config = kept / part / "config.json"
        config.write_text(
            json.dumps({**json.loads(config.read_text(encoding="utf-8")), "format": FORMAT + 1}), encoding="utf-8"
        )
        with pytest.raises(InvalidRun, match=f"is of format {FORMAT + 1}, .* reads 2 and 3") as refused:
            opened(kept / part)
        assert "\n" not in str(refused.value)
    with xarray.open_dataset(kept / "recording.nc", engine="h5netcdf") as dataset:
        later = dataset.load().assign_attrs(conventions=f"nervecord recording {RECORDING_FORMAT + 1}")
    later.to_netcdf(kept / "later.nc", engine="h5netcdf")
    with pytest.raises(InvalidRecording, match="'nervecord recording 3', and this nervecord reads versions 1 and 2"):
        Recording.load(kept / "later.nc")
