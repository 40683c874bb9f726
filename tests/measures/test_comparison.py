"""Systems compared on the same exams: slow definitions, published values, invariances."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gazekit.errors import DataError
from gazekit.measures.comparing.paired_tests import DeLong, auc_difference, delong, holm, mcnemar
from gazekit.measures.statistics.permutation import permute_runs


def slow_delong(labels, scores_a, scores_b):
    """The structural components of the paper, pair by pair."""

    def psi(x, y):
        return 1.0 if x > y else 0.5 if x == y else 0.0

    ones = [i for i, label in enumerate(labels) if label == 1]
    zeros = [i for i, label in enumerate(labels) if label == 0]
    above = [[sum(psi(s[i], s[j]) for j in zeros) / len(zeros) for i in ones] for s in (scores_a, scores_b)]
    below = [[sum(psi(s[i], s[j]) for i in ones) / len(ones) for j in zeros] for s in (scores_a, scores_b)]
    aucs = [sum(v) / len(v) for v in above]
    covariance = np.cov(above) / len(ones) + np.cov(below) / len(zeros)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    z = (aucs[0] - aucs[1]) / math.sqrt(variance)
    return DeLong(aucs[0], aucs[1], aucs[0] - aucs[1], z, math.erfc(abs(z) / math.sqrt(2)))


def as_tuple(result):
    return (result.auc_a, result.auc_b, result.difference, result.z, result.p)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 12), st.integers(2, 12), st.sampled_from([1, 8]))
def test_delong_is_the_pairwise_definition(seed, zeros, ones, digits):
    rng = np.random.default_rng(seed)
    labels = rng.permutation([0] * zeros + [1] * ones)
    first = np.round(rng.normal(size=zeros + ones) + labels, digits)  # one digit: many ties
    second = np.round(rng.normal(size=zeros + ones), digits)
    ours = delong(labels, first, second)
    if math.isfinite(ours.z) and ours.z != 0:
        assert as_tuple(ours) == pytest.approx(as_tuple(slow_delong(labels, first, second)), abs=1e-9)
    swapped = delong(labels, second, first)
    assert as_tuple(swapped) == pytest.approx((ours.auc_b, ours.auc_a, -ours.difference, -ours.z, ours.p))
    assert as_tuple(delong(labels, np.exp(first), second)) == pytest.approx(as_tuple(ours))


# Albumin, total protein, K-G score and outcome of DeLong et al. 1988, as SAS/STAT publishes them in its example
# "Comparing Receiver Operating Characteristic Curves" (PROC LOGISTIC).
OVARIAN = """
    3.0 5.8 10 0  3.2 6.3 5 1  3.9 6.8 3 1  2.8 4.8 6 0  3.2 5.8 3 1  0.9 4.0 5 0  2.5 5.7 8 0  1.6 5.6 5 1
    3.8 5.7  5 1  3.7 6.7 6 1  3.2 5.4 4 1  3.8 6.6 6 1  4.1 6.6 5 1  3.6 5.7 5 1  4.3 7.0 4 1  3.6 6.7 4 0
    2.3 4.4  6 1  4.2 7.6 4 0  4.0 6.6 6 0  3.5 5.8 6 1  3.8 6.8 7 1  3.0 4.7 8 0  4.5 7.4 5 1  3.7 7.4 5 1
    3.1 6.6  6 1  4.1 8.2 6 1  4.3 7.0 5 1  4.3 6.5 4 1  3.2 5.1 5 1  2.6 4.7 6 1  3.3 6.8 6 0  1.7 4.0 7 0
    3.7 6.1  5 1  3.3 6.3 7 1  4.2 7.7 6 1  3.5 6.2 5 1  2.9 5.7 9 0  2.1 4.8 7 1  2.8 6.2 8 0  4.0 7.0 7 1
    3.3 5.7  6 1  3.7 6.9 5 1  3.6 6.6 5 1
