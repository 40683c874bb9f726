from dataclasses import replace

import numpy as np
import pytest

from gazekit.measures.attention.localisation import energy_inside
from gazekit.measures.gaze.agreement import correlation
from gazekit.prediction.predictions import Predictions
from gazekit.reporting.drawing.attention import attention_panels
from gazekit.reporting.drawing.attention_figure import attention_figure
from gazekit.reporting.drawing.originals.views import ShownViews
from gazekit.reporting.run.cases import called_class, make_cases


@pytest.fixture
def predictions(dataset):
    rng = np.random.default_rng(0)
    number = len(dataset)
    chances = rng.random(number).astype(np.float32)
    chances[0] = 1.0
    return Predictions(
        indices=np.arange(number)[::-1].copy(),
        logits=rng.normal(size=(number, 1)).astype(np.float32),
        probabilities=np.stack([1 - chances, chances], axis=1),
        attention={view: rng.normal(size=(number, 3, 3)).astype(np.float32) for view in dataset.views},
    )


def cases_of(dataset, *systems, **changes):
    options = {"threshold": 0.5, "most": 100, "budget": 10**7} | changes
    return make_cases(ShownViews(dataset), systems, dataset.views, **options)


def test_an_exam_has_its_own_numbers_pictures_and_attention(dataset, predictions):
    cases = cases_of(dataset, predictions)
    assert [case.exam_id for case in cases] == list(reversed(dataset.exam_ids))
    for row, case in enumerate(cases):
        exam = predictions.indices[row]
        truth = dataset.labels[exam]
        assert case.label == truth
        assert case.error == pytest.approx(1 - predictions.probabilities[row, truth])
        heats = {
            v: dataset.heat_map(exam, v) for c, v in enumerate(dataset.views) if dataset.has_gaze[exam, c]
        }
        agreements = [correlation(predictions.attention[view][row], heat) for view, heat in heats.items()]
        assert case.agreement == (pytest.approx(np.mean(agreements)) if agreements else None)
        for column, view in enumerate(case.views):
            assert (view.gaze is not None) == dataset.has_gaze[exam, column]
            inside = energy_inside(predictions.attention[view.name][row], dataset.masks[exam, column] > 0)
            assert view.numbers[0].inside == pytest.approx(inside)
            assert view.readers == dataset.readers(int(exam), view.name)
            looked = dataset.fixations(int(exam), view.name)
            assert view.fixations == sum(len(each.x) for each in looked)
            seconds = sum(each.duration_ms.sum() for each in looked) / 1000
            assert view.seconds == (pytest.approx(seconds) if seconds else None)


def test_of_a_view_that_an_exam_lacks_no_attention_is_shown(dataset, predictions):
    there = np.ones_like(dataset.has_image)
    there[0, 1] = False
    lacking = replace(
        dataset, has_image=there, has_gaze=dataset.has_gaze & there, has_mask=dataset.has_mask & there
    )
    nowhere = predictions.attention[dataset.views[1]].copy()
    nowhere[predictions.indices == 0] = 0.0
    maps = predictions.attention | {dataset.views[1]: nowhere}
    whole, lack = cases_of(lacking, replace(predictions, attention=maps), first=len(dataset) - 1)[0].views
    assert not whole.missing and whole.numbers[0] is not None and whole.attention[0] is not None
    assert lack.missing and lack.title.endswith("missing") and lack.numbers == lack.attention == (None,)
    panels = attention_panels(
        ShownViews(lacking), [0], {"a": replace(predictions, attention=maps)}, dataset.views
    )
    rows = [[text.get_text() for text in axes.texts] for axes in attention_figure(panels, ["a"]).axes]
    assert ["no image"] in rows and ["no positive attention"] not in rows


def test_further_exams_are_those_that_all_exams_hold(dataset, predictions):
    assert cases_of(dataset, predictions, first=4, most=3) == cases_of(dataset, predictions)[4:7]


def test_samples_without_times_last_no_time_and_fixations_of_known_length_do(
    dataset, predictions, monkeypatch
):
    timed = [view for case in cases_of(dataset, predictions) for view in case.views if view.gaze]
    assert timed and all(view.seconds for view in timed)
    own = type(dataset).fixations
    for duration, are_known in ((1.0, False), (250.0, True)):

        def without_onsets(self, exam, view, duration=duration):
            found = own(self, exam, view)
            return tuple(
                replace(each, onset_ms=0 * each.x + np.nan, duration_ms=0 * each.x + duration)
                for each in found
            )

        monkeypatch.setattr(type(dataset), "fixations", without_onsets)
        seen = [view for case in cases_of(dataset, predictions) for view in case.views if view.gaze]
        assert all((view.seconds is not None) is are_known for view in seen)


def test_without_gaze_there_is_no_agreement_and_no_scanpath(dataset, predictions):
    silent = [
        c
        for c in cases_of(dataset, predictions)
        if not dataset.has_gaze[dataset.exam_ids.index(c.exam_id)].any()
    ]
    assert len(silent) == 2
    for case in silent:
        assert case.agreement is None
        assert all(view.gaze is None and view.scanpaths == () and view.fixations == 0 for view in case.views)


def test_uncertainty_is_one_at_a_coin_toss_and_zero_when_sure(dataset, predictions):
    predictions.probabilities[:2] = [[0.5, 0.5], [0.0, 1.0]]
    first, second, *_ = cases_of(dataset, predictions)
    assert (first.uncertainty, second.uncertainty) == (pytest.approx(1), 0.0)
    even = np.full((len(dataset), 3), 1 / 3)
    of_three = Predictions(predictions.indices, predictions.logits, even, {})
    assert cases_of(dataset, of_three, most=1)[0].uncertainty == pytest.approx(1)


def test_the_call_follows_the_threshold_of_two_classes_and_else_the_likeliest():
    chances = np.array([[0.7, 0.3], [0.4, 0.6]])
    assert called_class(chances, 0.5).tolist() == [0, 1]
    assert called_class(chances, 0.2).tolist() == [1, 1]
    assert called_class(np.array([[0.3, 0.4, 0.3]]), 0.99).tolist() == [1]


def test_a_system_without_attention_keeps_its_place(dataset, predictions):
    blind = Predictions(predictions.indices, predictions.logits, predictions.probabilities, {})
    [case] = cases_of(dataset, blind, predictions, most=1)
    for view in case.views:
        assert view.attention[0] is None and view.numbers[0] is None
        assert view.attention[1] is not None
    assert case.agreement is None  # it is the first system's
    assert len(case.probabilities) == 2


def test_images_become_smaller_until_they_fit_the_budget():
    from gazekit.reporting.drawing.layers import image_uri
    from gazekit.reporting.run.cases import _fitting_side

    images = np.random.default_rng(0).random((2, 2, 512, 400))
    budget = sum(len(image_uri(image, 320)) for exam in images for image in exam)
    assert _fitting_side(images, 2, round(1.02 * budget)) == 320
    assert _fitting_side(images, 4, round(2.04 * budget)) == 320, "a sample stands for all"
    assert _fitting_side(images, 2, 10**9) == 512
    assert _fitting_side(images, 2, 10) == 128  # the smallest that says anything
