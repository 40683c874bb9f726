"""Planning a study: the power that a plan promises is the one that studies from the population have."""

import math

import numpy as np
import pytest
from scipy import stats

from gazekit.errors import ConfigurationError, DataError
from gazekit.measures.comparing import planning
from gazekit.measures.comparing.paired_tests import delong
from gazekit.measures.comparing.planning import (
    Pilot,
    PowerAt,
    _over_pilots,
    _size_for,
    closed_form,
    impose,
    plan_exams,
    power_at,
    resampled_z,
)
from gazekit.measures.comparing.reader_study import (
    ReaderComponents,
    ReaderScores,
    auc_covariance,
    patients_needed,
    reader_components,
    reader_power,
)


def drawn(rng, patients, areas=(0.75, 0.75), most=1, alike=0.4):
    """A binormal population: half of the noise is common to both systems, some is common to a patient's exams."""
    patient = np.repeat(np.arange(patients), rng.integers(1, most + 1, patients))
    labels = (rng.random(patients)[patient] < 0.5).astype(int)

    def noise(size):
        return np.sqrt(0.5) * (rng.normal(size=size) + rng.normal(size=(2, size)))

    own, shared = noise(len(patient)), noise(patients)[:, patient]
    distance = np.sqrt(2) * stats.norm.ppf(areas)[:, None]
    scores = distance * labels + np.sqrt(1 - alike) * own + np.sqrt(alike) * shared
    return Pilot(labels, scores[0], scores[1], [f"p{k}" for k in patient])


def test_the_difference_is_imposed_to_the_step_of_the_exams():
    pilot = drawn(np.random.default_rng(0), 120, areas=(0.7, 0.85))
    step = 1 / (pilot.labels.sum() * (1 - pilot.labels).sum())
    for difference in (0.0, 0.05, -0.1):
        shifted = impose(pilot, difference)
        reference, system = shifted.aucs
        assert system - reference == pytest.approx(difference, abs=step)
        assert reference == pilot.aucs[0]
        moved = shifted.system - pilot.system
        assert np.ptp(moved[pilot.labels == 1]) < 1e-12 and not moved[pilot.labels == 0].any()
    with pytest.raises(ConfigurationError, match="expected one between 0 and 1"):
        impose(pilot, 0.5)


@pytest.mark.parametrize("most", [1, 3])
def test_scores_of_resamples_are_those_of_delongs_test_on_the_resampled_exams(most):
    pilot = drawn(np.random.default_rng(10), 30, most=most)
    pilot.system[:] = np.round(pilot.system, 1)  # ties
    names = np.unique(pilot.patients)
    counts = np.random.default_rng(11).multinomial(25, np.full(len(names), 1 / len(names)), size=20)
    for found, drawn_times in zip(resampled_z(pilot, counts.astype(float)), counts, strict=True):
        rows, whose = [], []
        for name, times in zip(names, drawn_times, strict=True):
            for copy in range(times):
                own = [k for k, patient in enumerate(pilot.patients) if patient == name]
                rows += own
                whose += [f"{name} {copy}"] * len(own)
        expected = delong(pilot.labels[rows], pilot.system[rows], pilot.reference[rows], whose)
        assert found == pytest.approx(expected.z, rel=1e-9)
    one_class = np.zeros((1, len(names)))
    one_class[0, 0] = 5
    assert np.isnan(resampled_z(pilot, one_class)[0])


@pytest.mark.parametrize("most", [1, 3])
def test_without_a_difference_the_power_is_alpha(most):
    pilot = impose(drawn(np.random.default_rng(1), 600, most=most), 0.0)
    found = power_at(pilot, 150, simulations=1500, seed=2)
    assert abs(found.power - 0.05) < 3 * math.sqrt(0.05 * 0.95 / 1500)
    assert found.low < found.power < found.high and found.undefined == 0


def test_power_with_patients_for_exams_is_that_of_the_closed_form():
    pilot = impose(drawn(np.random.default_rng(3), 2000), 0.06)
    patients = closed_form(pilot, power=0.8, alpha=0.05)
    variance = (0.06 / delong(pilot.labels, pilot.system, pilot.reference).z) ** 2 * 2000
    reach = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert patients == math.ceil(variance * reach**2 / 0.06**2)
    found = power_at(pilot, patients, simulations=1500)
    assert found.power == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / 1500))


