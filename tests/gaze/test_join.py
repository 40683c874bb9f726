"""Joining recordings to exams: matches, leftovers, and nothing guessed."""

import time
from pathlib import Path

import numpy as np
import pytest

from gazekit.errors import DataError
from gazekit.gaze.image_names import Meant, looking_at, named_by, read_names
from gazekit.gaze.matching import DOUBTFUL, join
from gazekit.records.exam import Exam
from gazekit.records.recording import Recording


def exam(exam_id, **images):
    return Exam(exam_id, "P1", "0", {view: Path(image) for view, image in images.items()})


def recording(**about):
    return Recording(Path("gaze.csv"), np.array([1.0]), np.array([2.0]), **about)


EXAMS = [exam("A", cc="img/a_cc.dcm", mlo="img/a_mlo.dcm"), exam("B", cc="img/b_cc.dcm"), exam("C")]


def test_a_recording_names_the_folder_of_its_image_and_a_whole_address():
    assert str(recording(image=r"C:\study\P1\cc.png")) == "gaze.csv (image P1/cc.png)"
    for address in ("https://viewer.example/P1/cc.png?frame=1", "http://viewer.example"):
        assert str(recording(image=address)) == f"gaze.csv (image {address})"


def test_exam_and_view_join_and_the_rest_is_reported_on_both_sides():
    first, second = recording(exam_id="A", view="cc"), recording(exam_id="A", view="cc")
    stranger, wrong_view = recording(exam_id="Z", view="cc"), recording(exam_id="B", view="mlo")
    joined = join([first, stranger, second, wrong_view], EXAMS)
    assert list(joined.matched) == [("A", "cc")]
    assert len(joined.matched["A", "cc"]) == 2
    assert joined.matched["A", "cc"][0] is first
    assert joined.matched["A", "cc"][1] is second
    assert len(joined.unmatched_recordings) == 2
    assert joined.unmatched_recordings[0] is stranger
    assert joined.unmatched_recordings[1] is wrong_view
    assert joined.exams_without == [("A", "mlo"), ("B", "cc")]


@pytest.mark.parametrize(
    "image", ["a_mlo.dcm", "a_mlo.png", "a_mlo", "A_MLO.PNG", "D:\\study\\new\\a_mlo.png", "study/a_mlo.jpg"]
)
def test_image_names_join_with_any_folder_suffix_and_case(image):
    assert list(join([recording(image=image)], EXAMS).matched) == [("A", "mlo")]


def test_dots_inside_an_image_name_are_not_a_suffix():
    exams = [exam("A", cc="1.2.840.7.dcm"), exam("B", cc="1.2.840.8.dcm")]
    assert list(join([recording(image="1.2.840.8")], exams).matched) == [("B", "cc")]


def test_the_whole_name_goes_before_the_name_without_suffix():
    exams = [exam("A", cc="left/1.png"), exam("B", cc="right/1.dcm")]
    assert list(join([recording(image="1.dcm")], exams).matched) == [("B", "cc")]


def test_exam_and_view_go_before_the_image_name():
    found = join([recording(exam_id="B", view="cc", image="a_cc.png")], EXAMS)
    assert list(found.matched) == [("B", "cc")]


def test_an_exam_of_one_image_takes_any_name_of_it_but_not_what_was_shown_beside_it():
    own, other = (recording(exam_id="B", image=name) for name in ("b_cc.png", "noise.png"))
    assert join([other], EXAMS).matched["B", "cc"] == [other]
    joined = join([own, other], EXAMS)
    assert joined.matched == {("B", "cc"): [own]} and joined.unmatched_recordings == [other]


def test_the_images_of_an_exam_are_told_apart_by_their_names():
    """Other exams may have images of the same names."""
    exams = [exam(name, cc=f"{name}/cc.dcm", mlo=f"{name}/mlo.dcm") for name in "AB"]
    joined = join([recording(exam_id="B", image="mlo.png"), recording(exam_id="A", image="cc.png")], exams)
    assert list(joined.matched) == [("B", "mlo"), ("A", "cc")]


