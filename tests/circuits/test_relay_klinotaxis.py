"""An odour that steers a circuit without a clock: its sense of sides, and sources that it finds and controls do not."""

import numpy as np
import pytest
import torch
from nervecord.agents import Agent, AgentSpec
from nervecord.circuits import RelayKlinotaxis, RelayNavigator
from nervecord.envs import EnvBatch
from nervecord.errors import CircuitMismatch
from nervecord.training.rollouts.evaluation import evaluate_agent


def test_its_side_is_that_of_the_heads_unit_a_share_of_a_period_ago():
    """With joints that swing by 60 steps, the unit switches twice in them, and the half period becomes 0.9 s."""
    circuit, angles = RelayKlinotaxis(4, lag=0.25), 0.8 * np.sin(2 * np.pi * np.arange(600) / 60)
    state, switched, sides = circuit.initial_state(1), [], []
    with torch.no_grad():
        for angle in angles:
            side, since, half = (float(state[name]) for name in ("side", "since", "half"))
            sides.append(-side if since < 2 * 0.25 * half else side)
            _, state = circuit(torch.tensor([[*[angle] * 4, 0.0]], dtype=torch.float32), state)
            switched.append(float(state["side"]))
    assert float(state["half"]) == pytest.approx(0.9, abs=0.02)
    # A quarter of a period is 15 steps.
    assert np.mean(np.array(sides[316:]) == np.array(switched[300:-16])) > 0.95


def test_the_odour_turns_all_joints_as_a_navigators_target_does():
    """What rises while the head is dorsal says: turn there. Here its side is kept, and the odour rises by 0.2 %."""
    circuit = RelayKlinotaxis(5, klinokinesis=False)
    state, rows = circuit.initial_state(1), []
    names = [neuron.name for neuron in circuit.neurons]
    with torch.no_grad():
        for step in range(40):
            fixed = {**state, "side": torch.ones(1, 1), "since": torch.full((1, 1), 99.0)}
            _, state, values = circuit.forward_with_activity(torch.tensor([[*[0.0] * 5, 0.002 * step / 5]]), fixed)
            rows.append(dict(zip(names, values[0].tolist(), strict=True)))
    fast = slow = steer = 0.0
    for step, row in enumerate(rows):
        odour = 0.002 * step
        if step:
            fast += (1 - np.exp(-0.03 / 0.08)) * (odour - fast)
            slow += (1 - np.exp(-0.03 / 0.6)) * (odour - slow)
        steer += (1 - np.exp(-0.03 / 0.75)) * (fast - slow - steer)
        turn = min(60 * 2.5 * steer, 0.5)
        assert row["right"] == pytest.approx(turn, abs=1e-5)
        assert row["left"] == 0.0
        assert row["q_v_2"] == pytest.approx(turn, abs=1e-5)


def test_a_constant_odour_steers_nowhere():
    circuit, state = RelayKlinotaxis(5), RelayKlinotaxis(5).initial_state(2)
    for _ in range(50):
        _, state, values = circuit.forward_with_activity(torch.tensor([[*[0.1] * 5, -0.6]] * 2), state)
        assert not values[:, len(circuit.relay.neurons) : len(circuit.relay.neurons) + 2].any()


def test_weights_fit_every_body_and_are_few():
    assert sum(parameter.numel() for parameter in RelayKlinotaxis(5).parameters()) == 18
    RelayKlinotaxis(11).load_state_dict(RelayKlinotaxis(5).state_dict())
    assert RelayNavigator(5).relay.state_dict().keys() == RelayKlinotaxis(5).relay.state_dict().keys()


def indices(n, circuit="relay_klinotaxis", steps=1200, **options):
    task = {"distances": [1.0], "spread": 1.7, **options.pop("task", {})}
    envs = EnvBatch("chemotaxis", n, physics="auto", episode_steps=steps, **task)
    agent = Agent(AgentSpec(circuit, envs.layout, envs.body.n_joints, circuit_options=options))
    found = evaluate_agent(agent, envs).metrics
    envs.close()
    return found


def test_it_finds_sources_and_its_controls_do_not():
    found = indices(16)
    assert found["reached"].mean() > 0.9
    assert found["half_plane"].mean() > 0.8
    for control in (indices(16, task={"shuffled": True}), indices(16, circuit="relay")):
        assert control["reached"].mean() < 0.5
        assert control["half_plane"].mean() < 0.5  # chance is 0, with a standard error of 0.2


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"klinotaxis": False, "klinokinesis": False}, "both left out"),
        ({"lag": float("inf")}, "lag is inf"),
        ({"init": "eel"}, "init is 'eel'"),
    ],
)
def test_wrong_options_are_one_line(options, says):
    with pytest.raises(CircuitMismatch, match=says) as refused:
        RelayKlinotaxis(5, **options)
    assert "\n" not in str(refused.value)
