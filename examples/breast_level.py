"""A head for visits of four views: logits of each breast, and the visit's as their maximum.

As a plugin: name this module in the entry-point group ``gazekit`` of a package (see docs/tutorials/write_a_fusion.md).
A preset for visits whose table has the columns ``target_left`` and ``target_right``::

    extends = "mammonet_small"
    views = ["l_cc", "l_mlo", "r_cc", "r_mlo"]
    head = "breast_level"
    [targets]
    left = 1.0
    right = 1.0
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gazekit.contracts.hookspecs import hookimpl
from gazekit.contracts.interfaces import Head
from gazekit.contracts.types import Views


class BreastLevel(Head):
    """``s_left = w · [p_l_cc, p_l_mlo]``, ``s_right`` likewise with the same w, and ``s_label = max(s_left, s_right)``.

    Args:
        features: of the fused vector, which it does not read.
        outputs: target → logits; as many for ``left`` and ``right`` as for ``label``. Others get a linear layer.
        views: names that begin with ``l_`` and ``r_``, as many of each.
        channels: of the vectors.
    """

    def __init__(
        self, features: int, outputs: Mapping[str, int], views: Sequence[str], channels: int
    ) -> None:
        super().__init__()
        self.targets = tuple(outputs)
        self.sides = {
            side: [view for view in views if view.startswith(side[0] + "_")] for side in ("left", "right")
        }
        self.breast = nn.Linear(channels * len(self.sides["left"]), outputs["label"])
        others = {name: number for name, number in outputs.items() if name not in ("label", *self.sides)}
        self.others = nn.ModuleDict({name: nn.Linear(features, number) for name, number in others.items()})

    def forward(self, fused: Tensor, vectors: Views) -> dict[str, Tensor]:
        """Map the vectors ``[B, channels]`` per view to logits per target."""
        breasts = {
            side: self.breast(torch.cat([vectors[view] for view in views], dim=1))
            for side, views in self.sides.items()
        }
        found = {"label": torch.maximum(breasts["left"], breasts["right"]), **breasts}
        found |= {name: layer(fused) for name, layer in self.others.items()}
        return {target: found[target] for target in self.targets}


@hookimpl
def gazekit_heads() -> Mapping[str, type[Head]]:
    """Offer the head."""
    return {"breast_level": BreastLevel}