@pytest.mark.parametrize("most", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_studies_of_the_planned_size_find_the_difference_as_often_as_promised(most):
    rng = np.random.default_rng(4)
    pilot = drawn(rng, 1500, areas=(0.75, 0.75), most=most)
    plan = plan_exams(pilot, difference=0.07, simulations=1000)
    assert plan.needed.power == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / 1000))
    assert plan.closed_form_low < plan.needed.patients < plan.closed_form_high
    powers = [each.power for each in plan.curve]
    assert powers[0] < 0.8 < powers[-1] and plan.curve[0].patients < plan.needed.patients
    significant = []
    for _ in range(600):  # fresh studies of the population, not of the pilot
        study = drawn(rng, plan.needed.patients, areas=(0.75, 0.82), most=most)
        significant.append(delong(study.labels, study.system, study.reference, study.patients).p < 0.05)
    assert np.mean(significant) == pytest.approx(0.8, abs=3 * math.sqrt(0.16 / 600) + 0.03)


def test_a_plan_is_a_function_of_its_seed_and_larger_differences_need_fewer_patients():
    pilot = drawn(np.random.default_rng(5), 200)
    large = plan_exams(pilot, difference=0.15, simulations=200, seed=1)
    assert large == plan_exams(pilot, difference=0.15, simulations=200, seed=1)
    assert large != plan_exams(pilot, difference=0.15, simulations=200, seed=2)
    assert plan_exams(pilot, difference=0.1, simulations=200).needed.patients > large.needed.patients


def test_a_size_besides_is_in_the_table_and_changes_nothing_else():
    """One of 100 times the patients, where every study finds the difference, turned the line, and asked for more."""
    pilot = drawn(np.random.default_rng(5), 200)
    alone = plan_exams(pilot, difference=0.1, simulations=200)
    beside = plan_exams(pilot, difference=0.1, simulations=200, sizes=[20_000])
    assert beside.needed == alone.needed
    assert beside.curve[:-1] == alone.curve and beside.curve[-1].patients == 20_000


def test_covariances_of_aucs_are_those_of_delongs_test_and_of_a_slow_loop():
    rng = np.random.default_rng(6)
    pilot = drawn(rng, 40, most=3)
    scores = np.stack([pilot.reference, pilot.system, rng.normal(size=len(pilot.labels))])
    areas, covariance = auc_covariance(pilot.labels, scores, pilot.patients)
    tested = delong(pilot.labels, scores[1], scores[0], pilot.patients)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert tested.z == pytest.approx((areas[1] - areas[0]) / math.sqrt(variance))

    alone = [str(k) for k in range(len(pilot.labels))]
    _, found = auc_covariance(pilot.labels, scores, alone)
    ones, zeros = (np.flatnonzero(pilot.labels == k) for k in (1, 0))
    wins = np.array(
        [[[(s[i] > s[j]) + (s[i] == s[j]) / 2 for j in zeros] for i in ones] for s in scores], dtype=float
    )
    v10, v01 = wins.mean(axis=2), wins.mean(axis=1)
    # exams of one class each: the term of patients with both vanishes
    expected = np.cov(v10) / len(ones) + np.cov(v01) / len(zeros)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def read(rng, readers, patients, gain, interaction=0.25):
    """Roe and Metz: score = distance + exam + reader × exam + way × exam + noise; each reader gains in another way."""
    labels = np.arange(patients) % 2
    skill, luck = rng.normal(size=readers) * 0.2, rng.normal(size=(2, readers)) * interaction / np.sqrt(2)
    distance = 1.2 + np.array([0.0, gain])[:, None] + skill + luck  # [2, J]
    exam = rng.normal(size=patients) * 0.6
    of_way = rng.normal(size=(2, 1, patients)) * 0.3
    of_reader = rng.normal(size=(1, readers, patients)) * 0.4
    noise = rng.normal(size=(2, readers, patients)) * 0.6
    scores = distance[:, :, None] * labels + exam + of_way + of_reader + noise
    return ReaderScores(labels, scores, [str(k) for k in range(patients)], [str(k) for k in range(readers)])


def test_the_test_of_readers_errs_as_often_as_it_says_and_power_is_as_planned():
    rng = np.random.default_rng(7)
    null = [reader_components(read(rng, 5, 100, 0.0)).p < 0.05 for _ in range(400)]
    assert np.mean(null) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    pilots = [reader_components(read(rng, 12, 400, 0.35)) for _ in range(8)]  # one alone knows σ²_TR badly
    difference = float(np.mean([each.aucs[1] - each.aucs[0] for each in pilots]))
    promised = np.mean(
        [reader_power(each, difference=difference, readers=6, patients=120) for each in pilots]
    )
    found = np.mean([reader_components(read(rng, 6, 120, 0.35)).p < 0.05 for _ in range(400)])
    assert 0.3 < promised < 0.95
    assert found == pytest.approx(promised, abs=3 * math.sqrt(0.25 / 400) + 0.04)


