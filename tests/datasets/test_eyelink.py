"""EyeLink ASC files: the real ones, a miniature with trials and images, and every way to damage them."""

from pathlib import Path

import numpy as np
import pytest
from gazekit_datasets.gaze_readers.eyelink import EyeLink

from gazekit.errors import DataError

REAL = Path(__file__).parents[3] / "shared" / "data" / "gaze" / "eyelink"
real = pytest.mark.skipif(not REAL.exists(), reason="the real recordings are not here")
MINIATURE = Path(__file__).parents[1] / "helpers/gaze_files" / "eyelink.asc"

HEAD = "** CONVERTED FROM a.edf using edfapi\n** TYPE: EDF_FILE BINARY EVENT SAMPLE TAGGED\n**\n"
START = (
    "MSG\t1 DISPLAY_COORDS 0 0 999 799\nSTART\t10 \tLEFT\tSAMPLES\tEVENTS\n"
    "EVENTS\tGAZE\tLEFT\tRATE\t 500.00\nSAMPLES\tGAZE\tLEFT\tRATE\t 500.00\n"
)


def read(tmp_path, text, **options):
    path = tmp_path / "a.asc"
    path.write_text(HEAD + text, encoding="utf-8")
    assert EyeLink().fits(path)
    return list(EyeLink(**options).read(path))


@real
def test_the_real_monocular_recording():
    (found,) = EyeLink().read(REAL / "eyelink_monocular_no_dummy_example.asc")
    assert (found.exam_id, found.image, len(found.x)) == ("TEXT", "Images/text.png", 297)
    assert (found.display_width, found.display_height) == (1920, 1080)  # IMGLOAD FILL
    assert found.t_ms[0] == 643197 and np.isnan(found.x[0])
    assert np.median(np.diff(found.t_ms)) == 2
    (events,) = EyeLink(events="fixations").read(REAL / "eyelink_monocular_no_dummy_example.asc")
    np.testing.assert_array_equal(events.t_ms, [647815, 647927])
    np.testing.assert_array_equal(events.duration_ms, [86, 326])
    np.testing.assert_array_equal(events.x, [868.5, 708.1])


@real
def test_the_real_binocular_recording_by_eye():
    path = REAL / "eyelink_binocular_example.asc"
    left, right, both = (next(EyeLink(eye=eye).read(path)) for eye in ("left", "right", "both"))
    assert left.pixels_per_degree == pytest.approx((47.75 + 45.92) / 2)
    there = np.isfinite(left.x) & np.isfinite(right.x)
    np.testing.assert_allclose(both.x[there], (left.x + right.x)[there] / 2)
    one = np.isfinite(left.x) != np.isfinite(right.x)
    assert np.isfinite(both.x[one]).all()
    with pytest.raises(DataError, match=r"fixations of both eyes; .* set the reader's option eye"):
        list(EyeLink(events="fixations").read(path))


@real
@pytest.mark.parametrize(
    ("rate", "name"), [(1000, "eyelink_monocular_example.asc"), (2000, "eyelink_monocular_2khz_example.asc")]
)
def test_the_real_recordings_with_dummy_columns(rate, name):
    found = list(EyeLink().read(REAL / name))
    assert [each.exam_id for each in found] == ["0", "1", "2", "3", "4"]
    assert all(each.on_screen for each in found)
    assert found[0].x[0] == pytest.approx(138.1)
    assert found[0].t_ms[0] == (2154556.5 if rate == 2000 else 2154556)


def test_trials_images_and_blinks_of_the_miniature():
    first, second = EyeLink().read(MINIATURE)
    assert (first.exam_id, first.view, first.image) == ("P1_L", "cc", "img/P1_L_cc.png")
    assert second.view == "mlo" and first.pixels_per_degree == 41
    assert (first.display_width, first.display_height, first.on_screen) == (800, 1000, False)
    seen = np.isfinite(first.x)
    assert (~seen).sum() == 40
    np.testing.assert_allclose([np.median(first.x[:60]), np.median(first.y[:60])], [340, 260], atol=1)
    np.testing.assert_allclose(first.in_image_pixels(2000, 1600).y[seen], 2 * first.y[seen])
    (events, _) = EyeLink(events="fixations").read(MINIATURE)
    np.testing.assert_array_equal(events.duration_ms, [240, 320])
    np.testing.assert_array_equal(events.x, [340, 540])


