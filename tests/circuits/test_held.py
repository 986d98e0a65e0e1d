"""Weights that are held: the same steps, and nothing is kept afterwards."""

import copy

import pytest
import torch
from nervecord.circuits import make_circuit
from nervecord.circuits.held import of_weights, weights_held
from torch import nn


class Counted(nn.Module):
    """A module that counts how often it looks at its weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.looked = nn.Parameter(torch.tensor(2.0)), 0

    @of_weights
    def double(self) -> torch.Tensor:
        self.looked += 1
        return 2 * self.weight.detach()


def test_what_is_of_weights_is_computed_once_inside_and_each_time_outside():
    inner = Counted()
    whole, others = nn.ModuleDict({"part": inner}), Counted()
    assert [float(inner.double()) for _ in range(2)] == [4, 4]
    with weights_held(whole, object()):
        assert [float(inner.double()) for _ in range(3)] == [4, 4, 4]
        with weights_held(inner):
            inner.double()
        others.double()
        others.double()
    assert (inner.looked, others.looked) == (4, 2)
    with torch.no_grad():
        inner.weight.fill_(5.0)
    assert float(inner.double()) == 10
    with pytest.raises(KeyError), weights_held(whole):
        raise KeyError
    with torch.no_grad():
        inner.weight.fill_(7.0)
    assert float(inner.double()) == 14, "an error ends it too"
    with weights_held(inner):
        inner.double()
        copied = copy.deepcopy(inner)
        copied.weight.data.fill_(1.0)
        assert float(copied.double()) == 2, "a copy has weights of its own"


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "options"),
    [("spiking", {}), ("spiking", {"delays": 5}), ("ctrnn", {"delays": 5}), ("ctrnn", {}), ("lif", {"substeps": 2})],
)
def test_steps_with_weights_held_are_the_same_bit_for_bit(name, options):
    circuit = make_circuit(name, {"x": 3}, 2, {"units": 9, **options}, torch.Generator().manual_seed(0))
    free = held = circuit.initial_state(4)
    rows = 2 * torch.randn(12, 4, 3, generator=torch.Generator().manual_seed(1))
    wanted = []
    for row in rows:
        motor, free = circuit(row, free)
        wanted.append(motor)
    with weights_held(circuit):
        for row, motor in zip(rows, wanted, strict=True):
            found, held = circuit(row, held)
            assert torch.equal(found, motor)
    for parameter in circuit.parameters():
        parameter.mul_(1.5)
    assert not torch.equal(circuit(rows[0], circuit.initial_state(4))[0], wanted[0])
