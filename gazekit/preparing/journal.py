"""Keep the journal of a preparation, so that a killed one resumes where it stopped.

The arrays only ever grow by one exam; a line of the journal follows when its exam is in them. Whatever is
torn after a kill (a part of a row, a part of a line, a row without its line) is dropped and written again.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pydantic

from gazekit.disk.atomic import disk_errors, write_atomically
from gazekit.disk.own_files import MIB, FileKind, lines_of, parse_json, validated
from gazekit.errors import DataError
from gazekit.prepared.exam_record import JOURNAL_ENTRY, Entry, ExamRecord, entry_to_json
from gazekit.prepared.manifest import MANIFEST, read_manifest
from gazekit.prepared.not_prepared import JOURNAL
from gazekit.prepared.settings import PreparationSettings, completed
from gazekit.prepared.stored_array import arrays_of, shape_of
from gazekit.prepared.verification import row_digests
from gazekit.preparing.growing_array import GrowingArray
from gazekit.preparing.one_exam import PreparedExam
from gazekit.records.refused import Refused

_KIND = FileKind(
    "the journal of a preparation",
    4096 * MIB,
    "begin the preparation again with --overwrite",
    line=64 * MIB,
    values=20_000_000,
)


class Journal:
    """Entries in the order of the source: a record per prepared exam, and the refused ones with their reasons.

    Args:
        root: the folder of the preparation.
        header: settings and source; a journal with another header is refused.
        settings: give the arrays their shape and type.

    Raises:
        DataError: the journal there has another header, naming what differs.
    """

    def __init__(
        self,
        root: Path,
        header: dict[str, Any],
        settings: PreparationSettings,
    ) -> None:
        self.path = root / JOURNAL
        if not self.path.exists():
            write_atomically(self.path, _line(header))  # before the arrays: it marks the folder as ours
        there, entries = _read(self.path)
        check_same(root, there, header)
        arrays = arrays_of(header)
        dtypes = dict.fromkeys(arrays, np.dtype(settings.dtype)) | {"masks": np.dtype("uint8")}
        self.arrays: dict[str, GrowingArray] = {}
        with ExitStack() as opened:
            for name in arrays:
                self.arrays[name] = GrowingArray(root / f"{name}.npy", shape_of(name, settings), dtypes[name])
                opened.callback(self.arrays[name].abandon)
            whole = min(array.rows for array in self.arrays.values())
            self.entries = self._intact(_first(entries, whole))
            for array in self.arrays.values():
                array.keep(sum(isinstance(entry, ExamRecord) for entry in self.entries))
            write_atomically(self.path, "".join(map(_line, [header, *map(entry_to_json, self.entries)])))
            with disk_errors(self.path):
                self._file = self.path.open("a", encoding="utf-8")
            opened.pop_all()

    def _intact(self, entries: list[Entry]) -> list[Entry]:
        """Return the leading entries whose array rows are intact."""
        row = 0
        for number, entry in enumerate(entries):
            if isinstance(entry, ExamRecord):
                rows = (array.row(row)[None] for array in self.arrays.values())
                if list(row_digests(*rows)) != [entry.digest]:
                    return entries[:number]
                row += 1
        return entries

    def append(self, result: PreparedExam | Refused) -> None:
        """Add the next exam. Raises: StorageError if the disk is full."""
        entry: Entry = result.record if isinstance(result, PreparedExam) else result
        if isinstance(result, PreparedExam):
            for name, array in self.arrays.items():
                array.append(getattr(result, name))
        line = entry_to_json(entry)
        JOURNAL_ENTRY.validate_python(line)  # what could not be read back must not be written
        with disk_errors(self.path):
            self._file.write(_line(line))
            self._file.flush()
        self.entries.append(entry)

    def close(self) -> None:
        """Close the files, which makes the arrays valid. Raises: StorageError when the disk is full."""
        with ExitStack() as stack:  # all of them, even if one fails
            stack.enter_context(disk_errors(self.path))
            stack.enter_context(self._file)
            for array in self.arrays.values():
                stack.callback(array.close)


def read_journal(root: Path) -> tuple[dict[str, Any], list[Entry]]:
    """Read header and entries of the journal in a folder."""
    return _read(root / JOURNAL)


def read_header(root: Path) -> dict[str, Any]:
    """Read settings and source of the preparation in a folder, finished or not; empty if there is none."""
    if (root / MANIFEST).exists():
        return dict(read_manifest(root).preparation)
    return next(_parsed(root / JOURNAL), {}) if (root / JOURNAL).exists() else {}


_SENTENCES = {
    "source": "the files of the source, or those of its gaze, have changed",
    "layout": "another version of gazekit kept gaze in another form there",
    "region": "the region was cut out by another version of its rules there",
}
"""Words for differences whose two values would not help the reader."""


def check_same(root: Path, there: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise a DataError that names each setting in which two headers differ."""
    there, asked = completed(there), completed(asked)
    if there.get("masked_by") == "":  # as earlier versions left it open
        asked["masked_by"] = ""
    differing = [
        _SENTENCES.get(name)
        or f"{name} is {json.dumps(there.get(name))} there, {json.dumps(asked.get(name))} now"
        for name in dict.fromkeys([*there, *asked])
        if there.get(name) != asked.get(name)
    ]
    if differing:
        raise DataError(
            f"{root}: holds another preparation: {'; '.join(differing)}; choose another folder or --overwrite"
        )


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, allow_nan=False) + "\n"


def _read(path: Path) -> tuple[dict[str, Any], list[Entry]]:
    """Read the header and the entries up to a torn one. Raises DataError: the file is not a journal."""
    parsed = _parsed(path)
    return next(parsed, {}), list(parsed)


def _parsed(path: Path) -> Iterator[Any]:
    """Yield the header, then the entries up to a torn one. Raises DataError: the file is not a journal."""
    for number, line in enumerate(lines_of(path, _KIND)):
        try:
            value = parse_json(line, path, _KIND)
            found = (
                validated(value, path, _KIND, JOURNAL_ENTRY).entry()
                if number
                else validated(value, path, _KIND, _HEADER)
            )
        except DataError:
            return
        yield found


_HEADER = pydantic.TypeAdapter(dict[str, Any])


def _first(entries: list[Entry], rows: int) -> list[Entry]:
    """Return the leading entries for which the arrays have rows."""
    kept: list[Entry] = []
    for entry in entries:
        rows -= isinstance(entry, ExamRecord)
        if rows < 0:
            break
        kept.append(entry)
    return kept
