"""Hypercomplex convolutions against Kronecker products, and the published size of the network."""

import numpy as np
import pytest
import torch
from gazekit_baselines.phresnet import PHConvolution, PHResNet

from gazekit.errors import ConfigurationError


@pytest.mark.parametrize(("n", "size"), [(2, 3), (2, 1), (4, 3)])
def test_the_weight_is_the_sum_of_kronecker_products(n, size):
    torch.manual_seed(0)
    layer = PHConvolution(2 * n, 3 * n, size, n=n).double()
    algebra = layer.algebra.detach().numpy()
    filters = layer.filters.detach().numpy().reshape(n, 3, 2, size, size)
    expected = np.zeros((3 * n, 2 * n, size, size))
    for y in range(size):
        for x in range(size):
            expected[:, :, y, x] = sum(np.kron(algebra[i], filters[i, :, :, y, x]) for i in range(n))
    np.testing.assert_allclose(layer.weight().detach().numpy(), expected, atol=1e-12)


def test_the_convolution_is_a_slow_sum_over_the_window():
    torch.manual_seed(1)
    layer = PHConvolution(2, 4, 3, stride=2, n=2).double()
    maps = torch.randn(1, 2, 6, 7, dtype=torch.float64)
    weight = layer.weight().detach().numpy()
    padded = np.pad(maps[0].numpy(), ((0, 0), (1, 1), (1, 1)))
    found = layer(maps)[0].detach().numpy()
    for o, i, j in np.ndindex(found.shape):
        window = padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        assert found[o, i, j] == pytest.approx((weight[o] * window).sum(), abs=1e-12)


def test_with_the_algebra_of_complex_numbers_it_is_a_complex_convolution():
    layer = PHConvolution(2, 2, 1, n=2)
    with torch.no_grad():
        layer.algebra[0] = torch.tensor([[1.0, 0.0], [0.0, 1.0]])  # real part
        layer.algebra[1] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])  # times i
        layer.filters[:, 0, 0, 0] = torch.tensor([2.0, 3.0])
    number, product = complex(5, 7), complex(5, 7) * complex(2, 3)
    out = layer(torch.tensor([number.real, number.imag]).view(1, 2, 1, 1)).flatten().tolist()
    assert out == pytest.approx([product.real, product.imag])


def test_the_network_has_the_published_number_of_parameters():
    network = PHResNet(2)
    weights = sum(parameter.numel() for parameter in network.parameters())
    layers = [module for module in network.modules() if isinstance(module, PHConvolution)]
    unused_biases = sum(layer.filters.shape[0] for layer in layers)
    head = network.channels[-1] + 1  # one logit
    assert weights + head == 13_081_809
    assert weights + head + unused_biases == 13_096_849


def test_the_stride_is_32_and_channels_that_do_not_divide_are_refused():
    maps = torch.zeros(1, 2, 64, 96)
    for stage in PHResNet(2, width=4).eval().stages:
        maps = stage(maps)
    assert maps.shape == (1, 64, 2, 3)
    with pytest.raises(
        ConfigurationError, match=r"n = 2 does not divide 1 image channels .* stack the views"
    ):
        PHResNet(1, n=2)
