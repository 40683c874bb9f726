"""Read tables from Excel workbooks (``.xlsx``) or text files as the same rows."""

import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from gazekit.errors import DataError
from gazekit.reading.tables.table import Row, is_names_again, names_again, open_table, rename_advice

MAXIMUM_BYTES = 8 * 2**20
"""Maximum unpacked size of a workbook; a table of some thousand cases takes less than one MiB."""
MAXIMUM_COLUMNS = 64
"""Maximum number of columns: a few bytes of a workbook can claim sixteen thousand cells per row."""
_EXCEL_ROWS = 2**20


def read_rows(path: Path, needed: Sequence[str]) -> Iterator[Row]:
    """Yield the rows of a text table or of a workbook's first sheet: values only, no formula is computed.

    Args:
        path: the file; a workbook if the name ends in ``.xlsx``.
        needed: required columns.

    Raises:
        DataError: with file and row.
    """
    yield from open_rows(path, needed)[1]


def open_rows(path: Path, needed: Sequence[str] = ()) -> tuple[tuple[str, ...], Iterator[Row]]:
    """Return the column names and the rows below them; see :func:`read_rows`."""
    if path.suffix.lower() != ".xlsx":
        table = open_table(path, needed)
        return table.columns, table.rows()
    _check_size(path)
    sheet = _sheet(path)
    columns = sheet[0][1] if sheet else []
    names = tuple(filter(None, columns))
    twice = next((name for name in names if columns.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: column {twice[:40]!r} comes twice in the first sheet; expected each once")
    missing = [name for name in needed if name not in names]
    if missing:
        raise DataError(
            f"{path}: no column {', '.join(missing)}; the first sheet has {', '.join(names)[:300] or 'none'}; "
            f"{rename_advice(missing, names)}"
        )
    again = next((number for number, cells in sheet[1:] if is_names_again(cells, columns)), None)
    if again is not None:
        raise names_again(f"{path} row {again}")
    positions = {name: position for position, name in enumerate(columns) if name}
    rows = (Row(f"{path} row {number}", cells, positions) for number, cells in sheet[1:])
    return names, rows


def _check_size(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected an Excel workbook") from None
    except Exception:  # on damaged files it raises whatever its steps do
        raise DataError(f"{path}: not an Excel workbook, or damaged; save it again, or as CSV") from None
    if size > MAXIMUM_BYTES:
        raise DataError(
            f"{path}: unpacks to {size / 2**20:.0f} MiB; expected at most {MAXIMUM_BYTES // 2**20}"
        )


def _sheet(path: Path) -> list[tuple[int, list[str]]]:
    """Yield number and cells of the non-empty rows of the first sheet."""
    from openpyxl import load_workbook

    try:
        # our own file: openpyxl leaves one open when it fails
        with warnings.catch_warnings(), path.open("rb") as file:
            warnings.simplefilter("ignore")  # about styles and extensions
            with closing(load_workbook(file, read_only=True, data_only=True)) as book:
                sheet = book.worksheets[0]
                rows = sheet.iter_rows(max_row=_EXCEL_ROWS, max_col=MAXIMUM_COLUMNS + 1, values_only=True)
                found = [
                    (number, [_text(cell) for cell in row]) for number, row in enumerate(rows, 1) if any(row)
                ]
    except Exception:  # on damaged files it raises whatever its steps do
        raise DataError(f"{path}: not an Excel workbook, or damaged; save it again, or as CSV") from None
    if any(cells[MAXIMUM_COLUMNS] for _, cells in found):
        raise DataError(f"{path}: more than {MAXIMUM_COLUMNS} columns; expected a table of cases")
    return found


def _text(cell: object) -> str:
    """Return a cell as a text table would contain it."""
    if cell is None:
        return ""
    return str(int(cell) if isinstance(cell, float) and cell.is_integer() else cell).strip()