def test_an_image_name_that_fits_two_exams_is_an_error():
    exams = [exam("A", cc="a/1-1.dcm"), exam("B", cc="b/1-1.dcm")]
    with pytest.raises(DataError, match="fits 2 images, such as exam A view cc and exam B view cc"):
        join([recording(image="1-1.png")], exams)


def test_case_of_exam_and_view_does_not_matter_where_it_tells_nothing_apart():
    joined = join([recording(exam_id="a", view="CC"), recording(exam_id="b")], EXAMS)
    assert list(joined.matched) == [("A", "cc"), ("B", "cc")]
    exams = [exam("e1", cc="1.png"), exam("E1", cc="2.png", CC="3.png")]
    own = [recording(exam_id="E1", view="CC"), recording(exam_id="e1", view="Cc")]
    assert list(join(own, exams).matched) == [("E1", "CC"), ("e1", "cc")]
    both = [Exam("Eß", "P1", "0", {"cc": Path("1.png")}), Exam("ESS", "P1", "0", {"cc": Path("2.png")})]
    with pytest.raises(DataError, match="none of the 2 gaze recordings"):
        join([recording(exam_id="ess", view="cc"), recording(exam_id="Ess", view="cc")], both)
    with pytest.raises(DataError, match="none of the 1 gaze recordings"):
        join([recording(exam_id="E1", view="Cc")], exams)


def test_nothing_matching_shows_an_example_of_each_side():
    with pytest.raises(DataError) as caught:
        join([recording(exam_id="a1", view="CC"), recording(exam_id="b1", view="CC")], EXAMS)
    message = str(caught.value)
    assert "none of the 2 gaze recordings matches any of the 3 exams" in message
    assert "exam a1, view CC" in message
    assert "A (cc = a_cc.dcm, mlo = a_mlo.dcm)" in message


@pytest.mark.parametrize(("recordings", "exams", "message"), [(0, 3, "no gaze recording"), (1, 0, "no exam")])
def test_one_side_empty_is_an_error(recordings, exams, message):
    with pytest.raises(DataError, match=message):
        join([recording(exam_id="A", view="cc")] * recordings, EXAMS[:exams])


def named(file, **about):
    return Recording(Path(file), np.array([1.0]), np.array([2.0]), **about)


@pytest.mark.parametrize("file", ["a_mlo.csv", "sub/A_MLO.TSV", "a_mlo.dcm.csv", "a_mlo"])
def test_a_recording_that_names_nothing_is_called_like_its_image(file):
    assert list(join([named(file)], EXAMS).matched) == [("A", "mlo")]


def test_a_recording_that_names_something_is_not_judged_by_its_file():
    joined = join(
        [named("a_mlo.csv", image="other.png"), named("a_cc.csv", exam_id="Z"), named("b_cc.csv")], EXAMS
    )
    assert list(joined.matched) == [("B", "cc")]
    assert len(joined.unmatched_recordings) == 2


def test_an_exam_alone_is_enough_where_it_has_one_image():
    joined = join([recording(exam_id="B"), recording(exam_id="A")], EXAMS)
    assert list(joined.matched) == [("B", "cc")]
    assert [one.exam_id for one in joined.unmatched_recordings] == ["A"]


def test_a_file_name_that_fits_two_images_is_an_error():
    exams = [exam("A", cc="a/1-1.dcm"), exam("B", cc="b/1-1.dcm")]
    with pytest.raises(DataError, match=r"1-1\.csv: the image name fits 2 images"):
        join([named("1-1.csv")], exams)


def test_a_folder_that_holds_one_image_alone_names_it():
    exams = [exam("A", cc="root/P_1_LEFT_CC/study/1-1.dcm"), exam("B", cc="root/P_2_LEFT_CC/study/1-1.dcm")]
    joined = join([named("P_2_left_cc.csv"), recording(image="P_1_LEFT_CC.png"), named("root.csv")], exams)
    assert [key[0] for key in joined.matched] == ["B", "A"]
    assert [one.source.name for one in joined.unmatched_recordings] == ["root.csv"]


