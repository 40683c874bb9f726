"""Global average pooling."""

from torch import Tensor

from gazekit.contracts.interfaces import Pooling
from gazekit.contracts.types import Extras


class MeanPooling(Pooling):
    """``z_c = mean_xy A_c(x, y)``: each place counts alike.

    With it, Grad-CAM has a closed form, and CAM exists.

    Args:
        channels: ``C`` of the maps.

    Source: Lin et al. 2014, arXiv:1312.4400; Sec. 2.1 of Ji et al. 2023.
    """

    is_mean = True

    def __init__(self, channels: int) -> None:  # noqa: ARG002
        super().__init__()

    def forward(self, maps: Tensor, extras: Extras) -> Tensor:  # noqa: ARG002
        """Map the last maps ``[B, C, h, w]`` to ``[B, C]``."""
        return maps.mean(dim=(2, 3))
