"""Write the text around the tables of a study: warnings, evidence, how to read them."""

from collections import Counter
from collections.abc import Sequence
from statistics import median

from gazekit.disk.wording import counted
from gazekit.measures.comparing.over_data_sets import OverDataSets
from gazekit.measures.numbers import interval, probability
from gazekit.records.labels import count_classes
from gazekit.study.results.result import GateResult, StudyResult, SystemRow, Variance

_VERSIONS = ("gazekit", "python", "torch", "numpy", "scipy")
"""Packages whose versions the table shows; ``results.json`` has all."""
_COUNTED = 4
"""Most different values that are counted one by one; spaces list hardly more that are no numbers."""


def warnings(result: StudyResult) -> tuple[str, ...]:
    """List reasons to doubt the numbers."""
    said = []
    if result.leak:
        said.append(
            f"the models have seen patients of the test part, these numbers flatter them: {result.leak}"
        )
    runs, calibrated = sum(row.runs for row in result.rows), sum(row.calibrated for row in result.rows)
    if 0 < calibrated < runs:
        said.append(
            f"the probabilities of {calibrated} of {runs} runs are calibrated, and averaged and compared with others "
            "that are not: calibrate every run, or none (gazekit calibrate RUN --remove), and evaluate these runs again"
        )
    areas = [
        row.over_data_sets.value if row.over_data_sets else row.metrics["auc"].pooled
        for row in result.rows
        if "auc" in row.metrics
    ]
    if areas and not any(area and area.low > 0.5 for area in areas):
        said.append(
            "no system is shown to be better than guessing (no interval of an AUC lies above 0.5): a difference "
            "between them, significant or not, says nothing about the systems"
        )
    return tuple(said)


def evidence(result: StudyResult) -> tuple[str, ...]:
    """List the basis of the numbers: data, protocol, recipe, device, versions."""
    classes = count_classes(result.classes)
    runs = [counted(len(result.data_sets), "data set")] if result.data_sets else []
    if result.folds == 1 and result.repeats > 1:
        runs.append(f"{result.repeats} splits")
    else:
        runs.append(counted(result.folds, "fold"))
        runs += [f"{result.repeats} repeats"] if result.repeats > 1 else []
    runs.append(counted(result.seeds, "seed"))
    same = f"{' × '.join(runs)} per system, the same for all"
    protocol = (f"protocol: {result.protocol}", same, _selection(result.rows))
    made = result.evidence
    recipe = f"on top of every preset: {', '.join(result.changes)}" if result.changes else ""
    versions = ", ".join(f"{name} {made.versions[name]}" for name in _VERSIONS if name in made.versions)
    lines = (
        f"data: {_data(result)}; tested on {result.exams} exams of {result.patients} patients ({classes})",
        "; ".join(filter(None, protocol)),
        recipe,
        result.tuning,
        f"made: {made.date} on {made.device}; {versions}; {made.minutes:.1f} minutes for all runs",
    )
    return tuple(filter(None, lines))


def _selection(rows: Sequence[SystemRow]) -> str:
    """Say which epoch of a run is tested; empty for the rows of older files, which do not say."""
    last = [row.name for row in rows if row.select == "last"]
    if not all(row.select for row in rows):
        return ""
    if not last:
        return "selected by validation alone"
    if len(last) == len(rows):
        return "the last epoch of each run"
    return f"selected by validation alone; of {', '.join(last)} the last epoch of each run"


def _data(result: StudyResult) -> str:
    sets = result.data_sets
    named = [(each.name, each.fingerprint) for each in sets] or [(result.dataset, result.fingerprint)]
    listed = ", ".join(f"{name} (fingerprint {fingerprint[:12]})" for name, fingerprint in named)
    return f"{counted(len(sets), 'data set')}, {listed}" if sets else listed


def over_sets_in_words(found: OverDataSets, reference: str) -> list[str]:
    """Say the AUC of a system over data sets, and its difference to the reference."""
    said = [f"AUC {interval(found.value)} over {counted(found.data_sets, 'data set')}."]
    if found.difference is not None:
        said.append(
            f"AUC minus that of {reference}: {interval(found.difference, signed=True)} over "
            f"{counted(found.compared, 'data set')}."
        )
    return said


