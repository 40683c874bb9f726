"""``gazekit data validate`` counts a raw data set as by hand, groups its findings and lists its broken images."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from command_line import gazekit
from made_data import make_folder, write_exams
from made_preparation import validate
from PIL import Image

from gazekit.errors import DataError
from gazekit.preparing.validating.validation import tally
from gazekit.records.exam import Exam, Finding
from gazekit.records.lesions import Outline


def exam(number, patient, label, views, folder, **more):
    images = {view: folder / f"{number}_{view}.png" for view in views}
    return Exam(f"e{number}", patient, label, images, **more)


@pytest.fixture
def exams(tmp_path):
    point = (Outline(((1.0, 2.0),)),)
    left = {"cc": "L", "mlo": "L"}
    return [
        exam(0, "p0", "1", ["cc", "mlo"], tmp_path, part="train", masks={"cc": point}, laterality=left),
        exam(1, "p0", "0", ["cc", "mlo"], tmp_path, part="test", laterality={"cc": "R", "mlo": "R"}),
        exam(2, "p1", "0", ["mlo"], tmp_path, part="test", laterality={"mlo": "L"}),
    ]


def test_the_tally_counts_what_the_tables_say(exams, tmp_path):
    (tmp_path / "0_cc.png").touch()
    findings = [
        Finding("note", "x", "b"),
        *(Finding("missing", name, "a") for name in "yz"),
        Finding("note", "w", "c"),
    ]
    found = tally(exams, [*findings, Finding("note", "v", "c")], ("0", "1", "2"))
    assert (found.whole.exams, found.whole.patients) == (3, 2)
    assert found.whole.views == {"cc + mlo": 2, "mlo": 1}
    assert found.whole.classes == {"0": 2, "1": 1, "2": 0}
    assert {name: part.exams for name, part in found.parts.items()} == {"train": 1, "test": 2}
    assert found.two_sided == ("p0",)
    assert found.sides == {"L": 2, "R": 1}
    assert (found.images, found.missing) == (5, ("e0 mlo", "e1 cc", "e1 mlo", "e2 mlo"))
    assert (found.with_mask, found.with_gaze, found.datasets) == ({"cc": 1}, {}, {})
    assert [(each.kind, each.what, each.about) for each in found.noticed] == [
        ("missing", "image file not there", ("e0 mlo", "e1 cc", "e1 mlo", "e2 mlo")),
        ("missing", "a", ("y", "z")),
        ("note", "c", ("w", "v")),
        ("note", "b", ("x",)),
    ]


class Listed:
    classes = None
    region = "breast"

    def __init__(self, exams):
        self.listed = exams

    def exams(self, root):
        yield from self.listed


def test_broken_and_identical_images_are_found_by_reading_them(exams, tmp_path):
    rng = np.random.default_rng(0)
    exams = [replace(each, masks={}) for each in exams]
    for each in exams:
        for path in each.images.values():
            Image.fromarray(rng.integers(0, 255, (20, 20), dtype=np.uint8)).save(path)
    exams[2].images["mlo"].write_bytes(exams[0].images["cc"].read_bytes())
    exams[1].images["cc"].write_bytes(b"no image")
    exams[1].images["mlo"].unlink()
    seen = []
    found = validate(Listed(exams), tmp_path, jobs=0, progress=lambda *at: seen.append(at))
    assert found.missing == ("e1 mlo",)
    (refused,) = found.faults.refused
    assert (refused.key, refused.view) == ("e1", "cc")
    assert "not a DICOM, PNG" in refused.reason and str(tmp_path) not in refused.reason
    assert found.faults.identical == (("e0 cc", "e2 mlo"),)
    assert seen[-1] == (4, 4)
    assert validate(Listed(exams), tmp_path, read_images=False).faults is None


def test_an_image_that_cannot_be_looked_up_is_refused_alone_with_the_reason(exams, tmp_path):
    exams = [replace(each, masks={}) for each in exams]
    for each in exams:
        for path in each.images.values():
            Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(path)
    exams[2].images["mlo"].unlink()
    # looking it up fails, as in a folder that may not be entered
    exams[2].images["mlo"].symlink_to("a" * 300)
    found = validate(Listed(exams), tmp_path, jobs=0)
    assert found.missing == ()
    (refused,) = found.faults.refused
    assert (refused.key, refused.view) == ("e2", "mlo")
    assert "2_mlo.png: cannot be read (File name too long)" in refused.reason


def test_what_the_source_says_of_missing_images_is_not_said_again(exams):
    told = Finding("missing", "the only one", "image file not there")
    assert [each.about for each in tally(exams, [told], ("0", "1")).noticed] == [("the only one",)]


def test_images_are_read_as_the_preparation_to_come_would(exams, tmp_path):
    breast = np.zeros((80, 60), dtype=np.uint8)
    breast[20:60, :20] = 200
    for path in exams[0].images.values():
        Image.fromarray(breast).save(path)
    beside = [replace(exams[0], masks={"cc": (Outline(((55.0, 5.0),)),)})]
    cut = validate(Listed(beside), tmp_path, jobs=0).faults
    assert cut.doubtful == (("e0", "cc", "kept whole: a marked lesion lies outside the region found"),)
    assert cut.refused == validate(Listed(beside), tmp_path, jobs=0, crop="none").faults.doubtful == ()
    whole = validate(Listed(beside), tmp_path, jobs=0, crop="none", window="3").faults
    assert len(whole.refused) == 2 and "no window '3'" in whole.refused[0].reason


def test_images_of_an_unknown_depth_are_read_by_that_of_the_data_set(exams, tmp_path):
    for number, path in enumerate(exams[0].images.values()):
        pixels = np.zeros((80, 60), dtype=np.uint16)
        pixels[20:60, :20] = 3000 + number
        Image.fromarray(pixels).save(path)
    unmarked = Listed([replace(exams[0], masks={})])
    assert validate(unmarked, tmp_path, jobs=0).faults.odd == ()
    dark = validate(unmarked, tmp_path, jobs=0, bit_depth=16).faults.odd
    assert len(dark) == 2 and "is nearly black" in dark[0][2]


def test_one_class_is_no_fault_of_the_tables_but_said(exams, tmp_path):
    found = validate(Listed(exams[1:]), tmp_path, read_images=False)
    assert "one class only: all 2 exams are '0'" in found.refused
    with pytest.raises(DataError, match="the data set has no exams"):
        validate(Listed([]), tmp_path)


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    root = make_folder(tmp_path_factory.mktemp("validate") / "raw", exams=8)
    with (root / "exams.csv").open(newline="") as file:
        rows = [row | {"split": ("train", "test")[i % 2]} for i, row in enumerate(csv.DictReader(file))]
    write_exams(root, rows)
    (root / "e003_cc.png").write_bytes(b"broken")
    (root / "e004_mlo.png").unlink()
    (root / "e001_cc.csv").write_text("exam_id,view,t_ms,x,y\ne001,cc,0,left,2\n")
    return root


def test_the_command_prints_counts_and_what_is_wrong(raw):
    finished = gazekit("data", "validate", "folder", raw)
    lines = [re.sub(r"\s+", " ", line).strip() for line in finished.stdout.splitlines()]
    for line in (
        "all train test",
        "exams 8 4 4",
        "patients 4 4 4",
        "with cc + mlo 8 4 4",
        "class malignant 4 2 2",
    ):
        assert line in lines
    for line in (
        "images that the tables name 16",
        "images that are there 15",
        "images that are refused 1",
        "recordings and files of gaze that are refused 1",
    ):
        assert line in lines
    assert "missing 1 image file not there (e004 mlo)" in lines
    assert any("exam e003 view cc: e003_cc.png: not a DICOM, PNG" in line for line in lines)
    assert any(
        line.startswith("gaze refused 1 exam e001 view cc: ") and "x is 'left'" in line for line in lines
    )
    assert "the given split has 4 patients on two sides (p000, p001, p002, p003)" in finished.stderr


def test_json_and_tables_only(raw):
    value = json.loads(gazekit("data", "validate", "folder", raw, "--json").stdout)
    assert value["schema"] == "gazekit.validation/1"
    assert value["whole"]["exams"] == 8 and value["missing"] == ["e004 mlo"]
    assert [row[:2] for row in value["faults"]["refused"]] == [["e003", "cc"]]
    assert [row[:2] for row in value["faults"]["refused_gaze"]] == [["e001", "cc"]]
    assert value["faults"]["unusable"] == value["faults"]["refused"], "the former name, for one release"
    value = json.loads(gazekit("data", "validate", "folder", raw, "--json", "--tables-only").stdout)
    assert value["faults"] is None
    error = gazekit("data", "validate", "folder", raw / "nowhere", code=3).stderr
    assert "there is no such folder" in error
