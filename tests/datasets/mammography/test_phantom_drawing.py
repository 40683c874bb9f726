"""How the phantom draws and looks: closed forms for its texture, its lines, its ellipsoids and its reader's gaze."""

from functools import cache

import numpy as np
import pytest
from gazekit_datasets.mammography.phantom import Phantom
from gazekit_datasets.mammography.phantom.drawing import draw_scene
from gazekit_datasets.mammography.phantom.gaze import record_gaze
from gazekit_datasets.mammography.phantom.geometry import PROJECTION, image_shape, inside, skin_distance
from gazekit_datasets.mammography.phantom.lesions import _chord
from gazekit_datasets.mammography.phantom.parenchyma import power_law
from gazekit_datasets.mammography.phantom.render import render
from gazekit_datasets.mammography.phantom.scene import VIEWS, BreastOutline, Scene, View, generator
from gazekit_datasets.mammography.phantom.strokes import draw_dots, draw_lines
from numpy.typing import NDArray
from scipy import ndimage

from gazekit.records.arrays import Floats, Mask

DEFAULT = Phantom().settings
SHAPE = image_shape(256)


def spectral_slope(fields: list[NDArray[np.float32]], low: float, high: float) -> float:
    """Exponent of the radial power spectrum between two frequencies (cycles per pixel), Hann-windowed."""
    size = fields[0].shape[0]
    window = np.outer(np.hanning(size), np.hanning(size))
    centred = np.stack(fields) - np.mean(fields, axis=(1, 2), keepdims=True)
    power = (np.abs(np.fft.fft2(centred * window)) ** 2).mean(axis=0)
    axis = np.fft.fftfreq(size)
    frequency = np.hypot(axis[:, None], axis[None])
    bins = np.digitize(frequency, np.geomspace(low, high, 12))
    x = [np.log(frequency[bins == k].mean()) for k in range(1, 12)]
    y = [np.log(power[bins == k].mean()) for k in range(1, 12)]
    return float(np.polyfit(x, y, 1)[0])


@pytest.mark.parametrize("beta", [2.0, 3.0, 4.0])
def test_texture_has_the_power_law_asked_for(beta: float) -> None:
    rng = np.random.default_rng(0)
    fields = [power_law((192, 192), rng, beta=beta) for _ in range(10)]
    assert spectral_slope(fields, 0.04, 0.3) == pytest.approx(-beta, abs=0.2)
    assert np.mean([field.var() for field in fields]) == pytest.approx(1.0, abs=0.25)


def test_drawn_breasts_have_the_spectrum_of_mammograms() -> None:
    """Burgess et al. 2001 find beta = 2.8 on average, most between 2 and 4; without findings."""
    patches = []
    for index in range(8):
        scene = draw_scene(Phantom(contrast=0.0).settings, 3, index)
        rng = generator(3, index, "tissue cc")
        image, _ = render(scene, "cc", image_shape(512), difficulty=0.5, rng=rng)
        patches.append((image if scene.laterality == "L" else image[:, ::-1])[192:320, 32:160])
    assert spectral_slope(patches, 0.02, 0.2) == pytest.approx(-3.0, abs=0.4)


def test_the_two_projections_have_tissue_of_their_own() -> None:
    cc, mlo = (np.diff(power_law((128, 128), generator(0, 0, f"tissue {view}"))).ravel() for view in VIEWS)
    assert abs(np.corrcoef(cc, mlo)[0, 1]) < 0.05


def test_a_line_has_the_gaussian_cross_section_asked_for() -> None:
    points, peaks = np.array([[[-20.0, 20.3], [60.0, 20.3]]]), np.full((1, 2), 0.7)
    drawn = draw_lines(points, peaks, 2.5, (40, 40))
    expected = 0.7 * np.exp(-((np.arange(40) + 0.5 - 20.3) ** 2) / (2 * 2.5**2))
    np.testing.assert_allclose(drawn[:, 20], expected, atol=0.015)


def test_a_line_finer_than_the_grid_keeps_its_integral() -> None:
    points, peaks = np.array([[[-20.0, 20.3], [60.0, 20.3]]]), np.ones((1, 2))
    drawn = draw_lines(points, peaks, 0.1, (40, 40))
    assert drawn[:, 20].sum() == pytest.approx(0.1 * np.sqrt(2 * np.pi), rel=0.01)


def test_a_dot_has_its_peak_and_its_centre() -> None:
    drawn = draw_dots(np.array([[12.25, 17.5]]), np.array([0.8]), 3.0, (40, 30))
    assert drawn.max() == pytest.approx(0.8, rel=0.03)
    row, column = ndimage.center_of_mass(drawn)
    assert (column + 0.5, row + 0.5) == pytest.approx((12.25, 17.5), abs=0.01)


@pytest.mark.parametrize("view", VIEWS)
def test_an_ellipsoid_projects_as_its_points_do(view: View) -> None:
    """Against brute force: the chord is the longest where most random points of the ellipsoid fall."""
    matrix, radii = PROJECTION[view] * 30.0, np.array([0.3, 0.45, 0.6])
    centre, size = np.array([40.0, 40.0]), (80, 80)
    drawn = _chord(np.zeros(3), np.diag(radii**2), np.random.default_rng(8), matrix, centre, size)
    turn, _ = np.linalg.qr(np.random.default_rng(8).standard_normal((3, 3)))
    ball = np.random.default_rng(1).standard_normal((400_000, 3))
    ball *= np.random.default_rng(2).random((len(ball), 1)) ** (1 / 3) / np.linalg.norm(ball, axis=1)[:, None]
    places = (ball * radii) @ turn.T @ matrix.T + centre
    counts, *_ = np.histogram2d(places[:, 1], places[:, 0], bins=16, range=[[0, 80], [0, 80]])
    blocks = drawn.reshape(16, 5, 16, 5).sum(axis=(1, 3))
    np.testing.assert_allclose(blocks / blocks.sum(), counts / counts.sum(), atol=1.5e-3)  # largest: 0.05


