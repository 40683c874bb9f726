"""``gazekit tune``: choose values by inner folds of the training part."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gazekit.cli import console
from gazekit.cli.options import Device, Json, say_given_twice
from gazekit.cli.study.options import Changes, Jobs, LauncherName
from gazekit.study.launch.launchers import device_of_runs

if TYPE_CHECKING:
    from gazekit.runs.best_epoch import Select
    from gazekit.study.tuning.search import Tuning


def tune(
    preset: Annotated[str, typer.Option(help="Preset to tune: a name or a TOML file.")],
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V,V,…",
            help="Values to try; several --grid make all combinations.",
            show_default="the preset's own table tune, with a sampler that draws",
        ),
    ] = None,
    sampler: Annotated[
        str,
        typer.Option(
            help="grid: every combination; random: draws; tpe: draws that learn from the trials before.",
            autocompletion=lambda: ["grid", "random", "tpe"],
        ),
    ] = "grid",
    trials: Annotated[int, typer.Option(min=1, help="Points to try, with random and tpe.")] = 16,
    sampler_seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the sampler.")] = 0,
    folds: Annotated[int, typer.Option(min=2, help="Inner folds.")] = 3,
    seeds: Annotated[int, typer.Option(min=1, help="Runs per fold: seeds 0, 1, …")] = 1,
    split_path: Annotated[
        Path | None,
        typer.Option(
            "--split",
            help="Split file whose test part stays closed.",
            show_default="made as gazekit train would",
        ),
    ] = None,
    changes: Changes = None,
    out: Annotated[
        Path | None, typer.Option(help="Study directory.", show_default="studies/tune-PRESET")
    ] = None,
    jobs: Jobs = 1,
    launcher: LauncherName = "local",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train points of a grid on inner folds of the training part; the highest mean validation AUC is chosen.

    With --sampler random or tpe points are drawn, one trial after another, from --grid or the preset's own table tune
    (gazekit presets show); the first trial has the preset's own values. The test part is never opened. The same command
    again goes on where it was stopped. Writes tune.json.
    """
    from gazekit.cli.study.runs import finish
    from gazekit.study.folder import StudyFolder
    from gazekit.study.tuning.tune import AskedTuning
    from gazekit.study.tuning.tune import tune as run

    say_given_twice(changes)
    asked = AskedTuning(
        preset=preset,
        changes=changes or (),
        data=data,
        grid=grid or (),
        sampler=sampler,
        trials=trials,
        seed=sampler_seed,
        folds=folds,
        seeds=seeds,
        split=split_path,
    )
    tuning, study, failures = run(
        StudyFolder(out or Path("studies") / f"tune-{Path(preset).name.removesuffix('.toml')}"),
        asked,
        console.registry(),
        device_of_runs(device, launcher),
        lambda study: finish(study, "the same command", launcher=launcher, jobs=jobs),
    )
    _show(tuning, {each.training.select for each in study.presets.values()}, as_json=as_json)
    if failures:
        raise typer.Exit(1)


def _show(tuning: "Tuning", selects: "set[Select]", *, as_json: bool) -> None:
    """Show the candidates; ``selects`` holds the ``training.select`` of their presets."""
    if as_json:
        values = tuning.to_json()
        console.print_json(values.pop("schema"), values)
        return
    from gazekit.disk.wording import counted
    from gazekit.measures.numbers import three

    rows = [
        (
            "→" if candidate.changes == tuning.chosen else "",
            three(candidate.mean),
            three(candidate.sd),
            f"{candidate.runs} of {candidate.planned}",
            " ".join(candidate.changes),
        )
        for candidate in tuning.candidates
    ]
    folds, seeds = counted(tuning.folds, "inner fold"), counted(tuning.seeds, "seed")
    title = f"{tuning.preset}: validation AUC over {folds} × {seeds}"
    console.print_table(("", "mean", "sd", "runs", "values"), rows, title=title)
    print(" ".join(f"--set {shlex.quote(change)}" for change in tuning.chosen))
    epoch = {"auc": "best", "last": "last"}[selects.pop()] if selects in ({"auc"}, {"last"}) else "selected"
    console.note(
        f"each run's AUC is that of its {epoch} epoch, and the highest of several means flatters: judge the choice on "
        "the test part of the same split"
    )