"""


def test_delong_on_the_papers_own_patients_as_sas_prints_it():
    albumin, protein, score, outcome = np.array(OVARIAN.split(), dtype=float).reshape(-1, 4).T
    event = (outcome == 0).astype(int)
    against_protein = delong(event, -protein, score - 10)
    against_albumin = delong(event, -albumin, score - 10)
    assert against_protein.auc_a == pytest.approx(0.6478, abs=5e-5)
    assert against_protein.auc_b == pytest.approx(0.7258, abs=5e-5)
    assert against_albumin.auc_a == pytest.approx(0.7366, abs=5e-5)
    assert against_protein.z**2 == pytest.approx(0.5554, abs=5e-5)
    assert against_protein.p == pytest.approx(0.4561, abs=5e-5)


def test_delong_of_equal_scores_and_of_a_difference_without_variance():
    labels = [0, 0, 1, 1]
    same = delong(labels, [0.1, 0.4, 0.35, 0.8], [0.1, 0.4, 0.35, 0.8])
    assert (same.difference, same.z, same.p) == (0.0, 0.0, 1.0)
    opposite = delong(labels, [1, 2, 3, 4], [4, 3, 2, 1])
    assert (opposite.difference, opposite.z, opposite.p) == (1.0, math.inf, 0.0)


def test_delong_refuses_what_it_cannot_compare():
    with pytest.raises(DataError, match="at least two exams of each class, found 3 negative and 1 positive"):
        delong([0, 0, 0, 1], [1, 2, 3, 4], [1, 2, 3, 4])
    with pytest.raises(DataError, match="4 labels but 3 scores"):
        delong([0, 0, 1, 1], [1, 2, 3], [1, 2, 3])


def clustered(seed, patients=9, exams_each=3):
    """Labels, two scores and patients; patients have up to three exams of either class."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(patients), exams_each)
    patient = patient[rng.random(len(patient)) < 0.8]
    labels = rng.integers(0, 2, len(patient))
    labels[:2], labels[-2:] = (0, 1), (0, 1)
    scores = np.round(rng.normal(size=(2, len(patient))) + labels, 1)
    return labels, *scores, [f"patient {i}" for i in patient]


def slow_obuchowski(labels, scores_a, scores_b, patients):
    """Variance of the difference by the sums of the paper, pair by pair, cluster by cluster."""

    def psi(x, y):
        return 1.0 if x > y else 0.5 if x == y else 0.0

    ones = [i for i, label in enumerate(labels) if label == 1]
    zeros = [i for i, label in enumerate(labels) if label == 0]
    x = {i: [sum(psi(s[i], s[j]) for j in zeros) / len(zeros) for s in (scores_a, scores_b)] for i in ones}
    y = {j: [sum(psi(s[i], s[j]) for i in ones) / len(ones) for s in (scores_a, scores_b)] for j in zeros}
    theta = np.mean(list(x.values()), axis=0)
    x_sums, y_sums = [], []
    for patient in sorted(set(patients)):
        of_ones = [x[i] for i in ones if patients[i] == patient]
        of_zeros = [y[j] for j in zeros if patients[j] == patient]
        x_sums.append(np.sum(of_ones, axis=0) - len(of_ones) * theta if of_ones else None)
        y_sums.append(np.sum(of_zeros, axis=0) - len(of_zeros) * theta if of_zeros else None)
    with_ones = [v for v in x_sums if v is not None]
    with_zeros = [v for v in y_sums if v is not None]
    both = [(u, v) for u, v in zip(x_sums, y_sums, strict=True) if u is not None and v is not None]
    m, n, clusters = len(ones), len(zeros), len(x_sums)
    s10 = len(with_ones) / ((len(with_ones) - 1) * m) * sum(np.outer(v, v) for v in with_ones)
    s01 = len(with_zeros) / ((len(with_zeros) - 1) * n) * sum(np.outer(v, v) for v in with_zeros)
    s11 = clusters / (clusters - 1) * sum((np.outer(u, v) for u, v in both), np.zeros((2, 2)))
    covariance = s10 / m + s01 / n + (s11 + s11.T) / (m * n)
    return covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_delong_of_patients_is_obuchowskis_clustered_variance(seed):
    data = clustered(seed)
    ours, variance = delong(*data), slow_obuchowski(*data)
    if variance > 1e-12:
        assert ours.difference == pytest.approx(ours.z * math.sqrt(variance), abs=1e-12)
    assert ours.difference == delong(*data[:3]).difference


