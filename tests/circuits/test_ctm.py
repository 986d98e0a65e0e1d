"""The Continuous Thought Machine against the authors' own outputs, and what its options promise."""

from pathlib import Path

import numpy as np
import pytest
import torch
from nervecord.circuits import CTM, RecurrentCircuit, make_circuit
from nervecord.errors import CircuitMismatch
from torch import nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

EXTRACT = Path(__file__).parents[1] / "golden" / "ctm.npz"  # the two smallest cases, to stay below 200 KB
SHARED = Path(__file__).parents[3] / "shared" / "golden" / "ctm.npz"
BATCH, STEPS, SENSORS = 6, 40, 5
SMALL = {"d_model": 24, "d_input": 8, "n_synch": 6, "memory_length": 5}
VARIANTS: list[dict] = [
    {},
    {"ticks": 2, "deep": False},
    {"ticks": 3, "synapse_depth": 3},
    {"memory_length": 2},
    {"memory_length": 9, "ticks": 2, "decay": "clamp", "normalize": False, "n_synch": 24, "heads": (7, 7)},
]


@pytest.fixture(params=["extract/0", "extract/1", "shared/0", "shared/1", "shared/2", "shared/3"])
def golden(request) -> dict[str, torch.Tensor]:
    """One golden case, by name."""
    kind, case = request.param.split("/")
    path = EXTRACT if kind == "extract" else SHARED
    if not path.exists():
        pytest.skip(f"the project's golden vectors are not here: {path}")
    return read_case(path, f"case{case}/")


def read_case(path: Path, prefix: str) -> dict[str, torch.Tensor]:
    file = np.load(path)
    return {key.removeprefix(prefix): torch.as_tensor(file[key]) for key in file.files if key.startswith(prefix)}


def published(golden: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix("weight/"): value for key, value in golden.items() if key.startswith("weight/")}


def golden_circuit(golden: dict[str, torch.Tensor], **options) -> CTM:
    """The circuit of a golden case, before its weights."""
    ticks, d_model, d_input, n_synch, depth, memory, deep, hidden, sensors = golden["options"].tolist()
    sizes = {"ticks": ticks, "d_model": d_model, "d_input": d_input, "n_synch": n_synch, "synapse_depth": depth}
    models = {"memory_length": memory, "deep": bool(deep), "hidden": hidden}
    options = {"decay": "clamp", "normalize": False} | sizes | models | options
    return CTM({"observation": sensors}, 1, **options).double()


def small(seed: int = 0, **options) -> CTM:
    return CTM({"observation": SENSORS}, 2, **SMALL | options, rng=torch.Generator().manual_seed(seed)).double()


