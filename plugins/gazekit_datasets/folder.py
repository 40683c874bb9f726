"""Any folder of images with a table of exams."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from gazekit.data.content import has_image_suffix
from gazekit.data.exam import Exam
from gazekit.data.lesions import MaskFile
from gazekit.data.table import open_table
from gazekit.errors import DataError

TABLE = "exams.csv"
NEEDED = ("exam_id", "patient_id", "label")
OPTIONAL = ("split", "laterality", "dataset")
SPLITS = ("train", "val", "test")
SIDES = {"": None, "l": "L", "left": "L", "r": "R", "right": "R"}
_LONGEST_NAME, _LONGEST_PATH = 255, 1000

Row = Mapping[str, str]


class Folder:
    """Images listed in ``exams.csv``: ``exam_id,patient_id,label[,split][,laterality][,dataset]`` and a path per view.

    A view ``cc`` may have the columns ``cc_gaze`` and ``cc_mask``. Paths are relative to the folder; an empty
    one means that there is none. The file is text as a spreadsheet saves it: UTF-8, UTF-16 or Windows-1252,
    separated by commas, semicolons or tabs.

    Args:
        gaze_reader: format of the gaze files; ``"auto"`` looks at each.
        classes: class names in order (for two: negative, positive); None takes the labels found, sorted.
        views: columns that are views; None takes every further column whose first path names an image.
    """

    def __init__(
        self,
        *,
        gaze_reader: str = "auto",
        classes: tuple[str, ...] | None = None,
        views: tuple[str, ...] | None = None,
    ) -> None:
        self.gaze_reader = gaze_reader
        self.classes = classes
        self.views = views

    def exams(self, root: Path) -> Iterator[Exam]:
        """Yield the exams of ``root / exams.csv``. Raises: DataError with file, row and what was expected."""
        table = root / TABLE
        rows = _read(table)
        columns = list(rows[0][1]) if rows else []
        views = self.views or _find_views(table, root, columns, [row for _, row in rows])
        missing = [view for view in views if view not in columns]
        if missing:
            raise DataError(f"{table}: no column {', '.join(missing)}; the file has {', '.join(columns)}")
        seen: dict[str, str] = {}
        for where, row in rows:
            first = seen.setdefault(row["exam_id"], where)
            if first != where:
                raise DataError(
                    f"{where}: exam_id {row['exam_id'][:60]!r} comes again, first in row {first.rpartition(' ')[2]}; "
                    "expected it once"
                )
            yield self._exam(row, where, root, views)

    def _exam(self, row: Row, where: str, root: Path, views: tuple[str, ...]) -> Exam:
        for name in NEEDED:
            if not row[name]:
                raise DataError(f"{where}: {name} is empty; expected a value in every row")
        if self.classes is not None and row["label"] not in self.classes:
            raise DataError(
                f"{where}: label {row['label'][:60]!r} is none of the classes {', '.join(self.classes)}"
            )
        split = row.get("split")
        if split is not None and split not in SPLITS:
            raise DataError(f"{where}: split is {split[:60]!r}; expected {', '.join(SPLITS)} in every row")
        side = row.get("laterality", "").lower()
        if side not in SIDES:
            raise DataError(f"{where}: laterality is {row['laterality'][:60]!r}; expected L, R or nothing")
        side_letter = SIDES[side]
        gaze = _paths(row, where, root, views, "_gaze")
        masks = _paths(row, where, root, views, "_mask")
        return Exam(
            exam_id=row["exam_id"],
            patient_id=row["patient_id"],
            label=row["label"],
            images=_paths(row, where, root, views, ""),
            gaze=gaze,
            masks={view: (MaskFile(path),) for view, path in masks.items()},
            gaze_reader=self.gaze_reader if gaze else None,
            laterality=dict.fromkeys(views, side_letter) if side_letter else {},
            split=split,
            dataset=row.get("dataset", ""),
        )


def _read(table: Path) -> list[tuple[str, Row]]:
    """Where each row stands, and its cells without surrounding blanks. Raises: DataError."""
    if not table.is_file():
        raise DataError(f"{table}: there is no such file; expected a table of {', '.join(NEEDED)}")
    opened = open_table(table, NEEDED)
    rows: list[tuple[str, Row]] = [
        (row.where, {name: row[name] for name in opened.columns}) for row in opened.rows()
    ]
    if not rows:
        raise DataError(f"{table}: no rows below the header; expected one per exam")
    return rows


def _find_views(table: Path, root: Path, columns: list[str], rows: list[Row]) -> tuple[str, ...]:
    further = [
        name for name in columns if name not in NEEDED + OPTIONAL and not name.endswith(("_gaze", "_mask"))
    ]
    views = tuple(name for name in further if _names_images(root, [row[name] for row in rows]))
    if not views:
        raise DataError(
            f"{table}: no column of image paths; the file has {', '.join(columns)}; expected one per view"
        )
    attached = [name for name in columns if name.endswith(("_gaze", "_mask"))]
    for name in attached:
        if name.rpartition("_")[0] not in views:
            raise DataError(f"{table}: column {name} belongs to no view; the views are {', '.join(views)}")
    return views


def _names_images(root: Path, cells: list[str]) -> bool:
    first = next((cell for cell in cells if cell), "")
    is_there = first != "" and not _is_too_long(first) and _path(root, first).is_file()
    return is_there or has_image_suffix(first)


def _paths(row: Row, where: str, root: Path, views: tuple[str, ...], ending: str) -> dict[str, Path]:
    """The paths of a row by view. Raises: DataError for one that no file can have."""
    cells = {view: row.get(f"{view}{ending}", "") for view in views}
    for view, cell in cells.items():
        if _is_too_long(cell):
            raise DataError(
                f"{where}: {view}{ending} is {cell[:60]!r} …, {len(cell)} letters; expected the path of a file"
            )
    return {view: _path(root, cell) for view, cell in cells.items() if cell}


def _is_too_long(cell: str) -> bool:
    """Whether file systems have no such names; asking them for one is an error of theirs."""
    parts = cell.replace("\\", "/").split("/")
    return len(cell) > _LONGEST_PATH or any(len(os.fsencode(part)) > _LONGEST_NAME for part in parts)


def _path(root: Path, cell: str) -> Path:
    return root / cell.replace("\\", "/")  # tables written on Windows
