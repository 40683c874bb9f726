import math

import numpy as np
import pytest

from gazekit.errors import DataError
from gazekit.gaze.heat_map import heat_map
from gazekit.measures.gaze.agreement import auc_judd, correlation, nss
from gazekit.measures.gaze.fixated_pixels import fixation_counts
from gazekit.measures.gaze.information_gain import centre_bias, information_gain
from gazekit.measures.gaze.observer_ceiling import observer_ceiling, share_interval

SHAPE = (24, 32)


def looked(seed, targets, count=12, spread=2.0):
    """Fixations of one viewer, around the same targets of an image."""
    rng = np.random.default_rng(seed)
    points = targets[rng.integers(len(targets), size=count)] + rng.normal(0, spread, size=(count, 2))
    return np.clip(points, 0, np.array([SHAPE[1], SHAPE[0]]) - 0.01)


def blurred(points):
    return heat_map(*points.T, np.ones(len(points)), shape=SHAPE, sigma=2.0)


def viewers(seed, number, image):
    """Reader → fixations; the targets of an image are drawn about its centre."""
    targets = np.random.default_rng([seed, image]).normal((16, 12), (6, 4.5), size=(3, 2))
    return {f"viewer {v}": looked([seed, image, v], targets) for v in range(number)}


def test_each_reader_is_predicted_by_the_mean_map_of_the_others():
    points = viewers(0, 3, 0)
    maps = {reader: blurred(each) for reader, each in points.items()}
    found = observer_ceiling(maps, points, lambda map_, own: nss(map_, own, SHAPE))
    a, b, c = maps
    expected = {
        a: nss((maps[b] + maps[c]) / 2, points[a], SHAPE),
        b: nss((maps[a] + maps[c]) / 2, points[b], SHAPE),
        c: nss((maps[a] + maps[b]) / 2, points[c], SHAPE),
    }
    assert list(found) == [a, b, c]
    assert found == pytest.approx(expected)


def test_a_heat_map_can_be_what_is_predicted():
    maps = {reader: blurred(each) for reader, each in viewers(1, 2, 0).items()}
    one, two = observer_ceiling(maps, maps, correlation).values()
    assert one == pytest.approx(two) == pytest.approx(correlation(*maps.values()))


def test_readers_who_do_as_each_other_do_set_the_highest_ceiling():
    targets = np.array([[8.0, 6], [25, 18]])
    alike = {str(v): looked(v, targets, spread=1.0) for v in range(4)}
    apart = {str(v): looked(v, targets[v % 2 :][:1], spread=1.0) for v in range(4)}
    ceilings = [
        np.mean(list(observer_ceiling({r: blurred(p) for r, p in points.items()}, points, judd).values()))
        for points in (alike, apart)
    ]
    assert ceilings[0] > ceilings[1]


def judd(map_, own):
    return auc_judd(map_, own, SHAPE)


def test_the_heat_map_of_14_viewers_predicts_the_fifteenth_better_than_the_centre_prior():
    images = [viewers(5, 15, image) for image in range(6)]
    counts = [fixation_counts(np.concatenate(list(points.values())), SHAPE) for points in images]
    gains, scores, centre_scores = [], [], []
    for points, own in zip(images, counts, strict=True):
        centre = centre_bias(sum(counts) - own)
        maps = {reader: blurred(each) for reader, each in points.items()}
        gains += observer_ceiling(maps, points, lambda m, p, b=centre: information_gain(m, p, b)).values()
        scores += observer_ceiling(maps, points, lambda m, p: nss(m, p, SHAPE)).values()
        centre_scores += [nss(centre, each, SHAPE) for each in points.values()]
    assert len(gains) == 6 * 15
    assert np.mean(gains) > 0.5  # bits a fixation
    assert np.mean(np.array(gains) > 0) > 0.9
    assert np.mean(scores) > np.mean(centre_scores) + 0.5


def test_one_reader_alone_sets_no_ceiling():
    points = viewers(0, 1, 0)
    with pytest.raises(DataError, match="1 reader; expected two at least"):
        observer_ceiling({reader: blurred(each) for reader, each in points.items()}, points, judd)


def test_the_share_of_several_exams_divides_the_means():
    pairs = np.array([[1.0, 2.0], [0.5, 0.1], [0.9, 2.7]])
    found = share_interval(pairs, ["a", "b", "c"], resamples=200)
    assert found.value == pytest.approx(2.4 / 4.8)
    assert found.low <= found.value <= found.high


def test_exams_on_which_readers_do_not_agree_at_all_have_no_share():
    found = share_interval(np.array([[1.0, -1.0], [1.0, 0.5]]), ["a", "b"], resamples=50)
    assert math.isnan(found.value) and found.undefined < 50
    assert math.isnan(found.low) and math.isnan(found.high)  # some resamples have a share, and bound nothing
