"""Dwell, visits and first looks against loops that follow the definitions, and what must not change them."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from gazekit.errors import DataError
from gazekit.gaze.fixations import Fixations
from gazekit.gaze.quality import share_inside
from gazekit.measures.gaze.areas_of_interest import (
    AreaReading,
    Dwell,
    dwell_on,
    measure_areas,
    summarise_areas,
)
from gazekit.prepared.areas import areas_of, kept_pixels, read_areas
from gazekit.prepared.fixation_table import FixationTable
from gazekit.records.geometry import Geometry

SHAPE = (12, 20)
HEADER = "exam_id,view,area,left,top,right,bottom"


@st.composite
def scanpaths(draw):
    """One to three recordings of a reader, some of whose fixations lie beside the image."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=3))
    x, y = rng.uniform(-0.2, 1.2, (2, sum(lengths))) * ((SHAPE[1],), (SHAPE[0],))
    durations = rng.uniform(80, 600, sum(lengths))
    onsets = np.concatenate([np.cumsum(rng.uniform(90, 700, length)) - 80 for length in lengths])
    return Fixations(x, y, onsets, durations)


@st.composite
def masks(draw):
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    return rng.random(SHAPE) < draw(st.sampled_from([0.1, 0.5, 0.9]))


def slow_dwell(fixations, mask):
    """A loop over the rows, from the definitions."""
    dwell = total = 0.0
    count = entries = 0
    first = None
    was_inside, number, before = False, 0, -math.inf
    for x, y, onset, duration in zip(
        fixations.x, fixations.y, fixations.onset_ms, fixations.duration_ms, strict=True
    ):
        if onset < before:
            was_inside, number = False, 0
        before = onset
        column, row = math.floor(x), math.floor(y)
        inside = 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1] and bool(mask[row, column])
        total += duration
        if inside:
            dwell, count, entries = dwell + duration, count + 1, entries + (not was_inside)
            first = first or (onset, duration, number)
        was_inside, number = inside, number + 1
    return Dwell(dwell, dwell / total, count, entries, *(first or (None, None, None)))


@given(scanpaths(), masks())
def test_it_is_the_loop_over_the_fixations(path, mask):
    found, slow = asdict(dwell_on(path, mask)), asdict(slow_dwell(path, mask))
    assert {name: found[name] is None for name in found} == {name: slow[name] is None for name in slow}
    assert {k: v for k, v in found.items() if v is not None} == pytest.approx(
        {k: v for k, v in slow.items() if v is not None}
    )
    assert found["dwell_share"] == share_inside(path, mask)


@given(scanpaths(), masks())
def test_a_mirror_changes_nothing(path, mask):
    mirrored = replace(path, x=SHAPE[1] - path.x)
    assert dwell_on(mirrored, mask[:, ::-1]) == dwell_on(path, mask)


@given(scanpaths(), masks(), masks())
def test_the_parts_of_an_area_add_up(path, mask, cut):
    whole, one, other = (dwell_on(path, each) for each in (mask, mask & cut, mask & ~cut))
    assert one.dwell_ms + other.dwell_ms == pytest.approx(whole.dwell_ms)
    assert one.dwell_share + other.dwell_share == pytest.approx(whole.dwell_share)
    assert one.fixations + other.fixations == whole.fixations
    assert one.entries + other.entries >= whole.entries
    for each in (whole, one, other):
        assert (each.fixations > 0) <= each.entries <= each.fixations
        assert (each.time_to_first_ms is None) == (each.fixations == 0)


@given(scanpaths())
def test_of_the_whole_image_it_is_the_scanpath(path):
    path = path.inside(SHAPE)
    if len(path):
        found = dwell_on(path, np.ones(SHAPE, dtype=bool))
        assert found.dwell_share == 1 and found.fixations == len(path)
        assert found.dwell_ms == pytest.approx(path.duration_ms.sum())
        assert found.entries == 1 + int((np.diff(path.onset_ms) < 0).sum())
        assert (found.time_to_first_ms, found.fixations_before) == (path.onset_ms[0], 0)


