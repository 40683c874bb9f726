"""The result of a study: files in its directory, a table on stdout."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gazekit.cli import console

if TYPE_CHECKING:
    import torch
    from matplotlib.figure import Figure

    from gazekit.study.result import Pooled, StudyResult
    from gazekit.study.study import Study


def write(
    study: "Study", result: "StudyResult", pooled: "Mapping[str, Pooled]", device: "torch.device"
) -> None:
    """Write results.json, .md, .tex, .csv and the figures. Raises: StorageError."""
    from gazekit.atomic import write_atomically
    from gazekit.report.page import rendered
    from gazekit.report.study_figures import study_figures
    from gazekit.report.study_formats import write_tables

    folder = study.folder.path
    write_atomically(folder / "results.json", json.dumps(result.to_json(), indent=2) + "\n")
    write_tables(folder, result)
    figures = study_figures(result, pooled) | _attention(study, device)
    for name, figure in figures.items():
        write_atomically(folder / f"{name}.png", rendered(figure, "png"))


def _attention(study: "Study", device: "torch.device") -> "dict[str, Figure]":
    """Attention of the systems side by side on the first exam of each class that the first fold tests."""
    from dataclasses import replace

    from gazekit.data.splits import indices_of
    from gazekit.report.attention import attention_panels, choose_exams
    from gazekit.report.figures import attention_figure
    from gazekit.report.views import ShownViews
    from gazekit.study.explaining import explain

    dataset = study.dataset
    tested = indices_of(dataset, next(iter(study.splits.values())), "test")
    exams = choose_exams(dataset, tested, per_class=1)
    explained = explain(study, exams, device, report=console.warn)
    if not explained:
        return {}
    shown = ShownViews(dataset)
    panels = attention_panels(dataset, exams, explained, dataset.views, shown)
    figure = attention_figure([replace(p, probability=None) for p in panels], list(explained), shown.words())
    return {"attention": figure}


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
