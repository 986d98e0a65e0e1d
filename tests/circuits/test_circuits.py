"""Circuits beside their wiring, and what is said of mistakes; tests/testing/test_testing.py holds each to its laws."""

import numpy as np
import pytest
import torch
from circuit_cases import BATCH, CASES, JOINTS, SENSES
from nervecord.agents import Agent, AgentSpec
from nervecord.circuits import (
    BDH,
    CPG,
    CTM,
    Circuit,
    Composed,
    Connectome,
    Klinotaxis,
    Navigator,
    NCAPPlus,
    Relay,
    RelayKlinotaxis,
    RelayNavigator,
    make_circuit,
    register_circuit,
)
from nervecord.circuits import load_weights as load
from nervecord.circuits.contract import Neuron, Pins, Wiring
from nervecord.circuits.registry import circuit_facts, circuit_names
from nervecord.circuits.routing.policy import Policy
from nervecord.circuits.routing.recogniser import Recogniser
from nervecord.envs import EnvBatch
from nervecord.errors import CircuitMismatch, UnknownName
from nervecord.registry import Registry

# Those with a clock read the time where it is observed.
WITH_TIME = [
    (*case, senses)
    for case in CASES
    for senses in (SENSES, {**SENSES, "time": 1})
    if senses is SENSES or circuit_facts(case[0], SENSES, JOINTS, case[1]).memory == "clock"
]


@pytest.fixture(params=WITH_TIME, ids=lambda case: f"{case[0]}-{','.join(case[1])}-{len(case[2])}")
def circuit(request):
    name, options, senses = request.param
    return make_circuit(name, senses, JOINTS, options, torch.Generator().manual_seed(0))


def sensors_for(circuit: Circuit, *shape: int, seed: int = 0) -> torch.Tensor:
    """Random sensors, some beyond their range; time in whole steps."""
    rng = torch.Generator().manual_seed(seed)
    columns = [
        torch.randint(0, 200, (*shape, 1), generator=rng).float()
        if name == "time"
        else torch.rand(*shape, size, generator=rng) * 3 - 1.5
        for name, size in circuit.senses
    ]
    return torch.cat(columns, -1)


def state_at(circuit: Circuit, seed: int = 0) -> dict[str, torch.Tensor]:
    """The state of each environment at another time of its episode."""
    rng = torch.Generator().manual_seed(seed)
    state = circuit.initial_state(BATCH)
    for step in range(3):
        _, state = circuit(sensors_for(circuit, BATCH, seed=step), state)
        state = circuit.reset_state(state, torch.rand(BATCH, generator=rng) < 0.3)
    return state


@torch.no_grad()
def test_wiring_predicts_activity_from_its_presynaptic_neurons(circuit):
    """Every unit without a bias of its own is its inputs, weighted as drawn: names and columns agree."""
    if isinstance(circuit, CTM):
        pytest.skip(
            "its motors are quadratic in its neurons; tests/circuits/test_ctm.py checks the wiring as a derivative"
        )
    if isinstance(circuit, Klinotaxis | RelayKlinotaxis):
        pytest.skip("what steers it remembers, by the head's side; tests/circuits/test_klinotaxis.py checks its values")
    if isinstance(circuit, BDH):
        pytest.skip("its units multiply each other; tests/circuits/test_bdh.py checks their values")
    if isinstance(circuit, Composed):
        pytest.skip("its wires have gains, and each part is checked as a circuit of its own")
    if isinstance(circuit, Policy):
        pytest.skip("its motors are bounded, and its circuit is checked as one of its own")
    if isinstance(circuit, Recogniser):
        pytest.skip("it counts before it chooses; tests/circuits/test_routing.py checks its decisions")
    if isinstance(circuit, Relay | RelayNavigator):
        pytest.skip(
            "its units and muscles remember; tests/circuits/test_relay.py checks which side its wiring switches on"
        )
    if isinstance(circuit, CPG):
        output = list(range(len(circuit.neurons)))[circuit.groups["motors"]]
        activation = lambda drive: drive.clamp(-1, 1)  # noqa: E731 - motors have two directions
    elif isinstance(circuit, Connectome):
        # Its cells remember, and tests/circuits/test_connectome.py has their equation; its motors are muscles' means.
        output = [index for index, neuron in enumerate(circuit.neurons) if neuron.name.startswith("motor_")]
        activation = lambda drive: drive  # noqa: E731
    elif any("bias" in name for name, _ in circuit.named_parameters() if "linear" not in name):
        output = [index for index, neuron in enumerate(circuit.neurons) if neuron.role == "motor"]
        if any(neuron.name == "output_0" for neuron in circuit.neurons):
            output = [index for index, neuron in enumerate(circuit.neurons) if neuron.name.startswith("output_")]
        activation = lambda drive: drive  # noqa: E731 - motors of an MLP are linear, with zero bias at first
    else:
        output = [index for index, neuron in enumerate(circuit.neurons) if neuron.role in ("motor", "muscle")]
        graded = torch.tensor([isinstance(circuit, NCAPPlus) and circuit.neurons[i].role == "motor" for i in output])
        activation = lambda drive: torch.where(graded, drive.clamp(min=0).tanh(), drive.clamp(0, 1))  # noqa: E731
    column = {neuron.name: index for index, neuron in enumerate(circuit.neurons)}
    rng = torch.Generator().manual_seed(0)
    scale = torch.randint(2, (BATCH, len(column)), generator=rng).float()
    shift = 0.2 * torch.rand(BATCH, len(column), generator=rng)
    for pins in (None, Pins(scale, shift)):
        _, _, activity = circuit.forward_with_activity(sensors_for(circuit, BATCH), state_at(circuit), pins)
        drive = torch.zeros_like(activity)
        for synapse in circuit.wiring().synapses:
            drive[:, column[synapse.post]] += synapse.weight * activity[:, column[synapse.pre]]
        expected = activation(drive[:, output])
        if pins:
            expected = expected * scale[:, output] + shift[:, output]
        assert torch.allclose(expected, activity[:, output], atol=1e-5)


