"""Tobii Studio's exports: the real one, a miniature, and damaged ones."""

from pathlib import Path

import numpy as np
import pytest
from gazekit_datasets.gaze_readers.tobii.export import find_column
from gazekit_datasets.gaze_readers.tobii.studio import TobiiStudio

from gazekit.errors import DataError

REAL = Path(__file__).parents[3] / "shared" / "data" / "gaze" / "tobii_studio" / "data.tsv"
MINIATURE = Path(__file__).parents[1] / "helpers/gaze_files" / "tobii_studio.tsv"
HEAD = [
    "RecordingTimestamp",
    "MediaName",
    "GazePointX (MCSpx)",
    "GazePointY (MCSpx)",
    "ValidityLeft",
    "ValidityRight",
]


def read(tmp_path, rows, head=HEAD, **options):
    path = tmp_path / "a.tsv"
    path.write_text("\n".join("\t".join(map(str, row)) for row in [head, *rows]) + "\n", encoding="utf-8-sig")
    return list(TobiiStudio(**options).read(path))


@pytest.mark.skipif(not REAL.exists(), reason="the real recording is not here")
def test_the_real_export():
    (found,) = TobiiStudio().read(REAL)
    assert (found.image, len(found.x)) == ("http://www.drewmstiles.com/ (CRC)", 1863)
    assert (found.display_width, found.display_height) == (1864, 937)
    assert np.isnan(found.x).mean() == pytest.approx(0.28, abs=0.01)
    at = int(np.searchsorted(found.t_ms, 8296))
    assert (found.t_ms[at], found.x[at], found.y[at]) == (8296, 1216, 330)
    (events,) = TobiiStudio(events="fixations").read(REAL)
    assert len(events.x) == 34 and (events.duration_ms > 0).all()
    at = int(np.argmin(np.abs(events.x - 1206) + np.abs(events.y - 333)))
    assert events.duration_ms[at] == 258


def test_presentations_of_the_miniature():
    assert TobiiStudio().fits(MINIATURE)
    first, second = TobiiStudio().read(MINIATURE)
    assert (first.image, second.image) == ("P1_L_cc.png", "P1_L_mlo.png")
    assert len(first.x) == 76 and np.isnan(first.x).sum() == 6
    assert np.nanmedian(first.x[:30]) == pytest.approx(340, abs=1)
    events, _ = TobiiStudio(events="fixations").read(MINIATURE)
    assert events.x.tolist() == [340, 540] and events.duration_ms.tolist() == [250, 333]
    known = first.in_image_pixels(2000, 1600)
    assert np.nanmedian(known.x[:30]) == pytest.approx(680, abs=2)


def test_the_same_media_again_is_another_recording_and_nothing_shown_is_none(tmp_path):
    rows = [
        (0, "a.png", 1, 2, 0, 0),
        (8, "", 5, 5, 0, 0),
        (16, "a.png", 3, 4, 0, 4),
        (24, "b.png", 5, 6, 4, 1),
    ]
    found = read(tmp_path, rows)
    assert [(each.image, each.x.tolist()) for each in found] == [
        ("a.png", [1]),
        ("a.png", [3]),
        ("b.png", [5]),
    ]


@pytest.mark.parametrize(
    ("left", "right", "lost"),
    [
        *[(0, 4, False), (4, 1, False), (2, 2, True), (4, 4, True), (3, 1, False)],
        *[("0.0", "4.0", False), ("4.0", "", True), ("NA", "nan", True)],
    ],
)
def test_validity(tmp_path, left, right, lost):
    (found,) = read(tmp_path, [(0, "a.png", 1, 2, left, right), (8, "a.png", 3, 4, 0, 0)])
    assert np.isnan(found.x[0]) == lost


def test_without_media_the_pixels_are_the_screens(tmp_path):
    head = ["RecordingTimestamp", "GazePointX (ADCSpx)", "GazePointY (ADCSpx)"]
    (found,) = read(tmp_path, [(0, "100,5", 200), (8, "", "")], head)
    assert found.on_screen and found.x[0] == 100.5 and np.isnan(found.x[1])
    (found,) = read(tmp_path, [(0, 100, 200)], head, shown=(100, 100, 50, 200))
    assert not found.on_screen and (found.x[0], found.y[0], found.display_height) == (0, 100, 200)


