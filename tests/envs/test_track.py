"""The task of bending as a recorded worm did: its reward, its recording, and what a run holds of it."""

import json
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from nervecord.envs import EnvBatch, XmlBody, make_body
from nervecord.envs.physics.lanes import reason_not_compiled
from nervecord.envs.tasks.joint_angles import JointAngles, longest_stretch, relinked
from nervecord.envs.tasks.track import travelling_wave
from nervecord.errors import InvalidRecording, InvalidRun, InvalidTask
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.held_files import told_config
from nervecord.training.runs.resolution import resolve
from nervecord.training.runs.result import conditions_of

N = 3
ASSETS = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets"


def written(path, time, joint_pos):
    lines = [",".join(["time", *(f"angle_{i}" for i in range(joint_pos.shape[1]))])]
    for row in np.column_stack([time, joint_pos]).tolist():
        lines.append(",".join("" if np.isnan(value) else repr(value) for value in row))
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


class Bent:
    """A physics whose joints are bent by hand."""

    def __init__(self, physics, joints):
        self.physics, self.joints = physics, joints

    def __getattr__(self, name):
        return getattr(self.physics, name)

    def read(self, name):
        return self.joints(self) if name == "joint_pos" else self.physics.read(name)


@pytest.mark.parametrize(
    ("bent", "earned"), [(lambda target: target, 1.0), (lambda target: 0 * target, 0.0), (lambda target: -target, -1.0)]
)
def test_the_reward_is_the_share_of_the_bending_that_a_posture_explains(bent, earned):
    envs = EnvBatch("track", N, "swimmer12", episode_steps=222, n_threads=1)  # two periods of the wave
    envs.seed(range(N))
    envs.reset(np.arange(N))
    envs.task.physics = Bent(envs.physics, lambda _: bent(envs.task.target()))
    earnings = []
    for _ in range(222):
        step = envs.step(np.zeros((N, 11)))
        earnings.append(step.reward)
    assert np.mean(earnings, 0) == pytest.approx(earned, abs=0.01)
    error = {1.0: 0.0, 0.0: 1.0, -1.0: 2.0}[earned] * np.sqrt((envs.task.recording.joint_pos**2).mean())
    assert step.metrics["joint_error"] == pytest.approx(error, rel=0.01, abs=1e-9)
    assert step.metrics["explained"] == pytest.approx({-1.0: -3.0}.get(earned, earned), abs=0.01)
    assert step.truncated.all()


def test_an_episode_begins_in_the_recordings_posture_and_shows_the_next():
    envs = EnvBatch("track", N, "swimmer12", episode_steps=9, n_threads=1)
    envs.seed(range(N))
    seen = envs.layout.split(envs.reset(np.arange(N)))
    start = envs.task._start
    assert len(set(start.tolist())) == N
    np.testing.assert_allclose(seen["joint_pos"], envs.task.recording.at(start), atol=1e-12)
    np.testing.assert_allclose(seen["joint_target"], envs.task.recording.at(start + 0.03), atol=1e-12)
    ahead = seen["joint_pos"] + 0.03 * seen["joint_target_vel"]
    np.testing.assert_allclose(ahead, seen["joint_target"], atol=1e-12)


def test_motors_that_push_to_the_target_follow_it_on_both_physics():
    found = {}
    for physics in ("mujoco", "lanes"):
        if physics == "lanes" and (reason := reason_not_compiled()):
            pytest.skip(reason)
        envs = EnvBatch("track", N, "worm", "agar", physics, 1, episode_steps=60)
        envs.seed(range(N))
        seen = envs.layout.split(envs.reset(np.arange(N)))
        rewards = []
        for _ in range(60):
            step = envs.step(8.0 * (seen["joint_target"] - seen["joint_pos"]))
            seen = envs.layout.split(step.observation)
            rewards.append(step.reward)
        found[physics] = np.array(rewards)
    assert found["mujoco"].mean() > 0.95
    np.testing.assert_allclose(found["lanes"], found["mujoco"], atol=1e-3)


def test_an_episode_ends_with_its_recording():
    wave = travelling_wave(6, 0.3, 0.03)
    envs = EnvBatch("track", 1, "swimmer6", episode_steps=50, n_threads=1, recording=wave.to_json())
    envs.seed([0])
    envs.reset(np.arange(1))
    ended = [envs.step(np.zeros((1, 5))).terminated[0] for _ in range(10)]
    assert ended.index(True) == 9


def test_a_recording_shorter_than_the_episode_limits_what_counts_as_solved():
    wave = travelling_wave(4, 3.0, 0.03).to_json()
    for steps, largest in ((1000, 100), (50, 50)):
        env = EnvBatch("track", 1, "swimmer4", recording=wave, episode_steps=steps)
        env.seed([0])
        env.reset(np.arange(1))
        if steps > largest:
            lasted = next(step for step in range(1, 200) if env.step(np.zeros((1, 3))).terminated[0])
            assert lasted == largest
        assert env.task.reward_threshold == pytest.approx(0.9 * largest)


