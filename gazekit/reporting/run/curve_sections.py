"""Build the figures that show how well systems separate the classes."""

from collections.abc import Mapping

from gazekit.measures.classification.curves import is_binary
from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.numbers import three
from gazekit.reporting.drawing.charts.classification import (
    calibration_figure,
    decision_figure,
    precision_recall_figure,
    roc_figure,
)
from gazekit.reporting.page import Section
from gazekit.reporting.run.measure_rows import Metrics

_BAND = "Bands: pointwise 95 % of resampled patients."


def curve_sections(
    pooled: Mapping[str, Pooled],
    metrics: Mapping[str, Metrics],
    calibrated: Mapping[str, bool],
    where: str,
) -> list[Section]:
    """Build ROC, precision-recall and decision curves for two classes, and calibration for any number.

    Args:
        pooled: system → predictions on the same exams.
        metrics: system → group → measure → interval.
        calibrated: system → whether its probabilities are.
        where: description of the exams.
    """
    measured = {title: groups["classification"] for title, groups in metrics.items()}
    sections, decision = [], []
    if all(is_binary(each) for each in pooled.values()):
        areas = {title: found["auc"] for title, found in measured.items()}
        precisions = {title: found["average_precision"] for title, found in measured.items()}
        sections += [
            Section(
                "ROC curve",
                roc_figure(pooled, areas),
                f"ROC curve on {where}.",
                f"With the AUC. {_BAND}",
            ),
            Section(
                "Precision and recall",
                precision_recall_figure(pooled, precisions),
                f"Precision-recall curve on {where}.",
                f"With the average precision. {_BAND}",
            ),
        ]
        decision = [
            Section(
                "Decision curve",
                decision_figure(pooled),
                f"Net benefit of the model, of treating every exam and of treating none on {where}.",
                _on_net_benefit(pooled, calibrated),
            )
        ]
        stated = {title: (each.probabilities[:, 1], each.labels == 1) for title, each in pooled.items()}
        says = "Stated probability of the positive class"
    else:
        stated = {
            title: (each.probabilities.max(axis=1), each.probabilities.argmax(axis=1) == each.labels)
            for title, each in pooled.items()
        }
        says = "Stated probability of the called class"
    text = (
        "On the diagonal a probability means what it says. Lines: Wilson's 95 % interval of each bin's exams."
    )
    return [
        *sections,
        Section("Calibration", calibration_figure(stated, says), "Stated against observed.", text),
        *decision,
    ]


def _on_net_benefit(pooled: Mapping[str, Pooled], calibrated: Mapping[str, bool]) -> str:
    """Say what net benefit is, and what it rests on: calibrated probabilities, and the share of positive exams."""
    share = float((next(iter(pooled.values())).labels == 1).mean())
    probabilities = "; ".join(
        (f"{title} " if len(pooled) > 1 else "")
        + ("calibrated" if calibrated[title] else "not calibrated (gazekit calibrate)")
        + f", {three(each.probabilities[:, 1].mean())} on average"
        for title, each in pooled.items()
    )
    return (
        "Per exam, if those above the threshold p are treated: true positives less p / (1 − p) times the false ones. "
        f"{_BAND} It trusts the probabilities: {probabilities}. It holds where the share of positive exams is "
        f"{three(share)}, as here; in a case-control set that is not the share of a clinic."
    )
