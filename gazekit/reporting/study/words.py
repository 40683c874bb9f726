"""Write the text around the tables of a study: warnings, evidence, how to read them."""

from collections import Counter
from collections.abc import Sequence
from statistics import median

from gazekit.study.result import StudyResult, SystemRow

_VERSIONS = ("gazekit", "python", "torch", "numpy", "scipy")
"""Packages whose versions the table shows; ``results.json`` has all."""
_COUNTED = 4
"""Most different values that are counted one by one; spaces list hardly more that are no numbers."""


def warnings(result: StudyResult) -> tuple[str, ...]:
    """List reasons to doubt the numbers."""
    said = []
    if result.leak:
        said.append(f"the split leaks, these numbers flatter the models: {result.leak}")
    areas = [row.metrics["auc"].pooled for row in result.rows if "auc" in row.metrics]
    if areas and not any(area and area.low > 0.5 for area in areas):
        said.append(
            "no system is shown to be better than guessing (no interval of an AUC lies above 0.5): a difference "
            "between them, significant or not, says nothing about the systems"
        )
    return tuple(said)


def evidence(result: StudyResult) -> tuple[str, ...]:
    """List the basis of the numbers: data, protocol, recipe, device, versions."""
    classes = ", ".join(f"{count} {name}" for name, count in result.classes.items())
    runs = [str(result.folds) + (" folds" if result.folds > 1 else " fold")]
    runs += [f"{result.repeats} repeats"] if result.repeats > 1 else []
    runs.append(str(result.seeds) + (" seeds" if result.seeds > 1 else " seed"))
    made = result.evidence
    recipe = f"on top of every preset: {', '.join(result.changes)}" if result.changes else ""
    versions = ", ".join(f"{name} {made.versions[name]}" for name in _VERSIONS if name in made.versions)
    lines = (
        f"data: {result.dataset} (fingerprint {result.fingerprint[:12]}); tested on {result.exams} exams of "
        f"{result.patients} patients ({classes})",
        f"protocol: {result.protocol}; {' × '.join(runs)} per system, the same for all; selected by validation alone",
        recipe,
        result.tuning,
        f"made: {made.date} on {made.device}; {versions}; {made.minutes:.1f} minutes for all runs",
    )
    return tuple(filter(None, lines))


def reading(result: StudyResult) -> tuple[str, ...]:
    """Explain how to read the numbers."""
    compared = sum(row.comparison is not None for row in result.rows)
    said = [
        "± is the standard deviation over the runs of a system, each on its own test part; [ ] is a 95 % interval "
        "by bootstrap over patients of the pooled predictions, an exam's runs averaged",
    ]
    if compared:
        said.append(
            "p is two-sided, exams clustered by patient: DeLong's test of the AUCs, McNemar's exact test of the ACCs; "
            f"Holm: corrected for {compared} comparison{'s' if compared > 1 else ''}; they compare the averaged "
            "networks that there are, and cover neither the chance in a run nor that in the training data"
        )
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
