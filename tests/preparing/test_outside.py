"""Tables that name files outside their folder: refused at once and for all, or allowed below a folder by name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import gazekit
from gazekit_datasets.folder import Folder
from made_data import make_folder
from made_preparation import Listed, Reader, X, Y, prepare, run, validate, write_exams
from PIL import Image

from gazekit.errors import DataError
from gazekit.preparing.raw.outside_files import Outside, check_inside, outside
from gazekit.preparing.raw.source import list_exams
from gazekit.records.recording import Recording


@pytest.fixture
def away(tmp_path):
    """A folder with a table alone, whose four images lie in another."""
    images, root = tmp_path / "images", tmp_path / "table"
    for folder in (images, root):
        folder.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for number in range(4):
        path = images / f"e{number}.png"
        Image.fromarray(rng.integers(0, 255, (20, 20), dtype=np.uint8)).save(path)
        rows.append(f"e{number},p{number},{number % 2},{path}\n")
    (root / "exams.csv").write_text("exam_id,patient_id,label,cc\n" + "".join(rows))
    return root


def refuse_reading(*_args, **_more):
    raise AssertionError("an image was read")


def test_all_outside_is_said_before_anything_is_read_or_written(away, tmp_path, monkeypatch):
    monkeypatch.setattr("gazekit.preparing.one_exam.read_image", refuse_reading)
    expected = (
        rf"^{away}: all 4 exams name files outside this folder, below {tmp_path}/images; if they are meant, add "
        rf"--allow-outside {tmp_path}/images$"
    )
    with pytest.raises(DataError, match=expected):
        prepare(Folder(), away, tmp_path / "out", size=(16, 16), jobs=0)
    assert not (tmp_path / "out").exists()
    assert validate(Folder(), away).refused == expected.strip("^$")


def test_the_folder_that_was_named_is_read_and_no_other(away, tmp_path):
    allowed = [tmp_path / "images"]
    summary = prepare(
        Folder(), away, tmp_path / "out", size=(16, 16), crop="none", jobs=0, allow_outside=allowed
    )
    assert (summary.exams, summary.refused) == (4, ())
    assert validate(Folder(), away, jobs=0, crop="none", allow_outside=allowed).faults.refused == ()
    with pytest.raises(DataError, match="all 4 exams name files outside"):
        prepare(Folder(), away, tmp_path / "o", size=(16, 16), jobs=0, allow_outside=[tmp_path / "image"])


def test_a_path_that_climbs_out_of_an_allowed_folder_is_outside(tmp_path):
    (tmp_path / "exams.csv").write_text(
        "exam_id,patient_id,label,cc\na,p,1,/data/x/../../secret/a.png\nb,q,0,/data/x/b.png\nc,q,0,in.png\n"
    )
    first, second, third = list_exams(Folder(), tmp_path)[0]
    assert len(outside(first, tmp_path, [Path("/data")])) == 1
    assert outside(second, tmp_path, [Path("/data")]) == []
    assert outside(second, tmp_path) == [Path("/data/x/b.png")]
    assert outside(third, tmp_path) == []


def test_a_link_to_the_folder_itself_is_no_way_out(tmp_path):
    """The table says where the folder really is, the command line gives a link to it."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    (real / "exams.csv").write_text(f"exam_id,patient_id,label,cc\na,p,1,{real}/a.png\nb,q,0,{real}/b.png\n")
    exams = list_exams(Folder(), link)[0]
    assert check_inside(exams, link) == Outside()


def test_several_places_are_all_named(tmp_path):
    rows = "a,p,1,/mnt/one/x/a.png\nb,q,0,/mnt/one/y/b.png\nc,r,0,/data/c.png\n"
    (tmp_path / "exams.csv").write_text("exam_id,patient_id,label,cc\n" + rows)
    exams = list_exams(Folder(), tmp_path)[0]
    with pytest.raises(DataError, match=r"add --allow-outside /mnt/one --allow-outside /data$"):
        check_inside(exams, tmp_path)


def test_some_outside_are_left_out_with_a_word_and_taken_once_they_are_allowed(away, tmp_path):
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20)).save(away / "in.png")
    with (away / "exams.csv").open("a") as table:
        table.write("in,p9,1,in.png\n")
    out, said = tmp_path / "out", []
    summary = prepare(Folder(), away, out, size=(16, 16), crop="none", jobs=0, warn=said.append)
    assert (summary.exams, len(summary.refused)) == (1, 4)
    assert any(line.startswith("4 of 5 exams name files outside this folder") for line in said)
    allowed = {"allow_outside": [tmp_path / "images"], "size": (16, 16), "crop": "none", "jobs": 0}
    with pytest.raises(DataError, match="holds another preparation: exams_outside is 4 there, null now"):
        prepare(Folder(), away, out, **allowed)
    assert prepare(Folder(), away, out, overwrite=True, **allowed).exams == 5


