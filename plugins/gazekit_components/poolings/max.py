"""Global maximum pooling."""

from torch import Tensor

from gazekit.contracts.interfaces import Pooling
from gazekit.contracts.types import Extras


class MaxPooling(Pooling):
    """``z_c = max_xy A_c(x, y)``: the strongest place of each channel decides.

    Places that are equally strong share the gradient.

    Args:
        channels: ``C`` of the maps.

    Source: Oquab et al. 2015, doi:10.1109/CVPR.2015.7298668.
    """

    def __init__(self, channels: int) -> None:  # noqa: ARG002
        super().__init__()

    def forward(self, maps: Tensor, extras: Extras) -> Tensor:  # noqa: ARG002
        """Map the last maps ``[B, C, h, w]`` to ``[B, C]``."""
        return maps.amax(dim=(2, 3))  # adaptive pooling has no deterministic backward pass on CUDA