def test_skin_distance_is_exact_for_a_line_of_sight_and_its_sign_is_the_outline() -> None:
    outline = BreastOutline(depth=0.5, nipple=0.5, above=0.4, below=0.4)
    y, x = (np.indices((400, 320)) + 0.5) / 400
    distance = skin_distance(x, y, outline)
    at_nipple = distance[200, :]
    near = np.abs(x[200] - 0.5) < 0.03
    np.testing.assert_allclose(at_nipple[near], 0.5 - x[200][near], atol=0.002)
    assert ((distance > 0) == (inside(x, y, outline) > 0)).all()


@cache
def lesion_of(index: int, view: View) -> tuple[Scene, Mask]:
    """A scene, and where its lesion is drawn."""
    scene = draw_scene(DEFAULT, 21, index)
    return scene, render(scene, view, SHAPE, difficulty=0.5, rng=generator(21, index, view))[1]


def dwell(quality: float, dilation: int = 0) -> tuple[float, float]:
    """Share of the samples inside the lesion's mask, and the mask's share of the image."""
    shares, areas = [], []
    for index in range(12):
        for view in VIEWS:
            scene, mask = lesion_of(index, view)
            mask = ndimage.binary_dilation(mask, iterations=dilation) if dilation else mask
            rng = generator(21, index, f"gaze {view}")
            samples = record_gaze(scene, view, SHAPE, quality=quality, rng=rng)
            seen = ~np.isnan(samples.x)
            column, row = samples.x[seen].astype(int), samples.y[seen].astype(int)
            shares.append(mask[row.clip(0, SHAPE[0] - 1), column.clip(0, SHAPE[1] - 1)].mean())
            areas.append(mask.mean())
    return float(np.mean(shares)), float(np.mean(areas))


def test_the_reader_dwells_on_the_lesion_by_the_share_asked_for() -> None:
    none, some, most = (dwell(quality, dilation=8) for quality in (0.0, 0.5, 0.9))
    assert none[0] < 0.1
    assert some[0] == pytest.approx(0.5, abs=0.1)  # saccades take a few samples away
    assert most[0] == pytest.approx(0.9, abs=0.1)
    assert most[1] < 0.04
    assert dwell(0.75)[0] > 25 * dwell(0.75)[1]


@pytest.mark.parametrize("quality", [0.0, 0.02, 0.75, 1.0])
def test_recordings_are_sixty_hertz_for_seconds_with_some_samples_lost(quality: float) -> None:
    lost, number = 0, 0
    for index in range(20):
        scene = draw_scene(DEFAULT, 1, index)
        samples = record_gaze(scene, "mlo", SHAPE, quality=quality, rng=generator(1, index, "gaze"))
        np.testing.assert_allclose(np.diff(samples.t_ms), 1000 / 60, atol=0.11)
        assert 2000 < samples.t_ms[-1] < 6000
        inside_image = (samples.x >= 0) & (samples.x <= SHAPE[1]) & (samples.y >= 0) & (samples.y <= SHAPE[0])
        blank = np.isnan(samples.x)
        assert (blank == np.isnan(samples.y)).all()
        assert (inside_image | blank).all()
        assert (~blank).sum() > 60
        lost, number = lost + int(blank.sum()), number + len(blank)
    assert 0.005 < lost / number < 0.15


def test_fixations_are_still_and_saccades_fast() -> None:
    """Most steps are noise (well under a hundredth of the image), a few are jumps of many times that."""
    steps: list[Floats] = []
    for index in range(10):
        scene = draw_scene(DEFAULT, 1, index)
        samples = record_gaze(scene, "cc", SHAPE, quality=0.75, rng=generator(1, index, "gaze"))
        steps.append(np.hypot(np.diff(samples.x), np.diff(samples.y)) / SHAPE[0])
    step = np.concatenate(steps)
    step = step[~np.isnan(step)]
    assert np.median(step) < 0.008
    assert 0.02 < (step > 0.03).mean() < 0.15


def test_a_right_breast_is_the_mirror_image_with_its_gaze() -> None:
    left = draw_scene(DEFAULT, 0, 0)
    fields = {name: getattr(left, name) for name in type(left).__slots__}
    right = type(left)(**{**fields, "laterality": "R"})
    drawn = {}
    for scene in (left, right):
        image, mask = render(scene, "cc", SHAPE, difficulty=0.5, rng=generator(0, 0, "tissue"))
        samples = record_gaze(scene, "cc", SHAPE, quality=0.75, rng=generator(0, 0, "gaze"))
        drawn[scene.laterality] = image, mask, samples
    assert left.laterality == "L"
    np.testing.assert_array_equal(drawn["L"][0], drawn["R"][0][:, ::-1])
    np.testing.assert_array_equal(drawn["L"][1], drawn["R"][1][:, ::-1])
    np.testing.assert_allclose(drawn["L"][2].x, SHAPE[1] - drawn["R"][2].x)
    np.testing.assert_allclose(drawn["L"][2].y, drawn["R"][2].y)
