"""Read any folder of images with a table of exams."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from gazekit.errors import DataError
from gazekit.prepared.splits import PARTS, part_named
from gazekit.reading.content import DICOM_SUFFIXES, has_image_suffix
from gazekit.reading.identifying.name_words import read_name
from gazekit.reading.identifying.view_names import ViewNames, side_in
from gazekit.reading.tables.found_files import FoundFiles, is_too_long
from gazekit.reading.tables.spreadsheet import open_rows
from gazekit.reading.tables.table import Row, is_missing
from gazekit.records.exam import Exam, Finding
from gazekit.records.labels import check_label
from gazekit.records.lesions import MaskFile
from gazekit_datasets.exam_columns import NEEDED, Columns, find_columns
from gazekit_datasets.exam_table import find_table


class Folder:
    """Images listed in ``exams.csv``: ``exam_id,patient_id,label[,split][,laterality][,dataset]`` and a path per view.

    A column ``target_NAME`` holds the class of a further target, a column ``covariate_NAME`` a number that is known of
    the exam, such as an age; an empty cell is not known.

    A view ``cc`` may have the columns ``cc_gaze``, ``cc_heat_map`` and ``cc_mask``. Paths are relative to the folder;
    an empty cell (or ``NA``, ``nan``, ``None``, ``-`` and the like) means that there is no file. The table is text as a
    spreadsheet saves it (UTF-8, UTF-16 or Windows-1252, separated by commas, semicolons or tabs), or a workbook
    ``exams.xlsx``.

    Sides that neither the column ``laterality`` nor a DICOM header gives are taken from the names of views, files and
    folders (``l_cc``, ``P1_R_cc.png``, ``LEFT/cc.png``).

    Args:
        gaze_reader: format of the gaze files; ``"auto"`` detects it for each file.
        classes: class names in order (for two: negative, positive); None takes the labels in the table, sorted.
        views: the view columns; None takes every other column if at least half of its cells name images.
    """

    region = "breast"

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

    def exams(self, root: Path) -> Iterator[Exam | Finding]:
        """Yield the exams of ``root / exams.csv``, and a finding per column that is not read.

        Raises: DataError with file, row and expected content.
        """
        table, others = find_table(root)
        for other in others:
            yield Finding("dropped", other, f"table not read: {table.name} stands beside it")
        names, read = open_rows(table)
        rows, files = list(read), FoundFiles(root)
        columns, findings = find_columns(table, names, rows, self.views, files)
        yield from findings
        seen: dict[str, str] = {}
        for row in rows:
            row.check_new("exam_id", columns.cell(row, "exam_id"), seen)
            yield self._exam(row, columns, files)
        yield from files.findings()

    def _exam(self, row: Row, columns: Columns, files: FoundFiles) -> Exam:
        said = {name: _needed(row, columns, name) for name in NEEDED}
        if self.classes is not None:
            check_label(said["label"], self.classes, row.where)
        side = side_in(columns.cell(row, "laterality"), "laterality", row.where)
        gaze = _paths(row, columns.gaze, files)
        images = _paths(row, columns.views, files)
        exam_id, patient_id, label = said.values()
        return Exam(
            *(exam_id, patient_id, label),
            images=images,
            gaze=gaze,
            masks={view: (MaskFile(path),) for view, path in _paths(row, columns.masks, files).items()},
            gaze_reader=self.gaze_reader if gaze else None,
            laterality=_sides(columns, side, images, files.root),
            part=_part(row, columns),
            dataset=columns.cell(row, "dataset"),
            heat_maps=_paths(row, columns.heat_maps, files),
            targets={
                name: row[column] for name, column in columns.targets.items() if not is_missing(row[column])
            },
            covariates=row.numbers(columns.covariates),
        )


def _sides(columns: Columns, given: str, images: Mapping[str, Path], root: Path) -> dict[str, str]:
    """Return the side of each view: as given, else as the names of views, files and folders say."""
    if given:
        return dict.fromkeys(columns.views, given)
    views = ViewNames(tuple(columns.views))
    found = {view: _side_by_name(view, path, views, root) for view, path in images.items()}
    return {view: side for view, side in found.items() if side}


def _side_by_name(view: str, path: Path, views: ViewNames, root: Path) -> str:
    """Return the side in the name of a view, file or folder; empty for DICOM, whose header gives it."""
    if path.name.lower().removesuffix(".gz").endswith(DICOM_SUFFIXES) or not has_image_suffix(path.name):
        return ""
    above = root if path.is_relative_to(root) else path.parent.parent
    return views.side_of(view) or read_name(path, above, views).side


def _needed(row: Row, columns: Columns, name: str) -> str:
    """Return a cell that must not be empty. Raises: DataError."""
    cell = columns.cell(row, name)
    if cell:
        return cell
    word = row[columns.names[name]]
    means = f"{word!r}, which means missing" if word else "empty"
    raise DataError(
        f"{row.where}: {name} is {means}; expected a value in every row; fill it in, or remove the row"
    )


def _part(row: Row, columns: Columns) -> str | None:
    if "split" not in columns.names:
        return None
    word = row[columns.names["split"]]
    part = part_named(word)
    if part is None:
        raise DataError(
            f"{row.where}: split is {word[:60]!r}; expected {', '.join(PARTS)} in every row, or no word in any"
        )
    return part


def _paths(row: Row, columns: Mapping[str, str], files: FoundFiles) -> dict[str, Path]:
    """Return a row's paths by view. Raises: DataError for an impossible path."""
    paths = {}
    for view, column in columns.items():
        cell = row[column]
        if is_missing(cell):
            continue
        if is_too_long(cell):
            raise DataError(
                f"{row.where}: {column} is {cell[:60]!r} …, {len(cell)} letters; expected the path of a file"
            )
        paths[view] = files.path(cell)
    return paths
