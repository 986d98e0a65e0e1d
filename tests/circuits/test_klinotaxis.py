"""The circuit that follows an odour: what it computes, and that it finds sources where its controls do not."""

import numpy as np
import pytest
import torch
from nervecord.agents import Agent, AgentSpec
from nervecord.circuits import Klinotaxis, Pins, RelayKlinotaxis
from nervecord.envs import EnvBatch
from nervecord.errors import CircuitMismatch
from nervecord.training.learning.training import train
from nervecord.training.rollouts.evaluation import evaluate_agent
from nervecord.training.runs.config import RunConfig


def stepped(circuit, odours, pins=None):
    """Return every neuron's value over a sequence of odours (ln c), by name."""
    state, rows = circuit.initial_state(1), []
    for odour in odours:
        sensors = torch.tensor([[*[0.0] * circuit.n_motors, odour / 5]])
        _, state, activity = circuit.forward_with_activity(sensors, state, pins)
        rows.append(activity[0])
    values = torch.stack(rows).detach().numpy()
    return dict(zip((neuron.name for neuron in circuit.neurons), values.T, strict=True))


def test_it_computes_the_change_on_each_side_of_the_head():
    odours = np.cumsum(np.random.default_rng(0).normal(0, 0.05, 200)) - 1
    found = stepped(Klinotaxis(5), odours)
    fast = slow = odours[0]
    y = z = 0.0
    for step, odour in enumerate(odours):
        fast, slow = (value + (1 - np.exp(-0.03 / tau)) * (odour - value) for value, tau in ((fast, 0.1), (slow, 0.6)))
        change = fast - slow
        side = 1.0 if (step - 22) % 60 < 30 else -1.0
        y += (1 - np.exp(-0.03 / 0.6)) * (change * side - y)
        z += (1 - np.exp(-0.03 / 1.0)) * (change - z)
        turn = np.clip(60 * y + 60 * max(-z, 0.0), -0.75, 0.75)
        expected = {
            "ON": max(change, 0) / 5, "OFF": max(-change, 0) / 5, "steer": y / 5, "falling": max(-z, 0) / 5,
            "right": max(turn, 0), "left": max(-turn, 0), "stop": 0.0, "odour": odour / 5,
        }  # fmt: skip
        for name, value in expected.items():
            assert found[name][step] == pytest.approx(value, abs=2e-5), (step, name)


def test_a_constant_odour_steers_nowhere_and_any_level_is_alike():
    still = stepped(Klinotaxis(5), np.full(70, -3.0))
    assert not still["right"].any()
    assert not still["left"].any()
    odours = np.cumsum(np.random.default_rng(1).normal(0, 0.05, 70))
    np.testing.assert_allclose(
        stepped(Klinotaxis(5), odours)["steer"], stepped(Klinotaxis(5), odours - 4)["steer"], atol=1e-6
    )


def test_weights_fit_every_body_and_are_few():
    assert sum(parameter.numel() for parameter in Klinotaxis(5).parameters()) == 14
    Klinotaxis(11).load_state_dict(Klinotaxis(5).state_dict())


def test_silenced_neurons_are_not_heard():
    circuit = Klinotaxis(5)
    names = [neuron.name for neuron in circuit.neurons]
    scale, shift = torch.ones(1, len(names)), torch.zeros(1, len(names))
    scale[0, [names.index("steer"), names.index("falling")]] = 0.0
    found = stepped(circuit, np.cumsum(np.random.default_rng(0).normal(0, 0.05, 70)), Pins(scale, shift))
    assert not found["right"].any()
    assert found["ON"].any()


def indices(n, circuit="klinotaxis", steps=1200, **options):
    task = {"distances": [1.0], "spread": 1.7, **options.pop("task", {})}
    envs = EnvBatch("chemotaxis", n, physics="auto", episode_steps=steps, **task)
    agent = Agent(AgentSpec(circuit, envs.layout, envs.body.n_joints, circuit_options=options))
    found = evaluate_agent(agent, envs).metrics
    envs.close()
    return found


def test_it_finds_sources_and_its_controls_do_not():
    found = indices(16)
    assert found["reached"].mean() > 0.9
    assert found["half_plane"].mean() > 0.5
    for control in (indices(16, task={"shuffled": True}), indices(16, circuit="ncap")):
        assert control["reached"].mean() < 0.5
        assert control["half_plane"].mean() < 0.45  # chance is 0, with a standard error of 0.2


@pytest.mark.parametrize("algorithm", ["ppo", "es"])
def test_it_learns_by_every_kind_of_learner(algorithm, tmp_path):
    options = {"ppo": {"n_envs": 4, "n_steps": 32, "batch_size": 64}, "es": {"n_envs": 8, "population": 8}}[algorithm]
    config = RunConfig("klinotaxis", algorithm, task="chemotaxis", steps=256, episode_steps=32,
                       algorithm_options=options)  # fmt: skip
    run = train(config, tmp_path / "run", progress=False)
    before, after = (run.agent(trained=trained).circuit.state_dict() for trained in (False, True))
    assert (before["log_seconds"] != after["log_seconds"]).any()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"klinotaxis": False, "klinokinesis": False}, "both left out"),
        ({"lag": float("nan")}, "lag is nan"),
        ({"period": 1}, "period is 1"),
    ],
)
def test_wrong_options_are_one_line(options, says):
    with pytest.raises(CircuitMismatch, match=says) as refused:
        Klinotaxis(5, **options)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", [Klinotaxis, RelayKlinotaxis])
def test_the_graph_of_the_odour_is_what_a_step_computes(kind):
    circuit = kind(5)
    with torch.no_grad():
        circuit.cap.fill_(1.0)
    names, weights = [neuron.name for neuron in circuit.neurons], {}
    for each in circuit.wiring().synapses:
        weights[each.pre, each.post] = each.weight
    state, sensors = circuit.initial_state(1), torch.zeros(1, circuit.n_sensors)

    def after(**clamped):
        scale, shift = torch.ones(len(names)), torch.zeros(len(names))
        for name, value in {"ON": 0.0, "OFF": 0.0, **clamped}.items():
            scale[names.index(name)], shift[names.index(name)] = 0.0, value
        values = circuit.forward_with_activity(sensors, state, Pins(scale, shift))[2][0].detach()
        return {name: float(values[at]) for at, name in enumerate(names)}

    # A little more falling turns more to the right, or less to the left where steer turns that way.
    for steer, side, other in ((1e-3, "right", "left"), (-1e-3, "left", "right")):
        moved = after(steer=steer, falling=1e-5)[side] - after(steer=steer, falling=0.0)[side]
        assert moved == pytest.approx(1e-5 * weights["falling", side], rel=1e-2)
        assert weights["falling", other] == pytest.approx(-weights["falling", side])
    # ON makes falling less by as much as OFF makes it more.
    fallen = after(OFF=0.2)["falling"]
    assert after(OFF=0.2, ON=0.1)["falling"] == pytest.approx(fallen / 2)
    assert weights["ON", "falling"] == -weights["OFF", "falling"] == -1
