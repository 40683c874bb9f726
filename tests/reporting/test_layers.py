import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from gazekit.gaze.fixations import Fixations
from gazekit.reporting.drawing.colours import ATTENTION
from gazekit.reporting.drawing.layers import image_uri, map_uri, outline, scanpaths
from gazekit.reporting.drawing.overlay import overlay


def opened(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/webp;base64,"))))


def fixations(number, **changes):
    columns = {
        "x": np.linspace(1, 30, number),
        "y": np.linspace(5, 9, number),
        "onset_ms": 300.0 * np.arange(number),
        "duration_ms": np.full(number, 200.0),
    }
    return Fixations(*(columns | changes).values())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_image_is_shown_as_the_data_have_it(dtype):
    ramp = np.linspace(0, 1, 64 * 48).reshape(64, 48).astype(dtype)
    shown = np.asarray(opened(image_uri(ramp, 100)).convert("L"), dtype=float)
    assert shown.shape == (64, 48)
    assert np.abs(shown - ramp * 255).max() < 8  # lossy


def test_a_large_image_is_made_smaller_and_none_larger():
    assert opened(image_uri(np.zeros((300, 200)), 150)).size == (100, 150)
    assert opened(image_uri(np.zeros((30, 20)), 150)).size == (20, 30)


def test_a_layer_at_80_percent_over_its_image_is_the_overlay():
    rng = np.random.default_rng(0)
    image, heat = np.full((64, 64), 0.4), rng.normal(size=(4, 4))
    layer = np.asarray(opened(map_uri(heat, ATTENTION, (64, 64))).convert("RGBA"), dtype=float) / 255
    opacity = 0.8 * layer[..., 3:]
    blended = (1 - opacity) * image[..., None] + opacity * layer[..., :3]
    difference = np.abs(255 * blended - overlay(image, heat))
    assert difference.mean() < 3 and np.quantile(difference, 0.99) < 16


def test_where_there_is_no_attention_the_layer_is_clear():
    for heat in (np.zeros((3, 3)), -np.ones((3, 3))):
        assert np.asarray(opened(map_uri(heat, ATTENTION, (32, 32))).convert("RGBA"))[..., 3].max() == 0


def polygons(path):
    """The corners of each closed line of a path."""
    return [
        np.array([point.split() for point in line.split("L")], dtype=float)
        for line in re.findall(r"M([^MZ]*)Z", path)
    ]


def area(corners):
    x, y = corners.T
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2


def test_outlines_enclose_the_lesions_also_at_the_border():
    mask = np.zeros((20, 30), dtype=bool)
    mask[4:10, 6:16] = True
    mask[15:20, 25:30] = True  # in the corner of the image
    first, second = sorted(polygons(outline(mask)), key=area, reverse=True)
    assert (first.min(axis=0), first.max(axis=0)) == (pytest.approx([6, 4]), pytest.approx([16, 10]))
    assert (second.min(axis=0), second.max(axis=0)) == (pytest.approx([25, 15]), pytest.approx([30, 20]))
    assert area(first) == pytest.approx(60, abs=1)  # its four corners are cut
    assert outline(np.zeros((5, 5), dtype=bool)) == ""


def test_fixations_are_numbered_joined_and_as_large_as_they_are_long():
    found = fixations(3, x=np.array([4.0, 10.0, 99.0]), duration_ms=np.array([100.0, 400.0, 1600.0]))
    [path] = scanpaths([found], (40, 32))
    assert [(dot.number, dot.x, dot.y) for dot in path.dots] == [
        (1, 4.0, 5.0),
        (2, 10.0, 7.0),
    ]  # the third is outside
    assert path.line == "M4 5L10 7"
    assert path.dots[1].radius == pytest.approx(0.03 * 40)
    assert path.dots[0].radius == pytest.approx(0.6)  # a quarter of the time, a quarter of the area


def test_no_line_joins_two_recordings_of_a_reader():
    x = np.array([4.0, 10.0, 20.0, 12.0])
    [path] = scanpaths([fixations(4, x=x, y=x, onset_ms=np.array([0.0, 300.0, 0.0, 250.0]))], (40, 32))
    assert path.line == "M4 4L10 10M20 20L12 12"
    beside = np.array(
        [4.0, 99.0, 20.0, 12.0]
    )  # the second recording begins beside the image, and goes on later
    [path] = scanpaths([fixations(4, x=beside, y=x, onset_ms=np.array([300.0, 0.0, 400.0, 500.0]))], (40, 32))
    assert path.line == "M4 4M20 20L12 12"
    [timeless] = scanpaths([fixations(4, x=x, y=x, onset_ms=np.full(4, np.nan))], (40, 32))
    assert timeless.line == "M4 4L10 10L20 20L12 12"


def test_durations_that_are_not_recorded_are_alike():
    [path] = scanpaths([fixations(3, duration_ms=np.full(3, np.nan))], (40, 32))
    assert len({dot.radius for dot in path.dots}) == 1


def test_too_many_fixations_become_points_and_every_reader_has_a_path():
    many, few = scanpaths([fixations(500), fixations(2)], (40, 32))
    assert (many.dots, many.line) == ((), "")
    assert many.points.count("M") == 500
    assert len(few.dots) == 2 and few.points == ""
