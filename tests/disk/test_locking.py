"""Locks on a file system that has none: said by file and cause, and gone without only where nothing can be lost."""

import errno
import fcntl
from pathlib import Path

import pytest

from gazekit.disk.locking import locked
from gazekit.errors import ConfigurationError, StorageError
from gazekit.runs.directory import RunDirectory
from gazekit.study.folder import StudyFolder


def failing(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def flock(_descriptor: int, _operation: int) -> None:
        raise OSError(number, "simulated")

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.ENOLCK, "No locks available"),
        (errno.EOPNOTSUPP, "Operation not supported"),
        (errno.ENOSYS, "Function not implemented"),
    ],
)
def test_without_locks_a_run_and_a_study_go_on_and_file_and_cause_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, cause: str
) -> None:
    with RunDirectory.created(tmp_path / "run") as run:
        pass
    failing(monkeypatch, number)
    for folder, holder in ((run.path, run), (tmp_path / "study", StudyFolder(tmp_path / "study"))):
        done = False
        with pytest.warns(UserWarning, match="has no locks") as caught, holder.lock():
            done = True
        assert done
        [said] = {str(each.message) for each in caught}
        assert said == (
            f"{folder}/.lock: this file system has no locks ({cause}); continuing without a lock: make sure "
            "that no other process works in this folder"
        )


def test_without_locks_no_run_is_overwritten_for_another_may_be_training_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunDirectory.created(tmp_path / "run") as run:
        pass
    run.metrics.write_text("{}\n")
    failing(monkeypatch, errno.ENOLCK)
    with pytest.raises(
        ConfigurationError, match=r"run/\.lock: this file system has no locks .*remove its folder"
    ):
        RunDirectory.created(run.path, overwrite=True).__enter__()
    assert run.metrics.read_text() == "{}\n", "nothing was removed"


def test_a_disk_that_fails_is_another_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, errno.EIO)
    with pytest.raises(StorageError, match=r"\.lock: cannot write"), locked(tmp_path, busy="busy"):
        raise AssertionError("the block must not run")


def test_an_error_of_the_block_passes_and_the_lock_is_free_again(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), locked(tmp_path, busy="busy"):
        raise OSError(errno.ENOLCK, "mine")
    with (
        locked(tmp_path, busy="busy"),
        pytest.raises(ConfigurationError, match="busy"),
        locked(tmp_path, busy="busy"),
    ):
        raise AssertionError("the block must not run")
