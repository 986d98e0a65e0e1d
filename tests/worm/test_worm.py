"""Recorded worms: read worm by worm, refused in one line, and compared with a circuit where the answer is known."""

import dataclasses
import io
import json

import numpy as np
import pytest
from nervecord.circuits import ladder
from nervecord.cli.main import main
from nervecord.errors import InvalidRecording
from nervecord.training.rollouts.recording import Recording
from nervecord.worm.compare import compare_worms
from nervecord.worm.data import CalciumRecording, read_worms
from scipy.signal import lfilter

pa = pytest.importorskip("pyarrow", reason="calcium recordings are parquet: pip install pyarrow")
pq = pytest.importorskip("pyarrow.parquet", reason="calcium recordings are parquet: pip install pyarrow")

STEP, FRAME = 0.03, 0.33  # s; eleven control steps make a frame
NAMES = tuple(cell.name for cell in ladder().cells if cell.role != "muscle")


def rows_of(worm: CalciumRecording, unlabelled=()) -> list[dict]:
    """Return a worm's rows in the published schema."""
    times = (np.arange(len(worm.activity)) * worm.dt).tolist()
    return [
        {
            "source_dataset": worm.source, "raw_data_file": "made.mat", "worm": worm.worm, "neuron": name, "slot": i,
            "is_labeled_neuron": name not in unlabelled, "calcium_data": worm.activity[:, i].tolist(),
            "time_in_seconds": times, "max_timesteps": len(times),
        }
        for i, name in enumerate(worm.neurons)
    ]  # fmt: skip


def write(path, rows) -> str:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)
    return str(path)


def drifting(rng, steps: int, n: int, tau: float) -> np.ndarray:
    """Return processes whose autocorrelation decays with tau steps, [steps, n]."""
    keep = np.exp(-1 / tau)
    start, noise = rng.standard_normal((1, n)), rng.standard_normal((steps, n))
    return lfilter([np.sqrt(1 - keep**2)], [1, -keep], noise, axis=0, zi=keep * start)[0]


def recorded(activity: np.ndarray) -> Recording:
    """Return a recording of the ladder's neurons, on a body that undulates at 0.5 Hz."""
    steps = len(activity)
    time = np.arange(steps) * STEP
    joints = np.sin(2 * np.pi * 0.5 * time[:, None] - np.arange(5))[None]
    flat = np.zeros((1, steps, 0))
    return Recording(
        observations=flat, actions=flat, rewards=np.zeros((1, steps)), joint_pos=joints, joint_vel=joints,
        torque=joints, link_pos=np.zeros((1, steps, 6, 2)), link_angle=np.zeros((1, steps, 6)),
        com_pos=np.zeros((1, steps, 2)), target_pos=flat, activity=activity[None], neurons=NAMES, dt=STEP,
        meta={"name": "made", "link_length": [0.1] * 6, "link_width": [0.02] * 6, "joint_limit": [1.0] * 5},
    )  # fmt: skip


def worm_of(activity: np.ndarray, names=NAMES, worm="worm0") -> CalciumRecording:
    frames = len(activity) // 11
    return CalciumRecording("Made2026", worm, names, activity[: frames * 11].reshape(frames, 11, -1).mean(1), FRAME)


def mixed(rng, steps: int = 6000) -> np.ndarray:
    """Return neurons that share three slow causes."""
    n = len(NAMES)
    return drifting(rng, steps, 3, 60.0) @ rng.standard_normal((3, n)) + 0.3 * drifting(rng, steps, n, 60.0)


def test_worms_are_read_one_by_one_without_unnamed_neurons(tmp_path):
    rng = np.random.default_rng(0)
    one = CalciumRecording("Kato2015", "worm0", ("AVAL", "AVAR", "7"), rng.standard_normal((20, 3)), FRAME)
    two = CalciumRecording("Kato2015", "worm1", ("AVBL",), rng.standard_normal((9, 1)), FRAME)
    none = CalciumRecording("Kato2015", "worm2", ("8",), rng.standard_normal((9, 1)), FRAME)
    path = write(tmp_path / "d.parquet", [row for worm in (one, none, two) for row in rows_of(worm, ("7", "8"))])
    found = list(read_worms(path))
    assert [(worm.source, worm.worm, worm.neurons) for worm in found] == [
        ("Kato2015", "worm0", ("AVAL", "AVAR")), ("Kato2015", "worm1", ("AVBL",)),
    ]  # fmt: skip
    assert np.array_equal(found[0].activity, one.activity[:, :2])
    assert found[0].dt == pytest.approx(FRAME)