def test_no_visit_runs_on_into_another_recording_and_the_first_look_is_of_the_first_that_has_one():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:, 10:] = True
    x = np.array([5, 15, 15, 5, 5, 15.0])
    path = Fixations(x, np.full(6, 3.0), np.array([0, 300, 600, 0, 200, 400.0]), np.arange(1, 7) * 100.0)
    assert dwell_on(path, mask) == Dwell(1100, 1100 / 2100, 3, 2, 300, 200, 1)
    joined = replace(path, x=np.array([5, 5, 15, 15, 5, 5.0]))
    assert dwell_on(joined, mask).entries == 2
    late = replace(path, x=np.array([5, 5, 5, 5, 5, 15.0]))
    assert dwell_on(late, mask) == Dwell(600, 600 / 2100, 1, 1, 400, 600, 2)


def test_without_times_counts_stay_and_without_a_look_there_is_no_first_one():
    mask = np.zeros(SHAPE, dtype=bool)
    mask[:6] = True
    y = np.array([8, 2, 2, 8, 2.0])
    untimed = Fixations(np.full(5, 4.0), y, np.full(5, np.nan), np.ones(5))
    assert dwell_on(untimed, mask) == Dwell(None, 0.6, 3, 2, None, None, 1)
    lasting = replace(untimed, duration_ms=np.array([100, 200, 300, 400, 500.0]))  # fixations without onsets
    assert dwell_on(lasting, mask) == Dwell(1000, pytest.approx(2 / 3), 3, 2, None, 200, 1)
    assert dwell_on(lasting, ~mask & False) == Dwell(0, 0, 0, 0, None, None, None)


def table(path, *rows, header=HEADER):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def with_gaze(dataset, *rows, **changes):
    """The data set with these fixations: exam, view, reader, x, y, onset, duration; recordings are told by onsets."""
    changed = replace(dataset, **changes)
    changed.__dict__["fixation_table"] = FixationTable.of_rows((*row, 1.0, 1.0, 0) for row in rows)
    return changed


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(st.data())
def test_a_box_goes_where_the_preparation_put_its_pixels(dataset, tmp_path, data):
    """The pixels whose centres, brought back to the original, lie in the box and in what was kept."""
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    (left, right), (top, bottom) = np.sort(rng.choice(30, (2, 2), replace=False) + 1, axis=1).tolist()
    size = dataset.size
    geometry = Geometry.fit((left, top, right, bottom), size, flip=data.draw(st.booleans()))
    moved = replace(dataset, geometry=({"cc": geometry, "mlo": geometry}, *dataset.geometry[1:]))
    edges = rng.choice(np.arange(10, 310), (4, 2), replace=False) / 10 + 0.037  # all different
    boxes = [sorted(each) for each in edges.round(3)]
    rows = [f"e000,cc,it,{x[0]},{y[0]},{x[1]},{y[1]}" for x, y in (boxes[:2], boxes[2:])]
    read = read_areas(table(tmp_path / "t.csv", *rows), moved)
    centres = np.indices(size) + 0.5
    x, y = geometry.inverse(centres[1], centres[0])
    kept = (x > left) & (x < right) & (y > top) & (y < bottom)
    assert (kept_pixels(moved, 0, "cc") == kept).all()
    expected = np.zeros(size, dtype=bool)
    alone = []
    for across, down in (boxes[:2], boxes[2:]):
        inside = kept & (x > across[0]) & (x < across[1]) & (y > down[0]) & (y < down[1])
        alone.append(bool(inside.any()))
        expected |= inside
    found = areas_of(moved, 0, "cc", read).get("it", np.zeros(size, dtype=bool))
    assert (found[expected]).all()
    if all(alone):  # a smaller box marks the pixel it lies in
        assert (found == expected).all()
    assert (found & ~expected).sum() <= 2 - sum(alone)