def test_with_one_reader_in_many_copies_power_is_that_of_the_exams():
    pilot = drawn(np.random.default_rng(8), 400)
    shifted = impose(pilot, 0.06)
    scores = np.stack([np.stack([s] * 4) for s in (shifted.reference, shifted.system)])
    found = reader_components(ReaderScores(shifted.labels, scores, shifted.patients, list("abcd")))
    assert found.interaction == pytest.approx(0, abs=1e-12)
    z = delong(shifted.labels, shifted.system, shifted.reference, shifted.patients).z
    assert found.p == pytest.approx(2 * stats.norm.sf(z), rel=1e-6)
    needed = patients_needed(found, difference=0.06, readers=4)
    assert needed == pytest.approx(closed_form(shifted, power=0.8, alpha=0.05), rel=0.02)


def test_more_readers_need_fewer_exams_until_readers_are_what_is_lacking():
    found = reader_components(read(np.random.default_rng(9), 8, 300, 0.3, interaction=0.5))
    needed = [patients_needed(found, difference=0.05, readers=r) for r in (3, 6, 12, 24)]
    assert needed[0] is None or needed[0] > needed[-1]
    known = [each for each in needed if each is not None]
    assert known == sorted(known, reverse=True)
    for readers, patients in zip((3, 6, 12, 24), needed, strict=True):
        if patients is not None and patients > 4:
            at, fewer = (
                reader_power(found, difference=0.05, readers=readers, patients=p)
                for p in (patients, patients - 1)
            )
            assert fewer < 0.8 <= at
    with pytest.raises(DataError, match="two readers or more, found 1"):
        reader_components(read(np.random.default_rng(9), 1, 30, 0.3))


@pytest.mark.parametrize("apart", [0.0, 9.0])
def test_ways_that_differ_without_variance_plan_no_study(apart):
    """The same scores twice, or two ways without an error."""
    pilot = read(np.random.default_rng(9), 3, 40, 0.0)
    scores = np.stack([pilot.scores[0]] * 2) + (apart * pilot.labels if apart else 0)
    found = reader_components(ReaderScores(pilot.labels, scores, pilot.patients, pilot.readers))
    with pytest.raises(DataError, match="differ without any variance; expected scores of two ways"):
        patients_needed(found, difference=0.05, readers=5)


def test_a_plan_says_on_how_many_resampled_pilots_the_difference_has_no_room():
    rng = np.random.default_rng(4)
    assert plan_exams(drawn(rng, 200), difference=0.1, simulations=100).pilots == 200
    high = drawn(rng, 60, areas=(0.96, 0.9))
    room = 1 - high.aucs[0]
    assert 100 <= plan_exams(high, difference=0.7 * room, simulations=100).pilots < 200
    with pytest.raises(DataError, match=r"only \d+ of 200 resampled pilots"):
        plan_exams(high, difference=0.999 * room, simulations=100)