def test_a_first_worm_needs_no_more_than_its_part_of_the_file(tmp_path, monkeypatch):
    """The published file is one row group of 670 MB, which no one wants to wait for."""
    rng = np.random.default_rng(0)
    worms = (worm_of(rng.standard_normal((22_000, len(NAMES))), worm=f"worm{i}") for i in range(10))
    rows = [row for worm in worms for row in rows_of(worm)]
    path = tmp_path / "d.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=len(rows))
    read = 0

    class Counted(io.FileIO):
        def read(self, size=-1):
            nonlocal read
            found = super().read(size)
            read += len(found)
            return found

    monkeypatch.setattr("nervecord.worm.data._open", Counted)
    worms = read_worms(path)
    assert next(worms).worm == "worm0"
    assert 0 < read < path.stat().st_size / 2, (read, path.stat().st_size)
    assert next(worms).worm == "worm1"


def test_bad_recordings_are_one_line(tmp_path):
    worm = CalciumRecording("K", "w", NAMES[:2], np.zeros((5, 2)), FRAME)
    other = dataclasses.replace(worm, worm="v")
    rows = rows_of(worm)
    bad = {
        "no column 'worm'": [{key: value for key, value in row.items() if key != "worm"} for row in rows],
        "are not consecutive": [*rows, *rows_of(other), *rows_of(worm)],
        "traces of .* frames": [rows[0], {**rows[1], "calcium_data": [0.0]}],
        "time_in_seconds do not rise": [{**row, "time_in_seconds": [0.0, 0.3, 0.3, 0.6, 0.9]} for row in rows],
        "do not rise": [{**row, "time_in_seconds": [0.0, 0.3, None, 0.6, 0.9]} for row in rows],
        "neuron .*: a name, trace or times are missing": [rows[0], {**rows[1], "calcium_data": None}],
        "calcium_data has the type string; give lists of numbers": [{**row, "calcium_data": "1 2"} for row in rows],
        "calcium_data has the type double; give lists": [{**row, "calcium_data": 0.5} for row in rows],
        "is_labeled_neuron has the type string; give true or false": [
            {**row, "is_labeled_neuron": "False"} for row in rows
        ],
    }
    for message, held in bad.items():
        with pytest.raises(InvalidRecording, match=message):
            list(read_worms(write(tmp_path / "d.parquet", held)))
    (tmp_path / "no.parquet").write_text("no", encoding="utf-8")
    for path in ("no.parquet", "missing.parquet"):
        with pytest.raises(InvalidRecording, match="cannot be read as parquet"):
            list(read_worms(tmp_path / path))


def test_a_file_that_is_damaged_in_the_middle_is_one_line(tmp_path):
    worm = worm_of(np.random.default_rng(0).standard_normal((22_000, len(NAMES))))
    path = tmp_path / "d.parquet"
    write(path, rows_of(worm))
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    path.write_bytes(content)
    with pytest.raises(InvalidRecording, match=r"ends after \d+ rows .*; download it again"):
        list(read_worms(path))


def test_a_study_that_is_not_there_is_one_line(tmp_path):
    worm = CalciumRecording("Kato2015", "w", NAMES[:2], np.zeros((5, 2)), FRAME)
    with pytest.raises(InvalidRecording, match=r"has no worm of study 'Kato'; it has Kato2015"):
        list(read_worms(write(tmp_path / "d.parquet", rows_of(worm)), "Kato"))


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    hub = pytest.importorskip("huggingface_hub", reason="the hub's library is an extra")

    class Unplugged:
        def open(self, _):
            raise ConnectionError("no route")

    monkeypatch.setattr(hub, "HfFileSystem", Unplugged)
    with pytest.raises(InvalidRecording, match=r"Hub cannot be reached \(ConnectionError\); download qsimeon"):
        next(read_worms("hub"))


