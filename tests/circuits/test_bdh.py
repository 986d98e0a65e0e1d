"""The Dragon Hatchling against the authors' own outputs, and what its fast weights hold."""

from pathlib import Path

import numpy as np
import pytest
import torch
from nervecord.circuits import BDH, Pins, make_circuit
from nervecord.errors import CircuitMismatch

GOLDEN = Path(__file__).parents[1] / "golden" / "bdh.npz"


def of(case: int) -> tuple[dict[str, torch.Tensor], BDH, torch.Tensor]:
    """Return the arrays of a golden case, the circuit with its weights, and its tokens as sensors [T, B, V]."""
    file, prefix = np.load(GOLDEN), f"case{case}/"
    held = {key.removeprefix(prefix): torch.as_tensor(file[key]) for key in file.files if key.startswith(prefix)}
    levels, width, heads, units, words = held["options"].tolist()
    circuit = BDH(
        {"token": words}, words, width=width, units=units, heads=heads, levels=levels, theta=2.0**16, decay=1.0
    ).double()
    torch.testing.assert_close(circuit.frequencies, held["frequencies"], rtol=1e-6, atol=0)
    circuit.frequencies = held["frequencies"]
    circuit.load_state_dict({
        "input.weight": held["weight/embed"].T.double(), "input.bias": torch.zeros(width).double(),
        "encoder": held["weight/encoder"], "encoder_v": held["weight/encoder_v"], "decoder": held["weight/decoder"],
        "readout.weight": held["weight/lm_head"].T.double(), "readout.bias": torch.zeros(words).double(),
    })  # fmt: skip
    return held, circuit, torch.nn.functional.one_hot(held["tokens"].T.long(), words).double()


def small(**options) -> BDH:
    made = {"width": 8, "units": 12, "heads": 2, **options}
    return BDH({"joint_pos": 5}, 5, **made, rng=torch.Generator().manual_seed(0)).double()


def run_through(circuit: BDH, sensors: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    state, motors = circuit.initial_state(sensors.shape[1]), []
    for row in sensors:
        motor, state = circuit(row, state)
        motors.append(motor)
    return torch.stack(motors), state


@pytest.mark.parametrize("case", range(3))
def test_it_is_the_authors_network(case):
    held, circuit, sensors = of(case)
    state, size = circuit.initial_state(sensors.shape[1]), circuit.heads * circuit.units
    for step, row in enumerate(sensors):
        motor, state, activity = circuit.forward_with_activity(row, state)
        torch.testing.assert_close(motor, held["logits"][:, step], rtol=0, atol=1e-9)
        rows = activity[:, circuit.groups["units"]].unflatten(1, (circuit.levels, 2, size))
        for kind, name in enumerate(("x_sparse", "y_sparse")):
            expected = held[name][:, :, :, step].permute(1, 0, 2, 3).flatten(2)
            torch.testing.assert_close(rows[:, :, kind], expected, rtol=0, atol=1e-9)


def test_the_first_step_recalls_nothing():
    circuit = small()
    _, _, activity = circuit.forward_with_activity(torch.randn(3, 5).double(), circuit.initial_state(3))
    names = [neuron.name for neuron in circuit.neurons]
    assert (activity[:, [name.startswith("y_") for name in names]] == 0).all()
    assert (activity[:, [name.startswith("x_") for name in names]] > 0).any()


def test_without_turning_and_decay_fast_weights_are_the_sum_of_what_was_active_together():
    circuit, sensors = small(decay=1.0, levels=1), torch.randn(4, 1, 5).double()
    circuit.frequencies = torch.zeros(12)
    _, state = run_through(circuit, sensors)
    v = torch.nn.functional.layer_norm(circuit.input(sensors[:, 0]), (8,))
    x = torch.relu(torch.einsum("td,hdn->thn", v, circuit.encoder))
    torch.testing.assert_close(state["S"][0, 0], torch.einsum("thn,td->hnd", x, v))
    assert torch.linalg.matrix_rank(state["S"][0, 0, 0]) <= 4


def test_the_order_of_the_past_is_known_by_turning_alone():
    sensors = torch.randn(9, 2, 5).double()
    shuffled = torch.cat((sensors[:8].flip(0), sensors[8:]))
    for turning in (False, True):
        circuit = small(decay=1.0, levels=1)
        if not turning:
            circuit.frequencies = torch.zeros(12)
        one, other = (run_through(circuit, each)[0][-1] for each in (sensors, shuffled))
        assert torch.allclose(one, other) is not turning


def test_synapses_from_x_to_y_are_those_of_the_episode():
    circuit = small()
    assert "fast" not in {each.group for each in circuit.wiring().synapses}
    _, state = run_through(circuit, torch.randn(5, 1, 5).double())
    fast = [each for each in circuit.wiring(state).synapses if each.group == "fast"]
    assert {(each.pre[0], each.post[0]) for each in fast} == {("x", "y")}
    assert all(each.pre[1:4] == each.post[1:4] for each in fast), "of the same level and head"


def test_every_weight_has_a_gradient_from_the_second_step_on():
    circuit = small()
    motors, _ = run_through(circuit, torch.randn(2, 4, 5).double())
    (motors[-1] ** 2).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in circuit.parameters())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"units": 7}, "units is 7; give an even number"),
        ({"levels": 0}, "levels is 0; give 1 or more"),
        ({"decay": 0.0}, "decay is 0.0; give a factor above 0"),
        ({"theta": 1.0}, "theta is 1.0; give a number above 1"),
    ],
)
def test_a_mistake_is_one_line(options, said):
    with pytest.raises(CircuitMismatch, match=said):
        make_circuit("bdh", {"joint_pos": 5}, 5, options)


def test_what_reaches_the_motors_past_silent_units_is_in_the_graph():
    circuit = BDH({"joint_pos": 3}, 2, width=8, units=6, levels=3, rng=torch.Generator().manual_seed(0)).double()
    names = [neuron.name for neuron in circuit.neurons]
    found = {(each.pre, each.post) for each in circuit.wiring().synapses}

    def touched(name):
        """Return which neurons a neuron changes where all others between sensors and motors are clamped."""
        state, values = {"S": torch.ones_like(circuit.initial_state(1)["S"])}, []
        for shift in (0.1, 0.3):
            scale, shifts = torch.ones(len(names)).double(), torch.full((len(names),), 0.1).double()
            scale[circuit.groups["units"]] = 0.0
            shifts[circuit.groups["motors"]] = 0.0
            shifts[names.index(name)] = shift
            sensors = torch.full((1, 3), 0.2).double()
            values.append(circuit.forward_with_activity(sensors, state, Pins(scale, shifts))[2][0])
        changed = ((values[0] - values[1]).abs() > 1e-9).nonzero()[:, 0].tolist()
        return {names[at] for at in changed} - {name}

    for name in ("joint_pos_0", "y_0_0_2", "y_1_0_2", "y_2_0_2"):
        motors = {post for post in touched(name) if post.startswith("motor")}
        assert motors == {"motor_0", "motor_1"}
        assert {(name, motor) for motor in motors} <= found
    for level in range(3):
        assert ("joint_pos_0", f"x_{level}_0_0") in found
        assert {("y_0_0_2", f"x_{level}_0_0"), ("y_1_0_2", f"x_{level}_0_0")} & found == {
            (f"y_{before}_0_2", f"x_{level}_0_0") for before in range(min(level, 2))
        }
