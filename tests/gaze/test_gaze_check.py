"""The numbers that tell a good recording from a bad one, and the plain table it is exported to."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from gazekit_datasets.gaze_readers.plain import Plain
from gazekit_datasets.mammography.breast import Breast
from PIL import Image

from gazekit.errors import ConfigurationError, DataError
from gazekit.gaze.export import export
from gazekit.gaze.fixations import Fixations, FixationSettings, fixations_of
from gazekit.gaze.matching import Joined, join
from gazekit.gaze.quality import (
    RecordingCheck,
    check_recording,
    copies,
    doubts_about,
    share_inside,
    without_image,
)
from gazekit.preparing.validating.image_check import Viewed, check_view
from gazekit.reading.image_size import image_size
from gazekit.records.exam import Exam
from gazekit.records.lesions import Outline
from gazekit.records.recording import Recording

SETTINGS = FixationSettings()
BREAST = (Breast(), "breast")
SIZE = (100, 200)  # height, width


def recording(x, y, t_ms=None, **about) -> Recording:
    x, y = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    return Recording(Path("gaze.csv"), x.copy(), y.copy(), t_ms, **about)


def at_60_hz(seconds: float) -> np.ndarray:
    return np.arange(round(60 * seconds)) * 1000 / 60


def test_time_is_measured_from_the_median_interval():
    times = np.array([0, 10, 20, 30, 45, 55, 65.0])  # one interval of 15 among six of 10
    check, _ = check_recording(recording(50, np.full(7, 50), times), size=SIZE, settings=SETTINGS)
    assert (check.rows, check.rate_hz) == (7, 100)
    assert check.seconds == pytest.approx(0.075)  # the last sample lasts an interval
    assert check.interval_spread_ms == 0
    irregular = np.cumsum([0, 10, 20, 10, 20, 10, 20, 10, 20])
    spread, _ = check_recording(recording(50, np.full(9, 50), irregular), size=SIZE, settings=SETTINGS)
    assert spread.interval_spread_ms == 10
    doubled, _ = check_recording(
        recording(50, np.full(14, 50), np.repeat(times, 2)), size=SIZE, settings=SETTINGS
    )
    assert doubled.rate_hz == 100  # two rows of one time are of one sample


def test_lost_border_and_outside_are_shares_of_the_right_rows():
    x = np.full(20, 50.0)
    x[:10] = np.nan  # half of all
    x[10] = 0.5  # a tenth of the others on the left border
    x[11:13] = -1, 201  # a fifth beside the image
    check, _ = check_recording(recording(x, 50, at_60_hz(1 / 3)), size=SIZE, settings=SETTINGS)
    assert (check.lost, check.border, check.outside) == (0.5, pytest.approx(0.1), pytest.approx(0.2))


def test_a_recording_with_a_fault_has_lost_nothing_and_its_fault_is_its_only_doubt():
    check, found = check_recording(
        recording([], [], fault="row 3: x is 'left'"), size=SIZE, settings=SETTINGS
    )
    assert (check.rows, check.lost, len(found or ())) == (0, None, 0)
    (doubt,) = doubts_about(check)
    assert "row 3: x is 'left'" in doubt


def test_samples_that_may_be_clamped_are_those_on_the_border():
    x = np.array([0.0, 10, 20, 200])  # the last on the right border, found once the width is known
    suspect = np.array([True, False, False, False])
    check, fixations = check_recording(recording(x, 50, suspect=suspect), size=SIZE, settings=SETTINGS)
    assert (check.border, check.outside) == (0.5, 0)
    assert check.fixations == len(fixations) == 2
    assert check.rate_hz is check.seconds is check.median_duration_ms is None  # no times


def test_fixations_of_a_file_are_taken_as_they_are():
    held = recording([10, 20], [30, 40], np.array([0.0, 500]), duration_ms=np.array([200.0, 400]))
    check, fixations = check_recording(held, size=SIZE, settings=SETTINGS)
    assert (check.fixations, check.median_duration_ms, check.rate_hz) == (2, 300, None)
    assert check.seconds == pytest.approx(0.9)
    np.testing.assert_array_equal(fixations.x, [10, 20])


def test_share_inside_weighs_by_duration_and_counts_what_lies_outside():
    mask = np.zeros(SIZE, dtype=bool)
    mask[:, :100] = True
    found = Fixations(
        x=np.array([99.9, 100.0, -3, 50, 50]),
        y=np.array([0.0, 50, 50, 99.9, 100]),
        onset_ms=np.zeros(5),
        duration_ms=np.array([1.0, 2, 4, 8, 16]),
    )
    assert share_inside(found, mask) == pytest.approx((1 + 8) / 31)
    assert share_inside(replace(found, duration_ms=np.zeros(5)), mask) == 0


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"x": np.r_[np.full(31, np.nan), np.full(29, 50.0)]}, "more than half of the samples are lost"),
        ({"t_ms": np.arange(60) * 51.0}, "fewer than 20 samples a second"),
        ({"t_ms": np.arange(60) // 2 * 16.0}, "many samples have the time of the one before"),
        ({"t_ms": np.arange(60) * 200.0, "duration_ms": np.full(60, 230.0)}, "many fixations begin before"),
        ({"t_ms": np.arange(60) / 60}, "more than 5000 samples a second; are the times in ms?"),
        ({"x": np.r_[np.full(13, 0.0), np.full(47, 50.0)]}, "a fifth of the samples lie on the border"),
        ({"x": np.r_[np.full(31, 900.0), np.full(29, 50.0)]}, "more than half of the samples lie outside"),
        ({"x": np.full(60, 0.5), "y": np.full(60, 0.5)}, "all 60 usable samples lie in the first pixel"),
        ({"x": np.full(60, np.nan)}, "all 60 samples are lost"),
    ],
)
def test_what_looks_wrong_is_said_in_words(change, sentence):
    good = recording(np.full(60, 50.0), 50, at_60_hz(1))
    check, _ = check_recording(good, size=SIZE, settings=SETTINGS)
    assert doubts_about(check) == []
    check, _ = check_recording(replace(good, **change), size=SIZE, settings=SETTINGS)
    assert any(sentence in doubt for doubt in doubts_about(check))
    assert not any("gaze.csv" in doubt for doubt in doubts_about(check))  # so that they can be counted


@pytest.mark.parametrize(
    ("name", "good", "bad", "sentence"),
    [
        ("lost", 0.5, 0.51, "more than half of the samples are lost"),
        ("rate_hz", 1.0, 0.99, "fewer than 1 sample a second"),
        ("rate_hz", 20.0, 19.9, "fewer than 20 samples a second"),
        ("rate_hz", 5000.0, 5001.0, "more than 5000 samples a second"),
        ("border", 0.2, 0.21, "more than a fifth of the samples lie on the border"),
        ("simultaneous", 0.05, 0.06, "many fixations begin before the one before has ended"),
        ("outside", 0.5, 0.51, "more than half of the samples lie outside"),
        ("median_duration_ms", 10.0, 9.9, "half of the fixations last less than 10 ms"),
        ("median_duration_ms", 10_000.0, 10_001.0, "half of the fixations last more than 10 s"),
        ("region", 0.2, 0.19, "less than 20 % of the fixation time"),
    ],
)
def test_a_number_is_doubted_from_where_the_sentence_says(name, good, bad, sentence):
    check = RecordingCheck(100, 1.0, 60.0, 0.1, 0.0, region_name="breast", holds_fixations=True)
    for value, doubted in ((good, False), (bad, True)):
        doubts = doubts_about(replace(check, **{name: value}))
        assert any(doubt.startswith(sentence) for doubt in doubts) is doubted


def test_a_copy_has_the_rows_of_another_recording_and_more_than_one():
    first, other, single = recording([1.0, 2], 3), recording([1.0, 2.5], 3), recording([1.0], 3)
    assert copies([first, other, replace(first), single, replace(single)]) == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_without_an_image_the_degree_of_a_copy_is_none_of_its_pixels():
    """Its degree is in pixels of the original, and its places are in those of the copy."""
    copied = recording(np.full(60, 50.0), 50, at_60_hz(1), of_copy=True, pixels_per_degree=40.0)
    check, fixations = check_recording(copied, size=None, settings=SETTINGS)
    assert fixations is None and "how long one degree of visual angle is" in check.refused


def test_without_an_image_degrees_must_come_from_elsewhere():
    on_screen = recording(np.full(60, 500.0), 400, at_60_hz(1), on_screen=True)
    check, fixations = check_recording(on_screen, size=None, settings=SETTINGS)
    assert fixations is None and "how long one degree of visual angle is" in check.refused
    own = replace(on_screen, pixels_per_degree=40.0)
    for one, settings in [(own, SETTINGS), (on_screen, FixationSettings(pixels_per_degree=40))]:
        check, fixations = check_recording(one, size=None, settings=settings)
        assert (check.fixations, check.border, check.outside) == (1, None, None)
        assert (fixations.x[0], fixations.y[0]) == (500, 400)
    check, _ = check_recording(own, size=SIZE, settings=SETTINGS)
    assert "pixels of the screen" in check.refused  # an image does not say where it was shown


def test_a_displayed_image_has_degrees_of_its_own():
    shown = recording(np.full(60, 50.0), 50, at_60_hz(1), display_height=800)
    placed, height = without_image(shown, SETTINGS)
    assert height == 800 and placed.degree(height) == 30


def write_image(folder: Path, suffix: str) -> Path:
    path = folder / f"image{suffix}"
    pixels = np.zeros(SIZE, dtype=np.uint8)
    pixels[10:90, :60] = 200  # the breast
    if suffix == ".npy":
        np.save(path, pixels)
    elif suffix == ".dcm":
        tags = pydicom.Dataset()
        tags.Rows, tags.Columns = SIZE
        tags.file_meta = pydicom.dataset.FileMetaDataset()
        tags.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        tags.file_meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
        tags.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
        pydicom.dcmwrite(path, tags, enforce_file_format=True)
    else:
        Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".npy", ".dcm"])
def test_the_size_of_an_image_comes_from_its_head(tmp_path, suffix):
    assert image_size(write_image(tmp_path, suffix)) == SIZE


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x93NUMPY\x01\x00", bytes(128) + b"DICM", b"\x89PNG\r\n\x1a\n"]
)
def test_a_head_without_a_size_is_one_line(tmp_path, content):
    path = tmp_path / "image.dcm"
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"image\.dcm: (its size cannot be read|not a DICOM file|the file is empty)"
    ):
        image_size(path)
    with pytest.raises(DataError, match="no such image file"):
        image_size(tmp_path / "none.png")


def test_dwell_in_the_breast_and_in_a_lesion(tmp_path):
    lesion = Outline(((20, 40), (40, 40), (40, 60), (20, 60)))
    x = np.r_[
        np.full(60, 30.0), np.full(30, 50.0), np.full(30, 190.0)
    ]  # lesion 1 s, breast 0.5 s, beside 0.5 s
    looked = recording(x, 50, at_60_hz(2))
    result = check_view(
        Viewed(write_image(tmp_path, ".png"), (looked, looked), (lesion,), SETTINGS, draw=True, region=BREAST)
    )
    assert len(result.checks) == len(result.drawings) == 2 and result.refused is None
    check, drawing = result.checks[0], result.drawings[0]
    assert check.fixations == 3
    assert check.region == pytest.approx(0.75, abs=0.02)
    assert check.lesion == pytest.approx(0.5, abs=0.02)
    assert check.lesion_area == pytest.approx(20 * 20 / (100 * 200))
    assert 0.25 < check.region_area < 0.35
    assert drawing.pixels.shape == (256, 512)  # enlarged to be seen
    np.testing.assert_allclose(drawing.fixations.x, np.array([30, 50, 190]) * 2.56)


def test_an_image_that_cannot_be_read_leaves_the_rest_of_the_check(tmp_path):
    looked = recording(np.full(60, 30.0), 50, at_60_hz(1))
    result = check_view(Viewed(tmp_path / "none.png", (looked,), None, SETTINGS, draw=True, region=BREAST))
    assert "none.png" in result.refused
    assert (result.checks[0].rows, result.checks[0].region, result.drawings) == (60, None, [None])


def exported(folder, recordings, *, as_fixations=False, settings=SETTINGS):
    joined = join(recordings, [Exam("A", "P", "0", {"cc": Path("a.png"), "mlo": Path("b.png")})])
    result = export(joined, lambda key: SIZE, settings, as_fixations=as_fixations)
    path = folder / "table.csv"
    path.write_text(result.text)
    assert Plain().fits(path)
    return list(Plain().read(path)), result


def test_an_exported_table_reads_back_to_the_very_same_numbers(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 100, 50), rng.uniform(0, 100, 50)
    x[7] = y[7] = np.nan
    one = recording(x, y, at_60_hz(50 / 60), exam_id="A", view="cc", pixels_per_degree=31.7)
    back, result = exported(tmp_path, [one, replace(one, y=y + 1), replace(one, view="mlo", t_ms=None)])
    assert result.rows == 150 and not result.left_out and not result.holds_fixations
    first, second, third = back
    for read, given in ((first, one.x), (second, one.x), (third, one.x)):
        np.testing.assert_array_equal(read.x, given)
    np.testing.assert_array_equal(second.y, y + 1)  # a second reader of the same view stays one
    np.testing.assert_array_equal(first.t_ms, one.t_ms)
    assert third.t_ms is None and first.pixels_per_degree == 31.7


def test_an_exported_table_has_only_the_columns_it_needs(tmp_path):
    one = recording([1, 2], [3, 4], np.array([0.0, 10]), exam_id="A", view="cc")
    assert exported(tmp_path, [one])[1].text.splitlines()[0] == "exam_id,view,t_ms,x,y"


def test_displayed_pixels_and_clamped_samples_are_settled_at_export(tmp_path):
    suspect = np.array([False, False, True])
    one = recording([10, 20, 0], [30, 50, 60], display_height=50, suspect=suspect, image="a.png")
    (back,), _ = exported(tmp_path, [one])
    np.testing.assert_array_equal(back.x, [20, np.nan, np.nan])  # y = 50 is the lower border of the display
    (back,), _ = exported(tmp_path, [one], settings=FixationSettings(keep_suspect=True))
    np.testing.assert_array_equal(back.x, [20, 40, 0])


def test_fixations_are_exported_as_they_are_found(tmp_path):
    x = np.r_[np.full(30, 30.0), np.full(30, 150.0)]
    one = recording(x, 50, at_60_hz(1), exam_id="A", view="cc")
    (back,), result = exported(tmp_path, [one], as_fixations=True)
    expected = fixations_of(one, image_height=100, image_width=200, settings=SETTINGS)
    assert result.holds_fixations and len(back.x) == len(expected) == 2
    np.testing.assert_array_equal(back.t_ms, expected.onset_ms)
    np.testing.assert_array_equal(back.duration_ms, expected.duration_ms)


def test_fixations_without_onset_are_exported_and_read(tmp_path):
    held = recording([10, 20], [30, 40], None, duration_ms=np.array([200.0, 400]), exam_id="A", view="cc")
    (back,), _ = exported(tmp_path, [held])
    assert back.t_ms is None
    np.testing.assert_array_equal(back.duration_ms, [200, 400])


def test_samples_and_fixations_do_not_share_a_table():
    samples = recording(np.full(60, 50.0), 50, at_60_hz(1), exam_id="A", view="cc")
    held = replace(samples, view="mlo", duration_ms=np.ones(60))
    joined = Joined({("A", "cc"): [samples], ("A", "mlo"): [held]}, [], [])
    with pytest.raises(ConfigurationError, match=r"1 of 2 recordings hold fixations .* add --fixations"):
        export(joined, lambda key: SIZE, SETTINGS, as_fixations=False)
    both = export(joined, lambda key: SIZE, SETTINGS, as_fixations=True)
    assert both.rows == 1 + 60


def test_what_cannot_be_exported_is_named_and_nothing_at_all_is_an_error():
    good = recording(np.full(60, 50.0), 50, at_60_hz(1))
    screen = replace(good, on_screen=True)
    joined = Joined({("A", "cc"): [good, screen]}, [], [])
    result = export(joined, lambda key: SIZE, SETTINGS, as_fixations=False)
    assert result.rows == 60 and "pixels of the screen" in result.left_out[0]
    with pytest.raises(DataError, match="pixels of the screen"):
        export(Joined({("A", "cc"): [screen]}, [], []), lambda key: SIZE, SETTINGS, as_fixations=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lost = replace(good, x=np.full(60, np.nan))
        assert export(
            Joined({("A", "cc"): [lost]}, [], []), lambda key: SIZE, SETTINGS, as_fixations=False
        ).rows
