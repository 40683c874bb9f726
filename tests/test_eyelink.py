"""EyeLink ASC files: the real ones, a miniature with trials and images, and every way to damage them."""

from pathlib import Path

import numpy as np
import pytest
from gazekit_datasets.eyelink import EyeLink

from gazekit.errors import DataError

REAL = Path(__file__).parents[2] / "shared" / "data" / "gaze" / "eyelink"
real = pytest.mark.skipif(not REAL.exists(), reason="the real recordings are not here")
MINIATURE = Path(__file__).parent / "gaze_files" / "eyelink.asc"

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
    assert (found.exam_id, found.image, len(found.x)) == ("TEXT", "text.png", 297)
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
    assert (first.exam_id, first.view, first.image) == ("P1_L", "cc", "P1_L_cc.png")
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no samples in the file"),
        (START, "no samples in the file"),
        (START + "12\t 1.0\t 2.0\n", "row 8: a sample of 3 cells after SAMPLES names left"),
        (START + "12\n", "row 8: a sample of 1 cells"),
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
            "the message is '!V IMGLOAD SIDEWAYS a.png'; expected",
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
            DataError, match="the eye recorded is right; expected left; set the reader's option"
        ):
            read(tmp_path, text, eye="left")
        return
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, text)
    assert "a.asc" in str(caught.value) and "\n" not in str(caught.value)


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
