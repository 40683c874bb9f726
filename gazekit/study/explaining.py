"""Where the systems of a study look: attention maps of their first finished runs."""

from collections.abc import Callable

import numpy as np
import torch

from gazekit.errors import GazekitError
from gazekit.prediction.predictions import Predictions
from gazekit.runs.trained import open_trained
from gazekit.study.study import Study


def explain(
    study: Study, exams: list[int], device: torch.device, *, report: Callable[[str], None], most: int = 6
) -> dict[str, Predictions]:
    """System → predictions with attention of its first finished run of the first fold, the reference first.

    Left out are systems without a map of every view (those that see one view, or the views as one image), and those
    whose run cannot predict any more, its weights removed to save space.

    Args:
        study: some of its runs finished.
        exams: positions in the data set, of the test part of the first fold.
        device: that predicts.
        report: told which system is left out because its run cannot predict, and why.
        most: systems; the first ones of the study.
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
        predictions = trained.predict_exams(study.datasets[name], np.array(exams))
        if set(predictions.attention) == set(study.dataset.views):
            explained[name] = predictions
        if len(explained) == most:
            break
    return explained
