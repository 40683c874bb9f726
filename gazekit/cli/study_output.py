"""The table of a study on stdout."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gazekit.cli import console

if TYPE_CHECKING:
    from gazekit.study.result import StudyResult


def show(result: "StudyResult", folder: Path, *, as_json: bool) -> None:
    """Print the table with all that belongs to it, or the result as JSON."""
    from gazekit.reporting.study_table import study_table

    if as_json:
        values = result.to_json()
        console.print_json(values.pop("schema"), values)
        return
    table = study_table(result)
    warnings = [f"warning: {warning}" for warning in table.warnings]
    for line in (table.title, *warnings, *table.evidence):
        console.stdout().print(line, markup=False)
    for block in table.blocks:
        rows = [(_marked(line.name, line.marks), *line.cells) for line in block.lines]
        console.stdout().print()
        console.print_table(("system", *block.columns), rows, title=block.title, fold="system")
    console.stdout().print()
    for number, note in enumerate(table.footnotes, start=1):
        console.stdout().print(f"({number}) {note}", markup=False)
    for note in table.reading:
        console.stdout().print(note, markup=False)
    console.note(f"written: {folder / 'results.md'}, .csv, .tex, .json and figures")


def _marked(name: str, marks: Sequence[int]) -> str:
    return f"{name} ({', '.join(map(str, marks))})" if marks else name
