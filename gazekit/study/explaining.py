"""Where the systems of a study look: attention maps of their first finished runs."""

import numpy as np
import torch

from gazekit.evaluation.prediction import Predictions
from gazekit.study.study import Study
from gazekit.training.trained import open_trained


def explain(study: Study, exams: list[int], device: torch.device, *, most: int = 6) -> dict[str, Predictions]:
    """System → predictions with attention of its first finished run, the reference first.

    Systems without a map of every view (those that see one view, or the views as one image) are left out.

    Args:
        study: some of its runs finished.
        exams: positions in the data set.
        device: that predicts.
        most: systems; the first ones of the study.
    """
    reference = study.settings.reference_name
    names = sorted((system.name for system in study.settings.systems), key=lambda name: name != reference)
    explained: dict[str, Predictions] = {}
    for name in names:
        runs = study.finished(name)
        if not runs or set(study.presets[name].views) != set(study.dataset.views):
            continue
        trained = open_trained(runs[0].path, study.registry, device)
        predictions = trained.predict_exams(study.datasets[name], np.array(exams))
        if set(predictions.attention) == set(study.dataset.views):
            explained[name] = predictions
        if len(explained) == most:
            break
    return explained
