"""A fusion of images reads the gaze that the table ``gaze`` chooses, as a loss does."""

import numpy as np
import pytest
import torch
from command_line import gazekit
from tiny import small_changes, tiny

import gazekit as core
from gazekit.errors import ConfigurationError, DataError
from gazekit.feeding.feed import prepared_exams
from gazekit.prepared.dataset import PreparedDataset

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def read_by_two(tmp_path_factory):
    """Prepared exams that R1 and R2 looked at."""
    folder = tmp_path_factory.mktemp("read_by_two")
    gazekit("data", "phantom", folder / "raw", "--exams", 16, "--image-height", 64, "--readers", 2)
    gazekit("data", "prepare", "phantom", folder / "raw", folder / "prepared", "--size", 32)
    return PreparedDataset.open(folder / "prepared")


@pytest.mark.parametrize("readers", [("R1",), ("R2",), ("R1", "R2")])
def test_it_reads_the_readers_of_the_table_gaze(read_by_two, registry, readers):
    preset = tiny(registry, f"gaze.readers={list(readers)}", preset="double_model")
    exams = prepared_exams(read_by_two, np.arange(16), preset, CPU, with_gaze=False, needs_gaze=True)
    heat = exams.batch(np.arange(16)).gaze["cc"].numpy()
    for exam in range(16):
        expected = read_by_two.heat_map(exam, "cc", readers=readers)
        np.testing.assert_allclose(heat[exam], expected, atol=1e-5)
    other = read_by_two.heat_map(0, "cc", readers=("R2",) if readers == ("R1",) else ("R1",))
    assert np.abs(heat[0] - other).max() > 0.1


def test_an_exam_that_keeps_no_fixation_is_refused(read_by_two, registry):
    preset = tiny(registry, "gaze.minimum_duration_ms=1e6", preset="double_model")
    with pytest.raises(DataError, match=r"leaves exam \w+ no fixation on view 'cc' \(and 16 exams in all\)"):
        prepared_exams(read_by_two, np.arange(16), preset, CPU, with_gaze=False, needs_gaze=True)


def test_a_training_with_a_mask_of_no_fixations_is_refused(read_by_two, tmp_path):
    changes = [
        *small_changes("late_concat"),
        "fusion.images=gaze_mask",
        "gaze.minimum_duration_ms=1e6",
        "training.batch_size=4",
    ]
    given = [part for change in changes for part in ("--set", change)]
    command = ("train", "--preset", "late_concat", "--data", read_by_two.root, "--out", tmp_path / "run")
    said = gazekit(*command, *given, code=3).stderr
    assert "no fixation of the" in said and "look at gaze.readers" in said


def test_it_is_trained_and_measured_but_not_supervised(read_by_two, tmp_path, registry):
    changes = [*small_changes("double_model"), "gaze.readers=['R1']", "training.batch_size=4"]
    given = [part for change in changes for part in ("--set", change)]
    out = tmp_path / "run"
    gazekit(
        "train", "--preset", "double_model", "--data", read_by_two.root, "--out", out, "--epochs", 1, *given
    )
    assert not core.load(out).preset.supervised
    gazekit("evaluate", out, "--resamples", 100)
    gazekit("card", out)
    card = (out / "README.md").read_text()
    assert "supervised by gaze: no" in card and "gaze as an input: in training and to predict" in card


def test_a_table_gaze_that_nothing_reads_is_refused(distribution):
    distribution(
        "plain-fusion",
        "1.0",
        code=(
            "from gazekit.contracts.hookspecs import hookimpl\n"
            "from gazekit.contracts.interfaces import ImageFusion\n"
            "class Same(ImageFusion):\n"
            "    needs_gaze = 'never'\n"
            "    def __init__(self, views, in_channels):\n"
            "        super().__init__()\n"
            "        self.views, self.in_channels = tuple(views), in_channels\n"
            "    def forward(self, images, gaze):\n"
            "        return dict(images)\n"
            "@hookimpl\n"
            "def gazekit_fusions():\n"
            "    return {'same': Same}\n"
        ),
    )
    registry = core.load_registry()
    preset = tiny(registry, "fusion.images=same", "gaze.readers=mean", preset="late_concat")
    with pytest.raises(ConfigurationError, match="nothing reads the table gaze"):
        core.build_model(preset, registry, classes=2)
