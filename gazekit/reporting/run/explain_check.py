"""Show the checks of a run's attention maps: as tables, and as a section of its page."""

from collections.abc import Iterator, Sequence
from typing import Any

from gazekit.measures.numbers import NONE, three
from gazekit.prepared.dataset import PreparedDataset
from gazekit.reporting.run.offered_sections import OfferedSection
from gazekit.runs.calibration.calibration_file import checksum
from gazekit.runs.explain_check.file import CheckRow, ExplainCheck, read_explain_check
from gazekit.runs.explain_check.words import find
from gazekit.runs.trained import Trained

CheckTable = tuple[str, list[str], list[list[str]]]
"""Title, columns, rows."""
_MEASURES = {
    "spearman": "Spearman",
    "absolute_spearman": "|Spearman|",
    "ssim": "SSIM",
    "nss": "NSS",
    "correlation": "gaze correlation",
}


def explain_check_tables(found: ExplainCheck) -> list[CheckTable]:
    """Put the measures into tables: random weights, likeness of maps, agreement with gaze, deletion and insertion."""
    exams = f"{found.exams} exams of {found.patients} patients"
    alike = {"same map, under noise": ("noise", ""), "same map, image shifted": ("shift", "")}
    alike |= {"run on random labels": ("random_labels", ""), "maps of different exams": ("other_exams", "")}
    layers = {f"{layer} random": ("layer", layer) for layer in found.layers}
    first, *further = found.layers
    layers |= {f"{first} to {layer} random": ("cascade", layer) for layer in further}
    agreement = {
        f"{of} maps" if "lost" not in of else of: ("gaze", of)
        for of in (
            "trained",
            "randomised",
            "lost when randomised",
            "random labels",
            "lost with random labels",
        )
    }
    tables = [
        (f"Maps like those of the trained model, {exams}", alike, ("spearman", "absolute_spearman", "ssim")),
        ("Random weights", layers, tuple(_MEASURES)),
        ("Agreement with gaze", agreement, ("nss", "correlation")),
    ]
    made = [_table(found.rows, title, places, measures) for title, places, measures in tables]
    return [table for table in [*made, _removal(found)] if table[2]]


def _table(
    rows: Sequence[CheckRow], title: str, places: dict[str, tuple[str, str]], measures: Sequence[str]
) -> CheckTable:
    there = [
        name
        for name in measures
        if any((r.check, r.of) in places.values() and r.measure == name for r in rows)
    ]
    lines = [
        [name, *(_cell(find(rows, *place, measure)) for measure in there)]
        for name, place in places.items()
        if any((row.check, row.of) == place for row in rows)
    ]
    return title, ["", *(_MEASURES[name] for name in there)], lines


def _removal(found: ExplainCheck) -> CheckTable:
    rows = []
    for name in ("deletion", "insertion"):
        row = find(found.rows, name, "", name)
        if row is not None:
            cells = [find(found.rows, name, "", measure) for measure in (name, "random", f"{name}_gain")]
            rows.append([f"{name} ({'low' if name == 'deletion' else 'high'} is good)", *map(_cell, cells)])
            exams = f"{row.exams} exams of {row.patients} patients"
    title = f"Area under the score, {exams} whose explained class is called" if rows else ""
    return title, ["", "in order of the maps", "in random order", "better by"], rows


def explain_check_section(trained: Trained, dataset: PreparedDataset, part: str) -> Iterator[OfferedSection]:
    """Show the checks of a run on a part of a data set, if there are any."""
    found = read_explain_check(trained.run.explain_check_of(part, trained.other_than_training(dataset)))
    if found is None:
        return
    parts: list[dict[str, Any]] = []
    if found.weights != checksum(trained.weights.tensors):
        parts.append(_text("These checks are of other weights than this page; check the run again."))
    parts += map(_text, found.statements)
    for title, columns, rows in explain_check_tables(found):
        cells = [[{"text": cell, "number": place > 0} for place, cell in enumerate(row)] for row in rows]
        parts += [_text(title), {"kind": "table", "caption": title, "columns": columns, "rows": cells}]
    parts.append(
        _text(
            f"Mean over exams, in brackets the interval: {found.interval}. Attention map: {found.attention_map}. A map "
            "that passes every check may still be wrong about why a class was called."
        )
    )
    yield OfferedSection("explain-check", "Checks of the attention maps", parts)


def _text(words: str) -> dict[str, Any]:
    return {"kind": "text", "text": words}


def _cell(row: CheckRow | None) -> str:
    if row is None:
        return NONE
    if row.low is None or row.high is None:
        return three(row.value)
    return f"{three(row.value)} [{three(row.low)}, {three(row.high)}]"
