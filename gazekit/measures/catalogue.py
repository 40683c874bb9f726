"""Catalogue of the core's measures: group, title, meaning and scale. To add one, write a function and add a line here.

Metrics of a classification come from plugins, too (``gazekit_metrics``); ``measures.offered`` makes their entries.
"""

from dataclasses import dataclass
from typing import Literal

Group = Literal["classification", "gaze_agreement", "localisation", "scanpaths", "explanation"]
"""``scanpaths`` compares readers with each other, and is no part of the evaluation of a model; ``explanation`` checks
attention maps, apart from the evaluation."""


TARGET_GROUP, UNIT_GROUP, READER_GROUP, CLASS_GROUP, SUBGROUP = "target_", "per_", "reader_", "in_", "by_"
"""Beginnings of groups with the same measures again: of a further target, of sides or patients, of one reader, of
the exams of one class, of a subgroup of exams."""


def of_label(group: str) -> bool:
    """Whether a group of an evaluation measures the label, and all readers, of all single exams."""
    return not group.startswith((TARGET_GROUP, UNIT_GROUP, READER_GROUP, CLASS_GROUP, SUBGROUP))


@dataclass(frozen=True, slots=True)
class Measure:
    """Description of a measure.

    Args:
        group: group in an evaluation.
        title: name for tables.
        meaning: one phrase, including which direction is better.
        scale: lowest and highest possible value; None if unbounded on that side.
        chance: score of guessing; None if it depends on the data.
        in_studies: whether the table of a study has a column for it.
    """

    group: Group
    title: str
    meaning: str
    scale: tuple[float, float] | None = (0.0, 1.0)
    chance: float | None = None
    in_studies: bool = True


MEASURES = {
    "auc": Measure(
        "classification",
        "AUC",
        "chance that a positive exam gets a higher probability than a negative one (several classes: the mean of "
        "each against the rest); 0.5 is guessing",
        chance=0.5,
    ),
    "accuracy": Measure(
        "classification",
        "Accuracy",
        "share of exams called correctly (two classes: at the threshold, 0.5 or the run's)",
    ),
    "balanced_accuracy": Measure(
        "classification",
        "Balanced accuracy",
        "accuracy of each class, averaged: a rare class counts as much as a frequent one",
    ),
    "average_precision": Measure(
        "classification",
        "Average precision",
        "area under the precision-recall curve; guessing scores the share of positive exams",
    ),
    "brier": Measure(
        "classification",
        "Brier score",
        "mean squared error of the probabilities (several classes: summed over them, 2 at most); lower is better",
    ),
    "calibration_error": Measure(
        "classification",
        "Calibration error",
        "distance of stated probabilities from observed frequencies; lower is better",
    ),
    "sensitivity": Measure(
        "classification",
        "Sensitivity",
        "share of positive exams that are called positive, at the threshold",
        in_studies=False,
    ),
    "specificity": Measure(
        "classification",
        "Specificity",
        "share of negative exams that are called negative, at the threshold",
        in_studies=False,
    ),
    "positive_predictive_value": Measure(
        "classification",
        "Positive predictive value",
        "share of the exams called positive that are positive; it depends on how common they are",
        in_studies=False,
    ),
    "negative_predictive_value": Measure(
        "classification",
        "Negative predictive value",
        "share of the exams called negative that are negative; it depends on how common they are",
        in_studies=False,
    ),
    "positive_likelihood_ratio": Measure(
        "classification",
        "Positive likelihood ratio",
        "sensitivity / (1 - specificity): a positive call multiplies the odds by it; 1 is guessing, higher is better",
        scale=None,
        in_studies=False,
    ),
    "negative_likelihood_ratio": Measure(
        "classification",
        "Negative likelihood ratio",
        "(1 - sensitivity) / specificity: a negative call multiplies the odds by it; 1 is guessing, lower is better",
        scale=None,
        in_studies=False,
    ),
    "calibration_intercept": Measure(
        "classification",
        "Calibration intercept",
        "added to the logits, it makes the probabilities right on the whole; 0 is right, below 0 they are too high",
        scale=None,
        in_studies=False,
    ),
    "calibration_slope": Measure(
        "classification",
        "Calibration slope",
        "slope of the truth over the logit of the probability; 1 is right, below 1 they are too extreme",
        scale=None,
        in_studies=False,
    ),
    "nss": Measure(
        "gaze_agreement",
        "NSS",
        "attention at each reader's fixations, in standard deviations; 0 is guessing",
        scale=None,
    ),
    "correlation": Measure(
        "gaze_agreement",
        "Correlation",
        "of attention and gaze heat map (Pearson's); 0 is guessing",
        scale=(-1.0, 1.0),
        chance=0.0,
    ),
    "information_gain": Measure(
        "gaze_agreement",
        "Information gain",
        "bits per fixation beyond the centre bias, which comes from other images' fixations; 0 is the centre bias",
        scale=None,
    ),
    "shuffled_auc": Measure(
        "gaze_agreement",
        "Shuffled AUC",
        "fixations of this against those of other images; 0.5 is guessing",
        chance=0.5,
    ),
    "auc_judd": Measure(
        "gaze_agreement",
        "AUC-Judd",
        "fixated against all other pixels; guessing scores 0.5 + 1 / (2 n + 2) on an image with n fixated pixels",
        in_studies=False,
    ),
    "kl_divergence": Measure(
        "gaze_agreement",
        "KL divergence",
        "information lost by taking attention for gaze; lower is better",
        scale=None,
        in_studies=False,
    ),
    "similarity": Measure(
        "gaze_agreement",
        "SIM",
        "overlap of attention and gaze as distributions; higher is better",
        in_studies=False,
    ),
    "nss_ceiling": Measure(
        "gaze_agreement",
        "NSS ceiling",
        "NSS of the other readers' mean heat map, each reader left out in turn; images with two readers or more",
        scale=None,
        in_studies=False,
    ),
    "nss_share": Measure(
        "gaze_agreement",
        "NSS share",
        "share of the NSS ceiling that attention reaches, on the same images; 0 is guessing, 1 as good as readers",
        scale=None,
    ),
    "information_gain_ceiling": Measure(
        "gaze_agreement",
        "Information gain ceiling",
        "bits of the other readers' mean heat map, each reader left out in turn; images with two readers or more",
        scale=None,
        in_studies=False,
    ),
    "information_gain_share": Measure(
        "gaze_agreement",
        "Information gain share",
        "share of the information gain ceiling that attention reaches, on the same images; 0 is the centre bias",
        scale=None,
        in_studies=False,
    ),
    "pointing_game": Measure(
        "localisation", "Pointing game", "share of views whose attention is highest inside the lesion"
    ),
    "energy_inside": Measure(
        "localisation", "Energy inside", "share of the attention that lies inside the lesion"
    ),
    "best_iou": Measure(
        "localisation",
        "Best IoU",
        "overlap of lesion and attention, at the threshold that suits each map best: an upper bound",
    ),
    "multimatch_shape": Measure(
        "scanpaths",
        "MultiMatch shape",
        "likeness of aligned saccades as vectors; 1 is equal",
        in_studies=False,
    ),
    "multimatch_direction": Measure(
        "scanpaths", "MultiMatch direction", "likeness of their directions; 1 is equal", in_studies=False
    ),
    "multimatch_length": Measure(
        "scanpaths", "MultiMatch length", "likeness of their lengths; 1 is equal", in_studies=False
    ),
    "multimatch_position": Measure(
        "scanpaths",
        "MultiMatch position",
        "nearness of where they begin; 1 is the same place",
        in_studies=False,
    ),
    "multimatch_duration": Measure(
        "scanpaths",
        "MultiMatch duration",
        "likeness of the fixations' durations; 1 is equal",
        in_studies=False,
    ),
    "scanmatch": Measure(
        "scanpaths",
        "ScanMatch",
        "alignment of the scanpaths as strings of grid cells, with time; 1 is equal",
        in_studies=False,
    ),
    "dtw_distance": Measure(
        "scanpaths",
        "DTW distance",
        "mean distance of the warped scanpaths, in image diagonals; lower is better",
        in_studies=False,
    ),
}

