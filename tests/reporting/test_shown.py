"""Views as the viewer of the original shows them: turned back, at its resolution, with captions that tell the truth."""

from pathlib import Path

import numpy as np
import pytest
from command_line import gazekit
from hypothesis import given, settings
from hypothesis import strategies as st
from made_mammography import view_sequence, write_mammogram
from matplotlib import colormaps
from PIL import Image

from gazekit.errors import DataError
from gazekit.measures.attention.resizing import resize_bilinear
from gazekit.reading.image import read_image
from gazekit.records.geometry import Geometry
from gazekit.records.raw_image import RawImage
from gazekit.reporting.drawing.captioned import Caption, captioned
from gazekit.reporting.drawing.colours import ATTENTION
from gazekit.reporting.drawing.originals.placement import ShownPlacement
from gazekit.reporting.drawing.originals.shown import show_original, show_prepared, view_words

GEOMETRIES = st.builds(
    lambda left, top, wide, tall, size, flip, keep: Geometry.fit(
        (left, top, left + wide, top + tall), size, flip=flip, keep_left=keep
    ),
    *(st.integers(0, 40), st.integers(0, 40), st.integers(20, 90), st.integers(20, 90)),
    *(st.tuples(st.integers(16, 64), st.integers(16, 64)), st.booleans(), st.booleans()),
)


@settings(max_examples=60, deadline=None)
@given(GEOMETRIES, st.floats(0.2, 3), st.floats(0, 100), st.floats(0, 100))
def test_prepared_points_come_back_to_where_the_original_has_them(geometry, zoom, x, y):
    raw = (140, 130)
    shape = (round(140 * zoom), round(130 * zoom))
    placed = ShownPlacement.on_original(geometry, raw, shape)
    across, down = placed.points(*geometry.apply(np.array([x]), np.array([y])))
    assert across[0] == pytest.approx(x * shape[1] / raw[1], abs=1e-6)
    assert down[0] == pytest.approx(y * shape[0] / raw[0], abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.integers(1, 4))
def test_on_the_prepared_image_a_map_is_the_bilinear_one_turned_back(seed, flip, zoom):
    values = np.random.default_rng(seed).normal(size=(3, 5))
    placed = ShownPlacement.on_prepared((12, 20), flip=flip, zoom=zoom).map(values)
    expected = resize_bilinear(values, (12 * zoom, 20 * zoom))
    np.testing.assert_allclose(placed, expected[:, ::-1] if flip else expected, atol=1e-12)


def test_a_map_that_is_not_finite_is_refused():
    with pytest.raises(DataError, match="values that are not finite"):
        ShownPlacement.on_prepared((4, 4), flip=False).map(np.array([[np.nan]]))


def raw_image(height, width, **about):
    pixels = np.random.default_rng(0).random((height, width)).astype(np.float32)
    return RawImage(stored=pixels, pixels=pixels, **about)


def test_a_right_breast_lies_as_in_its_file_whatever_the_preparation_did():
    raw = raw_image(60, 48, laterality="R", pixel_spacing_mm=(0.2, 0.1))
    geometry = Geometry.fit((8, 0, 48, 60), (16, 16), flip=True, keep_left=True)
    shown = show_original(raw, geometry, shortest=1)
    assert (shown.image == raw.pixels).all() and shown.original
    assert shown.side == "R"
    assert shown.mm_per_pixel == pytest.approx(0.1)
    turned = show_prepared(geometry.warp(raw.pixels), geometry, spacing_mm=0.1, shortest=1)
    np.testing.assert_array_equal(turned.image, geometry.warp(raw.pixels)[:, ::-1])
    assert (turned.side, turned.original) == ("R", False)
    assert turned.mm_per_pixel == pytest.approx(0.1 * 60 / 16)


@pytest.mark.parametrize(
    ("size", "shape", "mm"),
    [
        ((4600, 2800), (2048, 1247), 0.05 * 2800 / 1247),
        ((100, 80), (600, 480), 0.05 / 6),
        ((700, 300), (700, 300), 0.05),
    ],
)
def test_huge_images_are_capped_and_tiny_ones_enlarged_as_a_whole(size, shape, mm):
    raw = raw_image(*size, pixel_spacing_mm=(0.05, 0.05))
    shown = show_original(raw, Geometry.fit((0, 0, size[1], size[0]), (32, 32)))
    assert shown.image.shape == shown.shape == shape
    assert shown.mm_per_pixel == pytest.approx(mm)
    assert shown.image.mean() == pytest.approx(raw.pixels.mean(), abs=0.01)