def test_shown_takes_the_place_of_messages_and_without_either_it_is_the_screen(tmp_path):
    text = START + "12\t 300.0\t 200.0\t 500.0\t...\n14\t 302.0\t 204.0\t 500.0\t...\n"
    (found,) = read(tmp_path, text)
    assert found.on_screen and found.x.tolist() == [300, 302]
    with pytest.raises(DataError, match=r"pixels of the screen; .* option shown"):
        found.in_image_pixels(100)
    (found,) = read(tmp_path, text, shown=(100, 100, 400, 400))
    assert not found.on_screen
    known = found.in_image_pixels(800, 800)
    assert (known.x.tolist(), known.y.tolist()) == ([400, 404], [200, 208])


def test_calibration_lines_other_encodings_and_several_blocks(tmp_path):
    text = (
        "MSG\t1 !CAL Cal coeff:\n   81.87  0.24216  100.62\n12 34\n" + START + "12\t 1.0\t 2.0\t 3.0\t...\n"
        "END\t13 \tSAMPLES\tEVENTS\tRES\t  30.00\t  32.00\n99 1 2\n" + START + "20\t 4.0\t 5.0\t 3.0\t...\n"
    )
    (found,) = read(tmp_path, text)
    assert found.x.tolist() == [1, 4]
    path = tmp_path / "latin.asc"
    path.write_bytes((HEAD + "MSG 5 ÄÖÜ\n" + START + "12\t 1.0\t 2.0\t 3.0\t...\n").encode("cp1252"))
    assert len(list(EyeLink().read(path))) == 1


def damage_of(found):
    """What the recordings say of damaged lines, each the same."""
    (notes,) = {each.notes for each in found}
    return notes


def test_lines_whose_first_word_is_damaged_are_counted(tmp_path):
    sample = "12\t 1.0\t 2.0\t 3.0\t...\n"
    damaged = "MXG\t13 !V IMGLOAD FILL a.png\nx4\t 1.0\t 2.0\t 3.0\t...\nEFX L\t10\t20\t11\t1.0\t2.0\t3\n"
    assert damage_of(read(tmp_path, START + sample)) == ()
    (said,) = damage_of(read(tmp_path, START + sample + damaged + "MSG?16 TRIALID 2\n"))
    assert said == (
        "left out 4 lines whose type is damaged (the first: row 9, 'MXG'); gaze, or the name of an image, may be "
        "missing; convert the EDF file again"
    )
    (said,) = damage_of(read(tmp_path, START.replace("START", "STARP") + START + sample))
    assert "left out 1 line whose type is damaged (the first: row 5, 'STARP')" in said
    (said,) = damage_of(read(tmp_path, "MSG\t1 TRIALID a\n" + START + sample + "MS\t14 TRIALID b\n" + sample))
    assert "row 10, 'MS'" in said


@real
@pytest.mark.parametrize("path", sorted(REAL.glob("*.asc")), ids=lambda path: path.stem)
def test_no_line_of_a_real_recording_is_taken_for_damaged(path):
    assert all("damaged" not in note for each in EyeLink(eye="left").read(path) for note in each.notes)


