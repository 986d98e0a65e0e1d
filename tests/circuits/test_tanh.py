"""The fast tanh is the tanh, to the accuracy of a number near 1, and its layers have autograd's gradients."""

import itertools

import pytest
import torch
from nervecord.circuits.tanh import layer_weights, tanh, tanh_layers
from torch import nn


@pytest.mark.parametrize(("dtype", "error"), [(torch.float32, 2e-7), (torch.float64, 4e-16)])
def test_it_is_the_tanh(dtype, error):
    x = torch.cat((torch.linspace(-30, 30, 100_001), torch.logspace(-20, 1, 1001), torch.tensor([0.0]))).to(dtype)
    assert (tanh(x) - torch.tanh(x.double())).abs().max() < error
    assert tanh(torch.tensor(0.0)) == 0
    assert tanh(torch.tensor([-torch.inf, torch.inf])).tolist() == [-1, 1]
    assert tanh(torch.tensor(torch.nan)).isnan()


@pytest.mark.parametrize("sizes", [(4, 1), (4, 6, 3), (4, 6, 5, 2)])
def test_layers_have_the_values_and_gradients_of_one_after_the_other(sizes):
    torch.manual_seed(0)
    layers = [nn.Linear(a, b).double() for a, b in itertools.pairwise(sizes)]
    x = torch.randn(3, 7, 4, dtype=torch.float64, requires_grad=True)
    expected = x
    for layer in layers:
        expected = layer(expected if layer is layers[0] else torch.tanh(expected))
    learned = [x, *(weight for layer in layers for weight in layer.parameters())]
    outputs = tanh_layers(x, layer_weights(layers))
    assert torch.allclose(outputs, expected, rtol=0, atol=1e-14)
    weight = torch.randn_like(outputs)
    found, wanted = (torch.autograd.grad((value * weight).sum(), learned) for value in (outputs, expected))
    for mine, its in zip(found, wanted, strict=True):
        assert torch.allclose(mine, its, rtol=0, atol=1e-13)
