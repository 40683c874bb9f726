"""Say what measured numbers cannot tell."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from gazekit.measures.catalogue import CLASS_GROUP
from gazekit.measures.evaluate import Metrics
from gazekit.prediction.predictions import Predictions
from gazekit.prepared.dataset import PreparedDataset


def limits_of(
    dataset: PreparedDataset, predictions: Predictions, metrics: Metrics, covariates: Sequence[str] = ()
) -> list[str]:
    """List, a sentence each, measures without interval, maps of another class, unmeasured targets and covariates.

    Args:
        dataset, predictions, metrics: of the exams.
        covariates: those that the model reads.
    """
    return [
        *_of_intervals(dataset, predictions, metrics),
        *_of_the_maps(dataset, metrics),
        *_of_targets(dataset, predictions, metrics),
        *_of_covariates(dataset, predictions, covariates),
    ]


def _of_intervals(dataset: PreparedDataset, predictions: Predictions, metrics: Metrics) -> Iterator[str]:
    measures = metrics["classification"].items()
    names = [
        name.replace("_", " ")
        for name, found in measures
        if math.isfinite(found.value) and math.isnan(found.low)
    ]
    if names:
        patients = len({dataset.patient_ids[exam] for exam in predictions.indices})
        yield (
            f"No interval of {', '.join(names)}: resamples of the {patients} patients repeat one value, or there is "
            "none without one of the patients. They say nothing about other patients."
        )


def _of_the_maps(dataset: PreparedDataset, metrics: Metrics) -> Iterator[str]:
    if any(group.startswith(CLASS_GROUP) for group in metrics):
        negative, positive = dataset.classes
        yield (
            f"Gaze aligned the maps of the true class (gaze.target = label), and the maps measured here are of "
            f"{positive}: in exams of {negative} the training asked for the opposite. Read the measures in "
            f"{positive} and in {negative}, not those of all exams."
        )


def _of_targets(dataset: PreparedDataset, predictions: Predictions, metrics: Metrics) -> Iterator[str]:
    for name in predictions.further:
        if f"target_{name}" in metrics:
            continue
        truth = dataset.targets[name][predictions.indices]
        known = np.unique(truth[truth >= 0])
        if len(known) == 1:
            only = dataset.target_classes[name][known[0]]
            yield f"Target {name} is not measured: every exam that says it has {only}."
        else:
            yield f"Target {name} is not measured: {'one patient alone says it' if len(known) else 'no exam says it'}."


def _of_covariates(
    dataset: PreparedDataset, predictions: Predictions, covariates: Sequence[str]
) -> Iterator[str]:
    for name in covariates:
        if np.isnan(dataset.covariates[name][predictions.indices]).all():
            yield f"No exam says the covariate {name}, which the model reads: all are predicted as not known."
