"""``gazekit gaze`` as a user meets it: from a folder of recordings to a gaze-joined data set."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from command_line import gazekit
from made_data import make_folder, write_exams
from PIL import Image

import gazekit as python
from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.index import read_findings

REAL = Path(__file__).parents[3] / "shared" / "data" / "gaze"
VIEWS = ("cc", "mlo")


def rows_of(table: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(table.read_text().splitlines()))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four exams of two views without gaze, 32 px."""
    root = make_folder(tmp_path_factory.mktemp("gaze") / "images", exams=4, without_gaze=4)
    rows = rows_of(root / "exams.csv")
    write_exams(root, [{k: v for k, v in row.items() if not k.endswith("_gaze")} for row in rows])
    return root


def bright(images: Path, name: str) -> tuple[float, float]:
    """The middle of an image's lesion."""
    y, x = np.nonzero(np.asarray(Image.open(images / f"{name}_mask.png")))
    return float(x.mean()) + 0.5, float(y.mean()) + 0.5


@pytest.fixture(scope="module")
def recordings(images: Path) -> Path:
    """Three exams by plain tables named like their images, one by MicEye; a stranger and a note beside them."""
    root = images.parent / "recordings"
    root.mkdir()
    header = "exam_id,view,t_ms,x,y\n"
    for name in [f"e00{number}_{view}" for number in range(3) for view in VIEWS]:
        x, y = bright(images, name)
        rows = [f"{name[:4]},{name[5:]},{1000 * i / 60},{x},{y}" for i in range(60)]
        (root / f"{name}.csv").write_text(header + "\n".join(rows))
    x, y = (25 * value for value in bright(images, "e003_cc"))  # as displayed 800 px high
    (root / "e003.csv").write_text(f"D:\\study\\e003_cc.png;1;{[[x, y]] * 9};[];(0, 0)\n")
    (root / "stranger.csv").write_text(header + "Z,cc,0,1,2\nZ,cc,10,1,2\n")
    (root / "notes.txt").write_text("calibrated twice")
    return root


def joined_to(images: Path) -> list[object]:
    return ["--dataset", "folder", "--source", images]


def test_validate_counts_matches_measures_dwell_and_draws(
    images: Path, recordings: Path, tmp_path: Path
) -> None:
    shown = gazekit("gaze", "validate", recordings, *joined_to(images), "--overlays", tmp_path / "o")
    rows = dict(
        re.findall(r"^(recordings .+?|images .+?)  +(\d+)$", re.sub(" +\n", "\n", shown.stdout), re.M)
    )
    assert rows == {
        "recordings of plain": "7",
        "recordings of miceye": "1",
        "recordings that match an image": "7",
        "recordings that match none": "1",
        "images with a recording": "7",
        "images without a recording": "1",
    }
    assert "1 file in" in shown.stderr and "skipped: notes.txt" in shown.stderr
    assert "no image matches 1 recording: " in shown.stderr and "exam Z" in shown.stderr
    assert "no recording of 1 image: exam e003 view mlo" in shown.stderr
    pictures = sorted(path.name for path in (tmp_path / "o").iterdir())
    assert pictures == sorted([f"e00{n}_{v}.png" for n in range(3) for v in VIEWS] + ["e003_cc.png"])
    picture = np.asarray(Image.open(tmp_path / "o" / "e000_cc.png")).astype(int)
    assert picture.shape == (512, 512, 3) and (np.ptp(picture, axis=2) > 40).any()  # colour over grey


def test_validate_as_json_holds_the_numbers(images: Path, recordings: Path) -> None:
    result = json.loads(gazekit("gaze", "validate", recordings, *joined_to(images), "--json").stdout)
    assert result["schema"] == "gazekit.gaze_validation/1"
    by_name = {(each["exam_id"], each["view"]): each for each in result["recordings"]}
    plain = by_name["e000", "cc"]
    assert (plain["format"], plain["rows"], plain["matched"], plain["doubts"]) == ("plain", 60, True, [])
    assert plain["rate_hz"] == pytest.approx(60) and plain["median_duration_ms"] == pytest.approx(1000)
    assert (plain["lost"], plain["outside"], plain["lesion"]) == (0, 0, 1)
    assert plain["lesion_area"] == pytest.approx(36 / 32**2)
    miceye = by_name["e003", "cc"]
    assert (miceye["rate_hz"], miceye["fixations"], miceye["lesion"]) == (None, 9, 1)
    assert by_name["Z", "cc"]["matched"] is False
    assert result["images_without_recording"] == [{"exam_id": "e003", "view": "mlo"}]


