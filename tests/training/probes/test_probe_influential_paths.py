"""Paths: planted ones are found, and all of them together make up what the circuit does."""

import copy
import itertools

import numpy as np
import pytest
import torch
from nervecord.agents import Agent
from nervecord.errors import InvalidRecording
from nervecord.training.learning.training import train
from nervecord.training.probes import Subject, run_probe
from nervecord.training.probes.influential_paths import (
    Layers,
    all_contributions,
    circuit_layers,
    strongest_paths,
    total_strength,
)
from nervecord.training.rollouts.recorder import record
from nervecord.training.runs.config import RunConfig
from nervecord.training.runs.resolution import resolve


def random_layers(rng, sizes, samples=3) -> Layers:
    names = tuple(tuple(f"{layer}_{i}" for i in range(size)) for layer, size in enumerate(sizes))
    jacobians = [0.1 * rng.standard_normal((samples, b, a)) for a, b in itertools.pairwise(sizes)]
    return Layers(names, rng.standard_normal((samples, sizes[0])), tuple(jacobians))


def test_a_planted_path_is_found_by_all_and_by_beam():
    layers = random_layers(np.random.default_rng(0), (4, 8, 3))
    layers.values[:, 2] = 1.0
    layers.jacobians[0][:, 5, 2] = 2.0
    layers.jacobians[1][:, 1, 5] = 2.0
    assert strongest_paths(layers, 1)[0].neurons == (2, 5, 1)
    assert strongest_paths(layers, 1, beam=1)[0].neurons == (2, 5, 1)


def test_the_beam_finds_what_all_paths_show():
    # Too many paths for `strongest_paths` to look at all of them, not too many for the test.
    layers = random_layers(np.random.default_rng(1), (20, 30, 30, 15))
    strength = np.abs(all_contributions(layers)).mean(0)
    best = strongest_paths(layers, 1)[0]
    assert best.neurons == np.unravel_index(strength.argmax(), strength.shape)
    assert best.strength == pytest.approx(strength.max())
    assert total_strength(layers) == pytest.approx(strength.sum())


@pytest.fixture(scope="module")
def worm(tmp_path_factory):
    config = RunConfig(steps=9600, episode_steps=200, algorithm_options={"n_envs": 8})
    run = train(config, tmp_path_factory.mktemp("worm") / "run", progress=False)
    return Subject(record(run, 2), run.agent().circuit.wiring(), run)