def test_gaze_outside_costs_the_gaze_and_not_the_exam(tmp_path):
    exams = write_exams(tmp_path / "raw", 4)
    exams[1].gaze["cc"] = exams[1].gaze["cc"].rename(tmp_path / "elsewhere.gaze")
    said, out, more = [], tmp_path / "out", {"crop": "none", "jobs": 0}
    summary = run(exams, tmp_path / "raw", out, warn=said.append, **more)
    assert (summary.exams, summary.refused, summary.with_gaze["cc"]) == (4, (), 3)
    (refused,) = summary.refused_gaze
    assert refused.about == "e1 cc"
    assert refused.what == (
        "the path of the gaze file of view cc leads out of the data set; expected one below its folder, or below a "
        "folder allowed with --allow-outside"
    )
    (told,) = [line for line in said if "outside" in line]
    assert told == (
        f"1 of 4 exams with gaze name gaze files outside this folder, below {tmp_path}; if they are meant, add "
        f"--allow-outside {tmp_path}; without it they are used without that gaze"
    )
    found = validate(Listed(exams), tmp_path / "raw", gaze_reader=lambda _: Reader(), **more)
    assert [each[:2] for each in found.faults.refused_gaze] == [("e1", "cc")] and found.faults.refused == ()
    with pytest.raises(DataError, match="exam e1: gaze on cc: the path of"):
        run(exams, tmp_path / "raw", tmp_path / "strict", on_bad_exam="error", **more)
    with pytest.raises(DataError, match="exams_with_gaze_outside is 1 there, null now"):
        run(exams, tmp_path / "raw", out, allow_outside=[tmp_path], **more)
    allowed = run(exams, tmp_path / "raw", out, allow_outside=[tmp_path], overwrite=True, **more)
    assert (allowed.with_gaze["cc"], allowed.refused_gaze) == (4, [])


def test_a_heat_map_outside_is_lost_alone(tmp_path):
    exams = write_exams(tmp_path / "raw", 2)
    Image.fromarray(np.full((160, 120), 9, dtype=np.uint8)).save(tmp_path / "map.png")
    exams[0] = replace(exams[0], heat_maps={"mlo": tmp_path / "map.png"})
    summary = run(exams, tmp_path / "raw", tmp_path / "out", crop="none", jobs=0)
    assert (summary.refused, summary.with_gaze) == ((), {"cc": 2, "mlo": 0})
    assert [each.about for each in summary.refused_gaze] == ["e0 mlo"]


def test_all_gaze_outside_is_said_before_anything_is_read(tmp_path, monkeypatch):
    exams = write_exams(tmp_path / "raw", 2)
    for number, exam in enumerate(exams):
        exam.gaze["cc"] = exam.gaze["cc"].rename(tmp_path / f"{number}.gaze")
    recordings = [
        Recording(
            Path("all.csv"),
            np.array([X]),
            np.array([Y]),
            exam_id="e0",
            view="cc",
            duration_ms=np.array([9.0]),
        )
    ]
    more = {"crop": "none", "jobs": 0}
    assert run(exams, tmp_path / "raw", tmp_path / "out", recordings=recordings, **more).with_gaze["cc"] == 1
    monkeypatch.setattr("gazekit.preparing.one_exam.read_image", refuse_reading)
    with pytest.raises(
        DataError, match=f"all 2 exams with gaze name gaze files outside this folder, below {tmp_path}"
    ):
        run(exams, tmp_path / "raw", tmp_path / "other", **more)


def test_the_commands_take_the_option(tmp_path):
    images = make_folder(tmp_path / "images", exams=4, without_gaze=0)
    root = tmp_path / "table"
    root.mkdir()
    header, *rows = (images / "exams.csv").read_text().splitlines()
    moved = [
        ",".join([*row.split(",")[:3], *(f"{images}/{cell}" for cell in row.split(",")[3:])]) for row in rows
    ]
    (root / "exams.csv").write_text("\n".join([header, *moved]) + "\n")
    tail = ("--crop", "none", "--jobs", 1)
    told = gazekit("data", "prepare", "folder", root, tmp_path / "out", "--size", 16, *tail, code=3).stderr
    assert f"add --allow-outside {images}" in told
    done = gazekit(
        *("data", "prepare", "folder", root, tmp_path / "out", "--size", 16, *tail, "--allow-outside", images)
    )
    assert re_number(done.stdout, "exams") == 4
    told = gazekit("data", "validate", "folder", root, *tail).stderr
    assert "cannot be prepared" in told and f"--allow-outside {images}" in told
    gazekit("data", "validate", "folder", root, *tail, "--allow-outside", images)
    looked = (
        "gaze",
        "validate",
        images / "e000_cc.csv",
        "--dataset",
        "folder",
        "--source",
        root,
        "--jobs",
        1,
    )
    assert f"add --allow-outside {images}" in gazekit(*looked, code=3).stderr
    found = gazekit(*looked, "--allow-outside", images).stdout
    assert re_number(found, "recordings that match an image") == 1
    imported = (
        "gaze",
        "import",
        images / "e000_cc.csv",
        tmp_path / "gaze.csv",
        "--dataset",
        "folder",
        "--source",
        root,
    )
    assert f"add --allow-outside {images}" in gazekit(*imported, code=3).stderr
    found = gazekit(*imported, "--allow-outside", images).stdout
    assert re_number(found, "recordings that match an image") == 1


def re_number(table: str, name: str) -> int:
    (line,) = [
        line for line in table.splitlines() if line.startswith(f"{name} ") and line.split()[-1].isdecimal()
    ]
    return int(line.split()[-1])


def test_a_heat_map_outside_is_lost_also_beside_given_recordings(tmp_path):
    exams = write_exams(tmp_path / "raw", 2)
    Image.fromarray(np.full((160, 120), 9, dtype=np.uint8)).save(tmp_path / "map.png")
    exams[0] = replace(exams[0], heat_maps={"mlo": tmp_path / "map.png"})
    looked = Recording(
        Path("all.csv"), np.array([X]), np.array([Y]), exam_id="e0", view="cc", duration_ms=np.array([9.0])
    )
    said = []
    summary = run(
        exams, tmp_path / "raw", tmp_path / "out", recordings=[looked], crop="none", jobs=0, warn=said.append
    )
    assert (summary.refused, summary.with_gaze) == ((), {"cc": 1, "mlo": 0})
    assert [each.about for each in summary.refused_gaze] == ["e0 mlo"]
    assert [line for line in said if "outside" in line]
