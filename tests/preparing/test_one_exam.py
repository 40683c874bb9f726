"""One exam, number by number: grey values, masks, fixations with their width, side and spacing."""

from pathlib import Path

import numpy as np
import pytest
from made_dicom import write
from PIL import Image

from gazekit.gaze.options import FixationSettings
from gazekit.prepared.settings import PreparationSettings
from gazekit.preparing.one_exam import PreparedExam, Task, prepare_exam
from gazekit.records.exam import Exam
from gazekit.records.lesions import MaskFile
from gazekit.records.recording import Recording


def prepared(image, *, masks=(), recordings=(), laterality="", size=(16, 24), **settings):
    exam = Exam(
        *("e", "p", "a", {"cc": image}),
        masks={"cc": masks} if masks else {},
        laterality={"cc": laterality} if laterality else {},
    )
    chosen = PreparationSettings(views=("cc",), size=size, crop="none", **settings)
    found = prepare_exam(Task(exam, {"cc": recordings} if recordings else {}, chosen, image.parent))
    assert isinstance(found, PreparedExam), found
    return found


def picture(path, pixels):
    Image.fromarray(pixels).save(path)
    return path


def marked(image, drawn):
    """Rows and columns of the prepared mask of a drawn one."""
    lesion = MaskFile(picture(image.with_name("m.png"), drawn))
    return np.argwhere(np.unpackbits(prepared(image, masks=(lesion,)).masks[0], axis=1)).tolist()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_eight_bits_at_their_own_size_are_stored_as_they_are(tmp_path, dtype):
    pixels = np.arange(16 * 24).reshape(16, 24).astype(np.uint8)
    found = prepared(picture(tmp_path / "a.png", pixels), dtype=dtype)
    np.testing.assert_array_equal(found.images[0], pixels.astype(int) * (1 if dtype == "uint8" else 257))


def test_a_mask_is_the_pixels_at_least_half_covered_or_the_best_one_of_a_tiny_lesion(tmp_path):
    """The edge of the large lesion runs through the centres of the fifth prepared column."""
    image = picture(tmp_path / "a.png", np.full((32, 48), 9, dtype=np.uint8))
    large, tiny = np.zeros((2, 32, 48), dtype=np.uint8)
    large[:, :9], tiny[8, 8] = 255, 255
    assert marked(image, large) == [[row, column] for row in range(16) for column in range(5)]
    assert marked(image, tiny) == [[4, 4]]


@pytest.mark.parametrize(
    ("rows", "kind", "says"),
    [
        (0, "note", "its lesion mask marks nothing"),
        (8, None, ""),
        (9, "odd", "its lesion mask marks more than half of the image; expected 0 outside the lesions"),
        (16, "odd", "check that it is not inverted, and not the image itself"),
    ],
)
def test_a_mask_that_marks_nothing_or_most_of_its_image_is_a_finding(tmp_path, rows, kind, says):
    image = picture(tmp_path / "a.png", np.arange(16 * 24, dtype=np.uint16).astype(np.uint8).reshape(16, 24))
    drawn = np.zeros((16, 24), dtype=np.uint8)
    drawn[:rows] = 1
    record = prepared(image, masks=(MaskFile(picture(tmp_path / "m.png", drawn)),)).record.views[0]
    assert record.has_mask == (rows > 0)
    assert [each.kind for each in record.findings] == ([kind] if kind else [])
    assert all(says in each.what for each in record.findings)


def test_gaze_on_an_image_that_was_shown_stretched_is_wider_on_one_axis(tmp_path):
    """32 x 40 pixels were shown as 60 x 40, and are prepared at half their size."""
    image = picture(tmp_path / "a.png", np.full((40, 32), 9, dtype=np.uint8))
    at = np.array([0.0, 300.0])
    gaze = Recording(
        *(Path("g.csv"), np.array([15.0, 45.0]), np.array([10.0, 30.0]), at, np.full(2, 200.0)),
        pixels_per_degree=12.0,
        display_width=60,
        display_height=40,
    )
    degrees = FixationSettings(sigma_degrees=1.5)
    found = prepared(image, recordings=(gaze,), size=(20, 16), fixations=degrees)
    rows = found.record.views[0].fixations
    assert [place for each in rows for place in (each.x, each.y)] == pytest.approx([4, 5, 12, 15])
    for each in rows:
        assert (each.sigma_x, each.sigma_y) == pytest.approx((1.5 * 12 * 32 / 60 / 2, 1.5 * 12 / 2))
    assert [(each.onset_ms, each.duration_ms) for each in rows] == [(0, 200), (300, 200)]


def test_the_side_that_the_source_names_goes_before_the_headers_and_spacing_is_down_and_across(tmp_path):
    ramp = np.arange(16 * 24).reshape(16, 24).astype(np.uint16)
    image = write(tmp_path / "a.dcm", ramp, ImageLaterality="R", PixelSpacing=[0.1, 0.2])
    by_header, by_source = prepared(image, window="range"), prepared(image, window="range", laterality="L")
    np.testing.assert_array_equal(by_header.images[0], by_source.images[0, :, ::-1])
    assert by_source.images[0, 0, 0] == 0
    for found, side in ((by_header, "R"), (by_source, "L")):
        (view,) = found.record.views
        assert (view.laterality, view.spacing_mm, view.raw_size) == (side, (0.1, 0.2), (16, 24))
