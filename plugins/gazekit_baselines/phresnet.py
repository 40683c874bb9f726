"""PHResNet-18 for several views: a residual network of parameterised hypercomplex convolutions."""

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from gazekit.contracts.interfaces import Backbone
from gazekit.errors import ConfigurationError


class PHConvolution(nn.Module):
    """A convolution whose weight is ``W = Σ_i A_i ⊗ F_i`` (Kronecker products), i = 1 … n; no bias.

    With n = 2 it has about half the parameters of a plain one, and shares the filters F between the halves of its
    input channels, that is, between the views.

    Args:
        in_channels, out_channels: multiples of n.
        size: of the square kernel, pixels.
        stride: pixels.
        n: number of views that form one hypercomplex number.

    Source: Lopez et al. 2022, arXiv:2204.05798; Grassucci et al. 2021, arXiv:2110.04176.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int, *, stride: int = 1, n: int) -> None:
        super().__init__()
        self.stride, self.padding, self.n = stride, size // 2, n
        algebra = torch.empty(n, n, n)
        filters = torch.empty(n, out_channels // n, in_channels // n, size, size)
        self.algebra = nn.Parameter(nn.init.xavier_uniform_(algebra))  # A
        # F, [out, in / n, size, size], the n filters one after the other: four axes, so that any memory format fits
        self.filters = nn.Parameter(nn.init.xavier_uniform_(filters).flatten(0, 1))

    def weight(self) -> Tensor:
        """``W``, ``[out, in, size, size]``: block (r, s) is ``Σ_i A_i[r, s] F_i``."""
        filters = torch.unflatten(self.filters, 0, (self.n, -1))
        blocks = torch.einsum("irs,iocyx->roscyx", self.algebra, filters)
        return blocks.flatten(0, 1).flatten(1, 2)

    def forward(self, maps: Tensor) -> Tensor:
        """Map ``[B, in, H, W]`` to ``[B, out, H / stride, W / stride]``."""
        return nn.functional.conv2d(maps, self.weight(), stride=self.stride, padding=self.padding)


class PHResNet(Backbone):
    """Six stages: stem and four pairs of basic blocks (64 to 512 channels), then two refiners (1024 channels).

    The stem is 3 x 3 with stride 1 and there is no max-pooling; each refiner is a pair of bottlenecks. The stride is
    32 in all.

    Args:
        in_channels: channels of the stacked image, a multiple of n.
        n: number of views that form one hypercomplex number; None = ``in_channels``.
        width: channels of the first stage, a multiple of n.

    Raises:
        ConfigurationError: n does not divide the channels.

    Source: Lopez et al. 2022, arXiv:2204.05798: 13,096,849 parameters with a linear layer to one logit and the
    biases that the authors' code creates but never uses; ours has none.
    """

    def __init__(self, in_channels: int, *, n: PositiveInt | None = None, width: PositiveInt = 64) -> None:
        super().__init__()
        n = n or in_channels
        if in_channels % n or width % n:
            raise ConfigurationError(
                f"backbone phresnet: n = {n} does not divide {in_channels} image channels and width {width}; stack the "
                "views (fusion.images.use = stack) and let n be their number"
            )
        stem = nn.Sequential(PHConvolution(in_channels, width, 3, n=n), nn.BatchNorm2d(width), nn.ReLU())
        self.channels = (width, 2 * width, 4 * width, 8 * width, 16 * width, 16 * width)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(stem, *_basic(width, width, stride=1, n=n)),
                nn.Sequential(*_basic(width, 2 * width, stride=2, n=n)),
                nn.Sequential(*_basic(2 * width, 4 * width, stride=2, n=n)),
                nn.Sequential(*_basic(4 * width, 8 * width, stride=2, n=n)),
                nn.Sequential(*_refiner(8 * width, 8 * width, n=n)),
                nn.Sequential(*_refiner(16 * width, 8 * width, n=n)),
            ]
        )


class _Residual(nn.Module):
    """Compute ``ReLU(shortcut(x) + residual(x))``; the shortcut is 1 x 1 if the shape changes.

    The shortcut takes every ``stride``-th pixel and then convolves with stride 1: with few channels, oneDNN's 1 x 1
    convolution with stride writes past its memory (uxlfoundation/oneDNN#6035).
    """

    def __init__(
        self, residual: nn.Sequential, in_channels: int, out_channels: int, stride: int, n: int
    ) -> None:
        super().__init__()
        self.residual, self.stride = residual, stride
        self.shortcut = nn.Sequential()
        if stride != 1 or in_channels != out_channels:
            projection = PHConvolution(in_channels, out_channels, 1, n=n)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, maps: Tensor) -> Tensor:
        pixels = maps[..., :: self.stride, :: self.stride]
        return nn.functional.relu(self.shortcut(pixels) + self.residual(maps))


def _basic(in_channels: int, out_channels: int, *, stride: int, n: int) -> list[nn.Module]:
    """Make two basic blocks, the first with the stride."""
    blocks: list[nn.Module] = []
    for before, step in ((in_channels, stride), (out_channels, 1)):
        layers = _layers([(before, out_channels, 3, step), (out_channels, out_channels, 3, 1)], n)
        blocks.append(_Residual(layers, before, out_channels, step, n))
    return blocks


def _refiner(in_channels: int, planes: int, *, n: int) -> list[nn.Module]:
    """Make two bottlenecks of expansion 2, the first with stride 2."""
    blocks: list[nn.Module] = []
    for before, step in ((in_channels, 2), (2 * planes, 1)):
        layers = _layers([(before, planes, 1, 1), (planes, planes, 3, step), (planes, 2 * planes, 1, 1)], n)
        blocks.append(_Residual(layers, before, 2 * planes, step, n))
    return blocks


def _layers(shapes: list[tuple[int, int, int, int]], n: int) -> nn.Sequential:
    """Make convolution and batch norm for each (in, out, size, stride), with a ReLU between them."""
    layers: list[nn.Module] = []
    for before, after, size, stride in shapes:
        layers += [PHConvolution(before, after, size, stride=stride, n=n), nn.BatchNorm2d(after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