@pytest.mark.parametrize(
    ("side", "view", "words"),
    [
        ("R", "mlo", "R MLO"),
        ("", "cc", "CC"),
        ("L", "l_cc", "L CC"),
        ("", "r_mlo", "R MLO"),
        ("L", "front", "L FRONT"),
    ],
)
def test_views_are_marked_as_radiographs_are(side, view, words):
    assert view_words(side, view) == words


def white_run(row):
    """The longest run of white pixels."""
    white = np.flatnonzero((row > 230).all(axis=1))
    runs = np.split(white, np.flatnonzero(np.diff(white) > 1) + 1)
    return max(map(len, runs))


@pytest.mark.parametrize(("width", "millimetres"), [(120, 20), (560, 50)])
def test_a_caption_leaves_the_picture_alone_and_its_bar_is_as_long_as_it_says(width, millimetres):
    picture = np.random.default_rng(0).integers(0, 200, (400, width, 3)).astype(np.uint8)
    caption = Caption("R MLO", "exam-0001", "P(malignant) = 0.83", "malignant", mm_per_pixel=0.4)
    made = captioned(picture, caption)
    left = (made.shape[1] - width) // 2
    assert (made[:400, left : left + width] == picture).all()
    assert made.shape[1] == max(width, 380)
    longest = max(white_run(row) for row in made[400:])
    assert longest == pytest.approx(millimetres / 0.4, abs=4)
    bare = captioned(picture, Caption("R MLO", "exam-0001", "P(malignant) = 0.83", "malignant"))
    assert max(white_run(row) for row in bare[400:]) < 30, "without a spacing there is no bar"


def test_long_words_stay_inside_the_caption():
    picture = np.zeros((300, 400, 3), dtype=np.uint8)
    long = Caption(
        "R MLO", "an exam of a very long name " * 4, "P(a very long class) = 0.83", "a very long class" * 3
    )
    made = captioned(picture, long)
    assert not made[300:, -3:].any(), "nothing is cut off at the border"
    assert made.shape[1] == 400


@pytest.fixture
def right_breast(tmp_path: Path) -> list[Path]:
    """DICOM files of a right breast, its chest wall on the right."""
    about = {"PatientID": "A", "ImageLaterality": "R", "Modality": "MG", "ImagerPixelSpacing": [0.5, 0.5]}
    return [
        write_mammogram(tmp_path / view, side="R", ViewCodeSequence=view_sequence(view), **about)
        for view in ("CC", "MLO")
    ]


def read(path: Path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_overlays_lie_as_their_originals(tiny_run, right_breast, tmp_path, monkeypatch):
    monkeypatch.setattr("gazekit.prediction.predict.available_cores", lambda: 0)
    for style in ("labelled", "bare", "map"):
        gazekit("predict", tiny_run, *right_breast, "--overlays", tmp_path / style, "--overlay-style", style)
    pictures = {
        style: read(next((tmp_path / style).glob("*_cc.png"))) for style in ("labelled", "bare", "map")
    }
    raw = read_image(right_breast[0]).pixels
    zoom = pictures["bare"].shape[0] // raw.shape[0]
    assert pictures["bare"].shape == (raw.shape[0] * zoom, raw.shape[1] * zoom, 3) and zoom == 8
    assert pictures["map"].shape == pictures["bare"].shape[:2]
    enlarged = Image.fromarray(raw).resize(pictures["map"].shape[::-1], Image.Resampling.BICUBIC)
    grey = np.clip(np.asarray(enlarged), 0, 1)[..., None]
    heat = pictures["map"] / 255
    colour, opacity = colormaps[ATTENTION](heat)[..., :3], 0.8 * np.sqrt(heat)[..., None]

    def difference(image):
        return np.abs(255 * ((1 - opacity) * image + opacity * colour) - pictures["bare"]).mean()

    assert difference(grey) < 1, "turned as in the file"
    assert difference(grey[:, ::-1]) > 5, "and not the other way"
    high = pictures["bare"].shape[0]
    left = (pictures["labelled"].shape[1] - pictures["bare"].shape[1]) // 2
    inner = pictures["labelled"][:high, left : left + pictures["bare"].shape[1]]
    assert (inner == pictures["bare"]).all() and pictures["labelled"].shape[0] > high
    gazekit(
        "predict",
        tiny_run,
        *right_breast,
        "--overlays",
        tmp_path / "s",
        "--overlay-side",
        100,
        "--overlay-style",
        "map",
    )
    assert max(read(next((tmp_path / "s").glob("*_cc.png"))).shape) == 64, "no whole multiple fits 100"


def test_overlays_of_a_prepared_set_are_turned_back_too(tiny_run, dataset, tmp_path):
    gazekit("predict", tiny_run, dataset.root, "--overlays", tmp_path / "o", "--overlay-style", "map")
    assert len(list((tmp_path / "o").iterdir())) == 2 * len(dataset)
