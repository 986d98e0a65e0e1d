"""The convolution along the body: what sharing weights over joints implies, whatever the weights."""

import pytest
import torch
from nervecord.circuits import Along, make_circuit
from nervecord.errors import CircuitMismatch

SENSES = {"joint_pos": 8, "body_velocities": 27}


def along(n_joints=8, seed=0, **options):
    """Return a circuit in double precision whose biases and output are not near zero."""
    circuit = Along(n_joints, rng=torch.Generator().manual_seed(seed), **options).double()
    with torch.no_grad():
        for parameter in circuit.parameters():
            parameter.copy_(
                0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
    return circuit


def sensed(n_joints, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return 0.3 * torch.randn(1, n_joints + 3 * (n_joints + 1), generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ("options", "n_weights"),
    [
        ({}, 89),
        ({"channels": 3}, 58),
        ({"layers": 0}, 37),
        ({"layers": 2}, 141),
        ({"channels": 16, "layers": 2}, 1713),
        ({"channels": 16, "layers": 2, "levels": 3}, 7985),
    ],
)
def test_weights_do_not_grow_with_the_body(options, n_weights):
    for n_joints in (2, 5, 19):
        circuit = Along(n_joints, **options)
        assert sum(parameter.numel() for parameter in circuit.parameters()) == n_weights
    Along(11, **options).load_state_dict(Along(5, **options).state_dict())


@pytest.mark.parametrize("n_joints", [8, 13])
def test_equal_senses_give_equal_motors_away_from_the_ends(n_joints):
    circuit = along(n_joints, layers=2)
    joints, link = torch.full((1, n_joints), 0.4), torch.tensor([0.02, 0.05, 1.0]).repeat(n_joints + 1)[None]
    motor, _ = circuit(torch.cat((joints, link), -1).double(), {})
    inner = motor[0, 2:-2]
    torch.testing.assert_close(inner, inner[:1].expand_as(inner), rtol=0, atol=1e-14)
    shorter, _ = along(6, layers=2)(torch.cat((joints[:, :6], link[:, :21]), -1).double(), {})
    torch.testing.assert_close(shorter[0, 2:-2], inner[:2], rtol=0, atol=1e-14)


def test_without_biases_mirrored_senses_mirror_the_motors():
    circuit = along(levels=2)
    with torch.no_grad():
        for name, parameter in circuit.named_parameters():
            if "bias" in name:
                parameter.zero_()
    sensors = sensed(8)
    torch.testing.assert_close(circuit(-sensors, {})[0], -circuit(sensors, {})[0], rtol=0, atol=1e-14)


def test_a_joint_reaches_as_many_joints_as_there_are_layers():
    sensors = sensed(8)
    changed = sensors.clone()
    changed[0, 3] += 0.5
    for layers in (0, 1, 2):
        circuit = along(layers=layers)
        moved = (circuit(changed, {})[0] - circuit(sensors, {})[0])[0].abs() > 1e-9
        assert moved.nonzero().flatten().tolist() == list(range(3 - layers, 4 + layers))
    # Coarse levels carry it to the ends.
    cycled = along(levels=3)
    assert ((cycled(changed, {})[0] - cycled(sensors, {})[0]).abs() > 1e-9).all()


@pytest.mark.parametrize("options", [{"layers": 2}, {"layers": 2, "levels": 3}])
def test_the_wiring_is_what_units_hear(options):
    circuit = along(**options)
    sensors = sensed(8)
    _, _, activity = circuit.forward_with_activity(sensors, {})
    names = {neuron.name: index for index, neuron in enumerate(circuit.neurons)}
    weights = torch.zeros(len(names), len(names), dtype=torch.float64)
    for synapse in circuit.wiring().synapses:
        weights[names[synapse.post], names[synapse.pre]] += synapse.weight
    # Up to biases, a unit's tanh is of what its synapses bring.
    silent = circuit.forward_with_activity(torch.zeros_like(sensors), {})[2]
    for group in ("along_0", "along_1", "along_2"):
        units = circuit.groups[group]
        moved = torch.atanh(activity[0, units]) - torch.atanh(silent[0, units])
        torch.testing.assert_close(moved, weights[units] @ (activity - silent)[0], rtol=1e-6, atol=1e-8)
    motors = circuit.groups["motors"]
    torch.testing.assert_close((activity - silent)[0, motors], weights[motors] @ (activity - silent)[0])


def test_wrong_options_are_one_line():
    for options, message in (
        ({"layers": -1}, "layers is -1; give 0 or more"),
        ({"channels": 0}, "channels is 0; give 1 or more"),
        ({"channels": 1.5}, "channels"),
        ({"levels": 1_000_000}, "the sizes makes 96,000,028 weights"),
    ):
        with pytest.raises(CircuitMismatch, match=message) as refused:
            make_circuit("along", SENSES, 8, options)
        assert "\n" not in str(refused.value)