def test_further_lines_of_a_message_and_comments_are_not_taken_for_damaged(tmp_path):
    text = (
        START
        + "MSG\t11 What did you see?\nThe lesion, and the\nother one; 2 of them\n# a comment\n>>>>>> END\n"
    )
    assert damage_of(read(tmp_path, text + "12\t 1.0\t 2.0\t 3.0\t...\n")) == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no samples in the file"),
        (START, "no samples in the file"),
        (START + "12\t 1.0\t 2.0\n", "row 8: a sample of 3 cells after SAMPLES names left"),
        (START + "12\n", "row 8: a sample of 1 cell after"),
        (START.replace("\tLEFT\tRATE", "\tRATE") + "12\t1\t2\t3\t...\n", "the eye recorded is not named"),
        (START.replace("LEFT", "RIGHT") + "12\t1\t2\t3\t...\n", None),
        (
            START.replace("SAMPLES\tGAZE", "SAMPLES\tHREF") + "12\t1\t2\t3\t...\n",
            "SAMPLES are HREF; expected GAZE",
        ),
        (START + "12\tone\t2\t3\t...\n", "row 8: x is 'one'; expected a number, or a point"),
        (START + "12\t1\tinf\t3\t...\n", "row 8: y is 'inf'"),
        (START + "12\t1\t1e400\t3\t...\n", "row 8: y is '1e400'"),
        (START + "12\t1_0\t2\t3\t...\n", "row 8: x is '1_0'"),
        (START + "12\t1e30\t2\t3\t...\n", "row 8: a number is beyond 1e"),
        (START + "12x\t1\t2\t3\t...\n", "row 8: the time is '12x'"),
        (START + "12\t1\t2\t3\t...\n8\t1\t2\t3\t...\n", "row 9: time 8 ms after 12 ms; expected ascending"),
        (START + "SBLINK X 12\n", "row 8: SBLINK names no eye"),
        (START + "EBLINK\n", "row 8: EBLINK names no eye"),
        (START.replace(" 500.00", " fast") + "12\t1\t2\t3\t...\n", "RATE is 'fast'"),
        (
            START + "MSG 11 !V IMGLOAD SIDEWAYS a.png\n",
            "the message is '!V IMGLOAD SIDEWAYS a.png'.*; expected",
        ),
        (START + "MSG 11 !V IMGLOAD CENTER\n", "expected !V IMGLOAD FILL file"),
        (START + "MSG 11 TRIALID 1\nMSG 12 TRIAL_RESULT 0\n13\t1\t2\t3\t...\n", "no samples in a trial"),
        ("MSG\t1 x\n" + "a" * 70_000, "no line of text"),
        ("MSG\t1 \0\n", "no line of text"),
        ("MSG\t1 DISPLAY_COORDS 0 0 -1 799\n", "expected left, top, right and bottom of the screen"),
    ],
)
def test_faults_name_file_and_row(tmp_path, text, message):
    if message is None:
        assert len(read(tmp_path, text)) == 1
        with pytest.raises(
            DataError,
            match="only the right eye was recorded; expected the left one; set the reader's option eye",
        ):
            read(tmp_path, text, eye="left")
        return
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert "a.asc" in str(caught.value) and "\n" not in str(caught.value)


def trials(line):
    """Three trials of two samples and a fixation each, with one more line in the second."""
    text = START
    for number in (1, 2, 3):
        t = 100 * number
        text += (
            f"MSG {t} TRIALID {number}\nMSG {t} !V IMGLOAD FILL {number}.png\n{t + 10} 1.0 2.0 3.0 ...\n"
            + (line + "\n" if number == 2 else "")
            + f"{t + 12} 1.0 2.0 3.0 ...\nEFIX L {t + 10} {t + 12} 4 1.0 2.0 3.0\nMSG {t + 20} TRIAL_RESULT 0\n"
        )
    return text


def faults(recordings):
    return [(each.exam_id, each.image, each.fault and each.fault[:14], len(each.x)) for each in recordings]


@pytest.mark.parametrize(
    "line",
    [
        "211",
        "211 one 2.0 3.0 ...",
        "100 1.0 2.0 3.0 ...",
        "SBLINK X 211",
        "MSG 211 !V IMGLOAD SIDEWAYS 2.png",
        "MSG 211 DISPLAY_COORDS 0 0 -1 799",
        "SAMPLES HREF LEFT",
        "END 211 SAMPLES RES 3x 30",
    ],
)
def test_a_damaged_line_costs_its_trial(tmp_path, line):
    found = faults(read(tmp_path, trials(line)))
    assert found[:2] == [("1", "1.png", None, 2), ("2", "2.png", "row 17: " + found[1][2][8:], 0)]
    of_block = line.startswith(
        ("SAMPLES", "END")
    )  # the block goes on in the third trial, and so does its fault
    if not of_block:
        assert found[2:] == [("3", "3.png", None, 2)]
    elif line.startswith("SAMPLES"):
        assert found[2][2].startswith("row 23: ") and found[2][3] == 0


