"""What holds for every registered circuit."""

import copy

import pytest
import torch
from nervecord.circuits import (
    CTM,
    Circuit,
    Connectome,
    Navigator,
    NCAPPlus,
    circuit_names,
    make_circuit,
    register_circuit,
)
from nervecord.circuits import load_weights as load
from nervecord.circuits.contract import Neuron, Pins, Wiring
from nervecord.errors import CircuitMismatch, UnknownName
from nervecord.registry import Registry
from torch.func import functional_call, stack_module_state

JOINTS, BATCH, STEPS = 5, 7, 70
SENSES = {"joint_pos": JOINTS, "body_velocities": 18, "to_target": 2}
VARIANTS = {
    "ncap": [
        {"oscillator": False},
        {"sharing": False},
        {"sign_constraints": False, "init": "uniform"},
        {"controls": True},
    ],
    "navigator": [{"controller": "learned"}, {"controller": "learned", "sharing": False}],
    "mlp": [{"hidden": (8,)}],
    "ctrnn": [
        {"units": 9, "form": "drive", "time_constants": "clamp", "tau": (1.5, 4.0)},
        {"units": 9, "time_constants": "fixed", "learn_start": False, "rank": 2, "substeps": 3},
    ],
    "elm": [{"units": 5, "branches": 3, "layers": 2, "learn_tau": False, "tau": (2.0, 50.0)}],
    "ltc": [{"units": 9, "sparsity": 0.2}],
    "cfc": [{"units": 9, "sparsity": 0.2}],
    "gru": [{"units": 7, "rank": 3}],
    "lstm": [{"units": 7, "rank": 3}],
    "ctm": [
        {"d_model": 24, "d_input": 8, "n_synch": 6, "deep": False, "ticks": 2, "heads": (8,)},
        {"d_model": 24, "d_input": 8, "n_synch": 6, "synapse_depth": 3, "memory_length": 5},
    ],
}
WEAK_WEIGHTS = {"prop": 0.4, "osc": 0.4, "turn": 0.3, "speed": -0.1, "ipsi": 0.4, "contra": -0.1}
CASES = [(name, options) for name in circuit_names() for options in [{}, *VARIANTS.get(name, [])]]


@pytest.fixture(params=[False, True], ids=["counts", "observes-time"])
def senses(request):
    return {**SENSES, "time": 1} if request.param else SENSES


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{','.join(case[1])}")
def circuit(request, senses):
    name, options = request.param
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
def test_unroll_equals_stepping_and_resets_inside_the_sequence(circuit):
    sensors, state = sensors_for(circuit, STEPS, BATCH), state_at(circuit)
    episode_start = torch.rand(STEPS, BATCH, generator=torch.Generator().manual_seed(1)) < 0.05
    assert episode_start.any(0).sum() > 1
    assert not episode_start.all(0).any()
    stepped, stepping = [], state
    for row, start in zip(sensors, episode_start, strict=True):
        motor, stepping = circuit(row, circuit.reset_state(stepping, start))
        stepped.append(motor)
    # Circuit.unroll is what circuits without an unroll of their own inherit.
    for unroll in (type(circuit).unroll, Circuit.unroll):
        motor, last = unroll(circuit, sensors, state, episode_start)
        assert torch.allclose(motor, torch.stack(stepped), atol=1e-6)
        assert last.keys() == stepping.keys()
        assert all(torch.allclose(last[key], stepping[key], atol=1e-5) for key in last)


@torch.no_grad()
def test_unroll_in_two_pieces_equals_one(circuit):
    sensors, state = sensors_for(circuit, STEPS, BATCH), state_at(circuit)
    episode_start = torch.zeros(STEPS, BATCH, dtype=torch.bool)
    episode_start[40, 2] = True
    whole, end = circuit.unroll(sensors, state, episode_start)
    first, middle = circuit.unroll(sensors[:33], state, episode_start[:33])
    second, last = circuit.unroll(sensors[33:], middle, episode_start[33:])
    assert torch.allclose(whole, torch.cat((first, second)), atol=1e-6)
    assert all(torch.allclose(end[key], last[key], atol=1e-5) for key in end)


