"""Several recordings of one reader on one image stay apart: in the table, in what is read from it, and in training."""

import csv
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_preparation import run, write_exams
from tiny import tiny

from gazekit.contracts.heat_map import RECORDING, goes_on
from gazekit.errors import DataError
from gazekit.feeding.stored_gaze import stored_gaze
from gazekit.measures.gaze.areas_of_interest import dwell_on
from gazekit.measures.gaze.scanpath import scanpath_similarity
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.exam_record import FIXATION_COLUMNS, JOURNAL_ENTRY, ReaderFixation, fixation_digest
from gazekit.prepared.exam_record import RECORDING as RECORDING_COLUMN
from gazekit.prepared.fixation_table import FixationTable
from gazekit.prepared.index import read_fixations, write_table
from gazekit.prepared.verification import faults_of, seal
from gazekit.preparing.journal import read_journal
from gazekit.records.recording import Recording
from gazekit.registry.registry import Registry


def look(reader: str, x: list[float], *, timed: bool = True) -> Recording:
    """Fixations of a reader on the image cc of exam e0, from left to right through the breast."""
    n = len(x)
    times = 400.0 * np.arange(n) if timed else None
    return Recording(
        *(Path("gaze.csv"), np.array(x), np.full(n, 80.0), times, np.full(n, 300.0)),
        exam_id="e0",
        view="cc",
        reader=reader,
    )


LOOKS = [
    look("Ann", [30.0]),
    look("Bob", [30.0, 40.0], timed=False),
    look("Ann", [30.0, 50.0, 70.0]),
    look("Bob", [40.0, 60.0], timed=False),
]


@pytest.fixture
def read_twice(tmp_path: Path) -> PreparedDataset:
    """A prepared set: Ann looks once with a single fixation, then again; Bob twice, without times."""
    exams = [replace(exam, gaze={}, gaze_reader=None) for exam in write_exams(tmp_path / "raw", 2)]
    options = {"recordings": LOOKS, "crop": "none", "jobs": 0}
    run(exams, tmp_path / "raw", tmp_path / "shard", shard=(1, 1), **options)
    run(exams, tmp_path / "raw", tmp_path / "out", **options)
    return PreparedDataset.open(tmp_path / "out")


def test_each_has_its_number_in_the_table(read_twice: PreparedDataset) -> None:
    with (read_twice.root / "fixations.csv").open(newline="") as file:
        rows = [(row["reader"], row["recording"]) for row in csv.DictReader(file)]
    assert rows == [("Ann", "1"), *[("Bob", "1")] * 2, *[("Ann", "2")] * 3, *[("Bob", "2")] * 2]
    assert not faults_of(read_twice.root).faults and read_twice.is_checked


def test_the_journal_keeps_it(read_twice: PreparedDataset) -> None:
    entry = read_journal(read_twice.root.parent / "shard")[1][0]
    assert [(each.reader, each.recording) for each in entry.views[0].fixations] == [
        *(("Ann", 1), ("Bob", 1), ("Bob", 1)),
        *(("Ann", 2), ("Ann", 2), ("Ann", 2), ("Bob", 2), ("Bob", 2)),
    ]
    line = entry.to_json()
    line["fixations"] = [row[:8] for row in line["fixations"]]  # as an earlier version wrote it
    found = JOURNAL_ENTRY.validate_python(line).entry()
    assert {each.recording for each in found.views[0].fixations} == {0}
    assert [each[:7] for each in found.views[0].fixations] == [each[:7] for each in entry.views[0].fixations]


def test_measures_take_them_one_by_one(read_twice: PreparedDataset) -> None:
    ann, bob = read_twice.fixations(0, "cc")
    assert [len(each) for each in ann.recordings()] == [1, 3]
    assert [len(each) for each in bob.recordings()] == [2, 2]
    left = np.zeros(read_twice.size, dtype=bool)
    left[:, : int(ann.x[0]) + 1] = True  # where both of Ann's recordings begin
    assert dwell_on(ann, left).entries == 2 and dwell_on(ann, left).fixations == 2
    first, again = bob.recordings()
    assert scanpath_similarity(bob, first, read_twice.size)["dtw_distance"] == 0
    assert scanpath_similarity(bob, again, read_twice.size)["dtw_distance"] > 0


