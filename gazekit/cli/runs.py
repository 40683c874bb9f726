"""``gazekit runs``: list, compare and verify run directories."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gazekit.cli import console
from gazekit.cli.options import Json
from gazekit.disk.wording import counted

if TYPE_CHECKING:
    from gazekit.runs.table import RunSummary

app = typer.Typer(help="List, compare and verify run directories.", no_args_is_help=True)
_NONE = "–"


@app.command("list")
def list_runs(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders to search, including studies.", show_default="runs"),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the runs in or below some folders, with their progress and results."""
    from gazekit.runs.table import find_runs, summarise

    found = [summarise(path) for path in find_runs(folders or [Path("runs")])]
    if as_json:
        console.print_json("gazekit.runs/1", {"runs": [_record(run) for run in found]})
        return
    rows = [
        (
            run.facts.preset if run.facts else _NONE,
            run.facts.seed if run.facts else _NONE,
            run.state,
            f"{run.best[0]:.3f} ({run.best[1]})" if run.best else _NONE,
            _auc(run),
            run.path,
        )
        for run in found
    ]
    console.print_table(("preset", "seed", "state", "val AUC", "AUC", "run"), rows)
    for run in found:
        if run.problem:
            console.warn(run.problem)
    console.note(
        "val AUC: of the selected epoch, which is in brackets; AUC: of the last gazekit evaluate, of the test part if "
        "none is named; gazekit runs compare shows more"
    )
    _warn_of_leaks(found)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, two or more.")],
    as_json: Json = False,
) -> None:
    """Show side by side how runs differ and what was measured on each.

    For tests of the differences, with folds and seeds, use gazekit benchmark.
    """
    from gazekit.errors import ConfigurationError, DataError
    from gazekit.runs.table import differences, measures, summarise

    if len(runs) < 2:
        raise ConfigurationError("one run has nothing to be compared with; give two or more")
    found = [summarise(path) for path in runs]
    for run in found:
        if run.problem:
            raise DataError(run.problem)
    differing, measured = differences(found), measures(found)
    if as_json:
        value = {"runs": [_record(run) for run in found], "differences": differing, "measures": measured}
        console.print_json("gazekit.runs_comparison/1", value)
        return
    names = _names(runs)
    rows: list[tuple[object, ...]] = [
        (key, *(_NONE if value is None else value for value in values)) for key, values in differing.items()
    ]
    val_auc = [f"{run.best[0]:.3f}" if run.best else _NONE for run in found]
    rows += [("state", *(run.state for run in found)), ("validation AUC", *val_auc)]
    rows += [(_words(name), *map(_interval, values)) for name, values in measured.items()]
    console.print_table(("", *names), rows)
    console.note(
        "95 % intervals over patients; –: not measured, or not evaluated yet; the tests of a difference: "
        "gazekit benchmark"
    )
    _warn_of_leaks(found)


@app.command()
def verify(
    runs: Annotated[list[Path], typer.Argument(help="Run directories, one or more.")],
    as_json: Json = False,
) -> None:
    """Check that runs are complete: every file is readable and matches its checksum, predictions match the split.

    No code of a run is executed and nothing is changed. The exit code is 3 if anything is wrong. Checksums detect
    accidental damage, not deliberate changes.
    """
    from gazekit.errors import DataError
    from gazekit.runs.directory import RunDirectory
    from gazekit.runs.verification import faults_of

    found = {path: faults_of(RunDirectory(path)) for path in runs}
    if as_json:
        values = [{"run": str(path), "whole": not faults, "faults": faults} for path, faults in found.items()]
        console.print_json("gazekit.runs_verification/1", {"runs": values})
    else:
        rows = [
            (path, counted(len(faults), "fault") if faults else "whole") for path, faults in found.items()
        ]
        console.print_table(("run", "state"), rows)
        for faults in found.values():
            for fault in faults:
                console.warn(fault)
    damaged = [path for path, faults in found.items() if faults]
    if damaged:
        raise DataError(
            f"{len(damaged)} of {counted(len(runs), 'run')} damaged, the first is {damaged[0]}; do what the "
            "warnings say, else get another copy, or train it again"
        )


def _warn_of_leaks(found: "list[RunSummary]") -> None:
    for run in found:
        if run.facts and run.facts.leak:
            console.warn(
                f"{run.path}: has seen patients of the test part, its numbers flatter it: {run.facts.leak}"
            )


def _record(run: "RunSummary") -> dict[str, Any]:
    facts = run.facts
    return {
        "run": str(run.path),
        "preset": facts and facts.preset,
        "seed": facts and facts.seed,
        "data": facts and facts.fingerprint,
        "state": run.state,
        "epochs": run.epochs[0],
        "epochs_planned": run.epochs[1],
        "val_auc": run.best and run.best[0],
        "best_epoch": run.best and run.best[1],
        "evaluation": run.evaluation,
        "problem": run.problem,
    }


def _auc(run: "RunSummary") -> str:
    if run.evaluation is None:
        return _NONE
    auc = run.evaluation["metrics"]["classification"].get("auc")
    part = run.evaluation["split"]
    return _interval(auc) if part == "test" else f"{_interval(auc)} {part}"


def _interval(measure: dict[str, float | None] | None) -> str:
    from gazekit.measures.numbers import measured

    return _NONE if measure is None else measured(measure)


def _words(name: str) -> str:
    group, _, measure = name.rpartition(".")  # a group may have dots, as those of numbers do
    return f"{group}: {measure}".replace("_", " ")


def _names(runs: list[Path]) -> list[str]:
    """Return the last part of each path, or the whole path where two are equal."""
    short = [path.resolve().name for path in runs]
    return short if len(set(short)) == len(short) else [str(path) for path in runs]