@pytest.mark.parametrize("line", ["EFIX L x 212 4 1.0 2.0 3.0", "EFIX L 211 212 -4 1 2 3", "EFIX"])
def test_a_damaged_fixation_costs_its_trial(tmp_path, line):
    found = faults(read(tmp_path, trials(line), events="fixations"))
    assert [each[3] for each in found] == [1, 0, 1] and found[1][2].startswith("row 17: ")


def test_a_damaged_line_between_trials_costs_both(tmp_path):
    text = trials("").replace("MSG 300 TRIALID", "SBLINK\nMSG 300 TRIALID")
    assert [each[2:] for each in faults(read(tmp_path, text))] == [
        (None, 2),
        ("row 21: SBLINK", 0),
        ("row 21: SBLINK", 0),
    ]
    text = trials("").replace("MSG 200 TRIALID", "MSG 2oo TRIALID")
    assert [each[3] for each in faults(read(tmp_path, text))] == [0, 0, 2]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ("EFIX L 12 20 -8 1 2 3", "the duration is -8"),
        ("EFIX L 12 20", "the duration is ''"),
        ("EFIX L twelve 20 8 1 2 3", "the start is 'twelve'"),
        ("EFIX L 12 20 8 1", "y is ''"),
        ("EFIX 12 20 8 1 2 3", "EFIX names no eye"),
    ],
)
def test_faults_of_events(tmp_path, event, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, START + event + "\n", events="fixations")


def test_two_images_at_once_each_get_the_gaze_on_them(tmp_path):
    text = START + (
        "MSG 10 TRIALID 7\nMSG 10 !V IMGLOAD TOP_LEFT l.png 0 0 400 800\n"
        "MSG 11 !V IMGLOAD TOP_LEFT r.png 500 0 400 800\n"
        "12\t 100\t 200\t 9\t...\n14\t 600\t 300\t 9\t...\n16\t 450\t 300\t 9\t...\n"
    )
    left, right = read(tmp_path, text)
    assert (left.image, right.image) == ("l.png", "r.png")
    np.testing.assert_array_equal(left.x, [100, np.nan, np.nan])
    np.testing.assert_array_equal(right.x, [np.nan, 100, np.nan])


def block(first, messages=(), eye="LEFT", places=((5, 6), (7, 8))):
    """A stretch of recording with the experiment's messages at its start, and a sample every 2 ms."""
    rows = [f"MSG\t{first} {each}" for each in messages]
    rows += [f"{first + 2 * i}\t{x}\t{y}\t500.0\t..." for i, (x, y) in enumerate(places)]
    head = START.split("\n", 1)[1].replace("LEFT", eye).replace("START\t10", f"START\t{first}")
    return head + "\n".join(rows) + f"\nEND\t{first + 99} \tSAMPLES\tEVENTS\tRES\t 30.0\t 30.0\n"


def test_trials_of_other_messages_are_parted_by_an_option_and_a_lump_of_them_is_said(tmp_path):
    """OpenSesame's start_trial: two images in one recording, silently."""
    text = block(100, ["start_trial 1", "var image a.png"]) + block(300, ["start_trial 2", "var image b.png"])
    (lump,) = read(tmp_path, text)
    (said,) = lump.notes
    assert said.startswith("holds 2 stretches recorded one after the other (START)")
    assert said.endswith("--set trial_message=start_trial")
    first, second = read(tmp_path, text, trial_message="start_trial")
    assert (first.exam_id, second.exam_id, len(first.x), first.notes) == ("1", "2", 2, ())
    ended = text.replace("MSG\t300 start_trial", "MSG\t299 TRIAL_RESULT 0\nMSG\t300 start_trial")
    assert "TRIAL_RESULT" in ended
    assert [(len(each.x), len(each.notes)) for each in read(tmp_path, ended)] == [(len(lump.x), 1)]
    between = block(100) + "MSG\t250 now b.png\n" + block(300)
    assert "such as 'now'" in read(tmp_path, between)[0].notes[0]
    calibrated = (
        block(100) + "MSG\t250 !CAL VALIDATION HV9\nMSG\t251 DRIFTCORRECT L LEFT at 1,1\n" + block(300)
    )
    assert read(tmp_path, calibrated)[0].notes == ()
    once = block(100, ["TRIALID 1", "begin"]) + block(300, ["TRIALID 2", "begin"])
    assert [each.notes for each in read(tmp_path, once)] == [(), ()]


