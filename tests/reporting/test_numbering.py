"""Numbers of fixations never cover one another, wherever the fixations lie."""

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gazekit.gaze.fixations import Fixations
from gazekit.reporting.drawing import scanpath
from gazekit.reporting.drawing.layers import _DIGIT, scanpaths, text_size
from gazekit.reporting.drawing.numbering import Places
from gazekit.reporting.drawing.scanpath import draw_scanpath


def boxes_overlap(one, other):
    return all(one[i] < other[i + 2] and other[i] < one[i + 2] for i in (0, 1))


def test_a_lone_number_lies_on_its_disc_and_a_second_beside_it():
    places = Places(100, 100)
    assert places.find(50, 50, 5, (10, 8)) == (50, 50)
    beside = places.find(50, 50, 5, (10, 8))
    assert beside == (60, 50)
    assert Places(3, 3).find(1, 1, 1, (10, 8)) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 60), st.floats(0.5, 100))
def test_no_number_of_a_page_covers_another_nor_leaves_the_image(seed, number, spread):
    rng = np.random.default_rng(seed)
    shape = (200, 160)
    x, y = np.clip(rng.normal(80, spread, number), 0, 159), np.clip(rng.normal(100, spread, number), 0, 199)
    found = Fixations(x, y, np.arange(number) * 300.0, rng.uniform(100, 900, number))
    dots = [dot for path in scanpaths([found, found], shape) for dot in path.dots]
    boxes = []
    for dot in dots:
        if dot.label is not None:
            half = text_size(shape) * _DIGIT * len(str(dot.number)) / 2, text_size(shape) / 2
            (a, b), (w, h) = dot.label, half
            boxes.append((a - w + 0.01, b - h + 0.01, a + w - 0.01, b + h - 0.01))  # labels are rounded
    assert len(boxes) >= 2
    assert not any(boxes_overlap(*pair) for pair in combinations(boxes, 2))
    assert all(box[0] >= -0.01 and box[2] <= 160.01 and box[1] >= -0.01 and box[3] <= 200.01 for box in boxes)


def test_no_number_of_a_drawn_scanpath_covers_another(monkeypatch):
    drawn = []
    draw = scanpath.ImageDraw.ImageDraw.text

    def text(self, place, words, fill, font, **options):
        drawn.append(self.textbbox(place, words, font, anchor="mm"))
        draw(self, place, words, fill, font, **options)

    monkeypatch.setattr(scanpath.ImageDraw.ImageDraw, "text", text)
    rng = np.random.default_rng(0)
    picture = Image.new("RGB", (512, 640))
    draw_scanpath(picture, rng.normal(256, 25, 40), rng.normal(320, 25, 40), rng.uniform(100, 900, 40))
    assert len(drawn) > 20
    assert not any(boxes_overlap(*pair) for pair in combinations(drawn, 2))
