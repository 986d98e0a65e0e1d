"""Adam over one tensor: torch's steps, torch's saved states, and weights that are taken apart in between."""

import copy

import pytest
import torch
from nervecord.agents.flat_adam import FlatAdam
from nervecord.errors import CircuitMismatch
from torch import nn


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2))


def train(net, optimizer, steps: int, first: int = 0) -> None:
    for step in range(first, first + steps):
        x = torch.randn(8, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        net(x).square().sum().backward()
        if isinstance(optimizer, FlatAdam):
            optimizer.clip(0.5)
        else:
            nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        optimizer.step()


def assert_close(one: nn.Module, other: nn.Module) -> None:
    for mine, its in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.allclose(mine, its, rtol=0, atol=1e-6)


def torch_adam(net) -> torch.optim.Adam:
    return torch.optim.Adam(net.parameters(), lr=1e-2, eps=1e-5, fused=True)


def flat_adam(net) -> FlatAdam:
    return FlatAdam(net.parameters(), 1e-2, 1e-5)


def test_it_steps_as_torch_does():
    ours, theirs = network(), network()
    train(ours, flat_adam(ours), 50)
    train(theirs, torch_adam(theirs), 50)
    assert_close(ours, theirs)


@pytest.mark.parametrize("kinds", [(torch_adam, flat_adam), (flat_adam, torch_adam)])
def test_it_goes_on_from_what_torch_saved_and_torch_from_what_it_saved(kinds):
    straight = network()
    train(straight, torch_adam(straight), 20)
    net = network()
    first = kinds[0](net)
    train(net, first, 10)
    saved = copy.deepcopy(first.state_dict())
    then = kinds[1](net)
    then.load_state_dict(saved)
    train(net, then, 10, first=10)
    assert_close(net, straight)


def test_gradients_set_to_none_and_weights_moved_away_change_nothing():
    straight, net = network(), network()
    train(straight, flat_adam(straight), 12)
    optimizer = flat_adam(net)
    for step in range(12):
        if step % 2:
            net.zero_grad()
        if step % 3 == 0:
            for weight in net.parameters():
                weight.data = weight.data.clone()
        train(net, optimizer, 1, first=step)
    assert_close(net, straight)


def test_a_copy_trains_by_itself():
    net = network()
    optimizer = flat_adam(net)
    train(net, optimizer, 5)
    before = copy.deepcopy(net.state_dict())
    other, its = copy.deepcopy((net, optimizer))
    train(other, its, 5, first=5)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    train(net, optimizer, 5, first=5)
    assert_close(net, other)


def test_the_norm_before_clipping_is_told():
    net = network()
    optimizer = flat_adam(net)
    net(torch.ones(3, 5)).sum().backward()
    norm = torch.cat([weight.grad.flatten() for weight in net.parameters()]).norm().item()
    assert optimizer.clip(0.5) == pytest.approx(norm)
    assert torch.cat([weight.grad.flatten() for weight in net.parameters()]).norm().item() == pytest.approx(0.5)


def test_weights_of_several_types_are_one_line():
    with pytest.raises(CircuitMismatch, match=r"float32 on cpu and torch.float64 on cpu; train weights of one type"):
        FlatAdam([nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2).double())], 1e-3)


def test_weights_of_other_rates_learn_as_torchs_parameter_groups_do():
    rates = (1.0, 0.25, 0.25, 3.0)
    ours, theirs = network(), network()
    train(ours, FlatAdam(ours.parameters(), 1e-2, 1e-5, rates), 50)
    groups = [{"params": [each], "lr": 1e-2 * rate} for each, rate in zip(theirs.parameters(), rates, strict=True)]
    train(theirs, torch.optim.Adam(groups, eps=1e-5, fused=True), 50)
    assert_close(ours, theirs)
    copied = copy.deepcopy(FlatAdam(ours.parameters(), 1e-2, 1e-5, rates))
    assert copied.param_groups[0]["rates"] == rates
