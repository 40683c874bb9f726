"""Classify patches: a backbone, mean pooling and a linear layer."""

import numpy as np
import torch
from torch import Tensor, nn

from gazekit.measures.classification.metrics import area_under_roc
from gazekit.pretraining.patches import Patches
from gazekit.pretraining.pooled_backbone import PooledBackbone
from gazekit.pretraining.settings import PretrainSettings


class PatchClassifier(nn.Module):
    """Compute logits ``[B, K] = W z + b`` of pooled patches ``z``; the loss is cross-entropy.

    Args:
        encoder: patches to ``z``.
        classes: K.

    Source: Shen et al. 2019, Scientific Reports 9:12495, doi:10.1038/s41598-019-48995-4.
    """

    def __init__(self, encoder: PooledBackbone, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(encoder.features, classes)

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches as stored, ``[B, C, side, side]``, to logits ``[B, K]``."""
        logits: Tensor = self.classifier(self.encoder(patches))
        return logits

    def loss(self, patches: Patches, settings: PretrainSettings, step: int) -> Tensor:
        """Compute the loss of a step."""
        draw = patches.batch(settings.batch_size, seed=settings.seed, step=step)
        logits = self(torch.from_numpy(draw.images))
        return nn.functional.cross_entropy(logits, torch.from_numpy(draw.labels).to(logits.device))

    def measures(self, held_out: Patches, settings: PretrainSettings) -> dict[str, float]:
        """Measure one patch of each class of each held-out image; lesions alone if they have several classes."""
        draw = held_out.held_out(seed=settings.seed)
        parts = torch.from_numpy(draw.images).split(settings.batch_size)
        logits = torch.cat([self(part).cpu() for part in parts]).double()
        chances = logits.softmax(dim=1).nan_to_num(nan=1 / logits.shape[1]).numpy()
        lesions = draw.labels > 0
        among = {}
        if logits.shape[1] > 2:
            at_lesions = logits[lesions, 1:].softmax(dim=1).nan_to_num(nan=1 / (logits.shape[1] - 1)).numpy()
            among["AUC among lesions"] = area_under_roc(at_lesions, draw.labels[lesions] - 1)
        return {
            "accuracy": float(np.mean(chances.argmax(axis=1) == draw.labels)),
            "macro AUC": area_under_roc(chances, draw.labels),
            **among,
            "patches": len(draw.labels),
            "exams": len(set(draw.exams.tolist())),
        }
