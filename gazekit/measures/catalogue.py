"""Titles and plain explanations of the measures, for readers of a report."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure in words.

    Args:
        title: its name.
        meaning: one phrase, with what is better.
        scale: lowest and highest possible value; None where there is no bound on a side.
        chance: what guessing scores; None where that depends on the data.
    """

    title: str
    meaning: str
    scale: tuple[float, float] | None = (0.0, 1.0)
    chance: float | None = None


MEASURES = {
    "auc": Measure(
        "AUC",
        "chance that a positive exam gets a higher probability than a negative one (several classes: the mean of "
        "each against the rest); 0.5 is guessing",
        chance=0.5,
    ),
    "accuracy": Measure("Accuracy", "share of exams called correctly (two classes: at probability 0.5)"),
    "balanced_accuracy": Measure(
        "Balanced accuracy", "accuracy of each class, averaged: a rare class counts as much as a frequent one"
    ),
    "average_precision": Measure(
        "Average precision",
        "area under the precision-recall curve; guessing scores the share of positive exams",
    ),
    "brier": Measure("Brier score", "mean squared error of the probabilities; lower is better"),
    "calibration_error": Measure(
        "Calibration error", "distance of stated probabilities from observed frequencies; lower is better"
    ),
    "nss": Measure(
        "NSS", "attention at the reader's fixations, in standard deviations; 0 is guessing", scale=None
    ),
    "auc_judd": Measure("AUC-Judd", "fixated against all other pixels; 0.5 is guessing", chance=0.5),
    "shuffled_auc": Measure(
        "Shuffled AUC", "fixations of this against those of other images; 0.5 is guessing", chance=0.5
    ),
    "correlation": Measure(
        "Correlation",
        "of attention and gaze heat map (Pearson's); 0 is guessing",
        scale=(-1.0, 1.0),
        chance=0.0,
    ),
    "kl_divergence": Measure(
        "KL divergence", "information lost by taking attention for gaze; lower is better", scale=None
    ),
    "similarity": Measure("SIM", "overlap of attention and gaze as distributions; higher is better"),
    "pointing_game": Measure("Pointing game", "share of views whose attention is highest inside the lesion"),
    "energy_inside": Measure("Energy inside", "share of the attention that lies inside the lesion"),
    "best_iou": Measure(
        "Best IoU",
        "overlap of lesion and attention, at the threshold that suits each map best: an upper bound",
    ),
}
