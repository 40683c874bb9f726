"""Find and read the files of a BIDS data set that belong to one table: sidecars, events, the other eye."""

import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from gzip import BadGzipFile, GzipFile
from pathlib import Path
from typing import Any, BinaryIO

from gazekit.disk.own_files import FileKind, read_json
from gazekit.disk.plain_text import visible
from gazekit.disk.regular_file import require_regular_file
from gazekit.disk.wording import counted
from gazekit.errors import DataError
from gazekit.reading.tables.table import Row

Metadata = dict[str, Any]
PACKED, UNPACKED = ".tsv.gz", ".tsv"
_SIDECAR = FileKind("a BIDS sidecar", 2**22, "correct it, or copy it again from its source", linked=True)
_LEVELS = 4
"""Folders from a table up to the root: data type, session, subject, root."""
_LONGEST = 2**20
"""Upper bound of a line's length in bytes."""
_MOST_TIMES = 200
"""Upper bound of unpacked over packed size: tables of gaze, whose times differ, have 3 to 20."""


def entities(path: Path) -> frozenset[str]:
    """Return the entities of a file's name, such as ``sub-01`` and ``task-view``."""
    return frozenset(path.name.partition(".")[0].split("_")[:-1])


def suffix_of(path: Path) -> str:
    """Return the last word of a file's name, such as ``physio``."""
    return path.name.partition(".")[0].rpartition("_")[2]


def is_table(path: Path, suffix: str) -> bool:
    """Say whether a name is that of a compressed table, packed or unpacked."""
    return suffix_of(path) == suffix and path.name.endswith((f"{suffix}{PACKED}", f"{suffix}{UNPACKED}"))


def applying(path: Path, suffix: str, ending: str) -> list[Path]:
    """List the files that apply to a table by BIDS's principle of inheritance, the most particular last.

    They lie in its folder or above it in the data set, and their names have no entity that its name lacks.
    """
    own, found = entities(path), []
    above = list(path.absolute().parents)[:_LEVELS]
    subject = next((level for level, folder in enumerate(above) if folder.name.startswith("sub-")), -1)
    for folder in reversed(above[: subject + 2 if subject >= 0 else 1]):
        here = [each for each in folder.glob(f"*{suffix}{ending}") if each.name != path.name]
        here = [each for each in here if suffix_of(each) == suffix and entities(each) <= own]
        found += sorted(here, key=lambda each: (len(entities(each)), each.name))
    return found


def metadata(path: Path, suffix: str) -> Metadata:
    """Merge the sidecars of a table; the most particular counts. Raises: DataError."""
    merged: Metadata = {}
    for sidecar in applying(path, suffix, ".json"):
        values = read_json(sidecar, _SIDECAR)
        if not isinstance(values, dict):
            raise DataError(f"{sidecar}: holds no object; expected a BIDS sidecar, {{…}}; correct it")
        merged |= values
    return merged


def columns_of(path: Path, values: Metadata) -> list[str]:
    """Return the names of a table's columns, which its sidecar lists. Raises: DataError."""
    names = values.get("Columns")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or not names:
        raise DataError(
            f"{path}: no sidecar lists its Columns; expected {path.name.partition('.')[0]}.json beside it, or above it "
            "in the data set, with the names of the columns"
        )
    return names


def rows(path: Path, columns: Sequence[str], *, rest_in_last: bool = False) -> Generator[Row, None, None]:
    """Yield the rows of a table without a header, packed by gzip or not.

    Args:
        path: the table.
        columns: names of its columns.
        rest_in_last: tabs beyond the last column belong to its cell, which is a message.

    Raises:
        DataError: not readable, or damaged. A row that is no text or has another length is torn.
    """
    positions = {name: position for position, name in enumerate(columns)}
    with closing(_lines(path)) as lines:
        for number, line in enumerate(lines, 1):
            where = f"{path} row {number}"
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError:
                yield Row(where, (), positions, torn="not UTF-8 text; expected a table of BIDS")
                continue
            cells = text.split("\t", len(columns) - 1 if rest_in_last else -1)
            if not text.strip() or (number == 1 and cells == list(columns)):
                continue  # some programs write the names, though BIDS forbids it
            torn = ""
            if len(cells) != len(columns) or "\0" in text:
                torn = (
                    f"{counted(len(cells), 'cell')}, {visible(text[:40])!r}; expected {len(columns)}, as the sidecar's "
                    f"Columns: {visible(', '.join(columns))[:200]}"
                )
            yield Row(where, cells, positions, torn=torn)


def _lines(path: Path) -> Generator[bytes, None, None]:
    """Yield the lines of a table, unpacked. Raises: DataError."""
    try:
        require_regular_file(path)
        with path.open("rb") as file:
            is_packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            most = _MOST_TIMES * path.stat().st_size + _LONGEST if is_packed else None
            yield from _bounded(path, GzipFile(fileobj=file) if is_packed else file, most)
    except (EOFError, BadGzipFile, zlib.error):
        raise DataError(
            f"{path}: the gzip file is damaged or truncated; copy it again from its source"
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); expected a table of BIDS") from None


def _bounded(path: Path, file: "BinaryIO | GzipFile", most: int | None) -> Iterator[bytes]:
    """Yield lines, and stop at one that is no row, and where a few kilobytes unpack to gigabytes. Raises: DataError."""
    read = 0
    while line := file.readline(_LONGEST):
        read += len(line)
        if len(line) == _LONGEST:
            raise DataError(f"{path}: a line is longer than {_LONGEST} bytes; expected a table of BIDS")
        if most is not None and read > most:
            raise DataError(
                f"{path}: unpacks to more than {_MOST_TIMES} times its size; expected a table of samples; pack it "
                "again from its source"
            )
        yield line
