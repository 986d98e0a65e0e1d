"""Recordings of strangers: no other file is read in place of theirs, and what is no recording is one line."""

import json
import shutil

import h5py
import numpy as np
import pytest
from nervecord.errors import InvalidRecording
from nervecord.training.rollouts.recording import Recording
from systems import make_pipe

E, T, J, L = 2, 5, 1, 2
SHAPES = {"observations": (E, T, 4), "actions": (E, T, J), "rewards": (E, T), "joint_pos": (E, T, J),
          "joint_vel": (E, T, J), "torque": (E, T, J), "link_pos": (E, T, L, 2), "link_angle": (E, T, L),
          "com_pos": (E, T, 2), "target_pos": (E, T, 2), "activity": (E, T, 3)}  # fmt: skip
META = {"name": "swimmer2", "link_length": [0.1, 0.1], "link_width": [0.02, 0.02], "joint_limit": [1.0],
        "neurons": [{"role": "inter"}] * 3}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "whole.nc"
    rng = np.random.default_rng(0)
    arrays = {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}
    Recording(**arrays, neurons=("a", "b", "c"), dt=0.03, meta=META).save(path)
    assert Recording.load(path).n_episodes == E
    return path


@pytest.fixture
def file(whole, tmp_path):
    return shutil.copy(whole, tmp_path / "r.nc")


def elsewhere(path):
    path.write_bytes(bytes(10_000))
    return path


def refused(path, words):
    with pytest.raises(InvalidRecording, match=words) as caught:
        Recording.load(path)
    assert "\n" not in str(caught.value)


def test_values_in_another_file_are_not_read(file, tmp_path):
    secret = elsewhere(tmp_path / "secret")
    with h5py.File(file, "a") as held:
        del held["rewards"]
        held.create_dataset("rewards", (E, T), "f4", external=[(str(secret), 0, 40)])
    refused(file, "the values of rewards lie in another file")


def test_a_virtual_array_opens_no_other_file(file, tmp_path):
    make_pipe(tmp_path / "pipe")
    with h5py.File(file, "a") as held:
        del held["rewards"]
        layout = h5py.VirtualLayout((E, T), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "pipe"), "x", (E, T), "f4")
        held.create_virtual_dataset("rewards", layout)
    refused(file, "the values of rewards lie in another file")


@pytest.mark.parametrize("link", [h5py.ExternalLink("other.nc", "/rewards"), h5py.SoftLink("/rewards")])
def test_a_link_in_a_recording_is_refused_even_in_circles(file, link):
    with h5py.File(file, "a") as held:
        del held["rewards"]
        held["rewards"] = link
    refused(file, "rewards is a link or a group")


def test_an_array_larger_than_the_file_can_hold_is_refused(file):
    with h5py.File(file, "a") as held:
        held.create_dataset("huge", (10**6, 10**6), "f4", chunks=(1000, 1000))
    refused(file, "too few for arrays of")


def test_a_pipe_is_no_recording(tmp_path):
    make_pipe(tmp_path / "r.nc")
    refused(tmp_path / "r.nc", "is not a file")


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ([], "meta holds no names"), (3, "meta holds no names"), (None, "meta holds no names"),
        ({**META, "name": 3}, "give the name of a body"), ({**META, "link_length": "no"}, "link_length"),
        ({**META, "link_length": [0.1]}, "other numbers of links"), ({**META, "neurons": [{}]}, "of links or neurons"),
        ({**META, "neurons": [{"colour": 1}] * 3}, "colour"), ({"name": "swimmer2"}, "link_length"),
        ({**META, "interventions": 3}, "not iterable"), ({**META, "interventions": [3]}, "cannot be read as a"),
    ],
)  # fmt: skip
def test_facts_that_are_none_are_one_line(file, meta, words):
    with h5py.File(file, "a") as held:
        held.attrs["meta"] = json.dumps(meta)
    refused(file, words)


@pytest.mark.parametrize("dt", [0.0, -1.0, np.nan, np.inf])
def test_a_control_step_that_is_none_is_one_line(file, dt):
    with h5py.File(file, "a") as held:
        held.attrs["dt"] = dt
    refused(file, "dt is")


def test_lengths_of_other_episodes_are_one_line(file):
    with h5py.File(file, "a") as held:
        held["lengths"][:] = [1, 99]
    refused(file, "lengths are those of other episodes")


def test_damage_that_shows_only_when_values_are_read_is_one_line(file):
    with h5py.File(file) as held:
        chunk = held["activity"].id.get_chunk_info(0)
    content = bytearray(file.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    file.write_bytes(content)
    recording = Recording.load(file)
    for read in (lambda: recording.activity[0], lambda: np.asarray(recording.activity)):
        with pytest.raises(InvalidRecording, match=r"r\.nc is damaged: activity cannot be read"):
            read()
