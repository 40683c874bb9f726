"""A prepared set stays as it was prepared, through two preparations, a kill, a copy and a swap of labels."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import gazekit
from made_preparation import run, write_exams

from gazekit.disk.locking import locked
from gazekit.errors import ConfigurationError, DataError
from gazekit.prepared.dataset import PreparedDataset
from gazekit.preparing.journal import Journal


@pytest.fixture
def prepared(dataset: PreparedDataset, tmp_path: Path) -> Path:
    return shutil.copytree(dataset.root, tmp_path / "prepared")


def flip_pixel(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-1, 2)
        value = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([value ^ 1]))


def swap_labels(path: Path) -> None:
    """Every label is the other one; the file keeps its size if the names are equally long."""
    text = path.read_text().replace(",benign,", ",\0,").replace(",malignant,", ",benign,")
    path.write_text(text.replace(",\0,", ",malignant,"))


def test_a_whole_set_is_verified_and_opened(prepared: Path) -> None:
    assert gazekit("data", "verify", prepared).stdout.strip() == f"{prepared}: whole"
    said = json.loads(gazekit("data", "verify", prepared, "--json").stdout)
    assert said == {
        "schema": "gazekit.data_verification/1",
        "data": str(prepared),
        "whole": True,
        "faults": [],
        "unchecked": [],
    }
    assert PreparedDataset.open(prepared).is_checked


@pytest.mark.parametrize("name", ["images.npy", "masks.npy", "fixations.csv", "index.csv", "refused.csv"])
def test_one_other_bit_is_found_and_its_file_named(prepared: Path, name: str) -> None:
    flip_pixel(prepared / name)
    said = gazekit("data", "verify", prepared, code=3).stderr
    assert f"{name}: does not match its checksum" in said and "copy it again, or prepare it again" in said


def test_inverted_pixels_are_not_evaluated_and_the_result_stays(
    prepared: Path, tiny_run: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(tiny_run, tmp_path / "run")
    gazekit("evaluate", run, "--resamples", 100)
    before = (run / "evaluation.json").read_bytes()
    pixels = np.load(prepared / "images.npy", mmap_mode="r+")
    pixels[:] = 255 - pixels
    pixels.flush()
    for command in (["evaluate", run, "--data", prepared], ["report", run]):
        if command[0] == "report":
            (run / "checksums.json").unlink()
            facts = json.loads((run / "run.json").read_text()) | {"data": str(prepared)}
            (run / "run.json").write_text(json.dumps(facts))
        assert "pixels are not those that were prepared" in gazekit(*command, code=3).stderr
    assert (run / "evaluation.json").read_bytes() == before


def test_swapped_labels_are_not_even_opened(prepared: Path) -> None:
    swap_labels(prepared / "index.csv")
    with pytest.raises(DataError, match=r"index\.csv: does not match its checksum"):
        PreparedDataset.open(prepared)


def test_who_changes_the_checksums_too_is_still_found_by_the_fingerprint(prepared: Path) -> None:
    from gazekit.prepared.verification import facts_of

    swap_labels(prepared / "index.csv")
    manifest = json.loads((prepared / "dataset.json").read_text())
    manifest["files"]["index.csv"] = facts_of(prepared / "index.csv").model_dump()
    (prepared / "dataset.json").write_text(json.dumps(manifest))
    opened = PreparedDataset.open(prepared)
    with pytest.raises(DataError, match="labels, patients or pixels are not those"):
        assert opened.is_checked
    assert "labels, patients or pixels" in gazekit("data", "verify", prepared, code=3).stderr


def without_checksums(prepared: Path) -> None:
    """As the version before wrote it."""
    manifest = json.loads((prepared / "dataset.json").read_text()) | {"schema": 3}
    del manifest["files"]
    (prepared / "dataset.json").write_text(json.dumps(manifest))


def test_a_set_of_the_version_before_is_read_and_checked_as_far_as_it_can_be(prepared: Path) -> None:
    without_checksums(prepared)
    said = gazekit("data", "verify", prepared)
    assert (
        "fixations.csv, findings.csv, refused.csv cannot be checked" in said.stderr and "whole" in said.stdout
    )
    flip_pixel(prepared / "images.npy")
    assert "pixels are not those" in gazekit("data", "verify", prepared, code=3).stderr


def as_before_the_word_refused(prepared: Path) -> None:
    """The set as version 0.1 wrote it."""
    (prepared / "refused.csv").rename(prepared / "rejects.csv")
    manifest = json.loads((prepared / "dataset.json").read_text()) | {"schema": 4}
    manifest["counts"]["rejected"] = manifest["counts"].pop("refused")
    manifest["files"]["rejects.csv"] = manifest["files"].pop("refused.csv")
    (prepared / "dataset.json").write_text(json.dumps(manifest))


def test_a_set_that_lists_rejects_is_read_verified_and_left_as_it_is(tmp_path: Path) -> None:
    exams, root, out = write_exams(tmp_path / "raw", 4), tmp_path / "raw", tmp_path / "out"
    (root / "1_cc.png").write_bytes(b"no image")
    now = run(exams, root, out)
    assert [each.key for each in now.refused] == ["e1"]
    as_before_the_word_refused(out)
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    assert gazekit("data", "verify", out).stdout.strip() == f"{out}: whole"
    assert PreparedDataset.open(out).is_checked
    again = run(exams, root, out)
    assert again.refused == now.refused and again.work is None
    with pytest.warns(FutureWarning, match="rejects is now refused"):
        assert again.rejects == ((again.refused[0].key, again.refused[0].reason),)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    flip_pixel(out / "rejects.csv")
    assert "rejects.csv: does not match its checksum" in gazekit("data", "verify", out, code=3).stderr
    assert run(exams, root, out).refused == now.refused
    assert (out / "refused.csv").exists() and not (out / "rejects.csv").exists()


def test_a_second_preparation_of_one_folder_waits_for_nothing_and_changes_nothing(tmp_path: Path) -> None:
    exams = write_exams(tmp_path / "raw", 4)
    out = tmp_path / "out"
    out.mkdir()
    with locked(out, busy="busy"), pytest.raises(ConfigurationError, match="another process is preparing"):
        run(exams, tmp_path / "raw", out)
    assert [file.name for file in out.iterdir()] == [".lock"]


def interrupted(tmp_path: Path, broken: str | None = None) -> tuple[list, Path, Path]:
    """A preparation of four exams that was stopped after three."""
    exams, out = write_exams(tmp_path / "raw", 4), tmp_path / "out"
    if broken is not None:
        (tmp_path / "raw" / broken).write_bytes(b"no image")

    def stop(done: int, _total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(exams, tmp_path / "raw", out, progress=stop)
    return exams, tmp_path / "raw", out


def test_exams_that_are_black_though_the_journal_has_them_are_made_again(tmp_path: Path) -> None:
    """What a second process without a lock left: rows of zeros, and a journal that calls them done."""
    exams, root, out = interrupted(tmp_path)
    rows = np.load(out / "images.npy", mmap_mode="r+")
    rows[1:] = 0
    rows.flush()
    done: list[int] = []
    run(exams, root, out, progress=lambda *at: done.append(at[0]))
    assert done == [2, 3, 4], "the first one is as it was written"
    run(exams, root, tmp_path / "whole")
    for name in ("images.npy", "masks.npy", "dataset.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_journal_of_the_version_before_is_resumed(tmp_path: Path) -> None:
    exams, root, out = interrupted(tmp_path, broken="1_cc.png")
    journal = out / "journal.jsonl"
    assert '"refused"' in journal.read_text()
    journal.write_text(journal.read_text().replace('"refused"', '"reject"'))
    done: list[int] = []
    summary = run(exams, root, out, progress=lambda *at: done.append(at[0]))
    assert done == [4] and [each.key for each in summary.refused] == ["e1"]
    run(exams, root, tmp_path / "whole")
    for name in ("images.npy", "index.csv", "fixations.csv", "refused.csv", "dataset.json"):
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_what_changes_while_it_is_prepared_is_not_called_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exams, root, out = write_exams(tmp_path / "raw", 4), tmp_path / "raw", tmp_path / "out"
    close = Journal.close

    def closed(journal: Journal) -> None:
        close(journal)
        flip_pixel(out / "masks.npy")

    monkeypatch.setattr(Journal, "close", closed)
    with pytest.raises(DataError, match="the pixels of exam e3 were changed while it was prepared"):
        run(exams, root, out)
    assert not (out / "dataset.json").exists()
    monkeypatch.undo()
    run(exams, root, out)
    assert PreparedDataset.open(out).is_checked


def test_a_finished_set_that_is_damaged_is_made_again_by_the_same_command(tmp_path: Path) -> None:
    exams, root, out = write_exams(tmp_path / "raw", 4), tmp_path / "raw", tmp_path / "out"
    run(exams, root, out)
    whole = {file.name: file.read_bytes() for file in out.iterdir()}
    flip_pixel(out / "masks.npy")
    notes: list[str] = []
    run(exams, root, out, note=notes.append)
    assert any(
        "masks.npy: does not match its checksum" in note and "preparing it again" in note for note in notes
    )
    assert {file.name: file.read_bytes() for file in out.iterdir()} == whole


def test_arrays_are_not_written_through_a_link(tmp_path: Path) -> None:
    from gazekit.errors import StorageError

    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"x" * 100)
    exams, root, out = interrupted(tmp_path)
    (out / "masks.npy").unlink()
    (out / "masks.npy").symlink_to(theirs)
    with pytest.raises(StorageError, match=r"masks\.npy: cannot write"):
        run(exams, root, out)
    assert theirs.read_bytes() == b"x" * 100


def test_a_pipe_among_the_images_is_refused_at_once(raw_folder: Path, tmp_path: Path) -> None:
    raw = shutil.copytree(raw_folder, tmp_path / "raw")
    for name in ("e000_cc.png", "e001_mlo.png"):
        (raw / name).unlink()
        os.mkfifo(raw / name)
    arguments = [
        "data",
        "prepare",
        "folder",
        raw,
        tmp_path / "out",
        "--size",
        "16",
        "--crop",
        "none",
        "--jobs",
        1,
    ]
    command = [sys.executable, "-m", "gazekit", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert "exam e000 refused" in done.stderr and "exam e001 refused" in done.stderr
    assert len(PreparedDataset.open(tmp_path / "out")) == 22


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"keep_suspect": false', '"keep_suspect": "nan"', "preparation.fixations.keep_suspect: "),
        ('"laterality": "auto"', '"laterality": "off"', "was changed: settings, labels, "),
        ('"crop": "none"', '"crop": "none", "mask_outside": "x"', "preparation.mask_outside: "),
    ],
)
def test_settings_of_another_type_or_of_another_preparation_are_named(
    prepared: Path, old: str, new: str, said: str
) -> None:
    manifest = prepared / "dataset.json"
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new))
    warned = gazekit("data", "verify", prepared, code=3).stderr
    assert f"{manifest}: {said}" in warned


def test_a_preparation_that_is_not_finished_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("{}\n")
    said = gazekit("data", "verify", tmp_path, code=3).stderr
    assert "its preparation is incomplete; run the same `gazekit data prepare` again" in said
    assert "there is no such folder" in gazekit("data", "verify", tmp_path / "none", code=3).stderr
