"""Behaviour against planted motions: gaits, reversals, turns and postures whose answers are known."""

import dataclasses

import numpy as np
import pytest
from nervecord.errors import InvalidRecording
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.behaviour import held, omega_turns, posture_modes
from planted import DT, WIRING, planted


def swims(velocity, n_links=12, episodes=1, amplitude=0.3):
    """Return a planted wave on a straight axis along x, whose centre moves at a velocity in body lengths/s."""
    wave = planted(steps=len(velocity), n_links=n_links, episodes=episodes)
    length = 0.1 * n_links
    x = np.concatenate([[0.0], np.cumsum(velocity[:-1])]) * DT * length
    com = np.stack([x, np.zeros_like(x)], -1)
    behind = np.linspace(0.55, -0.55, n_links) * length / 1.1
    links = np.stack([x[:, None] + behind, np.zeros((len(x), n_links))], -1)
    links[:, 3, 1] = amplitude * length  # a link that stands out by this much, always on one side
    many = {"com_pos": com, "link_pos": links}
    return dataclasses.replace(wave, **{name: np.repeat(each[None], episodes, 0) for name, each in many.items()})


def numbers(recording):
    return run_probe("behaviour", Subject(recording, WIRING)).numbers


def test_gait_and_speed_are_those_that_were_planted():
    found = numbers(swims(np.full(1000, 0.2)))
    assert found["frequency"] == pytest.approx(1.3, rel=1e-3)
    assert found["wavelength"] == pytest.approx(0.65, rel=0.01)
    assert found["curvature"] == pytest.approx(12.0, rel=0.01)  # joints of 1 rad, twelve to a body
    assert found["speed"] == pytest.approx(0.2, rel=1e-6)
    assert found["amplitude"] == pytest.approx(0.15)
    assert (found["reversals"], found["backward"], found["omega_turns"]) == (0, 0, 0)
    assert "chemotaxis_index" not in found


def test_reversals_are_counted_and_short_ones_are_not():
    velocity = np.full(2000, 0.2)
    velocity[400:500] = -0.2  # 3 s
    velocity[440:444] = 0.2  # interrupted for 0.12 s
    velocity[900:908] = -0.2  # 0.24 s: too short, and nearly nothing over a window of 0.5 s
    velocity[1300:1400] = -0.04  # too slow
    found = numbers(swims(velocity))
    assert found["reversals"] == pytest.approx(1 / (2000 * DT / 60))
    assert found["backward"] == pytest.approx(0.05, abs=0.006)


def test_what_holds_long_enough_is_told_from_what_does_not():
    flags = np.zeros(100, bool)
    flags[10:30] = flags[38:60] = flags[80:90] = True  # 0.6 s, a gap of 0.24 s, 0.66 s; 0.3 s alone
    assert np.flatnonzero(held(flags, DT)).tolist() == list(range(10, 60))
    assert not held(np.zeros(9, bool), DT).any()


def test_an_omega_turn_is_a_deep_bend_that_passes_from_head_to_tail():
    bends = np.zeros((200, 3))
    for third in range(3):
        bends[20 + 10 * third : 40 + 10 * third, third] = -np.radians(35)
    assert omega_turns(bends, DT) == [20]
    assert omega_turns(bends[:, ::-1], DT) == []  # from tail to head
    assert omega_turns(bends * 0.5, DT) == []  # not deep enough
    mixed = bends * (1, -1, 1)
    assert omega_turns(mixed, DT) == []  # not one bend
    assert omega_turns(np.concatenate([bends, -bends]), DT) == [20, 220]


def test_postures_are_counted():
    phase = 2 * np.pi * 0.5 * np.arange(400)[:, None] * DT
    travelling = np.sin(phase - np.arange(11) * 0.6)
    assert posture_modes(travelling) == 2
    assert posture_modes(np.sin(phase) * np.ones(11)) == 1
    rng = np.random.default_rng(0)
    assert posture_modes(rng.standard_normal((400, 11))) > 5
    assert posture_modes(np.zeros((9, 3))) == 0


def test_the_index_is_of_ends_nearer_to_a_target_that_stands_still():
    recording = swims(np.full(200, 0.5), episodes=4)
    target = np.zeros((4, 200, 2))
    target[:3, :, 0], target[3, :, 0] = 5.0, -5.0  # three swim towards it, one away
    found = numbers(dataclasses.replace(recording, target_pos=target))
    assert found["chemotaxis_index"] == pytest.approx(0.5)
    moving = target + np.linspace(0, 1, 200)[:, None]
    assert "chemotaxis_index" not in numbers(dataclasses.replace(recording, target_pos=moving))


def test_where_and_which_way_it_swims_changes_nothing():
    plain = swims(np.concatenate([np.full(300, 0.2), np.full(60, -0.3), np.full(300, 0.2)]))
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    moved = dataclasses.replace(plain, com_pos=plain.com_pos @ turn.T + 3, link_pos=plain.link_pos @ turn.T + 3)
    mirrored = dataclasses.replace(plain, joint_pos=-plain.joint_pos)
    for other in (moved, mirrored):
        assert numbers(other) == pytest.approx(numbers(plain), rel=1e-6)


def test_what_does_not_undulate_has_no_gait_and_keeps_the_rest():
    still = dataclasses.replace(swims(np.full(300, 0.1)), joint_pos=np.zeros((1, 300, 11)))
    found = numbers(still)
    assert "frequency" not in found
    assert found["speed"] == pytest.approx(0.1)


def test_recordings_that_are_too_short_or_no_chain_are_refused():
    with pytest.raises(InvalidRecording, match="64 steps after the first fifth"):
        numbers(swims(np.full(60, 0.1)))
    recording = swims(np.full(300, 0.1))
    with pytest.raises(InvalidRecording, match="planted is not a chain of links"):
        numbers(dataclasses.replace(recording, meta={**recording.meta, "is_chain": False}))
    with pytest.raises(InvalidRecording, match="com_pos is not finite"):
        numbers(dataclasses.replace(recording, com_pos=np.full_like(recording.com_pos, np.nan)))
