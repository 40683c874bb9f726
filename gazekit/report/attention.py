"""The exams of the attention figure: chosen by a rule, never by their looks."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gazekit.data.prepared import PreparedDataset
from gazekit.evaluation.prediction import Predictions
from gazekit.report.figures import ExamPanel, ViewPanel


def choose_exams(dataset: PreparedDataset, indices: NDArray[np.int64], per_class: int = 2) -> list[int]:
    """The first exams of each class, last class first, those with gaze on every view before the others."""
    chosen: list[int] = []
    for label in reversed(range(len(dataset.classes))):
        of_class = [int(i) for i in indices if dataset.labels[i] == label]
        of_class.sort(key=lambda i: (not dataset.has_gaze[i].all(), i))
        chosen += of_class[:per_class]
    return chosen


def attention_panels(
    dataset: PreparedDataset,
    exams: Sequence[int],
    predictions: Mapping[str, Predictions],
    views: Sequence[str],
) -> list[ExamPanel]:
    """What ``attention_figure`` draws: one panel per exam.

    Args:
        dataset: images, gaze and masks.
        exams: positions in the data set, all of them predicted.
        predictions: column title → predictions with attention; the last one gives the probability shown.
        views: in preset order.
    """
    last = list(predictions.values())[-1]
    rows = {int(exam): row for row, exam in enumerate(last.indices)}
    return [
        ExamPanel(
            exam_id=dataset.exam_ids[exam],
            label=dataset.classes[dataset.labels[exam]],
            target=dataset.classes[-1],
            probability=float(last.probabilities[rows[exam], -1]),
            views={
                view: _view(
                    dataset, exam, view, {t: p.attention[view][rows[exam]] for t, p in predictions.items()}
                )
                for view in views
            },
        )
        for exam in exams
    ]


def _view(
    dataset: PreparedDataset, exam: int, view: str, attention: Mapping[str, NDArray[np.float32]]
) -> ViewPanel:
    column = dataset.views.index(view)
    scale = np.iinfo(dataset.images.dtype).max
    return ViewPanel(
        image=dataset.images[exam, column] / scale,
        gaze=dataset.gaze[exam, column] / scale if dataset.has_gaze[exam, column] else None,
        mask=dataset.masks[exam, column] > 0 if dataset.has_mask[exam, column] else None,
        attention=attention,
    )
