import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torchmetrics.functional import classification as theirs

from gazekit.errors import DataError
from gazekit.measures.classification.metrics import (
    CALIBRATION_BINS,
    area_under_roc,
    auc,
    average_precision,
    balanced_accuracy,
    calibration_error,
    classification_metrics,
)


def cases(seed, exams, classes, digits):
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(classes), rng.integers(0, classes, exams)]  # every class occurs
    logits = rng.normal(size=(len(labels), classes)) + 1.2 * np.eye(classes)[labels]
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    chances = np.round(chances, digits)  # few digits: ties
    chances[:, -1] = 1 - chances[:, :-1].sum(axis=1)
    return np.clip(chances, 0, 1), labels, [str(i) for i in range(len(labels))]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.sampled_from([1, 6]))
def test_binary_metrics_are_torchmetrics(seed, exams, digits):
    chances, labels, patients = cases(seed, exams, 2, digits)
    ours = classification_metrics(chances, labels, patients, resamples=2)
    score, truth = torch.from_numpy(chances[:, 1].copy()), torch.from_numpy(labels)
    called = (score > 0.5).long()
    expected = {
        "auc": theirs.binary_auroc(score, truth),
        "accuracy": theirs.binary_accuracy(score, truth),
        "balanced_accuracy": theirs.multiclass_accuracy(called, truth, num_classes=2, average="macro"),
        "average_precision": theirs.binary_average_precision(score, truth),
        "brier": ((score - truth) ** 2).mean(),
        "calibration_error": theirs.binary_calibration_error(score, truth, n_bins=CALIBRATION_BINS),
        "sensitivity": theirs.binary_recall(called, truth),
        "specificity": theirs.binary_specificity(called, truth),
        "positive_predictive_value": theirs.binary_precision(called, truth),
        "negative_predictive_value": theirs.binary_precision(1 - called, 1 - truth),
    }
    for name, nobody in (("positive", called.sum() == 0), ("negative", called.all())):
        if nobody:  # which torchmetrics holds to be 0
            assert np.isnan(ours.pop(f"{name}_predictive_value").value)
            assert expected.pop(f"{name}_predictive_value") == 0
    if digits == 1:  # torchmetrics holds its bin edges in float32: scores on an edge fall to either side
        del expected["calibration_error"]
        ours.pop("calibration_error")
    for name in ("calibration_intercept", "calibration_slope"):  # tests/measures/test_recalibration.py
        ours.pop(name)
    hits, passed = expected["sensitivity"], expected["specificity"]
    expected["positive_likelihood_ratio"] = hits / (1 - passed) if passed < 1 else np.nan
    expected["negative_likelihood_ratio"] = (1 - hits) / passed if passed > 0 else np.nan
    assert {name: interval.value for name, interval in ours.items()} == pytest.approx(
        {name: float(value) for name, value in expected.items()}, abs=1e-5, nan_ok=True
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 40), st.integers(3, 5))
def test_metrics_of_several_classes_are_torchmetrics(seed, exams, classes):
    chances, labels, patients = cases(seed, exams, classes, 6)
    ours = classification_metrics(chances, labels, patients, resamples=2)
    given_chances, truth = torch.from_numpy(chances), torch.from_numpy(labels)
    expected = {
        "auc": theirs.multiclass_auroc(given_chances, truth, classes),
        "accuracy": theirs.multiclass_accuracy(given_chances, truth, classes, average="micro"),
        "balanced_accuracy": theirs.multiclass_accuracy(given_chances, truth, classes, average="macro"),
        "average_precision": theirs.multiclass_average_precision(given_chances, truth, classes),
        "brier": ((given_chances - torch.eye(classes)[truth]) ** 2).sum(dim=1).mean(),
        "calibration_error": theirs.multiclass_calibration_error(
            given_chances, truth, classes, n_bins=CALIBRATION_BINS
        ),
    }
    assert {name: interval.value for name, interval in ours.items()} == pytest.approx(
        {name: float(value) for name, value in expected.items()}, abs=1e-5
    )
    assert area_under_roc(chances, labels) == ours["auc"].value


def test_auc_is_the_share_of_pairs_in_the_right_order():
    positive = np.array([False, True, False, True, True])
    scores = np.array([0.2, 0.2, 0.6, 0.6, 0.9])
    pairs = [(p, n) for p in scores[positive] for n in scores[~positive]]
    by_hand = np.mean([1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs])
    assert auc(positive, scores, np.ones((1, 5))) == pytest.approx([by_hand])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 25))
