"""``gazekit tune``: choose values by inner folds of the training part."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gazekit.cli import console
from gazekit.cli.options import Device, Json, device_of_runs
from gazekit.cli.study.options import Changes, Jobs, LauncherName

if TYPE_CHECKING:
    from gazekit.prepared.dataset import PreparedDataset
    from gazekit.prepared.splits import Split
    from gazekit.presets.preset import Preset
    from gazekit.study.tuning import Tuning


def tune(
    preset: Annotated[str, typer.Option(help="Preset to tune: a name or a TOML file.")],
    data: Annotated[Path, typer.Option(help="Prepared data set.")],
    grid: Annotated[
        list[str],
        typer.Option(metavar="KEY=V,V,…", help="Values to try; several --grid make all combinations."),
    ],
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
    """Train every point of a grid on inner folds of the training part; the highest mean validation AUC is chosen.

    The test part is never opened. The same command again goes on where it was stopped. Writes tune.json.
    """
    from gazekit.cli.study.runs import finish
    from gazekit.disk.atomic import write_atomically
    from gazekit.study.folder import StudyFolder
    from gazekit.study.settings import parse_study
    from gazekit.study.study import open_study
    from gazekit.study.tuning import choose, grid_points, point_name

    registry = console.registry()
    base = registry.preset(preset, environment=os.environ, overrides=changes or ())
    systems = [{"name": point_name(p), "preset": preset, "set": list(p)} for p in grid_points(grid)]
    values = {"data": str(data), "folds": folds, "seeds": seeds, "set": changes or [], "system": systems}
    settings = parse_study(values, "the grid of these options", folder=Path())
    folder = StudyFolder(out or Path("studies") / f"tune-{Path(preset).name.removesuffix('.toml')}")
    with folder.lock():
        study = open_study(
            folder,
            settings,
            registry,
            device=device_of_runs(device, launcher),
            kind="tune",
            splits=lambda dataset: _inner(dataset, split_path, base, folds),
        )
        failures = finish(study, "the same command", launcher=launcher, jobs=jobs)
        tuning = choose(study, preset)
        write_atomically(folder.path / "tune.json", tuning.to_text())
    _show(tuning, as_json=as_json)
    if failures:
        raise typer.Exit(1)


def _inner(
    dataset: "PreparedDataset", split_path: Path | None, preset: "Preset", folds: int
) -> "dict[str, Split]":
    """Make inner folds of the exams outside the split's test part."""
    from gazekit.study.folds import inner_splits
    from gazekit.training.start import split_of

    return inner_splits(dataset, split_of(preset, dataset, split_path), folds)


def _show(tuning: "Tuning", *, as_json: bool) -> None:
    if as_json:
        values = tuning.to_json()
        console.print_json(values.pop("schema"), values)
        return
    rows = [
        (
            "→" if candidate.changes == tuning.chosen else "",
            "–" if candidate.mean is None else f"{candidate.mean:.3f}",
            "–" if candidate.sd is None else f"{candidate.sd:.3f}",
            f"{candidate.runs} of {candidate.planned}",
            " ".join(candidate.changes),
        )
        for candidate in tuning.candidates
    ]
    title = f"{tuning.preset}: validation AUC over {tuning.folds} inner folds × {tuning.seeds} seeds"
    console.print_table(("", "mean", "sd", "runs", "values"), rows, title=title)
    print(" ".join(f"--set {change}" for change in tuning.chosen))
    console.note(
        "each run's AUC is that of its best epoch, so the highest mean flatters: judge the choice on the test part "
        "of the same split"
    )
