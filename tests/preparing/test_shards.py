"""Merged shards are the preparation in one go, to the byte; anything but all shards of one is refused."""

import json

import numpy as np
import pytest
from made_preparation import run, write_exams

from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.prepared.verification import faults_of
from gazekit.preparing.prepare import Procedure
from gazekit.preparing.sharding.merge import merge


@pytest.fixture
def raw(tmp_path):
    """Seven exams; the image of one cannot be read."""
    root = tmp_path / "raw"
    exams = write_exams(root, 7)
    exams[3].images["mlo"].write_bytes(b"damaged")
    return exams, root


def shard(raw, folder, number, count, **options):
    return run(*raw, folder / f"shard-{number}", shard=(number, count), **options)


def contents(out):
    return {path.name: path.read_bytes() for path in out.iterdir() if path.name != ".lock"}


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_merged_shards_are_the_preparation_in_one_go_to_the_byte(raw, tmp_path, count):
    whole = run(*raw, tmp_path / "whole")
    for number in range(count, 0, -1):
        found = shard(raw, tmp_path, number, count)
        assert found.exams + len(found.refused) in (7 // count, 7 // count + 1)
    folders = [tmp_path / f"shard-{number}" for number in (2, *range(1, count + 1)) if number <= count]
    merged = merge(list(dict.fromkeys(folders)), tmp_path / "merged", Procedure())
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")
    assert merged.exams == whole.exams == 6 and merged.refused == whole.refused
    assert merged.findings == whole.findings
    assert not faults_of(tmp_path / "merged").faults
    ours, theirs = (PreparedDataset.open(tmp_path / name) for name in ("merged", "whole"))
    assert ours.fingerprint == theirs.fingerprint
    np.testing.assert_array_equal(ours.images, theirs.images)


def test_a_shard_prepares_its_exams_alone_and_is_left_as_it_is_once_finished(raw, tmp_path, monkeypatch):
    first = shard(raw, tmp_path, 1, 2)
    before = contents(tmp_path / "shard-1")
    assert first.exams == 3
    monkeypatch.setattr("gazekit.preparing.prepare.prepare_all", None)  # nothing is prepared again
    again = shard(raw, tmp_path, 1, 2)
    assert contents(tmp_path / "shard-1") == before and again.exams == 3 and again.work is None


def test_a_shard_that_was_stopped_goes_on(raw, tmp_path):
    class Stop(Exception):
        pass

    def stop(done, _total):
        if done == 2:
            raise Stop

    with pytest.raises(Stop):
        shard(raw, tmp_path, 2, 2, progress=stop)
    with pytest.raises(DataError, match="shard-2: its preparation is incomplete; repeat the command"):
        merge([tmp_path / "shard-2"], tmp_path / "merged", Procedure())
    assert not (tmp_path / "merged").exists()
    shard(raw, tmp_path, 1, 2), shard(raw, tmp_path, 2, 2)
    run(*raw, tmp_path / "whole")
    merge([tmp_path / "shard-1", tmp_path / "shard-2"], tmp_path / "merged", Procedure())
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")


def test_a_merge_that_was_stopped_goes_on_and_a_finished_one_stays(raw, tmp_path):
    class Stop(Exception):
        pass

    def stop(done, _total):
        if done == 5:
            raise Stop

    folders = [tmp_path / "shard-1", tmp_path / "shard-2"]
    shard(raw, tmp_path, 1, 2), shard(raw, tmp_path, 2, 2)
    with pytest.raises(Stop):
        merge(folders, tmp_path / "merged", Procedure(progress=stop))
    seen = []
    merge(folders, tmp_path / "merged", Procedure(progress=lambda done, total: seen.append((done, total))))
    assert seen == [(6, 7), (7, 7)]
    run(*raw, tmp_path / "whole")
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")
    merge(folders, tmp_path / "merged", Procedure(progress=lambda *_: pytest.fail("merged again")))


def test_a_shard_whose_exams_are_all_refused_is_merged(raw, tmp_path):
    shard(raw, tmp_path, 4, 7)
    found = json.loads((tmp_path / "shard-4" / "journal.jsonl").read_text().splitlines()[-1])
    assert found["exam_id"] == "e3" and "refused" in found


def test_what_is_not_all_shards_of_one_preparation_is_refused(raw, tmp_path):
    for number in (1, 2, 3):
        shard(raw, tmp_path, number, 3)
    first, second, third = (tmp_path / f"shard-{number}" for number in (1, 2, 3))
    out = tmp_path / "merged"

    def refused(*folders, match):
        with pytest.raises(DataError, match=match):
            merge(folders, out, Procedure())
        assert not out.exists()

    refused(first, third, match=r"shard 2/3 missing; expected all 3; prepare what is missing .--shard 2/3")
    refused(second, match=r"shards 1/3, 3/3 missing")
    refused(match="no shard to merge")
    refused(
        first,
        second,
        first,
        third,
        match=r"shard-1: is shard 1 of 3, and so is .*shard-1; expected each once",
    )
    refused(tmp_path / "nowhere", match="is no shard; expected the folder of gazekit data prepare")
    run(*raw, tmp_path / "other" / "shard-2", shard=(2, 2))
    refused(first, tmp_path / "other" / "shard-2", match=r"is one of 2 shards, .*shard-1 one of 3")
    run(*raw, tmp_path / "small" / "shard-2", shard=(2, 3), size=(24, 20))
    refused(
        *(first, tmp_path / "small" / "shard-2", third),
        match=r"shard-2: does not belong to .*shard-1 \(holds another .*: size is \[24, 20\] there, \[48, 40\] now",
    )
    raw[0][0].gaze["cc"].write_text("60.0,80.0\n")
    run(*raw, tmp_path / "later" / "shard-2", shard=(2, 3))
    refused(
        first,
        tmp_path / "later" / "shard-2",
        third,
        match="the files of the source, or those of its gaze, have changed",
    )


@pytest.mark.parametrize("name", ["journal.jsonl", "images.npy"])
def test_a_damaged_shard_is_refused(raw, tmp_path, name):
    shard(raw, tmp_path, 1, 2), shard(raw, tmp_path, 2, 2)
    path = tmp_path / "shard-2" / name
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"journal.jsonl: does not match|shard-2: the pixels of exam e6 are not those"
    ):
        merge([tmp_path / "shard-1", tmp_path / "shard-2"], tmp_path / "merged", Procedure())
    assert not (tmp_path / "merged" / "dataset.json").exists()
    shard(raw, tmp_path, 2, 2, overwrite=True)
    assert merge([tmp_path / "shard-1", tmp_path / "shard-2"], tmp_path / "merged", Procedure()).exams == 6


