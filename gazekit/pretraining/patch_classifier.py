"""Classify patches: a backbone, mean pooling and a linear layer."""

from torch import Tensor, nn

from gazekit.contracts.interfaces import Backbone
from gazekit.contracts.types import Extras


class PatchClassifier(nn.Module):
    """Compute logits ``[B, K] = W mean(maps(gain · x + offset)) + b`` of patches ``[B, C, side, side]``.

    Args:
        backbone: the network to pre-train.
        classes: K.
        scale: gain and offset that normalise pixels as they are stored.
    """

    def __init__(self, backbone: Backbone, classes: int, scale: tuple[float, float]) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.channels[-1], classes)
        self.gain, self.offset = scale

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches as stored, ``[B, C, side, side]``, to logits ``[B, K]``."""
        logits: Tensor = self.classifier(self.pooled(patches))
        return logits

    def pooled(self, patches: Tensor) -> Tensor:
        """Map patches as stored to the mean of the last maps, ``[B, D]``."""
        maps = patches.to(self.classifier.weight.dtype) * self.gain + self.offset
        extras: Extras = {}
        for stage in self.backbone.stages:
            result = stage(maps, extras) if getattr(stage, "reads_extras", False) else stage(maps)
            maps, extras = result if isinstance(result, tuple) else (result, {})
        return maps.mean(dim=(2, 3))
