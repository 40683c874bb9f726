"""The result of a study: files in its directory, a table on stdout."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gazekit.cli import console

if TYPE_CHECKING:
    from gazekit.study.result import Pooled, StudyResult


def write(folder: Path, result: "StudyResult", pooled: "Mapping[str, Pooled]") -> None:
    """Write results.json, .md, .tex, .csv and the figures. Raises: StorageError."""
    from gazekit.atomic import disk_errors, write_atomically
    from gazekit.report.study_figures import study_figures
    from gazekit.report.study_formats import write_tables

    write_atomically(folder / "results.json", json.dumps(result.to_json(), indent=2) + "\n")
    write_tables(folder, result)
    with disk_errors(folder):
        for name, figure in study_figures(result, pooled).items():
            figure.savefig(folder / f"{name}.png")


def show(result: "StudyResult", folder: Path, *, as_json: bool) -> None:
    """Print the table with all that belongs to it, or the result as JSON."""
    from gazekit.report.study_table import study_table

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