def test_a_shard_is_no_data_set_and_no_other_shard(raw, tmp_path):
    shard(raw, tmp_path, 1, 2)
    with pytest.raises(DataError, match="a shard of one; merge all shards: gazekit data merge"):
        PreparedDataset.open(tmp_path / "shard-1")
    with pytest.raises(DataError, match=r"shard is \[1, 2\] there, \[2, 2\] now"):
        run(*raw, tmp_path / "shard-1", shard=(2, 2))
    with pytest.raises(DataError, match=r"shard is \[1, 2\] there, null now"):
        run(*raw, tmp_path / "shard-1")


@pytest.mark.parametrize(
    ("shard", "said"),
    [((0, 2), "shard 0/2; expected I/N"), ((3, 2), "shard 3/2"), ((1, 9), "9 shards of 7 exams")],
)
def test_a_shard_that_there_is_not_is_refused(raw, tmp_path, shard, said):
    with pytest.raises(ConfigurationError, match=said):
        run(*raw, tmp_path / "out", shard=shard)


def test_the_command_line_prepares_shards_and_merges_them(tmp_path):
    from command_line import gazekit
    from made_data import make_folder

    source = make_folder(tmp_path / "raw", 6, without_gaze=0)
    options = ("--size", 16, "--crop", "none")
    gazekit("data", "prepare", "folder", source, tmp_path / "whole", *options)
    for number in (1, 2):
        told = gazekit(
            "data",
            "prepare",
            "folder",
            source,
            tmp_path / f"s{number}",
            *options,
            "--shard",
            f"{number}/2",
        )
        assert f"shard {number}/2 is finished" in told.stderr
    gazekit("data", "merge", tmp_path / "merged", tmp_path / "s2", tmp_path / "s1")
    assert contents(tmp_path / "merged") == contents(tmp_path / "whole")
    wrong = gazekit("data", "prepare", "folder", source, tmp_path / "s3", *options, "--shard", "2", code=2)
    assert "--shard 2: expected I/N such as 2/8" in wrong.stderr