@torch.no_grad()
def test_hand_set_navigator_turns_right_for_a_target_on_the_right_and_stops_beside_it():
    circuit = Navigator(JOINTS, controller="hand")
    column = {neuron.name: index for index, neuron in enumerate(circuit.neurons)}
    # The head faces -y, so its right is -x.
    targets = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [0.05, -1.0], [0.05, 0.05]])
    sensors = torch.cat((torch.zeros(4, JOINTS), targets), 1)
    _, _, activity = circuit.forward_with_activity(sensors, circuit.initial_state(4))
    controls = activity[:, [column["right"], column["left"], column["stop"]]]
    assert controls.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]


@torch.no_grad()
def test_a_navigator_turns_by_the_smoothed_bearing():
    circuit = Navigator(JOINTS)
    column = {neuron.name: index for index, neuron in enumerate(circuit.neurons)}
    state, smoothed = circuit.initial_state(1), None
    for target in ([-0.5, -1.0], [0.4, -1.0], [0.4, -1.0], [0.0, 1.0]):
        sensors = torch.tensor([[*[0.0] * JOINTS, *target]])
        _, state, activity = circuit.forward_with_activity(sensors, state)
        now = np.array([-target[0], -target[1]]) / np.hypot(*target)
        smoothed = now if smoothed is None else smoothed + (1 - np.exp(-0.03 / 0.9)) * (now - smoothed)
        turn = np.clip(np.arctan2(*smoothed), -1, 1)
        found = [activity[0, column[name]].item() for name in ("right", "left", "stop")]
        np.testing.assert_allclose(found, [max(turn, 0), max(-turn, 0), 0], atol=1e-6)


def test_a_navigator_reaches_every_target_nearby():
    n = 24
    envs = EnvBatch("navigate", n, physics="auto", episode_steps=900)
    envs.seed(list(range(n)))
    observation = envs.reset(np.arange(n))
    agent = Agent(AgentSpec("navigator", envs.layout, JOINTS))
    nearest = distance = envs.metrics()["target_distance"]
    state, begins = None, np.ones(n, bool)
    for _ in range(900):
        action, state = agent.predict(observation, state, begins)
        stepped, begins = envs.step(action), np.zeros(n, bool)
        observation, nearest = stepped.observation, np.minimum(nearest, stepped.metrics["target_distance"])
    is_near = distance < 1.2
    assert is_near.sum() >= 5
    assert (nearest[is_near] < 0.15).all()


def test_weights_of_an_mlp_on_another_body_say_which_sizes_differ():
    small, large = (make_circuit("mlp", {"joint_pos": n}, n, {"hidden": [8]}) for n in (5, 7))
    with pytest.raises(CircuitMismatch, match=r"layers.0.weight \(8, 5\) there, \(8, 7\) here.*such as ncap"):
        load(large, small.state_dict())
    with pytest.raises(CircuitMismatch, match="on one side only"):
        load(large, make_circuit("ncap", SENSES, JOINTS).state_dict())