def test_validate_alone_needs_no_images_and_says_what_is_missing(recordings: Path) -> None:
    shown = gazekit("gaze", "validate", recordings)
    assert "e000_cc.csv e000 cc" in shown.stdout and "outside" not in shown.stdout
    assert "how long one degree of visual angle is" in shown.stderr


def test_validate_names_what_cannot_be_read_and_what_looks_wrong(images: Path, tmp_path: Path) -> None:
    header = "exam_id,view,t_ms,x,y\n"
    (tmp_path / "e000_cc.csv").write_text(header + "".join(f"e000,cc,{10 * i},0.5,0.5\n" for i in range(50)))
    (tmp_path / "e000_mlo.csv").write_text(
        header + "".join(f"e000,mlo,{10 * i},900,900\n" for i in range(50))
    )
    (tmp_path / "e001_cc.csv").write_text(header + "e001,cc,0,left,2\n")
    said = gazekit("gaze", "validate", tmp_path, *joined_to(images)).stderr
    assert "e001_cc.csv row 2: x is 'left'" in said
    assert "lie in the first pixel" in said and "(1 of 2: e000 cc)" in said
    assert "usable samples lie outside the image" in said and "(1 of 2: e000 mlo)" in said


def test_import_writes_what_prepare_takes_and_gives_the_same_data_set(
    images: Path, recordings: Path, tmp_path: Path
) -> None:
    table = tmp_path / "new" / "gaze.csv"
    shown = gazekit("gaze", "import", recordings, table, *joined_to(images))
    assert re.search(r"samples written +369", shown.stdout)  # 6 x 60 and 9 of MicEye
    common = ["--size", "16", "--crop", "none"]
    direct = gazekit("data", "prepare", "folder", images, tmp_path / "a", "--gaze", recordings, *common)
    gazekit("data", "prepare", "folder", images, tmp_path / "b", "--gaze", table, *common)
    first, second = (PreparedDataset.open(tmp_path / name) for name in "ab")
    looked_at = np.argwhere(first.has_gaze)
    assert len(looked_at)
    for exam, column in looked_at:
        view = first.views[column]
        np.testing.assert_array_equal(first.heat_map(exam, view), second.heat_map(exam, view))
    assert re.search(r"recordings that match an image +7", direct.stdout)
    assert re.search(r"recordings that match none +1", direct.stdout)
    assert re.search(r"mlo without a usable recording +1", direct.stdout)


def test_import_can_write_fixations(images: Path, recordings: Path, tmp_path: Path) -> None:
    shown = gazekit("gaze", "import", recordings, tmp_path / "f.csv", *joined_to(images), "--fixations")
    assert re.search(r"fixations written +15", shown.stdout)
    rows = rows_of(tmp_path / "f.csv")
    assert rows[0].keys() == {"exam_id", "view", "start_ms", "duration_ms", "x", "y"}
    x, y = bright(images, "e000_cc")
    assert (float(rows[0]["x"]), float(rows[0]["y"])) == pytest.approx((x, y))


def test_recordings_that_name_nothing_join_by_their_file(images: Path, tmp_path: Path) -> None:
    x, y = (25 * value for value in bright(images, "e001_mlo"))
    (tmp_path / "e001_mlo.csv").write_text(f"other.png;1;{[[x, y]] * 9};[];(0, 0)\n")
    said = gazekit("gaze", "validate", tmp_path, *joined_to(images), code=3).stderr
    assert "none of the 1 gaze recordings matches any of the 4 exams" in said
    (tmp_path / "e001_mlo.csv").write_text(f";1;{[[x, y]] * 9};[];(0, 0)\n")
    shown = gazekit("gaze", "validate", tmp_path, *joined_to(images))
    assert "e001 mlo" in shown.stdout


def test_a_table_of_names_joins_what_is_called_otherwise(
    images: Path, recordings: Path, tmp_path: Path
) -> None:
    names = tmp_path / "names.csv"
    names.write_text("name,exam_id,view\nstranger,e003,mlo\n")
    table = tmp_path / "gaze.csv"
    shown = gazekit("gaze", "import", recordings, table, *joined_to(images), "--names", names)
    assert re.search(r"recordings that match none +0", shown.stdout)
    assert ["e003", "mlo"] in [[row["exam_id"], row["view"]] for row in rows_of(table)]


