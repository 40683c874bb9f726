"""Learn without labels that two looks at one place belong together: SimCLR's loss on patches."""

import numpy as np
import torch
from torch import Tensor, nn

from gazekit.feeding.random_numbers import PATCH_INTENSITY, random_generator
from gazekit.pretraining.patches import Draw, Patches
from gazekit.pretraining.pooled_backbone import PooledBackbone
from gazekit.pretraining.settings import PretrainSettings

TEMPERATURE = 0.5
"""τ of Chen et al. 2020, Appendix B.9, for images of 32 px."""
_PROJECTED = 128
"""Features of the projection, as there."""
_GAIN, _GAMMA = 0.2, 0.3
"""Grey values x in [0, 1] become ``gain · x^gamma``: gain from 1 ± 0.2, the logarithm of gamma from ± 0.3. Ours."""


def nt_xent(first: Tensor, second: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Compute the normalised temperature-scaled cross-entropy of pairs ``[B, D]``, a scalar.

    ``ℓ(i, j) = −log exp(s(i, j)/τ) / Σ_{k ≠ i} exp(s(i, k)/τ)`` with ``s`` the cosine of two of the 2B vectors; the
    loss is the mean over the B pairs in both orders.

    Source: Chen et al. 2020, arXiv:2002.05709, Eq. 1.
    """
    vectors = nn.functional.normalize(torch.cat([first, second]), dim=1)  # [2B, D]
    scores = (vectors @ vectors.T / temperature).fill_diagonal_(-torch.inf)
    count = len(first)
    partner = torch.arange(2 * count, device=scores.device).roll(count)
    return nn.functional.cross_entropy(scores, partner)


class ContrastiveNetwork(nn.Module):
    """Project pooled patches with two linear layers; the loss is NT-Xent of two looks at each place.

    The looks differ by shift, flips, turns and grey values, not by size as SimCLR's do:
    the size of a lesion says something.

    Args:
        encoder: patches to pooled vectors.
    """

    def __init__(self, encoder: PooledBackbone) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.features
        self.projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, _PROJECTED))

    def forward(self, patches: Tensor) -> Tensor:
        """Map patches as stored, ``[B, C, side, side]``, to projections ``[B, 128]``."""
        projected: Tensor = self.projection(self.encoder(patches))
        return projected

    def loss(self, patches: Patches, settings: PretrainSettings, step: int) -> Tensor:
        """Compute the loss of a step."""
        pair = patches.pairs(settings.batch_size, seed=settings.seed, step=step)
        both = self(torch.cat([self._look(each, settings.seed, 2 * step + i) for i, each in enumerate(pair)]))
        return nt_xent(*both.chunk(2))

    def measures(self, held_out: Patches, settings: PretrainSettings) -> dict[str, float]:
        """Measure how often a look's most similar one, of two looks at each held-out image, is its partner."""
        pair = held_out.held_out_pairs(seed=settings.seed)
        looks = torch.cat([self._look(each, settings.seed, 2**62 + i) for i, each in enumerate(pair)])
        projected = torch.cat([self(part).cpu() for part in looks.split(settings.batch_size)]).double()
        vectors = nn.functional.normalize(projected, dim=1)
        nearest = (vectors @ vectors.T).fill_diagonal_(-torch.inf).argmax(dim=1)
        partner = torch.arange(len(looks)).roll(len(looks) // 2)
        return {
            "partner found": float((nearest == partner).double().mean()),
            "by chance": 1 / (len(looks) - 1),
            "patches": len(pair[0].images),
            "exams": len(set(pair[0].exams.tolist())),
        }

    def _look(self, draw: Draw, seed: int, index: int) -> Tensor:
        """Change the grey values of patches, each in its own way."""
        generator = random_generator(seed=seed, purpose=PATCH_INTENSITY, index=index, epoch=0)
        signed = 2 * generator.random((2, len(draw.images), 1, 1, 1)) - 1
        gain, gamma = 1 + _GAIN * signed[0], np.exp(_GAMMA * signed[1])
        values = gain * (draw.images / self.encoder.full) ** gamma
        return torch.from_numpy((values * self.encoder.full).astype(np.float32))
