"""Lesions and stimulation: named neurons are silenced, clamped and driven while an agent runs."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from nervecord.circuits import NCAP, Circuit, Pins
from nervecord.cli.main import main
from nervecord.errors import CircuitMismatch, InvalidOption, InvalidRecording, UnknownName
from nervecord.training.learning.training import train
from nervecord.training.rollouts.evaluation import evaluate, evaluate_agent
from nervecord.training.rollouts.interventions import Intervention, for_each_neuron, pins_at
from nervecord.training.rollouts.recorder import record
from nervecord.training.rollouts.recording import Recording
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.run import Run
from nervecord.videos.neuron_view import NeuronView


@pytest.fixture(scope="module")
def worm(tmp_path_factory) -> Run:
    config = RunConfig(steps=400, episode_steps=200, algorithm_options={"n_envs": 2})
    return train(config, tmp_path_factory.mktemp("runs") / "worm", progress=False)


def column(recording, name):
    return recording.activity[..., recording.neurons.index(name)]


def test_silenced_motor_neurons_leave_their_joint_without_torque(worm):
    """Both B-neurons of joint 2 silent: its muscles get nothing, so nothing moves it but the water."""
    silent = [Intervention("B_d_2"), Intervention("B_v_2")]
    lesioned, whole = record(worm, 2, interventions=silent), record(worm, 2)
    assert np.all(lesioned.actions[..., 2] == 0)
    assert np.all(column(lesioned, "B_d_2") == 0)
    assert np.abs(whole.actions[..., 2]).max() > 0.5
    assert lesioned.meta["interventions"] == [
        {"neuron": name, "kind": "silence", "value": 0.0, "start": 0, "stop": None} for name in ("B_d_2", "B_v_2")
    ]


def test_an_intervention_lasts_its_window(worm):
    window = slice(50, 80)
    driven = record(worm, 2, interventions=[Intervention("osc_v", "clamp", 0.25, 50, 80)])
    free = record(worm, 2)
    values = column(driven, "osc_v")
    assert np.all(values[:, window] == 0.25)
    assert np.array_equal(values[:, :50], column(free, "osc_v")[:, :50])
    assert np.array_equal(values[:, 80:], column(free, "osc_v")[:, 80:])
    assert np.array_equal(driven.actions[:, :50], free.actions[:, :50])
    assert not np.array_equal(driven.actions[:, window], free.actions[:, window])


@torch.no_grad()
def test_driving_adds_and_clamping_replaces():
    circuit = NCAP(3)
    sensors = torch.tensor([[0.4, -0.2, 0.1]])
    free = circuit.forward_with_activity(sensors, circuit.initial_state(1))[2][0]
    names = [neuron.name for neuron in circuit.neurons]
    pins = pins_at([Intervention("B_d_1", "drive", 0.3), Intervention("B_v_2", "clamp", 0.6)], circuit, 0)
    pinned = circuit.forward_with_activity(sensors, circuit.initial_state(1), pins)[2][0]
    assert pinned[names.index("B_d_1")] == pytest.approx(float(free[names.index("B_d_1")]) + 0.3)
    assert pinned[names.index("B_v_2")] == pytest.approx(0.6)
    assert pinned[names.index("muscle_d_1")] == pytest.approx(float(pinned[names.index("B_d_1")]))


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_what_is_done_to_one_neuron_acts_together_in_any_order(order):
    circuit = NCAP(3)
    names = [neuron.name for neuron in circuit.neurons]
    held, driven = names.index("B_d_1"), names.index("B_v_1")
    done = [
        Intervention("B_d_1"),
        Intervention("B_d_1", "drive", 0.5),
        Intervention("B_v_1", "drive", 0.3),
        Intervention("B_v_1", "drive", 0.4),
    ]
    pins = pins_at([done[place] for place in order], circuit, 0)
    assert (pins.scale[held], pins.shift[held]) == (0, 0)
    assert (pins.scale[driven], float(pins.shift[driven])) == (1, pytest.approx(0.7))


def test_the_variances_of_noise_add_up():
    circuit = NCAP(3)
    twice = [Intervention("B_d_1", "noise", 0.3), Intervention("B_d_1", "noise", 0.4)]
    assert torch.allclose(
        pins_at(twice, circuit, 7, 5).shift, pins_at([Intervention("B_d_1", "noise", 0.5)], circuit, 7, 5).shift
    )


def test_silence_takes_no_value():
    with pytest.raises(InvalidOption, match=r"silence B_d_1: value is 0\.5, and silence holds at 0; .* give clamp"):
        Intervention("B_d_1", "silence", 0.5)


def test_a_group_stands_for_each_of_its_neurons(worm):
    by_group = record(worm, 1, interventions=[Intervention("B_d", "clamp", 0.25, 10, 40)])
    each = [Intervention(f"B_d_{joint}", "clamp", 0.25, 10, 40) for joint in range(5)]
    by_name = record(worm, 1, interventions=each)
    assert np.array_equal(by_group.activity, by_name.activity)
    assert by_group.meta["interventions"] == by_name.meta["interventions"]
    assert np.all(column(by_group, "B_d_3")[:, 10:40] == 0.25)


@pytest.mark.parametrize("start", [200, 2000])
def test_an_intervention_after_the_episode_is_refused(worm, start):
    with pytest.raises(InvalidOption, match=rf"begins at step {start}, .* give a step from 0 to 199"):
        evaluate(worm, 2, interventions=[Intervention("B_d_2", start=start)])
    with pytest.raises(InvalidOption, match=f"begins at step {start}"):
        record(worm, 2, interventions=[Intervention("B_d_2", start=start, stop=3000)])


def test_a_lesioned_worm_swims_worse(worm):
    lesion = [Intervention("B_d_1"), Intervention("B_v_1")]
    assert evaluate(worm, 4, interventions=lesion).returns.mean() < 0.7 * evaluate(worm, 4).returns.mean()


def test_a_recording_of_an_earlier_version_has_its_interventions_in_words(worm, tmp_path):
    done = [Intervention("B_d_2", stop=90), Intervention("osc_v", "clamp", 0.25, 50, 80),
            Intervention("B_v_1", "drive", -0.5)]  # fmt: skip
    recording = record(worm, 1, interventions=done)
    recording.save(tmp_path / "new.nc")
    worded = dataclasses.replace(recording, meta={**recording.meta, "interventions": [str(each) for each in done]})
    worded.save(tmp_path / "old.nc")
    for name in ("new.nc", "old.nc"):
        found = Recording.load(tmp_path / name)
        assert [Intervention(**each) for each in found.meta["interventions"]] == done
        view = NeuronView(found, worm.agent().circuit.wiring())
        assert view._panel._pinned == {"B_d_2", "osc_v", "B_v_1"}
    unclear = dataclasses.replace(recording, meta={**recording.meta, "interventions": ["who knows, what"]})
    unclear.save(tmp_path / "unclear.nc")
    with pytest.raises(InvalidRecording, match="'who knows, what' is not an intervention"):
        Recording.load(tmp_path / "unclear.nc")


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("silence", "B_d_2", Intervention("B_d_2")),
        ("silence", "B_d_2:10:20", Intervention("B_d_2", "silence", 0.0, 10, 20)),
        ("clamp", "osc_v=1.0", Intervention("osc_v", "clamp", 1.0)),
        ("drive", "osc_v=-0.5:100:200", Intervention("osc_v", "drive", -0.5, 100, 200)),
    ],
)
def test_what_the_command_line_says_is_understood(kind, text, expected):
    assert Intervention.parse(kind, text) == expected


def test_words_tell_when_an_intervention_begins_and_ends():
    assert str(Intervention("B_d_0")) == "silence B_d_0"
    assert str(Intervention("B_d_0", start=100)) == "silence B_d_0, from step 100"
    assert str(Intervention("osc_v", "clamp", 1.0, 100, 200)) == "clamp osc_v 1, steps 100 to 200"


@pytest.mark.parametrize(
    ("kind", "text"),
    [("silence", "B_d_2=1"), ("drive", "osc_v"), ("clamp", "osc_v=high"), ("silence", "B_d_2:10"),
     ("silence", "B_d_2:20:10"), ("drive", "osc_v=1:a:b")],
)  # fmt: skip
def test_what_is_not_understood_is_one_line(kind, text):
    with pytest.raises(InvalidOption, match="give "):
        Intervention.parse(kind, text)


def test_unknown_neurons_name_the_nearest(worm, capsys):
    with pytest.raises(UnknownName, match="unknown neuron or group 'B_d_9'; did you mean 'B_d_"):
        record(worm, 1, interventions=[Intervention("B_d_9")])
    with pytest.raises(SystemExit):
        main(["evaluate", str(worm.path), "--silence", "B_x_1", "--episodes", "2", "--json"])
    assert "unknown neuron or group 'B_x_1'" in capsys.readouterr().out


def test_a_circuit_whose_neurons_cannot_be_reached_says_so():
    class Closed(Circuit):
        neurons = NCAP(2).neurons
        initial_state = wiring = None

        def forward_with_activity(self, sensors, state):
            raise NotImplementedError

    with pytest.raises(CircuitMismatch, match=r"through `self\.pinned\(values, group, pins\)`"):
        for_each_neuron([Intervention("B_d_0")], Closed())


def test_what_has_no_circuit_cannot_be_intervened_in(worm):
    class Still:
        def predict(self, observation, state=None, episode_start=None, deterministic=True):  # noqa: ARG002
            return np.zeros((len(observation), 5)), None

    env = worm.resolved.make_envs(2)
    assert evaluate_agent(Still(), env).n == 2
    with pytest.raises(CircuitMismatch, match="Still has no circuit of named neurons"):
        evaluate_agent(Still(), env, interventions=[Intervention("B_d_0")])
    env.close()


def test_environments_may_be_pinned_differently(worm):
    """One silenced all over, one left alone: two evaluations at once."""
    agent, env = worm.agent(), worm.resolved.make_envs(2)
    n = len(agent.neurons)
    scale = torch.tensor([[0.0], [1.0]]).expand(2, n)
    both = evaluate_agent(agent, env, 7, Pins(scale, torch.zeros(2, n))).returns
    # An evaluation without pins runs in double precision, in one compiled call.
    assert abs(both[1] - evaluate_agent(agent, env, 7).returns[1]) < 1e-4
    assert both[0] < 0.1 * both[1]
    env.close()


def test_the_command_line_lesions(worm, capsys):
    main(["evaluate", str(worm.path), "--silence", "B_d_2", "B_v_2", "--drive", "osc_v=0.5:10:20",
          "--episodes", "2", "--json"])  # fmt: skip
    assert '"return"' in capsys.readouterr().out
