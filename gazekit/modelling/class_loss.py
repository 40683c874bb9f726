"""Cross-entropy per exam, with the two changes that recipes make to it: label smoothing and focusing."""

import torch
from torch import Tensor
from torch.nn import functional


def class_losses(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    *,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
) -> Tensor:
    """Compute ``(1 - p_t)^γ CE`` per exam ``[B]``, with targets ``(1 - ε) y + ε / classes``.

    For one logit ``p_t = p y' + (1 - p) (1 - y')`` with the smoothed target y'; for several, the probability of the
    label.

    Args:
        logits: ``[B, K]``.
        labels: ``[B]`` int64.
        weights: of the classes; with one logit, of the positive one relative to the negative one.
        label_smoothing: ε.
        focal_gamma: γ.

    Source: Szegedy et al. 2016, arXiv:1512.00567, Sec. 7; Lin et al. 2017, arXiv:1708.02002, Eq. 5.
    """
    if logits.shape[1] == 1:
        values = logits[:, 0]
        targets = labels.to(values.dtype) * (1 - label_smoothing) + label_smoothing / 2
        positive = None if weights is None else weights[1] / weights[0]
        losses = functional.binary_cross_entropy_with_logits(
            values, targets, pos_weight=positive, reduction="none"
        )
        probability = values.sigmoid()
        hit = probability * targets + (1 - probability) * (1 - targets)
    else:
        losses = functional.cross_entropy(
            logits, labels, weight=weights, label_smoothing=label_smoothing, reduction="none"
        )
        hit = logits.softmax(dim=1).gather(1, labels[:, None])[:, 0]
    # a power of zero has no gradient: an exam that is certain is left out of it
    return (
        losses
        if focal_gamma == 0
        else (1 - hit).clamp(min=torch.finfo(hit.dtype).tiny) ** focal_gamma * losses
    )
