"""The other systems of Table 1: fusions as defined; every preset trains, evaluates and predicts."""

import json

import pytest
import torch
from command_line import gazekit, one_exam
from gazekit_baselines import gazekit_presets
from gazekit_baselines.gaze_overlay import GazeOverlay
from gazekit_baselines.stack import Stack
from made_data import make_folder
from tiny import small_changes

import gazekit as core

NAMES = sorted(gazekit_presets())
LADDER = [
    "single_cc",
    "single_mlo",
    "late_concat",
    "cross_view",
    "cross_view_bfl",
    "cross_view_ra",
    "mammonet",
]


def small(name):
    return [part for change in [*small_changes(name), "training.batch_size=4"] for part in ("--set", change)]


def test_the_presets_are_the_rows_of_the_table_and_the_systems_beside_it():
    assert NAMES == [
        "double_model",
        "eg_vit",
        "ga_net",
        "gaze_mtl",
        "harmonized",
        "mammonet_vit",
        "phresnet",
        "two_channel",
        "van_tulder_pixels",
        "van_tulder_tokens",
    ]


def test_stacked_views_are_channels_in_their_order():
    images = {view: torch.full((2, 1, 3, 4), float(i)) for i, view in enumerate(("cc", "mlo", "lat"))}
    fusion = Stack(("mlo", "cc", "lat"), 1)
    assert (fusion.views, fusion.in_channels) == (("stacked",), 3)
    (stacked,) = fusion(images, None).values()
    assert stacked[0, :, 0, 0].tolist() == [1, 0, 2]


def test_gaze_is_added_to_a_copy_of_each_view():
    images = {view: torch.randn(2, 1, 3, 4) for view in ("cc", "mlo")}
    gaze = {view: torch.rand(2, 3, 4) for view in images}
    fusion = GazeOverlay(("cc", "mlo"), 1, strength=0.5)
    assert fusion.views == ("cc", "cc_gaze", "mlo", "mlo_gaze")
    fused = fusion(images, gaze)
    assert tuple(fused) == fusion.views and fused["mlo"] is images["mlo"]
    torch.testing.assert_close(fused["cc_gaze"][:, 0], images["cc"][:, 0] + 0.5 * gaze["cc"])


def test_the_published_number_of_parameters_of_the_whole_model(registry):
    model = core.build_model(registry.preset("phresnet"), registry, classes=2)
    assert sum(parameter.numel() for parameter in model.parameters()) == 13_081_809


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory):
    """A prepared set in which every exam has gaze."""
    raw = make_folder(tmp_path_factory.mktemp("looked_at") / "raw", without_gaze=0)
    gazekit("data", "prepare", "folder", raw, raw.parent / "prepared", "--size", 32, "--crop", "none")
    return raw


BESIDE_THE_TABLE = ("eg_vit", "gaze_mtl", "harmonized", "mammonet_vit")


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in BESIDE_THE_TABLE else [])
        for name in (*LADDER, *NAMES)
    ],
)
def test_every_preset_trains_evaluates_predicts_and_reports(looked_at, tmp_path, name):
    out, data = tmp_path / "run", looked_at.parent / "prepared"
    gazekit("train", "--preset", name, "--data", data, "--out", out, "--epochs", 1, *small(name))
    evaluated = json.loads(gazekit("evaluate", out, "--resamples", 100, "--json").stdout)
    assert 0 <= evaluated["metrics"]["classification"]["auc"]["value"] <= 1
    if name in NAMES:
        gazekit("report", out, *one_exam(out))
        assert (out / "report.html").stat().st_size > 10_000
    if name == "eg_vit":  # class token and attention pass from the blocks to the exported head
        for form in ("onnx", "torch-export"):
            gazekit("export", out, "--format", form, "--out", tmp_path / f"exported-{form}")
    views = [name.removeprefix("single_")] if name.startswith("single_") else ["cc", "mlo"]
    pair = [looked_at / f"e003_{view}.png" for view in views]
    if name == "double_model":
        assert "reads gaze at inference" in gazekit("predict", out, *pair, code=2).stderr
    else:
        (exam,) = json.loads(gazekit("predict", out, *pair, "--json").stdout)["exams"]
        assert sum(exam["probabilities"].values()) == pytest.approx(1, abs=1e-5)


def test_a_model_that_reads_gaze_refuses_exams_without(dataset, tmp_path):
    command = ("train", "--preset", "double_model", "--data", dataset.root, "--out", tmp_path / "run")
    error = gazekit(*command, *small("double_model"), code=3).stderr
    assert "exam e022 has no gaze on view 'cc'" in error and "2 exams" in error and "\n" not in error.strip()
    assert not (tmp_path / "run").exists()