def test_a_weight_counts_like_that_many_copies_of_the_exam(seed, exams):
    rng = np.random.default_rng(seed)
    chances, labels, _ = cases(seed, exams, 2, 1)
    score, positive = chances[:, 1], labels == 1
    correct = (score > 0.5) == positive
    weights = rng.integers(0, 4, size=(3, len(labels))).astype(float)
    weights[:, :2] += 1  # both classes stay
    for row in weights:
        copies = np.repeat(np.arange(len(labels)), row.astype(int))
        one = np.ones((1, len(copies)))
        pairs = [
            (auc(positive, score, row[None]), auc(positive[copies], score[copies], one)),
            (
                average_precision(positive, score, row[None]),
                average_precision(positive[copies], score[copies], one),
            ),
            (
                balanced_accuracy(labels, correct, row[None]),
                balanced_accuracy(labels[copies], correct[copies], one),
            ),
            (
                calibration_error(score, positive, row[None]),
                calibration_error(score[copies], positive[copies], one),
            ),
        ]
        for weighted, copied in pairs:
            assert weighted == pytest.approx(copied, abs=1e-12)


def test_rows_without_a_class_have_no_auc_and_other_rows_keep_theirs():
    positive, scores = np.array([True, False, True]), np.array([0.9, 0.1, 0.2])
    weights = np.array([[1.0, 1, 1], [1, 0, 1], [0, 1, 0]])
    assert auc(positive, scores, weights) == pytest.approx([1.0, np.nan, np.nan], nan_ok=True)
    assert average_precision(positive, scores, weights) == pytest.approx([1.0, 1.0, np.nan], nan_ok=True)
    assert balanced_accuracy(positive.astype(int), positive, weights) == pytest.approx(
        [0.5, np.nan, np.nan], nan_ok=True
    )


def test_calibration_error_in_closed_form():
    # Bin [0.2, 0.3): two exams at 0.25, one hit; bin [0.9, 1]: one exam at 1.0, a hit.
    confidence, hit = np.array([0.25, 0.25, 1.0]), np.array([True, False, True])
    assert calibration_error(confidence, hit, np.ones((1, 3))) == pytest.approx([2 / 3 * 0.25])
    # 0.45 is in [0.4, 0.5), 0.5 in [0.5, 0.6): together they would make up for each other
    assert calibration_error(
        np.array([0.45, 0.5]), np.array([True, False]), np.ones((1, 2))
    ) == pytest.approx([(0.55 + 0.5) / 2])


def test_intervals_hold_the_value_and_count_resamples_of_one_class():
    chances, labels, patients = cases(0, 60, 2, 6)
    found = classification_metrics(chances, labels, patients, resamples=400)
    for interval in found.values():
        assert interval.low <= interval.value <= interval.high
        assert interval.low < interval.high
    few = classification_metrics(chances[:5], np.array([0, 1, 0, 0, 0]), patients[:5], resamples=400)
    assert few["auc"].undefined / 400 == pytest.approx(0.8**5 + 0.2**5, abs=0.08)
    assert few["accuracy"].undefined == 0


def test_rates_are_those_at_the_threshold_and_say_where_no_exam_is_called():
    chances = np.array([0.1, 0.3, 0.4, 0.8])
    given_chances = np.stack([1 - chances, chances], axis=1)
    found = classification_metrics(given_chances, np.array([0, 0, 1, 1]), list("abcd"), threshold=0.3)
    names = ("sensitivity", "specificity", "positive_predictive_value", "negative_predictive_value")
    assert [found[name].value for name in names] == [1, 1, 1, 1]  # 0.3 itself is not called
    found = classification_metrics(given_chances, np.array([0, 0, 1, 1]), list("abcd"), threshold=0.9)
    values = [found[name].value for name in names]
    assert values == pytest.approx([0, 1, np.nan, 0.5], nan_ok=True)
    assert np.isnan(found["positive_predictive_value"].low)


