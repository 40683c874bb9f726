"""Which pairs of a map and gaze the alignment term compares, and what becomes of a loss that is no number."""

import math

import pytest
import torch
from gazekit_components.alignment_losses.mse import MeanSquaredError
from gazekit_components.alignment_losses.nss import NormalisedScanpathSaliency
from torch import Tensor

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.heat_map import COLUMNS, DURATION, SLOT, X, Y
from gazekit.contracts.interfaces import AlignmentLoss
from gazekit.contracts.types import Batch
from gazekit.modelling.alignment import Alignment

NAN = math.nan


class Diverged(AlignmentLoss):
    """No number for any map."""

    def forward(self, attention: Tensor, gaze: Tensor) -> Tensor:
        return (attention.sum(dim=(1, 2)) + gaze.sum(dim=(1, 2))) * NAN


def fixations(*exams: list[tuple[float, float, float, int]]) -> Gaze:
    """Gaze on images of 10 x 20 pixels; of each fixation x, y, duration and reader."""
    rows = torch.full((len(exams), max(map(len, exams)), COLUMNS), NAN)
    for exam, found in enumerate(exams):
        for place, values in enumerate(found):
            rows[exam, place, [X, Y, DURATION, SLOT]] = torch.tensor(values, dtype=torch.float32)
    return Gaze({"cc": rows}, (10, 20), readers=("a", "b"), slots=2)


def test_a_loss_that_is_no_number_skips_the_step_and_not_the_pair() -> None:
    gaze = Gaze.of_heat_maps({"cc": torch.stack([torch.ones(4, 4), torch.zeros(4, 4)])})
    came = Alignment(Diverged())({"cc": torch.ones(2, 2, 2)}, Batch({}, torch.zeros(2), gaze))
    assert came[0].isposinf().all() and came[1].isnan().all()


def test_a_heat_map_that_is_absent_may_hold_anything() -> None:
    gaze = Gaze.of_heat_maps({"cc": torch.stack([torch.rand(4, 4), torch.full((4, 4), NAN)])})
    attention = torch.rand(2, 2, 2, requires_grad=True)
    came = Alignment(MeanSquaredError())({"cc": attention}, Batch({}, torch.zeros(2), gaze))
    came.nansum().backward()
    assert came.isfinite().tolist() == [[True], [False]]
    assert attention.grad is not None and attention.grad.isfinite().all() and attention.grad[0].any()


@pytest.mark.parametrize(
    ("loss", "each_reader", "needs"),
    [
        (MeanSquaredError(), False, {"gaze"}),
        (MeanSquaredError(), True, {"gaze", "fixations"}),
        (NormalisedScanpathSaliency(), False, {"gaze", "fixations"}),
    ],
)
def test_single_readers_and_fixations_need_more_than_heat_maps(
    loss: AlignmentLoss, each_reader: bool, needs: set[str]
) -> None:
    assert Alignment(loss, each_reader=each_reader).needs == needs


def test_a_fixation_counts_if_it_lasts_and_lies_on_the_image() -> None:
    gaze = fixations(
        [(5, 5, 200, 0)],
        [(20, 10, 200, 0)],  # its corner
        [(20.1, 5, 200, 0)],
        [(5, 5, 0, 0)],
        [(5, 5, 200, 1), (7, 5, 0, 0)],
    )
    maps, batch = {"cc": torch.rand(5, 3, 4)}, Batch({}, torch.zeros(5), gaze)
    loss = NormalisedScanpathSaliency()
    assert Alignment(loss)(maps, batch).isfinite().tolist() == [[True], [True], [False], [False], [True]]
    of_readers = Alignment(loss, each_reader=True)(maps, batch).isfinite().tolist()
    assert of_readers == [[True, False], [True, False], [False, False], [False, False], [False, True]]


def test_each_reader_is_compared_with_own_fixations_alone() -> None:
    maps = {"cc": torch.arange(12.0).view(1, 3, 4)}
    both = fixations([(1, 1, 100, 0), (19, 9, 300, 1)])
    came = Alignment(NormalisedScanpathSaliency(), each_reader=True)(maps, Batch({}, torch.zeros(1), both))
    for reader, own in enumerate(([(1, 1, 100, 0)], [(19, 9, 300, 0)])):
        alone = Alignment(NormalisedScanpathSaliency())(maps, Batch({}, torch.zeros(1), fixations(own)))
        assert came[0, reader] == pytest.approx(alone.item())
