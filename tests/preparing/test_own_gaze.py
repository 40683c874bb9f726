"""Which recordings of an exam's own gaze files are of which of its images."""

from dataclasses import replace

import numpy as np
import pytest
from gazekit_datasets.gaze_readers.plain import Plain
from made_preparation import Listed, X, Y, run, validate, write_exams

from gazekit.errors import DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.records.recording import Recording


class Named:
    """A gaze format of one line ``x,exam_id,view,image`` per recording; an empty cell names nothing."""

    def read(self, path):
        for line in path.read_text().splitlines():
            x, *names = line.split(",")
            exam, view, image = (name or None for name in names)
            at = np.array([0.0])
            yield Recording(path, np.array([float(x)]), at + Y, at, at + 300, exam, view, image)


@pytest.fixture
def of_views(tmp_path):
    """Where the reader of the first exam looked, per view, when both views name a file with these lines."""

    def prepared(*lines):
        exams = write_exams(tmp_path / "raw", 2)
        for exam in exams:
            exam.gaze["mlo"] = exam.gaze["cc"]
            exam.gaze["cc"].write_text("".join(f"{line}\n" for line in lines) or f"{X},{exam.exam_id},,\n")
        out = tmp_path / "out"
        told = run(
            exams, tmp_path / "raw", out, crop="none", overwrite=True, jobs=0, gaze_reader=lambda _: Named()
        )
        assert not told.refused
        if told.refused_gaze:
            return told.refused_gaze[0].what
        dataset = PreparedDataset.open(out)
        scale, margin = 48 / 160, 2  # 160 x 120 in the middle of 48 x 40
        looked = [
            [(x - margin) / scale for each in dataset.fixations(0, view) for x in each.x]
            for view in ("cc", "mlo")
        ]
        return [np.round(x, 2).tolist() for x in looked]

    return prepared


@pytest.mark.parametrize(
    ("exam", "why"), [("{0}", "its exam"), ("trial 7", "a trial, which is no exam"), ("", "no exam")]
)
def test_images_shown_in_one_trial_get_their_own_gaze(of_views, exam, why):
    lines = [
        f"{x},{exam.format(name)},,{number}_{view}.png"
        for number, name in enumerate(("e0", "e1"))
        for x, view in ((30 + 40 * number, "cc"), (50 + 40 * number, "mlo"))
    ]
    assert of_views(*lines) == [[30.0], [50.0]], why


def test_the_gaze_of_another_exam_or_view_is_not_taken_for_its_image(of_views):
    assert of_views("30,e0,cc,", "40,e0,mlo,", "50,e1,cc,0_cc.png", "60,e1,mlo,") == [[30.0], [40.0]]
    assert "no recording of exam e0, view cc" in of_views("50,e1,,0_cc.png", "60,e1,,0_mlo.png")


def test_what_else_was_shown_is_no_gaze_on_an_image_that_is_named(of_views):
    lines = [
        f"{x},{exam},{view},{image}"
        for exam in ("e0", "e1")
        for x, view, image in ((30, "", f"{exam[1]}_cc.png"), (35, "", "noise.png"), (40, "mlo", "noise.png"))
    ]
    assert of_views(*lines) == [[30.0], [40.0]]


def test_a_recording_that_names_its_exam_alone_is_of_the_views_that_name_its_file(of_views):
    assert of_views("30,e0,,", "40,e1,,") == [[30.0], [30.0]]
    assert of_views("30,e0,,screen.png", "40,e1,,screen.png") == [[30.0], [30.0]]


def test_a_gaze_file_outside_is_not_opened_to_ask_what_is_read_beside_it(tmp_path):
    asked = []

    class Asking(Named):
        def beside(self, path):
            asked.append(path.name)
            return []

    exams = write_exams(tmp_path / "raw", 2)
    for exam in exams:
        exam.gaze["cc"].write_text(f"{X},{exam.exam_id},,\n")
    exams[1].gaze["cc"] = exams[1].gaze["cc"].rename(tmp_path / "elsewhere.gaze")
    (refused,) = run(
        exams, tmp_path / "raw", tmp_path / "out", jobs=0, gaze_reader=lambda _: Asking()
    ).refused_gaze
    assert "leads out of the data set" in refused.what and asked == ["0.gaze"]


def test_validation_takes_the_recordings_of_an_image_as_the_preparation_does(tmp_path):
    """The file of one view holds gaze on the other view's image alone."""
    exams = write_exams(tmp_path / "raw", 2)
    for number, exam in enumerate(exams):
        exam.gaze["cc"].write_text(f"{X},e{number},,{number}_mlo.png\n")
    options = {"jobs": 0, "gaze_reader": lambda _: Named()}
    found = validate(Listed(exams), tmp_path / "raw", **options)
    assert found.faults.refused == ()
    assert [each[:2] for each in found.faults.refused_gaze] == [("e0", "cc"), ("e1", "cc")]
    with pytest.raises(DataError, match="no recording of exam e0, view cc"):
        run(exams, tmp_path / "raw", tmp_path / "out", **options)


