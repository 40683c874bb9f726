"""``gazekit plugins new``: start a plugin package."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from gazekit.cli import console


def new(
    kind: Annotated[
        str,
        typer.Argument(
            help="backbone, pooling, fusion, head, attention-map, alignment-loss, term, optimizer, schedule, dataset, "
            "gaze-reader, region, metric, report-section or tracker."
        ),
    ],
    name: Annotated[str, typer.Argument(help="Name of the component: a word in lower case, e.g. soft_gate.")],
    out: Annotated[Path | None, typer.Option(help="Folder to make.", show_default="gazekit-NAME")] = None,
) -> None:
    """Write an installable package with one working component, its tests, a README and a preset that uses it."""
    from gazekit.registry.scaffold import distribution_name, write_plugin

    folder = out or Path(distribution_name(name))
    files = write_plugin(kind, name, folder)
    for file in files:
        print(folder / file)
    made = shlex.quote(str(folder))
    samples = [f"{name}={folder / file}" for file in files if file.name == "sample.json"]
    sampled = "".join(f" --sample {shlex.quote(each)}" for each in samples)
    console.note(
        f"next: python -m pytest {made}; gazekit plugins check {made}{sampled}; then pip install -e "
        f"{made} (offline: with --no-build-isolation --no-deps) to install it"
    )
