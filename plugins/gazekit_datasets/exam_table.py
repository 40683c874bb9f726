"""Find the table of exams in a folder."""

from pathlib import Path

from gazekit.disk.walk import is_litter
from gazekit.errors import DataError
from gazekit.reading.tables.table import first_columns
from gazekit_datasets.exam_columns import NEEDED

TABLE = "exams.csv"
TABLES = (TABLE, "exams.xlsx", "exams.tsv", "exams.txt")
"""Names of the table, in order of preference; case does not matter."""
_TEXT = (".csv", ".xlsx", ".tsv")
_OTHER = (".xls", ".ods", ".numbers", ".xlsm", ".xlsb")


def find_table(root: Path) -> tuple[Path, list[str]]:
    """Find a folder's table of exams, and the names of other candidates. Raises: DataError says what to do."""
    files = {path.name.casefold(): path for path in sorted(root.iterdir(), reverse=True) if path.is_file()}
    found = [files[name] for name in TABLES if name in files]
    if found:
        return found[0], [path.name for path in found[1:]]
    raise DataError(
        f"{root / TABLE}: there is no such file; expected a table of {', '.join(NEEDED)}{_advice(root)}"
    )


def _advice(root: Path) -> str:
    """Suggest which file may be meant as the table of exams."""
    here = sorted(path for path in root.iterdir() if path.is_file() and not is_set_aside(path))
    other = next((path for path in here if path.suffix.lower() in _OTHER), None)
    if other is not None:
        return f"; save {other.name} as exams.xlsx or as {TABLE}"
    tables = [path for path in here if path.suffix.lower() in _TEXT]
    likely = [path for path in tables if len(set(NEEDED) & set(first_columns(path))) > 1]
    for found in (likely, tables):
        if len(found) == 1:
            return f"; if {found[0].name} is that table, rename it exams{found[0].suffix.lower()}"
    below = sorted(path.parent for path in root.glob("*/*") if path.name.casefold() in TABLES)
    if below:
        return f"; there is one in {below[0]}: give that folder"
    return ""


def is_set_aside(path: Path) -> bool:
    """Say whether a file is system litter or a spreadsheet's lock file."""
    return is_litter(path.name) or path.name.startswith("~")