def test_one_exam_per_patient_makes_no_difference_to_delong_and_mcnemar():
    labels, a, b, _ = clustered(3)
    alone = [f"patient {i}" for i in range(len(labels))]
    assert as_tuple(delong(labels, a, b, alone)) == pytest.approx(as_tuple(delong(labels, a, b)), rel=1e-12)
    assert mcnemar(a > 0, b > 0, alone) == mcnemar(a > 0, b > 0)


def test_copying_exams_within_their_patients_adds_no_evidence():
    labels, a, b, _ = clustered(5, patients=40, exams_each=1)
    patients = [f"patient {i}" for i in range(len(labels))]
    copied = [np.repeat(v, 3) for v in (labels, a, b, patients)]
    once, honest, naive = delong(labels, a, b), delong(*copied), delong(*copied[:3])
    assert honest.z == pytest.approx(once.z, rel=1e-9)
    assert abs(naive.z) > 1.7 * abs(once.z) > 0
    correct = [(v > 0.5) == labels for v in (a, b)]
    thrice = [np.repeat(v, 3) for v in correct]
    assert mcnemar(*thrice, copied[3]).p == pytest.approx(mcnemar(*correct).p)
    assert mcnemar(*thrice).p < mcnemar(*correct).p


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (4, 4), (9, 2), (3, 25), (0, 60), (300, 240)])
def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs(only_a, only_b):
    a = [True] * only_a + [False] * only_b + [True, True, False]
    b = [False] * only_a + [True] * only_b + [True, True, False]
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b) == (only_a, only_b)
    total = only_a + only_b
    assert found.p == pytest.approx(stats.binomtest(only_a, total).pvalue if total else 1.0, rel=1e-9)
    assert mcnemar(b, a).p == found.p


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_mcnemar_of_patients_is_the_enumeration_of_all_signs(seed):
    labels, a, b, patients = clustered(seed)
    correct_a, correct_b = (a > 0.5) == labels, (b > 0.5) == labels
    differences = [
        sum(int(correct_a[i]) - int(correct_b[i]) for i, name in enumerate(patients) if name == patient)
        for patient in sorted(set(patients))
    ]
    totals = [
        sum(sign * d for sign, d in zip(signs, differences, strict=True))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    share = np.mean([abs(total) >= abs(sum(differences)) for total in totals])
    assert mcnemar(correct_a, correct_b, patients).p == pytest.approx(share, abs=1e-12)


def test_holm_of_his_rule_worked_by_hand():
    """0.01·4, 0.02·3 = 0.06, 0.03·2 = 0.06, 0.04·1 → not below the one before; the order of the input is kept."""
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx(
        [0.03, 0.06, 0.06, 0.02]
    )  # as R's p.adjust has it
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.999))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values, level):
    adjusted = holm(p_values)
    rejected = set()
    for step, i in enumerate(np.argsort(p_values, kind="stable")):
        if p_values[i] * (len(p_values) - step) > level:
            break
        rejected.add(int(i))
    assert {i for i, p in enumerate(adjusted) if p <= level} == rejected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values):
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    assert all(q <= min(1, len(p_values) * p) for p, q in zip(p_values, adjusted, strict=True))
    for (p, q), (r, s) in itertools.combinations(zip(p_values, adjusted, strict=True), 2):
        assert (q <= s) if p <= r else (q >= s)


@pytest.mark.parametrize("p_values", [[0.1, math.nan], [-0.1], [1.1]])
def test_holm_refuses_what_is_no_p_value(p_values):
    with pytest.raises(DataError, match="leave out what was not tested"):
        holm(p_values)