def test_a_table_of_names_says_which_image_is_meant(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("name;exam_id;view\nSlide 1.PNG;A;mlo\nsession7;B;cc\n")
    slide, file, other = recording(image="slide 1.png"), named("x/SESSION7.csv"), named("a_cc.csv")
    joined = join(named_by([slide, file, other], read_names(path)), EXAMS)
    assert list(joined.matched) == [("A", "mlo"), ("B", "cc"), ("A", "cc")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,exam_id\na,A\n", "no column view"),
        ("name,exam_id,view\n", "no rows below the header"),
        ("name,exam_id,view\na,,cc\n", "row 2: exam_id is empty"),
        ("name,exam_id,view\na,A,cc\nA,B,cc\n", "row 3: name 'a' comes again, first in row 2"),
    ],
)
def test_a_table_of_names_with_a_fault_is_one_line(tmp_path, text, message):
    path = tmp_path / "names.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_names(path)


@pytest.mark.parametrize("suffix", [".png", ".dcm", ""])
def test_the_last_part_of_a_uid_is_no_suffix(suffix):
    """``1.2.840.5.7`` is not an export of ``1.2.840.5``; an image may be called by its UID alone."""
    exams = [exam("A", cc=f"1.2.840.5{suffix}"), exam("B", cc=f"1.2.840.7{suffix}")]
    stranger, known = recording(image="1.2.840.5.7"), recording(image="1.2.840.5")
    joined = join([stranger, known], exams)
    assert joined.unmatched_recordings == [stranger]
    assert joined.matched == {("A", "cc"): [known]}
    export = recording(image="1.2.840.7.png")
    assert list(join([export], exams).matched) == [("B", "cc")]


def test_an_image_is_looked_at_by_what_names_it_whole_or_without_its_suffix():
    whole, bare = recording(image="a.cc.7"), recording(image="D:\\x\\A.CC")
    unnamed, other = recording(), recording(image="b.png")
    assert looking_at([whole, bare, unnamed, other], Path("a.cc.png")) == [bare]
    assert looking_at(
        [recording(image="a_cc.png"), known := recording(image="a_cc.dcm")], Path("a_cc.dcm")
    ) == [known]
    assert looking_at([unnamed, other], Path("c.png")) == [unnamed]
    assert looking_at([unnamed, other], Path("c.png"), called="b.png") == [other]
    for some in ([other], [unnamed, whole]):
        with pytest.raises(DataError, match=r"gaze.csv: no recording of c\.png, .* --image-name"):
            looking_at(some, Path("c.png"), called=None if some == [other] else "c.png")


def test_an_image_is_looked_at_by_what_names_it_and_by_what_has_its_exam_and_view():
    """One reader's tracker knows the image, another reader's table the exam and view: both looked at it."""
    tracked, table = recording(image="E1 cc.png"), recording(exam_id="E1", view="cc")
    others = [recording(exam_id="E1", view="mlo"), recording(exam_id="E1"), recording()]
    assert looking_at([tracked, table, *others], Path("E1 cc.png")) == [tracked, table]


def of_images(*names):
    return [recording(image=name) for name in names]


ONE_PATIENT = [exam("P1", cc="/d/P1/cc.png", mlo="/d/P1/mlo.png")]
TWO_PATIENTS = [*ONE_PATIENT, exam("P2", cc="/d/P2/cc.png", mlo="/d/P2/mlo.png")]


def test_another_patients_gaze_is_not_joined_to_an_image_called_alike():
    own, other = of_images("D:\\study\\P1\\cc.png", "D:\\study\\P2\\cc.png")
    joined = join([own, other], ONE_PATIENT)
    assert joined.matched == {("P1", "cc"): [own]}
    (left,) = joined.unmatched_recordings
    assert left.image == other.image and left.notes == (DOUBTFUL,) and "--names" in DOUBTFUL
    assert str(left) == "gaze.csv (image P2/cc.png)"


