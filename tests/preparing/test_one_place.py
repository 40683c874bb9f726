"""Image, gaze and mask of one lesion stay in one place, in size too: drawn by hand, prepared, then augmented."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_dicom import write

from gazekit.contracts.heat_map import SIGMA_X, SIGMA_Y, X, Y
from gazekit.feeding.augment import random_affine, warp
from gazekit.feeding.stored_gaze import warped
from gazekit.prepared.settings import PreparationSettings
from gazekit.preparing.one_exam import PreparedExam, Task, prepare_exam
from gazekit.presets.tables import AugmentationSettings
from gazekit.records.exam import Exam
from gazekit.records.lesions import MaskFile
from gazekit.records.recording import Recording

WINDOW = {"WindowCenter": 2048, "WindowWidth": 4096}
AUGMENTED = AugmentationSettings(
    rotation=20, translation=0.1, scale=0.2, flip_horizontal=0.5, flip_vertical=0.5
)
sides, sizes, places = st.integers(60, 140), st.integers(28, 60), st.floats(0.25, 0.75)
spacings = st.tuples(st.floats(0.05, 0.2), st.floats(0.05, 0.2))


def gaussian(shape, x, y, across, down):
    rows, columns = np.indices(shape) + 0.5
    return np.exp(-(((columns - x) / across) ** 2 + ((rows - y) / down) ** 2) / 2)


@settings(max_examples=25, deadline=None)
@given(
    raw=st.tuples(sides, sides),
    size=st.tuples(sizes, sizes),
    place=st.tuples(places, places),
    spacing=st.tuples(spacings, spacings),
    turning=st.tuples(st.sampled_from("LR"), st.sampled_from(["auto", "off"])),
    stretch=st.sampled_from([1.0, 1.3]),
    scale=st.sampled_from(["fill", "same"]),
    exam=st.integers(0, 99),
)
def test_a_spot_its_fixation_and_its_mask_stay_together(
    raw, size, place, spacing, turning, stretch, scale, exam
):
    """The spot has the shape of the Gaussian of its fixation, which a viewer that stretches makes an ellipse."""
    (own, other), (side, laterality) = spacing, turning
    (y, x), degree = (place[0] * raw[0], place[1] * raw[1]), max(raw) / 8
    spot = np.rint(gaussian(raw, x, y, stretch * degree, degree) * 4095).astype(np.uint16)
    disc = gaussian(raw, x, y, degree, degree) > np.exp(-0.5)  # of radius one degree
    with TemporaryDirectory() as folder:
        image, second, mask = (Path(folder) / name for name in ("a.dcm", "b.dcm", "m.dcm"))
        write(image, spot, PixelSpacing=list(own), ImageLaterality=side, **WINDOW)
        write(second, spot[: raw[0] // 2], PixelSpacing=list(other), ImageLaterality=side, **WINDOW)
        write(mask, disc.astype(np.uint16), PhotometricInterpretation="MONOCHROME1", ImageLaterality="L")
        gaze = Recording(
            *(image, np.array([x]), np.array([y])),
            duration_ms=np.array([200.0]),
            pixels_per_degree=degree,
            stretch=stretch,
        )
        chosen = PreparationSettings(
            views=("cc", "mlo"), size=size, crop="none", laterality=laterality, scale=scale, dtype="uint16"
        )
        task = Task(
            Exam("e", "p", "a", {"cc": image, "mlo": second}, masks={"cc": (MaskFile(mask),)}),
            {"cc": (gaze,)},
            chosen,
            Path(folder),
        )
        made = prepare_exam(task)
    assert isinstance(made, PreparedExam), made
    view, beside = made.record.views
    (fixation,), zoom = view.fixations, view.geometry.scale
    if scale == "same":  # a prepared pixel has one area in mm²
        areas = [np.prod(each) / row.geometry.scale**2 for each, row in ((own, view), (other, beside))]
        np.testing.assert_allclose(areas[0], areas[1])
    else:
        assert zoom == min(size[0] / raw[0], size[1] / raw[1])
    np.testing.assert_allclose((fixation.sigma_x, fixation.sigma_y), (stretch * degree * zoom, degree * zoom))
    drawn = gaussian(size, fixation.x, fixation.y, fixation.sigma_x, fixation.sigma_y)
    shown = made.images[0] / 65535
    whole = view.geometry.warp(np.ones(raw, dtype=np.float32)) > 0.999  # others may see background
    blurred = (
        0.05 + 0.15 / fixation.sigma_y**2
    )  # shrinking blurs by about a pixel, which lowers a narrow peak
    assert np.abs(shown - drawn)[whole].max() < blurred
    marked = np.unpackbits(made.masks[0], axis=1)[:, : size[1]]
    expected = gaussian(size, fixation.x, fixation.y, degree * zoom, degree * zoom) > np.exp(-0.5)
    assert abs(int(marked.sum()) - disc.sum() * zoom**2) < 0.5 * 2 * np.pi * degree * zoom
    assert (marked != expected).sum() < 0.6 * 2 * np.pi * degree * zoom  # of the pixels along its border
    if stretch != 1:
        return  # augmentation does not turn an ellipse
    theta = torch.from_numpy(
        random_affine(AUGMENTED, np.array([exam]), 1, seed=3, epoch=1, aspect=size[0] / size[1])
    )
    row = torch.zeros(1, 1, 1, 9)
    row[..., X], row[..., Y] = fixation.x, fixation.y
    row[..., SIGMA_X] = row[..., SIGMA_Y] = fixation.sigma_x
    moved = warped(row, theta, size)[0, 0, 0]
    turned, seen = (
        warp(torch.tensor(each, dtype=torch.float32)[None, None], theta[:, 0])[0, 0].numpy()
        for each in (drawn, np.ones(size))
    )
    again = gaussian(size, *(float(moved[column]) for column in (X, Y, SIGMA_X, SIGMA_Y)))
    assert np.abs(turned - again)[seen > 0.999].max() < 0.08 + 0.25 / float(moved[SIGMA_X]) ** 2
