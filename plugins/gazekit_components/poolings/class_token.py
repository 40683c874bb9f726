"""The class token of a transformer, instead of pooling."""

from torch import Tensor

from gazekit.contracts.interfaces import Pooling
from gazekit.contracts.types import Extras
from gazekit.errors import ConfigurationError


class ClassToken(Pooling):
    """``z``, the class token after the last stage.

    The last maps do not influence the score then, so that Grad-CAM and its like have nothing to differentiate; the
    attention maps ``rollout`` and ``class_attention`` work, and ``layer_cam`` at an earlier stage.

    Args:
        channels: ``C`` of the maps.

    Source: Dosovitskiy et al. 2021, arXiv:2010.11929, Sec. 3.1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, maps: Tensor, extras: Extras) -> Tensor:  # noqa: ARG002
        """Return the class token ``[B, C]`` that the last stage shows beside its maps ``[B, C, h, w]``.

        Raises:
            ConfigurationError: the backbone shows none, or one of another width.
        """
        token = extras.get("class_token")
        if token is None:
            raise ConfigurationError(
                "pooling class_token: expected a backbone that shows its class token, such as a Vision Transformer of "
                'timm; this one shows none (pooling = "mean" works with any)'
            )
        if token.shape[1:] != (self.channels,):
            raise ConfigurationError(
                f"pooling class_token: expected a class token of {self.channels} channels, as the last maps have, got "
                f"{list(token.shape[1:])}"
            )
        return token
