"""``gazekit data``: make, prepare and split data sets."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from gazekit.cli import console
from gazekit.cli.split import split

if TYPE_CHECKING:
    from gazekit.data.prepare import Summary

app = typer.Typer(help="Make, prepare and split data sets.", no_args_is_help=True)
app.command()(split)


@app.command()
def prepare(
    dataset: Annotated[str, typer.Argument(help="Kind of data set (gazekit plugins list --kind dataset).")],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of the raw data set.")],
    out: Annotated[Path, typer.Argument(help="Folder for the prepared one.")],
    size: Annotated[str, typer.Option(help="Side, or HEIGHTxWIDTH, of the prepared images, px.")] = "224",
    views: Annotated[
        str | None,
        typer.Option(help="Views an exam must have, e.g. cc,mlo.", show_default="all of the source"),
    ] = None,
    crop: Annotated[
        Literal["breast", "none"], typer.Option(help="Cut to the breast, or keep the whole image.")
    ] = "breast",
    laterality: Annotated[
        Literal["auto", "off"], typer.Option(help="auto flips right breasts; off never flips.")
    ] = "auto",
    dtype: Annotated[Literal["uint8", "uint16"], typer.Option(help="Type of the stored pixels.")] = "uint8",
    gaze: Annotated[
        Path | None, typer.Option(help="Gaze file or folder, joined by exam and view or by image name.")
    ] = None,
    gaze_reader: Annotated[
        str | None, typer.Option(help="Format of --gaze (gazekit plugins list --kind gaze_reader).")
    ] = None,
    fixations: Annotated[
        Literal["ivt", "idt"], typer.Option(help="Fixations by velocity or by dispersion.")
    ] = "ivt",
    sigma: Annotated[float, typer.Option(help="Width of a fixation in the heat map, degrees.")] = 1.0,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="Option of the data set; may be repeated."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes.", show_default="one per core")] = None,
    on_bad_exam: Annotated[
        Literal["skip", "error"], typer.Option(help="skip lists it in rejects.csv, error stops.")
    ] = "skip",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another preparation in OUT.")
    ] = False,
) -> None:
    """Decode, crop, flip and resize every exam once; heat maps and masks go through the same geometry.

    A killed preparation goes on where it stopped when called again.
    """
    from gazekit.data.prepare import prepare as prepare_data
    from gazekit.errors import ConfigurationError
    from gazekit.gaze.fixations import FixationSettings
    from gazekit.layers import override_layer

    registry = console.registry()
    if (gaze is None) != (gaze_reader is None):
        raise ConfigurationError(
            "--gaze and --gaze-reader go together: which recordings, and in which format"
        )
    options = {".".join(key): leaf.value for key, leaf in override_layer(overrides or ()).items()}
    with console.progress("preparing") as report:
        summary = prepare_data(
            registry.create("dataset", dataset, **options),
            source,
            out,
            views=[view.strip() for view in views.split(",") if view.strip()] if views else None,
            size=_size(size),
            crop=crop,
            laterality=laterality,
            dtype=dtype,
            jobs=jobs,
            on_bad_exam=on_bad_exam,
            gaze_reader=lambda name: registry.create("gaze_reader", name),
            recordings=_recordings(registry, gaze, gaze_reader),
            fixations=FixationSettings(method=fixations, sigma_degrees=sigma),
            overwrite=overwrite,
            progress=report,
        )
    _print(summary)


def _size(text: str) -> tuple[int, int]:
    from gazekit.errors import ConfigurationError

    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if not match:
        raise ConfigurationError(
            f"--size {text}: expected a side such as 224, or HEIGHTxWIDTH such as 256x192"
        )
    return int(match[1]), int(match[2] or match[1])


def _recordings(registry: Any, gaze: Path | None, reader: str | None) -> list[Any] | None:
    from gazekit.errors import DataError

    if gaze is None:
        return None
    files = sorted(path for path in gaze.rglob("*") if path.is_file()) if gaze.is_dir() else [gaze]
    if not files:
        raise DataError(f"{gaze}: no recordings in this folder")
    read = registry.create("gaze_reader", reader).read
    return [recording for file in files for recording in read(file)]


def _print(summary: "Summary") -> None:
    rows = [("exams", summary.exams)]
    rows += [(f"class {name}", count) for name, count in summary.classes.items()]
    rows += [(f"{view} with gaze", count) for view, count in summary.with_gaze.items()]
    rows += [(f"{view} with a lesion mask", count) for view, count in summary.with_mask.items()]
    rows += [
        ("rejected", len(summary.rejects)),
        ("recordings that match no exam", summary.unmatched_recordings),
    ]
    console.print_table(("", "number"), rows, title=str(summary.root))
    for name in [name for name, count in summary.classes.items() if count == 0]:
        console.warn(f"no exam of class '{name}' is left")
    for exam, reason in summary.rejects[:10]:
        console.warn(f"exam {exam} left out: {reason}")
    if len(summary.rejects) > 10:
        console.warn(f"and {len(summary.rejects) - 10} more in {summary.root / 'rejects.csv'}")
    for exams in summary.duplicates:
        console.warn(f"identical images in exams {', '.join(exams)}; a split keeps them together")