def test_fixations_as_table_csv_and_json(images: Path, recordings: Path, tmp_path: Path) -> None:
    file, image = recordings / "e000_cc.csv", images / "e000_cc.png"
    x, y = bright(images, "e000_cc")
    table = gazekit("gaze", "fixations", file, "--image", image)
    assert re.search(rf"e000 +cc +0\.0 +1000\.0 +{x:.1f} +{y:.1f}", table.stdout)
    assert "pixels of the image" in table.stderr
    result = json.loads(gazekit("gaze", "fixations", file, "--image", image, "--json").stdout)
    assert result["schema"] == "gazekit.fixations/1"
    (found,) = result["recordings"]
    assert found["fixations"] == [{"onset_ms": 0, "duration_ms": pytest.approx(1000), "x": x, "y": y}]
    out = tmp_path / "f.csv"
    degrees = ["--set", "fixations.pixels_per_degree=1"]  # every threshold in pixels
    gazekit("gaze", "fixations", recordings, "--exam", "e000", *degrees, "--out", out)
    rows = rows_of(out)
    assert [(row["exam_id"], row["view"], row["onset_ms"]) for row in rows] == [
        ("e000", v, "0.0") for v in VIEWS
    ]


def test_thresholds_and_options_reach_the_detection_and_the_reader(images: Path, recordings: Path) -> None:
    file, image = recordings / "e000_cc.csv", images / "e000_cc.png"
    strict = ["--set", "fixations.minimum_duration_ms=1500"]
    said = gazekit("gaze", "fixations", file, "--image", image, *strict, code=3).stderr
    assert "ivt finds no fixation" in said and "at least 1500 ms" in said
    miceye = ["gaze", "fixations", recordings / "e003.csv", "--image", images / "e003_cc.png", "--json"]
    (usual,) = json.loads(gazekit(*miceye).stdout)["recordings"]
    (other,) = json.loads(gazekit(*miceye, "--set", "display_height=1600").stdout)["recordings"]
    assert usual["fixations"][0]["x"] == pytest.approx(2 * other["fixations"][0]["x"])
    assert usual["fixations"][0]["duration_ms"] is None


def test_of_recordings_in_one_file_the_image_says_which(images: Path, tmp_path: Path) -> None:
    both, places = tmp_path / "both.csv", [bright(images, f"e003_{view}") for view in VIEWS]
    names = ("e003_cc.dcm", "E003_MLO.png")  # without its suffix, and whatever the case
    shown = [[25 * value for value in place] for place in places]  # as displayed 800 px high
    both.write_text("".join(f"D:\\{n};1;{[at] * 9};[];(0, 0)\n" for n, at in zip(names, shown, strict=True)))
    for view, (x, y) in zip(VIEWS, places, strict=True):
        image, out = images / f"e003_{view}.png", tmp_path / f"{view}.png"
        (found,) = json.loads(gazekit("gaze", "fixations", both, "--image", image, "--json").stdout)[
            "recordings"
        ]
        assert (found["fixations"][0]["x"], found["fixations"][0]["y"]) == pytest.approx((x, y))
        gazekit("gaze", "heatmap", both, image, out)
        drawn = np.asarray(Image.open(out)).astype(int)
        hottest = np.unravel_index((drawn[..., 0] - drawn[..., 2]).argmax(), drawn.shape[:2])
        assert hottest == pytest.approx((y, x), abs=2)
    said = gazekit("gaze", "heatmap", both, images / "e001_cc.png", tmp_path / "x.png", code=3).stderr
    assert "no recording of e001_cc.png, but of e003_cc.dcm, E003_MLO.png" in said and "--image-name" in said
    assert not (tmp_path / "x.png").exists()
    said = gazekit("gaze", "fixations", both, "--image", images / "e001_cc.png", code=3).stderr
    assert "no recording of e001_cc.png" in said
    called = ["--image-name", "e003_cc.dcm"]
    gazekit("gaze", "heatmap", both, images / "e001_cc.png", tmp_path / "x.png", *called)
    assert (tmp_path / "x.png").exists()