def test_the_difference_is_resampled_in_pairs():
    """A monotone copy of a score has the same AUC in every resample; a better system keeps its lead in most."""
    labels, a, b, patients = clustered(7, patients=40)
    same = auc_difference(labels, a, np.exp(a), patients, resamples=200)
    assert same.value == 0 and np.isnan(same.low) and np.isnan(same.high)  # no resample tells them apart
    better = auc_difference(labels, b + 3 * labels, b, patients, resamples=500)
    assert better.value == pytest.approx(delong(labels, b + 3 * labels, b).difference)
    assert 0 < better.low < better.value < better.high
    assert better.method == "percentile"  # docs/statistics.md says why
    worse = auc_difference(labels, b, b + 3 * labels, patients, resamples=500)
    assert worse.value == pytest.approx(-better.value)


def test_patients_and_systems_that_do_not_fit_the_exams_are_refused():
    with pytest.raises(DataError, match="4 exams but 3 patients"):
        delong([0, 0, 1, 1], [1, 2, 3, 4], [1, 2, 4, 3], ["a", "b", "c"])
    with pytest.raises(
        DataError, match="at least two patients of each class, found 2 negative and 1 positive"
    ):
        delong([0, 0, 1, 1], [1, 2, 3, 4], [1, 2, 4, 3], ["a", "b", "c", "c"])
    with pytest.raises(DataError, match="1 exams of one system but 2 of the other"):
        mcnemar([True], [True, False])


RUNS = st.lists(st.sampled_from([0.5, 0.6, 0.7, 0.75, 0.9]), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(RUNS, RUNS), min_size=1, max_size=3))
def test_runs_are_dealt_anew_within_their_folds(folds):
    """Against every assignment of labels, one after the other."""

    def difference(dealt):
        return sum(np.mean(a) - np.mean(b) for a, b in dealt) / len(dealt)

    def ways(a, b):
        values = [*a, *b]
        for chosen in itertools.combinations(range(len(values)), len(a)):
            rest = [value for place, value in enumerate(values) if place not in chosen]
            yield [values[place] for place in chosen], rest

    came = difference(folds)
    every = [difference(dealt) for dealt in itertools.product(*(list(ways(a, b)) for a, b in folds))]
    expected = sum(abs(each) >= abs(came) - 1e-12 for each in every) / len(every)
    found, p = permute_runs([a for a, _ in folds], [b for _, b in folds])
    assert found == pytest.approx(came, abs=1e-12) and p == pytest.approx(expected)
    assert permute_runs([b for _, b in folds], [a for a, _ in folds])[1] == pytest.approx(p)


def test_five_runs_wholly_above_five_others():
    above, below = [0.76, 0.87, 0.67, 0.85, 0.65], [0.5, 0.51, 0.49, 0.52, 0.53]
    assert permute_runs([above], [below])[1] == pytest.approx(2 / math.comb(10, 5))


@pytest.mark.parametrize(("ours", "theirs"), [(3, 3), (2, 4)])
def test_of_very_many_ways_random_ones_are_counted(ours, theirs):
    rng = np.random.default_rng(0)
    a, b = rng.normal(0.7, 0.05, (5, ours)), rng.normal(0.68, 0.05, (5, theirs))
    _, exact = permute_runs(a.tolist(), b.tolist(), most=20**5)
    _, drawn = permute_runs(a.tolist(), b.tolist())
    assert drawn == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000))
    assert permute_runs([[0.9] * 9], [[0.1] * 9], most=100)[1] == 1 / 101  # the one that came, and never 0


def test_the_memory_of_a_permutation_test_does_not_grow_with_the_number_of_ways():
    rng = np.random.default_rng(1)
    runs = [rng.normal(size=11).tolist() for _ in range(2)]  # 705 432 ways: 100 MB, of 15 runs 155 million
    tracemalloc.start()
    try:
        permute_runs(runs[:1], runs[1:])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20e6


@pytest.mark.parametrize(("a", "b"), [([], []), ([[0.5]], [[]]), ([[0.5]], [[0.5], [0.6]])])
def test_runs_that_are_missing_cannot_be_compared(a, b):
    with pytest.raises(DataError, match="needs runs of both systems in each fold"):
        permute_runs(a, b)
