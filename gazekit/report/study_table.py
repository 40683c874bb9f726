"""The table of a study: what was found and what it rests on, as words ready to be written in any format."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gazekit.report.measures import MEASURES
from gazekit.report.numbers import NONE, interval, mean, parameters, probability, three
from gazekit.study.result import Comparison, Row, StudyResult

_FURTHER = ("balanced_accuracy", "average_precision", "brier", "calibration_error")
_ATTENTION = ("nss", "cc", "shuffled_auc", "pointing_game", "energy_inside", "best_iou")
_PER_BLOCK = 3
"""Columns of measures that leave room for names in 80 characters."""
_VERSIONS = ("gazekit", "python", "torch", "numpy", "scipy")
"""In the table; ``results.json`` has all."""
_Cells = Callable[[Row], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Line:
    """One system in one block: its name, the numbers of its footnotes, its cells."""

    name: str
    marks: tuple[int, ...]
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One table: a title, titles of the columns after the first, and a line for every system of the study."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class StudyTable:
    """All that is to be said of a study.

    Args:
        title: of the study.
        warnings: what makes the numbers doubtful.
        evidence: what they rest on: data, protocol, device, versions.
        blocks: the same systems in each, in the same order; each fits in 80 characters beside names of 15.
        footnotes: the first has number 1.
        reading: how the numbers are to be read.
    """

    title: str
    warnings: tuple[str, ...]
    evidence: tuple[str, ...]
    blocks: tuple[Block, ...]
    footnotes: tuple[str, ...]
    reading: tuple[str, ...]


def study_table(result: StudyResult) -> StudyTable:
    """Put the result of a study into words; every system has its line in every block, whatever became of it."""
    footnotes: list[str] = []
    marks = {row.name: _marks(row, result, footnotes) for row in result.rows}

    def block(title: str, columns: Sequence[str], cells: _Cells) -> Block:
        lines = [Line(row.name, marks[row.name], tuple(cells(row))) for row in result.rows]
        return Block(title, tuple(columns), tuple(lines))

    def measures(title: str, names: Sequence[str]) -> list[Block]:
        there = [name for name in names if any(name in row.metrics for row in result.rows)]
        number = -(-len(there) // _PER_BLOCK)
        parts = [there[len(there) * i // number : len(there) * (i + 1) // number] for i in range(number)]
        return [
            block(
                title if part is parts[0] else f"{title}, continued",
                [MEASURES[name].title for name in part],
                lambda row, part=part: [mean(row.metrics.get(name)) for name in part],  # type: ignore[misc]
            )
            for part in parts
        ]

    blocks = [
        block("Classification", ("Runs", "AUC", "AUC, pooled [95 %]", "ACC"), _classification),
        *([_against(result, block)] if any(row.comparison for row in result.rows) else []),
        *([_run_by_run(result, block)] if any(_over_runs(row) for row in result.rows) else []),
        *([_reported(result, block)] if any(row.reported for row in result.rows) else []),
        *measures("Further measures of the classification", _FURTHER),
        *measures("Attention, on the gaze and the lesions of the test exams", _ATTENTION),
        block("Cost", ("Parameters", "Step time"), _cost),
    ]
    return StudyTable(
        title=result.title,
        warnings=_warnings(result),
        evidence=_evidence(result),
        blocks=tuple(blocks),
        footnotes=tuple(footnotes),
        reading=(*_reading(result), *result.notes),
    )


def _against(result: StudyResult, block: Callable[[str, Sequence[str], _Cells], Block]) -> Block:
    def cells(row: Row) -> Sequence[str]:
        if row.name == result.reference:
            return ("reference", *[NONE] * 4)
        return _comparison(row.comparison) if row.comparison else [NONE] * 5

    columns = ("AUC difference [95 %]", "DeLong p", "Holm", "McNemar p", "Holm")
    return block(f"Against {result.reference}, on the same exams", columns, cells)


def _over_runs(row: Row) -> bool:
    return row.comparison is not None and row.comparison.runs_p is not None


def _run_by_run(result: StudyResult, block: Callable[[str, Sequence[str], _Cells], Block]) -> Block:
    def cells(row: Row) -> Sequence[str]:
        found = row.comparison
        if row.name == result.reference or found is None or found.runs_p is None:
            return ("reference" if row.name == result.reference else NONE, *[NONE] * 2)
        difference = three(found.runs_difference, signed=True)
        return (difference, probability(found.runs_p), probability(found.runs_holm))

    title = f"Against {result.reference}, run by run"
    return block(title, ("Difference of the mean AUCs", "p over runs", "Holm"), cells)


def _reported(result: StudyResult, block: Callable[[str, Sequence[str], _Cells], Block]) -> Block:
    def cells(row: Row) -> Sequence[str]:
        theirs = row.reported
        return (
            mean(row.metrics.get("auc")),
            three(theirs.auc if theirs else None),
            mean(row.metrics.get("accuracy")),
            three(theirs.acc if theirs else None),
        )

    title = f"Beside what publications report ({result.reported})"
    return block(title, ("AUC, here", "AUC, reported", "ACC, here", "ACC, reported"), cells)


def _classification(row: Row) -> Sequence[str]:
    runs = str(row.runs) if row.runs == row.planned else f"{row.runs} of {row.planned}"
    area = row.metrics.get("auc")
    return (runs, mean(area), interval(area.pooled if area else None), mean(row.metrics.get("accuracy")))


def _comparison(found: Comparison) -> Sequence[str]:
    p_values = (found.delong_p, found.delong_holm, found.mcnemar_p, found.mcnemar_holm)
    return (interval(found.auc_difference, signed=True), *map(probability, p_values))


def _cost(row: Row) -> Sequence[str]:
    ratio = NONE if row.step_ratio is None else f"{row.step_ratio:.2f} ×"
    return (parameters(row.parameters), ratio)


def _marks(row: Row, result: StudyResult, footnotes: list[str]) -> tuple[int, ...]:
    """Add what is to be said of a row to the footnotes; their numbers. Equal footnotes are written once."""
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
    reasons: dict[str, list[str]] = {}
    for failure in row.failures:
        reasons.setdefault(failure.reason, []).append(failure.run)
    said += [f"failed: {', '.join(runs)}: {reason}" for reason, runs in reasons.items()]
    if row.starts:
        said.append(f"its runs began with different weights: {'; '.join(row.starts)}")
    others = {each.name: each.runs for each in result.rows}.get(result.reference)
    if row.comparison and others is not None and row.runs != others:
        said.append(
            f"{row.runs} runs averaged, {others} of {result.reference}: more runs alone make a better average"
        )
    if row.comparison and row.comparison.exams != result.exams:
        said.append(f"compared on {row.comparison.exams} of the {result.exams} exams")
    area = row.metrics.get("auc")
    if area and area.pooled and area.pooled.undefined:
        drawn = area.pooled.undefined + area.pooled.resamples
        said.append(f"AUC undefined in {area.pooled.undefined} of {drawn} resamples: too few patients")
    if row.reported:
        said.append(f"reported in {row.reported.source}")
    footnotes += [note for note in said if note not in footnotes]
    return tuple(footnotes.index(note) + 1 for note in said)


def _warnings(result: StudyResult) -> tuple[str, ...]:
    warnings = []
    if result.leak:
        warnings.append(f"the split leaks, these numbers flatter the models: {result.leak}")
    areas = [row.metrics["auc"].pooled for row in result.rows if "auc" in row.metrics]
    if areas and not any(area and area.low > 0.5 for area in areas):
        warnings.append(
            "no system is shown to be better than guessing (no interval of an AUC lies above 0.5): a difference "
            "between them, significant or not, says nothing of the systems"
        )
    return tuple(warnings)


def _evidence(result: StudyResult) -> tuple[str, ...]:
    classes = ", ".join(f"{count} {name}" for name, count in result.classes.items())
    runs = [str(result.folds) + (" folds" if result.folds > 1 else " fold")]
    runs += [f"{result.repeats} repeats"] if result.repeats > 1 else []
    runs.append(str(result.seeds) + (" seeds" if result.seeds > 1 else " seed"))
    evidence = result.evidence
    recipe = f"on top of every preset: {', '.join(result.changes)}" if result.changes else ""
    versions = ", ".join(
        f"{name} {evidence.versions[name]}" for name in _VERSIONS if name in evidence.versions
    )
    lines = (
        f"data: {result.dataset} (fingerprint {result.fingerprint[:12]}); tested on {result.exams} exams of "
        f"{result.patients} patients ({classes})",
        f"protocol: {result.protocol}; {' × '.join(runs)} per system, the same for all; selected by validation alone",
        recipe,
        f"made: {evidence.date} on {evidence.device}; {versions}; {evidence.minutes:.1f} minutes for all runs",
    )
    return tuple(filter(None, lines))


def _reading(result: StudyResult) -> tuple[str, ...]:
    compared = sum(row.comparison is not None for row in result.rows)
    reading = [
        "± is the standard deviation over the runs of a system, each on its own test part; [ ] is a 95 % interval "
        "by bootstrap over patients of the pooled predictions, an exam's runs averaged",
    ]
    if compared:
        reading.append(
            "p is two-sided, exams clustered by patient: DeLong's test of the AUCs, McNemar's exact test of the ACCs; "
            f"Holm: corrected for {compared} comparison{'s' if compared > 1 else ''}; they compare the averaged "
            "networks that there are, and cover neither the chance in a run nor that in the training data"
        )
    if any(map(_over_runs, result.rows)):
        reading.append(
            "p over runs: two-sided, by permutation of the runs within a fold; it covers the chance in a run, not "
            "that in the exams"
        )
    if any(row.step_ratio is not None for row in result.rows):
        reading.append(f"step time: of a training step, as a multiple of that of {result.reference}")
    if result.reported and not any(row.reported for row in result.rows):
        reading.append(
            f"nothing that publications report ({result.reported}) is shown: no system is such a preset unchanged"
        )
    elif result.reported:
        reading.append(
            "reported figures come from other splits and protocols, and from other data unless it is the same data "
            "set: differences to them say little"
        )
    return tuple(reading)
