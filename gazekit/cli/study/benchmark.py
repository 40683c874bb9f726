"""``gazekit benchmark``: compare systems on the same folds and seeds."""

import os
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gazekit.cli import console
from gazekit.cli.options import Device, Json, say_given_twice
from gazekit.cli.study.options import Changes, Jobs, LauncherName
from gazekit.machine import choose_device
from gazekit.study.launch.launchers import device_of_runs

if TYPE_CHECKING:
    from gazekit.study.folder import StudyFolder
    from gazekit.study.settings import StudySettings


def benchmark(
    study: Annotated[
        Path | None, typer.Argument(help="STUDY.toml, instead of the options that describe a study.")
    ] = None,
    preset: Annotated[
        list[str] | None, typer.Option(help="System to compare: a preset or a TOML file; may be repeated.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Prepared data set; repeated, each is split and trained on separately."),
    ] = None,
    folds: Annotated[
        str | None,
        typer.Option(
            help="Folds, 'given' (the source's split), a split file, or shares of random splits: test=0.7,val=0.1.",
            show_default="5",
        ),
    ] = None,
    repeats: Annotated[
        int | None,
        typer.Option(min=1, help="Number of times to deal the folds, or of random splits.", show_default="1"),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Runs per split: seeds 0, 1, …", show_default="3")
    ] = None,
    changes: Changes = None,
    tune: Annotated[
        bool,
        typer.Option(
            "--tune", help="Tune each run on the training part of its fold, all systems with the same budget."
        ),
    ] = False,
    sampler: Annotated[
        str | None,
        typer.Option(
            help="With --tune: random or tpe.",
            show_default="tpe",
            autocompletion=lambda: ["random", "tpe"],
        ),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(min=1, help="With --tune: trials of each run.", show_default="16")
    ] = None,
    inner_folds: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --tune: inner folds; 1: the fold's own validation part.", show_default="1"
        ),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="System to compare the others with.", show_default="the first")
    ] = None,
    allow_leak: Annotated[
        bool,
        typer.Option(
            "--allow-leak",
            help="Train even if a split puts a patient on both sides, or initial weights have seen the test part; the "
            "table will say so.",
        ),
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Study directory.", show_default="studies/STUDY, studies/comparison")
    ] = None,
    paper: Annotated[
        str | None,
        typer.Option(help="Show published figures that presets report under this name next to ours."),
    ] = None,
    timing: Annotated[bool, typer.Option("--timing/--no-timing", help="Measure the time of a step.")] = True,
    so_far: Annotated[
        bool, typer.Option("--so-far", help="Start no run; show the table of the finished runs.")
    ] = False,
    gate: Annotated[
        bool, typer.Option("--gate", help="Exit with 1 unless every [[gate]] of STUDY.toml is passed.")
    ] = False,
    jobs: Jobs = 1,
    launcher: LauncherName = "local",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train every system on every split of the data with every seed, and print one table: means, intervals, tests.

    The runs are ordinary run directories in OUT/runs. Repeat the command to resume a stopped study and retry failed
    runs; --out alone does the same, and --out with another --preset adds a row. The test part selects nothing; it
    is read once, after training. With --tune each run first tries values of the table tune of its preset (gazekit
    presets show); results.json and the tables say which it chose. Writes results.json, .md, .csv, .tex and figures.
    """
    from gazekit.cli.study.output import show
    from gazekit.cli.study.runs import finish
    from gazekit.errors import ConfigurationError
    from gazekit.reporting.study.files import write_study
    from gazekit.study.folder import StudyFolder
    from gazekit.study.results.collect import collect
    from gazekit.study.study import check_reported, open_study, step_times
    from gazekit.study.tuning.nested import check_spaces

    tuned = {"sampler": sampler, "trials": trials, "folds": inner_folds}
    given = {key: value for key, value in tuned.items() if value is not None}
    if given and not tune:
        raise ConfigurationError("--sampler, --trials and --inner-folds belong to --tune; give that too")
    flags = {
        "data": [str(path) for path in data or ()],
        "folds": folds,
        "repeats": repeats,
        "seeds": seeds,
        "reference": reference,
        "set": changes or [],
        "allow_leak": allow_leak or None,
        "tune": {"sampler": "tpe", **given} if tune else None,
        "system": [{"preset": name} for name in preset or ()],
    }
    say_given_twice(changes)
    folder = StudyFolder(out or Path("studies") / (study.stem if study else "comparison"))
    flags = {key: value for key, value in flags.items() if value not in (None, [])}
    settings = _settings(folder, study, flags)
    chosen = device_of_runs(device, launcher)
    here = choose_device("auto") if chosen.type == "cuda" else chosen  # a login node may have none
    registry = console.registry()
    check_spaces(settings, registry, os.environ)
    with _locked(folder, needed=not so_far) as locked:
        adds = locked and not (so_far and folder.facts.exists())
        opened = open_study(folder, settings, registry, device=chosen, adds=adds)
        if paper:
            check_reported(opened, paper)
        where = {"--launcher": (launcher, "local"), "--jobs": (str(jobs), "1"), "--device": (device, "auto")}
        elsewhere = [word for key, (word, usual) in where.items() if word != usual for word in (key, word)]
        again = shlex.join(["gazekit", "benchmark", "--out", str(folder.path), *elsewhere])
        failures = opened.failures() if so_far else finish(opened, again, launcher=launcher, jobs=jobs)
        ratios = None
        if timing and not so_far:
            with console.progress("timing steps") as report:
                ratios = step_times(opened, here, report)
        result, pooled = collect(opened, failures, ratios=ratios, paper=paper or "")
        write_study(opened, result, pooled, here, console.warn)
    show(result, folder.path, as_json=as_json)
    if (failures and not so_far) or (gate and not all(each.passed for each in result.gates)):
        raise typer.Exit(1)


@contextmanager
def _locked(folder: "StudyFolder", *, needed: bool) -> Iterator[bool]:
    """Lock the study, and say whether that was possible. Raises FolderInUse: it was not, and the lock is needed."""
    from gazekit.disk.locking import FolderInUse

    with ExitStack() as stack:
        locked = True
        try:
            stack.enter_context(folder.lock())
        except FolderInUse:
            if needed:
                raise
            locked = False
        yield locked


def _settings(folder: "StudyFolder", study: Path | None, flags: dict[str, Any]) -> "StudySettings":
    """Read the settings from STUDY.toml, the options, or the folder of an existing study."""
    from gazekit.errors import ConfigurationError
    from gazekit.study.settings import parse_study, read_study

    if study is not None and flags:
        raise ConfigurationError(
            f"{study} describes the study; write {', '.join(flags)} into it and leave out the options"
        )
    stored = folder.read()["settings"] if folder.facts.exists() else {}
    earlier = [system["name"] for system in stored.get("system", ())]
    if study is not None:
        return read_study(study, earlier=earlier)
    if stored:
        flags = {**stored, **flags}
    elif not flags.get("system"):
        raise ConfigurationError(
            "nothing to compare; expected STUDY.toml, or --preset A --preset B --data PREPARED, or the --out of an "
            "existing study"
        )
    if isinstance(flags.get("folds"), str):
        flags["folds"] = _folds(flags["folds"])
    return parse_study(flags, "the study of these options", folder=Path(), earlier=earlier)


def _folds(text: str) -> int | str | dict[str, str]:
    """Read ``5``, ``given``, a path, or ``test=0.7,val=0.1``."""
    if text.isdecimal():
        return int(text)
    shares = [part.partition("=") for part in text.split(",")]
    if text.endswith(".csv") or not all(mark for _, mark, _ in shares):
        return text
    return {key.strip(): value for key, _, value in shares}
