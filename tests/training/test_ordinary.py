"""The scripts that gazekit is timed against train the same network with the same loss."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from made_data import make_folder
from made_preparation import prepare

import gazekit
from gazekit.feeding.feed import prepared_exams
from gazekit.modelling.build import build_model
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.splits import indices_of
from gazekit.training.start import weighted_objective

SIZE = 64  # 2 × 2 maps
EXAMS = 4


@pytest.fixture(scope="module")
def scripts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        names = ("ordinary", "ordinary_typical", "ordinary_careful", "ordinary_process")
        yield {name: importlib.import_module(name) for name in names}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Exams of 16 bits a pixel, the last ones without gaze."""
    root = tmp_path_factory.mktemp("ordinary")
    registry = gazekit.load_registry()
    prepare(
        registry.create("dataset", "folder", gaze_reader="plain"),
        make_folder(root / "raw", exams=16, size=SIZE, without_gaze=13),
        root / "prepared",
        size=(SIZE, SIZE),
        crop="none",
        dtype="uint16",
        jobs=0,
        gaze_reader=lambda name: registry.create("gaze_reader", name),
    )
    return PreparedDataset.open(root / "prepared")


@pytest.fixture(scope="module")
def files(scripts, prepared, tmp_path_factory):
    """What the scripts read of these exams, and the part of each exam."""
    folder, ordinary = tmp_path_factory.mktemp("files"), scripts["ordinary"]
    parts = ordinary.parts_of(prepared)
    ordinary.write_files(prepared, parts, folder / "png")
    ordinary.write_arrays(prepared, parts, folder / "arrays")
    return folder, parts


def loss_and_gradients(value, model, first, head):
    model.zero_grad()
    value.backward()
    return value.item(), first.grad.clone(), head.grad.clone()


def of_gazekit(scripts, prepared, parts, loss, weights):
    registry, process = gazekit.load_registry(), scripts["ordinary_process"]
    overrides = [*process.SET, f"gaze.alignment_loss={loss}", f"data.size={SIZE}"]
    preset = registry.preset(process.PRESET, overrides=overrides)
    model = build_model(preset, registry, classes=2)
    for backbone, own in zip(model.backbones, weights["branches"], strict=True):
        backbone.load_state_dict(dict(zip(backbone.state_dict(), own.values(), strict=True)))
    model.head.load_state_dict(weights["head"])
    objective = weighted_objective(preset, registry, model, prepared, parts)
    training = indices_of(prepared, parts, "train")
    exams = prepared_exams(prepared, training, preset, torch.device("cpu"), with_gaze=True)
    batch = exams.batch(np.arange(EXAMS))
    value = objective(model(batch.images), batch).total
    first = next(model.backbones[0].parameters())
    return loss_and_gradients(value, model, first, model.head.weight)


def of_typical(script, folder, loss, weights, pos_weight, whole):
    model = script.TwoViews()
    load(model, weights)
    cam = script.GradCAM(model, [branch.layer4 for branch in model.branches], whole=whole)
    data = script.ExamFiles(folder / "png", "train")
    batch = torch.utils.data.default_collate([data[number] for number in range(EXAMS)])
    value = script.batch_loss(model, cam, batch, pos_weight, loss)
    return loss_and_gradients(value, model, model.branches[0].conv1.weight, model.head.weight)


def of_careful(script, folder, loss, weights, pos_weight):
    model = script.TwoViews().to(memory_format=torch.channels_last)
    load(model, weights)
    batch = script.CachedExams(folder / "arrays", "train")[list(range(EXAMS))]
    value = script.batch_loss(model, batch, pos_weight, loss)
    return loss_and_gradients(value, model, model.branches[0].conv1.weight, model.head.weight)


def load(model, weights):
    for branch, own in zip(model.branches, weights["branches"], strict=True):
        branch.load_state_dict(own)
    model.head.load_state_dict(weights["head"])