@pytest.mark.parametrize("path", ["D:\\study\\P2\\cc.png", "//host/share/p2/CC.PNG", "P2/cc.jpg", "x/P2\\cc"])
def test_of_images_called_alike_the_one_in_the_same_folder_is_meant(path):
    assert list(join(of_images(path), TWO_PATIENTS).matched) == [("P2", "cc")]


def test_more_folders_go_before_the_suffix_and_the_suffix_before_none():
    exams = [exam("A", cc="/d/left/1.png"), exam("B", cc="/d/right/1.dcm")]
    found = [
        next(iter(join(of_images(name), exams).matched)) for name in ("right/1.png", "1.png", "new/1.png")
    ]
    assert [key[0] for key in found] == ["B", "A", "A"]


def test_folders_that_the_images_do_not_have_do_not_matter_where_all_recordings_have_them():
    some = of_images("E:\\export\\a_cc.png", "export\\a_cc.png", "a_cc.png", "E:\\export\\b_cc.png")
    joined = join(some, EXAMS)
    assert joined.matched == {("A", "cc"): some[:3], ("B", "cc"): some[3:]}


def test_recordings_of_several_folders_are_not_one_image_by_its_name_alone():
    bare, *some = of_images("cc.png", "P7/cc.png", "P8/cc.png")
    joined = join([bare, *some], ONE_PATIENT)
    assert joined.matched == {("P1", "cc"): [bare]}
    assert [each.image for each in joined.unmatched_recordings] == ["P7/cc.png", "P8/cc.png"]
    with pytest.raises(DataError, match=r"P7/cc\.png\), and 1 more recordings: not joined.* --names"):
        join(some, ONE_PATIENT)
    known, stranger = of_images("P2/cc.png", "P7/cc.png")
    joined = join([known, stranger], TWO_PATIENTS)
    assert joined.matched == {("P2", "cc"): [known]} and joined.unmatched_recordings[0].notes == (DOUBTFUL,)


def test_folders_that_hold_one_image_are_told_apart_by_those_above_them():
    exams = [exam("A", cc="/d/old/LEFT_CC/1-1.dcm"), exam("B", cc="/d/old/RIGHT_CC/1-1.dcm")]
    own, other = of_images("old/LEFT_CC.png", "new/LEFT_CC.png")
    joined = join([own, other], exams)
    assert joined.matched == {("A", "cc"): [own]} and len(joined.unmatched_recordings) == 1


def test_the_views_of_an_exam_are_told_apart_by_their_folders():
    exams = [exam("A", cc="/d/A/cc/1.png", mlo="/d/A/mlo/1.png")]
    assert list(join([recording(exam_id="A", image="x/mlo/1.png")], exams).matched) == [("A", "mlo")]


