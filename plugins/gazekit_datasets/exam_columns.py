"""Identify the columns of a table of exams: names, views, and why other columns are not views."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unicodedata import normalize

from gazekit.errors import DataError
from gazekit.reading.content import SUFFIXES, has_image_suffix
from gazekit.reading.tables.found_files import FoundFiles
from gazekit.reading.tables.table import Row, beginning_with, is_missing, rename_advice
from gazekit.records.exam import Finding

NEEDED = ("exam_id", "patient_id", "label")
OPTIONAL = ("split", "laterality", "dataset")
_OTHER_NAMES = {
    "exam_id": ("exam", "id", "study", "studyid", "accession", "accessionnumber", "case", "caseid", "name"),
    "patient_id": ("patient", "pid", "subject", "subjectid", "participant", "person", "mrn"),
    "label": (
        "class",
        "diagnosis",
        "target",
        "y",
        "pathology",
        "outcome",
        "malignancy",
        "cancer",
        "truth",
        "labels",
    ),
}
"""Other names for the required columns, without case, blanks and underscores."""
_SAMPLED = 200
"""Cells per column looked up on disk; image names are recognised by their suffix."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The meaning of a table's columns.

    Args:
        names: ``exam_id`` … ``dataset`` → its column, as the table spells it; missing ones are left out.
        views, gaze, masks, heat_maps: view → column.
        targets, covariates: name → column, of ``target_NAME`` and ``covariate_NAME``.
    """

    names: Mapping[str, str]
    views: Mapping[str, str]
    gaze: Mapping[str, str] = field(default_factory=dict)
    masks: Mapping[str, str] = field(default_factory=dict)
    heat_maps: Mapping[str, str] = field(default_factory=dict)
    targets: Mapping[str, str] = field(default_factory=dict)
    covariates: Mapping[str, str] = field(default_factory=dict)

    def cell(self, row: Row, name: str) -> str:
        """Return a cell with composed accents; empty if it means missing, or the column does not exist."""
        column = self.names.get(name)
        cell = row[column] if column is not None else ""
        return "" if is_missing(cell) else normalize("NFC", cell)


def find_columns(
    table: Path, columns: Sequence[str], rows: Sequence[Row], chosen: Sequence[str] | None, files: FoundFiles
) -> tuple[Columns, list[Finding]]:
    """Identify the columns of a table.

    Args:
        table: for messages.
        columns: column names, in order.
        rows: all rows.
        chosen: the view columns; None finds them.
        files: finds the files that cells name.

    Returns:
        The columns, and a finding for each column that is respelled or not read.

    Raises:
        DataError: a required column is missing or comes twice, two columns differ in case only, or there is no view
            or no row.
    """
    names = _named(table, columns, rows)
    findings = [
        Finding("note", column, f"column read as {name}") for name, column in names.items() if column != name
    ]
    known = {kind: beginning_with(f"{kind}_", columns, table) for kind in ("target", "covariate")}
    taken = {*names.values(), *known["target"].values(), *known["covariate"].values()}
    further = [column for column in columns if column and column not in taken]
    attached = {column: found for column in further if (found := _attached(column))}
    candidates = [column for column in further if column not in attached]
    if chosen is None:
        reasons = {column: _why_no_view(column, rows, files) for column in candidates}
        views = [column for column in candidates if not reasons[column]]
    else:
        reasons = dict.fromkeys(candidates, "column is not among the views chosen")
        views = _chosen_views(table, columns, chosen, candidates)
    if not views:
        said = "; ".join(
            f"{name} {why.removeprefix('column ')}{_example(name, rows, files)}"
            for name, why in list(reasons.items())[:2]
        )
        raise DataError(
            f"{table}: no column of image paths; the file has {', '.join(columns)}; expected one per view"
            f"{f' ({said})' if said else ''}"
        )
    if chosen is None:
        reasons |= {
            column: f"{reasons[column]}; with a suffix they name images that are there: write names with their suffixes"
            for column in candidates
            if column not in views and _lacks_suffixes(column, rows, files)
        }
    findings += [
        Finding("dropped" if _looks_like_a_view(column, rows, files) else "note", column, reasons[column])
        for column in candidates
        if column not in views
    ]
    of_endings, left = _attach(table, attached, views)
    for column in left:
        stem = attached[column][0]
        if not chosen and stem not in reasons and _names_files(column, rows):
            raise DataError(
                f"{table}: column {column} belongs to no view; the views are {', '.join(views)}; "
                f"{rename_advice([stem], candidates)}, or remove it"
            )
        findings.append(Finding("note", column, "column not read: it belongs to no view"))
    return Columns(names, {view: view for view in views}, *of_endings.values(), *known.values()), findings


def _named(table: Path, columns: Sequence[str], rows: Sequence[Row]) -> dict[str, str]:
    """Find the columns with names of their own, and check that those that are needed are there."""
    names = _standard_names(table, columns)
    missing = [name for name in NEEDED if name not in names]
    if missing:
        raise DataError(
            f"{table}: no column {', '.join(missing)}; the file has {', '.join(filter(None, columns))[:300]}; "
            f"{_advice(missing, columns)}"
        )
    if not rows:
        raise DataError(f"{table}: no rows below the header; expected one per exam")
    if "split" in names and all(is_missing(row[names["split"]]) for row in rows):
        del names["split"]  # named among the others, like every column that says nothing
    return names


def _chosen_views(
    table: Path, columns: Sequence[str], chosen: Sequence[str], candidates: Sequence[str]
) -> list[str]:
    """Check that the table has the view columns that were chosen."""
    absent = [view for view in chosen if view not in columns]
    if absent:
        raise DataError(
            f"{table}: no column {', '.join(absent)}; the file has {', '.join(columns)}; "
            f"{rename_advice(absent, candidates)}"
        )
    return list(chosen)


def _attach(
    table: Path,
    attached: Mapping[str, tuple[str, str]],
    views: Sequence[str],
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Give columns such as ``cc_gaze`` to their views, ending → view → column; the rest belongs to none."""
    of_views: dict[str, str] = {}
    for each in views:
        _check_one(table, of_views.setdefault(each.casefold(), each), each, each)
    of_endings: dict[str, dict[str, str]] = {ending: {} for ending in ("gaze", "mask", "heat_map")}
    left = []
    for column, (stem, ending) in attached.items():
        view = of_views.get(stem.casefold())
        if view is None:
            left.append(column)
        else:
            _check_one(table, of_endings[ending].setdefault(view, column), column, f"{view}_{ending}")
    return of_endings, left