@pytest.mark.parametrize(
    "lost", [".\t.", "NaN\tNaN", "-32768.0\t-32768.0", "1e8\t1e8", "100000000.0\t100000000.0"]
)
def test_what_edf2asc_writes_for_lost_samples_is_lost(tmp_path, lost):
    text = START + f"12\t300.0\t200.0\t500.0\t...\n14\t{lost}\t0.0\t...\n16\t302.0\t204.0\t500.0\t...\n"
    (found,) = read(tmp_path, text)
    np.testing.assert_array_equal(found.x, [300, np.nan, 302])
    np.testing.assert_array_equal(found.y, [200, np.nan, 204])


def test_nought_is_lost_only_without_a_pupil(tmp_path):
    text = START + "12\t0.0\t0.0\t0.0\t...\n14\t0.0\t0.0\t500.0\t...\n16\t9.0\t9.0\t500.0\t...\n"
    np.testing.assert_array_equal(read(tmp_path, text)[0].x, [np.nan, 0, 9])


def test_events_alone_and_samples_alone_say_what_to_do(tmp_path):
    events = START + "EFIX L 12 212 200 300.0 200.0 500\n"
    with pytest.raises(DataError, match=r"holds events and no samples; .* --set events=fixations"):
        read(tmp_path, events)
    assert read(tmp_path, events, events="fixations")[0].duration_ms.tolist() == [200]
    with pytest.raises(DataError, match="holds samples and no events"):
        read(tmp_path, START + "12\t1\t2\t3\t...\n", events="fixations")


def test_one_eye_leaves_out_blocks_of_the_other(tmp_path):
    text = block(100) + block(300, eye="RIGHT", places=[(50, 60)])
    assert read(tmp_path, text)[0].x.tolist() == [5, 7, 50]
    assert read(tmp_path, text, eye="left")[0].x.tolist() == [5, 7]
    assert read(tmp_path, text, eye="right")[0].x.tolist() == [50]


LIST = "MSG\t11 -1 !V DRAW_LIST ../../runtime/graphics/VC_1.vcl\n"
SAMPLE = "12\t560.0\t440.0\t500.0\t...\n"


def test_a_list_of_commands_names_images(tmp_path):
    (found,) = read(tmp_path, START + LIST + SAMPLE)
    assert found.image is None and "VC_1.vcl (!V DRAW_LIST) is not there" in found.notes[0]
    assert found.notes[0].endswith('--set "shown=[left, top, width, height]"')
    for folder in ("runtime/graphics", "graphics", "."):
        place = tmp_path / folder / "VC_1.vcl"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("-5 CLEAR 0 0 0\n-5 IMGLOAD TOP_LEFT images\\a.png 500 400 200 100\n")
        (found,) = read(tmp_path, START + LIST + SAMPLE)
        assert (found.image, found.x[0], found.y[0], found.notes) == ("images\\a.png", 60, 40, ())
        assert EyeLink().beside(tmp_path / "a.asc") == [place]
        place.unlink()


def test_a_list_whose_name_no_file_can_have_is_not_there(tmp_path):
    (found,) = read(tmp_path, START + f"MSG\t11 -1 !V DRAW_LIST {'v' * 300}.vcl\n" + SAMPLE)
    assert "is not there" in found.notes[0]