def test_recordings_of_a_table_are_drawn_on_the_image_of_their_exam(images: Path, tmp_path: Path) -> None:
    """One table for all exams, as ``gaze import`` writes it: the gaze of others must not get into the picture."""
    table, places = tmp_path / "all.csv", {}
    lines = []
    for name in ("e000_cc", "e000_mlo", "e001_cc"):
        places[name] = x, y = bright(images, name)
        lines += [f"{name[:4]},{name[5:]},{10 * i},{x},{y}" for i in range(30)]
    table.write_text("exam_id,view,t_ms,x,y\n" + "\n".join(lines))
    for name, place in places.items():
        command = ["gaze", "fixations", table, "--image", images / f"{name}.png", "--json"]
        ran = gazekit(*command)
        (found,) = json.loads(ran.stdout)["recordings"]
        assert (found["fixations"][0]["x"], found["fixations"][0]["y"]) == pytest.approx(place, abs=0.01)
        assert "names no image" not in ran.stderr
    pooled = ["gaze", "heatmap", table, images / "e002_cc.png", tmp_path / "h.png", "--pool"]
    said = gazekit(*pooled, code=3).stderr
    assert "its recordings are of 3 images (e000 cc, e000 mlo, e001 cc), and none says" in said
    alone = tmp_path / "alone.csv"
    alone.write_text("exam_id,view,t_ms,x,y\n" + "\n".join(lines[:30]))
    drawn = ["gaze", "heatmap", alone, images / "e001_cc.png", tmp_path / "h.png"]
    said = gazekit(*drawn, code=3).stderr
    assert "its exam is not in the name e001_cc.png" in said and "add --exam e000" in said
    placed = ["gaze", "fixations", alone, "--image", images / "e001_cc.png"]
    assert "its exam is not in the name e001_cc.png" in gazekit(*placed, code=3).stderr
    beside = ["gaze", "heatmap", alone, images / "e000_mlo.png", tmp_path / "h.png"]
    assert "its view is not in the name e000_mlo.png" in gazekit(*beside, code=3).stderr
    assert not (tmp_path / "h.png").exists()
    said = gazekit(*drawn, "--exam", "e000").stderr
    assert "warning: " not in said and "names no image; assumed to be of e001_cc.png" in said


@pytest.fixture(scope="module")
def two_readers(images: Path) -> Path:
    """P1 looks at the lesion of e000 cc and P2 at the corner, in one table; P2 twice."""
    path, (x, y) = images.parent / "two.csv", bright(images, "e000_cc")
    at = [("P1", "1", x, y), ("P2", "1", 3, 3), ("P2", "2", 28, 28)]
    rows = [f"e000,cc,{n},{s},{10 * i},{a},{b}\n" for n, s, a, b in at for i in range(30)]
    path.write_text("exam_id,view,reader,sitting,t_ms,x,y\n" + "".join(rows))
    return path


def test_a_reader_is_a_name_that_chooses_and_is_kept(images: Path, two_readers: Path, tmp_path: Path) -> None:
    image, out = images / "e000_cc.png", tmp_path / "h.png"
    said = gazekit("gaze", "heatmap", two_readers, image, out, code=3).stderr
    assert "found 3 of the readers P1, P2; choose with --reader" in said and "--pool" in said
    shown = gazekit("gaze", "heatmap", two_readers, image, out, "--reader", "P1")
    assert re.search(r"reader +P1", shown.stdout) and "names no image" not in shown.stderr
    alone = np.asarray(Image.open(out)).astype(int)
    gazekit("gaze", "heatmap", two_readers, image, out, "--pool")
    assert not np.array_equal(alone, np.asarray(Image.open(out)).astype(int))
    said = gazekit("gaze", "fixations", two_readers, "--reader", "P9", code=3).stderr
    assert "two.csv: no recording of reader P9; there are P1, P2" in said
    degrees = ["--set", "fixations.pixels_per_degree=20"]
    gazekit("gaze", "fixations", two_readers, *degrees, "--out", tmp_path / "f.csv")
    assert [row["reader"] for row in rows_of(tmp_path / "f.csv")] == ["P1", "P2", "P2"]
    listed = json.loads(gazekit("gaze", "validate", two_readers, *degrees, "--json").stdout)["recordings"]
    assert [each["reader"] for each in listed] == ["P1", "P2", "P2"]
    overlays = ["--overlays", tmp_path / "o"]
    gazekit("gaze", "validate", two_readers, *joined_to(images), *overlays)
    assert {path.name for path in (tmp_path / "o").iterdir()} == {
        "e000_cc_P1.png",
        "e000_cc_P2.png",
        "e000_cc_P2_3.png",
    }


def test_a_pooled_heat_map_counts_each_reader_once_by_time_of_looking(images: Path, tmp_path: Path) -> None:
    table, out = tmp_path / "pool.csv", tmp_path / "h.png"
    looks = (("P1", 1, 800, 6, 6), ("P1", 2, 200, 26, 6), ("P2", 1, 300, 16, 26))
    table.write_text(
        "exam_id,view,reader,sitting,start_ms,duration_ms,x,y\n"
        + "".join(f"e000,cc,{who},{sitting},0,{lasts},{x},{y}\n" for who, sitting, lasts, x, y in looks)
    )
    gazekit("gaze", "heatmap", table, images / "e000_cc.png", out, "--pool")
    drawn = np.asarray(Image.open(out)).astype(int)
    warm = [drawn[y, x, 0] - drawn[y, x, 2] for *_, x, y in looks]
    assert warm[0] == pytest.approx(warm[2], abs=60) and warm[1] < min(warm[0], warm[2]) - 60


