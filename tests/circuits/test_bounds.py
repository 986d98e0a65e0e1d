"""At a bound, values have the same gradient in every torch: a weight that starts there learns."""

import pytest
import torch
from circuit_cases import CASES
from nervecord.circuits import make_circuit
from nervecord.circuits.bounds import within
from torch.overrides import TorchFunctionMode

N_MOTORS = 5
SENSES = {
    "joint_pos": N_MOTORS, "joint_vel": N_MOTORS, "body_velocities": 3 * N_MOTORS + 3, "to_target": 2, "odour": 1,
    "touch": N_MOTORS + 1, "context": 6, "time": 1,
}  # fmt: skip


class StopsAtBounds(TorchFunctionMode):
    """`clamp` has no gradient at its bounds, as in torch 2.15."""

    def __torch_function__(self, function, types, arguments=(), options=None):
        clamped = function(*arguments, **(options or {}))
        if function not in (torch.clamp, torch.Tensor.clamp):
            return clamped
        given = dict(zip(("low", "high"), arguments[1:], strict=False)) | (options or {})
        bounds = [given[key] for key in ("low", "high", "min", "max") if given.get(key) is not None]
        is_at = sum((arguments[0] == bound) for bound in bounds) > 0
        return torch.where(is_at, clamped.detach(), clamped)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, None), (None, 1.0)])
def test_the_gradient_passes_at_a_bound_and_not_beyond(low, high):
    values = torch.tensor([-0.5, 0.0, 0.5, 1.0, 1.5], requires_grad=True)
    kept = within(values, low, high)
    assert torch.equal(kept, values.clamp(low, high))
    expected = [float((low is None or v >= low) and (high is None or v <= high)) for v in values.tolist()]
    assert torch.autograd.grad(kept.sum(), [values])[0].tolist() == expected
    with torch.no_grad():
        assert torch.equal(within(values, low, high), kept)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_a_circuits_gradient_is_the_same_where_clamp_has_none_at_its_bounds(name, options):
    circuit = make_circuit(name, SENSES, N_MOTORS, options, rng=torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(1)
    sensors = 0.5 * torch.randn(6, 2, circuit.n_sensors, generator=rng)
    weights = [weight for weight in circuit.parameters() if weight.requires_grad]

    def gradients():
        start = torch.zeros(6, 2, dtype=torch.bool)
        motors, _ = circuit.unroll(sensors, circuit.initial_state(2), start)
        wanted = torch.linspace(-1, 1, motors.numel()).reshape(motors.shape)
        return torch.autograd.grad((motors * wanted).sum(), weights, allow_unused=True)

    here = gradients()
    with StopsAtBounds():
        there = gradients()
    for one, other in zip(here, there, strict=True):
        assert (one is None and other is None) or torch.equal(one, other)