@pytest.mark.parametrize(
    ("where", "left", "top"), [("", 400, 350), (" 600 500", 500, 450), (" 600 500 0 0", 500, 450)]
)
def test_a_centred_image_is_placed_once_its_size_is_known(tmp_path, where, left, top):
    """A 200 x 100 image at its own size, in the middle of a screen of 1000 x 800 or of the point that is named."""
    (found,) = read(tmp_path, START + f"MSG\t11 !V IMGLOAD CENTER a.png{where}\n" + SAMPLE)
    placed = found.in_image_pixels(100, 200)
    assert (placed.x[0], placed.y[0]) == (560 - left, 440 - top)
    with pytest.raises(DataError, match="pixels of the screen"):
        found.in_image_pixels(100)


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("TOP_LEFT a.png 500 400", (60, 40)),
        ("TOP_LEFT a.png 500 400 100 50", (120, 80)),
        ("CENTER a.png 600 500 400 200", (80, 20)),
    ],
)
def test_an_image_is_placed_by_its_corner_or_its_middle_and_its_size(tmp_path, command, place):
    """A 200 x 100 image at its own size, at half of it, and at twice."""
    (found,) = read(tmp_path, START + f"MSG\t11 !V IMGLOAD {command}\n" + SAMPLE)
    placed = found.in_image_pixels(100, 200)
    assert (placed.x[0], placed.y[0]) == place


def test_a_filled_screen_has_degrees_per_axis(tmp_path):
    """A square of 1000 px on 1000 x 800: 30 px of the screen a degree are 30 px of the image across and 37.5 down."""
    text = "MSG\t11 !V IMGLOAD FILL a.png\n" + SAMPLE
    (found,) = read(tmp_path, START + text + "END\t99 \tSAMPLES\tEVENTS\tRES\t 30.0\t 30.0\n")
    placed = found.in_image_pixels(1000, 1000)
    assert (placed.x[0], placed.y[0]) == (560, 550)
    assert placed.pixels_per_degree == pytest.approx(37.5)
    assert placed.pixels_per_degree * placed.stretch == pytest.approx(30)


def test_a_fixation_cross_does_not_count_for_the_image_that_follows(tmp_path):
    cross = "".join(f"{12 + 2 * i}\t500.0\t400.0\t500.0\t...\n" for i in range(300))
    shown = "MSG\t700 !V IMGLOAD FILL a.png\n702\t9.0\t9.0\t500.0\t...\n704\t9.0\t9.0\t500.0\t...\n"
    (found,) = read(tmp_path, START + "MSG\t11 TRIALID 1\n" + cross + shown)
    assert (found.image, found.x.tolist()) == ("a.png", [9, 9])
    events = "EFIX L 12 610 600 500.0 400.0 500\n" + shown + "EFIX L 690 900 212 9.0 9.0 500\n"
    (found,) = read(tmp_path, START + "MSG\t11 TRIALID 1\n" + cross + events, events="fixations")
    assert (found.t_ms.tolist(), found.duration_ms.tolist(), found.x.tolist()) == ([700], [202], [9])
    late = cross + "MSG\t700 !V IMGLOAD FILL a.png\nMSG\t701 TRIAL_RESULT 0\n"  # written when all was over
    (found,) = read(tmp_path, START + "MSG\t11 TRIALID 1\n" + late)
    assert (found.image, len(found.x)) == ("a.png", 300)


def fixations(tmp_path, text, **options):
    """Image, onset and duration of the fixations of each recording."""
    found = read(tmp_path, START + text, events="fixations", **options)
    return [(each.image, each.t_ms.tolist(), each.duration_ms.tolist()) for each in found]


A = "MSG\t1000 TRIALID 1\nMSG\t1000 !V IMGLOAD FILL a.png\n"
B = "MSG\t3000 !V IMGLOAD FILL b.png\n"


def test_a_fixation_belongs_to_each_image_for_as_long_as_it_was_shown(tmp_path):
    across = A + B + "EFIX L 1100 3198 2100 5 5 9\nMSG 3300 TRIAL_RESULT 0\n"
    assert fixations(tmp_path, across) == [("a.png", [1100], [1900]), ("b.png", [3000], [200])]
    late = A + B + "EFIX L 2100 2998 900 5 5 9\n3000\t8\t8\t9\t...\nEFIX L 3002 3200 200 8 8 9\n"
    assert fixations(tmp_path, late) == [("a.png", [2100], [900]), ("b.png", [3002], [200])]
    cleared = A + "MSG 2000 !V CLEAR 0 0 0\n" + B + "EFIX L 1100 3198 2100 5 5 9\n"
    assert fixations(tmp_path, cleared) == [("a.png", [1100], [900]), ("b.png", [3000], [200])]


