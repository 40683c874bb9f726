"""A small residual network with a small stride, for small images and machines without a GPU."""

from pathlib import Path

from pydantic import PositiveInt
from torch import Tensor, nn

from gazekit.contracts.backbone_weights import load_backbone
from gazekit.contracts.interfaces import Backbone


class SmallResNet(Backbone):
    """Four residual stages of one block each; total stride 8, so 64 px give 8x8 maps.

    The stem and the first stage keep the resolution of the image, because in a 64-px mammogram a spicule is one pixel
    wide. Each further stage halves it.

    Args:
        in_channels: channels of the image.
        widths: channels out of each stage.
        weights: safetensors file to start from, as ``gazekit pretrain`` writes it; None = random weights.

    Source: ours; the residual block is that of He et al., CVPR 2016, doi:10.1109/CVPR.2016.90.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (24, 32, 64, 96),
        weights: str | None = None,
    ) -> None:
        super().__init__()
        self.weights_path = None if weights is None else Path(weights)
        stem = [_convolution(in_channels, widths[0], 3, 1), nn.BatchNorm2d(widths[0]), nn.ReLU()]
        self.channels: tuple[int, ...] = tuple(widths)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(*stem, _ResidualBlock(widths[0], widths[0], stride=1)),
                _ResidualBlock(widths[0], widths[1], stride=2),
                _ResidualBlock(widths[1], widths[2], stride=2),
                _ResidualBlock(widths[2], widths[3], stride=2),
            ]
        )

    def load_initial_weights(self) -> str:
        """Load the file that the options ask for. Raises ConfigurationError: it does not fit."""
        return "random" if self.weights_path is None else load_backbone(self, self.weights_path)


class _ResidualBlock(nn.Module):
    """Compute ``ReLU(shortcut(x) + BN(conv(ReLU(BN(conv(x))))))``; the shortcut is 1x1 if the shape changes.

    The shortcut takes every ``stride``-th pixel and then convolves with stride 1: with few channels, oneDNN's 1x1
    convolution with stride writes past its memory (uxlfoundation/oneDNN#6035).
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.residual = nn.Sequential(
            _convolution(in_channels, out_channels, 3, stride),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            _convolution(out_channels, out_channels, 3, 1),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            projection = _convolution(in_channels, out_channels, 1, 1)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(out_channels))

    def forward(self, maps: Tensor) -> Tensor:
        pixels = maps[..., :: self.stride, :: self.stride]
        output: Tensor = nn.functional.relu(self.shortcut(pixels) + self.residual(maps))
        return output  # [B, C_out, h / stride, w / stride]


def _convolution(in_channels: int, out_channels: int, size: int, stride: int) -> nn.Conv2d:
    """Make a convolution without bias (a batch norm follows), initialised for the ReLU after it."""
    layer = nn.Conv2d(in_channels, out_channels, size, stride=stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer
