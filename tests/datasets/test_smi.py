"""SMI's text exports: samples and events, eyes, images by messages, geometry, the two files of a gaze, each fault."""

import math

import numpy as np
import pytest
from gaze_formats import READERS
from gazekit_datasets.gaze_readers.smi import SMI

from gazekit.errors import DataError
from gazekit.gaze.formats import gaze_files, nothing_read

ABOUT = (
    "## [iView]\n## Version:\tIDF Converter 3.0.20\n## Sample Rate:\t60\n## Number of Samples:\t9         \n"
    "## [Run]\n## Subject:\tP07\n## Description:\t   \n## [Calibration]\n## Calibration Area:\t1920\t1080\n"
    "## [Geometry]\n## Stimulus Dimension [mm]:\t480\t270\n## Head Distance [mm]:\t700\n## \n"
)
BOTH = "Time\tType\tTrial\tL POR X [px]\tL POR Y [px]\tR POR X [px]\tR POR Y [px]\tL Validity\tR Validity\tAux1\n"
LEFT = "Time\tType\tTrial\tL POR X [px]\tL POR Y [px]\n"
BEGAZE = (
    "[BeGaze]\nConverted from:\tE:\\a.idf\nVersion:\tBeGaze 3.5.90\nSample Rate:\t120\nSubject:\tMT4\n"
    "Stimulus:\ta.avi\n\n"
    "Table Header for Fixations:\nEvent Type,Trial,Number,Start,End,Duration,Location X,Location Y,Dispersion X\n\n"
    "Table Header for Saccades:\nEvent Type,Trial,Number,Start,End,Duration,Start Loc.X\n\n"
    "Table Header for Blinks:\nEvent Type,Trial,Number,Start,End,Duration\n\n"
    "Table Header for User Events:\nEvent Type,Trial,Number,Start,Description\n\n"
)


