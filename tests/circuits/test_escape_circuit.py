"""The circuit that turns its wave round: what it remembers, and that its gait is then the mirror image."""

import numpy as np
import pytest
import torch
from nervecord.agents import Agent, AgentSpec
from nervecord.benchmarks.results.worm_gait import wave_of
from nervecord.circuits import Escape, Pins, Relay
from nervecord.envs import EnvBatch
from nervecord.training.learning.training import train
from nervecord.training.rollouts.evaluation import evaluate_agent
from nervecord.training.runs.config import RunConfig

WORM = {"init": "worm", "limit": 12.0, "velocity": True}


def stepped(circuit, touches, pins=None):
    """Return every neuron's value over a sequence of touches on links, by name."""
    state, rows = circuit.initial_state(1), []
    for touch in touches:
        sensors = torch.tensor([[*[0.0] * (circuit.n_sensors - len(touch)), *touch]], dtype=torch.float32)
        with torch.no_grad():
            _, state, activity = circuit.forward_with_activity(sensors, state, pins)
        rows.append(activity[0].numpy())
    return dict(zip((neuron.name for neuron in circuit.neurons), np.array(rows).T, strict=True))


def test_touch_is_remembered_and_opens_the_latch():
    touches = [[0, 0.5, 0, 0, 0, 0]] * 10 + [[0.0] * 6] * 200 + [[0, 0, 0, 0, 1.0, 0]] * 5 + [[0.0] * 6] * 50
    found = stepped(Escape(5), touches)
    r = e = 0.0
    for step, touch in enumerate(touches):
        r = min(max(r + 0.03 * (2.0 * max(touch[:3]) - r / 3), 0), 1)
        e = min(max(e + 0.03 * (2.0 * max(touch[3:]) - e / 3), 0), 1)
        assert found["front"][step] == pytest.approx(r, abs=1e-5)
        assert found["backward"][step] == (r > 0.2)
        assert found["boost"][step] == pytest.approx(min(e, 0.5), abs=1e-5)
    # It lasts 3 s ln(peak / 0.2).
    assert 0.03 * found["backward"].sum() == pytest.approx(3 * np.log(found["front"].max() / 0.2), abs=0.15)
    assert found["boost"].max() > 0.2


@torch.no_grad()
def test_backward_is_the_relay_on_a_body_seen_from_behind():
    circuit, relay = Escape(7).double(), Relay(7).double()
    relay.gain.fill_(float(circuit.gain))
    rng = torch.Generator().manual_seed(0)
    state, own = circuit.initial_state(3), relay.initial_state(3)
    own["on"], state["on"] = own["on"].flip(1), state["on"]
    names = [neuron.name for neuron in circuit.neurons]
    scale, shift = torch.ones(1, len(names)).double(), torch.zeros(1, len(names)).double()
    scale[0, names.index("backward")], shift[0, names.index("backward")] = 0.0, 1.0
    for _ in range(40):
        q = torch.randn(3, 7, generator=rng, dtype=torch.float64)
        sensors = torch.cat((q, torch.zeros(3, 8, dtype=torch.float64)), 1)
        motor, state = circuit(sensors, state, Pins(scale, shift))
        mirrored, own = relay(q.flip(1), own)
        torch.testing.assert_close(motor.flip(1), mirrored)


def swum(backward, medium, seconds=13.0):
    """Return frequency, wavelength and speed, L/s, of the worm of 13 links, whose latch is clamped."""
    steps = round(seconds / 0.03)
    envs = EnvBatch("escape", 2, "worm", medium, "auto", 1, strength=0.0, episode_steps=steps,
                    senses=["joint_pos", "joint_vel", "touch"])  # fmt: skip
    agent = Agent(AgentSpec("escape", envs.layout, 12, circuit_options=WORM))
    names = [neuron.name for neuron in agent.circuit.neurons]
    scale, shift = torch.ones(1, len(names)), torch.zeros(1, len(names))
    scale[0, names.index("backward")], shift[0, names.index("backward")] = 0.0, float(backward)
    envs.seed([0, 1])
    observation, state, begins = envs.reset(np.arange(2)), None, np.ones(2, bool)
    bends, places = [], []
    for _ in range(steps):
        action, state, _ = agent.predict_with_activity(observation, state, begins, pins=Pins(scale, shift))
        observation, begins = envs.step(action).observation, np.zeros(2, bool)
        bends.append(13 * envs.physics.read("joint_pos"))
        places.append(envs.task._place[np.arange(2), envs.elapsed])
    envs.close()
    first = int(0.4 * steps)
    frequency, wavelength, _ = wave_of(np.array(bends)[first:, 0], 0.03)
    return frequency, wavelength, (places[-1] - places[first])[0] / ((steps - first) * 0.03)


@pytest.mark.slow
def test_the_gait_runs_the_other_way():
    """As the prototype: frequency and wavelength keep, but for the sign; the false drift to the head does not turn."""
    forth, back = (swum(backward, {"name": "newtonian", "viscosity": 0.3}) for backward in (0, 1))
    assert back[0] == pytest.approx(forth[0], rel=0.03)
    assert back[1] == pytest.approx(-forth[1], rel=0.05)
    assert forth[2] > 0.04
    assert back[2] < -0.02


def measured(**task):
    envs = EnvBatch("escape", 6, physics="auto", episode_steps=300, n_threads=1, earliest=4.0, latest=5.0,
                    senses=["joint_pos", "joint_vel", "touch", "body_velocities"], **task)  # fmt: skip
    agent = Agent(AgentSpec("escape", envs.layout, 5, circuit_options={"velocity": True}))
    found = evaluate_agent(agent, envs).metrics
    envs.close()
    return found


def test_it_escapes_and_without_touch_it_does_not():
    assert measured(where="front")["reversed"].mean() == 1.0
    assert measured(where="front", strength=0.0)["reversed"].mean() == 0.0


def test_fourteen_weights_fit_every_length():
    assert sum(parameter.numel() for parameter in Escape(5).parameters()) == 14
    Escape(11).load_state_dict(Escape(5).state_dict())


def test_the_wiring_is_mirrored_while_it_goes_backwards():
    circuit = Escape(5)
    state = circuit.initial_state(1)
    state["excited"] = torch.tensor([[0.5, 0.0]])
    ahead, back = ({(s.pre, s.post): s.weight for s in circuit.wiring(each).synapses} for each in (None, state))
    assert back["q_d_4", "B_d_4"] == pytest.approx(ahead["q_d_0", "B_d_0"])
    assert back["q_d_0", "B_d_3"] == pytest.approx(ahead["q_d_4", "B_d_1"])
    assert ahead["touch_0", "front"] == pytest.approx(2.0)
    assert ("touch_5", "rear") in ahead


@pytest.mark.parametrize("algorithm", ["ppo", "es", "cmaes"])
def test_it_learns_by_every_kind_of_learner(algorithm, tmp_path):
    options = {"n_envs": 4, "n_steps": 32, "batch_size": 64} if algorithm == "ppo" else {"n_envs": 8}
    config = RunConfig("escape", algorithm, task="escape", steps=256, episode_steps=64, algorithm_options=options,
                       task_options={"earliest": 1.0, "latest": 1.2})  # fmt: skip
    run = train(config, tmp_path / "run", progress=False)
    before, after = (run.agent(trained=trained).circuit.state_dict() for trained in (False, True))
    assert (before["rise"] != after["rise"]).any()
