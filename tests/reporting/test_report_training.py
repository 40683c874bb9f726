"""A report says which epoch's weights it is of, and doubts the part that chose them."""

import shutil

import pytest
from command_line import gazekit


@pytest.mark.parametrize(
    ("select", "said", "doubt"),
    [
        ("auc", "the epoch is selected by the validation AUC.", "The model was selected on these exams"),
        ("loss", "the epoch is selected by the validation loss.", "The model was selected on these exams"),
        ("last", "the last epoch is used.", "if its settings, calibration or threshold were chosen on them"),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_the_page_names_the_epoch_that_is_used(tiny_run, tmp_path, select, said, doubt):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / "checksums.json").unlink()
    stored = (run / "preset.toml").read_text()
    assert stored.count('select = "auc"') == 1
    (run / "preset.toml").write_text(stored.replace('select = "auc"', f'select = "{select}"'))
    rows = [line.split(",") for line in (run / "split.csv").read_text().splitlines()]
    exam = next(row[0] for row in rows if row[-1] == "val")
    gazekit("report", run, "--part", "val", "--cases", 0, "--exam", exam)
    page = (run / "report.html").read_text()
    assert said in page and doubt in page
