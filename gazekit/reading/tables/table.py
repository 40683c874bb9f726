"""Read text tables as written by instruments, spreadsheets and hospitals, row by row, in bounded memory.

The encoding (UTF-8 or UTF-16 with or without a byte order mark, else Windows-1252), the separator (tab, semicolon or
comma) and decimal commas are detected, the separator also from a first line ``sep=;`` as Excel writes it. Errors name
file and row.
"""

import codecs
import csv
import difflib
import math
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from gazekit.disk.regular_file import require_regular_file
from gazekit.disk.wording import counted
from gazekit.errors import DataError

if TYPE_CHECKING:
    from _csv import Reader as CsvReader

SEPARATORS = ("\t", ";", ",")
_SEPARATOR_NAMES = {"\t": "a tab", ";": "a semicolon", ",": "a comma"}
TWICE = -1
"""Position of a column that occurs more than once; its cells cannot be read."""
LARGEST = 3.4e38
"""What the numbers of 32 bits that models compute with can hold; other programs mark a lost one by more."""
_BLOCK = 2**20
_HEAD = 2**16
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_NO_TEXT = {
    b"PK\x03\x04": ("a workbook or an archive", "save its sheet as CSV, or unpack it"),
    b"\xd0\xcf\x11\xe0": ("a workbook of an earlier Excel", "save its sheet as CSV"),
    b"\x1f\x8b": ("compressed by gzip", "unpack it first (gunzip)"),
    b"%PDF": ("a PDF", "export the table itself as CSV"),
    b"\x89PNG": ("an image", "give the table"),
    b"\xff\xd8\xff": ("an image", "give the table"),
}
"""First bytes of files that are called tables by mistake → what they are, and what to do."""
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
_AFTER_COMMA, _AFTER_POINT = re.compile(r",\d"), re.compile(r"\.\d")
_COMMA, _POINT = re.compile(r"[+-]?\d*,\d+"), re.compile(r"[+-]?\d*\.\d+")
_MISSING = frozenset(
    ("", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "none", "null", "nil", "nat", ".", "-", "--", "–", "—")
)


