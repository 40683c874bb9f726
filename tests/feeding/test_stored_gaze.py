"""Fixations on the device: warped with the image, and readers chosen by name, in turn or by lot."""

from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny

from gazekit.contracts.gaze import Gaze
from gazekit.contracts.heat_map import DURATION, ONSET, READER, SIGMA_X, SIGMA_Y, SLOT, X, Y
from gazekit.errors import ConfigurationError, DataError
from gazekit.feeding.augment import random_affine, warp
from gazekit.feeding.batches import ResidentExams
from gazekit.feeding.stored_gaze import stored_gaze, warped
from gazekit.prepared.fixation_table import FixationTable
from gazekit.presets.tables import AugmentationSettings
from gazekit.registry.registry import Registry
from gazekit.testing.promises import random_gaze

CPU = torch.device("cpu")
SIZE = (40, 56)


class _Data:
    """As much of a prepared data set as gaze needs: three exams, two views, readers Ann and Bob."""

    root = "data"
    views = ("cc", "mlo")
    size = SIZE

    def __init__(self, *, with_sigma: bool = True, with_onset: bool = True, timed: bool = True) -> None:
        rows = [
            (0, 0, "Bob", 10.0, 20.0, 0.0, 100.0),
            (0, 0, "Bob", 30.0, 20.0, 150.0, 300.0),
            (0, 0, "Ann", 5.0, 5.0, 0.0, 200.0),
            (0, 1, "Ann", 6.0, 7.0, 2000.0, 200.0),
            (2, 1, "Bob", 50.0, 30.0, 0.0, 80.0),
        ]
        sigma = 3.0 if with_sigma else np.nan
        self.fixation_table = FixationTable.of_rows(
            (*row[:5], row[5] if with_onset and timed else np.nan, row[6] if timed else 1.0, sigma, sigma, 0)
            for row in rows
        )
        self.settings = type("S", (), {"fixations": type("F", (), {"sigma_degrees": 1.0})})

    def __len__(self) -> int:
        return 3


def test_points_go_where_the_warped_image_goes() -> None:
    """A narrow spot drawn before the warp is brightest where the point lands; its heat map is the warped one."""
    settings = AugmentationSettings(rotation=20, translation=0.1, scale=0.2)
    theta = random_affine(settings, np.arange(6), 1, seed=3, epoch=1, aspect=SIZE[0] / SIZE[1])
    rows = random_gaze(("cc",), 40, exams=6, fixations=1).fixations["cc"][:, None]  # [6, 1, 1, 9]
    rows[..., X], rows[..., Y] = 28.0, 20.0
    rows[..., SIGMA_X] = rows[..., SIGMA_Y] = 2.5
    before = Gaze({"cc": rows[:, 0]}, SIZE)["cc"]
    moved = warped(rows, torch.from_numpy(theta), SIZE)
    expected = warp(before[:, None], torch.from_numpy(theta)[:, 0])[:, 0]
    came = Gaze({"cc": moved[:, 0]}, SIZE)["cc"]
    torch.testing.assert_close(came, expected / expected.amax(dim=(1, 2), keepdim=True), atol=0.05, rtol=0)


def test_the_rows_of_an_exam_come_padded_with_nan(registry: Registry) -> None:
    data: Any = _Data()
    stored = stored_gaze(data, np.array([2, 0]), tiny(registry, 'views=["mlo", "cc"]'), CPU)
    rows = stored.rows_of(torch.tensor([1, 0]))  # exams 0 and 2
    assert rows.shape == (2, 2, 3, 9)
    assert rows[0, 1, :, X].tolist() == [10, 30, 5] and rows[0, 0, 0, ONSET] == 2000
    assert [stored.readers[int(i)] for i in rows[0, 1, :, READER]] == ["Bob", "Bob", "Ann"]
    assert rows[0, 1, :, SLOT].tolist() == [1, 1, 0] and stored.slots == 2
    assert rows[1, 1].isnan().all() and rows[1, 0, 0, X] == 50 and rows[1, 0, 1:].isnan().all()


@pytest.mark.parametrize(
    ("setting", "kept"),
    [
        ("gaze.minimum_duration_ms=150", [30, 5]),
        ("gaze.window_ms=[100, 3000]", [30]),
        ('gaze.readers=["Ann"]', [5]),
        ('gaze.readers=["Bob", "Ann"]', [10, 30, 5]),
    ],
)
def test_settings_choose_fixations(registry: Registry, setting: str, kept: list[float]) -> None:
    data: Any = _Data()
    stored = stored_gaze(data, np.arange(3), tiny(registry, setting), CPU)
    x = stored.rows_of(torch.tensor([0]))[0, 0, :, X]
    assert x[~x.isnan()].tolist() == kept