def write(folder, text, name="gaze.txt", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def read(path, **options):
    return list(SMI(**options).read(path))


def one(path, **options):
    (found,) = read(path, **options)
    return found


def test_samples_are_the_mean_of_the_eyes_in_pixels_and_microseconds(tmp_path):
    rows = (
        "1000\tSMP\t1\t10\t20\t30\t40\t1\t1\t\n2000\tSMP\t1\t10\t20\t30\t40\t1\t0\n"
        "3000\tSMP\t1\t0.00\t0.00\t30\t40\t1\t1\t\n4000\tSMP\t1\t0.00\t0.00\t0.00\t0.00\t0\t0\t\n"
        "5000\tSMP\t1\t10\t20\t30\t40\t0\t0\t\n6000\tSMP\t1\t-5\t2000\t-\t-\t1\t1\t\t\n"
    ).replace("\t1\t0\n", "\t1\t0\t\n")
    path = write(tmp_path, ABOUT + BOTH + rows)
    assert [name for name, reader in READERS.items() if reader.fits(path)] == ["smi"]
    found = one(path)
    np.testing.assert_array_equal(found.t_ms, [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(found.x, [20, 10, 30, np.nan, np.nan, -5])
    np.testing.assert_array_equal(found.y, [30, 20, 40, np.nan, np.nan, 2000])
    assert (found.reader, found.image, found.on_screen, found.duration_ms) == ("P07", None, True, None)
    np.testing.assert_array_equal(one(path, eye="left").x, [10, 10, np.nan, np.nan, np.nan, -5])
    np.testing.assert_array_equal(one(path, eye="right").x, [30, np.nan, 30, np.nan, np.nan, np.nan])
    with pytest.raises(DataError, match="set the reader's option shown"):
        found.in_image_pixels(400)
    assert one(path, shown=(5, 6, 100, 50)).y[0] == 24


def test_the_header_gives_pixels_per_degree_and_how_they_are_stretched(tmp_path):
    row = LEFT + "1000\tSMP\t1\t10\t20\n"
    found = one(write(tmp_path, ABOUT + row))
    assert found.pixels_per_degree == pytest.approx(4 * 700 * math.tan(math.radians(1)))
    assert found.stretch == 1
    found = one(write(tmp_path, ABOUT.replace("480\t270", "480\t300") + row))
    assert found.stretch == pytest.approx(4 / 3.6)
    for lacking in ("480\t270", "480", "0\t0", "wide\thigh"):
        changed = ABOUT.replace("Distance [mm]:\t700", "Distance [mm]:\t") if lacking == "480\t270" else ABOUT
        found = one(write(tmp_path, changed.replace("480\t270", lacking) + row))
        assert (found.pixels_per_degree, found.stretch) == (None, 1)


def test_messages_that_are_names_of_files_say_which_image_appears(tmp_path):
    rows = (
        "1000\tSMP\t1\t1\t1\n1500\tMSG\t1\t# Message: a b.jpg\n2000\tSMP\t1\t2\t2\n"
        "2500\tMSG\t1\t# Message: UE-mouseclick left x=407 y=378\n2600\tMSG\t1\t# Message: score 0.5\n"
        "3000\tSMP\t1\t3\t3\n"
        "3500\tMSG\t1\t# Message: c.bmp\n3600\tMSG\t1\t# Message: d.png\n4000\tSMP\t1\t4\t4\n"
        "4500\tMSG\t1\t# Message: d.png\n5000\tSMP\t1\t5\t5\n6000\tSMP\t2\t6\t6\n"
        "6500\tMSG\t2\t# Message: e.png\n7000\tSMP\t3\t7\t7\n8000\tSMP\t3\t8\t8\n"
    )
    found = read(write(tmp_path, ABOUT + LEFT + rows))
    assert [(each.image, each.x.tolist()) for each in found] == [
        ("a b.jpg", [2, 3]),
        ("d.png", [4]),
        ("d.png", [5]),
        (None, [6]),  # a trial that names none is not of the image before
        ("e.png", [7, 8]),
    ]


def test_without_images_each_trial_is_a_recording(tmp_path):
    rows = "1000\tSMP\t1\t1\t1\n2000\tMSG\t2\t# Message: go\n3000\tSMP\t2\t2\t2\n"
    found = read(write(tmp_path, ABOUT + LEFT + rows))
    assert [(each.image, each.x.tolist()) for each in found] == [(None, [1]), (None, [2])]


def test_begaze_has_a_column_for_the_stimulus_and_for_blinks(tmp_path):
    header = "Time,Type,Trial,L POR X [px],L POR Y [px],L Event Info,Stimulus\n"
    rows = (
        "1000,SMP,1,1,1,Fixation,-\n2000,SMP,1,2,2,Saccade,a.jpg\n2500,MSG,1,# Message: other.jpg\n"
        "3000,SMP,1,3,3,Blink,a.jpg\n4000,SMP,1,4,4,-,b.jpg\n"
    )
    about = ABOUT.replace("## ", "").replace("[iView]", "[BeGaze]")
    path = write(tmp_path, about + header + rows)
    assert [name for name, reader in READERS.items() if reader.fits(path)] == ["smi"]
    first, second = read(path)
    assert (first.image, second.image, first.reader) == ("a.jpg", "b.jpg", "P07")
    np.testing.assert_array_equal(first.x, [2, np.nan])
    np.testing.assert_array_equal(second.x, [4])


@pytest.mark.parametrize("separator", [",", "\t"])
def test_fixations_of_an_eye_count_while_their_image_was_shown(tmp_path, separator):
    rows = (
        "UserEvent,1,1,1000,# Message: a.jpg\nSaccade L,1,1,0,1000,1000,3\n"
        "Fixation L,1,1,500,2500,2000,10.5,20,4\nFixation R,1,1,500,2500,2000,99,99,4\nBlink L,1,1,2500,2600,100\n"
        "UserEvent,1,2,3000,# Message: UE-keypress a, b\nUserEvent,1,3,4000,# Message: b.jpg\n"
        "Fixation L,1,2,3500,5500,2000,30,40,4\nFixation L,2,3,6000,7000,1000,-,-,4\n"
        "Fixation L,3,4,8000,9000,1000,50,60,4\n"
    )
    path = write(tmp_path, (BEGAZE + rows).replace(":\t", f":{separator}").replace(",", separator))
    assert [name for name, reader in READERS.items() if reader.fits(path)] == ["smi"]
    with pytest.raises(
        DataError, match="fixations of both eyes; expected those of one; set the reader's option eye"
    ):
        read(path)
    first, second, third = read(path, eye="left")
    assert (first.image, second.image, first.reader) == ("a.jpg", "b.jpg", "MT4")
    np.testing.assert_allclose(first.t_ms, [1, 3.5])
    np.testing.assert_allclose(first.duration_ms, [1.5, 0.5])
    np.testing.assert_allclose(first.x, [10.5, 30])
    np.testing.assert_allclose(second.t_ms, [4, 6])
    np.testing.assert_allclose(second.duration_ms, [1.5, 1])
    np.testing.assert_array_equal(second.y, [40, np.nan])
    assert (third.image, third.t_ms.tolist()) == (
        None,
        [8],
    )  # a trial that names none is not of the image before
    assert len(read(path, eye="right")) == 1


def test_events_without_messages_are_of_the_stimulus_of_the_header(tmp_path):
    rows = "Fixation L,1,1,500,2500,2000,10,20,4\nFixation L,2,1,3500,4500,1000,30,40,4\n"
    found = read(write(tmp_path, BEGAZE + rows))
    assert [(each.image, each.x.tolist()) for each in found] == [("a.avi", [10]), ("a.avi", [30])]


def test_lines_whose_type_is_damaged_are_counted(tmp_path):
    sound = "1000\tSMP\t1\t10\t20\n1200\tMSG\t1\t# Message: go\n"
    assert one(write(tmp_path, ABOUT + LEFT + sound)).notes == ()
    rows = "1500\tMS6\t1\t# Message: a.jpg\n2000\tSnP\t1\t2\t2\n2500\t\t1\t2\t2\n2700\tUE\t1\tkey\n"
    found = one(write(tmp_path, ABOUT + LEFT + sound + rows + "3000\tSMP\t1\t10\t20\n"))
    assert found.x.tolist() == [10, 10]
    assert found.notes == (
        "left out 3 lines whose type is damaged (the first: row 17, 'MS6'); gaze, or the name of an image, may be "
        "missing; export the recording again",
    )
    rows = "Fixation L,1,1,500,2500,2000,10,20,4\nTrigger Line,1,2,3000,5\nSaccade R,1,1,0,1000,1000,3\n"
    assert one(write(tmp_path, BEGAZE + rows)).notes == ()
    rows += "FixatiXn L,1,2,2600,3500,900,10,20,4\nUserEven,1,1,4000,# Message: b.jpg\n"
    (said,) = one(write(tmp_path, BEGAZE + rows)).notes
    assert "left out 2 lines whose type is damaged (the first: row 23, 'FixatiXn L')" in said


def test_of_the_two_files_of_a_gaze_one_is_read(tmp_path):
    gaze = write(tmp_path, ABOUT + LEFT + "1000\tSMP\t1\t10\t20\n", "P07 Samples.txt")
    events = write(tmp_path, BEGAZE + "Fixation L,1,1,500,2500,2000,10,20,4\n", "P07 Events.txt")
    assert [len(read(path)) for path in (gaze, events)] == [1, 0]
    assert [len(read(path, events="fixations")) for path in (gaze, events)] == [0, 1]
    assert SMI().beside(events) == [gaze] and SMI().beside(gaze) == []
    files, _ = gaze_files(events, READERS)
    assert "its gaze is read from P07 Samples.txt; give that file" in str(nothing_read(events, files))
    gaze.write_text("another text\n")
    assert len(read(events)) == 1


def test_other_encodings_of_messages_are_read(tmp_path):
    rows = "1000\tMSG\t1\t# Message: Übung.jpg\n2000\tSMP\t1\t10\t20\n"
    assert one(write(tmp_path, ABOUT + LEFT + rows, encoding="cp1252")).image == "Übung.jpg"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not an export of samples or fixations by SMI's"),
        ("a,b\n1,2\n", "not an export of samples or fixations by SMI's"),
        (ABOUT, "not an export of samples or fixations by SMI's"),
        (ABOUT + LEFT, "holds no gaze"),
        (BEGAZE, "holds no gaze"),
        (
            ABOUT + LEFT.replace("L POR X", "L Raw X"),
            r"expected L POR X \[px\] or R POR X \[px\]; export the point",
        ),
        (ABOUT + LEFT.replace("\tL POR Y [px]", ""), r"expected L POR Y \[px\], once each"),
        (BEGAZE.replace("Location Y", "Y"), "expected Location Y, once each"),
        (ABOUT + LEFT + "1000\tSMP\t1\t10\n", "row 15: 4 cells; expected 5 like the columns in row 14"),
        (ABOUT + LEFT + "1000\tSMP\n", "row 15: 2 cells, .*; expected time, type, trial"),
        (ABOUT + LEFT + "soon\tSMP\t1\t10\t20\n", "row 15: Time is 'soon'"),
        (ABOUT + LEFT + "2000\tSMP\t1\t10\t20\n1000\tSMP\t1\t1\t2\n", "row 16: time 1 ms after 2 ms"),
        (ABOUT + LEFT + "1000\tSMP\t1\there\t20\n", r"row 15: L POR X \[px\] is 'here'"),
        (ABOUT + LEFT + "1000\tSMP\t1\t10\t2\0\n", "row 15: no line of text"),
        (ABOUT + LEFT + "1" * 2**16, "row 15: no line of text"),
        (
            BEGAZE + "Fixation L,1,1,500,2500,2000,10\n",
            "row 20: 7 cells; expected 9 like the columns in row 9",
        ),
        (BEGAZE + "Fixation L,1,1,500,2500,-2000,10,20,4\n", "row 20: the fixation lasts -2 ms"),
        (BEGAZE + "UserEvent,1,1,soon,# Message: a.jpg\n", "row 20: Start is 'soon'; expected a number"),
    ],
)
def test_a_fault_is_named_with_its_row(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def faults(recordings):
    return [(each.image, each.fault and each.fault[:14], each.x.tolist()) for each in recordings]


@pytest.mark.parametrize(
    ("line", "of_next"),
    [
        ("2500\tSMP\t2\there\t20", None),
        ("500\tSMP\t2\t1\t1", None),
        ("2500\tSMP\t1", "row 19: 3 cell"),
        ("2500\tSMP\t1\t1", "row 19: 4 cell"),
    ],
)
def test_a_damaged_line_costs_its_image_and_a_torn_one_that_after_it(tmp_path, line, of_next):
    rows = "".join(f"{i}000\tMSG\t{i}\t# Message: {i}.jpg\n{i}100\tSMP\t{i}\t{i}\t1\n" for i in (1, 2, 3, 4))
    after = "2600\tSMP\t2\t2\t2\n" if of_next is None else ""
    rows = rows.replace("3000\t", f"{line}\n{after}3000\t")
    found = faults(read(write(tmp_path, ABOUT + LEFT + rows)))
    assert found[0] == ("1.jpg", None, [1]) and found[3] == ("4.jpg", None, [4])
    assert found[1] == ("2.jpg", f"row 19: {found[1][1][8:]}", [])
    assert found[2] == ("3.jpg", of_next, [3] if of_next is None else [])


@pytest.mark.parametrize(
    ("line", "of_images", "of_trials"),
    [
        ("Fixation L,2,2,here,2500,100,1,1,4", "011", "010"),
        ("Fixation L,2,2,2450,2500,-100,1,1,4", "011", "010"),
        ("Fixation L,2,2", "011", "011"),
        ("UserEvent,2,1,soon,# Message: x.jpg", "1011", None),
    ],
)
def test_a_damaged_event_costs_the_images_around_it_or_its_trial(tmp_path, line, of_images, of_trials):
    """A fixation at 100 and one at 400 of each image or trial; the damaged line comes after the second of number 2."""

    def text(*, names):
        for i in (1, 2, 3):
            yield f"UserEvent,{i},{i},{i}000,# Message: {i}.jpg" if names else ""
            yield from (f"Fixation L,{i},{i},{i}{at},{i}{at}50,50,{i},1,4" for at in ("100", "400"))
            yield line if i == 2 else ""

    for names, expected in ((True, of_images), (False, of_trials)):
        if expected is not None:
            found = read(write(tmp_path, BEGAZE + "\n".join(text(names=names)) + "\n"), eye="left")
            assert "".join("1" if each.fault else "0" for each in found) == expected, faults(found)
            assert all((len(each.x) == 0) == (each.fault is not None) for each in found)


def test_an_eye_that_was_not_recorded_is_named(tmp_path):
    path = write(tmp_path, ABOUT + LEFT + "1000\tSMP\t1\t10\t20\n")
    with pytest.raises(DataError, match=r"expected R POR X \[px\]; .* option eye"):
        read(path, eye="right")