def test_pixels_per_degree_from_distance_and_millimetres(tmp_path):
    """0.25 mm pixels at 600 mm: one degree is 10.47 mm, 41.9 pixels; the media is shown at half its size."""
    head = [
        *HEAD,
        "GazePointX (ADCSpx)",
        "GazePointLeftX (ADCSpx)",
        "GazePointLeftX (ADCSmm)",
        "DistanceLeft",
    ]
    rows = [
        (8 * i, "a.png", 2 * x, 9, 0, 0, x + 30, x + 28, 0.25 * (x + 28), 600)
        for i, x in enumerate(range(100, 130))
    ]
    (found,) = read(tmp_path, rows, head)
    assert found.pixels_per_degree == pytest.approx(2 * 600 * np.tan(np.radians(1)) / 0.25)
    (found,) = read(tmp_path, rows[:5], head)
    assert found.pixels_per_degree is None


GEOMETRY = [
    *HEAD,
    "GazePointX (ADCSpx)",
    "GazePointLeftX (ADCSpx)",
    "GazePointLeftX (ADCSmm)",
    "DistanceLeft",
    "ParticipantName",
]


def looked_at(media, left, *, zoom=1, distance=600, who="Ann", start=0, count=30):
    """Rows of gaze moving over a media whose left border lies at a place on a screen of 0.25 mm pixels."""
    screen = [left + 20 * x for x in range(count)]
    return [
        (start + 8 * i, media, zoom * (x - left), 9, 0, 0, x, x, 0.25 * x, distance, who)
        for i, x in enumerate(screen)
    ]


def degrees(distance, zoom=1):
    return pytest.approx(zoom * distance * np.tan(np.radians(1)) / 0.25)


def test_a_medias_place_on_the_screen_does_not_change_its_degrees(tmp_path):
    rows = looked_at("a.png", 0) + looked_at("b.png", 960, start=1000)
    rows += looked_at("a.png", 500, start=2000) + looked_at("c.png", 100, zoom=2, start=3000)
    found = read(tmp_path, rows, GEOMETRY)
    assert [each.image for each in found] == ["a.png", "b.png", "a.png", "c.png"]
    assert [each.pixels_per_degree for each in found] == [degrees(600)] * 3 + [degrees(600, zoom=2)]


def test_each_participant_sits_at_a_distance_and_short_looks_count_together(tmp_path):
    """Four rows a media, as in an export of fixations, are too few alone."""
    rows = [row for i in range(4) for row in looked_at(f"{i}.png", 200 * i, start=1000 * i, count=4)]
    rows += looked_at("a.png", 0, distance=700, who="Ben")
    found = read(tmp_path, rows, GEOMETRY)
    assert [each.pixels_per_degree for each in found] == [degrees(600)] * 4 + [degrees(700)]


def test_the_distance_is_found_where_the_first_5000_rows_are_lost(tmp_path):
    lost = [(8 * i, "a.png", "", "", 4, 4, "", "", "", "", "Ann") for i in range(5100)]
    (found,) = read(tmp_path, lost + looked_at("a.png", 0, start=50_000), GEOMETRY)
    assert found.pixels_per_degree == degrees(600)


