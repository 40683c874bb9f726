"""Put the results of a study and their evidence into a table of text, ready for any format."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from gazekit.disk.wording import counted
from gazekit.measures.catalogue import Group
from gazekit.measures.comparing.systems import Comparison
from gazekit.measures.numbers import NONE, component, interval, mean, parameters, probability, three
from gazekit.measures.statistics.variance_components import COMPONENTS
from gazekit.reporting.study.words import evidence, gate_in_words, over_runs, reading, tuned_values, warnings
from gazekit.study.results.result import StudyResult, SystemRow

_FIRST = ("auc", "accuracy")
"""Measures shown in a separate block."""
_PER_BLOCK = 3
"""Maximum columns of measures that leave room for names in 80 characters."""
_Cells = Callable[[SystemRow], Sequence[str]]


@dataclass(frozen=True, slots=True)
class TableLine:
    """One system in one block: name, numbers of its footnotes, cells."""

    name: str
    marks: tuple[int, ...]
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TableBlock:
    """One table: title, column titles after the first, and a line per system of the study; a last one may sum up."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[TableLine, ...]


_Block = Callable[[str, Sequence[str], _Cells], TableBlock]
"""Makes a block of a title, its columns and the cells of a row."""


@dataclass(frozen=True, slots=True)
class StudyTable:
    """The table of a study with its text.

    Args:
        title: title of the study.
        warnings: reasons to doubt the numbers.
        evidence: basis of the numbers: data, protocol, device, versions.
        blocks: tables of the same systems in the same order; each fits 80 characters with names of 15.
        footnotes: numbered from 1.
        reading: how to read the numbers.
        gates: the gates of the study, each with its value and whether it is passed.
    """

    title: str
    warnings: tuple[str, ...]
    evidence: tuple[str, ...]
    blocks: tuple[TableBlock, ...]
    footnotes: tuple[str, ...]
    reading: tuple[str, ...]
    gates: tuple[str, ...] = ()


