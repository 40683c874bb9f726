"""An ensemble is the mean of its answers; a turned image is asked about and its map turned back."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import tiny

from gazekit.errors import ConfigurationError
from gazekit.modelling.build import build_attention_map, build_model
from gazekit.prediction.calibration import UNCALIBRATED, Calibration
from gazekit.prediction.members import IDENTITY, Member, _average, ask, trained_transforms
from gazekit.prediction.predict import predict_prepared
from gazekit.prediction.uncertainty import predictive_entropy, spread
from gazekit.prepared.dataset import PreparedDataset
from gazekit.presets.tables import AugmentationSettings
from gazekit.registry.registry import Registry

CPU = torch.device("cpu")


def member(
    registry: Registry, seed: int, *, classes: int = 2, transforms: np.ndarray = IDENTITY[None]
) -> Member:
    preset = tiny(registry)
    torch.manual_seed(seed)
    model = build_model(preset, registry, classes=classes).eval()
    return Member(model, preset, build_attention_map(preset, registry), transforms)


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (3, 2, 16, 16)).astype(np.uint8)


def test_an_ensemble_holds_the_answers_of_each(registry: Registry, images: np.ndarray) -> None:
    several = [member(registry, seed) for seed in (0, 1, 2)]
    together = ask(several, images, CPU, explain=True)
    alone = [ask([each], images, CPU, explain=True) for each in several]
    np.testing.assert_allclose(
        together.probabilities, np.concatenate([a.probabilities for a in alone]), rtol=1e-6
    )
    for view in ("cc", "mlo"):
        maps = [a.attention[view] for a in alone]
        scaled = [each / np.abs(each).max(axis=(1, 2), keepdims=True) for each in maps]
        np.testing.assert_allclose(together.attention[view], np.mean(scaled, axis=0), rtol=1e-4, atol=1e-6)


def test_the_map_of_a_flipped_image_is_turned_back(registry: Registry, images: np.ndarray) -> None:
    flip = np.array([[[-1, 0, 0], [0, 1, 0]]], dtype=np.float32)
    flipped = ask([member(registry, 0, transforms=flip)], images, CPU, explain=True)
    by_hand = ask([member(registry, 0)], np.ascontiguousarray(images[..., ::-1]), CPU, explain=True)
    np.testing.assert_allclose(flipped.probabilities, by_hand.probabilities, rtol=1e-4)
    for view, maps in by_hand.attention.items():
        np.testing.assert_allclose(flipped.attention[view], maps[..., ::-1], rtol=1e-3, atol=1e-7)


def test_the_map_of_a_turned_image_is_turned_back(registry: Registry, images: np.ndarray) -> None:
    """A quarter turn is not its own inverse, as a flip is."""
    turn = np.array([[[0, -1, 0], [1, 0, 0]]], dtype=np.float32)
    turned = ask([member(registry, 0, transforms=turn)], images, CPU, explain=True)
    by_hand = ask([member(registry, 0)], np.rot90(images, axes=(2, 3)).copy(), CPU, explain=True)
    np.testing.assert_allclose(turned.probabilities, by_hand.probabilities, rtol=1e-4)
    for view, maps in by_hand.attention.items():
        back = np.rot90(maps, -1, axes=(1, 2))
        np.testing.assert_allclose(turned.attention[view], back, rtol=1e-3, atol=1e-7)


def test_maps_are_averaged_on_the_finest_grid_and_one_without_attention_stays_zero() -> None:
    coarse, fine = np.zeros((2, 2, 2)), np.random.default_rng(0).normal(size=(2, 4, 4))
    coarse[1] = -3
    found = _average([{"cc": torch.as_tensor(coarse)}, {"cc": torch.as_tensor(fine)}])["cc"]
    scaled = fine / np.abs(fine).max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(found, (np.array([0, -1])[:, None, None] + scaled) / 2)


def test_the_label_alone_is_calibrated(registry: Registry, images: np.ndarray) -> None:
    preset = tiny(registry, "targets.density=1.0")
    torch.manual_seed(0)
    model = build_model(preset, registry, classes=2, targets={"density": ("A", "B", "C")}).eval()
    plain = Member(model, preset, None, IDENTITY[None])
    before, after = (
        ask([replace(plain, calibration=each)], images, CPU)
        for each in (UNCALIBRATED, Calibration("temperature", 2.0))
    )
    odds = [each.probabilities[0, :, 1] / each.probabilities[0, :, 0] for each in (before, after)]
    np.testing.assert_allclose(odds[1], np.sqrt(odds[0]), rtol=1e-4)
    np.testing.assert_array_equal(after.further["density"], before.further["density"])


def test_all_answers_explain_the_class_that_is_most_probable_on_average(
    registry: Registry, images: np.ndarray
) -> None:
    several = [member(registry, seed, classes=4) for seed in (0, 3)]
    together = ask(several, images, CPU, explain=True)
    winner = torch.as_tensor(together.probabilities.mean(axis=0).argmax(axis=1))
    maps = []
    for each in several:
        batch = (torch.as_tensor(images).float() / 255 - each.preset.data.mean) / each.preset.data.std
        views = {view: batch[:, [i]] for i, view in enumerate(each.preset.views)}
        found = each.model.explain(views, each.attention_map, winner)[1]["cc"].numpy()
        maps.append(found / np.abs(found).max(axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(together.attention["cc"], np.mean(maps, axis=0), rtol=1e-4, atol=1e-6)


def test_transforms_are_none_but_those_of_the_training() -> None:
    plain = {"rotation": 0.0, "flip_horizontal": 0.0, "flip_vertical": 0.0}
    with pytest.raises(ConfigurationError, match="this training used none; leave out --tta"):
        trained_transforms(AugmentationSettings(**plain), 1.0)
    one = trained_transforms(AugmentationSettings(**plain | {"flip_vertical": 0.5}), 1.0)
    np.testing.assert_array_equal(one, [IDENTITY, [[1, 0, 0], [0, -1, 0]]])
    settings = AugmentationSettings(**plain | {"rotation": 60.0})
    turned = trained_transforms(settings, 1.0)
    assert len(turned) == 3
    np.testing.assert_allclose(np.rad2deg(np.arcsin(turned[1:, 1, 0])), [30, -30], rtol=1e-5)
    assert len(trained_transforms(AugmentationSettings(), 1.0)) == 6
    # of an image twice as high as wide, whose coordinates are shares of each side: a rotation of its pixels
    pixels = np.diag([1.0, 2.0])
    for angle, found in zip((30, -30), trained_transforms(settings, 2.0)[1:], strict=True):
        c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        np.testing.assert_allclose(
            pixels @ found[:, :2] @ np.linalg.inv(pixels), [[c, -s], [s, c]], rtol=1e-6
        )


def test_entropy_and_spread_by_hand() -> None:
    answers = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]], [[1.0, 0.0], [0.2, 0.8]]])
    thirds = -(2 / 3 * np.log2(2 / 3) + 1 / 3 * np.log2(1 / 3))
    np.testing.assert_allclose(predictive_entropy(answers)[0], thirds)
    np.testing.assert_allclose(predictive_entropy(answers[:1]), [0, 1])
    np.testing.assert_allclose(spread(answers), [np.std([1, 0, 1], ddof=1), np.std([0.5, 0.5, 0.8], ddof=1)])
    assert spread(answers[:1]) is None


def test_prepared_exams_have_the_mean_of_their_models_whatever_the_batch_and_the_order_of_views(
    registry: Registry, dataset: PreparedDataset
) -> None:
    several = [member(registry, seed) for seed in (0, 1)]
    together = list(predict_prepared(several, dataset, CPU, batch_size=5, explain=True))
    alone = [list(predict_prepared([each], dataset, CPU, batch_size=12, explain=True)) for each in several]
    assert [each.key for each in together] == list(dataset.exam_ids)
    for row, each in enumerate(together):
        answers = np.array([found[row].probabilities for found in alone])
        np.testing.assert_allclose(each.probabilities, answers.mean(axis=0), rtol=1e-5)
        chances = each.probabilities
        assert each.entropy == pytest.approx(-(chances * np.log2(chances)).sum())
        assert each.spread == pytest.approx(answers[:, chances.argmax()].std(ddof=1), abs=1e-6)
        for column, view in enumerate(dataset.views):
            np.testing.assert_allclose(each.images[view], dataset.images[row, column] / 255, atol=1e-6)
            maps = [found[row].attention[view] for found in alone]
            scaled = [values / np.abs(values).max() for values in maps]
            np.testing.assert_allclose(each.attention[view], np.mean(scaled, axis=0), rtol=1e-3, atol=1e-6)
    turned = replace(
        dataset,
        settings=replace(dataset.settings, views=dataset.views[::-1]),
        images=dataset.images[:, ::-1],
        has_image=dataset.has_image[:, ::-1],
    )
    for each, other in zip(predict_prepared(several, turned, CPU, explain=True), together, strict=True):
        np.testing.assert_allclose(each.probabilities, other.probabilities, rtol=1e-5)
        np.testing.assert_array_equal(each.images["cc"], other.images["cc"])


def test_a_prepared_exam_that_lacks_a_view_is_predicted_from_the_other_in_any_batch(
    registry: Registry, dataset: PreparedDataset
) -> None:
    there = dataset.has_image.copy()
    there[7, 1] = False
    lacking = replace(dataset, has_image=there)
    one = [member(registry, 0)]
    whole, *batches = (list(predict_prepared(one, lacking, CPU, batch_size=n)) for n in (12, 5, 1))
    for found in batches:
        assert [set(each.images) for each in found] == [set(each.images) for each in whole]
        chances = [[each.probabilities for each in some] for some in (found, whole)]
        np.testing.assert_allclose(*chances, rtol=1e-5)
    assert [each.key for each in whole if set(each.images) == {"cc"}] == [dataset.exam_ids[7]]
    assert [bool(each.findings) for each in whole] == [k == 7 for k in range(len(whole))]


def test_a_single_model_calls_at_its_own_threshold_and_several_at_a_half(
    registry: Registry, dataset: PreparedDataset
) -> None:
    one = member(registry, 0)
    chances = np.array([each.probabilities[1] for each in predict_prepared([one], dataset, CPU)])
    threshold = float(np.median(chances)) + 1e-6
    own = replace(one, calibration=Calibration(threshold=threshold))
    found = list(predict_prepared([own], dataset, CPU))
    assert [each.called for each in found] == (chances > threshold).astype(int).tolist()
    assert {each.threshold for each in found} == {threshold} and len({each.called for each in found}) == 2
    assert {each.threshold for each in predict_prepared([own, own], dataset, CPU)} == {0.5}