def test_the_hub_is_read_through_its_file_system(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub", reason="the hub's library is an extra")
    worm = CalciumRecording("K", "w", NAMES, np.zeros((5, len(NAMES))), FRAME)
    local = write(tmp_path / "d.parquet", rows_of(worm))
    asked = []

    class Fake:
        def open(self, path):
            asked.append(path)
            return open(local, "rb")

    monkeypatch.setattr(hub, "HfFileSystem", Fake)
    assert [worm.worm for worm in read_worms("hub")] == ["w"]
    assert asked == ["datasets/qsimeon/celegans_neural_data/worm_data_short.parquet"]


def test_a_worm_that_is_the_circuit_aligns_and_a_renamed_one_does_not():
    rng = np.random.default_rng(0)
    activity = mixed(rng)
    held = recorded(activity)
    same = compare_worms(held, [worm_of(activity), worm_of(activity, worm="worm1")]).numbers
    assert same["alignment"] == pytest.approx(1.0, abs=1e-6)
    assert same["subspace"] == pytest.approx(1.0, abs=1e-6)
    assert same["p"] == pytest.approx(1 / 1001)
    assert same["between_worms"] == pytest.approx(1.0, abs=1e-6)
    assert same["alignment_shuffled"] < 0.5
    assert "p_low" not in same
    assert same["model_dimension"] == pytest.approx(same["worm_dimension"])
    renamed = [worm_of(activity, tuple(rng.permutation(NAMES))) for _ in range(8)]
    other = compare_worms(held, renamed).numbers
    assert abs(other["alignment"] - other["alignment_shuffled"]) < 0.15
    assert other["p"] > 0.1


@pytest.mark.slow
def test_p_is_as_often_small_as_it_says_where_worms_share_what_the_circuit_has_not():
    """Ten worms of one structure are ten measurements of it, and no ten independent chances."""
    small = []
    for trial in range(40):
        rng = np.random.default_rng(trial)
        mixing = rng.standard_normal((3, len(NAMES)))
        noise = [0.5 * rng.standard_normal((2200, len(NAMES))) for _ in range(10)]
        worms = [worm_of(drifting(rng, 2200, 3, 60.0) @ mixing + each, worm=f"w{i}") for i, each in enumerate(noise)]
        small.append(compare_worms(recorded(mixed(rng, 2200)), worms, shuffles=99).numbers["p"] <= 0.05)
    # 2 of 40 are expected, and 7 or more have a chance of 0.3 %; shuffled anew for each worm, 11 were.
    assert sum(small) < 7


@pytest.mark.parametrize("dt", [0.04, 0.01, 0.1])
def test_a_timescale_does_not_depend_on_the_frames_of_the_worm(dt):
    rng = np.random.default_rng(1)
    held = recorded(drifting(rng, 20_000, len(NAMES), 1.0 / STEP))
    worm = CalciumRecording("S", "w", NAMES, drifting(rng, 8000, len(NAMES), 1.0 / dt), dt)
    found = compare_worms(held, [worm], shuffles=1).numbers
    assert found["model_tau"] == pytest.approx(1.0, rel=0.25)
    assert found["worm_tau"] == pytest.approx(1.0, rel=0.25)


def test_timescales_longer_than_what_can_be_seen_are_counted_and_not_left_out():
    rng = np.random.default_rng(1)
    held = recorded(drifting(rng, 6000, len(NAMES), 1.0 / STEP))
    slow = drifting(rng, 60_000, len(NAMES), 30.0 / STEP)
    found = compare_worms(held, [worm_of(slow)], shuffles=1)
    assert found.numbers["worm_tau_censored"] > 0.9
    assert np.isnan(found.numbers["worm_tau"])
    assert found.numbers["model_tau_censored"] == 0
    assert found.numbers["model_tau"] == pytest.approx(1.0, rel=0.25)
    slow[:, : len(NAMES) // 2 + 1] = drifting(rng, 60_000, len(NAMES) // 2 + 1, 2.0 / STEP)
    most = compare_worms(held, [worm_of(slow)], shuffles=1).numbers
    assert most["worm_tau_censored"] == pytest.approx(0.5, abs=0.1)
    assert most["worm_tau"] > 2.0


def test_timescales_and_gait_frequency_are_those_that_went_in():
    rng = np.random.default_rng(0)
    n = len(NAMES)
    model, worm = drifting(rng, 20_000, n, 1.0 / STEP), drifting(rng, 20_000, n, 3.0 / STEP)
    found = compare_worms(recorded(model), [worm_of(worm)])
    assert found.numbers["model_tau"] == pytest.approx(1.0, rel=0.25)
    assert found.numbers["worm_tau"] == pytest.approx(3.0, rel=0.25)
    assert found.numbers["frequency"] == pytest.approx(0.5, abs=0.01)
    assert found.numbers["frequency_in_range"] == 1
    assert found.units["worm_tau"] == "s"


def test_a_circuit_that_oscillates_has_timescales_and_a_figure():
    """The autocorrelation of a sine of period P falls to 1/e after arccos(1/e) / 2 pi of P."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, len(NAMES))
    waves = np.sin(2 * np.pi * np.arange(20_000)[:, None] * STEP / 4.0 + phase)
    found = compare_worms(recorded(waves), [worm_of(drifting(rng, 20_000, len(NAMES), 3.0 / STEP))])
    assert found.numbers["model_tau"] == pytest.approx(4.0 * np.arccos(np.exp(-1)) / (2 * np.pi), rel=0.05)
    still = recorded(np.repeat(np.arange(600.0)[:, None], len(NAMES), 1))
    compare_worms(still, [worm_of(mixed(rng, 600))]).figure.savefig(io.BytesIO())


def test_neurons_are_matched_by_name_whatever_their_order():
    rng = np.random.default_rng(0)
    activity = mixed(rng, 3000)
    order = rng.permutation(len(NAMES))[:12]
    names = tuple(NAMES[i] for i in order)
    worm = worm_of(activity[:, order], names)
    extra = dataclasses.replace(
        worm, neurons=(*names, "ASEL"), activity=np.c_[worm.activity, rng.standard_normal(len(worm.activity))]
    )
    found = compare_worms(recorded(activity), [extra])
    assert found.numbers["shared_neurons"] == 12
    assert found.numbers["alignment"] == pytest.approx(1.0, abs=1e-6)
    assert tuple(found.arrays["neuron"]) == names


def test_nothing_in_common_is_one_line_that_says_why():
    activity = mixed(np.random.default_rng(0), 600)
    worm = worm_of(activity)
    strangers = worm_of(activity, tuple(f"x{i}" for i in range(len(NAMES))))
    torn = dataclasses.replace(
        worm, activity=np.where(np.arange(len(worm.activity))[:, None] == 3, np.nan, worm.activity)
    )
    short = dataclasses.replace(worm, activity=worm.activity[:5])
    huge = dataclasses.replace(worm, activity=worm.activity * 1e300)
    for worms, message in (
        ([strangers], r"no worm shares 4 neurons .*\(at most 0\)"),
        ([torn, huge], rf"hold no NaN \(at most 0, of {len(NAMES)} with names in common\)"),
        ([short], "no worm of 20 frames or more"),
        ([], "there is no worm to compare with"),
    ):
        with pytest.raises(InvalidRecording, match=message):
            compare_worms(recorded(activity), worms)
    with pytest.raises(InvalidRecording, match=r"100 control steps hold 9 frames of 0\.33 s, .* record 220 steps"):
        compare_worms(recorded(activity[:100]), [worm])


def test_what_is_left_out_of_a_worm_is_counted():
    activity = mixed(np.random.default_rng(0), 600)
    worm = worm_of(activity)
    worm.activity[3, :2] = np.nan
    found = compare_worms(recorded(activity), [worm], shuffles=9).numbers
    assert found["left_out"] == 2
    assert found["shared_neurons"] == len(NAMES) - 2


def test_the_command_writes_numbers_and_a_figure_over_its_own_alone(tmp_path, capsys):
    activity = mixed(np.random.default_rng(0), 1000)
    recorded(activity).save(tmp_path / "made.nc")
    worms = [worm_of(activity), dataclasses.replace(worm_of(activity), source="Else2026")]
    data = write(tmp_path / "d.parquet", [row for worm in worms for row in rows_of(worm)])
    main(["worm", "compare", str(tmp_path / "made.nc"), data, "--source", "Made2026", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["numbers"]["worms"] == 1
    assert (
        json.loads((tmp_path / "made_worms" / "numbers.json").read_text(encoding="utf-8"))["numbers"]
        == printed["numbers"]
    )
    assert (tmp_path / "made_worms" / "comparison.svg").read_text(encoding="utf-8").startswith("<svg")
    for name in ("numbers.json", "mine.txt"):
        out = tmp_path / name.replace(".", "_")
        out.mkdir()
        (out / name).write_text("mine", encoding="utf-8")
        with pytest.raises(SystemExit):
            main(["worm", "compare", str(tmp_path / "made.nc"), data, "--out", str(out)])
        assert "holds no comparison with worms; give another --out" in capsys.readouterr().err
        assert [path.read_text(encoding="utf-8") for path in out.iterdir()] == ["mine"]
    main(["worm", "compare", str(tmp_path / "made.nc"), data, "--json"])
    assert json.loads(capsys.readouterr().out)["numbers"]["worms"] == 2, "its own folder is written anew"