def test_readers_are_kept_in_an_import_and_in_a_prepared_set(
    images: Path, two_readers: Path, tmp_path: Path
) -> None:
    gazekit("gaze", "import", two_readers, tmp_path / "g.csv", *joined_to(images))
    written = rows_of(tmp_path / "g.csv")
    assert [(row["reader"], row["sitting"]) for row in written[::30]] == [
        ("P1", "1"),
        ("P2", "1"),
        ("P2", "2"),
    ]
    common = ["--size", "32", "--crop", "none", "--laterality", "off"]
    for name, gaze in (("a", two_readers), ("b", tmp_path / "g.csv")):
        gazekit("data", "prepare", "folder", images, tmp_path / name, *common, "--gaze", gaze)
    one, other = (PreparedDataset.open(tmp_path / name) for name in "ab")
    assert one.readers(0, "cc") == other.readers(0, "cc") == ("P1", "P2")
    assert [len(each) for each in one.fixations(0, "cc")] == [1, 2]
    for view in one.views:
        np.testing.assert_array_equal(one.heat_map(0, view), other.heat_map(0, view))
    alone = ["--gaze", two_readers, "--reader", "P1"]
    gazekit("data", "prepare", "folder", images, tmp_path / "c", *common, *alone)
    assert PreparedDataset.open(tmp_path / "c").readers(0, "cc") == ("P1",)


def test_recordings_without_a_reader_are_counted_and_a_table_can_name_them(
    images: Path, recordings: Path, tmp_path: Path
) -> None:
    (tmp_path / "gaze").mkdir()
    for name in ("a", "b"):
        (tmp_path / "gaze" / f"{name}.csv").write_text((recordings / "e000_cc.csv").read_text())
    common = ["--size", "16", "--crop", "none", "--gaze", tmp_path / "gaze"]
    gazekit("data", "prepare", "folder", images, tmp_path / "p", *common)
    assert PreparedDataset.open(tmp_path / "p").readers(0, "cc") == ("1", "2")
    (tmp_path / "n.csv").write_text("name,exam_id,view,reader\na.csv,e000,cc,Ann\nb,e000,cc,Ben\n")
    named = [*common, "--names", tmp_path / "n.csv"]
    gazekit("data", "prepare", "folder", images, tmp_path / "q", *named)
    assert PreparedDataset.open(tmp_path / "q").readers(0, "cc") == ("Ann", "Ben")
    gazekit("data", "prepare", "folder", images, tmp_path / "r", *named, "--reader", "Ben")

    def prepare(out: str, reader: str | list[str]) -> PreparedDataset:
        """As the command does, in Python."""
        return python.prepare(
            *("folder", images, tmp_path / out),
            **{"size": 16, "crop": "none", "gaze": tmp_path / "gaze", "names": tmp_path / "n.csv"},
            **{"reader": reader, "note": lambda _: None},
        )

    for theirs, reader in (("q", []), ("r", ["Ben"]), ("r", "Ben")):
        ours = prepare(f"python_{theirs}", reader)
        assert ours.fingerprint == PreparedDataset.open(tmp_path / theirs).fingerprint
    with pytest.raises(DataError, match="gaze: no recording of reader Cid; there are Ann, Ben"):
        prepare("s", "Cid")
    absent = [*common, "--names", tmp_path / "absent.csv"]
    said = gazekit("data", "prepare", "folder", images, tmp_path / "s", *absent, code=3).stderr
    table = f"{tmp_path / 'absent.csv'}: there is no such file; expected a table of name, exam_id, view"
    assert f"error: {table}\n" in said
    alone = ["--size", "16", "--names", tmp_path / "n.csv"]
    said = gazekit("data", "prepare", "folder", images, tmp_path / "s", *alone, code=2).stderr
    assert "names recordings, and none are given; add --gaze PATH" in said
    with pytest.raises(ConfigurationError, match="add gaze=PATH, or leave out names"):
        python.prepare("folder", images, tmp_path / "s", names=tmp_path / "n.csv")


