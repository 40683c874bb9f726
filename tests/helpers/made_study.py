"""A made-up result of a study: a reference, a better system, a stand-in with a failed run, one that never ran."""

import numpy as np

from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.comparing.systems import Comparison, Estimate
from gazekit.measures.statistics.intervals import Interval
from gazekit.study.results.result import Evidence, FailedRun, Reported, StudyResult, SystemRow

LOST = "2 exams: 100 % of gaze_x is <lost>"


def made_rows():
    reference = SystemRow(
        "mammonet",
        "mammonet",
        runs=6,
        planned=6,
        metrics={
            "auc": Estimate(0.81234, 0.0312, 6, Interval(0.8214, 0.7512, 0.8812, "BCa", 2000)),
            "accuracy": Estimate(0.75, 0.02, 6, Interval(0.76, 0.7, 0.81, "BCa", 2000)),
            "brier": Estimate(0.2, 0.01, 6, Interval(0.21, 0.2, 0.23, "BCa", 2000)),
            "nss": Estimate(-0.25, 0.5, 6),
        },
        parameters=23_456_789,
        step_ratio=1.0,
        reported=Reported(0.859, None, "Table 1 of the paper"),
    )
    better = SystemRow(
        "better",
        "mammonet",
        runs=6,
        planned=6,
        changes=("loss.gaze_weight=0.5",),
        metrics={"auc": Estimate(0.9, 0.01, 6, Interval(0.91, 0.85, 0.95, "BCa", 2000))},
        comparison=Comparison(
            100, Interval(0.0886, 0.02, 0.15, "percentile", 2000), 0.004, 0.2, 0.008, 0.4, 0.0877, 0.01, 0.02
        ),
        parameters=999_999,
        step_ratio=1.085,
    )
    partly = SystemRow(
        "two_channel",
        "two_channel",
        runs=5,
        planned=6,
        stand_in="Xian & others published no code",
        failures=(FailedRun("fold-2-seed-1", "out of memory"),),
        metrics={"auc": Estimate(0.7, None, 1, Interval(0.71, 0.6, 0.8, "percentile", 1990, 10))},
        comparison=Comparison(
            90, Interval(-0.12, -0.2, -0.0004, "percentile", 2000), 0.0004, 1.0, 0.0008, 1.0
        ),
        parameters=11,
        step_ratio=0.5,
    )
    never = SystemRow(
        "ga_net",
        "ga_net",
        runs=0,
        planned=6,
        failures=tuple(FailedRun(f"fold-{fold}-seed-0", LOST) for fold in (1, 2)),
    )
    return reference, better, partly, never


def made_result(**changes):
    values = {
        "title": "A comparison | of 50 % & more",
        "dataset": "prepared_224",
        "fingerprint": "0123456789abcdef",
        "exams": 100,
        "patients": 60,
        "classes": {"benign": 70, "malignant": 30},
        "protocol": "stratified folds, by patient",
        "folds": 2,
        "repeats": 1,
        "seeds": 3,
        "reference": "mammonet",
        "rows": made_rows(),
        "evidence": Evidence("CPU, 2 threads", {"torch": "2.13.0", "timm": "1.0"}, "2026-11-24", 12.34),
        "reported": "inbreast",
    }
    return StudyResult(**{**values, **changes})


def made_pooled(seed, exams=60, lift=1.0, digits=8):
    """Predictions of exams of which each patient has two."""
    rng = np.random.default_rng(seed)
    labels = np.arange(exams) % 3 % 2
    scores = 1 / (1 + np.exp(-np.round(rng.normal(size=exams) + lift * labels, digits)))
    patients = [f"patient {i // 2}" for i in range(exams)]
    return Pooled(
        [f"exam {i}" for i in range(exams)], patients, labels, np.stack([1 - scores, scores], axis=1)
    )