def is_missing(cell: str) -> bool:
    """Whether a cell is empty or a word for missing (``NA``, ``nan``, ``None``, ``-`` …), ignoring case."""
    return cell.strip().lower() in _MISSING


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Args:
        where: file and number of the row's last line (the first line of the file is 1), for messages.
        cells: as in the file.
        positions: column → position in ``cells``, or ``TWICE``.
        commas: tells whether ``1,234`` and ``1.234`` are fractions; None where no number has a decimal comma.
        torn: why its cells cannot be told apart; empty for a good row.
    """

    where: str
    cells: Sequence[str]
    positions: Mapping[str, int]
    commas: "_Commas | None" = None
    torn: str = ""

    def __getitem__(self, column: str) -> str:
        """Return a cell, stripped. Raises: DataError if the column occurs twice, or the row is torn."""
        if self.torn:
            raise DataError(f"{self.where}: {self.torn}")
        position = self.positions[column]
        if position == TWICE:
            raise DataError(f"{self.where}: column {column[:40]!r} comes twice; expected it once")
        return self.cells[position].strip()

    def word(self, column: str) -> str:
        """Return a cell that must not be empty. Raises: DataError."""
        word = self[column]
        if not word:
            raise DataError(
                f"{self.where}: {column} is empty; expected a value in every row; fill it in, or remove the row"
            )
        return word

    def check_new(self, column: str, name: str, seen: dict[str, str]) -> None:
        """Note in ``seen`` that this row has a name. Raises: DataError if an earlier row has it too."""
        first = seen.setdefault(name, self.where)
        if first != self.where:
            raise DataError(
                f"{self.where}: {column} {name[:60]!r} comes again, first in row {first.rpartition(' ')[2]}; "
                "expected it once"
            )

    def number(self, column: str, *, may_be_lost: bool = False) -> float:
        """Parse a finite number; NaN if it may be lost and the cell is empty or says so (``NA``). Raises: DataError."""
        cell = self[column]
        try:
            number = float(cell if self.commas is None else cell.replace(",", "."))
        except ValueError:
            number = math.nan
        if abs(number) <= LARGEST and "_" not in cell:
            if self.commas is not None and self.commas.leave_open(self.positions[column], cell):
                raise DataError(
                    f"{self.where}: {column} is {cell[:40]!r}, which may be {re.sub('[,.]', '', cell)[:40]} or "
                    f"{cell.replace(',', '.')[:40]}; expected numbers without a separator of thousands; write "
                    "all fractions of the table with a point"
                )
            return number
        if may_be_lost and is_missing(cell):
            return math.nan
        lost = ", or an empty cell where it was lost" if may_be_lost else ""
        most = f" of at most {LARGEST:g}" if math.isfinite(number) and "_" not in cell else ""
        raise DataError(f"{self.where}: {column} is {cell[:40]!r}; expected a number{most}{lost}")

    def numbers(self, columns: Mapping[str, str]) -> dict[str, float]:
        """Parse the numbers of some columns by name, without those that are lost. Raises: DataError."""
        found = {name: self.number(column, may_be_lost=True) for name, column in columns.items()}
        return {name: number for name, number in found.items() if not math.isnan(number)}


def beginning_with(beginning: str, columns: Iterable[str], table: Path) -> dict[str, str]:
    """Map names to the columns that begin with a word, such as ``target_density``.

    Raises:
        DataError: no such name, or names that differ in case only.
    """
    found: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for column in columns:
        if column.casefold().startswith(beginning):
            name = column[len(beginning) :].strip()
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
                raise DataError(
                    f"{table}: column {column[:60]}: expected {beginning}NAME with letters, digits and _ in its name"
                )
            other = spelled.setdefault(name.casefold(), column)
            if name in found or other != column:
                raise DataError(
                    f"{table}: columns {other[:60]} and {column[:60]} both stand for {beginning}{name[:60]}; "
                    "expected one"
                )
            found[name] = column
    return found


class _Commas:
    """Tell, from the numbers of a table, whether a comma or a point before three digits begins a fraction.

    The numbers of its own column count first: ``0,5`` can be nothing but a fraction, and ``0.5`` neither.
    """

    def __init__(self, table: "Table") -> None:
        self._table = table
        self._looked = False
        self._commas: set[int] = set()
        self._points: set[int] = set()
        self._any_point = False

    def leave_open(self, position: int, number: str) -> bool:
        """Whether a number may as well be a thousand times larger, for all that its column and the table say."""
        if not _THOUSANDS.fullmatch(number):
            return False
        if not self._looked:
            self._look()
            self._looked = True
        if "." in number:
            return position in self._commas or bool(self._commas and not self._points)
        if position in self._commas or position in self._points:
            return position in self._points
        return self._any_point or not (self._commas or self._table.separator == ";")

    def _look(self) -> None:
        """Find the columns with numbers whose comma or point can be nothing but a decimal one."""
        comma, point = (self._is_in_text(pattern) for pattern in (_AFTER_COMMA, _AFTER_POINT))
        if not comma or (self._table.separator == ";" and not point):
            return  # most tables: found in a fraction of the time that the rows take
        with suppress(DataError):  # of a row, which says it when it is read
            for row in self._table.rows(torn=True):
                for position, cell in enumerate(() if row.torn else row.cells):
                    if "," not in cell and "." not in cell:
                        continue  # most cells, without an expression
                    number = cell.strip()
                    if _COMMA.fullmatch(number) and not _THOUSANDS.fullmatch(number):
                        self._commas.add(position)
                    elif _POINT.fullmatch(number):
                        self._any_point = True
                        if not _THOUSANDS.fullmatch(number):
                            self._points.add(position)
                if self._commas and not point:
                    return  # one is enough where no number has a point

    def _is_in_text(self, pattern: re.Pattern[str]) -> bool:
        """Whether two letters that fit a pattern follow each other anywhere in the file."""
        with self._table.path.open(encoding=self._table.encoding, newline="") as file:
            before = ""
            for block in iter(lambda: file.read(_BLOCK), ""):
                if pattern.search(before + block):
                    return True
                before = block[-1]
        return False


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first row names its columns; open it with :func:`open_table`.

    Args:
        path: the file.
        columns: stripped names, in order; "" for row names that the header omits.
        encoding, separator: as detected.
        above: number of lines above the header.
        quoted: whether quotes around cells are removed; with tabs, only if the header cells are quoted.
        unnamed: 1 if each row begins with a name for which the header has no column, as R writes it.
    """

    path: Path
    columns: tuple[str, ...]
    encoding: str
    separator: str
    above: int = 0
    quoted: bool = False
    unnamed: int = 0

    def rows(self, *, header_again: bool = False, torn: bool = False) -> Generator[Row, None, None]:
        """Yield the non-empty rows below the header.

        Args:
            header_again: skip the header where it comes again, as a program that appends to its log writes it.
            torn: yield also rows with too many or too few cells, which raise when a cell is read.

        Raises:
            DataError: with file and row.
        """
        positions = {name: position for position, name in enumerate(self.columns)}
        positions |= {name: TWICE for name in positions if self.columns.count(name) > 1}
        name, commas = str(self.path), None if self.separator == "," else _Commas(self)
        with self.path.open(encoding=self.encoding, newline="") as file:
            lines = _lines(file, self.path)
            for _ in range(self.above):
                next(lines, None)
            reader = _reader(lines, self.separator, quoted=self.quoted)
            before = 0  # lines up to the last row that is whole
            try:
                header = next(reader, [])
                before = reader.line_num
                for cells in reader:
                    before = reader.line_num
                    if not any(cells):
                        continue
                    where = f"{name} row {self.above + before}"
                    if len(cells) == len(self.columns) + 1 and not cells[-1]:
                        cells.pop()  # a separator at the end of the rows but not of the header
                    if is_names_again(cells, header):
                        if header_again:
                            continue
                        raise names_again(where)
                    fault = "" if len(cells) == len(self.columns) else self._cells_fault(len(cells))
                    if fault and not torn:
                        raise DataError(f"{where}: {fault}")
                    yield Row(where, cells, positions, commas, fault)
            except UnicodeError as error:
                where = f"{name} row {self.above + reader.line_num + 1}"  # the line is not counted yet
                raise DataError(f"{where}: not text ({error}); copy it again from its source") from None
            except csv.Error as error:
                first, last = self.above + before + 1, self.above + reader.line_num
                raise DataError(f"{name} row {first}: {_quotes_fault(error, first, last)}") from None

    def _cells_fault(self, count: int) -> str:
        named = len(self.columns) - self.unnamed
        return (
            f"{counted(count, 'cell')}; expected {named} like the first row; a cell that holds "
            f"{_SEPARATOR_NAMES.get(self.separator, self.separator)} must stand in quotes"
        )