def test_all_paths_of_ncap_add_up_to_what_it_does(worm):
    agent = worm.run.agent()
    layers = circuit_layers(agent, np.asarray(worm.recording.observations))
    assert [name[:3] for name in layers.names[0]][:1] == ["q_d"] or "osc_d" in layers.names[0]
    every = all_contributions(layers)
    muscles = every.sum(tuple(range(1, every.ndim - 1)))
    steps = np.linspace(200 // 3, 199, 96).astype(int)
    activity = np.asarray(worm.recording.activity)[np.arange(96) % 2, steps]
    column = {name: index for index, name in enumerate(worm.recording.neurons)}
    actual = activity[:, [column[name] for name in layers.names[-1]]]
    # Away from its kinks, and with F(0) = 0: a neuron at 0 or 1 is clipped, and its paths carry nothing.
    b_neurons = activity[:, [column[name] for name in column if name.startswith("B_")]]
    clean = ((b_neurons > 0.01) & (b_neurons < 0.99)) | (b_neurons == 0)
    of_neuron = {name: clean[:, i] for i, name in enumerate(n for n in column if n.startswith("B_"))}
    checked = 0
    for place, name in enumerate(layers.names[-1]):
        joint = name.split("_")[-1]
        unclipped = (actual[:, place] > 0.01) & (actual[:, place] < 0.99)
        fine = of_neuron[f"B_d_{joint}"] & of_neuron[f"B_v_{joint}"] & unclipped
        assert np.allclose(muscles[fine, place], actual[fine, place], atol=1e-4), name
        checked += int(fine.sum())
    assert checked > 5


def test_the_strongest_path_of_ncap_is_one_of_its_chains(worm):
    result = run_probe("influential_paths", worm)
    for text in result.arrays["path"]:
        sensor, b_neuron, muscle = text.split(" -> ")
        assert b_neuron.startswith("B_")
        assert muscle.startswith("muscle_")
        if sensor.startswith("q_"):
            # Stretch of a joint is heard by the next one's B-neuron, of its own side.
            assert int(b_neuron[-1]) == int(sensor[-1]) + 1
            assert b_neuron[2] == sensor[2]
    assert result.numbers["greedy_over_strongest"] <= 1 + 1e-9


def test_an_mlps_jacobians_are_those_of_autograd(tmp_path):
    config = RunConfig(
        "mlp", "ppo", steps=256, episode_steps=60, circuit_options={"hidden": (6, 5)},
        algorithm_options={"n_steps": 64, "n_envs": 4},
    )  # fmt: skip
    run = train(config, tmp_path / "run", progress=False)
    agent = run.agent()
    observations = np.asarray(record(run, 2).observations)
    layers = circuit_layers(agent, observations)
    product = layers.jacobians[2] @ layers.jacobians[1] @ layers.jacobians[0]
    sensors = agent.sense(observations).double()
    steps = np.linspace(20, 59, 96).astype(int)
    assert all(parameter.dtype == torch.float32 for parameter in agent.circuit.parameters()), "as it was"
    circuit = copy.deepcopy(agent.circuit).double()
    exact = torch.func.vmap(torch.func.jacrev(lambda x: circuit(x[None], {})[0][0]))(sensors[np.arange(96) % 2, steps])
    assert np.allclose(product, exact.detach().numpy(), atol=1e-6)


def test_a_recurrent_circuit_is_unrolled_over_the_delay(tmp_path):
    config = RunConfig(
        "ctrnn", "ppo", steps=256, episode_steps=60, circuit_options={"units": 5},
        algorithm_options={"n_steps": 64, "n_envs": 4, "sequence_length": 16},
    )  # fmt: skip
    run = train(config, tmp_path / "run", progress=False)
    agent = run.agent()
    observations = np.asarray(record(run, 2).observations)
    layers = circuit_layers(agent, observations, delay=2)
    total = layers.jacobians[3] @ layers.jacobians[2] @ layers.jacobians[1] @ layers.jacobians[0]
    circuit = copy.deepcopy(agent.circuit).double()
    sensors = agent.sense(observations).double()

    def now(x, episode, step):
        state = circuit.initial_state(1)
        for at in range(step + 1):
            row = x if at == step - 2 else sensors[episode, at]
            motor, state = circuit(row[None], state)
        return motor[0]

    exact = torch.func.jacrev(lambda x: now(x, 0, 20))(sensors[0, 18])
    assert np.allclose(total[0], exact.detach().numpy(), atol=1e-8)


@pytest.mark.parametrize("circuit", ["cfc", "ltc"])
def test_a_readout_of_motor_neurons_alone_is_a_layer_too(circuit):
    agent = Agent(resolve(RunConfig(circuit, body="swimmer4")).agent)
    layers = circuit_layers(agent, np.random.default_rng(0).normal(size=(1, 60, agent.layout.size)))
    last = layers.jacobians[-1]
    names, motors = layers.names[-2], layers.names[-1]
    assert last.shape[1:] == (len(motors), len(names))
    assert np.array_equal(last[0] != 0, [[name == f"motor_{i}" for name in names] for i in range(len(motors))])


def test_captum_agrees_on_layers():
    attr = pytest.importorskip("captum.attr")
    config = RunConfig("mlp", circuit_options={"hidden": (6,)}, body="swimmer3")
    agent = Agent(resolve(config).agent)
    observations = np.random.default_rng(0).standard_normal((1, 60, agent.layout.size)) * 1e-3
    layers = circuit_layers(agent, observations)
    every = all_contributions(layers)
    circuit = copy.deepcopy(agent.circuit).double()
    steps = np.linspace(20, 59, 96).astype(int)
    x = agent.sense(observations).double()[0, steps]

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last, self.act = circuit.layers[0], circuit.layers[1], torch.nn.Tanh()

        def forward(self, x):
            return self.last(self.act(self.first(x)))

    net = Net()
    conductance = attr.LayerConductance(net, net.act).attribute(x, target=0, n_steps=50).detach().numpy()
    # Near 0 the circuit is linear: what flows through a hidden unit is the sum of the paths through it.
    assert np.allclose(every[..., 0].sum(1), conductance, atol=1e-5 * np.abs(conductance).max() + 1e-9, rtol=3e-3)


def test_a_memory_that_is_no_neurons_is_one_line(tmp_path):
    config = RunConfig(
        "lstm", "ppo", steps=256, episode_steps=60, circuit_options={"units": 4},
        algorithm_options={"n_steps": 64, "n_envs": 4, "sequence_length": 16},
    )  # fmt: skip
    run = train(config, tmp_path / "run", progress=False)
    with pytest.raises(InvalidRecording, match="memory of LSTM is not its neurons"):
        run_probe("influential_paths", Subject(record(run, 1), run.agent().circuit.wiring(), run))
