"""What a recording says of itself: names along its axes and where it came from; files from before that still open."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray
from nervecord.errors import InvalidRecording
from nervecord.training.learning.initial import untrained
from nervecord.training.probes.probing import probe
from nervecord.training.rollouts import Recording, record
from nervecord.training.runs.config import RunConfig
from nervecord.version import __version__

OLD = Path(__file__).parents[2] / "golden" / "recording-before-names.nc"  # ncap on swimmer4, 2 episodes of 6 steps


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "rec.nc"
    with untrained(RunConfig("connectome", body="swimmer4", episode_steps=6, seed=5)) as run:
        record(run, 2).save(path)
    return path


def test_axes_and_neurons_have_names_that_xarray_selects_by(file):
    held = xarray.open_dataset(file, engine="h5netcdf")
    assert held.joint.values.tolist() == ["joint_0", "joint_1", "joint_2"]
    assert held.link.values.tolist() == ["head", "segment_0", "segment_1", "segment_2"]
    assert held.observation.values[:4].tolist() == ["joint_pos_0", "joint_pos_1", "joint_pos_2", "body_velocities_0"]
    assert np.array_equal(held.observations.sel(observation="joint_pos_1"), held.joint_pos.sel(joint="joint_1"))
    cell = held.activity.sel(neuron="VD3")
    assert (str(cell.role.values), str(cell.cell_class.values)) == ("motor", "VD")
    assert 0 < float(cell.position) < 1
    assert set(held.activity.where(held.role == "muscle", drop=True).side.values) == {"d", "v"}
    sensor = held.activity.sel(neuron="joint_pos_0")
    assert (str(sensor.side.values), str(sensor.cell_class.values)) == ("", "")
    assert held.lengths.values.tolist() == [6, 6]


def test_a_recording_says_where_it_came_from_and_keeps_it(file, tmp_path):
    expected = {"circuit": "connectome", "run": "untrained", "seed": 5, "step": 0, "version": __version__}
    first = Recording.load(file)
    first.save(tmp_path / "again.nc")
    for path in (file, tmp_path / "again.nc"):
        attributes = xarray.open_dataset(path, engine="h5netcdf").attrs
        assert {name: attributes[name] for name in expected} == expected
    again = Recording.load(tmp_path / "again.nc")
    assert (again.names, again.cells, again.meta) == (first.names, first.cells, first.meta)
    assert next(cell for cell in again.cells if cell.name == "VD3").cell_class == "VD"


def test_a_file_of_before_there_were_names_opens_and_is_numbered(tmp_path):
    old = Recording.load(OLD)
    assert old.names["joint"] == ("joint_0", "joint_1", "joint_2")
    assert old.names["observation"][-1] == f"observation_{old.observations.shape[-1] - 1}"
    assert {cell.cell_class for cell in old.cells} == {None}
    assert old.poses(1).link_pos.shape == (6, 4, 2)
    old.save(tmp_path / "new.nc")
    new = Recording.load(tmp_path / "new.nc")
    for name in ("activity", "joint_pos", "observations", "link_pos", "rewards"):
        assert np.array_equal(np.asarray(getattr(old, name)), np.asarray(getattr(new, name)))
    assert "circuit" not in xarray.open_dataset(tmp_path / "new.nc", engine="h5netcdf").attrs
    found = probe(tmp_path / "new.nc", ["timescales"])
    assert found["timescales"].missing  # 6 steps are too few, and that is what it says


@pytest.mark.parametrize(
    ("names", "words"),
    [(["a"], "meta names 1 of 3: joint"), ([1, 2, 3], "the names of each joint are"), ("abc", "are")],
)
def test_names_that_are_none_are_refused(file, tmp_path, names, words):
    path = tmp_path / "odd.nc"
    path.write_bytes(file.read_bytes())
    with h5py.File(path, "a") as held:
        meta = json.loads(held.attrs["meta"])
        held.attrs["meta"] = json.dumps({**meta, "joints": names})
    with pytest.raises(InvalidRecording, match=words):
        Recording.load(path)
