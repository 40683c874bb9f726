"""Choose the exams of the attention figure by a rule, never by their looks."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from gazekit.prediction.predictions import Predictions
from gazekit.prepared.dataset import PreparedDataset
from gazekit.reporting.drawing.attention_figure import ExamPanel, ViewPanel
from gazekit.reporting.drawing.originals.shown import view_words
from gazekit.reporting.drawing.originals.views import ShownViews

_SIDE = 640
"""Maximum longer side of an original in the figure, px; a prepared image has at least half of it."""


MOST_SHOWN = 8
"""Maximum number of exams in a figure; with more classes it shows the last ones."""


def choose_exams(dataset: PreparedDataset, indices: NDArray[np.int64], per_class: int = 2) -> list[int]:
    """Choose the first exams of each class, last class first, preferring exams with gaze on every view.

    With many classes it takes one of each, ``MOST_SHOWN`` at most.
    """
    chosen: list[int] = []
    if len(dataset.classes) * per_class > MOST_SHOWN:
        per_class = 1
    for label in reversed(range(len(dataset.classes))):
        of_class = [int(i) for i in indices if dataset.labels[i] == label]
        of_class.sort(key=lambda i: (not dataset.has_gaze[i].all(), i))
        chosen += of_class[:per_class]
        if len(chosen) >= MOST_SHOWN:
            break
    return chosen[:MOST_SHOWN]


def attention_panels(
    shown: ShownViews, exams: Sequence[int], predictions: Mapping[str, Predictions], views: Sequence[str]
) -> list[ExamPanel]:
    """Build the panels for ``attention_figure``, one per exam.

    Args:
        shown: shows the views of the data set.
        exams: positions in the data set, all of them predicted.
        predictions: column title → predictions with attention; the last one gives the probability shown.
        views: in preset order.
    """
    dataset = shown.dataset
    last = list(predictions.values())[-1]
    rows = {int(exam): row for row, exam in enumerate(last.indices)}
    panels = []
    for exam in exams:
        probabilities = last.probabilities[rows[exam]]
        explained = 1 if len(probabilities) == 2 else int(probabilities.argmax())
        drawn = {view: {t: p.attention[view][rows[exam]] for t, p in predictions.items()} for view in views}
        panels.append(
            ExamPanel(
                exam_id=dataset.exam_ids[exam],
                label=dataset.classes[dataset.labels[exam]],
                target=dataset.classes[explained],
                probability=float(probabilities[explained]),
                views={view: _view(shown, exam, view, drawn[view]) for view in views},
            )
        )
    return panels


def _view(shown: ShownViews, exam: int, view: str, attention: Mapping[str, NDArray[np.float32]]) -> ViewPanel:
    dataset, column = shown.dataset, shown.dataset.views.index(view)
    picture = shown.show(exam, view, longest=_SIDE, shortest=_SIDE // 2)
    missing = not dataset.has_image[exam, column]
    place = picture.placement.map
    return ViewPanel(
        image=picture.image,
        gaze=place(dataset.heat_map(exam, view)) if dataset.has_gaze[exam, column] else None,
        mask=place(dataset.masks[exam, column] > 0) > 0.5 if dataset.has_mask[exam, column] else None,
        attention={title: place(each) for title, each in attention.items()},
        title=view_words(picture.side, view, missing=missing),
        mm_per_pixel=picture.mm_per_pixel,
        missing=missing,
    )
