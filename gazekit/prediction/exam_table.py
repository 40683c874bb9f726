"""Read a table of exams to predict: one column of image paths per view, no labels."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from gazekit.disk.plain_text import has_controls
from gazekit.disk.regular_file import is_regular_file
from gazekit.errors import DataError
from gazekit.prediction.file_grouping import Grouping, LooseExam, only_special, without_views
from gazekit.prepared.exam_record import COVARIATE
from gazekit.reading.identifying.image_look import SOME, Looked, contradictions, look_at
from gazekit.reading.identifying.view_names import ViewNames, side_in, split_words
from gazekit.reading.tables.found_files import FoundFiles, is_too_long
from gazekit.reading.tables.spreadsheet import open_rows
from gazekit.reading.tables.table import Row, beginning_with, is_missing, rename_advice
from gazekit.records.identity import IdentityRule

SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx")
_WORKBOOKS = (".xls", ".xlsm", ".xlsb", ".ods", ".numbers")
_IDS = ("exam_id", "examid", "exam", "id")
_PATIENTS = ("patient_id", "patientid", "patient")
_SIDES = ("laterality", "side")
_ONE_VIEW = ("image", "image_path", "path", "file", "filename", "file_name")
_KNOWN = (*_IDS, *_PATIENTS, *_SIDES, *_ONE_VIEW)


def is_table(path: Path) -> bool:
    """Say whether a file's name is that of a table. Raises: DataError for a workbook other than ``.xlsx``."""
    if path.suffix.lower() in _WORKBOOKS:
        raise DataError(f"{path}: gazekit cannot read this kind of workbook; save it as .xlsx or as CSV")
    return path.suffix.lower() in SUFFIXES and path.is_file()


def read_exam_table(
    path: Path,
    views: ViewNames,
    rules: Mapping[str, IdentityRule],
    *,
    keep_missing: bool = False,
    report: Looked = lambda _done, _total: None,
) -> Grouping:
    """Read a table of exams, in order, keyed by exam id.

    The table has a column ``exam_id`` and one per view, with paths relative to the table, found as :class:`FoundFiles`
    does; ``patient_id``, ``laterality`` and ``covariate_NAME`` are optional. Other columns, such as the label, are
    ignored. Without a column, the side is found as for loose images. Special images, such as spot compressions, are
    used as listed.

    Args:
        path: a text table, or a workbook (its first sheet is read).
        views: the views that each exam needs.
        rules: how data sources identify their own files.
        keep_missing: predict an exam that lacks a view from the others.
        report: of the exams looked at.

    Raises:
        DataError: names the file, the row and the expected content.
    """
    names, table = open_rows(path)
    files = FoundFiles(path.absolute().parent)
    spelled = (("_".join(split_words(column)), column) for column in names)
    named = _one_each(path, ((word, column) for word, column in spelled if word in _KNOWN))
    ids, patients, sides = (
        next((named[name] for name in choices if name in named), None)
        for choices in (_IDS, _PATIENTS, _SIDES)
    )
    if ids is None:
        raise DataError(
            f"{path}: no column exam_id; the file has {', '.join(names)[:300]}; expected a name for every exam"
        )
    columns = _columns(path, names, views, named)
    covariates = beginning_with(COVARIATE, names, path)
    found = Grouping([])
    rows: dict[str, str] = {}
    for row in table:
        key = row.word(ids)
        row.check_new(ids, key, rows)
        if has_controls(key):
            raise DataError(
                f"{row.where}: {ids} is {key[:60]!r}; expected printable characters, no line breaks"
            )
        cells = {view: _cell(row, columns[view]) for view in views.views}
        images = {view: files.path(cell) for view, cell in cells.items() if cell}
        side = side_in(_cell(row, sides), sides, row.where) if sides else ""
        looks = {
            view: look_at(image, image.parent.parent, views, rules)
            for view, image in images.items()
            if is_regular_file(image)
        }
        known = {view: side or (looks[view].side if view in looks else "") for view in images}
        found.exams.append(
            LooseExam(
                key,
                images,
                patient=_cell(row, patients) if patients else "",
                refused="" if keep_missing and images else _refused(cells),
                laterality={view: each for view, each in known.items() if each},
                covariates=row.numbers(covariates),
            )
        )
        if keep_missing and images and len(images) < len(cells):
            missing = [view for view in cells if view not in images]
            found.assumed.setdefault(without_views(missing), []).append(key)
        for view, what in contradictions(looks, dict.fromkeys(looks, side) if side else {}, views):
            found.assumed.setdefault(f"view {view} {what}", []).append(key)
        for view, look in looks.items():
            if look.identity.special:
                found.assumed.setdefault(only_special(view, look.identity.special), []).append(key)
        if len(found.exams) % SOME == 0:
            report(len(found.exams), None)
    if not found.exams:
        raise DataError(f"{path}: no rows below the header; expected one per exam")
    return found


def _one_each(path: Path, meant: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Map meanings to the columns that stand for them. Raises: DataError: two columns stand for one."""
    found: dict[str, str] = {}
    for meaning, column in meant:
        other = found.setdefault(meaning, column)
        if other != column:
            raise DataError(
                f"{path}: columns {other[:60]} and {column[:60]} both stand for {meaning}; expected one; images of two "
                "exams belong in two rows"
            )
    return found


def _columns(path: Path, names: Sequence[str], views: ViewNames, named: Mapping[str, str]) -> dict[str, str]:
    """Map each view to its column. Raises: DataError for a view without one, or with two."""
    found = _one_each(path, ((view, column) for column in names if (view := views.match(column))))
    if not found and len(views.views) == 1:
        column = next((named[name] for name in _ONE_VIEW if name in named), None)
        found = {views.views[0]: column} if column else {}
    missing = [view for view in views.views if view not in found]
    if missing:
        raise DataError(
            f"{path}: no column {', '.join(missing)}; the file has {', '.join(names)[:300]}; the model "
            f"reads {', '.join(views.views)}; {rename_advice(missing, names)}"
        )
    return found


def _cell(row: Row, column: str) -> str:
    cell = row[column]
    if is_too_long(cell):
        raise DataError(
            f"{row.where}: {column} is {cell[:60]!r} …, {len(cell)} letters; expected the path of a file"
        )
    return "" if is_missing(cell) else cell


def _refused(cells: Mapping[str, str]) -> str:
    empty = next((view for view, cell in cells.items() if not cell), None)
    if empty is None:
        return ""
    return f"no image of view '{empty}' in the table; the model reads {', '.join(cells)} of one exam together"