def test_a_box_smaller_than_a_pixel_is_one_pixel(dataset, tmp_path):
    read = read_areas(table(tmp_path / "t.csv", "e000,cc,dot,9.6,5.1,9.9,5.3"), dataset)
    assert np.argwhere(areas_of(dataset, 0, "cc", read)["dot"]).tolist() == [[2, 4]]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("e000,cc,a,9,4,9,8", "row 3: the box is left 9, top 4, right 9, bottom 8; expected left < right"),
        ("e000,cc,a,4,9,8,4", "row 3: the box is left 4, top 9, right 8, bottom 4; expected left < right"),
        ("e000,cc,a,4,x,8,9", "row 3: top is 'x'; expected a number"),
        ("e000,cc,,4,5,8,9", "row 3: area is empty"),
        ("e000,cc,lesion,4,5,8,9", "row 3: area is lesion, the name of the prepared lesion masks"),
        ("e000,cc,a,40,5,50,9", "row 3: the box lies beside the image.*the original, which is 32 x 32$"),
        (
            "e000,cc,a,0.1,0.2,0.5,1",
            "row 3: the box lies in the first pixel.*multiply fractions of the image",
        ),
    ],
)
def test_a_wrong_box_is_an_error_with_its_row(dataset, tmp_path, row, said):
    with pytest.raises(DataError, match=said):
        read_areas(table(tmp_path / "t.csv", "e001,cc,a,1,2,3,4", row), dataset)


def test_a_table_that_is_of_other_images_is_an_error(dataset, tmp_path):
    with pytest.raises(
        DataError, match=r"the table names exam X view cc.*its first exam is e000, its views are cc, mlo"
    ):
        read_areas(table(tmp_path / "t.csv", "X,cc,a,1,2,3,4"), dataset)
    with pytest.raises(DataError, match="it has no rows below the header"):
        read_areas(table(tmp_path / "t.csv"), dataset)
    with pytest.raises(DataError, match="no column right, bottom"):
        read_areas(table(tmp_path / "t.csv", header=HEADER.replace("right,bottom", "width,height")), dataset)


def test_rows_that_fit_nothing_are_left_out_and_named(dataset, tmp_path):
    rows = ("e000,cc,a,1,2,9,9", "Z,cc,a,1,2,3,4", "e000,lat,a,1,2,3,4", "e001,mlo,b,1,20,30,30")
    half = replace(dataset.geometry[1]["mlo"], bottom=16)
    cut = replace(
        dataset, geometry=(dataset.geometry[0], {**dataset.geometry[1], "mlo": half}, *dataset.geometry[2:])
    )
    read = read_areas(table(tmp_path / "t.csv", *rows), cut)
    assert read.unknown == ("exam Z view cc", "exam e000 view lat")
    assert read.beside == (f"{tmp_path / 't.csv'} row 5 (b)",)
    assert set(areas_of(cut, 1, "mlo", read)) == {"lesion"}


def test_every_reader_of_every_image_with_an_area_is_measured(dataset, tmp_path):
    """Of 16 x 16 pixels: Ann looks at the left half and then twice at the right, Bo only beside it."""
    has_mask = dataset.has_mask.copy()
    has_mask[0] = False
    changed = with_gaze(
        dataset,
        *((0, 0, "Ann", x, 8.0, onset, 200.0) for x, onset in ((2.0, 10.0), (12.0, 250.0), (13.0, 500.0))),
        (0, 0, "Bo", 2.0, 8.0, 0.0, 300.0),
        (3, 1, "Bo", 9.0, 1.0, math.nan, 1.0),
        has_mask=has_mask,
    )
    rows = ("e000,cc,right,16,0,32,32", "e000,mlo,right,16,0,32,32")  # nobody looked at the second
    found = measure_areas(changed, read_areas(table(tmp_path / "t.csv", *rows), changed))
    assert [(each.exam, each.view, each.reader, each.area) for each in found] == [
        (0, "cc", "Ann", "right"),
        (0, "cc", "Bo", "right"),
        (3, "mlo", "Bo", "lesion"),
    ]
    assert found[0].area_share == 0.5 and found[0].found == Dwell(400, 2 / 3, 2, 1, 250, 200, 1)
    assert found[1].found == Dwell(0, 0, 0, 0, None, None, None)
    assert found[2].area_share == pytest.approx((dataset.masks[3, 1] > 0).mean())
    assert found[2].found.dwell_ms is None


