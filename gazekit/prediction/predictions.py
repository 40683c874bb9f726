"""Run a model over exams: each exam once, in order, whatever the batch size."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gazekit.contracts.interfaces import AttentionMap, PredictsScanpaths
from gazekit.contracts.types import Batch
from gazekit.distributed.membership import count, rank
from gazekit.distributed.processes import gathered
from gazekit.feeding.batches import Exams
from gazekit.modelling.model import MultiViewClassifier, probabilities
from gazekit.prediction.calibration import UNCALIBRATED, Calibration


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of one model for some exams.

    Args:
        indices: ``[N]``, positions of the exams in their data set.
        logits: ``[N, K]``.
        probabilities: ``[N, classes]``.
        attention: view → ``[N, h, w]`` for the explained class; empty unless requested, or if the branches see
            no single view (an image fusion has combined them).
        threshold: the second of two classes is called above it.
        calibrated: whether the probabilities are (``gazekit calibrate``), rather than those of the network.
        further: further target → probabilities ``[N, its classes]``.
        scanpaths: view → ``[N, F, 2]``, x and y as shares of width and height; empty unless a term predicts them.
    """

    indices: NDArray[np.int64]
    logits: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    attention: dict[str, NDArray[np.float32]]
    scanpaths: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    further: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    threshold: float = 0.5
    calibrated: bool = False


Logits = tuple[Tensor, dict[str, Tensor]]
"""Of the label ``[B, K]``, and of the further targets by name."""
PREDICTED_FIXATIONS = 10
"""Fixations of a predicted scanpath (ours)."""


def logits_of(model: MultiViewClassifier, batch: Batch) -> Logits:
    """Compute the logits of a batch, without a graph."""
    gaze = batch.gaze if model.needs_gaze else None
    with torch.no_grad():
        output = model(batch.images, gaze, batch.present, batch.covariates)
    return output.logits, output.further


def predict(
    model: MultiViewClassifier,
    exams: Exams,
    *,
    batch_size: int,
    attention_map: AttentionMap | None = None,
    scanpath_term: PredictsScanpaths | None = None,
    calibration: Calibration = UNCALIBRATED,
    forward: Callable[[Batch], Logits] | None = None,
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> Predictions:
    """Predict all exams in evaluation mode; processes that train together share the batches and all get every result.

    Args:
        model: its mode is restored afterwards.
        exams: not augmented.
        batch_size: exams at a time.
        attention_map: also explains the predictions, see ``model.explained_class``.
        scanpath_term: also predicts scanpaths; needs an attention map beside it.
        calibration: of the probabilities of the label; the logits stay.
        forward: computes ``logits_of`` the model where nothing is explained; it may overwrite them with the next batch.
        report: called after each batch with the exams done, of all processes, and their number.
    """
    was_training = model.training
    model.eval()
    forward = forward or partial(logits_of, model)
    logits, further, attention, scanpaths = [], [], [], []
    done, number = 0, len(exams.indices)
    batches = exams.in_order(batch_size)
    shared = count() > 1 and attention_map is None
    for batch in exams.batches(batches[rank() :: count()] if shared else batches):
        if attention_map is None:
            own, others = forward(batch)
        else:
            gaze = batch.gaze if model.needs_gaze else None
            output, maps = model.explain(
                batch.images, attention_map, None, gaze, batch.present, batch.covariates
            )
            attention.append({view: maps[view].cpu() for view in exams.views if view in maps})
            if scanpath_term is not None:
                paths = scanpath_term.predict(output, fixations=PREDICTED_FIXATIONS)
                scanpaths.append({view: paths[view].cpu() for view in exams.views if view in paths})
            own, others = output.logits.detach(), output.further
        logits.append(own.clone())
        further.append({name: probabilities(each.detach()) for name, each in others.items()})
        done += len(own) * (count() if shared else 1)
        report(min(done, number), number)
    model.train(was_training)

    def together(rows: Sequence[Tensor], width: int) -> Tensor:
        joined = torch.cat(list(rows) or [torch.empty(0, width)]).cpu()  # a process may have no batch
        return _in_order(gathered(joined)[0], batches) if shared else joined

    joined = together(logits, model.outputs)
    return Predictions(
        indices=exams.indices,
        logits=joined.numpy(),
        probabilities=calibration.probabilities(joined).numpy(),
        threshold=calibration.threshold,
        calibrated=calibration.method != "none",
        attention=_joined(attention),
        scanpaths=_joined(scanpaths),
        further={
            name: together([batch[name] for batch in further], max(width, 2)).numpy()
            for name, width in model.further_outputs.items()
        },
    )


def _joined(batches: Sequence[dict[str, Tensor]]) -> dict[str, NDArray[np.float32]]:
    """Concatenate the batches view by view."""
    return {view: torch.cat([batch[view] for batch in batches]).numpy() for view in (batches or [{}])[0]}


def _in_order(rows: Tensor, batches: Sequence[NDArray[np.int64]]) -> Tensor:
    """Restore the order of rows gathered by process; each process had every ``count()``-th batch."""
    came = np.concatenate([batch for first in range(count()) for batch in batches[first :: count()]])
    return rows[torch.as_tensor(np.argsort(came))]
