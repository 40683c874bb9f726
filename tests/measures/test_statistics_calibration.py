"""Whether tests err, and intervals miss, as often as they say: many made-up studies of which the truth is known.

A binormal model: the score of a positive exam lies higher by √2 Φ⁻¹(AUC), so every system has exactly that AUC. What a
score is made of beside is shared in parts by the exams of a patient and by the systems, as real predictions are. Run
with ``pytest -m slow -s`` to see the numbers of docs/statistics.md.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from gazekit.measures.classification.metrics import auc
from gazekit.measures.comparing.paired_tests import auc_difference, delong, holm, mcnemar
from gazekit.measures.statistics.intervals import patient_bootstrap

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Design:
    """How exams belong to patients: up to ``most`` each, ill as a whole or not, scores alike by ``share``."""

    name: str
    most: int
    ill_as_a_whole: bool
    share: float

    def __str__(self):
        return self.name


ALONE = Design("one exam each", 1, False, 0.0)
MIXED = Design("1-3 exams", 3, False, 0.4)
WHOLE = Design("1-3 exams, all ill or none", 3, True, 0.4)
ALIKE = Design("1-4 exams much alike, all ill or none", 4, True, 0.8)


def made_study(rng, patients, area, design, systems=2):
    """Labels ``[N]``, scores ``[systems, N]``, patients ``[N]``, and the threshold that suits the scores best."""
    patient = np.repeat(np.arange(patients), rng.integers(1, design.most + 1, patients))
    ill = rng.random(patients)[patient] if design.ill_as_a_whole else rng.random(len(patient))
    labels = (ill < 0.4).astype(int)

    def noise(size):  # half of it is the same in all systems
        return np.sqrt(0.5) * (rng.normal(size=size) + rng.normal(size=(systems, size)))

    own, of_patient = noise(len(patient)), noise(patients)[:, patient]
    distance = np.sqrt(2) * stats.norm.ppf(area)
    scores = distance * labels + np.sqrt(1 - design.share) * own + np.sqrt(design.share) * of_patient
    return labels, scores, patient, distance / 2


CAUTIOUS = {(35, 0.9, ALONE): 0.026, (35, 0.9, WHOLE): 0.038, (35, 0.9, ALIKE): 0.028}
"""Where DeLong's test finds too little, and how often it errs there: 14 of 35 patients are positive, and near an AUC
of 1 few pairs of exams are out of order, so the difference takes few values and its normal score is a rough measure."""


@pytest.mark.parametrize("design", [ALONE, MIXED, WHOLE, ALIKE], ids=str)
@pytest.mark.parametrize("area", [0.8, 0.9])
@pytest.mark.parametrize("patients", [35, 115])
def test_equal_systems_differ_significantly_in_five_of_a_hundred_studies(patients, area, design):
    rng = np.random.default_rng(1)
    of_delong, of_mcnemar = [], []
    for _ in range(10_000):
        labels, (a, b), patient, threshold = made_study(rng, patients, area, design)
        of_delong.append(delong(labels, a, b, patient).p < 0.05)
        of_mcnemar.append(mcnemar((a > threshold) == labels, (b > threshold) == labels, patient).p < 0.05)
    found, exact = np.mean(of_delong), np.mean(of_mcnemar)
    print(f"\n{patients} patients, AUC {area}, {design}: DeLong {found:.4f}, McNemar {exact:.4f}")
    if (known := CAUTIOUS.get((patients, area, design))) is not None:
        assert found == pytest.approx(known, abs=0.006)
    else:
        assert 0.04 <= found <= 0.06
    assert (
        0.01 <= exact <= 0.05
    )  # exact: never above, and below because the number of discordant pairs is whole


def test_tests_that_take_exams_for_patients_find_what_is_not_there():
    rng = np.random.default_rng(2)
    p_values = []
    for _ in range(2000):
        labels, (a, b), _, threshold = made_study(rng, 115, 0.8, ALIKE)
        correct = [(scores > threshold) == labels for scores in (a, b)]
        p_values.append((delong(labels, a, b).p, mcnemar(*correct).p))
    of_delong, of_mcnemar = (np.array(p_values) < 0.05).mean(axis=0)
    print(f"\nexams taken for patients: DeLong {of_delong:.4f}, McNemar {of_mcnemar:.4f}")
    assert of_delong > 0.15
    assert of_mcnemar > 0.1


def test_holm_keeps_the_chance_of_any_false_finding_among_ten_systems():
    rng = np.random.default_rng(3)
    raw, corrected = [], []
    for _ in range(2000):
        labels, scores, patient, _ = made_study(rng, 115, 0.8, MIXED, systems=11)
        p_values = [delong(labels, other, scores[0], patient).p for other in scores[1:]]
        raw.append(min(p_values) < 0.05)
        corrected.append(min(holm(p_values)) < 0.05)
    print(f"\nany of ten: {np.mean(raw):.4f}, with Holm {np.mean(corrected):.4f}")
    assert np.mean(raw) > 0.15
    assert 0.01 <= np.mean(corrected) <= 0.06


@pytest.mark.parametrize("design", [ALONE, MIXED, WHOLE], ids=str)
@pytest.mark.parametrize("area", [0.8, 0.9])
@pytest.mark.parametrize("patients", [35, 115])
def test_intervals_hold_the_truth_in_ninety_five_of_a_hundred_studies(patients, area, design):
    rng = np.random.default_rng(4)
    area_in, difference_in, undefined = [], [], 0
    for number in range(1000):
        labels, (a, b), patient, _ = made_study(rng, patients, area, design)
        one = _area_interval(labels, a, patient, number)
        two = auc_difference(labels, a, b, patient, seed=number, resamples=1000)
        area_in.append(one.low <= area <= one.high)
        difference_in.append(two.low <= 0 <= two.high)
        undefined += one.undefined > 0
    of_area, of_difference = np.mean(area_in), np.mean(difference_in)
    print(f"\n{patients} patients, AUC {area}, {design}: AUC {of_area:.3f}, difference {of_difference:.3f}")
    assert 0.93 <= of_area <= 0.97
    assert 0.93 <= of_difference <= 0.97
    assert undefined <= 30


def _area_interval(labels, scores, patient, seed):
    positive = labels == 1
    return patient_bootstrap(
        lambda weights: auc(positive, scores, weights), patient, seed=seed, resamples=1000
    )


def test_bca_would_miss_the_difference_of_few_patients_too_often():
    """Why a difference has a percentile interval."""
    rng = np.random.default_rng(5)
    inside = []
    for number in range(600):
        labels, (a, b), patient, _ = made_study(rng, 35, 0.9, MIXED)
        positive = labels == 1
        interval = patient_bootstrap(
            lambda w, y=positive, a=a, b=b: auc(y, a, w) - auc(y, b, w), patient, seed=number, resamples=1000
        )
        inside.append(interval.low <= 0 <= interval.high)
    print(f"\nBCa of the difference, 35 patients, AUC 0.9: {np.mean(inside):.3f}")
    assert np.mean(inside) < 0.93