def sequence(steps: int = STEPS, *, resets: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """Sensors and episode starts, some in consecutive steps."""
    rng = torch.Generator().manual_seed(1)
    sensors = torch.randn(steps, BATCH, SENSORS, generator=rng, dtype=torch.double)
    return sensors, torch.rand(steps, BATCH, generator=rng) < resets


@torch.no_grad()
def test_steps_follow_the_authors_outputs_and_states(golden):
    circuit = golden_circuit(golden)
    circuit.load_published(published(golden))
    state = circuit.initial_state(3)
    for step, start in enumerate(golden["episode_start"].bool()):
        features, state = circuit.step_features(golden["observation"][step], circuit.reset_state(state, start))
        expected = {key: golden[f"{key}_activation_trace"][step] for key in state}
        torch.testing.assert_close(features, golden["synchronisation"][step], atol=1e-9, rtol=0)
        torch.testing.assert_close(state, expected, atol=1e-9, rtol=0)


@torch.no_grad()
def test_a_sequence_follows_the_authors_outputs(golden):
    circuit = golden_circuit(golden)
    circuit.load_published(published(golden))
    start = golden["episode_start"].bool()
    assert start[1:].any()
    features, end = circuit.unroll_features(golden["observation"], circuit.initial_state(3), start)
    torch.testing.assert_close(features, golden["synchronisation"], atol=1e-9, rtol=0)
    expected = {key: golden[f"{key}_activation_trace"][-1] for key in end}
    torch.testing.assert_close(end, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("options", VARIANTS, ids=lambda options: ",".join(options))
@pytest.mark.parametrize(("steps", "resets"), [(STEPS, 0.0), (STEPS, 0.1), (STEPS, 0.9), (3, 0.3), (1, 0.5)])
def test_unroll_equals_the_step_loop_in_values_states_and_gradients(options, steps, resets):
    circuit = small(**options)
    sensors, start = sequence(steps, resets=resets)
    before = {
        key: torch.randn(value.shape, generator=torch.Generator().manual_seed(2), dtype=torch.double).requires_grad_()
        for key, value in circuit.initial_state(BATCH).items()
    }
    found = []
    for unroll in (RecurrentCircuit.unroll_features, CTM.unroll_features):
        features, end = unroll(circuit, sensors, before, start)
        outputs = (circuit.readout(features), *end.values())
        weight = [torch.linspace(-1, 1, output.numel(), dtype=torch.double).view_as(output) for output in outputs]
        total = sum((output * by).sum() for output, by in zip(outputs, weight, strict=True))
        inputs = [*circuit.parameters(), *before.values()]
        found.append((*outputs, *torch.autograd.grad(total, inputs, materialize_grads=True)))
    torch.testing.assert_close(found[1], found[0], atol=1e-10, rtol=1e-8)


@pytest.mark.parametrize("options", VARIANTS, ids=lambda options: ",".join(options))
def test_every_parameter_learns(options):
    circuit = small(**options)
    sensors, start = sequence()
    motor, _ = circuit.unroll(sensors, circuit.initial_state(BATCH), start)
    (motor * torch.randn(motor.shape, generator=torch.Generator().manual_seed(3))).sum().backward()
    silent = [name for name, parameter in circuit.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert not silent


@pytest.mark.parametrize(("decay", "learns"), [("clamp", False), ("softplus", True)])
def test_a_clamped_decay_below_0_is_dead_and_a_softplus_one_is_not(decay, learns):
    circuit = small(decay=decay)
    with torch.no_grad():
        circuit.synchronisation.decay -= 0.1
    sensors, start = sequence()
    circuit.unroll(sensors, circuit.initial_state(BATCH), start)[0].sum().backward()
    assert bool(circuit.synchronisation.decay.grad.any()) is learns


@torch.no_grad()
def test_a_fresh_synchronisation_is_tiny_until_it_is_normalised():
    sensors = torch.randn(30, 64, 8, generator=torch.Generator().manual_seed(0))
    start = torch.zeros(30, 64, dtype=torch.bool)
    size = {}
    for normalize in (False, True):
        circuit = CTM({"observation": 8}, 1, normalize=normalize, rng=torch.Generator().manual_seed(0))
        size[normalize] = circuit.unroll_features(sensors, circuit.initial_state(64), start)[0].abs().mean()
    assert 5e-4 < size[False] < 5e-3
    assert 0.2 < size[True] < 1.5


def test_cartpole_has_as_many_parameters_as_the_authors():
    circuit = CTM({"observation": 4}, 2, d_input=128, hidden=4, normalize=False, heads=(64, 64))
    critic = nn.Sequential(nn.Linear(circuit.n_features, 64), nn.Linear(64, 64), nn.Linear(64, 1))
    assert sum(value.numel() for part in (circuit, critic) for value in part.parameters()) == 175_437


@torch.no_grad()
@pytest.mark.parametrize("options", VARIANTS[:3], ids=lambda options: ",".join(options))
def test_a_traced_population_starts_and_steps_like_its_members(options):
    class Start(nn.Module):
        def __init__(self, circuit):
            super().__init__()
            self.circuit = circuit

        def forward(self, sensors):
            return self.circuit(sensors, self.circuit.initial_state(len(sensors)))

    members = [Start(small(seed, **options)) for seed in range(3)]
    weights = {
        name: torch.stack([member.get_parameter(name) for member in members])
        for name, _ in members[0].named_parameters()
    }
    sensors = torch.randn(3, 1, SENSORS, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    one = torch.vmap(lambda weights, sensors: functional_call(members[0], weights, (sensors,)))
    motor, state = make_fx(one)(weights, sensors)(weights, sensors)
    for index, member in enumerate(members):
        expected, expected_state = member(sensors[index])
        torch.testing.assert_close(motor[index], expected)
        torch.testing.assert_close({key: value[index] for key, value in state.items()}, expected_state)


@torch.no_grad()
def test_wiring_is_the_derivative_where_an_episode_starts():
    circuit, nudge = small(ticks=1, normalize=False), 1e-6
    weights = {(synapse.pre, synapse.post): synapse.weight for synapse in circuit.wiring().synapses}
    assert len(weights) == (SENSORS + 24) * 24 + 6 * 2
    state, still = circuit.initial_state(1), torch.zeros(1, SENSORS, dtype=torch.double)
    last = torch.zeros_like(state["post"])
    last[0, 20, -1] = nudge

    def pre(sensors, state):
        return circuit.step_features(sensors, state)[1]["pre"][0, :, -1]

    by_sensor = (pre(still + nudge * torch.eye(SENSORS)[2], state) - pre(still, state)) / nudge
    by_neuron = (pre(still, {**state, "post": state["post"] + last}) - pre(still, state)) / nudge
    read = [circuit.readout(circuit.synchronisation(post[:, -6:])) for post in (state["post"] + last, state["post"])]
    by_value = ((read[0] - read[1]) / nudge)[0]
    for found, before, after in (
        (by_sensor, "observation_2", "neuron"),
        (by_neuron, "neuron_20", "neuron"),
        (by_value, "neuron_20", "motor"),
    ):
        drawn = torch.tensor([weights[before, f"{after}_{i}"] for i in range(len(found))], dtype=torch.double)
        torch.testing.assert_close(drawn, found, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ticks": 0}, "ticks is 0; give 1 or more"),
        ({"memory_length": 1}, "memory_length is 1; give 2 or more"),
        ({"n_synch": 200}, "n_synch is 200 of 128 neurons; give 128 or fewer"),
        ({"d_model": 8, "n_synch": 4, "synapse_depth": 3}, "narrows to 16 units and d_model is 8"),
        ({"n_synch": 1}, "give n_synch=2 or more"),
        ({"decay": "relu"}, "give 'softplus' or 'clamp'"),
        ({"deep": 1}, "give true or false"),
        ({"heads": (64, 0)}, "numbers of units"),
    ],
)
def test_a_wrong_option_is_one_line(options, message):
    with pytest.raises(CircuitMismatch, match=message) as caught:
        make_circuit("ctm", {"observation": 8}, 1, options)
    assert "\n" not in str(caught.value)


def test_published_weights_that_do_not_fit_say_which_and_load_nothing():
    golden = read_case(EXTRACT, "case0/")
    weights, circuit = published(golden), golden_circuit(golden)
    before = {name: value.clone() for name, value in circuit.state_dict().items()}
    for change, message in (
        ({"actor.0.weight": torch.zeros(1)}, "'actor.0.weight' is not a weight of a published CTM"),
        ({"start_trace": torch.zeros(3, 5)}, r"start_pre \(3, 5\) there, \(32, 5\) here"),
        ({"trace_processor.0.0.T": torch.zeros(1)}, "trace_processor.0.0.T is 0"),
    ):
        with pytest.raises(CircuitMismatch, match=message):
            circuit.load_published(weights | change)
    for missing in ("decay_params_out", "trace_processor.0.2.w1", "trace_processor.0.2.b1", "synapses.1.weight"):
        with pytest.raises(CircuitMismatch):
            circuit.load_published({name: value for name, value in weights.items() if name != missing})
    for options in ({"decay": "softplus"}, {"normalize": True}):
        with pytest.raises(CircuitMismatch, match="decay='clamp' and normalize=False"):
            golden_circuit(golden, **options).load_published(weights)
    torch.testing.assert_close(circuit.state_dict(), before, atol=0, rtol=0)


def test_a_negative_published_divisor_is_taken_for_what_it_does():
    golden = read_case(EXTRACT, "case0/")
    weights = published(golden)
    turned = {name: -value for name, value in weights.items() if name.startswith("trace_processor.0.0.")}
    one, other = golden_circuit(golden), golden_circuit(golden)
    one.load_published(weights)
    other.load_published(weights | turned)
    torch.testing.assert_close(
        {name: value for name, value in one.state_dict().items() if "readout" not in name},
        {name: value for name, value in other.state_dict().items() if "readout" not in name},
    )