CHECKS = {
    "randomised_likeness": Measure(
        "explanation",
        "|ρ|, random weights",
        "|Spearman| of the maps before and after all layers get random weights; lower is better",
    ),
    "randomised_nss": Measure(
        "explanation",
        "NSS, random weights",
        "NSS of the maps after all layers get random weights: agreement that needs no training; 0 is guessing",
        scale=None,
    ),
    "random_labels_likeness": Measure(
        "explanation",
        "|ρ|, random labels",
        "|Spearman| of the maps with those of the run on random labels; lower is better",
    ),
    "random_labels_nss": Measure(
        "explanation",
        "NSS, random labels",
        "NSS of the maps of the run on random labels: agreement with gaze that needs no true label; 0 is guessing",
        scale=None,
    ),
    "deletion_gain": Measure(
        "explanation",
        "Deletion gain",
        "area under the score, random order minus order of the maps, as pixels are removed; higher is better",
        scale=(-1.0, 1.0),
        chance=0.0,
    ),
    "insertion_gain": Measure(
        "explanation",
        "Insertion gain",
        "area under the score, order of the maps minus random order, as pixels are shown; higher is better",
        scale=(-1.0, 1.0),
        chance=0.0,
    ),
    "noise_likeness": Measure(
        "explanation",
        "ρ, noise",
        "Spearman's correlation of the maps with those of images under small noise; higher is better",
        scale=(-1.0, 1.0),
        chance=0.0,
    ),
    "shift_likeness": Measure(
        "explanation",
        "ρ, shift",
        "Spearman's correlation of the maps with those of shifted images, shifted back; higher is better",
        scale=(-1.0, 1.0),
        chance=0.0,
    ),
}
"""Measures of ``explain-check``, which stand in a study's table where a run has been checked."""
