"""Fuse the vectors of the views by a learnt gate."""

import torch

from gazekit.contracts.interfaces import VectorFusion


class Gated(VectorFusion):
    """Weigh the views by a learnt gate and add them.

    Args:
        hidden: width of the gate.
    """

    def __init__(self, views, channels, *, hidden: int = 64):
        super().__init__()
        self.out_features = channels
        self.gate = torch.nn.Sequential(
            torch.nn.Linear(channels, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, 1)
        )

    def forward(self, vectors):  # view -> [B, C]
        stacked = torch.stack(list(vectors.values()))  # [V, B, C]
        return (self.gate(stacked).softmax(dim=0) * stacked).sum(dim=0)
