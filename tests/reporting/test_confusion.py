import numpy as np
import pytest
from made_study import made_pooled

from gazekit.measures.classification.pooled import Pooled
from gazekit.measures.statistics.intervals import patient_bootstrap
from gazekit.reporting.run.confusion import at_thresholds, confusion, youden_threshold
from gazekit.reporting.run.measure_rows import interval_words


def pooled_of(labels, chances):
    names = [str(i) for i in range(len(labels))]
    return Pooled(
        names, names, np.array(labels), np.stack([1 - np.array(chances), np.array(chances)], axis=1)
    )


def test_every_exam_is_counted_by_truth_and_call():
    found = confusion(pooled_of([0, 0, 1, 1, 1], [0.2, 0.7, 0.6, 0.5, 0.9]), 0.5, "given")
    assert found.counts == ((1, 1), (1, 2))  # at the threshold itself the second class is not called
    assert found.threshold == 0.5 and found.origin == "given"
    assert {name: round(rate.value, 6) for name, rate in found.rates.items()} == {
        "sensitivity": round(2 / 3, 6),
        "specificity": 0.5,
        "positive_predictive_value": round(2 / 3, 6),
        "negative_predictive_value": 0.5,
        "positive_likelihood_ratio": round(4 / 3, 6),
        "negative_likelihood_ratio": round(2 / 3, 6),
    }


def test_rates_follow_the_threshold_and_hold_their_value():
    pooled = made_pooled(0)
    for threshold in (0.2, 0.8):
        for rate in confusion(pooled, threshold).rates.values():
            assert rate.low <= rate.value <= rate.high or (rate.value == 0 and np.isnan(rate.low))
    low, high = (confusion(pooled, threshold).rates["sensitivity"].value for threshold in (0.2, 0.8))
    assert low > high


def test_of_several_classes_the_likeliest_is_called():
    chances = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.1, 0.5, 0.4]])
    found = confusion(Pooled(list("abc"), list("abc"), np.array([2, 1, 1]), chances), 0.5)
    assert found.counts == ((0, 0, 0), (1, 1, 0), (0, 0, 1))
    assert found.threshold is None and found.rates == {}


@pytest.mark.parametrize("seed", range(4))
def test_no_threshold_has_a_greater_youden_index(seed):
    pooled = made_pooled(seed, digits=1)

    def youden(threshold):
        rates = confusion(pooled, threshold).counts
        return rates[1][1] / sum(rates[1]) + rates[0][0] / sum(rates[0])

    scores = np.unique(pooled.probabilities[:, 1])
    best = youden_threshold(pooled)
    assert youden(best) == pytest.approx(max(youden(t) for t in [0, *scores]))
    assert not np.isclose(scores, best).any()  # between two probabilities, so that rounding decides nothing


def test_the_threshold_is_halfway_between_separated_classes():
    assert youden_threshold(pooled_of([0, 0, 1, 1], [0.1, 0.3, 0.7, 0.9])) == pytest.approx(0.5)
    assert 0 < youden_threshold(pooled_of([0, 1], [0.6, 0.2])) < 1


def test_at_every_threshold_to_try_there_are_the_counts_and_the_intervals_of_that_threshold():
    pooled = made_pooled(1, exams=24)
    found = at_thresholds(pooled, 0.437, "chosen")
    assert [each.threshold for each in found.others] == [0.437 if n == 44 else n / 100 for n in range(1, 100)]
    assert found.others[43].origin == found.origin == "chosen"
    for each in found.others[::14]:
        again = confusion(pooled, each.threshold)
        assert each.counts == again.counts
        for name, interval in again.rates.items():
            assert interval_words(each.rates[name]) == interval_words(interval)


def test_of_many_exams_fewer_thresholds_are_tried_and_of_many_classes_none():
    assert len(at_thresholds(made_pooled(1, exams=300), 0.5).others) == 49
    three = Pooled(list("abc"), list("abc"), np.array([2, 1, 1]), np.full((3, 3), 1 / 3))
    assert at_thresholds(three, 0.5).others == ()


@pytest.mark.parametrize("seed", range(3))
def test_the_intervals_of_rates_are_those_of_leaving_out_patients_one_by_one(seed):
    pooled = made_pooled(seed)
    truth, call = pooled.labels == 1, pooled.probabilities[:, 1] > 0.6
    found = confusion(pooled, 0.6).rates["positive_predictive_value"]

    def value(weights):
        return np.divide(weights @ (truth & call), weights @ call)

    def slowly(patient):
        return np.concatenate(
            [value((patient != each)[None].astype(float)) for each in range(patient.max() + 1)]
        )

    expected = patient_bootstrap(value, pooled.patient_ids, leaving_out=slowly)
    assert (found.value, found.low, found.high) == (expected.value, expected.low, expected.high)
