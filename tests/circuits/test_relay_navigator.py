"""Steering without a clock: what it computes, that paths curve towards the target, and that food is found."""

import numpy as np
import pytest
import torch
from nervecord.agents import Agent, AgentSpec
from nervecord.circuits import Pins, Relay, RelayNavigator
from nervecord.envs import EnvBatch
from nervecord.training.rollouts.evaluation import evaluate_agent


def stepped(circuit, targets, pins=None):
    """Return every neuron's value over targets in the head's frame, by name, for a straight body."""
    state, rows = circuit.initial_state(1), []
    for target in targets:
        sensors = torch.tensor([[*[0.0] * circuit.n_motors, *target]], dtype=torch.float32)
        _, state, activity = circuit.forward_with_activity(sensors, state, pins)
        rows.append(activity[0])
    values = torch.stack(rows).detach().numpy()
    return dict(zip((neuron.name for neuron in circuit.neurons), values.T, strict=True))


def test_it_turns_by_the_smoothed_bearing_up_to_its_cap():
    # The head faces its -y axis, and x < 0 is to its right.
    angles = np.array([0.5] + [1.0] * 30)
    found = stepped(RelayNavigator(5), [(-np.sin(angle), -np.cos(angle)) for angle in angles])
    smoothed = np.array([np.sin(0.5), np.cos(0.5)])
    for step, angle in enumerate(angles):
        if step:
            smoothed += (1 - np.exp(-0.03 / 0.5)) * (np.array([np.sin(angle), np.cos(angle)]) - smoothed)
        turn = min(0.2 * np.arctan2(*smoothed), 0.2)
        assert found["right"][step] == pytest.approx(turn, abs=1e-5)
        assert found["left"][step] == 0.0
        np.testing.assert_allclose(found["q_v_2"][step], turn, atol=1e-5)
    behind = stepped(RelayNavigator(5), [(1.0, 1.0)])
    assert behind["left"][0] == pytest.approx(0.2)


def test_straight_ahead_it_is_the_relay():
    relay, steered = Relay(5), RelayNavigator(5)
    state, own = relay.initial_state(2), steered.initial_state(2)
    for step in range(40):
        q = 0.5 * torch.sin(0.3 * step - torch.arange(10.0)).reshape(2, 5)
        motor, state = relay(q, state)
        ours, own = steered(torch.cat((q, torch.tensor([[0.0, -1.0]] * 2)), 1), own)
        torch.testing.assert_close(ours, motor)


def test_it_has_three_weights_more_and_fits_every_body():
    assert sum(parameter.numel() for parameter in RelayNavigator(5).parameters()) == 13
    RelayNavigator(11).load_state_dict(RelayNavigator(5).state_dict())


@pytest.mark.parametrize("pinned", ["right", "left"])
def test_paths_curve_to_the_side_that_is_pinned(pinned):
    envs = EnvBatch("twomedia", 4, "worm13", physics="lanes", n_threads=1, episode_steps=400,
                    senses=["joint_pos", "joint_vel", "to_target"])  # fmt: skip
    options = {"init": "worm", "limit": 12.0, "velocity": True}
    agent = Agent(AgentSpec("relay_navigator", envs.layout, 12, circuit_options=options))
    names = [neuron.name for neuron in agent.neurons]
    scale, shift = torch.ones(1, len(names)), torch.zeros(1, len(names))
    scale[0, -2:], shift[0, names.index(pinned)] = 0.0, 0.1
    envs.seed(list(range(4)))
    observation, state, begins, headings = envs.reset(np.arange(4)), None, np.ones(4, bool), []
    for _ in range(200):
        action, state = agent.predict(observation, state, begins, pins=Pins(scale, shift))
        observation, begins = envs.step(action).observation, np.zeros(4, bool)
        links = envs.physics.read("link_pos")
        headings.append(np.arctan2(*(links[:, 0] - links[:, -1])[:, ::-1].T))
    turned = np.diff(np.unwrap(np.array(headings), axis=0)[[80, -1]], axis=0)[0] / (119 * 0.03)
    sign = -1 if pinned == "right" else 1
    assert (sign * turned > 0.3).all()
    assert (sign * turned < 1.2).all()
    envs.close()


def test_it_finds_targets_untrained():
    envs = EnvBatch("forage", 16, "swimmer6", physics="lanes", episode_steps=1500, n_threads=1)
    agent = Agent(AgentSpec("relay_navigator", envs.layout, 5))
    found = evaluate_agent(agent, envs, seed=1).metrics
    assert found["reached"].mean() > 0.8
    assert found["path_efficiency"][found["reached"] > 0].mean() > 0.6
    envs.close()
