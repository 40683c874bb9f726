"""Calibrate a run on its validation part, and keep the calibration in its directory."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gazekit.errors import ConfigurationError, DataError
from gazekit.measures.classification.calibration import (
    FEW,
    MOST,
    fit_isotonic,
    fit_platt,
    fit_temperature,
    threshold_at_specificity,
)
from gazekit.measures.classification.metrics import classification_metrics
from gazekit.prediction.calibration import Calibration, Method
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.arrays import Floats, Integers
from gazekit.runs.calibration.calibration_file import NAME, StoredCalibration, checksum
from gazekit.runs.directory import RunDirectory
from gazekit.runs.trained import Progress, Trained

_FEW = 30
"""Exams below which a temperature is mostly chance (ours)."""
_FAR = 3.0
"""Standard deviations between the positive exams expected and counted that chance hardly explains (ours)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationSettings:
    """How to calibrate a run.

    Args:
        method: ``temperature``, ``platt`` or ``isotonic`` for two classes, or ``none`` to store the threshold alone.
        at_specificity: choose the lowest threshold of this specificity on the validation part; None calls above 0.5.
    """

    method: Method = "temperature"
    at_specificity: float | None = None


def calibrate_run(
    trained: Trained,
    dataset: PreparedDataset,
    settings: CalibrationSettings,
    *,
    warn: Callable[[str], None] = lambda _text: None,
    report: Progress = lambda _done, _total: None,
) -> dict[str, Any]:
    """Fit a calibration on the validation part of a run, write ``calibration.json`` and return its content.

    From then on the run predicts, evaluates, reports and exports calibrated probabilities.

    Args:
        trained: the run.
        dataset: its training data, which hold the validation part.
        settings: method and threshold.
        warn: called with each doubt, one line each.
        report: told the exams predicted and their number.

    Raises:
        ConfigurationError: a method or threshold for two classes and a model of more, or neither of them.
        DataError: the validation part holds one class alone, or no threshold has that specificity.
    """
    _check(settings, len(trained.facts.classes))
    predictions = trained.predict(dataset, "val", explain=False, report=report)
    labels = dataset.labels[predictions.indices]
    if len(np.unique(labels)) < 2:
        raise DataError(
            f"{trained.run.path}: its validation part holds one class alone, which calibrates nothing; train with a "
            "larger one (--set data.val=0.3)"
        )
    logits = torch.as_tensor(predictions.logits)
    calibration = _fitted(settings.method, predictions.logits, labels, warn)
    before, after = (
        each.probabilities(logits).numpy().astype(np.float64) for each in (Calibration(), calibration)
    )
    if settings.method == "temperature" and after.shape[1] == 2:
        _compare_with_share(after[:, 1], labels == 1, trained.facts.classes[1], warn)
    threshold, origin = 0.5, ""
    if settings.at_specificity is not None:
        threshold, origin = _threshold(after[:, 1], labels, settings.at_specificity)
    patients = [dataset.patient_ids[i] for i in predictions.indices]
    stored = StoredCalibration(
        method=settings.method,
        temperature=calibration.temperature,
        shift=calibration.shift,
        knots=[list(knot) for knot in calibration.knots],
        threshold=threshold,
        threshold_origin=origin,
        weights=checksum(trained.weights.tensors),
        epoch=trained.weights.epoch,
        exams=len(labels),
        patients=len(set(patients)),
        before=_measures(before, labels),
        after=_measures(after, labels),
    )
    record = stored.model_dump(by_alias=True)
    trained.run.write_json(NAME, record)
    return record


def forget_calibration(run: RunDirectory) -> bool:
    """Remove the calibration of a run, even a damaged one; return whether there was one."""
    path = run.path / NAME
    there = os.path.lexists(path)
    path.unlink(missing_ok=True)
    return there


def _check(settings: CalibrationSettings, classes: int) -> None:
    if settings.at_specificity is not None and not 0 < settings.at_specificity < 1:
        raise ConfigurationError(
            f"--at-specificity {settings.at_specificity:g}: expected a number between 0 and 1"
        )
    if classes > 2 and settings.method in ("platt", "isotonic"):
        raise ConfigurationError(
            f"--method {settings.method} is for two classes; calibrate several by temperature"
        )
    if classes > 2 and settings.at_specificity is not None:
        raise ConfigurationError("--at-specificity is for two classes; of several the likeliest is called")
    if settings.method == "none" and settings.at_specificity is None:
        raise ConfigurationError(
            "--method none calibrates nothing; add --at-specificity for a threshold alone"
        )


def _fitted(
    method: Method, logits: NDArray[np.floating], labels: Integers, warn: Callable[[str], None]
) -> Calibration:
    if method in ("temperature", "platt"):
        if method == "platt":
            temperature, shift = fit_platt(logits[:, 0], labels == 1)
        else:
            temperature, shift = fit_temperature(logits, labels), 0.0
        if len(labels) < _FEW:
            warn(f"{len(labels)} validation exams say little about a temperature; take it for a guess")
        if not 1.01 / MOST < temperature < MOST / 1.01:
            warn(
                f"the temperature is at its limit, {temperature:.3g}: the validation part is too small, or its exams "
                f"are {'ordered without a fault' if temperature < 1 else 'not told apart'}"
            )
        return Calibration(method, temperature, shift=shift)
    if method == "isotonic":
        if len(labels) < FEW:
            warn(
                f"{len(labels)} validation exams: an isotonic regression of fewer than {FEW} follows their noise; "
                "--method temperature fits one number"
            )
        stated = Calibration().probabilities(torch.as_tensor(logits))[:, 1].numpy()
        return Calibration("isotonic", knots=fit_isotonic(stated, labels == 1))
    return Calibration()


def _compare_with_share(
    stated: Floats, positive: NDArray[np.bool_], name: str, warn: Callable[[str], None]
) -> None:
    """Warn if the mean probability is further from the share of positive exams than chance explains."""
    spread = float(np.sqrt((stated * (1 - stated)).sum()))
    if abs(float(stated.sum()) - int(positive.sum())) > _FAR * spread:
        warn(
            f"the calibrated probability of {name} is {stated.mean():.3f} on average, and {positive.mean():.3f} of the "
            "validation exams are: a temperature cannot move it (loss.class_weights weigh classes alike, whatever "
            "their share); --method platt does"
        )


def _threshold(scores: Floats, labels: Integers, specificity: float) -> tuple[float, str]:
    """Choose the threshold, and say where it comes from."""
    positive = labels == 1
    threshold = threshold_at_specificity(scores, positive, specificity)
    called = scores > threshold
    return threshold, (
        f"The lowest threshold of specificity {specificity:g} on the validation part, where its specificity is "
        f"{np.mean(~called[~positive]):.2f} of {int((~positive).sum())} exams, its sensitivity "
        f"{np.mean(called[positive]):.2f} of {int(positive.sum())}."
    )


def _measures(chances: Floats, labels: Integers) -> dict[str, float]:
    """Measure how far probabilities are from the truth, on the exams they were fitted to."""
    of_truth = np.maximum(chances[np.arange(len(labels)), labels], 1e-7)
    measured = classification_metrics(chances, labels, [str(i) for i in range(len(labels))], resamples=1)
    return {
        "log_loss": float(-np.log(of_truth).mean()),
        **{name: float(measured[name].value) for name in ("brier", "calibration_error")},
    }