@pytest.mark.parametrize(
    ("head", "rows", "message"),
    [
        (HEAD, [], "holds no gaze"),
        (HEAD, [(0, "", 1, 2, 0, 0)], "holds no gaze"),
        (HEAD[1:], [], "no column RecordingTimestamp"),
        (HEAD[:2], [], r"no column GazePointX \(ADCSpx\), GazePointY"),
        ([*HEAD[:3], *HEAD[4:]], [], r"no column GazePointY \(MCSpx\)"),
        ([*HEAD, "MediaName"], [(0, "a", 1, 2, 0, 0, "a")], "row 2: column 'MediaName' comes twice"),
        (
            HEAD,
            [(0, "a", 1, 2, 0, 0), (8, "a", "x", 2, 0, 0)],
            r"row 3: GazePointX \(MCSpx\) is 'x'; expected a number",
        ),
        (HEAD, [(0, "a", 1, 2, 0, 0), ("", "a", 1, 2, 0, 0)], "row 3: RecordingTimestamp is ''"),
        (HEAD, [(9, "a", 1, 2, 0, 0), (8, "a", 1, 2, 0, 0)], "row 3: time 8 ms after 9 ms"),
        (HEAD, [(0, "a", 1, 2, 0)], "row 2: 5 cells; expected 6"),
        (HEAD, [(0, "a", 1, 2, 0, 0, 7)], "row 2: 7 cells; expected 6"),
        (HEAD, [(0, "a", "inf", 2, 0, 0)], "is 'inf'"),
        (HEAD, [(0, "a", "1e30", 2, 0, 0)], "beyond 1e"),
        (HEAD, [("1e400", "a", 1, 2, 0, 0)], "RecordingTimestamp is '1e400'"),
        (HEAD, [("nan", "a", 1, 2, 0, 0)], "RecordingTimestamp is 'nan'"),
        (
            HEAD,
            [(0, "a", 1, 2, 0, "Valid")],
            "row 2: ValidityRight is 'Valid'; expected 0, 1, 2, 3, 4 or an empty",
        ),
        (HEAD, [(0, "a", 1, 2, 5, 0)], "row 2: ValidityLeft is '5'; expected 0, 1, 2, 3, 4 or an empty cell"),
    ],
)
def test_faults_name_file_and_row(tmp_path, head, rows, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, rows, head)
    assert "a.tsv" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "of_c"),
    [
        ((20, "b", "x", 2, 0, 0), None),
        ((20, "b", 1, 2, 0, "?"), None),
        (("", "b", 1, 2, 0, 0), None),
        ((1, "b", 1, 2, 0, 0), None),
        ((20, "b"), "row 4: "),  # torn: of what is before it or after it
    ],
)
def test_a_damaged_row_costs_its_presentation(tmp_path, row, of_c):
    rows = [(0, "a", 1, 2, 0, 0), (16, "b", 1, 2, 0, 0), row, (24, "c", 1, 2, 0, 0)]
    if of_c is None:
        rows.insert(3, (22, "b", 1, 2, 0, 0))
    found = [(each.image, each.fault and each.fault[:7], len(each.x)) for each in read(tmp_path, rows)]
    assert found == [("a", None, 1), ("b", "row 4: ", 0), ("c", of_c, 0 if of_c else 1)]


def test_a_damaged_size_of_a_media_costs_its_presentation(tmp_path):
    head = [*HEAD, "MediaWidth", "MediaHeight"]
    rows = [(8 * i, name, 1, 2, 0, 0, "wide" if name == "b" else 9, 9) for i, name in enumerate("abc")]
    found = [(each.image, each.fault and each.fault[:28]) for each in read(tmp_path, rows, head)]
    assert found == [("a", None), ("b", "row 3: MediaWidth is 'wide';"), ("c", None)]


