"""Sets that earlier versions prepared, with heat maps and no width of fixations, can still be used."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny

from gazekit.errors import ConfigurationError
from gazekit.feeding.feed import prepared_exams
from gazekit.modelling.build import build_model, build_objective
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.exam_record import FIXATION_COLUMNS
from gazekit.prepared.index import FIXATIONS, TABLE, read_table, write_table
from gazekit.prepared.manifest import MANIFEST
from gazekit.prepared.verification import faults_of, seal
from gazekit.registry.registry import Registry


@pytest.fixture
def earlier(dataset: PreparedDataset, tmp_path: Path) -> PreparedDataset:
    """The shared data set as version 5 of the manifest would have written it."""
    root = tmp_path / "earlier"
    shutil.copytree(dataset.root, root)
    full = np.iinfo(dataset.images.dtype).max
    maps = [[dataset.heat_map(exam, view) for view in dataset.views] for exam in range(len(dataset))]
    np.save(root / "gaze.npy", np.rint(np.array(maps) * full).astype(dataset.images.dtype))
    np.save(root / "masks.npy", np.asarray(dataset.masks))
    rows = read_table(root / FIXATIONS, FIXATION_COLUMNS, TABLE)
    write_table(
        root / FIXATIONS, FIXATION_COLUMNS, ([row[name] for name in FIXATION_COLUMNS] for row in rows)
    )
    manifest: dict[str, Any] = json.loads((root / MANIFEST).read_text())
    manifest["schema"] = 5
    del manifest["preparation"]["layout"]
    manifest["files"]["gaze.npy"] = manifest["files"]["images.npy"]
    (root / MANIFEST).write_text(json.dumps(manifest))
    seal(root)
    return PreparedDataset.open(root)


def test_its_heat_maps_and_fixations_are_read(dataset: PreparedDataset, earlier: PreparedDataset) -> None:
    assert not faults_of(earlier.root).faults and earlier.is_checked
    assert earlier.layers is not None and set(earlier.arrays) == {"images", "gaze", "masks"}
    for exam in range(len(dataset)):
        for view in dataset.views:
            column = dataset.views.index(view)
            np.testing.assert_array_equal(earlier.masks[exam, column], dataset.masks[exam, column])
            np.testing.assert_allclose(
                earlier.heat_map(exam, view), dataset.heat_map(exam, view), atol=1 / 255
            )
            for ours, theirs in zip(
                dataset.fixations(exam, view), earlier.fixations(exam, view), strict=True
            ):
                np.testing.assert_array_equal(ours.x, theirs.x)


def test_it_is_fed_as_finished_heat_maps(
    dataset: PreparedDataset, earlier: PreparedDataset, registry: Registry
) -> None:
    preset, every = tiny(registry), np.arange(len(dataset))
    now, then = (
        prepared_exams(each, every, preset, torch.device("cpu"), with_gaze=True).batch(every)
        for each in (dataset, earlier)
    )
    assert now.gaze is not None and then.gaze is not None and then.gaze.layers and not now.gaze.layers
    for view in preset.views:
        torch.testing.assert_close(now.gaze[view], then.gaze[view], atol=1 / 255, rtol=0)
        assert now.gaze.present(view).tolist() == then.gaze.present(view).tolist()


@pytest.mark.parametrize(
    "setting",
    ['gaze.readers="sampled"', "gaze.sigma=0.5", "gaze.window_ms=[0,900]", "gaze.minimum_duration_ms=80"],
)
def test_a_choice_among_fixations_is_refused_with_a_remedy(
    earlier: PreparedDataset, registry: Registry, setting: str
) -> None:
    preset = tiny(registry, setting)
    with pytest.raises(ConfigurationError, match="prepare it again"):
        prepared_exams(earlier, np.arange(4), preset, torch.device("cpu"), with_gaze=True)


@pytest.mark.parametrize("loss", ["pyramid", "mse"])
def test_losses_of_rendered_and_stored_heat_maps_agree(
    dataset: PreparedDataset, earlier: PreparedDataset, registry: Registry, loss: str
) -> None:
    """To 1e-3: what differs are the 8 bits of the stored maps."""
    torch.manual_seed(0)
    other = () if loss == "pyramid" else ("backbone.use=small_resnet", "backbone.widths=[4,6,8,10]")
    preset = tiny(registry) if loss == "pyramid" else tiny(registry, *other, preset="ga_net")
    every = np.arange(len(dataset))
    model = build_model(preset, registry, classes=2).eval()
    objective = build_objective(preset, registry, model)
    now, then = (
        objective(model(batch.images), batch).terms["gaze"].item()
        for batch in (
            prepared_exams(each, every, preset, torch.device("cpu"), with_gaze=True).batch(every)
            for each in (dataset, earlier)
        )
    )
    assert now == pytest.approx(then, rel=1e-3)


def test_a_set_takes_less_than_half_of_one_that_stored_heat_maps(dataset: PreparedDataset) -> None:
    """An image, a heat map and a mask took a byte a pixel each; with 40 fixations an image of 224 px now takes 1.2."""
    stored = sum(array.nbytes for array in dataset.arrays.values())
    table = (dataset.root / "fixations.csv").read_text().splitlines()
    row = max(map(len, table)) + 1
    pixels = dataset.images.size
    images = 224 * 224
    assert stored / pixels + 40 * row / images < 3 / 2