@pytest.mark.parametrize("place", [(0, 0), (-1, -1)])
def test_a_place_that_stands_for_lost_samples_is_said_and_can_be_told(
    images: Path, tmp_path: Path, place: tuple[int, int]
) -> None:
    """Every tenth of a second in five the eyes are lost."""
    noise, (x, y) = np.random.default_rng(0).normal(0, 0.05, (300, 2)), bright(images, "e000_cc")
    at = [place if i // 10 % 5 == 4 else (x + dx, y + dy) for i, (dx, dy) in enumerate(noise.tolist())]
    path = tmp_path / "g.csv"
    path.write_text(
        "exam_id,view,t_ms,x,y\n" + "".join(f"e000,cc,{10 * i},{a},{b}\n" for i, (a, b) in enumerate(at))
    )
    heatmap = ["gaze", "heatmap", path, images / "e000_cc.png", tmp_path / "h.png"]
    said = gazekit(*heatmap).stderr
    told = f"lost=[{place[0]}, {place[1]}]"
    assert "20 % of the samples are at exactly the same place" in said and f'--set "{told}"' in said
    quiet = gazekit(*heatmap, "--set", told)
    assert "exactly the same place" not in quiet.stderr and re.search(r"lost +60\b", quiet.stdout)
    checked = json.loads(gazekit("gaze", "validate", path, *joined_to(images), "--json").stdout)[
        "recordings"
    ][0]
    assert checked["repeated"] == {"x": place[0], "y": place[1], "share": pytest.approx(0.2)}
    assert any("exactly the same place" in doubt for doubt in checked["doubts"])
    prepare = [
        "data",
        "prepare",
        "folder",
        images,
        tmp_path / "p",
        "--size",
        "16",
        "--crop",
        "none",
        "--gaze",
        path,
    ]
    gazekit(*prepare, "--gaze-set", told)
    found = PreparedDataset.open(tmp_path / "p").fixations(0, "cc")[0]
    assert (found.x > 1).all() and len(found) > 0
    said = gazekit(*heatmap, "--set", "lost=[1,2,3]", code=2).stderr
    assert "lost is [1, 2, 3]; expected the place that means a lost sample" in said


def test_gaze_that_the_table_names_is_doubted_too(images: Path, tmp_path: Path) -> None:
    """A fifth of the samples at 0, 0, and a table of exams that names the file."""
    raw = make_folder(tmp_path / "raw", exams=4, without_gaze=0)
    rows = rows_of(raw / "exams.csv")
    first = rows[0]["exam_id"]
    at = [(0, 0) if i // 10 % 5 == 4 else (16 + i / 1000, 16) for i in range(300)]
    header, lines = "exam_id,view,t_ms,x,y\n", [f"{first},cc,{10 * i},{x},{y}" for i, (x, y) in enumerate(at)]
    (raw / rows[0]["cc_gaze"]).write_text(header + "\n".join(lines))
    command = ["data", "prepare", "folder", raw, tmp_path / "p", "--size", "16", "--crop", "none"]
    said = gazekit(*command).stderr
    warning = f"warning: gaze on {first} cc: 20 % of the samples are at exactly the same place, (0, 0)"
    assert warning in said and '"lost=[0, 0]" (--gaze-set in data prepare)' in said
    assert [row["kind"] for row in rows_of(tmp_path / "p" / "findings.csv")] == ["gaze"]
    checked = gazekit("data", "validate", "folder", raw, "--crop", "none").stdout
    assert re.search(r"views whose gaze looks wrong +1\b", checked) and "exactly the same place" in checked
    told = ["--gaze-set", "lost=[0, 0]"]
    refused = gazekit(*command, *told, code=3).stderr
    assert 'gaze_options is null there, {"lost": [[0.0, 0.0]]} now' in refused, "other options, other gaze"
    assert "exactly the same place" not in gazekit(*command, *told, "--overwrite").stderr
    gazekit(*command, "--gaze-set", "lost=[0.0, 0]")  # the same option: finished
    for other in (["--gaze-set", "lost=[1, 1]"], ["--format", "plain"], ["--reader", "A"], []):
        assert "holds another preparation: gaze_options" in gazekit(*command, *other, code=3).stderr


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [
        ("a.edf", b"SR_RESEARCH_CLIENT\0", "edf2asc"),
        ("a.xlsx", b"PK\x03\x04\x14\0", "save its sheet as CSV"),
        ("a.csv.gz", b"\x1f\x8b\x08\0", "gunzip"),
        ("a.jsonl", b'{"t": 1, "x": 2}\n{"t": 2, "x": 2}\n', "JSON; write its rows as a table"),
        ("a.json", b'[\n {"t": 1, "x": 2}]', "JSON; write its rows as a table"),
        ("deep.json", b'[{"":' * 1000, "JSON; write its rows as a table"),
        ("a.parquet", b"PAR1\0", "write its rows as a table"),
        ("a.zip", b"PK\x03\x04\x14\0", "unpack it first"),
        ("a.mat", b"MATLAB 5.0 MAT-file", "writetable"),
    ],
)
def test_files_in_another_form_name_the_remedy(
    recordings: Path, tmp_path: Path, name: str, content: bytes, remedy: str
) -> None:
    (tmp_path / name).write_bytes(content)
    for place in (tmp_path / name, tmp_path):
        said = gazekit("gaze", "validate", place, code=3).stderr
        assert name in said and remedy in said and len(said.splitlines()) == 1
    (tmp_path / "good.csv").write_text((recordings / "e000_cc.csv").read_text())
    said = gazekit("gaze", "validate", tmp_path).stderr
    assert "skipped: " in said and remedy in said


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["fixations", "REC/e000_cc.csv"], 3, "give the image, or --set fixations.pixels_per_degree"),
        (["fixations", "nowhere"], 3, "nowhere: there is no file that can be read"),
        (["fixations", "IMG"], 3, "is a gaze recording; "),
        (["fixations", "REC", "--exam", "Y"], 3, "no recording of exam Y"),
        (["fixations", "REC", "--format", "plane"], 2, "Did you mean 'plain'?"),
        (
            ["fixations", "REC", "--set", "fixations.method=fast"],
            2,
            "fixations.method: expected 'ivt' or 'idt' (got 'fast')",
        ),
        (
            ["fixations", "REC", "--set", "fixations.speed=1"],
            2,
            "fixations.speed: no such setting; there are method",
        ),
        (
            ["fixations", "REC", "--set", "fixations.sigma_degrees=-1"],
            2,
            "sigma_degrees is -1.0; expected a number",
        ),
        (["fixations", "REC", "--set", "zoom=1"], 2, "'zoom': no gaze format has such an option; there are "),
        (["fixations", "REC", "--format", "plain", "--set", "zoom=1"], 2, "'zoom': no such option of Plain"),
        (["validate", "REC", "--dataset", "folder"], 2, "--dataset and --source go together"),
        (["validate", "REC", "--overlays", "o"], 2, "--overlays needs the images"),
        (
            ["validate", "REC", "--crop", "none", "--dataset-set", "a=1", "--allow-outside", "IMG"],
            2,
            "a check of recordings without --dataset takes no --dataset-set, --crop, --allow-outside; leave them out",
        ),
        (
            ["import", "REC", "OUT", "--dataset", "folder", "--source", "IMG", "--allow-outside", "OUT"],
            3,
            "out: there is no such folder; expected one above the files outside SRC",
        ),
        (
            ["validate", "REC/stranger.csv", "--dataset", "folder", "--source", "IMG"],
            3,
            "none of the 1 gaze recordings",
        ),
        (
            ["import", "REC/stranger.csv", "OUT", "--dataset", "folder", "--source", "IMG"],
            3,
            "none of the 1 gaze",
        ),
        (
            ["import", "REC", "REC/new.csv", "--dataset", "folder", "--source", "IMG"],
            2,
            "lies among the recordings",
        ),
        (["import", "REC", "OUT", "--dataset", "folder", "--source", "nowhere"], 3, "nowhere"),
        (
            ["heatmap", "REC", "IMG/e003_mlo.png", "OUT"],
            3,
            "its recordings are of 7 images (e000 cc, e000 mlo,",
        ),
    ],
)
def test_a_fault_of_the_input_is_one_line_and_an_exit_code(
    images: Path, recordings: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    places = {"REC": str(recordings), "IMG": str(images), "OUT": str(tmp_path / "out")}
    filled = [re.sub("REC|IMG|OUT", lambda found: places[found[0]], each) for each in arguments]
    said = gazekit("gaze", *filled, code=code).stderr.splitlines()
    errors = [line for line in said if not line.startswith("warning: ")]
    assert len(errors) == 1 and errors[0].startswith("error: ") and message in errors[0]
    assert not (tmp_path / "out").exists()


def test_gaze_that_the_data_set_names_is_sniffed_too(images: Path, recordings: Path, tmp_path: Path) -> None:
    raw = make_folder(tmp_path / "raw", exams=4, without_gaze=0)
    (raw / "e000_cc.csv").write_text(f"e000_cc.png;1;{[[200, 200]] * 9};[];(0, 0)\n")
    common = ["--size", "16", "--crop", "none"]
    assert re.search(
        r"cc with gaze +4", gazekit("data", "prepare", "folder", raw, tmp_path / "p", *common).stdout
    )
    narrow = ["--gaze-set", "fixations.sigma_degrees=0.5", "--gaze-set", "display_height=400"]
    gazekit("data", "prepare", "folder", raw, tmp_path / "n", *common, *narrow)
    wide, thin = (PreparedDataset.open(tmp_path / name) for name in "pn")
    assert not np.array_equal(*(each.heat_map(0, each.views[0]) for each in (wide, thin)))


@pytest.mark.parametrize("columns", [80, 140])
def test_tables_keep_to_the_terminal(images: Path, recordings: Path, columns: int) -> None:
    for command in (
        ["validate", recordings, *joined_to(images)],
        ["fixations", recordings, "--set", "fixations.pixels_per_degree=20"],
    ):
        shown = gazekit("gaze", *command, COLUMNS=str(columns)).stdout
        tables = [line for line in shown.splitlines() if str(recordings) not in line]  # a path is not broken
        assert max(map(len, tables)) <= columns
        assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("name", "format_name"),
    [("eyelink/eyelink_binocular_example.asc", "eyelink"), ("tobii_studio/data.tsv", "tobii_studio")],
)
def test_real_recordings_are_recognised_and_give_fixations(name: str, format_name: str) -> None:
    path = REAL / name
    if not path.exists():
        pytest.skip("real recordings are not here")
    settings = ["--set", "fixations.pixels_per_degree=35"]
    result = json.loads(gazekit("gaze", "validate", path, *settings, "--json").stdout)
    assert {each["format"] for each in result["recordings"]} == {format_name}
    assert sum(each["fixations"] or 0 for each in result["recordings"]) > 0
    assert all(100 <= each["rate_hz"] <= 2000 for each in result["recordings"] if each["rows"] > 100)