def test_a_reset_state_forgets_nan(circuit):
    """An episode that ended in NaN leaves nothing to the next, neither in what follows nor in gradients."""
    state = {key: torch.full_like(value, torch.nan) for key, value in circuit.initial_state(BATCH).items()}
    start = torch.zeros(4, BATCH, dtype=torch.bool)
    start[0] = True
    motor, after = circuit.unroll(sensors_for(circuit, 4, BATCH), state, start)
    assert motor.isfinite().all()
    assert all(value.isfinite().all() for value in after.values())
    if motor.requires_grad:
        motor.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in circuit.parameters() if parameter.grad is not None)


@torch.no_grad()
def test_vmap_over_a_population_equals_a_loop_over_it(circuit):
    population = [circuit]
    for seed in (1, 2):
        member = torch.nn.utils.parameters_to_vector(circuit.parameters())
        noise = torch.randn(member.shape, generator=torch.Generator().manual_seed(seed))
        population.append(make_like(circuit, member + 0.5 * noise))
    weights, buffers = stack_module_state(population)
    sensors, state = sensors_for(circuit, 3, BATCH), state_at(circuit)
    states = {key: torch.stack([value] * 3) for key, value in state.items()}

    def one(weights, buffers, sensors, state):
        return functional_call(circuit, (weights, buffers), (sensors, state))

    motor, after = torch.vmap(one)(weights, buffers, sensors, states)
    for index, member in enumerate(population):
        expected, expected_state = member(sensors[index], state)
        assert torch.allclose(motor[index], expected, atol=1e-5)
        assert all(torch.allclose(after[key][index], expected_state[key], atol=1e-5) for key in expected_state)


def make_like(circuit: Circuit, weights: torch.Tensor) -> Circuit:
    """A copy of a circuit with other weights."""
    other = copy.deepcopy(circuit)
    torch.nn.utils.vector_to_parameters(weights, other.parameters())
    return other


@torch.no_grad()
def test_activity_has_a_column_per_neuron_and_the_motors_of_a_plain_step(circuit):
    sensors, state = sensors_for(circuit, BATCH), state_at(circuit)
    before = {key: value.clone() for key, value in state.items()}
    motor, after, activity = circuit.forward_with_activity(sensors, state)
    plain, plain_after = circuit(sensors, state)
    assert torch.equal(motor, plain)
    assert motor.shape == (BATCH, circuit.n_motors)
    assert all(torch.equal(after[key], plain_after[key]) for key in plain_after)
    assert all(torch.equal(state[key], before[key]) for key in before), "a step changed the state it was given"
    assert activity.shape == (BATCH, len(circuit.neurons))


@torch.no_grad()
def test_wiring_predicts_activity_from_its_presynaptic_neurons(circuit):
    """Every unit without a bias of its own is its inputs, weighted as drawn: names and columns agree."""
    if isinstance(circuit, CTM):
        pytest.skip("its motors are quadratic in its neurons; tests/test_ctm.py checks the wiring as a derivative")
    if isinstance(circuit, Connectome):
        # Its cells remember, and tests/test_connectome.py has their equation; its motors are muscles' means.
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
def test_pins_that_change_nothing_change_nothing(circuit):
    sensors, state = sensors_for(circuit, BATCH), state_at(circuit)
    motor, after, activity = circuit.forward_with_activity(sensors, state)
    n = len(circuit.neurons)
    pins = Pins(torch.ones(BATCH, n), torch.zeros(BATCH, n))
    pinned_motor, pinned_after, pinned_activity = circuit.forward_with_activity(sensors, state, pins)
    assert torch.allclose(pinned_motor, motor, atol=1e-6)
    assert torch.allclose(pinned_activity, activity, atol=1e-6)
    assert all(torch.allclose(pinned_after[key], after[key], atol=1e-6) for key in after)


