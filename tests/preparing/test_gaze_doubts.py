"""Gaze that looks wrong on its image is said by a preparation, as by ``gazekit gaze validate``, and kept in a file."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from made_preparation import Listed, run, validate, write_exams

from gazekit.prepared.index import read_findings
from gazekit.preparing.validating.corner import Corner
from gazekit.records.exam import GAZE, NOTE
from gazekit.records.geometry import Geometry
from gazekit.records.recording import Recording

GOOD = Recording(
    Path("good.csv"),
    np.repeat([40.0, 70.0], 60) + np.random.default_rng(0).normal(0, 0.1, 120),
    np.full(120, 80.0),
    np.arange(120) * 1000 / 60,
    exam_id="e0",
    view="cc",
    reader="A",
)
FIXATIONS = replace(GOOD, x=GOOD.x[::30], y=GOOD.y[::30], t_ms=GOOD.t_ms[::30], duration_ms=np.full(4, 300.0))


@pytest.fixture
def exams(tmp_path):
    return [replace(exam, gaze={}, gaze_reader=None) for exam in write_exams(tmp_path / "raw")]


def prepared(exams, tmp_path, recordings):
    summary = run(exams, tmp_path / "raw", tmp_path / "out", recordings=recordings)
    found = [each for each in read_findings(tmp_path / "out") if each.kind in (GAZE, NOTE)]
    return summary, [each.what for each in found]


def test_good_gaze_is_not_doubted(exams, tmp_path):
    several = [
        replace(one, exam_id=f"e{i}") for i in range(6) for one in (GOOD, replace(FIXATIONS, reader="B"))
    ]
    summary, said = prepared(exams, tmp_path, several)
    assert said == [] and list(summary.doubts()) == []


@pytest.mark.parametrize(
    ("recording", "sentence"),
    [
        (replace(GOOD, t_ms=GOOD.t_ms * 1000), "fewer than 1 sample a second; are the times in ms?"),
        (
            replace(GOOD, x=GOOD.x + np.where(np.arange(120) < 50, 0, 90)),
            "more than half of the samples lie outside",
        ),
        (replace(FIXATIONS, duration_ms=np.full(4, 0.3)), "half of the fixations last less than 10 ms"),
        (replace(FIXATIONS, duration_ms=np.full(4, 3e5)), "half of the fixations last more than 10 s"),
    ],
)
def test_what_looks_wrong_is_said_once_for_all_images(exams, tmp_path, recording, sentence):
    summary, said = prepared(exams, tmp_path, [recording, replace(recording, exam_id="e1")])
    assert len(said) == 2 and all(what.startswith(sentence) for what in said)
    (line,) = summary.doubts()
    assert line.startswith(f"gaze on e0 cc and 1 more: {sentence}")
    assert not list(summary.doubts(said))


def test_a_copied_recording_and_numbered_readers_are_said(exams, tmp_path):
    unnamed = replace(GOOD, reader=None)
    other = replace(unnamed, source=Path("copy.csv"), file=None)
    _, said = prepared(exams, tmp_path, [unnamed, other, replace(FIXATIONS, exam_id="e1")])
    copied, numbered = said
    assert copied.startswith("another recording of the image has the same rows; is one a copy?")
    assert numbered.startswith("its recordings name no reader, so they are numbered on each image")


def test_gaze_beside_the_region_that_is_cut_out_is_said(exams, tmp_path):
    beside = replace(GOOD, x=GOOD.x / 20 + 110, y=np.full(120, 8.0))
    _, said = prepared(exams, tmp_path, [GOOD, replace(beside, exam_id="e1")])
    assert said == [
        "less than 20 % of the fixation time lies in the breast; wrong geometry, or another image?"
    ]


@pytest.mark.parametrize(("shrunk", "doubted"), [(0.25, True), (1.0, False)])
def test_gaze_that_keeps_to_the_upper_left_on_every_image_is_said(exams, tmp_path, shrunk, doubted):
    """In pixels of a copy of a quarter of the size."""
    small = replace(FIXATIONS, x=FIXATIONS.x * shrunk, y=(FIXATIONS.y + 20) * shrunk)
    recordings = [replace(small, exam_id=f"e{i}") for i in range(6)]
    summary = run(exams, tmp_path / "raw", tmp_path / "out", recordings=recordings, crop="none")
    said = [line for line in summary.doubts() if "upper left quarter" in line]
    assert len(said) == doubted
    if doubted:
        assert said[0].startswith("gaze on all 6 images with gaze: no fixation leaves the upper left quarter")


@pytest.mark.parametrize(
    ("images", "each", "place", "said"),
    [
        (5, 4, (59, 79), True),
        (4, 5, (59, 79), False),
        (5, 3, (59, 79), False),
        (5, 4, (61, 79), False),  # beyond half of the width, though not of the height
        (5, 4, (59, 81), False),
    ],
)
def test_a_quarter_is_half_of_the_width_by_half_of_the_height_of_the_original(images, each, place, said):
    """Of originals of 160 x 120 pixels, prepared at half of it."""
    geometry = Geometry.fit((0, 0, 120, 160), (80, 60))
    rows = [SimpleNamespace(x=place[0] / 2, y=place[1] / 2)] + [SimpleNamespace(x=1, y=1)] * (each - 1)
    corner = Corner()
    blank = SimpleNamespace(fixations=())
    corner.look([blank, *[SimpleNamespace(fixations=rows, geometry=geometry, raw_size=(160, 120))] * images])
    corner.look([blank])
    assert bool(corner.findings()) == said
    away = SimpleNamespace(fixations=[SimpleNamespace(x=59, y=1)], geometry=geometry, raw_size=(160, 120))
    corner.look([away])
    assert not corner.findings(), "the last image may be the one that it leaves"


def test_validation_says_it_too(exams, tmp_path):
    own = tmp_path / "raw" / "own.gaze"
    own.write_text("\n".join(f"{x},{y}" for x, y in ((10, 10), (20, 15), (9, 30), (30, 12))))
    listed = [replace(exam, gaze={"cc": own}, gaze_reader="reader") for exam in exams]
    reader = type(
        "Few",
        (),
        {
            "read": lambda _, path: [
                replace(FIXATIONS, source=path, x=FIXATIONS.x / 4, y=FIXATIONS.y / 4, exam_id=None, view=None)
            ]
        },
    )
    faults = validate(
        Listed(listed), tmp_path / "raw", gaze_reader=lambda _: reader(), crop="none", jobs=0
    ).faults
    about, _, what = faults.gaze[0]
    assert about == "all 6 images with gaze" and what.startswith("no fixation leaves the upper left quarter")


def test_recordings_with_and_without_times_of_one_reader_and_image_are_said(exams, tmp_path):
    untimed = replace(GOOD, t_ms=None)
    said = prepared(exams, tmp_path, [GOOD, untimed])[1]
    assert [line.partition(":")[0] for line in said if "times" in line] == [
        "a reader has recordings with times and without on one image"
    ]


def test_readers_of_whom_one_has_times_make_a_heat_map_each(exams, tmp_path):
    assert prepared(exams, tmp_path, [GOOD, replace(GOOD, t_ms=None, x=GOOD.x + 0.1, reader="B")])[1] == []
