"""``gazekit data split``: training, validation and test parts by patient."""

from pathlib import Path
from typing import Annotated

import typer

from gazekit.cli import console


def split(
    data: Annotated[Path, typer.Argument(help="Prepared data set.")],
    out: Annotated[Path, typer.Argument(help="CSV file to write; with --folds a folder for fold-1.csv, …")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random order of the patients.")] = 0,
    test: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the patients in the test part.")
    ] = 0.3,
    val: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the other patients in the validation part.")
    ] = 0.2,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Number of cross-validation splits to write.")
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, help="Number of times to deal the folds: repeat-1-fold-1.csv, …")
    ] = 1,
    anew: Annotated[bool, typer.Option("--anew", help="Ignore the split that the source gives.")] = False,
    allow_leak: Annotated[
        bool,
        typer.Option("--allow-leak", help="Keep the source's split even if it puts a patient on both sides."),
    ] = False,
) -> None:
    """Split by patient, stratified by label and data set; a given split is respected (not with --folds)."""
    from collections import Counter

    from gazekit.disk.atomic import disk_errors
    from gazekit.errors import ConfigurationError
    from gazekit.prepared.dataset import PreparedDataset
    from gazekit.prepared.splits import k_folds, leak_of, make_split, write_split

    dataset = PreparedDataset.open(data)
    if folds is None:
        if repeats > 1:
            raise ConfigurationError("--repeats needs --folds: it deals the folds several times")
        splits = {out: make_split(dataset, seed=seed, test=test, val=val, anew=anew, allow_leak=allow_leak)}
    else:
        splits = {
            out / (f"repeat-{repeat + 1}-" * (repeats > 1) + f"fold-{fold}.csv"): dealt
            for repeat in range(repeats)
            for fold, dealt in enumerate(k_folds(dataset, folds, seed, val=val, repeat=repeat), start=1)
        }
        with disk_errors(out):
            out.mkdir(parents=True, exist_ok=True)
    rows = []
    for path, made in splits.items():
        write_split(path, dataset, made)
        counts = Counter(made.values())
        rows.append((path, counts["train"], counts["val"], counts["test"]))
        if leak := leak_of(dataset, made):
            console.warn(f"{path}: {leak}; training on it needs --allow-leak")
    console.print_table(("file", "train", "val", "test"), rows)