def test_a_rate_of_all_or_none_has_the_exact_interval_of_its_patients():
    """Every resample repeats it; 12 exams of 4 patients say as much as 4, if those of a patient are alike."""
    labels, patients = np.repeat([0, 1], [5, 12]), [*"vwxyz", *"aaabbbcccddd"]
    chances = np.where(labels == 1, 0.8, [0.9, *[0.1] * 16])
    found = classification_metrics(np.stack([1 - chances, chances], axis=1), labels, patients, resamples=200)
    exact = stats.binomtest(4, 4).proportion_ci(method="exact")
    assert (found["sensitivity"].low, found["sensitivity"].high) == pytest.approx((exact.low, exact.high))
    assert found["sensitivity"].method == found["negative_predictive_value"].method == "exact"
    assert found["specificity"].value == 0.8 and found["specificity"].method != "exact"
    for called, expected in ((labels, 9), (1 - labels, 0)):
        sure = np.eye(2)[called]
        exact = stats.binomtest(expected, 9).proportion_ci(method="exact")
        all_or_none = classification_metrics(sure, labels, patients, resamples=200)["accuracy"]
        assert (all_or_none.low, all_or_none.high) == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize(
    ("patients", "pairs"),
    [
        ("abcdefghi", 3),
        ("abcdefggg", 3),  # three negative exams of one patient
        ("aaadefghi", 1),  # one positive patient
        ("abcaefghi", 3),  # a has both classes, and there are enough others
        ("abcabcabc", 1),  # of three patients two make a pair
    ],
)
def test_classes_that_do_not_overlap_have_the_exact_interval_of_pairs_of_patients(
    patients: str, pairs: int
) -> None:
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0, 0])
    exact = stats.binomtest(pairs, pairs).proportion_ci(method="exact")
    found = classification_metrics(np.eye(2)[labels], labels, list(patients), resamples=50)
    assert (found["auc"].low, found["auc"].high) == pytest.approx((exact.low, exact.high))
    wrong = classification_metrics(np.eye(2)[1 - labels], labels, list(patients), resamples=50)["auc"]
    assert (wrong.value, wrong.low, wrong.high) == pytest.approx((0, 1 - exact.high, 1 - exact.low))
    rarer = min(len(set(patients[:3])), len(set(patients[3:])))
    recall = stats.binomtest(rarer, rarer).proportion_ci(method="exact")
    balanced = found["balanced_accuracy"]
    assert (balanced.low, balanced.high) == pytest.approx((recall.low, recall.high))
    assert all(np.isnan(found[name].low) for name in ("average_precision", "brier", "calibration_error"))


def test_three_classes_that_do_not_overlap_have_the_exact_interval_of_the_rarest() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
    exact = stats.binomtest(2, 2).proportion_ci(method="exact")
    found = classification_metrics(np.eye(3)[labels], labels, list("abcdefghi"), resamples=50)
    for name in ("auc", "balanced_accuracy"):
        assert (found[name].low, found[name].high) == pytest.approx((exact.low, exact.high))


def test_measures_that_rest_on_one_patient_have_no_interval() -> None:
    chances, _, patients = cases(5, 30, 2, 6)
    labels = np.eye(len(patients), dtype=np.int64)[0]
    found = classification_metrics(chances, labels, patients, resamples=200)
    assert all(np.isnan(found[name].low) for name in ("auc", "average_precision", "balanced_accuracy"))
    assert found["specificity"].low < found["specificity"].value < found["specificity"].high


def test_a_class_without_exams_is_left_out_of_the_macro_mean():
    chances, labels, patients = cases(3, 40, 3, 6)
    kept = labels != 1
    found = classification_metrics(chances[kept], labels[kept], np.array(patients)[kept], resamples=2)
    one = np.ones((1, kept.sum()))
    by_class = [auc(labels[kept] == c, chances[kept, c], one)[0] for c in (0, 2)]
    assert found["auc"].value == pytest.approx(np.mean(by_class))
    recalls = [np.mean(chances[labels == c].argmax(axis=1) == c) for c in (0, 2)]
    assert found["balanced_accuracy"].value == pytest.approx(np.mean(recalls))


@pytest.mark.parametrize(
    ("chances", "labels", "patients", "message"),
    [
        ([[0.5, 0.5]] * 3, [1, 1, 1], "abc", "all 3 exams have the label"),
        ([[0.4], [0.6]], [0, 1], "ab", "shape"),
        ([[-2.0, 3.0], [0.5, 0.5]], [0, 1], "ab", r"row 0 are \[-2.0, 3.0\]"),
        ([[0.5, 0.5], [0.5, 0.51]], [0, 1], "ab", "row 1"),
        ([[0.5, 0.5], [np.nan, 0.9]], [0, 1], "ab", "row 1"),
        ([[0.5, 0.5], [0.1, 0.9]], [0, 2], "ab", "labels run from 0 to 2: expected 0 to 1"),
        ([[0.5, 0.5], [0.1, 0.9]], [0, 1, 1], "abc", "2 rows of probabilities but 3 labels"),
        ([[0.5, 0.5], [0.1, 0.9]], [0, 1], "abc", "2 exams but 3 patients"),
    ],
)
def test_input_that_cannot_be_judged_is_refused(chances, labels, patients, message):
    with pytest.raises(DataError, match=message):
        classification_metrics(np.array(chances), np.array(labels), list(patients))