def test_a_log_of_several_patients_gives_each_its_own_although_their_images_are_called_alike(tmp_path):
    """``P1/cc.png`` and ``P2/cc.png``: told apart by their folders, and by exam and view in any case."""
    exams = write_exams(tmp_path / "raw", 2)
    log = tmp_path / "raw" / "all.log"
    log.write_text(f"30,,,D:\\study\\P1\\cc.png\n70,,,D:\\study\\P2\\cc.png\n{X},E0,MLO,\n{X},E1,mlo,\n")
    moved = []
    for number, exam in enumerate(exams, start=1):
        folder = tmp_path / "raw" / f"P{number}"
        folder.mkdir()
        images = {view: path.rename(folder / f"{view}.png") for view, path in exam.images.items()}
        moved.append(replace(exam, images=images, gaze=dict.fromkeys(images, log)))
    run(moved, tmp_path / "raw", tmp_path / "out", crop="none", jobs=0, gaze_reader=lambda _: Named())
    dataset = PreparedDataset.open(tmp_path / "out")
    found = [[(each.x[0] - 2) / 0.3 for each in dataset.fixations(exam, "cc")] for exam in (0, 1)]
    np.testing.assert_allclose(found, [[30], [70]], atol=0.01)
    assert [len(dataset.fixations(exam, "mlo")) for exam in (0, 1)] == [1, 1]


def test_a_recording_that_names_its_exam_is_not_judged_by_folders(of_views):
    """Two blocks of one exam, each with an export of its images in a folder."""
    lines = [
        f"{x},{exam},,block{block}/{exam[1]}_{view}.png"
        for exam in ("e0", "e1")
        for x, view, block in ((30, "cc", 1), (35, "cc", 2), (40, "mlo", 1))
    ]
    assert of_views(*lines) == [[30.0, 35.0], [40.0]]


def test_what_is_left_out_for_its_folder_is_said(tmp_path):
    exams = write_exams(tmp_path / "raw", 2)
    log = tmp_path / "raw" / "all.log"
    log.write_text("30,,,D:/P1/cc.png\n70,,,D:/P2/cc.png\n")
    folder = tmp_path / "raw" / "P1"
    folder.mkdir()
    image = exams[0].images["cc"].rename(folder / "cc.png")
    (exams[0], other) = replace(exams[0], images={"cc": image}, gaze={"cc": log}), exams[1]
    other = replace(other, images={"cc": other.images["cc"]}, gaze={})
    told = run(
        [exams[0], other],
        tmp_path / "raw",
        tmp_path / "out",
        crop="none",
        jobs=0,
        gaze_reader=lambda _: Named(),
    )
    (line,) = [line for line in told.doubts() if "not joined" in line]
    assert line.startswith(
        "gaze on e0 cc: 1 more in its file: not joined, because recordings of several folders"
    )


def test_a_torn_row_of_a_table_that_exams_share_costs_one_of_them_its_gaze(tmp_path):
    exams = write_exams(tmp_path / "raw", 4)
    table = tmp_path / "raw" / "gaze.csv"
    rows = [[f"e{number},cc,0,300,{X},{Y}", f"e{number},cc,300,300,{X},{Y}"] for number in range(4)]
    rows[2].insert(1, f"e2,cc,{X}")
    table.write_text(
        "\n".join(["exam_id,view,start_ms,duration_ms,x,y", *(line for some in rows for line in some)]) + "\n"
    )
    exams = [replace(exam, gaze={"cc": table}) for exam in exams]
    options = {"crop": "none", "jobs": 0, "gaze_reader": lambda _: Plain()}
    summary = run(exams, tmp_path / "raw", tmp_path / "out", **options)
    assert (summary.exams, summary.with_gaze["cc"]) == (4, 3)
    (refused,) = summary.refused_gaze
    assert (refused.about, refused.what) == (
        "e2 cc",
        "the gaze file of view cc (exam e2, view cc): row 7: 3 cells; expected 6 like the first row; a cell that holds "
        "a comma must stand in quotes",
    )
    ((_, _, told),) = validate(Listed(exams), tmp_path / "raw", **options).faults.refused_gaze
    assert told.startswith("gaze.csv (exam e2, view cc): row 7: 3 cells")
    with pytest.raises(DataError, match=r"exam e2: gaze on cc: .* row 7: 3 cells"):
        run(exams, tmp_path / "raw", tmp_path / "strict", on_bad_exam="error", **options)
    joined = run(
        exams, tmp_path / "raw", tmp_path / "joined", recordings=list(Plain().read(table)), **options
    )
    assert (joined.with_gaze["cc"], [each.about for each in joined.refused_gaze]) == (3, ["e2 cc"])