def test_sigma_is_chosen_in_degrees_of_the_preparation(registry: Registry) -> None:
    data: Any = _Data()
    stored = stored_gaze(data, np.arange(3), tiny(registry, "gaze.sigma=2"), CPU)
    assert stored.rows[0, SIGMA_X] == stored.rows[0, SIGMA_Y] == 6


def test_a_reader_is_drawn_per_exam_and_epoch_and_never_two(registry: Registry) -> None:
    data: Any = _Data()
    preset = tiny(registry, 'gaze.readers="sampled"')
    stored = stored_gaze(data, np.arange(3), preset, CPU)
    drawn = [stored.draw(np.arange(3), np.arange(3), seed=0, epoch=epoch) for epoch in range(40)]
    assert {each[0] for each in drawn} == {0, 1} and {each[2] for each in drawn} == {1}
    assert {each[1] for each in drawn} == {-1}
    again = stored.draw(np.array([2, 0]), np.array([2, 0]), seed=0, epoch=7)
    assert again.tolist() == drawn[7][[2, 0]].tolist()  # whatever is in the batch beside it
    rows = stored.rows_of(torch.tensor([0]), torch.tensor([0.0]))
    assert rows[0, 0, ~rows[0, 0, :, X].isnan(), X].tolist() == [5]
    pixels = np.zeros((3, 2, 1, *SIZE), dtype=np.uint8)
    exams = ResidentExams(pixels, preset, CPU, indices=np.arange(3), gaze=stored)
    none = AugmentationSettings(rotation=0, translation=0, flip_horizontal=0, flip_vertical=0)
    seen = set()
    for epoch in range(20):
        (batch,) = exams.augmented([np.array([0])], none, seed=0, epoch=epoch)
        assert batch.gaze is not None and batch.gaze.slots == 1
        rows = batch.gaze.fixations["cc"][0]
        x = rows[~rows[:, X].isnan(), X].round().int().tolist()
        assert x in ([5], [10, 30])
        seen.add(tuple(x))
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("data", "setting", "said"),
    [
        (_Data(), "gaze.sigma=0.01", "is 0.03 pixels"),
        (_Data(), 'gaze.readers=["Zoe"]', "no reader 'Zoe'; there are Ann, Bob"),
        (_Data(with_sigma=False), 'gaze.readers="each"', "prepare it again"),
        (_Data(with_onset=False), "gaze.window_ms=[0, 100]", "no fixation has an onset"),
        (
            _Data(timed=False),
            "gaze.minimum_duration_ms=100",
            "no fixation has a duration, which gaze.minimum_d",
        ),
    ],
)
def test_what_the_data_lack_is_said(registry: Registry, data: Any, setting: str, said: str) -> None:
    with pytest.raises((ConfigurationError, DataError), match=said):
        stored_gaze(data, np.arange(3), tiny(registry, setting), CPU)


def test_every_reader_in_turn_is_aligned_and_the_mean_is_another_thing(registry: Registry) -> None:
    from gazekit.contracts.types import Batch
    from gazekit.modelling.build import build_model, build_objective

    torch.manual_seed(0)
    gaze = random_gaze(("cc", "mlo"), 32, readers=2)
    gaze.fixations["cc"][0, gaze.fixations["cc"][0, :, SLOT] == 1, DURATION] = (
        0  # one reader missing in one exam
    )
    images = {view: torch.randn(4, 1, 32, 32) for view in ("cc", "mlo")}
    batch = Batch(images, torch.tensor([0, 1, 0, 1]), gaze)
    preset = tiny(registry, 'gaze.readers="each"')
    model = build_model(preset, registry, classes=2).eval()
    output = model(images)
    each = build_objective(preset, registry, model)
    values = each.values(output, batch)["gaze"]
    assert values.shape == (4, 4) and values.isnan().sum() == 1 and values[0, 1].isnan()
    loss = each.terms["gaze"].alignment_loss
    maps = each.attention_map(output, torch.ones(4, dtype=torch.int64))  # type: ignore[misc]
    torch.testing.assert_close(values[:, 2], loss(maps["mlo"], gaze.heat_maps("mlo")[:, 0]))
    torch.testing.assert_close(each(output, batch).terms["gaze"], values[~values.isnan()].mean())
    mean = build_objective(tiny(registry), registry, model)(output, batch).terms["gaze"]
    assert not torch.isclose(mean, values.nanmean())
