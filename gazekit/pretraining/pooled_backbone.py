"""Run a backbone on patches and average its last maps."""

from torch import Tensor, nn

from gazekit.contracts.interfaces import Backbone
from gazekit.contracts.types import Extras


class PooledBackbone(nn.Module):
    """Compute ``mean(maps(gain · x + offset))``, ``[B, D]``, of patches ``[B, C, side, side]``.

    Args:
        backbone: the network to pre-train.
        scale: gain and offset that normalise pixels as they are stored.
        full: greatest value of a stored pixel.
    """

    def __init__(self, backbone: Backbone, scale: tuple[float, float], full: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.features = backbone.channels[-1]
        self.gain, self.offset = scale
        self.full = full

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches in the unit in which they are stored to the mean of the last maps."""
        weight = next(self.backbone.parameters())
        maps = patches.to(weight.device, weight.dtype) * self.gain + self.offset
        extras: Extras = {}
        for stage in self.backbone.stages:
            result = stage(maps, extras) if getattr(stage, "reads_extras", False) else stage(maps)
            maps, extras = result if isinstance(result, tuple) else (result, {})
        return maps.mean(dim=(2, 3))
