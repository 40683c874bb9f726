"""A preparation lists bad exams or stops at them, and refuses bad tables."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_preparation import Listed, Reader, X, Y, run, validate
from PIL import Image
from test_prepare import exams, root

from gazekit.errors import ConfigurationError, DataError, PluginError
from gazekit.gaze.fixations import FixationSettings
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.index import read_findings
from gazekit.preparing.prepare import Procedure
from gazekit.preparing.raw.source import list_exams
from gazekit.preparing.sharding.merge import merge
from gazekit.records.lesions import MaskFile

__all__ = ["exams", "root"]  # fixtures


def other_image(exam, path):
    return replace(exam, images={**exam.images, "cc": path})


def truncated(exam):
    path = exam.images["cc"]
    path.write_bytes(path.read_bytes()[:200])
    return exam


def small_mask(exam):
    Image.fromarray(np.ones((9, 9), dtype=np.uint8)).save(exam.masks["cc"][0].path)
    return exam


def other_gaze(exam, line):
    exam.gaze["cc"].write_text(line)
    return exam


def beyond_look_up(path):
    """A link to a name that no disk has: looking it up fails, as in a folder that may not be entered."""
    path.symlink_to("a" * 300)
    return path


def black(exam):
    path = exam.images["cc"].with_name("0_heat.png")
    Image.fromarray(np.zeros((160, 120), dtype=np.uint8)).save(path)
    return path


def coloured(exam):
    path = exam.images["cc"].with_name("0_heat.png")
    pixels = np.zeros((160, 120, 3), dtype=np.uint8)
    pixels[40:80, 30:60] = (255, 128, 0)
    Image.fromarray(pixels).save(path)
    return path


FAULTS = {
    "missing view": (lambda e: replace(e, images={"cc": e.images["cc"]}), "missing view mlo"),
    "missing file": (
        lambda e: other_image(e, e.images["cc"].with_name("no.png")),
        "no.png: there is no such",
    ),
    "not to be looked up": (
        lambda e: other_image(e, beyond_look_up(e.images["cc"].with_name("far.png"))),
        "far.png: cannot be read .File name too long",
    ),
    "truncated": (truncated, "0_cc.png: the image is damaged"),
    "outside": (lambda e: other_image(e, e.images["cc"].parent / ".." / "x.png"), "leads out"),
    "mask size": (small_mask, "9 x 9 pixels, its image 160 x 120"),
}
GAZE_FAULTS = {
    "missing": (
        lambda e: replace(e, gaze={"cc": e.images["cc"].with_name("no.gaze")}),
        "no gaze file that can be read",
    ),
    "not to be looked up": (
        lambda e: replace(e, gaze={"cc": beyond_look_up(e.images["cc"].with_name("far.gaze"))}),
        "no gaze file that can be read",
    ),
    "of another": (
        lambda e: other_gaze(e, "5,5,x"),
        "no recording of exam e0, view cc; it has 0.gaze .exam x",
    ),
    "heat map": (
        lambda e: replace(e, gaze={}, heat_maps={"cc": black(e)}),
        "0_heat.png: the heat map is empty",
    ),
    "heat map in colour": (
        lambda e: replace(e, gaze={}, heat_maps={"cc": coloured(e)}),
        "0_heat.png: the heat map is in colour; expected grey, brighter where gaze was longer; save it before it is",
    ),
    "outside": (lambda e: other_gaze(e, "-500,20"), "outside the image"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_exam_is_listed_or_stops_the_preparation(root, exams, tmp_path, fault):
    damage, expected = FAULTS[fault]
    exams = [damage(exams[0]), *exams[1:]]
    summary = run(exams, root, tmp_path / "out", image_names=True, jobs=1)
    (refused,) = summary.refused
    assert refused.key == "e0"
    assert re.search(expected, refused.reason)
    assert PreparedDataset.open(tmp_path / "out").exam_ids == ("e1", "e2", "e3", "e4", "e5")
    for path in (tmp_path / "out").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), f"{path.name} holds a path of this machine"
    with pytest.raises(DataError, match=f"exam e0: .*{expected}"):
        run(exams, root, tmp_path / "strict", on_bad_exam="error", image_names=True, jobs=1)
    (nameless,) = run(exams, root, tmp_path / "nameless", jobs=0).refused
    assert not re.search(r"\w\.(png|gaze)\b", nameless.reason), nameless.reason
    assert not any(PreparedDataset.open(tmp_path / "nameless").image_names[0].values())


@pytest.mark.parametrize("fault", GAZE_FAULTS)
def test_bad_gaze_is_listed_without_its_exam_or_stops_the_preparation(root, exams, tmp_path, fault):
    damage, expected = GAZE_FAULTS[fault]
    exams = [damage(exams[0]), *exams[1:]]
    summary = run(exams, root, tmp_path / "out", image_names=True, jobs=0)
    assert (summary.exams, summary.refused, summary.with_gaze["cc"]) == (6, (), 5)
    (refused,) = [each for each in read_findings(tmp_path / "out") if each.kind == "refused"]
    assert refused.about == "e0 cc (0_cc.png)" and re.search(expected, refused.what)
    assert f"gaze of {refused.about} refused: {refused.what}" in list(summary.doubts())
    for path in (tmp_path / "out").iterdir():
        assert str(tmp_path).encode() not in path.read_bytes(), f"{path.name} holds a path of this machine"
    with pytest.raises(DataError, match=f"exam e0: gaze on cc: .*{expected}"):
        run(exams, root, tmp_path / "strict", on_bad_exam="error", image_names=True, jobs=0)
    (nameless,) = run(exams, root, tmp_path / "nameless", jobs=0).refused_gaze
    assert nameless.about == "e0 cc" and not re.search(r"\w\.(png|gaze)\b", nameless.what), nameless.what
    (found,) = validate(Listed(exams), root, gaze_reader=lambda _: Reader(), jobs=0).faults.refused_gaze
    assert found[:2] == ("e0", "cc") and re.search(expected, found[2])


def test_one_readers_bad_recording_costs_nobody_elses(root, exams, tmp_path):
    """Refused, named and counted; what is prepared is as if it had never been recorded."""
    good = [f"{X},{Y},e0,Ann", f"{X - 30},{Y + 10},e0,Bob"]
    exams[0].gaze["cc"].write_text("\n".join(good))
    without = run(exams, root, tmp_path / "without", jobs=0)
    exams[0].gaze["cc"].write_text("\n".join([good[0], "-500,20,e0,Eve", good[1]]))
    summary = run(exams, root, tmp_path / "out", jobs=0)
    (refused,) = summary.refused_gaze
    assert refused.about == "e0 cc" and "reader Eve" in refused.what
    assert (summary.exams, summary.with_gaze, without.refused_gaze) == (6, without.with_gaze, [])
    for name in ("fixations.csv", "index.csv", "images.npy"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()
    kept, alone = (PreparedDataset.open(tmp_path / name) for name in ("out", "without"))
    assert kept.fingerprint == alone.fingerprint and kept.readers(0, "cc") == ("Ann", "Bob")
    shards = [tmp_path / f"shard-{number}" for number in (1, 2)]
    for number, shard in enumerate(shards, start=1):
        told = run(exams, root, shard, jobs=0, shard=(number, 2))
        assert told.refused_gaze == ([refused] if number == 1 else [])
    assert merge(shards, tmp_path / "merged", Procedure()).refused_gaze == [refused]
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "merged" / path.name).read_bytes(), path.name


def test_a_set_without_any_usable_exam_or_any_gaze_is_an_error(root, exams, tmp_path):
    gone = [replace(exam, images={}) for exam in exams]
    with pytest.raises(DataError, match="all 6 exams were refused; the first, e0: missing view"):
        run(gone, root, tmp_path / "out", views=["cc", "mlo"])
    for exam in exams[:2]:
        exam.gaze["cc"].unlink()
    without = [*exams[:2], *(replace(exam, gaze={}) for exam in exams[2:])]
    with pytest.raises(
        DataError, match="no prepared exam has gaze: all was refused, 2 times; the first, e0 cc: "
    ):
        run(without, root, tmp_path / "other", jobs=0)


def test_faults_of_the_table_stop_at_once(root, exams, tmp_path):
    def fails(message, changed, error=DataError, **options):
        with pytest.raises(error, match=message):
            run(changed, options.pop("root", root), tmp_path / "out", **options)

    fails("no exams", [])
    fails("no such folder", exams, root=root / "absent")
    fails("exam e0 comes twice", [*exams, exams[0]])
    fails("exam e1: label '1' is none of the classes a, 0", exams, classes=("a", "0"))
    fails("one class only: the only exam is 'x';", [replace(exams[0], label="x")], classes=None)
    fails("one class only: all 6", [replace(exam, label="x") for exam in exams], classes=None)
    fails("1 of 6 exams name a part", [replace(exams[0], part="train"), *exams[1:]])
    fails("size", exams, ConfigurationError, size=(4, 40))
    fails("crop", exams, ConfigurationError, crop="lungs")
    fails("each once", exams, ConfigurationError, views=["cc", "cc"])
    fails("jobs", exams, ConfigurationError, jobs=-1)
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "thesis.txt").write_text("precious")
    for name in ("dataset.json", "journal.jsonl"):
        (tmp_path / "out" / name).unlink(missing_ok=True)
    fails("holds other files", exams)


class Small(Reader):
    """Names images after people; the degree of one recording is too small for a heat map."""

    def read(self, path):
        for each in super().read(path):
            named = f"{path.stem}_cc.png" if self.own else "JaneDoe.png"
            yield replace(each, image=named, pixels_per_degree=0.01 if path.name == "2.gaze" else None)

    def __init__(self, *, own):
        self.own = own


@pytest.mark.parametrize("own", [True, False])
def test_a_recording_whose_degree_is_too_small_is_refused_and_names_no_file(root, exams, tmp_path, own):
    of_exam = {
        f"e{number}": each
        for number, exam in enumerate(exams)
        for each in Small(own=own).read(exam.gaze["cc"])
    }
    joined = None if own else [replace(each, exam_id=exam, view="cc") for exam, each in of_exam.items()]
    options = {"gaze_reader": lambda _: Small(own=own), "recordings": joined, "jobs": 0}
    (refused,) = run(exams, root, tmp_path / "out", **options).refused_gaze
    assert refused.about == "e2 cc" and "the gaze file of view cc" in refused.what
    assert "sigma is 0.00" in refused.what and not re.search(r"Jane|\w\.(gaze|png)", refused.what)
    (named,) = run(exams, root, tmp_path / "named", image_names=True, **options).refused_gaze
    assert "2.gaze" in named.what


def test_a_sigma_of_the_settings_that_is_too_small_is_no_exams_fault(root, exams, tmp_path):
    with pytest.raises(ConfigurationError, match="make the map larger or sigma wider"):
        run(exams, root, tmp_path / "out", jobs=0, fixations=FixationSettings(sigma_degrees=0.001))


def test_a_preparation_that_refused_every_exam_stands_in_nobodys_way(root, exams, tmp_path):
    """In colour, without asking for it; then asked for."""
    for exam in exams:
        for path in exam.images.values():
            grey = np.asarray(Image.open(path)).astype(np.uint8)
            Image.fromarray(np.stack([grey, grey // 2, grey], axis=2)).save(path)
    with pytest.raises(DataError, match="all 6 exams were refused"):
        run(exams, root, tmp_path / "out", crop="none")
    assert run(exams, root, tmp_path / "out", crop="none", colour=True).exams == 6


def test_a_name_with_a_dot_is_no_view(root, exams, tmp_path):
    nothing = {"gaze": {}, "masks": {}, "laterality": {}}
    dotted = [
        replace(exam, images={f"lat.{view}": path for view, path in exam.images.items()}, **nothing)
        for exam in exams
    ]
    with pytest.raises(DataError, match=r"'lat.cc' cannot name a view, .* choose a name without a dot"):
        run(dotted, root, tmp_path / "out")


class Yields:
    """A data source that breaks its contract."""

    classes = None

    def __init__(self, found):
        self.found = found

    def exams(self, root):
        return self.found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"exam_id": 7}, "a text as exam_id; came: 7"),
        ({"label": 1}, "a text as label; came: 1"),
        (
            {"part": "training"},
            r"a part among \('train', 'val', 'test'\) or None of exam e0; came: 'training'",
        ),
        ({"images": {"cc": "0_cc.png"}}, "images {view: pathlib.Path} of exam e0; came: {'cc': "),
        ({"images": ["0_cc.png"]}, "images {view: pathlib.Path} of exam e0"),
        ({"heat_maps": {"cc": "0_map.png"}}, "heat_maps {view: pathlib.Path} of exam e0"),
        ({"masks": {"cc": MaskFile(Path("0_mask.png"))}}, "masks {view: lesions} of exam e0"),
        ({"laterality": {"cc": "left"}}, "laterality {view: 'L' or 'R'} of exam e0"),
        ({"targets": {"density": 2}}, "targets {name: text} of exam e0"),
        ({"covariates": {"age": "61"}}, "covariates {name: number} of exam e0"),
        ({"covariates": {"age": math.inf}}, "covariates {name: number} of exam e0; came: {'age': inf}"),
    ],
)
def test_a_source_that_breaks_its_contract_is_named(exams, root, changes, said):
    first, *others = exams
    with pytest.raises(PluginError, match=f"data source test_preparation_refuses.Yields promises .*{said}"):
        list_exams(Yields([replace(first, **changes), *others]), root)


@pytest.mark.parametrize("found", [None, [{"exam_id": "1"}]])
def test_a_source_that_yields_no_exams_is_named(exams, root, found):
    with pytest.raises(PluginError, match="promises exams and findings; came"):
        list_exams(Yields(found), root)