def test_a_fixation_still_open_at_the_end_of_a_trial_counts_until_then(tmp_path):
    ends = A + "MSG 3000 TRIAL_RESULT 0\n3002\t5\t5\t9\t...\nEFIX L 1004 3198 2196 5 5 9\n"
    assert fixations(tmp_path, ends) == [("a.png", [1004], [1996])]
    following = B.replace("3000 !V", "3100 TRIALID 2\nMSG\t3100 !V")
    assert fixations(tmp_path, A + following + "EFIX L 1004 3298 2296 5 5 9\n") == [
        ("a.png", [1004], [2096]),
        ("b.png", [3100], [200]),
    ]
    between = ends.replace("\nEFIX", f"\n{following}EFIX").replace("3198 2196", "3298 2296")
    assert fixations(tmp_path, between) == [("a.png", [1004], [1996]), ("b.png", [3100], [200])]


def test_a_fixation_before_the_image_or_the_onset_is_cut_without_samples_too(tmp_path):
    text = "MSG 900 TRIALID 1\nMSG 2900 !V IMGLOAD FILL a.png\nEFIX L 1000 3002 2004 5 5 9\n"
    assert fixations(tmp_path, text) == [("a.png", [2900], [104])]
    text = A + "MSG 2000 SYNCTIME\nEFIX L 1500 2498 1000 5 5 9\n"
    assert fixations(tmp_path, text, onset="SYNCTIME") == [("a.png", [2000], [500])]


def test_an_image_named_just_before_the_end_of_a_trial_was_shown_before(tmp_path):
    """The program names it when all is over, while the tracker still records."""
    text = "MSG 900 TRIALID 1\nMSG 2990 !V IMGLOAD FILL a.png\nMSG 2995 TRIAL_RESULT 0\nEFIX L 1000 3098 2100 5 5 9\n"
    assert fixations(tmp_path, text) == [("a.png", [1000], [1990])]


def test_why_there_is_no_gaze_in_a_trial(tmp_path):
    trial = "MSG\t11 TRIALID 1\nMSG\t12 TRIAL_RESULT 0\n"
    after = START + trial + "13\t1\t2\t3\t...\nEFIX L 14 212 200 5 5 9\n"
    for events in ("samples", "fixations"):
        with pytest.raises(DataError, match=rf"no {events} in a trial .*, only outside; .* trial_message"):
            read(tmp_path, after, events=events)
        with pytest.raises(DataError, match=r"no message in a trial .* begins with 'GO'; .* option onset"):
            read(tmp_path, after, events=events, onset="GO")


@pytest.mark.parametrize("how", ["FILL a.png", "CENTER a.png"])
def test_an_image_named_before_the_first_coordinates_of_the_screen_has_its_place(tmp_path, how):
    screen, rest = START.split("\n", 1)
    (found,) = read(tmp_path, f"MSG\t1 !V IMGLOAD {how}\n{screen}\n{rest}{SAMPLE}")
    placed = found.in_image_pixels(800, 1000)
    assert (placed.x[0], placed.y[0]) == (560, 440)


@pytest.mark.parametrize(
    ("messages", "beginning", "names"),
    [
        (["trial 1", "trial_end 1", "trials 9", "trial 2", "TRIAL 3"], "trial", ["1", "2"]),
        (["TRIALID1", "TRIALIDX", "TRIALID 2"], "TRIALID", ["1", "2"]),
        (["trial_1", "trial_2"], "trial_", ["1", "2"]),
        (["run 1 a", "run 12 b"], "run 1", ["a"]),
        (["start:5", "start, 6"], "start", ["5", "6"]),
    ],
)
def test_a_trial_begins_with_a_whole_word(tmp_path, messages, beginning, names):
    text = "".join(block(100 + 100 * at, [message]) for at, message in enumerate(messages))
    assert [each.exam_id for each in read(tmp_path, text, trial_message=beginning)] == names


