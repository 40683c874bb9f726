"""Mixup is linear in pixels, and balanced sampling draws every class equally often."""

import numpy as np
import pytest
import torch
from tiny import random_batch, tiny

from gazekit.contracts.types import Batch
from gazekit.feeding.batches import epoch_batches
from gazekit.feeding.feed import prepared_exams
from gazekit.feeding.mixing import mixed, mixing_shares
from gazekit.prepared.dataset import PreparedDataset
from gazekit.presets.tables import AugmentationSettings
from gazekit.registry.registry import Registry

CPU = torch.device("cpu")


def test_images_are_mixed_by_their_shares_and_all_else_is_their_own() -> None:
    batch = random_batch(("cc", "mlo"), exams=6)
    share = torch.tensor([0.5, 0.75, 1.0])
    came = mixed(batch, share)
    for view, image in batch.images.items():
        pixels = image.double().numpy()
        for exam, part in enumerate(share.tolist()):
            expected = part * pixels[exam] + (1 - part) * pixels[exam + 3]
            np.testing.assert_allclose(came.images[view][exam].numpy(), expected, rtol=1e-5, atol=1e-6)
    assert came.mixture is not None and batch.gaze and came.gaze
    assert torch.equal(came.labels, batch.labels[:3]) and torch.equal(came.mixture.labels, batch.labels[3:])
    assert torch.equal(came.gaze["cc"], batch.gaze["cc"][:3])
    assert torch.equal(came.images["cc"][2], batch.images["cc"][2])


def test_an_exam_whose_partner_lacks_a_view_or_a_covariate_stays_as_it_is() -> None:
    plain = random_batch(("cc", "mlo"), exams=4)
    present = {"cc": torch.tensor([True, False, True, True]), "mlo": torch.tensor([True, True, False, True])}
    covariates = torch.tensor([[1.0], [2.0], [torch.nan], [torch.nan]])
    came = mixed(
        Batch(plain.images, plain.labels, covariates=covariates, present=present), torch.tensor([0.6, 0.6])
    )
    assert came.mixture is not None and came.covariates is not None
    assert came.mixture.share.tolist() == [1.0, pytest.approx(0.6)]
    assert torch.equal(came.images["mlo"][0], plain.images["mlo"][0])
    assert came.covariates[0] == 1 and came.covariates[1].isnan()


def test_covariates_are_mixed_by_the_share_of_the_image() -> None:
    plain = random_batch(("cc",), exams=4)
    covariates = torch.tensor([[1.0, 8.0], [2.0, 0.0], [3.0, 4.0], [5.0, 1.0]])
    came = mixed(Batch(plain.images, plain.labels, covariates=covariates), torch.tensor([0.75, 0.5]))
    torch.testing.assert_close(came.covariates, torch.tensor([[1.5, 7.0], [3.5, 0.5]]))


def test_shares_are_at_least_a_half_and_a_function_of_seed_epoch_and_exam() -> None:
    exams = np.arange(3000)
    found = mixing_shares(0.4, exams, seed=1, epoch=2)
    assert found.min() >= 0.5 and found.max() <= 1
    assert np.array_equal(mixing_shares(0.4, exams[7:9], seed=1, epoch=2), found[7:9])
    assert not np.array_equal(mixing_shares(0.4, exams, seed=1, epoch=3), found)
    # λ and 1 - λ are equally likely, so (λ - 1/2)² keeps its mean: the variance of Beta(α, α)
    assert ((found - 0.5) ** 2).mean() == pytest.approx(1 / (4 * (2 * 0.4 + 1)), rel=0.05)


def test_partners_look_as_they_do_as_exams_whoever_loads_them(
    registry: Registry, dataset: PreparedDataset
) -> None:
    """Half a batch in each of two processes is half of the whole batch."""
    preset = tiny(registry)
    exams = prepared_exams(dataset, np.arange(len(dataset)), preset, CPU, with_gaze=True)
    rows = np.array([4, 9, 2, 7])
    settings = AugmentationSettings(mixup=1.0)
    (plain,) = exams.augmented([rows], AugmentationSettings(), seed=1, epoch=2)
    (whole,) = exams.augmented([rows], settings, seed=1, epoch=2, partners=[np.roll(rows, 1)])
    assert whole.mixture is not None
    share = whole.mixture.share[:, None, None, None]
    expected = share * plain.images["cc"] + (1 - share) * plain.images["cc"].roll(1, 0)
    torch.testing.assert_close(whole.images["cc"], expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(whole.mixture.labels, plain.labels.roll(1))
    parts = [
        batch
        for half in (slice(0, 2), slice(2, 4))
        for batch in exams.augmented(
            [rows[half]], settings, seed=1, epoch=2, partners=[np.roll(rows, 1)[half]]
        )
    ]
    torch.testing.assert_close(
        torch.cat([each.images["cc"] for each in parts]), whole.images["cc"], rtol=0, atol=0
    )


def test_balanced_sampling_draws_classes_and_their_exams_equally_often() -> None:
    labels = np.array([0] * 17 + [1] * 4 + [2] * 2)
    seen: list[np.ndarray] = []
    for epoch in range(6):
        batches = epoch_batches(23, 5, seed=3, epoch=epoch, labels=labels)
        assert [len(batch) for batch in batches] == [5, 5, 5, 4, 4]
        drawn = np.concatenate(batches)
        counts = np.bincount(labels[drawn], minlength=3)
        assert counts.sum() == 23 and counts.max() - counts.min() <= 1
        for each in (1, 2):
            times = np.bincount(drawn, minlength=23)[labels == each]
            assert times.max() - times.min() <= 1
        again = np.concatenate(epoch_batches(23, 5, seed=3, epoch=epoch, labels=labels))
        assert np.array_equal(drawn, again)
        seen.append(np.sort(drawn[labels[drawn] == 0]))
    assert len({tuple(each) for each in seen}) > 1, "the left out exams change"


def test_a_target_of_an_exam_that_is_not_mixed_counts_though_its_partner_does_not_know_it() -> None:
    from gazekit.contracts.types import Mixture

    mixture = Mixture(torch.tensor([1.0, 0.7]), torch.zeros(2, dtype=torch.long))
    found = mixture.of(torch.tensor([0.3, 0.3]), torch.tensor([torch.nan, torch.nan]))
    assert found[0] == 0.3 and found[1].isnan()
