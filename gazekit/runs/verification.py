"""Check that a run directory is intact: every file is valid, and all belong to one run."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gazekit.disk.own_files import opened
from gazekit.errors import DataError, GazekitError
from gazekit.prepared.splits import PARTS
from gazekit.presets.layers import read_tables
from gazekit.runs.calibration.calibration_file import read_calibration
from gazekit.runs.checkpoints import checkpoint
from gazekit.runs.directory import EVALUATED, WEIGHTS, RunDirectory, is_of_other_data
from gazekit.runs.explain_check.file import read_explain_check
from gazekit.runs.files import LOG, RunFacts, check_whole_preset, read_predictions


def faults_of(run: RunDirectory) -> list[str]:
    """List the faults of a run, one line each; empty if all files are readable and match their checksums.

    Args:
        run: its directory; nothing in it is changed, and no component it names is loaded.
    """
    return list(dict.fromkeys(_faults(run)))


def _faults(run: RunDirectory) -> Iterator[str]:
    if not run.path.is_dir():
        yield f"{run.path}: there is no such folder; expected a run directory"
        return
    facts: list[RunFacts] = []
    split: dict[str, str] = {}
    preset: dict[str, Any] = {}
    epochs: list[dict[str, Any]] = []
    checks: list[Callable[[], object]] = [
        run.check_links,
        lambda: facts.append(run.facts()),
        lambda: preset.update(_preset(run)),
        run.plugins,
        run.environment,
        lambda: _check_log(run),
        lambda: epochs.extend(_epochs(run)),
        lambda: read_calibration(run),
        lambda: split.update(run.split()),
    ]
    for check in checks:
        yield from _said(check)
    wrong = sorted({part for part in split.values() if part not in PARTS})
    if wrong:
        yield f"{run.split_path}: split: '{wrong[0]}'; expected {', '.join(PARTS)}"
    for part in EVALUATED:
        for which in WEIGHTS:
            yield from _evaluated(run, part, run.evaluation_of(part, which), facts, split)
    for file in sorted(filter(is_of_other_data, run.path.iterdir())):
        if file.suffix == ".csv":
            yield from _said(partial(_read_all, file))
        elif file.name.startswith("evaluation"):
            table = file.with_name(file.name.replace("evaluation", "predictions").replace(".json", ".csv"))
            is_read = not list(_said(partial(_read_all, table)))  # else it is a fault itself
            yield from _measured(run, file, table if is_read else None)
    for file in sorted(run.path.glob("explain_check*.json")):
        yield from _said(partial(_read_checks, run, file))
    yield from _checkpoints(run.checkpoints, needed=True)
    yield from _checkpoints(run.best, needed=_has_selected(preset, epochs))


def _preset(run: RunDirectory) -> dict[str, Any]:
    """Read the tables of the preset. Raises GazekitError: it is no TOML, cut off, or changed after the training."""
    tables = read_tables(run.preset_path)
    check_whole_preset(run.preset_path, tables)
    run.check_unchanged(run.preset_path.name)
    return tables


def _check_log(run: RunDirectory) -> None:
    """Raise DataError unless the log, if there is one, is a file; a resumed training adds to it."""
    if os.path.lexists(run.log_path):
        with opened(run.log_path, LOG):
            pass


def _epochs(run: RunDirectory) -> list[dict[str, Any]]:
    """Read the metrics of every epoch. Raises DataError: some are missing, at the latest those of selected weights."""
    lines = run.read_metrics()
    steps = {line["step"] for line in lines}
    missing = {int(path.name) for path in checkpoint.steps_of(run.best)} - steps
    if missing or [line["epoch"] for line in lines] != list(range(1, len(lines) + 1)):
        raise DataError(
            f"{run.metrics}: lacks epochs that were trained (it has {len(lines)}); get another copy of the run"
        )
    return lines


def _read_all(table: Path) -> None:
    """Read every prediction. Raises DataError."""
    dict(read_predictions(table))


def _read_checks(run: RunDirectory, file: Path) -> None:
    """Read the checks of attention maps. Raises DataError, also if they are of another run."""
    if found := read_explain_check(file):
        run.check_is_own(file, found.trained, "explain-check")


def _said(check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except GazekitError as error:
        yield str(error)


def _measured(run: RunDirectory, measures: Path, table: Path | None) -> Iterator[str]:
    """Check measures, and that the table of probabilities, if it is there, is the one they are of."""
    faults = list(_said(lambda: run.read_evaluation(measures)))
    if not faults and table is not None and os.path.lexists(table):
        faults = list(_said(lambda: run.check_table(measures, table)))
    yield from faults


def _evaluated(
    run: RunDirectory, part: str, files: tuple[Path, Path], facts: list[RunFacts], split: dict[str, str]
) -> Iterator[str]:
    """Check the measures and probabilities of a part, if it was evaluated."""
    measures, table = files
    if os.path.lexists(measures):
        yield from _measured(run, measures, table)
    if not os.path.lexists(table):
        return
    found: dict[str, tuple[float, ...]] = {}
    yield from _said(lambda: found.update(read_predictions(table)))
    classes = len(facts[0].classes) if facts else 0
    if found and classes and {len(chances) for chances in found.values()} != {classes}:
        yield f"{table}: expected a probability for each of {classes} classes; write it again with gazekit evaluate"
    expected = {exam for exam, its in split.items() if its == part}
    if found and part != "all" and split and set(found) != expected:
        yield (
            f"{table}: has {len(found)} exams, the {part} part of split.csv {len(expected)} or others; write it again "
            "with gazekit evaluate"
        )


def _has_selected(preset: Mapping[str, Any], epochs: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a run keeps selected weights beside the last ones, and an epoch has been selected."""
    training = preset.get("training")
    last = isinstance(training, Mapping) and training.get("select") == "last"
    return not last and any(epoch["best_epoch"] for epoch in epochs)


def _checkpoints(folder: Path, *, needed: bool) -> Iterator[str]:
    """Check every checkpoint against its checksums and, if one is needed, that there is at least one."""
    steps: list[Path] = []
    failed = list(_said(lambda: steps.extend(checkpoint.steps_of(folder))))
    yield from failed
    if needed and not steps and not failed:
        yield f"{folder}: there is no checkpoint; get another copy of the run, or train it again"
    for path in steps:
        yield from _said(partial(checkpoint.verify, path))
