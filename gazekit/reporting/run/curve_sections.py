"""Build the figures that show how well systems separate the classes."""

from collections.abc import Mapping

from gazekit.measures.classification.curves import is_binary
from gazekit.measures.classification.pooled import Pooled
from gazekit.reporting.drawing.charts import calibration_figure, precision_recall_figure, roc_figure
from gazekit.reporting.page import Section
from gazekit.reporting.run.measure_rows import Metrics

_BAND = "Bands: pointwise 95 % of resampled patients."


def curve_sections(pooled: Mapping[str, Pooled], metrics: Mapping[str, Metrics], where: str) -> list[Section]:
    """Build ROC and precision-recall curves for two classes, and calibration for any number.

    Args:
        pooled: system → predictions.
        metrics: system → group → measure → interval.
        where: description of the exams.
    """
    measured = {title: groups["classification"] for title, groups in metrics.items()}
    sections = []
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
    ]
