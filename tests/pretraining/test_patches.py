"""Patches lie where masks and labels say, in equal shares, and a batch is a function of (seed, step)."""

from dataclasses import replace

import numpy as np
import pytest

from gazekit.errors import DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.pretraining.patches import Patches, PatchSettings, default_side

SIDE = 4


@pytest.fixture
def patches(dataset: PreparedDataset) -> Patches:
    return Patches(dataset, range(len(dataset)), PatchSettings(SIDE))


def test_a_batch_is_a_function_of_seed_and_step(patches: Patches) -> None:
    first, again = (patches.batch(12, seed=3, step=5) for _ in range(2))
    np.testing.assert_array_equal(first.images, again.images)
    for other in (patches.batch(12, seed=4, step=5), patches.batch(12, seed=3, step=6)):
        assert (other.images != first.images).any()


def test_every_class_has_the_same_share(patches: Patches) -> None:
    assert patches.classes == ("tissue", "benign", "malignant")
    labels = np.concatenate([patches.batch(10, seed=0, step=step).labels for step in range(3)])
    assert np.bincount(labels).tolist() == [10, 10, 10]


def _marked(dataset: PreparedDataset) -> PreparedDataset:
    """The same exams, with images that are 50 outside lesions and 200 in them."""
    masks = dataset.masks[:]
    return replace(dataset, images=np.where(masks > 0, 200, 50).astype(np.uint8))


def test_a_lesion_has_its_exams_label_and_tissue_holds_no_lesion(dataset: PreparedDataset) -> None:
    patches = Patches(_marked(dataset), range(len(dataset)), PatchSettings(SIDE))
    for step in range(20):
        draw = patches.batch(9, seed=0, step=step)
        lesion = (draw.images == 200).any(axis=(1, 2, 3))
        np.testing.assert_array_equal(lesion, draw.labels > 0)
        np.testing.assert_array_equal(draw.labels[lesion] - 1, dataset.labels[draw.exams[lesion]])


def test_a_patch_at_the_border_is_zero_outside_the_image(dataset: PreparedDataset) -> None:
    masks = np.zeros_like(dataset.masks[:])
    masks[:, :, 0, 15] = 255  # the upper right corner
    cornered = replace(dataset, masks=masks, images=np.full_like(dataset.images, 7))
    patches = Patches(cornered, range(len(dataset)), PatchSettings(SIDE, shift=0.0))
    draw = patches.held_out(seed=0)
    expected = np.zeros((SIDE, SIDE), dtype=np.uint8)
    expected[2:, :3] = 7  # the pixel lies in row and column 2
    for image in draw.images[draw.labels > 0]:
        np.testing.assert_array_equal(image[0], expected)


def test_a_lesions_patch_lies_around_the_middle_of_one_lesion(dataset: PreparedDataset) -> None:
    masks = np.zeros_like(dataset.masks[:])
    masks[:, :, 3:6, 2:5] = 255
    masks[:, :, 9:12, 10:13] = 255
    two = replace(dataset, masks=masks, images=np.where(masks > 0, 255, 50).astype(np.uint8))
    patches = Patches(two, range(len(dataset)), PatchSettings(3, shift=0.0))
    draw = patches.batch(30, seed=0, step=0)
    for image in draw.images[draw.labels > 0]:
        assert (image == 255).all()
    places = {int(pixel) for each in patches.places[1:] for pixel in each.pixels}
    assert places == {4 * 16 + 3, 10 * 16 + 11}


@pytest.mark.parametrize(("height", "lesion", "side"), [(64, 9, 28), (64, 4, 16), (300, 9, 58), (64, 12, 36)])
def test_a_patch_is_three_median_lesions_and_no_less_than_a_fifth_of_the_image_or_16_px(
    dataset: PreparedDataset, height: int, lesion: int, side: int
) -> None:
    masks = np.zeros((len(dataset), len(dataset.views), height, height), dtype=np.uint8)
    masks[:, :, 2 : 2 + lesion, 3:5] = 255
    masks[0, 0] = 255  # one odd mask does not count
    settings = replace(dataset.settings, size=(height, height))
    marked = replace(dataset, masks=masks, settings=settings, has_mask=np.ones_like(dataset.has_mask))
    assert default_side(marked, range(len(dataset))) == side
    bare = replace(marked, has_mask=np.zeros_like(dataset.has_mask))
    assert default_side(bare, range(len(dataset))) == max(16, 2 * round(height * 224 / 1152 / 2))