def test_a_gaze_file_that_cannot_be_read_costs_itself(images: Path, recordings: Path, tmp_path: Path) -> None:
    gaze = tmp_path / "gaze"
    shutil.copytree(recordings, gaze)
    whole = (gaze / "e001_cc.csv").read_bytes()
    (gaze / "e001_cc.csv").write_bytes(whole[:400] + b"\0" * 40)
    (gaze / "e002_cc.csv").write_bytes(b"PK\x03\x04" + whole)
    common = ["--size", "16", "--crop", "none", "--gaze", gaze]
    said = gazekit("data", "prepare", "folder", images, tmp_path / "p", *common).stderr
    expected = [
        f"2 files in {gaze} without gaze recordings, skipped: e002_cc.csv, notes.txt",
        f"{gaze / 'e002_cc.csv'}: not a gaze recording as it is, but an archive; unpack it first",
        f"{gaze / 'e001_cc.csv'} row 14: contains bytes that are not text (zeros, as a crash leaves them); expected a "
        "text table; copy it again from its source; skipped",
    ]
    assert [line for line in said.splitlines() if "skipped" in line or "archive" in line] == [
        f"warning: {line}" for line in expected
    ]
    prepared = PreparedDataset.open(tmp_path / "p")
    assert [bool(prepared.readers(exam, "cc")) for exam in range(4)] == [True, False, False, True]

    kept = {(each.kind, each.about, each.what.split(" (")[0]) for each in read_findings(tmp_path / "p")}
    assert kept >= {
        ("refused", "a gaze file", "row 14: contains bytes that are not text"),
        (
            "note",
            "a file among the recordings",
            "not a gaze recording as it is, but an archive; unpack it first",
        ),
        ("note", "a file among the recordings", "fits no format of gaze"),
    }
    assert "csv" not in (tmp_path / "p" / "findings.csv").read_text()
    gazekit("data", "prepare", "folder", images, tmp_path / "named", *common, "--image-names")
    named = {each.about: each.kind for each in read_findings(tmp_path / "named")}
    assert {"e001_cc.csv": "refused", "e002_cc.csv": "note", "notes.txt": "note"}.items() <= named.items()

    told: list[str] = []
    options = {"size": 16, "crop": "none", "gaze": gaze, "note": told.append}
    ours = python.prepare("folder", images, tmp_path / "q", **options)
    assert ours.fingerprint == prepared.fingerprint
    assert all(f"warning: {line}" in told for line in expected)
    assert read_findings(tmp_path / "q") == read_findings(tmp_path / "p")

    stopped = gazekit(
        "data", "prepare", "folder", images, tmp_path / "r", *common, "--on-bad-exam", "error", code=3
    ).stderr
    assert "e001_cc.csv row 14: contains bytes that are not text" in stopped
    with pytest.raises(DataError, match=r"e001_cc\.csv row 14: contains bytes"):
        python.prepare("folder", images, tmp_path / "s", on_bad_exam="error", **options)
    table = tmp_path / "all.csv"
    gazekit("gaze", "import", gaze, table, *joined_to(images))
    assert {(row["exam_id"], row["view"]) for row in rows_of(table)} >= {("e000", "cc"), ("e001", "mlo")}
    alone = ["--gaze", gaze / "e001_cc.csv", "--size", "16"]
    gazekit("data", "prepare", "folder", images, tmp_path / "t", *alone, code=3)