def _quotes_fault(error: csv.Error, first: int, last: int) -> str:
    """Say what is wrong with a row that begins in one line, if only a later one shows it."""
    far = f" (up to row {last})" if last > first else ""
    if "unexpected end" in str(error):
        what = f"a quote opens a cell that ends only with the table{far}"
    elif "field larger" in str(error):
        what = (
            f"a cell is longer than {csv.field_size_limit()} characters{far}, as where a quote is not closed"
        )
    else:
        what = f"a cell goes on after its closing quote{f' in row {last}' if far else ''}"
    return (
        f"not a row of a text table: {what}; check its quotes: each opens or closes a cell, and within one it is "
        'written twice ("")'
    )


def open_table(path: Path, needed: Sequence[str] = (), *, advice: str = "") -> Table:
    """Detect how a table is written and check its columns.

    Args:
        path: a text file whose first row names the columns.
        needed: required columns.
        advice: what to do about a missing column; empty suggests which column to rename.

    Raises:
        DataError: no such file, not text, no header, a required column missing or there twice. Other columns may occur
            twice; their cells cannot be read.
    """
    try:
        require_regular_file(path)
        _check_kind(path)
        encoding = _encoding(path)
        head, separator, above = _head(path, encoding)
    except FileNotFoundError:
        kind = f"table of {', '.join(needed)}" if needed else "text table"
        raise DataError(f"{path}: there is no such file; expected a {kind}") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected a text table") from None
    if _CONTROL.search(head):
        raise DataError(f"{path} row {above + 1}: contains bytes that are not text; expected a text table")
    columns = _columns(head, separator)
    if not columns or columns == ("",):
        raise DataError(f"{path}: the first row is empty; expected the names of the columns")
    twice = next((name for name in needed if columns.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{path}: column {twice[:40]!r} comes twice; expected it once")
    missing = [name for name in needed if name not in columns]
    if missing:
        raise DataError(
            f"{path}: no column {', '.join(missing)}; the file has {', '.join(columns)[:300]}; "
            f"{advice or rename_advice(missing, columns)}"
        )
    table = Table(path, columns, encoding, separator, above, _is_quoted(head, separator))
    return replace(table, columns=("", *columns), unnamed=1) if _has_row_names(table) else table


def rename_advice(missing: Sequence[str], columns: Iterable[str]) -> str:
    """Say which column to rename to a missing one if one is spelled alike, else what the first row must hold."""
    spelled = {name.casefold(): name for name in columns}
    for name in missing:
        near = difflib.get_close_matches(name.casefold(), spelled, n=1, cutoff=0.75)
        if near:
            return f"if {spelled[near[0]]} is meant, rename it {name}"
    return f"expected a first row that names {', '.join(missing)}"


def names_again(where: str) -> DataError:
    """Return the error of a row that repeats the first: its words would be taken for an exam's."""
    return DataError(
        f"{where}: repeats the names of the columns; expected them in the first row alone; remove it where tables were "
        "joined"
    )


def is_names_again(cells: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a row repeats the names of the columns, in any case and with any blanks."""
    if len(cells) != len(names) or _squeezed(cells[0]) != _squeezed(names[0]):  # most rows, so without a loop
        return False
    return all(_squeezed(cell) == _squeezed(name) for cell, name in zip(cells, names, strict=True))


def _squeezed(name: str) -> str:
    return "".join(name.split()).casefold()


def _has_row_names(table: Table) -> bool:
    """Whether rows have one cell more than the header and begin with a quoted name, or with 1 and 2."""
    try:
        with table.path.open(encoding=table.encoding, newline="") as file:
            lines = list(islice(_lines(file, table.path), table.above + 3))[table.above + 1 :]
        first = list(_reader(lines, table.separator, quoted=table.quoted))
    except (OSError, csv.Error, UnicodeError, DataError):
        return False  # reported with its row when the rows are read
    if not first or any(len(cells) != len(table.columns) + 1 or not cells[-1] for cells in first):
        return False
    return lines[0].startswith('"') or [cells[0].strip() for cells in first] == ["1", "2"]


def first_columns(path: Path) -> tuple[str, ...]:
    """Return the cells of a file's first line, to tell formats apart; empty if it is missing or not text."""
    try:
        require_regular_file(path)
        with path.open("rb") as file:
            start = file.read(_HEAD)
        text = start.decode(_marked(start) or "utf-8", errors="replace")
    except (OSError, UnicodeError):
        return ()
    lines = text.splitlines() or [""]
    return () if "\0" in lines[0] else _columns(*_header_of(lines[0], lines[1] if len(lines) > 1 else "")[:2])


def _check_kind(path: Path) -> None:
    """Raise DataError if a file begins like one that is no text."""
    with path.open("rb") as file:
        start = file.read(8)
    for begin, (what, remedy) in _NO_TEXT.items():
        if start.startswith(begin):
            raise DataError(f"{path}: not a text table but {what}; {remedy}")


def _encoding(path: Path) -> str:
    """Detect the encoding of a whole file in one pass. Raises: DataError if it is not text."""
    with path.open("rb") as file:
        marked = _marked(file.read(4))
        file.seek(0)
        decoder = codecs.getincrementaldecoder(marked or "utf-8")()
        is_valid, ends = True, 0
        for block in iter(lambda: file.read(_BLOCK), b""):
            if b"\0" in block and not (marked or "").startswith("utf-16"):
                row = 1 + ends + block[: block.index(b"\0")].count(b"\n")
                raise DataError(
                    f"{path} row {row}: contains bytes that are not text (zeros, as a crash leaves them); expected a "
                    "text table; copy it again from its source"
                )
            ends += block.count(b"\n")
            is_valid = is_valid and _decodes(decoder, block)
        is_valid = is_valid and _decodes(decoder, b"", final=True)
    if not is_valid and marked is not None:
        raise DataError(
            f"{path}: not valid {marked}, as where it is cut off; copy it again, or save it as text in UTF-8"
        )
    return (marked or "utf-8") if is_valid else "cp1252"


def _marked(start: bytes) -> str | None:
    """Detect the encoding from the first bytes of a file."""
    if start[1:2] == b"\0" and start[:1] != b"\0":
        return "utf-16-le"  # no byte order mark: the upper byte of an English letter
    return next((name for mark, name in _MARKS if start.startswith(mark)), None)


def _decodes(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(block, final=final)
    except UnicodeDecodeError:
        return False
    return True


def _head(path: Path, encoding: str) -> tuple[str, str, int]:
    """Return header line, separator and number of lines above. Raises: DataError if it is not text or too long."""
    with path.open(encoding=encoding, newline="") as file:
        try:
            lines = [file.readline(_HEAD), file.readline(_HEAD)]
        except UnicodeError:
            raise DataError(f"{path}: contains bytes that are not text; expected a text table") from None
    line, separator, above = _header_of(*(line.rstrip("\r\n") for line in lines))
    if len(lines[above]) == _HEAD:
        raise DataError(
            f"{path}: the first line is longer than {_HEAD} characters; expected names of columns"
        )
    return line, separator, above


def _header_of(first: str, second: str) -> tuple[str, str, int]:
    """Return the header among the first two lines, the separator, and the number of lines above it."""
    said = _SEPARATOR_LINE.fullmatch(first.removeprefix("\ufeff"))
    return (second, said[1], 1) if said else (first, _separator(first), 0)


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """Yield the lines of a file, limited in length, without the marks that joined files leave. Raises: DataError."""
    for number, line in enumerate(iter(lambda: file.readline(_BLOCK), ""), 1):
        if len(line) == _BLOCK:
            raise DataError(f"{path} row {number}: longer than {_BLOCK} characters; expected a table")
        yield line.removeprefix("\ufeff")


def _columns(line: str, separator: str) -> tuple[str, ...]:
    """Return the names in a header; all of it as one where its quotes make no cells."""
    try:
        reader = _reader([line.rstrip("\r\n")], separator, quoted=_is_quoted(line, separator))
        return tuple(name.strip() for name in next(reader, []))
    except csv.Error:
        return (line.strip(),)


def _separator(line: str) -> str:
    """Return the most frequent separator of the header; a tab wins over the others, which names may contain."""
    return "\t" if "\t" in line else max(SEPARATORS, key=line.count)


def _is_quoted(line: str, separator: str) -> bool:
    """Whether quotes enclose cells: with tabs only if all names are quoted, as cells may hold single quotes (5")."""
    names = [name.strip() for name in line.rstrip("\r\n").split("\t")]
    return separator != "\t" or all(name[:1] == name[-1:] == '"' and len(name) > 1 for name in names if name)


def _reader(lines: Iterable[str], separator: str, *, quoted: bool) -> "CsvReader":
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    return csv.reader(lines, delimiter=separator, quoting=quoting, strict=True)