@pytest.mark.parametrize("loss", ["mse", "pyramid"])
def test_all_compute_the_same_loss_and_gradient_on_a_batch(scripts, prepared, files, loss):
    folder, parts = files
    torch.manual_seed(0)
    made = scripts["ordinary_typical"].TwoViews()
    weights = {"branches": [each.state_dict() for each in made.branches], "head": made.head.state_dict()}
    labels = prepared.labels[indices_of(prepared, parts, "train")]
    pos_weight = torch.tensor((labels == 0).sum() / (labels == 1).sum(), dtype=torch.float32)
    assert prepared.has_gaze[:EXAMS].any() and not prepared.has_gaze[:EXAMS].all() and pos_weight != 1
    reference = of_gazekit(scripts, prepared, parts, loss, weights)
    typical = scripts["ordinary_typical"]
    for found in (
        of_typical(typical, folder, loss, weights, pos_weight, True),
        of_typical(typical, folder, loss, weights, pos_weight, False),
        of_careful(scripts["ordinary_careful"], folder, loss, weights, pos_weight),
    ):
        assert found[0] == pytest.approx(reference[0], rel=1e-4)
        for own, theirs in zip(found[1:], reference[1:], strict=True):
            assert (own - theirs).norm() < 2e-3 * theirs.norm()


def test_the_scripts_train_as_the_preset_says(scripts):
    process, typical = scripts["ordinary_process"], scripts["ordinary_typical"]
    preset = gazekit.load_registry().preset(process.PRESET, overrides=process.SET)
    assert preset.views == typical.VIEWS
    assert (preset.data.mean, preset.data.std) == (typical.MEAN, typical.STD)
    assert preset.loss.gaze_weight == typical.GAZE_WEIGHT
    assert preset.training.learning_rate == typical.LEARNING_RATE
    assert preset.training.batch_size == typical.Settings(1).batch_size
    change = preset.training.augmentation
    assert (change.rotation, change.translation, change.scale) == (15, 0.1, 0)
    assert (change.flip_horizontal, change.flip_vertical, change.same_for_views) == (0.5, 0.5, False)
    affine = typical.augmentation().transforms[-1]
    assert (affine.degrees, tuple(affine.translate)) == ([-15.0, 15.0], (0.1, 0.1))


def test_careful_augmentation_moves_image_and_heat_map_alike(scripts):
    torch.manual_seed(0)
    one = torch.rand(3, 2, 1, 32, 32)
    changed = scripts["ordinary_careful"].augmented(one.expand(3, 2, 2, 32, 32))
    torch.testing.assert_close(changed[:, :, 0], changed[:, :, 1])
    assert not torch.allclose(changed[0, 0], changed[0, 1])


def documented(x):
    """Say nothing.

    Nothing at all.
    """
    text = """a string
    of two lines"""

    # a comment
    return (
        x,
        text,
    )


def test_lines_of_code_leave_out_blank_ones_comments_and_docstrings(scripts):
    assert scripts["ordinary"].lines_of(documented) == 7


def test_a_result_has_ratios_sizes_and_lines_of_each(scripts, prepared, tmp_path, monkeypatch):
    ordinary = scripts["ordinary"]
    started = SimpleNamespace(first_step=3.0, peak=500e6, peak_on_gpu=None)
    seconds = dict(zip(ordinary.NAMES, (4.0, 3.0, 2.0, 1.0), strict=True))
    monkeypatch.setattr(ordinary, "start_alone", lambda name, asked: started)
    monkeypatch.setattr(
        ordinary,
        "take_turns_in_processes",
        lambda names, asked: {name: ordinary.Timed(5, seconds[name], 0.1, 1.0, 0.1) for name in names},
    )
    out = tmp_path / "result.json"
    monkeypatch.setattr("sys.argv", ["ordinary.py", str(prepared.root), "--threads", "1", "--out", str(out)])
    ordinary.main()
    result = json.loads(out.read_text())
    found = {row["name"]: row for row in result["rows"]}
    assert [row["wall_ratio"] for row in found.values()] == [4, 3, 2, 1]
    assert found["gazekit"]["exams_per_s"] == pytest.approx(14)  # of 16, every fifth patient validates
    assert found["careful"]["gaze_MB"] == pytest.approx(16 * 2 * SIZE**2 * 2 / 1e6, rel=0.01)
    assert found["gazekit"]["images_MB"] == found["careful"]["images_MB"]
    assert 0 < found["typical"]["gaze_MB"] < found["careful"]["gaze_MB"]
    assert found["typical"]["lines"] == sum(result["lines"]["typical"].values()) > 100