def study_table(result: StudyResult) -> StudyTable:
    """Format the result of a study; every system has a line in every block, even if it failed."""
    footnotes: list[str] = []
    catalogue = result.catalogue
    marks = {row.name: _marks(row, result, footnotes) for row in result.rows}

    def block(title: str, columns: Sequence[str], cells: _Cells) -> TableBlock:
        lines = [TableLine(row.name, marks[row.name], tuple(cells(row))) for row in result.rows]
        return TableBlock(title, tuple(columns), tuple(lines))

    def measures(title: str, *groups: Group) -> list[TableBlock]:
        there = [
            name
            for name, measure in catalogue.items()
            if measure.group in groups and measure.in_studies and name not in _FIRST
            if any(name in row.metrics for row in result.rows)
        ]
        number = -(-len(there) // _PER_BLOCK)
        parts = [there[len(there) * i // number : len(there) * (i + 1) // number] for i in range(number)]
        return [
            block(
                title if part is parts[0] else f"{title}, continued",
                [catalogue[name].title for name in part],
                partial(_means, part),
            )
            for part in parts
        ]

    blocks = [
        block("Classification", ("Runs", "AUC", "AUC, pooled [95 %]", "ACC"), _classification),
        *([_over_data_sets(result, block)] if any(row.over_data_sets for row in result.rows) else []),
        *([_against(result, block)] if any(row.comparison for row in result.rows) else []),
        *([_run_by_run(result, block)] if any(over_runs(row) for row in result.rows) else []),
        *([_variance(result, block)] if result.variance and result.variance.systems else []),
        *([_reported(result, block)] if any(row.reported for row in result.rows) else []),
        *measures("Further measures of the classification", "classification"),
        *_further(result, block),
        *_targets(result, block),
        *measures(
            "Attention, on the gaze and the lesions of the test exams", "gaze_agreement", "localisation"
        ),
        *measures("Checks of the attention maps (gazekit explain-check)", "explanation"),
        block("Cost", ("Parameters", "Step time"), _cost),
    ]
    return StudyTable(
        title=result.title,
        warnings=warnings(result),
        evidence=evidence(result),
        blocks=tuple(blocks),
        footnotes=tuple(footnotes),
        reading=(*reading(result), *result.notes),
        gates=tuple(map(gate_in_words, result.gates)),
    )


def _against(result: StudyResult, block: _Block) -> TableBlock:
    def cells(row: SystemRow) -> Sequence[str]:
        if row.name == result.reference:
            return ("reference", *[NONE] * 4)
        return _comparison(row.comparison) if row.comparison else [NONE] * 5

    columns = ("AUC difference [95 %]", "DeLong p", "Holm", "McNemar p", "Holm")
    return block(f"Against {result.reference}, on the same exams", columns, cells)


def _over_data_sets(result: StudyResult, block: _Block) -> TableBlock:
    def cells(row: SystemRow) -> Sequence[str]:
        found = row.over_data_sets
        if found is None:
            return [NONE] * 5
        if row.name == result.reference:
            return (str(found.data_sets), interval(found.value), "reference", NONE, NONE)
        difference = interval(found.difference, signed=True)
        return (
            str(found.compared),
            interval(found.value),
            difference,
            probability(found.p),
            probability(found.holm),
        )

    columns = ("n", "AUC [95 %]", "Difference [95 %]", "p", "Holm")
    return block(f"Against {result.reference}, over n data sets", columns, cells)


def _variance(result: StudyResult, block: _Block) -> TableBlock:
    """Spread of the AUC by its components, and of all systems together in the last line."""
    variance = result.variance
    assert variance is not None
    names = [name for name in COMPONENTS if name in variance.pooled]

    def shown(of: Mapping[str, float]) -> tuple[str, ...]:
        total = sum(max(value, 0.0) for value in of.values())
        return tuple(component(of[name], total) for name in names) if of else (NONE,) * len(names)

    table = block("Spread of the AUC", names, lambda row: shown(variance.systems.get(row.name, {})))
    number = len(variance.systems)
    together = [TableLine(f"mean of {number}", (), shown(variance.pooled))] if number > 1 else []
    return replace(table, lines=(*table.lines, *together))


def _further(result: StudyResult, block: _Block) -> list[TableBlock]:
    """The differences in the metrics of plugins, a block for each: with interval and p, two would be too wide."""

    def cells(name: str, row: SystemRow) -> Sequence[str]:
        found = row.differences.get(name)
        if row.name == result.reference or found is None:
            return ("reference" if row.name == result.reference else NONE, *[NONE] * 2)
        return (interval(found.value, signed=True), probability(found.p), probability(found.holm))

    return [
        block(
            f"Against {result.reference}, {measure.title}",
            ("Difference [95 %]", "p", "Holm"),
            partial(cells, name),
        )
        for name, measure in result.measures.items()
        if any(name in row.differences for row in result.rows)
    ]


def _targets(result: StudyResult, block: _Block) -> list[TableBlock]:
    names = list(dict.fromkeys(name for row in result.rows for name in row.targets))
    parts = [names[i : i + _PER_BLOCK] for i in range(0, len(names), _PER_BLOCK)]

    def cells(part: Sequence[str], row: SystemRow) -> Sequence[str]:
        return [mean(row.targets.get(name)) for name in part]

    return [
        block("AUC of further targets, on the exams that know them", part, partial(cells, part))
        for part in parts
    ]


def _run_by_run(result: StudyResult, block: _Block) -> TableBlock:
    def cells(row: SystemRow) -> Sequence[str]:
        found = row.comparison
        if row.name == result.reference or found is None or found.runs_p is None:
            return ("reference" if row.name == result.reference else NONE, *[NONE] * 2)
        difference = three(found.runs_difference, signed=True)
        return (difference, probability(found.runs_p), probability(found.runs_holm))

    title = f"Against {result.reference}, run by run"
    return block(title, ("Difference of the mean AUCs", "p over runs", "Holm"), cells)


def _reported(result: StudyResult, block: _Block) -> TableBlock:
    def cells(row: SystemRow) -> Sequence[str]:
        theirs = row.reported
        return (
            mean(row.metrics.get("auc")),
            three(theirs.auc if theirs else None),
            mean(row.metrics.get("accuracy")),
            three(theirs.acc if theirs else None),
        )

    title = f"Next to published results ({result.reported})"
    return block(title, ("AUC, here", "AUC, reported", "ACC, here", "ACC, reported"), cells)


def _means(names: Sequence[str], row: SystemRow) -> Sequence[str]:
    return [mean(row.metrics.get(name)) for name in names]


def _classification(row: SystemRow) -> Sequence[str]:
    runs = str(row.runs) if row.runs == row.planned else f"{row.runs} of {row.planned}"
    area = row.metrics.get("auc")
    return (runs, mean(area), interval(area.pooled if area else None), mean(row.metrics.get("accuracy")))


def _comparison(found: Comparison) -> Sequence[str]:
    p_values = (found.delong_p, found.delong_holm, found.mcnemar_p, found.mcnemar_holm)
    return (interval(found.auc_difference, signed=True), *map(probability, p_values))


def _cost(row: SystemRow) -> Sequence[str]:
    ratio = NONE if row.step_ratio is None else f"{row.step_ratio:.2f} ×"
    return (parameters(row.parameters), ratio)


def _marks(row: SystemRow, result: StudyResult, footnotes: list[str]) -> tuple[int, ...]:
    """Add the footnotes of a row, equal ones only once, and return their numbers."""
    said = []
    if row.stand_in:
        said.append(f"stand-in: {row.stand_in}")
    made = [f"with {', '.join(row.changes)}"] if row.changes else []
    if row.preset.removesuffix(".toml") != row.name:
        made.insert(0, f"preset {row.preset}")
    if row.data:
        made.append(f"trained and tested on {row.data}")
    if made:
        said.append(" ".join(made))
    if row.tuned:
        said.append(f"tuned to {tuned_values(row)}")
    reasons: dict[str, list[str]] = {}
    for failure in row.failures:
        reasons.setdefault(failure.reason, []).append(failure.run)
    said += [f"failed: {', '.join(runs)}: {reason}" for reason, runs in reasons.items()]
    calibrated = f"the probabilities of {row.calibrated} of its {row.runs} runs are calibrated"
    said += [calibrated] if row.calibrated else []
    said += _of_another_class(row, result)
    said += _of_some_runs(row, result)
    if row.starts:
        said.append(f"its runs began with different weights: {'; '.join(row.starts)}")
    others = {each.name: each.runs for each in result.rows}.get(result.reference)
    if row.comparison and others is not None and row.runs != others:
        said.append(
            f"{counted(row.runs, 'run')} averaged, {others} of {result.reference}: more runs alone make a better "
            "average"
        )
    if row.comparison and row.comparison.exams != result.exams:
        said.append(f"compared on {row.comparison.exams} of the {result.exams} exams")
    over = row.over_data_sets
    if over and row.name != result.reference and over.compared < len(result.data_sets):
        said.append(f"compared over {over.compared} of {counted(len(result.data_sets), 'data set')}")
    area = row.metrics.get("auc")
    if area and area.pooled and area.pooled.undefined:
        drawn = area.pooled.undefined + area.pooled.resamples
        said.append(f"AUC undefined in {area.pooled.undefined} of {drawn} resamples: too few patients")
    if row.reported:
        said.append(f"reported in {row.reported.source}")
    footnotes += [note for note in said if note not in footnotes]
    return tuple(footnotes.index(note) + 1 for note in said)


def _of_another_class(row: SystemRow, result: StudyResult) -> list[str]:
    """Say that maps were measured that gaze asked for the opposite in exams of one class."""
    if not row.explains_another:
        return []
    negative, positive = result.classes
    where = "" if row.explains_another == row.runs else f" in {row.explains_another} of its {row.runs} runs"
    return [
        f"gaze aligned the maps of the true class{where}; those measured are of {positive}, and the training asked for "
        f"the opposite in exams of {negative} (gazekit evaluate RUN measures each class)"
    ]


def _of_some_runs(row: SystemRow, result: StudyResult) -> list[str]:
    """Say which measures are means over some of a row's runs, those over as many together."""
    shown = {
        measure.title: row.metrics.get(name)
        for name, measure in result.catalogue.items()
        if measure.in_studies
    }
    measures: dict[int, list[str]] = {}
    for title, estimate in {**shown, **{f"AUC of {name}": of for name, of in row.targets.items()}}.items():
        if estimate and estimate.runs < row.runs:
            measures.setdefault(estimate.runs, []).append(title)
    return [
        f"{', '.join(titles)}: mean of {runs} of its {row.runs} runs, the others have no value"
        for runs, titles in measures.items()
    ]