def test_a_training_sees_where_the_next_begins(read_twice: PreparedDataset, registry: Registry) -> None:
    """Also where the first fixations of the second are left out, so that no onset falls."""
    preset = tiny(registry, 'views=["cc"]')
    rows = stored_gaze(read_twice, np.array([0]), preset, torch.device("cpu")).rows_of(torch.tensor([0]))[0]
    assert rows[0, :, RECORDING].tolist() == [1, 1, 1, 2, 2, 2, 2, 2]
    assert goes_on(rows)[0].tolist() == [False, False, True, False, True, True, False, True]
    preset = tiny(registry, 'views=["cc"]', "gaze.window_ms=[0, 500]", 'gaze.readers=["Ann"]')
    rows = stored_gaze(read_twice, np.array([0]), preset, torch.device("cpu")).rows_of(torch.tensor([0]))[0]
    assert goes_on(rows)[0].tolist() == [False, False, True]


def test_a_set_of_an_earlier_version_is_read_as_before(read_twice: PreparedDataset, tmp_path: Path) -> None:
    """Its table has no such column: what onsets tell is told, and the rest is not."""
    shutil.copytree(read_twice.root, tmp_path / "earlier")
    with (tmp_path / "earlier" / "fixations.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "recording"]
    write_table(tmp_path / "earlier" / "fixations.csv", names, ([row[n] for n in names] for row in rows))
    seal(tmp_path / "earlier")
    earlier = PreparedDataset.open(tmp_path / "earlier")
    assert not faults_of(earlier.root).faults
    ann, bob = earlier.fixations(0, "cc")
    assert [len(each) for each in ann.recordings()] == [4] and len(bob.recordings()) == 1
    assert earlier.fingerprint != read_twice.fingerprint, "what a training reads differs"


@pytest.mark.parametrize("cell", ["nan", "1.5", ""])
def test_a_number_that_is_not_whole_is_refused(tmp_path: Path, cell: str) -> None:
    names = (*FIXATION_COLUMNS, RECORDING_COLUMN)
    write_table(tmp_path / "fixations.csv", names, [["e0", "cc", "Ann", 1, 2, 0, 300, cell]])
    with pytest.raises(DataError, match=r"fixations\.csv: row 2: .*; the prepared data set is damaged"):
        list(read_fixations(tmp_path))


def rows_of(onsets: list[float], recordings: list[int]) -> list[tuple[str, ReaderFixation]]:
    return [
        ("cc", ReaderFixation("Ann", 1.0, 2.0, onset, 100.0, 3.0, 3.0, recording))
        for onset, recording in zip(onsets, recordings, strict=True)
    ]


def test_a_fingerprint_stays_where_onsets_tell_the_same() -> None:
    falling = [0.0, 400.0, 0.0, 300.0]
    assert fixation_digest(rows_of(falling, [1, 1, 2, 2])) == fixation_digest(rows_of(falling, [0] * 4))
    assert fixation_digest(rows_of(falling, [1] * 4)) == fixation_digest(rows_of(falling, [0] * 4))
    for onsets in ([0.0, 0.0, 300.0, 400.0], [math.nan] * 4):
        apart, together = (fixation_digest(rows_of(onsets, each)) for each in ([1, 2, 2, 2], [1] * 4))
        assert apart != together == fixation_digest(rows_of(onsets, [0] * 4))


def test_recordings_are_counted_where_onsets_fall() -> None:
    """Against a loop, whatever the order of exams, views and readers."""
    random = np.random.default_rng(0)
    rows = [
        (int(random.integers(2)), int(random.integers(2)), "AB"[random.integers(2)], 1.0, 2.0, onset, 9.0)
        for onset in random.choice([0.0, 100.0, 200.0, math.nan], 200)
    ]
    last: dict[tuple[int, int, str], tuple[float, int]] = {}
    expected = []
    for exam, view, reader, _, _, onset, _ in rows:
        before, number = last.get((exam, view, reader), (math.nan, 1))
        number += onset < before
        last[exam, view, reader] = onset, number
        expected.append(number)
    table = FixationTable.of_rows((*row, 1.0, 1.0, 0) for row in rows)
    assert table.recording.tolist() == expected and max(expected) > 3
    told = FixationTable.of_rows((*row, 1.0, 1.0, 5) for row in rows)
    assert set(told.recording.tolist()) == {5}
    assert FixationTable.of_rows([]).recording.shape == (0,)
