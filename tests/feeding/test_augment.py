"""Augmentation: a function of (seed, epoch, exam), the same map for image and heat map, exact in closed cases."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gazekit.feeding.augment import random_affine, warp
from gazekit.feeding.batches import epoch_batches
from gazekit.feeding.random_numbers import random_generator
from gazekit.presets.tables import AugmentationSettings

STILL = AugmentationSettings(rotation=0, translation=0, flip_horizontal=0, flip_vertical=0)


def theta(changes: dict[str, float], exam: int = 0) -> np.ndarray:
    return random_affine(STILL.model_copy(update=changes), np.array([exam]), 1, seed=0, epoch=0)[0, 0]


def image() -> torch.Tensor:
    return torch.rand(1, 2, 8, 8, generator=torch.Generator().manual_seed(0))


def test_no_change_is_the_identity() -> None:
    torch.testing.assert_close(warp(image(), torch.as_tensor(theta({})[None])), image())


def test_flips_are_exact() -> None:
    flipped = warp(image(), torch.as_tensor(theta({"flip_horizontal": 1.0})[None]))
    torch.testing.assert_close(flipped, image().flip(3))
    flipped = warp(image(), torch.as_tensor(theta({"flip_vertical": 1.0})[None]))
    torch.testing.assert_close(flipped, image().flip(2))


@given(
    rotation=st.floats(0, 180),
    translation=st.floats(0, 1),
    scale=st.floats(0, 0.9),
    exam=st.integers(0, 10_000),
)
@settings(max_examples=60, deadline=None)
def test_draws_stay_in_their_ranges(rotation: float, translation: float, scale: float, exam: int) -> None:
    matrix = theta({"rotation": rotation, "translation": translation, "scale": scale}, exam)
    size = 1 / np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    assert 1 - scale - 1e-3 <= size <= 1 + scale + 1e-3
    unit = matrix[:, :2] * size
    np.testing.assert_allclose(unit @ unit.T, np.eye(2), atol=1e-4)
    assert np.degrees(np.arccos(np.clip(unit[0, 0], -1, 1))) <= rotation + 0.1
    assert np.abs(matrix[:, 2]).max() <= 2 * translation + 1e-6


@given(across=st.booleans(), down=st.booleans(), aspect=st.floats(0.4, 2.5), exam=st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_a_turned_and_mirrored_image_keeps_its_angles(
    across: bool, down: bool, aspect: float, exam: int
) -> None:
    """In pixels the map is a rotation, mirrored if one axis alone is flipped, times a size."""
    options = {"rotation": 90, "scale": 0.3, "flip_horizontal": float(across), "flip_vertical": float(down)}
    drawn = STILL.model_copy(update=options)
    matrix = random_affine(drawn, np.array([exam]), 1, seed=0, epoch=0, aspect=aspect)[0, 0, :, :2]
    in_pixels = np.diag([1, aspect]) @ matrix @ np.diag([1, 1 / aspect])
    square = in_pixels @ in_pixels.T
    np.testing.assert_allclose(square, square[0, 0] * np.eye(2), atol=1e-5)
    assert (np.linalg.det(in_pixels) < 0) == (across != down)


def test_draws_reach_the_ends_of_their_ranges() -> None:
    drawn = STILL.model_copy(update={"rotation": 20, "translation": 0.1, "scale": 0.3})
    maps = random_affine(drawn, np.arange(300), 1, seed=0, epoch=0)[:, 0]
    size = 1 / np.sqrt(np.linalg.det(maps[:, :, :2]))
    angle = np.degrees(np.arctan2(maps[:, 1, 0], maps[:, 0, 0]))
    shift = maps[:, :, 2] / 2  # of an image whose side is 2
    for values, low, high in ((size, 0.7, 1.3), (angle, -20, 20), (shift, -0.1, 0.1)):
        margin = 0.02 * (high - low)
        assert low - 1e-6 <= values.min() < low + margin and high - margin < values.max() <= high + 1e-6


def test_each_purpose_has_its_own_random_numbers() -> None:
    one, other = (random_generator(seed=0, purpose=k, index=0, epoch=0).random(4) for k in (1, 2))
    assert not np.array_equal(one, other)


def test_there_is_nothing_beyond_the_image() -> None:
    half = torch.tensor([[[1.0, 0, 1], [0, 1, 0]]])  # the right half moves to the left
    moved = warp(torch.ones(1, 1, 8, 8), half)
    assert (moved[..., :4] == 1).all() and not moved[..., 4:].any()


def test_a_draw_does_not_depend_on_the_company() -> None:
    everything = AugmentationSettings(scale=0.2)
    together = random_affine(everything, np.arange(6), 2, seed=3, epoch=4)
    alone = random_affine(everything, np.array([5]), 2, seed=3, epoch=4)
    assert np.array_equal(together[5], alone[0])
    for other in ({"seed": 4, "epoch": 4}, {"seed": 3, "epoch": 5}):
        assert not np.array_equal(random_affine(everything, np.array([5]), 2, **other)[0], alone[0])


def test_views_share_a_draw_only_when_asked() -> None:
    apart = random_affine(AugmentationSettings(), np.array([1]), 2, seed=0, epoch=0)[0]
    assert not np.array_equal(apart[0], apart[1])
    together = random_affine(AugmentationSettings(same_for_views=True), np.array([1]), 2, seed=0, epoch=0)[0]
    assert np.array_equal(together[0], together[1])


@given(exam=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_horizontal_distances_are_equal_in_all_views_where_the_horizontal_axis_is_shared(exam: int) -> None:
    """Two places of the same distance in both views have it after augmentation; heights differ."""
    options = {"rotation": 0, "scale": 0.3, "translation": 0.2, "same_for_views": "horizontal"}
    maps = random_affine(AugmentationSettings.model_validate(options), np.array([exam]), 2, seed=0, epoch=0)[
        0
    ]
    inverse = np.linalg.inv(maps[:, :, :2].astype(np.float64))  # [views, 2, 2]: input to output
    nipple = np.array([[0.8, 0.1], [0.6, -0.3]])
    lesion = nipple - [[0.5, 0.2], [0.5, -0.4]]
    there = [np.einsum("vij,vj->vi", inverse, place - maps[:, :, 2]) for place in (nipple, lesion)]
    distance = (there[0] - there[1])[:, 0]
    assert np.isclose(distance[0], distance[1], atol=1e-6) and abs(distance[0]) > 0.3
    assert np.array_equal(maps[0, 0], maps[1, 0]) and maps[0, 1, 2] != maps[1, 1, 2]


def test_image_and_heat_map_move_together() -> None:
    """A bright pixel and the heat map on it are still in one place after any map."""
    both = torch.zeros(1, 2, 33, 33)
    both[:, :, 12, 20] = 1
    matrix = random_affine(AugmentationSettings(), np.array([7]), 1, seed=0, epoch=0)[0]
    moved = warp(both, torch.as_tensor(matrix))
    assert torch.equal(moved[:, 0], moved[:, 1]) and moved.sum() > 0.5


@given(exams=st.integers(1, 200), size=st.integers(1, 40), seed=st.integers(0, 5), epoch=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_an_epoch_holds_every_exam_once_in_even_batches(exams: int, size: int, seed: int, epoch: int) -> None:
    batches = epoch_batches(exams, size, seed=seed, epoch=epoch)
    assert sorted(np.concatenate(batches)) == list(range(exams))
    lengths = {len(batch) for batch in batches}
    assert max(lengths) <= size and max(lengths) - min(lengths) <= 1
    again = epoch_batches(exams, size, seed=seed, epoch=epoch)
    assert all(np.array_equal(a, b) for a, b in zip(batches, again, strict=True))


def test_a_rotation_keeps_the_shape_of_a_square_on_an_oblong_image() -> None:
    image = torch.zeros(1, 1, 64, 32)
    image[:, :, 28:36, 12:20] = 1
    turned = AugmentationSettings(rotation=180, translation=0, flip_horizontal=0, flip_vertical=0)
    for exam in range(20):
        matrix = random_affine(turned, np.array([exam]), 1, seed=0, epoch=0, aspect=2.0)[0]
        moved = warp(image, torch.as_tensor(matrix))[0, 0]
        weights = moved / moved.sum()
        rows, columns = torch.arange(64.0), torch.arange(32.0)
        spread = [
            float((weights.sum(axis) * (place - (weights.sum(axis) * place).sum()) ** 2).sum())
            for axis, place in ((1, rows), (0, columns))
        ]
        assert abs(spread[0] - spread[1]) < 0.5
        assert abs(moved.sum() - 64) < 4
