"""An ensemble is the mean of its answers; a turned image is asked about and its map turned back."""

import numpy as np
import pytest
import torch
from tiny import tiny

from gazekit.errors import ConfigurationError
from gazekit.modelling.build import build_attention_map, build_model
from gazekit.prediction.members import IDENTITY, Member, ask, trained_transforms
from gazekit.prediction.uncertainty import predictive_entropy, spread
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
    turned = trained_transforms(AugmentationSettings(**plain | {"rotation": 60.0}), 1.0)
    assert len(turned) == 3
    np.testing.assert_allclose(np.rad2deg(np.arcsin(turned[1:, 1, 0])), [30, -30], rtol=1e-5)
    assert len(trained_transforms(AugmentationSettings(), 1.0)) == 6


def test_entropy_and_spread_by_hand() -> None:
    answers = np.array([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]], [[1.0, 0.0], [0.2, 0.8]]])
    thirds = -(2 / 3 * np.log2(2 / 3) + 1 / 3 * np.log2(1 / 3))
    np.testing.assert_allclose(predictive_entropy(answers)[0], thirds)
    np.testing.assert_allclose(predictive_entropy(answers[:1]), [0, 1])
    np.testing.assert_allclose(spread(answers), [np.std([1, 0, 1], ddof=1), np.std([0.5, 0.5, 0.8], ddof=1)])
    assert spread(answers[:1]) is None
