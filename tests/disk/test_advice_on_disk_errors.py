"""The advice fits the cause: space helps against a full disk, permission against a closed folder."""

import errno
import os
from pathlib import Path

import pytest

from gazekit.disk.atomic import disk_errors
from gazekit.disk.own_files import FileKind, unreadable
from gazekit.errors import DataError, StorageError
from gazekit.reading import content


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.EACCES, "get permission to write there or choose another folder"),
        (errno.EPERM, "get permission to write there or choose another folder"),
        (errno.EROFS, "choose another folder"),
        (errno.ENAMETOOLONG, "choose another folder"),
    ],
)
def test_a_place_that_is_closed_needs_permission_and_no_space(code: int, advice: str) -> None:
    with pytest.raises(StorageError) as found, disk_errors(Path("out")):
        raise OSError(code, os.strerror(code))
    assert str(found.value) == f"out: cannot write: {os.strerror(code)}; {advice}"


def test_a_file_that_others_own_is_neither_damaged_nor_to_be_copied_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def closed(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))

    facts = FileKind("the facts of a run", 100, "train it again")
    with pytest.raises(DataError, match=r"denied\); get permission to read the facts of a run$"):
        raise unreadable(tmp_path / "run.json", facts, PermissionError(errno.EACCES, "Permission denied"))
    monkeypatch.setattr(content, "require_regular_file", closed)
    with pytest.raises(
        DataError, match=r"a\.png: cannot be read \(Permission denied\); get permission to read it$"
    ):
        content.is_dicom(tmp_path / "a.png")
