"""Predict and explain exams whose images are changed: by noise, by a shift, by removing pixels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazekit.contracts.interfaces import AttentionMap
from gazekit.contracts.types import Views
from gazekit.feeding.batches import Exams
from gazekit.modelling.model import MultiViewClassifier, probabilities

Change = Callable[[Views, NDArray[np.int64]], Views]
"""Normalised images of a batch, per view ``[B, C, H, W]``, and its rows ``[B]`` to changed images."""


@dataclass(frozen=True, slots=True)
class ExplainedExams:
    """The answers of a model.

    Args:
        attention: view → ``[N, h, w]``; the views of the exams that the attention map has.
        probabilities: ``[N, classes]``, not calibrated.
    """

    attention: dict[str, NDArray[np.float32]]
    probabilities: NDArray[np.float32]


def explain_changed(
    model: MultiViewClassifier,
    exams: Exams,
    attention_map: AttentionMap,
    target: NDArray[np.int64],
    *,
    batch_size: int,
    change: Change | None = None,
) -> ExplainedExams:
    """Explain the given class of every exam, whatever the model predicts.

    Args:
        model: in evaluation mode.
        exams: not augmented.
        attention_map: of the model.
        target: class to explain per exam, ``[N]``.
        batch_size: exams at a time.
        change: of the images; None leaves them.
    """
    rows = exams.in_order(batch_size)
    attention: list[Views] = []
    chances: list[Tensor] = []
    for where, batch in zip(rows, exams.batches(rows), strict=True):
        images = batch.images if change is None else change(batch.images, where)
        explained = torch.as_tensor(target[where], device=exams.device)
        gaze = batch.gaze if model.needs_gaze else None
        output, maps = model.explain(images, attention_map, explained, gaze, batch.present, batch.covariates)
        attention.append({view: maps[view].cpu() for view in exams.views if view in maps})
        chances.append(probabilities(output.logits.detach()).cpu())
    return ExplainedExams(
        {view: torch.cat([batch[view] for batch in attention]).numpy() for view in attention[0]},
        torch.cat(chances).numpy(),
    )


def scores_of(
    model: MultiViewClassifier,
    exams: Exams,
    target: NDArray[np.int64],
    rows: NDArray[np.int64],
    versions: Views,
) -> NDArray[np.float32]:
    """Compute the probability of a class for several versions of the images of some exams.

    Args:
        model: in evaluation mode.
        exams: not augmented; they give presence, gaze and covariates.
        target: class per exam, ``[N]``.
        rows: of the exams, ``[n]``.
        versions: per view ``[n, S, C, H, W]``, S normalised versions of each exam's image.

    Returns:
        ``[n, S]``.
    """
    batch = exams.batch(rows)
    found = []
    with torch.no_grad():
        for number in range(next(iter(versions.values())).shape[1]):
            images = {view: each[:, number] for view, each in versions.items()}
            gaze = batch.gaze if model.needs_gaze else None
            logits = model(images, gaze, batch.present, batch.covariates).logits
            found.append(probabilities(logits)[torch.arange(len(rows)), torch.as_tensor(target[rows])].cpu())
    return torch.stack(found, dim=1).numpy()
