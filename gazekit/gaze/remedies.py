"""Explain how to convert gaze files that no reader reads."""

import json
from dataclasses import dataclass
from pathlib import Path

from gazekit.disk.regular_file import require_regular_file


@dataclass(frozen=True, slots=True)
class UnreadableForm:
    """A kind of unreadable file, recognised by its first bytes or its name.

    Args:
        name: description for messages.
        remedy: how to convert it.
        starts: first bytes, any of them.
        suffixes: ends of the name in lower case, any of them.
    """

    name: str
    remedy: str
    starts: tuple[bytes, ...] = ()
    suffixes: tuple[str, ...] = ()


_AS_TABLE = "write its rows as a table in text form, such as CSV"
KINDS = (
    UnreadableForm("compressed by gzip", "unpack it first (gunzip)", (b"\x1f\x8b",)),
    UnreadableForm(
        "a spreadsheet", "save its sheet as CSV or tab-separated text", (), (".xlsx", ".xlsm", ".xls", ".ods")
    ),
    UnreadableForm(
        "an archive",
        "unpack it first",
        (b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!"),
        (".zip", ".7z", ".rar", ".tar"),
    ),
    UnreadableForm(
        "an EyeLink recording (EDF)",
        "convert it to ASC with SR Research's edf2asc, in its default way",
        (b"SR_RESEARCH",),
        (".edf",),
    ),
    UnreadableForm(
        "MATLAB's", f"in MATLAB, {_AS_TABLE} (writetable)", (b"MATLAB 5.0", b"\x89HDF"), (".mat",)
    ),
    UnreadableForm(
        "in a binary table format",
        _AS_TABLE,
        (b"PAR1", b"ARROW1", b"FEA1"),
        (".parquet", ".feather", ".h5", ".hdf5", ".pkl", ".npy", ".npz"),
    ),
)
_JSON = UnreadableForm("JSON", f"{_AS_TABLE} (pandas.read_json(FILE, lines=True).to_csv for JSON lines)")
_LOOKED_AT = 4096
_LARGEST_DESCRIPTION = 2**20
"""Bytes."""
_FEW = 20
"""Members of a list that describes; rows of gaze are more."""


def remedy_of(path: Path) -> str | None:
    """Return a sentence with file, kind and remedy; None for any other or unreadable file, and one that describes."""
    try:
        require_regular_file(path)
        with path.open("rb") as file:
            start = file.read(_LOOKED_AT)
    except OSError:
        return None
    name = path.name.lower()
    for kind in (*KINDS, _JSON):
        is_it = (
            _is_json(start) and not _describes(path)
            if kind is _JSON
            else start.startswith(kind.starts) or name.endswith(kind.suffixes)
        )
        if is_it:
            return f"{path}: not a gaze recording as it is, but {kind.name}; {kind.remedy}"
    return None


def _describes(path: Path) -> bool:
    """Whether a JSON file is one object without a long list: it describes a data set, and holds no rows of gaze."""
    try:
        if path.stat().st_size > _LARGEST_DESCRIPTION:
            return False
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    waiting: list[object] = [found]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list) and len(each) > _FEW:
            return False
        waiting += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return isinstance(found, dict)


def _is_json(start: bytes) -> bool:
    """Whether a file begins with an object or a list of objects. Lists of numbers are other formats."""
    text = start.decode("utf-8-sig", errors="replace").lstrip().removeprefix("[").lstrip()
    if not text.startswith("{"):
        return False
    try:
        json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return text[1:].lstrip()[:1] in ('"', "}")
    return True