def gate_in_words(gate: GateResult) -> str:
    """Say a gate, its value and whether it is passed."""
    bounds = " and ".join(f"{word} {bound:g}" for word, bound in gate.bounds.items())
    shown = interval(gate.value, signed=" − " in gate.subject)
    found = f"{shown} over {counted(gate.data_sets, 'data set')}" if gate.value else "no value"
    waits = f", missing: {gate.missing}" if gate.missing else ""
    return f"gate {'passed' if gate.passed else 'not passed'}: {gate.subject} {bounds}: {found}{waits}"


def variance_missing(variance: Variance) -> list[str]:
    """Say why the variance of some systems is not divided, systems with one reason together."""
    reasons: dict[str, list[str]] = {}
    for name, reason in variance.missing.items():
        reasons.setdefault(reason, []).append(name)
    return [f"no variance components of {', '.join(names)}: {reason}" for reason, names in reasons.items()]


def reading(result: StudyResult) -> tuple[str, ...]:
    """Explain how to read the numbers."""
    compared = sum(row.comparison is not None for row in result.rows)
    said = [
        "± is the standard deviation over the runs of a system, each on its own test part; [ ] is a 95 % interval "
        "over patients of the pooled predictions, an exam's runs averaged: by bootstrap, exact for shares "
        "and AUCs of 0 or 1, none where resamples show nothing",
    ]
    if compared:
        said.append(
            "p is two-sided, exams clustered by patient: DeLong's test of the AUCs, McNemar's exact test of the ACCs; "
            f"Holm: corrected for {counted(compared, 'comparison')}; they compare the averaged "
            "networks that there are, and cover neither the chance in a run nor that in the training data"
        )
    if result.data_sets:
        number = max((row.over_data_sets.compared for row in result.rows if row.over_data_sets), default=0)
        flipped = (
            f", p two-sided by flipping signs of the differences (with {number} data sets never below "
            f"{probability(2 / 2**number)}); both cover"
        )
        said.append(
            "over data sets: each data set counts once, as the mean of its splits and seeds; [ ] is Student's t "
            f"interval{flipped if number > 1 else '; it covers'} the chance in data, splits and runs"
        )
    if result.variance is not None and result.variance.systems:
        said.append(
            "spread of the AUC: standard deviation of each component, and its share of the variance; 0 (negative) is "
            "an estimate below 0, too small to be seen"
        )
        if len(result.data_sets) < 2:
            said.append("spread of the AUC: with one data set there is no component of the data set")
        elif result.folds * result.repeats == 1:
            said.append(
                "spread of the AUC: with one split of each data set, that of the data set includes the split"
            )
    if result.variance is not None:
        said += variance_missing(result.variance)
    if any(row.differences for row in result.rows):
        said.append(
            "p of further measures: two-sided, from the resamples of patients that give the interval of the difference"
        )
    if any(map(over_runs, result.rows)):
        said.append(
            "p over runs: two-sided, by permutation of the runs within a fold; it covers the chance in a run, not "
            "that in the exams"
        )
    if any(row.step_ratio is not None for row in result.rows):
        said.append(f"step time: of a training step, as a multiple of that of {result.reference}")
    if result.reported and not any(row.reported for row in result.rows):
        said.append(
            f"no published figures ({result.reported}) are shown: no system is an unchanged preset that reports them"
        )
    elif result.reported:
        said.append(
            "reported figures come from other splits and protocols, and from other data unless it is the same data "
            "set: differences to them say little"
        )
    return tuple(said)


def over_runs(row: SystemRow) -> bool:
    """Whether a row has a test over the runs."""
    return row.comparison is not None and row.comparison.runs_p is not None


def tuned_values(row: SystemRow) -> str:
    """Say which values the tuning of a row's runs chose, each with its number of runs."""
    chosen: dict[str, list[str]] = {}
    for run in row.tuned:
        for item in run.changes:
            key, _, value = item.partition("=")
            chosen.setdefault(key, []).append(value)
    return "; ".join(f"{key} {_spread(values)}" for key, values in chosen.items())


def _spread(values: Sequence[str]) -> str:
    """Count few different values; give ends and median of many numbers."""
    counts = Counter(values)
    if len(counts) <= _COUNTED or not all(map(_is_number, counts)):
        return ", ".join(f"{value} ({number} ×)" for value, number in counts.most_common())
    numbers = sorted(map(float, values))
    return f"{numbers[0]:g} to {numbers[-1]:g}, median {median(numbers):g}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
