"""Find the files named in a table under the spelling on the disk."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gazekit.disk.regular_file import is_regular_file
from gazekit.reading.content import has_image_suffix
from gazekit.records.exam import Finding

_LONGEST_NAME, _LONGEST_PATH = 255, 1000


class FoundFiles:
    """Find files by the paths in a table, even if case or the composition of accents differs on the disk.

    A missing name matches a file if it is the only one that differs in nothing else.

    Args:
        root: the folder to which paths are relative.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[Path, dict[str, list[str]]] = {}
        self._respelled: Counter[str] = Counter()

    def path(self, cell: str) -> Path:
        """Return the path of an existing file for a cell, else the path as written."""
        given = self.root / cell.replace("\\", "/")  # the table was written on Windows
        if os.path.lexists(given):
            return given
        found = self._respell(given)
        if found is None:
            return given
        self._respelled[given.suffix.lower()] += 1
        return found

    def is_file(self, cell: str) -> bool:
        """Whether a cell names an existing file."""
        return not is_too_long(cell) and is_regular_file(self.path(cell))

    def with_suffix(self, cell: str) -> str | None:
        """Return the name of the only image that matches a cell except for the suffix."""
        if is_too_long(cell):
            return None
        given = self.root / cell.replace("\\", "/")
        names = [name for alike in self._listed(given.parent).values() for name in alike]
        found = [name for name in names if name.startswith(f"{given.name}.") and has_image_suffix(name)]
        return found[0] if len(found) == 1 else None

    def findings(self) -> Iterator[Finding]:
        """Report the files found under another spelling."""
        for suffix, count in self._respelled.items():
            yield Finding(
                "note",
                f"{count} × {suffix or 'no suffix'}",
                "files whose names the disk spells in another case or with other accents",
            )

    def _respell(self, given: Path) -> Path | None:
        """Return the only file whose path differs in case and accents alone."""
        below = given.is_relative_to(self.root)
        place = self.root if below else Path(given.anchor)
        for part in given.relative_to(place).parts:
            alike = [part] if os.path.lexists(place / part) else self._listed(place).get(_folded(part), [])
            if len(alike) != 1:
                return None
            place = place / alike[0]
        return place

    def _listed(self, folder: Path) -> dict[str, list[str]]:
        if folder not in self._names:
            names: dict[str, list[str]] = {}
            try:
                for path in folder.iterdir():
                    names.setdefault(_folded(path.name), []).append(path.name)
            except OSError:  # the reader of the file reports the cause
                names = {}
            self._names[folder] = names
        return self._names[folder]


def is_too_long(cell: str) -> bool:
    """Whether a name is too long for file systems; looking it up would raise their error."""
    parts = cell.replace("\\", "/").split("/")
    return len(cell) > _LONGEST_PATH or any(len(os.fsencode(part)) > _LONGEST_NAME for part in parts)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