def _check_one(table: Path, one: str, other: str, meant: str) -> None:
    """Raise DataError if two columns stand for one thing."""
    if one != other:
        raise DataError(f"{table}: columns {one} and {other} both stand for {meant}; expected one")


def _standard_names(table: Path, columns: Sequence[str]) -> dict[str, str]:
    """Map ``exam_id`` … ``dataset`` to their columns, whose names may differ in case, blanks or underscores."""
    names: dict[str, str] = {}
    for name in (*NEEDED, *OPTIONAL):
        if name in columns:
            names[name] = name
            continue
        alike = [column for column in columns if _squeezed(column) == _squeezed(name)]
        if len(alike) > 1:
            _check_one(table, alike[0], alike[1], name)
        names.update(dict.fromkeys([name], alike[0]) if alike else {})
    return names


def _squeezed(name: str) -> str:
    return re.sub(r"[\s_-]+", "", normalize("NFC", name)).casefold()


def _advice(missing: Sequence[str], columns: Sequence[str]) -> str:
    """Say how to add missing columns."""
    there = {_squeezed(column): column for column in columns}
    advice = []
    for name in missing:
        other = next((there[word] for word in _OTHER_NAMES[name] if word in there), None)
        if other is not None:
            advice.append(f"if {other} is meant, rename it {name}")
    if advice:
        return "; ".join(advice)
    if list(missing) == ["patient_id"]:
        return "add it, because a split keeps a patient's exams together; if each exam is another patient, copy exam_id"
    rename = rename_advice(missing, filter(None, columns))
    if list(missing) == ["label"] and rename.startswith("expected"):
        return "add it, with the class of each exam (benign, malignant)"
    return rename


def _attached(column: str) -> tuple[str, str] | None:
    """Return view and ending of a column such as ``cc_gaze``; None for other columns."""
    found = re.fullmatch(r"(.+)_(gaze|mask|heat_?map)", column, re.IGNORECASE)
    return (found[1], found[2].lower().replace("heatmap", "heat_map")) if found else None


def _why_no_view(column: str, rows: Sequence[Row], files: FoundFiles) -> str:
    """Say why a column is not a view; empty if half of its cells name images, by suffix or as existing files.

    The reason is stored with prepared data, so it quotes no cell: a column of notes may name patients.
    """
    cells = [cell for cell in (row[column] for row in rows) if not is_missing(cell)]
    if not cells:
        return "column dropped: no cell says anything"
    by_suffix = [has_image_suffix(cell) for cell in cells]
    if 2 * sum(by_suffix) >= len(cells):
        return ""
    others = [cell for cell, known in zip(cells, by_suffix, strict=True) if not known]
    sampled = others[:: -(-len(others) // _SAMPLED)]
    there = sum(map(files.is_file, sampled)) / len(sampled) * len(others)
    if 2 * (sum(by_suffix) + there) >= len(cells):
        return ""
    neither = len(others) - round(there)
    return (
        f"column is no view: {neither} of {len(cells)} cells name neither an image ({', '.join(SUFFIXES[:3])} …) "
        "nor a file that is there"
    )


def _lacks_suffixes(column: str, rows: Sequence[Row], files: FoundFiles) -> bool:
    """Say whether the first cell of a column names an image without its suffix."""
    first = next((row[column] for row in rows if not is_missing(row[column])), None)
    return first is not None and files.with_suffix(first) is not None


def _example(column: str, rows: Sequence[Row], files: FoundFiles) -> str:
    """Quote the first cell of a column that is not a view, with the file that it may mean."""
    cells = (row[column] for row in rows)
    first = next((cell for cell in cells if not is_missing(cell) and not has_image_suffix(cell)), None)
    if first is None:
        return ""
    meant = files.with_suffix(first)
    advice = f"; there is {meant}: write names with their suffixes" if meant else ""
    return f", the first {first[:40]!r}{advice}"


def _looks_like_a_view(column: str, rows: Sequence[Row], files: FoundFiles) -> bool:
    """Say whether a column may be meant as a view: a cell names an image, or all cells are empty."""
    cells = [cell for cell in (row[column] for row in rows) if not is_missing(cell)]
    return not cells or any(map(has_image_suffix, cells)) or _lacks_suffixes(column, rows, files)


def _names_files(column: str, rows: Sequence[Row]) -> bool:
    cells = [row[column] for row in rows]
    return any(not is_missing(cell) and re.search(r"[/\\]|\.[A-Za-z]\w*$", cell) for cell in cells)
