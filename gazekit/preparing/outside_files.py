"""Refuse files that a table of exams names outside its folder, unless their folder is explicitly allowed."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gazekit.disk.wording import in_command
from gazekit.errors import DataError
from gazekit.records.exam import Exam


def outside(exam: Exam, root: Path, allowed: Sequence[Path] = ()) -> Iterator[Path]:
    """List the files of an exam that are neither below the data set's folder nor below an allowed one."""
    for path in exam.files():
        if not any(_is_below(path, folder) for folder in (root, *allowed)):
            yield path


def check_inside(exams: Sequence[Exam], root: Path, allowed: Sequence[Path] = ()) -> tuple[int, str]:
    """Count the exams that name files outside without permission, and word a warning; empty if there are none.

    Raises:
        DataError: all of them do; raised before any file is read.
    """
    refused = {exam.exam_id: list(outside(exam, root, allowed)) for exam in exams}
    refused = {exam_id: paths for exam_id, paths in refused.items() if paths}
    if not refused:
        return 0, ""
    folders = _folders_above(path for paths in refused.values() for path in paths)
    options = " ".join(f"--allow-outside {in_command(folder)}" for folder in folders)
    which = f"all {len(exams)}" if len(refused) == len(exams) else f"{len(refused)} of {len(exams)}"
    told = (
        f"{which} exams name files outside this folder, below {' and '.join(map(str, folders))}; if they are meant, "
        f"add {options}"
    )
    if len(refused) == len(exams):
        raise DataError(f"{root}: {told}")
    return len(refused), f"{told}; without it they are left out"


def _is_below(path: Path, folder: Path) -> bool:
    """Compare the path as written, then with links resolved (``/tmp`` may be one)."""

    def leads_below(path: Path | str, folder: Path | str) -> bool:
        return Path(os.path.relpath(path, folder)).parts[:1] != (os.pardir,)

    return leads_below(path, folder) or leads_below(os.path.realpath(path), os.path.realpath(folder))


def _folders_above(paths: Iterable[Path]) -> list[Path]:
    """Return folders that hold all paths, one per top-level folder; those with most files first."""
    by_start: dict[tuple[str, ...], list[str]] = {}
    for path in dict.fromkeys(paths):
        folder = os.path.normpath(path.absolute().parent)
        by_start.setdefault(Path(folder).parts[:2], []).append(folder)
    common = Counter({os.path.commonpath(folders): len(folders) for folders in by_start.values()})
    return [Path(folder) for folder, _ in common.most_common(3)]
