"""Write a whole phantom, in parallel and resumable."""

import csv
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from io import StringIO
from pathlib import Path

from gazekit.disk.atomic import own_folder, write_atomically
from gazekit.disk.own_files import FileKind, read_text
from gazekit.errors import DataError, StorageError
from gazekit.machine import available_cores
from gazekit.reading.parallel import ordered_map
from gazekit_datasets.mammography.phantom.drawing import draw_scene
from gazekit_datasets.mammography.phantom.files import (
    COLUMNS,
    FOLDERS,
    exam_row,
    is_written,
    ratings_table,
    write_exam,
)
from gazekit_datasets.mammography.phantom.scene import Settings

DESCRIPTION = "phantom.json"
TABLE = "exams.csv"
RATINGS = "ratings.csv"
VERSION = 2
"""Version of the drawing code: increased whenever the same seed no longer gives the same bytes."""
_KIND = FileKind("the description of a phantom", 2**16, "choose another folder or delete this one")
WORTH_A_POOL = 2e6
"""Pixels below which starting processes costs more than it saves."""


def generate(
    root: Path, settings: Settings, *, exams: int, seed: int, progress: Callable[[int, int], None]
) -> None:
    """Write the first ``exams`` exams of a phantom below ``root``; existing files are kept.

    Args:
        root: an empty or new folder, or one with a phantom of the same settings and seed.
        settings: options of the phantom.
        exams: number of exams, at least 1.
        seed: 0 or greater.
        progress: called with (done, total).

    Raises:
        DataError: the folder holds something else, or a number is out of range.
        StorageError: the disk is full or not writable.
    """
    if exams < 1 or seed < 0:
        raise DataError(f"phantom: exams is {exams} and seed is {seed}; expected exams >= 1 and seed >= 0")
    description = json.dumps({"version": VERSION, "seed": seed, "options": asdict(settings)}, indent=1)
    _claim(root, description)
    scenes = [draw_scene(settings, seed, index) for index in range(exams)]
    rows = [exam_row(scene) for scene in scenes]
    missing = [index for index, row in enumerate(rows) if not is_written(root, row)]
    progress(exams - len(missing), exams)
    write = partial(write_exam, root, settings, seed, description)
    for done, _ in enumerate(_in_parallel(write, missing, settings.image_height), start=1):
        progress(exams - len(missing) + done, exams)
    text = StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    if settings.readers > 1:
        write_atomically(root / RATINGS, ratings_table(settings, seed, scenes))
    write_atomically(root / TABLE, text.getvalue())


def _claim(root: Path, description: str) -> None:
    """Make the folders, or check that they belong to the same phantom."""
    marker = root / DESCRIPTION
    if root.exists() and not root.is_dir():
        raise DataError(f"{root}: is a file; expected a folder for the phantom; choose another path")
    if os.path.lexists(marker):
        if read_text(marker, _KIND) != description:
            raise DataError(
                f"{marker}: the folder holds a phantom of another seed or of other options; "
                "choose another folder or delete this one"
            )
    elif root.exists() and any(root.iterdir()):
        raise DataError(f"{root}: is not empty and holds no phantom; choose a new or empty folder")
    for folder in FOLDERS:
        own_folder(root / folder)
    write_atomically(marker, description)


def _in_parallel(write: Callable[[int], None], indices: list[int], image_height: int) -> Iterator[None]:
    """Call ``write`` for every index, on all cores if that saves time."""
    worth_it = len(indices) > 1 and len(indices) * image_height**2 >= WORTH_A_POOL
    try:
        yield from ordered_map(write, indices, jobs=min(available_cores(), len(indices)) if worth_it else 0)
    except DataError as error:
        raise StorageError(
            "phantom: a process that draws exams was killed, probably because memory ran out; "
            "run again: finished exams are kept"
        ) from error