def crossed(rng):
    """Readers who agree with others in the other way only: ``cov2 < cov3``."""
    labels = np.arange(60) % 2
    exams = 1.2 * labels + rng.normal(size=(3, 60))
    scores = np.stack([exams, np.roll(exams, 1, axis=0) + 0.3 * labels])
    return ReaderScores(labels, scores, [str(k // 3) for k in range(60)], list("abc"))


@pytest.mark.parametrize("make", [lambda rng: read(rng, 4, 60, 0.3), crossed])
def test_components_and_test_of_readers_are_those_of_an_analysis_of_variance_in_loops(make):
    pilot = make(np.random.default_rng(12))
    readers = len(pilot.readers)
    areas, covariance = auc_covariance(pilot.labels, pilot.scores.reshape(2 * readers, -1), pilot.patients)
    cells = list(np.ndindex(2, readers))
    area = dict(zip(cells, areas, strict=True))

    def mean_covariance(belongs):
        found = [
            covariance[a, b]
            for a, (way, one) in enumerate(cells)
            for b, (other_way, other) in enumerate(cells)
            if belongs(way == other_way, one == other)
        ]
        return sum(found) / len(found)

    error = mean_covariance(lambda way, reader: way and reader)
    cov1 = mean_covariance(lambda way, reader: not way and reader)
    cov2 = mean_covariance(lambda way, reader: way and not reader)
    cov3 = mean_covariance(lambda way, reader: not way and not reader)
    mean = sum(area.values()) / len(cells)
    of_way = [sum(area[i, j] for j in range(readers)) / readers for i in (0, 1)]
    of_reader = [(area[0, j] + area[1, j]) / 2 for j in range(readers)]
    ms_way = readers * sum((each - mean) ** 2 for each in of_way)
    ms_both = sum((area[i, j] - of_way[i] - of_reader[j] + mean) ** 2 for i, j in cells) / (readers - 1)
    shared = max(cov2 - cov3, 0)
    assert (shared == 0) == (make is crossed)
    below = ms_both + readers * shared
    found = reader_components(pilot)
    assert found.p == pytest.approx(stats.f.sf(ms_way / below, 1, below**2 * (readers - 1) / ms_both**2))
    assert found.interaction == pytest.approx(max(ms_both - error + cov1 + shared, 0))
    assert (found.error, found.cov1, found.cov2, found.cov3) == pytest.approx((error, cov1, cov2, cov3))
    assert found.patients == len(set(pilot.patients)) and found.aucs == pytest.approx(of_way)


@pytest.mark.parametrize("cov3", [2e-4, 9e-4])
def test_the_power_of_readers_is_that_of_a_mixture_of_central_tests(cov3):
    found = ReaderComponents(
        readers=5,
        patients=80,
        aucs=(0.7, 0.75),
        interaction=3e-4,
        error=2e-3,
        cov1=8e-4,
        cov2=5e-4,
        cov3=cov3,
        p=0.5,
    )
    readers, patients, difference = 7, 200, 0.04
    share, apart = 80 / 200, max(5e-4 - cov3, 0)
    of_both = 3e-4 + share * (2e-3 - 8e-4 - apart)  # what MS(TR) is on average
    below = of_both + readers * share * apart
    freedom = below**2 / of_both**2 * (readers - 1)
    beyond = stats.f.ppf(0.95, 1, freedom)
    shift = readers * difference**2 / 2 / below
    number = np.arange(200)
    central = stats.beta.sf(beyond / (beyond + freedom), 0.5 + number, freedom / 2)
    expected = (stats.poisson.pmf(number, shift / 2) * central).sum()
    came = reader_power(found, difference=difference, readers=readers, patients=patients)
    assert came == pytest.approx(expected, rel=1e-6)


def test_studies_without_a_class_find_nothing_and_are_counted():
    """Wherever there is a test it finds the difference: one system is never wrong, the other always."""
    labels = np.repeat([1, 1, 1, 0, 0, 0, 0, 0], 2)
    pilot = Pilot(labels, -labels, labels, [f"p{k // 2}" for k in range(16)])
    found = power_at(pilot, 5, simulations=400)
    assert 0 < found.undefined < 400 and found.power == 1 - found.undefined / 400
    assert found.exams == 10


def test_resampled_pilots_have_as_many_patients_and_give_the_middle_95_percent(monkeypatch):
    pilots = []
    monkeypatch.setattr(planning, "closed_form", lambda each, **_: pilots.append(each) or len(pilots))
    pilot = drawn(np.random.default_rng(13), 30, most=3)
    assert _over_pilots(pilot, 0.0, power=0.8, alpha=0.05, seed=0) == (5, 196, 200)
    assert {len(set(each.patients)) for each in pilots} == {30}
    exams = {
        patient: pilot.reference[np.array(pilot.patients) == patient].tolist() for patient in pilot.patients
    }
    for each in pilots[:5]:
        own = {
            patient: each.reference[np.array(each.patients) == patient].tolist() for patient in each.patients
        }
        assert all(values in exams.values() for values in own.values())


def test_the_size_is_where_a_line_weighted_by_the_precision_of_each_power_reaches_it():
    powers = {40: 0.31, 60: 0.62, 90: 0.71, 160: 0.999}
    curve = [PowerAt(patients, 1.0 * patients, power, 0, 1, 0) for patients, power in powers.items()]
    sums = np.zeros(5)
    for patients, power in powers.items():
        root, probit = math.sqrt(patients), stats.norm.ppf(power)
        weight = 500 * stats.norm.pdf(probit) ** 2 / (power * (1 - power))
        sums += weight * np.array([1, root, probit, root**2, root * probit])
    one, x, y, xx, xy = sums
    slope = (one * xy - x * y) / (one * xx - x**2)
    root = (stats.norm.ppf(0.8) - (y - slope * x) / one) / slope
    assert _size_for(0.8, curve, 500) == math.ceil(root**2)
    assert (_size_for(0.01, curve, 500), _size_for(0.99999, curve, 500)) == (40, 160)