EVENTS = [
    *HEAD,
    "GazeEventType",
    "GazeEventDuration",
    "FixationIndex",
    "FixationPointX (MCSpx)",
    "FixationPointY (MCSpx)",
]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((0, "a", 1, 2, 0, 0, "Fixation", -5, 1, 3, 4), "lasts -5 ms"),
        ((0, "a", 1, 2, 0, 0, "Fixation", "long", 1, 3, 4), "GazeEventDuration is 'long'"),
        ((0, "a", 1, 2, 0, 0, "Fixation", 5, 1, "x", 4), r"FixationPointX \(MCSpx\) is 'x'"),
        ((0, "a", 1, 2, 0, 0, "Saccade", 5, 1, 3, 4), "holds no gaze"),
        ((0, "a", 1, 2, 0, 0, "Fixation", 5, 1, "", ""), "holds no gaze"),
    ],
)
def test_faults_of_fixations(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        read(tmp_path, [row], EVENTS, events="fixations")
    with pytest.raises(DataError, match="no column GazeEventType"):
        read(tmp_path, [row[:6]], events="fixations")


def test_fixations_without_media_are_those_on_the_screen(tmp_path):
    head = [name for name in EVENTS if name != "MediaName"]
    row = (0, 1, 2, 0, 0, "Fixation", 200, 1, 3, 4)
    with pytest.raises(
        DataError,
        match=r"no column FixationPointX \(ADCSpx\), .*; export MediaName, for FixationPointX \(MCSpx\)",
    ):
        read(tmp_path, [row], head, events="fixations", shown=(100, 100, 50, 200))
    screen = [*head, "FixationPointX (ADCSpx)", "FixationPointY (ADCSpx)"]
    (found,) = read(tmp_path, [(*row, 110, 120)], screen, events="fixations", shown=(100, 100, 50, 200))
    assert (found.x[0], found.y[0], found.duration_ms[0], found.display_height) == (10, 20, 200, 200)
    media = [*EVENTS, "FixationPointX (ADCSpx)", "FixationPointY (ADCSpx)"]
    (found,) = read(tmp_path, [(0, "a", *row[1:], 110, 120)], media, events="fixations")
    assert (found.x[0], found.on_screen) == (3, False)


def test_fixations_on_a_media_need_no_gaze_point_on_it(tmp_path):
    head = [name.replace("GazePointX (MCSpx)", "GazePointX (ADCSpx)") for name in EVENTS]
    (found,) = read(tmp_path, [(0, "a", 900, 2, 0, 0, "Fixation", 200, 1, 3, 4)], head, events="fixations")
    assert (found.image, found.x[0], found.y[0], found.on_screen) == ("a", 3, 4, False)


def fixation_rows(media, first, numbers, duration):
    """A row every 8 ms, each part of a fixation with a number."""
    return [
        (8 * i, media, 1, 2, 0, 0, "Fixation", duration, number, 3, 4)
        for i, number in enumerate(numbers, first)
    ]


def test_the_last_sample_of_a_fixation_is_all_that_the_next_media_gets(tmp_path):
    rows = fixation_rows("a.png", 0, [1] * 50, 408) + fixation_rows("b.png", 50, [1], 408)
    rows += fixation_rows("b.png", 51, [2] * 25, 200)
    first, second = read(tmp_path, rows, EVENTS, events="fixations")
    assert first.duration_ms.tolist() == [pytest.approx(400, abs=8)]  # to a sample
    assert second.duration_ms.tolist() == [8, 200]
    rows = fixation_rows("a.png", 0, [1] * 25 + [2], 200) + fixation_rows("b.png", 26, [2] * 24, 200)
    first, second = read(tmp_path, rows, EVENTS, events="fixations")
    assert first.duration_ms.tolist() == [200, 8]
    assert second.duration_ms.tolist() == [pytest.approx(192, abs=8)]


def test_a_media_of_one_sample_has_no_fixation_and_an_export_of_fixations_keeps_them_whole(tmp_path):
    rows = fixation_rows("a.png", 0, [1] * 50, 408) + fixation_rows("b.png", 50, [1], 408)
    (only,) = read(tmp_path, rows, EVENTS, events="fixations")
    assert only.image == "a.png"
    rows = [row for i in range(3) for row in fixation_rows(f"{i // 2}.png", 60 * i, [i], 400)]
    found = read(tmp_path, rows, EVENTS, events="fixations")
    assert [each.duration_ms.tolist() for each in found] == [[400, 400], [400]]


def test_units_at_the_end_of_names():
    names = (
        "Gaze point X [DACS px]",
        "Gaze point X [MCS norm]",
        "Recording timestamp [μs]",
        "Plain",
        "[]",
        "[" * 5000,
    )
    assert find_column(names, "gaze point x", "dacspx", "").name == names[0]
    assert find_column(names, "recording timestamp").unit == "μs"
    assert find_column(names, "plain", "") is not None and find_column(names, "plain", "ms") is None


def test_columns_that_are_not_read_never_matter(tmp_path):
    """Areas of interest of one name, an index column without a name, quoted names, R's row names."""
    head, rows = [*HEAD, "AOI[x]Hit", "AOI[x]Hit"], [(8 * i, "a.png", 5, 6, 0, 0, 1, 0) for i in range(3)]
    (plain,) = read(tmp_path, rows, head)
    assert plain.x.tolist() == [5, 5, 5]
    (indexed,) = read(tmp_path, [(i, *row) for i, row in enumerate(rows)], ["", *head])
    quoted = [f'"{name}"' for name in head]
    (from_r,) = read(
        tmp_path, [(f'"{i}"', row[0], '"a.png"', *row[2:]) for i, row in enumerate(rows, 1)], quoted
    )
    (trailing,) = read(tmp_path, [(*row, "") for row in rows], head)
    for found in (indexed, from_r, trailing):
        assert (found.x.tolist(), found.t_ms.tolist(), found.image) == ([5, 5, 5], [0, 8, 16], "a.png")


def test_participants_are_readers(tmp_path):
    head = ["ParticipantName", *HEAD]
    rows = [(who, 8 * i, "a.png", 5, 6, 0, 0) for who in ("Ann", "Ben") for i in range(3)]
    assert [(each.reader, len(each.x)) for each in read(tmp_path, rows, head)] == [("Ann", 3), ("Ben", 3)]
    (recorded,) = read(tmp_path, rows[:3], ["RecordingName", *HEAD])
    assert recorded.reader == "Ann"