def test_the_padding_is_no_part_of_the_image(dataset, tmp_path):
    narrow = Geometry.fit((0, 0, 16, 32), dataset.size)
    rows = [(0, 0, "Ann", 6.0, 8.0, 0.0, 300.0), (0, 0, "Ann", 1.0, 8.0, 400.0, 100.0)]
    geometry = ({"cc": narrow, "mlo": narrow}, *dataset.geometry[1:])
    changed = with_gaze(dataset, *rows, geometry=geometry)
    read = read_areas(table(tmp_path / "t.csv", "e000,cc,whole,0,0,32,32", "e000,cc,top,0,0,32,8"), changed)
    whole, top = (each for each in measure_areas(changed, read) if each.area != "lesion")
    assert whole.area_share == 1 and top.area_share == 0.25
    assert whole.found.dwell_share == 0.75, "time beside what was kept counts"


def test_gaze_without_fixations_and_fixations_without_an_area_are_errors(dataset):
    with pytest.raises(DataError, match="no image has fixations"):
        measure_areas(with_gaze(dataset))
    bare = replace(dataset, has_mask=np.zeros_like(dataset.has_mask))
    with pytest.raises(DataError, match="none of the 44 images with fixations has an area"):
        measure_areas(bare)


def reading(exam, reader, fixations, *, time=None, dwell=0.0, share=0.0):
    return AreaReading(
        exam, "cc", reader, "a", 0.1, Dwell(dwell, share, fixations, fixations, time, None, None)
    )


def test_a_summary_is_of_all_of_each_reader_and_of_each_class(dataset):
    readings = [
        reading(0, "Ann", 1, time=300, dwell=100, share=0.2),
        reading(2, "Ann", 3, time=500, dwell=700, share=0.6),
        reading(4, "Ann", 0),
        reading(4, "Bo", 0, dwell=None),
    ]
    found = {(each.reader, each.label): each for each in summarise_areas(dataset, readings, resamples=200)}
    assert list(found) == [(None, None), ("Ann", None), ("Bo", None), (None, 0), (None, 1)]
    every, ann, bo = found[None, None], found["Ann", None], found["Bo", None]
    assert every.looked_at.value == 0.5 and every.looked_at.low < 0.5 < every.looked_at.high
    assert (every.readings, every.time_to_first_ms, every.dwell_ms, every.entries) == (4, 400, 100, 0.5)
    assert (every.dwell_share, every.area_share) == (pytest.approx(0.2), pytest.approx(0.1)), "means"
    assert (ann.readings, ann.dwell_ms, ann.entries) == (3, 100, 1)
    assert (bo.looked_at.value, bo.time_to_first_ms, bo.dwell_ms) == (0, None, None)
    assert math.isnan(bo.looked_at.low), "one patient"
    assert found[None, 1].readings == 1 and found[None, 0].looked_at.value == pytest.approx(1 / 3)
    (alone,) = summarise_areas(dataset, readings[:1])
    assert (alone.reader, alone.label) == (None, None)


@pytest.mark.parametrize("fixations", [0, 2])
def test_an_area_that_all_or_none_looked_at_has_the_exact_interval_of_its_patients(dataset, fixations):
    """Every resample repeats it."""
    readings = [reading(exam, "Ann", fixations) for exam in range(12)]
    patients = len({dataset.patient_ids[exam] for exam in range(12)})
    looked_at = summarise_areas(dataset, readings, resamples=50)[0].looked_at
    exact = stats.binomtest(patients if fixations else 0, patients).proportion_ci(method="exact")
    assert (looked_at.low, looked_at.high) == pytest.approx((exact.low, exact.high))
