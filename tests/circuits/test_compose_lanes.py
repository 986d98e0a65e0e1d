"""A composed circuit's step over vectors: that of its parts and wires, where there is one."""

import pytest
import torch
from nervecord.circuits import Circuit, Composed, Wire, freeze, make_circuit
from nervecord.circuits.lane_step import lane_step_of
from nervecord.envs.physics.lanes import reason_not_compiled
from nervecord.laws import Laws
from nervecord.testing.lane_steps import check_lane_step

if reason := reason_not_compiled():
    pytest.skip(reason, allow_module_level=True)

N = 5
SENSES = {"joint_pos": N}


def ncap() -> Circuit:
    return make_circuit("ncap", SENSES, N)


def mlp(n_motors: int = N, seed: int = 0, **senses: int) -> Circuit:
    """Return a network whose motors do not begin near zero."""
    circuit = make_circuit("mlp", senses or SENSES, n_motors, {"hidden": [6, 4]})
    weights = torch.nn.utils.parameters_to_vector(circuit.parameters())
    drawn = torch.randn(len(weights), generator=torch.Generator().manual_seed(seed)) / 2
    torch.nn.utils.vector_to_parameters(drawn, circuit.parameters())
    return circuit


def in_a_row(*parts: Circuit) -> Composed:
    """Return circuits each of which hears the one before it as if it were the body's joints."""
    named = {f"part{i}": part for i, part in enumerate(parts)}
    wires = [Wire(f"part{i}", f"part{i + 1}.joint_pos", gain=1.0) for i in range(len(parts) - 1)]
    return Composed(
        named, [Wire("in.joint_pos", "part0.joint_pos"), *wires, Wire(f"part{len(parts) - 1}", "out")], SENSES, N
    )


def wired_every_way() -> Composed:
    """Return a circuit with sums, gains, gates, delays, ranges, a loop, and parts with and without a state, one frozen.

    The parts step in another order than that in which they are named.
    """
    return Composed(
        {"net": freeze(mlp(3, 1, joint_pos=N, back=2)), "ncap": ncap(), "relay": make_circuit("relay", SENSES, N)},
        [
            Wire("in.joint_pos", "net.joint_pos", gain=0.5), Wire("in.joint_pos:1:4", "net.joint_pos:0:3", delay=2),
            Wire("ncap:1:3", "net.back", 3, 0.5), Wire("in.joint_pos", "relay.joint_pos"),
            Wire("relay", "ncap.joint_pos", gain=0.3), Wire("in.joint_pos", "ncap.joint_pos"),
            Wire("ncap", "out", gain=0.5, gate="net:1:2"), Wire("net", "out:1:4", gain=0.7),
            Wire("relay", "out", 1, 0.4), Wire("in.joint_pos", "out", gain=0.2, gate="in.joint_pos:0:1"),
        ],
        SENSES,
        N,
    )  # fmt: skip


@pytest.mark.parametrize(
    "circuit",
    [
        make_circuit("compose", SENSES, N),
        wired_every_way(),
        in_a_row(mlp(seed=3), freeze(ncap()), mlp(seed=4)),
        in_a_row(ncap(), wired_every_way(), freeze(in_a_row(freeze(mlp(seed=5)), mlp(seed=6)))),
    ],
    ids=["the default plan", "wired every way", "frozen between", "nested"],
)
def test_the_step_over_vectors_is_the_one_in_torch(circuit):
    check_lane_step(Laws("composed"), circuit, lane_step_of(circuit))


def test_a_frozen_weight_is_no_row_of_weights():
    whole = in_a_row(ncap(), freeze(mlp()))
    assert lane_step_of(whole).n_weights == 4 == sum(weight.numel() for weight in whole.parameters())
    assert lane_step_of(freeze(ncap())) is None, "alone it would read weights that nobody gives"


def test_there_is_none_where_a_part_has_none_or_two_are_one():
    assert lane_step_of(in_a_row(ncap(), make_circuit("gru", SENSES, N))) is None
    twice = ncap()
    assert lane_step_of(in_a_row(twice, twice)) is None
