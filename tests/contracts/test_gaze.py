"""Heat maps made from fixations, for each reader and their mean, against NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.heat_map import DURATION, SIGMA_X, SIGMA_Y, SLOT, X, Y, is_looking
from gazekit.gaze.heat_map import heat_map
from gazekit.testing.promises import random_gaze


def oracle(rows: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """One reader's heat map, pixel by pixel."""
    height, width = size
    found = np.zeros(size)
    for i in range(height):
        for j in range(width):
            for row in rows[~np.isnan(rows[:, X])]:
                across = (j + 0.5 - row[X]) / row[SIGMA_X]
                down = (i + 0.5 - row[Y]) / row[SIGMA_Y]
                found[i, j] += row[DURATION] * np.exp(-(across**2 + down**2) / 2)
    return found / found.max()


def test_each_readers_map_and_their_mean_are_those_of_the_equation() -> None:
    gaze = random_gaze(("cc", "mlo"), 12, exams=3, readers=3, lacking=(1,))
    rows = gaze.fixations["mlo"].double().numpy()
    for exam in (0, 2):
        each = [oracle(rows[exam][rows[exam, :, SLOT] == reader], (12, 12)) for reader in range(3)]
        np.testing.assert_allclose(gaze.heat_maps("mlo")[exam], each, atol=1e-5)
        mean = np.mean(each, axis=0)
        np.testing.assert_allclose(gaze["mlo"][exam], mean / mean.max(), atol=1e-5)
    assert gaze.present("mlo").tolist() == [True, False, True]
    assert not gaze["mlo"][1].any() and not gaze.present_readers("mlo")[1].any()


def test_one_reader_is_what_a_preparation_computes() -> None:
    gaze = random_gaze(("cc",), 48, exams=1, fixations=30)
    rows = gaze.fixations["cc"][0].double().numpy()
    x, y, weight = rows[:, X], rows[:, Y], rows[:, DURATION]
    expected = heat_map(x, y, weight, shape=(48, 48), sigma=(rows[0, SIGMA_X], rows[0, SIGMA_Y]))
    np.testing.assert_allclose(gaze["cc"][0], expected, atol=1e-5)


def test_a_fixation_counts_up_to_three_sigma_outside() -> None:
    gaze = random_gaze(("cc",), 20, exams=2, fixations=1)
    rows = gaze.fixations["cc"]
    rows[:, 0, Y], rows[:, 0, SIGMA_X] = 10, 2
    rows[:, 0, X] = torch.tensor([25.9, 26.1])
    assert gaze.present("cc").tolist() == [True, False]
    assert gaze["cc"][0].max() == 1 and gaze["cc"][1].max() == 0


def test_a_finished_map_stands_in_where_there_are_no_fixations() -> None:
    drawn = random_gaze(("cc",), 16, exams=2, lacking=(1,))
    finished = torch.zeros(2, 16, 16)
    finished[1, 3, 4] = 1.0
    gaze = Gaze(drawn.fixations, (16, 16), layers={"cc": finished})
    torch.testing.assert_close(gaze["cc"][0], drawn["cc"][0])
    torch.testing.assert_close(gaze["cc"][1], finished[1])
    assert gaze.present("cc").tolist() == [True, True]
    alone = Gaze.of_heat_maps({"cc": finished})
    assert alone["cc"] is finished and alone.present("cc").tolist() == [False, True]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1, 2]))
def test_the_order_and_the_unit_of_time_do_not_matter(seed: int, readers: int) -> None:
    gaze = random_gaze(("cc",), 24, exams=2, readers=readers)
    generator = torch.Generator().manual_seed(seed)
    rows = gaze.fixations["cc"]
    turned = rows[:, torch.randperm(rows.shape[1], generator=generator)].clone()
    turned[:, :, DURATION] *= 1 + seed
    other = Gaze({"cc": turned}, gaze.size, gaze.readers, gaze.slots)
    torch.testing.assert_close(other["cc"], gaze["cc"], atol=1e-5, rtol=1e-4)


def test_a_view_without_gaze_is_not_in_it_and_asking_renders_nothing() -> None:
    gaze = random_gaze(("cc",), 40)
    assert "cc" in gaze and "cc_gaze" not in gaze and gaze.get("cc_gaze") is None
    assert not gaze._made
    with pytest.raises(KeyError, match="cc_gaze"):
        gaze["cc_gaze"]


def test_a_mapped_gaze_does_not_keep_the_maps_of_the_former() -> None:
    gaze = random_gaze(("cc",), 16)
    before = gaze["cc"]
    half = gaze.map(lambda tensor: tensor[:2])
    torch.testing.assert_close(half["cc"], before[:2])
    assert len(list(half.tensors())) == 1 and half["cc"].shape[0] == 2


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_maps_are_made_in_full_precision_under_autocast(dtype: torch.dtype) -> None:
    expected = random_gaze(("cc",), 32)["cc"]
    with torch.autocast("cpu", dtype=dtype):
        came = random_gaze(("cc",), 32)["cc"]
    assert came.dtype == torch.float32
    torch.testing.assert_close(came, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("x", "y", "duration", "looks"),
    [
        (5.0, 5.0, 1.0, True),
        (5.0, 5.0, 0.0, False),
        (5.0, 24.0, 1.0, True),  # 4 px, one sigma, below the image
        (5.0, -400.0, 1.0, False),
        (-400.0, 5.0, 1.0, False),
        (float("nan"), 5.0, 1.0, False),
    ],
)
def test_a_fixation_looks_at_an_image_within_reach_if_it_lasts(
    x: float, y: float, duration: float, looks: bool
) -> None:
    row = torch.zeros(8)
    row[X], row[Y], row[DURATION], row[SIGMA_X], row[SIGMA_Y] = x, y, duration, 2.0, 4.0
    assert is_looking(row, (20, 10)).item() is looks
