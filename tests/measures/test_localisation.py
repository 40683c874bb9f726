import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gazekit.errors import DataError
from gazekit.measures.attention.localisation import best_iou, energy_inside, localisation, pointing_game
from gazekit.measures.attention.resizing import resize_bilinear
from gazekit.measures.evaluate import evaluate
from gazekit.prediction.predictions import Predictions


def slow_best_iou(values, mask):
    best = 0.0
    for threshold in values.ravel():
        chosen = {i for i, v in enumerate(values.ravel()) if v >= threshold}
        lesion = {i for i, m in enumerate(mask.ravel()) if m}
        best = max(best, len(chosen & lesion) / len(chosen | lesion))
    return best


def slow_energy(values, mask):
    inside = total = 0.0
    for value, lesion in zip(values.ravel(), mask.ravel(), strict=True):
        total += max(value, 0.0)
        inside += max(value, 0.0) * lesion
    return inside / total


def maps(seed, digits):
    rng = np.random.default_rng(seed)
    attention = np.round(rng.normal(size=(4, 3)), digits)
    attention[0, 0] += 4  # some of it is positive
    mask = rng.random((9, 7)) < 0.3
    mask[4, 4] = True
    return attention, mask


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0, 8]))
def test_measures_are_their_slow_definitions(seed, digits):
    attention, mask = maps(seed, digits)
    values = resize_bilinear(attention, mask.shape)
    found = localisation(attention, mask)
    highest = [
        lesion for value, lesion in zip(values.ravel(), mask.ravel(), strict=True) if value == values.max()
    ]
    assert found["pointing_game"] == pytest.approx(sum(highest) / len(highest))
    assert found["energy_inside"] == pytest.approx(slow_energy(values, mask))
    assert found["best_iou"] == pytest.approx(slow_best_iou(values, mask))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.01, 100), st.floats(-50, 50))
def test_peak_and_iou_do_not_depend_on_scale_and_offset(seed, scale, offset):
    attention, mask = maps(seed, 8)
    assert pointing_game(scale * attention + offset, mask) == pointing_game(attention, mask)
    assert best_iou(scale * attention + offset, mask) == pytest.approx(best_iou(attention, mask))
    assert energy_inside(scale * attention, mask) == pytest.approx(energy_inside(attention, mask))


def test_attention_that_is_the_mask_is_perfect_and_its_negative_finds_nothing():
    mask = np.zeros((8, 8), dtype=bool)
    mask[2:5, 3:6] = True
    assert localisation(mask.astype(float), mask) == {"pointing_game": 1, "energy_inside": 1, "best_iou": 1}
    assert energy_inside(-mask.astype(float), mask) == 0
    assert pointing_game(-mask.astype(float), mask) == 0


def test_coarse_attention_is_judged_on_the_grid_of_the_mask():
    attention = np.array([[0.0, 0.0], [0.0, 1.0]])
    mask = np.zeros((100, 100), dtype=bool)
    mask[75:, 75:] = True  # where the border is held, 25 × 25 pixels are highest
    assert pointing_game(attention, mask) == 1
    mask[75:90] = False
    assert pointing_game(attention, mask) == pytest.approx(10 / 25)


def test_a_constant_map_scores_the_area_of_the_lesion():
    mask = np.zeros((10, 10), dtype=bool)
    mask[:2, :5] = True
    chance = {"pointing_game": 0.1, "energy_inside": 0.1, "best_iou": 0.1}
    assert localisation(np.full((3, 3), 0.7), mask) == pytest.approx(chance)
    for constant in (0.0, -0.7):
        found = localisation(np.full((3, 3), constant), mask)
        assert found == pytest.approx(chance | {"energy_inside": 0.0})


@pytest.mark.parametrize("measure", [pointing_game, energy_inside, best_iou])
def test_an_empty_mask_is_refused(measure):
    with pytest.raises(DataError, match="lesion mask is empty"):
        measure(np.ones((2, 2)), np.zeros((4, 4), dtype=bool))


def test_a_pointing_game_that_is_won_or_lost_everywhere_has_the_exact_interval_of_its_patients(dataset):
    """Every resample repeats it."""
    even, exams = np.full((len(dataset), 2), 0.5, dtype=np.float32), np.arange(len(dataset))
    patients = len({dataset.patient_ids[exam] for exam in np.flatnonzero(dataset.has_mask[:, 0])})
    for sign in (1, -1):
        maps = {"cc": sign * np.asarray(dataset.masks[:, 0], dtype=np.float32)}
        found = evaluate(dataset, Predictions(exams, even, even, maps), resamples=50)["localisation"]
        exact = stats.binomtest(patients if sign > 0 else 0, patients).proportion_ci(method="exact")
        hits = found["pointing_game"]
        assert (hits.low, hits.high) == pytest.approx((exact.low, exact.high))
        assert found["best_iou"].method != "exact"
