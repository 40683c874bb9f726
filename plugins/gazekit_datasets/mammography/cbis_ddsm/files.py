"""Find the series of CBIS-DDSM on disk: in NBIA's folders, old and new, or in folders named by series."""

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath

from gazekit.disk.walk import files_below
from gazekit.errors import DataError
from gazekit.reading.tables.table import open_table
from gazekit.records.exam import Finding
from gazekit_datasets.mammography.cbis_ddsm.tables import UID, Kind, Part, Series, table_name

_SUFFIXES = (".dcm", ".jpg", ".jpeg", ".png")
_METADATA = "metadata.csv"

Tails = tuple[str, str, str]
"""Subject, and the last five characters of the study and series folders, which end their unique identifiers."""


@dataclass(frozen=True, slots=True)
class Files:
    """Image files by series, the tables found, and remarks about them."""

    by_uid: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    by_tails: dict[Tails, list[Path]] = field(default_factory=lambda: defaultdict(list))
    tables: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    findings: list[Finding] = field(default_factory=list)

    def of(self, series: Series) -> Sequence[Path]:
        """Return the files of a series, sorted by name; none if it is missing."""
        tails = (series.subject, series.study[-5:], series.uid[-5:])
        return self.by_uid.get(series.uid) or self.by_tails.get(tails) or ()

    def table(self, root: Path, kind: Kind, part: Part) -> Path:
        """Return the file of a table. Raises: DataError if it is missing, or comes twice."""
        name = table_name(kind, part)
        found = self.tables.get(name, [])
        if len(found) != 1:
            there = " and ".join(os.path.relpath(path, root) for path in found[:2]) or "none"
            raise DataError(
                f"{root}: expected one {name} in the folder or below it, there is {there}; put the case descriptions "
                "of CBIS-DDSM beside its images"
            )
        return found[0]


def find_files(root: Path) -> Files:
    """Scan a folder once.

    A series is identified by its folder: in the JPEG repack the folder has its unique identifier; in NBIA's layouts
    the study and series folders end in the last five digits of theirs; and a ``metadata.csv`` names any.
    """
    files = Files()
    images: dict[Path, list[Path]] = defaultdict(list)

    def unlisted(folder: Path, reason: str) -> None:
        files.findings.append(Finding("missing", folder.name, reason))

    for path in files_below(root, unlisted):
        if path.suffix.lower() in _SUFFIXES:
            images[path.parent].append(path)
        elif path.suffix == ".csv":
            files.tables[path.name].append(path)
    uids: dict[Path, str] = {}
    for metadata in files.tables.get(_METADATA, []):
        try:
            uids |= _uids(metadata)
        except DataError:
            files.findings.append(
                Finding("note", _METADATA, "unreadable: series are found by the names of their folders")
            )
    for folder, paths in images.items():
        tails = folder.parent.parent.name, folder.parent.name[-5:], folder.name[-5:]
        files.by_tails[tails] += paths
        uid = uids.get(folder, folder.name)
        if UID.fullmatch(uid):
            files.by_uid[uid] += paths
    return files


def _uids(metadata: Path) -> dict[Path, str]:
    """Read folder → series as written by NBIA's retriever. Raises: DataError."""
    rows = open_table(metadata, ("Series UID", "File Location")).rows()
    return {
        metadata.parent.joinpath(*PureWindowsPath(row["File Location"]).parts): row["Series UID"]
        for row in rows
    }
