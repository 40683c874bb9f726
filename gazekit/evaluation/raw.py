"""Prediction on raw image files, prepared in memory as the training data were."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gazekit.data.batches import ResidentExams
from gazekit.data.exam import Exam
from gazekit.data.exam_preparation import PreparedExam, Reject, Task
from gazekit.data.parallel import available_cores
from gazekit.data.preparation_settings import PreparationSettings
from gazekit.data.preparation_workers import prepare_all
from gazekit.errors import ConfigurationError
from gazekit.evaluation.prediction import predict
from gazekit.interfaces import AttentionMap
from gazekit.model import MultiViewClassifier
from gazekit.preset import Preset


@dataclass(frozen=True, slots=True, eq=False)
class RawPrediction:
    """What a model says of one exam.

    Args:
        exam_id: from the file names.
        probabilities: ``[classes]``.
        images: view → prepared image ``[H, W]`` in [0, 1].
        attention: view → ``[h, w]`` of the explained class; empty if not asked for.
    """

    exam_id: str
    probabilities: NDArray[np.float32]
    images: dict[str, NDArray[np.float32]]
    attention: dict[str, NDArray[np.float32]]


def predict_raw(
    model: MultiViewClassifier,
    preset: Preset,
    preparation: PreparationSettings,
    exams: Sequence[Exam],
    device: torch.device,
    *,
    attention_map: AttentionMap | None = None,
) -> Iterator[RawPrediction | Reject]:
    """Predict exams in order, decoded in child processes; one whose files cannot be used is yielded as a Reject.

    Args:
        model, preset: trained.
        preparation: settings of the data that it was trained on.
        exams: with absolute image paths, without gaze.
        device: of the model.
        attention_map: also explain with it.

    Raises:
        ConfigurationError: the model reads gaze at inference.
    """
    if model.needs_gaze:
        raise ConfigurationError(
            f"preset '{preset.name}' reads gaze at inference; evaluate it on a prepared data set"
        )
    settings = replace(preparation, views=preset.views)
    tasks = (Task(exam, {}, settings, Path(next(iter(exam.images.values())).anchor)) for exam in exams)
    with closing(prepare_all(tasks, min(available_cores(), len(exams)))) as results:
        for exam, prepared in zip(exams, results, strict=True):
            if isinstance(prepared, Reject):
                yield prepared
            else:
                yield _predict_one(model, preset, exam, prepared, device, attention_map)


def _predict_one(
    model: MultiViewClassifier,
    preset: Preset,
    exam: Exam,
    prepared: PreparedExam,
    device: torch.device,
    attention_map: AttentionMap | None,
) -> RawPrediction:
    resident = ResidentExams(
        prepared.images[None, :, None], preset, device, indices=np.zeros(1, dtype=np.int64)
    )
    found = predict(model, resident, batch_size=1, attention_map=attention_map)
    scale = np.iinfo(prepared.images.dtype).max
    return RawPrediction(
        exam_id=exam.exam_id,
        probabilities=found.probabilities[0],
        images={view: prepared.images[i].astype(np.float32) / scale for i, view in enumerate(preset.views)},
        attention={view: maps[0] for view, maps in found.attention.items()},
    )
