"""Show where the systems of a study look: attention maps of their first finished runs."""

from collections.abc import Callable

import numpy as np
import torch

from gazekit.errors import GazekitError
from gazekit.prediction.predictions import Predictions
from gazekit.runs.trained import open_trained
from gazekit.study.study import Study

_MOST = 6
"""Systems that are shown, in the study's order."""


def explain(
    study: Study, exams: list[int], device: torch.device, *, report: Callable[[str], None]
) -> dict[str, Predictions]:
    """Predict with attention, by each system's first finished run of the first fold; the reference comes first.

    Leaves out systems without a map for every view (they see one view, or all views as one image), and systems
    whose run can no longer predict because its weights were removed to save space.

    Args:
        study: with some finished runs.
        exams: positions in the data set, from the test part of the first fold.
        device: for prediction.
        report: called with each system left out because its run cannot predict, and the reason.
    """
    reference = study.settings.reference_name
    fold = next(iter(study.splits))
    names = sorted((system.name for system in study.settings.systems), key=lambda name: name != reference)
    explained: dict[str, Predictions] = {}
    for name in names:
        runs = [task for task in study.finished(name) if task.fold == fold]
        if not runs or set(study.presets[name].views) != set(study.dataset.views):
            continue
        try:
            trained = open_trained(runs[0].path, study.registry, device, report=report)
        except GazekitError as error:
            report(f"no attention of {name}: {error}")
            continue
        predictions = trained.predict_exams(study.trained_on(name, fold), np.array(exams))
        if set(predictions.attention) == set(study.dataset.views):
            explained[name] = predictions
        if len(explained) == _MOST:
            break
    return explained
