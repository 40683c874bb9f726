"""The systems of the gaze literature beside Table 1: what each component computes, in slow loops, and its contract."""

import math

import numpy as np
import pytest
import torch
from gazekit_baselines.gaze_mask import GazeMask
from gazekit_baselines.gaze_statistics import GazeStatistics, statistics
from numpy.typing import NDArray
from tiny import tiny

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.heat_map import COLUMNS, DURATION, ONSET, SIGMA_X, SIGMA_Y, SLOT, X, Y
from gazekit.contracts.types import Output
from gazekit.modelling.build import build_model
from gazekit.registry.registry import Registry
from gazekit.testing import FusionContract, TermContract
from gazekit.testing.promises import random_gaze, random_tensor

Array = NDArray[np.float64]


class TestGazeMask(FusionContract):
    component = GazeMask
    options = {"patch": 4, "keep": 0.3}


class TestGazeMaskOfSomeExams(FusionContract):
    component = GazeMask
    options = {"patch": 4, "keep": 0.3, "share": 0.4}


class TestGazeStatistics(TermContract):
    component = GazeStatistics
    options = {"cells": 3}


def slow_mask(heat: Array, patch: int, keep: float) -> Array:
    height, width = heat.shape
    rows, columns = math.ceil(height / patch), math.ceil(width / patch)
    means = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            means[i, j] = heat[i * patch : (i + 1) * patch, j * patch : (j + 1) * patch].mean()
    count = max(1, round(keep * rows * columns))
    least = sorted(means.ravel(), reverse=True)[count - 1]
    mask = np.zeros((height, width), dtype=bool)
    for y in range(height):
        for x in range(width):
            mean = means[y // patch, x // patch]
            mask[y, x] = means.max() == 0 or (mean > 0 and mean >= least)
    return mask


@pytest.mark.parametrize(
    ("size", "patch", "keep"), [((16, 12), 4, 0.25), ((16, 14), 5, 0.5), ((8, 8), 16, 0.25)]
)
def test_the_patches_most_looked_at_stay(size: tuple[int, int], patch: int, keep: float) -> None:
    heat = random_tensor(3, *size).relu().double()
    heat[1] = 0
    heat[2, :, 3:] = 0
    found = GazeMask(("cc",), 1, patch=patch, keep=keep).mask(heat)
    for exam in range(3):
        np.testing.assert_array_equal(found[exam], slow_mask(heat[exam].numpy(), patch, keep))
    assert found[1].all(), "without gaze the image stays whole"


def test_a_mask_acts_in_training_alone_and_a_patch_that_nobody_looked_at_does_not_stay() -> None:
    heat = torch.zeros(1, 8, 8)
    heat[0, 0, 0] = 1
    images = {"cc": torch.rand(1, 1, 8, 8) + 1}
    fusion = GazeMask(("cc",), 1, patch=4, keep=1.0)
    masked = fusion(images, Gaze.of_heat_maps({"cc": heat}))["cc"]
    assert torch.equal(masked[..., :4, :4], images["cc"][..., :4, :4])
    darkest = images["cc"].min()
    assert (masked[..., 4:, :] == darkest).all() and (masked[..., 4:] == darkest).all()
    assert torch.equal(fusion(images, None)["cc"], images["cc"])


def test_a_share_of_the_exams_is_masked_in_all_views_alike() -> None:
    heat = torch.zeros(2000, 4, 4)
    heat[:, 0, 0] = 1
    images = {view: torch.ones(2000, 1, 4, 4) for view in ("cc", "mlo")}
    for each in images.values():
        each[..., 0, 0] = 0  # the darkest
    torch.manual_seed(0)
    fusion = GazeMask(("cc", "mlo"), 1, patch=2, keep=0.25, share=0.4)
    masked = fusion(images, Gaze.of_heat_maps({"cc": heat, "mlo": heat}))
    assert torch.equal(masked["cc"], masked["mlo"])
    sums = masked["cc"].flatten(1).sum(dim=1)
    whole = sums == 15
    assert (sums[~whole] == 3).all()
    assert abs((~whole).double().mean().item() - 0.4) < 4 * math.sqrt(0.4 * 0.6 / 2000)


def test_a_model_with_a_mask_predicts_without_gaze(registry: Registry) -> None:
    preset = tiny(registry, "fusion.images=gaze_mask", "fusion.images.patch=8", "gaze=none")
    model = build_model(preset, registry, classes=2)
    images = {view: random_tensor(2, 1, 32, 32, seed=seed) for seed, view in enumerate(preset.views)}
    gaze = random_gaze(preset.views, 32, exams=2)
    model.eval()
    assert torch.equal(model(images, gaze).logits, model(images).logits)
    model.train()
    assert not torch.allclose(model(images, gaze).logits, model(images).logits)


def slow_statistics(rows: Array, cells: int, slots: int) -> list[float]:
    """Of one exam, ``[F, 9]`` in cells."""
    of_readers = []
    for reader in range(slots):
        times, visits, before = np.zeros((cells, cells)), 0, None
        for row in rows:
            inside = 0 <= row[X] < cells and 0 <= row[Y] < cells and row[DURATION] > 0
            place = (int(row[Y]), int(row[X])) if inside and row[SLOT] == reader else None
            if place is not None:
                times[place] += row[DURATION] / 1000
                visits += place != before
            before = place
        if times.sum() == 0:
            continue
        shares = times[times > 0] / times.sum()
        entropy = -sum(share * math.log(share) for share in shares) / math.log(cells**2)
        of_readers.append(
            [
                math.log(1 + times.sum()),
                math.log(1 + times.max()),
                entropy,
                math.log(1 + visits),
                len(shares) / cells**2,
            ]
        )
    return list(np.mean(of_readers, axis=0)) if of_readers else [math.nan] * 5


def fixations(exams: int, count: int, readers: int, seed: int = 0) -> torch.Tensor:
    """In cells of 3 × 3, some beside the image, two unused rows at the end, one exam without any."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.full((exams, count * readers + 2, COLUMNS), torch.nan, dtype=torch.float64)
    used = rows[:, :-2]
    used[..., X] = torch.rand(exams, count * readers, generator=generator, dtype=torch.float64) * 3.4 - 0.2
    used[..., Y] = torch.rand(exams, count * readers, generator=generator, dtype=torch.float64) * 3.4 - 0.2
    used[..., DURATION] = torch.rand(exams, count * readers, generator=generator, dtype=torch.float64) * 900
    used[..., SLOT] = torch.arange(readers).repeat_interleave(count).double()
    used[..., SIGMA_X] = used[..., SIGMA_Y] = 1
    rows[-1] = torch.nan
    return rows


@pytest.mark.parametrize("readers", [1, 3])
def test_statistics_of_gaze_equal_slow_loops(readers: int) -> None:
    rows = fixations(4, 12, readers)
    found = statistics(rows, 3, readers)
    for exam in range(4):
        np.testing.assert_allclose(found[exam], slow_statistics(rows[exam].numpy(), 3, readers), rtol=1e-12)


def test_statistics_of_simple_scanpaths() -> None:
    rows = fixations(2, 4, 1)
    rows[0, :4, X] = torch.tensor([0.5, 0.6, 1.5, 0.5], dtype=torch.float64)
    rows[0, :4, Y] = 0.5
    rows[0, :4, DURATION] = 500
    time, longest, _, visits, places = statistics(rows, 3, 1)[0].exp().tolist()
    assert (time, longest, visits) == pytest.approx((1 + 2, 1 + 1.5, 1 + 3))
    assert math.log(places) == pytest.approx(2 / 9)


def test_samples_without_times_have_no_statistics() -> None:
    """Each has the weight 1, which is no millisecond; a reader with times stays as he is."""
    timed = random_gaze(("cc",), 40, exams=2, readers=2).fixations["cc"]
    rows = timed.clone()
    untimed = torch.zeros(2, rows.shape[1], dtype=torch.bool)
    untimed[0] = True
    untimed[1] = rows[1, :, SLOT] == 1
    rows[..., ONSET] = torch.where(untimed, torch.nan, rows[..., ONSET])
    rows[..., DURATION] = torch.where(untimed, 1.0, rows[..., DURATION])
    found = statistics(Gaze({"cc": rows}, (40, 40), slots=2).scanpaths("cc", (3, 3)), 3, 2)
    assert found[0].isnan().all()
    alone = torch.where(untimed[1, :, None], torch.nan, timed[1])[None]
    expected = statistics(Gaze({"cc": alone}, (40, 40), slots=2).scanpaths("cc", (3, 3)), 3, 2)
    torch.testing.assert_close(found[1:], expected)


def test_the_loss_of_statistics_is_that_of_its_linear_layer_and_silent_without_fixations() -> None:
    term = GazeStatistics(("cc",), 4, cells=3).double()
    rows = fixations(3, 6, 1)
    pooled = {"cc": torch.randn(3, 4, dtype=torch.float64)}
    features = {"cc": pooled["cc"][:, :, None, None]}
    output = Output(pooled["cc"][:, :1], features, pooled, pooled, pooled["cc"])
    from gazekit.contracts.types import Batch

    batch = Batch({"cc": torch.zeros(3, 1, 3, 3)}, torch.zeros(3).long(), Gaze({"cc": rows}, (3, 3)))
    losses = term(output, batch)
    predicted = term.statistics(pooled["cc"]).detach().numpy()
    for exam in range(2):
        expected = slow_statistics(rows[exam].numpy(), 3, 1)
        assert losses[exam, 0].item() == pytest.approx(((predicted[exam] - expected) ** 2).mean())
    assert losses[2].isnan().all()
