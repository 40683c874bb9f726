"""Runs put together: every exam counts once, and systems are compared on the exams that both have predicted."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_study import made_pooled

from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.comparing.paired_tests import auc_difference, delong
from gazekit.measures.comparing.systems import compare
from gazekit.study.results.pooling import RunRecord, compare_runs, estimates, pool, pool_data_sets


class Exams(SimpleNamespace):
    """As much of a prepared data set as pooling reads."""

    def __len__(self):
        return len(self.exam_ids)


DATA = Exams(
    exam_ids=["a", "b", "c", "d"],
    patient_ids=["p", "p", "q", "r"],
    labels=np.array([0, 1, 1, 0]),
    classes=("benign", "malignant"),
)


def record(auc=0.5, fold="fold-1", **malignant):
    return RunRecord(fold, {"auc": auc}, {exam: (1 - p, p) for exam, p in malignant.items()})


def test_an_exams_probability_is_the_mean_of_the_runs_that_tested_it():
    pooled = pool(DATA, [record(c=0.2, a=0.5), record(c=0.6), record(b=0.9)])
    assert pooled.exam_ids == ["a", "b", "c"] and list(pooled.patient_ids) == ["p", "p", "q"]
    assert pooled.labels.tolist() == [0, 1, 1]
    np.testing.assert_allclose(pooled.probabilities[:, 1], [0.5, 0.9, 0.4])


def test_exams_and_patients_called_alike_in_two_data_sets_are_two():
    runs = [
        replace(record(a=0.2, c=0.4), path=Path("one-fold-1-seed-0")),
        replace(record(b=0.8, a=0.6), path=Path("two-fold-1-seed-0")),
        replace(record(a=0.4), path=Path("one-fold-1-seed-1")),
    ]
    pooled = pool_data_sets({"two": DATA, "one": DATA}, runs)
    assert pooled.exam_ids == ["two/a", "two/b", "one/a", "one/c"]
    assert pooled.patient_ids == ["two/p", "two/p", "one/p", "one/q"]
    assert pooled.labels.tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(pooled.probabilities[:, 1], [0.6, 0.8, 0.3, 0.4])
    only = pool_data_sets({"one": DATA}, runs[:1])
    assert (only.exam_ids, only.patient_ids) == (["a", "c"], ["p", "q"])


def test_mean_and_spread_are_over_runs_and_the_interval_is_of_the_pooled_exams():
    records = [record(0.25, a=0.1, b=0.8, c=0.7, d=0.3), record(0.75, a=0.2, b=0.9, c=0.1, d=0.3)]
    found = estimates(records, pool(DATA, records), resamples=50)["auc"]
    assert (found.mean, found.sd, found.runs) == (0.5, pytest.approx(np.sqrt(0.125)), 2)
    assert found.pooled is not None and found.pooled.value == 1.0
    assert estimates(records[:1], pool(DATA, records[:1]), resamples=50)["auc"].sd is None


def test_systems_are_compared_on_the_exams_that_both_have():
    ours, theirs = made_pooled(0), made_pooled(1)
    rows = np.arange(10, 60)
    part = replace(
        theirs,
        exam_ids=[theirs.exam_ids[row] for row in rows],
        patient_ids=[theirs.patient_ids[row] for row in rows],
        labels=theirs.labels[rows],
        probabilities=theirs.probabilities[rows],
    )
    for system, reference in ((ours, part), (part, ours)):
        found = compare(system, reference)
        assert found is not None and found.exams == 50
        sign = 1 if system is ours else -1
        labels, a, b = part.labels, ours.probabilities[rows, 1], part.probabilities[:, 1]
        assert found.auc_difference.value == pytest.approx(
            sign * auc_difference(labels, a, b, part.patient_ids).value
        )
        assert found.delong_p == pytest.approx(delong(labels, a, b, part.patient_ids).p)


def test_the_accuracies_of_two_systems_are_compared_by_patient():
    """Four exams of each of three patients, all called right by one system and wrong by the other."""
    labels = np.arange(12) % 2
    names, patients = [str(k) for k in range(12)], [f"p{k // 4}" for k in range(12)]
    right = np.where(labels, 0.9, 0.1)
    system, reference = (
        Pooled(names, patients, labels, np.stack([1 - chances, chances], axis=1))
        for chances in (right, 1 - right)
    )
    found = compare(system, reference)
    assert found is not None and found.mcnemar_p == pytest.approx(2 / 2**3)


def test_what_cannot_be_compared_is_not():
    ours = made_pooled(0)
    one_class = replace(ours, labels=np.zeros_like(ours.labels))
    assert compare(one_class, one_class) is None
    three = replace(ours, probabilities=np.full((60, 3), 1 / 3))
    assert compare(three, three) is None


def test_runs_are_compared_on_the_folds_that_both_have():
    ours = [record(0.8, "fold-1"), record(0.9, "fold-1"), record(0.2, "fold-2")]
    theirs = [record(0.5, "fold-1"), record(0.6, "fold-1"), record(0.9, "fold-3")]
    difference, p = compare_runs(ours, theirs)
    assert difference == pytest.approx(0.3) and p == pytest.approx(2 / 6)
    assert compare_runs(ours[2:], theirs[2:]) is None


def test_a_difference_without_variance_has_no_p():
    """Two patients a class, one system perfect and one that guesses: DeLong's z is infinite for want of exams."""
    perfect = pool(DATA, [record(a=0.1, b=0.9, c=0.9, d=0.1)])
    guessing = pool(DATA, [record(a=0.5, b=0.5, c=0.5, d=0.5)])
    found = compare(perfect, guessing)
    assert found is not None and found.auc_difference.value == 0.5 and found.delong_p is None