@torch.no_grad()
def test_a_clamped_neuron_holds_its_value_and_is_heard_so(circuit):
    """In every environment another neuron is clamped; what hears it departs from a circuit left alone."""
    n = len(circuit.neurons)
    pins = Pins(1 - torch.eye(n), 0.37 * torch.eye(n))
    free = held = {key: value[:1].expand(n, *value.shape[1:]) for key, value in state_at(circuit).items()}
    departed = torch.zeros(n, n, dtype=torch.bool)
    for step in range(4):
        sensors = sensors_for(circuit, 1, seed=step).expand(n, -1)
        _, free, expected = circuit.forward_with_activity(sensors, free)
        plain, _ = circuit(sensors, held, pins)
        motor, held, activity = circuit.forward_with_activity(sensors, held, pins)
        assert torch.equal(plain, motor)
        assert torch.allclose(activity.diagonal(), torch.tensor(0.37)), "a clamped neuron left its value"
        departed |= (activity - expected).abs() > 1e-6
    departed &= ~torch.eye(n, dtype=torch.bool)
    driving = {synapse.pre for synapse in circuit.wiring().synapses if abs(synapse.weight) > 1e-3}
    heard = [index for index, neuron in enumerate(circuit.neurons) if neuron.name in driving]
    # Units that are saturated or rectified away may hide their inputs: some must be heard, not each.
    assert departed[heard].any()


def test_neurons_are_unique_and_placed_along_the_body(circuit):
    names = [neuron.name for neuron in circuit.neurons]
    assert len(set(names)) == len(names)
    assert circuit.wiring().neurons == circuit.neurons
    assert all(neuron.position is None or 0 <= neuron.position <= 1 for neuron in circuit.neurons)


@torch.no_grad()
def test_permuting_the_batch_permutes_the_outputs(circuit):
    sensors, state = sensors_for(circuit, BATCH), state_at(circuit)
    order = torch.randperm(BATCH, generator=torch.Generator().manual_seed(3))
    motor, _ = circuit(sensors, state)
    permuted, _ = circuit(sensors[order], {key: value[order] for key, value in state.items()})
    assert torch.allclose(permuted, motor[order], atol=1e-6)


def test_every_parameter_receives_a_gradient(circuit):
    # Weak weights and inputs keep the clipped sums off their bounds.
    with torch.no_grad():
        for name, parameter in circuit.named_parameters():
            kind = name.split(".")[-1]
            if kind in WEAK_WEIGHTS:
                parameter.fill_(WEAK_WEIGHTS[kind])
    sensors = sensors_for(circuit, STEPS, 64, seed=5) * 0.4
    if "time" in dict(circuit.senses):
        sensors[..., JOINTS] = torch.arange(STEPS)[:, None].float()
    start = torch.zeros(STEPS, 64, dtype=torch.bool)
    weight = torch.rand(STEPS, 64, JOINTS, generator=torch.Generator().manual_seed(4))
    (circuit.unroll(sensors, circuit.initial_state(64), start)[0] * weight).sum().backward()
    can_turn = "turn" in {synapse.group for synapse in circuit.wiring().synapses if synapse.group}
    for name, parameter in circuit.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if name == "contra" and not can_turn:
            continue  # see test_contra_is_silent_until_both_sides_are_excited
        assert parameter.grad.any(), name


@pytest.mark.parametrize("name", circuit_names())
def test_the_same_seed_draws_the_same_weights(name):
    one, two = (make_circuit(name, SENSES, JOINTS, {}, torch.Generator().manual_seed(9)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


@torch.no_grad()
def test_hand_set_navigator_turns_right_for_a_target_on_the_right_and_stops_beside_it():
    circuit = Navigator(JOINTS)
    column = {neuron.name: index for index, neuron in enumerate(circuit.neurons)}
    # The head faces -y, so its right is -x.
    targets = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [0.05, -1.0], [0.05, 0.05]])
    sensors = torch.cat((torch.zeros(4, JOINTS), targets), 1)
    _, _, activity = circuit.forward_with_activity(sensors, circuit.initial_state(4))
    controls = activity[:, [column["right"], column["left"], column["stop"]]]
    assert controls.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]


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
        ("ncap", SENSES, {"sharing": "no"}, CircuitMismatch, "'no'; give bool.*options: "),
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
        ("elm", SENSES, {"branches": 99}, CircuitMismatch, "give 1 to 50"),
        ("elm", SENSES, {"layers": 0}, CircuitMismatch, "1 or more"),
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
