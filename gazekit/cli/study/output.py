"""Print the table of a study on stdout."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gazekit.cli import console

if TYPE_CHECKING:
    from gazekit.reporting.study.table import TableBlock
    from gazekit.study.results.result import StudyResult

_MAIN = 2
"""Main blocks: the classification, and the difference to the reference."""


def show(result: "StudyResult", folder: Path, *, as_json: bool) -> None:
    """Print the table with its text, main results last and so in sight, or the result as JSON."""
    from gazekit.reporting.study.table import study_table

    if as_json:
        values = result.to_json()
        console.print_json(values.pop("schema"), values)
        return
    table = study_table(result)
    say = console.stdout().print
    for line in (table.title, *table.evidence):
        say(line, markup=False)
    _print_blocks(table.blocks[_MAIN:])
    say()
    for line in (*table.reading, *(f"warning: {warning}" for warning in table.warnings)):
        say(line, markup=False)
    _print_blocks(table.blocks[:_MAIN])
    say()
    for number, note in enumerate(table.footnotes, start=1):
        say(f"({number}) {note}", markup=False)
    for gate in table.gates:
        say(gate, markup=False)
    console.note(f"written: {folder / 'results.md'}, .csv, .tex, .json and figures")


def _print_blocks(blocks: Sequence["TableBlock"]) -> None:
    for block in blocks:
        rows = [(_marked(line.name, line.marks), *line.cells) for line in block.lines]
        console.stdout().print()
        console.print_table(("system", *block.columns), rows, title=block.title, fold="system")


def _marked(name: str, marks: Sequence[int]) -> str:
    return f"{name} ({', '.join(map(str, marks))})" if marks else name