@pytest.mark.parametrize(
    ("name", "senses", "options", "error", "message"),
    [
        ("ncpa", SENSES, {}, UnknownName, "did you mean 'ncap'"),
        ("navigator", {"joint_pos": JOINTS}, {}, CircuitMismatch, "'to_target'.*holds only joint_pos"),
        ("ncap", {"observation": 8}, {}, CircuitMismatch, "'joint_pos'.*holds only observation"),
        ("ncap", {"joint_pos": JOINTS + 1}, {}, CircuitMismatch, "6 joints are sensed and 5 are moved"),
        ("ncap", SENSES, {"perod": 3}, CircuitMismatch, "did you mean 'period'"),
        ("ncap", SENSES, {"observe_time": True}, CircuitMismatch, "unknown option"),
        ("ncap", SENSES, {"period": "60"}, CircuitMismatch, "'60'; give int"),
        ("ncap", SENSES, {"period": True}, CircuitMismatch, "True; give int"),
        ("ncap", SENSES, {"period": 1}, CircuitMismatch, "2 or more"),
        ("ncap", SENSES, {"sharing": "no"}, CircuitMismatch, "'no'; give true or false.*options: "),
        ("ncap", SENSES, {"init": "zeros"}, CircuitMismatch, "constant"),
        ("ncap", SENSES, {"controls": True, "n_turn_joints": 9}, CircuitMismatch, "0 to 5"),
        ("navigator", SENSES, {"controller": "autopilot"}, CircuitMismatch, "hand"),
        ("mlp", SENSES, {"hidden": 64}, CircuitMismatch, "64; give"),
        ("mlp", SENSES, {"hidden": [0]}, CircuitMismatch, "numbers of units"),
        ("ctrnn", SENSES, {"form": "both"}, CircuitMismatch, "'both'; give '"),
        ("ctrnn", SENSES, {"time_constants": "free"}, CircuitMismatch, "'free'; give '"),
        ("elm", SENSES, {"tau": 5.0}, CircuitMismatch, "5.0; give tuple"),
        ("ctrnn", SENSES, {"tau": [0.5, 2]}, CircuitMismatch, "from 1 up"),
        ("ctrnn", SENSES, {"substeps": 0}, CircuitMismatch, "1 or more"),
        ("ctrnn", SENSES, {"units": 8, "rank": 9}, CircuitMismatch, "rank is 9; give 1 to 8"),
        ("elm", SENSES, {"branches": 99}, CircuitMismatch, "give 1 to 86"),
        ("elm", SENSES, {"layers": 0}, CircuitMismatch, "1 or more"),
        ("elm", SENSES, {"layers": 10_000}, CircuitMismatch, "are the most, so give less"),
        ("elm", SENSES, {"tau": [5.0, 1.0]}, CircuitMismatch, "a rising range"),
        ("gru", SENSES, {"units": 0}, CircuitMismatch, "units is 0; give 1 or more"),
        ("lstm", SENSES, {"units": 4, "rank": 0}, CircuitMismatch, "rank is 0; give 1 to 4"),
        ("ltc", SENSES, {"units": 7}, CircuitMismatch, "give 8 or more"),
        ("cfc", SENSES, {"sparsity": 0.95}, CircuitMismatch, r"0\.1 \(dense\) to 0\.9"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_would_be_right(name, senses, options, error, message):
    with pytest.raises(error, match=message) as caught:
        make_circuit(name, senses, JOINTS, options)
    assert "\n" not in str(caught.value)


def test_a_registered_circuit_is_built_by_its_name(monkeypatch):
    class Still(Circuit):
        def __init__(self, senses, n_motors, *, amount: float = 0.0, rng=None):  # noqa: ARG002
            super().__init__()
            self.senses, self.n_motors, self.amount = tuple(senses.items()), n_motors, amount
            self.neurons = tuple(Neuron(f"motor_{i}", "motor") for i in range(n_motors))

        def initial_state(self, batch_size):  # noqa: ARG002
            return {}

        def forward_with_activity(self, sensors, state):
            motor = sensors.new_full((len(sensors), self.n_motors), self.amount)
            return motor, state, motor

        def wiring(self):
            return Wiring(self.neurons, ())

    monkeypatch.setattr("nervecord.circuits.registry.CIRCUITS", Registry("made.up"))
    register_circuit("still", Still, "moves nothing")
    assert circuit_names() == {"still": "moves nothing"}
    circuit = make_circuit("still", {"joint_pos": 3}, 3, {"amount": 1})
    assert circuit(torch.zeros(2, 3), {})[0].tolist() == [[1, 1, 1]] * 2
    with pytest.raises(CircuitMismatch, match="give float"):
        make_circuit("still", {"joint_pos": 3}, 3, {"amount": "much"})