def test_held_out_patches_are_one_of_each_class_per_image(dataset: PreparedDataset, patches: Patches) -> None:
    draw = patches.held_out(seed=0)
    images = len(dataset) * len(dataset.views)
    assert np.bincount(draw.labels).tolist() == [images, images // 2, images // 2]
    assert np.bincount(draw.exams).tolist() == [2 * len(dataset.views)] * len(dataset)


def test_kinds_divide_the_lesions_and_a_lesion_of_unknown_kind_is_left_out(dataset: PreparedDataset) -> None:
    kinds = np.arange(len(dataset)) % 3 - 1  # -1: not known
    divided = replace(
        _marked(dataset), targets={"kind": kinds}, target_classes={"kind": ("calcification", "mass")}
    )
    patches = Patches(divided, range(len(dataset)), PatchSettings(SIDE, kinds="kind"))
    assert patches.classes == (
        *("tissue", "benign calcification", "benign mass"),
        *("malignant calcification", "malignant mass"),
    )
    draw = patches.held_out(seed=0)
    lesions = draw.labels > 0
    np.testing.assert_array_equal((draw.labels[lesions] - 1) % 2, kinds[draw.exams[lesions]])
    np.testing.assert_array_equal((draw.labels[lesions] - 1) // 2, dataset.labels[draw.exams[lesions]])
    with pytest.raises(DataError, match=r"no target 'shape' .* the set has kind"):
        Patches(divided, range(len(dataset)), PatchSettings(SIDE, kinds="shape"))


def test_a_class_whose_exams_have_no_lesion_is_none_of_the_patches(dataset: PreparedDataset) -> None:
    normal = dataset.labels == 1
    marked = dataset.has_mask & ~normal[:, None]
    blank = np.where(normal[:, None, None, None], 0, dataset.masks[:])
    for bare in (
        replace(dataset, has_mask=marked, masks=blank),
        replace(dataset, masks=blank),  # a mask that marks nothing
    ):
        patches = Patches(bare, range(len(dataset)), PatchSettings(SIDE))
        assert patches.classes == ("tissue", "benign")
        assert set(patches.batch(20, seed=0, step=0).labels.tolist()) == {0, 1}
        assert not normal[patches.places[1].images[:, 0]].any()


def test_kinds_that_a_label_never_has_are_none_of_the_patches(dataset: PreparedDataset) -> None:
    kinds = np.where(dataset.labels == 0, 1, np.cumsum(dataset.labels) % 2)
    divided = replace(dataset, targets={"kind": kinds}, target_classes={"kind": ("calcification", "mass")})
    patches = Patches(divided, range(len(dataset)), PatchSettings(SIDE, kinds="kind"))
    assert patches.classes == ("tissue", "benign mass", "malignant calcification", "malignant mass")
    draw = patches.held_out(seed=0)
    pairs = list(zip(dataset.labels[draw.exams].tolist(), kinds[draw.exams].tolist(), strict=True))
    assert [pairs[i] for i in np.flatnonzero(draw.labels)] == [
        [(0, 1), (1, 0), (1, 1)][label - 1] for label in draw.labels[draw.labels > 0]
    ]


def test_a_class_that_only_one_part_has_is_refused(dataset: PreparedDataset) -> None:
    benign, everyone = np.flatnonzero(dataset.labels == 0), range(len(dataset))
    with pytest.raises(DataError, match=r"no patch of class malignant among the exams of a part.*--split"):
        Patches(dataset, benign, PatchSettings(SIDE), among=everyone)


def test_an_exam_of_another_class_without_a_mask_gives_no_tissue(dataset: PreparedDataset) -> None:
    marked = dataset.has_mask.copy()
    marked[:4] = False  # two benign exams, two malignant
    patches = Patches(replace(dataset, has_mask=marked), range(len(dataset)), PatchSettings(SIDE))
    exams = set(patches.places[0].images[:, 0].tolist())
    unmarked = {i for i in range(4) if dataset.labels[i] != 0}
    assert unmarked and exams == set(range(len(dataset))) - unmarked


def test_data_without_masks_are_refused_with_a_remedy(dataset: PreparedDataset) -> None:
    bare = replace(dataset, has_mask=np.zeros_like(dataset.has_mask))
    with pytest.raises(DataError, match=r"no lesion is marked.*lesion masks"):
        Patches(bare, range(len(dataset)), PatchSettings(SIDE))
