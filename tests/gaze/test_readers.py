"""Readers of an image have names, or are numbered by their files."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gazekit.gaze.readers import reader_names
from gazekit.records.recording import Recording


def look(source="a.asc", reader=None, **about):
    return Recording(Path(source), np.array([1.0]), np.array([2.0]), reader=reader, **about)


def test_a_second_look_in_the_same_file_is_no_second_reader():
    looks = [look(exam_id="trial 1"), look("b/a.asc"), look(exam_id="trial 7"), look("b/a.asc")]
    assert reader_names(looks) == ["1", "2", "1", "2"]


def test_readers_stay_apart_where_their_files_are_not_to_be_named():
    looks = [
        replace(each, source=Path("a gaze file")) for each in (look("ann/a"), look("ben/a"), look("ann/a"))
    ]
    assert reader_names(looks) == ["1", "2", "1"]
    assert "ann" not in repr(looks) and "ann" not in "".join(map(str, looks))


def test_numbers_leave_out_the_names_that_are_there():
    looks = [look("x"), look("y", "1"), look("x", "Ann\x1b"), look("z"), look("x")]
    assert reader_names(looks) == ["2", "1", "Ann\\x1b", "3", "2"]
