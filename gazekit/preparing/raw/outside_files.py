"""Refuse files that a table of exams names outside its folder, unless their folder is explicitly allowed."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gazekit.disk.wording import in_command
from gazekit.errors import DataError
from gazekit.records.exam import Exam


@dataclass(frozen=True, slots=True)
class Outside:
    """How many exams name files outside their folder without permission.

    Args:
        exams: exams with images or masks there, which are refused.
        gaze: other exams with gaze there, which are used without it.
        told: a warning for each of the two, where there are some.
    """

    exams: int = 0
    gaze: int = 0
    told: tuple[str, ...] = ()


def outside(exam: Exam, root: Path, allowed: Sequence[Path] = ()) -> list[Path]:
    """List the images and masks of an exam that are neither below the data set's folder nor below an allowed one."""
    files = [*exam.images.values(), *(path for _, path in exam.mask_files())]
    return [path for path in files if not _is_inside(path, root, allowed)]


def gaze_outside(exam: Exam, root: Path, allowed: Sequence[Path] = ()) -> list[tuple[str, Path]]:
    """List view and path of the gaze files and finished heat maps of an exam that are in neither folder."""
    files = [*exam.gaze.items(), *exam.heat_maps.items()]
    return [(view, path) for view, path in files if not _is_inside(path, root, allowed)]


def check_inside(
    exams: Sequence[Exam], root: Path, allowed: Sequence[Path] = (), *, own_gaze: bool = True
) -> Outside:
    """Count the exams that name files outside without permission, and word warnings.

    Args:
        exams: the exams.
        root: the folder of the data set.
        allowed: further folders.
        own_gaze: whether the exams' own gaze files are used; their finished heat maps are in any case.

    Raises:
        DataError: all of them do, or all that have gaze have all of it outside and no other is used; raised before
            any file is read.
    """
    refused = {exam.exam_id: files for exam in exams if (files := outside(exam, root, allowed))}
    told = _told("name files", refused, len(exams), root, "they are left out")
    used = exams if own_gaze else [replace(exam, gaze={}) for exam in exams]
    with_gaze = [exam for exam in used if exam.exam_id not in refused and (exam.gaze or exam.heat_maps)]
    if not with_gaze:
        return Outside(len(refused), 0, tuple(filter(None, [told])))
    lost = {exam.exam_id: gaze_outside(exam, root, allowed) for exam in with_gaze}
    is_all = own_gaze and all(
        len(lost[exam.exam_id]) == len(exam.gaze) + len(exam.heat_maps) for exam in with_gaze
    )
    paths = {exam_id: [path for _, path in files] for exam_id, files in lost.items() if files}
    consequence = "they are used without that gaze"
    told_of_gaze = _told("with gaze name gaze files", paths, len(with_gaze), root, consequence, is_all=is_all)
    return Outside(len(refused), len(paths), tuple(filter(None, [told, told_of_gaze])))


def _told(
    what: str,
    found: Mapping[str, Sequence[Path]],
    total: int,
    root: Path,
    consequence: str,
    *,
    is_all: bool = True,
) -> str:
    """Word the warning about exams with files outside; empty if there are none. Raises: DataError: nothing else is."""
    if not found:
        return ""
    folders = _folders_above(path for paths in found.values() for path in paths)
    options = " ".join(f"--allow-outside {in_command(folder)}" for folder in folders)
    which = f"all {total}" if len(found) == total else f"{len(found)} of {total}"
    told = (
        f"{which} exams {what} outside this folder, below {' and '.join(map(str, folders))}; if they are meant, "
        f"add {options}"
    )
    if len(found) == total and is_all:
        raise DataError(f"{root}: {told}")
    return f"{told}; without it {consequence}"


def _is_inside(path: Path, root: Path, allowed: Sequence[Path]) -> bool:
    return any(_is_below(path, folder) for folder in (root, *allowed))


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