def test_a_table_of_names_may_have_folders(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("name,exam_id,view\nP7\\cc.png,P1,cc\np8/CC,P2,cc\ncc.png,P2,mlo\n")
    some = of_images("D:\\study\\P7\\cc.png", "P8/cc.png", "D:\\P9\\cc.png")
    joined = join(named_by(some, read_names(path)), TWO_PATIENTS)
    assert list(joined.matched) == [("P1", "cc"), ("P2", "cc"), ("P2", "mlo")]
    path.write_text("name,exam_id,view\nP7\\cc.png,P1,cc\np7/CC.png,P2,cc\n")
    with pytest.raises(DataError, match=r"row 3: name 'p7/cc\.png' comes again, first in row 2"):
        read_names(path)


def test_an_image_is_looked_at_by_recordings_of_its_own_folder():
    own, other = of_images("D:\\study\\P1\\cc.png", "D:\\study\\P2\\cc.png")
    assert looking_at([own, other], Path("/d/P1/cc.png")) == [own]
    assert looking_at([own, other], Path("/d/x.png"), called="P2/cc.png") == [other]
    assert looking_at([other], Path("/d/P1/cc.png")) == [other]
    with pytest.raises(
        DataError, match=r"no recording of cc\.png, but of P1/cc\.png, P2/cc\.png; .* --image-name"
    ):
        looking_at([own, other, recording()], Path("/d/new/cc.png"))


@pytest.mark.parametrize(
    "images",
    [
        ["r1/a_cc.png", "r2/a_cc.png", "r1/b_cc.png", "r2/b_cc.png", "r1/a_mlo.png"],
        ["block1/a_cc.png", "block2/a_cc.png", "block2/b_cc.png"],
        ["images/a_cc.png", "export/a_cc.png", "export/b_cc.png"],
    ],
)
def test_a_folder_per_reader_or_block_takes_no_gaze_away(images):
    """The names tell the exam."""
    joined = join([recording(image=f"C:\\study\\{image}") for image in images], EXAMS)
    assert not joined.unmatched_recordings


def test_a_folder_of_several_exams_is_no_patients_though_the_names_tell_no_exam():
    exams = [exam("E1", cc="/d/x1.png"), exam("E2", cc="/d/x2.png")]
    images = ["r1/x1.png", "r2/x1.png", "r1/x2.png", "r2/x2.png"]
    assert len(join([recording(image=image) for image in images], exams).matched["E1", "cc"]) == 2


def test_twice_the_patients_with_images_called_alike_take_about_twice_as_long():
    def seconds(patients):
        exams = [exam(f"P{i}", cc=f"/d/P{i}/cc.png", mlo=f"/d/P{i}/mlo.png") for i in range(patients)]
        names = [f"C:\\s\\P{i}\\{view}.png" for i in range(patients) for view in ("cc", "mlo")]
        start = time.process_time()
        joined = join([recording(image=name) for name in names], exams)
        assert len(joined.matched) == 2 * patients
        return time.process_time() - start

    few, many = (min(seconds(patients) for _ in range(3)) for patients in (500, 2000))
    assert many < 6 * few, "the square would be sixteen times"


def test_the_share_of_a_network_path_is_a_folder():
    exams = [exam(f"E{i}", cc=f"/d/P{i}/cc.png") for i in (1, 2)]
    joined = join([recording(image="\\\\server\\P2\\cc.png")], exams)
    assert list(joined.matched) == [("E2", "cc")]


def of_file(path):
    return Recording(Path(path), np.zeros(1), np.zeros(1))


def test_a_recording_that_names_nothing_is_of_the_image_in_the_folder_of_its_name():
    exams = [exam(f"e{number}", cc=f"/data/raw/P{number}/cc.png") for number in (1, 2)]
    first, second = of_file("/home/gaze/P1/cc.csv"), of_file("/home/gaze/P2/cc.csv")
    joined = join([second, first], exams)
    assert joined.matched == {("e1", "cc"): [first], ("e2", "cc"): [second]}
    alone = join([first, second], [exams[0], exam("e3", cc="/data/raw/P3/a_0003.png")])
    assert alone.matched == {("e1", "cc"): [first]}
    (left,) = alone.unmatched_recordings
    assert left.notes == (DOUBTFUL,)


def test_folders_that_tell_no_image_of_nameless_recordings_cost_nothing_or_those_alone():
    exams = [exam("e1", cc="/data/raw/P1/cc.png"), exam("e2", cc="/data/raw/P2/cc.png")]
    known = of_file("/home/gaze/P1/cc.csv")
    joined = join([known, of_file("/home/gaze/one/cc.csv")], exams)
    assert joined.matched == {("e1", "cc"): [known]}
    assert joined.unmatched_recordings[0].notes == (DOUBTFUL,)
    readers = [of_file("/home/gaze/ann/a.csv"), of_file("/home/gaze/ben/a.csv")]
    assert join(readers, [exam("x", cc="/data/raw/a.png")]).matched == {("x", "cc"): readers}


def test_a_table_names_files_by_their_folders_too():
    recordings = [of_file("/home/gaze/one/cc.csv"), of_file("/home/gaze/two/cc.csv")]
    names = {"one/cc": Meant("e1", "cc"), "two/cc.csv": Meant("e2", "mlo", "Ann")}
    found = named_by(recordings, names)
    assert [(each.exam_id, each.view, each.reader) for each in found] == [
        ("e1", "cc", None),
        ("e2", "mlo", "Ann"),
    ]