def test_a_run_holds_its_recording_and_not_the_path(tmp_path):
    wave = travelling_wave(8, 3.0, 0.05)
    file = written(tmp_path / "crawl.csv", wave.time, wave.joint_pos)
    config = RunConfig(task="track", body="swimmer6", task_options={"recording": file}, episode_steps=20)
    stored = json.loads(json.dumps(config.to_json()))
    (tmp_path / "crawl.csv").unlink()
    again = RunConfig.from_json(stored)
    assert again == config
    envs = resolve(again).make_envs(2)
    np.testing.assert_allclose(envs.task.recording.joint_pos, relinked(wave.joint_pos, 6)[0])
    told = told_config(stored)["task_options"]["recording"]
    assert told.startswith("crawl.csv (checksum ")
    assert conditions_of(resolve(again).config, 1, 0)["task_options"]["recording"] == told
    stored["task_options"]["recording"] = file
    with pytest.raises(InvalidRun, match=r"names the file .*crawl.csv' as its recording"):
        RunConfig.from_json(stored)


def test_another_number_of_links_lies_on_the_same_chain():
    wave = travelling_wave(48, 1.0, 0.1, amplitude=0.6)
    exact = travelling_wave(6, 1.0, 0.1, amplitude=0.6).joint_pos
    found, _ = relinked(wave.joint_pos, 6)
    assert np.abs(found - exact).max() < 0.1
    # A circle's arc stays one: each of 6 links turns by eight times the joints of 48.
    circle, _ = relinked(np.full((1, 47), 0.02), 6)
    np.testing.assert_allclose(circle, 0.16, atol=1e-12)


@pytest.mark.parametrize(("gap", "first", "last"), [(0.2, 0, 19), (0.3, 10, 19)])
def test_gaps_end_a_stretch_if_they_are_longer_than_a_quarter_of_a_second(gap, first, last):
    time = np.arange(20) * 0.1
    time[10:] += gap - 0.1
    chosen = longest_stretch(time, np.arange(20) != 3)
    assert (chosen[0], chosen[-1]) == (first, last)
    assert 3 not in chosen
    assert len(longest_stretch(np.arange(9) * 1.0, np.ones(9, bool))) == 9  # a frame each second is no gap


def test_short_gaps_are_bridged_straight(tmp_path):
    wave = travelling_wave(6, 1.0, 0.05)
    joints = wave.joint_pos.copy()
    joints[4:6] = np.nan
    held = JointAngles.read(written(tmp_path / "x.csv", wave.time, joints))
    assert len(held.time) == len(wave.time) - 2
    np.testing.assert_allclose(held.at(wave.time[4:5])[0], joints[3] + (joints[6] - joints[3]) / 3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2", "is not a CSV file of a recording; give the columns time"),
        ("time,angle_0,angle_2\n0,1,1", "has no columns angle_0, angle_1"),
        ("time,angle_0,angle_1\n0,1", "line 2, has 2 cells and 3 columns"),
        ("time,angle_0,angle_1\n0,1,x", "has 'x' where a number is"),
        ("\ntime,angle_0,angle_1\n\n0,1,1\n1,1,x", "line 5, has 'x'"),
        ("time,angle_0,angle_1\n0,1,inf", "has 'inf' where a number is"),
        ("time,angle_0,angle_1\n0,1,1\n0,1,1", "has the time 0 s twice"),
        ("time,angle_0,angle_1\n,1,1", "has a row without a time"),
        ("time,angle_0,angle_1\n0,1,1\n1,,1", "no two times with every angle"),
        ("worm,time,angle_0,angle_1\na,0,1,1\nb,0,1,1", "holds the worms a, b; give a file of one"),
        ("time,angle_0,angle_1", "has no rows"),
    ],
)
def test_files_that_are_no_recording_are_refused_in_one_line(text, words, tmp_path):
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidRecording, match=words) as refused:
        RunConfig(task="track", task_options={"recording": str(tmp_path / "x.csv")})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("recording", "error", "words"),
    [
        (
            "worm.wcon",
            InvalidRecording,
            "worm.wcon is not a CSV file of joint angles; nervecord worm posture FILE --links 24",
        ),
        ("nope.csv", InvalidRecording, "nope.csv cannot be read as CSV: No such file"),
        ({"file": "x"}, InvalidRecording, "a recording is a table of file, time and joint_pos"),
        ({"file": "x", "time": [0, 0], "joint_pos": [[0, 0]] * 2}, InvalidRecording, "x has times that do not rise"),
        ({"file": "x", "time": [0], "joint_pos": [[0, 0]]}, InvalidRecording, "give two joints and two times"),
        (travelling_wave(4, 1.0, 0.1).to_json(), InvalidTask, "is of 4 links and swimmer6 has 6; make another with"),
        (3, InvalidTask, "recording"),
    ],
)
def test_a_recording_that_does_not_fit_is_refused(recording, error, words):
    with pytest.raises(error, match=words):
        EnvBatch("track", 1, "swimmer6", n_threads=1, recording=recording)


def test_a_chain_is_needed_and_the_target_is_sensed_in_its_own_task_alone():
    body = make_body("gymnasium-swimmer")
    assert EnvBatch("track", 1, body, n_threads=1).layout.sizes["joint_target"] == body.n_joints
    with pytest.raises(InvalidTask, match="half_cheetah is not a chain of links"):
        EnvBatch("track", 1, XmlBody.from_file(ASSETS / "half_cheetah.xml", 0.05), n_threads=1)
    with pytest.raises(InvalidTask, match="has no recording to sense; sense joint_target in TrackPosture"):
        EnvBatch("swim", 1, n_threads=1, senses=["joint_target"])
