"""Gaze as an input: next to every view, the same view with its gaze heat map laid over it."""

from collections.abc import Sequence

from pydantic import PositiveFloat

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.interfaces import ImageFusion
from gazekit.contracts.types import Views


class GazeOverlay(ImageFusion):
    """Two images per view: the view ``x`` itself, and ``x + strength * R`` named ``VIEW_gaze``.

    It reads the heat map ``R`` at inference too, so it cannot predict an exam without gaze. How the authors lay gaze
    over the image is not public; the sum is ours.

    Args:
        views: names of the views.
        in_channels: channels of an image; ``R`` is added to all of them.
        strength: brightness of the place most looked at, in units of the normalised image.

    Source: Jiang et al. 2023, SSRN 4247845 ("double model"), from its description: a stand-in.
    """

    needs_gaze = "always"

    def __init__(self, views: Sequence[str], in_channels: int, *, strength: PositiveFloat = 1.0) -> None:
        super().__init__()
        self.strength = strength
        self.views = tuple(name for view in views for name in (view, f"{view}_gaze"))
        self.in_channels = in_channels

    def forward(self, images: Views, gaze: Gaze | None) -> Views:
        """Map images ``[B, C, H, W]`` and gaze to twice as many images."""
        assert gaze is not None, "the model shell hands gaze to a fusion that needs it"
        fused: Views = {}
        for view, image in images.items():
            fused[view] = image
            fused[f"{view}_gaze"] = image + self.strength * gaze[view][:, None]
        return fused
