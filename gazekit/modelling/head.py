"""The last layer: from the fused vector, and the covariates beside it, to the logits of every target."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gazekit.contracts.interfaces import Head
from gazekit.contracts.types import Views


class PlainHead(nn.Linear, Head):
    """One linear layer per target; the first target's is this layer itself.

    Args:
        features: of the fused vector, with the covariates beside it.
        outputs: target → logits, the label first.
        views, channels: of the vectors, which it does not read.
    """

    def __init__(
        self,
        features: int,
        outputs: Mapping[str, int],
        views: Sequence[str] = (),  # noqa: ARG002
        channels: int = 0,  # noqa: ARG002
    ) -> None:
        label, *further = outputs
        super().__init__(features, outputs[label])
        self.label = label
        self.further = nn.ModuleDict({target: nn.Linear(features, outputs[target]) for target in further})

    def forward(self, fused: Tensor, vectors: Views) -> dict[str, Tensor]:  # type: ignore[override]  # noqa: ARG002
        """Map ``[B, D]`` to ``[B, K]`` per target."""
        logits = {self.label: super().forward(fused)}
        return logits | {target: layer(fused) for target, layer in self.further.items()}


class Covariates(nn.Module):
    """Numbers that are known of an exam, standardised, beside the fused vector.

    ``z_c = (x_c - mean_c) / sd_c``, and 0 where it is not known, with a flag that says whether it is. Of a constant,
    which has no sd but that of rounding, ``z_c = x_c - mean_c``.

    Args:
        count: number of covariates; mean and standard deviation are those of the training exams, see ``fit``.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("scale", torch.ones(count))

    @property
    def features(self) -> int:
        """Numbers that go to the head."""
        return 2 * self.count

    def fit(self, values: Tensor) -> None:
        """Take mean and standard deviation of the known values of the training exams ``[n, C]``, NaN = not known."""
        known, values = ~values.isnan(), values.double()
        number = known.sum(dim=0).clamp(min=1)
        mean = values.nan_to_num(0).sum(dim=0) / number
        sd = (torch.where(known, (values - mean).square(), 0).sum(dim=0) / number).sqrt()
        rounding = 8 * torch.finfo(self.mean.dtype).eps * mean.abs()
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(sd > rounding, sd, 1))

    def forward(self, values: Tensor) -> Tensor:
        """Map ``[B, C]`` to ``[B, 2 C]``."""
        known = ~values.isnan()
        standardised = torch.where(known, (values.nan_to_num(0) - self.mean) / self.scale, 0)
        return torch.cat([standardised, known.to(standardised.dtype)], dim=1)
