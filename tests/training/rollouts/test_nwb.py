"""NWB files: the inspector finds nothing critical, and what is read back is what was recorded, bit for bit."""

import json

import numpy as np
import pytest
from nervecord.cli.main import main
from nervecord.training.learning.initial import untrained
from nervecord.training.rollouts import Intervention, Recording, record, write_nwb
from nervecord.training.runs.config import RunConfig

pynwb = pytest.importorskip("pynwb", reason="writes NWB: pip install 'nervecord[nwb]'")
inspector = pytest.importorskip("nwbinspector", reason="inspects NWB: pip install nwbinspector")

DONE = (Intervention("DB1", "clamp", 0.5, 10, 20), Intervention("VB2", "silence"))


@pytest.fixture(scope="module")
def recording():
    config = RunConfig("connectome", circuit_options={"graph": "ladder"}, episode_steps=80, seed=3)
    with untrained(config) as run:
        return record(run, 3, interventions=DONE)


def messages(path, config=None):
    found = inspector.inspect_nwbfile(nwbfile_path=str(path), config=config)
    worse = ("CRITICAL", "ERROR", "BEST_PRACTICE_VIOLATION")
    return [each.message for each in found if each.importance.name in worse]


@pytest.fixture(scope="module", params=[False, True], ids=["misc", "imaging"])
def written(request, recording, tmp_path_factory):
    path = tmp_path_factory.mktemp("nwb") / "worm.nwb"
    write_nwb(recording, path, as_imaging=request.param)
    return path, request.param


def test_the_inspector_finds_nothing_critical_nor_does_dandi_s(written):
    path, _ = written
    assert messages(path) == []
    assert messages(path, inspector.load_config("dandi")) == []


def test_what_is_read_back_is_what_was_recorded(written, recording):
    path, as_imaging = written
    n = recording.n_episodes * recording.n_steps
    with pynwb.NWBHDF5IO(path, "r") as reader:
        file = reader.read()
        if as_imaging:
            series = file.processing["ophys"]["Fluorescence"]["activity"]
            table = series.rois.table
        else:
            series, table = file.processing["misc"]["activity"], file.processing["misc"]["neurons"]
        behavior = file.processing["behavior"]
        of_body, places = behavior["BehavioralTimeSeries"], behavior["Position"]
        for name in ("observations", "actions", "rewards", "joint_pos", "joint_vel", "torque", "link_angle"):
            expected = np.asarray(getattr(recording, name), np.float32).reshape(n, -1)
            got = of_body[name].data[:]
            assert got.dtype == np.float32
            assert np.array_equal(got.reshape(n, -1), expected), name
            assert np.array_equal(of_body[name].timestamps[:], series.timestamps[:])
        assert np.array_equal(series.data[:], recording.activity.reshape(n, -1))
        assert np.array_equal(places["center_of_mass"].data[:], recording.com_pos.reshape(n, 2))
        for link in range(6):
            assert np.array_equal(places[f"link_{link}"].data[:], recording.link_pos[:, :, link].reshape(n, 2))
        head = np.exp(1j * recording.link_angle[..., 0].ravel().astype(float))
        assert np.allclose(np.exp(1j * behavior["CompassDirection"]["head_direction"].data[:]), head)
        neurons = table.to_dataframe()
        assert neurons["neuron_name"].tolist() == list(recording.neurons)
        assert neurons.set_index("neuron_name").loc["DB1", ["role", "cell_class"]].tolist() == ["motor", "DB"]
        trials = file.trials.to_dataframe()
        stamps = series.timestamps[:]
        assert np.all(np.diff(stamps) > 0)
        assert trials["steps"].tolist() == recording.lengths.tolist()
        for row, start in enumerate(trials["start_time"]):
            assert stamps[row * recording.n_steps] == start
        pins = file.intervals["interventions"].to_dataframe()
        assert len(pins) == len(DONE) * recording.n_episodes
        assert pins["neuron"].tolist() == ["VB2", "DB1"] * recording.n_episodes  # in the order in which they begin
        first = pins.iloc[1]
        assert (first["neuron"], first["kind"], first["value"]) == ("DB1", "clamp", 0.5)
        assert (first["start_time"], first["stop_time"]) == pytest.approx((10 * recording.dt, 20 * recording.dt))
        notes = json.loads(file.notes)
        assert notes["meta"]["link_length"] == recording.meta["link_length"]
        assert (notes["meta"]["circuit"], notes["meta"]["seed"], notes["dt"]) == ("connectome", 3, recording.dt)
        assert "no animal" in file.subject.description


def test_one_episode_has_a_rate_and_a_shorter_end_leaves_no_filling(recording, tmp_path, caplog):
    arrays = {name: getattr(recording, name)[:1] for name in ("observations", "actions", "rewards", "joint_pos",
              "joint_vel", "torque", "link_pos", "link_angle", "com_pos", "target_pos", "activity")}  # fmt: skip
    one = Recording(**arrays, neurons=recording.neurons, dt=recording.dt, meta=recording.meta, lengths=np.array([70]))
    write_nwb(one, tmp_path / "one.nwb")
    assert "70 steps in all are fewer than 144 neurons" in caplog.text
    with pynwb.NWBHDF5IO(tmp_path / "one.nwb", "r") as reader:
        series = reader.read().processing["misc"]["activity"]
        assert series.rate == pytest.approx(1 / recording.dt)
        assert np.array_equal(series.data[:], recording.activity[0, :70])


def test_spikes_are_units_with_times_of_substeps(tmp_path):
    with untrained(RunConfig("spiking", circuit_options={"units": 5}, episode_steps=40)) as run:
        found = record(run, 2)
    write_nwb(found, tmp_path / "spikes.nwb")
    assert messages(tmp_path / "spikes.nwb") == ["Subject species is missing."]  # a circuit of no animal
    with pynwb.NWBHDF5IO(tmp_path / "spikes.nwb", "r") as reader:
        file = reader.read()
        units, start = file.units.to_dataframe(), file.trials.to_dataframe()["start_time"]
        assert units["neuron_name"].tolist() == list(found.firing)
        assert [len(each) for each in units["spike_times"]] == found.spikes.sum((0, 1, 2)).tolist()
        episode, step, substep = np.argwhere(found.spikes[..., 0])[-1]
        at = start[episode] + (step + substep / found.spikes.shape[2]) * found.dt
        assert units["spike_times"].iloc[0][-1] == pytest.approx(at)
        assert file.subject.species is None


def test_the_command_writes_nwb_and_says_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    common = "record --untrained --episodes 2 --episode-steps 20 --json"
    main([*common.split(), "--out", "a.nwb"])
    assert json.loads(capsys.readouterr().out)["recording"] == "a.nwb"
    assert messages("a.nwb") == []
    for arguments, words in (
        ("--out a.nc --as-imaging", "--as-imaging would have no effect: it is of .nwb files"),
        ("--out a.nwbx", "unknown recording format '.nwbx'"),
        ("--out a.nwb", "a.nwb exists; give another --out"),
    ):
        with pytest.raises(SystemExit):
            main([*common.split()[:-1], *arguments.split()])
        assert words in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SystemExit):
        main([*common.split()[:-1], "--out", "b.nwb"])
    assert "pynwb is not installed: pip install" in capsys.readouterr().err