def test_a_beginning_of_trials_that_no_message_has_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no message begins with the word 'trial'; .* option trial_message"):
        read(tmp_path, block(100, ["trial_1"]), trial_message="trial")


def test_a_trial_variable_names_the_reader(tmp_path):
    text = START + "MSG\t11 TRIALID 1\nMSG\t11 !V TRIAL_VAR reader Ann\n" + SAMPLE
    assert read(tmp_path, text)[0].reader == "Ann"


def test_each_eye_has_a_lid_and_a_pupil_of_its_own(tmp_path):
    text = START.replace("LEFT", "LEFT\tRIGHT") + (
        "12\t10\t20\t500.0\t30\t40\t500.0\t...\nSBLINK L 14\n14\t11\t21\t50.0\t31\t41\t500.0\t...\n"
        "EBLINK L 14 16 2\n16\t12\t22\t500.0\t0.0\t0.0\t0.0\t...\n18\t0.0\t0.0\t500.0\t0.0\t0.0\t.\t...\n"
    )
    both, left = read(tmp_path, text)[0], read(tmp_path, text, eye="left")[0]
    np.testing.assert_array_equal((both.x, both.y), [[20, 31, 12, 0], [30, 41, 22, 0]])
    np.testing.assert_array_equal((left.x, left.y), [[10, np.nan, 12, 0], [20, np.nan, 22, 0]])


def test_samples_at_2000_hz_whose_whole_milliseconds_come_in_pairs_are_half_a_millisecond_apart(tmp_path):
    rows = "".join(f"{t}\t1\t2\t500.0\t...\n" for t in (12, 12, 13, 13))
    (found,) = read(tmp_path, START.replace(" 500.00", " 2000.00") + rows)
    assert found.t_ms.tolist() == [12, 12.5, 13, 13.5]


def test_a_screen_that_begins_elsewhere_than_at_nought_or_changes(tmp_path):
    second = START.replace("0 0 999 799", "100 50 2099 1649").replace("START\t10", "START\t20")
    text = START + "MSG\t11 TRIALID 1\nMSG\t11 !V IMGLOAD FILL a.png\n" + SAMPLE + second
    trial = "MSG\t21 TRIALID 2\nMSG\t21 !V IMGLOAD {} b.png\n" + SAMPLE.replace("12\t", "22\t")
    first, filled = read(tmp_path, text + trial.format("FILL"))
    assert (first.display_width, first.display_height, first.x[0], first.y[0]) == (1000, 800, 560, 440)
    assert (filled.display_width, filled.display_height, filled.x[0], filled.y[0]) == (2000, 1600, 460, 390)
    _, centred = read(tmp_path, text + trial.format("CENTER"))
    placed = centred.in_image_pixels(1200, 1400)  # its middle at (1100, 850), its corner at (400, 250)
    assert (placed.x[0], placed.y[0]) == (160, 190)


@pytest.mark.parametrize("events", ["samples", "fixations"])
def test_the_degree_of_several_blocks_is_that_of_the_first(tmp_path, events):
    fixation = "EFIX L 12 212 202 5 6 500\n"
    unknown = block(300, eye="RIGHT").replace("30.0\t 30.0", ".\t .") + fixation.replace(
        "L 12 212", "R 302 502"
    )
    known = block(100).replace("RES\t 30.0", "RES\t 34.0") + fixation.replace("12 212", "102 302")
    (found,) = read(tmp_path, known + unknown, events=events)
    assert found.pixels_per_degree == 32 and len(found.x) == (4 if events == "samples" else 2)


def test_a_fixation_without_a_place_is_lost(tmp_path):
    places = ["-32768.0 -32768.0", "1e8 1e8", ". .", "7 8"]
    text = "".join(f"EFIX L {100 * i} {100 * i + 98} 100 {place} 0\n" for i, place in enumerate(places))
    (found,) = read(tmp_path, START + text, events="fixations")
    np.testing.assert_array_equal((found.x, found.y), [[np.nan] * 3 + [7], [np.nan] * 3 + [8]])
